/* Offline verification of a receipt. Every check is made that can be made; one that rests on a part that failed says so and fails
 * too. */
#include <stdio.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/collab_int.h"
#include "collab/leaf.h"
#include "crypto/hash.h"

enum { CLOCK_SKEW = 300, CLOCKS_APART = 1300 /* what a runtime lets a key service's clock be off */ };

typedef struct {
    clo_arena *a;
    const clo_collab_roots *roots;
    clo_collab_receipt_verdict *verdict;
    clo_collab_receipt receipt;
    clo_collab_agreement *g;           /* NULL where it could not be read */
    const clo_collab_run_terms *terms; /* NULL where the request does not hold */
    clo_collab_run_request *request;
    bool have_statement, have_time;
    int64_t time; /* at which the evidence is judged */
} work;

static void put(work *w, const char *name, bool ok, const char *detail)
{
    clo_collab_receipt_verdict *v = w->verdict;
    if (v->check_count == sizeof v->checks / sizeof v->checks[0]) { /* never silently short of a check */
        v->checks[v->check_count - 1].ok = false;
        return;
    }
    clo_collab_receipt_check *c = &v->checks[v->check_count++];
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    (void)snprintf(c->detail, sizeof c->detail, "%s", detail);
    c->ok = ok;
}

static void put_result(work *w, const char *name, clo_err e, const char *good)
{
    put(w, name, !clo_failed(e), clo_failed(e) ? clo_err_text() : good);
}

/* An error of the machine ends the verification; an error of the receipt is a result. */
static bool is_ours(clo_err e)
{
    clo_class c = clo_failed(e) ? clo_err_class(e) : CLO_CLASS_OK;
    return c == CLO_CLASS_ENV || c == CLO_CLASS_BUG;
}

static void check_parties(work *w)
{
    size_t known = 0;
    char detail[240];
    for (size_t i = 0; i < w->roots->party_count; i++) {
        const clo_collab_party *p = &w->roots->parties[i];
        const clo_collab_member *m = clo_collab_agreement_member(w->g, p->name);
        if (m == NULL) continue;
        if (!clo_crypto_public_key_equal(&m->party.sign, &p->sign)) {
            (void)snprintf(detail, sizeof detail,
                           "the agreement names another key for %s than the one you know; ask %s which is theirs", p->name,
                           p->name);
            put(w, "parties", false, detail);
            return;
        }
        known++;
    }
    bool ok = known != 0 || w->roots->have_log;
    if (ok)
        (void)snprintf(detail, sizeof detail, "%zu of %zu parties are known to you, with these keys", known, w->g->member_count);
    else
        (void)snprintf(detail, sizeof detail,
                       "neither a party nor the log is known to you; get a party file or the log's key, and pass --roots");
    put(w, "parties", ok, detail);
}

static bool has_key(const clo_wire_note_key *keys, size_t count, const clo_wire_note_key *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (clo_crypto_public_key_equal(&keys[i].key, &wanted->key) && strcmp(keys[i].name, wanted->name) == 0) return true;
    return false;
}

static void check_log_keys(work *w)
{
    const clo_wire_log_policy *known = &w->roots->log, *named = &w->g->log;
    if (!w->roots->have_log) {
        put(w, "log.keys", true, "taken from the signed agreement; you have pinned none");
        return;
    }
    bool ok = has_key(&known->log, 1, &named->log);
    for (size_t i = 0; i < named->witness_count && known->witness_count != 0; i++)
        ok = ok && has_key(known->witnesses, known->witness_count, &named->witnesses[i]);
    ok = ok && named->quorum >= known->quorum;
    put(w, "log.keys", ok,
        ok ? "the log and its witnesses are those that you pinned"
           : "the agreement names another log or other witnesses than you pinned");
}

static clo_err proof_verify(work *w, const char *type, clo_span object, clo_span proof, uint64_t *index, uint64_t *size,
                            uint64_t *witnessed_at)
{
    CLO_AUTO(clo_buf_free) clo_buf leaf;
    clo_buf_init(&leaf, 1024);
    CLO_TRY(clo_collab_leaf(type, object, &leaf));
    clo_wire_checkpoint checkpoint;
    memset(&checkpoint, 0, sizeof checkpoint);
    CLO_TRY(clo_wire_tlog_proof_verify(proof, clo_buf_span(&leaf), &w->g->log, &checkpoint, index, witnessed_at));
    *size = checkpoint.size;
    return CLO_OK;
}

