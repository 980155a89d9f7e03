/* Azure confidential VMs: the hardware's evidence answers for the paravisor's claims, these for the attestation key of its virtual TPM, and
 * the key for a quote over the caller's nonce and the registers.
 *
 * Roles: hcl_report, tpm_quote_message, tpm_quote_signature (the bare RSA signature or a TPMT_SIGNATURE), pcrs_sha256 or pcrs_json, td_quote (TDX),
 * event_log; collateral as types snp and tdx. Report data that a policy expects may stand in the quote or in the claims' user-data. */
#include "attest/azure_hcl.h"
#include "attest/demands.h"
#include "attest/tpm_quote.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"

#include <stdio.h>

enum { CLAIMS_VALUES_MAX = 128, CLAIMS_DEPTH_MAX = 6 };
/* TD_INFO within the TDREPORT, and the same fields within a quote's body: attributes to RTMR3. */
enum { TD_INFO_AT = 512, TD_BODY_AT = 120, TD_INFO_SIZE = 400, QUOTE_HEADER = 48, QUOTE_HEADER_5 = 54 };

typedef struct {
    azure_hcl hcl;
    clo_wire_node *claims; /* of the paravisor; NULL where they are not bound or cannot be read */
    clo_crypto_verify_key *ak;
    const clo_wire_node *user_data;
    tpm_quote quote;
    bool have_quote;
} azure;

static void azure_end(azure *z) { clo_crypto_verify_key_free(&z->ak); }

/* A copy that another map can take in. */
static clo_err set_copy(clo_arena *a, clo_wire_node *map, const char *key, const clo_wire_node *node)
{
    clo_wire_node *copy = NULL;
    CLO_TRY(clo_wire_null(a, &copy));
    *copy = *node;
    copy->key = copy->next = NULL;
    return clo_wire_set(a, map, key, copy);
}

/* The claims are read only where they are what the hardware's report data say. */
static clo_err take_claims(clo_attest_context *c, azure *z)
{
    clo_arena *a = c->arena;
    clo_wire_node *out = c->out->claims, *hcl = NULL, *claims = NULL;
    CLO_TRY(clo_attest_azure_hcl_claims(a, &z->hcl, &hcl));
    CLO_TRY(clo_wire_set(a, out, "hcl", hcl));
    if (c->policy->strict_reserved) {
        bool zero = z->hcl.reserved_zero;
        (void)clo_attest_check_add(c->out, "reserved", zero, "malformed", "reserved bytes are zero", zero ? "zero" : "not zero");
    }
    if (!clo_attest_check_bytes(c->out, "claims.hash", "report_data_mismatch", clo_span_of(z->hcl.bound, sizeof z->hcl.bound), z->hcl.report_data)) return CLO_OK;
    bool ok = false;
    clo_err e = clo_wire_json_decode_bounded(a, z->hcl.claims, CLAIMS_VALUES_MAX, CLAIMS_DEPTH_MAX, &claims);
    if (!clo_failed(e) && claims->type != CLO_WIRE_MAP) e = CLO_FAILF(CLO_E_MALFORMED, "the claims are no JSON object");
    CLO_TRY(clo_attest_tpm_noted(c, e, "claims", "malformed", "a JSON object", &ok));
    if (!ok) return CLO_OK;
    CLO_TRY(clo_attest_tpm_noted(c, clo_attest_azure_ak(a, claims, &z->ak), "ak", "bad_key", "the RSA key HCLAkPub", &ok));
    const clo_wire_node *configuration = clo_wire_get(claims, "vm-configuration");
    z->user_data = clo_wire_get(claims, "user-data");
    if (configuration != NULL) CLO_TRY(set_copy(a, out, "vm_configuration", configuration));
    if (z->user_data != NULL) CLO_TRY(set_copy(a, out, "user_data", z->user_data));
    z->claims = claims;
    if (z->ak == NULL) return CLO_OK;
    uint8_t sha256[32];
    CLO_TRY(clo_crypto_sha256(clo_crypto_verify_key_modulus(z->ak), sha256));
    return clo_wire_set_bytes(a, out, "ak_modulus_sha256", clo_span_of(sha256, sizeof sha256));
}

static clo_err take_signature(clo_attest_context *c, const azure *z, tpm_signature *s, bool *ok)
{
    clo_span bytes = clo_attest_part_bytes(c, "tpm_quote_signature");
    *ok = z->ak != NULL && bytes.n == clo_crypto_verify_key_modulus(z->ak).n;
    *s = (tpm_signature){.alg = TPM_ALG_RSASSA, .hash = CLO_TPM_SHA256, .r = bytes};
    if (*ok) return CLO_OK;
    return clo_attest_tpm_noted(c, clo_attest_tpm_signature_parse(bytes, s), "quote.signature", "malformed", "an RSA signature, bare or as TPMT_SIGNATURE", ok);
}

