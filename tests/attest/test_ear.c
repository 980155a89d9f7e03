/* Proves attestation results and composites on evidence of the software TEE: EARs as JWT and CWT say what the checks carry and verify under the
 * maker's key alone; every tampered, stale or foreign one is refused; a composite is valid only where every part is and all are bound to one nonce. */
#include "chain_fixture.h"

#include "attest/ear.h"
#include "attest/evidence_record.h"
#include "base/clo_text.h"
#include "wire/cbor.h"
#include "wire/cose.h"
#include "wire/json.h"
#include "wire/jws.h"

#include <stdio.h>

static clo_attest_result made, judged;
static clo_attest_policy strict;
static clo_crypto_private_key key, stranger;
static clo_buf jwks, other_jwks;
static const uint8_t nonce[16] = "nonce of a party";

static void keys_write(const clo_crypto_private_key *sk, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_crypto_public_key pk;
    clo_wire_node *jwk = NULL, *list = NULL, *map = NULL;
    clo_buf_init(out, 8192);
    assert_ok(clo_crypto_sign_public_of(sk, &pk));
    assert_ok(clo_wire_jwk_make(&a, &pk, &jwk));
    assert_ok(clo_wire_array(&a, &list));
    assert_ok(clo_wire_append(list, jwk));
    assert_ok(clo_wire_map(&a, &map));
    assert_ok(clo_wire_set(&a, map, "keys", list));
    assert_ok(clo_wire_json_encode(map, 0, out));
}

static int set_up(void **state)
{
    clo_crypto_public_key pk;
    if (chain_set_up(state) != 0 || clo_failed(clo_crypto_sign_generate(CLO_SIGN_ES256, &key, &pk)) ||
        clo_failed(clo_crypto_sign_generate(CLO_SIGN_ED25519, &stranger, &pk)))
        return -1;
    keys_write(&key, &jwks);
    keys_write(&stranger, &other_jwks);
    return 0;
}

static int tear_down(void **state)
{
    clo_buf_free(&jwks);
    clo_buf_free(&other_jwks);
    return chain_tear_down(state);
}

/* A result as a hardware verifier would give it. */
static void result_of(clo_arena *a, const char *tee, bool valid, const char *reason, clo_attest_result *r)
{
    memset(r, 0, sizeof *r);
    (void)snprintf(r->tee, sizeof r->tee, "%s", tee);
    (void)snprintf(r->reason, sizeof r->reason, "%s", reason);
    (void)snprintf(r->tcb_status, sizeof r->tcb_status, "UpToDate");
    r->valid = valid;
    r->judged = 0x7fff;
    r->valid_until = NOW + 10000;
    assert_ok(clo_wire_map(a, &r->claims));
    assert_ok(clo_wire_set_bytes(a, r->claims, "measurement", clo_span_of(nonce, 16)));
    assert_ok(clo_wire_set_bool(a, r->claims, "policy_debug", false));
}

static clo_attest_ear_options options_of(const clo_crypto_private_key *sk)
{
    return (clo_attest_ear_options){.key = sk, .issuer = "https://verifier.example", .nonce = clo_span_of(nonce, sizeof nonce), .now = NOW,
                                    .policy_id = "urn:x", .raw_evidence = clo_span_str("raw")};
}

static void token_make(bool jwt, const clo_attest_result *r, const clo_attest_policy *p, const clo_attest_ear_options *o, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    clo_buf_init(out, 1 << 18);
    if (jwt)
        assert_ok(clo_attest_ear_jwt(&a, r, p, o, out));
    else
        assert_ok(clo_attest_ear_cwt(&a, r, p, o, out));
}

static const char *verdict(clo_arena *a, clo_span token, clo_span keys, const clo_attest_policy *p, int64_t now)
{
    clo_attest_part parts[2] = {{"report", token}, {"jwks", keys}};
    assert_ok(clo_attest_verify(a, "ear", parts, 1, parts + 1, keys.n != 0 ? 1 : 0, p, now, &judged));
    return judged.valid ? "valid" : judged.reason;
}

