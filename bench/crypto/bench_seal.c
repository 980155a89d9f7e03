/* Sealing and opening the chunk stream against raw AES-256-GCM by OpenSSL over the same bytes in the same run. One JSON line per
 * figure. The two take turns and the best round of each counts, so that a busy machine disturbs both alike. */
#include "base/clo_err.h"
#include "crypto/hash.h"
#include "crypto/stream.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK = 64 * 1024, TAG = 16, CHUNKS = 512, ROUNDS = 12 };
static const size_t plain_size = (size_t)CHUNK * CHUNKS;
static uint8_t *plain, *sealed, *opened;

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(int good, const char *what)
{
    if (good) return;
    (void)fprintf(stderr, "bench_seal: %s failed: %s\n", what, clo_err_text());
    exit(1);
}

/* What OpenSSL itself does at best: one keyed context, a nonce per message of 64 KiB, no associated data. */
static void raw(EVP_CIPHER_CTX *ctx, int encrypt)
{
    for (size_t i = 0; i < CHUNKS; i++) {
        uint8_t nonce[12] = {0}, *body = sealed + i * (CHUNK + TAG);
        int n = 0;
        nonce[11] = (uint8_t)i;
        nonce[10] = (uint8_t)(i >> 8);
        must(EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, encrypt, NULL) == 1, "EVP nonce");
        if (encrypt) {
            must(EVP_CipherUpdate(ctx, body, &n, plain + i * CHUNK, CHUNK) == 1, "EVP seal");
            must(EVP_CipherFinal_ex(ctx, body + CHUNK, &n) == 1, "EVP final");
            must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, body + CHUNK) == 1, "EVP tag");
        } else {
            must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, body + CHUNK) == 1, "EVP tag");
            must(EVP_CipherUpdate(ctx, opened + i * CHUNK, &n, body, CHUNK) == 1, "EVP open");
            must(EVP_CipherFinal_ex(ctx, opened + i * CHUNK, &n) == 1, "EVP verify");
        }
    }
}

static void report(const char *name, double ours, double peer)
{
    double mega = (double)plain_size * 1e-6;
    (void)printf("{\"name\":\"%s\",\"ours\":%.1f,\"peer\":%.1f,\"unit\":\"MB/s\",\"ratio\":%.3f}\n", name, mega / ours,
                 mega / peer, peer / ours);
}

static double least(double a, double b) { return a < b ? a : b; }

int main(void)
{
    static const uint8_t key[32] = {3};
    clo_key32 dek = {{9}};
    clo_crypto_stream_info info = {.type = "dataset", .chunk_size = CHUNK, .plain_size = plain_size};
    uint8_t commitment[32];
    clo_crypto_stream *s = NULL;
    size_t sealed_size = plain_size + (size_t)CHUNKS * TAG;
    plain = malloc(plain_size);
    sealed = malloc(sealed_size);
    opened = malloc(plain_size);
    must(plain != NULL && sealed != NULL && opened != NULL, "memory");
    must(!clo_failed(clo_crypto_random(plain, plain_size)), "random");
    must(!clo_failed(clo_crypto_stream_new(&s, &dek, &info, commitment)), "stream");
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    must(ctx != NULL, "EVP context");

    double seal_raw = 1e9, open_raw = 1e9, seal[2] = {1e9, 1e9}, open[2] = {1e9, 1e9};
    for (int round = 0; round < ROUNDS; round++) {
        must(EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), key, NULL, 1, NULL) == 1, "EVP key");
        double t = now();
        raw(ctx, 1);
        seal_raw = least(seal_raw, now() - t);
        must(EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), key, NULL, 0, NULL) == 1, "EVP key");
        t = now();
        raw(ctx, 0);
        open_raw = least(open_raw, now() - t);
        for (unsigned threads = 1; threads <= 2; threads++) {
            t = now();
            must(!clo_failed(clo_crypto_stream_seal_many(s, 0, CHUNKS, clo_span_of(plain, plain_size), sealed, threads)), "seal");
            seal[threads - 1] = least(seal[threads - 1], now() - t);
            t = now();
            must(!clo_failed(clo_crypto_stream_open_many(s, 0, CHUNKS, clo_span_of(sealed, sealed_size), opened, threads)),
                 "open");
            open[threads - 1] = least(open[threads - 1], now() - t);
            must(memcmp(plain, opened, plain_size) == 0, "comparison");
        }
    }
    report("seal, 1 thread, against raw AES-256-GCM", seal[0], seal_raw);
    report("unseal, 1 thread, against raw AES-256-GCM", open[0], open_raw);
    report("seal, 2 threads, against raw AES-256-GCM on one", seal[1], seal_raw);
    report("unseal, 2 threads, against raw AES-256-GCM on one", open[1], open_raw);
    clo_crypto_stream_free(&s);
    EVP_CIPHER_CTX_free(ctx);
    free(plain);
    free(sealed);
    free(opened);
    return 0;
}
