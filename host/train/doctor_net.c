#include "train/doctor_net.h"

#include "base/error.h"
#include "net/memory_plan.h"
#include "net/parameter_layout.h"
#include "ops/net_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFERS = 4 };

/* One kernel on the device. */
struct subject {
    const struct net *net;
    struct device *device;
    const struct doctor_options *options;
    struct trust_examination *examination;
    struct target target;
    const struct layer *layer; /* whose gradients are summed; else NULL */
    size_t floats;             /* of a gradient, or of parameters */
    int by_pixel;              /* the mean */
    struct buffer *buffers[BUFFERS];
    void *host; /* as large as the largest of them */
    size_t host_bytes;
    int is_running; /* all is built and allocated */
    struct finding finding;
};

/* A kind of them. */
struct examiner {
    const char *result;
    struct kernel_spec (*spec)(const struct subject *subject);
    int (*run)(struct subject *subject, struct kernel *kernel);
    int has_plain; /* the reference has another kernel */
};

/* The i-th number of a sequence, from -1 to 1: made again where it is compared, rather than kept.
 */
static float number(uint32_t sequence, size_t i) {
    uint64_t x = ((uint64_t)sequence << 40) + i;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return (float)((x ^ (x >> 31)) >> 40) / 8388608 - 1;
}

static int create(struct subject *subject, int which, size_t bytes) {
    void *grown = bytes > subject->host_bytes ? realloc(subject->host, bytes) : subject->host;
    if (!grown)
        return error_no_memory("an examination", bytes);
    subject->host = grown;
    subject->host_bytes = bytes > subject->host_bytes ? bytes : subject->host_bytes;
    return buffer_create(&subject->buffers[which], subject->device, bytes, "an examination");
}

/* Makes a buffer of floats from the sequence of its number. */
static int create_numbers(struct subject *subject, int which, size_t floats) {
    TRY(create(subject, which, floats * sizeof(float)));
    float *values = subject->host;
    for (size_t i = 0; i < floats; i++)
        values[i] = number((uint32_t)which, i);
    return buffer_write(subject->buffers[which], 0, floats * sizeof(float), values);
}

static const float *read_back(struct subject *subject, int which, enum layer_result result,
                              int *rc) {
    struct buffer *buffer = subject->buffers[which];
    *rc = buffer_read(buffer, 0, buffer_bytes(buffer), subject->host);
    if (*rc == 0 && subject->options->disturb)
        subject->options->disturb(subject->options->context, result, subject->host,
                                  (int64_t)(buffer_bytes(buffer) / sizeof(float)));
    return subject->host;
}

static void compare(struct subject *subject, double got, struct element want) {
    struct finding *finding = &subject->finding;
    finding->compared++;
    finding->not_written += !isfinite(got);
    finding->worst = fmax(finding->worst, element_excess(got, want));
}

/* ---- gradients that add up ---- */

static struct kernel_spec spec_of_add(const struct subject *subject) {
    return add_spec(&subject->target, subject->floats);
}

static int run_add(struct subject *subject, struct kernel *kernel) {
    int rc;
    TRY(create_numbers(subject, 0, subject->floats));
    TRY(create_numbers(subject, 1, subject->floats));
    subject->is_running = 1;
    TRY(LAUNCH(kernel, BUFFER(subject->buffers[0]), BUFFER(subject->buffers[1])));
    const float *sums = read_back(subject, 1, RESULT_INPUT_GRADIENT, &rc);
    for (size_t i = 0; rc == 0 && i < subject->floats; i++) {
        double sum = (double)number(0, i) + (double)number(1, i);
        compare(subject, (double)sums[i], element_of(sum, 1, sum));
    }
    return rc;
}

static const struct examiner adding = {"gradient sum", spec_of_add, run_add, 1};

/* ---- the update ---- */

static struct kernel_spec spec_of_solver(const struct subject *subject) {
    return solver_spec(&subject->target, subject->floats, PARAMETERS_BLOCK);
}

