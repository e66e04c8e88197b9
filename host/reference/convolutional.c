#include "reference/reference.h"

#include <string.h>

/* A term of the sums: output (k, oy, ox) of picture n sees input (c, iy, ix) by a weight.
 *
 *   z_n,k,oy,ox = b_k + sum over c of the group, r, s of w_k,c,r,s x_n,c,iy,ix
 *   iy = oy stride - padding + r,  ix = ox stride - padding + s,  inside the picture only
 *
 * Both gradients are sums of the same terms: dx += w dz, dw += x dz. */
struct term {
    int64_t x, w, z; /* indices into the arrays */
};

typedef void visitor(void *context, struct term term);

static int64_t at(struct shape s, int n, int c, int h, int w) {
    return (((int64_t)n * s.c + c) * s.h + h) * s.w + w;
}

/* Visits the terms of one output. */
static void visit_output(const struct reference_conv *conv, int n, int k, int oy, int ox,
                         visitor *visit, void *context) {
    int c_group = conv->in.c / conv->groups, k_group = conv->out.c / conv->groups;
    int first = k / k_group * c_group;
    for (int c = 0; c < c_group; c++) {
        for (int r = 0; r < conv->size; r++) {
            for (int s = 0; s < conv->size; s++) {
                int iy = oy * conv->stride - conv->padding + r;
                int ix = ox * conv->stride - conv->padding + s;
                if (iy < 0 || iy >= conv->in.h || ix < 0 || ix >= conv->in.w)
                    continue;
                struct term term = {
                    .x = at(conv->in, n, first + c, iy, ix),
                    .w = (((int64_t)k * c_group + c) * conv->size + r) * conv->size + s,
                    .z = at(conv->out, n, k, oy, ox),
                };
                visit(context, term);
            }
        }
    }
}

static void visit_all(const struct reference_conv *conv, visitor *visit, void *context) {
    for (int n = 0; n < conv->n; n++) {
        for (int k = 0; k < conv->out.c; k++) {
            for (int oy = 0; oy < conv->out.h; oy++) {
                for (int ox = 0; ox < conv->out.w; ox++)
                    visit_output(conv, n, k, oy, ox, visit, context);
            }
        }
    }
}

struct arrays {
    double *out;
    const double *dz;
    const float *x, *w;
};

static void add_forward(void *context, struct term term) {
    struct arrays *a = context;
    a->out[term.z] += (double)a->w[term.w] * (double)a->x[term.x];
}

static void add_data(void *context, struct term term) {
    struct arrays *a = context;
    a->out[term.x] += (double)a->w[term.w] * a->dz[term.z];
}

static void add_filter(void *context, struct term term) {
    struct arrays *a = context;
    a->out[term.w] += (double)a->x[term.x] * a->dz[term.z];
}

void reference_conv_forward(double *z, const float *x, const float *w, const float *b,
                            const struct reference_conv *conv) {
    int64_t pixels = (int64_t)conv->out.h * conv->out.w;
    for (int64_t i = 0; i < conv->n * shape_elements(conv->out); i++)
        z[i] = (double)b[i / pixels % conv->out.c];
    visit_all(conv, add_forward, &(struct arrays){.out = z, .x = x, .w = w});
}

void reference_conv_backward_data(double *dx, const double *dz, const float *w,
                                  const struct reference_conv *conv) {
    memset(dx, 0, (size_t)(conv->n * shape_elements(conv->in)) * sizeof *dx);
    visit_all(conv, add_data, &(struct arrays){.out = dx, .dz = dz, .w = w});
}

void reference_conv_backward_filter(double *dw, const double *dz, const float *x,
                                    const struct reference_conv *conv) {
    visit_all(conv, add_filter, &(struct arrays){.out = dw, .dz = dz, .x = x});
}
