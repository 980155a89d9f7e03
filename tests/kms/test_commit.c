/* Phase two: only the exact result of the released run is committed, once, within its lease and under an active agreement; and
 * what a crash at any point leaves behind is one of the two states around the transaction, never something between. */
#include "kms_fixture.h"

#include "crypto/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static world w;
static runtime r;
static message m;
static clo_collab_release_reply reply;
static clo_collab_release_token token;
static clo_key32 share;

static void begin(const terms *t)
{
    world_begin(&w, t);
    runtime_make(&r);
    release_ok(&w, &r, &m, &reply);
    token_begin(&w, &m, &token);
    assert_ok(clo_crypto_random(share.b, sizeof share.b));
}

static clo_err commit(clo_span body, clo_buf *out)
{
    clo_buf_init(out, 64 << 10);
    return clo_kms_commit(w.kms, body, out);
}

static void open_share(clo_span bytes, size_t i, const clo_collab_identity *who, clo_key32 *out)
{
    static clo_collab_commit_reply c;
    assert_ok(clo_collab_commit_reply_decode(&w.arena, bytes, &c));
    assert_string_equal(c.owner, "hospital-a");
    assert_int_equal(c.share_count, 2);
    assert_string_equal(c.shares[i].recipient, who->public_half.name);
    clo_buf info;
    clo_buf_init(&info, 1024);
    assert_ok(clo_collab_share_info(token.agreement, token.run_id, token.output, who->public_half.name, &info));
    assert_ok(clo_crypto_hpke_open(&who->hpke, clo_buf_span(&info), clo_span_of(NULL, 0), c.shares[i].sealed, out->b, 32));
    clo_buf_free(&info);
}

/* Every recipient opens the share; the same token again gets the same bytes, also after the lease and a restart; another token is
 * a conflict. */
static void test_commit(void **state)
{
    (void)state;
    clo_buf out, again, stored;
    clo_key32 got;
    begin(NULL);
    clo_span body = commit_finish(&w, &m, &token, &r, &share);
    clo_buf_init(&stored, 64 << 10);
    assert_code(clo_kms_shares(w.kms, token.run_id, &stored), CLO_E_NOT_FOUND);
    assert_ok(commit(body, &out));
    open_share(clo_buf_span(&out), 0, &w.analyst, &got);
    assert_memory_equal(got.b, share.b, 32);
    open_share(clo_buf_span(&out), 1, &w.b, &got);
    assert_memory_equal(got.b, share.b, 32);
    assert_balance(&w, "1/100", "0");
    assert_ledger(&w, 3, 0);

    w.time.wall_seconds += 100;
    w.time.monotonic_ns += 100ull * 1000000000ull;
    world_restart(&w);
    assert_ok(commit(body, &again));
    assert_true(clo_span_equal(clo_buf_span(&out), clo_buf_span(&again)));
    clo_buf_free(&again);
    assert_ok(clo_kms_shares(w.kms, token.run_id, &stored));
    assert_true(clo_span_equal(clo_buf_span(&out), clo_buf_span(&stored)));
    token.output[0] ^= 1;
    assert_claim(commit(commit_finish(&w, &m, &token, &r, &share), &again), CLO_E_CONFLICT, "token.digest");
    assert_int_equal(again.len, 0);
    assert_ledger(&w, 3, 0);
    assert_balance(&w, "1/100", "0");
    clo_buf_free(&out);
    clo_buf_free(&again);
    clo_buf_free(&stored);
    world_end(&w);
}

static void fewer_recipients(void) { token.recipient_count = 1; }
static void other_recipient(void) { (void)snprintf(token.recipients[1], sizeof token.recipients[1], "hospital-a"); }
static void twice_the_same(void) { memcpy(token.recipients[1], token.recipients[0], sizeof token.recipients[0]); }
static void cheaper(void) { assert_ok(clo_dp_rational_make(1, 1000, &token.spends[0].rho)); }
static void dearer(void) { assert_ok(clo_dp_rational_make(1, 10, &token.spends[1].rho)); }
static void one_dataset(void) { token.spend_count = 1; }
static void other_dataset(void) { token.spends[1].dataset[0] ^= 1; }
static void guards_failed(void) { token.guards_passed = false; }
static void other_evidence(void) { token.evidence[0] ^= 1; }
static void other_request(void) { token.request[0] ^= 1; }
static void other_agreement(void) { token.agreement[0] ^= 1; }
static void other_share(void)
{
    token.share_count = 1;
    memset(token.shares[0], 0x77, sizeof token.shares[0]);
}
static void other_epoch(void) { token.epoch++; }

