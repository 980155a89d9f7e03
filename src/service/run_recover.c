#include "service/run_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "client/http_client.h"
#include "collab/run.h"
#include "enclave/frames.h"
#include "os/file.h"
#include "os/log.h"
#include "wire/cbor.h"

#include <stdio.h>
#include <string.h>

enum { PASS_SECONDS = 5, ASK_MS = 5000, PROOF_MS = 2000, GIVE_UP_SECONDS = 86400 };

/* One owner of the run, and what its key service says. */
typedef struct {
    const clo_collab_member *member;
    clo_span reply; /* its commit reply; empty: it has not committed */
    bool held;      /* it has committed, and holds its reply back for a while */
    uint8_t statement_share[32];
} owner_answer;

typedef struct {
    clo_arena *arena;
    clo_store_run *run;
    clo_enclave_prepared prepared; /* no commits: the runtime had not come so far */
    owner_answer owners[CLO_PARTIES_MAX];
    size_t count, committed; /* the held ones included */
} recovery;

/* A key service whose ledger was set back refuses, but cannot know what it released before: that is no answer, until its newest copy is back. */
static clo_err ledger_trusted(const owner_answer *o, clo_err e)
{
    const clo_denial *d = clo_err_denial();
    if (!clo_failed(e) || d == NULL || strcmp(d->claim, "ledger.rollback") != 0) return e;
    return CLO_FAILF(CLO_E_AGAIN, "the key service of %s cannot say what it released: its ledger was set back; its owner must restore the newest copy",
                     o->member->party.name);
}

/* The commit reply that the owner's key service keeps (commit empty), or its answer to the runtime's prepared commit request, which repeats
 * idempotently. Without a commit: NOT_FOUND while it would still take one, else the refusal that a commit would get. */
static clo_err ask_owner(recovery *r, owner_answer *o, clo_span commit)
{
    char hex[33], path[64] = "/v1/commit";
    clo_client_http *http = NULL;
    void *memory = NULL;
    CLO_AUTO(clo_buf_free) clo_buf answer;
    clo_buf_init(&answer, CLO_ENCLAVE_COMMIT_MAX);
    clo_hex_encode(hex, clo_span_of(r->run->id, sizeof r->run->id));
    if (commit.n == 0) (void)snprintf(path, sizeof path, "/v1/runs/%s/shares", hex);
    CLO_TRY(clo_client_http_new(&http, o->member->kms_url, o->member->kms_spki));
    clo_client_http_request request = CLO_CLIENT_HTTP_REQUEST(commit.n == 0 ? "GET" : "POST", path);
    request.body = commit;
    if (commit.n > 0) request.content_type = "application/cbor";
    request.accept = "*/*";
    request.timeout_ms = ASK_MS;
    clo_err e = clo_client_http_do(http, &request, &answer, NULL);
    clo_client_http_free(&http);
    if (clo_collab_commit_held(e)) {
        o->held = true;
        r->committed++;
    }
    CLO_TRY(ledger_trusted(o, e));
    CLO_TRY(clo_arena_alloc(r->arena, sizeof(clo_collab_commit_reply), &memory));
    clo_collab_commit_reply *parsed = memory;
    const char *name = o->member->party.name;
    CLO_TRY(clo_collab_commit_reply_decode(r->arena, clo_buf_span(&answer), parsed));
    CLO_CHECKF(strcmp(parsed->owner, name) == 0, CLO_E_MALFORMED, "the key service of %s answered for %s", name, parsed->owner);
    memcpy(o->statement_share, parsed->statement_share, sizeof o->statement_share);
    r->committed++;
    return clo_arena_copy(r->arena, clo_buf_span(&answer), &o->reply);
}

/* The sealed output is here and is this run's. */
static clo_err check_output(clo_service *s, const clo_store_run *run)
{
    char path[640];
    clo_collab_output_head head;
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, CLO_ENCLAVE_OUTPUT_FILE_MAX);
    CLO_TRY(clo_store_blob_path(s->store, "output", clo_span_of(run->id, sizeof run->id), path));
    CLO_TRY(clo_os_file_read(path, CLO_ENCLAVE_OUTPUT_FILE_MAX, &file));
    CLO_TRY(clo_collab_output_peek(clo_buf_span(&file), &head));
    CLO_CHECK(memcmp(head.run_id, run->id, sizeof run->id) == 0, CLO_E_MALFORMED);
    return CLO_OK;
}

