/* Which role a file of evidence or collateral plays, from what is in it. */
#include "cli/cli_attest.h"

#include "attest/evidence_record.h"
#include "crypto/x509.h"

enum { CERTS_MAX = 8 };

static bool contains(clo_span bytes, const char *text) { return memmem(bytes.p, bytes.n, text, strlen(text)) != NULL; }

static bool begins(clo_span bytes, const char *text)
{
    size_t i = 0;
    while (i < bytes.n && (bytes.p[i] == ' ' || bytes.p[i] == '\n' || bytes.p[i] == '\r' || bytes.p[i] == '\t')) i++;
    return bytes.n - i >= strlen(text) && memcmp(bytes.p + i, text, strlen(text)) == 0;
}

static bool is_intel(const char *type) { return strcmp(type, "sgx") == 0 || strcmp(type, "tdx") == 0; }

static const char *json_role(const char *type, clo_span bytes)
{
    if (contains(bytes, "\"tcbInfo\"")) return "tcb_info";
    if (contains(bytes, "\"enclaveIdentity\"")) return "qe_identity";
    if (contains(bytes, "\"keys\"")) return "jwks";
    if (contains(bytes, "\"kty\"")) return strcmp(type, "cca") == 0 ? "cpak_public" : "iak_public";
    return NULL;
}

/* Revocation lists come as DER, PEM or, from Intel, as hex text. */
static const char *crl_role(const char *type, clo_span bytes)
{
    clo_crypto_crl *crl = NULL;
    CLO_AUTO(clo_buf_free) clo_buf der;
    clo_buf_init(&der, 1 << 20);
    uint8_t *at = NULL;
    clo_span text = bytes;
    while (text.n != 0 && text.p[text.n - 1] <= ' ') text.n--;
    if (text.n > 64 && text.n % 2 == 0 && !clo_failed(clo_buf_reserve(&der, text.n / 2, &at)) && !clo_failed(clo_hex_decode(at, text.n / 2, text))) {
        der.len = text.n / 2;
        bytes = clo_buf_span(&der);
    }
    if (clo_failed(clo_crypto_crl_parse(&crl, bytes))) return NULL;
    clo_crypto_crl_free(&crl);
    if (contains(bytes, "Intel SGX PCK")) return "pck_ca_crl";
    if (contains(bytes, "Intel SGX Root CA")) return "root_ca_crl";
    return is_intel(type) ? "pck_ca_crl" : "crl";
}

static const char *cert_role(const char *type, clo_span bytes)
{
    clo_crypto_cert *certs[CERTS_MAX] = {NULL};
    size_t count = 0;
    char name[128] = "";
    const char *role = "ask_ark_chain";
    if (clo_failed(clo_crypto_cert_parse_pem(certs, CERTS_MAX, &count, bytes))) return NULL;
    if (clo_failed(clo_crypto_cert_common_name(certs[0], name, sizeof name))) name[0] = '\0';
    bool self = count == 1 && !clo_failed(clo_crypto_cert_signed_by(certs[0], certs[0]));
    if (strstr(name, "SGX TCB Signing") != NULL) {
        role = "tcb_signing_chain";
    } else if (strstr(name, "SGX PCK Certificate") != NULL) {
        role = "pck_cert";
    } else if (strstr(name, "SGX PCK") != NULL) {
        role = "pck_sign_chain";
    } else if (self) {
        role = "root";
    } else if (strcmp(type, "nvidia-gpu") == 0 || strstr(name, "FMC LF") != NULL || strstr(name, "FSP") != NULL) {
        role = "cert_chain";
    } else if (count == 1 && !clo_crypto_cert_is_ca(certs[0])) {
        role = "vcek_or_vlek";
    }
    for (size_t i = 0; i < count; i++) clo_crypto_cert_free(&certs[i]);
    return role;
}

CLO_R clo_cli_guess_collateral(const char *type, clo_span bytes, const char *path, char role[32])
{
    const char *found = NULL;
    if (begins(bytes, "{"))
        found = json_role(type, bytes);
    else if (contains(bytes, "SoftwareIdentity"))
        found = contains(bytes, "VBIOS") ? "vbios_rim" : "driver_rim";
    if (found == NULL) found = crl_role(type, bytes);
    if (found == NULL) found = cert_role(type, bytes);
    CLO_CHECKF(found != NULL, CLO_E_MALFORMED,
               "%s is no certificate, revocation list, key set or vendor document that is recognised; say what it is: --collateral ROLE=%s", path, path);
    (void)snprintf(role, 32, "%s", found);
    return CLO_OK;
}

