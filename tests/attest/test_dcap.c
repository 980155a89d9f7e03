/* Proves each check of quotes, certificates, revocation lists and documents on evidence made here under an own hierarchy: one thing is wrong
 * at a time, everything is signed properly, and the verdict names exactly that thing. Then: what the cache keeps, and that a known
 * appraisal makes the same checks. */
#include "dcap_fixture.h"

#include "base/clo_text.h"

#include <stdio.h>
#include <stdlib.h>

static const char *failed_check(void)
{
    for (size_t i = 0; i < dcap_result.check_count; i++) {
        if (!dcap_result.checks[i].ok) return dcap_result.checks[i].name;
    }
    return "";
}

static void expect(const char *name, const dcap_case *t, const clo_attest_policy *p, int64_t now, const char *want)
{
    const char *got = dcap_verdict_of(t, NULL, p, now);
    if (strcmp(got, want) != 0) fail_msg("%s: %s (%s), wanted %s", name, got, dcap_result.detail, want);
}

/* ---- quotes ---- */

static void test_usual(void **state)
{
    (void)state;
    static const struct {
        uint16_t version;
        dcap_body_type body;
    } kinds[] = {{3, DCAP_BODY_SGX}, {4, DCAP_BODY_SGX}, {5, DCAP_BODY_SGX}, {4, DCAP_BODY_TD10}, {5, DCAP_BODY_TD10}, {5, DCAP_BODY_TD15}};
    clo_attest_policy p;
    dcap_policy_usual(&p);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        CLO_AUTO(dcap_case_free) dcap_case t;
        dcap_plan plan;
        dcap_plan_usual(&plan, kinds[i].version, kinds[i].body);
        plan.zero_ended = i % 2 == 0;
        dcap_case_make(&t, &plan, NULL);
        expect("usual", &t, &p, DCAP_NOW, "valid");
        assert_string_equal(dcap_result.tcb_status, "UpToDate");
        assert_true(dcap_result.valid_until == DCAP_NOW + DCAP_DAY);
        dcap_case_free(&t);
        plan.pck_apart = true;
        dcap_case_make(&t, &plan, NULL);
        expect("chain as collateral", &t, &p, DCAP_NOW, "valid");
    }
}

typedef struct {
    const char *name;
    char where; /* h header, b body, q QE report, a authentication data */
    size_t at;
    uint8_t value;
    const char *reason;
} byte_case;

static void run_bytes(uint16_t version, dcap_body_type body, const byte_case *cases, size_t count)
{
    clo_attest_policy p;
    dcap_policy_usual(&p);
    for (size_t i = 0; i < count; i++) {
        CLO_AUTO(dcap_case_free) dcap_case t;
        dcap_plan plan;
        dcap_plan_usual(&plan, version, body);
        uint8_t *part = cases[i].where == 'h' ? plan.header : cases[i].where == 'b' ? plan.body : cases[i].where == 'q' ? plan.qe : plan.auth_data;
        part[cases[i].at] = cases[i].value;
        dcap_case_make(&t, &plan, NULL);
        expect(cases[i].name, &t, &p, DCAP_NOW, cases[i].reason);
    }
}

