#include "train/evaluator.h"

#include "base/error.h"
#include "base/progress.h"

#include <stdlib.h>

struct samples batch_part(const struct dataset *dataset, const struct batch *batch, int first,
                          int count) {
    size_t elements = (size_t)first * (size_t)shape_elements(dataset->input);
    return (struct samples){
        .count = count,
        .bytes = batch->bytes ? batch->bytes + elements : NULL,
        .floats = batch->floats ? batch->floats + elements : NULL,
        .labels = batch->labels ? batch->labels + first : NULL,
        .targets =
            batch->targets ? batch->targets + (size_t)first * (size_t)dataset->outputs : NULL,
    };
}

/* Sums over the samples seen so far. */
struct sums {
    double loss;
    int64_t samples, top1, top5;
};

static int add_batch(struct replica *replica, const struct samples *samples, struct sums *sums,
                     float *losses, int32_t *ranks) {
    struct step step = {.global_count = samples->count};
    TRY(replica_forward(replica, samples, &step));
    TRY(replica_results(replica, losses, ranks));
    for (int i = 0; i < samples->count; i++) {
        sums->loss += (double)losses[i];
        sums->top1 += ranks[i] > 0;
        sums->top5 += ranks[i] > 4;
    }
    sums->samples += samples->count;
    return 0;
}

int evaluate(struct replica *replica, const struct dataset *dataset,
             struct evaluation *evaluation) {
    int micro_batch = net_micro_batch(replica_net(replica));
    struct loader_options options = {.batch = micro_batch,
                                     .limit = loader_batches_per_epoch(dataset, micro_batch)};
    struct loader *loader = NULL;
    float *losses = malloc((size_t)micro_batch * sizeof *losses);
    int32_t *ranks = malloc((size_t)micro_batch * sizeof *ranks);
    int rc = losses && ranks ? loader_create(&loader, dataset, &options)
                             : error_no_memory("an evaluation", (size_t)micro_batch * 8);
    struct sums sums = {0};
    struct progress progress = progress_start("testing");
    const struct batch *batch;
    while (rc >= 0 && (rc = loader_next(loader, &batch)) > 0) {
        struct samples samples = batch_part(dataset, batch, 0, batch->count);
        rc = add_batch(replica, &samples, &sums, losses, ranks);
        progress_show(&progress, "%lld of %lld", (long long)sums.samples,
                      (long long)dataset->count);
    }
    progress_end(&progress);
    loader_free(loader);
    free(losses);
    free(ranks);
    if (rc < 0)
        return rc;
    double count = (double)sums.samples;
    *evaluation = (struct evaluation){.loss = sums.loss / count,
                                      .has_errors = dataset->labels != NULL,
                                      .top1_error = (double)sums.top1 / count,
                                      .top5_error = (double)sums.top5 / count,
                                      .samples = sums.samples};
    return 0;
}
