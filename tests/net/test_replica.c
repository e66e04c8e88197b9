/* Whole nets on the device: forward, backward, memory. */
#include "support/device.h"
#include "support/net_bench.h"
#include "support/suite.h"

#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill_uniform(float *values, int64_t count, uint32_t seed) {
    struct rng rng = rng_start(seed, RNG_SHUFFLE, 0, 0);
    for (int64_t i = 0; i < count; i++)
        values[i] = rng_uniform(&rng) - 0.5F;
}

/* The course's network of two layers with sigmoid units, worked by hand: inputs 0.05 and 0.10,
 * hidden weights .15 .20 / .25 .30 with biases .35, output weights .40 .45 / .50 .55 with biases
 * .60, targets .01 and .99, cost 1/2 sum (y - t)^2. With z = W x + b, y = 1 / (1 + exp(-z)): output
 * layer  delta_k = (y_k - t_k) y_k (1 - y_k),    dW_ki = delta_k h_i,  db_k = delta_k hidden layer
 * delta_i = sum_k W_ki delta_k h_i (1 - h_i), and so on. */
START_TEST(replica_two_layer_sigmoid_network_agrees_with_the_hand_calculation) {
    static const float parameters[4][4] = {
        {.15F, .20F, .25F, .30F}, {.35F, .35F}, {.40F, .45F, .50F, .55F}, {.60F, .60F}};
    static const double gradients[4][4] = {
        {0.000438567734, 0.000877135469, 0.000497712735, 0.000995425471},
        {0.008771354689, 0.009954254705},
        {0.082167040564, 0.082667627848, -0.022602540477, -0.022740242216},
        {0.138498561629, -0.038098236517}};
    static const float inputs[2] = {.05F, .10F}, targets[2] = {.01F, .99F};
    struct net_bench bench;
    struct replica_options options = {.is_training = 1, .truth_kind = TRUTH_NUMBERS};
    net_bench_open(&bench,
                   "[net]\ninputs=2\n[connected]\noutput=2\nactivation=logistic\n"
                   "[connected]\noutput=2\nactivation=logistic\n[cost]\ntype=sse\n",
                   &options);
    for (int i = 0; i < 4; i++)
        ck_succeeds(replica_write_parameter(bench.replica, i, parameters[i]));
    struct samples samples = {.count = 1, .floats = inputs, .targets = targets};
    struct step step = {.is_training = 1, .global_count = 1};
    float loss, values[4];
    int32_t rank;
    ck_succeeds(replica_forward(bench.replica, &samples, &step));
    ck_succeeds(replica_backward(bench.replica, NULL, NULL));
    ck_succeeds(replica_results(bench.replica, &loss, &rank));
    ck_assert_double_eq_tol((double)loss, 0.298371108760, 1e-7);
    for (int i = 0; i < 4; i++) {
        ck_succeeds(replica_read_gradient(bench.replica, i, values));
        for (int64_t e = 0; e < parameter_elements(net_parameter(bench.net, i, NULL)); e++)
            ck_assert_double_eq_tol((double)values[e], gradients[i][e], 1e-7);
    }
    net_bench_close(&bench);
}
END_TEST

/* Mean loss of a step on fixed samples. */
static double learn(struct net_bench *bench, const struct samples *samples) {
    struct step step = {.is_training = 1, .global_count = samples->count};
    float losses[64];
    int32_t ranks[64];
    ck_succeeds(replica_forward(bench->replica, samples, &step));
    ck_succeeds(replica_backward(bench->replica, NULL, NULL));
    ck_succeeds(replica_results(bench->replica, losses, ranks));
    double sum = 0;
    for (int i = 0; i < samples->count; i++)
        sum += (double)losses[i];
    return sum / samples->count;
}

