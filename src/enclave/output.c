/* Guards, sealing, and phase two: no share of the output key leaves before the budget of its dataset is committed. */
#include <stdio.h>

#include "base/clo_own.h"
#include "crypto/hpke.h"
#include "enclave/enclave_int.h"
#include "enclave/output_plain.h"

enum { PLAIN_MAX = 2 * CLO_ENCLAVE_RESULT_MAX + 65536 };

static void plain_wipe(clo_buf *b)
{
    if (b->p != NULL) clo_wipe(b->p, b->cap);
    clo_buf_free(b);
}

static clo_err guards_check(clo_enclave *e, clo_span result)
{
    CLO_CHECKF(result.n <= CLO_ENCLAVE_RESULT_MAX, CLO_E_TOO_LARGE, "the result is larger than %d bytes", CLO_ENCLAVE_RESULT_MAX);
    clo_dp_rational spent = clo_dp_rational_zero();
    clo_err err = e->engine->inspect(&e->task, result, &spent);
    if (clo_failed(err))
        return CLO_DENY(CLO_E_DENIED, "guard.output_schema", e->engine->kind, "a result of another form", "runtime", "report this: the program is faulty");
    char ask[CLO_DP_RATIONAL_TEXT], spent_text[CLO_DP_RATIONAL_TEXT];
    clo_dp_rational_format(ask, e->request.rho);
    clo_dp_rational_format(spent_text, spent);
    if (clo_dp_rational_compare(spent, e->request.rho) != 0)
        return CLO_DENY(CLO_E_DENIED, "guard.spend", ask, spent_text, "run request", "report this: the program spent another budget than was asked for");
    (void)snprintf(e->guards, sizeof e->guards, "min-rows %lld: passed (%llu rows); output schema %s: passed; spend rho %s: passed; size: padded",
                   (long long)e->terms->min_rows, (unsigned long long)e->row_count, e->engine->kind, ask);
    return CLO_OK;
}

static clo_err seal(clo_enclave *e, clo_span result)
{
    CLO_AUTO(plain_wipe) clo_buf plain = {0};
    clo_buf_init(&plain, PLAIN_MAX);
    CLO_TRY(clo_enclave_output_plain(e->engine->kind, e->terms->name, e->engine->media_type, result, &plain));
    clo_buf_init(&e->output, CLO_ENCLAVE_OUTPUT_FILE_MAX);
    CLO_TRY(clo_collab_output_seal(e->request.run_id, e->agreement->id, clo_buf_span(&plain), &e->secrets->output, &e->output));
    return clo_crypto_sha256(clo_buf_span(&e->output), e->output_digest);
}

/* n-of-n: all shares but the last are random, the last makes their XOR the key. */
static clo_err split(clo_enclave *e)
{
    clo_enclave_secrets *s = e->secrets;
    clo_key32 *last = &s->shares[e->kms_count - 1];
    clo_key32_copy(last, &s->output);
    for (size_t i = 0; i + 1 < e->kms_count; i++) {
        CLO_TRY(clo_crypto_random(s->shares[i].b, sizeof s->shares[i].b));
        clo_key32_xor(last, &s->shares[i]);
    }
    clo_key32_wipe(&s->output);
    return CLO_OK;
}

static clo_err output_send(clo_enclave *e)
{
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_buf_init(&body, CLO_ENCLAVE_OUTPUT_PIECE + 4096);
    for (size_t at = 0; at < e->output.len;) {
        size_t n = e->output.len - at < CLO_ENCLAVE_OUTPUT_PIECE ? e->output.len - at : CLO_ENCLAVE_OUTPUT_PIECE;
        clo_enclave_output m = {.offset = at, .last = at + n == e->output.len, .bytes = clo_span_of(e->output.p + at, n)};
        clo_buf_clear(&body);
        CLO_TRY(clo_enclave_output_encode(&m, &body));
        CLO_TRY(clo_enclave_ask(e, CLO_ENCLAVE_OUTPUT, clo_buf_span(&body)));
        at += n;
    }
    return CLO_OK;
}

