/* What memory_needs tells is what a replica takes, and memory_fit makes it fit. */
#include "support/suite.h"

#include "support/device.h"
#include "support/net_bench.h"

#include "net/memory_needs.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t MIB = 1 << 20;

/* ---- the plan is the truth ---- */

struct trial {
    const char *config;
    const char *overrides[3];
    int is_training, is_floats, mean_by_pixel;
    enum technique technique;
    enum truth truth_kind;
    size_t allocation_limit;
};

static const struct trial trials[] = {
    {"configs/quickstart.cfg", {"net.batch=5"}, .is_training = 1},
    {"configs/quickstart.cfg", {"net.batch=48"}, .is_training = 0, .is_floats = 1},
    {"configs/quickstart.cfg",
     {"net.batch=16"},
     .is_training = 1,
     .technique = TECHNIQUE_REFERENCE},
    {"configs/alexnet.cfg", {"net.batch=2"}, .is_training = 1},
    {"configs/alexnet.cfg", {"net.batch=2"}, .is_training = 1, .mean_by_pixel = 1},
    {"configs/alexnet.cfg", {"net.batch=3"}, .is_training = 0, .allocation_limit = 150 << 20},
    {"configs/alexnet.cfg", {"net.batch=2"}, .is_training = 1, .allocation_limit = 150 << 20},
    {"configs/mlp-relu.cfg", {NULL}, .is_training = 1, .is_floats = 1},
    {"configs/linear-regression.cfg",
     {NULL},
     .is_training = 1,
     .is_floats = 1,
     .truth_kind = TRUTH_NUMBERS},
};
enum { TRIALS = sizeof trials / sizeof *trials };

/* Samples of zeros make staging allocate their room. */
static void pass_zeros(struct net_bench *bench, const struct trial *trial) {
    const struct net *net = bench->net;
    void *zeros = calloc((size_t)shape_elements(net->frame), 4);
    float *targets = calloc((size_t)net_loss(net)->plan.output.c, sizeof *targets);
    static const int32_t label;
    struct samples samples = {.count = 1};
    struct step step = {.is_training = trial->is_training, .global_count = 1};
    ck_assert(zeros && targets);
    if (trial->is_floats)
        samples.floats = zeros;
    else
        samples.bytes = zeros;
    if (trial->truth_kind == TRUTH_NUMBERS)
        samples.targets = targets;
    else
        samples.labels = &label;
    for (int i = 0; i < 2; i++) /* both slots */
        ck_succeeds(replica_forward(bench->replica, &samples, &step));
    free(zeros);
    free(targets);
}

static void set_mean_by_pixel(struct net_bench *bench) {
    int count = (int)shape_elements(bench->net->frame);
    float *values = calloc((size_t)count, sizeof *values);
    ck_assert_ptr_nonnull(values);
    struct mean mean = {
        .by_pixel = 1, .frame = bench->net->frame, .count = count, .values = values};
    ck_succeeds(replica_set_mean(bench->replica, &mean));
    free(values);
}

START_TEST(memory_needs_are_what_a_replica_allocates_to_the_byte) {
    const struct trial *trial = &trials[_i];
    struct net_bench bench;
    struct memory_needs needs;
    struct replica_options options = {.technique = trial->technique,
                                      .is_training = trial->is_training,
                                      .truth_kind = trial->truth_kind,
                                      .allocation_limit = trial->allocation_limit};
    struct memory_needs_options same = {.technique = trial->technique,
                                        .is_training = trial->is_training,
                                        .truth_kind = trial->truth_kind,
                                        .is_floats = trial->is_floats,
                                        .mean_by_pixel = trial->mean_by_pixel,
                                        .allocation_limit = trial->allocation_limit};
    if (strstr(trial->config, "alexnet") && !test_takes_alexnet())
        SKIP_TEST(TEST_NO_ROOM_FOR_ALEXNET);
    net_bench_read(&bench, trial->config, trial->overrides, &options);
    if (trial->mean_by_pixel)
        set_mean_by_pixel(&bench);
    pass_zeros(&bench, trial);
    ck_succeeds(memory_needs(&needs, bench.net, device_info(bench.device), &same));
    ck_assert_uint_eq(needs.total, device_allocated(bench.device));
    ck_assert_uint_eq(needs.total, needs.parameters + needs.gradients + needs.velocity +
                                       needs.multipliers + needs.activations + needs.scratch +
                                       needs.staging + needs.results);
    ck_assert_uint_gt(needs.largest, 0);
    ck_assert_uint_gt(strlen(needs.largest_name), 0);
    net_bench_close(&bench);
}
END_TEST

/* ---- devices that are not here ---- */

struct planned {
    struct config *config;
    struct net *net;
};

static struct planned alexnet(void) {
    struct planned planned;
    char *path = source_path("configs/alexnet.cfg");
    ck_succeeds(config_read(&planned.config, path));
    ck_succeeds(config_set(planned.config, "net.batch=128"));
    ck_succeeds(config_set(planned.config, "net.subdivisions=1"));
    ck_succeeds(net_create(&planned.net, planned.config));
    free(path);
    return planned;
}

static void release(struct planned *planned) {
    net_free(planned->net);
    config_free(planned->config);
}

static struct device_info made_up(uint64_t memory, uint64_t piece) {
    return (struct device_info){.index = 3,
                                .name = "GTX 580",
                                .kind = "GPU",
                                .compute_units = 16,
                                .vector_width = 1,
                                .has_fma = 1,
                                .work_group_max = 1024,
                                .global_memory = memory,
                                .local_memory = 48 << 10,
                                .allocation_max = piece,
                                .alignment = 128};
}

