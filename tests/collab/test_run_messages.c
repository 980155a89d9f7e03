/* Proves: requests, release and commit messages, release tokens, statements and outputs round-trip, refuse every change and what
 * the agreement does not allow; what is hashed and bound is laid out as docs/formats.md says. */
#include "collab_fixture.h"

#include <stdlib.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "wire/cbor.h"

typedef struct {
    const clo_collab_agreement *g;
    const clo_crypto_public_key *key;
} context;

static clo_err parse_request(void *c, clo_span in)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    clo_collab_run_request r;
    const clo_collab_run_terms *terms = NULL;
    return clo_collab_run_request_open(&a, in, ((const context *)c)->g, &r, &terms);
}

static void expect_denied(fixture *f, const clo_collab_agreement *g, const clo_collab_run_request *r, size_t signer,
                          const char *claim)
{
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 1 << 16);
    assert_ok(clo_collab_run_request_sign(r, &f->parties[signer], &out));
    clo_collab_run_request again;
    const clo_collab_run_terms *terms = NULL;
    assert_code(clo_collab_run_request_open(&f->arena, clo_buf_span(&out), g, &again, &terms), CLO_E_DENIED);
    assert_non_null(clo_err_denial());
    assert_string_equal(clo_err_denial()->claim, claim);
    assert_true(clo_err_denial()->remedy[0] != '\0' && clo_err_denial()->source[0] != '\0');
}

static void test_request(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    clo_collab_agreement *g = fixture_agreement(&f);
    static clo_collab_run_request r, again, bad; /* large */
    fixture_request(g, &r);
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 1 << 16);
    assert_ok(clo_collab_run_request_sign(&r, &f.parties[3], &out));
    const clo_collab_run_terms *terms = NULL;
    assert_ok(clo_collab_run_request_open(&f.arena, clo_buf_span(&out), g, &again, &terms));
    assert_memory_equal(&r, &again, sizeof r);
    assert_ptr_equal(terms, &g->runs[0]);
    assert_ok(clo_collab_run_request_peek(&f.arena, clo_buf_span(&out), &again));
    assert_memory_equal(&r, &again, sizeof r);
    context c = {.g = g};
    fixture_hostile(parse_request, &c, clo_buf_span(&out));

    bad = r;
    bad.agreement[0] ^= 1;
    expect_denied(&f, g, &bad, 3, "run.agreement");
    bad = r;
    bad.epoch = 2;
    expect_denied(&f, g, &bad, 3, "run.epoch");
    bad = r;
    memcpy(bad.run, "maxima", sizeof "maxima");
    expect_denied(&f, g, &bad, 3, "run.name");
    bad = r;
    memcpy(bad.starter, "hospital-b", sizeof "hospital-b");
    expect_denied(&f, g, &bad, 1, "run.starter");
    bad = r;
    bad.dataset_count = 2;
    expect_denied(&f, g, &bad, 3, "run.datasets");
    bad = r;
    memcpy(bad.datasets[0].id, r.datasets[1].id, 32);
    expect_denied(&f, g, &bad, 3, "run.datasets");
    bad = r;
    bad.rho = (clo_dp_rational){1, 200};
    expect_denied(&f, g, &bad, 3, "run.ask");
    bad = r;
    bad.parameter_count = 0;
    expect_denied(&f, g, &bad, 3, "run.parameters");
    bad = r;
    memcpy(bad.parameters[0].name, "other", sizeof "other");
    expect_denied(&f, g, &bad, 3, "run.parameters");

    /* Another key under the starter's name. */
    clo_collab_identity mallory;
    fixture_identity("analyst", 9, &mallory);
    clo_buf_clear(&out);
    assert_ok(clo_collab_run_request_sign(&r, &mallory, &out));
    assert_code(clo_collab_run_request_open(&f.arena, clo_buf_span(&out), g, &again, &terms), CLO_E_BAD_SIGNATURE);
    clo_buf_clear(&out);
    assert_code(clo_collab_run_request_sign(&r, &f.parties[0], &out), CLO_E_DENIED);
    /* Two parameters of one name cannot be said. */
    bad = r;
    bad.parameter_count = 2;
    bad.parameters[1] = bad.parameters[0];
    assert_code(clo_collab_run_request_sign(&bad, &f.parties[3], &out), CLO_E_DUPLICATE);
    fixture_close(&f);
}

