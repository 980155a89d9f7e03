/* Carries out, against one real key service, the threats of docs/threats.md that are made of messages, time and parallel callers; each test is
 * named after its threat and asserts the refusal, its claim and what the ledger says afterwards. */
#include "kms_fixture.h"

#include "collab/key_import.h"
#include "crypto/hash.h"
#include "os/clock.h"
#include <stdio.h>
#include <stdlib.h>

enum { CLONES = 64 };
static const int64_t ten_years = 10ll * 365 * 86400;

static world w;
static message m, again;
static clo_collab_release_reply reply;

static void pass(int64_t seconds)
{
    w.time.wall_seconds += seconds;
    w.time.monotonic_ns += (uint64_t)seconds * 1000000000ull;
}

static clo_err send(message *one)
{
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_release(w.kms, message_finish(&w, one), &one->channel, &out);
    if (clo_failed(e)) assert_int_equal(out.len, 0);
    clo_buf_free(&out);
    return e;
}

static clo_err order_at(const clo_collab_identity *who, const char *verb, int64_t sequence, int64_t time)
{
    clo_collab_order o = {.time = time, .sequence = sequence};
    clo_buf bytes;
    clo_kms_agreement out;
    (void)snprintf(o.verb, sizeof o.verb, "%s", verb);
    (void)snprintf(o.party, sizeof o.party, "%s", who->public_half.name);
    memcpy(o.agreement, w.g->id, 32);
    clo_buf_init(&bytes, 16384);
    assert_ok(clo_collab_order_make(who, &o, &bytes));
    clo_err e = clo_kms_order(w.kms, clo_buf_span(&bytes), &out);
    clo_buf_free(&bytes);
    return e;
}

static clo_err order(const clo_collab_identity *who, const char *verb, int64_t sequence)
{
    return order_at(who, verb, sequence, w.time.wall_seconds);
}

static clo_err submit(clo_span file)
{
    clo_kms_agreement out;
    return clo_kms_agreement_submit(w.kms, file, &out);
}

/* ---- T02: replay ---- */

/* The very bytes of a released request, and its parts, tried again in four ways: four refusals for four reasons. */
static void T02_replay_used_expired_elsewhere_other_run(void **state)
{
    (void)state;
    runtime r;
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    world_begin(&w, NULL);
    runtime_make(&r);
    message_begin(&w, &m, &r);
    clo_span sent = message_finish(&w, &m);
    assert_ok(clo_kms_release(w.kms, sent, &m.channel, &out));
    clo_buf_clear(&out);
    /* after use: the same bytes on the same session */
    assert_claim(clo_kms_release(w.kms, sent, &m.channel, &out), CLO_E_REPLAYED, "nonce.unused");
    /* after expiry: kept back until the nonce is old */
    message_begin(&w, &again, &r);
    clo_span kept = message_finish(&w, &again);
    pass(CLO_KMS_NONCE_SECONDS + 1);
    assert_claim(clo_kms_release(w.kms, kept, &again.channel, &out), CLO_E_EXPIRED, "nonce.time");
    /* for another run: fresh nonce and request, the old evidence */
    message_begin(&w, &again, &r);
    again.m.evidence = m.m.evidence;
    assert_claim(send(&again), CLO_E_DENIED, "evidence.report_data");
    assert_ledger(&w, 2, 1);
    /* to another key service of the same owner: its whole state is another, the message names the first one's nonce */
    clo_kms_free(&w.kms);
    world_begin(&w, NULL);
    assert_claim(clo_kms_release(w.kms, kept, &again.channel, &out), CLO_E_DENIED, "nonce.owner");
    assert_int_equal(out.len, 0);
    assert_ledger(&w, 0, 0);
    clo_buf_free(&out);
    world_end(&w);
}

