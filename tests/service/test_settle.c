/* Proves that no released output is lost: a run whose runtime died is looked up at the owners' key services (here: servers that answer as told) and is kept
 * with their replies, given up where one did not commit, or asked again where one is away; and a run with a statement waits for the log's witness
 * and then gets its receipt. */
#include "../collab/collab_fixture.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/leaf.h"
#include "enclave/frames.h"
#include "gateway/config.h"
#include "os/file.h"
#include "service/run_int.h"
#include "wire/cbor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* A key service that knows two routes. */
typedef struct {
    const char *owner;
    bool committed, liar, lease_over, stopped, holds, busy, set_back, old;
    int commits; /* taken by POST */
    uint8_t spki[32];
    clo_crypto_tls_context *tls;
    clo_gateway_server *server;
} key_service;

static clo_err commit_reply(const key_service *k, clo_buf *out)
{
    clo_collab_commit_reply reply = {.share_count = 1};
    CLO_TRY(clo_str_set(reply.owner, sizeof reply.owner, clo_span_str(k->liar ? "somebody" : k->owner)));
    CLO_TRY(clo_str_set(reply.shares[0].recipient, sizeof reply.shares[0].recipient, clo_span_str("analyst")));
    reply.shares[0].sealed = clo_span_of("sealed share", 12);
    memset(reply.statement_share, k->owner[strlen(k->owner) - 1], sizeof reply.statement_share);
    reply.without_statement = k->old;
    return clo_collab_commit_reply_encode(&reply, out);
}

static clo_err get_shares(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    const key_service *k = context;
    CLO_CHECKF(!k->busy, CLO_E_AGAIN, "the disk is full");
    if (k->set_back) return CLO_DENY(CLO_E_DENIED, "ledger.rollback", "more entries", "fewer", k->owner, "restore the newest copy");
    if (k->lease_over && !k->committed) return CLO_DENY(CLO_E_EXPIRED, "run.lease", "a lease that holds", "over", k->owner, "start the run again");
    CLO_CHECKF(k->committed, CLO_E_NOT_FOUND, "not committed");
    if (k->holds) return CLO_DENY(CLO_E_AGAIN, "ledger.witness", "a cosignature", "none", "witnesses", "ask again");
    assert_string_equal(clo_gateway_request_param(request, "id"), "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a");
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 4096);
    CLO_TRY(commit_reply(k, &out));
    return clo_gateway_response_bytes(response, "application/cbor", clo_buf_span(&out));
}

/* The prepared commit of a lost runtime: taken where the lease still holds. */
static clo_err post_commit(void *context, clo_gateway_request *request, clo_gateway_response *response)
{
    key_service *k = context;
    char wanted[40];
    (void)snprintf(wanted, sizeof wanted, "commit for %.20s", k->owner);
    assert_true(clo_span_equal(request->body, clo_span_str(wanted)));
    CLO_CHECKF(!k->busy, CLO_E_AGAIN, "the disk is full");
    if (k->set_back) return CLO_DENY(CLO_E_DENIED, "ledger.rollback", "more entries", "fewer", k->owner, "restore the newest copy");
    if (k->stopped) return CLO_DENY(CLO_E_DENIED, "agreement.state", "active", "suspended", k->owner, "resume it");
    if (k->lease_over) return CLO_DENY(CLO_E_EXPIRED, "run.lease", "a lease that holds", "over", k->owner, "start the run again");
    k->committed = true;
    k->commits++;
    clo_gateway_response_status(response, 200);
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 4096);
    CLO_TRY(commit_reply(k, &out));
    return clo_gateway_response_bytes(response, "application/cbor", clo_buf_span(&out));
}

static const clo_gateway_route key_routes[] = {
    {.method = CLO_GATEWAY_GET, .path = "/v1/runs/{id}/shares", .handler = get_shares, .produces = "application/cbor"},
    {.method = CLO_GATEWAY_POST, .path = "/v1/commit", .handler = post_commit, .produces = "application/cbor", .body_max = 4096}};

typedef struct {
    char home[256];
    fixture f;
    key_service keys[3];
    clo_service *s;
    clo_collab_agreement *g;
    bool witness_there;
} world;

