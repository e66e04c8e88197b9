#include "cli/share.h"

#include "base/error.h"
#include "cl/tuning_file.h"

#include <stdio.h>
#include <stdlib.h>

/* Devices that are open at a time. */
struct opened {
    struct device **devices;
    int count;
};

static void close_devices(struct opened *opened) {
    for (int i = 0; opened->devices && i < opened->count; i++)
        device_close(opened->devices[i]);
    free(opened->devices);
}

static int open_devices(struct opened *opened, const char *list) {
    struct device_choice *choices;
    *opened = (struct opened){0};
    TRY(devices_choose(&choices, &opened->count, list));
    opened->devices = calloc((size_t)opened->count, sizeof(struct device *));
    int rc = opened->devices ? devices_open(opened->devices, choices, opened->count, 0)
                             : error_no_memory("the devices", 0);
    free(choices);
    return rc;
}

int share_export(const char *path, const char *list) {
    struct opened opened;
    int rc = open_devices(&opened, list);
    if (rc == 0)
        rc = tuning_file_save(path, opened.devices, opened.count, ORIGIN_IMPORTED);
    if (rc >= 0)
        (void)printf("%s: %d tuning%s of %d device%s\n", path, rc, rc == 1 ? "" : "s", opened.count,
                     opened.count == 1 ? "" : "s");
    close_devices(&opened);
    return rc < 0 ? rc : 0;
}

static int import_into(const struct tuning_file *file, const struct opened *opened) {
    for (int i = 0; i < opened->count; i++) {
        const struct device_info *info = device_info(opened->devices[i]);
        struct tuning_import done;
        TRY(tuning_file_import(file, opened->devices[i], &done));
        (void)printf("device %d: %s (%s): %d imported", info->index, info->name, info->platform,
                     done.imported);
        if (done.found_here)
            (void)printf("; %d left out, as others were found here", done.found_here);
        if (done.other_sources)
            (void)printf("; %d left out, as the kernels' texts are others here",
                         done.other_sources);
        (void)printf("\n");
    }
    return 0;
}

/* Rows that hold on none of the devices. */
static int count_others(const struct tuning_file *file, const struct opened *opened) {
    int others = 0;
    for (int r = 0; r < file->count; r++) {
        int i = 0;
        while (i < opened->count &&
               !tuning_row_is_of(&file->rows[r], device_info(opened->devices[i])))
            i++;
        others += i == opened->count;
    }
    return others;
}

int share_import(const char *path, const char *list) {
    struct tuning_file file;
    struct opened opened = {0};
    int rc = tuning_file_read(&file, path);
    if (rc == 0)
        rc = open_devices(&opened, list);
    if (rc == 0)
        rc = import_into(&file, &opened);
    if (rc == 0)
        (void)printf("%s: %d tunings, %d of them of other devices\n", path, file.count,
                     count_others(&file, &opened));
    close_devices(&opened);
    tuning_file_free(&file);
    return rc;
}