static void test_wrong_tokens(void **state)
{
    (void)state;
    static const struct {
        void (*make)(void);
        const char *claim;
    } cases[] = {
        {fewer_recipients, "token.recipients"},
        {other_recipient, "token.recipients"},
        {cheaper, "token.spend"},
        {dearer, "token.spend"},
        {one_dataset, "token.spend"},
        {other_dataset, "token.spend"},
        {guards_failed, "token.guards"},
        {other_evidence, "token.evidence"},
        {other_request, "token.request"},
        {other_agreement, "token.agreement"},
        {other_epoch, "token.agreement"},
        {other_share, "token.share"},
    };
    begin(NULL);
    clo_buf out;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        token_begin(&w, &m, &token);
        cases[i].make();
        clo_err e = commit(commit_finish(&w, &m, &token, &r, &share), &out);
        if (!clo_failed(e)) fail_msg("case %zu was committed", i);
        assert_claim(e, CLO_E_DENIED, cases[i].claim);
        assert_int_equal(out.len, 0);
        clo_buf_free(&out);
    }
    token_begin(&w, &m, &token);
    clo_collab_release_token good = token;
    twice_the_same();
    clo_err named_twice = commit(commit_finish(&w, &m, &token, &r, &share), &out);
    assert_true(clo_err_class(named_twice) == CLO_CLASS_INPUT);
    clo_buf_free(&out);
    token = good;
    /* Another runtime's signature; an unknown run. */
    runtime other;
    runtime_make(&other);
    token_begin(&w, &m, &token);
    clo_err e = commit(commit_finish(&w, &m, &token, &other, &share), &out);
    assert_true(clo_err_class(e) == CLO_CLASS_DENIED);
    clo_buf_free(&out);
    token.run_id[0] ^= 1;
    assert_code(commit(commit_finish(&w, &m, &token, &r, &share), &out), CLO_E_NOT_FOUND);
    clo_buf_free(&out);
    assert_balance(&w, "0", "1/100");
    assert_ledger(&w, 2, 1);
    world_end(&w);
}

static void pass(unsigned seconds)
{
    w.time.wall_seconds += seconds;
    w.time.monotonic_ns += (uint64_t)seconds * 1000000000ull;
}

/* After the lease a commit is refused, swept or not; the refund comes exactly once. */
static void test_expiry(void **state)
{
    (void)state;
    clo_buf out;
    size_t ended = 0;
    begin(NULL);
    pass(60);
    assert_claim(commit(commit_finish(&w, &m, &token, &r, &share), &out), CLO_E_EXPIRED, "run.lease");
    clo_buf_free(&out);
    assert_balance(&w, "0", "1/100");
    assert_ok(clo_kms_sweep(w.kms, &ended));
    assert_int_equal(ended, 1);
    assert_ok(clo_kms_sweep(w.kms, &ended));
    assert_int_equal(ended, 0);
    world_restart(&w);
    assert_balance(&w, "0", "0");
    assert_ledger(&w, 3, 0);
    assert_claim(commit(commit_finish(&w, &m, &token, &r, &share), &out), CLO_E_EXPIRED, "run.lease");
    clo_buf_free(&out);
    world_end(&w);
    /* A lease that ended while the service was down ends at its start. */
    begin(NULL);
    clo_kms_free(&w.kms);
    pass(61);
    assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
    assert_balance(&w, "0", "0");
    assert_ledger(&w, 3, 0);
    world_end(&w);
}

static void order(const clo_collab_identity *who, const char *verb, int64_t sequence)
{
    clo_collab_order o = {.time = w.time.wall_seconds, .sequence = sequence};
    memcpy(o.agreement, w.g->id, 32);
    (void)snprintf(o.verb, sizeof o.verb, "%s", verb);
    (void)snprintf(o.party, sizeof o.party, "%s", who->public_half.name);
    clo_buf b;
    clo_buf_init(&b, 16384);
    clo_kms_agreement g;
    assert_ok(clo_collab_order_make(who, &o, &b));
    assert_ok(clo_kms_order(w.kms, clo_buf_span(&b), &g));
    clo_buf_free(&b);
}

/* A stop between release and commit holds the result back; after all have resumed, within the lease, it may go out. */
static void test_stop_between(void **state)
{
    (void)state;
    clo_buf out;
    begin(NULL);
    clo_span body = commit_finish(&w, &m, &token, &r, &share);
    order(&w.b, "stop", 1);
    assert_claim(commit(body, &out), CLO_E_DENIED, "agreement.state");
    assert_int_equal(out.len, 0);
    clo_buf_free(&out);
    order(&w.a, "resume", 1);
    order(&w.b, "resume", 2);
    assert_claim(commit(body, &out), CLO_E_DENIED, "agreement.state");
    clo_buf_free(&out);
    order(&w.analyst, "resume", 1);
    assert_ok(commit(body, &out));
    clo_buf_free(&out);
    world_end(&w);
}

/* ---- crashes: a child process dies at a named point of the write ---- */

static const char *crash_at;
static clo_err crash(void *context, const char *point)
{
    (void)context;
    if (strcmp(point, crash_at) == 0) _exit(9);
    return CLO_OK;
}

