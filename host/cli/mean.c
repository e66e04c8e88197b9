/* The mean that is subtracted from the input: from the weights, from the config, or computed. */
#include "base/error.h"
#include "cli/cli.h"
#include "net/weights.h"

static int mean_kind(const struct job *job, enum mean_kind *kind) {
    double numbers[3];
    return mean_parse(job->net->data.mean, job->net->input.c, kind, numbers);
}

int job_set_mean(const struct job *job, struct replica *replica, const struct dataset *train) {
    const struct net *net = job->net;
    struct statistics statistics = {0};
    struct mean mean = {0};
    enum mean_kind kind;
    int rc;
    if (replica_mean(replica))
        return 0;
    TRY_OR(done, mean_kind(job, &kind));
    if (kind != MEAN_NUMBERS && !train) {
        rc = error_set(ERROR_INPUT,
                       "data.mean: '%s' is computed in training and kept in the weights, and these "
                       "weights hold none (no tensor input.mean); give numbers with --set "
                       "data.mean=",
                       net->data.mean);
        goto done;
    }
    if (kind != MEAN_NUMBERS)
        TRY_OR(done,
               statistics_get(&statistics, train, net->frame, net->data.statistics_samples, 0));
    TRY_OR(done, mean_create(&mean, net->data.mean, net->frame,
                             kind == MEAN_NUMBERS ? NULL : &statistics));
    rc = replica_set_mean(replica, &mean);
done:
    mean_free(&mean);
    statistics_free(&statistics);
    return rc;
}

int job_load_weights(const struct job *job, struct replica *replica, const char *path,
                     struct classes *classes, int compute) {
    struct dataset *train = NULL;
    enum mean_kind kind;
    TRY(weights_load(path, replica, classes));
    int rc = mean_kind(job, &kind);
    if (rc == 0 && compute && kind != MEAN_NUMBERS && !replica_mean(replica))
        rc = job_open_data(&train, job, DATA_TRAIN);
    if (rc == 0)
        rc = job_set_mean(job, replica, train);
    dataset_free(train);
    return rc;
}
