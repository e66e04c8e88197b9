#include "train/benchmark.h"

#include "base/error.h"
#include "base/numbers.h"
#include "base/progress.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Samples of noise. */
struct synthetic {
    int count;
    uint8_t *bytes;
    int32_t *labels;
};

static void free_synthetic(struct synthetic *data) {
    free(data->bytes);
    free(data->labels);
}

static int make_synthetic(struct synthetic *data, const struct net *net, int samples) {
    size_t count = (size_t)samples;
    size_t elements = count * (size_t)shape_elements(net->frame);
    int outputs = net_loss(net)->plan.output.c;
    *data = (struct synthetic){.count = samples,
                               .bytes = malloc(elements),
                               .labels = malloc(count * sizeof *data->labels)};
    if (!data->bytes || !data->labels) {
        free_synthetic(data);
        return error_no_memory("synthetic data", elements);
    }
    struct rng rng = rng_start(1, RNG_SHUFFLE, 0, 0);
    for (size_t i = 0; i < elements; i++)
        data->bytes[i] = (uint8_t)rng_next(&rng);
    for (size_t i = 0; i < count; i++)
        data->labels[i] = (int32_t)rng_below(&rng, (uint32_t)outputs);
    return 0;
}

static struct samples synthetic_samples(const struct synthetic *data) {
    return (struct samples){.count = data->count, .bytes = data->bytes, .labels = data->labels};
}

enum work { INFERENCE, FORWARD_BACKWARD, TRAINING };

struct replica_work {
    struct replica *replica;
    struct samples samples;
    enum work work;
};

/* Some batches, in micro-batches, and waiting for the last: as the trainer has them, the next
 * samples are sent while the device computes. Those of the first were staged. */
static int work_on(void *context, int batches) {
    const struct replica_work *self = context;
    struct replica *replica = self->replica;
    enum work work = self->work;
    int batch = replica_net(replica)->options.batch;
    struct step step = {.is_training = work != INFERENCE, .global_count = batch};
    for (int i = 0; i < batches; i++) {
        for (int done = 0; done < batch; done += self->samples.count) {
            TRY(replica_forward_staged(replica, &step));
            if (work != INFERENCE)
                TRY(replica_backward(replica, NULL, NULL));
            TRY(device_flush(replica_device(replica)));
            TRY(replica_stage(replica, &self->samples));
        }
        /* A rate of zero moves nothing, so that repetitions do the same work. */
        if (work == TRAINING)
            TRY(replica_update(replica, &(struct update){0}));
    }
    return device_finish(replica_device(replica));
}

/* How many images a batch has: the last micro-batch is as large as the others. */
static int images_of(const struct net *net, const struct synthetic *data) {
    return (net->options.batch + data->count - 1) / data->count * data->count;
}

/* A repetition is as many batches as a fast device takes so many seconds for, as beginning and
 * ending take their time too. What is done first does not count: drivers compile at the first
 * launch, so it is done twice, unless it took longer than that costs. */
#define REPETITION_SECONDS 0.2
#define WARM_UP_SECONDS 1.0
enum { REPETITION_BATCHES = 1000 };

/* Does something several times, each with so many images. */
static int measure(struct rate *rate, int (*work)(void *context, int batches), void *context,
                   int images, int repetitions) {
    double *rates = malloc((size_t)repetitions * sizeof *rates);
    if (!rates)
        return error_no_memory("a benchmark", (size_t)repetitions * sizeof *rates);
    int batches = 1, rc = 0;
    double start, took = 0;
    for (int i = 0; rc == 0 && i < 2 && took < WARM_UP_SECONDS; i++) {
        start = clock_seconds();
        rc = work(context, batches);
        took = clock_seconds() - start;
    }
    if (took < REPETITION_SECONDS)
        batches = (int)fmin(REPETITION_SECONDS / took, REPETITION_BATCHES);
    for (int i = 0; rc == 0 && i < repetitions; i++) {
        start = clock_seconds();
        rc = work(context, batches);
        rates[i] = images * (double)batches / (clock_seconds() - start);
    }
    if (rc == 0) {
        rate->median = median(rates, repetitions); /* which sorts them */
        *rate = (struct rate){
            .median = rate->median, .least = rates[0], .most = rates[repetitions - 1]};
    }
    free(rates);
    return rc;
}

static int open_replica(struct replica **replica, const struct net *net, struct device *device,
                        const struct benchmark_options *options, int is_training) {
    struct replica_options replica_options = {
        .technique = options->technique, .is_training = is_training, .truth_kind = TRUTH_LABELS};
    TRY(replica_create(replica, net, device, &replica_options));
    int rc = replica_initialise(*replica, 1);
    if (rc < 0)
        replica_free(*replica);
    return rc;
}

static int measure_replica(struct rate *rate, struct replica *replica, const struct synthetic *data,
                           enum work work, int repetitions) {
    struct replica_work context = {replica, synthetic_samples(data), work};
    TRY(replica_stage(replica, &context.samples));
    return measure(rate, work_on, &context, images_of(replica_net(replica), data), repetitions);
}

