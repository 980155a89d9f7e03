/* SIGSTRUCT (Intel SDM volume 3D, 38.13), little-endian; checked as EINIT does, with the quotients that it carries: no division is needed. */
#include "base/clo_rd.h"
#include "crypto/hash.h"
#include "tee/measure_int.h"

enum { KEY = 384, LIMBS = KEY / 4, MODULUS_AT = 128, EXPONENT_AT = 512, SIGNATURE_AT = 516, BODY_AT = 900, BODY = 128, Q1_AT = 1040, Q2_AT = 1424 };

typedef struct {
    uint32_t w[LIMBS];
} number;
typedef struct {
    uint32_t w[2 * LIMBS];
} wide;

static void number_take(number *n, const uint8_t *bytes)
{
    for (size_t i = 0; i < LIMBS; i++)
        n->w[i] = (uint32_t)bytes[4 * i] | (uint32_t)bytes[4 * i + 1] << 8 | (uint32_t)bytes[4 * i + 2] << 16 | (uint32_t)bytes[4 * i + 3] << 24;
}

static void multiply(wide *out, const number *a, const number *b)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < LIMBS; i++) {
        uint64_t carry = 0;
        for (size_t k = 0; k < LIMBS; k++) {
            carry += (uint64_t)a->w[i] * b->w[k] + out->w[i + k];
            out->w[i + k] = (uint32_t)carry;
            carry >>= 32;
        }
        out->w[i + LIMBS] = (uint32_t)carry;
    }
}

/* a -= b; false where b is the larger. */
static bool subtract(wide *a, const wide *b)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < 2 * LIMBS; i++) {
        uint64_t d = (uint64_t)a->w[i] - b->w[i] - borrow;
        a->w[i] = (uint32_t)d;
        borrow = d >> 63;
    }
    return borrow == 0;
}

static bool below(const wide *a, const number *b)
{
    for (size_t i = LIMBS; i < 2 * LIMBS; i++) {
        if (a->w[i] != 0) return false;
    }
    for (size_t i = LIMBS; i-- > 0;) {
        if (a->w[i] != b->w[i]) return a->w[i] < b->w[i];
    }
    return false;
}

/* *out = a * b mod n, by the quotient that is claimed for it. */
static bool reduce(number *out, const number *a, const number *b, const number *quotient, const number *n)
{
    wide product, multiple;
    multiply(&product, a, b);
    multiply(&multiple, quotient, n);
    if (!subtract(&product, &multiple) || !below(&product, n)) return false;
    memcpy(out->w, product.w, sizeof out->w);
    return true;
}

/* PKCS #1 v1.5 padding of a SHA-256, least significant byte first. */
static bool padding_holds(const number *em, const uint8_t digest[32])
{
    static const uint8_t info[19] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    uint8_t wanted[KEY]; /* most significant first */
    memset(wanted, 0xff, sizeof wanted);
    wanted[0] = 0;
    wanted[1] = 1;
    wanted[KEY - 32 - sizeof info - 1] = 0;
    memcpy(wanted + KEY - 32 - sizeof info, info, sizeof info);
    memcpy(wanted + KEY - 32, digest, 32);
    for (size_t i = 0; i < KEY; i++) {
        if ((uint8_t)(em->w[i / 4] >> (8 * (i % 4))) != wanted[KEY - 1 - i]) return false;
    }
    return true;
}

static clo_err signature_check(clo_span bytes)
{
    number n, s, q1, q2, square, em;
    uint8_t message[2 * 128], digest[32];
    number_take(&n, bytes.p + MODULUS_AT);
    number_take(&s, bytes.p + SIGNATURE_AT);
    number_take(&q1, bytes.p + Q1_AT);
    number_take(&q2, bytes.p + Q2_AT);
    memcpy(message, bytes.p, 128);
    memcpy(message + 128, bytes.p + BODY_AT, BODY);
    CLO_TRY(clo_crypto_sha256(clo_span_of(message, sizeof message), digest));
    bool holds = reduce(&square, &s, &s, &q1, &n) && reduce(&em, &square, &s, &q2, &n) && padding_holds(&em, digest);
    CLO_CHECKF(holds, CLO_E_BAD_SIGNATURE, "the enclave's signature does not hold");
    return CLO_OK;
}

CLO_R clo_tee_sigstruct_parse(clo_span bytes, clo_tee_sigstruct *out)
{
    static const uint8_t header[16] = {6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1}, header2[16] = {1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1};
    CLO_CHECKF(bytes.n == SIGSTRUCT_SIZE, CLO_E_TRUNCATED, "a SIGSTRUCT has %d bytes, not %zu", (int)SIGSTRUCT_SIZE, bytes.n);
    clo_rd r = clo_rd_init(clo_span_of(bytes.p + EXPONENT_AT, 4));
    uint32_t exponent = clo_rd_u32le(&r);
    CLO_CHECKF(memcmp(bytes.p, header, 16) == 0 && memcmp(bytes.p + 24, header2, 16) == 0 && exponent == 3, CLO_E_MALFORMED, "this is no SIGSTRUCT");
    CLO_TRY(signature_check(bytes));
    clo_tee_sigstruct s = {.date = 0};
    r = clo_rd_init(clo_span_of(bytes.p + 20, 4));
    s.date = clo_rd_u32le(&r);
    r = clo_rd_init(clo_span_of(bytes.p + 928, 8));
    s.attributes = clo_rd_u64le(&r);
    r = clo_rd_init(clo_span_of(bytes.p + 1024, 4));
    s.product = clo_rd_u16le(&r);
    s.security_version = clo_rd_u16le(&r);
    memcpy(s.mrenclave, bytes.p + 960, 32);
    CLO_TRY(clo_crypto_sha256(clo_span_of(bytes.p + MODULUS_AT, KEY), s.mrsigner));
    *out = s;
    return CLO_OK;
}
