/* How a batch is divided among devices: how many samples of it each takes. */
#ifndef TRAIN_SPLIT_H
#define TRAIN_SPLIT_H

/* Equal shares; the first ones take one more where it does not come out even. ERROR_INPUT when
 * there are more devices than samples. */
int split_even(int *shares, int count, int batch);

/* The shares that a text like "96,32" gives, one for each device, which must add up to the batch;
 * else ERROR_INPUT. */
int split_parse(int *shares, int count, int batch, const char *text);

/* Shares in proportion to the devices' rates (samples a second, above 0), so that all take the same
 * time, in multiples of a tile that the batch allows for, where each can have one. */
void split_by_rates(int *shares, const double *rates, int count, int batch);

/* The time that an iteration takes with such shares: that of the slowest. */
double split_seconds(const int *shares, const double *rates, int count);

/* The first sample of a device's part of `samples`, which may be fewer than the batch: all parts
 * shrink alike. That of device `count` is `samples`. */
int split_first(const int *shares, int count, int samples, int rank);

#endif
