/* Whole nets on the device: forward, backward, memory. */
#include "support/net_bench.h"
#include "support/suite.h"

#include "base/rng.h"

#include <math.h>
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
    ck_succeeds(replica_backward(bench.replica));
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
    ck_succeeds(replica_backward(bench->replica));
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
    ck_succeeds(replica_update(bench.replica, o->learning_rate, o->momentum, o->decay));
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
        ck_succeeds(replica_update(bench.replica, 0.01, 0.9, 0.1));
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
    ck_succeeds(device_open(&device, 0));
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

int main(void) {
    TCase *tests = tcase_create("replica");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, replica_two_layer_sigmoid_network_agrees_with_the_hand_calculation);
    tcase_add_test(tests, replica_adds_the_gradients_of_all_who_read_an_output);
    tcase_add_test(tests, replica_alexnet_passes_forward_and_backward_on_random_input);
    tcase_add_test(tests, replica_update_follows_the_rule_of_2012);
    tcase_add_test(tests, replica_says_how_much_memory_was_needed_when_it_does_not_fit);
    return suite_run("replica", tests);
}