static void test_signed_bytes(void **state)
{
    (void)state;
    static const byte_case sgx[] = {
        {"version 2", 'h', 0, 2, "malformed"},
        {"version 6", 'h', 0, 6, "malformed"},
        {"key type 3", 'h', 2, 3, "malformed"},
        {"TEE type", 'h', 4, 1, "malformed"},
        {"TEE type TDX in version 3", 'h', 4, 0x81, "malformed"},
        {"vendor", 'h', 12, 0, "malformed"},
        {"user data", 'h', 47, 9, "valid"},
        {"debug", 'b', 48, 0x07, "debug"},
        {"not initialised", 'b', 48, 0x04, "malformed"},
        {"reserved", 'b', 20, 1, "malformed"},
        {"reserved behind the signer", 'b', 160, 1, "malformed"},
        {"QE MRSIGNER", 'q', 128, 0, "key_binding"},
        {"QE product", 'q', 256, 2, "key_binding"},
        {"QE debug", 'q', 48, 0x17, "key_binding"},
        {"QE attribute outside of the mask", 'q', 48, 0x11, "valid"},
        {"QE MISCSELECT", 'q', 16, 1, "key_binding"},
        {"QE SVN above the level", 'q', 258, 6, "valid"},
        {"QE SVN below every level", 'q', 258, 4, "tcb_not_supported"},
        {"other authentication data", 'a', 0, 0, "valid"},
    };
    static const byte_case tdx[] = {
        {"debug", 'b', 120, 1, "debug"},
        {"another untrusted attribute", 'b', 120, 0x80, "debug"},
        {"SEPT_VE_DISABLE clear", 'b', 123, 0, "platform_policy"},
        {"PKS", 'b', 123, 0x50, "platform_policy"},
        {"PERFMON", 'b', 127, 0x80, "platform_policy"},
        {"SEAM attributes", 'b', 112, 1, "tcb_not_supported"},
        {"SEAM signer", 'b', 64, 1, "tcb_not_supported"},
        {"QE of SGX", 'q', 256, 1, "key_binding"},
        {"newer module", 'b', 0, 9, "valid"},
        {"older module, out of date", 'b', 0, 4, "tcb_status"},
        {"module below every level", 'b', 0, 1, "tcb_not_supported"},
        {"module of no identity", 'b', 1, 3, "tcb_not_supported"},
        {"module without version: all components count", 'b', 1, 0, "tcb_not_supported"},
        {"another component too low", 'b', 2, 4, "tcb_not_supported"},
        {"the last component too low", 'b', 15, 4, "tcb_not_supported"},
    };
    run_bytes(3, DCAP_BODY_SGX, sgx, sizeof sgx / sizeof sgx[0]);
    run_bytes(4, DCAP_BODY_TD10, tdx, sizeof tdx / sizeof tdx[0]);
}

static void test_layouts(void **state)
{
    (void)state;
    clo_attest_policy p;
    dcap_policy_usual(&p);
    CLO_AUTO(dcap_case_free) dcap_case t;
    dcap_plan plan;
    dcap_plan_usual(&plan, 5, DCAP_BODY_TD10);
    plan.body_type = 2;
    plan.body_size = DCAP_TD15_BODY_SIZE;
    dcap_case_make(&t, &plan, NULL);
    expect("size of another body type", &t, &p, DCAP_NOW, "malformed");
    dcap_case_free(&t);
    plan.body_type = 1;
    plan.body_size = DCAP_SGX_BODY_SIZE;
    dcap_case_make(&t, &plan, NULL);
    expect("an SGX body in a TDX quote", &t, &p, DCAP_NOW, "malformed");
    dcap_case_free(&t);
    dcap_plan_usual(&plan, 4, DCAP_BODY_TD10);
    plan.trailing = 70;
    dcap_case_make(&t, &plan, NULL);
    expect("trailing bytes", &t, &p, DCAP_NOW, "malformed");
    assert_string_equal(failed_check(), "trailing_bytes");
    p.allow_trailing_bytes = true;
    expect("trailing bytes allowed", &t, &p, DCAP_NOW, "valid");
    t.parts[0].bytes.n = 0;
    expect("no bytes", &t, &p, DCAP_NOW, "malformed");
    t.count = 0;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    assert_ok(clo_attest_verify(&a, "sgx", t.parts, 0, t.parts + 1, 0, &p, DCAP_NOW, &dcap_result));
    assert_string_equal(dcap_result.reason, "malformed");
    /* Each verifier takes its own TEE's. */
    dcap_case_parts(&t);
    assert_ok(clo_attest_verify(&a, "sgx", t.parts, 1, t.parts + 1, t.count - 1, &p, DCAP_NOW, &dcap_result));
    assert_string_equal(dcap_result.reason, "malformed");
    assert_ok(clo_attest_verify(&a, "auto", t.parts, 1, t.parts + 1, t.count - 1, &p, DCAP_NOW, &dcap_result));
    assert_true(dcap_result.valid);
    assert_string_equal(dcap_result.tee, "tdx");
}