static void policy_for_ear(clo_attest_policy *p)
{
    clo_attest_policy_init(p);
    p->expected_nonce = clo_span_of(nonce, sizeof nonce);
    p->require_binding = true;
}

static void test_tokens(void **state)
{
    (void)state;
    for (int jwt = 0; jwt < 2; jwt++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        CLO_AUTO(clo_buf_free) clo_buf token;
        clo_arena_init(&a, 1 << 22);
        clo_attest_policy p;
        clo_attest_policy_init(&strict);
        policy_for_ear(&p);
        clo_attest_ear_options o = options_of(&key);
        result_of(&a, "snp", true, "", &made);
        token_make(jwt != 0, &made, &strict, &o, &token);
        clo_span bytes = clo_buf_span(&token), keys = clo_buf_span(&jwks);
        assert_string_equal(verdict(&a, bytes, keys, &p, NOW), "valid");
        assert_true(judged.valid_until == NOW + CLO_EAR_LIFETIME_S);
        const clo_wire_node *m = clo_wire_get(clo_wire_get(judged.claims, "submods"), "snp");
        assert_non_null(m);
        const clo_wire_node *v = clo_wire_get(m, "ear.trustworthiness-vector");
        assert_int_equal(clo_wire_get(v, "hardware")->integer, 2);
        assert_int_equal(clo_wire_get(v, "configuration")->integer, 2);
        assert_int_equal(clo_wire_get(v, "executables")->integer, 3);
        assert_int_equal(clo_wire_get(v, "runtime-opaque")->integer, 2);
        assert_null(clo_wire_get(v, "instance-identity"));
        assert_non_null(clo_wire_get(clo_wire_get(m, "ear.veraison.annotated-evidence"), "measurement"));
        clo_attest_part part = {"report", bytes}, set = {"jwks", keys};
        assert_ok(clo_attest_verify(&a, "auto", &part, 1, &set, 1, &p, NOW, &judged));
        assert_string_equal(judged.tee, "ear");
        assert_string_equal(verdict(&a, bytes, clo_buf_span(&other_jwks), &p, NOW), "unknown_key");
        assert_string_equal(verdict(&a, bytes, clo_span_of(NULL, 0), &p, NOW), "collateral_missing");
        assert_string_equal(verdict(&a, bytes, keys, &p, NOW + CLO_EAR_LIFETIME_S + 1), "expired");
        assert_string_equal(verdict(&a, bytes, keys, &p, NOW - 61), "not_yet_valid");
        (void)snprintf(p.expected_issuer, sizeof p.expected_issuer, "https://other.example");
        assert_string_equal(verdict(&a, bytes, keys, &p, NOW), "issuer_mismatch");
        policy_for_ear(&p);
        p.max_age_s = 10;
        assert_string_equal(verdict(&a, bytes, keys, &p, NOW + 11), "stale");
        policy_for_ear(&p);
        p.expected_nonce = clo_span_str("another nonce");
        assert_string_equal(verdict(&a, bytes, keys, &p, NOW), "nonce_mismatch");
        p.expected_nonce = clo_span_of(NULL, 0);
        assert_string_equal(verdict(&a, bytes, keys, &p, NOW), "binding");
        policy_for_ear(&p);
        p.measurement_count = 1; /* this type has no check for it */
        assert_string_equal(verdict(&a, bytes, keys, &p, NOW), "measurement_mismatch");
    }
}

