/* What a release message claims, and whether it is so. Cheap checks come first; everything here is read-only. */
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include <stdio.h>

enum { CLAIM_ARENA = 96 << 20, CLAIM_BODY_MAX = 8 << 20 };
static const char message_source[] = "release request";

static clo_err require_equal(const char *claim, const uint8_t *expected, const uint8_t *actual, size_t n, const char *source,
                             const char *remedy)
{
    if (memcmp(expected, actual, n) == 0) return CLO_OK;
    return CLO_DENY(CLO_E_DENIED, claim, kms_hex_of(expected, n).text, kms_hex_of(actual, n).text, source, remedy);
}

static clo_err unused_nonce(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    uint8_t hash[32];
    CLO_TRY(clo_crypto_sha256(clo_span_of(context, CLO_NONCE), hash));
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(db, &s, "SELECT 1 FROM nonces WHERE hash = ?1", "b", (const void *)hash, sizeof hash));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    return row ? kms_nonce_deny_used() : CLO_OK;
}

static clo_err check_channel(const clo_kms_channel *channel, const clo_collab_release_request *m)
{
    static const char remedy[] = "the runtime itself must connect, over TLS 1.3, with the leaf that its evidence names; a "
                                 "session that someone relays is refused";
    if (!channel->have_exporter || !channel->have_server)
        return CLO_DENY(CLO_E_DENIED, "channel.tls", "a TLS 1.3 session", "a plain connection", "key service", remedy);
    if (!channel->have_client)
        return CLO_DENY(CLO_E_DENIED, "channel.leaf", "a client leaf", "none was shown", "key service", remedy);
    CLO_TRY(require_equal("channel.leaf", m->binding.leaf_spki, channel->client_spki, 32, "evidence of the runtime", remedy));
    CLO_AUTO(clo_buf_free) clo_buf message;
    clo_buf_init(&message, 1024);
    CLO_TRY(clo_collab_channel_message(channel->exporter, channel->client_spki, channel->server_spki, "runtime", m->evidence,
                                       &message));
    clo_crypto_public_key key;
    CLO_TRY(
        kms_deny_wrap(clo_crypto_public_key_parse(CLO_SIGN_ED25519, clo_span_of(m->binding.sign, sizeof m->binding.sign), &key),
                      "binding.sign", "an Ed25519 key", message_source, "repair the runtime"));
    clo_err e = clo_crypto_verify(&key, clo_buf_span(&message), clo_span_of(m->channel_proof, sizeof m->channel_proof));
    if (clo_failed(e))
        return CLO_DENY(CLO_E_DENIED, "channel.binding", "a proof by the attested key over this very TLS session",
                        "the proof is for another session or another key", "evidence of the runtime", remedy);
    return CLO_OK;
}

static clo_err active_read(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    return kms_agreement_require_active(db, context, now, true);
}

static clo_err check_agreement(clo_kms *kms, kms_claim *c, int64_t now, bool renewal)
{
    CLO_TRY(kms_agreement_get(kms, c->message.agreement_file, &c->ref));
    clo_collab_agreement *g = c->ref->g;
    const clo_collab_binding *b = &c->message.binding;
    CLO_TRY(require_equal("binding.agreement", g->id, b->agreement, sizeof b->agreement, message_source,
                          "start the run again under this agreement"));
    char expected[24], actual[24];
    (void)snprintf(expected, sizeof expected, "%lld", (long long)g->epoch);
    (void)snprintf(actual, sizeof actual, "%lld", (long long)b->epoch);
    if (b->epoch != g->epoch)
        return CLO_DENY(CLO_E_DENIED, "binding.epoch", expected, actual, message_source,
                        "start the run again under this agreement");
    CLO_TRY(kms_read(kms, active_read, g));
    c->own_member = kms_agreement_own_index(kms, g);
    return kms_agreement_require_logged(c->ref, c->message.agreement_proof, now, renewal);
}

int64_t kms_claim_window_end(const kms_claim *c) { return c->terms->not_after != 0 ? c->terms->not_after : c->ref->g->not_after; }

static clo_err check_window(const kms_claim *c, int64_t now)
{
    const clo_collab_run_terms *t = c->terms;
    char part[100], at[21], from[21], until[21], expected[60];
    (void)snprintf(part, sizeof part, "runs[%s]", t->name);
    clo_time_format(at, now);
    clo_time_format(from, t->not_before);
    clo_time_format(until, kms_claim_window_end(c));
    (void)snprintf(expected, sizeof expected, "%s to %s", t->not_before != 0 ? from : "any time", until);
    if (now < t->not_before || now >= kms_claim_window_end(c))
        return CLO_DENY(CLO_E_DENIED, "run.window", expected, at, kms_source_agreement(c->ref->g->id, part).text,
                        "start the run within its window, or sign an amendment with another one");
    return CLO_OK;
}

