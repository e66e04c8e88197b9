#include "train/hybrid.h"

#include "base/error.h"
#include "base/progress.h"
#include "net/net_part.h"
#include "train/collective.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one device has. */
struct member {
    struct hybrid *hybrid;
    int rank;
    struct net_part part; /* its rows of the back */
    struct replica *front, *back, *whole;
    struct buffer *inbox; /* what the front of another gave, for its round */
    int32_t *ranks;       /* of a micro-batch's samples */
    struct trace *trace;  /* NULL: none */
    int row;
};

struct hybrid {
    const struct net *net;
    struct net_part front; /* the same for all */
    int count;
    struct member *members;
    struct collective *collective;
};

/* ---- parameters, which the parts keep ---- */

/* The part's parameter that is, or is in, this one of the whole net; -1: none. */
static int find_parameter(const struct net_part *part, int whole) {
    for (int i = 0; i < part->net->parameter_count; i++) {
        if (part->parameters[i].whole == whole)
            return i;
    }
    return -1;
}

static int read_tensor(struct replica *replica, enum replica_tensor tensor, int index,
                       float *values) {
    switch (tensor) {
    case TENSOR_VALUE:
        return replica_read_parameter(replica, index, values);
    case TENSOR_GRADIENT:
        return replica_read_gradient(replica, index, values);
    default:
        return replica_read_velocity(replica, index, values);
    }
}

static int write_tensor(struct replica *replica, enum replica_tensor tensor, int index,
                        const float *values) {
    return tensor == TENSOR_VALUE ? replica_write_parameter(replica, index, values)
                                  : replica_write_velocity(replica, index, values);
}

static int read_whole(void *context, enum replica_tensor tensor, int index, float *values) {
    struct hybrid *hybrid = context;
    int i = find_parameter(&hybrid->front, index);
    if (i >= 0)
        return read_tensor(hybrid->members[0].front, tensor, i, values);
    for (int rank = 0; rank < hybrid->count; rank++) {
        const struct member *member = &hybrid->members[rank];
        i = find_parameter(&member->part, index);
        TRY(read_tensor(member->back, tensor, i, values + member->part.parameters[i].first));
    }
    return 0;
}

static int write_whole(void *context, enum replica_tensor tensor, int index, const float *values) {
    struct hybrid *hybrid = context;
    for (int rank = 0; rank < hybrid->count; rank++) {
        const struct member *member = &hybrid->members[rank];
        int i = find_parameter(&hybrid->front, index);
        if (i >= 0) {
            TRY(write_tensor(member->front, tensor, i, values));
            continue;
        }
        i = find_parameter(&member->part, index);
        TRY(write_tensor(member->back, tensor, i, values + member->part.parameters[i].first));
    }
    return 0;
}

/* ---- making one ---- */

static int sum(void *context, struct buffer *buffer, size_t floats) {
    const struct member *member = context;
    return collective_sum(member->hybrid->collective, member->rank, buffer, floats);
}

static int gather(void *context, struct buffer *buffer, int tiles, int rows, int tile) {
    const struct member *member = context;
    return collective_gather(member->hybrid->collective, member->rank, buffer, tiles, rows, tile);
}

static int create_member(struct hybrid *hybrid, int rank, struct device *device,
                         const struct replica_options *options) {
    struct member *member = &hybrid->members[rank];
    member->hybrid = hybrid;
    member->rank = rank;
    struct replica_options front = *options, back = *options, whole = *options;
    front.truth_kind = TRUTH_LABELS; /* it has none */
    TRY(replica_create(&member->front, hybrid->front.net, device, &front));
    back.input_gradient = 1;
    back.bucket_bytes = 0;
    back.others = (struct layer_others){.context = member, .sum = sum, .gather = gather};
    TRY(replica_create(&member->back, member->part.net, device, &back));
    TRY(buffer_create(&member->inbox, device, buffer_bytes(replica_ends(member->back).input),
                      "activations of other devices"));
    whole.is_training = 0;
    whole.store =
        (struct replica_store){.context = hybrid, .read = read_whole, .write = write_whole};
    TRY(replica_create(&member->whole, hybrid->net, device, &whole));
    size_t bytes = (size_t)replica_micro_batch(member->back) * sizeof *member->ranks;
    member->ranks = malloc(bytes);
    return member->ranks ? 0 : error_no_memory("a round", bytes);
}