/* What stands in the result decides status and vector; nothing affirms the software TEE. */
static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *tee, *reason, *tcb, *status, *strict_verdict;
        bool valid;
    } cases[] = {
        {"snp", "", "UpToDate", "affirming", "valid", true},
        {"tdx", "", "SWHardeningNeeded", "warning", "tcb_status", true},
        {"sim", "", "UpToDate", "contraindicated", "simulated", true},
        {"snp", "bad_signature", "", "contraindicated", "claims", false},
        {"snp", "measurement_mismatch", "", "contraindicated", "claims", false},
        {"snp", "debug", "", "contraindicated", "claims", false},
        {"snp", "revoked", "", "contraindicated", "claims", false},
        {"snp", "nonce_mismatch", "", "contraindicated", "claims", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        CLO_AUTO(clo_buf_free) clo_buf token;
        clo_arena_init(&a, 1 << 22);
        clo_attest_policy p;
        policy_for_ear(&p);
        clo_attest_policy_init(&strict);
        clo_attest_ear_options o = options_of(&key);
        result_of(&a, cases[i].tee, cases[i].valid, cases[i].reason, &made);
        (void)snprintf(made.tcb_status, sizeof made.tcb_status, "%s", cases[i].tcb);
        token_make(i % 2 == 0, &made, &strict, &o, &token);
        assert_string_equal(verdict(&a, clo_buf_span(&token), clo_buf_span(&jwks), &p, NOW), cases[i].strict_verdict);
        const clo_wire_node *m = clo_wire_get(clo_wire_get(judged.claims, "submods"), cases[i].tee);
        assert_string_equal((const char *)clo_wire_get(m, "ear.status")->text.p, cases[i].status);
        if (strcmp(cases[i].tee, "sim") == 0) {
            const clo_wire_node *v = clo_wire_get(m, "ear.trustworthiness-vector");
            assert_true(clo_wire_get(v, "hardware")->integer >= 96 && clo_wire_get(v, "runtime-opaque")->integer >= 96);
            p.allow_simulated = true;
            assert_string_equal(verdict(&a, clo_buf_span(&token), clo_buf_span(&jwks), &p, NOW), "valid");
        }
        p.accept_tcb_status = CLO_ATTEST_TCB_ANY;
        if (!cases[i].valid) assert_string_equal(verdict(&a, clo_buf_span(&token), clo_buf_span(&jwks), &p, NOW), "claims");
    }
    clo_attest_ear_vector v;
    static const char *const words_of_others[] = {"maa", "gcp-confidential-space", "ear", "optee"};
    clo_attest_policy_init(&strict);
    for (size_t i = 0; i < 4; i++) {
        memset(&made, 0, sizeof made);
        (void)snprintf(made.tee, sizeof made.tee, "%s", words_of_others[i]);
        made.valid = true;
        made.judged = 0x7fff;
        clo_attest_ear_derive(&made, NULL, &strict, &v);
        assert_int_equal(v.claims[CLO_EAR_HARDWARE], 0);
        assert_int_equal(v.claims[CLO_EAR_RUNTIME], 0);
    }
    memset(&made, 0, sizeof made);
    (void)snprintf(made.tee, sizeof made.tee, "snp");
    made.valid = true;
    clo_attest_policy_init_open(&strict);
    clo_attest_ear_derive(&made, NULL, &strict, &v); /* no check was made: nothing is claimed */
    for (size_t i = 0; i < CLO_EAR_CLAIMS; i++) assert_int_equal(v.claims[i], 0);
    assert_int_equal(v.status, CLO_EAR_NONE);
}

