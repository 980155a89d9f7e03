/* Azure Attestation: SGX, SNP, TDX and virtual machine claims (API 2020-10-01 and 2022-08-01, TDX EAT profile). */
#include "attest/maa_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"

#include <stdio.h>

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static const token_rule common_rules[] = {
    {"iss", TOKEN_TEXT, 0, true},         {"jti", TOKEN_TEXT, 0, false},          {"sub", TOKEN_TEXT, 0, false},
    {"aud", TOKEN_TEXTS, 0, false},       {"nonce", TOKEN_TEXT, 0, false},        {"rp_data", TOKEN_TEXT, 0, false},
    {"x-ms-ver", TOKEN_TEXT, 0, false},   {"x-ms-policy", TOKEN_MAP, 0, false},   {"x-ms-policy-hash", TOKEN_BASE64URL, 0, false},
    {"x-ms-policy-signer", TOKEN_MAP, 0, false}, {"x-ms-runtime", TOKEN_MAP, 0, false}, {"x-ms-inittime", TOKEN_MAP, 0, false},
    {"x-ms-isolation-tee", TOKEN_MAP, 0, false}, {"x-ms-compliance-status", TOKEN_TEXT, 0, false},
    {"x-ms-attestation-type", TOKEN_TEXT, 0, false}, {"tee", TOKEN_TEXT, 0, false}, {"secureboot", TOKEN_BOOL, 0, false},
};

static const token_rule sgx_rules[] = {
    {"x-ms-sgx-mrenclave", TOKEN_HEX, 32, false},
    {"x-ms-sgx-mrsigner", TOKEN_HEX, 32, false},
    {"x-ms-sgx-product-id", TOKEN_UINT, 0, false},
    {"x-ms-sgx-svn", TOKEN_UINT, 0, false},
    {"x-ms-sgx-report-data", TOKEN_HEX, 64, false},
    {"x-ms-sgx-is-debuggable", TOKEN_BOOL, 0, false},
    {"x-ms-sgx-ehd", TOKEN_BASE64URL, 0, false},
    {"x-ms-sgx-collateral", TOKEN_MAP, 0, false},
    {"x-ms-sgx-config-id", TOKEN_HEX, 64, false},
    {"x-ms-sgx-config-svn", TOKEN_UINT, 0, false},
    {"x-ms-sgx-isv-extended-product-id", TOKEN_HEX, 16, false},
    {"x-ms-sgx-isv-family-id", TOKEN_HEX, 16, false},
    {"sgx-mrenclave", TOKEN_HEX, 32, false},
    {"sgx-mrsigner", TOKEN_HEX, 32, false},
    {"product-id", TOKEN_UINT, 0, false},
    {"svn", TOKEN_UINT, 0, false},
    {"is-debuggable", TOKEN_BOOL, 0, false},
    {"aas-ehd", TOKEN_BASE64URL, 0, false},
    {"maa-ehd", TOKEN_BASE64URL, 0, false},
    {"maa-attestationcollateral", TOKEN_MAP, 0, false},
};

/* Older names that repeat newer ones: both may stand in a token and must say the same. */
static const char *const sgx_twins[][2] = {
    {"x-ms-sgx-mrenclave", "sgx-mrenclave"}, {"x-ms-sgx-mrsigner", "sgx-mrsigner"},         {"x-ms-sgx-product-id", "product-id"},
    {"x-ms-sgx-svn", "svn"},                 {"x-ms-sgx-is-debuggable", "is-debuggable"},   {"x-ms-sgx-ehd", "maa-ehd"},
    {"x-ms-sgx-ehd", "aas-ehd"},
};

