/* Proves that deriving a stream's keys, checking the key commitment and sealing a chunk do not branch or index by the DEK or the
 * rows. The leak: a comparison of the commitment that stops at the first difference. */
#include "crypto/hash.h"
#include "crypto/stream.h"
#include "ct_test.h"
#include <string.h>
#if !defined(PLANT_LEAK)
#define PLANT_LEAK 0
#endif

static uint8_t plain[3000], sealed[3000 + 3 * 16];

int main(void)
{
    clo_key32 dek, wrong;
    uint8_t commitment[32];
    clo_crypto_stream_info info = {.type = "dataset", .chunk_size = 1024, .plain_size = sizeof plain};
    memset(dek.b, 0x41, 32);
    memset(wrong.b, 0x42, 32);
    ct_must(clo_crypto_init());
    CLO_CT_SECRET(&dek, sizeof dek);
    CLO_CT_SECRET(&wrong, sizeof wrong);
    CLO_CT_SECRET(plain, sizeof plain);
    clo_crypto_stream *s = NULL, *again = NULL, *refused = NULL;
    ct_must(clo_crypto_stream_new(&s, &dek, &info, commitment));
    ct_must(clo_crypto_stream_open(&again, &dek, &info, commitment));
    if (!clo_failed(clo_crypto_stream_open(&refused, &wrong, &info, commitment))) return 3;
    ct_must(clo_crypto_stream_seal_many(again, 0, 3, clo_span_of(plain, sizeof plain), sealed, 1));
    if (PLANT_LEAK) {
        uint8_t mine[32];
        ct_must(clo_crypto_hkdf(CLO_HASH_SHA256, clo_span_of(info.stream_id, 16), clo_span_of(dek.b, 32),
                                clo_span_str("cloister/v1 commitdataset"), mine, 32));
        size_t i = 0;
        while (i < 32 && mine[i] == commitment[i]) i++;
        if (i == 32) ct_observe("planted");
    }
    clo_crypto_stream_free(&s);
    clo_crypto_stream_free(&again);
    return 0;
}
