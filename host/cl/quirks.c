#include "cl/quirks.h"

#include <string.h>

const struct quirk_row quirk_rows[] = {
    {.platform = "Oclgrind",
     .quirk = QUIRK_SERIAL,
     .label = "serial",
     .reason = "it runs kernels in the thread that calls it, and has no lock",
     .changes = "one thread compiles, and none looks ahead or watches",
     .test = "cl/test_quirks quirk_of_a_serial_device_has_one_thread_compile"},
    {.platform = "Oclgrind",
     .quirk = QUIRK_SIMULATED,
     .label = "simulated",
     .reason = "it checks each access, a thousand times slower than a device",
     .changes = "tests take fewer and smaller shapes",
     .test = "cl/test_quirks quirk_of_a_simulator_has_tests_take_small_shapes"},
    {.platform = "Oclgrind",
     .version = "OpenCL 1.2 (Oclgrind 21.10)",
     .quirk = QUIRK_UNOPTIMISED,
     .label = "unoptimised",
     .reason = "what its optimiser leaves is computed wrongly (bytes that are widened) or not at "
               "all (llvm.usub.sat), and has lost some of what is to be found",
     .changes = "programs are built with -cl-opt-disable",
     .test = "cl/test_quirks quirks_choose_the_options_of_the_compiler"},
    {.version = "OpenCL 1.0",
     .quirk = QUIRK_NO_STANDARD,
     .label = "no -cl-std",
     .reason = "its compiler refuses -cl-std=CL1.2, and may cope with the kernels all the same",
     .changes = "programs are built without",
     .test = "cl/test_quirks quirks_choose_the_options_of_the_compiler"},
    {.version = "OpenCL 1.1",
     .quirk = QUIRK_NO_STANDARD,
     .label = "no -cl-std",
     .reason = "its compiler refuses -cl-std=CL1.2, and may cope with the kernels all the same",
     .changes = "programs are built without",
     .test = "cl/test_quirks quirks_choose_the_options_of_the_compiler"},
    {.platform = "rusticl",
     .driver = "22.",
     .quirk = QUIRK_ABORTS,
     .label = "aborts",
     .reason = "a compiled program that is damaged, or another driver's, ends the process",
     .changes = "no test tries one; what was kept, tried and not proved is dropped on any device",
     .test = "cl/test_store store_drops_a_program_that_may_have_ended_the_process"},
    {.platform = "rusticl",
     .driver = "22.",
     .quirk = QUIRK_SLOW_LAUNCHES,
     .label = "slow launches",
     .reason = "it makes a kernel anew for each launch, which takes up to milliseconds",
     .changes = "tests train for fewer iterations",
     .test = "cl/test_quirks quirk_of_slow_launches_has_tests_train_for_fewer_iterations"},
    {.platform = "rusticl",
     .driver = "22.",
     .quirk = QUIRK_COUNTS_TWICE,
     .label = "counts twice",
     .reason = "it tells twice the local memory of some kernels, which run all the same",
     .changes = "half of what it tells is held against what the device has",
     .test = "net/test_kernel_list replica_compiles_nothing_that_the_list_does_not_have"},
    {.platform = "rusticl",
     .driver = "22.",
     .quirk = QUIRK_NO_CLOCK,
     .label = "no clock",
     .reason = "it says of every command that it began after 2 ns and ended after 3",
     .changes = "kernels whose time is wanted are waited for, one by one, by the host's clock",
     .test = "ops/test_gemm gemm_of_clblast_has_a_time_and_can_be_mute"},
    {.label = NULL},
};

static int begins(const char *text, const char *start) {
    return !start || strncmp(text, start, strlen(start)) == 0;
}

int quirk_holds(const struct quirk_row *row, const struct device_info *info) {
    return begins(info->platform, row->platform) && begins(info->name, row->name) &&
           begins(info->driver, row->driver) && begins(info->version, row->version);
}

unsigned quirks_find(const struct device_info *info) {
    unsigned found = 0;
    for (const struct quirk_row *row = quirk_rows; row->label; row++) {
        if (quirk_holds(row, info))
            found |= row->quirk;
    }
    return found;
}
