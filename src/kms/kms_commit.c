/* Phase two: the spend becomes final, then the owner's share of the output key goes to the recipients. */
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include "wire/cbor.h"
#include "wire/cose.h"
#include <stdio.h>

enum { COMMIT_BODY_MAX = 64 * 1024, COMMIT_ARENA = 4 << 20, COMMIT_REPLY_MAX = 16 * 1024 };
static const char token_source[] = "release token";

/* A member of fixed size in a signed map that is not verified yet. */
clo_err kms_signed_peek(clo_span cose_bytes, const char *key, void *to, size_t n)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(&a, sizeof(clo_wire_cose), &p));
    clo_wire_cose *cose = p;
    CLO_TRY(clo_wire_cose_parse(&a, cose_bytes, false, cose));
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_cbor_decode(&a, cose->payload, NULL, &map));
    const clo_wire_node *value = map->type == CLO_WIRE_MAP ? clo_wire_get(map, key) : NULL;
    CLO_CHECKF(value != NULL, CLO_E_MISSING_FIELD, "the signed object has no member \"%s\"", key);
    return clo_wire_node_fixed(value, key, to, n);
}

typedef struct {
    clo_arena arena;
    clo_collab_commit_request message;
    clo_collab_release_token token;
    uint8_t token_digest[32];
    uint8_t run_id[16];
    kms_release release;
    kms_agreement_ref *ref;
    const clo_collab_run_terms *terms;
    bool repeated;
    clo_buf reply; /* stored and sent */
} commit_claim;

static clo_err stored_reply(kms_db *db, const uint8_t run_id[16], uint8_t token_digest[32], clo_buf *reply, bool *found)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(
        kms_db_query(db, &s, "SELECT token_digest, reply FROM commits WHERE run = ?1", "b", (const void *)run_id, (size_t)16));
    CLO_TRY(kms_db_row(s, found));
    if (!*found) return CLO_OK;
    CLO_TRY(kms_column_fixed(s, 0, token_digest, 32));
    return clo_buf_put_span(reply, kms_column_span(s, 1));
}

static clo_err repeat_or_conflict(kms_db *db, commit_claim *c)
{
    uint8_t digest[32];
    CLO_TRY(stored_reply(db, c->run_id, digest, &c->reply, &c->repeated));
    if (!c->repeated || memcmp(digest, c->token_digest, sizeof digest) == 0) return CLO_OK;
    clo_buf_clear(&c->reply);
    c->repeated = false;
    return CLO_DENY(CLO_E_CONFLICT, "token.digest", kms_hex8(digest).text, kms_hex8(c->token_digest).text, "owner's key service",
                    "this run was committed with another token; a run has one output");
}

static clo_err find_release(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    commit_claim *c = context;
    bool found = false;
    CLO_TRY(kms_release_find(db, c->run_id, &c->release, &found));
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "run %s was never released here", kms_hex_of(c->run_id, sizeof c->run_id).text);
    return CLO_OK;
}

static clo_err find_reply(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    return repeat_or_conflict(db, context);
}

static clo_err deny_token(const char *claim, const char *expected, const char *actual, const char *source)
{
    return CLO_DENY(CLO_E_DENIED, claim, expected, actual, source,
                    "only the result of the agreed run is released; start a new run");
}

static clo_err check_recipients(const commit_claim *c)
{
    const clo_collab_release_token *t = &c->token;
    char expected[200] = "", part[100];
    for (size_t i = 0; i < c->terms->recipient_count; i++) {
        size_t used = strlen(expected);
        (void)snprintf(expected + used, sizeof expected - used, "%s%s", i > 0 ? ", " : "", c->terms->recipients[i]);
    }
    char actual[200] = "";
    for (size_t i = 0; i < t->recipient_count; i++) {
        size_t used = strlen(actual);
        (void)snprintf(actual + used, sizeof actual - used, "%s%s", i > 0 ? ", " : "", t->recipients[i]);
    }
    bool same = t->recipient_count == c->terms->recipient_count;
    for (size_t i = 0; same && i < t->recipient_count; i++) {
        size_t found = 0;
        for (size_t j = 0; j < t->recipient_count; j++) found += strcmp(c->terms->recipients[i], t->recipients[j]) == 0;
        same = found == 1;
    }
    (void)snprintf(part, sizeof part, "runs[%s].recipients", c->terms->name);
    return same ? CLO_OK
                : deny_token("token.recipients", expected, actual, kms_source_agreement(c->release.agreement, part).text);
}