/* A trusted verifier that claims nonsense is not believed, and its token's forms are bounded. */
static void test_odd_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *claims, *reason;
    } cases[] = {
        {"{}", "claims"},
        {"{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":1800000000,\"exp\":1800000100}", "claims"},
        {"{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":1800000000,\"exp\":1800000100,\"submods\":{}}", "claims"},
        {"{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":1800000000,\"exp\":1800000100,\"submods\":{\"a\":1}}", "claims"},
        {"{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":1800000000,\"exp\":1800000100,\"submods\":{\"a\":{\"ear.status\":\"none\"}}}", "claims"},
        {"{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":1800000000,\"exp\":1800000100,\"submods\":{\"a\":{\"ear.status\":\"affirming\","
         "\"ear.trustworthiness-vector\":{\"hardware\":96}}}}", "claims"},
        {"{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":1800000000,\"exp\":1800000100,\"submods\":{\"a\":{\"ear.status\":\"affirming\","
         "\"ear.trustworthiness-vector\":{\"hardware\":\"2\"}}}}", "claims"},
        {"{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":1800000000,\"submods\":{\"a\":{\"ear.status\":\"affirming\"}}}", "claims"},
        {"{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":\"now\",\"submods\":{\"a\":{\"ear.status\":\"affirming\"}}}", "claims"},
        {"{\"eat_profile\":\"another\",\"iat\":1800000000,\"exp\":1800000100,\"submods\":{\"a\":{\"ear.status\":\"affirming\"}}}", "claims"},
        {"{\"eat_profile\":\"tag:github.com,2023:veraison/ear\",\"iat\":1800000000,\"exp\":1800000100,\"submods\":{\"a\":{\"ear.status\":\"affirming\"}}}", "valid"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        CLO_AUTO(clo_buf_free) clo_buf token;
        clo_arena_init(&a, 1 << 22);
        clo_buf_init(&token, 1 << 16);
        clo_wire_node *claims = NULL;
        clo_attest_policy p;
        clo_attest_policy_init(&p);
        assert_ok(clo_wire_json_decode(&a, clo_span_str(cases[i].claims), &claims));
        assert_ok(clo_wire_jws_make(&a, &key, "JWT", claims, &token));
        assert_string_equal(verdict(&a, clo_buf_span(&token), clo_buf_span(&jwks), &p, NOW), cases[i].reason);
    }
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 22);
    clo_attest_policy p;
    clo_attest_policy_init(&p);
    static const char *const bad[] = {"", "eyJ", "eyJh.e30.AA", "\x84\x40\xa0\x40\x40", "{}", "x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_string_equal(verdict(&a, clo_span_str(bad[i]), clo_buf_span(&jwks), &p, NOW), "malformed");
}

/* The largest tokens that are read, full of small members or of one text, and what their parsing allocates. */
static void test_bounds(void **state)
{
    (void)state;
    static char claims[32768];
    for (int form = 0; form < 3; form++) {
        size_t n = (size_t)snprintf(claims, sizeof claims, "{\"submods\":{\"a\":{\"ear.status\":\"affirming\"}},\"x\":");
        if (form == 0) { /* one text */
            claims[n++] = '"';
            memset(claims + n, 'x', 22000);
            n += 22000;
            n += (size_t)snprintf(claims + n, sizeof claims - n, "\"}");
        } else { /* lists of lists, or many members */
            for (int i = 0; i < 4000; i++) claims[n++] = form == 1 ? '[' : i % 2 == 0 ? '[' : '1';
        }
        CLO_AUTO(clo_arena_free) clo_arena a;
        CLO_AUTO(clo_buf_free) clo_buf token;
        clo_arena_init(&a, 1 << 22);
        clo_buf_init(&token, 1 << 17);
        assert_ok(clo_buf_put_str(&token, "eyJhbGciOiJFUzI1NiJ9."));
        assert_ok(clo_base64url_encode(&token, clo_span_of((const uint8_t *)claims, n)));
        assert_ok(clo_buf_put_str(&token, ".AAAA"));
        clo_attest_policy p;
        clo_attest_policy_init(&p);
        assert_string_not_equal(verdict(&a, clo_buf_span(&token), clo_buf_span(&jwks), &p, NOW), "valid");
        if (a.used > 65536) fail_msg("form %d: %zu bytes", form, a.used);
    }
}

/* Every cut and every flipped bit of both forms: never valid. */
static void test_tampered(void **state)
{
    (void)state;
    for (int jwt = 0; jwt < 2; jwt++) {
        CLO_AUTO(clo_buf_free) clo_buf token;
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 1 << 20);
        clo_attest_policy p;
        policy_for_ear(&p);
        clo_attest_policy_init(&strict);
        clo_attest_ear_options o = options_of(&key);
        result_of(&a, "snp", true, "", &made);
        token_make(jwt != 0, &made, &strict, &o, &token);
        for (size_t i = 0; i < token.len; i++) {
            CLO_AUTO(clo_arena_free) clo_arena b;
            clo_arena_init(&b, 1 << 22);
            if (strcmp(verdict(&b, clo_span_of(token.p, i), clo_buf_span(&jwks), &p, NOW), "valid") == 0) fail_msg("valid when cut at %zu", i);
            token.p[i] ^= (uint8_t)(1u << (i % 8));
            if (strcmp(verdict(&b, clo_buf_span(&token), clo_buf_span(&jwks), &p, NOW), "valid") == 0) fail_msg("valid with a bit of byte %zu flipped", i);
            token.p[i] ^= (uint8_t)(1u << (i % 8));
        }
    }
}

