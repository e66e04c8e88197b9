/* kernels_cl/tunings.tsv: each of its rows must be of a kernel, a problem and values that there
 * are. Whether they are fast, only the devices that they are of can tell. */
#include "ops/conv.h"
#include "ops/gemm.h"

#include "support/suite.h"

#include "cl/source.h"
#include "cl/tuning_file.h"

#include <stdlib.h>
#include <string.h>

/* What a row's device may be like, as far as rules ask: a CPU of each width, a GPU. */
static const struct device_info kinds[] = {
    {.is_cpu = 1, .vector_width = 4, .compute_units = 8, .work_group_max = 4096},
    {.is_cpu = 1, .vector_width = 8, .compute_units = 8, .work_group_max = 4096},
    {.is_cpu = 1, .vector_width = 16, .compute_units = 8, .work_group_max = 4096},
    {.vector_width = 1, .compute_units = 32, .work_group_max = 1024, .local_memory = 64 << 10},
};

/* The number that a problem has for a macro, or 0. */
static int number(const char *problem, const char *macro) {
    size_t length = strlen(macro);
    while (problem && (strncmp(problem, macro, length) != 0 || problem[length] != '=')) {
        problem = strchr(problem, ' ');
        problem = problem ? problem + 1 : NULL;
    }
    return problem ? (int)strtol(problem + length + 1, NULL, 10) : 0;
}

static struct conv conv_of(const char *p) {
    int groups = number(p, "GROUPS");
    return (struct conv){
        .in = {number(p, "C") * groups, number(p, "H"), number(p, "W")},
        .out = {number(p, "K") * groups, number(p, "OUT_H"), number(p, "OUT_W")},
        .size = number(p, "R"),
        .stride = number(p, "STRIDE"),
        .padding = number(p, "PADDING"),
        .groups = groups,
        .activation = (enum activation)number(p, "ACTIVATION"),
    };
}

static struct gemm gemm_of(const char *p) {
    return (struct gemm){
        .m = number(p, "M"),
        .n = number(p, "N"),
        .k = number(p, "N_SUM"),
        .transpose_a = number(p, "TRANSPOSE_A"),
        .transpose_b = number(p, "TRANSPOSE_B"),
        .batch = number(p, "BATCH"),
        .stride_a = number(p, "STRIDE_A"),
        .stride_b = number(p, "STRIDE_B"),
        .stride_c = number(p, "STRIDE_C"),
        .accumulate = number(p, "ACCUMULATE"),
        .bias = (enum gemm_bias)number(p, "BIAS"),
        .activation = (enum activation)number(p, "ACTIVATION"),
    };
}

static int is_of(const struct tuning *row, const char *operation) {
    return strncmp(row->kernel, operation, strlen(operation)) == 0;
}

/* The ways to compute what a row is of, and others of a layer; how many there are. */
static int list_choices(struct choice out[CONV_CHOICES], const struct tuning *row,
                        const struct target *target) {
    if (is_of(row, "gemm ")) {
        const struct gemm gemm = gemm_of(row->problem);
        const struct gemm_specs specs = gemm_specs(&gemm, target, row->kernel + strlen("gemm "));
        memcpy(out, specs.choices, sizeof specs.choices);
        return specs.choice_count;
    }
    const struct conv conv = conv_of(row->problem);
    const struct conv_specs specs = conv_specs(&conv, target, 1);
    memcpy(out, specs.choices, sizeof specs.choices);
    return specs.choice_count;
}

/* NULL, or why the row says nothing on a device of a kind. */
static const char *check_on(const struct tuning *row, const struct device_info *kind) {
    struct choice choices[CONV_CHOICES];
    struct tunings *tunings = tunings_create();
    ck_assert_ptr_nonnull(tunings);
    ck_succeeds(tunings_set(tunings, row));
    struct target target = {
        .tiling = {.tile = number(row->problem, "T"), .tiles = number(row->problem, "TILES")},
        .device = *kind,
        .tunings = tunings};
    const int count = list_choices(choices, row, &target);
    const char *why = "there is no such kernel or problem", *refused = NULL;
    for (int i = 0; i < count && why; i++) {
        const struct choice *choice = &choices[i];
        if (!tunings_find(tunings, choice))
            continue;
        why = choice->is_taken && choice->origin == row->origin
                  ? NULL
                  : "no way to compute this is in that file";
        refused = choice->refused ? choice->refused : refused;
    }
    tunings_free(tunings);
    return why && refused ? refused : why;
}