/* Whoever carries a request must not be able to keep it for a day of his choice. */
static clo_err check_age(const kms_claim *c, int64_t now)
{
    char expected[100], at[21], from[21], made[21];
    clo_time_format(at, now);
    clo_time_format(from, now > CLO_RUN_REQUEST_AGE_MAX ? now - CLO_RUN_REQUEST_AGE_MAX : 0);
    clo_time_format(made, c->request.created);
    if (c->request.created <= now + CLO_KMS_CLOCK_JUMP_SECONDS && c->request.created >= now - CLO_RUN_REQUEST_AGE_MAX) return CLO_OK;
    (void)snprintf(expected, sizeof expected, "made between %s and now, %s", from, at);
    return CLO_DENY(CLO_E_EXPIRED, "run.created", expected, made, "run request",
                    "a request holds for a day: start the run again, by a clock that is right");
}

static clo_err check_request(kms_claim *c, int64_t now, bool renewal)
{
    const clo_collab_agreement *g = c->ref->g;
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(c->message.request, digest));
    CLO_TRY(require_equal("binding.request", digest, c->message.binding.request, sizeof digest, message_source,
                          "start the run again"));
    clo_err e = clo_collab_run_request_open(&c->arena, c->message.request, g, &c->request, &c->terms);
    CLO_TRY(kms_deny_wrap(e, "run.request", "a run request that the agreement allows", kms_source_agreement(g->id, "runs").text,
                          "sign the run request again with \"cloister run start\""));
    size_t owners[CLO_PARTIES_MAX];
    size_t owner_count = clo_collab_run_owners(g, c->terms, owners);
    size_t own = 0;
    while (own < owner_count && owners[own] != c->own_member) own++;
    if (own == owner_count)
        return CLO_DENY(CLO_E_DENIED, "run.owner", g->members[c->own_member].party.name,
                        "none of this owner's datasets is in the run", kms_source_agreement(g->id, "runs").text,
                        "ask only the key services of the run's owners");
    char expected[24], actual[24];
    (void)snprintf(expected, sizeof expected, "%zu nonces", owner_count);
    (void)snprintf(actual, sizeof actual, "%zu nonces", c->message.binding.nonce_count);
    if (c->message.binding.nonce_count != owner_count || c->nonce_index != own)
        return CLO_DENY(CLO_E_DENIED, "nonce.order", expected, actual, message_source,
                        "bind one nonce per owner, in the order of the agreement's parties");
    CLO_TRY(check_window(c, now));
    return renewal ? CLO_OK : check_age(c, now);
}

/* The manifest's signature is verified once: the same bytes under the same key of the same agreement hold again. */
static clo_err manifest_verify(kms_claim *c, const clo_collab_dataset_terms *d, clo_span bytes,
                               const clo_crypto_public_key *owner, clo_collab_manifest *out)
{
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(bytes, digest));
    if (kms_agreement_knows_manifest(c->ref, d, digest)) return CLO_OK; /* out was read from these bytes */
    CLO_TRY(clo_collab_manifest_open(&c->arena, bytes, owner, out));
    kms_agreement_note_manifest(c->ref, d, digest);
    return CLO_OK;
}

static const clo_span *manifest_of(kms_claim *c, const clo_collab_dataset_terms *d, const clo_crypto_public_key *owner,
                                   clo_collab_manifest *out, clo_err *e)
{
    for (size_t i = 0; i < c->message.manifest_count; i++) {
        *e = clo_collab_manifest_open(&c->arena, c->message.manifests[i], NULL, out);
        if (clo_failed(*e)) return NULL;
        if (memcmp(out->id, d->id, 32) != 0) continue;
        *e = manifest_verify(c, d, c->message.manifests[i], owner, out);
        return clo_failed(*e) ? NULL : &c->message.manifests[i];
    }
    *e = CLO_OK;
    return NULL;
}

