/* Products whose lanes are terms of the sum: what gemm_dot.cl leaves open, what suits a device by
 * default, and the kernel as it was tuned. */
#include "base/numbers.h"
#include "ops/gemm.h"

enum { ROWS, COLUMNS, KNOBS };

static const struct knob knobs[] = {
    {"TUNE_ROWS", "rows held in registers", {1, 2, 3, 4, 5, 6, 8}},
    {"TUNE_COLUMNS", "columns held in registers", {1, 2, 3, 4, 5, 6, 8}},
};

static int sums_fit_registers(const struct candidate *c) {
    int columns = c->values[COLUMNS];
    return (int64_t)c->values[ROWS] * columns + columns + 1 <= target_registers(c->target);
}

static const struct rule rules[] = {
    {sums_fit_registers, "the sums do not fit the registers"},
    {0},
};

static const struct space space = {"gemm_dot.cl", knobs, KNOBS, rules};

static int open(struct choice *choice, const struct gemm *gemm, const struct target *target) {
    if (!gemm->transpose_b || gemm->transpose_a || (gemm->stride_c != 0 && gemm->batch != 1))
        return 0;
    int many = target_registers(target) >= 32;
    choice->space = &space;
    choice->defaults[ROWS] = clamp(many ? 6 : 4, 1, gemm->m);
    choice->defaults[COLUMNS] = gemm->m == 1 ? 8 : many ? 4 : 3;
    choice->most[ROWS] = gemm->m;
    choice->most[COLUMNS] = gemm->n;
    return 1;
}

/* The widest vector that the terms are made of. */
static int lanes_of(const struct gemm *gemm, const struct target *target) {
    return halved_to_divide(target_flat_vector(target), gemm->k);
}

static void add(struct gemm_specs *out, const struct gemm *gemm, const struct target *target,
                const int v[]) {
    out->product = kernel_spec(space.file, "gemm_dot", (size_t)blocks(gemm->n, v[COLUMNS]),
                               (size_t)blocks(gemm->m, v[ROWS]), 1);
    if (target_has_vectors(target)) /* on a CPU one work-item is a work-group */
        out->product.local[0] = out->product.local[1] = out->product.local[2] = 1;
    kernel_define(&out->product, "TUNE_VECTOR", lanes_of(gemm, target));
    tuning_define(&out->product, &space, v);
}

const struct gemm_technique gemm_dot = {open, add};