static void binding_make(clo_collab_binding *b)
{
    memset(b, 0, sizeof *b);
    b->nonce_count = 3;
    for (size_t i = 0; i < 3; i++) memset(b->nonces[i].bytes, (int)(0x10 + i), CLO_NONCE);
    memset(b->agreement, 1, 32);
    b->epoch = 0x01020304;
    memset(b->request, 2, 32);
    memset(b->hpke, 3, 32);
    memset(b->sign, 4, 32);
    memset(b->leaf_spki, 5, 32);
    b->configuration = clo_span_str("configuration");
}

static void test_binding(void **state)
{
    (void)state;
    clo_collab_binding b;
    binding_make(&b);
    uint8_t got[64], wanted[64], other[64];
    assert_ok(clo_collab_binding_report_data(&b, got));
    /* The message written out by hand. */
    uint8_t m[12 + 1 + 3 * CLO_NONCE + 32 + 4 + 5 * 32];
    uint8_t *at = m;
    memcpy(at, "cloister/v1\0\3", 13);
    at += 13;
    for (int i = 0; i < 3; i++, at += CLO_NONCE) memset(at, 0x10 + i, CLO_NONCE);
    memset(at, 1, 32);
    memcpy(at + 32, "\1\2\3\4", 4);
    at += 36;
    for (int i = 2; i <= 5; i++, at += 32) memset(at, i, 32);
    assert_ok(clo_crypto_sha256(clo_span_str("configuration"), at));
    at += 32;
    assert_int_equal(at - m, sizeof m);
    assert_ok(clo_crypto_hash(CLO_HASH_SHA512, clo_span_of(m, sizeof m), wanted));
    assert_memory_equal(got, wanted, 64);
    /* Every input counts. */
    uint8_t *const inputs[] = {b.nonces[0].bytes, b.nonces[2].bytes, b.agreement, b.request, b.hpke, b.sign, b.leaf_spki};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        inputs[i][31] ^= 1;
        assert_ok(clo_collab_binding_report_data(&b, other));
        assert_memory_not_equal(got, other, 64);
        inputs[i][31] ^= 1;
    }
    b.configuration = clo_span_str("configuratiom");
    assert_ok(clo_collab_binding_report_data(&b, other));
    assert_memory_not_equal(got, other, 64);
    b.configuration = clo_span_str("configuration");
    b.nonce_count = 2;
    assert_ok(clo_collab_binding_report_data(&b, other));
    assert_memory_not_equal(got, other, 64);
    b.nonce_count = 0;
    assert_code(clo_collab_binding_report_data(&b, other), CLO_E_RANGE);
    b.nonce_count = CLO_PARTIES_MAX + 1;
    assert_code(clo_collab_binding_report_data(&b, other), CLO_E_RANGE);
    binding_make(&b);
    b.epoch = INT64_C(1) << 32;
    assert_code(clo_collab_binding_report_data(&b, other), CLO_E_RANGE);
}

static void test_infos(void **state)
{
    (void)state;
    uint8_t x[5][32], nonce[CLO_NONCE], digest[32];
    for (int i = 0; i < 5; i++) memset(x[i], i + 1, 32);
    memset(nonce, 9, sizeof nonce);
    clo_span evidence = clo_span_str("evidence");
    assert_ok(clo_crypto_sha256(evidence, digest));
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 4096);
    assert_ok(clo_collab_channel_message(x[0], x[1], x[2], "runtime", evidence, &b));
    assert_int_equal(b.len, 20 + 96 + 7 + 32);
    assert_memory_equal(b.p, "cloister/v1 channel", 20);
    assert_memory_equal(b.p + 20 + 32, x[1], 32);
    assert_memory_equal(b.p + 20 + 96, "runtime", 7);
    assert_memory_equal(b.p + 20 + 96 + 7, digest, 32);
    clo_buf_clear(&b);
    assert_ok(clo_collab_release_info(x[0], x[1], x[2], nonce, evidence, 0x0102030405060708, &b));
    assert_int_equal(b.len, 20 + 32 + 16 + 32 + CLO_NONCE + 32 + 8);
    assert_memory_equal(b.p, "cloister/v1 release", 20);
    assert_memory_equal(b.p + b.len - 8, "\1\2\3\4\5\6\7\10", 8);
    clo_buf_clear(&b);
    assert_code(clo_collab_release_info(x[0], x[1], x[2], nonce, evidence, -1, &b), CLO_E_RANGE);
    assert_ok(clo_collab_share_info(x[0], x[1], x[2], "kms", &b));
    assert_int_equal(b.len, 18 + 32 + 16 + 32 + 3);
    assert_memory_equal(b.p, "cloister/v1 share", 18);
    assert_memory_equal(b.p + b.len - 3, "kms", 3);
}

