/* The ledger's witnesses: no share leaves before they cosigned the entry that paid for it; a ledger that one of them knows longer or
 * otherwise releases and commits nothing; many commits share one question; proofs hold between all sizes. The witness is the real one
 * behind a link that can be cut. */
#include "kms_fixture.h"

#include "audit/witness.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "os/file.h"
#include <stdio.h>
#include <stdlib.h>

static world w;
static runtime r;

/* The way to one witness. */
typedef struct {
    clo_audit_witness *witness;
    clo_crypto_private_key sk;
    clo_wire_note_key key;
    uint64_t size; /* believed */
    bool cut, forged;
    unsigned delay_ms;
    int questions;
} way;
static way near_one, far_one;

static void way_open(way *l, const char *name, const char *directory)
{
    clo_crypto_public_key pk;
    clo_wire_note_key log;
    char path[400];
    memset(l, 0, sizeof *l);
    (void)snprintf(path, sizeof path, "%s/%s%u", w.directory, directory, w.homes);
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &l->sk, &pk));
    assert_ok(clo_wire_note_key_make(name, 4, &pk, &l->key));
    assert_ok(clo_audit_witness_open(&l->witness, path, name, &l->sk, clo_os_clock_system()));
    assert_ok(clo_kms_ledger_key(w.kms, &log));
    assert_ok(clo_audit_witness_add_log(l->witness, &log));
}

static clo_err ask(way *l, clo_kms *kms, clo_span note, uint64_t size, clo_buf *lines)
{
    l->questions++;
    if (l->delay_ms > 0) clo_os_sleep_ms(l->delay_ms);
    for (int i = 0; i < 3; i++) {
        clo_wire_hash path[CLO_MERKLE_PATH_MAX];
        size_t count = 0;
        unsigned status = 0;
        if (l->cut) return CLO_FAILF(CLO_E_UNREACHABLE, "the witness cannot be reached");
        if (l->size > size) return CLO_DENY(CLO_E_CONFLICT, "log.history", "more entries", "fewer", "witness", "restore");
        if (l->size > 0 && l->size < size) CLO_TRY(clo_kms_ledger_consistency(kms, l->size, size, path, &count));
        CLO_AUTO(clo_buf_free) clo_buf body, answer;
        clo_buf_init(&body, 128 * 1024);
        clo_buf_init(&answer, 64 * 1024);
        CLO_TRY(clo_audit_witness_request(l->size, path, count, note, &body));
        CLO_TRY(clo_audit_witness_add_checkpoint(l->witness, clo_buf_span(&body), &status, &answer));
        if (status == 422) return CLO_DENY(CLO_E_CONFLICT, "log.history", "the same entries", "others", "witness", "restore");
        if (status == 200) {
            l->size = size;
            uint8_t *last = &answer.p[answer.len - 30]; /* within the base64 of the signature */
            if (l->forged) *last = *last == 'A' ? 'B' : 'A';
            return clo_buf_put_span(lines, clo_buf_span(&answer));
        }
        assert_int_equal(status, 409);
        assert_ok(clo_u64_parse(&l->size, clo_span_of(answer.p, answer.len - 1)));
    }
    return CLO_FAIL(CLO_E_AGAIN);
}

static clo_err cosign(void *context, clo_kms *kms, clo_span note, uint64_t size, clo_buf *lines)
{
    const bool both = *(const bool *)context;
    CLO_TRY(ask(&near_one, kms, note, size, lines));
    return both ? ask(&far_one, kms, note, size, lines) : CLO_OK;
}

static bool both_asked;
static void use(bool both)
{
    clo_kms_witnesses set = {.count = both ? 2 : 1, .keys = {near_one.key, far_one.key}, .cosign = cosign, .context = &both_asked};
    both_asked = both;
    near_one.size = far_one.size = 0;
    clo_kms_witnesses_set(w.kms, &set);
}

static void begin(const terms *t)
{
    world_begin(&w, t);
    runtime_make(&r);
    way_open(&near_one, "near.test", "near");
    way_open(&far_one, "far.test", "far");
    use(false);
    assert_ok(clo_kms_ledger_witness(w.kms));
}

static void end(void)
{
    clo_audit_witness_close(&near_one.witness);
    clo_audit_witness_close(&far_one.witness);
    world_end(&w);
}