static const token_rule snp_rules[] = {
    {"x-ms-sevsnpvm-launchmeasurement", TOKEN_HEX, 48, true}, {"x-ms-sevsnpvm-is-debuggable", TOKEN_BOOL, 0, true},
    {"x-ms-sevsnpvm-hostdata", TOKEN_HEX, 32, false},         {"x-ms-sevsnpvm-idkeydigest", TOKEN_HEX, 48, false},
    {"x-ms-sevsnpvm-authorkeydigest", TOKEN_HEX, 48, false},  {"x-ms-sevsnpvm-reportdata", TOKEN_HEX, 64, false},
    {"x-ms-sevsnpvm-reportid", TOKEN_HEX, 32, false},         {"x-ms-sevsnpvm-familyId", TOKEN_HEX, 16, false},
    {"x-ms-sevsnpvm-imageId", TOKEN_HEX, 16, false},          {"x-ms-sevsnpvm-guestsvn", TOKEN_UINT, 0, false},
    {"x-ms-sevsnpvm-bootloader-svn", TOKEN_UINT, 0, false},   {"x-ms-sevsnpvm-tee-svn", TOKEN_UINT, 0, false},
    {"x-ms-sevsnpvm-snpfw-svn", TOKEN_UINT, 0, false},        {"x-ms-sevsnpvm-microcode-svn", TOKEN_UINT, 0, false},
    {"x-ms-sevsnpvm-fmc-svn", TOKEN_UINT, 0, false},          {"x-ms-sevsnpvm-vmpl", TOKEN_UINT, 0, false},
    {"x-ms-sevsnpvm-migration-allowed", TOKEN_BOOL, 0, false}, {"x-ms-sevsnpvm-smt-allowed", TOKEN_BOOL, 0, false},
};

static const token_rule tdx_rules[] = {
    {"tdx_mrtd", TOKEN_HEX, 48, true},
    {"tdx_report_data", TOKEN_HEX, 64, false},
    {"tdx_mrseam", TOKEN_HEX, 48, false},
    {"tdx_mrsignerseam", TOKEN_HEX, 48, false},
    {"tdx_mrconfigid", TOKEN_HEX, 48, false},
    {"tdx_mrowner", TOKEN_HEX, 48, false},
    {"tdx_mrownerconfig", TOKEN_HEX, 48, false},
    {"tdx_rtmr0", TOKEN_HEX, 48, false},
    {"tdx_rtmr1", TOKEN_HEX, 48, false},
    {"tdx_rtmr2", TOKEN_HEX, 48, false},
    {"tdx_rtmr3", TOKEN_HEX, 48, false},
    {"tdx_tee_tcb_svn", TOKEN_HEX, 16, false},
    {"tdx_seam_attributes", TOKEN_HEX, 8, false},
    {"tdx_td_attributes", TOKEN_HEX, 8, false},
    {"tdx_xfam", TOKEN_HEX, 8, false},
    {"tdx_seamsvn", TOKEN_UINT, 0, false},
    {"tdx_td_attributes_debug", TOKEN_BOOL, 0, false},
    {"tdx_td_attributes_septve_disable", TOKEN_BOOL, 0, false},
    {"tdx_td_attributes_protection_keys", TOKEN_BOOL, 0, false},
    {"tdx_td_attributes_key_locker", TOKEN_BOOL, 0, false},
    {"tdx_td_attributes_perfmon", TOKEN_BOOL, 0, false},
    {"tdx_is_debuggable", TOKEN_BOOL, 0, false},
    {"attester_tcb_status", TOKEN_TEXT, 0, false},
    {"attester_tcb_date", TOKEN_TEXT, 0, false},
    {"attester_advisory_ids", TOKEN_TEXTS, 0, false},
    {"dbgstat", TOKEN_TEXT, 0, false},
    {"eat_profile", TOKEN_TEXT, 0, false},
    {"intuse", TOKEN_TEXT, 0, false},
};

#define VM "x-ms-azurevm-"
static const token_rule vm_rules[] = {
    {VM "attestation-protocol-ver", TOKEN_TEXT, 0, false}, {VM "attested-pcrs", TOKEN_ARRAY, 0, false},
    {VM "bootdebug-enabled", TOKEN_BOOL, 0, false},        {VM "dbvalidated", TOKEN_BOOL, 0, false},
    {VM "dbxvalidated", TOKEN_BOOL, 0, false},             {VM "debuggersdisabled", TOKEN_BOOL, 0, false},
    {VM "default-securebootkeysvalidated", TOKEN_BOOL, 0, false}, {VM "elam-enabled", TOKEN_BOOL, 0, false},
    {VM "flightsigning-enabled", TOKEN_BOOL, 0, false},    {VM "hvci-policy", TOKEN_UINT, 0, false},
    {VM "hypervisordebug-enabled", TOKEN_BOOL, 0, false},  {VM "is-windows", TOKEN_BOOL, 0, false},
    {VM "kerneldebug-enabled", TOKEN_BOOL, 0, false},      {VM "osbuild", TOKEN_TEXT, 0, false},
    {VM "osdistro", TOKEN_TEXT, 0, false},                 {VM "ostype", TOKEN_TEXT, 0, false},
    {VM "osversion-major", TOKEN_UINT, 0, false},          {VM "osversion-minor", TOKEN_UINT, 0, false},
    {VM "signingdisabled", TOKEN_BOOL, 0, false},          {VM "testsigning-enabled", TOKEN_BOOL, 0, false},
    {VM "vmid", TOKEN_TEXT, 0, false},                     {"secureboot", TOKEN_BOOL, 0, false},
};

