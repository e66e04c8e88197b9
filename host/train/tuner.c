#include "train/tuner.h"

#include "base/error.h"
#include "base/log.h"
#include "base/numbers.h"
#include "base/progress.h"
#include "layers/trust.h"
#include "train/patient.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 5, WORK_MAX = 1024, WAYS_MAX = 4, SWEEP_BYTES = 64 << 20 };

/* Of the best so far's time: what a candidate must stay below to be better, and what it may take in
 * the first round to be looked at again. */
static const double enough = 0.97, hopeless = 1.15;

/* Another way to compute a pass is worth tuning while it takes less than so many times the best. */
static const double close_enough = 1.6;

/* A pass to tune. */
struct work {
    int node, layers;
    struct choice ways[WAYS_MAX]; /* the one that is taken comes first */
    int way_count;
    double size; /* multiply-adds of all these layers: what its share of the time goes by */
};

/* The kernels of a pass, computed one way with some values. */
struct variant {
    struct layer_kernels specs;
    struct kernel *kernels[LAYER_KERNELS_MAX];
    struct choice choice;
    double seconds;
};

struct tuner {
    const struct net *net;
    struct device *device;
    const struct tuner_options *options;
    struct target target;
    struct tunings *trials; /* what is tried now */
    struct buffer *sweep;
    struct work *work;
    int count;
    double deadline; /* of what is tuned now; 0: none */
    struct progress progress;
    struct patient patient;
    struct tuner_finding finding;
};

static void ask_kernels(const struct tuner *tuner, const struct target *target, int node,
                        struct layer_kernels *out) {
    const struct node *n = &tuner->net->nodes[node];
    *out = (struct layer_kernels){0};
    n->layer.type->kernels(&n->layer, target, n->needs_dx[0], net_truth_kind(tuner->net), out);
}

static int is_over(const struct tuner *tuner) {
    const struct tuner_options *options = tuner->options;
    return (options->is_stopped && options->is_stopped(options->context)) ||
           (tuner->deadline > 0 && clock_seconds() > tuner->deadline);
}

/* ---- one candidate ---- */

static void close_variant(struct variant *variant) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        kernel_free(variant->kernels[k]);
        variant->kernels[k] = NULL;
    }
}

/* Scratch memory for the most that a candidate has asked for. */
static int grow_scratch(struct patient *patient, size_t bytes) {
    if (bytes == 0 || (patient->scratch && buffer_bytes(patient->scratch) >= bytes))
        return 0;
    TRY(device_finish(patient->device));
    buffer_free(patient->scratch);
    patient->scratch = patient->run.scratch = NULL;
    TRY(buffer_create(&patient->scratch, patient->device, bytes, "scratch memory"));
    patient->run.scratch = patient->scratch;
    return 0;
}

/* Leaves only the specs of the choice's pass. */
static void keep_pass(struct layer_kernels *specs, const char *pass) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        if (!specs->specs[k].pass || strcmp(specs->specs[k].pass, pass) != 0)
            specs->specs[k] = (struct kernel_spec){0};
    }
}

static int build(struct device *device, struct variant *variant) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        if (variant->specs.specs[k].file)
            TRY(kernel_create(&variant->kernels[k], device, &variant->specs.specs[k]));
    }
    return 0;
}

/* ERROR_INPUT: the rules forbid it, or it is known to be wrong. Close with close_variant, also on
 * failure. */
static int open_variant(struct tuner *tuner, struct variant *variant, const struct work *work,
                        const struct choice *way, const int values[KNOBS_MAX]) {
    struct tuning trial = tuning_of(way, values, ORIGIN_QUICK);
    struct target target = tuner->target;
    *variant = (struct variant){0};
    target.tunings = tuner->trials;
    TRY(tunings_set(tuner->trials, &trial));
    ask_kernels(tuner, &target, work->node, &variant->specs);
    for (int i = 0; i < variant->specs.choice_count; i++) {
        const struct choice *choice = &variant->specs.choices[i];
        if (choice->space == way->space && strcmp(choice->pass, way->pass) == 0)
            variant->choice = *choice;
    }
    if (variant->choice.refused)
        return error_set(ERROR_INPUT, "%s", variant->choice.refused);
    assert(variant->choice.is_taken);
    keep_pass(&variant->specs, way->pass);
    if (trust_has_listed(&variant->specs, &target))
        return error_set(ERROR_INPUT, "its results are wrong");
    TRY(grow_scratch(&tuner->patient, variant->specs.scratch_bytes));
    return build(tuner->device, variant);
}

