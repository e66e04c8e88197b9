#include "train/collective.h"

#include "base/barrier.h"
#include "base/error.h"
#include "base/progress.h"
#include "cl/window.h"
#include "layers/part.h"
#include "train/sum.h"

#include <stdlib.h>
#include <string.h>

/* A buffer that a device has met with, or shown, before. */
struct pane {
    struct pane *next;
    struct buffer *buffer;
    struct window *window;
    struct mark complete, returned;
};

struct seat {
    struct device *device;
    struct pane *panes;
    struct mark wanted, fetched; /* the beginning and the end of the last fetching */
    int is_alone;                /* another has given up */
    struct trace *trace;         /* NULL: none */
    int row;
};

struct collective {
    int count, copies;
    struct seat *seats;
    float **values; /* [count], of the buffers that are met with */
    float **shown;  /* [count], NULL: nothing */
    struct barrier barrier;
};

int collective_create(struct collective **out, struct device *const *devices, int count,
                      int copies) {
    struct collective *collective = calloc(1, sizeof *collective);
    if (!collective)
        return error_no_memory("what devices do together", sizeof *collective);
    barrier_init(&collective->barrier, count);
    collective->copies = copies;
    collective->seats = calloc((size_t)count, sizeof *collective->seats);
    collective->values = calloc((size_t)count, sizeof(float *));
    collective->shown = calloc((size_t)count, sizeof(float *));
    collective->count = collective->seats && collective->values && collective->shown ? count : 0;
    if (collective->count == 0) {
        collective_free(collective);
        return error_no_memory("what devices do together", (size_t)count);
    }
    for (int i = 0; i < count; i++)
        collective->seats[i].device = devices[i];
    *out = collective;
    return 0;
}

static void free_pane(struct pane *pane) {
    window_free(pane->window);
    mark_free(&pane->complete);
    mark_free(&pane->returned);
    free(pane);
}

static void free_seat(struct seat *seat) {
    while (seat->panes) {
        struct pane *pane = seat->panes;
        seat->panes = pane->next;
        free_pane(pane);
    }
    mark_free(&seat->wanted);
    mark_free(&seat->fetched);
}

void collective_free(struct collective *collective) {
    if (!collective)
        return;
    error_hold(); /* one may still read what another shows */
    for (int i = 0; i < collective->count; i++)
        (void)mark_wait(collective->seats[i].device, &collective->seats[i].fetched);
    error_release();
    for (int i = 0; i < collective->count; i++)
        free_seat(&collective->seats[i]);
    barrier_destroy(&collective->barrier);
    free(collective->seats);
    free(collective->values);
    free(collective->shown);
    free(collective);
}

static int find_pane(struct pane **out, struct collective *collective, int rank,
                     struct buffer *buffer, int copies) {
    struct seat *seat = &collective->seats[rank];
    for (*out = seat->panes; *out; *out = (*out)->next) {
        if ((*out)->buffer == buffer)
            return 0;
    }
    struct pane *pane = calloc(1, sizeof *pane);
    if (!pane)
        return error_no_memory("what devices do together", sizeof *pane);
    int rc = window_create(&pane->window, buffer, copies);
    if (rc < 0) {
        free_pane(pane);
        return rc;
    }
    pane->buffer = buffer;
    pane->next = seat->panes;
    *out = seat->panes = pane;
    return 0;
}

void collective_trace(struct collective *collective, int rank, struct trace *trace, int row) {
    collective->seats[rank].trace = trace;
    collective->seats[rank].row = row;
}

static void show(const struct seat *seat, const char *what, double start) {
    if (seat->trace)
        trace_span(seat->trace, seat->row, what, start, clock_seconds());
}

/* Waits for the others. */
static void join(struct collective *collective, struct seat *seat) {
    double start = clock_seconds();
    seat->is_alone = !barrier_wait(&collective->barrier);
    show(seat, "wait for the others", start);
}

/* Shows the buffer to the others, once all kernels before are done, and waits for theirs. Returns 1
 * when all have met, 0 when one has given up: then the buffer stays with the host, where another
 * may still work on it. */