/* Whose quote is it? The name that it states is no proof, but tells a foreign key from altered bytes. */
static const char *signature_reason(const azure *z)
{
    uint8_t name[34];
    if (z->ak == NULL || clo_failed(clo_attest_azure_qualified_name(clo_crypto_verify_key_modulus(z->ak), name))) return "bad_signature";
    return clo_span_equal(clo_span_of(name, sizeof name), z->quote.qualified_signer) ? "bad_signature" : "key_binding";
}

static clo_err judge_registers(clo_attest_context *c, azure *z, const tpm_signature *s)
{
    clo_span json = clo_attest_part_bytes(c, "pcrs_json"), raw = clo_attest_part_bytes(c, "pcrs_sha256"), log = clo_attest_part_bytes(c, "event_log");
    clo_attest_tpm_pcrs pcrs;
    clo_wire_node *node = NULL;
    bool have = false;
    if (raw.n != 0) CLO_TRY(clo_attest_tpm_noted(c, clo_attest_tpm_pcrs_raw(raw, CLO_TPM_SHA256, &pcrs), "pcrs", "malformed", "24 values of SHA-256", &have));
    else if (json.n != 0) CLO_TRY(clo_attest_tpm_noted(c, clo_attest_tpm_pcrs_json(json, &pcrs), "pcrs", "malformed", "values of registers by bank and number", &have));
    tpm_quoted quoted = {.quote = &z->quote, .signature = s, .key = z->ak, .pcrs = have ? &pcrs : NULL, .signature_reason = signature_reason(z)};
    if (s != NULL) CLO_TRY(clo_attest_tpm_quote_judge(c, &quoted));
    const clo_attest_tpm_bank *bank = have ? clo_attest_tpm_bank_find(&pcrs, CLO_TPM_SHA256) : NULL;
    if (bank != NULL) {
        CLO_TRY(clo_attest_tpm_pcrs_claims(c->arena, bank, clo_attest_tpm_selected(&z->quote, CLO_TPM_SHA256), &node));
        CLO_TRY(clo_wire_set(c->arena, c->out->claims, "pcrs", node));
    }
    return log.n != 0 && have ? clo_attest_tpm_log_judge(c, log, &z->quote, &pcrs, c->out->claims) : CLO_OK;
}

static clo_err judge_quote(clo_attest_context *c, azure *z)
{
    bool ok = false;
    tpm_signature s;
    clo_wire_node *node = NULL;
    CLO_TRY(clo_attest_tpm_noted(c, clo_attest_tpm_quote_parse(clo_attest_part_bytes(c, "tpm_quote_message"), &z->quote), "quote", "malformed", "a quote (TPMS_ATTEST)", &z->have_quote));
    if (!z->have_quote) return CLO_OK;
    CLO_TRY(clo_attest_tpm_quote_claims(c->arena, &z->quote, &node));
    CLO_TRY(clo_wire_set(c->arena, c->out->claims, "tpm_quote", node));
    CLO_TRY(clo_wire_set_bytes(c->arena, c->out->claims, "nonce", z->quote.extra_data));
    CLO_TRY(take_signature(c, z, &s, &ok));
    return judge_registers(c, z, ok ? &s : NULL);
}

static void judge_report_data(clo_attest_context *c, const azure *z)
{
    uint8_t user_data[64];
    clo_span want = clo_span_of(c->policy->report_data, sizeof c->policy->report_data), got = clo_span_of(NULL, 0);
    if (!c->policy->have_report_data) return;
    bool given = z->user_data != NULL && z->user_data->type == CLO_WIRE_TEXT && !clo_failed(clo_hex_decode(user_data, sizeof user_data, z->user_data->text));
    if (given) got = clo_span_of(user_data, sizeof user_data);
    if (z->have_quote && (!given || clo_span_equal(want, z->quote.extra_data))) got = z->quote.extra_data;
    (void)clo_attest_check_bytes(c->out, "report_data", "report_data_mismatch", want, got);
}

/* What the hardware must say: everything that the policy asks of it, and the hash of the claims instead of the caller's data. */
static clo_err hardware_policy(const clo_attest_context *c, const azure *z, const clo_attest_policy **out)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(c->arena, sizeof(clo_attest_policy), &memory));
    clo_attest_policy *p = memory;
    *p = *c->policy;
    p->expected_nonce = clo_span_of(NULL, 0);
    p->have_report_data = true;
    memcpy(p->report_data, z->hcl.bound, sizeof p->report_data);
    if (z->hcl.report_type == AZURE_REPORT_TDX) p->allow_trailing_bytes = true; /* the quoting service pads with zeros */
    *out = p;
    return CLO_OK;
}

