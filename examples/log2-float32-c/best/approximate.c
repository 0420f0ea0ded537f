/* log2(x) for x in [1, 2], of floats. */
/* EVOLVE-BLOCK-START */
/* t + t (1 - t) p, with p of degree 9 through 10 points, of type float. */
static const float c[] = {
    0.33985f,
    -0.15281323f,
    0.07700392f,
    -0.041299157f,
    0.023056714f,
    -0.013217759f,
    0.007552463f,
    -0.0044875983f,
    0.0035123536f,
    -0.0021303843f,
};

float approximate(float x)
{
    float u = x - (float)1.5, t = x - (float)1, p = 0;
    for (int k = sizeof c / sizeof *c - 1; k >= 0; k--)
        p = p * u + c[k];
    return (float)(p * (t - t * t) + t);
}
/* EVOLVE-BLOCK-END */
