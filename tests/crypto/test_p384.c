/* Proves the product's own verification on P-384: its field arithmetic against plain long multiplication at every extreme limb and at random;
 * its scalars by their identities; every Wycheproof case of the curve; and random signatures, valid and with bits flipped in key, digest,
 * r or s, against OpenSSL's verdict. CLOISTER_P384_CASES=1000000 makes the last part the long run (ten minutes); CLOISTER_SEED fixes it. */
#include "../../tools/vectors/vectors.h"
#include "crypto/p384_field.h"
#include "crypto/p384_scalar.h"
#include "crypto/p384_verify.h"
#include "crypto/verify_key.h"
#include "crypto_test.h"

#include <time.h>
#include <unistd.h>

__extension__ typedef unsigned __int128 wide;

static uint64_t seed;

/* splitmix64 */
static uint64_t next(void)
{
    uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int start(void **state)
{
    (void)state;
    const char *fixed = getenv("CLOISTER_SEED");
    seed = fixed != NULL ? strtoull(fixed, NULL, 10) : (uint64_t)time(NULL) * 65537u + (uint64_t)getpid();
    (void)fprintf(stderr, "# CLOISTER_SEED=%llu\n", (unsigned long long)seed);
    return 0;
}

#define NEEDS_CPU "this CPU lacks BMI2 or ADX; OpenSSL verifies here"

#if defined(__x86_64__)

static const uint64_t prime[6] = {0x00000000ffffffff, 0xffffffff00000000, 0xfffffffffffffffe, UINT64_MAX, UINT64_MAX, UINT64_MAX};

static bool at_least(const uint64_t *a, const uint64_t *b, size_t n)
{
    for (size_t i = n; i-- > 0;)
        if (a[i] != b[i]) return a[i] > b[i];
    return true;
}

static uint64_t take(uint64_t *a, const uint64_t *b, size_t n)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < n; i++) {
        wide d = (wide)a[i] - b[i] - borrow;
        a[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
    return borrow;
}

/* a mod p, bit by bit from the top: slow and plain. */
static void reduce(uint64_t to[6], const uint64_t *a, size_t n)
{
    uint64_t r[7] = {0}, p[7] = {0};
    memcpy(p, prime, sizeof prime);
    for (size_t i = n * 64; i-- > 0;) {
        for (size_t k = 6; k > 0; k--) r[k] = r[k] << 1 | r[k - 1] >> 63;
        r[0] = r[0] << 1 | ((a[i / 64] >> (i % 64)) & 1);
        if (at_least(r, p, 7)) (void)take(r, p, 7);
    }
    memcpy(to, r, 6 * sizeof to[0]);
}

static void product(uint64_t to[6], const uint64_t a[6], const uint64_t b[6])
{
    uint64_t t[12] = {0};
    for (size_t i = 0; i < 6; i++) {
        uint64_t carry = 0;
        for (size_t k = 0; k < 6; k++) {
            wide s = (wide)a[i] * b[k] + t[i + k] + carry;
            t[i + k] = (uint64_t)s;
            carry = (uint64_t)(s >> 64);
        }
        t[i + 6] = carry;
    }
    reduce(to, t, 12);
}

/* All of the field's functions for one pair, also in place. */
static void check_pair(const p384_fe *a, const p384_fe *b)
{
    static const uint64_t r[7] = {0, 0, 0, 0, 0, 0, 1};
    uint64_t r_mod[6], want[6], back[6], sum[7] = {0}, carry = 0;
    p384_fe got = *a, again = *b;
    reduce(r_mod, r, 7);
    product(want, a->v, b->v);
    p384_mul(&got, &got, b);
    p384_mul(&again, a, &again);
    assert_memory_equal(&got, &again, sizeof got);
    product(back, got.v, r_mod); /* times R again */
    assert_memory_equal(back, want, sizeof want);
    assert_false(at_least(got.v, prime, 6));
    product(want, a->v, a->v);
    got = *a;
    p384_sqr(&got, &got);
    product(back, got.v, r_mod);
    assert_memory_equal(back, want, sizeof want);
    assert_false(at_least(got.v, prime, 6));
    for (size_t i = 0; i < 6; i++) {
        wide s = (wide)a->v[i] + b->v[i] + carry;
        sum[i] = (uint64_t)s;
        carry = (uint64_t)(s >> 64);
    }
    sum[6] = carry;
    reduce(want, sum, 7);
    got = *a;
    p384_add(&got, &got, b);
    assert_memory_equal(got.v, want, sizeof want);
    p384_sub(&got, &got, b);
    assert_memory_equal(got.v, a->v, sizeof want);
    p384_sub(&got, a, b);
    p384_add(&got, &got, b);
    assert_memory_equal(got.v, a->v, sizeof want);
}

static p384_fe element(unsigned kind)
{
    static const uint64_t extremes[] = {0, 1, UINT32_MAX, UINT64_C(0xffffffff00000000), UINT64_C(0xffffffff00000001), UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX};
    p384_fe e;
    for (size_t i = 0; i < 6; i++) e.v[i] = kind == 0 ? next() : extremes[next() % (sizeof extremes / sizeof extremes[0])];
    if (at_least(e.v, prime, 6)) (void)take(e.v, prime, 6);
    return e;
}

static void field(void **state)
{
    (void)state;
    if (!clo_crypto_p384_available()) skip_because(NEEDS_CPU);
    p384_fe edges[5] = {{{0}}, {{1}}, {{0}}, {{0}}, {{0}}};
    memcpy(edges[2].v, prime, sizeof prime);
    edges[2].v[0] -= 1; /* p - 1 */
    memcpy(edges[3].v, prime, sizeof prime);
    edges[3].v[0] -= 2;
    edges[4] = (p384_fe){{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX - 1}};
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < 5; k++) check_pair(&edges[i], &edges[k]);
    for (unsigned i = 0; i < 3000; i++) {
        p384_fe a = element(i % 4), b = element(i % 3);
        check_pair(&a, &b);
    }
}