/* The i-th weight, or its velocity, after the update: to the bit, so that replicas stay equal. */
static float updated(size_t i, int is_velocity, const struct reference_update *rule) {
    struct reference_update own = *rule;
    size_t block = i / PARAMETERS_BLOCK;
    own.own_rate = number(3, 2 * block);
    own.own_decay = number(3, 2 * block + 1);
    float w = number(0, i), v = number(1, i);
    reference_update(&w, &v, number(2, i), &own);
    return is_velocity ? v : w;
}

static int run_solver(struct subject *subject, struct kernel *kernel) {
    struct reference_update rule = {.rate = 0.01F, .momentum = 0.9F, .decay = 0.0005F};
    int rc = 0;
    for (int i = 0; i < 3; i++)
        TRY(create_numbers(subject, i, subject->floats));
    TRY(create_numbers(subject, 3, 2 * (subject->floats / PARAMETERS_BLOCK)));
    subject->is_running = 1;
    TRY(LAUNCH(kernel, BUFFER(subject->buffers[0]), BUFFER(subject->buffers[1]),
               BUFFER(subject->buffers[2]), BUFFER(subject->buffers[3]), SCALAR(rule.rate),
               SCALAR(rule.momentum), SCALAR(rule.decay)));
    for (int which = 0; rc == 0 && which < 3; which++) {
        const float *values = read_back(subject, which, RESULT_GRADIENT, &rc);
        for (size_t i = 0; rc == 0 && i < subject->floats; i++) {
            float want = which < 2 ? updated(i, which, &rule) : 0;
            compare(subject, (double)values[i], (struct element){.value = (double)want});
        }
    }
    return rc;
}

static const struct examiner updating = {"update", spec_of_solver, run_solver, 1};

/* ---- the input ---- */

static const float input_scale = 0.25F;

/* Compares x with the elements; the lanes of the padding are to be zeros. */
static int compare_input(struct subject *subject, int which,
                         struct element (*want)(const struct subject *, int n, int64_t at)) {
    struct tiling tiling = subject->target.tiling;
    struct shape input = subject->net->input;
    int rc;
    const float *x = read_back(subject, which, RESULT_OUTPUT, &rc);
    for (int n = 0; rc == 0 && n < tiling.tiles * tiling.tile; n++) {
        for (int64_t at = 0; at < shape_elements(input); at++)
            compare(subject, (double)x[tiling_offset(tiling, input, n, at)],
                    n < tiling.batch ? want(subject, n, at) : (struct element){0});
    }
    return rc;
}

/* x, with NaN in it, and as many numbers as there are means. */
static int create_input(struct subject *subject, int x, int mean, size_t means) {
    struct tiling tiling = subject->target.tiling;
    TRY(create(subject, x, (size_t)tiling_elements(tiling, subject->net->input) * sizeof(float)));
    TRY(buffer_fill(subject->buffers[x], NAN));
    return create_numbers(subject, mean, means);
}

static struct kernel_spec spec_of_floats(const struct subject *subject) {
    return input_floats_spec(&subject->target, subject->net->input, subject->net->frame);
}

static struct element want_floats(const struct subject *subject, int n, int64_t at) {
    struct shape input = subject->net->input;
    float value = number(0, (size_t)(n * shape_elements(input) + at));
    float mean = number(1, (size_t)(at / ((int64_t)input.h * input.w)));
    return element_input((double)value, 0, (double)mean, (double)input_scale);
}

static int run_floats(struct subject *subject, struct kernel *kernel) {
    int count = subject->target.tiling.batch;
    size_t elements = (size_t)shape_elements(subject->net->input);
    TRY(create_numbers(subject, 0, (size_t)count * elements));
    TRY(create_input(subject, 2, 1, (size_t)subject->net->input.c));
    subject->is_running = 1;
    TRY(LAUNCH(kernel, BUFFER(subject->buffers[0]), BUFFER(subject->buffers[1]),
               BUFFER(subject->buffers[2]), SCALAR(count), SCALAR(input_scale)));
    return compare_input(subject, 2, want_floats);
}