/* The TDREPORT has a MAC that only its processor can check: the quote must be of the same domain. */
static void judge_td(clo_attest_context *c, const azure *z, clo_span quote)
{
    size_t body = quote.n >= 2 && quote.p[0] == 5 && quote.p[1] == 0 ? QUOTE_HEADER_5 : QUOTE_HEADER;
    bool same = quote.n >= body + TD_BODY_AT + TD_INFO_SIZE && memcmp(quote.p + body + TD_BODY_AT, z->hcl.hardware.p + TD_INFO_AT, TD_INFO_SIZE) == 0;
    (void)clo_attest_check_add(c->out, "td_quote", same, "key_binding", "a quote of the TD in the HCL report", same ? "a quote of it" : "another TD, or none");
}

static clo_err merge(clo_attest_context *c, const clo_attest_result *r, bool tdx)
{
    clo_attest_result *whole = c->out;
    char name[48];
    for (size_t i = 0; i < r->check_count; i++) {
        if (r->checks[i].ok) continue;
        (void)snprintf(name, sizeof name, "hardware.%.36s", r->checks[i].name);
        (void)clo_attest_check_add(whole, name, false, r->reason, r->checks[i].expected, r->checks[i].actual);
    }
    (void)clo_attest_check_add(whole, "hardware", r->valid, r->valid ? "binding" : r->reason, "valid hardware evidence", r->valid ? "valid" : r->reason);
    whole->judged |= r->judged & ~(uint32_t)(CLO_JUDGED_REPORT_DATA | CLO_JUDGED_NONCE | CLO_JUDGED_SIGNATURE);
    if (r->valid_until != 0 && r->valid_until < whole->valid_until) whole->valid_until = r->valid_until;
    memcpy(whole->tcb_status, r->tcb_status, sizeof whole->tcb_status);
    memcpy(whole->advisories, r->advisories, sizeof whole->advisories);
    whole->advisory_count = r->advisory_count;
    whole->tcb = r->tcb;
    return r->claims != NULL ? set_copy(c->arena, whole->claims, tdx ? "td_quote" : "snp", r->claims) : CLO_OK;
}

static clo_err judge_hardware(clo_attest_context *c, const azure *z)
{
    bool tdx = z->hcl.report_type == AZURE_REPORT_TDX;
    clo_span bytes = tdx ? clo_attest_part_bytes(c, "td_quote") : z->hcl.hardware;
    const clo_attest_type *type = clo_attest_type_find(tdx ? "tdx" : "snp");
    CLO_CHECK(type != NULL, CLO_E_BUG);
    if (tdx && bytes.n == 0) {
        (void)clo_attest_check_add(c->out, "td_quote", false, "malformed", "a quote of the TD in the HCL report", "none");
        return CLO_OK;
    }
    clo_attest_part report = {.role = "report", .bytes = bytes};
    clo_attest_context inner = *c;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(c->arena, sizeof(clo_attest_result), &memory));
    inner.out = memory;
    inner.evidence = &report;
    inner.evidence_count = 1;
    CLO_TRY(hardware_policy(c, z, &inner.policy));
    clo_attest_result_open(inner.out, type->type);
    CLO_TRY(type->verify(&inner));
    clo_attest_result_close(inner.out);
    CLO_TRY(merge(c, inner.out, tdx));
    if (tdx) judge_td(c, z, bytes);
    return CLO_OK;
}

CLO_R clo_attest_azure_verify(clo_attest_context *c)
{
    CLO_AUTO(azure_end) azure z = {.ak = NULL};
    bool ok = false;
    CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
    CLO_TRY(clo_attest_tpm_noted(c, clo_attest_azure_hcl_parse(clo_attest_part_bytes(c, "hcl_report"), &z.hcl), "hcl_report", "malformed", "an HCL report", &ok));
    if (!ok) return CLO_OK;
    CLO_TRY(take_claims(c, &z));
    /* Where the caller waives the hardware's signature he may waive the quote as well: nothing is left but the shape. */
    bool bare = c->policy->skip_hardware_signature && clo_attest_part_bytes(c, "tpm_quote_message").n == 0;
    if (!bare) CLO_TRY(judge_quote(c, &z));
    judge_report_data(c, &z);
    if (c->policy->skip_hardware_signature) {
        (void)clo_attest_check_add(c->out, "hardware", true, "binding", "any", "not verified: the policy says so");
        return CLO_OK;
    }
    return judge_hardware(c, &z);
}

bool clo_attest_azure_recognise(const clo_attest_part *evidence, size_t evidence_count)
{
    for (size_t i = 0; i < evidence_count; i++) {
        if (strcmp(evidence[i].role, "hcl_report") == 0) return evidence[i].bytes.n > 4 && memcmp(evidence[i].bytes.p, "HCLA", 4) == 0;
    }
    return false;
}