/* The shares of all owners show the statement; without one, or with a share of another run or output, it stays hidden. */
static void test_hidden_statement(void **state)
{
    (void)state;
    uint8_t agreement[32] = {1}, run_id[16] = {2}, output[32] = {3};
    clo_key32 shares[2] = {{{4}}, {{5}}}, part = {{0}}, key = {{0}};
    CLO_AUTO(clo_buf_free) clo_buf hidden, shown;
    clo_buf_init(&hidden, 4096);
    clo_buf_init(&shown, 4096);
    for (int i = 0; i < 2; i++) {
        assert_ok(clo_collab_statement_share(agreement, run_id, output, &shares[i], &part));
        assert_memory_not_equal(part.b, shares[i].b, sizeof part.b);
        clo_key32_xor(&key, &part);
    }
    assert_ok(clo_collab_statement_hide(&key, clo_span_str("it happened"), &hidden));
    assert_ok(clo_collab_statement_show(&key, clo_buf_span(&hidden), &shown));
    assert_true(clo_span_equal(clo_buf_span(&shown), clo_span_str("it happened")));
    clo_buf_clear(&shown);
    assert_code(clo_collab_statement_show(&part, clo_buf_span(&hidden), &shown), CLO_E_AUTHENTICATION);
    for (int i = 0; i < 3; i++) { /* one share, of something else */
        clo_key32 other = key;
        clo_key32_xor(&other, &part);
        uint8_t *const differs[] = {agreement, run_id, output};
        differs[i][0] ^= 1;
        clo_key32 wrong;
        assert_ok(clo_collab_statement_share(agreement, run_id, output, &shares[1], &wrong));
        differs[i][0] ^= 1;
        clo_key32_xor(&other, &wrong);
        assert_code(clo_collab_statement_show(&other, clo_buf_span(&hidden), &shown), CLO_E_AUTHENTICATION);
    }
    for (size_t i = 0; i < hidden.len; i++) {
        hidden.p[i] ^= 1;
        assert_code(clo_collab_statement_show(&key, clo_buf_span(&hidden), &shown), CLO_E_AUTHENTICATION);
        hidden.p[i] ^= 1;
        assert_true(clo_failed(clo_collab_statement_show(&key, clo_span_of(hidden.p, i), &shown)));
    }
    assert_int_equal(shown.len, 0);
}

