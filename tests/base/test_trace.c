#include "support/suite.h"

#include "base/progress.h"
#include "base/trace.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/clnet-trace-XXXXXX";

static void make_path(void) {
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(close(descriptor), 0);
}

static void remove_path(void) {
    (void)unlink(path);
}

static json_t *read_events(void) {
    json_error_t error;
    json_t *events = json_load_file(path, 0, &error);
    ck_assert_msg(events != NULL, "%s", error.text);
    ck_assert(json_is_array(events));
    return events;
}

static const char *text_of(const json_t *event, const char *key) {
    return json_string_value(json_object_get(event, key));
}

START_TEST(trace_is_json_with_names_and_spans) {
    struct trace *trace;
    double start = clock_seconds();
    ck_succeeds(trace_open(&trace, path));
    int kernels = trace_row(trace, "device 0", "kernels"), other = trace_row(trace, "host", "x");
    ck_assert_int_ge(kernels, 0);
    ck_assert_int_gt(other, kernels);
    ck_assert_int_gt(trace_row(trace, "device 0", "transfers"), other);
    trace_span(trace, kernels, "conv \"1\"\\\n", start + 1, start + 1.5);
    ck_succeeds(trace_close(trace));

    json_t *events = read_events();
    ck_assert_uint_eq(json_array_size(events), 2 + 3 + 1);
    const json_t *group = json_array_get(events, 0), *span = json_array_get(events, 5);
    ck_assert_str_eq(text_of(group, "name"), "process_name");
    ck_assert_str_eq(text_of(json_object_get(group, "args"), "name"), "device 0");
    ck_assert_str_eq(text_of(span, "name"), "conv \"1\"\\");
    ck_assert_str_eq(text_of(span, "ph"), "X");
    ck_assert_double_eq_tol(json_number_value(json_object_get(span, "dur")), 5e5, 1);
    ck_assert_int_eq(json_integer_value(json_object_get(span, "pid")),
                     json_integer_value(json_object_get(group, "pid")));
    json_decref(events);
}
END_TEST

START_TEST(trace_without_a_span_is_json_too) {
    struct trace *trace;
    ck_succeeds(trace_open(&trace, path));
    ck_succeeds(trace_close(trace));
    json_decref(read_events());
}
END_TEST

struct writer {
    struct trace *trace;
    int row;
};

static void *write_spans(void *context) {
    const struct writer *writer = context;
    for (int i = 0; i < 1000; i++)
        trace_span(writer->trace, writer->row, "span", i, i + 1);
    return NULL;
}

START_TEST(trace_takes_spans_from_several_threads) {
    struct trace *trace;
    struct writer writers[3];
    pthread_t threads[3];
    ck_succeeds(trace_open(&trace, path));
    for (int i = 0; i < 3; i++) {
        writers[i] = (struct writer){trace, trace_row(trace, "host", "writer")};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_spans, &writers[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_succeeds(trace_close(trace));
    json_t *events = read_events();
    ck_assert_uint_eq(json_array_size(events), 1 + 3 + 3000);
    json_decref(events);
}
END_TEST

START_TEST(trace_that_cannot_be_written_says_so) {
    struct trace *trace;
    ck_fails(trace_open(&trace, "/nowhere/trace.json"), ERROR_SYSTEM,
             "/nowhere/trace.json: No such file");
    if (access("/dev/full", W_OK) == 0) {
        ck_succeeds(trace_open(&trace, "/dev/full"));
        ck_fails(trace_close(trace), ERROR_SYSTEM, "could not be written whole");
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("trace");
    tcase_add_unchecked_fixture(tests, make_path, remove_path);
    tcase_add_test(tests, trace_is_json_with_names_and_spans);
    tcase_add_test(tests, trace_without_a_span_is_json_too);
    tcase_add_test(tests, trace_takes_spans_from_several_threads);
    tcase_add_test(tests, trace_that_cannot_be_written_says_so);
    return suite_run("base/trace", tests);
}
