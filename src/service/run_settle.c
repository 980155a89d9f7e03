#include "service/run_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/leaf.h"
#include "collab/run.h"
#include "enclave/frames.h"
#include "os/file.h"
#include "os/log.h"

#include <stdio.h>
#include <string.h>

bool clo_service_run_save(clo_service *s, clo_store_run *run)
{
    run->changed = clo_os_clock_wall(s->clock);
    clo_service_run_publish(s, run, true);
    while (true) {
        clo_err e = clo_store_run_update(s->store, run);
        if (!clo_failed(e)) return true;
        clo_os_log_failure("run-save", NULL, e);
        if (clo_service_stopping(s)) return false;
        clo_os_sleep_ms(1000);
    }
}

/* An output that no key service released is of no use to anybody. */
static void drop_output(clo_service *s, const clo_store_run *run)
{
    char path[640];
    if (run->commits.n > 0 || run->statement.n > 0) return;
    if (clo_failed(clo_store_blob_path(s->store, "output", clo_span_of(run->id, 16), path))) return;
    (void)clo_os_file_remove(path).code;
}

static void conclude(clo_service *s, clo_store_run *run, clo_err e, bool unknown)
{
    bool failed = clo_failed(e);
    run->text[0] = run->code[0] = 0;
    run->have_denial = false;
    if (failed) {
        const clo_denial *d = clo_err_denial();
        (void)snprintf(run->code, sizeof run->code, "%s", clo_err_name(e));
        (void)snprintf(run->text, sizeof run->text, "%s", clo_err_text());
        run->have_denial = d != NULL;
        if (d != NULL) run->denial = *d;
    }
    (void)snprintf(run->state, sizeof run->state, "%s", !failed ? "done" : e.code == CLO_E_CANCELLED ? "cancelled" : "failed");
    if (failed && !unknown) drop_output(s, run);
    clo_gateway_metric_add(failed ? s->runs_failed : s->runs_done, 1);
    (void)clo_service_run_save(s, run);
}

void clo_service_run_conclude(clo_service *s, clo_store_run *run, clo_err e) { conclude(s, run, e, false); }

void clo_service_run_give_up(clo_service *s, clo_store_run *run, clo_err e) { conclude(s, run, e, true); }

static clo_err register_statement(clo_service *s, clo_store_run *run)
{
    uint64_t index = 0;
    if (run->log_index >= 0) return CLO_OK;
    CLO_TRY(clo_service_log_append(s, CLO_LEAF_STATEMENT, run->statement, &index));
    run->log_index = (int64_t)index;
    return clo_store_run_update(s->store, run);
}

static clo_err make_receipt(clo_service *s, clo_arena *a, clo_store_run *run, unsigned proof_wait_ms)
{
    void *memory = NULL;
    CLO_TRY(register_statement(s, run));
    CLO_AUTO(clo_buf_free) clo_buf proof, file;
    clo_buf_init(&proof, CLO_NOTE_MAX + 65536);
    clo_buf_init(&file, 8 << 20);
    CLO_TRY(clo_audit_log_proof(s->log, (uint64_t)run->log_index, proof_wait_ms, &proof));
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_store_agreement), &memory));
    clo_store_agreement *record = memory;
    CLO_TRY(clo_store_agreement_get(s->store, a, run->agreement, record));
    CLO_CHECKF(run->binding.n > 0, CLO_E_CONFLICT, "the runtime never showed its evidence to the operator");
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_enclave_evidence), &memory));
    clo_enclave_evidence *evidence = memory;
    CLO_TRY(clo_enclave_evidence_decode(a, run->binding, evidence));
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_collab_receipt), &memory));
    clo_collab_receipt *receipt = memory;
    *receipt = (clo_collab_receipt){.statement = run->statement, .proof = clo_buf_span(&proof), .agreement_file = record->file,
                                    .agreement_proof = record->proof, .request = run->request, .evidence = evidence->evidence,
                                    .binding = evidence->binding};
    CLO_TRY(clo_collab_receipt_encode(receipt, &file));
    return clo_arena_copy(a, clo_buf_span(&file), &run->receipt);
}

/* Keep the run open and say why; the same sentence again is not worth a write. */
static void keep_open(clo_service *s, clo_store_run *run, const char *text)
{
    if (strcmp(run->state, "committing") == 0 && strcmp(run->text, text) == 0) return;
    (void)snprintf(run->state, sizeof run->state, "committing");
    (void)snprintf(run->phase, sizeof run->phase, "committing");
    (void)snprintf(run->text, sizeof run->text, "%s", text);
    (void)clo_service_run_save(s, run);
}

void clo_service_run_finish(clo_service *s, clo_store_run *run, unsigned proof_wait_ms)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, SERVICE_ARENA_MAX);
    char text[sizeof run->text];
    clo_err e = make_receipt(s, &a, run, proof_wait_ms);
    (void)snprintf(text, sizeof text, "the output is released and can be opened; its receipt %s: %.380s",
                   clo_failed(e) && clo_err_class(e) != CLO_CLASS_AGAIN && clo_err_class(e) != CLO_CLASS_ENV ? "cannot be made" : "waits",
                   clo_failed(e) ? clo_err_text() : "");
    if (!clo_failed(e))
        clo_service_run_conclude(s, run, e);
    else if (clo_err_class(e) == CLO_CLASS_AGAIN || clo_err_class(e) == CLO_CLASS_ENV)
        keep_open(s, run, text);
    else
        clo_service_run_conclude(s, run, clo_err_again(e.code, text));
    run->receipt = clo_span_of(NULL, 0); /* its bytes end with the arena */
}

void clo_service_run_leave(clo_service *s, clo_store_run *run, clo_err e)
{
    char text[sizeof run->text];
    if (run->code[0] == 0) {
        (void)snprintf(run->code, sizeof run->code, "%s", clo_err_name(e));
        run->have_denial = clo_err_denial() != NULL;
        if (run->have_denial) run->denial = *clo_err_denial();
    }
    (void)snprintf(text, sizeof text, "%.400s; asking the key services whether the output was released", clo_err_text());
    keep_open(s, run, text);
    clo_service_settler_wake(s);
}
