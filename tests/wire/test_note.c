/* Proves that notes, checkpoints, cosignatures and log proofs are made and read as C2SP says (its own example note included),
 * that a verifier's policy (log key, origin, quorum of witnesses, inclusion) is enforced, and that cut or altered files are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clo_own.h"
#include "wire/note.h"

static void test_example(void **state)
{
    (void)state;
    static const char vkey[] = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    static const char text[] = "This is an example message.\n\n— example.com/foo "
                               "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    clo_wire_note_key k;
    clo_wire_note n;
    CLO_AUTO(clo_buf_free) clo_buf again;
    clo_buf_init(&again, 1024);
    assert_int_equal(clo_wire_note_key_parse(vkey, &k).code, 0);
    assert_int_equal(clo_wire_note_key_text(&k, &again).code, 0);
    assert_true(clo_span_equal(clo_buf_span(&again), clo_span_str(vkey)));
    assert_int_equal(clo_wire_note_parse(&a, clo_span_str(text), &n).code, 0);
    assert_int_equal(clo_wire_note_verify(&n, &k, NULL).code, 0);
    for (size_t i = 0; i < sizeof text - 1; i++)
        assert_true(clo_failed(clo_wire_note_parse(&a, clo_span_of(text, i), &n)) || i > 100);
    static const char *const bad_keys[] = {"",
                                           "a",
                                           "a+b",
                                           "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
                                           "example.com/fop+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
                                           "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
                                           "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
                                           "example.com/foo+530d903a+AgkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
                                           "example.com foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"};
    for (size_t i = 0; i < sizeof bad_keys / sizeof bad_keys[0]; i++)
        assert_true(clo_failed(clo_wire_note_key_parse(bad_keys[i], &k)));
}

static void test_note_refused(void **state)
{
    (void)state;
    static const char *const notes[] = {
        "text\n\n",                              /* no signature */
        "text\n\n— name AAAAAAA=",               /* no newline */
        "text\n\n- name AAAAAAA=\n",             /* hyphen */
        "text\n\n— name\n",                      /* no signature bytes */
        "text\n\n— na+me AAAAAAA=\n",            /* '+' */
        "text\n\n— na\xe2\x80\x83me AAAAAAA=\n", /* em space */
        "text\n\n—  AAAAAAA=\n",                 /* empty name */
        "text\n\n— name AAAA\n",                 /* too short */
        "text\n\n— name AAAAAAA*\n",             /* not base64 */
        "text\n— name AAAAAAA=\n",               /* no blank line */
        "te\txt\n\n— name AAAAAAA=\n",           /* control character */
        "te\xffxt\n\n— name AAAAAAA=\n",         /* not UTF-8 */
    };
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    clo_wire_note n;
    assert_int_equal(clo_wire_note_parse(&a, clo_span_str("text\n\n— name AAAAAAA=\n"), &n).code, 0);
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
        if (clo_wire_note_parse(&a, clo_span_str(notes[i]), &n).code != CLO_E_MALFORMED) fail_msg("%s is accepted", notes[i]);
    CLO_AUTO(clo_buf_free) clo_buf many;
    clo_buf_init(&many, CLO_NOTE_MAX * 2);
    assert_int_equal(clo_buf_put_str(&many, "text\n\n").code, 0);
    for (int i = 0; i < CLO_NOTE_SIGNATURES_MAX; i++) assert_int_equal(clo_buf_put_str(&many, "— name AAAAAAA=\n").code, 0);
    assert_int_equal(clo_wire_note_parse(&a, clo_buf_span(&many), &n).code, 0);
    assert_int_equal(n.signature_count, CLO_NOTE_SIGNATURES_MAX);
    assert_int_equal(clo_buf_put_str(&many, "— name AAAAAAA=\n").code, 0);
    assert_int_equal(clo_wire_note_parse(&a, clo_buf_span(&many), &n).code, CLO_E_TOO_MANY);
    while (many.len <= CLO_NOTE_MAX) assert_int_equal(clo_buf_put_str(&many, "— name AAAAAAA=\n").code, 0);
    assert_int_equal(clo_wire_note_parse(&a, clo_buf_span(&many), &n).code, CLO_E_TOO_LARGE);
}

typedef struct {
    clo_crypto_private_key log, witness[3];
    clo_wire_log_policy policy;
    clo_wire_hash leaves[5];
    clo_buf proof; /* of leaf 3, cosigned by witnesses 0 (time 1000) and 1 (time 2000) */
} world;

static clo_err get(void *context, unsigned level, uint64_t index, clo_wire_hash *out)
{
    const world *w = context;
    return clo_wire_merkle_root(&w->leaves[index << level], UINT64_C(1) << level, out);
}

