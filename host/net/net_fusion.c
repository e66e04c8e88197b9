#include "net/net_fusion.h"

#include "base/error.h"
#include "layers/fused.h"
#include "layers/registry.h"
#include "net/net_derive.h"

#include <stdio.h>
#include <stdlib.h>

/* The only layer that reads this one's output, or NULL. */
static const struct node *only_reader(const struct net *net, int i) {
    const struct node *reader = NULL;
    for (int j = i + 1; j < net->count; j++) {
        for (int k = 0; k < net->nodes[j].layer.type->input_count; k++) {
            if (net->nodes[j].inputs[k] != i)
                continue;
            if (reader)
                return NULL;
            reader = &net->nodes[j];
        }
    }
    return reader;
}

/* The layer that this one is computed together with, or NULL: the one that follows, so that layers
 * stay in order. */
static const struct node *partner_of(const struct net *net, int i, const struct target *target) {
    const struct node *node = &net->nodes[i], *reader = only_reader(net, i);
    if (node->layer.type != &layer_lrn || reader != node + 1 ||
        reader->layer.type != &layer_maxpool)
        return NULL;
    struct fused fused = {&node->layer, &reader->layer};
    return lrn_maxpool_wins(&fused, target) ? reader : NULL;
}

static int add_fused(struct net *net, const struct node *first, const struct node *second,
                     const int *where) {
    struct fused fused = {&first->layer, &second->layer};
    char suffix[256];
    struct node *node;
    (void)snprintf(suffix, sizeof suffix, "+%s", second->name);
    TRY(net_derive_add(net, &node, first, &layer_lrn_maxpool, &fused, suffix));
    node->index = second->index;
    net_derive_connect(net, node, 0,
                       first->inputs[0] == NET_INPUT ? NET_INPUT : where[first->inputs[0]],
                       first->needs_dx[0]);
    return net_derive_complete(net);
}

static int has_partners(const struct net *net, const struct target *target) {
    for (int i = 0; i < net->count; i++) {
        if (partner_of(net, i, target))
            return 1;
    }
    return 0;
}

int net_fuse(struct net **out, const struct net *net, const struct target *target) {
    *out = NULL;
    if (!has_partners(net, target))
        return 0;
    int *where = calloc((size_t)net->count, sizeof *where);
    int rc = where ? net_derive(out, net, net->count)
                   : error_no_memory("a net", (size_t)net->count * sizeof *where);
    for (int i = 0; rc == 0 && i < net->count; i++) {
        const struct node *partner = partner_of(net, i, target);
        where[i] = (*out)->count;
        if (!partner) {
            rc = net_derive_copy(*out, &net->nodes[i], where);
            continue;
        }
        where[++i] = (*out)->count;
        rc = add_fused(*out, &net->nodes[i - 1], partner, where);
    }
    free(where);
    if (rc < 0) {
        net_free(*out);
        *out = NULL;
    }
    return rc;
}