static int build(struct hybrid *hybrid, struct device *const *devices, int count,
                 const struct replica_options *options, int copies) {
    TRY(net_part_front(&hybrid->front, hybrid->net));
    for (int rank = 0; rank < count; rank++)
        TRY(net_part_back(&hybrid->members[rank].part, hybrid->net, rank, count));
    TRY(collective_create(&hybrid->collective, devices, count, copies));
    for (int rank = 0; rank < count; rank++)
        TRY(create_member(hybrid, rank, devices[rank], options));
    return 0;
}

int hybrid_create(struct hybrid **out, const struct net *net, struct device *const *devices,
                  int count, const struct replica_options *options, int copies) {
    struct hybrid *hybrid = calloc(1, sizeof *hybrid);
    if (!hybrid)
        return error_no_memory("hybrid parallelism", sizeof *hybrid);
    hybrid->net = net;
    hybrid->count = count;
    hybrid->members = calloc((size_t)count, sizeof *hybrid->members);
    int rc = hybrid->members ? build(hybrid, devices, count, options, copies)
                             : error_no_memory("hybrid parallelism", (size_t)count);
    if (rc < 0)
        hybrid_free(hybrid);
    else
        *out = hybrid;
    return rc;
}

void hybrid_free(struct hybrid *hybrid) {
    if (!hybrid)
        return;
    collective_free(hybrid->collective);
    for (int rank = 0; hybrid->members && rank < hybrid->count; rank++) {
        struct member *member = &hybrid->members[rank];
        replica_free(member->front);
        replica_free(member->back);
        replica_free(member->whole);
        net_part_free(&member->part);
        buffer_free(member->inbox);
        free(member->ranks);
    }
    net_part_free(&hybrid->front);
    free(hybrid->members);
    free(hybrid);
}

struct replica *hybrid_front(const struct hybrid *hybrid, int rank) {
    return hybrid->members[rank].front;
}

struct replica *hybrid_whole(const struct hybrid *hybrid, int rank) {
    return hybrid->members[rank].whole;
}

/* ---- learning ---- */

/* Begins to fetch what the front of rank `root` gave. */
static int fetch(const struct member *member, int root) {
    if (root == member->rank || root == HYBRID_NONE)
        return 0;
    return collective_fetch(member->hybrid->collective, member->rank, member->inbox, root);
}

void hybrid_trace(struct hybrid *hybrid, int rank, struct trace *trace, int row) {
    hybrid->members[rank].trace = trace;
    hybrid->members[rank].row = row;
    collective_trace(hybrid->collective, rank, trace, row);
}

static void show(const struct member *member, const char *what, double start) {
    if (member->trace)
        trace_span(member->trace, member->row, what, start, clock_seconds());
}

int hybrid_begin(struct hybrid *hybrid, int rank, int has_samples, int root) {
    const struct member *member = &hybrid->members[rank];
    struct buffer *output = has_samples ? replica_ends(member->front).output : NULL;
    double start = clock_seconds();
    TRY(collective_show(hybrid->collective, rank, output));
    show(member, "wait for the front", start);
    return fetch(member, root);
}

/* Brings what the front of rank `root` gave to the back. */
static int enter(const struct member *member, int root) {
    struct buffer *input = replica_ends(member->back).input;
    if (root == member->rank)
        return buffer_copy(input, replica_ends(member->front).output);
    TRY(collective_await(member->hybrid->collective, member->rank));
    return buffer_copy(input, member->inbox);
}

/* The passes of a round. */
static int pass(const struct member *member, int root, int next, const struct samples *samples,
                const struct step *step) {
    struct samples truth = {
        .count = samples->count, .labels = samples->labels, .targets = samples->targets};
    TRY(enter(member, root));
    TRY(fetch(member, next));
    TRY(replica_forward(member->back, &truth, step));
    return replica_backward(member->back, NULL, NULL);
}

/* What the root has of its round: the gradient of what its front gave, and the losses. */
static int leave(const struct member *member, float *losses) {
    TRY(buffer_copy(replica_ends(member->front).output_gradient,
                    replica_ends(member->back).input_gradient));
    return replica_results(member->back, losses, member->ranks);
}

int hybrid_round(struct hybrid *hybrid, int rank, int root, int next, const struct samples *samples,
                 const struct step *step, float *losses) {
    const struct member *member = &hybrid->members[rank];
    double start = clock_seconds();
    char name[64];
    TRY(pass(member, root, next, samples, step));
    if (rank == root)
        TRY(leave(member, losses));
    (void)snprintf(name, sizeof name, "round %d", root);
    show(member, name, start);
    return 0;
}

int hybrid_update(struct hybrid *hybrid, int rank, const struct update *update) {
    return replica_update(hybrid->members[rank].back, update);
}

void hybrid_abort(struct hybrid *hybrid) {
    collective_abort(hybrid->collective);
}