/* An output that two layers read gets both gradients: shortcuts, by finite differences. */
START_TEST(replica_adds_the_gradients_of_all_who_read_an_output) {
    enum { N = 3, ELEMENTS = 2 * 5 * 4 };
    struct net_bench bench;
    net_bench_open(&bench,
                   "[net]\nheight=5\nwidth=4\nchannels=2\nbatch=3\n"
                   "[convolutional]\nname=a\nfilters=3\nsize=3\npad=1\nactivation=tanh\n"
                   "[convolutional]\nfilters=3\nsize=3\npad=1\nactivation=tanh\n"
                   "[shortcut]\nname=b\nfrom=a\nactivation=tanh\n"
                   "[convolutional]\nfilters=3\nsize=1\nactivation=linear\n"
                   "[shortcut]\nfrom=b\n[shortcut]\nfrom=a\n"
                   "[connected]\noutput=3\nactivation=linear\n[softmax]\n",
                   NULL);
    float inputs[N * ELEMENTS];
    static const int32_t labels[N] = {2, 0, 1};
    fill_uniform(inputs, N * ELEMENTS, 3);
    struct samples samples = {.count = N, .floats = inputs, .labels = labels};
    (void)learn(&bench, &samples);

    float weights[3 * 2 * 9], gradient[3 * 2 * 9];
    ck_succeeds(replica_read_gradient(bench.replica, 0, gradient)); /* of a, which three read */
    ck_succeeds(replica_read_parameter(bench.replica, 0, weights));
    for (int i = 0; i < 3 * 2 * 9; i += 5) {
        /* Central differences: the step balances rounding (1e-7 / h) with curvature (h^2). */
        const float h = 1e-2F;
        float kept = weights[i];
        weights[i] = kept + h;
        ck_succeeds(replica_write_parameter(bench.replica, 0, weights));
        double above = learn(&bench, &samples);
        weights[i] = kept - h;
        ck_succeeds(replica_write_parameter(bench.replica, 0, weights));
        double below = learn(&bench, &samples);
        weights[i] = kept;
        ck_assert_double_eq_tol((above - below) / (2 * (double)h), (double)gradient[i], 2e-4);
    }
    net_bench_close(&bench);
}
END_TEST

/* AlexNet, whole: what it gives does not depend on which kernels computed it is not checked here,
 * only that a pass through all of it is finite and its first loss is that of guessing, log 1000. */
START_TEST(replica_alexnet_passes_forward_and_backward_on_random_input) {
    enum { N = 2 };
    static const char *const overrides[] = {"net.batch=2", NULL};
    struct net_bench bench;
    if (!test_takes_alexnet())
        SKIP_TEST(TEST_NO_ROOM_FOR_ALEXNET);
    net_bench_read(&bench, "configs/alexnet.cfg", overrides, NULL);
    int64_t elements = N * shape_elements(bench.net->input);
    float *inputs = malloc((size_t)elements * sizeof *inputs);
    ck_assert_ptr_nonnull(inputs);
    fill_uniform(inputs, elements, 5);
    for (int64_t i = 0; i < elements; i++)
        inputs[i] *= 255; /* as a picture less its mean */
    static const int32_t labels[N] = {3, 999};
    struct samples samples = {.count = N, .floats = inputs, .labels = labels};
    double loss = learn(&bench, &samples);
    ck_assert_double_gt(loss, 1);
    ck_assert_double_lt(loss, 20);
    float *gradients = net_bench_gradients(&bench);
    float *next = gradients;
    for (int i = 0; i < bench.net->parameter_count; i++) {
        const struct layer *layer;
        const struct parameter *parameter = net_parameter(bench.net, i, &layer);
        double most = largest(next, parameter_elements(parameter));
        ck_assert_msg(isfinite(most) && most > 0, "%s.%s: the largest gradient is %g", layer->name,
                      parameter->name, most);
        next += parameter_elements(parameter);
    }
    const struct net_options *o = &bench.net->options;
    ck_succeeds(
        replica_update(bench.replica, &(struct update){o->learning_rate, o->momentum, o->decay}));
    free(gradients);
    free(inputs);
    net_bench_close(&bench);
}
END_TEST

START_TEST(replica_update_follows_the_rule_of_2012) {
    struct net_bench bench;
    struct replica_options options = {.is_training = 1, .truth_kind = TRUTH_NUMBERS};
    net_bench_open(&bench,
                   "[net]\ninputs=1\n[connected]\nactivation=linear\nweight_lr=2\nbias_lr=3\n"
                   "weight_decay=0.5\nbias_decay=2\n[cost]\n",
                   &options);
    static const float one = 1, input = 3, target = 10;
    struct samples samples = {.count = 1, .floats = &input, .targets = &target};
    double w[2] = {1, 1}, v[2] = {0, 0};
    static const double lr[2] = {2, 3}, decay[2] = {0.5, 2};
    ck_succeeds(replica_write_parameter(bench.replica, 0, &one));
    ck_succeeds(replica_write_parameter(bench.replica, 1, &one));
    for (int i = 0; i < 5; i++) {
        double error = w[0] * 3 + w[1] - 10;
        double gradient[2] = {error * 3, error};
        for (int p = 0; p < 2; p++) {
            v[p] = 0.9 * v[p] - 0.1 * decay[p] * 0.01 * lr[p] * w[p] - 0.01 * lr[p] * gradient[p];
            w[p] += v[p];
        }
        (void)learn(&bench, &samples);
        ck_succeeds(replica_update(bench.replica, &(struct update){0.01, 0.9, 0.1}));
        for (int p = 0; p < 2; p++) {
            float value;
            ck_succeeds(replica_read_parameter(bench.replica, p, &value));
            ck_assert_double_eq_tol((double)value, w[p], 1e-5);
        }
    }
    net_bench_close(&bench);
}
END_TEST

