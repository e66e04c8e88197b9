#include "train/schedule.h"

#include <math.h>

struct schedule schedule_start(const struct net_options *options, int64_t iterations) {
    return (struct schedule){
        .options = options, .iterations = iterations, .plateau = {.rate = options->learning_rate}};
}

double schedule_rate(const struct schedule *schedule, int64_t iteration) {
    const struct net_options *o = schedule->options;
    double rate = o->learning_rate, i = (double)iteration;
    if (iteration < o->burn_in)
        return rate * pow((i + 1) / o->burn_in, o->power);
    switch ((enum learning_policy)o->policy) {
    case POLICY_CONSTANT:
        return rate;
    case POLICY_STEP:
        return rate * pow(o->scale, floor(i / o->step));
    case POLICY_STEPS:
        for (int s = 0; s < o->steps.count && iteration >= o->steps.values[s]; s++)
            rate *= o->scales.values[s];
        return rate;
    case POLICY_EXP:
        return rate * pow(o->gamma, i);
    case POLICY_POLY:
        return rate * pow(fmax(0, 1 - i / (double)schedule->iterations), o->power);
    case POLICY_SIG:
        return rate / (1 + exp(o->gamma * (i - o->step)));
    case POLICY_PLATEAU:
        return schedule->plateau.rate;
    }
    return rate;
}

int schedule_evaluated(struct schedule *schedule, double error) {
    const struct net_options *o = schedule->options;
    struct plateau *p = &schedule->plateau;
    if (o->policy != POLICY_PLATEAU)
        return 0;
    if (!p->has_best || error < p->best * (1 - o->threshold)) {
        p->best = error;
        p->has_best = 1;
        p->stale = 0;
        return 0;
    }
    if (++p->stale < o->patience)
        return 0;
    p->stale = 0;
    double lowered = fmax(p->rate * o->factor, o->least_rate);
    int fell = lowered < p->rate;
    if (fell)
        p->rate = lowered;
    return fell;
}
