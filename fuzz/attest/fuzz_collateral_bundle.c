/* Any bytes as the payload of a rightly signed bundle: what opens has only items with a role that is no root, and selecting stays in bounds. */
#include "attest/collateral_bundle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const clo_crypto_private_key sk = {.alg = CLO_SIGN_ED25519, .bytes = {1}};
    static clo_crypto_public_key pk;
    if (pk.n == 0 && clo_failed(clo_crypto_sign_public_of(&sk, &pk))) abort();
    clo_arena a;
    clo_buf file;
    clo_arena_init(&a, 1 << 24);
    clo_buf_init(&file, 1 << 22);
    const clo_wire_cose_signer signer = {.sk = &sk, .kid = clo_span_str("x")};
    clo_attest_collateral_set set;
    if (!clo_failed(clo_wire_cose_sign1(&file, &signer, "application/cloister-collateral", clo_span_of(NULL, 0), clo_span_of(data, size))) &&
        !clo_failed(clo_attest_collateral_open(&a, clo_buf_span(&file), &pk, 1, 1500, &set))) {
        clo_attest_part parts[3];
        size_t count = 0;
        for (size_t i = 0; i < set.count; i++) {
            if (strcmp(set.items[i].role, "root") == 0 || set.items[i].bytes.n > size) abort();
            clo_attest_collateral_select(&set, set.items[i].type, NULL, parts, &count, 3);
            if (count > 3) abort();
        }
    }
    clo_buf_free(&file);
    clo_arena_free(&a);
    return 0;
}
