#include "train/evaluator.h"

#include "base/error.h"
#include "base/progress.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct samples batch_part(const struct dataset *dataset, const struct batch *batch, int first,
                          int count) {
    size_t start = (size_t)first;
    struct shape frame = dataset->frame.c ? dataset->frame : dataset->input;
    size_t pixels = start * (size_t)shape_elements(frame);
    size_t numbers = start * (size_t)shape_elements(dataset->input);
    return (struct samples){
        .count = count,
        .bytes = batch->bytes ? batch->bytes + pixels : NULL,
        .views = batch->views ? batch->views + start : NULL,
        .floats = batch->floats ? batch->floats + numbers : NULL,
        .labels = batch->labels ? batch->labels + start : NULL,
        .targets = batch->targets ? batch->targets + start * (size_t)dataset->outputs : NULL,
    };
}

struct evaluator {
    struct replica *const *replicas;
    int replica_count;
    const struct net *net;
    const struct evaluation_options *options;
    int outputs;
    int batch; /* a micro-batch of each replica, one after the other */
    /* Of a batch. */
    float *losses;
    int32_t *ranks;
    struct view *views;
    float *values, *mean; /* [count][outputs]; NULL unless the outputs themselves are asked for */
    /* Sums over the samples seen so far. */
    double loss;
    int64_t samples, top1, top5;
};

static int needs_outputs(const struct evaluation_options *options) {
    return options->crops > 1 || options->confusion || options->show;
}

static int check_crops(const struct evaluator *evaluator, const struct dataset *dataset) {
    int crops = evaluator->options->crops;
    if (crops <= 1)
        return 0;
    if (crops != TEN_CROPS)
        return error_set(ERROR_INPUT, "crops: %d; there can be 1 or %d", crops, TEN_CROPS);
    if (!dataset->bytes && !dataset->files)
        return error_set(ERROR_INPUT, "crops: the data are numbers, which have no crops");
    if (!net_loss(evaluator->net)->plan.labels_only)
        return error_set(ERROR_INPUT,
                         "crops: only the probabilities of [softmax] can be averaged, and the net "
                         "ends in [%s]",
                         net_loss(evaluator->net)->type->name);
    return 0;
}

static int open_evaluator(struct evaluator *evaluator) {
    for (int i = 0; i < evaluator->replica_count; i++)
        evaluator->batch += replica_micro_batch(evaluator->replicas[i]);
    assert(evaluator->batch > 0);
    size_t count = (size_t)evaluator->batch;
    size_t values = count * (size_t)evaluator->outputs;
    evaluator->losses = malloc(count * sizeof *evaluator->losses);
    evaluator->ranks = malloc(count * sizeof *evaluator->ranks);
    evaluator->views = calloc(count, sizeof *evaluator->views);
    int missing = !evaluator->losses || !evaluator->ranks || !evaluator->views;
    if (needs_outputs(evaluator->options)) {
        evaluator->values = malloc(values * sizeof *evaluator->values);
        evaluator->mean = malloc(values * sizeof *evaluator->mean);
        missing |= !evaluator->values || !evaluator->mean;
    }
    return missing ? error_no_memory("an evaluation", values * sizeof *evaluator->values) : 0;
}

static void close_evaluator(struct evaluator *evaluator) {
    free(evaluator->losses);
    free(evaluator->ranks);
    free(evaluator->views);
    free(evaluator->values);
    free(evaluator->mean);
}

/* What a replica has of a batch. */
struct part {
    struct replica *replica;
    int first, count;
};

/* The part of the i-th replica; the last ones get nothing of a small batch. */
static struct part part_of(const struct evaluator *e, int i, int total) {
    struct part part = {.replica = e->replicas[i]};
    for (int k = 0; k < i; k++)
        part.first += replica_micro_batch(e->replicas[k]);
    int left = total - part.first, most = replica_micro_batch(part.replica);
    part.count = left < 0 ? 0 : left < most ? left : most;
    return part;
}

/* Has all replicas begin; crop -1: as the samples are seen in any case. */
static int start(struct evaluator *e, const struct dataset *dataset, const struct batch *batch,
                 int crop) {
    struct step step = {.global_count = batch->count};
    for (int i = 0; i < e->replica_count; i++) {
        struct part part = part_of(e, i, batch->count);
        if (part.count == 0)
            continue;
        struct samples samples = batch_part(dataset, batch, part.first, part.count);
        step.first_sample = (uint32_t)part.first;
        for (int n = 0; crop >= 0 && n < part.count; n++)
            e->views[n] = augment_ten_crop(e->net->frame, e->net->input, crop);
        if (crop >= 0)
            samples.views = e->views;
        TRY(crop > 0 ? replica_forward_again(part.replica, e->views, &step)
                     : replica_forward(part.replica, &samples, &step));
        TRY(device_flush(replica_device(part.replica)));
    }
    return 0;
}

/* Reads the outputs of the last pass. */
static int read_outputs(struct evaluator *e, int total, float *values) {
    for (int i = 0; i < e->replica_count; i++) {
        struct part part = part_of(e, i, total);
        if (part.count > 0)
            TRY(replica_read_output(part.replica,
                                    values + (size_t)part.first * (size_t)e->outputs));
    }
    return 0;
}

