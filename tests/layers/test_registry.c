/* The registry, walked: what the layer contract promises is checked for every type there is, with
 * an example of each. A type without an example fails, so that a new layer is covered at once. */
#include "support/device.h"
#include "support/layer_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A config of a layer that is smooth where it is tried: no relu, no ties. */
struct example {
    const char *text;
    struct shape input;
    enum truth truth;
};

static const struct example examples[] = {
    {"[convolutional]\nfilters=6\nsize=3\nstride=2\npad=1\ngroups=2\nactivation=tanh\n",
     {4, 5, 6},
     TRUTH_LABELS},
    {"[connected]\noutput=5\nactivation=logistic\n", {3, 2, 4}, TRUTH_LABELS},
    {"[lrn]\nsize=3\nk=1\nalpha=0.3\nbeta=0.75\n", {5, 2, 3}, TRUTH_LABELS},
    {"[maxpool]\nsize=3\nstride=2\n", {3, 5, 4}, TRUTH_LABELS},
    {"[avgpool]\nsize=3\nstride=2\npadding=1\n", {2, 5, 4}, TRUTH_LABELS},
    {"[avgpool]\n", {4, 3, 5}, TRUTH_LABELS},
    {"[dropout]\nprobability=0.3\n", {3, 3, 5}, TRUTH_LABELS},
    {"[shortcut]\nactivation=tanh\n", {2, 4, 3}, TRUTH_LABELS},
    {"[softmax]\ntemperature=2\n", {7, 1, 1}, TRUTH_LABELS},
    {"[cost]\n", {3, 1, 1}, TRUTH_NUMBERS},
    {"[cost]\ntype=logistic\n", {5, 1, 1}, TRUTH_LABELS},
};

enum {
    EXAMPLES = sizeof examples / sizeof *examples,
    BATCH = 17, /* two tiles, the second nearly all padding */
    TILE = 16,
};

/* Within a sample all elements differ, by 0.05 or more: so a maximum stays the same when one moves
 * by less, and there are no ties. The multiplier has no common factor with their number. */
static void spread_input(float *x, int64_t elements, int k) {
    int64_t step = 17;
    ck_assert_int_ne(elements % step, 0);
    for (int64_t i = 0; i < BATCH * elements; i++) {
        int64_t place = (i % elements * step + i / elements * 5 + k * 3) % elements;
        x[i] = 0.05F * ((float)place - 0.5F * (float)elements);
    }
}

static void open_example(struct layer_bench *bench, const struct example *example,
                         enum technique technique, const struct device_info *device) {
    struct layer_bench_options options = {.input = example->input,
                                          .batch = BATCH,
                                          .tile = TILE,
                                          .technique = technique,
                                          .truth_kind = example->truth,
                                          .device = device};
    layer_bench_open(bench, example->text, &options);
    for (int k = 0; k < bench->layer.type->input_count; k++)
        spread_input(bench->x[k], shape_elements(example->input), k);
}

/* ---- names ---- */

START_TEST(registry_has_an_example_of_every_layer_type) {
    for (const struct layer_type *const *type = layer_types; *type; type++) {
        size_t length = strlen((*type)->name);
        int found = 0;
        for (int i = 0; i < EXAMPLES; i++)
            found += strncmp(examples[i].text + 1, (*type)->name, length) == 0 &&
                     examples[i].text[1 + length] == ']';
        ck_assert_msg(found > 0, "[%s] has no example in this test", (*type)->name);
    }
}
END_TEST

START_TEST(registry_finds_a_type_by_its_name_and_aliases) {
    for (const struct layer_type *const *type = layer_types; *type; type++) {
        ck_assert_ptr_eq(layer_type_find((*type)->name), *type);
        for (const char *const *alias = (*type)->aliases; alias && *alias; alias++)
            ck_assert_ptr_eq(layer_type_find(*alias), *type);
    }
    ck_assert_ptr_null(layer_type_find("convolution"));
    ck_assert_ptr_null(layer_type_find(""));
}
END_TEST

static void check_option(const struct layer_type *type, const struct option *row) {
    void *description = calloc(1, type->description_size);
    ck_assert_ptr_nonnull(description);
    ck_assert_msg(row->help && row->help[0], "%s.%s has no help", type->name, row->key);
    ck_assert_ptr_eq(options_find(type->options, row->key), row);
    ck_assert_uint_lt(row->offset, type->description_size);
    if (row->default_text)
        ck_succeeds(option_set(description, row, row->default_text));
    free(description);
}

