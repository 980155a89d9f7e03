#include "crypto/p384_scalar.h"
#include <string.h>

__extension__ typedef unsigned __int128 wide;

/* SEC 2, §2.5.1. */
static const uint64_t order[6] = {0xecec196accc52973, 0x581a0db248b0a77a, 0xc7634d81f4372ddf, UINT64_MAX, UINT64_MAX, UINT64_MAX};
/* -1/n mod 2^64, and R² mod n for R = 2^384. */
static const uint64_t order_negated_inverse = 0x6ed46089e88fdc45;
static const uint64_t order_r_squared[6] = {0x2d319b2419b409a9, 0xff3d81e5df1aa419, 0xbc3e483afcb82947, 0xd40d49174aab1cc5, 0x3fb05b7a28266895, 0x0c84ee012b39bf21};

void clo_crypto_p384_limbs(uint64_t to[6], const uint8_t from[48])
{
    for (int i = 0; i < 6; i++) {
        uint64_t limb = 0;
        for (int k = 0; k < 8; k++) limb = limb << 8 | from[(5 - i) * 8 + k];
        to[i] = limb;
    }
}

static bool is_zero(const uint64_t a[6]) { return (a[0] | a[1] | a[2] | a[3] | a[4] | a[5]) == 0; }

static bool below(const uint64_t a[6], const uint64_t b[6])
{
    for (int i = 5; i >= 0; i--) {
        if (a[i] != b[i]) return a[i] < b[i];
    }
    return false;
}

/* to = a + b; the carry. */
static uint64_t add(uint64_t to[6], const uint64_t a[6], const uint64_t b[6])
{
    uint64_t carry = 0;
    for (int i = 0; i < 6; i++) {
        wide sum = (wide)a[i] + b[i] + carry;
        to[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    return carry;
}

/* to = a - b; the borrow. */
static uint64_t subtract(uint64_t to[6], const uint64_t a[6], const uint64_t b[6])
{
    uint64_t borrow = 0;
    for (int i = 0; i < 6; i++) {
        wide difference = (wide)a[i] - b[i] - borrow;
        to[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return borrow;
}

bool clo_crypto_p384_scalar_usable(const uint64_t a[6]) { return !is_zero(a) && below(a, order); }

bool clo_crypto_p384_add_order(uint64_t to[6], const uint64_t a[6]) { return add(to, a, order) == 0; }

/* a * b / R mod n, for b < n. */
static void montgomery(uint64_t to[6], const uint64_t a[6], const uint64_t b[6])
{
    uint64_t t[8] = {0};
    for (int i = 0; i < 6; i++) {
        wide sum = 0;
        for (int k = 0; k < 6; k++) {
            sum = (wide)a[i] * b[k] + t[k] + (uint64_t)(sum >> 64);
            t[k] = (uint64_t)sum;
        }
        sum = (wide)t[6] + (uint64_t)(sum >> 64);
        t[6] = (uint64_t)sum;
        t[7] = (uint64_t)(sum >> 64);
        uint64_t q = t[0] * order_negated_inverse;
        sum = (wide)q * order[0] + t[0];
        for (int k = 1; k < 6; k++) {
            sum = (wide)q * order[k] + t[k] + (uint64_t)(sum >> 64);
            t[k - 1] = (uint64_t)sum;
        }
        sum = (wide)t[6] + (uint64_t)(sum >> 64);
        t[5] = (uint64_t)sum;
        t[6] = t[7] + (uint64_t)(sum >> 64);
    }
    if (t[6] != 0 || !below(t, order)) (void)subtract(t, t, order);
    memcpy(to, t, 6 * sizeof to[0]);
}

void clo_crypto_p384_scalar_mul(uint64_t to[6], const uint64_t a[6], const uint64_t b[6])
{
    uint64_t t[6];
    montgomery(t, a, b);
    montgomery(to, t, order_r_squared);
}

/* a >> bits, 1..63. */
static void shift(uint64_t a[6], unsigned bits)
{
    for (int i = 0; i < 5; i++) a[i] = a[i] >> bits | a[i + 1] << (64 - bits);
    a[5] >>= bits;
}

/* u / 2^bits mod n, 1..63, u < n: add the multiple of n that clears the lowest bits, then shift. The result is below n again. */
static void halve(uint64_t u[6], unsigned bits)
{
    uint64_t m = (u[0] * order_negated_inverse) & ((1ull << bits) - 1);
    wide sum = 0;
    for (int i = 0; i < 6; i++) {
        sum = (wide)m * order[i] + u[i] + (uint64_t)(sum >> 64);
        u[i] = (uint64_t)sum;
    }
    uint64_t top = (uint64_t)(sum >> 64);
    shift(u, bits);
    u[5] |= top << (64 - bits);
}

/* Binary extended Euclid: a ≡ u s and b ≡ v s modulo n throughout; both odd before each subtraction. */
void clo_crypto_p384_invert(uint64_t to[6], const uint64_t s[6])
{
    uint64_t first[6], second[6], of_first[6] = {1}, of_second[6] = {0};
    uint64_t *a = first, *b = second, *u = of_first, *v = of_second;
    memcpy(a, s, sizeof first);
    memcpy(b, order, sizeof second);
    while (!is_zero(a)) {
        while ((a[0] & 1) == 0) {
            unsigned bits = a[0] == 0 ? 63 : (unsigned)__builtin_ctzll(a[0]);
            shift(a, bits);
            halve(u, bits);
        }
        if (below(a, b)) {
            uint64_t *t = a;
            a = b;
            b = t;
            t = u;
            u = v;
            v = t;
        }
        (void)subtract(a, a, b);
        if (subtract(u, u, v) != 0) (void)add(u, u, order);
    }
    memcpy(to, v, 6 * sizeof to[0]); /* b = gcd(s, n) = 1 */
}

void clo_crypto_p384_digits(int8_t to[CLO_P384_DIGITS], const uint64_t a[6], unsigned width)
{
    memset(to, 0, CLO_P384_DIGITS);
    unsigned carry = 0;
    for (unsigned i = 0; i < CLO_P384_DIGITS;) {
        unsigned limb = i / 64, at = i % 64;
        uint64_t bits = limb < 6 ? a[limb] >> at : 0;
        if (at != 0 && limb + 1 < 6) bits |= a[limb + 1] << (64 - at);
        if (((bits ^ carry) & 1) == 0) {
            i++;
            continue;
        }
        /* Odd with the carry: take `width` bits, as a number around zero; what is taken too much is carried on. */
        int digit = (int)((bits & ((1u << width) - 1)) + carry);
        carry = digit >= 1 << (width - 1) ? 1 : 0;
        to[i] = (int8_t)(digit - (carry != 0 ? 1 << width : 0));
        i += width;
    }
}
