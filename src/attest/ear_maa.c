#include "attest/ear_maa.h"
#include "attest/ear.h"
#include "attest/policy_claims.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/jws.h"

#include <stdio.h>

typedef struct {
    const char *from, *to;
} name_pair;

static const name_pair snp_names[] = {
    {"measurement", "x-ms-sevsnpvm-launchmeasurement"},
    {"host_data", "x-ms-sevsnpvm-hostdata"},
    {"report_data", "x-ms-sevsnpvm-reportdata"},
    {"report_id", "x-ms-sevsnpvm-reportid"},
    {"id_key_digest", "x-ms-sevsnpvm-idkeydigest"},
    {"author_key_digest", "x-ms-sevsnpvm-authorkeydigest"},
    {"family_id", "x-ms-sevsnpvm-familyId"},
    {"image_id", "x-ms-sevsnpvm-imageId"},
    {"guest_svn", "x-ms-sevsnpvm-guestsvn"},
    {"vmpl", "x-ms-sevsnpvm-vmpl"},
    {"policy_debug", "x-ms-sevsnpvm-is-debuggable"},
    {"policy_migrate_ma", "x-ms-sevsnpvm-migration-allowed"},
    {"policy_smt", "x-ms-sevsnpvm-smt-allowed"},
    {"reported_tcb_parts.bl", "x-ms-sevsnpvm-bootloader-svn"},
    {"reported_tcb_parts.tee", "x-ms-sevsnpvm-tee-svn"},
    {"reported_tcb_parts.snp", "x-ms-sevsnpvm-snpfw-svn"},
    {"reported_tcb_parts.ucode", "x-ms-sevsnpvm-microcode-svn"},
};
static const name_pair sgx_names[] = {
    {"body.mrenclave", "x-ms-sgx-mrenclave"},     {"body.mrsigner", "x-ms-sgx-mrsigner"},   {"body.isv_prod_id", "x-ms-sgx-product-id"},
    {"body.isv_svn", "x-ms-sgx-svn"},             {"body.report_data", "x-ms-sgx-report-data"}, {"body.debug", "x-ms-sgx-is-debuggable"},
    {"body.config_id", "x-ms-sgx-config-id"},     {"body.config_svn", "x-ms-sgx-config-svn"},   {"body.isv_family_id", "x-ms-sgx-isv-family-id"},
};
static const name_pair tdx_names[] = {
    {"body.mr_td", "tdx_mrtd"},
    {"body.mr_seam", "tdx_mrseam"},
    {"body.mr_signer_seam", "tdx_mrsignerseam"},
    {"body.mr_config_id", "tdx_mrconfigid"},
    {"body.mr_owner", "tdx_mrowner"},
    {"body.mr_owner_config", "tdx_mrownerconfig"},
    {"body.rtmr0", "tdx_rtmr0"},
    {"body.rtmr1", "tdx_rtmr1"},
    {"body.rtmr2", "tdx_rtmr2"},
    {"body.rtmr3", "tdx_rtmr3"},
    {"body.report_data", "tdx_report_data"},
    {"body.seam_attributes", "tdx_seam_attributes"},
    {"body.td_attributes", "tdx_td_attributes"},
    {"body.tee_tcb_svn", "tdx_tee_tcb_svn"},
    {"body.xfam", "tdx_xfam"},
    {"body.debug", "tdx_td_attributes_debug"},
};
static const struct {
    const char *tee, *type;
    const name_pair *names;
    size_t count;
} kinds[] = {
    {"snp", "sevsnpvm", snp_names, sizeof snp_names / sizeof snp_names[0]},
    {"sgx", "sgx", sgx_names, sizeof sgx_names / sizeof sgx_names[0]},
    {"tdx", "tdxvm", tdx_names, sizeof tdx_names / sizeof tdx_names[0]},
};

static clo_err copy_claim(clo_arena *a, const clo_wire_node *n, clo_wire_node **out)
{
    if (n->type == CLO_WIRE_BOOL) return clo_wire_bool(a, n->boolean, out);
    if (n->type == CLO_WIRE_INT) return clo_wire_int(a, n->integer, out);
    if (n->type == CLO_WIRE_BYTES) {
        CLO_TRY(clo_wire_bytes(a, n->text, out));
        return clo_wire_hexify(a, *out);
    }
    return clo_wire_text(a, n->type == CLO_WIRE_TEXT ? n->text : clo_span_str(""), out);
}

CLO_R clo_attest_maa_claims(clo_arena *a, const clo_attest_result *r, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *value = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "x-ms-ver", "1.0"));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].tee, r->tee) != 0) continue;
        CLO_TRY(clo_wire_set_text(a, map, "x-ms-attestation-type", kinds[i].type));
        for (size_t k = 0; k < kinds[i].count; k++) {
            const clo_wire_node *n = clo_attest_claim_find(r->claims, kinds[i].names[k].from);
            if (n == NULL) continue;
            CLO_TRY(copy_claim(a, n, &value));
            CLO_TRY(clo_wire_set(a, map, kinds[i].names[k].to, value));
        }
        *out = map;
        return CLO_OK;
    }
    const char *type = NULL;
    CLO_TRY(clo_arena_printf(a, &type, "cloister-%s", r->tee));
    CLO_TRY(clo_wire_set_text(a, map, "x-ms-attestation-type", type));
    *out = map;
    return CLO_OK;
}

CLO_R clo_attest_maa_token(clo_arena *a, const clo_attest_result *r, const clo_attest_ear_options *o, clo_buf *out)
{
    CLO_CHECKF(r->valid, CLO_E_DENIED, "evidence that failed gets no token of this form, which has no word for that; make an EAR");
    CLO_CHECKF(o->issuer != NULL, CLO_E_USAGE, "a token of this form names its issuer");
    clo_wire_node *map = NULL, *nonce = NULL;
    uint8_t id[32];
    char hex[65];
    CLO_TRY(clo_attest_maa_claims(a, r, &map));
    CLO_TRY(clo_crypto_random(id, sizeof id));
    clo_hex_encode(hex, clo_span_of(id, sizeof id));
    CLO_TRY(clo_wire_set_text(a, map, "iss", o->issuer));
    CLO_TRY(clo_wire_set_text(a, map, "jti", hex));
    CLO_TRY(clo_wire_set_int(a, map, "iat", o->now));
    CLO_TRY(clo_wire_set_int(a, map, "nbf", o->now));
    CLO_TRY(clo_wire_set_int(a, map, "exp", clo_attest_ear_expiry(r, o)));
    if (o->policy_id != NULL) CLO_TRY(clo_wire_set_text(a, map, "x-ms-policy-hash", o->policy_id));
    if (o->nonce.n != 0) {
        CLO_AUTO(clo_buf_free) clo_buf text;
        clo_buf_init(&text, 1024);
        CLO_TRY(clo_base64url_encode(&text, o->nonce));
        CLO_TRY(clo_wire_text(a, clo_buf_span(&text), &nonce));
        CLO_TRY(clo_wire_set(a, map, "nonce", nonce));
    }
    return clo_wire_jws_make(a, o->key, "JWT", map, out);
}
