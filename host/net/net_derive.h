/* Nets made from others: a part of one (net/net_part.h), or one whose layers are fused
 * (net/net_fusion.h). Their nodes are made here, one after the other: each is added, connected to
 * those before it, and completed.
 */
#ifndef NET_NET_DERIVE_H
#define NET_NET_DERIVE_H

#include "net/net.h"

/* An empty net with what else the other has, and room for so many nodes. Both share the config.
 * Free with net_free. */
int net_derive(struct net **out, const struct net *from, int nodes);

/* Adds a layer that stands for `source`, named as that with a suffix, of this type and description,
 * which is copied. */
int net_derive_add(struct net *net, struct node **out, const struct node *source,
                   const struct layer_type *type, const void *description, const char *suffix);

/* The k-th input of a node, and whether a layer with parameters lies that way. */
void net_derive_connect(struct net *net, struct node *node, int k, int input, int needs_dx);

/* Makes the last node's plan, and adds what it says to the net. */
int net_derive_complete(struct net *net);

/* All of it for a node as it is; `where` gives the net's index for one of the source's net. */
int net_derive_copy(struct net *net, const struct node *source, const int *where);

#endif
