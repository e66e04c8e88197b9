/* The memory plan: no two slots may share memory while both live, and little may be wasted. */
#include "support/suite.h"

#include "base/file.h"
#include "net/memory_plan.h"
#include "net/net_part.h"

#include <stdlib.h>
#include <string.h>

struct planned {
    struct config *config;
    struct net *net;
    struct memory_plan plan;
};

static void make(struct planned *p, const char *text) {
    ck_succeeds(config_parse(&p->config, "a.cfg", text, strlen(text)));
    ck_succeeds(net_create(&p->net, p->config));
}

static void release(struct planned *p) {
    memory_plan_free(&p->plan);
    net_free(p->net);
    config_free(p->config);
}

static int collect(struct memory_plan *plan, struct memory_slot *slots[]) {
    int count = 0;
    for (int i = -1; i < plan->count; i++) {
        struct node_memory *memory = i < 0 ? &plan->data : &plan->nodes[i];
        struct memory_slot *own[] = {&memory->output, &memory->gradient, &memory->extra,
                                     &memory->keep};
        for (int k = 0; k < 4; k++) {
            if (own[k]->bytes)
                slots[count++] = own[k];
        }
    }
    return count;
}

static void check_no_overlap(struct memory_plan *plan, size_t alignment, size_t segment_max) {
    struct memory_slot *slots[256];
    int count = collect(plan, slots);
    for (int i = 0; i < count; i++) {
        const struct memory_slot *a = slots[i];
        ck_assert_uint_eq(a->offset % alignment, 0);
        ck_assert_uint_le(a->offset + a->bytes, plan->segment_bytes[a->segment]);
        for (int j = 0; j < i; j++) {
            const struct memory_slot *b = slots[j];
            int share_time = a->first <= b->last && b->first <= a->last;
            int share_place = a->segment == b->segment && a->offset < b->offset + b->bytes &&
                              b->offset < a->offset + a->bytes;
            ck_assert(!(share_time && share_place));
        }
    }
    for (int s = 0; segment_max && s < plan->segments; s++)
        ck_assert_uint_le(plan->segment_bytes[s], segment_max);
}

static const char *const residual = "[net]\nheight=8\nwidth=8\nchannels=4\nbatch=5\n"
                                    "[convolutional]\nname=a\nfilters=4\nsize=3\npad=1\n"
                                    "[convolutional]\nfilters=4\nsize=3\npad=1\n"
                                    "[shortcut]\nname=b\nfrom=a\n"
                                    "[lrn]\n[shortcut]\nfrom=b\n"
                                    "[maxpool]\nsize=2\nstride=2\n"
                                    "[connected]\noutput=3\n[dropout]\n[connected]\n[cost]\n";

START_TEST(memory_plan_never_shares_memory_between_two_that_live) {
    struct planned p = {0};
    make(&p, residual);
    for (int training = 0; training < 2; training++) {
        for (int limited = 0; limited < 2; limited++) {
            struct memory_plan_options options = {.tiling = tiling_for_batch(5),
                                                  .is_training = training,
                                                  .input_gradient = training,
                                                  .alignment = 256,
                                                  .segment_max = limited ? 20000 : 0};
            memory_plan_free(&p.plan);
            ck_succeeds(memory_plan_create(&p.plan, p.net, &options));
            check_no_overlap(&p.plan, 256, options.segment_max);
        }
    }
    release(&p);
}
END_TEST

/* a and b are wanted together with the data that a's filters are held against, and no more is. */
START_TEST(memory_plan_tells_what_is_wanted_at_once) {
    struct planned p = {0};
    const struct memory_plan_options forward = {.tiling = tiling_for_batch(16)};
    make(&p, "[net]\ninputs=2\nbatch=16\n[connected]\noutput=8\n[connected]\noutput=6\n"
             "[connected]\noutput=1\n[cost]\n");
    ck_succeeds(memory_plan_create(&p.plan, p.net, &forward));
    ck_assert_uint_eq(p.plan.live_bytes, (8 + 6) * 16 * sizeof(float));
    ck_assert_uint_ge(p.plan.total_bytes, p.plan.live_bytes);
    release(&p);
}
END_TEST

