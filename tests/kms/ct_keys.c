/* Proves that wrapping and unwrapping of data keys and the check of a nonce's authentication code do not branch or index by key encryption
 * key, data key, nonce key or code. The leak: the comparison of two data keys stops at the first difference. */
#include "../crypto/ct_test.h"
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include "os/clock.h"
#include <string.h>
#if !defined(PLANT_LEAK)
#define PLANT_LEAK 0
#endif

int main(void)
{
    static clo_kms kms;
    static kms_secrets secrets;
    static clo_collab_binding binding;
    clo_os_clock_manual_state time = {.monotonic_ns = 1000000000, .wall_seconds = 1800000000};
    const clo_os_clock clock = clo_os_clock_manual(&time);
    uint8_t dataset[32] = {1}, version[32] = {2}, wrapped[KMS_WRAPPED];
    uint32_t kek = 0;
    bool back = false;
    clo_key32 dek, same;
    ct_must(clo_crypto_init());
    ct_must(clo_crypto_random(dek.b, sizeof dek.b));
    ct_must(clo_crypto_random(secrets.nonce.b, sizeof secrets.nonce.b));
    ct_must(clo_crypto_random(secrets.keks[0].key.b, sizeof secrets.keks[0].key.b));
    secrets.kek_count = secrets.keks[0].version = 1;
    kms.secrets = &secrets;
    kms.clock = &clock;
    (void)pthread_rwlock_init(&kms.secrets_lock, NULL);
    (void)pthread_mutex_init(&kms.time_lock, NULL);
    kms_time_start(&kms, 1800000000, &back);
    CLO_CT_SECRET(&dek, sizeof dek);
    CLO_CT_SECRET(&secrets.nonce, sizeof secrets.nonce);
    CLO_CT_SECRET(&secrets.keks[0].key, sizeof secrets.keks[0].key);

    ct_must(kms_dek_wrap(&kms, dataset, version, &dek, wrapped, &kek));
    CLO_CT_PUBLIC(wrapped, sizeof wrapped); /* the database holds it */
    ct_must(kms_dek_unwrap(&kms, dataset, version, kek, wrapped, &same));
    if (PLANT_LEAK && memcmp(&dek, &same, sizeof dek) != 0) ct_observe("other keys");
    int differ = clo_ct_declassify(clo_ct_differ(&dek, &same, sizeof dek));

    ct_must(clo_kms_nonce(&kms, binding.nonces[0].bytes));
    binding.nonce_count = 1; /* the code stays secret: a guess must not learn how much of it was right */
    size_t index = 1;
    ct_must(kms_nonce_find(&kms, &binding, 1800000000, &index));
    clo_key32_wipe(&same);
    return differ != 0 || index != 0 ? 3 : 0;
}