static void test_azure_names(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf token;
    clo_arena_init(&a, 1 << 22);
    clo_buf_init(&token, 1 << 16);
    clo_attest_ear_options o = options_of(&key);
    clo_wire_jws jws;
    result_of(&a, "snp", true, "", &made);
    assert_ok(clo_attest_maa_token(&a, &made, &o, &token));
    assert_ok(clo_wire_jws_parse(&a, clo_buf_span(&token), &jws));
    assert_string_equal((const char *)clo_wire_get(jws.claims, "x-ms-attestation-type")->text.p, "sevsnpvm");
    assert_false(clo_wire_get(jws.claims, "x-ms-sevsnpvm-is-debuggable")->boolean);
    assert_non_null(clo_wire_get(jws.claims, "x-ms-sevsnpvm-launchmeasurement"));
    result_of(&a, "sim", true, "", &made);
    clo_buf_clear(&token);
    assert_ok(clo_attest_maa_token(&a, &made, &o, &token));
    assert_ok(clo_wire_jws_parse(&a, clo_buf_span(&token), &jws));
    assert_string_equal((const char *)clo_wire_get(jws.claims, "x-ms-attestation-type")->text.p, "cloister-sim");
    assert_null(clo_wire_get(jws.claims, "x-ms-sevsnpvm-launchmeasurement"));
    result_of(&a, "snp", false, "debug", &made);
    assert_code(clo_attest_maa_token(&a, &made, &o, &token), CLO_E_DENIED);
}

/* ---- composites ---- */

typedef struct {
    clo_attest_record parts[3];
    uint8_t reports[3][1184];
    clo_buf vcek, bytes;
} machine;

static void part_set(clo_attest_record *r, const char *name, uint8_t report[1184], clo_span vcek)
{
    memset(r, 0, sizeof *r);
    (void)snprintf(r->name, sizeof r->name, "%s", name);
    (void)snprintf(r->type, sizeof r->type, "sim");
    r->evidence[r->evidence_count++] = (clo_attest_part){"report", clo_span_of(report, 1184)};
    r->collateral[r->collateral_count++] = (clo_attest_part){"vcek_or_vlek", vcek};
    r->collateral[r->collateral_count++] = (clo_attest_part){"ask", clo_buf_span(&ask.der)};
    r->collateral[r->collateral_count++] = (clo_attest_part){"ark", clo_buf_span(&ark.der)};
}

/* cpu, gpu, vtpm: the software TEE plays all three. */
static void machine_make(machine *m, clo_span asked)
{
    static const char *const names[3] = {"cpu", "gpu", "vtpm"};
    uint8_t commitment[64], shown[64];
    size_t size = 0;
    bool in_report_data = false;
    clo_buf_init(&m->vcek, 8192);
    clo_buf_init(&m->bytes, 1 << 18);
    make_vcek(&usual, &m->vcek);
    for (size_t i = 3; i-- > 0;) {
        report_usual(m->reports[i]);
        if (i != 0) {
            assert_ok(clo_attest_composite_nonce(asked, names[i], m->reports[i] + 0x50));
        } else {
            assert_ok(clo_attest_composite_commitment(asked, clo_span_of(NULL, 0), m->parts, 3, commitment));
            assert_ok(clo_attest_composite_root("sim", commitment, &in_report_data, shown, &size));
            assert_true(in_report_data && size == 64);
            memcpy(m->reports[i] + 0x50, shown, 64);
        }
        report_sign(m->reports[i]);
        part_set(&m->parts[i], names[i], m->reports[i], clo_buf_span(&m->vcek));
    }
    assert_ok(clo_attest_composite_encode(m->parts, 3, &m->bytes));
}