START_TEST(replica_says_how_much_memory_was_needed_when_it_does_not_fit) {
    struct config *config;
    struct net *net;
    struct device *device;
    struct replica *replica;
    static const char *const text = "[net]\nheight=64\nwidth=64\nchannels=3\nbatch=32\n"
                                    "[convolutional]\nname=big\nfilters=64\nsize=3\n[softmax]\n";
    ck_succeeds(config_parse(&config, "test.cfg", text, strlen(text)));
    ck_succeeds(net_create(&net, config));
    ck_succeeds(device_open(&device, WHOLE_DEVICE(0)));
    struct replica_options options = {
        .is_training = 1, .truth_kind = TRUTH_LABELS, .allocation_limit = 4 << 20};
    ck_fails(replica_create(&replica, net, device, &options), ERROR_DEVICE,
             "a smaller batch (--batch) or more subdivisions");
    ck_assert_ptr_nonnull(strstr(error_message(), "an activation of big takes 30.0 MiB"));
    device_close(device);
    net_free(net);
    config_free(config);
}
END_TEST

/* ---- how samples come in ---- */

/* A small net that takes pictures, with a scale of 0.5. */
static void open_input_bench(struct net_bench *bench, int c, int h, int w, int resize, int batch) {
    char text[512];
    (void)snprintf(text, sizeof text,
                   "[net]\nchannels=%d\nheight=%d\nwidth=%d\nresize=%d\nbatch=%d\n"
                   "[data]\nscale=0.5\n[convolutional]\nfilters=%d\nsize=1\nactivation=linear\n"
                   "[connected]\noutput=3\nactivation=linear\n[softmax]\n",
                   c, h, w, resize, batch, c);
    struct replica_options options = {.truth_kind = TRUTH_LABELS};
    net_bench_open(bench, text, &options);
}

/* Keeps what the visitor is shown of the input. */
static int keep_input(void *context, int layer, struct shape shape, const float *values) {
    struct samples *kept = context;
    if (layer != NET_INPUT)
        return 0;
    memcpy((float *)kept->floats, values,
           (size_t)kept->count * (size_t)shape_elements(shape) * sizeof *values);
    return 1;
}

static float *read_input(struct net_bench *bench, int count) {
    size_t elements = (size_t)count * (size_t)shape_elements(bench->net->input);
    float *values = calloc(elements, sizeof *values);
    ck_assert_ptr_nonnull(values);
    struct samples kept = {.count = count, .floats = values};
    struct step step = {.global_count = count};
    ck_assert_int_eq(replica_visit_outputs(bench->replica, &step, keep_input, &kept), 1);
    return values;
}

static void fill_bytes(uint8_t *bytes, size_t count, uint32_t seed) {
    struct rng rng = rng_start(seed, RNG_SHUFFLE, 0, 0);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)rng_next(&rng);
}

/* What the input is to be, by plain loops. */
static float expected_input(const struct net *net, const uint8_t *frame, const struct view *view,
                            const struct mean *mean, int c, int y, int x) {
    struct shape f = net->frame;
    int row = view->y + y, column = view->x + (view->mirror ? net->input.w - 1 - x : x);
    float value = (float)frame[(row * f.w + column) * f.c + c];
    float less = mean->by_pixel ? mean->values[(c * f.h + row) * f.w + column] : mean->values[c];
    return (value + view->add[c] - less) * 0.5F;
}

static void check_input(const struct net_bench *bench, const float *values, const uint8_t *frames,
                        const struct view *views, const struct mean *mean, int count) {
    struct shape input = bench->net->input;
    int64_t frame = shape_elements(bench->net->frame);
    for (int n = 0; n < count; n++) {
        for (int c = 0; c < input.c; c++) {
            for (int y = 0; y < input.h; y++) {
                for (int x = 0; x < input.w; x++)
                    ck_assert_float_eq(*values++, expected_input(bench->net, frames + n * frame,
                                                                 &views[n], mean, c, y, x));
            }
        }
    }
}