static clo_err witness(void *context, clo_audit_log *log, clo_span note, uint64_t size, clo_buf *lines)
{
    const world *w = context;
    (void)log;
    (void)note;
    (void)size;
    CLO_CHECK(__atomic_load_n(&w->witness_there, __ATOMIC_ACQUIRE), CLO_E_UNREACHABLE);
    return clo_buf_put_str(lines, "\xe2\x80\x94 witness AAAA\n");
}

static void replace(clo_buf *text, const char *from, const char *to)
{
    const char *all = NULL;
    assert_ok(clo_buf_cstr(text, &all));
    const char *at = strstr(all, from);
    assert_non_null(at);
    clo_buf out;
    clo_buf_init(&out, 1 << 20);
    assert_ok(clo_buf_put(&out, all, (size_t)(at - all)));
    assert_ok(clo_buf_put_str(&out, to));
    assert_ok(clo_buf_put_str(&out, at + strlen(from)));
    clo_buf_free(text);
    *text = out;
}

static void start_key_service(world *w, size_t i, clo_buf *yaml)
{
    key_service *k = &w->keys[i];
    char dir[300], from[80], to[80];
    k->owner = w->f.parties[i].public_half.name;
    assert_true(snprintf(dir, sizeof dir, "%s/kms%zu", w->home, i) > 0);
    assert_ok(clo_os_dir_make(dir));
    assert_ok(clo_gateway_identity_open(dir, "kms", 1780000000, false, &k->tls, k->spki));
    const clo_gateway_options o = {.name = "kms", .tls = k->tls, .routes = key_routes, .route_count = 2, .context = k, .loops = 1, .workers = 1};
    assert_ok(clo_gateway_server_start(&k->server, &o));
    (void)snprintf(from, sizeof from, "127.0.0.1:%zu", 9001 + i);
    (void)snprintf(to, sizeof to, "127.0.0.1:%u", (unsigned)clo_gateway_server_port(k->server));
    replace(yaml, from, to);
    (void)snprintf(from, sizeof from, "spki: %064zx", i + 1);
    (void)snprintf(to, sizeof to, "spki: %s", fixture_hex(&w->f, clo_span_of(k->spki, 32)));
    replace(yaml, from, to);
}

static void open_service(world *w)
{
    static const clo_crypto_private_key key = {.alg = CLO_SIGN_ED25519, .bytes = {5}};
    char dir[300];
    clo_service *s = w->s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->clock = clo_os_clock_system();
    s->started = clo_os_clock_wall(s->clock);
    (void)pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->wake, &monotonic);
    (void)pthread_cond_init(&s->settle, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    s->locks_ready = true;
    assert_ok(clo_store_open(&s->store, w->home));
    assert_ok(clo_gateway_hub_new(&s->hub, 16));
    assert_true(snprintf(dir, sizeof dir, "%s/log", w->home) > 0);
    const clo_audit_log_options o = {.directory = dir, .origin = "op/log", .sk = &key, .witness = witness, .context = w, .retry_ms = 20};
    assert_ok(clo_audit_log_open(&s->log, &o));
}

static int set_up(void **state)
{
    world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_ok(clo_os_dir_temporary("clo-settle-", w->home));
    fixture_open(&w->f, NULL);
    clo_buf yaml;
    clo_buf_init(&yaml, 1 << 20);
    assert_ok(clo_buf_put_span(&yaml, clo_buf_span(&w->f.yaml)));
    for (size_t i = 0; i < 3; i++) {
        start_key_service(w, i, &yaml);
        w->keys[i].committed = true;
    }
    const char *text = NULL;
    assert_ok(clo_buf_cstr(&yaml, &text));
    assert_ok(fixture_read(&w->f, text, &w->g));
    clo_buf_free(&yaml);
    open_service(w);
    clo_store_agreement record = {.log_index = 0, .file = fixture_signed(&w->f, w->g, 4), .proof = clo_span_of("proof", 5), .state = "active"};
    memcpy(record.id, w->g->id, 32);
    assert_ok(clo_store_agreement_put(w->s->store, &record, NULL, 0));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    world *w = *state;
    clo_service_close(w->s);
    free(w->s);
    for (size_t i = 0; i < 3; i++) {
        if (w->keys[i].server != NULL) clo_gateway_server_stop(&w->keys[i].server, 100);
        clo_crypto_tls_context_free(&w->keys[i].tls);
    }
    fixture_close(&w->f);
    assert_ok(clo_os_tree_remove(w->home));
    free(w);
    return 0;
}

