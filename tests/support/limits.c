#include "support/limits.h"

#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>

static const char variable[] = "CLNET_DEVICE_LIMITS";

/* Of all tests: what the program was started with. */
static const char *common(void) {
    static char text[512];
    static int is_known;
    const char *given = getenv(variable);
    if (!is_known && given)
        ck_assert_int_lt(snprintf(text, sizeof text, "%s", given), (int)sizeof text);
    is_known = 1;
    return text;
}

void test_limits(const char *limits) {
    char text[1024];
    (void)snprintf(text, sizeof text, "%s%s%s", common(), *common() && limits ? "," : "",
                   limits ? limits : "");
    ck_assert_int_eq(*text ? setenv(variable, text, 1) : unsetenv(variable), 0);
}