/* A release token of one run commits no other, and none twice to another end. */
static void T02_token_of_another_run(void **state)
{
    (void)state;
    runtime r;
    static clo_collab_release_token token, other;
    clo_key32 share = {{9}};
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    world_begin(&w, NULL);
    runtime_make(&r);
    release_ok(&w, &r, &m, &reply);
    release_ok(&w, &r, &again, &reply);
    token_begin(&w, &m, &token);
    clo_span first = commit_finish(&w, &m, &token, &r, &share);
    token_begin(&w, &again, &other);
    memcpy(token.run_id, other.run_id, sizeof token.run_id); /* the first run's token with the second one's id */
    assert_claim(clo_kms_commit(w.kms, commit_finish(&w, &again, &token, &r, &share), &out), CLO_E_DENIED, "token.request");
    assert_ok(clo_kms_commit(w.kms, first, &out));
    clo_buf_clear(&out);
    memcpy(token.run_id, m.request.run_id, sizeof token.run_id);
    token.output[0] ^= 1;
    assert_claim(clo_kms_commit(w.kms, commit_finish(&w, &m, &token, &r, &share), &out), CLO_E_CONFLICT, "token.digest");
    assert_int_equal(out.len, 0);
    assert_balance(&w, "1/100", "1/100");
    clo_buf_free(&out);
    world_end(&w);
}

/* ---- T03: between check and use ---- */

typedef struct {
    message *m;
    clo_span body;
    clo_err e;
    clo_denial denial;
    bool queued;
} late_release;

static void *release_late(void *context)
{
    late_release *l = context;
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    l->e = clo_kms_release(w.kms, l->body, &l->m->channel, &out);
    if (clo_err_denial() != NULL) l->denial = *clo_err_denial();
    clo_buf_free(&out);
    return NULL;
}

typedef struct {
    late_release *late;
    pthread_t thread;
    bool started;
} stop_window;

/* The stop is in its transaction, not yet committed: let the release verify everything (it sees an active agreement) and queue up. */
static clo_err hold_the_stop(void *context, const char *point)
{
    stop_window *s = context;
    if (strcmp(point, "before-commit") != 0 || s->started) return CLO_OK;
    s->started = true;
    assert_int_equal(pthread_create(&s->thread, NULL, release_late, s->late), 0);
    for (int i = 0; i < 5000 && !s->late->queued; i++) {
        clo_os_sleep_ms(1);
        pthread_mutex_lock(&w.kms->commit_lock);
        s->late->queued = w.kms->queue_first != NULL;
        pthread_mutex_unlock(&w.kms->commit_lock);
    }
    return CLO_OK;
}

/* Evidence appraised under an active agreement, stopped before the transaction that would release the key: the transaction looks again. */
static void T03_stop_between_appraisal_and_release(void **state)
{
    (void)state;
    runtime r;
    world_begin(&w, NULL);
    runtime_make(&r);
    assert_ok(submit(w.file));
    message_begin(&w, &m, &r);
    late_release late = {.m = &m, .body = message_finish(&w, &m)};
    stop_window window = {.late = &late};
    w.kms->fault = hold_the_stop;
    w.kms->fault_context = &window;
    assert_ok(order(&w.b, "stop", 1));
    assert_true(window.started);
    assert_int_equal(pthread_join(window.thread, NULL), 0);
    w.kms->fault = NULL;
    assert_true(late.queued);
    assert_int_equal(late.e.code, CLO_E_DENIED);
    assert_string_equal(late.denial.claim, "agreement.state");
    assert_string_equal(late.denial.actual, "suspended");
    assert_balance(&w, "0", "0");
    world_end(&w);
}

/* Between release and commit: nothing of a run that was under way comes out. */
static void T03_stop_between_release_and_commit(void **state)
{
    (void)state;
    runtime r;
    static clo_collab_release_token token;
    clo_key32 share = {{1}};
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    world_begin(&w, NULL);
    runtime_make(&r);
    release_ok(&w, &r, &m, &reply);
    token_begin(&w, &m, &token);
    assert_ok(order(&w.analyst, "stop", 1));
    assert_claim(clo_kms_commit(w.kms, commit_finish(&w, &m, &token, &r, &share), &out), CLO_E_DENIED, "agreement.state");
    assert_int_equal(out.len, 0);
    message_begin(&w, &again, &r);
    again.m.request = m.m.request;
    assert_claim(clo_kms_renew(w.kms, message_finish(&w, &again), &again.channel, &out), CLO_E_DENIED, "agreement.state");
    assert_balance(&w, "0", "1/100");
    clo_buf_free(&out);
    world_end(&w);
}

