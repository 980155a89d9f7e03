/* Phase one: a nonce from each owner, evidence over all of them, the keys from each; and its renewal while the run lasts. */
#include <stdio.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hpke.h"
#include "enclave/enclave_int.h"

/* A key service releases on a checkpoint of the last ten minutes, by a clock that is ten minutes off at most. */
enum { CLOCK_SECONDS = 1300 };

static clo_err nonces_fetch(clo_enclave *e)
{
    CLO_AUTO(clo_buf_free) clo_buf reply = {0};
    clo_buf_init(&reply, CLO_ENCLAVE_HTTP_BODY_MAX);
    for (size_t i = 0; i < e->kms_count; i++) {
        CLO_TRY(clo_enclave_kms_call(e, &e->kms[i], CLO_ENCLAVE_ATTEMPTS, "GET", "/v1/nonce", NULL, NULL, &reply));
        CLO_CHECKF(reply.len == CLO_NONCE, CLO_E_MALFORMED, "the key service of %s sent a nonce of %zu bytes; it must have %d",
                   e->kms[i].member->party.name, reply.len, CLO_NONCE);
        memcpy(e->kms[i].nonce, reply.p, CLO_NONCE);
    }
    return CLO_OK;
}

static clo_err evidence_make(clo_enclave *e, bool renewal)
{
    clo_collab_binding *b = &e->binding;
    b->nonce_count = e->kms_count;
    for (size_t i = 0; i < e->kms_count; i++) memcpy(b->nonces[i].bytes, e->kms[i].nonce, CLO_NONCE);
    memcpy(b->agreement, e->agreement->id, 32);
    b->epoch = e->agreement->epoch;
    CLO_TRY(clo_crypto_sha256(e->start.request, b->request));
    uint8_t report_data[64];
    CLO_TRY(clo_collab_binding_report_data(b, report_data));
    clo_buf_clear(&e->evidence);
    CLO_TRY(e->asked->evidence(e->device, report_data, &e->evidence));
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_buf_init(&body, CLO_EVIDENCE_MAX + CLO_CONFIGURATION_MAX + 4096);
    clo_enclave_evidence m = {.renewal = renewal, .binding = *b, .evidence = clo_buf_span(&e->evidence)};
    (void)snprintf(m.tee, sizeof m.tee, "%s", e->provider->name);
    CLO_TRY(clo_enclave_evidence_encode(&m, &body));
    return clo_enclave_ask(e, CLO_ENCLAVE_EVIDENCE, clo_buf_span(&body));
}

/* The body of a release or renewal, with the proof that this very session ends inside the attested runtime. */
static clo_err release_prepare(clo_enclave *e, clo_enclave_kms *k, void *context, clo_buf *body)
{
    (void)context;
    uint8_t exporter[32], own[32], peer[32];
    CLO_CHECK(clo_crypto_tls_own_spki(k->tls, own) && clo_crypto_tls_peer_spki(k->tls, peer), CLO_E_BUG);
    CLO_CHECK(memcmp(own, e->leaf_spki, 32) == 0, CLO_E_BUG);
    CLO_TRY(clo_crypto_tls_exporter(k->tls, "EXPORTER-cloister-attest", exporter));
    CLO_AUTO(clo_buf_free) clo_buf message = {0};
    clo_buf_init(&message, 4096);
    CLO_TRY(clo_collab_channel_message(exporter, own, peer, "runtime", clo_buf_span(&e->evidence), &message));
    clo_collab_release_request r = {.agreement_file = e->start.agreement_file, .agreement_proof = e->start.agreement_proof,
                                    .request = e->start.request, .manifest_count = e->start.manifest_count,
                                    .binding = e->binding, .evidence = clo_buf_span(&e->evidence)};
    memcpy(r.manifests, e->start.manifests, sizeof r.manifests);
    CLO_TRY(clo_crypto_sign(&e->secrets->sign, clo_buf_span(&message), r.channel_proof));
    return clo_collab_release_request_encode(&r, body);
}