static void machine_free(machine *m)
{
    clo_buf_free(&m->vcek);
    clo_buf_free(&m->bytes);
}

static const char *composite_verdict(clo_arena *a, clo_span bytes, const clo_attest_policy *p)
{
    clo_attest_part part = {"report", bytes};
    assert_ok(clo_attest_verify(a, "auto", &part, 1, NULL, 0, p, NOW, &judged));
    return judged.valid ? "valid" : judged.reason;
}

static void test_composite(void **state)
{
    (void)state;
    static machine m, n;
    static clo_attest_policy p;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    clo_span asked = clo_span_of(nonce, sizeof nonce);
    machine_make(&m, asked);
    machine_make(&n, clo_span_str("another nonce"));
    policy_usual(&p);
    p.expected_nonce = asked;
    p.require_binding = true;
    assert_string_equal(composite_verdict(&a, clo_buf_span(&m.bytes), &p), "valid");
    assert_string_equal(judged.tee, "composite");
    assert_int_equal(judged.submodule_count, 3);
    assert_non_null(clo_wire_get(clo_wire_get(judged.claims, "gpu"), "measurement"));
    clo_wire_node *claims = NULL;
    clo_attest_ear_options o = options_of(&key);
    assert_ok(clo_attest_ear_claims(&a, &judged, &p, &o, &claims));
    assert_int_equal(clo_wire_get(claims, "submods")->count, 3);
    assert_string_equal(composite_verdict(&a, clo_buf_span(&n.bytes), &p), "report_data_mismatch");
    p.allow_simulated = false;
    assert_string_equal(composite_verdict(&a, clo_buf_span(&m.bytes), &p), "simulated");
    p.allow_simulated = true;
    p.expected_nonce = clo_span_of(NULL, 0);
    assert_string_equal(composite_verdict(&a, clo_buf_span(&m.bytes), &p), "binding");
    p.expected_nonce = asked;
    p.have_report_data = true; /* keys that this root does not commit to */
    assert_string_equal(composite_verdict(&a, clo_buf_span(&m.bytes), &p), "report_data_mismatch");
    p.have_report_data = false;
    p.measurement_count = 1;
    memset(p.measurements[0], 9, 48);
    assert_string_equal(composite_verdict(&a, clo_buf_span(&m.bytes), &p), "measurement_mismatch");
    machine_free(&m);
    machine_free(&n);
}

/* A part swapped, left out, renamed or brought with an anchor. */
static void test_composite_parts(void **state)
{
    (void)state;
    static machine m, n;
    static clo_attest_policy p, part;
    static clo_attest_record parts[3];
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_arena_init(&a, 1 << 25);
    clo_buf_init(&bytes, 1 << 18);
    clo_span asked = clo_span_of(nonce, sizeof nonce);
    machine_make(&m, asked);
    machine_make(&n, clo_span_str("another nonce"));
    policy_usual(&p);
    p.expected_nonce = asked;
    for (int i = 0; i < 8; i++) {
        memcpy(parts, m.parts, sizeof parts);
        size_t count = 3;
        const char *want = "report_data_mismatch";
        if (i == 0) parts[1] = n.parts[1]; /* valid elsewhere */
        if (i == 1) count = 2;
        if (i == 2) (void)snprintf(parts[1].name, sizeof parts[1].name, "npu");
        if (i == 3) (void)snprintf(parts[2].type, sizeof parts[2].type, "composite");
        if (i == 4) parts[2].collateral[parts[2].collateral_count++] = (clo_attest_part){"root", clo_buf_span(&ark.der)};
        if (i == 5) {
            parts[1] = m.parts[2];
            parts[2] = m.parts[1];
        }
        if (i == 6) {
            (void)snprintf(parts[0].type, sizeof parts[0].type, "nvidia-gpu");
            want = "binding";
        }
        if (i == 7) want = "valid";
        if (i == 4) want = "malformed"; /* the digest is over evidence alone */
        clo_buf_clear(&bytes);
        assert_ok(clo_attest_composite_encode(parts, count, &bytes));
        assert_string_equal(composite_verdict(&a, clo_buf_span(&bytes), &p), want);
    }
    part = p;
    p.root_count = 0;
    clo_attest_part_policy policies[3] = {{"cpu", &part}, {"gpu", &part}, {"vtpm", &part}};
    p.parts = policies;
    p.part_count = 3;
    assert_string_equal(composite_verdict(&a, clo_buf_span(&m.bytes), &p), "valid");
    p.measurement_count = 1; /* a demand of the whole that no part with its own policy answers for */
    assert_string_equal(composite_verdict(&a, clo_buf_span(&m.bytes), &p), "measurement_mismatch");
    p.measurement_count = 0;
    p.part_count = 2;
    assert_string_equal(composite_verdict(&a, clo_buf_span(&m.bytes), &p), "binding");
    (void)snprintf(policies[2].name, sizeof policies[2].name, "npu");
    p.part_count = 3;
    assert_string_equal(composite_verdict(&a, clo_buf_span(&m.bytes), &p), "binding");
    machine_free(&m);
    machine_free(&n);
}