/* Swap after attestation: what was sealed to the attested runtime does not open for the one that takes its place, which gets nothing of its own,
 * neither on the first one's connection nor on a second. */
static void T03_swap_after_attestation(void **state)
{
    (void)state;
    runtime r, swapped;
    static clo_collab_release_token token;
    clo_key32 share = {{1}};
    clo_buf out, info;
    uint8_t dek[32];
    clo_buf_init(&out, 64 << 10);
    clo_buf_init(&info, 1024);
    world_begin(&w, NULL);
    runtime_make(&r);
    runtime_make(&swapped);
    release_ok(&w, &r, &m, &reply);
    assert_ok(clo_collab_release_info(w.g->id, m.request.run_id, w.manifest_a.id, m.m.binding.nonces[0].bytes, m.m.evidence,
                                      reply.expires, &info));
    assert_ok(clo_crypto_hpke_open(&r.hpke.secret, clo_buf_span(&info), clo_span_of(NULL, 0), reply.keys[0].sealed_dek, dek, 32));
    assert_code(clo_crypto_hpke_open(&swapped.hpke.secret, clo_buf_span(&info), clo_span_of(NULL, 0), reply.keys[0].sealed_dek,
                                     dek, 32),
                CLO_E_AUTHENTICATION);
    /* The swapped one brings the first one's evidence on its own connection … */
    message_begin(&w, &again, &swapped);
    again.m.binding = m.m.binding;
    again.m.request = m.m.request;
    again.m.evidence = m.m.evidence;
    assert_ok(clo_kms_nonce(w.kms, again.m.binding.nonces[0].bytes));
    assert_claim(send(&again), CLO_E_DENIED, "channel.leaf");
    /* … says that its leaf is the attested one … */
    memcpy(again.channel.client_spki, r.leaf, 32);
    assert_claim(send(&again), CLO_E_DENIED, "channel.binding");
    /* … or takes over the second half alone. */
    token_begin(&w, &m, &token);
    assert_claim(clo_kms_commit(w.kms, commit_finish(&w, &m, &token, &swapped, &share), &out), CLO_E_BAD_SIGNATURE, "token.signature");
    assert_int_equal(out.len, 0);
    assert_balance(&w, "0", "1/100");
    clo_buf_free(&out);
    clo_buf_free(&info);
    world_end(&w);
}

/* ---- T05: clones ---- */

typedef struct {
    runtime r;
    message m;
    clo_collab_release_token token;
    clo_span body;
    bool released, committed;
    char claim[64];
} twin;

static void note(twin *c, clo_err e)
{
    if (clo_failed(e) && clo_err_denial() != NULL) (void)snprintf(c->claim, sizeof c->claim, "%s", clo_err_denial()->claim);
}

static void *release_twin(void *context)
{
    twin *c = context;
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_release(w.kms, c->body, &c->m.channel, &out);
    note(c, e);
    c->released = !clo_failed(e);
    clo_buf_free(&out);
    return NULL;
}

static void *commit_twin(void *context)
{
    twin *c = context;
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_commit(w.kms, c->body, &out);
    note(c, e);
    c->committed = !clo_failed(e);
    clo_buf_free(&out);
    return NULL;
}