/* The attestation key: not on the curve, another one, and a binding that does not hold. */
static void test_attestation_key(void **state)
{
    (void)state;
    clo_attest_policy p;
    dcap_policy_usual(&p);
    CLO_AUTO(dcap_case_free) dcap_case t;
    dcap_plan plan;
    dcap_plan_usual(&plan, 3, DCAP_BODY_SGX);
    dcap_case_make(&t, &plan, NULL);
    size_t key = 48 + 384 + 4 + 64;
    t.quote.p[key + 63] ^= 1;
    expect("no point of the curve", &t, &p, DCAP_NOW, "bad_key");
    clo_crypto_private_key other;
    clo_crypto_public_key public;
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ES256, &other, &public));
    memcpy(t.quote.p + key, public.bytes + 1, 64);
    expect("another key", &t, &p, DCAP_NOW, "key_binding");
    assert_ok(clo_crypto_sign(&other, clo_span_of(t.quote.p, 48 + 384), t.quote.p + 48 + 384 + 4));
    expect("another key that signed", &t, &p, DCAP_NOW, "key_binding");
    dcap_case_free(&t);
    plan.keep_report_data = true;
    dcap_case_make(&t, &plan, NULL);
    expect("the QE certified another key", &t, &p, DCAP_NOW, "key_binding");
}

/* ---- certificates and lists ---- */

static void test_certificates(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        dcap_certificates c;
        const char *reason;
    } cases[] = {
        {"PCK of another name", {.pck_name = "Some Certificate"}, "bad_chain"},
        {"issuer of another name", {.ca_name = "Intel SGX TCB Signing"}, "bad_chain"},
        {"processor CA", {.ca_name = "Intel SGX PCK Processor CA"}, "valid"},
        {"signer of another name", {.signer_name = "Intel SGX PCK Certificate"}, "bad_chain"},
        {"PCK under the root", {.pck_by_root = true}, "bad_chain"},
        {"CA that is none", {.ca_signs_nothing = true}, "bad_chain"},
        {"no SGX extension", {.no_extension = true}, "bad_chain"},
        {"no FMSPC", {.extension_cut = true}, "bad_chain"},
        {"PCK ended a second ago", {.pck_to = DCAP_NOW - 1}, "expired"},
        {"PCK ends now", {.pck_to = DCAP_NOW}, "valid"},
        {"CA ended", {.ca_to = DCAP_NOW - 1}, "expired"},
        {"signer ended", {.signer_to = DCAP_NOW - 1}, "collateral_expired"},
        {"signer begins later", {.signer_from = DCAP_NOW + 1}, "collateral_not_yet_valid"},
        {"component below the level", {.component = 4}, "tcb_not_supported"},
        {"component above 127", {.component = 200}, "valid"},
        {"PCE SVN below the level", {.pce_svn = 10}, "tcb_not_supported"},
    };
    clo_attest_policy p;
    dcap_policy_usual(&p);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLO_AUTO(dcap_case_free) dcap_case t;
        dcap_plan plan;
        dcap_certify(&cases[i].c);
        dcap_plan_usual(&plan, 3, DCAP_BODY_SGX);
        dcap_case_make(&t, &plan, NULL);
        expect(cases[i].name, &t, &p, DCAP_NOW, cases[i].reason);
    }
    dcap_certify(NULL);
}

static void test_anchors(void **state)
{
    (void)state;
    clo_attest_policy p;
    dcap_policy_usual(&p);
    CLO_AUTO(dcap_case_free) dcap_case t;
    dcap_plan plan;
    dcap_plan_usual(&plan, 3, DCAP_BODY_SGX);
    dcap_case_make(&t, &plan, NULL);
    p.custom_root = false;
    expect("Intel's root alone", &t, &p, DCAP_NOW, "wrong_root");
    p.custom_root = true;
    clo_buf_clear(&t.root);
    dcap_case_parts(&t);
    expect("an own root that nobody gave", &t, &p, DCAP_NOW, "wrong_root");
    const dcap_identity *const other[] = {&dcap_stranger, NULL};
    dcap_pem_make(&t.root, other);
    dcap_case_parts(&t);
    expect("another root", &t, &p, DCAP_NOW, "wrong_root");
    clo_buf_clear(&t.root);
    const dcap_identity *const top[] = {&dcap_root, NULL};
    dcap_pem_make(&t.root, top);
    dcap_case_parts(&t);
    p.root_count = 1;
    expect("a pin of another root", &t, &p, DCAP_NOW, "wrong_root");
    clo_crypto_cert_sha256(dcap_root.cert, p.roots[0]);
    expect("a pin of this root", &t, &p, DCAP_NOW, "valid");
    p.root_count = 0;
    /* Both chains may leave the root out: the given one completes them. */
    const dcap_identity *const signer[] = {&dcap_signer, NULL};
    clo_buf_clear(&t.signing_chain);
    dcap_pem_make(&t.signing_chain, signer);
    dcap_case_parts(&t);
    expect("signer without root", &t, &p, DCAP_NOW, "valid");
    clo_buf_clear(&t.signing_chain);
    assert_ok(clo_buf_put_str(&t.signing_chain, "-----BEGIN CERTIFICATE-----\nMIIB\n"));
    dcap_case_parts(&t);
    expect("no chain", &t, &p, DCAP_NOW, "malformed");
}

