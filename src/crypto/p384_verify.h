/* ECDSA verification on P-384 for public data, faster than OpenSSL 3.0's, whose P-384 goes through its generic big numbers.
 *
 * Why own code stands here: half of all evidence (SEV-SNP, Nitro, NVIDIA, CCA) is signed on this curve, and the library's verification was
 * what a verifier spent its time on. It only ever verifies: keys, digests and signatures are public, so nothing has to run in constant
 * time, and an error can at worst accept or refuse wrongly, against which stand Wycheproof's cases and millions of random ones compared with
 * OpenSSL's verdict. Signing and key generation stay OpenSSL's. */
#ifndef CLO_CRYPTO_P384_VERIFY_H
#define CLO_CRYPTO_P384_VERIFY_H
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/** Does this CPU have what the code needs (BMI2 and ADX)? Where not, OpenSSL verifies. */
bool clo_crypto_p384_available(void);
/**
 * Is the signature valid? FIPS 186-5 §6.4.2.
 *
 * @param point   uncompressed public key 04 ‖ x ‖ y; refused where it is not on the curve.
 * @param digest  the leftmost 384 bits of the hash, big-endian.
 * @param rs      r ‖ s, big-endian; refused outside 1..n-1.
 * No allocation. For any number of threads. Call it only where it is available.
 */
bool clo_crypto_p384_verify(const uint8_t point[97], const uint8_t digest[48], const uint8_t rs[96]);

#ifdef __cplusplus
}
#endif
#endif