int benchmark_run(struct benchmark *benchmark, const struct net *net, struct device *device,
                  const struct benchmark_options *options) {
    struct synthetic data;
    struct replica *replica = NULL;
    int rc, n = options->repetitions;
    TRY(make_synthetic(&data, net, net_micro_batch(net)));
    TRY_OR(done, open_replica(&replica, net, device, options, 0));
    TRY_OR(done, measure_replica(&benchmark->inference, replica, &data, INFERENCE, n));
    replica_free(replica);
    replica = NULL;
    TRY_OR(done, open_replica(&replica, net, device, options, 1));
    TRY_OR(done,
           measure_replica(&benchmark->forward_backward, replica, &data, FORWARD_BACKWARD, n));
    rc = measure_replica(&benchmark->training, replica, &data, TRAINING, n);
done:
    replica_free(replica);
    free_synthetic(&data);
    return rc;
}

struct team_work {
    struct team *team;
    const struct dataset *dataset;
    const struct batch *batch;
};

/* Iterations, each with the sending of the next one's batch, as the trainer has them: a batch that
 * cannot be sent ends it no sooner than the team is at rest. */
static int learn(void *context, int batches) {
    const struct team_work *self = context;
    struct step step = {.is_training = 1};
    struct update update = {0}; /* moves nothing, so that repetitions do the same work */
    int staged = 0;
    for (int i = 0; staged == 0 && i < batches; i++) {
        double loss;
        TRY(team_begin(self->team, &step, &update));
        TRY(team_wait_sent(self->team));
        staged = team_stage(self->team, self->dataset, self->batch);
        TRY(team_end(self->team, &loss));
    }
    return staged;
}

int benchmark_team(struct rate *training, struct team *team, int repetitions) {
    const struct net *net = replica_net(team_replica(team, 0));
    struct synthetic data;
    TRY(make_synthetic(&data, net, net->options.batch));
    struct dataset dataset = {.input = net->input, .frame = net->frame};
    struct batch batch = {.count = data.count, .bytes = data.bytes, .labels = data.labels};
    struct team_work context = {team, &dataset, &batch};
    int rc = team_initialise(team, 1);
    if (rc == 0)
        rc = team_stage(team, &dataset, &batch);
    if (rc == 0)
        rc = measure(training, learn, &context, data.count, repetitions);
    int waited = team_stage_wait(team);
    free_synthetic(&data);
    return rc == 0 ? waited : rc;
}

/* The rows of all kernels, with their times where `times` is not NULL; how many there are. */
static int list_kernels(struct replica *replica, int repetitions, struct kernel_time *times) {
    const struct net *net = replica_running_net(replica);
    int count = 0;
    for (int i = 0; i < net->count; i++) {
        for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
            const struct kernel_spec *spec;
            struct kernel *kernel = replica_kernel(replica, i, k, &spec);
            if (!kernel)
                continue;
            if (times) {
                struct kernel_time *time = &times[count];
                *time = (struct kernel_time){.kernel = spec->function,
                                             .pass = spec->pass,
                                             .seconds = kernel_seconds(kernel) / repetitions,
                                             .flops = spec->flops,
                                             .bytes = spec->bytes};
                (void)snprintf(time->layer, sizeof time->layer, "%s", net->nodes[i].layer.name);
            }
            count++;
        }
    }
    return count;
}

static void reset_times(struct replica *replica) {
    for (int i = 0; i < replica_running_net(replica)->count; i++) {
        for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
            const struct kernel_spec *spec;
            struct kernel *kernel = replica_kernel(replica, i, k, &spec);
            if (kernel)
                kernel_reset_time(kernel);
        }
    }
}

int benchmark_kernels(struct kernel_time **times, int *count, const struct net *net,
                      struct device *device, const struct benchmark_options *options) {
    struct synthetic data;
    struct replica *replica = NULL;
    struct step step = {.is_training = 1, .global_count = net->options.batch};
    int rc;
    TRY(make_synthetic(&data, net, net_micro_batch(net)));
    struct samples samples = synthetic_samples(&data);
    TRY_OR(done, open_replica(&replica, net, device, options, 1));
    for (int i = 0; i <= options->repetitions; i++) {
        TRY_OR(done, replica_forward(replica, &samples, &step));
        TRY_OR(done, replica_backward(replica, NULL, NULL));
        TRY_OR(done, device_collect_times(device));
        if (i == 0)
            reset_times(replica);
    }
    *count = list_kernels(replica, options->repetitions, NULL);
    *times = calloc((size_t)*count + 1, sizeof **times);
    if (!*times) {
        rc = error_no_memory("a benchmark", (size_t)*count * sizeof **times);
        goto done;
    }
    (void)list_kernels(replica, options->repetitions, *times);
done:
    replica_free(replica);
    free_synthetic(&data);
    return rc; /* NOLINT(clang-analyzer-unix.Malloc): it does not see that the data were just freed
                */
}