typedef struct {
    const char *name;
    char list; /* r root's, c PCK CA's */
    const dcap_identity *issuer, *revoked;
    int64_t from, to;
    const char *reason;
} list_case;

static void test_revocation(void **state)
{
    (void)state;
    static const list_case cases[] = {
        {"revoked PCK", 'c', &dcap_ca, &dcap_pck_identity, -DCAP_DAY, DCAP_DAY, "revoked"},
        {"revoked PCK CA", 'r', &dcap_root, &dcap_ca, -DCAP_DAY, DCAP_DAY, "revoked"},
        {"revoked signer", 'r', &dcap_root, &dcap_signer, -DCAP_DAY, DCAP_DAY, "revoked"},
        {"somebody else revoked", 'c', &dcap_ca, &dcap_signer, -DCAP_DAY, DCAP_DAY, "valid"},
        {"missing list of the CA", 'c', NULL, NULL, 0, 0, "collateral_missing"},
        {"missing list of the root", 'r', NULL, NULL, 0, 0, "collateral_missing"},
        {"expired list of the CA", 'c', &dcap_ca, NULL, -2 * DCAP_DAY, -1, "collateral_expired"},
        {"expired list of the root", 'r', &dcap_root, NULL, -2 * DCAP_DAY, -1, "collateral_expired"},
        {"list of tomorrow", 'c', &dcap_ca, NULL, 1, DCAP_DAY, "collateral_not_yet_valid"},
        {"ends now", 'c', &dcap_ca, NULL, -1, 0, "valid"},
        {"the root's list as the CA's", 'c', &dcap_root, NULL, -DCAP_DAY, DCAP_DAY, "bad_collateral_signature"},
        {"the CA's list as the root's", 'r', &dcap_ca, NULL, -DCAP_DAY, DCAP_DAY, "bad_collateral_signature"},
        {"a stranger's list under the root's name", 'r', &dcap_stranger, NULL, -DCAP_DAY, DCAP_DAY, "bad_collateral_signature"},
    };
    clo_attest_policy p;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const list_case *k = &cases[i];
        CLO_AUTO(dcap_case_free) dcap_case t;
        dcap_plan plan;
        dcap_policy_usual(&p);
        dcap_plan_usual(&plan, 5, DCAP_BODY_TD15);
        dcap_case_make(&t, &plan, NULL);
        clo_buf *list = k->list == 'r' ? &t.root_crl : &t.ca_crl;
        clo_buf_clear(list);
        if (k->issuer != NULL) dcap_crl_make(k->issuer, DCAP_NOW + k->from, DCAP_NOW + k->to, k->revoked, list);
        dcap_case_parts(&t);
        expect(k->name, &t, &p, DCAP_NOW, k->reason);
        /* The same under a policy that does not ask for lists: what is there still counts. */
        p.require_crl = false;
        expect(k->name, &t, &p, DCAP_NOW, k->issuer == NULL ? "valid" : k->reason);
        if (strcmp(k->reason, "collateral_expired") == 0) {
            p.collateral_grace_s = DCAP_DAY;
            expect("within the grace", &t, &p, DCAP_NOW, "valid");
            expect("behind the grace", &t, &p, DCAP_NOW + DCAP_DAY, "collateral_expired");
        }
    }
}