static void test_records(void **state)
{
    (void)state;
    static machine m;
    static clo_attest_record back;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf one;
    CLO_AUTO(clo_buf_free) clo_buf two;
    clo_arena_init(&a, 1 << 26);
    clo_buf_init(&one, 1 << 18);
    clo_buf_init(&two, 1 << 18);
    machine_make(&m, clo_span_of(nonce, sizeof nonce));
    m.parts[0].at = NOW;
    assert_ok(clo_attest_record_encode(&m.parts[0], &one));
    assert_ok(clo_attest_record_decode(&a, clo_buf_span(&one), &back));
    assert_ok(clo_attest_record_encode(&back, &two));
    assert_true(clo_span_equal(clo_buf_span(&one), clo_buf_span(&two)));
    assert_true(back.at == NOW && back.evidence_count == 1 && back.collateral_count == 3);
    for (size_t i = 0; i < one.len; i += 7) assert_true(clo_failed(clo_attest_record_decode(&a, clo_span_of(one.p, i), &back)));
    static const char *const bad[] = {
        "{}",
        "{\"format\":\"cloister-evidence/2\",\"type\":\"snp\",\"evidence\":{\"report\":\"00\"},\"collateral\":{}}",
        "{\"format\":\"cloister-evidence/1\",\"type\":\"snp\",\"evidence\":{},\"collateral\":{}}",
        "{\"format\":\"cloister-composite/1\",\"parts\":[]}",
        "{\"format\":\"cloister-evidence/1\",\"type\":\"snp\",\"evidence\":{\"Report\":\"00\"},\"collateral\":{}}",
        "{\"format\":\"cloister-composite/1\",\"parts\":[1]}",
        "{\"format\":\"cloister-evidence/1\",\"type\":\"snp\",\"evidence\":{\"report\":1},\"collateral\":{}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        clo_wire_node *tree = NULL;
        clo_attest_record *parts = NULL;
        size_t count = 0;
        clo_buf_clear(&two);
        assert_ok(clo_wire_json_decode(&a, clo_span_str(bad[i]), &tree));
        assert_ok(clo_wire_cbor_encode(tree, &two));
        assert_true(clo_failed(clo_attest_record_decode(&a, clo_buf_span(&two), &back)));
        assert_true(clo_failed(clo_attest_composite_decode(&a, clo_buf_span(&two), &parts, &count)));
    }
    machine_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),      cmocka_unit_test(test_statuses),        cmocka_unit_test(test_odd_tokens), cmocka_unit_test(test_tampered), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_azure_names), cmocka_unit_test(test_composite),       cmocka_unit_test(test_composite_parts),
        cmocka_unit_test(test_records),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