static void test_release_messages(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 8 << 20);
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 1 << 20);
    clo_collab_release_request r = {.agreement_file = clo_span_str("agreement"),
                                    .agreement_proof = clo_span_str("proof"),
                                    .request = clo_span_str("request"),
                                    .manifest_count = 2,
                                    .manifests = {clo_span_str("m1"), clo_span_str("m2")},
                                    .evidence = clo_span_str("evidence")};
    binding_make(&r.binding);
    memset(r.channel_proof, 8, sizeof r.channel_proof);
    assert_ok(clo_collab_release_request_encode(&r, &out));
    clo_collab_release_request r2;
    assert_ok(clo_collab_release_request_decode(&a, clo_buf_span(&out), &r2));
    assert_int_equal(r2.manifest_count, 2);
    assert_true(clo_span_equal(r2.manifests[1], r.manifests[1]) && clo_span_equal(r2.evidence, r.evidence));
    assert_true(clo_span_equal(r2.binding.configuration, r.binding.configuration));
    r2.binding.configuration = r.binding.configuration;
    assert_memory_equal(&r2.binding, &r.binding, sizeof r.binding);
    for (size_t n = 0; n < out.len; n++)
        assert_true(clo_failed(clo_collab_release_request_decode(&a, clo_span_of(out.p, n), &r2)));

    clo_buf_clear(&out);
    clo_collab_release_reply p = {.lease_seconds = 300, .expires = FIXTURE_TIME, .key_count = 1}, p2;
    uint8_t sealed[80];
    memset(sealed, 7, sizeof sealed);
    p.keys[0].sealed_dek = clo_span_of(sealed, sizeof sealed);
    assert_ok(clo_collab_release_reply_encode(&p, &out));
    assert_ok(clo_collab_release_reply_decode(&a, clo_buf_span(&out), &p2));
    assert_true(clo_span_equal(p2.keys[0].sealed_dek, p.keys[0].sealed_dek) && p2.expires == p.expires);
    for (size_t n = 0; n < out.len; n++) assert_true(clo_failed(clo_collab_release_reply_decode(&a, clo_span_of(out.p, n), &p2)));

    clo_buf_clear(&out);
    clo_collab_commit_request c = {.token = clo_span_str("token"), .sealed_share = clo_span_of(sealed, sizeof sealed)}, c2;
    assert_ok(clo_collab_commit_request_encode(&c, &out));
    assert_ok(clo_collab_commit_request_decode(&a, clo_buf_span(&out), &c2));
    assert_true(clo_span_equal(c.token, c2.token) && clo_span_equal(c.sealed_share, c2.sealed_share));
    for (size_t n = 0; n < out.len; n++)
        assert_true(clo_failed(clo_collab_commit_request_decode(&a, clo_span_of(out.p, n), &c2)));

    clo_buf_clear(&out);
    clo_collab_commit_reply y = {.owner = "hospital-a", .share_count = 1}, y2;
    memcpy(y.shares[0].recipient, "analyst", sizeof "analyst");
    memset(y.statement_share, 9, sizeof y.statement_share);
    y.shares[0].sealed = clo_span_of(sealed, sizeof sealed);
    assert_ok(clo_collab_commit_reply_encode(&y, &out));
    assert_ok(clo_collab_commit_reply_decode(&a, clo_buf_span(&out), &y2));
    assert_string_equal(y2.shares[0].recipient, "analyst");
    assert_memory_equal(y2.statement_share, y.statement_share, sizeof y.statement_share);
    assert_false(y2.without_statement);
    for (size_t n = 0; n < out.len; n++) assert_true(clo_failed(clo_collab_commit_reply_decode(&a, clo_span_of(out.p, n), &y2)));
    /* One that was kept from the time before statements were hidden still opens the output. */
    clo_buf_clear(&out);
    y.without_statement = true;
    assert_ok(clo_collab_commit_reply_encode(&y, &out));
    assert_ok(clo_collab_commit_reply_decode(&a, clo_buf_span(&out), &y2));
    assert_true(y2.without_statement && clo_span_equal(y2.shares[0].sealed, y.shares[0].sealed));
}

/* A member too many, one of another type, hex text where bytes belong: each is refused. */
static void test_foreign_members(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 8 << 20);
    static const struct {
        int what;
        uint32_t code;
    } cases[] = {{0, CLO_E_UNKNOWN_FIELD}, {1, CLO_E_MALFORMED}, {2, CLO_E_NOT_CANONICAL}, {3, CLO_E_MISSING_FIELD}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_wire_node *map = NULL;
        CLO_AUTO(clo_buf_free) clo_buf out;
        clo_buf_init(&out, 4096);
        assert_ok(clo_wire_map(&a, &map));
        if (cases[i].what != 3) assert_ok(clo_wire_set_bytes(&a, map, "token", clo_span_str("token")));
        if (cases[i].what == 0) assert_ok(clo_wire_set_int(&a, map, "extra", 1));
        if (cases[i].what == 1)
            assert_ok(clo_wire_set_int(&a, map, "sealed_share", 1));
        else if (cases[i].what == 2)
            assert_ok(clo_wire_set_text(&a, map, "sealed_share", "00ff"));
        else
            assert_ok(clo_wire_set_bytes(&a, map, "sealed_share", clo_span_str("x")));
        assert_ok(clo_wire_cbor_encode(map, &out));
        clo_collab_commit_request c;
        assert_code(clo_collab_commit_request_decode(&a, clo_buf_span(&out), &c), cases[i].code);
    }
    static const uint8_t duplicate[] = {0xa2, 0x65, 't', 'o', 'k', 'e', 'n', 0x40, 0x65, 't', 'o', 'k', 'e', 'n', 0x40};
    clo_collab_commit_request c;
    assert_code(clo_collab_commit_request_decode(&a, clo_span_of(duplicate, sizeof duplicate), &c), CLO_E_DUPLICATE);
}

static clo_err parse_token(void *c, clo_span in)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    clo_collab_release_token t;
    return clo_collab_release_token_open(&a, in, ((const context *)c)->key, &t);
}

