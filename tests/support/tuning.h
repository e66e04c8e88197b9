/* Changing a kernel's specification, to show that its tuning changes nothing but speed. */
#ifndef SUPPORT_TUNING_H
#define SUPPORT_TUNING_H

#include "cl/kernel.h"

/* Gives a macro that the specification has another value. */
void redefine(struct kernel_spec *spec, const char *name, long value);

/* Gives it the geometry of another, and that one's macros, which it must have. */
void retune_as(struct kernel_spec *spec, const struct kernel_spec *other);

/* Blocks that cover a size. */
size_t blocks(int size, int block);

#endif