static clo_err make_note(world *w, const char *origin, clo_buf *note)
{
    clo_wire_checkpoint c = {.size = 5};
    (void)snprintf(c.origin, sizeof c.origin, "%s", origin);
    CLO_AUTO(clo_buf_free) clo_buf body;
    clo_buf_init(&body, 1024);
    CLO_TRY(clo_wire_merkle_root(w->leaves, 5, &c.root));
    CLO_TRY(clo_wire_checkpoint_write(&c, &body));
    CLO_TRY(clo_wire_note_sign(clo_buf_span(&body), "log.example", &w->log, note));
    clo_crypto_loaded_key *loaded = NULL;
    CLO_AUTO(clo_buf_free) clo_buf same;
    clo_buf_init(&same, 4096);
    CLO_TRY(clo_crypto_load_private(&w->log, &loaded));
    clo_err e = clo_wire_note_sign_loaded(clo_buf_span(&body), &w->policy.log, loaded, &same);
    clo_crypto_loaded_free(&loaded);
    CLO_TRY(e);
    assert_true(clo_span_equal(clo_buf_span(&same), clo_buf_span(note)));
    CLO_TRY(clo_wire_note_cosign(clo_buf_span(&body), "w0.example", &w->witness[0], 1000, note));
    return clo_wire_note_cosign(clo_buf_span(&body), "w1.example", &w->witness[1], 2000, note);
}

static clo_err make_world(world *w)
{
    memset(w, 0, sizeof *w);
    clo_crypto_public_key pk;
    CLO_TRY(clo_crypto_sign_generate(CLO_SIGN_ED25519, &w->log, &pk));
    CLO_TRY(clo_wire_note_key_make("log.example", 1, &pk, &w->policy.log));
    for (size_t i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "w%zu.example", i);
        CLO_TRY(clo_crypto_sign_generate(CLO_SIGN_ED25519, &w->witness[i], &pk));
        CLO_TRY(clo_wire_note_key_make(name, 4, &pk, &w->policy.witnesses[i]));
    }
    w->policy.witness_count = 3;
    w->policy.quorum = 2;
    for (uint8_t i = 0; i < 5; i++) CLO_TRY(clo_wire_merkle_leaf(clo_span_of(&i, 1), &w->leaves[i]));
    clo_buf_init(&w->proof, 1 << 16);
    CLO_AUTO(clo_buf_free) clo_buf note;
    clo_buf_init(&note, CLO_NOTE_MAX);
    CLO_TRY(make_note(w, "log.example", &note));
    clo_wire_hash path[CLO_MERKLE_PATH_MAX];
    size_t count = 0;
    CLO_TRY(clo_wire_merkle_prove_inclusion(3, 5, get, w, path, &count));
    return clo_wire_tlog_proof_write(3, path, count, clo_buf_span(&note), &w->proof);
}

static void assert_denied(clo_err e, const char *claim)
{
    assert_int_equal(clo_err_class(e), CLO_CLASS_DENIED);
    assert_non_null(clo_err_denial());
    assert_string_equal(clo_err_denial()->claim, claim);
}

static void test_proof(void **state)
{
    (void)state;
    world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_int_equal(make_world(w).code, 0);
    static const uint8_t leaf[] = {3};
    clo_span data = clo_span_of(leaf, 1), proof = clo_buf_span(&w->proof);
    clo_wire_checkpoint c;
    uint64_t index = 0, at = 0;
    assert_int_equal(clo_wire_tlog_proof_verify(proof, data, &w->policy, &c, &index, &at).code, 0);
    assert_int_equal(index, 3);
    assert_int_equal(at, 1000); /* two witnesses have seen it by then */
    assert_int_equal(c.size, 5);
    w->policy.quorum = 1;
    assert_int_equal(clo_wire_tlog_proof_verify(proof, data, &w->policy, NULL, NULL, &at).code, 0);
    assert_int_equal(at, 2000);
    w->policy.quorum = 3;
    assert_denied(clo_wire_tlog_proof_verify(proof, data, &w->policy, NULL, NULL, NULL), "log.witnesses");
    w->policy.witnesses[2] = w->policy.witnesses[0]; /* the same witness twice is one */
    assert_denied(clo_wire_tlog_proof_verify(proof, data, &w->policy, NULL, NULL, NULL), "log.witnesses");
    w->policy.quorum = 2;
    assert_denied(clo_wire_tlog_proof_verify(proof, clo_span_str("x"), &w->policy, NULL, NULL, NULL), "log.inclusion");
    clo_wire_note_key log = w->policy.log;
    clo_crypto_public_key pk;
    clo_crypto_private_key sk;
    assert_int_equal(clo_crypto_sign_generate(CLO_SIGN_ED25519, &sk, &pk).code, 0);
    assert_int_equal(clo_wire_note_key_make("log.example", 1, &pk, &w->policy.log).code, 0);
    assert_denied(clo_wire_tlog_proof_verify(proof, data, &w->policy, NULL, NULL, NULL), "log.signature");
    w->policy.log = log;
    CLO_AUTO(clo_buf_free) clo_buf note;
    clo_buf_init(&note, CLO_NOTE_MAX);
    assert_int_equal(make_note(w, "other.example", &note).code, 0);
    assert_denied(clo_wire_checkpoint_verify(clo_buf_span(&note), &w->policy, NULL, NULL), "log.origin");
    clo_buf_free(&w->proof);
    free(w);
}

