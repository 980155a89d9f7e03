/* The ledger: budget arithmetic is exact and never exceeded, rows cannot be changed through the service's own database rights,
 * and every way of tampering with the file is found by the independent check and by the next start. */
#include "kms_fixture.h"

#include <pthread.h>
#include <stdio.h>

static world w;
static runtime r;
static message m;
static clo_collab_release_reply reply;

static clo_err try_message(message *x)
{
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_release(w.kms, message_finish(&w, x), &x->channel, &out);
    clo_buf_free(&out);
    return e;
}

/* Thirds add up exactly: three fit into one, a fourth does not, not even by 1/10^9. */
static void test_arithmetic(void **state)
{
    (void)state;
    world_begin(&w, &(terms){.budget = "1", .price = "1/3"});
    runtime_make(&r);
    for (int i = 0; i < 3; i++) release_ok(&w, &r, &m, &reply);
    assert_balance(&w, "0", "1");
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_BUDGET, "budget.rho");
    world_end(&w);
    world_begin(&w, &(terms){.budget = "0.999999999", .price = "1/3"});
    for (int i = 0; i < 2; i++) release_ok(&w, &r, &m, &reply);
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_BUDGET, "budget.rho");
    assert_balance(&w, "0", "2/3");
    /* What a lost run had reserved comes back. */
    w.time.wall_seconds += 61;
    w.time.monotonic_ns += 61ull * 1000000000ull;
    message_begin(&w, &m, &r);
    assert_ok(try_message(&m));
    assert_balance(&w, "0", "1/3");
    assert_ledger(&w, 6, 1);
    world_end(&w);
}

/* The lifetime limit outlives versions, amendments and new agreements; only the owner's word raises it. */
static void test_lifetime(void **state)
{
    (void)state;
    world_begin(&w, &(terms){.budget = "0.02", .price = "0.01"});
    runtime_make(&r);
    release_ok(&w, &r, &m, &reply);
    release_ok(&w, &r, &m, &reply);
    /* A new version of the rows has the same id. */
    clo_key32 dek;
    world_dataset(&w, &w.a, "rows-a", &dek, &w.manifest_a, &w.manifest_a_bytes);
    world_import(&w, &w.manifest_a, w.manifest_a_bytes, &dek);
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_BUDGET, "budget.rho");
    /* An agreement of another lineage with a larger budget. */
    w.g = world_agreement(&w, &(terms){.budget = "5", .price = "0.01", .title = "Another one"}, &w.file, &w.proof);
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_BUDGET, "budget.rho");
    assert_non_null(strstr(clo_err_denial()->source, "key service"));
    clo_dp_rational limit;
    assert_ok(clo_dp_rational_make(3, 100, &limit));
    assert_ok(clo_kms_budget_set(w.kms, w.manifest_a.id, limit));
    message_begin(&w, &m, &r);
    assert_ok(try_message(&m));
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_BUDGET, "budget.rho");
    /* One with a smaller budget lowers it for all. */
    w.g = world_agreement(&w, &(terms){.budget = "0.01", .price = "0.01", .title = "A third"}, &w.file, &w.proof);
    clo_kms_agreement view;
    assert_ok(clo_kms_agreement_submit(w.kms, w.file, &view));
    clo_kms_budget *b = NULL;
    size_t count = 0;
    assert_ok(clo_kms_budget_list(w.kms, &w.arena, NULL, &b, &count));
    assert_int_equal(b[0].limit.num, 1);
    assert_int_equal(b[0].limit.den, 100);
    assert_true(clo_dp_rational_is_zero(b[0].left));
    assert_true(b[0].epsilon_limit > 0);
    world_restart(&w);
    world_end(&w);
}

static void database(const char *sql, bool must_fail)
{
    char path[400];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof path, "%s/kms.db", w.home);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    int result = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (must_fail != (result != SQLITE_OK)) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_triggers(void **state)
{
    (void)state;
    world_begin(&w, NULL);
    runtime_make(&r);
    release_ok(&w, &r, &m, &reply);
    database("UPDATE ledger SET rho = '0'", true);
    database("DELETE FROM ledger", true);
    database("DELETE FROM releases", true);
    database(
        "INSERT INTO ledger SELECT seq + 10, dataset, run, agreement, 1, rho, time, previous, hash FROM ledger WHERE kind = 1",
        true);
    assert_ledger(&w, 2, 1);
    world_end(&w);
}

