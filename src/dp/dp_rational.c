#include "dp/rational.h"

#include <assert.h>
#include <stdio.h>

__extension__ typedef unsigned __int128 u128;

static uint64_t gcd64(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

static u128 gcd128(u128 a, u128 b)
{
    while (b != 0) {
        u128 t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* num/den in lowest terms where that fits; den is not 0. */
static clo_err reduce(u128 num, u128 den, clo_dp_rational *out)
{
    u128 g = gcd128(num, den);
    num /= g;
    den /= g;
    CLO_CHECKF(num <= UINT64_MAX && den <= UINT64_MAX, CLO_E_OVERFLOW,
               "the exact amount does not fit in 64 bits; use amounts with at most 9 decimals");
    *out = (clo_dp_rational){(uint64_t)num, (uint64_t)den};
    return CLO_OK;
}

clo_dp_rational clo_dp_rational_zero(void) { return (clo_dp_rational){0, 1}; }

clo_err clo_dp_rational_make(uint64_t num, uint64_t den, clo_dp_rational *out)
{
    CLO_CHECKF(den != 0, CLO_E_RANGE, "an amount has the denominator 0");
    uint64_t g = gcd64(num, den);
    *out = (clo_dp_rational){num / g, den / g};
    return CLO_OK;
}

bool clo_dp_rational_valid(clo_dp_rational r) { return r.den != 0 && gcd64(r.num, r.den) == 1; }

bool clo_dp_rational_is_zero(clo_dp_rational r) { return r.num == 0; }

int clo_dp_rational_compare(clo_dp_rational a, clo_dp_rational b)
{
    assert(a.den != 0);
    assert(b.den != 0);
    u128 left = (u128)a.num * b.den;
    u128 right = (u128)b.num * a.den;
    return (left > right) - (left < right);
}

/* Operands come from other modules' structs: one that was never made is refused, not computed with. */
static clo_err check(clo_dp_rational a, clo_dp_rational b)
{
    CLO_CHECKF(clo_dp_rational_valid(a) && clo_dp_rational_valid(b), CLO_E_RANGE, "an amount is not a fraction in lowest terms");
    return CLO_OK;
}

/* The two operands over their least common denominator. */
static clo_err common(clo_dp_rational a, clo_dp_rational b, u128 *left, u128 *right, u128 *den)
{
    CLO_TRY(check(a, b));
    uint64_t g = gcd64(a.den, b.den);
    *left = (u128)a.num * (b.den / g);
    *right = (u128)b.num * (a.den / g);
    *den = (u128)a.den * (b.den / g);
    return CLO_OK;
}

clo_err clo_dp_rational_add(clo_dp_rational a, clo_dp_rational b, clo_dp_rational *out)
{
    u128 left = 0, right = 0, den = 1, sum = 0;
    CLO_TRY(common(a, b, &left, &right, &den));
    CLO_CHECKF(!__builtin_add_overflow(left, right, &sum), CLO_E_OVERFLOW, "the sum of two amounts does not fit");
    return reduce(sum, den, out);
}

clo_err clo_dp_rational_sub(clo_dp_rational a, clo_dp_rational b, clo_dp_rational *out)
{
    u128 left = 0, right = 0, den = 1;
    CLO_TRY(common(a, b, &left, &right, &den));
    CLO_CHECKF(left >= right, CLO_E_RANGE, "a larger amount is taken from a smaller one");
    return reduce(left - right, den, out);
}

clo_err clo_dp_rational_times(clo_dp_rational a, uint64_t k, clo_dp_rational *out)
{
    CLO_TRY(check(a, a));
    return reduce((u128)a.num * k, a.den, out);
}

clo_err clo_dp_rational_divide(clo_dp_rational a, uint64_t k, clo_dp_rational *out)
{
    CLO_TRY(check(a, a));
    CLO_CHECKF(k != 0, CLO_E_RANGE, "an amount is divided by 0");
    return reduce(a.num, (u128)a.den * k, out);
}

clo_err clo_dp_rational_multiply(clo_dp_rational a, clo_dp_rational b, clo_dp_rational *out)
{
    CLO_TRY(check(a, b));
    return reduce((u128)a.num * b.num, (u128)a.den * b.den, out);
}

/* Digits from text[*at]; at least one. */
static clo_err digits(clo_span text, size_t *at, uint64_t *value, size_t *count)
{
    uint64_t v = 0;
    size_t start = *at;
    while (*at < text.n && text.p[*at] >= '0' && text.p[*at] <= '9') {
        uint64_t digit = (uint64_t)(text.p[*at] - '0');
        CLO_CHECKF(!__builtin_mul_overflow(v, (uint64_t)10, &v) && !__builtin_add_overflow(v, digit, &v), CLO_E_OVERFLOW,
                   "the number of an amount does not fit in 64 bits");
        (*at)++;
    }
    CLO_CHECKF(*at > start, CLO_E_MALFORMED, "an amount must be a number such as 0.25, 3 or 1/8");
    *value = v;
    *count = *at - start;
    return CLO_OK;
}

clo_err clo_dp_rational_parse(clo_span text, clo_dp_rational *out)
{
    enum { FRACTION_MAX = 9 };
    size_t at = 0, count = 0;
    uint64_t num = 0, den = 1;
    CLO_TRY(digits(text, &at, &num, &count));
    if (at < text.n && text.p[at] == '/') {
        at++;
        CLO_TRY(digits(text, &at, &den, &count));
    } else if (at < text.n && text.p[at] == '.') {
        uint64_t fraction = 0;
        at++;
        CLO_TRY(digits(text, &at, &fraction, &count));
        CLO_CHECKF(count <= FRACTION_MAX, CLO_E_MALFORMED, "an amount has more than 9 digits after the point");
        for (size_t i = 0; i < count; i++) den *= 10;
        CLO_CHECKF(!__builtin_mul_overflow(num, den, &num) && !__builtin_add_overflow(num, fraction, &num), CLO_E_OVERFLOW,
                   "the number of an amount does not fit in 64 bits");
    }
    CLO_CHECKF(at == text.n, CLO_E_MALFORMED, "an amount must be a number such as 0.25, 3 or 1/8");
    return clo_dp_rational_make(num, den, out);
}

void clo_dp_rational_format(char to[CLO_DP_RATIONAL_TEXT], clo_dp_rational r)
{
    if (r.den == 1)
        (void)snprintf(to, CLO_DP_RATIONAL_TEXT, "%llu", (unsigned long long)r.num);
    else
        (void)snprintf(to, CLO_DP_RATIONAL_TEXT, "%llu/%llu", (unsigned long long)r.num, (unsigned long long)r.den);
}

double clo_dp_rational_double(clo_dp_rational r) { return (double)r.num / (double)r.den; }
