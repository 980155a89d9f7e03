/* Evidence of Arm TrustZone. */
#include "tee/trustzone_guest.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "tee/optee_session.h"
#include "tee/tee_int.h"
#include "wire/cbor.h"

/* OP-TEE's attestation pseudo TA (pta_attestation.h). */
static const uint8_t attestation_uuid[16] = {0x39, 0x80, 0x08, 0x61, 0x18, 0x2a, 0x47, 0x20, 0x9b, 0x67, 0x2b, 0xcd, 0x62, 0x2b, 0xc0, 0xb5};
enum { GET_PUBKEY = 0, HASH_TEE_MEMORY = 3, HASH = 32, SIGNATURE_LEAST = 256 };

bool clo_tee_optee_present(const clo_tee_guest_host *host)
{
    CLO_AUTO(clo_tee_optee_close) clo_tee_optee s = {.fd = -1, .shared_fd = -1};
    return !clo_failed(clo_tee_optee_open(&s, host, attestation_uuid));
}

CLO_R clo_tee_optee_evidence(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *out)
{
    CLO_AUTO(clo_tee_optee_close) clo_tee_optee s = {.fd = -1, .shared_fd = -1};
    static const size_t offered[OPTEE_BUFFERS] = {0, HASH + CLO_TEE_OPTEE_SIGNATURE_MAX};
    uint8_t report[HASH + CLO_TEE_OPTEE_SIGNATURE_MAX];
    clo_span answers[OPTEE_BUFFERS];
    CLO_TRY(clo_tee_optee_open(&s, host, attestation_uuid));
    CLO_TRY(clo_tee_optee_call(&s, HASH_TEE_MEMORY, clo_span_of(report_data, TEE_REPORT_DATA), offered, answers));
    size_t n = answers[1].n;
    CLO_CHECKF(n >= HASH + SIGNATURE_LEAST && n <= sizeof report, CLO_E_MALFORMED, "the TEE's attestation has %zu bytes", n);
    memcpy(report, answers[1].p, n);
    clo_attest_bundle b = {.tee = "optee", .report = clo_span_of(report, n)};
    return clo_attest_bundle_encode(&b, out);
}

CLO_R clo_tee_optee_public_key(const clo_tee_guest_host *host, clo_buf *exponent, clo_buf *modulus)
{
    CLO_AUTO(clo_tee_optee_close) clo_tee_optee s = {.fd = -1, .shared_fd = -1};
    static const size_t offered[OPTEE_BUFFERS] = {8, CLO_TEE_OPTEE_SIGNATURE_MAX};
    clo_span answers[OPTEE_BUFFERS];
    CLO_TRY(clo_tee_optee_open(&s, host, attestation_uuid));
    CLO_TRY(clo_tee_optee_call(&s, GET_PUBKEY, clo_span_of(NULL, 0), offered, answers));
    CLO_CHECKF(answers[0].n != 0 && answers[1].n >= SIGNATURE_LEAST, CLO_E_MALFORMED, "the TEE's attestation key has %zu bytes", answers[1].n);
    CLO_TRY(clo_buf_put_span(exponent, answers[0]));
    return clo_buf_put_span(modulus, answers[1]);
}

/* The token's own word on the challenge: COSE_Sign1 or COSE_Mac0 whose payload holds it, under the claim's new or old number. */
static clo_err token_check(clo_span token, const uint8_t report_data[64])
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_wire_node *root = NULL, *claims = NULL;
    clo_wire_cbor_limits limits = {.items_max = 512, .allow_unsorted = true};
    clo_arena_init(&a, 256 * 1024);
    CLO_TRY(clo_wire_cbor_decode(&a, token, &limits, &root));
    const clo_wire_node *list = root->type == CLO_WIRE_TAG ? root->first : root;
    bool shaped = list->type == CLO_WIRE_ARRAY && list->count == 4 && list->first->next->next->type == CLO_WIRE_BYTES;
    CLO_CHECKF(shaped, CLO_E_MALFORMED, "the PSA token is no COSE message");
    CLO_TRY(clo_wire_cbor_decode(&a, list->first->next->next->text, &limits, &claims));
    const clo_wire_node *nonce = clo_wire_get_int_key(claims, 10);
    if (nonce == NULL) nonce = clo_wire_get_int_key(claims, -75008);
    CLO_CHECKF(nonce != NULL && nonce->type == CLO_WIRE_BYTES && clo_span_equal(nonce->text, clo_span_of(report_data, TEE_REPORT_DATA)), CLO_E_MALFORMED,
               "the PSA token is over another challenge than was asked for");
    return CLO_OK;
}

CLO_R clo_tee_psa_evidence(const clo_tee_psa_client *client, const uint8_t report_data[64], clo_buf *out)
{
    enum { PSA_ERROR_DOES_NOT_EXIST = -140, PSA_ERROR_CONNECTION_BUSY = -131, PSA_ERROR_SERVICE = -144 };
    CLO_AUTO(clo_buf_free) clo_buf token;
    uint8_t *at = NULL;
    size_t n = 0;
    clo_buf_init(&token, CLO_TEE_PSA_TOKEN_MAX);
    CLO_TRY(clo_buf_reserve(&token, CLO_TEE_PSA_TOKEN_MAX, &at));
    int32_t status = client->get_token(client->context, report_data, TEE_REPORT_DATA, at, CLO_TEE_PSA_TOKEN_MAX, &n);
    CLO_CHECKF(status != PSA_ERROR_CONNECTION_BUSY, CLO_E_AGAIN, "the PSA attestation service is busy; try again later");
    CLO_CHECKF(status != PSA_ERROR_DOES_NOT_EXIST, CLO_E_UNREACHABLE, "there is no PSA attestation service");
    CLO_CHECKF(status == 0, CLO_E_IO, "the PSA attestation service refuses (%d)", (int)status);
    CLO_CHECKF(n != 0 && n <= CLO_TEE_PSA_TOKEN_MAX, CLO_E_MALFORMED, "the PSA attestation service answered with %zu bytes", n);
    token.len = n;
    CLO_TRY(token_check(clo_buf_span(&token), report_data));
    clo_attest_bundle b = {.tee = "psa", .report = clo_buf_span(&token)};
    return clo_attest_bundle_encode(&b, out);
}

static bool trustzone_probe(int device)
{
    (void)device;
    return clo_tee_optee_present(&clo_tee_guest_system);
}

static clo_err trustzone_evidence(int device, const uint8_t report_data[64], clo_buf *out)
{
    (void)device;
    return clo_tee_optee_evidence(&clo_tee_guest_system, report_data, out);
}

static clo_err trustzone_sealing_key(int device, clo_span context, clo_key32 *out)
{
    (void)device;
    (void)context;
    (void)out;
    return CLO_FAILF(CLO_E_UNSUPPORTED, "the attestation service of TrustZone derives no sealing keys; have the owners' key services release them");
}

static const char *trustzone_describe(void)
{
    return "Arm TrustZone: vouches for the secure world (OP-TEE) and its boot; no sealing keys; this program runs in the normal world, which is not protected";
}

const clo_tee_provider clo_tee_provider_trustzone = {
    .name = "trustzone",
    .probe = trustzone_probe,
    .evidence = trustzone_evidence,
    .derive_sealing_key = trustzone_sealing_key,
    .describe = trustzone_describe,
};