static clo_err parse_statement(void *c, clo_span in)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    clo_collab_statement s;
    return clo_collab_statement_open(&a, in, ((const context *)c)->key, &s);
}

static void test_token_and_statement(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    clo_crypto_private_key sk = {.alg = CLO_SIGN_ED25519};
    clo_crypto_public_key pk;
    memset(sk.bytes, 0x33, 32);
    assert_ok(clo_crypto_sign_public_of(&sk, &pk));
    context c = {.key = &pk};
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 1 << 16);

    clo_collab_release_token t, t2;
    memset(&t, 0, sizeof t);
    t.epoch = 1;
    t.output_size = 12345;
    t.recipient_count = 1;
    memcpy(t.recipients[0], "analyst", sizeof "analyst");
    t.spend_count = 2;
    t.spends[0].rho = t.spends[1].rho = (clo_dp_rational){1, 100};
    t.spends[1].dataset[0] = 1;
    t.share_count = 2;
    t.shares[1][31] = 9;
    t.guards_passed = true;
    memcpy(t.guards, "min-rows 20: passed", sizeof "min-rows 20: passed");
    assert_ok(clo_collab_release_token_sign(&t, &sk, &out));
    assert_ok(clo_collab_release_token_open(&a, clo_buf_span(&out), &pk, &t2));
    assert_memory_equal(&t, &t2, sizeof t);
    fixture_hostile(parse_token, &c, clo_buf_span(&out));
    clo_buf_clear(&out);
    t.spends[1].dataset[0] = 0;
    assert_ok(clo_collab_release_token_sign(&t, &sk, &out));
    assert_code(clo_collab_release_token_open(&a, clo_buf_span(&out), &pk, &t2), CLO_E_DUPLICATE);
    clo_buf_clear(&out);
    t.output_size = UINT64_MAX;
    assert_code(clo_collab_release_token_sign(&t, &sk, &out), CLO_E_RANGE);

    clo_collab_statement s, s2;
    memset(&s, 0, sizeof s);
    s.epoch = 1;
    memcpy(s.run, "means", sizeof "means");
    memcpy(s.program, "means", sizeof "means");
    s.input_count = 1;
    s.inputs[0].rho = (clo_dp_rational){1, 100};
    memcpy(s.tee, "sim", sizeof "sim");
    memcpy(s.runtime, pk.bytes, 32);
    s.not_before = 5;
    s.not_after = 10;
    clo_buf_clear(&out);
    assert_ok(clo_collab_statement_sign(&s, &sk, &out));
    assert_ok(clo_collab_statement_open(&a, clo_buf_span(&out), NULL, &s2));
    assert_memory_equal(&s, &s2, sizeof s);
    fixture_hostile(parse_statement, &c, clo_buf_span(&out));
    /* A release token is no statement, though the same key signed it. */
    clo_buf_clear(&out);
    t.output_size = 1;
    assert_ok(clo_collab_release_token_sign(&t, &sk, &out));
    assert_code(clo_collab_statement_open(&a, clo_buf_span(&out), &pk, &s2), CLO_E_MALFORMED);
    clo_buf_clear(&out);
    s.not_after = 4;
    assert_ok(clo_collab_statement_sign(&s, &sk, &out));
    assert_code(clo_collab_statement_open(&a, clo_buf_span(&out), &pk, &s2), CLO_E_RANGE);
}

static clo_key32 output_key;
static clo_err parse_output(void *c, clo_span in)
{
    (void)c;
    CLO_AUTO(clo_buf_free) clo_buf plain;
    clo_buf_init(&plain, CLO_OUTPUT_MAX);
    clo_collab_output_head head;
    CLO_TRY(clo_collab_output_open(in, &output_key, &head, &plain));
    /* The agreement stands beside the run id, which is what the chunks authenticate; the receipt's digest covers the whole file.
     */
    for (size_t i = 0; i < 32; i++) CLO_CHECK(head.agreement[i] == 2, CLO_E_AUTHENTICATION);
    return CLO_OK;
}

