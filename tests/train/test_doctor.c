/* The doctor: passes what is right, finds what is wrong, and has it never used again. */
#include "layers/trust.h"
#include "net/parameter_layout.h"
#include "net/replica.h"
#include "ops/net_kernels.h"
#include "support/device.h"
#include "support/suite.h"
#include "train/gradient_check.h"

#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every layer type there is; 5 images do not fill a tile. */
static const char *const classifier =
    "[net]\nbatch=5\nwidth=9\nheight=8\nchannels=2\n"
    "[conv]\nname=a\nfilters=6\nsize=3\npadding=1\ngroups=2\nactivation=leaky\n"
    "[conv]\nname=b\nfilters=6\nsize=3\npad=1\nactivation=tanh\n"
    "[shortcut]\nfrom=-2\nactivation=relu\n[lrn]\n[maxpool]\nsize=3\nstride=2\n"
    "[avgpool]\nsize=2\nstride=1\npadding=1\n[dropout]\n"
    "[conn]\noutput=7\nactivation=logistic\n[softmax]\n";
static const char *const regression = "[net]\nbatch=5\ninputs=3\n[conn]\noutput=2\n[cost]\n";

/* Of the same shapes: they share their kernels. */
static const char *const twins =
    "[net]\nbatch=5\ninputs=3\n[conn]\noutput=3\n[conn]\noutput=3\n[cost]\n";

struct findings {
    int count, failed;
    /* Of these results every other one is spoiled, so many in all. */
    enum layer_result result;
    int most, seen, spoiled;
    float *at, right; /* what is spoiled now, and what it should be */
};

static void count_finding(void *context, const struct finding *finding) {
    struct findings *findings = context;
    ck_assert_msg(!finding->message, "%s", finding->message);
    findings->count++;
    findings->failed += !finding->passed;
    if (findings->at)
        *findings->at = findings->right; /* for what comes of it is not spoiled */
    findings->at = NULL;
}

static void spoil(void *context, enum layer_result result, float *values, int64_t count) {
    struct findings *findings = context;
    (void)count;
    if (result != findings->result || findings->at || findings->seen++ % 2 ||
        findings->spoiled == findings->most)
        return;
    findings->spoiled++;
    findings->at = values;
    findings->right = values[0];
    values[0] += 1e-3F;
}

static struct net *new_net(struct config **config, const char *text) {
    struct net *net;
    ck_succeeds(config_parse(config, "doctor.cfg", text, strlen(text)));
    ck_succeeds(net_create(&net, *config));
    return net;
}

static int examine(const char *text, struct findings *findings, enum technique technique) {
    struct config *config;
    struct net *net = new_net(&config, text);
    struct doctor_options options = {
        .technique = technique, .found = count_finding, .disturb = spoil, .context = findings};
    int failures = doctor_examine(net, test_device(), &options);
    net_free(net);
    config_free(config);
    return failures;
}

START_TEST(doctor_passes_every_layer_of_a_right_device) {
    struct findings findings = {0};
    ck_assert_int_eq(examine(classifier, &findings, TECHNIQUE_AUTO), 0);
    ck_assert_int_gt(findings.count, 20);
    findings = (struct findings){0};
    ck_assert_int_eq(examine(regression, &findings, TECHNIQUE_AUTO), 0);
    ck_assert_int_gt(findings.count, 6);
}
END_TEST

START_TEST(every_layer_type_has_a_reference) {
    for (const struct layer_type *const *type = layer_types; *type; type++)
        ck_assert_msg((*type)->reference != NULL, "[%s] has none", (*type)->name);
}
END_TEST

/* A loss has no other kernels that could take their place: no replica is made. Then right again. */
START_TEST(doctor_finds_a_wrong_element_and_a_replica_refuses_the_kernels) {
    struct findings findings = {.result = RESULT_INPUT_GRADIENT, .most = 99}, right = {0};
    struct config *config;
    struct net *net = new_net(&config, regression);
    struct replica *replica;
    struct replica_options options = {.is_training = 1, .truth_kind = TRUTH_NUMBERS};
    ck_assert_int_gt(examine(regression, &findings, TECHNIQUE_AUTO), 0);
    ck_fails(replica_create(&replica, net, test_device(), &options), ERROR_DEVICE, "clnet doctor");
    ck_assert_int_eq(examine(regression, &right, TECHNIQUE_AUTO), 0);
    ck_succeeds(replica_create(&replica, net, test_device(), &options));
    replica_free(replica);
    net_free(net);
    config_free(config);
}
END_TEST

/* Checks that of the first layer's kernels the list has those of that pass, and no others; and that
 * the reference's take their place. */