#else

static void field(void **state)
{
    (void)state;
    skip_because(NEEDS_CPU);
}

#endif

static void scalars(void **state)
{
    (void)state;
    static const uint64_t one[6] = {1};
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t a[6], w[6], product[6];
        int8_t digits[CLO_P384_DIGITS];
        for (size_t k = 0; k < 6; k++) a[k] = i % 3 == 0 ? next() : next() & (UINT64_MAX << (next() % 64));
        a[5] >>= i % 64;
        if (i < 64) memset(a, 0, sizeof a);
        if (i < 64) a[i / 11] = (uint64_t)1 << i;
        if (!clo_crypto_p384_scalar_usable(a)) continue;
        clo_crypto_p384_invert(w, a);
        assert_true(clo_crypto_p384_scalar_usable(w));
        clo_crypto_p384_scalar_mul(product, a, w);
        assert_memory_equal(product, one, sizeof one);
        for (unsigned width = 2; width <= 8; width++) {
            uint64_t sum[7] = {0};
            clo_crypto_p384_digits(digits, a, width);
            for (int k = CLO_P384_DIGITS - 1; k >= 0; k--) {
                for (size_t l = 6; l > 0; l--) sum[l] = sum[l] << 1 | sum[l - 1] >> 63;
                sum[0] <<= 1;
                int64_t d = digits[k];
                assert_true(d == 0 || ((d & 1) != 0 && d < (1 << (width - 1)) && d > -(1 << (width - 1))));
                wide carry = 0;
                for (size_t l = 0; l < 7; l++) {
                    carry = (wide)sum[l] + (uint64_t)(l == 0 ? d : d >> 63) + carry;
                    sum[l] = (uint64_t)carry;
                    carry >>= 64;
                }
            }
            assert_memory_equal(sum, a, sizeof a);
            assert_true(sum[6] == 0);
        }
    }
    uint64_t order[6] = {0xecec196accc52973, 0x581a0db248b0a77a, 0xc7634d81f4372ddf, UINT64_MAX, UINT64_MAX, UINT64_MAX}, sum[6];
    assert_false(clo_crypto_p384_scalar_usable(order));
    assert_false(clo_crypto_p384_add_order(sum, order));
    assert_true(clo_crypto_p384_add_order(sum, one));
    order[0] -= 1;
    assert_true(clo_crypto_p384_scalar_usable(order));
    memset(order, 0, sizeof order);
    assert_false(clo_crypto_p384_scalar_usable(order));
}

