/* The ledger as a log with witnesses (RFC 6962; C2SP tlog-checkpoint, tlog-witness): what a witness has cosigned, nobody can take back by
 * restoring an older copy of this service's disk. No share of an output leaves before every witness has cosigned the entry that paid for
 * it; that costs one question for all commits that wait together. */
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include "os/log.h"
#include <inttypes.h>
#include <stdio.h>

static const char origin_prefix[] = "cloister-kms/";
static const char wanted_text[] = "a cosignature of every witness over the ledger", witnesses_text[] = "the witnesses of this key service";
enum { LINES_MAX = 16 * 1024, RETRY_MS = 250 };

/* ---- the log's key ---- */

/* Made from a secret of the home that never changes, so that a home has one log for life. */
static clo_err log_key(const clo_kms *kms, clo_crypto_private_key *sk, clo_wire_note_key *key)
{
    static const char info[] = "cloister/v1 ledger log";
    clo_crypto_public_key pk;
    uint8_t digest[32];
    char origin[sizeof origin_prefix + 32];
    sk->alg = CLO_SIGN_ED25519;
    CLO_TRY(clo_crypto_hkdf(CLO_HASH_SHA256, clo_span_of(NULL, 0), clo_span_of(kms->secrets->nonce.b, sizeof kms->secrets->nonce.b),
                            clo_span_of(info, sizeof info - 1), sk->bytes, 32));
    CLO_TRY(clo_crypto_sign_public_of(sk, &pk));
    CLO_TRY(clo_crypto_sha256(clo_span_of(pk.bytes, pk.n), digest));
    (void)snprintf(origin, sizeof origin, "%s", origin_prefix);
    clo_hex_encode(origin + sizeof origin_prefix - 1, clo_span_of(digest, 16));
    return clo_wire_note_key_make(origin, 1, &pk, key);
}

clo_err clo_kms_ledger_key(const clo_kms *kms, clo_wire_note_key *out)
{
    CLO_AUTO(clo_crypto_private_key_wipe) clo_crypto_private_key sk = {.alg = CLO_SIGN_ED25519};
    return log_key(kms, &sk, out);
}

/* ---- the tree ---- */

typedef struct {
    int64_t after, last;
    clo_wire_merkle_range *range;
} leaves_read;

/* Leaf = the hash of the ledger's row, which covers the row and all before it. */
static clo_err read_leaves(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    const leaves_read *r = context;
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT seq, hash FROM ledger WHERE seq > ?1 AND seq <= ?2 ORDER BY seq", "ii", r->after, r->last));
    for (int64_t seq = r->after + 1;; seq++) {
        bool row = false;
        clo_wire_hash leaf;
        CLO_TRY(kms_db_row(s, &row));
        if (!row) return CLO_OK;
        CLO_CHECKF(kms_column_int(s, 0) == seq, CLO_E_DATABASE, "entry %" PRId64 " of the ledger is missing", seq);
        CLO_TRY(clo_wire_merkle_leaf(kms_column_span(s, 1), &leaf));
        CLO_TRY(clo_wire_merkle_range_add(r->range, &leaf));
    }
}

/* A complete subtree: one of those that the cosigned tree ends in, or summed up from the rows. */
static clo_err subtree(void *context, unsigned level, uint64_t index, clo_wire_hash *out)
{
    clo_kms *kms = context;
    const clo_wire_merkle_range *known = &kms->witness_range;
    CLO_CHECK(level < 40 && index < UINT64_C(1) << 40 >> level, CLO_E_RANGE);
    if ((known->count >> level & 1) != 0 && known->count >> level == index + 1) {
        *out = known->stack[level];
        return CLO_OK;
    }
    clo_wire_merkle_range range = {.count = 0};
    leaves_read r = {(int64_t)(index << level), (int64_t)((index + 1) << level), &range};
    CLO_TRY(kms_read(kms, read_leaves, &r));
    CLO_CHECKF(range.count == UINT64_C(1) << level, CLO_E_DATABASE, "the ledger ends before entry %" PRId64, r.last);
    return clo_wire_merkle_range_root(&range, out);
}