static clo_err load(clo_service *s, recovery *r)
{
    clo_store_agreement record;
    clo_collab_agreement *g = NULL;
    uint32_t signed_mask = 0;
    size_t owners[CLO_PARTIES_MAX];
    CLO_TRY(clo_store_agreement_get(s->store, r->arena, r->run->agreement, &record));
    CLO_TRY(clo_collab_agreement_new(r->arena, &g));
    CLO_TRY(clo_collab_agreement_file_open(r->arena, record.file, g, &signed_mask));
    const clo_collab_run_terms *terms = clo_collab_agreement_run(g, r->run->run);
    CLO_CHECK(terms != NULL, CLO_E_NOT_FOUND);
    r->count = clo_collab_run_owners(g, terms, owners);
    for (size_t i = 0; i < r->count; i++) r->owners[i].member = &g->members[owners[i]];
    if (r->run->prepared.n > 0) CLO_TRY(clo_enclave_prepared_decode(r->arena, r->run->prepared, &r->prepared));
    CLO_CHECK(r->prepared.commit_count == 0 || r->prepared.commit_count == r->count, CLO_E_MALFORMED);
    return CLO_OK;
}

static bool is_refusal(clo_err e) { return clo_err_class(e) == CLO_CLASS_DENIED && e.code != CLO_E_NOT_FOUND; }

/* Who has committed? Success: every owner can be reached, and each that has not committed would still do so. */
static clo_err ask_all(recovery *r)
{
    char text[400] = "";
    uint32_t refused = 0, unknown = 0;
    for (size_t i = 0; i < r->count; i++) {
        clo_err e = ask_owner(r, &r->owners[i], clo_span_of(NULL, 0));
        if (!clo_failed(e) || e.code == CLO_E_NOT_FOUND || r->owners[i].held || unknown != 0) continue;
        if (is_refusal(e)) refused = e.code; else unknown = e.code;
        (void)snprintf(text, sizeof text, "%s: %.330s", r->owners[i].member->party.name, clo_err_text());
    }
    if (unknown != 0) return clo_err_again(unknown, text);
    return refused != 0 ? clo_err_again(refused, text) : CLO_OK;
}

/* What the runtime had prepared goes to those that have not committed. Success: every reply is here. */
static clo_err commit_rest(recovery *r)
{
    const owner_answer *waits = NULL;
    if (r->committed < r->count && r->prepared.commit_count == 0) return CLO_FAILF(CLO_E_EXPIRED, "the runtime had not asked for the commits");
    for (size_t i = 0; i < r->count; i++) {
        if (r->owners[i].held) waits = &r->owners[i];
        if (r->owners[i].held || r->owners[i].reply.n > 0) continue;
        clo_err e = ask_owner(r, &r->owners[i], r->prepared.commits[i]);
        if (r->owners[i].held) waits = &r->owners[i];
        if (!clo_failed(e) || r->owners[i].held) continue;
        char text[400];
        (void)snprintf(text, sizeof text, "%s: %.330s", r->owners[i].member->party.name, clo_err_text());
        return clo_err_again(e.code == CLO_E_NOT_FOUND ? CLO_E_EXPIRED : e.code, text);
    }
    if (waits != NULL) return CLO_FAILF(CLO_E_AGAIN, "%s has committed and holds its reply back", waits->member->party.name);
    return CLO_OK;
}

static clo_err keep_replies(recovery *r)
{
    clo_wire_node *array = NULL, *item = NULL;
    CLO_TRY(clo_wire_array(r->arena, &array));
    for (size_t i = 0; i < r->count; i++) {
        CLO_TRY(clo_wire_bytes(r->arena, r->owners[i].reply, &item));
        CLO_TRY(clo_wire_append(array, item));
    }
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 4 << 20);
    CLO_TRY(clo_wire_cbor_encode(array, &bytes));
    return clo_arena_copy(r->arena, clo_buf_span(&bytes), &r->run->commits);
}

/* The statement that the runtime had signed: with all replies it can be read. */
static clo_err show_statement(recovery *r)
{
    CLO_KEY32(key);
    CLO_AUTO(clo_buf_free) clo_buf statement;
    clo_buf_init(&statement, 64 * 1024);
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < sizeof key.b; k++) key.b[k] ^= r->owners[i].statement_share[k];
    CLO_TRY(clo_collab_statement_show(&key, r->prepared.statement, &statement));
    return clo_arena_copy(r->arena, clo_buf_span(&statement), &r->run->statement);
}

static void conclude_lost(clo_service *s, clo_store_run *run, const char *text)
{
    uint32_t code = clo_err_code_named(run->code);
    clo_service_run_conclude(s, run, clo_err_again(code != 0 ? code : CLO_E_CLOSED, text));
}

static void give_up(clo_service *s, clo_store_run *run)
{
    uint32_t code = clo_err_code_named(run->code);
    clo_service_run_give_up(s, run, clo_err_again(code != 0 ? code : CLO_E_CLOSED,
                                                  "the runtime was lost, and for a day not every key service could say whether the output was released; the sealed "
                                                  "output is kept"));
}

