/* Every kernel that a training compiles on a device, told without it: so kernels can be read, and
 * shown to the compilers of devices that are not here. Host only: needs no open device.
 */
#ifndef NET_KERNEL_LIST_H
#define NET_KERNEL_LIST_H

#include "cl/target.h"
#include "cl/tuning.h"
#include "net/net.h"

enum { KERNEL_LIST_NAME = 64 };

struct listed_kernel {
    char who[KERNEL_LIST_NAME];  /* the layer that it works for, or what it is about: "input" */
    char tuning[TUNING_PROBLEM]; /* of a candidate: "conv_tiled.cl M=64 ...", else empty */
    struct kernel_spec spec;     /* kernel_is_ours says where it is not CLBlast's */
};

struct kernel_list {
    struct listed_kernel *kernels;
    int count, room;
};

/* Lists what replicas of a net compile for training and use, whatever their data look like: the
 * layers' kernels, those for samples that come in, for gradients that add up, and for the update;
 * and those that measure the device's limits. Of one of several `devices` also what sums their
 * gradients, and, with parallel=hybrid, the parts of the net; the batch is divided among them. The
 * same program may serve several kernels of the list. What does not fit the device at all is
 * ERROR_DEVICE. The target's tiling is not looked at. Free with kernel_list_free. */
int kernel_list_create(struct kernel_list *out, const struct net *net, const struct target *device,
                       int devices);

/* Lists in place of those what the tuner would try first, for one device: for each pass that leaves
 * something open each way to compute it with the values that it begins with, and with each of them
 * a step up and a step down, where the device can run that. */
int kernel_list_create_candidates(struct kernel_list *out, const struct net *net,
                                  const struct target *device);

void kernel_list_free(struct kernel_list *list);

#endif