START_TEST(memory_plan_splits_into_segments_below_the_largest_allocation) {
    struct planned p = {0};
    make(&p, residual);
    struct memory_plan_options options = {
        .tiling = tiling_for_batch(5), .is_training = 1, .segment_max = 12000};
    ck_succeeds(memory_plan_create(&p.plan, p.net, &options));
    ck_assert_int_gt(p.plan.segments, 1);
    release(&p);
}
END_TEST

START_TEST(memory_plan_names_the_layer_whose_activation_does_not_fit) {
    struct planned p = {0};
    make(&p, residual);
    struct memory_plan_options options = {
        .tiling = tiling_for_batch(5), .is_training = 1, .segment_max = 1000};
    ck_fails(memory_plan_create(&p.plan, p.net, &options), ERROR_DEVICE, "an activation of");
    release(&p);
}
END_TEST

START_TEST(memory_plan_has_room_for_a_second_gradient_where_an_output_is_read_twice) {
    struct planned p = {0};
    make(&p, residual);
    struct memory_plan_options options = {.tiling = tiling_for_batch(5), .is_training = 1};
    ck_succeeds(memory_plan_create(&p.plan, p.net, &options));
    ck_assert_uint_gt(p.plan.nodes[0].extra.bytes, 0); /* a */
    ck_assert_uint_eq(p.plan.nodes[1].extra.bytes, 0);
    ck_assert_uint_gt(p.plan.nodes[2].extra.bytes, 0); /* b */
    release(&p);
}
END_TEST

START_TEST(memory_plan_of_a_part_without_a_loss_has_room_for_the_gradient_from_outside) {
    struct planned p = {0};
    struct net_part front;
    make(&p, residual);
    ck_succeeds(net_part_front(&front, p.net));
    struct memory_plan_options options = {.tiling = tiling_for_batch(5), .is_training = 1};
    ck_succeeds(memory_plan_create(&p.plan, front.net, &options));
    const struct node_memory *last = &p.plan.nodes[front.net->count - 1];
    ck_assert_uint_eq(last->gradient.bytes, last->output.bytes);
    check_no_overlap(&p.plan, 128, 0);
    net_part_free(&front);
    release(&p);
}
END_TEST

START_TEST(memory_plan_of_inference_needs_little_more_than_the_two_largest_neighbours) {
    struct planned p = {0};
    char *path = path_join(CLNET_SOURCE_DIR, "configs/alexnet.cfg");
    ck_succeeds(config_read(&p.config, path));
    ck_succeeds(net_create(&p.net, p.config));
    struct memory_plan_options options = {.tiling = tiling_for_batch(128)};
    ck_succeeds(memory_plan_create(&p.plan, p.net, &options));
    /* conv1's and norm1's outputs are alive at once: 2 x 96 x 55 x 55. */
    size_t floor = (size_t)2 * 96 * 55 * 55 * 128 * sizeof(float);
    ck_assert_uint_eq(p.plan.total_bytes, floor);
    check_no_overlap(&p.plan, 128, 0);
    free(path);
    release(&p);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("memory_plan");
    tcase_add_test(tests, memory_plan_never_shares_memory_between_two_that_live);
    tcase_add_test(tests, memory_plan_tells_what_is_wanted_at_once);
    tcase_add_test(tests, memory_plan_splits_into_segments_below_the_largest_allocation);
    tcase_add_test(tests, memory_plan_names_the_layer_whose_activation_does_not_fit);
    tcase_add_test(tests, memory_plan_has_room_for_a_second_gradient_where_an_output_is_read_twice);
    tcase_add_test(tests,
                   memory_plan_of_a_part_without_a_loss_has_room_for_the_gradient_from_outside);
    tcase_add_test(tests,
                   memory_plan_of_inference_needs_little_more_than_the_two_largest_neighbours);
    return suite_run("net/memory_plan", tests);
}