START_TEST(registry_types_explain_themselves_and_have_defaults_in_range) {
    for (const struct layer_type *const *type = layer_types; *type; type++) {
        ck_assert((*type)->help && (*type)->help[0]);
        ck_assert_int_ge((*type)->input_count, 1);
        ck_assert_int_le((*type)->input_count, LAYER_INPUTS_MAX);
        for (const struct option *row = (*type)->options; row->key; row++)
            check_option(*type, row);
    }
}
END_TEST

/* ---- gradients by finite differences ---- */

/* A number that depends on all outputs: their sum with the weights dy, or the mean loss. */
static double objective(struct layer_bench *bench) {
    double sum = 0;
    layer_bench_forward(bench);
    if (bench->layer.plan.is_loss) {
        for (int n = 0; n < BATCH; n++)
            sum += (double)bench->losses[n] / BATCH;
        return sum;
    }
    for (int64_t i = 0; i < layer_bench_outputs(bench); i++)
        sum += (double)bench->y[i] * (double)bench->dy[i];
    return sum;
}

/* (J(v + h) - J(v - h)) / 2h. The distance that is divided by is the one that float made of it. */
static double central_difference(struct layer_bench *bench, float *value) {
    const float h = 0.01F, kept = *value;
    float above = kept + h, below = kept - h;
    *value = above;
    double difference = objective(bench);
    *value = below;
    difference -= objective(bench);
    *value = kept;
    return difference / ((double)above - (double)below);
}

/* Some elements, evenly spread, of a tensor and its gradient. The difference's own error is h^2 / 6
 * times a third derivative of about 1, 2e-5, and the rounding of the outputs, 6e-8 sqrt(outputs) /
 * h, which is less; both against gradients of about 1. */
static void check_gradient(struct layer_bench *bench, const char *what, float *values,
                           const float *gradient, int64_t count) {
    int64_t wanted = test_is_small() ? 5 : 40, step = count / wanted + 1;
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)gradient[i]));
    ck_assert_double_gt(largest, 0);
    for (int64_t i = 0; i < count; i += step) {
        double want = central_difference(bench, &values[i]);
        ck_assert_msg(fabs((double)gradient[i] - want) <= 5e-4 * largest,
                      "%s: the gradient %s[%lld] is %g, but the difference says %g", bench->text,
                      what, (long long)i, (double)gradient[i], want);
    }
}

static void check_gradients(const struct example *example, enum technique technique) {
    struct layer_bench bench;
    open_example(&bench, example, technique, NULL);
    const struct layer_plan *plan = &bench.layer.plan;
    for (int p = 0; p < plan->parameter_count; p++)
        memset(bench.gradients[p], 0, (size_t)layer_bench_parameters(&bench, p) * sizeof(float));
    layer_bench_forward(&bench);
    layer_bench_backward(&bench);
    for (int k = 0; k < bench.layer.type->input_count; k++)
        check_gradient(&bench, "dx", bench.x[k], bench.dx[k], layer_bench_inputs(&bench));
    for (int p = 0; p < plan->parameter_count; p++)
        check_gradient(&bench, plan->parameters[p].name, bench.parameters[p], bench.gradients[p],
                       layer_bench_parameters(&bench, p));
    layer_bench_close(&bench);
}

START_TEST(layer_gradients_agree_with_finite_differences) {
    check_gradients(&examples[_i], TECHNIQUE_REFERENCE);
    check_gradients(&examples[_i], TECHNIQUE_VECTOR);
}
END_TEST

/* ---- two runs of a layer ---- */

static double *as_doubles(const float *values, int64_t count) {
    double *copy = new_doubles(count);
    for (int64_t i = 0; i < count; i++)
        copy[i] = (double)values[i];
    return copy;
}

static void compare(const struct layer_bench *bench, const char *what, const float *got,
                    const float *want, int64_t count, double tolerance) {
    double *doubles = as_doubles(want, count);
    layer_bench_check(bench, what, got, doubles, count, tolerance);
    free(doubles);
}

