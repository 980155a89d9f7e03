/* Start-up: OpenSSL without any configuration file, and the algorithms fetched once for all threads. */
#include "crypto/crypto_int.h"
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>

enum { MD_COUNT = 6, CIPHER_COUNT = 4 };

static struct {
    EVP_MD *md[MD_COUNT];
    EVP_CIPHER *cipher[CIPHER_COUNT];
    EVP_MAC *mac;
    bool ready;
} algorithms;

static void algorithms_fetch(void)
{
    /* A configuration file or OPENSSL_CONF could swap algorithms behind our back: what the host can write is not read. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1) return;
    static const char *const md_names[MD_COUNT] = {"SHA2-256", "SHA2-384", "SHA2-512", "SHA2-224", "SHA2-512/256", "SHA1"};
    static const char *const cipher_names[CIPHER_COUNT] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305", "AES-192-GCM"};
    bool ok = true;
    for (size_t i = 0; i < MD_COUNT; i++) {
        algorithms.md[i] = EVP_MD_fetch(NULL, md_names[i], NULL);
        ok = ok && algorithms.md[i] != NULL;
    }
    for (size_t i = 0; i < CIPHER_COUNT; i++) {
        algorithms.cipher[i] = EVP_CIPHER_fetch(NULL, cipher_names[i], NULL);
        ok = ok && algorithms.cipher[i] != NULL;
    }
    algorithms.mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    algorithms.ready = ok && algorithms.mac != NULL;
}

static bool algorithms_ready(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    return pthread_once(&once, algorithms_fetch) == 0 && algorithms.ready;
}

const EVP_MD *clo_crypto_md(clo_crypto_hash_alg alg)
{
    return algorithms_ready() && (unsigned)alg < MD_COUNT ? algorithms.md[alg] : NULL;
}

const EVP_CIPHER *clo_crypto_cipher(clo_crypto_aead_alg alg)
{
    return algorithms_ready() && (unsigned)alg < CIPHER_COUNT ? algorithms.cipher[alg] : NULL;
}

EVP_MAC *clo_crypto_mac(void) { return algorithms_ready() ? algorithms.mac : NULL; }

clo_err clo_crypto_fail(uint32_t code, const char *sentence)
{
    ERR_clear_error();
    return CLO_FAILF(code, "%s", sentence);
}

clo_err clo_crypto_init_quick(void)
{
    if (!algorithms_ready())
        return clo_crypto_fail(CLO_E_IO, "OpenSSL lacks an algorithm we need; install libssl3 (3.0 or later)");
    return CLO_OK;
}

clo_err clo_crypto_init(void)
{
    uint8_t byte = 0;
    CLO_TRY(clo_crypto_init_quick());
    return clo_crypto_random(&byte, 1);
}

clo_err clo_crypto_reseed(void)
{
    CLO_TRY(clo_crypto_init_quick());
    EVP_RAND_CTX *generators[] = {RAND_get0_primary(NULL), RAND_get0_public(NULL), RAND_get0_private(NULL)};
    for (size_t i = 0; i < sizeof generators / sizeof generators[0]; i++)
        if (generators[i] == NULL || EVP_RAND_reseed(generators[i], 1, NULL, 0, NULL, 0) != 1)
            return clo_crypto_fail(CLO_E_RNG, "the random generator could not be seeded afresh");
    return CLO_OK;
}

clo_err clo_crypto_random(void *to, size_t n)
{
    uint8_t *p = to;
    (void)algorithms_ready();
    for (size_t done = 0; done < n;) {
        size_t part = n - done < ((size_t)1 << 20) ? n - done : (size_t)1 << 20;
        if (RAND_priv_bytes(p + done, (int)part) != 1) {
            clo_wipe(to, n);
            return clo_crypto_fail(CLO_E_RNG, "the random generator failed; nothing was made with it");
        }
        done += part;
    }
    return CLO_OK;
}