void clo_cli_guess_evidence(clo_arena *a, clo_span bytes, char role[32])
{
    clo_attest_bundle bundle;
    const char *found = "report";
    if (bytes.n > 4 && memcmp(bytes.p, "HCLA", 4) == 0)
        found = "hcl_report";
    else if (bytes.n > 4 && memcmp(bytes.p, "\xff\x54\x43\x47", 4) == 0)
        found = "message";
    else if (!clo_failed(clo_attest_bundle_decode(a, bytes, &bundle)))
        found = "bundle";
    (void)snprintf(role, 32, "%s", found);
}

static clo_err part_add(clo_attest_part *to, size_t *count, const char *role, clo_span bytes)
{
    CLO_CHECKF(*count < CLO_ATTEST_PARTS_MAX, CLO_E_TOO_MANY, "at most %d files may be given", CLO_ATTEST_PARTS_MAX);
    (void)snprintf(to[*count].role, sizeof to[*count].role, "%s", role);
    to[(*count)++].bytes = bytes;
    return CLO_OK;
}

/* ROLE=FILE, where ROLE is a word of the verifiers; anything else is a file name. A composite's part may stand before the role: gpu.root=FILE. */
static const char *split_role(const char *text, char role[32])
{
    const char *equals = strchr(text, '=');
    role[0] = 0;
    if (equals == NULL || equals == text || (size_t)(equals - text) >= 32 ||
        strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789.-") != (size_t)(equals - text))
        return text;
    memcpy(role, text, (size_t)(equals - text));
    role[equals - text] = 0;
    return equals + 1;
}

/* A record brings its own roles, type and time. */
static clo_err record_take(clo_cli *c, cli_case *k, clo_span bytes, bool *taken)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_attest_record), &memory));
    clo_attest_record *r = memory;
    *taken = !clo_failed(clo_attest_record_decode(&c->arena, bytes, r));
    if (!*taken) return CLO_OK;
    for (size_t i = 0; i < r->evidence_count; i++) CLO_TRY(part_add(k->evidence, &k->evidence_count, r->evidence[i].role, r->evidence[i].bytes));
    for (size_t i = 0; i < r->collateral_count; i++)
        CLO_TRY(part_add(k->collateral, &k->collateral_count, r->collateral[i].role, r->collateral[i].bytes));
    if (strcmp(k->type, "auto") == 0) memcpy(k->type, r->type, sizeof k->type);
    if (clo_cli_value(c, "--at") == NULL && r->at != 0) k->at = r->at;
    return CLO_OK;
}

CLO_R clo_cli_case_evidence(clo_cli *c, cli_case *k, const char *text)
{
    char role[32];
    clo_span bytes;
    bool taken = false;
    const char *path = split_role(text, role);
    CLO_TRY(clo_cli_read(c, path, &bytes));
    if (role[0] == '\0') CLO_TRY(record_take(c, k, bytes, &taken));
    if (taken) return CLO_OK;
    if (role[0] == '\0') clo_cli_guess_evidence(&c->arena, bytes, role);
    return part_add(k->evidence, &k->evidence_count, role, bytes);
}

CLO_R clo_cli_case_open(clo_cli *c, cli_case **out)
{
    const char *type = clo_cli_value(c, "--type"), *at = clo_cli_value(c, "--at"), *text = NULL;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(cli_case), &memory));
    cli_case *k = memory;
    k->at = clo_cli_now();
    CLO_CHECKF(type == NULL || strlen(type) < sizeof k->type, CLO_E_USAGE, "\"%.32s\" is no type of evidence", type);
    (void)snprintf(k->type, sizeof k->type, "%s", type == NULL ? "auto" : type);
    if (at != NULL && clo_failed(clo_time_parse(&k->at, clo_span_str(at))))
        return CLO_FAILF(CLO_E_USAGE, "--at takes a time like 2026-01-31T12:00:00Z");
    for (size_t i = 0; (text = clo_cli_value_at(c, "--collateral", i)) != NULL; i++) {
        char role[32];
        clo_span bytes;
        const char *path = split_role(text, role);
        CLO_TRY(clo_cli_read(c, path, &bytes));
        if (role[0] == '\0') CLO_TRY(clo_cli_guess_collateral(k->type, bytes, path, role));
        CLO_TRY(part_add(k->collateral, &k->collateral_count, role, bytes));
    }
    *out = k;
    return CLO_OK;
}

CLO_R clo_cli_case_verify(clo_cli *c, const cli_case *k, const clo_attest_policy *p, clo_attest_result **out)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_attest_result), &memory));
    *out = memory;
    return clo_attest_verify(&c->arena, k->type, k->evidence, k->evidence_count, k->collateral, k->collateral_count, p, k->at, *out);
}