clo_err clo_kms_ledger_consistency(clo_kms *kms, uint64_t old_size, uint64_t size, clo_wire_hash *path, size_t *count)
{
    return clo_wire_merkle_prove_consistency(old_size, size, subtree, kms, path, count);
}

/* ---- one round ---- */

static clo_err make_note(const clo_kms *kms, const clo_wire_merkle_range *range, clo_wire_note_key *key, clo_buf *note)
{
    CLO_AUTO(clo_crypto_private_key_wipe) clo_crypto_private_key sk = {.alg = CLO_SIGN_ED25519};
    CLO_AUTO(clo_buf_free) clo_buf body;
    clo_wire_checkpoint c = {.size = range->count};
    clo_buf_init(&body, 4096);
    CLO_TRY(log_key(kms, &sk, key));
    CLO_TRY(clo_str_set(c.origin, sizeof c.origin, clo_span_str(key->name)));
    CLO_TRY(clo_wire_merkle_range_root(range, &c.root));
    CLO_TRY(clo_wire_checkpoint_write(&c, &body));
    return clo_wire_note_sign(clo_buf_span(&body), key->name, &sk, note);
}

/* The cosignatures must be those of the configured witnesses, over this very checkpoint. */
static clo_err check_lines(const clo_kms *kms, const clo_wire_note_key *key, clo_buf *note, clo_span lines, uint64_t *at)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(&a, sizeof(clo_wire_log_policy), &p));
    clo_wire_log_policy *policy = p;
    policy->log = *key;
    policy->witness_count = policy->quorum = kms->witnesses.count;
    for (size_t i = 0; i < kms->witnesses.count; i++) policy->witnesses[i] = kms->witnesses.keys[i];
    CLO_TRY(clo_buf_put_span(note, lines));
    return clo_wire_checkpoint_verify(clo_buf_span(note), policy, NULL, at);
}

static clo_err ask_all(clo_kms *kms, clo_wire_merkle_range *next, uint64_t *at)
{
    leaves_read r = {(int64_t)next->count, INT64_MAX, next};
    clo_wire_note_key key;
    CLO_AUTO(clo_buf_free) clo_buf note, lines;
    clo_buf_init(&note, CLO_NOTE_MAX);
    clo_buf_init(&lines, LINES_MAX);
    CLO_TRY(kms_read(kms, read_leaves, &r));
    CLO_TRY(make_note(kms, next, &key, &note));
    CLO_TRY(kms->witnesses.cosign(kms->witnesses.context, kms, clo_buf_span(&note), next->count, &lines));
    return check_lines(kms, &key, &note, clo_buf_span(&lines), at);
}

static void remember_denial(clo_kms_witnessing *w, const char *claim, const char *expected, const char *actual, const char *source,
                            const char *remedy)
{
    (void)snprintf(w->denial.claim, sizeof w->denial.claim, "%s", claim);
    (void)snprintf(w->denial.expected, sizeof w->denial.expected, "%s", expected);
    (void)snprintf(w->denial.actual, sizeof w->denial.actual, "%s", actual);
    (void)snprintf(w->denial.source, sizeof w->denial.source, "%s", source);
    (void)snprintf(w->denial.remedy, sizeof w->denial.remedy, "%s", remedy);
}

/* After a round that failed. A witness that knows another history is final until the service is started on another copy. */
static void note_failure(clo_kms *kms, clo_err e)
{
    clo_kms_witnessing *w = &kms->witnessing;
    const clo_denial *d = clo_err_denial();
    bool history = e.code == CLO_E_CONFLICT && d != NULL && strcmp(d->claim, "log.history") == 0;
    bool news = history || !w->waiting;
    clo_denial seen = {.claim = ""};
    char text[300];
    if (d != NULL) seen = *d;
    (void)snprintf(text, sizeof text, "%.280s", clo_err_text());
    pthread_mutex_lock(&kms->witness_lock);
    w->waiting = true;
    if (history) {
        w->state = CLO_KMS_WITNESSED_ROLLED_BACK;
        remember_denial(w, "ledger.rollback", seen.expected, seen.actual, seen.source,
                        "this key service's disk was set back or its ledger altered: stop it and restore the newest copy of its home; nothing is "
                        "released or committed until then");
    } else
        remember_denial(w, "ledger.witness", wanted_text, text, witnesses_text,
                        "see that the witness runs and can be reached, then try again");
    pthread_mutex_unlock(&kms->witness_lock);
    if (!news) return;
    char id[CLO_KMS_ID];
    clo_err told = clo_deny_again(history ? CLO_E_DENIED : CLO_E_AGAIN, &w->denial);
    clo_kms_denial_note(kms, "ledger", told, id);
    clo_os_log(history ? CLO_OS_LOG_ERROR : CLO_OS_LOG_WARNING, history ? "ledger-rollback" : "ledger-unwitnessed", id,
               "%s: expected %s, found %s (%s)", w->denial.claim, w->denial.expected, w->denial.actual, w->denial.source);
}