static void check_trust(const char *text, const char *wrong_pass) {
    struct config *config;
    struct net *net = new_net(&config, text);
    const struct layer *layer = &net->nodes[0].layer;
    struct target target = {.tiling = tiling_for_batch(5),
                            .technique = TECHNIQUE_VECTOR,
                            .device = *device_info(test_device())};
    struct layer_kernels fast = {0}, plain = {0}, got = {0};
    layer->type->kernels(layer, &target, 1, TRUTH_NUMBERS, &fast);
    ck_succeeds(trust_choose_kernels(layer, &target, 1, TRUTH_NUMBERS, &got));
    target.technique = TECHNIQUE_REFERENCE;
    layer->type->kernels(layer, &target, 1, TRUTH_NUMBERS, &plain);
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        const struct kernel_spec *spec = &fast.specs[k];
        if (!spec->file)
            continue;
        int is_wrong = strcmp(spec->pass, wrong_pass) == 0;
        ck_assert_msg(trust_kernel(spec, &target) == !is_wrong, "%s", spec->function);
        ck_assert_ptr_eq(got.specs[k].file, is_wrong ? plain.specs[k].file : spec->file);
    }
    net_free(net);
    config_free(config);
}

/* One wrong result in the first layer; its twin's are right, and so is what takes the place. */
START_TEST(doctor_distrusts_the_kernels_of_the_wrong_result_and_no_others) {
    static const enum layer_result results[] = {RESULT_OUTPUT, RESULT_SLOPE, RESULT_INPUT_GRADIENT,
                                                RESULT_GRADIENT};
    static const char *const passes[] = {"forward", "backward bias", "backward data",
                                         "backward weight"};
    for (int i = 0; i < 4; i++) {
        struct findings findings = {.result = results[i], .most = 1}, right = {0};
        ck_assert_int_eq(examine(twins, &findings, TECHNIQUE_VECTOR), 1);
        check_trust(twins, passes[i]);
        ck_assert_int_eq(examine(twins, &right, TECHNIQUE_VECTOR), 0);
        check_trust(twins, "none");
    }
}
END_TEST

enum { FAILED = 4096 };

static void name_failed(void *context, const struct finding *finding) {
    char *text = context;
    size_t used = strlen(text);
    if (!finding->passed)
        (void)snprintf(text + used, FAILED - used, "%s%s ", finding->result,
                       finding->layer ? " of a layer" : "");
}

/* Spoils what has the size of the input of 5 pictures of 2 x 8 x 9. */
static void spoil_input(void *context, enum layer_result result, float *values, int64_t count) {
    (void)context;
    if (result == RESULT_OUTPUT && count == 8 * 2 * 8 * 9)
        values[count / 2] += 0.01F;
}

/* Spoils the parameters as a whole: more floats than a layer has. */
static void spoil_update(void *context, enum layer_result result, float *values, int64_t count) {
    (void)context;
    if (result == RESULT_GRADIENT && count % 256 == 0)
        values[count / 2] *= 1.000001F;
}

/* The sum belongs to layer a, whose output b and the shortcut read. What it works on ends where the
 * device can have something else begin. */
static void spoil_sum(void *context, enum layer_result result, float *values, int64_t count) {
    const int64_t own = 8 * 6 * 8 * 9;
    (void)context;
    if (result == RESULT_INPUT_GRADIENT && count >= own && count < own + PARAMETERS_BLOCK)
        values[count / 2] += 0.01F;
}

START_TEST(doctor_finds_a_wrong_input_sum_and_update) {
    struct config *config;
    struct net *net = new_net(&config, classifier);
    void (*const spoilers[])(void *, enum layer_result, float *, int64_t) = {spoil_input, spoil_sum,
                                                                             spoil_update, NULL};
    static const char *const results[] = {"input pictures ", "gradient sum of a layer ", "update ",
                                          ""};
    for (int i = 0; i < 4; i++) {
        char failed[FAILED] = "";
        struct doctor_options options = {
            .found = name_failed, .disturb = spoilers[i], .context = failed};
        ck_assert((doctor_examine(net, test_device(), &options) > 0) == (spoilers[i] != NULL));
        ck_assert_msg(strstr(failed, results[i]) != NULL, "%s", failed);
    }
    net_free(net);
    config_free(config);
}
END_TEST

static void set_trust(const struct kernel_spec *specs, int count, const struct target *target,
                      int is_trusted) {
    for (int i = 0; i < count; i++) {
        struct kernel_spec any = trust_of_any_size(&specs[i]);
        ck_succeeds(trust_set(&any, target, is_trusted));
    }
}

/* The replica takes `count` kernels one after the other, and refuses when all are listed. */
static void check_replica(const struct net *net, const struct target *target,
                          const struct kernel_spec *choices, int count) {
    struct replica_options options = {.is_training = 1};
    struct replica *replica;
    for (int i = 0; i < count; i++) {
        ck_succeeds(replica_create(&replica, net, test_device(), &options));
        replica_free(replica);
        set_trust(&choices[i], 1, target, 0);
    }
    ck_fails(replica_create(&replica, net, test_device(), &options), ERROR_DEVICE,
             choices[0].function);
    set_trust(choices, count, target, 1);
}

