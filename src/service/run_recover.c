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

/* The commit reply of an owner's key service for this run: the one that it keeps (commit empty; NOT_FOUND: it did not commit), or the answer to
 * the runtime's prepared commit request, which repeats idempotently. */
static clo_err ask_owner(clo_arena *a, const clo_collab_member *owner, const clo_store_run *run, clo_span commit, clo_span *reply)
{
    char hex[33], path[64] = "/v1/commit";
    clo_client_http *http = NULL;
    clo_collab_commit_reply *parsed = NULL;
    void *memory = NULL;
    CLO_AUTO(clo_buf_free) clo_buf answer;
    clo_buf_init(&answer, CLO_ENCLAVE_COMMIT_MAX);
    clo_hex_encode(hex, clo_span_of(run->id, sizeof run->id));
    if (commit.n == 0) (void)snprintf(path, sizeof path, "/v1/runs/%s/shares", hex);
    CLO_TRY(clo_client_http_new(&http, owner->kms_url, owner->kms_spki));
    clo_client_http_request request = CLO_CLIENT_HTTP_REQUEST(commit.n == 0 ? "GET" : "POST", path);
    request.body = commit;
    if (commit.n > 0) request.content_type = "application/cbor";
    request.accept = "*/*";
    request.timeout_ms = ASK_MS;
    clo_err e = clo_client_http_do(http, &request, &answer, NULL);
    clo_client_http_free(&http);
    CLO_TRY(e);
    CLO_TRY(clo_arena_alloc(a, sizeof *parsed, &memory));
    parsed = memory;
    CLO_TRY(clo_collab_commit_reply_decode(a, clo_buf_span(&answer), parsed));
    CLO_CHECKF(strcmp(parsed->owner, owner->party.name) == 0, CLO_E_MALFORMED, "the key service of %s answered for %s", owner->party.name, parsed->owner);
    return clo_arena_copy(a, clo_buf_span(&answer), reply);
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

/* Ask one owner; where it has not committed, finish what the runtime had prepared. A refusal of that (its lease is over, the agreement was
 * stopped) is final: NOT_FOUND. */
static clo_err ask_or_commit(clo_arena *a, const clo_collab_member *owner, const clo_store_run *run, const clo_wire_node *prepared, clo_span *reply)
{
    clo_err e = ask_owner(a, owner, run, clo_span_of(NULL, 0), reply);
    if (e.code != CLO_E_NOT_FOUND || prepared == NULL || prepared->type != CLO_WIRE_BYTES) return e;
    e = ask_owner(a, owner, run, prepared->text, reply);
    return clo_failed(e) && clo_err_class(e) == CLO_CLASS_DENIED ? clo_err_again(CLO_E_NOT_FOUND, clo_err_text()) : e;
}

/* Ask all owners. Success: every one committed, and their replies stand in run->commits. NOT_FOUND: at least one did not and will not, so
 * that no recipient can open the output, now or later. Others: not known yet. */
static clo_err collect_commits(clo_service *s, clo_arena *a, clo_store_run *run)
{
    clo_store_agreement record;
    clo_collab_agreement *g = NULL;
    uint32_t signed_mask = 0;
    size_t owners[CLO_PARTIES_MAX];
    clo_wire_node *array = NULL, *item = NULL;
    clo_err unknown = CLO_OK;
    CLO_TRY(clo_store_agreement_get(s->store, a, run->agreement, &record));
    CLO_TRY(clo_collab_agreement_new(a, &g));
    CLO_TRY(clo_collab_agreement_file_open(a, record.file, g, &signed_mask));
    const clo_collab_run_terms *terms = clo_collab_agreement_run(g, run->run);
    CLO_CHECK(terms != NULL, CLO_E_NOT_FOUND);
    CLO_TRY(clo_wire_array(a, &array));
    clo_wire_node *list = NULL;
    if (run->prepared.n > 0) CLO_TRY(clo_wire_cbor_decode(a, run->prepared, NULL, &list));
    const clo_wire_node *prepared = list != NULL ? list->first : NULL;
    size_t count = clo_collab_run_owners(g, terms, owners);
    for (size_t i = 0; i < count; i++) {
        clo_span reply;
        clo_err e = ask_or_commit(a, &g->members[owners[i]], run, prepared, &reply);
        if (prepared != NULL) prepared = prepared->next;
        if (clo_failed(e) && e.code == CLO_E_NOT_FOUND) return e;
        if (clo_failed(e)) {
            unknown = e;
            continue;
        }
        CLO_TRY(clo_wire_bytes(a, reply, &item));
        CLO_TRY(clo_wire_append(array, item));
    }
    CLO_TRY(unknown);
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 4 << 20);
    CLO_TRY(clo_wire_cbor_encode(array, &bytes));
    return clo_arena_copy(a, clo_buf_span(&bytes), &run->commits);
}

static void conclude_lost(clo_service *s, clo_store_run *run, const char *text)
{
    uint32_t code = clo_err_code_named(run->code);
    clo_service_run_conclude(s, run, clo_err_again(code != 0 ? code : CLO_E_CLOSED, text));
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
    e = collect_commits(s, a, run);
    if (!clo_failed(e))
        conclude_lost(s, run, "the runtime was lost after the key services released its output: recipients can open it, but there is no receipt");
    else if (e.code == CLO_E_NOT_FOUND)
        conclude_lost(s, run, "the runtime was lost before every key service had committed; nothing was released: start the run again");
    else if ((run->changed > s->started ? run->changed : s->started) + GIVE_UP_SECONDS < clo_os_clock_wall(s->clock))
        conclude_lost(s, run, "the runtime was lost, and for a day not every key service could be asked whether the output was released");
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
        settle_all(s);
        clo_service_settler_wait(s, PASS_SECONDS);
    }
}
