/* Azure Attestation: SGX, SNP, TDX and virtual machine claims (API 2020-10-01 and 2022-08-01, TDX EAT profile). */
#include "attest/maa_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"

#include <stdio.h>

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static const char *const common_rules[] = {
    "!t iss", "t jti", "t sub", "T aud", "t nonce", "t rp_data", "t x-ms-ver", "m x-ms-policy", "t x-ms-policy-hash", "m x-ms-policy-signer",
    "m x-ms-runtime", "m x-ms-inittime", "m x-ms-isolation-tee", "t x-ms-compliance-status", "t x-ms-attestation-type", "t tee", "b secureboot",
};

static const char *const sgx_rules[] = {
    "h32 x-ms-sgx-mrenclave", "h32 x-ms-sgx-mrsigner", "u x-ms-sgx-product-id", "u x-ms-sgx-svn", "h64 x-ms-sgx-report-data",
    "b x-ms-sgx-is-debuggable", "e x-ms-sgx-ehd", "m x-ms-sgx-collateral", "h64 x-ms-sgx-config-id", "u x-ms-sgx-config-svn",
    "h16 x-ms-sgx-isv-extended-product-id", "h16 x-ms-sgx-isv-family-id", "h32 sgx-mrenclave", "h32 sgx-mrsigner", "u product-id", "u svn",
    "b is-debuggable", "e aas-ehd", "e maa-ehd", "m maa-attestationcollateral",
};

/* Older names that repeat newer ones: both may stand in a token and must say the same. */
static const char *const sgx_twins[][2] = {
    {"x-ms-sgx-mrenclave", "sgx-mrenclave"}, {"x-ms-sgx-mrsigner", "sgx-mrsigner"},         {"x-ms-sgx-product-id", "product-id"},
    {"x-ms-sgx-svn", "svn"},                 {"x-ms-sgx-is-debuggable", "is-debuggable"},   {"x-ms-sgx-ehd", "maa-ehd"},
    {"x-ms-sgx-ehd", "aas-ehd"},
};

static const char *const snp_rules[] = {
    "!h48 x-ms-sevsnpvm-launchmeasurement", "!b x-ms-sevsnpvm-is-debuggable", "h32 x-ms-sevsnpvm-hostdata", "h48 x-ms-sevsnpvm-idkeydigest",
    "h48 x-ms-sevsnpvm-authorkeydigest", "h64 x-ms-sevsnpvm-reportdata", "h32 x-ms-sevsnpvm-reportid", "h16 x-ms-sevsnpvm-familyId",
    "h16 x-ms-sevsnpvm-imageId", "u x-ms-sevsnpvm-guestsvn", "u x-ms-sevsnpvm-bootloader-svn", "u x-ms-sevsnpvm-tee-svn",
    "u x-ms-sevsnpvm-snpfw-svn", "u x-ms-sevsnpvm-microcode-svn", "u x-ms-sevsnpvm-fmc-svn", "u x-ms-sevsnpvm-vmpl",
    "b x-ms-sevsnpvm-migration-allowed", "b x-ms-sevsnpvm-smt-allowed",
};

static const char *const tdx_rules[] = {
    "!h48 tdx_mrtd", "h64 tdx_report_data", "h48 tdx_mrseam", "h48 tdx_mrsignerseam", "h48 tdx_mrconfigid", "h48 tdx_mrowner",
    "h48 tdx_mrownerconfig", "h48 tdx_rtmr0", "h48 tdx_rtmr1", "h48 tdx_rtmr2", "h48 tdx_rtmr3", "h16 tdx_tee_tcb_svn", "h8 tdx_seam_attributes",
    "h8 tdx_td_attributes", "h8 tdx_xfam", "u tdx_seamsvn", "b tdx_td_attributes_debug", "b tdx_td_attributes_septve_disable",
    "b tdx_td_attributes_protection_keys", "b tdx_td_attributes_key_locker", "b tdx_td_attributes_perfmon", "b tdx_is_debuggable",
    "t attester_tcb_status", "t attester_tcb_date", "T attester_advisory_ids", "t dbgstat", "t eat_profile", "t intuse",
};

static const char *const vm_rules[] = {
    "t x-ms-azurevm-attestation-protocol-ver", "a x-ms-azurevm-attested-pcrs", "b x-ms-azurevm-bootdebug-enabled", "b x-ms-azurevm-dbvalidated",
    "b x-ms-azurevm-dbxvalidated", "b x-ms-azurevm-debuggersdisabled", "b x-ms-azurevm-default-securebootkeysvalidated",
    "b x-ms-azurevm-elam-enabled", "b x-ms-azurevm-flightsigning-enabled", "u x-ms-azurevm-hvci-policy", "b x-ms-azurevm-hypervisordebug-enabled",
    "b x-ms-azurevm-is-windows", "b x-ms-azurevm-kerneldebug-enabled", "t x-ms-azurevm-osbuild", "t x-ms-azurevm-osdistro",
    "t x-ms-azurevm-ostype", "u x-ms-azurevm-osversion-major", "u x-ms-azurevm-osversion-minor", "b x-ms-azurevm-signingdisabled",
    "b x-ms-azurevm-testsigning-enabled", "t x-ms-azurevm-vmid", "b secureboot",
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
    if (p->have_product_tcb) {
        (void)clo_attest_check_add(c->out, "reported_tcb.product", false, "tcb_too_low", "evidence that names its product", "a token, which does not");
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
    check_debug(c, "debug.guest", is_true(m, "x-ms-azurevm-bootdebug-enabled") || is_true(m, "x-ms-azurevm-kerneldebug-enabled") ||
                                      is_true(m, "x-ms-azurevm-hypervisordebug-enabled"));
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

/* nested: the isolation claims of a virtual machine, which are of hardware that isolates one. */
static clo_err judge_type(clo_attest_context *c, clo_span type, const clo_wire_node *m, bool nested, uint8_t report_data[64], size_t *report_data_size)
{
    const char *claim = "x-ms-sgx-report-data";
    bool snp = type_is(type, "sevsnpvm"), tdx = type_is(type, "tdxvm"), sgx = type_is(type, "sgx") || type_is(type, "openenclave");
    if (snp) claim = "x-ms-sevsnpvm-reportdata";
    if (tdx) claim = "tdx_report_data";
    *report_data_size = clo_attest_token_hex(m, claim, report_data, 64) ? 64 : 0;
    char got[40];
    (void)snprintf(got, sizeof got, "%.*s", (int)(type.n < 32 ? type.n : 32), type.n == 0 ? "" : (const char *)type.p);
    bool known = snp || tdx || (!nested && (sgx || type_is(type, "tpm")));
    const char *want = nested ? "sevsnpvm or tdxvm" : "sgx, sevsnpvm, tdxvm, azurevm or tpm";
    if (!clo_attest_check_add(c->out, "attestation_type", known, "unsupported", want, got)) return CLO_OK;
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
    CLO_TRY(judge_type(c, type, inner, inner != root, report_data, &report_data_size));
    judge_nonce(c, root, inner, clo_span_of(report_data, report_data_size));
    if (c->policy->have_report_data) {
        (void)clo_attest_check_bytes(c->out, "report_data", "report_data_mismatch", clo_span_of(c->policy->report_data, sizeof c->policy->report_data),
                                     clo_span_of(report_data, report_data_size));
    }
    return CLO_OK;
}
