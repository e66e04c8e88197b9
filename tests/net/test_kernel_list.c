/* What kernel_list_create lists is what a replica compiles. */
#include "support/suite.h"

#include "support/device.h"
#include "support/net_bench.h"

#include "net/kernel_list.h"

#include <stdlib.h>
#include <string.h>

struct trial {
    const char *config;
    const char *overrides[3];
    enum technique technique;
    enum truth truth_kind;
};

static const struct trial trials[] = {
    {.config = "configs/quickstart.cfg"},
    {.config = "configs/quickstart.cfg", .technique = TECHNIQUE_REFERENCE},
    {.config = "configs/quickstart.cfg", {"net.batch=5"}, .technique = TECHNIQUE_TILED},
    {.config = "tests/golden/everything.cfg"}, /* with a gradient that adds up */
    {.config = "configs/mlp-relu.cfg"},
    {.config = "configs/linear-regression.cfg", .truth_kind = TRUTH_NUMBERS},
};
enum { TRIALS = sizeof trials / sizeof *trials };

static void read_net(struct config **config, struct net **net, const struct trial *trial) {
    char *path = source_path(trial->config);
    ck_succeeds(config_read(config, path));
    free(path);
    for (int i = 0; trial->overrides[i]; i++)
        ck_succeeds(config_set(*config, trial->overrides[i]));
    ck_succeeds(net_create(net, *config));
}

/* Has a device of its own compile what is listed. */
static void build_list(struct device *device, const struct net *net, const struct trial *trial) {
    struct kernel_list list;
    struct target target = {.technique = trial->technique,
                            .device = *device_info(device),
                            .tunings = device_tunings(device)};
    ck_succeeds(kernel_list_create(&list, net, &target, 1));
    const struct kernel_spec **specs = calloc((size_t)list.count, sizeof *specs);
    ck_assert_ptr_nonnull(specs);
    int count = 0;
    for (int i = 0; i < list.count; i++) {
        if (list.kernels[i].spec.file)
            specs[count++] = &list.kernels[i].spec;
    }
    ck_succeeds(kernels_build(device, specs, count));
    free(specs);
    kernel_list_free(&list);
}

static void compile_replica(struct device *device, const struct net *net,
                            const struct trial *trial) {
    struct replica_options options = {
        .technique = trial->technique, .is_training = 1, .truth_kind = trial->truth_kind};
    struct replica *replica;
    int count = (int)shape_elements(net->frame);
    float *values = calloc((size_t)count, sizeof *values);
    ck_assert_ptr_nonnull(values);
    struct mean mean = {.by_pixel = 1, .frame = net->frame, .count = count, .values = values};
    ck_succeeds(replica_create(&replica, net, device, &options));
    ck_succeeds(replica_set_mean(replica, &mean));
    replica_free(replica);
    free(values);
}

START_TEST(replica_compiles_nothing_that_the_list_does_not_have) {
    const struct trial *trial = &trials[_i];
    struct device *device;
    struct config *config;
    struct net *net;
    read_net(&config, &net, trial);
    ck_succeeds(device_open(&device, WHOLE_DEVICE(test_device_index())));
    build_list(device, net, trial);
    int listed = kernels_built(device);
    ck_assert_int_gt(listed, 0);
    compile_replica(device, net, trial);
    ck_assert_int_eq(kernels_built(device), listed);
    device_close(device);
    net_free(net);
    config_free(config);
}
END_TEST

/* Beside a replica there are the two that measure limits, and the truth that it does not have. */
START_TEST(list_has_little_that_the_replica_does_not_compile) {
    const struct trial *trial = &trials[_i];
    struct device *with_list, *without;
    struct config *config;
    struct net *net;
    read_net(&config, &net, trial);
    ck_succeeds(device_open(&with_list, WHOLE_DEVICE(test_device_index())));
    ck_succeeds(device_open(&without, WHOLE_DEVICE(test_device_index())));
    build_list(with_list, net, trial);
    compile_replica(without, net, trial);
    int spare = 2 + !net_loss(net)->plan.labels_only;
    ck_assert_int_eq(kernels_built(with_list), kernels_built(without) + spare);
    device_close(with_list);
    device_close(without);
    net_free(net);
    config_free(config);
}
END_TEST

/* ---- devices that are not here ---- */

static const struct target gpu = {.device = {.name = "a GPU",
                                             .version = "OpenCL 3.0",
                                             .kind = "GPU",
                                             .compute_units = 60,
                                             .has_fma = 1,
                                             .work_group_max = 256,
                                             .local_memory = 64 << 10,
                                             .global_memory = (uint64_t)16 << 30,
                                             .allocation_max = (uint64_t)4 << 30,
                                             .alignment = 128}};