#define DROP "DROP TRIGGER ledger_no_update; DROP TRIGGER ledger_no_delete; DROP INDEX ledger_reserved; DROP INDEX ledger_ended;"
#define DROP_RELEASES "DROP TRIGGER releases_no_delete; "
static void test_tampering(void **state)
{
    (void)state;
    static const char *const ways[] = {
        DROP "UPDATE ledger SET rho = '1/1000' WHERE kind = 1",
        DROP "UPDATE ledger SET time = time + 1 WHERE seq = 2",
        DROP "UPDATE ledger SET agreement = zeroblob(32) WHERE seq = 2",
        DROP "UPDATE ledger SET hash = zeroblob(32) WHERE seq = 3",
        DROP "DELETE FROM ledger WHERE seq = 2",
        DROP "DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)",
        DROP "DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger); UPDATE meta SET number = number - 1, bytes = (SELECT "
             "hash FROM ledger ORDER BY seq "
             "DESC LIMIT 1) WHERE key = 'ledger_head'",
        DROP "INSERT INTO ledger SELECT seq + 1, dataset, run, agreement, 3, rho, time, hash, zeroblob(32) FROM ledger ORDER BY "
             "seq DESC LIMIT 1",
        "UPDATE balances SET spent = '0'",
        "UPDATE balances SET reserved = '0'",
        "UPDATE balances SET \"limit\" = '5'",
        "DELETE FROM balances",
        "UPDATE releases SET state = 3 WHERE state = 1",
        "UPDATE releases SET state = 1 WHERE state = 2",
        DROP_RELEASES "DELETE FROM releases WHERE state = 1",
        "DROP TRIGGER commits_no_delete; DELETE FROM commits",
        "DELETE FROM meta WHERE key = 'ledger_head'",
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        static clo_collab_release_token token;
        clo_key32 share = {{1}};
        clo_buf out;
        world_begin(&w, NULL);
        runtime_make(&r);
        release_ok(&w, &r, &m, &reply);
        token_begin(&w, &m, &token);
        clo_buf_init(&out, 64 << 10);
        assert_ok(clo_kms_commit(w.kms, commit_finish(&w, &m, &token, &r, &share), &out));
        clo_buf_free(&out);
        release_ok(&w, &r, &m, &reply);
        assert_ledger(&w, 4, 1);
        clo_kms_free(&w.kms);
        database(ways[i], false);
        char path[400];
        clo_kms_ledger_report report;
        (void)snprintf(path, sizeof path, "%s/kms.db", w.home);
        assert_ok(clo_kms_ledger_check(path, &report));
        if (report.valid) fail_msg("not found: %s", ways[i]);
        assert_true(report.detail[0] != '\0');
        assert_code(clo_kms_open(&w.kms, w.home, &w.clock), CLO_E_DATABASE);
    }
}

/* ---- what the ledger tells beside budgets ---- */

static void order_in(const clo_collab_identity *who, const clo_collab_agreement *g, const char *verb, int64_t sequence, int64_t time)
{
    clo_collab_order o = {.time = time, .sequence = sequence};
    clo_kms_agreement view;
    clo_buf b;
    memcpy(o.agreement, g->id, 32);
    (void)snprintf(o.verb, sizeof o.verb, "%s", verb);
    (void)snprintf(o.party, sizeof o.party, "%s", who->public_half.name);
    clo_buf_init(&b, 16384);
    assert_ok(clo_collab_order_make(who, &o, &b));
    assert_ok(clo_kms_order(w.kms, clo_buf_span(&b), &view));
    clo_buf_free(&b);
}