/* Asserts that two benches of one example have the same results. */
static void check_same(const struct layer_bench *bench, const struct layer_bench *other, int count,
                       double tolerance) {
    const struct layer_plan *plan = &bench->layer.plan;
    int64_t outputs = count * shape_elements(plan->output);
    int64_t inputs = count * shape_elements(bench->layer.inputs[0]);
    compare(bench, "y", bench->y, other->y, outputs, tolerance);
    for (int k = 0; k < bench->layer.type->input_count; k++)
        compare(bench, "dx", bench->dx[k], other->dx[k], inputs, tolerance);
    if (plan->is_loss) {
        compare(bench, "losses", bench->losses, other->losses, count, tolerance);
        ck_assert_mem_eq(bench->ranks, other->ranks, (size_t)count * sizeof *bench->ranks);
    }
}

static void check_same_gradients(const struct layer_bench *bench, const struct layer_bench *other,
                                 double tolerance) {
    for (int p = 0; p < bench->layer.plan.parameter_count; p++)
        compare(bench, bench->layer.plan.parameters[p].name, bench->gradients[p],
                other->gradients[p], layer_bench_parameters(bench, p), tolerance);
}

static void run_passes(struct layer_bench *bench) {
    layer_bench_forward(bench);
    layer_bench_backward(bench);
}

/* What a kernel is specialised for decides its register tiles and launch geometry. Devices that are
 * not here can be tried all the same: the kernels run anywhere. */
START_TEST(layer_gives_the_same_for_every_kind_of_device) {
    struct device_info kinds[4];
    for (int i = 0; i < 4; i++) {
        kinds[i] = *device_info(test_device());
        kinds[i].is_cpu = i > 0;
        kinds[i].vector_width = i > 0 ? 2 << i : 1; /* a GPU; SSE, AVX, AVX-512 */
    }
    int count = test_takes_large_tiles() ? 4 : 1;
    struct layer_bench plain, special;
    open_example(&plain, &examples[_i], TECHNIQUE_REFERENCE, NULL);
    run_passes(&plain);
    for (int i = 0; i < count; i++) {
        open_example(&special, &examples[_i], TECHNIQUE_VECTOR, &kinds[i]);
        run_passes(&special);
        check_same(&special, &plain, BATCH, sum_tolerance(BATCH * 9));
        check_same_gradients(&special, &plain, sum_tolerance(BATCH * 9));
        layer_bench_close(&special);
    }
    layer_bench_close(&plain);
}
END_TEST

/* The padding's lanes hold what layers before made of zeros: biases, say. */
START_TEST(layer_results_do_not_depend_on_what_the_padding_holds) {
    struct layer_bench zeros, others;
    open_example(&zeros, &examples[_i], TECHNIQUE_VECTOR, NULL);
    open_example(&others, &examples[_i], TECHNIQUE_VECTOR, NULL);
    zeros.padding = 0;
    others.padding = -7;
    run_passes(&zeros);
    run_passes(&others);
    check_same(&others, &zeros, BATCH, 0);
    check_same_gradients(&others, &zeros, 0);
    layer_bench_close(&zeros);
    layer_bench_close(&others);
}
END_TEST

/* The last micro-batch of an epoch may have fewer samples than there is room for. */
START_TEST(layer_results_of_a_sample_do_not_depend_on_how_many_there_are) {
    enum { FEWER = 3 };
    struct layer_bench all, few;
    open_example(&all, &examples[_i], TECHNIQUE_VECTOR, NULL);
    open_example(&few, &examples[_i], TECHNIQUE_VECTOR, NULL);
    few.run.count = FEWER;
    run_passes(&all);
    run_passes(&few);
    check_same(&few, &all, FEWER, 0);
    layer_bench_close(&all);
    layer_bench_close(&few);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("registry");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_test(tests, registry_has_an_example_of_every_layer_type);
    tcase_add_test(tests, registry_finds_a_type_by_its_name_and_aliases);
    tcase_add_test(tests, registry_types_explain_themselves_and_have_defaults_in_range);
    tcase_add_loop_test(tests, layer_gradients_agree_with_finite_differences, 0, EXAMPLES);
    tcase_add_loop_test(tests, layer_gives_the_same_for_every_kind_of_device, 0, EXAMPLES);
    tcase_add_loop_test(tests, layer_results_do_not_depend_on_what_the_padding_holds, 0, EXAMPLES);
    tcase_add_loop_test(tests, layer_results_of_a_sample_do_not_depend_on_how_many_there_are, 0,
                        EXAMPLES);
    return suite_run("layers/registry", tests);
}