/* Lists come as DER, PEM or hex digits. */
static void test_hex_list(void **state)
{
    (void)state;
    clo_attest_policy p;
    dcap_policy_usual(&p);
    CLO_AUTO(dcap_case_free) dcap_case t;
    CLO_AUTO(clo_buf_free) clo_buf der;
    dcap_plan plan;
    clo_buf_init(&der, 65536);
    dcap_plan_usual(&plan, 3, DCAP_BODY_SGX);
    dcap_case_make(&t, &plan, NULL);
    assert_ok(clo_buf_put_span(&der, clo_buf_span(&t.ca_crl)));
    clo_buf_clear(&t.ca_crl);
    assert_ok(clo_buf_put_hex(&t.ca_crl, clo_buf_span(&der)));
    assert_ok(clo_buf_put_u8(&t.ca_crl, 0));
    dcap_case_parts(&t);
    expect("hex", &t, &p, DCAP_NOW, "valid");
    t.ca_crl.p[200] = 'g';
    expect("no hex", &t, &p, DCAP_NOW, "bad_collateral_signature");
}

/* ---- documents ---- */

#define NULLS "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"

static void test_documents(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        dcap_documents_plan d;
        const char *reason;
    } cases[] = {
        {"version 2", {.version2 = true}, "valid"},
        {"other FMSPC", {.fmspc = "90C06f000001"}, "fmspc_mismatch"},
        {"other PCE", {.pceid = "0001"}, "fmspc_mismatch"},
        {"other FMSPC of yesterday", {.fmspc = "90C06f000001", .next_update = DCAP_NOW - 1}, "fmspc_mismatch"},
        {"for TDX", {.tdx = true}, "fmspc_mismatch"},
        {"unknown id", {.id = "XYZ"}, "malformed"},
        {"TCB info expired", {.next_update = DCAP_NOW - 1}, "collateral_expired"},
        {"TCB info ends now", {.next_update = DCAP_NOW}, "valid"},
        {"TCB info of tomorrow", {.issued = DCAP_NOW + 1}, "collateral_not_yet_valid"},
        {"QE identity expired", {.qe_next_update = DCAP_NOW - 1}, "collateral_expired"},
        {"signed by the root", {.signer = &dcap_root}, "bad_collateral_signature"},
        {"identity of another QE", {.qe_id = "TD_QE"}, "key_binding"},
        {"identity of the QVE", {.qe_id = "QVE"}, "malformed"},
        {"no levels", {.levels = "[]"}, "malformed"},
        {"unknown status", {.qe_levels = "[{\"tcb\":{\"isvsvn\":5},\"tcbDate\":\"2026-01-01T00:00:00Z\",\"tcbStatus\":\"Fine\"}]"}, "malformed"},
        {"unknown date", {.qe_levels = "[{\"tcb\":{\"isvsvn\":5},\"tcbDate\":\"2026-13-01T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}]"}, "malformed"},
        {"SVN of 17 bits", {.qe_levels = "[{\"tcb\":{\"isvsvn\":65536},\"tcbDate\":\"2026-01-01T00:00:00Z\",\"tcbStatus\":\"UpToDate\"}]"}, "malformed"},
        {"member of a later version", {.extra = "\"news\":{\"a\":[1,\"]\"]},"}, "valid"},
        {"FMSPC twice", {.extra = "\"fmspc\":\"90C06f000000\","}, "malformed"},
        {"QE revoked", {.qe_levels = "[{\"tcb\":{\"isvsvn\":1},\"tcbDate\":\"2026-01-01T00:00:00Z\",\"tcbStatus\":\"Revoked\"}]"}, "tcb_status"},
        {"QE out of date", {.qe_levels = "[{\"tcb\":{\"isvsvn\":1},\"tcbDate\":\"2026-01-01T00:00:00Z\",\"tcbStatus\":\"OutOfDate\"}]"}, "tcb_status"},
    };
    clo_attest_policy p;
    dcap_policy_usual(&p);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLO_AUTO(dcap_case_free) dcap_case t;
        dcap_plan plan;
        dcap_plan_usual(&plan, 3, DCAP_BODY_SGX);
        dcap_case_make(&t, &plan, &cases[i].d);
        expect(cases[i].name, &t, &p, DCAP_NOW, cases[i].reason);
    }
}

