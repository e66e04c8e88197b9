/* Stochastic gradient descent with momentum and weight decay, by the rule of Krizhevsky et al. (2012):
 *
 *   v <- momentum v - decay rate w - rate dw;   w <- w + v
 *
 * over all parameters at once; dw is zeroed for the next batch. rate and decay are those of the
 * iteration times the parameter's own multipliers, (x, y) of one float2 for each BLOCK floats: each
 * parameter begins a block. Global size: elements / TUNE_VECTOR.
 *
 * Replicas on different devices stay equal because this gives equal bits on all of them. Compilers
 * differ in what they fuse, so nothing is: each product and sum is rounded on its own, in the order
 * written. Devices differ in whether they know denormal numbers, so whatever is below twice the
 * smallest normal number is zero; at that bound itself all numbers are normal, so that all devices
 * agree on which side of it a result lies. Memory bounds this kernel: it costs no time. */
#ifndef BLOCK
#define BLOCK 256
#endif

#pragma OPENCL FP_CONTRACT OFF

/* NaN stays NaN: no comparison with it is true. */
#define FLUSH(type, x) SELECT(fabs(x) < (type)0x1p-125f, (type)0.0f, (x))

kernel void solver_update(global floatv *w, global floatv *v, global floatv *dw,
                          global const float2 *multipliers, float rate, float momentum,
                          float decay) {
    const size_t at = get_global_id(0);
    const float2 own = multipliers[at / (BLOCK / TUNE_VECTOR)];
    const float own_rate = FLUSH(float, rate * own.x), own_decay = FLUSH(float, decay * own.y);
    const float shrink = FLUSH(float, own_decay * own_rate);
    const floatv weight = FLUSH(floatv, w[at]), old = FLUSH(floatv, v[at]);
    const floatv gradient = FLUSH(floatv, dw[at]);
    const floatv kept = FLUSH(floatv, momentum * old), decayed = FLUSH(floatv, shrink * weight);
    const floatv step = FLUSH(floatv, own_rate * gradient);
    const floatv rest = FLUSH(floatv, kept - decayed), velocity = FLUSH(floatv, rest - step);
    v[at] = velocity;
    w[at] = FLUSH(floatv, weight + velocity);
    dw[at] = (floatv)0.0f;
}
