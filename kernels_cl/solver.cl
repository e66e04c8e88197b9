/* Stochastic gradient descent with momentum and weight decay, by the rule of Krizhevsky et al. (2012):
 *
 *   v <- momentum v - decay rate w - rate dw;   w <- w + v
 *
 * over all parameters at once; dw is zeroed for the next batch. rate and decay are those of the
 * iteration times the parameter's own multipliers, (x, y) of one float2 for each BLOCK floats: each
 * parameter begins a block. Global size: elements / TUNE_VECTOR. */
#ifndef BLOCK
#define BLOCK 256
#endif

kernel void solver_update(global floatv *w, global floatv *v, global floatv *dw,
                          global const float2 *multipliers, float rate, float momentum,
                          float decay) {
    const size_t at = get_global_id(0);
    const float2 own = multipliers[at / (BLOCK / TUNE_VECTOR)];
    const float own_rate = rate * own.x, own_decay = decay * own.y * own_rate;
    const floatv velocity = momentum * v[at] - own_decay * w[at] - own_rate * dw[at];
    v[at] = velocity;
    w[at] += velocity;
    dw[at] = (floatv)0.0f;
}
