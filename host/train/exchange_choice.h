/* Which way a team exchanges gradients. */
#ifndef TRAIN_EXCHANGE_CHOICE_H
#define TRAIN_EXCHANGE_CHOICE_H

#include "train/exchange.h"

/* Whether copies among such devices, as listed (devices_list) and chosen, are worth a trial: they
 * are of one platform, and none works in the host's memory anyway. */
int exchange_is_worth_a_trial(const struct device_info *devices,
                              const struct device_choice *choices, int count);

/* How many of the open devices may come to exchange by copies: all, when they share one context and
 * `by` allows it, or 0. EXCHANGE_DEVICE with others is ERROR_INPUT. */
int exchange_peers(int *peers, struct device *const *devices, int count, enum exchange_by by);

/* An exchange as for exchange_create, of replicas that have seen no sample; with other than
 * EXCHANGE_HOST their devices share one context. Copies are tried out first, with numbers whose
 * sums are known: wrong ones are ERROR_DEVICE. With EXCHANGE_AUTO they are a reason to go by way of
 * the host; else both ways exchange all gradients a few times, and the faster one is chosen, which
 * the log tells. Gradients are zero again after it. */
int exchange_choose(struct exchange **out, struct replica *const *replicas, int count,
                    enum exchange_by by, int copies);

/* How an exchange is made. */
enum exchange_by exchange_is_by(const struct exchange *exchange);

#endif