static void note_success(clo_kms *kms, const clo_wire_merkle_range *next, uint64_t at)
{
    clo_kms_witnessing *w = &kms->witnessing;
    pthread_mutex_lock(&kms->witness_lock);
    bool news = w->waiting || w->state != CLO_KMS_WITNESSED_CONFIRMED;
    kms->witness_range = *next;
    w->state = CLO_KMS_WITNESSED_CONFIRMED;
    w->waiting = false;
    w->entry_count = next->count;
    remember_denial(w, "ledger.witness", wanted_text, "the newest entries are on their way to the witnesses", witnesses_text, "try again");
    w->witnessed_at = at <= INT64_MAX ? (int64_t)at : INT64_MAX;
    pthread_mutex_unlock(&kms->witness_lock);
    if (news) clo_os_log(CLO_OS_LOG_INFO, "ledger-witnessed", NULL, "%" PRIu64 " entries are cosigned by every witness", next->count);
}

static void round_run(clo_kms *kms)
{
    clo_wire_merkle_range next = kms->witness_range;
    uint64_t at = 0;
    clo_err e = ask_all(kms, &next, &at);
    if (clo_failed(e))
        note_failure(kms, e);
    else
        note_success(kms, &next, at);
}

static clo_err tell(const clo_kms_witnessing *w)
{
    return clo_deny_again(w->state == CLO_KMS_WITNESSED_ROLLED_BACK ? CLO_E_DENIED : CLO_E_AGAIN, &w->denial);
}

/* Take part in the next round that begins from now on; one caller asks for all who wait. */
static clo_err await_entries(clo_kms *kms, uint64_t entries)
{
    clo_kms_witnessing *w = &kms->witnessing;
    pthread_mutex_lock(&kms->witness_lock);
    const uint64_t round = kms->witness_rounds_begun + 1;
    while (w->state != CLO_KMS_WITNESSED_ROLLED_BACK && kms->witness_rounds_ended < round &&
           (w->state != CLO_KMS_WITNESSED_CONFIRMED || w->entry_count < entries)) {
        if (kms->witness_rounds_begun != kms->witness_rounds_ended) {
            pthread_cond_wait(&kms->witness_done, &kms->witness_lock);
            continue;
        }
        kms->witness_rounds_begun++;
        pthread_mutex_unlock(&kms->witness_lock);
        round_run(kms);
        pthread_mutex_lock(&kms->witness_lock);
        kms->witness_rounds_ended = kms->witness_rounds_begun;
        pthread_cond_broadcast(&kms->witness_done);
    }
    clo_kms_witnessing now = *w;
    pthread_mutex_unlock(&kms->witness_lock);
    return now.state == CLO_KMS_WITNESSED_CONFIRMED && now.entry_count >= entries ? CLO_OK : tell(&now);
}

/* ---- what others ask ---- */

void clo_kms_witnesses_set(clo_kms *kms, const clo_kms_witnesses *witnesses)
{
    kms->witnesses = *witnesses;
    kms->witnessing = (clo_kms_witnessing){.state = CLO_KMS_WITNESSED_NONE};
    if (witnesses->count == 0) return;
    kms->witnessing.state = CLO_KMS_WITNESSED_NOT_YET;
    remember_denial(&kms->witnessing, "ledger.witness", wanted_text, "no witness was asked yet", witnesses_text, "try again");
}

