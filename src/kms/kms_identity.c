/* The secrets of the service and the file that they rest in. */
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include "os/file.h"
#include "wire/container.h"
#include <assert.h>

static const char identity_magic[8] = {'C', 'L', 'O', 'K', 'M', 'S', 'I', 'D'};
enum {
    IDENTITY_HEAD = CLO_CONTAINER_HEAD + 32 + 32 + 4,
    IDENTITY_KEK = 4 + 1 + 32,
    IDENTITY_MAX = IDENTITY_HEAD + KMS_KEKS_MAX * IDENTITY_KEK
};

clo_err kms_secrets_make(kms_secrets *s)
{
    clo_crypto_hpke_private sk = {.kem = 0};
    clo_crypto_hpke_public pk;
    CLO_TRY(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &sk, &pk));
    clo_key32_copy(&s->hpke, &sk.secret);
    clo_crypto_hpke_private_wipe(&sk);
    CLO_TRY(clo_crypto_random(s->nonce.b, sizeof s->nonce.b));
    CLO_TRY(clo_crypto_random(s->keks[0].key.b, sizeof s->keks[0].key.b));
    s->keks[0].version = 1;
    s->keks[0].state = CLO_KMS_KEY_ENABLED;
    s->kek_count = 1;
    return CLO_OK;
}

static void put_bytes(uint8_t **at, const void *from, size_t n)
{
    memcpy(*at, from, n);
    *at += n;
}

static void put_u32(uint8_t **at, uint32_t v)
{
    const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    put_bytes(at, b, sizeof b);
}

clo_err kms_secrets_write(const char *path, const kms_secrets *s, bool fresh)
{
    assert(s->kek_count <= KMS_KEKS_MAX);
    CLO_AUTO(clo_os_secret_free) clo_os_secret pages = {0};
    CLO_TRY(clo_os_secret_new(&pages, IDENTITY_MAX, false));
    uint8_t *start = pages.p, *at = start;
    put_bytes(&at, identity_magic, sizeof identity_magic);
    put_u32(&at, 1);
    put_u32(&at, 0);
    put_bytes(&at, s->hpke.b, sizeof s->hpke.b);
    put_bytes(&at, s->nonce.b, sizeof s->nonce.b);
    put_u32(&at, s->kek_count);
    for (uint32_t i = 0; i < s->kek_count; i++) {
        put_u32(&at, s->keks[i].version);
        put_bytes(&at, &s->keks[i].state, 1);
        put_bytes(&at, s->keks[i].key.b, sizeof s->keks[i].key.b);
    }
    clo_span bytes = clo_span_of(start, (size_t)(at - start));
    return fresh ? clo_os_file_write_new(path, bytes, 0600) : clo_os_file_write_atomic(path, bytes, 0600);
}

clo_err kms_secrets_parse(clo_span file, kms_secrets *s)
{
    uint32_t version = 0;
    clo_span body = {NULL, 0};
    CLO_TRY(clo_wire_container_open(file, identity_magic, 1, &version, &body));
    clo_rd r = clo_rd_init(body);
    clo_rd_copy(&r, s->hpke.b, sizeof s->hpke.b);
    clo_rd_copy(&r, s->nonce.b, sizeof s->nonce.b);
    uint32_t count = clo_rd_u32be(&r);
    CLO_CHECKF(count >= 1 && count <= KMS_KEKS_MAX, CLO_E_MALFORMED, "the number of key encryption keys is out of range");
    for (uint32_t i = 0; i < count; i++) {
        kms_kek *k = &s->keks[i];
        k->version = clo_rd_u32be(&r);
        k->state = clo_rd_u8(&r);
        clo_rd_copy(&r, k->key.b, sizeof k->key.b);
        bool state_known =
            k->state == CLO_KMS_KEY_ENABLED || k->state == CLO_KMS_KEY_DISABLED || k->state == CLO_KMS_KEY_DESTROYED;
        CLO_CHECKF(r.bad || (state_known && (i == 0 || k->version > s->keks[i - 1].version)), CLO_E_MALFORMED,
                   "key encryption key %u is out of order or in an unknown state", (unsigned)k->version);
    }
    CLO_TRY(clo_rd_end(&r));
    CLO_CHECKF(s->keks[count - 1].state == CLO_KMS_KEY_ENABLED, CLO_E_MALFORMED, "the newest key encryption key is not enabled");
    s->kek_count = count;
    return CLO_OK;
}

clo_err kms_secrets_read(const char *path, kms_secrets *s)
{
    CLO_AUTO(clo_os_secret_free) clo_os_secret pages = {0};
    CLO_TRY(clo_os_secret_new(&pages, IDENTITY_MAX, false));
    size_t n = 0;
    CLO_TRY(clo_os_file_read_secret(path, pages.p, pages.size, &n));
    clo_err e = kms_secrets_parse(clo_span_of(pages.p, n), s);
    if (clo_failed(e)) {
        clo_wipe(s, sizeof *s);
        return clo_err_prefix(e, path);
    }
    return CLO_OK;
}
