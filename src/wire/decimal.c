/* Decimal text to numbers, fast where it is short.
 *
 * A decimal m * 10^e with m <= 2^53 and |e| <= 22 has both factors exact in a double, so that one multiplication or division
 * rounds correctly (Clinger 1990, "How to read floating point numbers accurately"). Everything else goes to clo_f64_parse. */
#include "base/clo_text.h"
#include "wire/table_int.h"

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { DIGITS_SAFE = 18 }; /* 10^18 < 2^63 */

static bool is_digit(uint8_t c) { return (uint8_t)(c - '0') <= 9; }

static size_t exponent_read(const uint8_t *p, const uint8_t *end, int *exponent)
{
    const uint8_t *at = p;
    if (at == end || (*at != 'e' && *at != 'E')) return 0;
    at++;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    if (at == end || !is_digit(*at)) return 0;
    int v = 0;
    for (; at < end && is_digit(*at); at++)
        if (v < 10000) v = v * 10 + (*at - '0');
    *exponent = negative ? -v : v;
    return (size_t)(at - p);
}

size_t clo_wire_decimal_read(clo_span text, double *out)
{
    const uint8_t *p = text.p, *end = text.p + text.n;
    bool negative = p < end && *p == '-';
    if (negative) p++;
    if (p == end || !is_digit(*p)) return 0;
    const uint8_t *digits = p;
    uint64_t m = 0;
    for (; p < end && is_digit(*p); p++) m = m * 10 + (uint64_t)(*p - '0');
    if (*digits == '0' && p - digits > 1) return 0;
    size_t count = (size_t)(p - digits);
    int scale = 0;
    if (p < end && *p == '.') {
        const uint8_t *fraction = ++p;
        for (; p < end && is_digit(*p); p++) m = m * 10 + (uint64_t)(*p - '0');
        if (p == fraction) return 0;
        count += (size_t)(p - fraction);
        scale = count > DIGITS_SAFE + 1 ? 0 : -(int)(p - fraction);
    }
    int exponent = 0;
    p += exponent_read(p, end, &exponent);
    exponent += scale;
    size_t length = (size_t)(p - text.p);
    if (count <= DIGITS_SAFE && m <= UINT64_C(1) << 53 && exponent >= -22 && exponent <= 22) {
        double v = (double)m;
        v = exponent < 0 ? v / powers[-exponent] : v * powers[exponent];
        *out = negative ? -v : v;
        return length;
    }
    double v = 0;
    if (clo_failed(clo_f64_parse(&v, clo_span_of(text.p, length)))) return 0;
    *out = v;
    return length;
}

size_t clo_wire_integer_read(clo_span text, int64_t *out)
{
    const uint8_t *p = text.p, *end = text.p + text.n;
    bool negative = p < end && *p == '-';
    if (negative) p++;
    const uint8_t *digits = p;
    uint64_t m = 0;
    for (; p < end && is_digit(*p) && p - digits <= DIGITS_SAFE; p++) m = m * 10 + (uint64_t)(*p - '0');
    size_t count = (size_t)(p - digits);
    if (count == 0 || (p < end && is_digit(*p)) || (*digits == '0' && (count > 1 || negative))) return 0;
    if (m > (uint64_t)INT64_MAX + (negative ? 1u : 0u)) return 0;
    *out = negative ? (int64_t)(0 - m) : (int64_t)m;
    return (size_t)(p - text.p);
}