static const struct examiner entering_floats = {"input numbers", spec_of_floats, run_floats, 0};

static struct kernel_spec spec_of_bytes(const struct subject *subject) {
    return input_bytes_spec(&subject->target, subject->net->input, subject->net->frame,
                            subject->by_pixel);
}

static uint8_t byte_of(size_t i) {
    return (uint8_t)(127.5F * (number(4, i) + 1));
}

static struct view view_of(const struct subject *subject, int n) {
    struct shape frame = subject->net->frame, input = subject->net->input;
    struct view view = {.x = n % (frame.w - input.w + 1),
                        .y = n / 2 % (frame.h - input.h + 1),
                        .mirror = n % 3 == 1};
    for (int c = 0; c < 3; c++)
        view.add[c] = number(5, 3 * (size_t)n + (size_t)c);
    return view;
}

static struct element want_bytes(const struct subject *subject, int n, int64_t at) {
    struct shape frame = subject->net->frame, input = subject->net->input;
    struct view view = view_of(subject, n);
    int64_t area = (int64_t)input.h * input.w;
    int c = (int)(at / area), row = (int)(at % area / input.w), column = (int)(at % input.w);
    int64_t pixel =
        (int64_t)(view.y + row) * frame.w + view.x + (view.mirror ? input.w - 1 - column : column);
    uint8_t value = byte_of((size_t)(n * shape_elements(frame) + pixel * frame.c + c));
    int64_t mean = subject->by_pixel ? c * (int64_t)frame.h * frame.w + pixel : c;
    return element_input((double)value, c < 4 ? (double)view.add[c] : 0,
                         (double)number(2, (size_t)mean), (double)input_scale);
}

static int run_bytes(struct subject *subject, struct kernel *kernel) {
    struct tiling tiling = subject->target.tiling;
    struct shape frame = subject->net->frame;
    size_t pixels = (size_t)shape_elements(frame), bytes = pixels * (size_t)tiling.batch;
    size_t views_bytes = (size_t)tiling.tiles * (size_t)tiling.tile * sizeof(struct view);
    TRY(create(subject, 0, bytes));
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)subject->host)[i] = byte_of(i);
    TRY(buffer_write(subject->buffers[0], 0, bytes, subject->host));
    TRY(create(subject, 1, views_bytes));
    memset(subject->host, 0, views_bytes);
    for (int n = 0; n < tiling.batch; n++)
        ((struct view *)subject->host)[n] = view_of(subject, n);
    TRY(buffer_write(subject->buffers[1], 0, views_bytes, subject->host));
    TRY(create_input(subject, 3, 2, subject->by_pixel ? pixels : (size_t)frame.c));
    subject->is_running = 1;
    TRY(LAUNCH(kernel, BUFFER(subject->buffers[0]), BUFFER(subject->buffers[1]),
               BUFFER(subject->buffers[2]), BUFFER(subject->buffers[3]), SCALAR(tiling.batch),
               SCALAR(input_scale)));
    return compare_input(subject, 3, want_bytes);
}

static const struct examiner entering_bytes = {"input pictures", spec_of_bytes, run_bytes, 0};

/* ---- all of them ---- */

static void free_subject(struct subject *subject) {
    error_hold();
    (void)device_finish(subject->device);
    error_release();
    for (int i = 0; i < BUFFERS; i++)
        buffer_free(subject->buffers[i]);
    free(subject->host);
}

/* Returns whether it did not pass, or an error. Where the memory for it was missing nothing is
 * known of the kernel. */