/* What a key service says of the time goes into the statement, so it must fit: at the release the witnesses' time (an honest one releases
 * nothing on an old checkpoint), afterwards its own word. */
static clo_err clock_check(clo_enclave *e, const clo_enclave_kms *k, int64_t said, uint64_t asked_ns)
{
    int64_t expected = e->witnessed_at;
    if (k->known_from != 0) expected = k->known_from + (int64_t)((asked_ns - k->known_from_ns) / CLO_ENCLAVE_SECOND);
    if (said >= expected - CLOCK_SECONDS && said <= expected + CLOCK_SECONDS) return CLO_OK;
    char wanted[60], at[21], source[96];
    (void)snprintf(e->failed_owner, sizeof e->failed_owner, "%s", k->member->party.name);
    clo_time_format(at, expected);
    (void)snprintf(wanted, sizeof wanted, "within %d s of %s", CLOCK_SECONDS, at);
    clo_time_format(at, said);
    (void)snprintf(source, sizeof source, "key service of %s", k->member->party.name);
    return CLO_DENY(CLO_E_DENIED, "release.clock", wanted, at, source, "its owner must correct the clock of its machine; then start the run again");
}

/* A lease holds from before we asked: the reply's travel time is never counted in our favour. */
static clo_err lease_take(clo_enclave *e, clo_enclave_kms *k, const clo_collab_release_reply *r, uint64_t asked_ns)
{
    CLO_CHECKF(r->lease_seconds >= 1 && r->lease_seconds <= e->agreement->lease_seconds, CLO_E_RANGE,
               "the key service of %s gives a lease of %lld s; the agreement says %lld", k->member->party.name, (long long)r->lease_seconds,
               (long long)e->agreement->lease_seconds);
    CLO_CHECKF(r->expires > r->lease_seconds && r->expires < INT64_MAX / 2, CLO_E_RANGE, "the key service of %s gives a lease without a sane end",
               k->member->party.name);
    CLO_TRY(clock_check(e, k, r->expires - r->lease_seconds, asked_ns));
    k->lease_end_ns = asked_ns + (uint64_t)r->lease_seconds * CLO_ENCLAVE_SECOND;
    if (k->known_from == 0) {
        k->known_from = r->expires - r->lease_seconds;
        k->known_from_ns = asked_ns;
    }
    if (k->known_until < r->expires) k->known_until = r->expires;
    return CLO_OK;
}

static const clo_collab_released_key *key_find(const clo_collab_release_reply *r, const uint8_t dataset[32])
{
    for (size_t i = 0; i < r->key_count; i++)
        if (memcmp(r->keys[i].dataset, dataset, 32) == 0) return &r->keys[i];
    return NULL;
}

static clo_err keys_open(clo_enclave *e, clo_enclave_kms *k, const clo_collab_release_reply *r)
{
    size_t expected = 0;
    for (size_t i = 0; i < e->request.dataset_count; i++) {
        const clo_collab_manifest *m = &e->manifests[i];
        if (strcmp(m->owner, k->member->party.name) != 0) continue;
        expected++;
        const clo_collab_released_key *key = key_find(r, m->id);
        CLO_CHECKF(key != NULL, CLO_E_MISSING_FIELD, "the key service of %s did not release the key of dataset %s", m->owner, m->name);
        CLO_AUTO(clo_buf_free) clo_buf info = {0};
        clo_buf_init(&info, 1024);
        CLO_TRY(clo_collab_release_info(e->agreement->id, e->request.run_id, m->id, k->nonce, clo_buf_span(&e->evidence), r->expires, &info));
        clo_err err = clo_crypto_hpke_open(&e->secrets->hpke, clo_buf_span(&info), clo_span_of(NULL, 0), key->sealed_dek, e->secrets->deks[i].b, 32);
        if (clo_failed(err)) return clo_err_prefix(err, "the released key is not sealed for this run");
    }
    CLO_CHECKF(r->key_count == expected, CLO_E_UNKNOWN_FIELD, "the key service of %s sent %zu keys for %zu datasets", k->member->party.name,
               r->key_count, expected);
    return CLO_OK;
}