static void check_one_input(int c, int h, int w, int resize, int batch, int count, int by_pixel) {
    struct net_bench bench;
    open_input_bench(&bench, c, h, w, resize, batch);
    struct shape frame = bench.net->frame;
    size_t frame_bytes = (size_t)shape_elements(frame);
    uint8_t *frames = malloc((size_t)count * frame_bytes);
    struct view *views = calloc((size_t)count, sizeof *views);
    struct mean mean = {.by_pixel = by_pixel, .frame = frame};
    mean.count = by_pixel ? (int)frame_bytes : c;
    mean.values = malloc((size_t)mean.count * sizeof *mean.values);
    int32_t *labels = calloc((size_t)count, sizeof *labels);
    ck_assert(frames && views && mean.values && labels);
    fill_bytes(frames, (size_t)count * frame_bytes, 1);
    fill_uniform(mean.values, mean.count, 2);
    struct rng rng = rng_start(3, RNG_SHUFFLE, 0, 0);
    for (int n = 0; n < count; n++) {
        views[n].x = (int32_t)rng_below(&rng, (uint32_t)(frame.w - w) + 1);
        views[n].y = (int32_t)rng_below(&rng, (uint32_t)(frame.h - h) + 1);
        views[n].mirror = n % 2;
        for (int i = 0; i < c; i++)
            views[n].add[i] = rng_uniform(&rng);
    }
    struct samples samples = {.count = count, .bytes = frames, .views = views, .labels = labels};
    struct step step = {.global_count = count};
    ck_succeeds(replica_set_mean(bench.replica, &mean));
    ck_succeeds(replica_forward(bench.replica, &samples, &step));
    float *values = read_input(&bench, count);
    check_input(&bench, values, frames, views, &mean, count);
    free(values);

    /* The views of another pass over the same samples; and none: the middle. */
    for (int n = 0; n < count; n++)
        views[n] = augment_ten_crop(frame, bench.net->input, 6);
    ck_succeeds(replica_forward_again(bench.replica, views, &step));
    values = read_input(&bench, count);
    check_input(&bench, values, frames, views, &mean, count);
    free(values);
    samples.views = NULL;
    for (int n = 0; n < count; n++)
        views[n] = (struct view){.x = (frame.w - w) / 2, .y = (frame.h - h) / 2};
    ck_succeeds(replica_forward(bench.replica, &samples, &step));
    values = read_input(&bench, count);
    check_input(&bench, values, frames, views, &mean, count);
    free(values);
    free(labels);
    free(mean.values);
    free(views);
    free(frames);
    net_bench_close(&bench);
}

START_TEST(replica_crops_mirrors_and_centres_pictures_as_plain_loops_do) {
    check_one_input(3, 5, 4, 7, 3, 2, 0);
    check_one_input(3, 5, 4, 7, 3, 3, 1);
    check_one_input(1, 3, 9, 5, 33, 33, 1);
    check_one_input(1, 7, 7, 7, 1, 1, 0);
    check_one_input(3, 8, 8, 10, 40, 37, 1);
}
END_TEST

START_TEST(replica_refuses_a_mean_that_does_not_suit_its_frame) {
    struct net_bench bench;
    open_input_bench(&bench, 3, 4, 4, 6, 1);
    float values[48] = {0};
    struct mean few = {.count = 2, .values = values};
    struct mean small = {
        .by_pixel = 1, .frame = {.c = 3, .h = 4, .w = 4}, .count = 48, .values = values};
    ck_assert_ptr_null(replica_mean(bench.replica));
    ck_fails(replica_set_mean(bench.replica, &few), ERROR_INPUT, "the mean has 2 numbers");
    ck_fails(replica_set_mean(bench.replica, &small), ERROR_INPUT, "the net's are of 3 x 6 x 6");
    ck_assert_ptr_null(replica_mean(bench.replica));
    struct mean one = {.count = 1, .values = (float[]){7}};
    ck_succeeds(replica_set_mean(bench.replica, &one));
    ck_assert_int_eq(replica_mean(bench.replica)->count, 3);
    ck_assert_float_eq(replica_mean(bench.replica)->values[2], 7);
    net_bench_close(&bench);
}
END_TEST

