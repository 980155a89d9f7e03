/* Proves: every format is written today exactly as its golden file, and the golden files are read. */
#include "collab_fixture.h"

#include <stdlib.h>

#include "base/clo_own.h"

static fixture f;
static clo_collab_agreement *g;

static int setup(void **state)
{
    (void)state;
    fixture_open(&f, NULL);
    g = fixture_agreement(&f);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

static void test_parties(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 1 << 16);
    assert_ok(clo_collab_identity_encode(&f.parties[0], &out));
    fixture_golden(&f, "identity", clo_buf_span(&out));
    clo_buf_clear(&out);
    assert_ok(clo_collab_party_encode(&f.parties[0], &out));
    fixture_golden(&f, "party", clo_buf_span(&out));
    clo_buf_clear(&out);
    if (getenv("CLOISTER_GOLDEN_WRITE") != NULL) { /* a token has a random nonce: it is only read */
        assert_ok(clo_collab_token_make(&f.parties[0], "operator", FIXTURE_TIME, 300, &out));
        fixture_golden(&f, "token", clo_buf_span(&out));
    }
    assert_ok(clo_collab_token_verify(fixture_golden_read(&f, "token"), &f.parties[0].public_half, "operator", FIXTURE_TIME));
}

static void test_manifest(void **state)
{
    (void)state;
    clo_collab_manifest m = {.name = "rows-a",
                             .owner = "hospital-a",
                             .chunk_size = 65536,
                             .chunk_count = 1,
                             .plain_size = 6000,
                             .row_count = 190,
                             .created = FIXTURE_TIME};
    assert_ok(clo_collab_dataset_id(&f.parties[0].public_half, m.name, m.id));
    memset(m.version, 1, sizeof m.version);
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 1 << 16);
    assert_ok(clo_collab_manifest_sign(&m, &f.parties[0], &out));
    fixture_golden(&f, "manifest", clo_buf_span(&out));
}

static void test_agreement(void **state)
{
    (void)state;
    fixture_golden(&f, "agreement", fixture_signed(&f, g, 4));
    clo_collab_order o = {.verb = "stop", .party = "hospital-a", .time = FIXTURE_TIME, .sequence = 1};
    memcpy(o.agreement, g->id, 32);
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 1 << 16);
    assert_ok(clo_collab_order_make(&f.parties[0], &o, &out));
    fixture_golden(&f, "order", clo_buf_span(&out));
}

static void test_run(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 1 << 20);
    clo_collab_run_request request;
    fixture_request(g, &request);
    assert_ok(clo_collab_run_request_sign(&request, &f.parties[3], &out));
    fixture_golden(&f, "request", clo_buf_span(&out));

    clo_buf_clear(&out);
    clo_collab_release_request r = {.agreement_file = clo_span_str("agreement"),
                                    .agreement_proof = clo_span_str("proof"),
                                    .request = clo_span_str("request"),
                                    .manifest_count = 1,
                                    .manifests = {clo_span_str("manifest")},
                                    .evidence = clo_span_str("evidence")};
    r.binding.nonce_count = 1;
    r.binding.epoch = 1;
    r.binding.configuration = fixture_configuration(&f, g, "sql");
    assert_ok(clo_collab_release_request_encode(&r, &out));
    fixture_golden(&f, "release_request", clo_buf_span(&out));

    clo_buf_clear(&out);
    clo_collab_release_reply reply = {.lease_seconds = 300, .expires = FIXTURE_TIME, .key_count = 1};
    reply.keys[0].sealed_dek = clo_span_str("sealed");
    assert_ok(clo_collab_release_reply_encode(&reply, &out));
    fixture_golden(&f, "release_reply", clo_buf_span(&out));

    clo_buf_clear(&out);
    clo_collab_commit_request commit = {.token = clo_span_str("token"), .sealed_share = clo_span_str("sealed")};
    assert_ok(clo_collab_commit_request_encode(&commit, &out));
    fixture_golden(&f, "commit_request", clo_buf_span(&out));

    clo_buf_clear(&out);
    clo_collab_commit_reply shares = {.owner = "hospital-a", .statement_share = {1, 2, 3}, .share_count = 1};
    memcpy(shares.shares[0].recipient, "analyst", sizeof "analyst");
    shares.shares[0].sealed = clo_span_str("sealed");
    assert_ok(clo_collab_commit_reply_encode(&shares, &out));
    fixture_golden(&f, "commit_reply", clo_buf_span(&out));
}

static void test_runtime_words(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 1 << 20);
    clo_crypto_private_key sk = {.alg = CLO_SIGN_ED25519};
    clo_crypto_public_key pk;
    memset(sk.bytes, 0x33, 32);
    assert_ok(clo_crypto_sign_public_of(&sk, &pk));
    clo_collab_release_token t = {.epoch = 1,
                                  .output_size = 4096,
                                  .recipient_count = 1,
                                  .spend_count = 1,
                                  .guards_passed = true,
                                  .guards = "min-rows 20: passed"};
    memcpy(t.recipients[0], "analyst", sizeof "analyst");
    t.spends[0].rho = (clo_dp_rational){1, 100};
    t.share_count = 1;
    memset(t.shares[0], 0x5c, sizeof t.shares[0]);
    assert_ok(clo_collab_release_token_sign(&t, &sk, &out));
    fixture_golden(&f, "release_token", clo_buf_span(&out));

    clo_buf_clear(&out);
    clo_collab_statement s = {
        .epoch = 1, .run = "means", .program = "means", .input_count = 1, .tee = "sim", .not_before = 1, .not_after = 2};
    s.inputs[0].rho = (clo_dp_rational){1, 100};
    memcpy(s.runtime, pk.bytes, 32);
    assert_ok(clo_collab_statement_sign(&s, &sk, &out));
    fixture_golden(&f, "statement", clo_buf_span(&out));
}

/* The golden file is the key, then the sealed file: sealing is random, opening is not. */
static void test_output(void **state)
{
    (void)state;
    uint8_t run_id[16] = {1}, agreement[32] = {2};
    clo_key32 key;
    if (getenv("CLOISTER_GOLDEN_WRITE") != NULL) {
        CLO_AUTO(clo_buf_free) clo_buf sealed;
        CLO_AUTO(clo_buf_free) clo_buf both;
        clo_buf_init(&sealed, 1 << 20);
        clo_buf_init(&both, 1 << 20);
        assert_ok(clo_collab_output_seal(run_id, agreement, clo_span_str("plain"), &key, &sealed));
        assert_ok(clo_buf_put(&both, key.b, 32));
        assert_ok(clo_buf_put_span(&both, clo_buf_span(&sealed)));
        fixture_golden(&f, "output", clo_buf_span(&both));
    }
    clo_span golden = fixture_golden_read(&f, "output");
    assert_true(golden.n > 32);
    memcpy(key.b, golden.p, 32);
    CLO_AUTO(clo_buf_free) clo_buf plain;
    clo_buf_init(&plain, 1 << 20);
    clo_collab_output_head head;
    assert_ok(clo_collab_output_open(clo_span_of(golden.p + 32, golden.n - 32), &key, &head, &plain));
    assert_true(clo_span_equal(clo_buf_span(&plain), clo_span_str("plain")));
    assert_memory_equal(head.run_id, run_id, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parties),       cmocka_unit_test(test_manifest),
                                       cmocka_unit_test(test_agreement),     cmocka_unit_test(test_run),
                                       cmocka_unit_test(test_runtime_words), cmocka_unit_test(test_output)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