/* NULL, or why there can be no device where the row is of use. */
static const char *check(const struct tuning *row) {
    static const char *const of_conv[] = {"T", "TILES", "GROUPS", "C",     "H",     "W",
                                          "K", "R",     "STRIDE", "OUT_H", "OUT_W", NULL};
    static const char *const of_gemm[] = {"M", "N", "N_SUM", "BATCH", NULL};
    if (!is_of(row, "conv ") && !is_of(row, "gemm "))
        return "there is no such kernel";
    if (!tuning_is_current(row))
        return "there is no such file";
    for (const char *const *size = is_of(row, "gemm ") ? of_gemm : of_conv; *size; size++) {
        if (number(row->problem, *size) < 1)
            return "there is no such problem";
    }
    const char *why = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        why = check_on(row, &kinds[i]);
        if (!why)
            return NULL;
    }
    return why;
}

static void assert_refused(struct tuning row, const char *values, const char *why) {
    (void)snprintf(row.values, sizeof row.values, "%s", values);
    ck_assert_ptr_nonnull(check(&row));
    ck_assert_str_eq(check(&row), why);
}

/* The rows that say what is the default anyway, on a CPU and on a GPU. */
START_TEST(rows_are_checked_as_a_device_would_take_them) {
    const struct conv conv = {.in = {96, 27, 27},
                              .out = {256, 27, 27},
                              .size = 5,
                              .stride = 1,
                              .padding = 2,
                              .groups = 2,
                              .activation = ACTIVATION_RELU};
    const struct tiling tiling = {.tile = 32, .tiles = 4};
    int rows = 0;
    for (size_t k = 2; k < 4; k++) {
        const struct target target = {.tiling = tiling, .device = kinds[k]};
        const struct conv_specs specs = conv_specs(&conv, &target, 1);
        for (int i = 0; i < specs.choice_count; i++) {
            const struct choice *choice = &specs.choices[i];
            struct tuning row = tuning_of(choice, choice->values, ORIGIN_SHIPPED);
            row.source = 0;
            ck_assert_msg(check(&row) == NULL, "%s: %s: %s", row.kernel, row.values, check(&row));
            rows++;
        }
    }
    ck_assert_int_ge(rows, 2 * CONV_PASSES);
}
END_TEST

START_TEST(rows_that_no_device_could_take_are_found) {
    static const char problem[] = "T=32 TILES=4 GROUPS=1 C=3 H=8 W=8 K=8 R=3 S=3 STRIDE=1 "
                                  "PADDING=1 OUT_H=8 OUT_W=8 ACTIVATION=0";
    static const char good[] = "conv_vector.cl VECTORS=2 BLOCK=8 BLOCKS=1 SPAN=4 DEPTH=3";
    struct tuning row = {.kernel = "conv forward", .origin = ORIGIN_SHIPPED};
    memcpy(row.problem, problem, sizeof problem);
    memcpy(row.values, good, sizeof good);
    ck_assert_msg(check(&row) == NULL, "%s", check(&row));
    assert_refused(row, "conv_vector.cl VECTORS=2 BLOCK=8",
                   "it does not name the knobs that there are");
    assert_refused(row, "conv_vector.cl VECTORS=3 BLOCK=8 BLOCKS=1 SPAN=4 DEPTH=3",
                   "so many images do not divide the tile");
    assert_refused(row, "conv_vector.cl VECTORS=4 BLOCK=24 BLOCKS=1 SPAN=4 DEPTH=3",
                   "the sums do not fit the registers");
    assert_refused(row, "softmax.cl VECTORS=2", "no way to compute this is in that file");
    assert_refused(row, "nosuch.cl VECTORS=2", "there is no such file");
    row.kernel[5] = 'b';
    assert_refused(row, good, "there is no such kernel or problem");
    row.kernel[5] = 'f';
    (void)snprintf(row.problem, sizeof row.problem, "%s SIZE=1", problem);
    assert_refused(row, good, "there is no such kernel or problem");
    (void)snprintf(row.problem, sizeof row.problem, "T=32 TILES=4");
    assert_refused(row, good, "there is no such problem");
}
END_TEST

START_TEST(shipped_rows_are_of_kernels_and_values_that_there_are) {
    struct tuning_file file;
    ck_succeeds(tuning_file_parse(&file, "kernels_cl/tunings.tsv", shipped_tunings,
                                  strlen(shipped_tunings)));
    for (int i = 0; i < file.count; i++) {
        struct tuning row = file.rows[i].tuning;
        row.source = 0;
        const char *why = check(&row);
        ck_assert_msg(!why, "%s, %s, %s, %s: %s", file.rows[i].device, row.kernel, row.problem,
                      row.values, why);
        ck_assert_msg(row.seconds > 0 && row.seconds_before > 0, "%s, %s, %s: it was not measured",
                      file.rows[i].device, row.kernel, row.problem);
    }
    tuning_file_free(&file);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("shipped tunings");
    tcase_add_test(tests, rows_are_checked_as_a_device_would_take_them);
    tcase_add_test(tests, rows_that_no_device_could_take_are_found);
    tcase_add_test(tests, shipped_rows_are_of_kernels_and_values_that_there_are);
    return suite_run("ops/shipped_tunings", tests);
}