/* Two epochs, a run, a stop that was lifted and one that holds, a key that is disabled. */
static void rich_ledger(void)
{
    clo_kms_agreement view;
    clo_kms_key *keys = NULL, key;
    size_t count = 0;
    world_begin(&w, NULL);
    runtime_make(&r);
    int64_t t = w.time.wall_seconds;
    release_ok(&w, &r, &m, &reply);
    clo_collab_agreement *old = w.g;
    w.g = world_agreement(&w, &(terms){.epoch = 2, .prev = old->id, .lineage = old->id, .title = "Amended"}, &w.file, &w.proof);
    assert_ok(clo_kms_agreement_submit(w.kms, w.file, &view));
    release_ok(&w, &r, &m, &reply);
    order_in(&w.b, w.g, "stop", 1, t);
    order_in(&w.a, w.g, "resume", 1, t + 1);
    order_in(&w.b, w.g, "resume", 2, t + 1);
    order_in(&w.analyst, w.g, "resume", 1, t + 1);
    release_ok(&w, &r, &m, &reply);
    order_in(&w.analyst, old, "stop", 1, t + 2);
    order_in(&w.a, w.g, "resume", 3, t + 3);
    assert_ok(clo_kms_key_list(w.kms, &w.arena, &keys, &count));
    assert_int_equal(count, 1);
    assert_ok(clo_kms_key_change(w.kms, keys[0].id, CLO_KMS_KEY_DISABLE, &key));
    assert_ok(clo_kms_key_change(w.kms, keys[0].id, CLO_KMS_KEY_ENABLE, &key));
    assert_ok(clo_kms_key_change(w.kms, keys[0].id, CLO_KMS_KEY_DISABLE, &key));
    world_restart(&w);
}

/* Whoever opens again on disk what was stopped, revoked or given to another is found out; so is who makes an old stop or amendment disappear. */
static void test_state_tampering(void **state)
{
    (void)state;
    static const char *const ways[] = {
        "UPDATE agreements SET state = 2 WHERE epoch = 2",
        "UPDATE agreements SET state = 2 WHERE epoch = 1",
        "UPDATE agreements SET stopped = 0 WHERE epoch = 2",
        "UPDATE agreements SET epoch = 9 WHERE epoch = 1",
        "UPDATE agreements SET epoch = 0 WHERE epoch = 2",
        "UPDATE agreements SET lineage = id WHERE epoch = 2",
        "UPDATE agreements SET not_after = not_after + 1000000",
        "UPDATE agreements SET file = (SELECT file FROM agreements WHERE epoch = 1) WHERE epoch = 2",
        "UPDATE agreements SET file = zeroblob(10) WHERE epoch = 1",
        "DELETE FROM agreements WHERE epoch = 2",
        "DELETE FROM agreements WHERE epoch = 1",
        "DELETE FROM orders",
        "DELETE FROM orders WHERE verb = 'stop'; UPDATE agreements SET state = 2",
        "DELETE FROM orders WHERE rowid = (SELECT max(rowid) FROM orders)",
        "UPDATE orders SET verb = 'resume' WHERE verb = 'stop'",
        "UPDATE orders SET party = 'hospital-a', sequence = 70 WHERE party = 'hospital-b' AND verb = 'stop'",
        "UPDATE orders SET time = time + 1000",
        "UPDATE orders SET sequence = 0 WHERE verb = 'stop'",
        "UPDATE orders SET bytes = (SELECT bytes FROM orders WHERE verb = 'resume' LIMIT 1) WHERE verb = 'stop'",
        "INSERT INTO orders SELECT agreement, party, sequence + 10, verb, time, bytes FROM orders WHERE verb = 'resume' LIMIT 1",
        "UPDATE deks SET state = 0",
        "DELETE FROM deks",
        "UPDATE releases SET runtime = zeroblob(32)",
        "UPDATE releases SET release = zeroblob(16) WHERE epoch = 1",
        "UPDATE releases SET agreement = (SELECT id FROM agreements WHERE epoch = 2) WHERE epoch = 1",
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        rich_ledger();
        clo_kms_free(&w.kms);
        database(ways[i], false);
        char path[400];
        clo_kms_ledger_report report;
        (void)snprintf(path, sizeof path, "%s/kms.db", w.home);
        assert_ok(clo_kms_ledger_check(path, &report));
        if (report.valid) fail_msg("not found: %s", ways[i]);
        assert_true(report.detail[0] != '\0');
        assert_code(clo_kms_open(&w.kms, w.home, &w.clock), CLO_E_DATABASE);
    }
    /* What is stricter than the ledger says harms nobody but its owner, who may have reasons. */
    rich_ledger();
    clo_kms_free(&w.kms);
    database("UPDATE agreements SET state = 5; UPDATE deks SET state = 2", false);
    assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
    world_end(&w);
}

