/* Proves that sealing and opening an output, and the transport of a data key to a key service, do not branch or index by data key, output key,
 * the service's private key or the sealed content. The leak: a table that is indexed by a byte of the opened content. */
#include "../crypto/ct_test.h"
#include "collab/key_import.h"
#include "collab/run.h"
#include "crypto/hash.h"
#include "crypto/hpke.h"
#include <string.h>
#if !defined(PLANT_LEAK)
#define PLANT_LEAK 0
#endif

static int output_differs(void)
{
    static const uint8_t run_id[16] = {1}, agreement[32] = {2};
    uint8_t content[3000];
    clo_key32 key;
    clo_collab_output_head head;
    clo_buf file, plain;
    clo_buf_init(&file, 1 << 20);
    clo_buf_init(&plain, 1 << 20);
    memset(content, 0x5a, sizeof content);
    CLO_CT_SECRET(content, sizeof content);
    ct_must(clo_collab_output_seal(run_id, agreement, clo_span_of(content, sizeof content), &key, &file));
    CLO_CT_PUBLIC(file.p, file.len); /* the operator stores it */
    CLO_CT_SECRET(&key, sizeof key);
    ct_must(clo_collab_output_open(clo_buf_span(&file), &key, &head, &plain));
    if (PLANT_LEAK) {
        static const char *const table[2] = {"even", "odd"};
        const char *const volatile *looked_up = &table[plain.p[0] & 1];
        ct_observe(*looked_up);
    }
    int differ = plain.len != sizeof content || clo_ct_declassify(clo_ct_differ(plain.p, content, sizeof content));
    clo_key32_wipe(&key);
    clo_buf_free(&file);
    clo_buf_free(&plain);
    return differ;
}

static int import_differs(void)
{
    static const uint8_t manifest[] = "not read here";
    static const clo_collab_manifest m = {.id = {7}, .version = {8}};
    clo_crypto_hpke_private service;
    clo_crypto_hpke_public service_public;
    clo_key32 dek, same;
    clo_buf message;
    clo_arena a;
    clo_span bytes, sealed;
    uint8_t rows[32] = {5};
    clo_arena_init(&a, 1 << 20);
    clo_buf_init(&message, 1 << 20);
    ct_must(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &service, &service_public));
    ct_must(clo_crypto_random(dek.b, sizeof dek.b));
    CLO_CT_SECRET(&dek, sizeof dek);
    CLO_CT_SECRET(&service.secret, sizeof service.secret);
    ct_must(clo_collab_key_import_make(clo_span_of(manifest, sizeof manifest), &m, rows, &dek, service_public.bytes, &message));
    CLO_CT_PUBLIC(message.p, message.len); /* it travels */
    ct_must(clo_collab_key_import_decode(&a, clo_buf_span(&message), &bytes, rows, &sealed));
    ct_must(clo_collab_key_import_open(&m, sealed, &service.secret, &same));
    int differ = clo_ct_declassify(clo_ct_differ(&dek, &same, sizeof dek));
    clo_crypto_hpke_private_wipe(&service);
    clo_buf_free(&message);
    clo_arena_free(&a);
    return differ;
}

int main(void)
{
    ct_must(clo_crypto_init());
    return output_differs() || import_differs() ? 3 : 0;
}