/* ---- time ---- */

/* Runs the half of the layer that has the pass, with the variant's kernels in the place of all that
 * the patient has for it: another way may need fewer. */
static int run_variant(struct tuner *tuner, const struct variant *variant, int is_alone) {
    struct patient *patient = &tuner->patient;
    struct kernel *kernels[LAYER_KERNELS_MAX];
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        const char *pass = patient->specs.specs[k].pass;
        int is_other = pass && strcmp(pass, variant->choice.pass) != 0;
        kernels[k] = is_other ? patient->kernels[k] : variant->kernels[k];
        if (patient->kernels[k])
            kernel_mute(patient->kernels[k], is_alone);
    }
    struct layer_run run = patient->run;
    run.kernels = kernels;
    return strcmp(variant->choice.pass, "forward") == 0 ? patient->layer->type->forward(&run)
                                                        : patient->layer->type->backward(&run);
}

static int time_variant(struct tuner *tuner, double *seconds, const struct variant *variant) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        if (variant->kernels[k])
            kernel_reset_time(variant->kernels[k]);
    }
    TRY(buffer_fill(tuner->sweep, 0));
    TRY(run_variant(tuner, variant, 1));
    TRY(device_collect_times(tuner->device));
    *seconds = 0;
    for (int k = 0; k < LAYER_KERNELS_MAX; k++)
        *seconds += variant->kernels[k] ? kernel_seconds(variant->kernels[k]) : 0;
    if (tuner->options->clock) {
        struct tuning said = tuning_of(&variant->choice, variant->choice.values, ORIGIN_QUICK);
        *seconds = tuner->options->clock(tuner->options->context, said.values, *seconds);
    }
    return 0;
}

/* What two variants took in turns, in seconds, and the ratio of the two. Each pair counts by
 * itself, as a shared machine is now slow and now fast. */
struct turns {
    double first, second, ratio; /* first / second */
};

/* One round is all that a hopeless first variant gets. */
static int take_turns(struct tuner *tuner, struct turns *turns, const struct variant *first,
                      const struct variant *second) {
    double firsts[ROUNDS], seconds[ROUNDS], ratios[ROUNDS], warm;
    int rounds = 0;
    TRY(time_variant(tuner, &warm, first)); /* a driver may still compile */
    do {
        TRY(time_variant(tuner, &seconds[rounds], second));
        TRY(time_variant(tuner, &firsts[rounds], first));
        ratios[rounds] = seconds[rounds] > 0 ? firsts[rounds] / seconds[rounds] : 1;
        rounds++;
    } while (rounds < ROUNDS && ratios[0] <= hopeless);
    *turns =
        (struct turns){median(firsts, rounds), median(seconds, rounds), median(ratios, rounds)};
    return 0;
}

/* ---- right or wrong ---- */

/* 1 when what the candidate computes is right, else 0. */
static int is_right(struct tuner *tuner, const struct variant *candidate) {
    struct patient *patient = &tuner->patient;
    const char *pass = candidate->choice.pass;
    const struct layer *layer = patient->layer;
    struct comparison c;
    TRY(patient_reset(patient));
    if (strcmp(pass, "forward") == 0) /* what it does not write must not look right */
        TRY(buffer_fill(patient->y.buffer, NAN));
    TRY(run_variant(tuner, candidate, 0));
    if (layer->plan.has_slope) /* what the gradients are held against */
        TRY(buffer_read(patient->dy.buffer, 0, buffer_bytes(patient->dy.buffer),
                        patient->dy.values));
    double slack = layer_slack(&candidate->specs, pass);
    if (strcmp(pass, "forward") == 0)
        TRY(patient_compare(&c, patient, &patient->y, layer->plan.output,
                            (struct result_index){.result = RESULT_OUTPUT}, slack));
    else if (strcmp(pass, "backward data") == 0)
        TRY(patient_compare(&c, patient, &patient->dx[0], layer->inputs[0],
                            (struct result_index){.result = RESULT_INPUT_GRADIENT}, slack));
    else
        TRY(patient_compare(&c, patient, &patient->gradients[0], layer->plan.output,
                            (struct result_index){.result = RESULT_GRADIENT}, slack));
    return c.not_written == 0 && c.worst <= 1;
}