void clo_kms_ledger_witnessing(clo_kms *kms, clo_kms_witnessing *out)
{
    pthread_mutex_lock(&kms->witness_lock);
    *out = kms->witnessing;
    pthread_mutex_unlock(&kms->witness_lock);
}

static clo_err last_entry(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT coalesce(max(seq), 0) FROM ledger", ""));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    if (row) *(int64_t *)context = kms_column_int(s, 0);
    return CLO_OK;
}

clo_err clo_kms_ledger_witness(clo_kms *kms)
{
    int64_t last = 0;
    if (kms->witnesses.count == 0) return CLO_OK;
    CLO_TRY(kms_read(kms, last_entry, &last));
    return await_entries(kms, (uint64_t)last);
}

clo_err kms_witness_require_sound(clo_kms *kms, bool confirmed)
{
    if (kms->witnesses.count == 0) return CLO_OK;
    clo_kms_witnessing w;
    clo_kms_ledger_witnessing(kms, &w);
    if (w.state == CLO_KMS_WITNESSED_ROLLED_BACK || (confirmed && w.state != CLO_KMS_WITNESSED_CONFIRMED)) return tell(&w);
    return CLO_OK;
}

typedef struct {
    const uint8_t *run_id;
    int64_t last;
} commit_read;

static clo_err commit_entry(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    commit_read *r = context;
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT max(seq) FROM ledger WHERE run = ?1 AND kind IN (2, 3)", "b", (const void *)r->run_id, (size_t)16));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    CLO_CHECKF(row && sqlite3_column_type(s, 0) == SQLITE_INTEGER, CLO_E_DATABASE, "a committed run has no entry in the ledger");
    r->last = kms_column_int(s, 0);
    return CLO_OK;
}

/* A place among those that wait; false: there is none. */
static bool waiter_enter(clo_kms *kms)
{
    pthread_mutex_lock(&kms->witness_lock);
    unsigned most = kms->witnesses.waiters_max;
    if (kms->witnessing.waiting) most = (most + 2) / 3;
    bool free_place = most == 0 || kms->witness_waiters < most;
    if (free_place) kms->witness_waiters++;
    pthread_mutex_unlock(&kms->witness_lock);
    return free_place;
}

static void waiter_leave(clo_kms *kms)
{
    pthread_mutex_lock(&kms->witness_lock);
    kms->witness_waiters--;
    pthread_mutex_unlock(&kms->witness_lock);
}

clo_err kms_witness_require_commit(clo_kms *kms, const uint8_t run_id[16], bool ask)
{
    commit_read r = {.run_id = run_id};
    if (kms->witnesses.count == 0) return CLO_OK;
    CLO_TRY(kms_read(kms, commit_entry, &r));
    if (!ask || !waiter_enter(kms)) {
        clo_kms_witnessing w;
        clo_kms_ledger_witnessing(kms, &w);
        return w.state == CLO_KMS_WITNESSED_CONFIRMED && w.entry_count >= (uint64_t)r.last ? CLO_OK : tell(&w);
    }
    const uint64_t until = clo_os_now_ns() + (uint64_t)kms->witnesses.patience_ms * 1000000;
    clo_err e = await_entries(kms, (uint64_t)r.last);
    while (clo_err_class(e) == CLO_CLASS_AGAIN && clo_os_now_ns() < until) {
        clo_os_sleep_ms(RETRY_MS);
        e = await_entries(kms, (uint64_t)r.last);
    }
    waiter_leave(kms);
    return e;
}

clo_err kms_witness_confirmed_refusal(clo_kms *kms, clo_err e)
{
    clo_kms_witnessing w;
    if (kms->witnesses.count == 0 || clo_err_class(e) != CLO_CLASS_DENIED) return e;
    clo_kms_ledger_witnessing(kms, &w);
    if (w.state != CLO_KMS_WITNESSED_NOT_YET) return e;
    return CLO_DENY(CLO_E_AGAIN, "ledger.confirmed", "a ledger that its witnesses have confirmed since this key service started", w.denial.actual,
                    witnesses_text, "see that the witness runs and can be reached, then ask again");
}
