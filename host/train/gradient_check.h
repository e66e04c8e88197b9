/* Whether a net's gradients, as a device computes them, are those of its loss: for each parameter,
 * the loss a little along its gradient against what the gradient promises; and where it is zero,
 * whether the loss stays indeed. On at most eight samples; dropout's mask is that of the step, so
 * the same each time.
 */
#ifndef TRAIN_GRADIENT_CHECK_H
#define TRAIN_GRADIENT_CHECK_H

#include "train/doctor.h"

/* Reports a finding for each parameter. Returns how many did not pass, or an error. */
int gradient_check(const struct net *full, struct device *device,
                   const struct doctor_options *options);

#endif