/* Lists what was tuned of a candidate; what packs filters or adds a bias serves others, too. */
static int distrust(const struct tuner *tuner, const struct variant *candidate) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        const struct kernel_spec *spec = &candidate->specs.specs[k];
        if (trust_is_kernel(spec) && strcmp(spec->file, candidate->choice.space->file) == 0)
            TRY(trust_set(spec, &tuner->target, 0));
    }
    return 0;
}

/* Whether it is better, by both: 1 or 0. */
static int is_better(struct tuner *tuner, const struct variant *candidate,
                     const struct variant *best, double *seconds) {
    struct turns turns;
    TRY(take_turns(tuner, &turns, candidate, best));
    *seconds = turns.first;
    if (turns.ratio >= enough)
        return 0;
    int rc = is_right(tuner, candidate);
    if (rc != 0)
        return rc;
    tuner->finding.wrong++;
    struct tuning wrong = tuning_of(&candidate->choice, candidate->choice.values, ORIGIN_QUICK);
    log_warning("%s, %s: a candidate gives wrong results, and will never be used: %s",
                tuner->patient.layer->name, candidate->choice.pass, wrong.values);
    return distrust(tuner, candidate);
}

/* ---- the search ---- */

static int cannot_run(int rc) {
    return rc == ERROR_INPUT || rc == ERROR_DEVICE;
}

/* Tries a candidate, which takes the place of *best if it is better: 1. What cannot be built or
 * run is dropped. */
static int try(struct tuner *tuner, const struct work *work, struct variant *best,
               const int values[KNOBS_MAX]) {
    struct variant candidate;
    int rc = open_variant(tuner, &candidate, work, &best->choice, values), is_open = rc == 0;
    if (is_open)
        rc = is_better(tuner, &candidate, best, &candidate.seconds);
    tuner->finding.tried += is_open && rc >= 0;
    tuner->finding.cannot += cannot_run(rc);
    if (rc > 0) {
        struct variant old = *best;
        *best = candidate;
        candidate = old;
    }
    close_variant(&candidate);
    return cannot_run(rc) ? 0 : rc;
}

/* Turns a knob one way from where it is, as long as that helps, or over all values. Returns whether
 * it helped. */
static int turn(struct tuner *tuner, const struct work *work, struct variant *best, int knob,
                int step) {
    int has_helped = 0;
    for (int value = choice_step(&best->choice, knob, best->choice.values[knob], step);
         value != 0 && !is_over(tuner); value = choice_step(&best->choice, knob, value, step)) {
        int values[KNOBS_MAX], cannot = tuner->finding.cannot;
        memcpy(values, best->choice.values, sizeof values);
        values[knob] = value;
        int rc = try(tuner, work, best, values);
        TRY(rc);
        has_helped |= rc;
        if (rc == 0 && !tuner->options->is_full && cannot == tuner->finding.cannot)
            break;
    }
    return has_helped;
}

/* Coordinate descent from where *best is. */
static int descend(struct tuner *tuner, const struct work *work, struct variant *best) {
    int has_helped;
    do {
        has_helped = 0;
        for (int knob = 0; knob < best->choice.space->knob_count; knob++) {
            int up = turn(tuner, work, best, knob, 1);
            TRY(up);
            int down = up ? 0 : turn(tuner, work, best, knob, -1);
            TRY(down);
            has_helped |= up | down;
        }
    } while (has_helped && !is_over(tuner));
    return 0;
}

/* Opens a variant and takes its time, which the first run is too early for. */
static int begin(struct tuner *tuner, struct variant *variant, const struct work *work,
                 const struct choice *way, const int values[KNOBS_MAX]) {
    TRY(open_variant(tuner, variant, work, way, values));
    TRY(time_variant(tuner, &variant->seconds, variant));
    return time_variant(tuner, &variant->seconds, variant);
}

/* Tunes another way to compute the pass, if it comes near the best; it takes the place of *best if
 * it is better. */
static int try_way(struct tuner *tuner, const struct work *work, const struct choice *way,
                   struct variant *best) {
    struct variant mine;
    int rc = begin(tuner, &mine, work, way, way->defaults);
    tuner->finding.tried += rc == 0;
    tuner->finding.cannot += cannot_run(rc);
    if (rc == 0 && mine.seconds < close_enough * best->seconds) {
        rc = descend(tuner, work, &mine);
        if (rc == 0)
            rc = is_better(tuner, &mine, best, &mine.seconds);
        if (rc > 0) {
            struct variant old = *best;
            *best = mine;
            mine = old;
        }
    }
    close_variant(&mine);
    return cannot_run(rc) || rc > 0 ? 0 : rc;
}

/* ---- passes ---- */