/* shares = the sealed share of each owner. */
static clo_err token_make(clo_enclave *e, const clo_span *shares, clo_buf *token)
{
    void *mem = NULL;
    CLO_TRY(clo_arena_alloc(&e->arena, sizeof(clo_collab_release_token), &mem));
    clo_collab_release_token *t = mem;
    memcpy(t->agreement, e->agreement->id, 32);
    t->epoch = e->agreement->epoch;
    memcpy(t->run_id, e->request.run_id, 16);
    memcpy(t->request, e->binding.request, 32);
    memcpy(t->output, e->output_digest, 32);
    t->output_size = e->output.len;
    t->recipient_count = e->terms->recipient_count;
    memcpy(t->recipients, e->terms->recipients, sizeof t->recipients);
    t->spend_count = e->request.dataset_count;
    for (size_t i = 0; i < t->spend_count; i++) {
        memcpy(t->spends[i].dataset, e->request.datasets[i].id, 32);
        t->spends[i].rho = e->request.rho;
    }
    t->share_count = e->kms_count;
    for (size_t i = 0; i < e->kms_count; i++) CLO_TRY(clo_crypto_sha256(shares[i], t->shares[i]));
    t->guards_passed = true;
    (void)snprintf(t->guards, sizeof t->guards, "%s", e->guards);
    memcpy(t->evidence, e->evidence_digest, 32);
    return clo_collab_release_token_sign(t, &e->secrets->sign, token);
}

static clo_err share_seal(clo_enclave *e, size_t owner, clo_span *out)
{
    CLO_AUTO(clo_buf_free) clo_buf info = {0}, sealed = {0};
    clo_buf_init(&info, 1024);
    clo_buf_init(&sealed, 256);
    CLO_TRY(clo_collab_share_info(e->agreement->id, e->request.run_id, e->output_digest, "kms", &info));
    CLO_TRY(clo_crypto_hpke_seal(e->kms[owner].member->kms_hpke, clo_buf_span(&info), clo_span_of(NULL, 0),
                                 clo_span_of(e->secrets->shares[owner].b, 32), &sealed));
    clo_key32_wipe(&e->secrets->shares[owner]);
    return clo_arena_copy(&e->arena, clo_buf_span(&sealed), out);
}

static clo_err commit_request_make(clo_enclave *e, clo_span token, clo_span share, clo_span *out)
{
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_buf_init(&body, CLO_ENCLAVE_COMMIT_MAX);
    clo_collab_commit_request r = {.token = token, .sealed_share = share};
    CLO_TRY(clo_collab_commit_request_encode(&r, &body));
    return clo_arena_copy(&e->arena, clo_buf_span(&body), out);
}

static clo_err statement_make(clo_enclave *e, clo_buf *out)
{
    void *mem = NULL;
    CLO_TRY(clo_arena_alloc(&e->arena, sizeof(clo_collab_statement), &mem));
    clo_collab_statement *s = mem;
    memcpy(s->agreement, e->agreement->id, 32);
    s->epoch = e->agreement->epoch;
    memcpy(s->run_id, e->request.run_id, 16);
    (void)snprintf(s->run, sizeof s->run, "%s", e->terms->name);
    (void)snprintf(s->program, sizeof s->program, "%s", e->program->name);
    memcpy(s->program_digest, e->program->digest, 32);
    s->input_count = e->request.dataset_count;
    for (size_t i = 0; i < s->input_count; i++) {
        memcpy(s->inputs[i].id, e->request.datasets[i].id, 32);
        memcpy(s->inputs[i].version, e->request.datasets[i].version, 32);
        s->inputs[i].rho = e->request.rho;
    }
    memcpy(s->request, e->binding.request, 32);
    memcpy(s->output, e->output_digest, 32);
    s->recipient_count = e->terms->recipient_count;
    memcpy(s->recipients, e->terms->recipients, sizeof s->recipients);
    (void)snprintf(s->guards, sizeof s->guards, "%s", e->guards);
    memcpy(s->evidence, e->evidence_digest, 32);
    (void)snprintf(s->tee, sizeof s->tee, "%s", e->provider->name);
    memcpy(s->runtime, e->binding.sign, 32);
    /* Every key service's clock saw the run inside its own bounds: the widest of them are true for all. */
    s->not_before = e->kms[0].known_from;
    for (size_t i = 0; i < e->kms_count; i++) {
        if (e->kms[i].known_from < s->not_before) s->not_before = e->kms[i].known_from;
        if (e->kms[i].known_until > s->not_after) s->not_after = e->kms[i].known_until;
    }
    return clo_collab_statement_sign(s, &e->secrets->sign, out);
}