static void all_at_once(twin *twins, void *(*act)(void *))
{
    pthread_t threads[CLONES];
    for (size_t i = 0; i < CLONES; i++) assert_int_equal(pthread_create(&threads[i], NULL, act, &twins[i]), 0);
    for (size_t i = 0; i < CLONES; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* 64 runtimes, each attested with keys of its own, ask at once for one signed run, then each commits an output of its own. */
static void T05_clones_of_one_run(void **state)
{
    (void)state;
    clo_key32 share = {{4}};
    size_t released = 0, committed = 0;
    twin *twins = calloc(CLONES, sizeof *twins);
    assert_non_null(twins);
    world_begin(&w, &(terms){.budget = "1", .price = "1/100"});
    for (size_t i = 0; i < CLONES; i++) {
        twin *c = &twins[i];
        runtime_make(&c->r);
        message_begin(&w, &c->m, &c->r);
        if (i > 0) {
            c->m.request = twins[0].m.request;
            c->m.m.request = twins[0].m.m.request;
        }
        c->body = message_finish(&w, &c->m);
    }
    all_at_once(twins, release_twin);
    for (size_t i = 0; i < CLONES; i++) {
        released += twins[i].released;
        if (!twins[i].released) assert_string_equal(twins[i].claim, "run.id");
        token_begin(&w, &twins[i].m, &twins[i].token);
        twins[i].token.output[0] = (uint8_t)i;
        twins[i].body = commit_finish(&w, &twins[i].m, &twins[i].token, &twins[i].r, &share);
    }
    assert_int_equal(released, 1);
    assert_balance(&w, "0", "1/100");
    all_at_once(twins, commit_twin);
    for (size_t i = 0; i < CLONES; i++) {
        committed += twins[i].committed;
        assert_int_equal(twins[i].committed, twins[i].released);
        if (!twins[i].committed && strcmp(twins[i].claim, "token.signature") != 0 && strcmp(twins[i].claim, "token.digest") != 0)
            fail_msg("clone %zu: %s", i, twins[i].claim);
    }
    assert_int_equal(committed, 1);
    assert_balance(&w, "1/100", "0");
    assert_ledger(&w, 3, 0);
    free(twins);
    world_end(&w);
}

/* ---- T06: the host's clock ---- */

static const struct {
    const char *name;
    int64_t wall;     /* what the wall clock does … */
    int64_t real;     /* … while this really passes */
    const char *nonce, *lease;
} clocks[] = {
    {"ten years ahead", 10ll * 365 * 86400, 0, "clock.wall", "clock.wall"},
    {"ten years ahead, an hour later", 10ll * 365 * 86400, 3600, "clock.wall", "clock.wall"},
    {"ten years back, past the nonce and the lease", -10ll * 365 * 86400, 61, "nonce.time", "run.lease"},
    {"frozen past the nonce and the lease", 0, 61, "nonce.time", "run.lease"},
    {"an hour back, past both", -3600, 61, "nonce.time", "run.lease"},
    {"a jump of eleven minutes", 660, 1, "clock.wall", "clock.wall"},
    {"a jump of nine minutes", 540, 1, "nonce.time", "run.lease"},
};

/* Each lie of the clock, tried on a message and a commit that were in time when they were made: never accepted late. */
static void T06_host_clock(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        runtime r;
        static clo_collab_release_token token;
        clo_key32 share = {{1}};
        clo_buf out;
        clo_buf_init(&out, 64 << 10);
        world_begin(&w, NULL);
        runtime_make(&r);
        release_ok(&w, &r, &m, &reply);
        token_begin(&w, &m, &token);
        clo_span commit = commit_finish(&w, &m, &token, &r, &share);
        message_begin(&w, &again, &r);
        clo_span late = message_finish(&w, &again);
        clo_os_clock_manual_state before = w.time;
        w.time.wall_seconds += clocks[i].wall;
        w.time.monotonic_ns += (uint64_t)clocks[i].real * 1000000000ull;
        print_message("# %s\n", clocks[i].name);
        clo_err e = clo_kms_release(w.kms, late, &again.channel, &out);
        if (!clo_failed(e)) fail_msg("%s: released late", clocks[i].name);
        assert_claim(e, strcmp(clocks[i].nonce, "nonce.time") == 0 ? CLO_E_EXPIRED : CLO_E_DENIED, clocks[i].nonce);
        e = clo_kms_commit(w.kms, commit, &out);
        if (!clo_failed(e)) fail_msg("%s: committed late", clocks[i].name);
        assert_claim(e, strcmp(clocks[i].lease, "run.lease") == 0 ? CLO_E_EXPIRED : CLO_E_DENIED, clocks[i].lease);
        assert_int_equal(out.len, 0);
        /* Once the clock tells the truth again, so does the service: only denial, no harm. */
        w.time.wall_seconds = before.wall_seconds + clocks[i].real;
        size_t ended = 0;
        assert_ok(clo_kms_sweep(w.kms, &ended));
        clo_buf_free(&out);
        world_end(&w);
        w.time = before;
    }
}

/* An agreement that ended does not come back with the clock, whether the service goes on or is started anew; and a service whose clock is far
 * from that of the log's witnesses, on either side, releases nothing. */
static void T06_clock_and_restart(void **state)
{
    (void)state;
    runtime r;
    world_begin(&w, &(terms){.not_after = w.time.wall_seconds + 1000});
    runtime_make(&r);
    assert_ok(submit(w.file));
    clo_os_clock_manual_state before = w.time;
    pass(1000);
    message_begin(&w, &m, &r);
    assert_claim(send(&m), CLO_E_EXPIRED, "agreement.not_after");
    size_t ended = 0;
    assert_ok(clo_kms_sweep(w.kms, &ended)); /* keeps the time */
    w.time.wall_seconds = before.wall_seconds;
    m.m.evidence = (clo_span){NULL, 0};
    assert_claim(send(&m), CLO_E_EXPIRED, "agreement.not_after");
    world_restart(&w);
    message_begin(&w, &m, &r);
    assert_claim(send(&m), CLO_E_EXPIRED, "agreement.not_after");
    world_end(&w);
    /* A fresh home has no memory of the time: the witnesses have. */
    w.time.wall_seconds = before.wall_seconds - ten_years;
    world_begin(&w, &(terms){.not_after = before.wall_seconds + 1000});
    w.time.wall_seconds = before.wall_seconds;
    w.proof = world_prove(&w, w.file, true);
    w.time.wall_seconds = before.wall_seconds - ten_years;
    message_begin(&w, &m, &r);
    assert_claim(send(&m), CLO_E_DENIED, "clock.witnessed");
    clo_kms_free(&w.kms);
    w.time.wall_seconds = before.wall_seconds + 700;
    assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
    message_begin(&w, &m, &r);
    assert_claim(send(&m), CLO_E_DENIED, "log.fresh");
    world_end(&w);
    w.time = before;
}

/* ---- T07: withheld revocation ---- */

/* Cut off from log and witnesses the service goes on for a stated time and then refuses, also after a restart; a fresh checkpoint heals it.
 * A run under way may renew, with nothing new released. */
static void T07_releases_end_without_a_fresh_checkpoint(void **state)
{
    (void)state;
    runtime r;
    world_begin(&w, &(terms){.lease = 3600});
    runtime_make(&r);
    release_ok(&w, &r, &m, &reply);
    pass(CLO_KMS_WITNESSED_SECONDS);
    message_begin(&w, &again, &r);
    assert_ok(send(&again));
    pass(1);
    for (int round = 0; round < 2; round++) {
        message_begin(&w, &again, &r);
        assert_claim(send(&again), CLO_E_DENIED, "log.fresh");
        world_restart(&w);
    }
    pass(60);
    message_begin(&w, &again, &r);
    assert_claim(send(&again), CLO_E_DENIED, "log.fresh");
    message_begin(&w, &again, &r);
    again.m.request = m.m.request;
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    assert_ok(clo_kms_renew(w.kms, message_finish(&w, &again), &again.channel, &out));
    clo_buf_free(&out);
    w.proof = world_prove(&w, w.file, true);
    message_begin(&w, &again, &r);
    assert_ok(send(&again));
    world_end(&w);
}

/* What the operator withholds it cannot withhold from the key service itself: a stop that reaches it holds at once, with the freshest of
 * checkpoints, and one party's word is enough; only all together resume. */
static void T07_a_stop_needs_no_operator(void **state)
{
    (void)state;
    runtime r;
    const clo_collab_identity *all[] = {&w.a, &w.b, &w.analyst};
    world_begin(&w, NULL);
    runtime_make(&r);
    assert_ok(submit(w.file));
    for (size_t i = 0; i < 3; i++) {
        int64_t sequence = 10 * (int64_t)i + 1;
        /* … also where the clock of the one who stops is behind the others' earlier resumes. */
        assert_ok(order_at(all[i], "stop", sequence, w.time.wall_seconds - 100 * (int64_t)i));
        w.proof = world_prove(&w, w.file, true);
        message_begin(&w, &m, &r);
        assert_claim(send(&m), CLO_E_DENIED, "agreement.state");
        for (size_t k = 0; k < 3; k++) {
            pass(1);
            message_begin(&w, &m, &r);
            assert_claim(send(&m), CLO_E_DENIED, "agreement.state");
            assert_ok(order(all[k], "resume", sequence + 1 + (int64_t)k));
        }
        message_begin(&w, &m, &r);
        assert_ok(send(&m));
    }
    world_end(&w);
}

/* ---- T11: the budget ---- */

static clo_dp_rational spent_and_reserved(void)
{
    clo_kms_budget *items = NULL;
    size_t count = 0;
    clo_dp_rational sum = clo_dp_rational_zero();
    assert_ok(clo_kms_budget_list(w.kms, &w.arena, NULL, &items, &count));
    for (size_t i = 0; i < count; i++)
        if (memcmp(items[i].dataset, w.manifest_a.id, 32) == 0)
            assert_ok(clo_dp_rational_add(items[i].spent, items[i].reserved, &sum));
    return sum;
}

static void spend(runtime *r)
{
    static clo_collab_release_token token;
    clo_key32 share = {{7}};
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    release_ok(&w, r, &m, &reply);
    token_begin(&w, &m, &token);
    assert_ok(clo_kms_commit(w.kms, commit_finish(&w, &m, &token, r, &share), &out));
    clo_buf_free(&out);
}

/* Five prices fit. Neither a new version of the rows, nor an amendment or another agreement that promises more, nor a restart gives any of it back. */
static void T11_no_reset_by_version_amendment_agreement_restart(void **state)
{
    (void)state;
    runtime r;
    uint8_t first[32];
    world_begin(&w, NULL); /* budget 0.05, price 0.01 */
    runtime_make(&r);
    for (int i = 0; i < 5; i++) {
        clo_dp_rational before = spent_and_reserved();
        spend(&r);
        assert_true(clo_dp_rational_compare(before, spent_and_reserved()) < 0);
        if (i == 1) {
            world_dataset(&w, &w.a, "rows-a", &w.dek, &w.manifest_a, &w.manifest_a_bytes);
            world_import(&w, &w.manifest_a, w.manifest_a_bytes, &w.dek);
        }
        if (i == 2) {
            memcpy(first, w.g->id, 32);
            w.g = world_agreement(&w, &(terms){.epoch = 2, .prev = first, .lineage = first, .budget = "5"}, &w.file, &w.proof);
        }
        if (i == 3) w.g = world_agreement(&w, &(terms){.budget = "100", .title = "another"}, &w.file, &w.proof);
        if (i == 4) world_restart(&w);
    }
    assert_balance(&w, "1/20", "0");
    message_begin(&w, &again, &r);
    assert_claim(send(&again), CLO_E_BUDGET, "budget.rho");
    assert_balance(&w, "1/20", "0");
    assert_ledger(&w, 3 + 5 * 2 - 1, 0);
    world_end(&w);
}

/* The key of rows under a name of a's. */
static clo_err import_rows(const char *name, const uint8_t rows[32])
{
    clo_key32 dek;
    clo_collab_manifest mf;
    clo_span bytes;
    clo_kms_key k;
    clo_buf b;
    world_dataset(&w, &w.a, name, &dek, &mf, &bytes);
    clo_buf_init(&b, 64 << 10);
    assert_ok(clo_collab_key_import_make(bytes, &mf, rows, &dek, clo_kms_hpke(w.kms), &b));
    clo_err e = clo_kms_key_import(w.kms, clo_buf_span(&b), &k);
    clo_buf_free(&b);
    return e;
}

/* The same rows under a new name would have a new budget: they are known again, also after a restart; another name has to bring other rows. */
static void T11_same_rows_under_a_new_id(void **state)
{
    (void)state;
    static const uint8_t rows[32] = {1}, others[32] = {2};
    clo_kms_key *keys = NULL;
    size_t count = 0, after = 0;
    world_begin(&w, NULL);
    assert_ok(import_rows("first", rows));
    assert_ok(import_rows("first", rows)); /* sealed anew: a version of the same dataset */
    assert_ok(clo_kms_key_list(w.kms, &w.arena, &keys, &count));
    assert_claim(import_rows("second", rows), CLO_E_DENIED, "dataset.rows");
    world_restart(&w);
    assert_claim(import_rows("second", rows), CLO_E_DENIED, "dataset.rows");
    assert_ok(clo_kms_key_list(w.kms, &w.arena, &keys, &after));
    assert_int_equal(after, count);
    assert_ok(import_rows("second", others));
    assert_claim(import_rows("first", others), CLO_E_DENIED, "dataset.rows");
    world_end(&w);
}

/* Reserved counts as spent until it is over, and what is given back is exactly what was reserved: at no time can more be had than the limit. */
static void T11_reserved_counts(void **state)
{
    (void)state;
    runtime r;
    world_begin(&w, NULL);
    runtime_make(&r);
    for (int i = 0; i < 5; i++) release_ok(&w, &r, &m, &reply);
    message_begin(&w, &again, &r);
    assert_claim(send(&again), CLO_E_BUDGET, "budget.rho");
    pass(61);
    w.proof = world_prove(&w, w.file, true);
    for (int i = 0; i < 5; i++) release_ok(&w, &r, &m, &reply);
    message_begin(&w, &again, &r);
    assert_claim(send(&again), CLO_E_BUDGET, "budget.rho");
    assert_balance(&w, "0", "1/20");
    world_end(&w);
}

static clo_err ask_at(const char *price, runtime *r)
{
    w.g = world_agreement(&w, &(terms){.budget = "1", .price = price, .title = price}, &w.file, &w.proof);
    message_begin(&w, &again, r);
    return send(&again);
}

/* Prices whose sums have no exact 64-bit form are refused, never rounded and never wrapped. */
static void T11_overflow(void **state)
{
    (void)state;
    static const char *const prices[] = {"100003/4294967291", "100003/4294967279", "100003/4294967231"};
    runtime r;
    runtime_make(&r);
    world_begin(&w, NULL);
    assert_ok(ask_at(prices[0], &r));
    assert_claim(ask_at(prices[1], &r), CLO_E_BUDGET, "budget.unit");
    assert_ok(ask_at("0.01", &r));
    assert_balance(&w, "0", "4304967591/429496729100");
    pass(61); /* once nothing is reserved another unit may begin */
    assert_ok(ask_at(prices[1], &r));
    assert_claim(ask_at(prices[2], &r), CLO_E_BUDGET, "budget.unit");
    assert_balance(&w, "0", "100003/4294967279");
    world_end(&w);
}

/* k/p and (p - 2k)/2p make a half, to which k/q can be added; but from that sum k/p could never be taken away again. */
static void T11_no_reservation_that_cannot_end(void **state)
{
    (void)state;
    runtime r;
    runtime_make(&r);
    world_begin(&w, &(terms){.budget = "1"});
    assert_ok(ask_at("10995116277/1099511627791", &r));
    assert_ok(ask_at("1077521395237/2199023255582", &r));
    assert_balance(&w, "0", "1/2");
    assert_claim(ask_at("10995116277/1099511627803", &r), CLO_E_BUDGET, "budget.unit");
    pass(61);
    assert_ok(clo_kms_sweep(w.kms, NULL));
    assert_balance(&w, "0", "0");
    world_restart(&w);
    assert_ok(ask_at("1/3", &r));
    world_end(&w);
}

WORLD_GROUP(w)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(T02_replay_used_expired_elsewhere_other_run),
        cmocka_unit_test(T02_token_of_another_run),
        cmocka_unit_test(T03_stop_between_appraisal_and_release),
        cmocka_unit_test(T03_stop_between_release_and_commit),
        cmocka_unit_test(T03_swap_after_attestation),
        cmocka_unit_test(T05_clones_of_one_run),
        cmocka_unit_test(T06_host_clock),
        cmocka_unit_test(T06_clock_and_restart),
        cmocka_unit_test(T07_releases_end_without_a_fresh_checkpoint),
        cmocka_unit_test(T07_a_stop_needs_no_operator),
        cmocka_unit_test(T11_no_reset_by_version_amendment_agreement_restart),
        cmocka_unit_test(T11_same_rows_under_a_new_id),
        cmocka_unit_test(T11_reserved_counts),
        cmocka_unit_test(T11_overflow), cmocka_unit_test(T11_no_reservation_that_cannot_end),
    };
    return cmocka_run_group_tests(tests, group_open, group_close);
}
