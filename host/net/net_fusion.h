/* Nets as they run: layers that one kernel computes together stand there as one (layers/fused.h),
 * so that what lies between them is neither written nor kept.
 */
#ifndef NET_NET_FUSION_H
#define NET_NET_FUSION_H

#include "cl/target.h"
#include "net/net.h"

/* Makes the net as it runs on a target; NULL where that is the net itself. Parameters are the same,
 * in the same order; a node's index is that in the net it was made of, of two layers the second's.
 * The net must outlive it. Free with net_free. */
int net_fuse(struct net **out, const struct net *net, const struct target *target);

#endif