static const struct memory_needs_options training = {.is_training = 1, .truth_kind = TRUTH_LABELS};

static int fit(struct memory_fit *out, const struct net *net, uint64_t memory, uint64_t piece,
               int samples, int replicas) {
    struct device_info device = made_up(memory, piece);
    return memory_fit(out, net, &device, &training, samples, 1, replicas);
}

START_TEST(memory_fit_alexnet_of_128_fits_three_gigabytes_in_one_part) {
    struct planned planned = alexnet();
    struct memory_fit found;
    ck_succeeds(fit(&found, planned.net, 3072 * MIB, 768 * MIB, 128, 1));
    ck_assert_int_eq(found.subdivisions, 1);
    ck_assert_int_eq(found.micro_batch, 128);
    ck_assert_uint_le(found.needs.total, found.limit);
    ck_assert_uint_lt(found.limit, 3072 * MIB);
    release(&planned);
}
END_TEST

START_TEST(memory_fit_alexnet_of_128_fits_less_in_more_parts) {
    static const uint64_t memories[] = {1536, 1024};
    struct planned planned = alexnet();
    struct memory_fit found;
    ck_succeeds(fit(&found, planned.net, memories[_i] * MIB, 256 * MIB, 128, 1));
    ck_assert_uint_le(found.needs.total, found.limit);
    ck_assert_uint_le(found.needs.largest, 256 * MIB);
    ck_assert_int_ge(found.micro_batch * found.subdivisions, 128);
    ck_assert_int_lt(found.micro_batch * (found.subdivisions - 1), 128);
    if (memories[_i] == 1024) {
        ck_assert_int_gt(found.subdivisions, 1);
        ck_assert_int_eq(found.micro_batch % 8, 0);
    }
    /* No fewer would do. */
    if (found.subdivisions > 1) {
        struct device_info device = made_up(memories[_i] * MIB, 256 * MIB);
        struct memory_needs_options fewer = training;
        struct memory_needs needs;
        fewer.micro_batch = (128 + found.subdivisions - 2) / (found.subdivisions - 1);
        int rc = memory_needs(&needs, planned.net, &device, &fewer);
        ck_assert(rc == ERROR_DEVICE || needs.total > found.limit);
    }
    release(&planned);
}
END_TEST

START_TEST(memory_fit_replicas_on_a_device_share_its_memory) {
    struct planned planned = alexnet();
    struct memory_fit one, two;
    ck_succeeds(fit(&one, planned.net, 1024 * MIB, 1024 * MIB, 64, 1));
    ck_succeeds(fit(&two, planned.net, 2048 * MIB, 1024 * MIB, 64, 2));
    ck_assert_uint_eq(one.limit, two.limit);
    ck_assert_int_eq(one.subdivisions, two.subdivisions);
    ck_fails(fit(&two, planned.net, 1024 * MIB, 1024 * MIB, 64, 2), ERROR_DEVICE,
             "for each of the 2 replicas");
    release(&planned);
}
END_TEST

START_TEST(memory_fit_says_what_does_not_fit_and_where) {
    struct planned planned = alexnet();
    struct memory_fit found;
    ck_fails(fit(&found, planned.net, 512 * MIB, 512 * MIB, 128, 1), ERROR_DEVICE,
             "device 3 (GTX 580): not enough memory: even one sample at a time");
    ck_fails(fit(&found, planned.net, 3072 * MIB, 128 * MIB, 128, 1), ERROR_DEVICE,
             "device 3 (GTX 580): fc6.weight takes 144.0 MiB");
    release(&planned);
}
END_TEST

START_TEST(memory_fit_takes_no_fewer_parts_than_asked) {
    struct planned planned = alexnet();
    struct device_info device = made_up(0, 0); /* says nothing: has enough */
    struct memory_fit found;
    ck_succeeds(memory_fit(&found, planned.net, &device, &training, 128, 4, 1));
    ck_assert_int_eq(found.subdivisions, 4);
    ck_assert_int_eq(found.micro_batch, 32);
    ck_succeeds(memory_fit(&found, planned.net, &device, &training, 2, 4, 1));
    ck_assert_int_eq(found.subdivisions, 2);
    release(&planned);
}
END_TEST

START_TEST(memory_needs_more_subdivisions_never_need_more) {
    struct planned planned = alexnet();
    struct device_info device = made_up(3072 * MIB, 256 * MIB);
    uint64_t before = UINT64_MAX;
    for (int parts = 1; parts <= 128; parts++) {
        struct memory_needs_options options = training;
        struct memory_needs needs;
        options.micro_batch = (128 + parts - 1) / parts;
        ck_succeeds(memory_needs(&needs, planned.net, &device, &options));
        ck_assert_msg(needs.total <= before, "%d parts need more than %d", parts, parts - 1);
        before = needs.total;
    }
    release(&planned);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("memory_needs");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, memory_needs_are_what_a_replica_allocates_to_the_byte, 0, TRIALS);
    tcase_add_test(tests, memory_fit_alexnet_of_128_fits_three_gigabytes_in_one_part);
    tcase_add_loop_test(tests, memory_fit_alexnet_of_128_fits_less_in_more_parts, 0, 2);
    tcase_add_test(tests, memory_fit_replicas_on_a_device_share_its_memory);
    tcase_add_test(tests, memory_fit_says_what_does_not_fit_and_where);
    tcase_add_test(tests, memory_fit_takes_no_fewer_parts_than_asked);
    tcase_add_test(tests, memory_needs_more_subdivisions_never_need_more);
    return suite_run("net/memory_needs", tests);
}