static bool is_true(const clo_wire_node *map, const char *name)
{
    const clo_wire_node *n = clo_wire_get(map, name);
    return n != NULL && n->type == CLO_WIRE_BOOL && n->boolean;
}

static int64_t number(const clo_wire_node *map, const char *name)
{
    const clo_wire_node *n = clo_wire_get(map, name);
    return n != NULL && n->type == CLO_WIRE_INT ? n->integer : -1;
}

static void check_debug(clo_attest_context *c, const char *name, bool debug)
{
    bool any = c->policy->allow_debug;
    (void)clo_attest_check_add(c->out, name, any || !debug, "debug", any ? "any" : "off", debug ? "on" : "off");
}

static bool scalar_equal(const clo_wire_node *a, const clo_wire_node *b)
{
    if (a->type != b->type) return false;
    if (a->type == CLO_WIRE_TEXT) return clo_span_equal(a->text, b->text);
    return a->type == CLO_WIRE_BOOL ? a->boolean == b->boolean : a->integer == b->integer;
}

/* The value under the newer name, else under the older. */
static const char *either(const clo_wire_node *map, size_t twin)
{
    return sgx_twins[twin][clo_wire_get(map, sgx_twins[twin][0]) != NULL ? 0 : 1];
}

static clo_err judge_runtime_data(clo_attest_context *c, clo_span encoded, clo_span report_data)
{
    CLO_AUTO(clo_buf_free) clo_buf data;
    clo_buf_init(&data, TOKEN_JWT_MAX);
    uint8_t want[64] = {0};
    clo_err e = clo_base64url_decode(&data, encoded);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        clo_attest_token_claim_bad(c->out, "runtime_data", "base64url", "another form");
        return CLO_OK;
    }
    CLO_TRY(clo_crypto_sha256(clo_buf_span(&data), want));
    (void)clo_attest_check_bytes(c->out, "runtime_data", "binding", clo_span_of(want, sizeof want), report_data);
    return CLO_OK;
}

static clo_err judge_sgx(clo_attest_context *c, const clo_wire_node *m, clo_span *report_data)
{
    if (!clo_attest_token_shape(c->out, "claims.sgx", m, sgx_rules, COUNT(sgx_rules))) return CLO_OK;
    for (size_t i = 0; i < COUNT(sgx_twins); i++) {
        const clo_wire_node *a = clo_wire_get(m, sgx_twins[i][0]), *b = clo_wire_get(m, sgx_twins[i][1]);
        if (a != NULL && b != NULL && !scalar_equal(a, b)) clo_attest_token_claim_bad(c->out, sgx_twins[i][1], "the same as the newer claim", "another value");
    }
    uint8_t enclave[32], signer[32];
    bool there = clo_attest_token_hex(m, either(m, 0), enclave, sizeof enclave) && clo_attest_token_hex(m, either(m, 1), signer, sizeof signer) &&
                 clo_wire_get(m, either(m, 4)) != NULL;
    if (!there) {
        clo_attest_token_claim_bad(c->out, "claims.sgx.identity", "mrenclave, mrsigner, is-debuggable", "not all of them");
        return CLO_OK;
    }
    check_debug(c, "debug", is_true(m, "x-ms-sgx-is-debuggable") || is_true(m, "is-debuggable"));
    clo_attest_token_measurement(c, clo_span_of(enclave, sizeof enclave));
    clo_span ehd = clo_attest_token_text(m, "x-ms-sgx-ehd");
    if (ehd.n == 0) ehd = clo_attest_token_text(m, "maa-ehd");
    if (ehd.n == 0) ehd = clo_attest_token_text(m, "aas-ehd");
    return ehd.n != 0 && report_data->n != 0 ? judge_runtime_data(c, ehd, *report_data) : CLO_OK;
}

