#include "reference/reference.h"

/* C_ij = sum over p of op(A)_ip op(B)_pj */
void reference_gemm(double *c, const float *a, const float *b, int m, int n, int k, int transpose_a,
                    int transpose_b) {
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int p = 0; p < k; p++)
                sum += (double)(transpose_a ? a[p * m + i] : a[i * k + p]) *
                       (double)(transpose_b ? b[j * k + p] : b[p * n + j]);
            c[i * n + j] = sum;
        }
    }
}