/* What the signature covers is the member's bytes and nothing else. */
static void test_exact_bytes(void **state)
{
    (void)state;
    clo_attest_policy p;
    dcap_policy_usual(&p);
    CLO_AUTO(dcap_case_free) dcap_case t;
    CLO_AUTO(clo_buf_free) clo_buf whole;
    dcap_plan plan;
    clo_buf_init(&whole, 65536);
    dcap_plan_usual(&plan, 4, DCAP_BODY_TD10);
    dcap_case_make(&t, &plan, NULL);
    /* The members in the other order, with white space around them, and the text's end: all the same. */
    const uint8_t *signature = memmem(t.tcb_info.p, t.tcb_info.len, ",\"signature\":\"", 14);
    assert_non_null(signature);
    size_t body = (size_t)(signature - t.tcb_info.p) - 11;
    assert_ok(clo_buf_put_str(&whole, " {\n"));
    assert_ok(clo_buf_put(&whole, signature + 1, 142));
    assert_ok(clo_buf_put_str(&whole, " ,\t\"tcbInfo\" : "));
    assert_ok(clo_buf_put(&whole, t.tcb_info.p + 11, body));
    assert_ok(clo_buf_put(&whole, " }\n\0", 4));
    clo_buf_clear(&t.tcb_info);
    assert_ok(clo_buf_put_span(&t.tcb_info, clo_buf_span(&whole)));
    dcap_case_parts(&t);
    expect("another order", &t, &p, DCAP_NOW, "valid");
    /* One more space inside breaks it. */
    uint8_t *space = memmem(t.tcb_info.p, t.tcb_info.len, "\"id\":", 5);
    clo_buf_clear(&t.tcb_info);
    size_t at = (size_t)(space - t.tcb_info.p) + 5;
    assert_ok(clo_buf_put(&t.tcb_info, whole.p, at));
    assert_ok(clo_buf_put_u8(&t.tcb_info, ' '));
    assert_ok(clo_buf_put(&t.tcb_info, whole.p + at, whole.len - at));
    dcap_case_parts(&t);
    expect("a space", &t, &p, DCAP_NOW, "bad_collateral_signature");
    clo_buf_clear(&t.tcb_info);
    assert_ok(clo_buf_put_str(&t.tcb_info, "{\"tcbInfo\":{}}"));
    dcap_case_parts(&t);
    expect("no signature", &t, &p, DCAP_NOW, "malformed");
}

static void test_missing(void **state)
{
    (void)state;
    clo_attest_policy p;
    CLO_AUTO(dcap_case_free) dcap_case t;
    dcap_plan plan;
    dcap_plan_usual(&plan, 3, DCAP_BODY_SGX);
    dcap_case_make(&t, &plan, NULL);
    clo_buf *parts[] = {&t.tcb_info, &t.qe_identity, &t.signing_chain};
    for (size_t i = 0; i < 3; i++) {
        clo_buf kept = *parts[i];
        parts[i]->len = 0;
        dcap_case_parts(&t);
        dcap_policy_usual(&p);
        expect("missing", &t, &p, DCAP_NOW, "collateral_missing");
        clo_attest_policy_init_open(&p);
        p.custom_root = true;
        expect("missing, and nothing asks for it", &t, &p, DCAP_NOW, i == 2 ? "collateral_missing" : "valid");
        *parts[i] = kept;
    }
    for (size_t i = 0; i < 3; i++) parts[i]->len = 0;
    t.root_crl.len = t.ca_crl.len = 0;
    dcap_case_parts(&t);
    expect("nothing but the quote", &t, &p, DCAP_NOW, "valid");
    assert_string_equal(dcap_result.tcb_status, "");
    p.accept_tcb_status = CLO_ATTEST_TCB_UP_TO_DATE;
    expect("a status is asked for", &t, &p, DCAP_NOW, "collateral_missing");
    clo_attest_policy_init_open(&p);
    p.custom_root = true;
    p.min_tcb_evaluation_number = 1;
    expect("a number is asked for", &t, &p, DCAP_NOW, "collateral_missing");
}

/* ---- policy ---- */