static clo_err check_spend(const commit_claim *c)
{
    const clo_collab_release_token *t = &c->token;
    const clo_collab_agreement *g = c->ref->g;
    char expected[100], actual[100], price[CLO_DP_RATIONAL_TEXT], part[100];
    clo_dp_rational_format(price, c->terms->rho);
    (void)snprintf(part, sizeof part, "runs[%s].rho", c->terms->name);
    kms_source source = kms_source_agreement(g->id, part);
    (void)snprintf(expected, sizeof expected, "%s on each of %zu datasets", price, c->terms->dataset_count);
    if (t->spend_count != c->terms->dataset_count) {
        (void)snprintf(actual, sizeof actual, "%zu datasets", t->spend_count);
        return deny_token("token.spend", expected, actual, source.text);
    }
    for (size_t i = 0; i < c->terms->dataset_count; i++) {
        const clo_collab_dataset_terms *d = clo_collab_agreement_dataset(g, c->terms->datasets[i]);
        size_t j = 0;
        while (j < t->spend_count && (d == NULL || memcmp(t->spends[j].dataset, d->id, sizeof d->id) != 0)) j++;
        char spent[CLO_DP_RATIONAL_TEXT] = "nothing";
        if (j < t->spend_count) clo_dp_rational_format(spent, t->spends[j].rho);
        (void)snprintf(actual, sizeof actual, "%s on dataset %s", spent, c->terms->datasets[i]);
        if (j == t->spend_count || clo_dp_rational_compare(t->spends[j].rho, c->terms->rho) != 0)
            return deny_token("token.spend", expected, actual, source.text);
    }
    return CLO_OK;
}

/* The share that came is one that the runtime signed for: whoever sees the token (other owners, the host) cannot commit another one, which
 * would spend the budget for an output that nobody can open. */
static clo_err check_share(const commit_claim *c)
{
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(c->message.sealed_share, digest));
    for (size_t i = 0; i < c->token.share_count; i++)
        if (memcmp(c->token.shares[i], digest, sizeof digest) == 0) return CLO_OK;
    return deny_token("token.share", "a sealed share that the token names", kms_hex8(digest).text, token_source);
}

static clo_err check_token(const commit_claim *c)
{
    const clo_collab_release_token *t = &c->token;
    const kms_release *r = &c->release;
    if (memcmp(t->agreement, r->agreement, 32) != 0 || t->epoch != r->epoch)
        return deny_token("token.agreement", kms_hex8(r->agreement).text, kms_hex8(t->agreement).text, "release record");
    if (memcmp(t->request, r->request, 32) != 0)
        return deny_token("token.request", kms_hex8(r->request).text, kms_hex8(t->request).text, "release record");
    if (memcmp(t->evidence, r->evidence, 32) != 0 && memcmp(t->evidence, r->evidence_last, 32) != 0)
        return deny_token("token.evidence", kms_hex8(r->evidence).text, kms_hex8(t->evidence).text, "release record");
    if (!t->guards_passed) return deny_token("token.guards", "passed", t->guards, token_source);
    CLO_TRY(check_recipients(c));
    CLO_TRY(check_spend(c));
    return check_share(c);
}

