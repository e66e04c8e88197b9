/* The doctor's part for the kernels that belong to no layer: the input of samples, the sum of
 * gradients that come back from several layers, the update of the parameters. For doctor.c only. */
#ifndef TRAIN_DOCTOR_NET_H
#define TRAIN_DOCTOR_NET_H

#include "layers/trust.h"
#include "train/doctor.h"

/* Examines them at the net's exact sizes. Returns how many findings did not pass, or an error. */
int doctor_examine_net(const struct net *net, struct device *device,
                       const struct doctor_options *options, struct trust_examination *examination);

#endif
