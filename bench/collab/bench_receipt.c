/* Milliseconds per offline verification of a whole receipt, against the bare signature verifications in it: ten Ed25519 (four parties, request, statement,
 * two log signatures, two cosignatures), one P-384 (report) and three RSA-4096 (chain). The receipt is the one of the receipt's unit test. */
#define main receipt_tests
int receipt_tests(void);
#include "../../tests/collab/test_receipt.c"
#undef main

#include "os/clock.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

enum { ROUNDS = 200 };
static uint8_t message[1024];

typedef struct {
    EVP_PKEY *key;
    const EVP_MD *digest;
    uint8_t signature[1024];
    size_t size;
} signer;

static void signer_make(signer *s, EVP_PKEY *key, const EVP_MD *digest)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    *s = (signer){.key = key, .digest = digest, .size = sizeof s->signature};
    if (key == NULL || c == NULL || EVP_DigestSignInit(c, NULL, digest, NULL, key) != 1 ||
        EVP_DigestSign(c, s->signature, &s->size, message, sizeof message) != 1)
        exit(1);
    EVP_MD_CTX_free(c);
}

static void signer_verify(const signer *s, int times)
{
    for (int i = 0; i < times; i++) {
        EVP_MD_CTX *c = EVP_MD_CTX_new();
        if (c == NULL || EVP_DigestVerifyInit(c, NULL, s->digest, NULL, s->key) != 1 ||
            EVP_DigestVerify(c, s->signature, s->size, message, sizeof message) != 1)
            exit(1);
        EVP_MD_CTX_free(c);
    }
}

static double bare(void)
{
    static signer ed, ec, rsa;
    signer_make(&ed, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
    signer_make(&ec, EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"), EVP_sha384());
    signer_make(&rsa, EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)4096), EVP_sha384());
    uint64_t began = clo_os_now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        signer_verify(&ed, 10);
        signer_verify(&ec, 1);
        signer_verify(&rsa, 3);
    }
    return (double)(clo_os_now_ns() - began) / 1e6 / ROUNDS;
}

static double whole(void)
{
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 4 << 20);
    world_open(&w);
    world_run(&w);
    world_log(&w);
    expect_valid(&w);
    assert_ok(clo_collab_receipt_encode(&w.receipt, &file));
    uint64_t began = clo_os_now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 16 << 20);
        assert_ok(clo_collab_receipt_verify(&a, clo_buf_span(&file), &w.roots, &w.verdict));
        assert_true(w.verdict.valid);
    }
    double ms = (double)(clo_os_now_ns() - began) / 1e6 / ROUNDS;
    fixture_close(&w.f);
    return ms;
}

static void measure(void **state)
{
    (void)state;
    double ours = whole(), peer = bare();
    (void)printf("{\"name\":\"receipt-verify\",\"ours\":%.3f,\"peer\":%.3f,\"unit\":\"ms\",\"ratio\":%.3f}\n", ours, peer, ours / peer);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--test") == 0) return receipt_tests();
    const struct CMUnitTest tests[] = {cmocka_unit_test(measure)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
