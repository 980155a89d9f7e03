/* Any bytes as a chain and, behind a zero byte, as a revocation list: nobody's chain reaches Intel's anchor but Intel's own, and what is
 * judged never crashes. */
#include <stdlib.h>

#include "attest/chain.h"
#include "base/clo_own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_result result;
    clo_attest_policy policy;
    CLO_AUTO(clo_attest_chain_free) clo_attest_chain chain = {.name = "fuzz"};
    const uint8_t *zero = size != 0 ? memchr(data, 0, size) : NULL;
    /* DER is full of zero bytes: such input is chain and list at once. */
    size_t n = zero != NULL && data[0] != 0x30 ? (size_t)(zero - data) : size;
    clo_span list = n < size ? clo_span_of(data + n + 1, size - n - 1) : clo_span_of(data, size);
    bool ok = false, current = false;
    if (clo_failed(clo_attest_chain_take(&chain, clo_span_of(data, n)))) return 0;
    clo_attest_policy_init(&policy);
    clo_attest_part root = {"root", clo_crypto_cert_der(chain.certs[chain.count - 1])};
    clo_attest_context c = {.policy = &policy, .collateral = &root, .collateral_count = 1, .now = 1750000000, .out = &result};
    clo_attest_result_open(&result, "fuzz");
    policy.custom_root = size % 2 != 0;
    if (clo_failed(clo_attest_chain_judge(&c, &chain, CLO_ATTEST_ANCHOR_GOOGLE, false, &ok))) return 0;
    if (ok && !policy.custom_root) abort();
    for (size_t i = 0; i < chain.count; i++) {
        if (clo_failed(clo_attest_chain_revocation(&c, &chain, i, list, &current))) return 0;
    }
    return 0;
}
