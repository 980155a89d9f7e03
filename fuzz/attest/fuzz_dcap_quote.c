/* Any bytes as an SGX or TDX quote: what is parsed lies inside the quote, and nothing that was not signed is accepted. */
#include "attest/dcap_int.h"
#include "base/clo_own.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const uint8_t *data, size_t size, clo_span s)
{
    if (s.n != 0 && (s.p < data || s.n > size - (size_t)(s.p - data))) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static clo_attest_result result;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_attest_policy policy;
    dcap_quote q;
    clo_wire_node *claims = NULL;
    clo_arena_init(&a, 256 << 10);
    if (!clo_failed(clo_attest_dcap_parse(clo_span_of(data, size), &q))) {
        const clo_span all[] = {q.signed_bytes, q.signature, q.key, q.qe.bytes, q.qe_signature, q.qe_auth_data, q.cert_data, q.td.report_data, q.sgx.report_data};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) inside(data, size, all[i]);
        if (q.trailing > size || clo_failed(clo_attest_dcap_claims(&a, &q, &claims))) abort();
    }
    const clo_attest_part part = {"report", clo_span_of(data, size)};
    clo_attest_policy_init_open(&policy);
    static const char *const types[] = {"sgx", "tdx"};
    for (size_t i = 0; i < 2; i++) {
        if (clo_failed(clo_attest_verify(&a, types[i], &part, 1, &part, 0, &policy, 1800000000, &result))) return 0;
        if (result.valid) abort(); /* no corpus file ends at Intel's root */
    }
    return 0;
}
