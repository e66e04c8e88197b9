#include "support/conv_case.h"

#include "reference/reference.h"
#include "support/device.h"
#include "support/numbers.h"
#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void conv_case_text(char text[256], const struct conv_case *c) {
    (void)snprintf(text, 256,
                   "[convolutional]\nfilters=%d\nsize=%d\nstride=%d\npadding=%d\ngroups=%d\n"
                   "activation=%s\n",
                   c->filters, c->size, c->stride, c->padding, c->groups,
                   activation_names[c->activation]);
}

struct layer_bench_options conv_case_options(const struct conv_case *c, enum technique technique) {
    return (struct layer_bench_options){
        .input = c->in, .batch = c->batch, .tile = c->tile, .technique = technique};
}

static struct reference_conv reference_of(const struct layer_bench *bench,
                                          const struct conv_case *c) {
    return (struct reference_conv){.n = c->batch,
                                   .in = c->in,
                                   .out = bench->layer.plan.output,
                                   .size = c->size,
                                   .stride = c->stride,
                                   .padding = c->padding,
                                   .groups = c->groups};
}

void conv_case_check_forward(struct layer_bench *bench, const struct conv_case *c) {
    struct reference_conv conv = reference_of(bench, c);
    int64_t outputs = layer_bench_outputs(bench);
    double *want = new_doubles(outputs);
    reference_conv_forward(want, bench->x[0], bench->parameters[0], bench->parameters[1], &conv);
    for (int64_t i = 0; i < outputs; i++)
        want[i] = reference_activate(c->activation, want[i]);
    layer_bench_forward(bench);
    layer_bench_check(bench, "y", bench->y, want, outputs,
                      sum_tolerance((int64_t)c->in.c / c->groups * c->size * c->size));
    free(want);
}

void conv_case_check_backward(struct layer_bench *bench, const struct conv_case *c) {
    struct reference_conv conv = reference_of(bench, c);
    int64_t outputs = layer_bench_outputs(bench);
    double *dz = new_doubles(outputs), *dx = new_doubles(layer_bench_inputs(bench));
    double *dw = layer_bench_gradient(bench, 0), *db = layer_bench_gradient(bench, 1);
    reference_activation_backward(dz, bench->y, bench->dy, outputs, c->activation);
    reference_conv_backward_data(dx, dz, bench->parameters[0], &conv);
    reference_conv_backward_filter(dw, dz, bench->x[0], &conv);
    reference_bias_backward(db, dz, c->batch, conv.out);

    layer_bench_backward(bench);
    int64_t pixels = (int64_t)c->batch * conv.out.h * conv.out.w;
    if (!bench->options.no_dx)
        layer_bench_check(bench, "dx", bench->dx[0], dx, layer_bench_inputs(bench),
                          sum_tolerance((int64_t)c->filters / c->groups * c->size * c->size));
    layer_bench_check(bench, "dw", bench->gradients[0], dw, layer_bench_parameters(bench, 0),
                      sum_tolerance(pixels));
    layer_bench_check(bench, "db", bench->gradients[1], db, layer_bench_parameters(bench, 1),
                      sum_tolerance(pixels));
    free(dz);
    free(dx);
    free(dw);
    free(db);
}

/* Has the layer's passes computed by a file's kernels, tuned so; without `filter` backward weight
 * is left as it is. */
static void retune(struct layer_bench *bench, struct tunings *tunings, const char *file,
                   const char *result, const char *filter) {
    int ways = 0;
    layer_bench_plan_kernels(bench);
    for (int i = 0; i < bench->kernels.choice_count; i++) {
        const struct choice *choice = &bench->kernels.choices[i];
        int is_filter = strcmp(choice->pass, "backward weight") == 0;
        if ((is_filter && !filter) || strcmp(choice->space->file, file) != 0)
            continue;
        ways++;
        struct tuning tuning = tuning_of(choice, choice->defaults, ORIGIN_FULL);
        (void)snprintf(tuning.values, sizeof tuning.values, "%s %s", file,
                       is_filter ? filter : result);
        ck_succeeds(tunings_set(tunings, &tuning));
    }
    bench->target.tunings = tunings;
    layer_bench_plan_kernels(bench);
    int taken = 0;
    for (int i = 0; i < bench->kernels.choice_count; i++) {
        const struct choice *choice = &bench->kernels.choices[i];
        ck_assert_msg(!choice->refused, "%s", choice->refused);
        if (choice->is_taken && choice->origin == ORIGIN_FULL) {
            ck_assert_str_eq(choice->space->file, file);
            taken++;
        }
    }
    ck_assert_int_gt(ways, 0);
    ck_assert_int_eq(taken, ways);
}

void conv_case_check_way(const struct conv_case *c, enum technique technique, int vector,
                         const char *file, const char *result, const char *filter) {
    char text[256];
    struct layer_bench bench;
    struct tunings *tunings = tunings_create();
    struct device_info device = *device_info(test_device());
    struct layer_bench_options options = conv_case_options(c, technique);
    ck_assert_ptr_nonnull(tunings);
    conv_case_text(text, c);
    if (vector) {
        device.is_cpu = vector > 1;
        device.vector_width = vector;
        options.device = &device;
    }
    ck_succeeds(layer_bench_infer(&bench, text, &options));
    retune(&bench, tunings, file, result, filter);
    layer_bench_build(&bench);
    conv_case_check_forward(&bench, c);
    conv_case_check_backward(&bench, c);
    layer_bench_close(&bench);
    tunings_free(tunings);
}