static clo_err release(message *m)
{
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    message_begin(&w, m, &r);
    clo_err e = clo_kms_release(w.kms, message_finish(&w, m), &m->channel, &out);
    clo_buf_free(&out);
    return e;
}

static clo_span commit_body(const message *m)
{
    static clo_collab_release_token token;
    clo_key32 share;
    token_begin(&w, m, &token);
    assert_ok(clo_crypto_random(share.b, sizeof share.b));
    return commit_finish(&w, m, &token, &r, &share);
}

static clo_err commit(clo_span body)
{
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_commit(w.kms, body, &out);
    assert_true(clo_failed(e) == (out.len == 0));
    clo_buf_free(&out);
    return e;
}

static clo_err shares(const message *m)
{
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_shares(w.kms, m->request.run_id, &out);
    assert_true(clo_failed(e) == (out.len == 0));
    clo_buf_free(&out);
    return e;
}

static clo_kms_witnessing view(void)
{
    clo_kms_witnessing v;
    clo_kms_ledger_witnessing(w.kms, &v);
    return v;
}

static void spend(void)
{
    static message m;
    assert_ok(release(&m));
    assert_ok(commit(commit_body(&m)));
}

/* The spend is recorded although the witness is away; the share waits for it, and is the same for whoever asks again. */
static void test_share_waits(void **state)
{
    (void)state;
    static message m;
    begin(NULL);
    assert_ok(release(&m));
    clo_span body = commit_body(&m);
    near_one.cut = true;
    assert_claim(commit(body), CLO_E_AGAIN, "ledger.witness");
    assert_balance(&w, "1/100", "0");
    assert_claim(shares(&m), CLO_E_AGAIN, "ledger.witness");
    assert_claim(commit(body), CLO_E_AGAIN, "ledger.witness");
    assert_true(view().waiting);
    assert_int_equal(view().state, CLO_KMS_WITNESSED_CONFIRMED);
    near_one.cut = false;
    assert_ok(commit(body));
    assert_ok(shares(&m));
    assert_false(view().waiting);
    assert_int_equal(view().entry_count, 4);
    assert_balance(&w, "1/100", "0");
    end();
}

/* Nothing is released before the first round has held. */
static void test_not_confirmed(void **state)
{
    (void)state;
    static message m;
    begin(NULL);
    spend();
    world_restart(&w);
    use(false);
    near_one.cut = true;
    assert_claim(clo_kms_ledger_witness(w.kms), CLO_E_AGAIN, "ledger.witness");
    assert_int_equal(view().state, CLO_KMS_WITNESSED_NOT_YET);
    assert_claim(release(&m), CLO_E_AGAIN, "ledger.witness");
    near_one.cut = false;
    assert_ok(clo_kms_ledger_witness(w.kms));
    assert_ok(release(&m));
    end();
}

static void set_back(const char *copy)
{
    char from[420];
    (void)snprintf(from, sizeof from, "%s/%s", w.directory, copy);
    clo_kms_free(&w.kms);
    assert_ok(clo_os_tree_remove(w.home));
    assert_ok(clo_os_tree_copy(from, w.home));
    assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
    use(false);
}

static void keep(const char *copy)
{
    char to[420];
    (void)snprintf(to, sizeof to, "%s/%s", w.directory, copy);
    clo_kms_free(&w.kms);
    assert_ok(clo_os_tree_copy(w.home, to));
    assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
    use(false);
    assert_ok(clo_kms_ledger_witness(w.kms));
}

static void assert_rolled_back(const message *known)
{
    static message m;
    assert_int_equal(view().state, CLO_KMS_WITNESSED_ROLLED_BACK);
    assert_claim(clo_kms_ledger_witness(w.kms), CLO_E_DENIED, "ledger.rollback");
    assert_claim(release(&m), CLO_E_DENIED, "ledger.rollback");
    near_one.cut = true; /* it does not forget */
    assert_claim(release(&m), CLO_E_DENIED, "ledger.rollback");
    near_one.cut = false;
    if (known != NULL) assert_claim(commit(commit_body(known)), CLO_E_DENIED, "ledger.rollback");
}