static bool svn_enough(const clo_wire_node *m, const char *name, uint8_t floor)
{
    return floor == 0 || number(m, name) >= floor;
}

static void judge_snp_svns(clo_attest_context *c, const clo_wire_node *m)
{
    const clo_attest_policy *p = c->policy;
    if (p->min_reported_tcb.have) {
        const clo_attest_tcb *f = &p->min_reported_tcb;
        bool turin = clo_wire_get(m, "x-ms-sevsnpvm-fmc-svn") != NULL;
        bool ok = svn_enough(m, "x-ms-sevsnpvm-bootloader-svn", f->bl) && svn_enough(m, "x-ms-sevsnpvm-tee-svn", f->tee) &&
                  svn_enough(m, "x-ms-sevsnpvm-snpfw-svn", f->snp) && svn_enough(m, "x-ms-sevsnpvm-microcode-svn", f->ucode) &&
                  (!turin || svn_enough(m, "x-ms-sevsnpvm-fmc-svn", f->fmc));
        char want[64], got[128];
        (void)snprintf(want, sizeof want, "at least bl %u tee %u snp %u ucode %u", f->bl, f->tee, f->snp, f->ucode);
        (void)snprintf(got, sizeof got, "bl %lld tee %lld snp %lld ucode %lld", (long long)number(m, "x-ms-sevsnpvm-bootloader-svn"),
                       (long long)number(m, "x-ms-sevsnpvm-tee-svn"), (long long)number(m, "x-ms-sevsnpvm-snpfw-svn"),
                       (long long)number(m, "x-ms-sevsnpvm-microcode-svn"));
        (void)clo_attest_check_add(c->out, "reported_tcb", ok, "tcb_too_low", want, got);
    }
    int64_t guest = number(m, "x-ms-sevsnpvm-guestsvn");
    (void)clo_attest_check_number(c->out, "guest_svn", p->min_guest_svn == 0 || guest >= (int64_t)p->min_guest_svn, "tcb_too_low", "at least",
                                  p->min_guest_svn, guest < 0 ? 0 : (uint64_t)guest);
}

static void judge_snp(clo_attest_context *c, const clo_wire_node *m)
{
    const clo_attest_policy *p = c->policy;
    if (!clo_attest_token_shape(c->out, "claims.snp", m, snp_rules, COUNT(snp_rules))) return;
    check_debug(c, "debug", is_true(m, "x-ms-sevsnpvm-is-debuggable"));
    bool moves = is_true(m, "x-ms-sevsnpvm-migration-allowed");
    (void)clo_attest_check_add(c->out, "migration_agent", p->allow_migration_agent || !moves, "migration",
                               p->allow_migration_agent ? "any" : "none", moves ? "allowed" : "none");
    int64_t vmpl = number(m, "x-ms-sevsnpvm-vmpl");
    if (vmpl >= 0) (void)clo_attest_check_number(c->out, "vmpl", vmpl <= p->vmpl_max, "vmpl", "at most", p->vmpl_max, (uint64_t)vmpl);
    judge_snp_svns(c, m);
    uint8_t measurement[48], host[32], digest[48];
    bool there = clo_attest_token_hex(m, "x-ms-sevsnpvm-launchmeasurement", measurement, sizeof measurement);
    clo_attest_token_measurement(c, clo_span_of(measurement, there ? sizeof measurement : 0));
    if (p->have_host_data) {
        there = clo_attest_token_hex(m, "x-ms-sevsnpvm-hostdata", host, sizeof host);
        (void)clo_attest_check_bytes(c->out, "host_data", "host_data_mismatch", clo_span_of(p->host_data, sizeof p->host_data),
                                     clo_span_of(host, there ? sizeof host : 0));
    }
    if (p->id_key_count != 0) {
        there = clo_attest_token_hex(m, "x-ms-sevsnpvm-idkeydigest", digest, sizeof digest);
        (void)clo_attest_check_one_of(c->out, "id_key_digest", "id_key_mismatch", &p->id_keys[0][0], there ? p->id_key_count : 0,
                                      clo_span_of(digest, sizeof digest));
    }
    if (p->author_key_count != 0) {
        there = clo_attest_token_hex(m, "x-ms-sevsnpvm-authorkeydigest", digest, sizeof digest);
        (void)clo_attest_check_one_of(c->out, "author_key_digest", "author_key_mismatch", &p->author_keys[0][0], there ? p->author_key_count : 0,
                                      clo_span_of(digest, sizeof digest));
    }
}

