/* Errors of values, in the evaluator's own process. */

#include <math.h>
#include <stdint.h>

#define BLOCK 4096

static inline double double_of(uint64_t bits)
{
    double x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

/* Return |y - exact| over the distance of neighbouring floats in the binade of `exact`; the result
   is not finite if y is not. */
static inline double ulps(float y, double exact)
{
    uint64_t bits;
    __builtin_memcpy(&bits, &exact, sizeof bits);
    int64_t exponent = (int64_t)(bits >> 52 & 2047);
    exponent = exponent < 897 ? 897 : exponent; /* 2**-126: below, floats are evenly spaced */
    double over_unit = double_of((uint64_t)(2046 + 23 - exponent) << 52);
    return fabs((double)y - exact) * over_unit;
}

/* Return the largest error of `count` values in ULP, set *where to its index, and add to *nearest
   the number of values that are the float nearest to the exact value, or equally near. */
double yardstick_worst(uint32_t count, const float *restrict y, const double *restrict exact,
                       uint32_t *where, uint64_t *nearest)
{
    double worst = -1.0;
    for (uint32_t start = 0; start < count; start += BLOCK) {
        uint32_t end = count - start < BLOCK ? count : start + BLOCK;
        uint32_t within = 0, near = 0;
        for (uint32_t i = start; i < end; i++) {
            double error = ulps(y[i], exact[i]);
            within += error <= worst;
            near += error <= 0.5;
        }
        *nearest += near;
        if (within == end - start)
            continue;
        for (uint32_t i = start; i < end; i++) {
            double error = ulps(y[i], exact[i]);
            if (!(error <= worst)) {
                worst = error;
                *where = i;
                if (!(error < INFINITY))
                    return error;
            }
        }
    }
    return worst;
}

/* Return the result of harness_checksum, from the known values at all floats of the binade. */
uint32_t yardstick_checksum(const uint32_t *values, uint32_t start, uint32_t stride, uint32_t count)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += values[(start + i * stride) >> 9];
    return sum;
}
