/* Exact values, in the evaluator's own process. A line before this file defines EXACT(x), an
   expression of the double x. -ffast-math lets gcc use the C library's vector functions; their
   errors, a few units of a double, are about 1e-8 units of a float. */

#include <math.h>
#include <stdint.h>

/* Set y to the function at `count` successive floats, from the bits `first` on. */
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