static int examine_once(struct subject subject, const struct examiner *examiner) {
    struct finding *finding = &subject.finding;
    struct kernel_spec spec = examiner->spec(&subject), any = trust_of_any_size(&spec);
    struct kernel *kernel = NULL;
    *finding = (struct finding){.layer = subject.layer, .result = examiner->result};
    (void)snprintf(finding->kernels, sizeof finding->kernels, "%s%s", spec.function,
                   subject.by_pixel ? ", mean by pixel" : "");
    int rc = kernel_create(&kernel, subject.device, &spec);
    if (rc == 0)
        rc = examiner->run(&subject, kernel);
    if (rc == ERROR_DEVICE)
        finding->message = error_message();
    finding->passed = rc == 0 && finding->not_written == 0 && finding->worst <= 1;
    if (rc == 0 || rc == ERROR_DEVICE) {
        subject.options->found(subject.options->context, finding);
        rc = subject.is_running || !kernel
                 ? trust_found(subject.examination, &any, &subject.target, finding->passed)
                 : 0;
    }
    free_subject(&subject);
    kernel_free(kernel);
    return rc < 0 ? rc : !finding->passed;
}

/* Where the chosen one is wrong, the one too that then takes its place; and one that is listed,
 * which may be right by now. */
static int examine(struct subject subject, const struct examiner *examiner) {
    int failures = examine_once(subject, examiner);
    if (failures < 0 || !examiner->has_plain || subject.target.technique == TECHNIQUE_REFERENCE)
        return failures;
    subject.target.technique = TECHNIQUE_REFERENCE;
    struct kernel_spec plain = examiner->spec(&subject), any = trust_of_any_size(&plain);
    if (failures == 0 && trust_kernel(&any, &subject.target))
        return 0;
    int rc = examine_once(subject, examiner);
    return rc < 0 ? rc : failures + rc;
}

static int examine_inputs(struct subject subject) {
    int floats = examine(subject, &entering_floats);
    TRY(floats);
    int by_channel = examine(subject, &entering_bytes);
    TRY(by_channel);
    subject.by_pixel = 1;
    int by_pixel = examine(subject, &entering_bytes);
    return by_pixel < 0 ? by_pixel : floats + by_channel + by_pixel;
}

static int examine_sums(struct subject subject) {
    struct memory_plan_options options;
    struct memory_plan plan;
    int failures = 0, rc = 0;
    TRY(memory_plan_options_for(&options, &subject.target, 1, 0,
                                memory_plan_piece_max(&subject.target.device, 0)));
    TRY(memory_plan_create(&plan, subject.net, &options));
    for (int i = 0; rc >= 0 && i < plan.count; i++) {
        subject.layer = &subject.net->nodes[i].layer;
        subject.floats = plan.nodes[i].extra.bytes / sizeof(float);
        rc = subject.floats ? examine(subject, &adding) : 0;
        failures += rc > 0;
    }
    memory_plan_free(&plan);
    return rc < 0 ? rc : failures;
}

static int examine_updates(struct subject subject) {
    struct parameter_layout layout;
    int failures = 0, rc = 0;
    TRY(parameter_layout_create(&layout, subject.net, &subject.target.device,
                                memory_plan_piece_max(&subject.target.device, 0)));
    for (int i = 0; rc >= 0 && i < layout.segment_count; i++) {
        subject.floats = layout.segments[i];
        rc = examine(subject, &updating);
        failures += rc > 0 ? rc : 0;
    }
    parameter_layout_free(&layout);
    return rc < 0 ? rc : failures;
}

int doctor_examine_net(const struct net *net, struct device *device,
                       const struct doctor_options *options,
                       struct trust_examination *examination) {
    struct subject subject = {.net = net,
                              .device = device,
                              .options = options,
                              .examination = examination,
                              .target = {.tiling = tiling_for_batch(net_micro_batch(net)),
                                         .technique = options->technique,
                                         .device = *device_info(device)}};
    int inputs = examine_inputs(subject);
    TRY(inputs);
    int sums = examine_sums(subject);
    TRY(sums);
    int updates = examine_updates(subject);
    return updates < 0 ? updates : inputs + sums + updates;
}