/* An older copy; the same after more entries than the witness ever saw; then the newest copy. */
static void test_rollback(void **state)
{
    (void)state;
    static message reserved, m;
    begin(NULL);
    assert_ok(release(&reserved));
    keep("before");
    spend();
    spend();
    keep("newest");
    set_back("before");
    assert_balance(&w, "0", "1/100");
    assert_claim(clo_kms_ledger_witness(w.kms), CLO_E_DENIED, "ledger.rollback");
    assert_rolled_back(&reserved);

    set_back("before"); /* and a witness that is not reached until the ledger has grown beyond what it saw */
    near_one.cut = true;
    uint8_t dataset[32];
    memcpy(dataset, w.manifest_a.id, 32);
    for (unsigned i = 1; i <= 9; i++) assert_ok(clo_kms_budget_set(w.kms, dataset, (clo_dp_rational){i, 20}));
    near_one.cut = false;
    assert_claim(clo_kms_ledger_witness(w.kms), CLO_E_DENIED, "ledger.rollback");
    assert_rolled_back(NULL);

    set_back("newest");
    assert_ok(clo_kms_ledger_witness(w.kms));
    assert_balance(&w, "1/50", "1/100");
    assert_ok(release(&m));
    assert_ok(commit(commit_body(&m)));
    end();
}

/* Two copies of one home, each giving the same run to a runtime of its own in the same second: a witness that saw one refuses the other. */
static void test_fork(void **state)
{
    (void)state;
    static message m;
    runtime other;
    clo_buf out;
    begin(NULL);
    spend();
    keep("twin");
    message_begin(&w, &m, &r);
    clo_span body = message_finish(&w, &m), request = m.m.request;
    clo_buf_init(&out, 64 << 10);
    assert_ok(clo_kms_release(w.kms, body, &m.channel, &out));
    clo_buf_clear(&out);
    assert_ok(clo_kms_ledger_witness(w.kms));
    set_back("twin");
    w.kms->witnesses.count = 0; /* it releases before the next round, as a copy may that was confirmed before it was made */
    runtime_make(&other);
    message_begin(&w, &m, &other);
    m.m.request = request;
    assert_ok(clo_kms_release(w.kms, message_finish(&w, &m), &m.channel, &out));
    clo_buf_free(&out);
    use(false);
    assert_claim(clo_kms_ledger_witness(w.kms), CLO_E_DENIED, "ledger.rollback");
    assert_rolled_back(NULL);
    end();
}

/* Before its witnesses have confirmed it a ledger does not say that a run was not committed; a newer copy may know better. */
static void test_unconfirmed_refusal(void **state)
{
    (void)state;
    static message m;
    begin(NULL);
    assert_ok(release(&m));
    clo_span body = commit_body(&m);
    keep("unconfirmed");
    assert_ok(commit(body));
    set_back("unconfirmed");
    near_one.cut = true;
    w.time.wall_seconds += 61;
    w.time.monotonic_ns += 61ull * 1000000000ull;
    assert_ok(clo_kms_sweep(w.kms, NULL));
    assert_claim(shares(&m), CLO_E_AGAIN, "ledger.confirmed");
    assert_claim(commit(body), CLO_E_AGAIN, "ledger.confirmed");
    near_one.cut = false;
    assert_claim(clo_kms_ledger_witness(w.kms), CLO_E_DENIED, "ledger.rollback");
    assert_claim(shares(&m), CLO_E_DENIED, "ledger.rollback");
    assert_claim(commit(body), CLO_E_DENIED, "ledger.rollback");
    end();
}

static void stop(void)
{
    clo_collab_order o = {.verb = "stop", .party = "hospital-b", .time = w.time.wall_seconds, .sequence = 1};
    clo_kms_agreement g;
    clo_buf b;
    memcpy(o.agreement, w.g->id, 32);
    clo_buf_init(&b, 16384);
    assert_ok(clo_kms_agreement_submit(w.kms, w.file, &g));
    assert_ok(clo_collab_order_make(&w.b, &o, &b));
    assert_ok(clo_kms_order(w.kms, clo_buf_span(&b), &g));
    assert_int_equal(g.state, CLO_AGREEMENT_SUSPENDED);
    clo_buf_free(&b);
}

static void revoke(void)
{
    clo_kms_key *keys = NULL, out;
    size_t count = 0;
    assert_ok(clo_kms_key_list(w.kms, &w.arena, &keys, &count));
    assert_int_equal(count, 1);
    assert_ok(clo_kms_key_change(w.kms, keys[0].id, CLO_KMS_KEY_REVOKE, &out));
}

