/* Numbers modulo n, the order of P-384, for public data only. Six 64-bit limbs, least significant first. */
#ifndef CLO_CRYPTO_P384_SCALAR_H
#define CLO_CRYPTO_P384_SCALAR_H
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_P384_DIGITS = 385 };

/** 48 big-endian bytes. */
void clo_crypto_p384_limbs(uint64_t to[6], const uint8_t from[48]);
/** 1 <= a < n? */
bool clo_crypto_p384_scalar_usable(const uint64_t a[6]);
/** a + n; false where it has more than 384 bits. */
bool clo_crypto_p384_add_order(uint64_t to[6], const uint64_t a[6]);
/** a * b mod n, for any a and for b < n. */
void clo_crypto_p384_scalar_mul(uint64_t to[6], const uint64_t a[6], const uint64_t b[6]);
/** 1/a mod n, 0 < a < n. */
void clo_crypto_p384_invert(uint64_t to[6], const uint64_t a[6]);
/** Non-adjacent form of this width (2..8), least significant digit first: digits are 0 or odd and below 2^(width-1), a < 2^384. */
void clo_crypto_p384_digits(int8_t to[CLO_P384_DIGITS], const uint64_t a[6], unsigned width);

#ifdef __cplusplus
}
#endif
#endif
