/* Calls an approximation, in the candidate's process, or in the evaluator's for functions of the
   library. The source of the approximation follows the last line, so that it cannot change this. */

#include <stdint.h>

#define PLACES 0x7FFFFFu /* the last position of a float in its binade, from 0 */

/* Inlined, so that the compiler can vectorise the loops below. */
__attribute__((always_inline)) static inline float approximate(float x);

static inline float float_of(uint32_t bits)
{
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Set y to the values at `count` successive floats, from the bits `first` on. */
void harness_values(uint32_t first, uint32_t count, float *restrict y)
{
    for (uint32_t i = 0; i < count; i++)
        y[i] = approximate(float_of(first + i));
}

/* Return the sum of the bits of `count` values in one binade, whose first float has the bits
   `binade`. The secrets `start` and `stride` draw from its 2**23 floats. */
uint32_t harness_checksum(uint32_t binade, uint32_t start, uint32_t stride, uint32_t count)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += bits_of(approximate(float_of(binade + ((start + i * stride) >> 9))));
    return sum;
}

/* Set each of `count` outputs to the low 24 bits of a sum of the bits of `rounds` values, which a
   float holds exactly. The first value is at the position of x in the binade, the others follow at a
   secret stride, so that one input and one output stand for many values. */
void harness_fold(uint32_t binade, uint32_t rounds, uint32_t count, const float *restrict x,
                  const float *restrict secret, float *restrict out)
{
    uint32_t stride = 2 * (bits_of(*secret) & PLACES) + 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = bits_of(x[i]), sum = 0;
        for (uint32_t k = 0; k < rounds; k++)
            sum += bits_of(approximate(float_of(binade + ((place + k * stride) & PLACES))));
        out[i] = (float)(sum & 0xFFFFFFu);
    }
}