static void test_policy(void **state)
{
    (void)state;
    clo_attest_policy p;
    dcap_policy_usual(&p);
    CLO_AUTO(dcap_case_free) dcap_case t;
    dcap_plan plan;
    dcap_plan_usual(&plan, 4, DCAP_BODY_TD10);
    plan.body[0] = 3; /* the module is out of date */
    dcap_case_make(&t, &plan, NULL);
    expect("status", &t, &p, DCAP_NOW, "tcb_status");
    assert_string_equal(dcap_result.tcb_status, "OutOfDate");
    p.accept_tcb_status |= CLO_ATTEST_TCB_OUT_OF_DATE;
    expect("advisory", &t, &p, DCAP_NOW, "advisory");
    assert_int_equal(dcap_result.advisory_count, 1);
    p.advisory_count = 1;
    (void)snprintf(p.advisories[0], sizeof p.advisories[0], "INTEL-SA-01036");
    expect("advisory accepted", &t, &p, DCAP_NOW, "valid");
    assert_ok(clo_time_parse(&p.min_tcb_date, clo_span_str("2024-01-01T00:00:01Z")));
    expect("date of the module's level", &t, &p, DCAP_NOW, "tcb_date");
    p.min_tcb_date--;
    expect("date", &t, &p, DCAP_NOW, "valid");
    p.min_tcb_evaluation_number = 18;
    expect("number", &t, &p, DCAP_NOW, "evaluation_number");
    p.min_tcb_evaluation_number = 17;
    expect("number", &t, &p, DCAP_NOW, "valid");
    p.have_report_data = true;
    expect("report data", &t, &p, DCAP_NOW, "report_data_mismatch");
    memset(p.report_data, 0x33, 64);
    expect("report data", &t, &p, DCAP_NOW, "valid");
    p.expected_nonce = clo_span_of(p.report_data, 63);
    expect("nonce and bytes that are not zero", &t, &p, DCAP_NOW, "nonce_mismatch");
    p.expected_nonce.n = 64;
    expect("nonce", &t, &p, DCAP_NOW, "valid");
    p.measurement_count = 1;
    expect("measurement", &t, &p, DCAP_NOW, "measurement_mismatch");
    memset(p.measurements[0], 0x11, 48);
    expect("measurement", &t, &p, DCAP_NOW, "valid");
    p.chip_count = 1;
    expect("platform", &t, &p, DCAP_NOW, "chip_not_allowed");
    memset(p.chips[0], 0xb2, 16);
    expect("platform instance", &t, &p, DCAP_NOW, "valid");
    memset(p.chips[0], 0xa1, 16);
    expect("PPID", &t, &p, DCAP_NOW, "valid");
    p.chips[0][16] = 1;
    expect("PPID and more", &t, &p, DCAP_NOW, "chip_not_allowed");
    p.chip_count = 0;
    p.have_host_data = true;
    expect("MRCONFIGID", &t, &p, DCAP_NOW, "valid");
    p.host_data[31] = 1;
    expect("MRCONFIGID", &t, &p, DCAP_NOW, "host_data_mismatch");
}

static void test_attributes(void **state)
{
    (void)state;
    clo_attest_policy p;
    dcap_policy_usual(&p);
    CLO_AUTO(dcap_case_free) dcap_case t;
    dcap_plan plan;
    dcap_plan_usual(&plan, 4, DCAP_BODY_TD10);
    plan.body[120] = 1;
    dcap_case_make(&t, &plan, NULL);
    p.allow_debug = true;
    expect("debug", &t, &p, DCAP_NOW, "valid");
    dcap_case_free(&t);
    plan.body[120] = 3;
    dcap_case_make(&t, &plan, NULL);
    expect("debug and another", &t, &p, DCAP_NOW, "debug");
    dcap_case_free(&t);
    plan.body[120] = 0;
    plan.body[123] = 0;
    plan.body[127] = 0x80;
    dcap_case_make(&t, &plan, NULL);
    p.allow_debug = false;
    p.any_td_attributes = true;
    expect("any", &t, &p, DCAP_NOW, "valid");
    dcap_case_free(&t);
    dcap_plan_usual(&plan, 3, DCAP_BODY_SGX);
    plan.body[48] = 0x07;
    dcap_case_make(&t, &plan, NULL);
    expect("SGX debug", &t, &p, DCAP_NOW, "debug");
    p.allow_debug = true;
    expect("SGX debug", &t, &p, DCAP_NOW, "valid");
}

/* ---- cache ---- */