START_TEST(replica_uses_no_listed_kernel_for_input_sum_and_update) {
    struct config *config;
    struct net *net = new_net(&config, classifier);
    struct target target = {.tiling = tiling_for_batch(5), .device = *device_info(test_device())};
    struct target plain = target;
    plain.technique = TECHNIQUE_REFERENCE;
    const struct kernel_spec inputs[] = {input_bytes_spec(&target, net->input, net->frame, 0)};
    const struct kernel_spec adds[] = {add_spec(&target, 4096), add_spec(&plain, 512)};
    const struct kernel_spec solvers[] = {solver_spec(&target, 4096, PARAMETERS_BLOCK),
                                          solver_spec(&plain, 512, PARAMETERS_BLOCK)};
    /* Where the device's vectors are of one float, the plain kernel is the chosen one. */
    int kernels = target_vector(&target) > 1 ? 2 : 1;
    check_replica(net, &target, inputs, 1);
    check_replica(net, &target, adds, kernels);
    check_replica(net, &target, solvers, kernels);
    net_free(net);
    config_free(config);
}
END_TEST

/* In each layer the kernels of one pass are replaced, and all are examined again. */
START_TEST(doctor_finds_plain_kernels_right_beside_fast_ones) {
    static const enum layer_result results[] = {RESULT_OUTPUT, RESULT_SLOPE, RESULT_INPUT_GRADIENT,
                                                RESULT_GRADIENT};
    for (int i = 0; i < 4; i++) {
        struct findings findings = {.result = results[i], .most = 99}, right = {0};
        int failures = examine(classifier, &findings, TECHNIQUE_VECTOR);
        ck_assert_int_ge(failures, 2);
        ck_assert_int_eq(failures, findings.spoiled);
        ck_assert_int_eq(examine(classifier, &right, TECHNIQUE_VECTOR), 0);
    }
}
END_TEST

/* What is done to every gradient that the check reads. */
struct wrong {
    float factor;
    int failed;
};

static void scale_gradient(void *context, enum layer_result result, float *values, int64_t count) {
    const struct wrong *wrong = context;
    ck_assert_int_eq(result, RESULT_GRADIENT);
    for (int64_t i = 0; i < count; i++)
        values[i] *= wrong->factor;
}

static void count_wrong(void *context, const struct finding *finding) {
    struct wrong *wrong = context;
    wrong->failed += !finding->passed;
}

static int check_gradient(const struct net *net, float factor) {
    struct wrong wrong = {.factor = factor};
    struct doctor_options options = {
        .found = count_wrong, .disturb = scale_gradient, .context = &wrong};
    int failures = gradient_check(net, test_device(), &options);
    ck_assert_int_eq(failures, wrong.failed);
    return failures;
}

/* Of one class everything is certain: nothing changes the loss. */
START_TEST(gradient_check_passes_a_gradient_that_is_rightly_zero) {
    struct config *config;
    struct net *net = new_net(&config, "[net]\nbatch=5\ninputs=3\n[conn]\noutput=1\n[softmax]\n");
    ck_assert_int_eq(check_gradient(net, 1), 0);
    net_free(net);
    config_free(config);
}
END_TEST

START_TEST(gradient_check_fails_every_wrong_gradient_and_passes_the_right_ones) {
    static const char *const texts[] = {classifier, regression};
    static const int parameters[] = {6, 2};
    static const float factors[] = {1, 0, 1.1F, 0.9F, -1};
    for (int t = 0; t < 2; t++) {
        struct config *config;
        struct net *net = new_net(&config, texts[t]);
        for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
            int failures = check_gradient(net, factors[i]);
            ck_assert_msg(failures == (i ? parameters[t] : 0), "net %d, times %g: %d fail", t,
                          (double)factors[i], failures);
        }
        net_free(net);
        config_free(config);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("doctor");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_test(tests, every_layer_type_has_a_reference);
    tcase_add_test(tests, doctor_passes_every_layer_of_a_right_device);
    tcase_add_test(tests, doctor_finds_a_wrong_element_and_a_replica_refuses_the_kernels);
    tcase_add_test(tests, doctor_distrusts_the_kernels_of_the_wrong_result_and_no_others);
    tcase_add_test(tests, gradient_check_passes_a_gradient_that_is_rightly_zero);
    tcase_add_test(tests, gradient_check_fails_every_wrong_gradient_and_passes_the_right_ones);
    tcase_add_test(tests, doctor_finds_a_wrong_input_sum_and_update);
    tcase_add_test(tests, replica_uses_no_listed_kernel_for_input_sum_and_update);
    tcase_add_test(tests, doctor_finds_plain_kernels_right_beside_fast_ones);
    return suite_run("train/doctor", tests);
}