static void amend(void)
{
    uint8_t first[32];
    clo_kms_agreement g;
    memcpy(first, w.g->id, 32);
    w.g = world_agreement(&w, &(terms){.epoch = 2, .prev = first, .lineage = first, .title = "amended"}, &w.file, &w.proof);
    assert_ok(clo_kms_agreement_submit(w.kms, w.file, &g));
}

/* Neither a stop nor a revoked key nor an amendment is forgotten by going back to before it, although no budget changed. */
static void test_rollback_of_what_is_no_budget(void **state)
{
    (void)state;
    static const struct {
        void (*change)(void);
        const char *copy;
    } cases[] = {{stop, "unstopped"}, {revoke, "unrevoked"}, {amend, "unamended"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_kms_agreement g;
        begin(NULL);
        assert_ok(clo_kms_agreement_submit(w.kms, w.file, &g));
        keep(cases[i].copy);
        cases[i].change();
        assert_ok(clo_kms_ledger_witness(w.kms));
        clo_kms_ledger_report report;
        char path[400];
        (void)snprintf(path, sizeof path, "%s/kms.db", w.home);
        assert_ok(clo_kms_ledger_check(path, &report));
        assert_true(report.valid);
        set_back(cases[i].copy);
        assert_claim(clo_kms_ledger_witness(w.kms), CLO_E_DENIED, "ledger.rollback");
        assert_rolled_back(NULL);
        end();
    }
}

/* A commit into a ledger that was set back below a living service (a restored machine, memory and all) keeps its share. */
static void test_rollback_below(void **state)
{
    (void)state;
    static message m;
    begin(NULL);
    assert_ok(release(&m));
    near_one.size = 0;
    clo_wire_merkle_range range = {.count = 0};
    clo_wire_hash leaf = {{1}};
    for (int i = 0; i < 9; i++) assert_ok(clo_wire_merkle_range_add(&range, &leaf)); /* what another history would have made it sign */
    char body[400], path[500];
    clo_wire_note_key key;
    clo_buf text;
    clo_buf_init(&text, 4096);
    assert_ok(clo_kms_ledger_key(w.kms, &key));
    clo_wire_checkpoint c = {.size = 9};
    (void)snprintf(c.origin, sizeof c.origin, "%s", key.name);
    assert_ok(clo_wire_merkle_range_root(&range, &c.root));
    assert_ok(clo_wire_checkpoint_write(&c, &text));
    uint8_t digest[32];
    assert_ok(clo_crypto_sha256(clo_crypto_public_key_span(&key.key), digest));
    clo_hex_encode(body, clo_span_of(digest, sizeof digest));
    (void)snprintf(path, sizeof path, "%s/near%u/log-%s", w.directory, w.homes, body);
    assert_ok(clo_os_file_write_atomic(path, clo_buf_span(&text), 0600));
    clo_buf_free(&text);
    clo_audit_witness_close(&near_one.witness);
    (void)snprintf(path, sizeof path, "%s/near%u", w.directory, w.homes);
    assert_ok(clo_audit_witness_open(&near_one.witness, path, "near.test", &near_one.sk, clo_os_clock_system()));
    assert_ok(clo_audit_witness_add_log(near_one.witness, &key));
    assert_claim(commit(commit_body(&m)), CLO_E_DENIED, "ledger.rollback");
    assert_claim(shares(&m), CLO_E_DENIED, "ledger.rollback");
    assert_rolled_back(NULL);
    end();
}

/* Every configured witness must have signed, and really have. */
static void test_signatures(void **state)
{
    (void)state;
    static message m;
    begin(NULL);
    assert_ok(release(&m));
    clo_span body = commit_body(&m);
    near_one.forged = true;
    assert_claim(commit(body), CLO_E_AGAIN, "ledger.witness");
    near_one.forged = false;
    clo_wire_note_key good = near_one.key;
    near_one.key = far_one.key;
    use(false);
    assert_claim(commit(body), CLO_E_AGAIN, "ledger.witness");
    near_one.key = good;
    use(true);
    far_one.cut = true;
    assert_claim(commit(body), CLO_E_AGAIN, "ledger.witness");
    far_one.cut = false;
    assert_ok(commit(body));
    assert_int_equal(far_one.size, 4);
    end();
}

/* A witness that missed any number of entries gets a proof that it accepts. */
static void test_proofs(void **state)
{
    (void)state;
    begin(NULL);
    spend();
    use(true);
    assert_ok(clo_kms_ledger_witness(w.kms));
    for (unsigned n = 1; n <= 40; n++) {
        assert_ok(clo_kms_budget_set(w.kms, w.manifest_a.id, (clo_dp_rational){n, 50}));
        both_asked = n % 7 == 0;
        clo_kms_witnesses set = {.count = both_asked ? 2 : 1, .keys = {near_one.key, far_one.key}, .cosign = cosign, .context = &both_asked};
        w.kms->witnesses = set;
        assert_ok(clo_kms_ledger_witness(w.kms));
        assert_int_equal(near_one.size, 4 + n);
        if (both_asked) assert_int_equal(far_one.size, 4 + n);
    }
    end();
}

/* ---- many commits, one question ---- */

enum { MANY = 16 };
typedef struct {
    pthread_t thread;
    clo_span body;
    clo_err e;
    bool held;
} committer;

static void *commit_run(void *context)
{
    committer *c = context;
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    c->e = clo_kms_commit(w.kms, c->body, &out);
    c->held = clo_collab_commit_held(c->e);
    clo_buf_free(&out);
    return NULL;
}

static void test_group(void **state)
{
    (void)state;
    static message m[MANY];
    static committer all[MANY];
    begin(&(terms){.budget = "1"});
    for (int i = 0; i < MANY; i++) {
        assert_ok(release(&m[i]));
        all[i].body = commit_body(&m[i]);
    }
    near_one.questions = 0;
    near_one.delay_ms = 300;
    for (int i = 0; i < MANY; i++) assert_int_equal(pthread_create(&all[i].thread, NULL, commit_run, &all[i]), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(pthread_join(all[i].thread, NULL), 0);
        assert_ok(all[i].e);
    }
    assert_in_range(near_one.questions, 1, 4);
    near_one.delay_ms = 0;
    assert_int_equal(view().entry_count, 1 + 3 * MANY);
    end();
}

/* Commits that wait leave room for other work: the rest hear at once that their reply is held, and truly have committed. */
static void test_crowd(void **state)
{
    (void)state;
    enum { PLACES = 4 };
    static message m[MANY];
    static committer all[MANY];
    begin(&(terms){.budget = "1"});
    for (int i = 0; i < MANY; i++) {
        assert_ok(release(&m[i]));
        all[i].body = commit_body(&m[i]);
    }
    w.kms->witnesses.waiters_max = PLACES;
    near_one.delay_ms = 700;
    for (int i = 0; i < MANY; i++) assert_int_equal(pthread_create(&all[i].thread, NULL, commit_run, &all[i]), 0);
    int held = 0;
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(pthread_join(all[i].thread, NULL), 0);
        held += all[i].held;
        assert_true(all[i].held || !clo_failed(all[i].e));
    }
    assert_int_equal(held, MANY - PLACES);
    assert_balance(&w, "4/25", "0");
    near_one.delay_ms = 0;
    for (int i = 0; i < MANY; i++) assert_ok(commit(all[i].body));
    assert_balance(&w, "4/25", "0");
    end();
}

/* Without a witness the state says so and nothing waits. */
static void test_none(void **state)
{
    (void)state;
    world_begin(&w, NULL);
    runtime_make(&r);
    assert_int_equal(view().state, CLO_KMS_WITNESSED_NONE);
    assert_ok(clo_kms_ledger_witness(w.kms));
    spend();
    world_end(&w);
}

WORLD_GROUP(w)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_waits),    cmocka_unit_test(test_not_confirmed), cmocka_unit_test(test_rollback),
        cmocka_unit_test(test_rollback_below), cmocka_unit_test(test_rollback_of_what_is_no_budget), cmocka_unit_test(test_signatures),    cmocka_unit_test(test_proofs),
        cmocka_unit_test(test_group),          cmocka_unit_test(test_none),
        cmocka_unit_test(test_fork), cmocka_unit_test(test_unconfirmed_refusal), cmocka_unit_test(test_crowd),
    };
    return cmocka_run_group_tests(tests, group_open, group_close);
}