static clo_err check_dataset(kms_claim *c, const clo_collab_dataset_terms *d, const uint8_t version[32])
{
    const clo_collab_agreement *g = c->ref->g;
    const clo_collab_member *owner = clo_collab_agreement_member(g, d->owner);
    CLO_CHECK(owner != NULL, CLO_E_BUG);
    clo_err e = CLO_OK;
    clo_collab_manifest m;
    const clo_span *bytes = manifest_of(c, d, &owner->party.sign, &m, &e);
    char part[100];
    (void)snprintf(part, sizeof part, "datasets[%s]", d->name);
    kms_source source = kms_source_agreement(g->id, part);
    CLO_TRY(kms_deny_wrap(e, "dataset.manifest", "a manifest signed by the dataset's owner", source.text,
                          "push the dataset again with \"cloister dataset push\""));
    if (bytes == NULL)
        return CLO_DENY(CLO_E_DENIED, "dataset.manifest", d->name, "no manifest of this dataset was sent", source.text,
                        "push the dataset with \"cloister dataset push\"");
    if (strcmp(m.owner, d->owner) != 0)
        return CLO_DENY(CLO_E_DENIED, "dataset.owner", d->owner, m.owner, source.text,
                        "seal the dataset again under the name that its owner has in the agreement");
    CLO_TRY(require_equal("dataset.version", version, m.version, sizeof m.version, "run request",
                          "start the run again with the versions that are there"));
    return require_equal("dataset.schema", d->schema.digest, m.schema_digest, sizeof m.schema_digest, source.text,
                         "seal the dataset again with the agreement's schema");
}

static clo_err keys_read(clo_kms *kms, kms_db *db, int64_t now, void *context)
{
    (void)kms;
    (void)now;
    const kms_claim *c = context;
    for (size_t i = 0; i < c->dataset_count; i++)
        CLO_TRY(kms_dek_require(db, c->datasets[i].terms->id, c->datasets[i].version, c->datasets[i].terms->name));
    return CLO_OK;
}

static clo_err check_datasets(clo_kms *kms, kms_claim *c)
{
    const clo_collab_agreement *g = c->ref->g;
    for (size_t i = 0; i < c->request.dataset_count; i++) {
        const clo_collab_dataset_terms *d = clo_collab_agreement_dataset_by_id(g, c->request.datasets[i].id);
        CLO_CHECKF(d != NULL, CLO_E_BUG, "a checked request names an unknown dataset");
        CLO_TRY(check_dataset(c, d, c->request.datasets[i].version));
        if (strcmp(d->owner, kms->owner.name) != 0) continue;
        c->datasets[c->dataset_count].terms = d;
        memcpy(c->datasets[c->dataset_count].version, c->request.datasets[i].version, 32);
        c->dataset_count++;
    }
    return kms_read(kms, keys_read, c);
}

static clo_err check_evidence(clo_attest_cache *collateral, kms_claim *c, int64_t now)
{
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_attest_result), &p));
    clo_attest_result *result = p;
    clo_err e = clo_collab_evidence_appraise(&c->arena, collateral, c->ref->g, c->terms, &c->message.binding, c->message.evidence,
                                             now, &c->runtime, result);
    CLO_TRY(kms_deny_wrap(e, "evidence", "evidence that the agreement's runtimes accept",
                          kms_source_agreement(c->ref->g->id, "runtimes").text,
                          "run the measured runtime that the agreement names"));
    (void)snprintf(c->tee, sizeof c->tee, "%s", result->tee);
    return clo_crypto_sha256(c->message.evidence, c->evidence_digest);
}

clo_err kms_claim_verify(clo_kms *kms, clo_span body, const clo_kms_channel *channel, bool renewal, int64_t now, kms_claim *out)
{
    CLO_CHECKF(body.n <= CLAIM_BODY_MAX, CLO_E_TOO_LARGE, "the release request has %zu bytes, at most %d are allowed", body.n,
               CLAIM_BODY_MAX);
    kms_claim *c = out;
    clo_arena_init(&c->arena, CLAIM_ARENA);
    CLO_TRY(clo_collab_release_request_decode(&c->arena, body, &c->message));
    CLO_TRY(kms_nonce_find(kms, &c->message.binding, now, &c->nonce_index));
    CLO_TRY(kms_read(kms, unused_nonce, c->message.binding.nonces[c->nonce_index].bytes));
    CLO_TRY(check_channel(channel, &c->message));
    CLO_TRY(check_agreement(kms, c, now, renewal));
    CLO_TRY(check_request(c, now, renewal));
    CLO_TRY(check_datasets(kms, c));
    return check_evidence(kms->collateral, c, now);
}

void kms_claim_free(kms_claim *c)
{
    kms_agreement_drop(&c->ref);
    clo_arena_free(&c->arena);
}