static void test_output(void **state)
{
    (void)state;
    uint8_t run_id[16], agreement[32];
    memset(run_id, 1, sizeof run_id);
    memset(agreement, 2, sizeof agreement);
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 8 << 20);
    CLO_AUTO(clo_buf_free) clo_buf file;
    CLO_AUTO(clo_buf_free) clo_buf plain;
    CLO_AUTO(clo_buf_free) clo_buf opened;
    clo_buf_init(&file, CLO_OUTPUT_MAX);
    clo_buf_init(&plain, CLO_OUTPUT_MAX);
    clo_buf_init(&opened, CLO_OUTPUT_MAX);
    clo_wire_node *map = NULL;
    assert_ok(clo_wire_map(&a, &map));
    assert_ok(clo_wire_set_text(&a, map, "kind", "table"));
    assert_ok(clo_wire_set_text(&a, map, "name", "means"));
    assert_ok(clo_wire_set_text(&a, map, "media_type", "application/cbor"));
    assert_ok(clo_wire_set_bytes(&a, map, "content", clo_span_str("result")));
    assert_ok(clo_wire_set_bytes(&a, map, "pad", clo_span_str("\1\1\1")));
    assert_ok(clo_wire_cbor_encode(map, &plain));
    assert_ok(clo_collab_output_seal(run_id, agreement, clo_buf_span(&plain), &output_key, &file));
    clo_collab_output_head head;
    assert_ok(clo_collab_output_peek(clo_buf_span(&file), &head));
    assert_memory_equal(head.run_id, run_id, 16);
    assert_ok(clo_collab_output_open(clo_buf_span(&file), &output_key, &head, &opened));
    assert_true(clo_span_equal(clo_buf_span(&plain), clo_buf_span(&opened)));
    clo_collab_output o;
    assert_ok(clo_collab_output_decode(&a, clo_buf_span(&opened), &o));
    assert_string_equal(o.kind, "table");
    assert_true(clo_span_equal(o.content, clo_span_str("result")));
    fixture_hostile(parse_output, NULL, clo_buf_span(&file));
    clo_key32 wrong;
    clo_key32_copy(&wrong, &output_key);
    wrong.b[0] ^= 1;
    clo_buf_clear(&opened);
    assert_code(clo_collab_output_open(clo_buf_span(&file), &wrong, NULL, &opened), CLO_E_AUTHENTICATION);
    assert_int_equal(opened.len, 0);
    /* Sizes around a chunk. */
    static const size_t sizes[] = {0, 1, CLO_STREAM_CHUNK_DEFAULT - 1, CLO_STREAM_CHUNK_DEFAULT, CLO_STREAM_CHUNK_DEFAULT + 1};
    uint8_t *bytes = calloc(1, CLO_STREAM_CHUNK_DEFAULT + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        clo_buf_clear(&file);
        clo_buf_clear(&opened);
        assert_ok(clo_collab_output_seal(run_id, agreement, clo_span_of(bytes, sizes[i]), &output_key, &file));
        assert_ok(clo_collab_output_open(clo_buf_span(&file), &output_key, NULL, &opened));
        assert_int_equal(opened.len, sizes[i]);
    }
    free(bytes);
}

static void test_workload(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f, NULL);
    clo_collab_agreement *g = fixture_agreement(&f), *other = NULL;
    uint8_t digest[48], host[32], digest2[48], host2[32], wanted[32];
    assert_ok(clo_collab_workload_digest(g, &g->runs[0], f.measurement, digest, host));
    assert_ok(clo_crypto_sha256(clo_span_of(digest, 48), wanted));
    assert_memory_equal(host, wanted, 32);
    static const struct {
        const char *from, *to;
    } changes[] = {{"AVG(radius)", "AVG(area)"},
                   {"min_rows: 20", "min_rows: 21"},
                   {"recipients: [analyst, hospital-a]", "recipients: [analyst]"},
                   {"datasets: [rows-a, rows-b, rows-c]", "datasets: [rows-a, rows-b]"}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        assert_ok(fixture_read(&f, fixture_with(&f, changes[i].from, changes[i].to), &other));
        assert_ok(clo_collab_workload_digest(other, &other->runs[0], f.measurement, digest2, host2));
        assert_memory_not_equal(digest, digest2, 48);
    }
    f.measurement[47] ^= 1;
    assert_ok(clo_collab_workload_digest(g, &g->runs[0], f.measurement, digest2, host2));
    assert_memory_not_equal(host, host2, 32);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),         cmocka_unit_test(test_binding),
        cmocka_unit_test(test_infos),           cmocka_unit_test(test_hidden_statement),
                                       cmocka_unit_test(test_release_messages),
        cmocka_unit_test(test_foreign_members), cmocka_unit_test(test_token_and_statement),
        cmocka_unit_test(test_output),          cmocka_unit_test(test_workload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