static void judge_tdx(clo_attest_context *c, const clo_wire_node *m)
{
    if (!clo_attest_token_shape(c->out, "claims.tdx", m, tdx_rules, COUNT(tdx_rules))) return;
    uint8_t attributes[8], measurement[48], signer[48];
    bool have_attributes = clo_attest_token_hex(m, "tdx_td_attributes", attributes, sizeof attributes);
    clo_span dbgstat = clo_attest_token_text(m, "dbgstat");
    bool said = have_attributes || dbgstat.n != 0 || clo_wire_get(m, "tdx_is_debuggable") != NULL || clo_wire_get(m, "tdx_td_attributes_debug") != NULL;
    if (!said) clo_attest_token_claim_bad(c->out, "claims.tdx.debug", "whether debug is on", "no word of it");
    bool enabled = dbgstat.n != 0 && (dbgstat.n < 8 || memcmp(dbgstat.p, "disabled", 8) != 0);
    /* The low byte groups the bits that make a TD untrusted (TUD). */
    check_debug(c, "debug", is_true(m, "tdx_is_debuggable") || is_true(m, "tdx_td_attributes_debug") || enabled || (have_attributes && attributes[0] != 0));
    if (clo_attest_token_hex(m, "tdx_mrsignerseam", signer, sizeof signer)) {
        static const uint8_t intel[48];
        (void)clo_attest_check_bytes(c->out, "mrsignerseam", "platform_policy", clo_span_of(intel, sizeof intel), clo_span_of(signer, sizeof signer));
    }
    clo_attest_jwt_tcb(c, m, "attester_tcb_status", "attester_tcb_date", "attester_advisory_ids");
    bool there = clo_attest_token_hex(m, "tdx_mrtd", measurement, sizeof measurement);
    clo_attest_token_measurement(c, clo_span_of(measurement, there ? sizeof measurement : 0));
}

static void judge_vm(clo_attest_context *c, const clo_wire_node *m)
{
    if (!clo_attest_token_shape(c->out, "claims.azurevm", m, vm_rules, COUNT(vm_rules))) return;
    check_debug(c, "debug.guest", is_true(m, VM "bootdebug-enabled") || is_true(m, VM "kerneldebug-enabled") || is_true(m, VM "hypervisordebug-enabled"));
}

/* The nonce may stand in the token by itself, in the runtime data that the guest sent, or in the hardware report. */
static void judge_nonce(clo_attest_context *c, const clo_wire_node *root, const clo_wire_node *inner, clo_span report_data)
{
    clo_span nonce = c->policy->expected_nonce;
    if (nonce.n == 0) return;
    const clo_wire_node *runtime = clo_wire_get(root, "x-ms-runtime");
    const clo_wire_node *deeper = inner == root ? NULL : clo_wire_get(inner, "x-ms-runtime");
    const clo_wire_node *payload = runtime != NULL && runtime->type == CLO_WIRE_MAP ? clo_wire_get(runtime, "client-payload") : NULL;
    const clo_span places[] = {
        clo_attest_token_text(root, "nonce"),
        clo_attest_token_text(root, "rp_data"),
        clo_attest_token_text(root, "x-ms-sgx-ehd"),
        clo_attest_token_text(root, "aas-ehd"),
        clo_attest_token_text(runtime != NULL && runtime->type == CLO_WIRE_MAP ? runtime : NULL, "user-data"),
        clo_attest_token_text(deeper != NULL && deeper->type == CLO_WIRE_MAP ? deeper : NULL, "user-data"),
        clo_attest_token_text(payload != NULL && payload->type == CLO_WIRE_MAP ? payload : NULL, "nonce"),
    };
    bool found = false;
    for (size_t i = 0; i < COUNT(places); i++) found = found || clo_attest_token_text_is(places[i], nonce);
    if (!found && report_data.n >= nonce.n) {
        found = memcmp(report_data.p, nonce.p, nonce.n) == 0;
        for (size_t i = nonce.n; found && i < report_data.n; i++) found = report_data.p[i] == 0;
    }
    (void)clo_attest_check_add(c->out, "nonce", found, "nonce_mismatch", "the expected nonce", found ? "the expected nonce" : "not in the token");
}