static int has(const struct kernel_list *list, const char *who, const char *file) {
    for (int i = 0; i < list->count; i++) {
        const struct listed_kernel *kernel = &list->kernels[i];
        if (strcmp(kernel->who, who) == 0 && kernel->spec.file &&
            strcmp(kernel->spec.file, file) == 0)
            return 1;
    }
    return 0;
}

START_TEST(kernels_for_a_gpu_are_listed_where_there_is_none) {
    static const struct trial trial = {.config = "configs/alexnet.cfg"};
    struct config *config;
    struct net *net;
    struct kernel_list list;
    read_net(&config, &net, &trial);
    ck_succeeds(kernel_list_create(&list, net, &gpu, 1));
    ck_assert(has(&list, "conv2", "conv_tiled.cl"));
    ck_assert(has(&list, "input", "input.cl"));
    ck_assert(has(&list, "update", "solver.cl"));
    ck_assert(has(&list, "limits", "limits.cl"));
    ck_assert(!has(&list, "exchange", "sum.cl"));
    kernel_list_free(&list);
    net_free(net);
    config_free(config);
}
END_TEST

START_TEST(kernels_of_one_of_two_devices_sum_gradients_and_share_layers) {
    static const struct trial trial = {.config = "configs/alexnet.cfg",
                                       .overrides = {"net.parallel=hybrid"}};
    struct config *config;
    struct net *net;
    struct kernel_list list;
    read_net(&config, &net, &trial);
    ck_succeeds(kernel_list_create(&list, net, &gpu, 2));
    ck_assert(has(&list, "exchange", "sum.cl"));
    int gathers = 0;
    for (int i = 0; i < list.count; i++)
        gathers += list.kernels[i].spec.file && strcmp(list.kernels[i].spec.file, "gather.cl") == 0;
    ck_assert_int_gt(gathers, 0);
    kernel_list_free(&list);
    net_free(net);
    config_free(config);
}
END_TEST

/* How many kernels of a pass some values are compiled to. */
static int count_tuning(const struct kernel_list *list, const struct listed_kernel *like) {
    int count = 0;
    for (int i = 0; i < list->count; i++) {
        const struct listed_kernel *kernel = &list->kernels[i];
        count += strcmp(kernel->tuning, like->tuning) == 0 && strcmp(kernel->who, like->who) == 0 &&
                 strcmp(kernel->spec.pass, like->spec.pass) == 0 &&
                 strcmp(kernel->spec.function, like->spec.function) == 0;
    }
    return count;
}

START_TEST(candidates_are_each_way_with_each_knob_a_step_up_and_down_once) {
    static const struct trial trial = {.config = "configs/quickstart.cfg"};
    static const char *const files[] = {"conv_tiled.cl", "conv_vector.cl", "conv_winograd.cl",
                                        "gemm_tiled.cl"};
    enum { FILES = sizeof files / sizeof *files };
    struct config *config;
    struct net *net;
    struct kernel_list list;
    int of_file[FILES] = {0};
    read_net(&config, &net, &trial);
    ck_succeeds(kernel_list_create_candidates(&list, net, &gpu));
    for (int i = 0; i < list.count; i++) {
        const struct listed_kernel *kernel = &list.kernels[i];
        size_t length = strlen(kernel->spec.file);
        /* A way's own kernel, or what packs for two of them. */
        ck_assert(strncmp(kernel->tuning, kernel->spec.file, length) == 0 ||
                  strcmp(kernel->spec.file, "conv_pack.cl") == 0);
        ck_assert_int_eq(count_tuning(&list, kernel), 1);
        for (int f = 0; f < FILES; f++)
            of_file[f] += strcmp(kernel->spec.file, files[f]) == 0;
    }
    for (int f = 0; f < FILES; f++)
        ck_assert_msg(of_file[f] > 3, "%d of %s", of_file[f], files[f]);
    ck_assert(!has(&list, "update", "solver.cl"));
    kernel_list_free(&list);
    net_free(net);
    config_free(config);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("kernel_list");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, replica_compiles_nothing_that_the_list_does_not_have, 0, TRIALS);
    tcase_add_loop_test(tests, list_has_little_that_the_replica_does_not_compile, 0, TRIALS);
    tcase_add_test(tests, kernels_for_a_gpu_are_listed_where_there_is_none);
    tcase_add_test(tests, kernels_of_one_of_two_devices_sum_gradients_and_share_layers);
    tcase_add_test(tests, candidates_are_each_way_with_each_knob_a_step_up_and_down_once);
    return suite_run("net/kernel_list", tests);
}