/* Each micro-batch is staged while the pass over the one before may still run. */
START_TEST(replica_staged_micro_batches_give_what_whole_forward_passes_give) {
    enum { N = 4, FRAME = 3 * 9 * 9, PASSES = 6 };
    struct net_bench bench;
    open_input_bench(&bench, 3, 8, 8, 9, N);
    static uint8_t frames[PASSES][N * FRAME];
    static const int32_t labels[PASSES][N] = {{0, 1, 2, 0}, {2, 2, 1, 0}, {1, 1, 1, 1},
                                              {0, 0, 2, 2}, {2, 1, 0, 2}, {1, 0, 1, 2}};
    float expected[PASSES][N], losses[N];
    int32_t ranks[N];
    struct samples samples[PASSES];
    for (int i = 0; i < PASSES; i++) {
        fill_bytes(frames[i], sizeof frames[i], (uint32_t)i);
        samples[i] = (struct samples){.count = N - i % 2, .bytes = frames[i], .labels = labels[i]};
        struct step step = {.global_count = samples[i].count};
        ck_succeeds(replica_forward(bench.replica, &samples[i], &step));
        ck_succeeds(replica_results(bench.replica, expected[i], ranks));
    }
    ck_succeeds(replica_stage(bench.replica, &samples[0]));
    for (int i = 0; i < PASSES; i++) {
        struct step step = {.global_count = samples[i].count};
        ck_succeeds(replica_forward_staged(bench.replica, &step));
        if (i + 1 < PASSES)
            ck_succeeds(replica_stage(bench.replica, &samples[i + 1]));
        ck_succeeds(replica_results(bench.replica, losses, ranks));
        for (int n = 0; n < samples[i].count; n++)
            ck_assert_float_eq(losses[n], expected[i][n]);
    }
    ck_succeeds(replica_stage_wait(bench.replica));
    net_bench_close(&bench);
}
END_TEST

/* Counts what it is shown, and takes the last layer's output. */
struct visits {
    int count, last;
    float outputs[2 * 3];
};

static int note_visit(void *context, int layer, struct shape shape, const float *values) {
    struct visits *visits = context;
    ck_assert_int_eq(layer, visits->count++ - 1);
    if (layer == visits->last) {
        ck_assert_int_eq((int)shape_elements(shape), 3);
        memcpy(visits->outputs, values, sizeof visits->outputs);
    }
    return 0;
}

START_TEST(replica_visit_outputs_shows_the_input_and_every_layer_in_order) {
    enum { N = 2 };
    struct net_bench bench;
    open_input_bench(&bench, 1, 4, 4, 0, N);
    uint8_t bytes[N * 16];
    static const int32_t labels[N] = {0, 2};
    fill_bytes(bytes, sizeof bytes, 9);
    struct samples samples = {.count = N, .bytes = bytes, .labels = labels};
    struct step step = {.global_count = N};
    struct visits visits = {.last = bench.net->count - 1};
    float outputs[N * 3];
    ck_succeeds(replica_forward(bench.replica, &samples, &step));
    ck_succeeds(replica_read_output(bench.replica, outputs));
    ck_succeeds(replica_visit_outputs(bench.replica, &step, note_visit, &visits));
    ck_assert_int_eq(visits.count, bench.net->count + 1);
    ck_assert_mem_eq(outputs, visits.outputs, sizeof outputs);
    net_bench_close(&bench);
}
END_TEST

START_TEST(replica_find_nonfinite_names_the_parameter_and_the_layer) {
    struct net_bench bench;
    open_input_bench(&bench, 1, 4, 4, 0, 1);
    uint8_t bytes[16] = {1, 2, 3};
    int32_t label = 1;
    char text[128];
    struct samples samples = {.count = 1, .bytes = bytes, .labels = &label};
    struct step step = {.global_count = 1};
    ck_succeeds(replica_forward(bench.replica, &samples, &step));
    ck_assert_int_eq(replica_find_nonfinite(bench.replica, &step, text, sizeof text), 0);
    float value = 3e38F;
    ck_succeeds(replica_write_parameter(bench.replica, 0, &value));
    ck_assert_int_eq(replica_find_nonfinite(bench.replica, &step, text, sizeof text), 1);
    ck_assert_str_eq(text, "the output of layer 0 (convolutional1)");
    value = NAN;
    ck_succeeds(replica_write_parameter(bench.replica, 0, &value));
    ck_assert_int_eq(replica_find_nonfinite(bench.replica, &step, text, sizeof text), 1);
    ck_assert_str_eq(text, "the parameter convolutional1.weight");
    net_bench_close(&bench);
}
END_TEST

