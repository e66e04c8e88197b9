/* The doctor: passes what is right, finds what is wrong, and has it never used again. */
#include "layers/trust.h"
#include "net/replica.h"
#include "support/device.h"
#include "support/suite.h"
#include "train/doctor.h"

#include "base/error.h"

#include <math.h>
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

struct findings {
    int count, failed, wrong_result;
};

static void count_finding(void *context, const struct finding *finding) {
    struct findings *findings = context;
    ck_assert_msg(!finding->message, "%s", finding->message);
    findings->count++;
    findings->failed += !finding->passed;
}

static void spoil_data_gradient(void *context, enum layer_result result, float *values,
                                int64_t count) {
    (void)context;
    (void)count;
    if (result == RESULT_INPUT_GRADIENT)
        values[0] += 1e-3F;
}

static int examine(const char *text, struct findings *findings, int is_wrong) {
    struct config *config;
    struct net *net;
    ck_succeeds(config_parse(&config, "doctor.cfg", text, strlen(text)));
    ck_succeeds(net_create(&net, config));
    struct doctor_options options = {.found = count_finding, .context = findings};
    if (is_wrong)
        options.disturb = spoil_data_gradient;
    int failures = doctor_examine(net, test_device(), &options);
    net_free(net);
    config_free(config);
    return failures;
}

START_TEST(doctor_passes_every_layer_of_a_right_device) {
    struct findings findings = {0};
    ck_assert_int_eq(examine(classifier, &findings, 0), 0);
    ck_assert_int_gt(findings.count, 20);
    findings = (struct findings){0};
    ck_assert_int_eq(examine(regression, &findings, 0), 0);
    ck_assert_int_gt(findings.count, 6);
}
END_TEST

START_TEST(every_layer_type_has_a_reference) {
    for (const struct layer_type *const *type = layer_types; *type; type++)
        ck_assert_msg((*type)->reference != NULL, "[%s] has none", (*type)->name);
}
END_TEST

/* Wrong as the chosen ones, wrong as the plain ones: no replica is made. Then right again. */
START_TEST(doctor_finds_a_wrong_element_and_a_replica_refuses_the_kernels) {
    struct findings findings = {0};
    struct config *config;
    struct net *net;
    struct replica *replica;
    struct replica_options options = {.is_training = 1, .truth_kind = TRUTH_NUMBERS};
    ck_assert_int_gt(examine(regression, &findings, 1), 0);
    ck_succeeds(config_parse(&config, "doctor.cfg", regression, strlen(regression)));
    ck_succeeds(net_create(&net, config));
    ck_assert_int_eq(replica_create(&replica, net, test_device(), &options), ERROR_DEVICE);
    ck_assert_ptr_nonnull(strstr(error_message(), "clnet doctor"));
    ck_assert_int_eq(examine(regression, &findings, 0), 0);
    struct layer_kernels plain = {0};
    struct target target = {.tiling = tiling_for_batch(5),
                            .technique = TECHNIQUE_REFERENCE,
                            .device = *device_info(test_device())};
    const struct layer *layer = &net->nodes[0].layer;
    layer->type->kernels(layer, &target, 1, TRUTH_NUMBERS, &plain);
    ck_succeeds(trust_set(&plain, &target, 1));
    struct layer_kernels chosen = {0}, got = {0};
    target.technique = TECHNIQUE_VECTOR;
    layer->type->kernels(layer, &target, 1, TRUTH_NUMBERS, &chosen);
    ck_succeeds(trust_set(&chosen, &target, 0));
    ck_succeeds(trust_choose_kernels(layer, &target, 1, TRUTH_NUMBERS, &got));
    ck_assert_str_eq(got.specs[0].file, plain.specs[0].file);
    ck_succeeds(trust_set(&chosen, &target, 1));
    ck_assert(trust_kernels(&chosen, &target));
    net_free(net);
    config_free(config);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("doctor");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_test(tests, every_layer_type_has_a_reference);
    tcase_add_test(tests, doctor_passes_every_layer_of_a_right_device);
    tcase_add_test(tests, doctor_finds_a_wrong_element_and_a_replica_refuses_the_kernels);
    return suite_run("train/doctor", tests);
}