static void put_output(world *w, const clo_store_run *run)
{
    char path[640];
    clo_key32 key;
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 1 << 20);
    assert_ok(clo_collab_output_seal(run->id, run->agreement, clo_span_str("the result"), &key, &file));
    assert_ok(clo_store_blob_path(w->s->store, "output", clo_span_of(run->id, 16), path));
    assert_ok(clo_os_file_write_atomic(path, clo_buf_span(&file), 0600));
}

/* A run that was under way when everything ended. */
static void put_run(world *w, clo_store_run *run, bool with_output)
{
    *run = (clo_store_run){.run = "means", .starter = "analyst", .state = "committing", .log_index = -1, .request = clo_span_of("request", 7)};
    memset(run->id, 0x5a, sizeof run->id);
    memcpy(run->agreement, w->g->id, 32);
    assert_ok(clo_store_run_put(w->s->store, run));
    if (with_output) put_output(w, run);
}

static void put_evidence(clo_buf *binding)
{
    clo_enclave_evidence *evidence = calloc(1, sizeof *evidence);
    assert_non_null(evidence);
    evidence->binding.configuration = clo_span_of("\xa0", 1);
    evidence->evidence = clo_span_of("evidence", 8);
    evidence->binding.nonce_count = 1;
    evidence->binding.epoch = 1;
    (void)snprintf(evidence->tee, sizeof evidence->tee, "sim");
    assert_ok(clo_enclave_evidence_encode(evidence, binding));
    free(evidence);
}

static void start_settler(world *w) { assert_ok(clo_os_thread_start(&w->s->settler, "settler", clo_service_settler_run, w->s)); }

/* Until the run's state (or, with `text`, its sentence) is this. */
static void wait_for(world *w, clo_store_run *run, const char *state, const char *text)
{
    for (int i = 0; i < 200; i++) {
        assert_ok(clo_store_run_get(w->s->store, &w->f.arena, run->id, run));
        if (strcmp(run->state, state) == 0 && strstr(run->text, text) != NULL) return;
        clo_os_sleep_ms(50);
    }
    fail_msg("the run is %s: %s", run->state, run->text);
}

static bool output_is_here(const world *w, const clo_store_run *run)
{
    char path[640];
    assert_ok(clo_store_blob_path(w->s->store, "output", clo_span_of(run->id, 16), path));
    return clo_os_file_exists(path);
}

static void all_committed_means_released(void **state)
{
    world *w = *state;
    clo_store_run run;
    put_run(w, &run, true);
    start_settler(w);
    wait_for(w, &run, "failed", "recipients can open it, but there is no receipt");
    assert_true(run.released && run.commits.n > 0 && run.receipt.n == 0);
    assert_string_equal(run.code, "closed");
    assert_true(output_is_here(w, &run));
}

/* What the lost runtime had shown and prepared, as its host stored it: evidence, commits, and the statement under all owners' shares. */
static void put_prepared(world *w, clo_store_run *run)
{
    clo_enclave_prepared prepared = {.commit_count = 3};
    clo_key32 key = {{0}};
    char texts[3][40];
    CLO_AUTO(clo_buf_free) clo_buf hidden, bytes, binding;
    clo_buf_init(&hidden, 4096);
    clo_buf_init(&bytes, 65536);
    clo_buf_init(&binding, 1 << 20);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "commit for %.20s", w->keys[i].owner);
        prepared.commits[i] = clo_span_str(texts[i]);
        for (size_t k = 0; k < sizeof key.b; k++) key.b[k] ^= (uint8_t)w->keys[i].owner[strlen(w->keys[i].owner) - 1];
    }
    assert_ok(clo_collab_statement_hide(&key, clo_span_str("statement"), &hidden));
    prepared.statement = clo_buf_span(&hidden);
    assert_ok(clo_enclave_prepared_encode(&prepared, &bytes));
    run->prepared = clo_buf_span(&bytes);
    put_evidence(&binding);
    run->binding = clo_buf_span(&binding);
    assert_ok(clo_store_run_update(w->s->store, run));
    run->prepared = run->binding = clo_span_of(NULL, 0);
}