/* What only all key services together can show. Before share_seal, which wipes the shares. */
static clo_err statement_key(const clo_enclave *e, clo_key32 *key)
{
    clo_key32_wipe(key);
    for (size_t i = 0; i < e->kms_count; i++) {
        CLO_KEY32(part);
        CLO_TRY(clo_collab_statement_share(e->agreement->id, e->request.run_id, e->output_digest, &e->secrets->shares[i], &part));
        clo_key32_xor(key, &part);
    }
    return CLO_OK;
}

/* Make every request and the statement, and let the host keep them before the first request is sent: from here on the run can be finished without
 * this runtime. The token names every sealed share, so that none can be exchanged on the way. */
static clo_err prepare_all(clo_enclave *e, clo_enclave_prepared *prepared, clo_span statement)
{
    CLO_AUTO(clo_buf_free) clo_buf token = {0}, hidden = {0}, body = {0};
    CLO_KEY32(key);
    clo_span shares[CLO_PARTIES_MAX];
    clo_buf_init(&token, 64 * 1024);
    clo_buf_init(&hidden, 64 * 1024);
    clo_buf_init(&body, CLO_PARTIES_MAX * CLO_ENCLAVE_COMMIT_MAX + 64 * 1024);
    CLO_TRY(statement_key(e, &key));
    CLO_TRY(clo_collab_statement_hide(&key, statement, &hidden));
    for (size_t i = 0; i < e->kms_count; i++) CLO_TRY(share_seal(e, i, &shares[i]));
    CLO_TRY(token_make(e, shares, &token));
    prepared->statement = clo_buf_span(&hidden);
    prepared->commit_count = e->kms_count;
    for (size_t i = 0; i < e->kms_count; i++) CLO_TRY(commit_request_make(e, clo_buf_span(&token), shares[i], &prepared->commits[i]));
    CLO_TRY(clo_enclave_prepared_encode(prepared, &body));
    prepared->statement = clo_span_of(NULL, 0); /* its bytes end here */
    return clo_enclave_ask(e, CLO_ENCLAVE_PREPARED, clo_buf_span(&body));
}

static clo_err commit_body(clo_enclave *e, clo_enclave_kms *k, void *context, clo_buf *body)
{
    (void)e;
    (void)k;
    const clo_span *request = context;
    return clo_buf_put_span(body, *request);
}

/* A reply must be of this owner and give a share to every recipient, or the output could not be opened. */
static clo_err commit_reply_check(clo_enclave *e, const clo_enclave_kms *k)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_arena_init(&a, 1024 * 1024);
    void *mem = NULL;
    CLO_TRY(clo_arena_alloc(&a, sizeof(clo_collab_commit_reply), &mem));
    clo_collab_commit_reply *r = mem;
    CLO_TRY(clo_collab_commit_reply_decode(&a, clo_buf_span(&k->commit), r));
    CLO_CHECKF(strcmp(r->owner, k->member->party.name) == 0, CLO_E_MALFORMED, "the key service of %s answered a commit in another's name",
               k->member->party.name);
    for (size_t i = 0; i < e->terms->recipient_count; i++) {
        size_t j = 0;
        while (j < r->share_count && strcmp(r->shares[j].recipient, e->terms->recipients[i]) != 0) j++;
        CLO_CHECKF(j < r->share_count, CLO_E_MISSING_FIELD, "the key service of %s gave no share to %s", k->member->party.name, e->terms->recipients[i]);
    }
    return CLO_OK;
}