/* ---- buckets, results, digests, resizing ---- */

/* Two readers of one output, and more parameters than one bucket takes. */
static const char *const shortcut_net =
    "[net]\nheight=5\nwidth=4\nchannels=2\nbatch=6\n"
    "[convolutional]\nname=a\nfilters=16\nsize=3\npad=1\nactivation=tanh\n"
    "[convolutional]\nfilters=16\nsize=3\npad=1\nactivation=tanh\n"
    "[shortcut]\nfrom=a\nactivation=tanh\n[convolutional]\nfilters=8\nsize=1\n"
    "[connected]\noutput=3\nactivation=linear\n[softmax]\n";
enum { SHORTCUT_BATCH = 6, SHORTCUT_ELEMENTS = 2 * 5 * 4 };

struct shortcut_data {
    float inputs[SHORTCUT_BATCH * SHORTCUT_ELEMENTS];
    int32_t labels[SHORTCUT_BATCH];
};

static struct shortcut_data shortcut_data(void) {
    struct shortcut_data data = {.labels = {2, 0, 1, 1, 0, 2}};
    fill_uniform(data.inputs, SHORTCUT_BATCH * SHORTCUT_ELEMENTS, 3);
    return data;
}

/* The part of the data from `first` on. */
static struct samples part(const struct shortcut_data *data, int first, int count) {
    return (struct samples){.count = count,
                            .floats = data->inputs + (size_t)first * SHORTCUT_ELEMENTS,
                            .labels = data->labels + first};
}

static void open_shortcut(struct net_bench *bench, int micro_batch, size_t bucket_bytes) {
    struct replica_options options = {.is_training = 1,
                                      .truth_kind = TRUTH_LABELS,
                                      .micro_batch = micro_batch,
                                      .bucket_bytes = bucket_bytes};
    net_bench_open(bench, shortcut_net, &options);
}

/* Takes each bucket's gradients when it is told, behind the kernels enqueued until then. */
struct taken {
    struct net_bench *bench;
    float *gradients[32];
    struct mark done[32];
    int count, stop_at;
};

static int take(void *context, int bucket) {
    struct taken *taken = context;
    ck_assert_int_eq(bucket, taken->count);
    if (taken->count++ == taken->stop_at)
        return 7;
    struct buffer *gradients = replica_bucket(taken->bench->replica, bucket);
    taken->gradients[bucket] = malloc(buffer_bytes(gradients));
    ck_assert_ptr_nonnull(taken->gradients[bucket]);
    return buffer_read_later(gradients, buffer_bytes(gradients), taken->gradients[bucket],
                             &taken->done[bucket]);
}

static void drop(struct taken *taken) {
    for (int i = 0; i < 32; i++) {
        ck_succeeds(mark_wait(taken->bench->device, &taken->done[i]));
        mark_free(&taken->done[i]);
        free(taken->gradients[i]);
    }
}

/* A bucket that was told too early would differ from what it is in the end. */
START_TEST(replica_tells_each_bucket_in_order_when_its_gradients_are_complete) {
    struct net_bench bench;
    open_shortcut(&bench, 0, 1024);
    struct shortcut_data data = shortcut_data();
    struct samples samples = part(&data, 0, SHORTCUT_BATCH);
    struct step step = {.is_training = 1, .global_count = SHORTCUT_BATCH};
    struct taken taken = {.bench = &bench, .stop_at = -1};
    int buckets = replica_bucket_count(bench.replica);
    ck_assert_int_gt(buckets, 4);
    ck_assert_int_le(buckets, 32);
    ck_succeeds(replica_forward(bench.replica, &samples, &step));
    ck_assert_int_eq(replica_backward(bench.replica, take, &taken), 0);
    ck_assert_int_eq(taken.count, buckets);
    for (int i = 0; i < buckets; i++) {
        struct buffer *gradients = replica_bucket(bench.replica, i);
        float *last = malloc(buffer_bytes(gradients));
        ck_assert_ptr_nonnull(last);
        ck_succeeds(mark_wait(bench.device, &taken.done[i]));
        ck_succeeds(buffer_read(gradients, 0, buffer_bytes(gradients), last));
        ck_assert_mem_eq(taken.gradients[i], last, buffer_bytes(gradients));
        ck_assert_double_gt(largest(last, (int64_t)(buffer_bytes(gradients) / sizeof *last)), 0);
        free(last);
    }
    drop(&taken);
    net_bench_close(&bench);
}
END_TEST