static int open_patient(struct tuner *tuner, const struct work *work) {
    const struct node *node = &tuner->net->nodes[work->node];
    const struct patient_options how = {.index = (uint32_t)work->node,
                                        .truth_kind = net_truth_kind(tuner->net),
                                        .needs_dx = node->needs_dx[0],
                                        .disturb = tuner->options->disturb,
                                        .context = tuner->options->context};
    struct layer_kernels kernels;
    ask_kernels(tuner, &tuner->target, work->node, &kernels);
    TRY(patient_open(&tuner->patient, tuner->device, &node->layer, &tuner->target, &kernels, &how));
    return node->layer.type->forward(&tuner->patient.run);
}

/* Gives each way an equal part of the time until `end`; what one leaves goes to the next. */
static void set_way_deadline(struct tuner *tuner, int left, double end) {
    double now = clock_seconds();
    if (end > 0)
        tuner->deadline = now + (end > now ? (end - now) / left : 0);
}

/* Holds the best against what was known before, for many small steps by noise make none; both times
 * are of now. */
static int confirm(struct tuner *tuner, const struct work *work, struct variant *best) {
    const struct choice *known = &work->ways[0];
    struct variant before;
    struct turns turns = {.first = best->seconds, .second = best->seconds, .ratio = 1};
    int is_known = best->choice.space == known->space &&
                   memcmp(best->choice.values, known->values, sizeof known->values) == 0;
    if (!is_known) {
        int rc = open_variant(tuner, &before, work, known, known->values);
        if (rc == 0)
            rc = take_turns(tuner, &turns, best, &before);
        if (rc == 0 && turns.ratio >= 1) {
            struct variant old = *best;
            *best = before;
            before = old;
            turns.first = turns.second;
        }
        close_variant(&before);
        TRY(rc);
    }
    best->seconds = turns.first;
    tuner->finding.tuning.seconds_before = turns.second;
    return 0;
}

/* The best so far is what was known before. */
static int tune_open(struct tuner *tuner, const struct work *work, struct variant *best) {
    double end = tuner->deadline;
    TRY(buffer_read(tuner->patient.y.buffer, 0, buffer_bytes(tuner->patient.y.buffer),
                    tuner->patient.y.values));
    TRY(begin(tuner, best, work, &work->ways[0], work->ways[0].values));
    set_way_deadline(tuner, work->way_count, end);
    TRY(descend(tuner, work, best));
    for (int i = 1; i < work->way_count; i++) {
        set_way_deadline(tuner, work->way_count - i, end);
        if (!is_over(tuner))
            TRY(try_way(tuner, work, &work->ways[i], best));
    }
    return confirm(tuner, work, best);
}

/* Notes the best for later runs. */
static int keep(struct tuner *tuner, const struct choice *choice, double seconds) {
    struct tuning *tuning = &tuner->finding.tuning;
    double before = tuning->seconds_before;
    *tuning =
        tuning_of(choice, choice->values, tuner->options->is_full ? ORIGIN_FULL : ORIGIN_QUICK);
    tuning->seconds = seconds;
    tuning->seconds_before = before;
    return device_keep_tuning(tuner->device, tuning);
}

static int tune(struct tuner *tuner, const struct work *work) {
    struct variant best = {0};
    int rc = open_patient(tuner, work);
    if (rc == 0)
        rc = tune_open(tuner, work, &best);
    if (rc == 0)
        rc = keep(tuner, &best.choice, best.seconds);
    close_variant(&best);
    patient_close(&tuner->patient);
    if (rc == 0 && tuner->options->found)
        tuner->options->found(tuner->options->context, &tuner->finding);
    return rc;
}

/* ---- what there is to do ---- */

static int is_same(const struct choice *a, const struct choice *b) {
    return strcmp(a->operation, b->operation) == 0 && strcmp(a->pass, b->pass) == 0 &&
           strcmp(a->problem, b->problem) == 0;
}

/* The work on a pass, if there is some already. */
static struct work *find_work(struct tuner *tuner, const struct choice *choice) {
    for (int i = 0; i < tuner->count; i++) {
        if (is_same(&tuner->work[i].ways[0], choice))
            return &tuner->work[i];
    }
    return NULL;
}

