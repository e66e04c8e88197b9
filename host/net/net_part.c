#include "net/net_part.h"

#include "base/error.h"
#include "layers/part.h"
#include "layers/registry.h"
#include "net/net_derive.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- whether, and where, a net can be cut ---- */

/* The first fully connected layer, or the net's end. */
static int find_cut(const struct net *net) {
    int i = 0;
    while (i < net->count && net->nodes[i].layer.type != &layer_connected)
        i++;
    return i;
}

/* A layer of the back. */
static int check_node(const struct net *net, int i, int cut, int ranks) {
    const struct node *node = &net->nodes[i];
    const struct layer *layer = &node->layer;
    const char *first = net->nodes[cut].name;
    for (int k = 0; k < layer->type->input_count; k++) {
        if (node->inputs[k] < cut - 1)
            return error_set(ERROR_INPUT,
                             "parallel=hybrid is not possible: it reaches across the first fully "
                             "connected layer, %s, from which on layers are divided among devices",
                             first);
    }
    if (layer->type != &layer_connected && layer->plan.parameter_count > 0)
        return error_set(ERROR_INPUT,
                         "parallel=hybrid is not possible: it learns, is not fully connected, and "
                         "comes after %s, from which on layers are divided among devices",
                         first);
    if (layer->type == &layer_connected && layer->plan.output.c < ranks)
        return error_set(ERROR_INPUT,
                         "parallel=hybrid is not possible: its %d outputs cannot be divided among "
                         "%d devices",
                         layer->plan.output.c, ranks);
    return 0;
}

static int blame(int code, const struct net *net, int i) {
    return config_blame(code, net->config, net->nodes[i].section, NULL);
}

int net_part_check(const struct net *net, int ranks) {
    int cut = find_cut(net);
    if (cut == net->count)
        return blame(error_set(ERROR_INPUT, "parallel=hybrid is not possible: no layer of the net "
                                            "is fully connected"),
                     net, net->count - 1);
    if (!net->nodes[cut].needs_dx[0])
        return blame(error_set(ERROR_INPUT, "parallel=hybrid is not possible: no layer before this "
                                            "one, the first that is fully connected, learns"),
                     net, cut);
    for (int i = cut; i < net->count; i++) {
        int rc = check_node(net, i, cut, ranks);
        if (rc < 0)
            return blame(rc, net, i);
    }
    return 0;
}

/* ---- making a part ---- */

/* An empty part, with room for as many nodes as any has. */
static int begin(struct net_part *part, const struct net *whole) {
    *part = (struct net_part){0};
    TRY(net_derive(&part->net, whole, 3 * whole->count));
    part->parameters = calloc((size_t)whole->parameter_count + 1, sizeof *part->parameters);
    return part->parameters ? 0 : error_no_memory("a part of the net", sizeof *part->parameters);
}

/* Says where the last node's parameters lie in the whole net: of each this part has the rows from
 * `first` on, of all rows where the source has as many. */
static void place_parameters(struct net_part *part, const struct node *source, int first) {
    const struct node *node = &part->net->nodes[part->net->count - 1];
    const struct layer_plan *plan = &node->layer.plan;
    for (int p = 0; p < plan->parameter_count; p++) {
        int64_t elements = parameter_elements(&plan->parameters[p]);
        part->parameters[node->parameter_first + p] = (struct parameter_part){
            .whole = source->parameter_first + p,
            .first = elements / plan->parameters[p].sizes[0] * first,
            .count = elements,
        };
    }
}

/* Makes the last node's plan; its parameters are as place_parameters says. */
static int complete(struct net_part *part, const struct node *source, int first) {
    TRY(net_derive_complete(part->net));
    place_parameters(part, source, first);
    return 0;
}

/* Adds a node as it is; `where` gives the part's index for one of the whole net. */
static int add_whole(struct net_part *part, const struct node *source, const int *where) {
    TRY(net_derive_copy(part->net, source, where));
    place_parameters(part, source, 0);
    return 0;
}

int net_part_front(struct net_part *out, const struct net *whole) {
    int cut = find_cut(whole), rc = net_part_check(whole, 1);
    *out = (struct net_part){0};
    int *where = calloc((size_t)whole->count, sizeof *where);
    if (rc == 0)
        rc = where ? begin(out, whole) : error_no_memory("a part of the net", sizeof *where);
    for (int i = 0; rc == 0 && i < cut; i++) {
        where[i] = i;
        rc = add_whole(out, &whole->nodes[i], where);
    }
    free(where);
    if (rc < 0)
        net_part_free(out);
    return rc;
}

/* Adds one rank's rows of a fully connected layer, between a fan-out and a gather. */
static int add_rows(struct net_part *part, const struct node *source, int input, int rank,
                    int ranks) {
    struct net *net = part->net;
    const struct layer_type *type = source->layer.type;
    int whole = source->layer.plan.output.c;
    int first = part_first(whole, rank, ranks), end = part_first(whole, rank + 1, ranks);
    struct gather gather = {.whole = whole, .rank = rank, .ranks = ranks};
    char rows[16];
    (void)snprintf(rows, sizeof rows, "%d", end - first);

    struct node *node;
    TRY(net_derive_add(net, &node, source, &layer_fanout, "", ".fanout"));
    net_derive_connect(net, node, 0, input, 1);
    TRY(complete(part, source, 0));
    TRY(net_derive_add(net, &node, source, type, source->description, ""));
    TRY(option_set(node->description, options_find(type->options, "output"), rows));
    net_derive_connect(net, node, 0, net->count - 2, 1);
    TRY(complete(part, source, first));
    TRY(net_derive_add(net, &node, source, &layer_gather, &gather, ".gather"));
    net_derive_connect(net, node, 0, net->count - 2, 1);
    return complete(part, source, 0);
}

static int add_back(struct net_part *part, const struct net *whole, int cut, int *where, int rank,
                    int ranks) {
    where[cut - 1] = NET_INPUT;
    for (int i = cut; i < whole->count; i++) {
        const struct node *source = &whole->nodes[i];
        if (source->layer.type == &layer_connected)
            TRY(add_rows(part, source, where[source->inputs[0]], rank, ranks));
        else
            TRY(add_whole(part, source, where));
        where[i] = part->net->count - 1;
    }
    return 0;
}

int net_part_back(struct net_part *out, const struct net *whole, int rank, int ranks) {
    int cut = find_cut(whole), rc = net_part_check(whole, ranks);
    *out = (struct net_part){0};
    int *where = calloc((size_t)whole->count, sizeof *where);
    if (rc == 0)
        rc = where ? begin(out, whole) : error_no_memory("a part of the net", sizeof *where);
    if (rc == 0) {
        out->net->input = out->net->frame = whole->nodes[cut - 1].layer.plan.output;
        rc = add_back(out, whole, cut, where, rank, ranks);
    }
    free(where);
    if (rc < 0)
        net_part_free(out);
    return rc;
}

void net_part_free(struct net_part *part) {
    net_free(part->net);
    free(part->parameters);
    *part = (struct net_part){0};
}
