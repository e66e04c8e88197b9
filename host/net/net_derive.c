#include "net/net_derive.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int net_derive(struct net **out, const struct net *from, int nodes) {
    struct net *net = malloc(sizeof *net);
    *out = net;
    if (!net)
        return error_no_memory("a net", sizeof *net);
    *net = *from;
    net->count = 0;
    net->parameter_count = 0;
    net->parameter_elements = 0;
    net->macs = 0;
    net->nodes = calloc((size_t)nodes, sizeof *net->nodes);
    return net->nodes ? 0 : error_no_memory("a net", (size_t)nodes * sizeof *net->nodes);
}

int net_derive_add(struct net *net, struct node **out, const struct node *source,
                   const struct layer_type *type, const void *description, const char *suffix) {
    struct node *node = &net->nodes[net->count];
    size_t length = strlen(source->name) + strlen(suffix) + 1;
    *node = (struct node){.layer.type = type, .index = source->index, .section = source->section};
    node->name = malloc(length);
    node->description = malloc(type->description_size);
    net->count++;
    if (!node->name || !node->description)
        return error_no_memory("a layer", length + type->description_size);
    (void)snprintf(node->name, length, "%s%s", source->name, suffix);
    memcpy(node->description, description, type->description_size);
    node->layer.name = node->name;
    node->layer.description = node->description;
    *out = node;
    return 0;
}

void net_derive_connect(struct net *net, struct node *node, int k, int input, int needs_dx) {
    node->inputs[k] = input;
    node->needs_dx[k] = needs_dx;
    node->layer.inputs[k] = input == NET_INPUT ? net->input : net->nodes[input].layer.plan.output;
}

int net_derive_complete(struct net *net) {
    struct node *node = &net->nodes[net->count - 1];
    struct layer_plan *plan = &node->layer.plan;
    node->parameter_first = net->parameter_count;
    TRY(node->layer.type->infer(&node->layer));
    net->parameter_count += plan->parameter_count;
    for (int p = 0; p < plan->parameter_count; p++)
        net->parameter_elements += parameter_elements(&plan->parameters[p]);
    net->macs += plan->macs;
    return 0;
}

int net_derive_copy(struct net *net, const struct node *source, const int *where) {
    struct node *node;
    TRY(net_derive_add(net, &node, source, source->layer.type, source->description, ""));
    for (int k = 0; k < source->layer.type->input_count; k++)
        net_derive_connect(net, node, k,
                           source->inputs[k] == NET_INPUT ? NET_INPUT : where[source->inputs[k]],
                           source->needs_dx[k]);
    return net_derive_complete(net);
}