/* Every case by the own code. */
static void wycheproof(void **state)
{
    (void)state;
    const char *shared = getenv("CLOISTER_SHARED");
    char dir[512];
    (void)snprintf(dir, sizeof dir, "%s/vectors/wycheproof", shared != NULL ? shared : "../shared");
    if (access(dir, R_OK) != 0) skip_because("the published vectors are not beside the project (../shared/vectors)");
    if (!clo_crypto_p384_available()) skip_because(NEEDS_CPU);
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)256 << 20);
    clo_wire_node *root = NULL;
    unsigned valid = 0, invalid = 0;
    assert_ok(clo_vectors_json(&a, dir, "ecdsa_secp384r1_sha384_p1363_test.json", &root));
    for (const clo_wire_node *group = clo_wire_get(root, "testGroups")->first; group != NULL; group = group->next) {
        clo_span point = {NULL, 0}, message = {NULL, 0}, signature = {NULL, 0};
        clo_crypto_public_key pk = {.alg = CLO_SIGN_ES384};
        assert_ok(clo_vectors_hex(&a, clo_wire_get(group, "publicKey"), "uncompressed", &point, NULL));
        assert_int_equal(point.n, 97);
        memcpy(pk.bytes, point.p, 97);
        pk.n = 97;
        for (const clo_wire_node *test = clo_wire_get(group, "tests")->first; test != NULL; test = test->next) {
            assert_ok(clo_vectors_hex(&a, test, "msg", &message, NULL));
            assert_ok(clo_vectors_hex(&a, test, "sig", &signature, NULL));
            const char *result = clo_vectors_text(test, "result");
            bool accepted = !clo_failed(clo_crypto_verify_public(&pk, message, signature));
            if (accepted != (strcmp(result, "valid") == 0)) fail_msg("case %lld: %s", (long long)clo_vectors_int(test, "tcId", 0), result);
            valid += accepted;
            invalid += !accepted;
        }
    }
    assert_true(valid > 50 && invalid > 50);
}

/* One signature, then the same with a flipped bit somewhere: the own verdict is OpenSSL's. */
static void against_openssl(void **state)
{
    (void)state;
    if (!clo_crypto_p384_available()) skip_because(NEEDS_CPU);
    const char *wanted = getenv("CLOISTER_P384_CASES");
    unsigned long cases = wanted != NULL ? strtoul(wanted, NULL, 10) : 600, accepted = 0;
    clo_crypto_private_key sk;
    clo_crypto_public_key pk;
    uint8_t message[40], signature[96];
    for (unsigned long i = 0; i < cases; i++) {
        if (i % 256 == 0) assert_ok(clo_crypto_sign_generate(CLO_SIGN_ES384, &sk, &pk));
        if (i % 8 == 0) {
            for (size_t k = 0; k < sizeof message; k += 8) {
                uint64_t v = next();
                memcpy(message + k, &v, 8);
            }
            assert_ok(clo_crypto_sign(&sk, clo_span_of(message, sizeof message), signature));
        }
        clo_crypto_public_key key = pk;
        uint8_t altered[96], m[40];
        memcpy(altered, signature, 96);
        memcpy(m, message, sizeof m);
        uint64_t dice = next();
        switch (i % 8) {
        case 0:
        case 1:
            break; /* as it is; the second time from other memory */
        case 2:
        case 3:
            altered[dice % 96] ^= (uint8_t)(1u << (dice >> 32) % 8);
            break;
        case 4:
            m[dice % sizeof m] ^= (uint8_t)(1u << (dice >> 32) % 8);
            break;
        case 5:
            key.bytes[1 + dice % 96] ^= (uint8_t)(1u << (dice >> 32) % 8); /* nearly always off the curve */
            break;
        case 6:
            memset(altered + 48 * (dice % 2), (dice & 4) != 0 ? 0xff : 0, 48 - (dice >> 32) % 49); /* zero, beyond the order, small */
            break;
        default: {
            /* n - s: the other signature of the same message */
            static const uint8_t n[48] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
                                          0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};
            int borrow = 0;
            for (size_t k = 48; k-- > 0;) {
                int d = (int)n[k] - (int)signature[48 + k] - borrow;
                borrow = d < 0;
                altered[48 + k] = (uint8_t)d;
            }
            break;
        }
        }
        bool theirs = !clo_failed(clo_crypto_verify(&key, clo_span_of(m, sizeof m), clo_span_of(altered, 96)));
        bool ours = !clo_failed(clo_crypto_verify_public(&key, clo_span_of(m, sizeof m), clo_span_of(altered, 96)));
        if (ours != theirs) fail_msg("case %lu: OpenSSL %s, own %s", i, theirs ? "accepts" : "refuses", ours ? "accepts" : "refuses");
        accepted += ours;
    }
    assert_true(accepted >= cases / 8 * 3);
    clo_crypto_private_key_wipe(&sk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(field),
        cmocka_unit_test(scalars),
        cmocka_unit_test(wycheproof),
        cmocka_unit_test(against_openssl),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