static clo_err check_agreement(work *w)
{
    clo_collab_agreement *g = NULL;
    CLO_TRY(clo_collab_agreement_new(w->a, &g));
    uint32_t mask = 0;
    clo_err e = clo_collab_agreement_file_open(w->a, w->receipt.agreement_file, g, &mask);
    if (is_ours(e)) return e;
    put_result(w, "agreement", e, "well-formed, every signature on it is good");
    if (clo_failed(e)) return CLO_OK;
    w->g = g;
    (void)snprintf(w->verdict->agreement_title, sizeof w->verdict->agreement_title, "%s", g->title);
    put_result(w, "agreement.signatures", clo_collab_agreement_require_signed(g, mask), "signed by every party");
    check_parties(w);
    check_log_keys(w);
    uint64_t index = 0, size = 0, at = 0;
    e = proof_verify(w, CLO_LEAF_AGREEMENT, w->receipt.agreement_file, w->receipt.agreement_proof, &index, &size, &at);
    if (is_ours(e)) return e;
    put_result(w, "agreement.log", e, "registered in the log, and witnessed");
    return CLO_OK;
}

static clo_err check_request(work *w)
{
    clo_err e = clo_collab_run_request_open(w->a, w->receipt.request, w->g, w->request, &w->terms);
    if (is_ours(e)) return e;
    put_result(w, "request", e, "signed by a starter, as the agreement allows");
    if (clo_failed(e)) w->terms = NULL;
    return CLO_OK;
}

static clo_err check_binding(work *w)
{
    const clo_collab_binding *b = &w->receipt.binding;
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(w->receipt.request, digest));
    size_t owners[CLO_PARTIES_MAX];
    const char *wrong = NULL;
    if (memcmp(b->agreement, w->g->id, sizeof b->agreement) != 0 || b->epoch != w->g->epoch)
        wrong = "the evidence is bound to another agreement or epoch";
    else if (memcmp(b->request, digest, sizeof digest) != 0)
        wrong = "the evidence is bound to another request";
    else if (b->nonce_count != clo_collab_run_owners(w->g, w->terms, owners))
        wrong = "the evidence is not bound to one nonce of each owner";
    put(w, "binding", wrong == NULL, wrong == NULL ? "agreement, request and one nonce of each owner" : wrong);
    return CLO_OK;
}

static clo_err check_statement_signature(work *w)
{
    clo_crypto_public_key key;
    clo_err e = clo_crypto_public_key_parse(CLO_SIGN_ED25519, clo_span_of(w->receipt.binding.sign, 32), &key);
    if (!clo_failed(e)) e = clo_collab_statement_open(w->a, w->receipt.statement, &key, &w->verdict->statement);
    if (is_ours(e)) return e;
    put_result(w, "statement.signature", e, "signed by the key that the evidence attests");
    w->have_statement = !clo_failed(e);
    return CLO_OK;
}

static clo_err check_statement_log(work *w)
{
    clo_collab_receipt_verdict *v = w->verdict;
    uint64_t index = 0, size = 0, at = 0;
    clo_err e = proof_verify(w, CLO_LEAF_STATEMENT, w->receipt.statement, w->receipt.proof, &index, &size, &at);
    if (is_ours(e)) return e;
    put_result(w, "statement.log", e, "registered in the log, and witnessed");
    if (clo_failed(e)) return CLO_OK;
    v->log_index = index;
    v->log_size = size;
    v->witnessed_at = at;
    w->have_time = at <= INT64_MAX / 4;
    return CLO_OK;
}