START_TEST(replica_backward_ends_where_its_listener_says) {
    struct net_bench bench;
    open_shortcut(&bench, 0, 1024);
    struct shortcut_data data = shortcut_data();
    struct samples samples = part(&data, 0, SHORTCUT_BATCH);
    struct step step = {.is_training = 1, .global_count = SHORTCUT_BATCH};
    struct taken taken = {.bench = &bench, .stop_at = 2};
    float first[16 * 2 * 9];
    ck_succeeds(replica_forward(bench.replica, &samples, &step));
    ck_assert_int_eq(replica_backward(bench.replica, take, &taken), 7);
    ck_assert_int_eq(taken.count, 3);
    ck_succeeds(replica_read_gradient(bench.replica, 0, first)); /* of a, the last to have one */
    ck_assert_double_eq(largest(first, 16 * 2 * 9), 0);
    drop(&taken);
    net_bench_close(&bench);
}
END_TEST

/* The results are those of the last forward pass whatever was enqueued before or after. */
START_TEST(replica_results_are_of_the_last_forward_pass) {
    struct net_bench bench;
    open_shortcut(&bench, 0, 0);
    struct shortcut_data data = shortcut_data();
    struct samples whole = part(&data, 0, 6), half = part(&data, 3, 3);
    struct step step = {.is_training = 1, .global_count = 6};
    struct update update = {.rate = 0.5, .momentum = 0.9};
    float expected[6], losses[6];
    int32_t expected_ranks[6], ranks[6];
    ck_succeeds(replica_forward(bench.replica, &whole, &step));
    ck_succeeds(replica_results(bench.replica, expected, expected_ranks));
    ck_succeeds(replica_forward(bench.replica, &whole, &step));
    ck_succeeds(replica_forward(bench.replica, &half, &step));
    ck_succeeds(replica_backward(bench.replica, NULL, NULL));
    ck_succeeds(replica_update(bench.replica, &update));
    ck_succeeds(replica_results(bench.replica, losses, ranks));
    ck_assert_mem_eq(losses, expected + 3, 3 * sizeof *losses);
    ck_assert_mem_eq(ranks, expected_ranks + 3, 3 * sizeof *ranks);
    ck_succeeds(replica_forward(bench.replica, &half, &step));
    ck_succeeds(replica_results(bench.replica, losses, ranks));
    ck_assert_float_ne(losses[0], expected[3]); /* the update shows */
    net_bench_close(&bench);
}
END_TEST

/* Gradients of the whole data, in passes of at most micro_batch samples. */
static float *gradients_in_parts(int micro_batch, struct net_bench *bench) {
    struct shortcut_data data = shortcut_data();
    open_shortcut(bench, micro_batch, 0);
    ck_assert_int_eq(replica_micro_batch(bench->replica), micro_batch ? micro_batch : 6);
    int most = replica_micro_batch(bench->replica);
    for (int first = 0; first < SHORTCUT_BATCH; first += most) {
        int left = SHORTCUT_BATCH - first;
        struct samples samples = part(&data, first, left < most ? left : most);
        struct step step = {
            .is_training = 1, .first_sample = (uint32_t)first, .global_count = SHORTCUT_BATCH};
        ck_succeeds(replica_forward(bench->replica, &samples, &step));
        ck_succeeds(replica_backward(bench->replica, NULL, NULL));
    }
    return net_bench_gradients(bench);
}

START_TEST(replica_with_smaller_micro_batches_adds_up_the_same_gradients) {
    struct net_bench bench, smaller;
    float *expected = gradients_in_parts(0, &bench);
    int64_t count = bench.net->parameter_elements;
    for (int micro_batch = 1; micro_batch <= 4; micro_batch += 3) {
        float *gradients = gradients_in_parts(micro_batch, &smaller);
        ck_assert_double_le(largest_difference(gradients, expected, count),
                            1e-5 * largest(expected, count));
        free(gradients);
        net_bench_close(&smaller);
    }
    free(expected);
    net_bench_close(&bench);
}
END_TEST

static uint64_t digest_of(struct net_bench *bench) {
    uint64_t digest;
    ck_succeeds(replica_digest(bench->replica, &digest));
    return digest;
}