static void test_cache(void **state)
{
    (void)state;
    __attribute__((cleanup(clo_attest_cache_free))) clo_attest_cache *cache = NULL;
    clo_attest_policy p;
    dcap_policy_usual(&p);
    CLO_AUTO(dcap_case_free) dcap_case t;
    CLO_AUTO(dcap_case_free) dcap_case other;
    dcap_plan plan;
    assert_ok(clo_attest_cache_new(&cache));
    dcap_plan_usual(&plan, 5, DCAP_BODY_TD15);
    dcap_case_make(&t, &plan, NULL);
    assert_string_equal(dcap_verdict_of(&t, cache, &p, DCAP_NOW), "valid");
    clo_attest_result *first = malloc(sizeof *first);
    assert_non_null(first);
    *first = dcap_result;
    assert_int_equal(clo_attest_cache_count(cache).entries, 2);
    assert_int_equal(clo_attest_cache_count(cache).hits, 0);
    assert_string_equal(dcap_verdict_of(&t, cache, &p, DCAP_NOW), "valid");
    assert_int_equal(clo_attest_cache_count(cache).hits, 2);
    assert_int_equal(first->check_count, dcap_result.check_count);
    for (size_t i = 0; i < first->check_count; i++) {
        /* The documents' signatures are told behind their chain where they were known. */
        bool found = false;
        for (size_t k = 0; k < first->check_count; k++) {
            found = found || (strcmp(first->checks[i].name, dcap_result.checks[k].name) == 0 && strcmp(first->checks[i].expected, dcap_result.checks[k].expected) == 0 &&
                              strcmp(first->checks[i].actual, dcap_result.checks[k].actual) == 0);
        }
        if (!found) fail_msg("check %s is not made again", first->checks[i].name);
    }
    free(first);
    /* What depends on time, policy or quote is judged anew. */
    assert_string_equal(dcap_verdict_of(&t, cache, &p, DCAP_NOW + DCAP_DAY + 1), "collateral_expired");
    assert_string_equal(dcap_verdict_of(&t, cache, &p, DCAP_NOW + 200 * DCAP_DAY), "expired");
    p.custom_root = false;
    assert_string_equal(dcap_verdict_of(&t, cache, &p, DCAP_NOW), "wrong_root");
    p.custom_root = true;
    p.min_tcb_evaluation_number = 18;
    assert_string_equal(dcap_verdict_of(&t, cache, &p, DCAP_NOW), "evaluation_number");
    p.min_tcb_evaluation_number = 0;
    t.quote.p[100] ^= 1;
    assert_string_equal(dcap_verdict_of(&t, cache, &p, DCAP_NOW), "bad_signature");
    t.quote.p[100] ^= 1;
    /* The QE's signature belongs to what was known. */
    size_t qe_signature = 54 + 648 + 4 + 128 + 6 + 384;
    t.quote.p[qe_signature + 40] ^= 1;
    assert_string_equal(dcap_verdict_of(&t, cache, &p, DCAP_NOW), "bad_signature");
    t.quote.p[qe_signature + 40] ^= 1;
    /* Revoked since: other bytes, judged from the start, and not kept. */
    size_t entries = clo_attest_cache_count(cache).entries;
    clo_buf_clear(&t.ca_crl);
    dcap_crl_make(&dcap_ca, DCAP_NOW - DCAP_DAY, DCAP_NOW + DCAP_DAY, &dcap_pck_identity, &t.ca_crl);
    dcap_case_parts(&t);
    assert_string_equal(dcap_verdict_of(&t, cache, &p, DCAP_NOW), "revoked");
    assert_string_equal(dcap_verdict_of(&t, cache, &p, DCAP_NOW), "revoked");
    assert_int_equal(clo_attest_cache_count(cache).entries, entries);
    /* Without lists nothing is kept of the platform: a later policy may ask for them. */
    dcap_plan_usual(&plan, 3, DCAP_BODY_SGX);
    dcap_case_make(&other, &plan, NULL);
    other.ca_crl.len = 0;
    dcap_case_parts(&other);
    p.require_crl = false;
    assert_string_equal(dcap_verdict_of(&other, cache, &p, DCAP_NOW), "valid");
    p.require_crl = true;
    assert_string_equal(dcap_verdict_of(&other, cache, &p, DCAP_NOW), "collateral_missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usual),        cmocka_unit_test(test_signed_bytes), cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_attestation_key), cmocka_unit_test(test_certificates), cmocka_unit_test(test_anchors),
        cmocka_unit_test(test_revocation),   cmocka_unit_test(test_hex_list),     cmocka_unit_test(test_documents),
        cmocka_unit_test(test_exact_bytes),  cmocka_unit_test(test_missing),      cmocka_unit_test(test_policy),
        cmocka_unit_test(test_attributes),   cmocka_unit_test(test_cache),
    };
    return cmocka_run_group_tests(tests, dcap_set_up, dcap_tear_down);
}