static void check_statement_run(work *w)
{
    const clo_collab_statement *s = &w->verdict->statement;
    const clo_collab_run_request *r = w->request;
    bool ok = memcmp(s->agreement, w->g->id, sizeof s->agreement) == 0 && s->epoch == w->g->epoch;
    put(w, "statement.agreement", ok, ok ? "the same agreement and epoch" : "the statement is about another agreement or epoch");
    uint8_t digest[32];
    ok = !clo_failed(clo_crypto_sha256(w->receipt.request, digest)) && memcmp(digest, s->request, sizeof digest) == 0 &&
         memcmp(s->run_id, r->run_id, sizeof s->run_id) == 0 && strcmp(s->run, r->run) == 0;
    put(w, "statement.request", ok, ok ? "the same run and request" : "the statement is about another run or request");
    const clo_collab_program *p = clo_collab_agreement_program(w->g, w->terms->program);
    ok = p != NULL && strcmp(s->program, p->name) == 0 && memcmp(s->program_digest, p->digest, sizeof p->digest) == 0;
    put(w, "statement.program", ok,
        ok ? "the program of the agreement" : "the statement names another program than the agreement");
    ok = s->input_count == r->dataset_count;
    for (size_t i = 0; ok && i < r->dataset_count; i++)
        ok = memcmp(s->inputs[i].id, r->datasets[i].id, 32) == 0 &&
             memcmp(s->inputs[i].version, r->datasets[i].version, 32) == 0 &&
             clo_dp_rational_compare(s->inputs[i].rho, w->terms->rho) == 0;
    put(w, "statement.inputs", ok,
        ok ? "the requested datasets and versions, at the agreed price"
           : "inputs, versions or spend differ from what was asked and agreed");
    ok = s->recipient_count == w->terms->recipient_count;
    for (size_t i = 0; ok && i < s->recipient_count; i++) ok = strcmp(s->recipients[i], w->terms->recipients[i]) == 0;
    put(w, "statement.recipients", ok, ok ? "the recipients of the agreement" : "the recipients differ from the agreement's");
}

/* Why the bounds that the statement gives for the run's time cannot be; NULL where they can. The key services keep leases within the run's
 * window and release a request for a day; the statement is in the log before its last lease is over, give or take their clocks. */
static const char *time_objection(const work *w, int64_t witnessed_at)
{
    const clo_collab_statement *s = &w->verdict->statement;
    int64_t end = w->terms->not_after != 0 ? w->terms->not_after : w->g->not_after, created = w->request->created;
    if (!w->have_time) return "the statement has no witnessed time";
    if (s->not_after > INT64_MAX / 4 || s->not_before > s->not_after || created > INT64_MAX / 4) return "its times are no times";
    if (witnessed_at + CLOCK_SKEW < s->not_before) return "the run began after the statement was witnessed";
    if (s->not_before < w->terms->not_before - CLOCKS_APART || s->not_before >= end || s->not_after > end + CLOCKS_APART)
        return "the run was outside its window in the agreement";
    if (s->not_before < created - CLOCKS_APART || s->not_before > created + CLO_RUN_REQUEST_AGE_MAX + CLOCKS_APART)
        return "the run does not fit the time of its request, which holds for a day";
    if (s->not_after > witnessed_at + w->g->lease_seconds + CLOCKS_APART) return "the run ended long after the statement was witnessed";
    return NULL;
}

/* The evidence is judged at the witnessed time, held within the bounds that the statement claims. */
static void check_time(work *w)
{
    const clo_collab_statement *s = &w->verdict->statement;
    int64_t at = w->have_time ? (int64_t)w->verdict->witnessed_at : s->not_before;
    const char *objection = time_objection(w, at);
    w->time = at < s->not_before ? s->not_before : at > s->not_after ? s->not_after : at;
    char text[21], detail[240];
    clo_time_format(text, w->time);
    (void)snprintf(detail, sizeof detail, "within the agreement; witnessed; judged as of %s", text);
    put(w, "statement.time", objection == NULL, objection != NULL ? objection : detail);
}

static clo_err check_root(work *w, bool simulated)
{
    const clo_collab_roots *roots = w->roots;
    if (!simulated) {
        put(w, "evidence.root", true, "the vendor's root");
        return CLO_OK;
    }
    if (roots->tee_root_count == 0) {
        put(w, "evidence.root", true, "software TEE (sim): its root is the one that the agreement names; you have pinned none");
        return CLO_OK;
    }
    clo_attest_bundle bundle;
    memset(&bundle, 0, sizeof bundle);
    uint8_t digest[32] = {0};
    clo_err e = clo_attest_bundle_decode(w->a, w->receipt.evidence, &bundle);
    if (is_ours(e)) return e;
    bool ok = !clo_failed(e) && bundle.chain_count != 0;
    if (ok) CLO_TRY(clo_crypto_sha256(bundle.chain[bundle.chain_count - 1], digest));
    bool found = false;
    for (size_t i = 0; ok && i < roots->tee_root_count; i++)
        found = found || memcmp(roots->tee_roots[i], digest, sizeof digest) == 0;
    put(w, "evidence.root", found,
        found ? "software TEE (sim): the root that you pinned" : "software TEE (sim): its root is none that you pinned");
    return CLO_OK;
}

