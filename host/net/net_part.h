/* A net in parts, for devices that share its layers (parallel=hybrid): before its first fully
 * connected layer it is the front, which every device has whole; from there on it is the back, of
 * which each has some rows of every fully connected layer (layers/part.h). A part is a net by
 * itself: the output of the front, which has no loss, is the input of the back.
 *
 * A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014).
 */
#ifndef NET_NET_PART_H
#define NET_NET_PART_H

#include "net/net.h"

/* Where a part's parameter lies in the whole net's: these elements in a row are it. */
struct parameter_part {
    int whole; /* its index in the whole net */
    int64_t first, count;
};

struct net_part {
    struct net *net;
    struct parameter_part *parameters; /* [net->parameter_count] */
};

/* Whether a net can be divided so among devices; ERROR_INPUT says why not, with file:line. */
int net_part_check(const struct net *net, int ranks);

/* Makes the front, or one rank's back; fails where net_part_check does. The whole net must outlive
 * its parts. Free with net_part_free. */
int net_part_front(struct net_part *out, const struct net *whole);
int net_part_back(struct net_part *out, const struct net *whole, int rank, int ranks);

void net_part_free(struct net_part *part);

#endif