/* Ask one service: release (with keys) or renewal. */
static clo_err ask_one(clo_enclave *e, clo_enclave_kms *k, bool renewal)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    CLO_AUTO(clo_buf_free) clo_buf reply = {0};
    clo_arena_init(&a, 4 * 1024 * 1024);
    clo_buf_init(&reply, CLO_ENCLAVE_HTTP_BODY_MAX);
    uint64_t asked_ns = clo_enclave_now(e);
    CLO_TRY(clo_enclave_kms_call(e, k, 1, "POST", renewal ? "/v1/renew" : "/v1/release", release_prepare, NULL, &reply));
    void *mem = NULL;
    CLO_TRY(clo_arena_alloc(&a, sizeof(clo_collab_release_reply), &mem));
    clo_collab_release_reply *r = mem;
    CLO_TRY(clo_collab_release_reply_decode(&a, clo_buf_span(&reply), r));
    CLO_TRY(lease_take(e, k, r, asked_ns));
    if (!renewal) CLO_TRY(keys_open(e, k, r));
    return CLO_OK;
}

static clo_err ask_all_once(clo_enclave *e, bool renewal)
{
    CLO_TRY(nonces_fetch(e));
    CLO_TRY(evidence_make(e, renewal));
    for (size_t i = 0; i < e->kms_count; i++) {
        if (!renewal) CLO_TRY(clo_enclave_report(e, CLO_ENCLAVE_PHASE_RELEASING, e->kms[i].member->party.name, i, e->kms_count));
        CLO_TRY(ask_one(e, &e->kms[i], renewal));
        clo_enclave_kms_close(e, &e->kms[i]);
    }
    int64_t every = e->agreement->reattest_seconds;
    e->next_attest_ns = clo_enclave_now(e) + (uint64_t)every * CLO_ENCLAVE_SECOND;
    return CLO_OK;
}

/* A nonce counts once: where a request or its reply was lost, all begin again with fresh ones, and a service that had released repeats itself to
 * the same runtime key. */
static clo_err ask_all(clo_enclave *e, bool renewal)
{
    clo_err err = CLO_OK;
    for (unsigned attempt = 0; attempt < CLO_ENCLAVE_ATTEMPTS; attempt++) {
        if (attempt > 0) clo_os_sleep_ms(300u * attempt);
        err = ask_all_once(e, renewal);
        if (!clo_enclave_kms_unreached(err)) break;
    }
    return err;
}

clo_err clo_enclave_release(clo_enclave *e)
{
    clo_buf_init(&e->evidence, CLO_EVIDENCE_MAX);
    CLO_TRY(clo_enclave_report(e, CLO_ENCLAVE_PHASE_ATTESTING, "asking each key service for a nonce", 0, 0));
    CLO_TRY(ask_all(e, false));
    return clo_crypto_sha256(clo_buf_span(&e->evidence), e->evidence_digest);
}

clo_err clo_enclave_lease_keep(clo_enclave *e)
{
    uint64_t now = clo_enclave_now(e);
    bool due = now >= e->next_attest_ns;
    for (size_t i = 0; i < e->kms_count; i++) {
        clo_enclave_kms *k = &e->kms[i];
        if (now >= k->lease_end_ns) {
            (void)snprintf(e->failed_owner, sizeof e->failed_owner, "%s", k->member->party.name);
            return CLO_DENY(CLO_E_EXPIRED, "release.lease", "a lease that still holds", "the lease has ended", "key service",
                            "start a new run; if it happens again, agree on a longer lease_seconds");
        }
        /* A short lease is renewed in its last third even where re-attestation is rarer. */
        uint64_t third = (uint64_t)e->agreement->lease_seconds * CLO_ENCLAVE_SECOND / 3;
        if (k->lease_end_ns - now < third) due = true;
    }
    return due ? ask_all(e, true) : CLO_OK;
}