/* A reply that an older key service had kept: the output can be opened, the statement cannot be had any more. */
static void an_old_reply_opens_the_output(void **state)
{
    world *w = *state;
    clo_store_run run;
    w->keys[1].old = true;
    put_run(w, &run, true);
    put_prepared(w, &run);
    start_settler(w);
    wait_for(w, &run, "failed", "recipients can open it, but there is no receipt");
    assert_true(run.released && run.commits.n > 0 && output_is_here(w, &run));
}

static void one_that_did_not_commit_means_nothing_was_released(void **state)
{
    world *w = *state;
    clo_store_run run;
    w->keys[1].committed = false;
    put_run(w, &run, true);
    start_settler(w);
    wait_for(w, &run, "failed", "nothing was released");
    assert_false(run.released);
    assert_false(output_is_here(w, &run)); /* of use to nobody */
}

static void commits_that_were_prepared_are_finished(void **state)
{
    world *w = *state;
    clo_store_run run;
    w->keys[1].committed = w->keys[2].committed = false; /* lost between the first commit and the second */
    w->witness_there = true;
    put_run(w, &run, true);
    put_prepared(w, &run);
    start_settler(w);
    wait_for(w, &run, "done", "");
    assert_true(run.released && output_is_here(w, &run));
    assert_true(clo_span_equal(run.statement, clo_span_str("statement")) && run.receipt.n > 0);
    assert_int_equal(w->keys[0].commits, 0);
    assert_int_equal(w->keys[1].commits, 1);
    assert_int_equal(w->keys[2].commits, 1);
}

/* A crash between the log and the record of it: the statement is in already. */
static void a_statement_is_registered_once(void **state)
{
    world *w = *state;
    clo_store_run run;
    uint64_t index = 0;
    w->witness_there = true;
    for (int i = 0; i < 3; i++) assert_ok(clo_service_log_append(w->s, CLO_LEAF_STATEMENT, clo_span_str(i == 1 ? "statement" : i == 0 ? "a" : "b"), &index));
    put_run(w, &run, true);
    put_prepared(w, &run);
    start_settler(w);
    wait_for(w, &run, "done", "");
    assert_int_equal(run.log_index, 1);
    assert_int_equal(clo_audit_log_size(w->s->log), 3);
}

/* Another owner has committed already: its budget is spent, nobody else's is to be. */
static void a_prepared_commit_that_is_refused_ends_it(void **state)
{
    world *w = *state;
    clo_store_run run;
    char text[200];
    w->keys[1].committed = w->keys[2].committed = false;
    w->keys[1].lease_over = true;
    put_run(w, &run, true);
    put_prepared(w, &run);
    start_settler(w);
    assert_true(snprintf(text, sizeof text, "nothing was released, yet the budget of %s is spent", w->keys[0].owner) > 0);
    wait_for(w, &run, "failed", text);
    assert_false(run.released || output_is_here(w, &run));
    assert_int_equal(w->keys[2].commits, 0);
}

/* Nobody has committed, and one will not: no budget is spent for nothing. */
static void nobody_commits_where_one_would_refuse(void **state)
{
    world *w = *state;
    clo_store_run run;
    w->keys[0].committed = w->keys[1].committed = w->keys[2].committed = false;
    w->keys[2].lease_over = true;
    put_run(w, &run, true);
    put_prepared(w, &run);
    start_settler(w);
    wait_for(w, &run, "failed", "before any key service had committed; nothing was released");
    assert_int_equal(w->keys[0].commits + w->keys[1].commits, 0);
}

/* A stop may be resumed as long as the lease lasts. */
static void a_refusal_that_may_end_is_waited_for(void **state)
{
    world *w = *state;
    clo_store_run run;
    w->keys[1].committed = false;
    w->keys[1].stopped = true;
    w->witness_there = true;
    put_run(w, &run, true);
    put_prepared(w, &run);
    start_settler(w);
    wait_for(w, &run, "committing", "agreement.state");
    w->keys[1].stopped = false;
    clo_service_settler_wake(w->s);
    wait_for(w, &run, "done", "");
}

