/* log2(x) for x in [1, 2], of floats. */
/* EVOLVE-BLOCK-START */
/* t + t (1 - t) p, with p the Taylor polynomial of degree 14 about 1.5, in double precision. */
static const double c[] = {
    0.33985000288462475, -0.1528132242960976, 0.07700441963719809, -0.041299300783812186,
    0.02304088034850332, -0.013209577428427904, 0.007725951556890588, -0.004588269806784369,
    0.0027579496151881235, -0.0016740530864712666, 0.0010243827763527689, -0.0006311119310973539,
    0.00039108085192969506, -0.0002435552607085666, 0.00015234235877349268,
};

float approximate(float x)
{
    double u = x - 1.5, t = x - 1.0, p = 0;
    for (int k = sizeof c / sizeof *c - 1; k >= 0; k--)
        p = p * u + c[k];
    return (float)(p * (t - t * t) + t);
}
/* EVOLVE-BLOCK-END */
