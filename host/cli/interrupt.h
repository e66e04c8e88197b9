/* Signals that ask a training to end. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

/* From now on the first SIGINT or SIGTERM is only noted; the next one ends the process at once.
 * Signals that were ignored, as nohup does, stay so. */
void interrupt_catch(void);

/* The signal that came, or 0. */
int interrupt_signal(void);

#endif