/* An owner that has committed but holds its reply back (its ledger's witness is away) has spent: the others commit meanwhile, within their leases. */
static void the_others_commit_while_one_holds_back(void **state)
{
    world *w = *state;
    clo_store_run run;
    w->keys[1].committed = w->keys[2].committed = false;
    w->keys[0].holds = w->witness_there = true;
    put_run(w, &run, true);
    put_prepared(w, &run);
    start_settler(w);
    wait_for(w, &run, "committing", "holds its reply back");
    assert_int_equal(w->keys[1].commits + w->keys[2].commits, 2);
    assert_false(run.released);
    w->keys[0].holds = false;
    clo_service_settler_wake(w->s);
    wait_for(w, &run, "done", "");
}

/* One that only says "again" (a full disk, a busy server) has committed nothing: nobody else spends for it. */
static void nobody_commits_while_one_is_busy(void **state)
{
    world *w = *state;
    clo_store_run run;
    w->keys[0].committed = w->keys[1].committed = w->keys[2].committed = false;
    w->keys[0].busy = w->witness_there = true;
    put_run(w, &run, true);
    put_prepared(w, &run);
    start_settler(w);
    wait_for(w, &run, "committing", "the disk is full");
    assert_int_equal(w->keys[1].commits + w->keys[2].commits, 0);
    w->keys[0].busy = false;
    clo_service_settler_wake(w->s);
    wait_for(w, &run, "done", "");
}

/* One whose ledger was set back does not know what it released: its refusal ends nothing, and the output stays. */
static void a_ledger_that_was_set_back_tells_nothing(void **state)
{
    world *w = *state;
    clo_store_run run;
    w->keys[0].set_back = w->witness_there = true;
    w->keys[1].committed = w->keys[2].committed = false;
    put_run(w, &run, true);
    put_prepared(w, &run);
    assert_ok(clo_store_run_get(w->s->store, &w->f.arena, run.id, &run));
    clo_service_run_leave(w->s, &run, CLO_DENY(CLO_E_DENIED, "ledger.rollback", "more entries", "fewer", "north", "restore it"));
    start_settler(w);
    wait_for(w, &run, "committing", "its ledger was set back");
    assert_true(output_is_here(w, &run));
    assert_int_equal(w->keys[1].commits + w->keys[2].commits, 0);
    w->keys[0].set_back = false; /* the newest copy is back: it had committed */
    clo_service_settler_wake(w->s);
    wait_for(w, &run, "done", "");
    assert_true(output_is_here(w, &run));
}

/* A day of it ends the run, but not the output, which may have been released. */
static void what_nobody_can_tell_is_kept(void **state)
{
    world *w = *state;
    clo_store_run run;
    w->keys[0].set_back = true;
    w->s->started -= 100000;
    put_run(w, &run, true);
    put_prepared(w, &run);
    start_settler(w);
    wait_for(w, &run, "failed", "the sealed output is kept");
    assert_true(!run.released && output_is_here(w, &run));
}

/* The first refusal stands in the record where nobody has committed; so does a cancel, which no settler undoes. */
static void what_ended_it_before_any_commit_stands(void **state)
{
    world *w = *state;
    clo_store_run run;
    w->keys[0].committed = w->keys[1].committed = w->keys[2].committed = false;
    put_run(w, &run, true);
    put_prepared(w, &run);
    assert_ok(clo_store_run_get(w->s->store, &w->f.arena, run.id, &run));
    clo_service_run_leave(w->s, &run, CLO_DENY(CLO_E_DENIED, "agreement.state", "active", "suspended", "north", "resume it"));
    start_settler(w);
    wait_for(w, &run, "failed", "agreement.state");
    assert_true(run.have_denial && strcmp(run.denial.remedy, "resume it") == 0);
    (void)snprintf(run.state, sizeof run.state, "committing");
    run.have_denial = false;
    (void)snprintf(run.code, sizeof run.code, "cancelled");
    assert_ok(clo_store_run_update(w->s->store, &run));
    put_output(w, &run);
    clo_service_settler_wake(w->s);
    wait_for(w, &run, "cancelled", "nothing was released");
    for (size_t i = 0; i < 3; i++) assert_int_equal(w->keys[i].commits, 0);
}

static void without_an_output_nobody_is_asked(void **state)
{
    world *w = *state;
    clo_store_run run;
    put_run(w, &run, false);
    start_settler(w);
    wait_for(w, &run, "failed", "before its output was complete");
    assert_false(run.released);
}