typedef void (*work_fn)(clo_span body);
static void do_release(clo_span body)
{
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_release(w.kms, body, &m.channel, &out);
    _exit(clo_failed(e) ? 1 : 0);
}
static void do_commit(clo_span body)
{
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_commit(w.kms, body, &out);
    _exit(clo_failed(e) ? 1 : 0);
}
static void do_sweep(clo_span body)
{
    (void)body;
    _exit(clo_failed(clo_kms_sweep(w.kms, NULL)) ? 1 : 0);
}

/* The service is closed here and opened in the child, which dies while it writes; then it is opened here again. */
static void crash_in(const char *point, work_fn work, clo_span body)
{
    clo_kms_free(&w.kms);
    crash_at = point;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (clo_failed(clo_kms_open(&w.kms, w.home, &w.clock))) _exit(2);
        w.kms->fault = crash;
        work(body);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 9);
    assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
}

static void test_crashes(void **state)
{
    (void)state;
    clo_buf out;
    world_begin(&w, NULL);
    runtime_make(&r);
    assert_ok(clo_crypto_random(share.b, sizeof share.b));
    message_begin(&w, &m, &r);
    clo_span body = message_finish(&w, &m);
    crash_in("before-commit", do_release, body);
    assert_ledger(&w, 0, 0);
    crash_in("after-commit", do_release, body);
    assert_ledger(&w, 2, 1);
    assert_balance(&w, "0", "1/100");
    /* The reply was lost: the same runtime asks again with a fresh nonce and gets its key; nothing is reserved twice. */
    static message again;
    again = m;
    clo_span request = m.m.request;
    message_begin(&w, &m, &r);
    m.m.request = request;
    m.request = again.request;
    clo_buf_init(&out, 64 << 10);
    assert_ok(clo_kms_release(w.kms, message_finish(&w, &m), &m.channel, &out));
    clo_buf_free(&out);
    assert_ledger(&w, 2, 1);

    token_begin(&w, &m, &token);
    body = commit_finish(&w, &m, &token, &r, &share);
    crash_in("before-commit", do_commit, body);
    assert_ledger(&w, 2, 1);
    assert_code(clo_kms_shares(w.kms, token.run_id, &out), CLO_E_NOT_FOUND);
    crash_in("after-commit", do_commit, body);
    assert_ledger(&w, 3, 0);
    assert_balance(&w, "1/100", "0");
    assert_ok(commit(body, &out));
    assert_ledger(&w, 3, 0);
    clo_buf_free(&out);

    release_ok(&w, &r, &m, &reply);
    assert_ledger(&w, 4, 1);
    /* Opening sweeps by itself, so time passes in the child only: the sweep finds the lease over. */
    clo_kms_free(&w.kms);
    crash_at = "before-commit";
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (clo_failed(clo_kms_open(&w.kms, w.home, &w.clock))) _exit(2);
        w.kms->fault = crash;
        pass(61);
        do_sweep(body);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 9);
    pass(61);
    assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
    assert_ledger(&w, 5, 0);
    assert_balance(&w, "1/100", "0");
    world_end(&w);
}

/* A failed COMMIT refuses the whole group and leaves nothing. */
static clo_err fail_commit(void *context, const char *point)
{
    (void)context;
    return strcmp(point, "before-commit") == 0 ? CLO_FAILF(CLO_E_DATABASE, "the disk is full") : CLO_OK;
}
static void test_full_disk(void **state)
{
    (void)state;
    clo_buf out;
    world_begin(&w, NULL);
    runtime_make(&r);
    message_begin(&w, &m, &r);
    clo_span body = message_finish(&w, &m);
    clo_buf_init(&out, 64 << 10);
    w.kms->fault = fail_commit;
    assert_code(clo_kms_release(w.kms, body, &m.channel, &out), CLO_E_DATABASE);
    assert_int_equal(out.len, 0);
    w.kms->fault = NULL;
    assert_ledger(&w, 0, 0);
    assert_ok(clo_kms_release(w.kms, body, &m.channel, &out));
    clo_buf_free(&out);
    assert_ledger(&w, 2, 1);
    world_end(&w);
}

/* What a service holds in memory of its database has a bound, however long its ledger grows. */
static void test_memory(void **state)
{
    (void)state;
    enum { RUNS = 340, WARM = 260, SLACK = 64 << 10 };
    int64_t warm = 0, used = 0;
    clo_buf out;
    begin(&(terms){.budget = "100000", .count_max = 100000});
    for (int i = 0; i < RUNS; i++) {
        assert_ok(commit(commit_finish(&w, &m, &token, &r, &share), &out));
        clo_buf_free(&out);
        release_ok(&w, &r, &m, &reply);
        token_begin(&w, &m, &token);
        used = sqlite3_memory_used();
        if (i == WARM) warm = used;
    }
    print_message("# %lld after %d, %lld after %d\n", (long long)warm, WARM, (long long)used, RUNS);
    assert_true(used < 2 << 20);
    assert_true(used <= warm + SLACK);
    world_end(&w);
}

WORLD_GROUP(w)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit),       cmocka_unit_test(test_wrong_tokens), cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_stop_between), cmocka_unit_test(test_crashes),      cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, group_open, group_close);
}
