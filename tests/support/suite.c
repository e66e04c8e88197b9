#include "support/suite.h"

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *suite_name;
static int skipped;

void suite_skip(const char *function, const char *reason, ...) {
    /* check.h has a test's function end so. */
    const char *end = strstr(function, "_fn");
    va_list arguments;
    skipped++;
    (void)printf("skipped: %s %.*s: ", suite_name, end ? (int)(end - function) : INT_MAX, function);
    va_start(arguments, reason);
    (void)vprintf(reason, arguments);
    va_end(arguments);
    (void)putchar('\n');
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    (void)remove(path);
    return 0;
}

/* A cache directory of the program's own: what it keeps and finds is nothing of the user's. Drivers
 * keep theirs, without which every run would compile every kernel anew. Nothing is tuned unless a
 * test asks for it. */
static int move_cache(char *folder) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char kept[PATH_MAX], pocl[PATH_MAX + 16];
    (void)snprintf(kept, sizeof kept, "%s%s",
                   cache  ? cache
                   : home ? home
                          : "",
                   cache ? "" : "/.cache");
    (void)snprintf(pocl, sizeof pocl, "%s/pocl/kcache", kept);
    return mkdtemp(folder) && setenv("CLNET_TUNE", "off", 1) == 0 &&
           setenv("POCL_CACHE_DIR", pocl, 0) == 0 &&
           setenv("MESA_SHADER_CACHE_DIR", kept, 0) == 0 &&
           setenv("XDG_CACHE_HOME", folder, 1) == 0 && unsetenv("CLNET_STORE") == 0;
}

int suite_run(const char *name, TCase *tests) {
    char folder[] = "/tmp/clnet-cache-XXXXXX";
    if (!move_cache(folder))
        return EXIT_FAILURE;
    Suite *suite = suite_create(name);
    suite_name = name;
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner), run = srunner_ntests_run(runner);
    (void)printf("%s: %d passed, %d failed, %d skipped\n", name, run - failed - skipped, failed,
                 skipped);
    srunner_free(runner);
    (void)nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