static void add_work(struct tuner *tuner, int node, const struct layer_kernels *kernels,
                     const struct choice *taken) {
    struct work *work = find_work(tuner, taken);
    if (work) {
        work->layers++;
        work->size += (double)tuner->net->nodes[node].layer.plan.macs;
        return;
    }
    if (tuner->count == WORK_MAX ||
        (tuner->options->enough && taken->origin >= tuner->options->enough))
        return;
    work = &tuner->work[tuner->count++];
    *work = (struct work){.node = node,
                          .layers = 1,
                          .ways = {*taken},
                          .way_count = 1,
                          .size = (double)tuner->net->nodes[node].layer.plan.macs};
    for (int i = 0; i < kernels->choice_count && work->way_count < WAYS_MAX; i++) {
        const struct choice *choice = &kernels->choices[i];
        if (is_same(choice, taken) && !choice->is_taken)
            work->ways[work->way_count++] = *choice;
    }
}

static int compare_work(const void *a, const void *b) {
    const struct work *x = a, *y = b;
    if (x->size != y->size) /* NOLINT: any order of equals will do */
        return x->size > y->size ? -1 : 1;
    return x->node - y->node;
}

static void collect(struct tuner *tuner) {
    for (int i = 0; i < tuner->net->count; i++) {
        struct layer_kernels kernels;
        ask_kernels(tuner, &tuner->target, i, &kernels);
        for (int c = 0; c < kernels.choice_count; c++) {
            if (kernels.choices[c].is_taken)
                add_work(tuner, i, &kernels, &kernels.choices[c]);
        }
    }
    qsort(tuner->work, (size_t)tuner->count, sizeof *tuner->work, compare_work);
}

/* Each pass gets its share of the time that is left, by what it does; what it leaves goes to those
 * after it. */
static void set_deadline(struct tuner *tuner, int i, double end) {
    double now = clock_seconds(), rest = 0;
    if (tuner->options->seconds <= 0)
        return;
    for (int j = i; j < tuner->count; j++)
        rest += tuner->work[j].size;
    tuner->deadline = now + (end > now && rest > 0 ? (end - now) * tuner->work[i].size / rest : 0);
}

/* A pass for which no time is left stays as it is, and is not tried again at every start. */
static int tune_or_keep(struct tuner *tuner, const struct work *work) {
    const struct tuner_options *options = tuner->options;
    const struct layer *layer = &tuner->net->nodes[work->node].layer;
    tuner->finding =
        (struct tuner_finding){.layer = layer, .pass = work->ways[0].pass, .layers = work->layers};
    if (options->is_stopped && options->is_stopped(options->context))
        return 0;
    if (is_over(tuner))
        return options->enough ? keep(tuner, &work->ways[0], 0) : 0;
    int rc = tune(tuner, work);
    return rc == 0 ? 1 : rc;
}

static int tune_all(struct tuner *tuner) {
    double end = clock_seconds() + tuner->options->seconds;
    int done = 0, rc = 0;
    for (int i = 0; rc >= 0 && i < tuner->count; i++) {
        const struct work *work = &tuner->work[i];
        set_deadline(tuner, i, end);
        progress_show_share(&tuner->progress, (double)i / tuner->count, "%s, %s",
                            tuner->net->nodes[work->node].layer.name, work->ways[0].pass);
        rc = tune_or_keep(tuner, work);
        done += rc > 0;
        if (cannot_run(rc))
            rc = 0; /* it stays as it is: the run itself will tell */
    }
    return rc < 0 ? rc : done;
}

int tuner_run(const struct net *net, struct device *device, const struct tuner_options *options) {
    int micro_batch = options->micro_batch ? options->micro_batch : net_micro_batch(net);
    struct tuner *tuner = calloc(1, sizeof *tuner);
    if (!tuner)
        return error_no_memory("tuning", sizeof *tuner);
    *tuner = (struct tuner){.net = net,
                            .device = device,
                            .options = options,
                            .target = {.tiling = tiling_for_batch(micro_batch),
                                       .technique = options->technique,
                                       .device = *device_info(device),
                                       .tunings = device_tunings(device)},
                            .trials = tunings_create(),
                            .work = calloc(WORK_MAX, sizeof *tuner->work),
                            .progress = progress_start("tuning")};
    int rc = tuner->trials && tuner->work ? 0 : error_no_memory("tuning", 0);
    if (rc == 0)
        rc = buffer_create(&tuner->sweep, device, SWEEP_BYTES, "tuning");
    if (rc == 0) {
        collect(tuner);
        rc = tune_all(tuner);
    }
    progress_end(&tuner->progress);
    buffer_free(tuner->sweep);
    tunings_free(tuner->trials);
    free(tuner->work);
    free(tuner);
    return rc;
}
