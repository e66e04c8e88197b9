#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/pictures.h"
#include "data/loader.h"
#include "data/picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flags {
    struct job_flags job;
    const char *weights, *image, *output, *devices, *set;
};

#define FIELD(name) offsetof(struct flags, name)

static const struct option flag_table[] = {
    {"weights", "the trained weights, a safetensors file", OPTION_STRING, FIELD(weights), NULL, 0,
     0, NULL},
    {"image", "a picture to show to the net", OPTION_STRING, FIELD(image), NULL, 0, 0, NULL},
    {"output", "the folder to write to; it is made if need be", OPTION_STRING, FIELD(output), NULL,
     0, 0, NULL},
    {"devices", "the index of a device, as 'clnet devices' lists them", OPTION_STRING,
     FIELD(devices), NULL, 0, 0, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

/* ---- sheets ---- */

/* Small pictures side by side, all on one scale of grey or colour. */
struct sheet {
    const float *values; /* [count][channels][h][w] */
    int count, channels, h, w;
    int columns, gap, enlarge;
};

struct range {
    float least, most;
};

static struct range find_range(const struct sheet *sheet) {
    int64_t elements = (int64_t)sheet->count * sheet->channels * sheet->h * sheet->w;
    struct range range = {INFINITY, -INFINITY};
    for (int64_t i = 0; i < elements; i++) {
        if (!isfinite(sheet->values[i]))
            continue;
        range.least = fminf(range.least, sheet->values[i]);
        range.most = fmaxf(range.most, sheet->values[i]);
    }
    return range;
}

/* What is not finite, or all there is when it is all the same, is black. */
static uint8_t shade(float value, struct range range) {
    if (!isfinite(value) || range.most <= range.least)
        return 0;
    return (uint8_t)lrintf(255 * ((value - range.least) / (range.most - range.least)));
}

static void draw(struct picture *picture, const struct sheet *sheet, int index,
                 struct range range) {
    int enlarge = sheet->enlarge, plane = sheet->h * sheet->w;
    int left = index % sheet->columns * (sheet->w * enlarge + sheet->gap) + sheet->gap;
    int top = index / sheet->columns * (sheet->h * enlarge + sheet->gap) + sheet->gap;
    const float *values = sheet->values + (int64_t)index * sheet->channels * plane;
    for (int y = 0; y < sheet->h * enlarge; y++) {
        for (int x = 0; x < sheet->w * enlarge; x++) {
            int64_t at = (int64_t)(top + y) * picture->width + left + x;
            for (int c = 0; c < sheet->channels; c++)
                picture->pixels[at * sheet->channels + c] =
                    shade(values[c * plane + y / enlarge * sheet->w + x / enlarge], range);
        }
    }
}

static int write_sheet(const char *directory, const char *name, const struct sheet *sheet) {
    int rows = (sheet->count + sheet->columns - 1) / sheet->columns;
    struct picture picture;
    char *path = path_join(directory, name);
    if (!path)
        return error_no_memory("a path", strlen(directory));
    int rc = picture_create(
        &picture, sheet->columns * (sheet->w * sheet->enlarge + sheet->gap) + sheet->gap,
        rows * (sheet->h * sheet->enlarge + sheet->gap) + sheet->gap, sheet->channels);
    if (rc < 0) {
        free(path);
        return rc;
    }
    struct range range = find_range(sheet);
    memset(picture.pixels, 0,
           (size_t)picture.width * (size_t)picture.height * (size_t)picture.channels);
    for (int i = 0; i < sheet->count; i++)
        draw(&picture, sheet, i, range);
    rc = picture_write_png(path, &picture);
    picture_free(&picture);
    free(path);
    return rc;
}

/* Lays pictures out as a square, each enlarged to about `side` pixels. */
static void lay_out(struct sheet *sheet, int side) {
    int longer = sheet->h > sheet->w ? sheet->h : sheet->w;
    sheet->columns = (int)ceil(sqrt((double)sheet->count));
    sheet->gap = 1;
    sheet->enlarge = longer < side ? side / longer : 1;
}

/* ---- filters ---- */

/* The index of the first convolution's weights, or -1. */
static int find_filters(const struct net *net) {
    for (int i = 0; i < net->parameter_count; i++) {
        const struct layer *layer;
        const struct parameter *parameter = net_parameter(net, i, &layer);
        if (strcmp(layer->type->name, "convolutional") == 0 && parameter->dimensions == 4)
            return i;
    }
    return -1;
}

static int draw_filters(struct replica *replica, const char *directory) {
    enum { FILTER_SIDE = 48 };
    const struct net *net = replica_net(replica);
    int index = find_filters(net);
    if (index < 0) {
        log_warning("%s: the net has no convolution, so there are no filters to draw",
                    net->config->path);
        return 0;
    }
    const struct parameter *parameter = net_parameter(net, index, NULL);
    size_t bytes = (size_t)parameter_elements(parameter) * sizeof(float);
    float *values = malloc(bytes);
    if (!values)
        return error_no_memory("the filters", bytes);
    int rc = replica_read_parameter(replica, index, values);
    int in_colour = parameter->sizes[1] == 3;
    struct sheet sheet = {
        .values = values,
        .count = (int)(parameter->sizes[0] * (in_colour ? 1 : parameter->sizes[1])),
        .channels = in_colour ? 3 : 1,
        .h = (int)parameter->sizes[2],
        .w = (int)parameter->sizes[3],
    };
    lay_out(&sheet, FILTER_SIDE);
    if (rc == 0)
        rc = write_sheet(directory, "filters.png", &sheet);
    free(values);
    return rc;
}

/* ---- what a picture does to the layers ---- */

struct drawing {
    const struct net *net;
    const char *directory;
};

static int draw_layer(void *context, int layer, struct shape shape, const float *values) {
    enum { MAP_SIDE = 32, STRIP_COLUMNS = 64, STRIP_CELL = 8 };
    const struct drawing *drawing = context;
    char name[300];
    if (layer == NET_INPUT)
        return 0; /* drawn as it came */
    struct sheet sheet = {
        .values = values, .count = shape.c, .channels = 1, .h = shape.h, .w = shape.w};
    lay_out(&sheet, MAP_SIDE);
    if (shape.h == 1 && shape.w == 1) {
        sheet.columns = shape.c < STRIP_COLUMNS ? shape.c : STRIP_COLUMNS;
        sheet.gap = 0;
        sheet.enlarge = STRIP_CELL;
    }
    (void)snprintf(name, sizeof name, "%02d-%.250s.png", layer, drawing->net->nodes[layer].name);
    return write_sheet(drawing->directory, name, &sheet);
}

/* The part of the frame that the net sees. */
static int draw_input(const struct net *net, const struct batch *batch, const char *directory) {
    struct shape input = net->input, frame = net->frame;
    struct picture picture;
    char *path = path_join(directory, "input.png");
    if (!path)
        return error_no_memory("a path", strlen(directory));
    int rc = picture_create(&picture, input.w, input.h, input.c);
    if (rc == 0) {
        size_t row = (size_t)input.w * (size_t)input.c;
        for (int y = 0; y < input.h; y++) {
            size_t at =
                (size_t)(batch->views[0].y + y) * (size_t)frame.w + (size_t)batch->views[0].x;
            memcpy(picture.pixels + (size_t)y * row, batch->bytes + at * (size_t)frame.c, row);
        }
        rc = picture_write_png(path, &picture);
        picture_free(&picture);
    }
    free(path);
    return rc;
}

static int draw_batch(struct replica *replica, const struct batch *batch, const char *directory) {
    const struct net *net = replica_net(replica);
    struct step step = {.global_count = 1};
    struct samples samples = {
        .count = 1, .bytes = batch->bytes, .views = batch->views, .labels = batch->labels};
    struct drawing drawing = {.net = net, .directory = directory};
    TRY(draw_input(net, batch, directory));
    TRY(replica_forward(replica, &samples, &step));
    return replica_visit_outputs(replica, &step, draw_layer, &drawing);
}

static int draw_picture(struct replica *replica, const char *image, const char *directory) {
    const struct net *net = replica_net(replica);
    struct loader_options options = {.batch = 1, .limit = 1, .threads = 1, .augment = net->augment};
    struct paths paths = {0};
    struct dataset *data = NULL;
    struct loader *loader = NULL;
    const struct batch *batch;
    int rc;
    TRY_OR(done, paths_add(&paths, image));
    if (paths.count != 1) {
        rc = error_set(ERROR_INPUT, "--image: expected one picture, and %s names %lld", image,
                       (long long)paths.count);
        goto done;
    }
    TRY_OR(done, pictures_open(&data, &paths, net));
    TRY_OR(done, loader_create(&loader, data, &options));
    rc = loader_next(loader, &batch);
    if (rc > 0)
        rc = batch->count ? draw_batch(replica, batch, directory)
                          : error_set(ERROR_INPUT, "--image: %s cannot be decoded", image);
done:
    loader_free(loader);
    dataset_free(data);
    paths_free(&paths);
    return rc;
}

/* ---- the command ---- */

static int visualize(const struct job *job, const struct flags *flags, struct device *device) {
    struct replica_options options = {.truth_kind = TRUTH_LABELS, .is_apart = 1};
    struct replica *replica;
    TRY(replica_create(&replica, job->net, device, &options));
    int rc = job_load_weights(job, replica, flags->weights, NULL, 0);
    if (rc == 0)
        rc = directory_create(flags->output);
    if (rc == 0)
        rc = draw_filters(replica, flags->output);
    if (rc == 0 && flags->image)
        rc = draw_picture(replica, flags->image, flags->output);
    replica_free(replica);
    return rc;
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    struct job job = {0};
    struct device *device = NULL;
    int rc;
    TRY(arguments_parse(&arguments, command, &flags, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    if (!flags.weights)
        return error_set(ERROR_INPUT, "--weights: which weights to draw is missing");
    if (!flags.output)
        return error_set(ERROR_INPUT, "--output: the folder to write to is missing");
    flags.job.batch = flags.job.subdivisions = "1";
    TRY_OR(done, job_open(&job, command, &arguments, &flags.job));
    TRY_OR(done, open_device(&device, flags.devices));
    TRY_OR(done, visualize(&job, &flags, device));
    (void)printf("%s\n", flags.output);
done:
    device_close(device);
    job_close(&job);
    return rc;
}

const struct command command_visualize = {
    .name = "visualize",
    .usage = "CONFIG --weights FILE --output FOLDER [--image PICTURE] [--devices INDEX]\n"
             "                [--set section.key=value]...",
    .help = "Draws the first convolution's filters (filters.png) and, for a picture, what the net "
            "sees\n"
            "of it (input.png) and each layer's outputs (NN-name.png): a sheet of maps, from the\n"
            "layer's least value in black to its greatest in white.",
    .flags = flag_table,
    .run = run,
};