static void test_proof_damage(void **state)
{
    (void)state;
    world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_int_equal(make_world(w).code, 0);
    static const uint8_t leaf[] = {3};
    clo_span data = clo_span_of(leaf, 1);
    w->policy.quorum = 2;
    for (size_t n = 0; n < w->proof.len; n++)
        assert_true(clo_failed(clo_wire_tlog_proof_verify(clo_span_of(w->proof.p, n), data, &w->policy, NULL, NULL, NULL)));
    for (size_t bit = 0; bit < w->proof.len * 8; bit++) {
        w->proof.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (!clo_failed(clo_wire_tlog_proof_verify(clo_buf_span(&w->proof), data, &w->policy, NULL, NULL, NULL)))
            fail_msg("bit %zu may be changed", bit);
        w->proof.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    CLO_AUTO(clo_buf_free) clo_buf extra; /* unauthenticated extra data is read over */
    clo_buf_init(&extra, 1 << 16);
    static const char head[] = "c2sp.org/tlog-proof@v1\n";
    assert_int_equal(clo_buf_put_str(&extra, head).code, 0);
    assert_int_equal(clo_buf_put_str(&extra, "extra AAAA\n").code, 0);
    assert_int_equal(clo_buf_put(&extra, w->proof.p + strlen(head), w->proof.len - strlen(head)).code, 0);
    assert_int_equal(clo_wire_tlog_proof_verify(clo_buf_span(&extra), data, &w->policy, NULL, NULL, NULL).code, 0);
    extra.p[strlen(head) + 6] = '*';
    assert_true(clo_failed(clo_wire_tlog_proof_verify(clo_buf_span(&extra), data, &w->policy, NULL, NULL, NULL)));
    clo_buf_free(&w->proof);
    free(w);
}

static void test_checkpoint(void **state)
{
    (void)state;
#define ROOT "0FCMuKxCluv/mq+5ApePDvFntsA6ozK+8DW1Iaq+ahg=\n"
    static const struct {
        const char *body;
        bool good;
    } cases[] = {
        {"o\n42\n" ROOT, true},
        {"o\n0\n" ROOT, true},
        {"o\n18446744073709551615\n" ROOT, true},
        {"o\n42\n" ROOT "ext\n", true},
        {"o\n042\n" ROOT, false},
        {"o\n+42\n" ROOT, false},
        {"o\n 42\n" ROOT, false},
        {"o\n18446744073709551616\n" ROOT, false},
        {"\n42\n" ROOT, false},
        {"o\n42\n", false},
        {"o\n42\nAAAA\n", false},
        {"o\n\n" ROOT, false},
        {"o\n42\n" ROOT "\n", false},
        {"o\n42\n" ROOT "ext", false},
        {"", false},
        {"o\n42\n0FCMuKxCluv/mq+5ApePDvFntsA6ozK+8DW1Iaq+ahh=\n", false}, /* left-over bits */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_wire_checkpoint c;
        clo_err e = clo_wire_checkpoint_parse(clo_span_str(cases[i].body), &c);
        if (clo_failed(e) == cases[i].good) fail_msg("%s: %s", cases[i].body, clo_err_text());
        if (i >= 3) continue;
        CLO_AUTO(clo_buf_free) clo_buf out;
        clo_buf_init(&out, 1024);
        assert_int_equal(clo_wire_checkpoint_write(&c, &out).code, 0);
        assert_true(clo_span_equal(clo_buf_span(&out), clo_span_str(cases[i].body)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_example), cmocka_unit_test(test_note_refused),
                                       cmocka_unit_test(test_proof), cmocka_unit_test(test_proof_damage),
                                       cmocka_unit_test(test_checkpoint)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
