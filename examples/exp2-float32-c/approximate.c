/* 2**x for x in [0, 1], of floats. */
/* EVOLVE-BLOCK-START */
/* The Taylor polynomial of degree 10 about 0, in double precision. */
static const double c[] = {
    1.0, 0.6931471805599453, 0.24022650695910072, 0.05550410866482158, 0.009618129107628477,
    0.0013333558146428443, 0.00015403530393381608, 1.5252733804059841e-05, 1.3215486790144307e-06,
    1.0178086009239699e-07, 7.054911620801122e-09,
};

float approximate(float x)
{
    double p = 0;
    for (int k = sizeof c / sizeof *c - 1; k >= 0; k--)
        p = p * x + c[k];
    return (float)p;
}
/* EVOLVE-BLOCK-END */
