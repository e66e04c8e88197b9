/* What is known of devices from one run to the next: programs as their drivers compiled them, and
 * tunings. A SQLite database in the user's cache directory, or where CLNET_STORE says.
 *
 * Any number of processes and threads may use it at once, each with a store of its own. It is a
 * help, and never a reason to fail: where it cannot be read nothing is found, where it cannot be
 * written nothing is kept, and a damaged one is begun anew.
 */
#ifndef CL_STORE_H
#define CL_STORE_H

#include "cl/tuning.h"

#include <stddef.h>

/* Bytes of programs that are kept; those that were not used for longest go first. */
enum { STORE_PROGRAM_BYTES = 256 << 20 };

struct store;

/* Opens the database at the path, or the user's own with NULL. NULL: there is none to be had; the
 * functions below accept that. Free with store_close. */
struct store *store_open(const char *path);

void store_close(struct store *store);

/* Keeps so many bytes of programs instead. */
void store_set_limit(struct store *store, size_t bytes);

/* The program kept under a key, in new memory that the caller frees; NULL: there is none. Say with
 * store_prove_program that the driver took it: one that was handed out before and of which that was
 * never said may have ended the process (Mesa 22.3 aborts at what it does not know), and is dropped
 * instead. */
unsigned char *store_find_program(struct store *store, const char *key, size_t *bytes);

void store_prove_program(struct store *store, const char *key);

/* Keeps a program in the place of what the key had. */
void store_keep_program(struct store *store, const char *key, const unsigned char *program,
                        size_t bytes);

/* Forgets a program: it was of no use. */
void store_drop_program(struct store *store, const char *key);

/* Keeps a tuning of a device, which device_key names with its driver, in the place of what there
 * was for its kernel and problem. Returns whether it is kept. */
int store_keep_tuning(struct store *store, const char *device, const struct tuning *tuning);

/* Adds all tunings of a device to the table. */
int store_find_tunings(struct store *store, const char *device, struct tunings *tunings);

#endif
