/* Texts that are embedded at build time from kernels_cl/. */
#ifndef CL_SOURCE_H
#define CL_SOURCE_H

struct kernel_source {
    const char *name; /* "conv_vector.cl" */
    const char *text; /* begins with a #line directive */
};

/* Ends with a row whose name is NULL. */
extern const struct kernel_source kernel_sources[];

/* What is known to suit devices, tunings.tsv: cl/tuning_file.h reads it. */
extern const char shipped_tunings[];

#endif
