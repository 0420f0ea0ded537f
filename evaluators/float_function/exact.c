/* What is exact: in the evaluator's own process. It is compiled with -ffast-math, for the C library's
   functions of several doubles at once, after a line that defines EXACT(x), an expression of the
   double x. Their errors, a few units of a double, are some 1e-8 of a float's. */

#include <math.h>
#include <stdint.h>

/* Set y to the function at `count` floats, one after the other, from that with the bits `first`. */
void exact_of_floats(uint32_t first, uint32_t count, double *restrict y)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits = first + i;
        float narrow;
        __builtin_memcpy(&narrow, &bits, sizeof narrow);
        double x = narrow;
        y[i] = EXACT(x);
    }
}

/* Set y to the function at `count` arguments. */
void exact_at(uint32_t count, const double *restrict arguments, double *restrict y)
{
    for (uint32_t i = 0; i < count; i++) {
        double x = arguments[i];
        y[i] = EXACT(x);
    }
}