static clo_err seal_shares(clo_kms *kms, commit_claim *c)
{
    const clo_collab_release_token *t = &c->token;
    CLO_AUTO(clo_buf_free) clo_buf info;
    clo_buf_init(&info, 1024);
    CLO_TRY(clo_collab_share_info(t->agreement, t->run_id, t->output, "kms", &info));
    CLO_KEY32(share);
    clo_err e = clo_crypto_hpke_open(&kms->secrets->hpke, clo_buf_span(&info), clo_span_of(NULL, 0), c->message.sealed_share,
                                     share.b, sizeof share.b);
    CLO_TRY(kms_deny_wrap(e, "token.share", "a share sealed to this key service for this output", token_source,
                          "seal the share to the key that the agreement names"));
    clo_collab_commit_reply reply = {.share_count = 0};
    (void)snprintf(reply.owner, sizeof reply.owner, "%s", kms->owner.name);
    CLO_KEY32(statement_share);
    CLO_TRY(clo_collab_statement_share(t->agreement, t->run_id, t->output, &share, &statement_share));
    memcpy(reply.statement_share, statement_share.b, sizeof reply.statement_share);
    for (size_t i = 0; i < c->terms->recipient_count; i++) {
        const clo_collab_member *m = clo_collab_agreement_member(c->ref->g, c->terms->recipients[i]);
        CLO_CHECKF(m != NULL, CLO_E_BUG, "a recipient is no party of its agreement");
        CLO_AUTO(clo_buf_free) clo_buf to;
        clo_buf_init(&to, 1024);
        CLO_TRY(clo_collab_share_info(t->agreement, t->run_id, t->output, m->party.name, &to));
        CLO_AUTO(clo_buf_free) clo_buf sealed;
        clo_buf_init(&sealed, 256);
        CLO_TRY(clo_crypto_hpke_seal(m->party.hpke, clo_buf_span(&to), clo_span_of(NULL, 0), clo_span_of(share.b, sizeof share.b),
                                     &sealed));
        (void)snprintf(reply.shares[i].recipient, sizeof reply.shares[i].recipient, "%s", m->party.name);
        CLO_TRY(clo_arena_copy(&c->arena, clo_buf_span(&sealed), &reply.shares[i].sealed));
        reply.share_count++;
    }
    return clo_collab_commit_reply_encode(&reply, &c->reply);
}

static clo_err commit_job(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    commit_claim *c = context;
    CLO_AUTO(clo_buf_free) clo_buf made = c->reply; /* kept aside: another thread may have committed meanwhile */
    clo_buf_init(&c->reply, COMMIT_REPLY_MAX);
    CLO_TRY(repeat_or_conflict(db, c));
    if (c->repeated) return CLO_OK;
    CLO_TRY(clo_buf_put_span(&c->reply, clo_buf_span(&made)));
    bool found = false;
    kms_release r;
    CLO_TRY(kms_release_find(db, c->run_id, &r, &found));
    CLO_CHECK(found, CLO_E_NOT_FOUND);
    CLO_TRY(kms_release_require_open(&r, now));
    CLO_TRY(kms_agreement_require_active(db, c->ref->g, now, false));
    CLO_TRY(kms_ledger_end(db, c->run_id, CLO_KMS_ENTRY_COMMIT, now));
    CLO_TRY(kms_db_run(db, "UPDATE releases SET state = 2 WHERE run = ?1 AND state = 1", "b", (const void *)c->run_id,
                       sizeof c->run_id));
    return kms_db_run(db, "INSERT INTO commits(run, token_digest, token, reply, time) VALUES(?1, ?2, ?3, ?4, ?5)", "bbbbi",
                      (const void *)c->run_id, sizeof c->run_id, (const void *)c->token_digest, sizeof c->token_digest,
                      (const void *)c->message.token.p, c->message.token.n, (const void *)c->reply.p, c->reply.len, now);
}

static clo_err open_token(clo_kms *kms, commit_claim *c)
{
    CLO_TRY(clo_crypto_sha256(c->message.token, c->token_digest));
    CLO_TRY(kms_signed_peek(c->message.token, "run_id", c->run_id, sizeof c->run_id));
    CLO_TRY(kms_read(kms, find_release, c));
    clo_crypto_public_key runtime;
    CLO_TRY(clo_crypto_public_key_parse(CLO_SIGN_ED25519, clo_span_of(c->release.runtime, sizeof c->release.runtime), &runtime));
    clo_err e = clo_collab_release_token_open(&c->arena, c->message.token, &runtime, &c->token);
    if (clo_err_class(e) == CLO_CLASS_INPUT) return e;
    CLO_TRY(kms_deny_wrap(e, "token.signature", "the signature of the runtime that got the keys", "release record",
                          "the runtime to which the keys were released commits its own result"));
    CLO_CHECKF(memcmp(c->token.run_id, c->run_id, sizeof c->run_id) == 0, CLO_E_MALFORMED, "the token's run id is ambiguous");
    return CLO_OK;
}