static bool type_is(clo_span type, const char *name) { return clo_span_equal(type, clo_span_str(name)); }

static clo_err judge_type(clo_attest_context *c, clo_span type, const clo_wire_node *m, uint8_t report_data[64], size_t *report_data_size)
{
    const char *claim = "x-ms-sgx-report-data";
    bool snp = type_is(type, "sevsnpvm"), tdx = type_is(type, "tdxvm"), sgx = type_is(type, "sgx") || type_is(type, "openenclave");
    if (snp) claim = "x-ms-sevsnpvm-reportdata";
    if (tdx) claim = "tdx_report_data";
    *report_data_size = clo_attest_token_hex(m, claim, report_data, 64) ? 64 : 0;
    char got[40];
    (void)snprintf(got, sizeof got, "%.*s", (int)(type.n < 32 ? type.n : 32), type.n == 0 ? "" : (const char *)type.p);
    bool known = snp || tdx || sgx || type_is(type, "tpm");
    (void)clo_attest_check_add(c->out, "attestation_type", known, "unsupported", "sgx, sevsnpvm, tdxvm, azurevm or tpm", got);
    clo_span data = clo_span_of(report_data, *report_data_size);
    if (sgx) return judge_sgx(c, m, &data);
    if (snp) judge_snp(c, m);
    if (tdx) judge_tdx(c, m);
    return CLO_OK;
}

/* A virtual machine attests through its vTPM; what makes it confidential stands one level down. */
static const clo_wire_node *isolation_of(clo_attest_context *c, const clo_wire_node *root, clo_span *type)
{
    judge_vm(c, root);
    const clo_wire_node *tee = clo_wire_get(root, "x-ms-isolation-tee");
    bool there = tee != NULL && tee->type == CLO_WIRE_MAP;
    (void)clo_attest_check_add(c->out, "isolation", there, "platform_policy", "a confidential machine", there ? "a confidential machine" : "no isolation claims");
    if (!there) return NULL;
    clo_span status = clo_attest_token_text(tee, "x-ms-compliance-status");
    if (status.n != 0) {
        char got[64];
        (void)snprintf(got, sizeof got, "%.*s", (int)(status.n < 60 ? status.n : 60), (const char *)status.p);
        (void)clo_attest_check_add(c->out, "compliance", type_is(status, "azure-compliant-cvm"), "platform_policy", "azure-compliant-cvm", got);
    }
    *type = clo_attest_token_text(tee, "x-ms-attestation-type");
    return tee;
}

CLO_R clo_attest_maa_judge(clo_attest_context *c, const clo_wire_node *root)
{
    if (!clo_attest_token_shape(c->out, "claims.common", root, common_rules, COUNT(common_rules))) return CLO_OK;
    clo_span type = clo_attest_token_text(root, "x-ms-attestation-type");
    if (type.n == 0) type = clo_attest_token_text(root, "tee"); /* API versions before 2020-10-01 */
    const clo_wire_node *inner = root;
    if (type_is(type, "azurevm")) inner = isolation_of(c, root, &type);
    if (inner == NULL) return CLO_OK;
    uint8_t report_data[64];
    size_t report_data_size = 0;
    CLO_TRY(judge_type(c, type, inner, report_data, &report_data_size));
    judge_nonce(c, root, inner, clo_span_of(report_data, report_data_size));
    if (c->policy->have_report_data) {
        (void)clo_attest_check_bytes(c->out, "report_data", "report_data_mismatch", clo_span_of(c->policy->report_data, sizeof c->policy->report_data),
                                     clo_span_of(report_data, report_data_size));
    }
    return CLO_OK;
}