static clo_err commit_one(clo_enclave *e, clo_enclave_kms *k, clo_span *request)
{
    clo_err err = CLO_OK;
    for (unsigned attempt = 0; attempt < CLO_ENCLAVE_ATTEMPTS; attempt++) {
        if (attempt > 0) clo_os_sleep_ms(300u * attempt);
        err = clo_enclave_kms_call(e, k, 1, "POST", "/v1/commit", commit_body, request, &k->commit);
        if (!clo_enclave_kms_unreached(err) || clo_collab_commit_held(err)) break;
    }
    CLO_TRY(err);
    CLO_TRY(commit_reply_check(e, k));
    clo_enclave_kms_close(e, k);
    return CLO_OK;
}

/* One whose reply is held back has the commit: it is asked again for a while. */
static clo_err commit_held(clo_enclave *e, clo_enclave_kms *k, clo_span *request)
{
    clo_err err = CLO_OK;
    for (unsigned attempt = 0; attempt < CLO_ENCLAVE_ATTEMPTS; attempt++) {
        if (attempt > 0) clo_os_sleep_ms(300u * attempt);
        err = commit_one(e, k, request);
        if (!clo_collab_commit_held(err)) break;
    }
    return err;
}

/* A service that holds its reply back has the commit: the others must have theirs first, while their leases last, or it spent for nothing. Then it
 * is asked again; if it still waits, the host has all that it needs to ask later. One that is merely busy has nothing: nobody after it commits. */
static clo_err commit_all(clo_enclave *e, clo_span statement)
{
    clo_enclave_prepared prepared = {0};
    bool held[CLO_PARTIES_MAX] = {false};
    CLO_TRY(prepare_all(e, &prepared, statement));
    for (size_t i = 0; i < e->kms_count; i++) {
        CLO_TRY(clo_enclave_report(e, CLO_ENCLAVE_PHASE_COMMITTING, e->kms[i].member->party.name, i, e->kms_count));
        clo_err err = commit_one(e, &e->kms[i], &prepared.commits[i]);
        held[i] = clo_collab_commit_held(err);
        if (!held[i]) CLO_TRY(err);
    }
    for (size_t i = 0; i < e->kms_count; i++)
        if (held[i]) CLO_TRY(commit_held(e, &e->kms[i], &prepared.commits[i]));
    return CLO_OK;
}

clo_err clo_enclave_output_release(clo_enclave *e, clo_span result)
{
    CLO_TRY(guards_check(e, result));
    /* Two copies of a machine in this state would seal two outputs under one key: the key of the released one would open the other. */
    CLO_TRY(clo_crypto_reseed());
    CLO_TRY(seal(e, result));
    CLO_TRY(split(e));
    CLO_TRY(output_send(e));
    CLO_TRY(clo_enclave_lease_keep(e));
    CLO_AUTO(clo_buf_free) clo_buf statement = {0}, body = {0};
    clo_buf_init(&statement, 32 * 1024);
    clo_buf_init(&body, CLO_PARTIES_MAX * CLO_ENCLAVE_COMMIT_MAX + 64 * 1024);
    CLO_TRY(statement_make(e, &statement));
    CLO_TRY(commit_all(e, clo_buf_span(&statement)));
    clo_enclave_finish m = {.output_size = e->output.len, .statement = clo_buf_span(&statement), .commit_count = e->kms_count};
    memcpy(m.output, e->output_digest, 32);
    for (size_t i = 0; i < e->kms_count; i++) m.commits[i] = clo_buf_span(&e->kms[i].commit);
    CLO_TRY(clo_enclave_finish_encode(&m, &body));
    return clo_enclave_ask(e, CLO_ENCLAVE_FINISH, clo_buf_span(&body));
}
