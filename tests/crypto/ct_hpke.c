/* Proves that HPKE's key schedule, nonces, sealing and exports do not branch or index by the private key or the message. The
 * leak: a table that is indexed by a byte of the exported secret. */
#include "crypto/hash.h"
#include "crypto/hpke.h"
#include "ct_test.h"
#include <string.h>
#if !defined(PLANT_LEAK)
#define PLANT_LEAK 0
#endif

int main(void)
{
    clo_crypto_hpke_private sk, own;
    clo_crypto_hpke_public pk, own_public, enc;
    clo_crypto_hpke_context *sender = NULL, *recipient = NULL;
    uint8_t message[100], exported[32], same[32];
    clo_buf out;
    clo_buf_init(&out, 4096);
    ct_must(clo_crypto_init());
    ct_must(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &sk, &pk));
    ct_must(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &own, &own_public));
    memset(message, 0x55, sizeof message);
    CLO_CT_SECRET(&sk.secret, sizeof sk.secret);
    CLO_CT_SECRET(&own.secret, sizeof own.secret);
    CLO_CT_SECRET(message, sizeof message);
    clo_crypto_hpke_setup setup = {.suite = CLO_HPKE_DEFAULT,
                                   .mode = CLO_HPKE_AUTH,
                                   .info = clo_span_str("info"),
                                   .sender_key = &own,
                                   .sender_public = &own_public};
    ct_must(clo_crypto_hpke_sender(&sender, &setup, &pk, &enc));
    ct_must(clo_crypto_hpke_recipient(&recipient, &setup, &sk, clo_span_of(enc.bytes, enc.n)));
    for (int i = 0; i < 3; i++)
        ct_must(clo_crypto_hpke_context_seal(sender, clo_span_str("aad"), clo_span_of(message, sizeof message), &out));
    ct_must(clo_crypto_hpke_context_export(sender, clo_span_str("x"), exported, 32));
    ct_must(clo_crypto_hpke_context_export(recipient, clo_span_str("x"), same, 32));
    int differ = clo_ct_declassify(clo_ct_differ(exported, same, 32));
    if (PLANT_LEAK) {
        static const char *const table[2] = {"even", "odd"};
        const char *const volatile *looked_up = &table[exported[0] & 1];
        ct_observe(*looked_up);
    }
    clo_crypto_hpke_context_free(&sender);
    clo_crypto_hpke_context_free(&recipient);
    clo_crypto_hpke_private_wipe(&sk);
    clo_crypto_hpke_private_wipe(&own);
    clo_buf_free(&out);
    return differ ? 3 : 0;
}