/* Also while a backward pass is still enqueued. */
START_TEST(replica_resize_keeps_parameters_gradients_velocity_and_mean) {
    struct net_bench bench;
    open_shortcut(&bench, 0, 1024);
    struct shortcut_data data = shortcut_data();
    struct samples samples = part(&data, 0, 2);
    struct step step = {.global_count = 2};
    struct mean mean = {.count = 2, .values = (float[]){0.25F, -0.125F}};
    float expected[2], losses[2];
    int32_t ranks[2];
    ck_succeeds(replica_set_mean(bench.replica, &mean));
    (void)learn(&bench, &samples);
    ck_succeeds(replica_update(bench.replica, &(struct update){0.1, 0.9, 0.01}));
    (void)learn(&bench, &samples);
    float *gradients = net_bench_gradients(&bench);
    uint64_t digest = digest_of(&bench);
    ck_succeeds(replica_forward(bench.replica, &samples, &step));
    ck_succeeds(replica_results(bench.replica, expected, ranks));
    static const int sizes[] = {2, 40, 6};
    for (int i = 0; i < 3; i++) {
        ck_succeeds(replica_resize(bench.replica, sizes[i]));
        ck_assert_int_eq(replica_micro_batch(bench.replica), sizes[i]);
        ck_assert_uint_eq(digest_of(&bench), digest);
        float *kept = net_bench_gradients(&bench);
        ck_assert_mem_eq(kept, gradients, (size_t)bench.net->parameter_elements * sizeof *kept);
        free(kept);
        ck_assert_ptr_nonnull(replica_mean(bench.replica));
        ck_succeeds(replica_forward(bench.replica, &samples, &step));
        ck_succeeds(replica_results(bench.replica, losses, ranks));
        for (int n = 0; n < 2; n++)
            ck_assert_float_eq_tol(losses[n], expected[n], 1e-5F);
        ck_succeeds(replica_forward(bench.replica, &samples, &step));
    }
    free(gradients);
    net_bench_close(&bench);
}
END_TEST

START_TEST(replica_digest_tells_one_changed_parameter_or_velocity) {
    struct net_bench bench, other;
    open_shortcut(&bench, 0, 0);
    open_shortcut(&other, 2, 1024); /* how it is laid out does not count */
    float bias[3], velocity[3];
    int last = bench.net->parameter_count - 1;
    uint64_t digest = digest_of(&bench);
    ck_assert_uint_eq(digest_of(&other), digest);
    ck_succeeds(replica_read_parameter(bench.replica, last, bias));
    ck_succeeds(replica_read_velocity(bench.replica, last, velocity));
    velocity[2] += 1;
    ck_succeeds(replica_write_velocity(bench.replica, last, velocity));
    ck_assert_uint_ne(digest_of(&bench), digest);
    velocity[2] -= 1;
    ck_succeeds(replica_write_velocity(bench.replica, last, velocity));
    ck_assert_uint_eq(digest_of(&bench), digest);
    bias[2] = nextafterf(bias[2], 1);
    ck_succeeds(replica_write_parameter(bench.replica, last, bias));
    ck_assert_uint_ne(digest_of(&bench), digest);
    net_bench_close(&other);
    net_bench_close(&bench);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("replica");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, replica_two_layer_sigmoid_network_agrees_with_the_hand_calculation);
    tcase_add_test(tests, replica_adds_the_gradients_of_all_who_read_an_output);
    tcase_add_test(tests, replica_alexnet_passes_forward_and_backward_on_random_input);
    tcase_add_test(tests, replica_update_follows_the_rule_of_2012);
    tcase_add_test(tests, replica_says_how_much_memory_was_needed_when_it_does_not_fit);
    tcase_add_test(tests, replica_crops_mirrors_and_centres_pictures_as_plain_loops_do);
    tcase_add_test(tests, replica_refuses_a_mean_that_does_not_suit_its_frame);
    tcase_add_test(tests, replica_staged_micro_batches_give_what_whole_forward_passes_give);
    tcase_add_test(tests, replica_visit_outputs_shows_the_input_and_every_layer_in_order);
    tcase_add_test(tests, replica_find_nonfinite_names_the_parameter_and_the_layer);
    tcase_add_test(tests, replica_tells_each_bucket_in_order_when_its_gradients_are_complete);
    tcase_add_test(tests, replica_backward_ends_where_its_listener_says);
    tcase_add_test(tests, replica_results_are_of_the_last_forward_pass);
    tcase_add_test(tests, replica_with_smaller_micro_batches_adds_up_the_same_gradients);
    tcase_add_test(tests, replica_resize_keeps_parameters_gradients_velocity_and_mean);
    tcase_add_test(tests, replica_digest_tells_one_changed_parameter_or_velocity);
    return suite_run("net/replica", tests);
}
