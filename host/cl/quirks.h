/* Device quirks: what is known of devices, drivers and platforms that no query tells. The one place
 * for it: a row says where it holds, what is done about it, and why; the rest of clnet asks for the
 * quirk, never for a name.
 *
 * What a query tells needs no row, and cl/device.h holds it: limits of work-groups, memory, pieces
 * and views, features, the width of vectors, whether a device works in the host's memory, whether
 * it can be split (Mesa 22.3 crashes when it is told to split what it says it cannot). Nor does
 * what is done for all devices because it costs nothing:
 *   - a marker is waited for, never clFinish, which in Mesa 22.3 returns at once when all was
 *     flushed (internal.h, queue_finish);
 *   - queues are flushed before another waits for them, and now and then while one is listened to
 *     (buffer.c, window.c, pulse.c);
 *   - a part of a device is not given back: a thread of PoCL 3.1 may still look at it after all
 *     that used it is released, and crash (device.c, take_part);
 *   - views of a buffer are released with it, the last made first: in another order NVIDIA's driver
 *     580 crashes where they overlap, and that they end within the buffer is checked, as it is not
 *     there (buffer.c);
 *   - memory is counted, as many drivers allocate at the first use and fail then, without a message
 *     (buffer.c);
 *   - a compiled program is asked for its kernels, and one that may have ended the process is not
 *     tried again (program.c, store.h);
 *   - CLBlast, before 1.6.1 not safe to call from several threads, is called by one (blas.c);
 *   - kernels need no extension: no fp16, no fp64, and sub-groups only where a device says that it
 *     has them (tiled.clh); they take no size_t, whose size differs (tests/cl/test_quirks.c), and
 *     no vector that is not aligned (Oclgrind reports those).
 */
#ifndef CL_QUIRKS_H
#define CL_QUIRKS_H

#include "cl/device.h"

enum quirk {
    QUIRK_SERIAL = 1 << 0,      /* no two threads may call it at once */
    QUIRK_SIMULATED = 1 << 1,   /* it checks each access, and so takes a thousand times as long */
    QUIRK_UNOPTIMISED = 1 << 2, /* its optimiser is to be kept off: -cl-opt-disable */
    QUIRK_NO_STANDARD = 1 << 3, /* its compiler knows no -cl-std=CL1.2 */
    QUIRK_ABORTS = 1 << 4,      /* a binary that is not its own ends the process */
    QUIRK_SLOW_LAUNCHES = 1 << 5,
    QUIRK_COUNTS_TWICE = 1 << 6, /* it tells up to twice a kernel's local memory */
    QUIRK_NO_CLOCK = 1 << 7,     /* it does not tell when commands ran */
};

struct quirk_row {
    const char *platform, *name, *driver, *version; /* how they begin; NULL: whatever they are */
    enum quirk quirk;
    const char *label;   /* for people and JSON: "serial" */
    const char *reason;  /* what the device does */
    const char *changes; /* what is done about it */
    const char *test;    /* "FOLDER/test_FILE TEST", which fails without that */
};

/* The table; it ends with a row without a label. */
extern const struct quirk_row quirk_rows[];

/* Whether a row holds for a device. */
int quirk_holds(const struct quirk_row *row, const struct device_info *info);

/* All that hold for a device, as bits: for device_info.quirks. */
unsigned quirks_find(const struct device_info *info);

#endif