/* ---- 64 clones of one run, each its own attested runtime, at once ---- */

enum { CLONES = 64 };
typedef struct {
    clo_span body;
    clo_kms_channel channel;
    uint32_t code;
    char claim[64];
} clone_job;
static pthread_barrier_t barrier;

static void *clone_run(void *context)
{
    clone_job *job = context;
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    (void)pthread_barrier_wait(&barrier);
    clo_err e = clo_kms_release(w.kms, job->body, &job->channel, &out);
    job->code = e.code;
    if (clo_failed(e) && clo_err_denial() != NULL) (void)snprintf(job->claim, sizeof job->claim, "%s", clo_err_denial()->claim);
    clo_buf_free(&out);
    return NULL;
}

static void run_clones(clone_job *jobs)
{
    pthread_t threads[CLONES];
    (void)pthread_barrier_init(&barrier, NULL, CLONES);
    for (size_t i = 0; i < CLONES; i++) assert_int_equal(pthread_create(&threads[i], NULL, clone_run, &jobs[i]), 0);
    for (size_t i = 0; i < CLONES; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)pthread_barrier_destroy(&barrier);
}

static void test_clones(void **state)
{
    (void)state;
    static runtime runtimes[CLONES];
    static clone_job jobs[CLONES];
    clo_span request = {NULL, 0};
    world_begin(&w, &(terms){.count_max = 1000});
    for (size_t i = 0; i < CLONES; i++) {
        runtime_make(&runtimes[i]);
        message_begin(&w, &m, &runtimes[i]);
        m.m.request = request;
        jobs[i].body = message_finish(&w, &m);
        jobs[i].channel = m.channel;
        request = m.m.request;
    }
    run_clones(jobs);
    size_t released = 0;
    for (size_t i = 0; i < CLONES; i++) {
        released += jobs[i].code == 0;
        if (jobs[i].code != 0) assert_string_equal(jobs[i].claim, "run.id");
    }
    assert_int_equal(released, 1);
    assert_ledger(&w, 2, 1);
    /* 64 different runs on a budget for five: exactly five. */
    for (size_t i = 0; i < CLONES; i++) {
        message_begin(&w, &m, &runtimes[i]);
        jobs[i] = (clone_job){.body = message_finish(&w, &m), .channel = m.channel};
    }
    run_clones(jobs);
    for (size_t i = released = 0; i < CLONES; i++) {
        released += jobs[i].code == 0;
        if (jobs[i].code != 0) assert_string_equal(jobs[i].claim, "budget.rho");
    }
    assert_int_equal(released, 4);
    assert_balance(&w, "0", "1/20");
    assert_ledger(&w, 6, 5);
    /* One nonce in 64 hands. */
    world_end(&w);
    world_begin(&w, &(terms){.budget = "5"});
    uint8_t nonce[CLO_NONCE];
    assert_ok(clo_kms_nonce(w.kms, nonce));
    for (size_t i = 0; i < CLONES; i++) {
        message_begin(&w, &m, &runtimes[i]);
        memcpy(m.m.binding.nonces[0].bytes, nonce, sizeof nonce);
        jobs[i] = (clone_job){.body = message_finish(&w, &m), .channel = m.channel};
    }
    run_clones(jobs);
    for (size_t i = released = 0; i < CLONES; i++) {
        released += jobs[i].code == 0;
        if (jobs[i].code != 0) assert_string_equal(jobs[i].claim, "nonce.unused");
    }
    assert_int_equal(released, 1);
    world_end(&w);
}

WORLD_GROUP(w)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_lifetime), cmocka_unit_test(test_triggers),
        cmocka_unit_test(test_tampering), cmocka_unit_test(test_state_tampering),  cmocka_unit_test(test_clones),
    };
    return cmocka_run_group_tests(tests, group_open, group_close);
}