/* How many classes score higher than the label's; of equals, those before it. */
static int rank_of(const float *outputs, int count, int32_t label) {
    int rank = 0;
    for (int k = 0; k < count; k++)
        rank += outputs[k] > outputs[label] || (k < label && outputs[k] == outputs[label]);
    return rank;
}

/* The batch's mean outputs over all its crops, and from them its losses and ranks. */
static int see_crops(struct evaluator *e, const struct dataset *dataset,
                     const struct batch *batch) {
    int64_t values = (int64_t)batch->count * e->outputs;
    memset(e->mean, 0, (size_t)values * sizeof *e->mean);
    for (int crop = 0; crop < TEN_CROPS; crop++) {
        TRY(start(e, dataset, batch, crop));
        TRY(read_outputs(e, batch->count, e->values));
        for (int64_t i = 0; i < values; i++)
            e->mean[i] += e->values[i] / (float)TEN_CROPS;
    }
    for (int n = 0; batch->labels && n < batch->count; n++) {
        const float *outputs = e->mean + (size_t)n * (size_t)e->outputs;
        int32_t label = batch->labels[n];
        e->losses[n] = -logf(outputs[label]);
        e->ranks[n] = rank_of(outputs, e->outputs, label);
    }
    return 0;
}

static int see_once(struct evaluator *e, const struct dataset *dataset, const struct batch *batch) {
    TRY(start(e, dataset, batch, -1));
    for (int i = 0; i < e->replica_count; i++) {
        struct part part = part_of(e, i, batch->count);
        if (part.count > 0)
            TRY(replica_results(part.replica, e->losses + part.first, e->ranks + part.first));
    }
    return e->mean ? read_outputs(e, batch->count, e->mean) : 0;
}

static int highest(const float *outputs, int count) {
    int best = 0;
    for (int k = 1; k < count; k++)
        best = outputs[k] > outputs[best] ? k : best;
    return best;
}

static void count_class(const struct evaluator *e, int32_t label, int n) {
    const struct evaluation_options *options = e->options;
    if (options->classes) {
        options->classes[label].samples++;
        options->classes[label].errors += e->ranks[n] > 0;
    }
    if (options->confusion) {
        int predicted = highest(e->mean + (size_t)n * (size_t)e->outputs, e->outputs);
        options->confusion[(int64_t)label * e->outputs + predicted]++;
    }
}

static int add_batch(struct evaluator *e, const struct dataset *dataset,
                     const struct batch *batch) {
    TRY(e->options->crops > 1 ? see_crops(e, dataset, batch) : see_once(e, dataset, batch));
    for (int n = 0; n < batch->count; n++) {
        e->loss += (double)e->losses[n];
        e->top1 += e->ranks[n] > 0;
        e->top5 += e->ranks[n] > 4;
        if (batch->labels)
            count_class(e, batch->labels[n], n);
        if (e->options->show) {
            int rc = e->options->show(e->options->context, batch->samples[n],
                                      e->mean + (size_t)n * (size_t)e->outputs, e->outputs);
            if (rc)
                return rc;
        }
    }
    e->samples += batch->count;
    return 0;
}

static int run(struct evaluator *e, const struct dataset *dataset) {
    struct loader_options options = {.batch = e->batch,
                                     .limit = loader_batches_per_epoch(dataset, e->batch),
                                     .threads = e->options->threads,
                                     .is_repeated = e->options->is_repeated,
                                     .augment = e->net->augment};
    struct loader *loader;
    TRY(loader_create(&loader, dataset, &options));
    struct progress progress = progress_start("testing");
    const struct batch *batch;
    int rc;
    while ((rc = loader_next(loader, &batch)) > 0) {
        if (batch->count > 0 && (rc = add_batch(e, dataset, batch)) != 0)
            break;
        progress_show(&progress, "%lld of %lld", (long long)e->samples, (long long)dataset->count);
    }
    progress_end(&progress);
    loader_free(loader);
    return rc;
}

int evaluate(struct replica *const *replicas, int count, const struct dataset *dataset,
             const struct evaluation_options *options, struct evaluation *evaluation) {
    static const struct evaluation_options defaults;
    const struct net *net = replica_net(replicas[0]);
    struct evaluator evaluator = {.replicas = replicas,
                                  .replica_count = count,
                                  .net = net,
                                  .options = options ? options : &defaults,
                                  .outputs = net_loss(net)->plan.output.c};
    TRY(check_crops(&evaluator, dataset));
    int rc = open_evaluator(&evaluator);
    if (rc == 0)
        rc = run(&evaluator, dataset);
    close_evaluator(&evaluator);
    if (rc)
        return rc;
    /* No error at all would be the best that there is. */
    if (evaluator.samples == 0 && !evaluator.options->show)
        return error_set(ERROR_INPUT,
                         "not one of the %" PRId64 " pictures to test on can be decoded",
                         dataset->count);
    double seen = evaluator.samples ? (double)evaluator.samples : 1;
    *evaluation = (struct evaluation){.loss = evaluator.loss / seen,
                                      .has_errors = dataset->labels != NULL,
                                      .top1_error = (double)evaluator.top1 / seen,
                                      .top5_error = (double)evaluator.top5 / seen,
                                      .samples = evaluator.samples};
    return 0;
}