static int meet(struct collective *collective, int rank, struct buffer *buffer,
                struct pane **pane) {
    struct seat *seat = &collective->seats[rank];
    void *values;
    if (seat->is_alone)
        return 0;
    TRY(find_pane(pane, collective, rank, buffer, collective->copies));
    TRY(device_mark(seat->device, &(*pane)->complete));
    TRY(window_open((*pane)->window, &(*pane)->complete));
    TRY(window_wait((*pane)->window, &values));
    collective->values[rank] = values;
    join(collective, seat);
    return !seat->is_alone;
}

/* Waits until nobody works on the buffer any more, and gives it back to the device. */
static int part(struct collective *collective, int rank, struct pane *pane) {
    struct seat *seat = &collective->seats[rank];
    join(collective, seat);
    if (seat->is_alone)
        return 0;
    TRY(window_close(pane->window, &pane->returned));
    return device_wait_for(seat->device, &pane->returned);
}

int collective_sum(struct collective *collective, int rank, struct buffer *buffer, size_t floats) {
    struct pane *pane;
    int have_met = meet(collective, rank, buffer, &pane);
    if (have_met <= 0)
        return have_met;
    double start = clock_seconds();
    sum_share(collective->values, collective->count, rank, floats);
    show(&collective->seats[rank], "sum of gradients", start);
    return part(collective, rank, pane);
}

/* Copies the rows of one rank to another. */
static void copy_rows(const struct collective *collective, int to, int from, int tiles, int rows,
                      int tile) {
    size_t first = (size_t)part_first(rows, from, collective->count);
    size_t end = (size_t)part_first(rows, from + 1, collective->count);
    for (int t = 0; t < tiles; t++) {
        size_t at = ((size_t)t * (size_t)rows + first) * (size_t)tile;
        memcpy(collective->values[to] + at, collective->values[from] + at,
               (end - first) * (size_t)tile * sizeof(float));
    }
}

int collective_gather(struct collective *collective, int rank, struct buffer *buffer, int tiles,
                      int rows, int tile) {
    struct pane *pane;
    int have_met = meet(collective, rank, buffer, &pane);
    if (have_met <= 0)
        return have_met;
    double start = clock_seconds();
    for (int from = 0; from < collective->count; from++) {
        if (from != rank)
            copy_rows(collective, rank, from, tiles, rows, tile);
    }
    show(&collective->seats[rank], "gather of activations", start);
    return part(collective, rank, pane);
}

/* ---- showing and fetching ---- */

/* Reads the buffer into memory of the host. */
static int look(struct collective *collective, int rank, struct buffer *buffer) {
    struct pane *pane;
    void *values;
    TRY(find_pane(&pane, collective, rank, buffer, 1));
    TRY(device_mark(collective->seats[rank].device, &pane->complete));
    TRY(window_open(pane->window, &pane->complete));
    TRY(window_wait(pane->window, &values));
    window_leave(pane->window);
    collective->shown[rank] = values;
    return 0;
}

int collective_show(struct collective *collective, int rank, struct buffer *buffer) {
    struct seat *seat = &collective->seats[rank];
    if (seat->is_alone)
        return 0;
    TRY(mark_wait(seat->device, &seat->fetched));
    join(collective, seat);
    if (seat->is_alone) /* another may still fetch what was shown */
        return 0;
    if (buffer)
        TRY(look(collective, rank, buffer));
    join(collective, seat);
    return 0;
}

int collective_fetch(struct collective *collective, int rank, struct buffer *buffer, int root) {
    struct seat *seat = &collective->seats[rank];
    if (seat->is_alone)
        return 0;
    TRY(device_mark(seat->device, &seat->wanted));
    return buffer_transfer(buffer, buffer_bytes(buffer), collective->shown[root], &seat->wanted,
                           &seat->fetched);
}

int collective_await(struct collective *collective, int rank) {
    struct seat *seat = &collective->seats[rank];
    return device_wait_for(seat->device, &seat->fetched);
}

void collective_abort(struct collective *collective) {
    barrier_break(&collective->barrier);
}
