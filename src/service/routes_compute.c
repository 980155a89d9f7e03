#include "service/routes_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"

#include <string.h>

enum { NONCE_MIN = 8, NONCE_MAX = 64 };

CLO_HANDLER(clo_service_get_status)
{
    (void)context;
    clo_span text;
    CLO_TRY(clo_service_sampler_text(request->arena, &text));
    clo_gateway_response_borrow(response, "application/json", text);
    return CLO_OK;
}

CLO_HANDLER(clo_service_get_attestation)
{
    clo_service *s = context;
    clo_arena *a = request->arena;
    const char *text = NULL;
    uint8_t nonce[NONCE_MAX], data[64];
    static const uint8_t no_host_data[32] = {0};
    size_t n = 0;
    CLO_TRY(clo_gateway_request_query(request, "nonce", &text));
    if (text != NULL) {
        n = strlen(text) / 2;
        CLO_CHECKF(n >= NONCE_MIN && n <= NONCE_MAX, CLO_E_RANGE, "the nonce has %d to %d bytes as hex", NONCE_MIN, NONCE_MAX);
        CLO_TRY(clo_hex_decode(nonce, n, clo_span_str(text)));
    }
    CLO_AUTO(clo_buf_free) clo_buf message, bundle, base64;
    clo_buf_init(&message, 256);
    clo_buf_init(&bundle, 65536);
    clo_buf_init(&base64, 100000);
    CLO_TRY(clo_buf_put(&message, "cloister/v1 attestation", 24)); /* with its zero byte */
    CLO_TRY(clo_buf_put(&message, nonce, n));
    CLO_TRY(clo_crypto_hash(CLO_HASH_SHA512, clo_buf_span(&message), data));
    CLO_TRY(clo_tee_sim_report(s->sim, s->measurement, no_host_data, data, &bundle));
    CLO_TRY(clo_base64_encode(&base64, clo_buf_span(&bundle)));
    clo_wire_node *map = NULL, *report = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_text(a, clo_buf_span(&base64), &report));
    CLO_TRY(clo_wire_set(a, map, "attestation_report", report));
    CLO_TRY(clo_wire_set_text(a, map, "tee_type", "SIM"));
    CLO_TRY(clo_wire_set_time(a, map, "timestamp", clo_os_clock_wall(s->clock)));
    const char *service = NULL;
    CLO_TRY(clo_arena_printf(a, &service, "%s/api/v1/attestation/verify", s->config.url));
    CLO_TRY(clo_wire_set_text(a, map, "verification_service", service));
    CLO_TRY(clo_wire_set_text(a, map, "verification_instructions",
                              "Software TEE (sim): no protection from the operator. Without this operator: decode attestation_report from base64 into a file, then: cloister "
                              "attest verify --type sim --evidence FILE --policy POLICY.json, where the policy has allow_simulated, the pinned root, the measurement from "
                              "`cloister measure` and expected_report_data = SHA-512(\"cloister/v1 attestation\" || 0x00 || nonce). By verification_service: POST {\"type\": "
                              "\"sim\", \"evidence\": {\"bundle\": attestation_report}, \"nonce\": a nonce from /api/v1/attestation/nonce that was given here as ?nonce=, \"domain\": "
                              "\"cloister/v1 attestation\", \"policy\": the name of such a policy}."));
    return clo_gateway_response_tree(response, map);
}
