#include "reference/reference.h"

#include <math.h>

/* Each product and sum is rounded on its own, and what is below twice the smallest normal number is
 * zero: so no compiler and no device has a choice. The results go through memory, so that nothing
 * is fused. */
static float flushed(float x) {
    return fabsf(x) < 0x1p-125F ? 0 : x;
}

static float product(float a, float b) {
    volatile float result = a * b;
    return flushed(result);
}

static float sum(float a, float b) {
    volatile float result = a + b;
    return flushed(result);
}

void reference_update(float *w, float *v, float dw, const struct reference_update *update) {
    float own_rate = product(update->rate, update->own_rate);
    float shrink = product(product(update->decay, update->own_decay), own_rate);
    float kept = product(update->momentum, flushed(*v)), decayed = product(shrink, flushed(*w));
    float step = product(own_rate, flushed(dw));
    *v = sum(sum(kept, -decayed), -step);
    *w = sum(flushed(*w), *v);
}