static clo_err check_evidence(work *w)
{
    const clo_collab_statement *s = &w->verdict->statement;
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(w->receipt.evidence, digest));
    bool same = memcmp(digest, s->evidence, sizeof digest) == 0;
    const clo_collab_runtime *runtime = NULL;
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(w->a, sizeof(clo_attest_result), &p));
    clo_err e =
        clo_collab_evidence_appraise(w->a, NULL, w->g, w->terms, &w->receipt.binding, w->receipt.evidence, w->time, &runtime, p);
    if (is_ours(e)) return e;
    put_result(w, "evidence", e, "accepted under the agreement's policy, bound to this request and these keys");
    if (clo_failed(e)) runtime = NULL;
    w->verdict->simulated = runtime != NULL ? strcmp(runtime->tee, "sim") == 0 : strcmp(s->tee, "sim") == 0;
    bool ok = same && runtime != NULL && strcmp(s->tee, runtime->tee) == 0;
    put(w, "statement.evidence", ok,
        ok ? "the statement names this evidence and this TEE" : "the statement names other evidence or another TEE");
    return check_root(w, w->verdict->simulated);
}

static void put_skipped(work *w, const char *const *names, size_t count, const char *why)
{
    for (size_t i = 0; i < count; i++) put(w, names[i], false, why);
}

static clo_err verify(work *w)
{
    static const char *const after_agreement[] = {"agreement.signatures", "parties", "log.keys",
                                                  "agreement.log",        "request", "statement.log"};
    static const char *const after_request[] = {"binding",
                                                "statement.agreement",
                                                "statement.request",
                                                "statement.program",
                                                "statement.inputs",
                                                "statement.recipients",
                                                "statement.time",
                                                "evidence",
                                                "statement.evidence",
                                                "evidence.root"};
    enum {
        AFTER_AGREEMENT = sizeof after_agreement / sizeof after_agreement[0],
        AFTER_REQUEST = sizeof after_request / sizeof after_request[0]
    };
    CLO_TRY(check_agreement(w));
    if (w->g == NULL) {
        put_skipped(w, after_agreement, AFTER_AGREEMENT, "not checked: the agreement cannot be read");
        CLO_TRY(check_statement_signature(w));
        put_skipped(w, after_request, AFTER_REQUEST, "not checked: the agreement cannot be read");
        return CLO_OK;
    }
    CLO_TRY(check_request(w));
    CLO_TRY(check_statement_signature(w));
    CLO_TRY(check_statement_log(w));
    if (w->terms == NULL || !w->have_statement) {
        put_skipped(w, after_request, AFTER_REQUEST, "not checked: the request or the statement does not hold");
        return CLO_OK;
    }
    CLO_TRY(check_binding(w));
    check_statement_run(w);
    check_time(w);
    return check_evidence(w);
}

clo_err clo_collab_receipt_verify(clo_arena *a, clo_span file, const clo_collab_roots *roots, clo_collab_receipt_verdict *out)
{
    static const clo_collab_roots none;
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(work), &p));
    work *w = p;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_collab_receipt_verdict), &p));
    w->verdict = p;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_collab_run_request), &p));
    w->request = p;
    w->a = a;
    w->roots = roots != NULL ? roots : &none;
    CLO_TRY(clo_collab_receipt_decode(a, file, &w->receipt));
    CLO_TRY(verify(w));
    clo_collab_receipt_verdict *v = w->verdict;
    v->valid = v->check_count != 0;
    for (size_t i = 0; i < v->check_count; i++) v->valid = v->valid && v->checks[i].ok;
    *out = *v;
    return CLO_OK;
}
