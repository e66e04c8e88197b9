#include "ops/gemm.h"

#include "base/error.h"
#include "base/numbers.h"
#include "cl/blas.h"

#include <string.h>

/* C' = B' A', of one row; a and b change places. */
static int is_to_turn(const struct gemm *gemm) {
    return gemm->n == 1 && gemm->batch == 1 && !gemm->transpose_b;
}

struct gemm gemm_turned(const struct gemm *gemm) {
    struct gemm turned = *gemm;
    if (is_to_turn(gemm)) {
        turned.n = gemm->m;
        turned.m = 1;
        turned.transpose_b = !gemm->transpose_a;
        turned.transpose_a = 0;
        turned.stride_a = turned.stride_b = turned.stride_c = 0;
        if (gemm->bias == GEMM_BIAS_OF_ROWS)
            turned.bias = GEMM_BIAS_OF_COLUMNS;
        else if (gemm->bias == GEMM_BIAS_OF_COLUMNS)
            turned.bias = GEMM_BIAS_OF_ROWS;
    }
    return turned;
}

static void define_problem(struct kernel_spec *spec, const struct gemm *gemm) {
    kernel_define(spec, "M", gemm->m);
    kernel_define(spec, "N", gemm->n);
    kernel_define(spec, "N_SUM", gemm->k);
    kernel_define(spec, "TRANSPOSE_A", gemm->transpose_a);
    kernel_define(spec, "TRANSPOSE_B", gemm->transpose_b);
    kernel_define(spec, "BATCH", gemm->batch);
    kernel_define(spec, "STRIDE_A", gemm->stride_a);
    kernel_define(spec, "STRIDE_B", gemm->stride_b);
    kernel_define(spec, "STRIDE_C", gemm->stride_c);
    kernel_define(spec, "ACCUMULATE", gemm->accumulate);
    kernel_define(spec, "BIAS", gemm->bias);
    kernel_define(spec, "ACTIVATION", gemm->activation);
}

/* ---- CLBlast ---- */

static const struct rule no_rules[] = {{0}};
static const struct space blas_space = {.file = KERNEL_FILE_BLAS, .rules = no_rules};

static int open_blas(struct choice *choice, const struct gemm *gemm, const struct target *target) {
    (void)gemm;
    (void)target;
    choice->space = &blas_space;
    return 1;
}

static void add_blas(struct gemm_specs *out, const struct gemm *gemm, const struct target *target,
                     const int values[]) {
    (void)gemm;
    (void)target;
    (void)values;
    out->product = kernel_spec_of_blas();
    out->leaves_bias = 1;
}

const struct gemm_technique gemm_blas = {open_blas, add_blas};

/* ---- choosing ---- */

/* Whether lanes are better terms of the sum: where B lies so, and its columns make no such vectors.
 */
static int prefers_dot(const struct gemm *gemm, const struct target *target) {
    const int widest = target_flat_vector(target);
    return gemm->transpose_b &&
           halved_to_divide(widest, gemm->n) < halved_to_divide(widest, gemm->k);
}

/* The techniques worth trying, the one to take by default first. On an NVIDIA H100 CLBlast took
 * three to five times as long as our own, on CPUs it reaches little. */
static int list_techniques(const struct gemm_technique *out[GEMM_TECHNIQUES],
                           const struct gemm *gemm, const struct target *target) {
    int count = 0;
    if (target->technique == TECHNIQUE_AUTO && !target_has_vectors(target)) {
        out[count++] = &gemm_tiled;
        out[count++] = &gemm_blas;
        return count;
    }
    if (target->technique == TECHNIQUE_TILED)
        out[count++] = &gemm_tiled;
    const int is_dot = prefers_dot(gemm, target);
    out[count++] = is_dot ? &gemm_dot : &gemm_vector;
    out[count++] = is_dot ? &gemm_vector : &gemm_dot;
    return count;
}

static struct gemm_specs reference_specs(const struct gemm *gemm) {
    struct gemm_specs specs = {0};
    specs.product = kernel_spec("gemm_reference.cl", "gemm", (size_t)gemm->n, (size_t)gemm->m,
                                gemm->stride_c ? (size_t)gemm->batch : 1);
    define_problem(&specs.product, gemm);
    return specs;
}

struct gemm_specs gemm_specs_by(const struct gemm_technique *technique, const struct gemm *gemm,
                                const struct target *target, const int values[]) {
    struct gemm_specs specs = {0};
    struct gemm turned = gemm_turned(gemm);
    technique->add(&specs, &turned, target, values);
    define_problem(&specs.product, &turned);
    if (specs.transpose.file)
        define_problem(&specs.transpose, &turned);
    if (specs.finish.file)
        define_problem(&specs.finish, &turned);
    return specs;
}

struct gemm_specs gemm_specs(const struct gemm *gemm, const struct target *target,
                             const char *pass) {
    const struct gemm_technique *listed[GEMM_TECHNIQUES], *techniques[GEMM_TECHNIQUES];
    struct choice ways[GEMM_TECHNIQUES];
    struct gemm turned = gemm_turned(gemm);
    struct kernel_spec problem = {0};
    int count = 0, listed_count = list_techniques(listed, &turned, target);
    for (int i = 0; i < listed_count; i++) {
        ways[count] = (struct choice){.operation = "gemm", .pass = pass};
        if (listed[i]->open(&ways[count], &turned, target))
            techniques[count++] = listed[i];
    }
    if (target->technique == TECHNIQUE_REFERENCE || count == 0)
        return reference_specs(&turned);
    define_problem(&problem, &turned);
    const struct choice *taken = tuning_choose(ways, count, target, &turned, &problem);
    struct gemm_specs specs = gemm_specs_by(techniques[taken - ways], gemm, target, taken->values);
    memcpy(specs.choices, ways, sizeof ways);
    specs.choice_count = count;
    return specs;
}

/* ---- running ---- */

static int run_blas(const struct gemm *gemm, struct kernel *product, const struct buffer *a,
                    const struct buffer *b, struct buffer *c) {
    for (int t = 0; t < gemm->batch; t++) {
        int add = gemm->accumulate || (gemm->stride_c == 0 && t > 0);
        TRY(blas_gemm(product, gemm->transpose_a, gemm->transpose_b, (size_t)gemm->m,
                      (size_t)gemm->n, (size_t)gemm->k, a, (size_t)(t * gemm->stride_a), b,
                      (size_t)(t * gemm->stride_b), add ? 1.0F : 0.0F, c,
                      (size_t)(t * gemm->stride_c)));
    }
    return 0;
}

int gemm_run(const struct gemm *gemm, const struct gemm_kernels *kernels, const struct buffer *a,
             const struct buffer *b, const struct buffer *bias, struct buffer *c,
             struct buffer *scratch) {
    struct gemm turned = gemm_turned(gemm);
    if (is_to_turn(gemm)) {
        const struct buffer *swap = a;
        a = b;
        b = swap;
    }
    if (kernel_is_blas(kernels->product))
        return run_blas(&turned, kernels->product, a, b, c);
    if (kernels->transpose) {
        TRY(LAUNCH(kernels->transpose, BUFFER(b), BUFFER(scratch)));
        b = scratch;
    }
    const struct buffer *read = gemm->bias ? bias : a; /* some buffer, which is not read */
    const struct buffer *to = kernels->finish ? scratch : c;
    TRY(LAUNCH(kernels->product, BUFFER(a), BUFFER(b), BUFFER(to), BUFFER(read)));
    return kernels->finish ? LAUNCH(kernels->finish, BUFFER(scratch), BUFFER(c), BUFFER(read)) : 0;
}