static void one_that_is_away_is_asked_again(void **state)
{
    world *w = *state;
    clo_store_run run;
    uint16_t port = clo_gateway_server_port(w->keys[2].server);
    clo_gateway_server_stop(&w->keys[2].server, 100);
    put_run(w, &run, true);
    start_settler(w);
    wait_for(w, &run, "committing", "asking the key services");
    assert_false(run.released);
    const clo_gateway_options o = {.name = "kms", .tls = w->keys[2].tls, .port = port, .routes = key_routes, .route_count = 1, .context = &w->keys[2],
                                   .loops = 1, .workers = 1};
    assert_ok(clo_gateway_server_start(&w->keys[2].server, &o));
    clo_service_settler_wake(w->s);
    wait_for(w, &run, "failed", "recipients can open it");
    assert_true(run.released);
}

static void an_answer_for_another_owner_is_no_answer(void **state)
{
    world *w = *state;
    clo_store_run run;
    w->keys[0].liar = true;
    put_run(w, &run, true);
    start_settler(w);
    wait_for(w, &run, "committing", "answered for somebody");
    assert_false(run.released);
}

static void a_receipt_waits_for_the_witness(void **state)
{
    world *w = *state;
    clo_store_run run;
    CLO_AUTO(clo_buf_free) clo_buf binding;
    clo_buf_init(&binding, 1 << 20);
    put_evidence(&binding);
    put_run(w, &run, true);
    run.statement = clo_span_of("statement", 9);
    run.commits = clo_span_of("\x80", 1);
    run.binding = clo_buf_span(&binding);
    assert_ok(clo_store_run_update(w->s->store, &run));
    start_settler(w);
    wait_for(w, &run, "committing", "its receipt waits");
    assert_true(run.released && run.log_index == 0);
    __atomic_store_n(&w->witness_there, true, __ATOMIC_RELEASE);
    wait_for(w, &run, "done", "");
    assert_true(run.receipt.n > 0);
    assert_int_equal(run.log_index, 0); /* registered once */
    assert_int_equal(clo_audit_log_size(w->s->log), 1);
}

typedef struct {
    clo_service *service;
    clo_store_run *run;
    bool over;
} conclusion;
static void conclude(void *context)
{
    conclusion *c = context;
    clo_service_run_conclude(c->service, c->run, CLO_FAILF(CLO_E_CLOSED, "the runtime was lost"));
    __atomic_store_n(&c->over, true, __ATOMIC_RELEASE);
}

/* The end of a run is told by its record alone: a disk that takes nothing delays the record, it does not lose it. */
static void the_end_of_a_run_waits_for_the_disk(void **state)
{
    world *w = *state;
    static clo_store_run run;
    clo_os_thread *thread = NULL;
    conclusion c = {.service = w->s, .run = &run};
    struct rlimit before, none;
    put_run(w, &run, false);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 1;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    clo_err started = clo_os_thread_start(&thread, "conclude", conclude, &c);
    clo_os_sleep_ms(1500); /* more than one try */
    bool early = __atomic_load_n(&c.over, __ATOMIC_ACQUIRE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_ok(started);
    assert_false(early);
    clo_os_thread_join(&thread);
    static clo_store_run stored;
    assert_ok(clo_store_run_get(w->s->store, &w->f.arena, run.id, &stored));
    assert_string_equal(stored.state, "failed");
    assert_string_equal(stored.text, "the runtime was lost");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {TEST(the_end_of_a_run_waits_for_the_disk), TEST(all_committed_means_released),           TEST(one_that_did_not_commit_means_nothing_was_released),
                                       TEST(without_an_output_nobody_is_asked),      TEST(one_that_is_away_is_asked_again),
                                       TEST(an_answer_for_another_owner_is_no_answer), TEST(a_receipt_waits_for_the_witness),
                                       TEST(commits_that_were_prepared_are_finished),  TEST(a_prepared_commit_that_is_refused_ends_it),
                                       TEST(a_statement_is_registered_once),           TEST(nobody_commits_where_one_would_refuse),
                                       TEST(a_refusal_that_may_end_is_waited_for),     TEST(what_ended_it_before_any_commit_stands),
                                       TEST(the_others_commit_while_one_holds_back),    TEST(nobody_commits_while_one_is_busy), TEST(what_nobody_can_tell_is_kept), TEST(an_old_reply_opens_the_output),
                                       TEST(a_ledger_that_was_set_back_tells_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