static void conclude_released(clo_service *s, recovery *r)
{
    clo_err e = keep_replies(r);
    if (!clo_failed(e) && clo_failed(show_statement(r)))
        conclude_lost(s, r->run, "the runtime was lost after the key services released its output: recipients can open it, but there is no receipt");
    else if (clo_failed(e) || !clo_service_run_save(s, r->run))
        clo_service_run_leave(s, r->run, e); /* asked again */
    else
        clo_service_run_finish(s, r->run, PROOF_MS);
}

/* Some owner has not committed and will not. Where nobody has, the first refusal stands. Where another has, its budget is spent for nothing, and it is
 * said so; it cannot be given back, since its owner has only others' word for what they did not release. */
static void conclude_refused(clo_service *s, recovery *r)
{
    char why[300], spent[160] = "", text[512];
    (void)snprintf(why, sizeof why, "%.290s", clo_err_text());
    for (size_t i = 0; i < r->count; i++) {
        size_t n = strlen(spent);
        if (r->owners[i].held || r->owners[i].reply.n > 0) (void)snprintf(spent + n, sizeof spent - n, "%s%s", n > 0 ? ", " : "", r->owners[i].member->party.name);
    }
    uint32_t code = clo_err_code_named(r->run->code);
    if (r->committed > 0)
        (void)snprintf(text, sizeof text, "nothing was released, yet the budget of %s is spent, because not every owner committed (%s)", spent, why);
    else if (code == CLO_E_CANCELLED)
        (void)snprintf(text, sizeof text, "cancelled; nothing was released");
    else
        (void)snprintf(text, sizeof text, "the runtime was lost before any key service had committed; nothing was released: start the run again (%s)", why);
    if (r->committed == 0 && r->run->have_denial) {
        const clo_denial first = r->run->denial;
        clo_service_run_conclude(s, r->run, clo_deny_again(code, &first));
        return;
    }
    conclude_lost(s, r->run, text);
}

/* Stopped by its starter or refused by an owner, before any owner had committed. */
static bool is_unwanted(const recovery *r)
{
    return r->committed == 0 && (r->run->have_denial || clo_err_code_named(r->run->code) == CLO_E_CANCELLED);
}

/* A run without a statement whose runtime is gone. */
static void recover(clo_service *s, clo_arena *a, clo_store_run *run)
{
    clo_err e = check_output(s, run);
    if (clo_failed(e) && clo_err_class(e) == CLO_CLASS_ENV) {
        clo_service_run_leave(s, run, e);
        return;
    }
    if (clo_failed(e)) {
        conclude_lost(s, run, "the runtime was lost before its output was complete; nothing was released: start the run again");
        return;
    }
    void *memory = NULL;
    e = clo_arena_alloc(a, sizeof(recovery), &memory);
    recovery *r = memory;
    if (!clo_failed(e)) *r = (recovery){.arena = a, .run = run};
    if (!clo_failed(e)) e = load(s, r);
    bool known = !clo_failed(e);
    if (known) e = ask_all(r);
    if (!clo_failed(e) && is_unwanted(r)) e = CLO_FAILF(CLO_E_EXPIRED, "it was not to be released any more");
    /* One that refuses now may still change its mind (a stop that is resumed) until its lease is over; another's spent budget is worth the wait. */
    if (known && (!clo_failed(e) || (is_refusal(e) && r->committed > 0))) e = commit_rest(r);
    bool final = is_refusal(e) && (r->committed == 0 || e.code == CLO_E_EXPIRED || e.code == CLO_E_CONFLICT);
    if (!clo_failed(e))
        conclude_released(s, r);
    else if (known && final)
        conclude_refused(s, r);
    else if ((run->changed > s->started ? run->changed : s->started) + GIVE_UP_SECONDS < clo_os_clock_wall(s->clock))
        give_up(s, run);
    else
        clo_service_run_leave(s, run, e);
}

static void settle_all(clo_service *s)
{
    int64_t row = 0;
    while (!clo_service_stopping(s)) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, SERVICE_ARENA_MAX);
        void *memory = NULL;
        clo_err e = clo_arena_alloc(&a, sizeof(clo_store_run), &memory);
        if (!clo_failed(e)) e = clo_store_run_unsettled(s->store, &a, &row, memory);
        if (clo_failed(e)) {
            if (e.code != CLO_E_NOT_FOUND) clo_os_log_failure("settle", NULL, e);
            return;
        }
        clo_store_run *run = memory;
        if (clo_service_scheduler_has(s, run->id)) continue; /* a worker has it */
        if (run->statement.n > 0)
            clo_service_run_finish(s, run, PROOF_MS);
        else
            recover(s, &a, run);
    }
}

void clo_service_settler_run(void *service)
{
    clo_service *s = service;
    while (!clo_service_stopping(s)) {
        clo_service_orders_settle(s);
        settle_all(s);
        clo_service_settler_wait(s, PASS_SECONDS);
    }
}
