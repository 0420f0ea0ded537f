// c = a b, where a is m x k, b is k x n and c is m x n, all row by row.
// EVOLVE-BLOCK-START
void multiply(int m, int k, int n, const double *a, const double *b, double *c) {
    for (int i = 0; i < m * n; i++) c[i] = 0;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            for (int l = 0; l < k; l++)
                c[i * n + j] += a[i * k + l] * b[l * n + j];
}
// EVOLVE-BLOCK-END
