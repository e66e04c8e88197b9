#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;

static const int signals[] = {SIGINT, SIGTERM};

enum { SIGNALS = sizeof signals / sizeof *signals };

static void on_signal(int number) {
    caught = number;
    for (int i = 0; i < SIGNALS; i++)
        (void)signal(signals[i], SIG_DFL);
}

void interrupt_catch(void) {
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
        (void)sigemptyset(&action.sa_mask);
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            (void)sigaction(signals[i], &action, NULL);
    }
    /* A limit on the size of files is a reason to tell, as a full disk is, not to die of. */
    (void)signal(SIGXFSZ, SIG_IGN);
}

int interrupt_signal(void) {
    return caught;
}