static clo_err commit_message(clo_kms *kms, clo_span body, commit_claim *c)
{
    CLO_TRY(clo_collab_commit_request_decode(&c->arena, body, &c->message));
    CLO_TRY(open_token(kms, c));
    CLO_TRY(kms_read(kms, find_reply, c));
    if (c->repeated) return CLO_OK;
    CLO_TRY(kms_agreement_load(kms, c->release.agreement, &c->ref));
    c->terms = clo_collab_agreement_run(c->ref->g, c->release.run);
    CLO_CHECKF(c->terms != NULL, CLO_E_BUG, "a released run is not in its agreement");
    CLO_TRY(check_token(c));
    int64_t now = 0;
    CLO_TRY(clo_kms_now(kms, &now));
    CLO_TRY(kms_release_require_open(&c->release, now));
    CLO_TRY(seal_shares(kms, c));
    return kms_write(kms, commit_job, c);
}

clo_err clo_kms_commit(clo_kms *kms, clo_span body, clo_buf *reply)
{
    CLO_CHECKF(body.n <= COMMIT_BODY_MAX, CLO_E_TOO_LARGE, "the commit request has %zu bytes, at most %d are allowed", body.n,
               COMMIT_BODY_MAX);
    commit_claim c = {.repeated = false};
    clo_arena_init(&c.arena, COMMIT_ARENA);
    clo_buf_init(&c.reply, COMMIT_REPLY_MAX);
    clo_err e = kms_witness_require_sound(kms, false);
    if (!clo_failed(e)) e = kms_witness_confirmed_refusal(kms, commit_message(kms, body, &c));
    if (!clo_failed(e)) e = kms_witness_require_commit(kms, c.run_id, true);
    if (!clo_failed(e)) e = clo_buf_put_span(reply, clo_buf_span(&c.reply));
    clo_buf_free(&c.reply);
    kms_agreement_drop(&c.ref);
    clo_arena_free(&c.arena);
    return e;
}

typedef struct {
    const uint8_t *run_id;
    clo_buf *reply;
    kms_release release;
    kms_agreement_ref *ref;
} shares_read;

static clo_err read_shares(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    shares_read *r = context;
    uint8_t digest[32];
    bool found = false;
    CLO_TRY(stored_reply(db, r->run_id, digest, r->reply, &found));
    if (found) return CLO_OK;
    CLO_TRY(kms_release_find(db, r->run_id, &r->release, &found));
    if (found && r->ref == NULL) CLO_TRY(kms_release_require_open(&r->release, now));
    if (found && r->ref != NULL) CLO_TRY(kms_agreement_require_active(db, r->ref->g, now, false));
    return CLO_FAILF(CLO_E_NOT_FOUND, "run %s has not been committed here", kms_hex_of(r->run_id, 16).text);
}

static clo_err shares_or_refusal(clo_kms *kms, shares_read *r)
{
    clo_err e = kms_read(kms, read_shares, r);
    if (e.code != CLO_E_NOT_FOUND || r->release.state == 0) return e;
    /* Not yet; would it be now? */
    e = kms_agreement_load(kms, r->release.agreement, &r->ref);
    if (!clo_failed(e)) e = kms_read(kms, read_shares, r);
    kms_agreement_drop(&r->ref);
    return e;
}

clo_err clo_kms_shares(clo_kms *kms, const uint8_t run_id[16], clo_buf *reply)
{
    CLO_AUTO(clo_buf_free) clo_buf kept;
    clo_buf_init(&kept, COMMIT_REPLY_MAX);
    shares_read r = {.run_id = run_id, .reply = &kept};
    CLO_TRY(kms_witness_require_sound(kms, false));
    CLO_TRY(kms_witness_confirmed_refusal(kms, shares_or_refusal(kms, &r)));
    CLO_TRY(kms_witness_require_commit(kms, run_id, false));
    return clo_buf_put_span(reply, clo_buf_span(&kept));
}
