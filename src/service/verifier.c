#include "service/verifier.h"

#include "attest/reference_values.h"
#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/party.h"
#include "crypto/hash.h"
#include "os/file.h"
#include "os/log.h"
#include "wire/cbor.h"
#include "wire/cose.h"

#include <stdio.h>
#include <string.h>

enum { SIGNED_PART = 16, POLICY_ITEMS_MAX = 20000, COLLATERAL_ARENA_MAX = 32 << 20 };
static const char policy_type[] = "application/cloister-attest-policy", policy_format[] = "cloister-attest-policy/1";

CLO_R clo_service_verifier_open(clo_service_verifier *v, const char *home)
{
    char path[600];
    uint8_t scalar[32];
    size_t n = 0;
    CLO_TRY(clo_os_path_join(path, sizeof path, home, "attestation.key"));
    if (!clo_os_file_exists(path)) {
        CLO_TRY(clo_crypto_sign_generate(CLO_SIGN_ES256, &v->key, &v->public_key));
        CLO_TRY(clo_os_file_write_new(path, clo_span_of(v->key.bytes, sizeof scalar), 0600));
    }
    clo_err e = clo_os_file_read_secret(path, scalar, sizeof scalar, &n);
    if (!clo_failed(e) && n != sizeof scalar) e = CLO_FAILF(CLO_E_MALFORMED, "%s is no key of 32 bytes", path);
    v->key.alg = CLO_SIGN_ES256;
    if (!clo_failed(e)) memcpy(v->key.bytes, scalar, sizeof scalar);
    clo_wipe(scalar, sizeof scalar);
    CLO_TRY(e);
    CLO_TRY(clo_crypto_sign_public_of(&v->key, &v->public_key));
    CLO_TRY(clo_crypto_random(v->nonce_key, sizeof v->nonce_key));
    (void)pthread_mutex_init(&v->lock, NULL);
    (void)pthread_rwlock_init(&v->collateral_lock, NULL);
    clo_arena_init(&v->collateral_arena, COLLATERAL_ARENA_MAX);
    return clo_attest_cache_new(&v->cache);
}

void clo_service_verifier_close(clo_service_verifier *v)
{
    if (v->cache != NULL) {
        (void)pthread_mutex_destroy(&v->lock);
        (void)pthread_rwlock_destroy(&v->collateral_lock);
    }
    clo_arena_free(&v->collateral_arena);
    clo_attest_cache_free(&v->cache);
    clo_crypto_private_key_wipe(&v->key);
    clo_wipe(v->nonce_key, sizeof v->nonce_key);
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t x = 0;
    for (int i = 0; i < 8; i++) x = x << 8 | p[i];
    return x;
}

static clo_err nonce_tag(const clo_service_verifier *v, const uint8_t *nonce, uint8_t tag[32])
{
    return clo_crypto_hmac(CLO_HASH_SHA256, clo_span_of(v->nonce_key, sizeof v->nonce_key), clo_span_of(nonce, SIGNED_PART), tag);
}

CLO_R clo_service_nonce_make(clo_service_verifier *v, int64_t now, uint8_t nonce[VERIFIER_NONCE], int64_t *expires)
{
    uint8_t tag[32];
    *expires = now + VERIFIER_NONCE_SECONDS;
    for (int i = 0; i < 8; i++) nonce[i] = (uint8_t)((uint64_t)*expires >> (56 - 8 * i));
    CLO_TRY(clo_crypto_random(nonce + 8, 8));
    CLO_TRY(nonce_tag(v, nonce, tag));
    memcpy(nonce + SIGNED_PART, tag, VERIFIER_NONCE - SIGNED_PART);
    return CLO_OK;
}

static clo_err nonce_denied(const char *actual)
{
    return CLO_DENY(CLO_E_DENIED, "attestation.nonce", "a nonce that this verifier gave within the last five minutes, used once", actual, "the request",
                    "ask for a nonce (GET /api/v1/attestation/nonce) and have the evidence made over it");
}

CLO_R clo_service_nonce_take(clo_service_verifier *v, int64_t now, clo_span nonce)
{
    uint8_t tag[32];
    if (nonce.n != VERIFIER_NONCE) return nonce_denied("a nonce of another length");
    CLO_TRY(nonce_tag(v, nonce.p, tag));
    if (clo_ct_declassify(clo_ct_differ(nonce.p + SIGNED_PART, tag, VERIFIER_NONCE - SIGNED_PART))) return nonce_denied("a nonce that this process never gave");
    int64_t expires = (int64_t)load64(nonce.p);
    if (expires < now || expires > now + VERIFIER_NONCE_SECONDS) return nonce_denied("a nonce that has expired");
    bool seen = false;
    size_t room = VERIFIER_NONCES_USED;
    (void)pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < VERIFIER_NONCES_USED; i++) {
        if (v->used[i].expires < now) room = i;
        else seen = seen || memcmp(v->used[i].nonce, nonce.p, VERIFIER_NONCE) == 0;
    }
    if (!seen && room < VERIFIER_NONCES_USED) {
        v->used[room].expires = expires;
        memcpy(v->used[room].nonce, nonce.p, VERIFIER_NONCE);
    }
    (void)pthread_mutex_unlock(&v->lock);
    if (seen) return nonce_denied("a nonce that was used before");
    CLO_CHECKF(room < VERIFIER_NONCES_USED, CLO_E_AGAIN, "too many nonces were used within five minutes; try again later");
    return CLO_OK;
}

CLO_R clo_service_policy_open(clo_arena *a, clo_span file, const clo_crypto_public_key *key, clo_service_policy_file *out)
{
    void *memory = NULL;
    clo_wire_node *tree = NULL;
    clo_wire_fields f;
    char format[40];
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_wire_cose), &memory));
    clo_wire_cose *cose = memory;
    CLO_TRY(clo_wire_cose_parse(a, file, false, cose));
    CLO_CHECKF(cose->is_sign1 && clo_span_equal(cose->content_type, clo_span_str(policy_type)), CLO_E_MALFORMED,
               "this is no signed policy (COSE_Sign1 of type %s)", policy_type);
    CLO_TRY(clo_wire_cose_verify(cose, 0, key, clo_span_of(NULL, 0)));
    const clo_wire_cbor_limits limits = {.items_max = POLICY_ITEMS_MAX};
    CLO_TRY(clo_wire_cbor_decode(a, cose->payload, &limits, &tree));
    memset(out, 0, sizeof *out);
    clo_wire_fields_open(&f, a, tree, "policy file");
    clo_wire_take_str(&f, "format", format, sizeof format);
    clo_wire_take_name(&f, "name", out->name);
    clo_wire_take_int(&f, "version", &out->version, 1, INT64_MAX / 2);
    clo_wire_take_map(&f, "policy", &out->policy);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(strcmp(format, policy_format) == 0, CLO_E_VERSION, "the policy file's format is not %s", policy_format);
    CLO_CHECKF(strcmp(out->name, "default") != 0, CLO_E_RANGE, "\"default\" is the strictest policy and cannot be replaced; take another name");
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_attest_policy), &memory));
    return clo_attest_policy_read(a, out->policy, memory);
}

static clo_err signer_of(clo_store *store, clo_arena *a, const uint8_t kid[32], clo_collab_party *out)
{
    clo_store_party record;
    CLO_TRY(clo_store_party_by_kid(store, a, kid, &record));
    return clo_collab_party_decode(record.file, out);
}

static clo_err policy_load(clo_store *store, clo_arena *a, const char *name, clo_attest_policy *out)
{
    clo_store_attest_object object;
    clo_collab_party signer;
    clo_service_policy_file file;
    clo_attest_policy_init(out);
    out->require_binding = true;
    if (strcmp(name, "default") == 0) return CLO_OK;
    CLO_TRY(clo_store_attest_object_get(store, a, "policy", name, 0, &object));
    CLO_TRY(signer_of(store, a, object.owner_kid, &signer));
    CLO_TRY(clo_service_policy_open(a, object.file, &signer.sign, &file));
    return clo_attest_policy_read(a, file.policy, out);
}

static clo_err narrow(clo_store *store, clo_arena *a, const clo_service_question *q, int64_t now, clo_attest_policy *policy)
{
    clo_store_attest_object object;
    clo_collab_party signer;
    clo_attest_reference_set set;
    CLO_TRY(clo_store_attest_object_get(store, a, "reference-values", q->reference_values, 0, &object));
    CLO_TRY(signer_of(store, a, object.owner_kid, &signer));
    CLO_TRY(clo_attest_references_open(a, object.file, &signer.sign, object.version, now, &set));
    return clo_attest_references_narrow(a, &set, q->type, NULL, NULL, policy);
}

/* Where evidence of a type shows a verifier's nonce: in its report data, or in a nonce of its own. */
static clo_err demand_nonce(clo_arena *a, const clo_service_question *q, clo_attest_policy *policy)
{
    static const char *const reports[] = {"snp", "sim", "tdx", "sgx"};
    bool report = q->domain != NULL;
    for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++) report = report || strcmp(q->type, reports[i]) == 0;
    if (!report) return clo_arena_copy(a, q->nonce, &policy->expected_nonce);
    policy->have_report_data = true;
    memset(policy->report_data, 0, sizeof policy->report_data);
    if (q->domain == NULL) {
        memcpy(policy->report_data, q->nonce.p, q->nonce.n < sizeof policy->report_data ? q->nonce.n : sizeof policy->report_data);
        return CLO_OK;
    }
    CLO_AUTO(clo_buf_free) clo_buf message;
    clo_buf_init(&message, 256);
    CLO_TRY(clo_buf_put(&message, q->domain, strlen(q->domain) + 1));
    CLO_TRY(clo_buf_put_span(&message, q->nonce));
    return clo_crypto_hash(CLO_HASH_SHA512, clo_buf_span(&message), policy->report_data);
}

/* What a first look lacks is looked for in the installed bundle: by the claims that the evidence made. */
static clo_err appraise_again(clo_service_verifier *v, clo_arena *a, const clo_service_question *q, int64_t now, const clo_attest_policy *policy, clo_attest_result *out)
{
    clo_attest_part parts[CLO_ATTEST_PARTS_MAX];
    size_t count = q->collateral_count;
    memcpy(parts, q->collateral, count * sizeof parts[0]);
    clo_attest_collateral_select(&v->collateral, out->tee, out->claims, parts, &count, CLO_ATTEST_PARTS_MAX);
    if (count == q->collateral_count) return CLO_OK;
    return clo_attest_verify_with(a, v->cache, q->type, q->evidence, q->evidence_count, parts, count, policy, now, out);
}

CLO_R clo_service_appraise(clo_service_verifier *v, clo_store *store, clo_arena *a, const clo_service_question *q, int64_t now,
                           clo_attest_policy **policy, clo_attest_result **out)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_attest_policy), &memory));
    *policy = memory;
    CLO_TRY(policy_load(store, a, q->policy, *policy));
    if (q->reference_values != NULL) CLO_TRY(narrow(store, a, q, now, *policy));
    if (q->nonce.n > 0) CLO_TRY(demand_nonce(a, q, *policy));
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_attest_result), &memory));
    *out = memory;
    CLO_TRY(clo_attest_verify_with(a, v->cache, q->type, q->evidence, q->evidence_count, q->collateral, q->collateral_count, *policy, now, *out));
    if ((*out)->valid) return CLO_OK;
    (void)pthread_rwlock_rdlock(&v->collateral_lock);
    bool usable = v->collateral.version > 0 && v->collateral.not_after >= now;
    clo_err e = usable ? appraise_again(v, a, q, now, *policy, *out) : CLO_OK;
    (void)pthread_rwlock_unlock(&v->collateral_lock);
    return e;
}

/* The lock is held for writing, or nobody else is there yet. */
static clo_err collateral_take(clo_service_verifier *v, clo_span file, int64_t min_version, int64_t now)
{
    clo_arena next;
    clo_attest_collateral_set set = {0};
    clo_arena_init(&next, COLLATERAL_ARENA_MAX);
    clo_span kept;
    clo_err e = clo_arena_copy(&next, file, &kept);
    if (!clo_failed(e)) e = clo_attest_collateral_open(&next, kept, &v->collateral_key, min_version, now, &set);
    if (clo_failed(e)) {
        clo_arena_free(&next);
        return e;
    }
    clo_arena_free(&v->collateral_arena);
    v->collateral_arena = next;
    v->collateral = set;
    return CLO_OK;
}

CLO_R clo_service_collateral_load(clo_service_verifier *v, const char *home, clo_span key, int64_t now)
{
    if (key.n == 0) return CLO_OK;
    CLO_TRY(clo_crypto_public_key_parse(CLO_SIGN_ED25519, key, &v->collateral_key));
    v->have_collateral_key = true;
    CLO_TRY(clo_os_path_join(v->collateral_path, sizeof v->collateral_path, home, "collateral.bundle"));
    if (!clo_os_file_exists(v->collateral_path)) return CLO_OK;
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, CLO_COLLATERAL_BUNDLE_MAX);
    CLO_TRY(clo_os_file_read(v->collateral_path, CLO_COLLATERAL_BUNDLE_MAX, &file));
    clo_err e = collateral_take(v, clo_buf_span(&file), 1, now);
    if (clo_failed(e)) clo_os_log_failure("collateral", NULL, e); /* verdicts that need it will say what is missing */
    return CLO_OK;
}

CLO_R clo_service_collateral_install(clo_service_verifier *v, clo_span file, int64_t now)
{
    CLO_CHECKF(v->have_collateral_key, CLO_E_UNSUPPORTED, "this operator pins no key of collateral bundles: set collateral_key in cloisterd.yaml");
    (void)pthread_rwlock_wrlock(&v->collateral_lock);
    /* Taken first, then written: a crash between the two leaves the older one, which the sender's repetition replaces. */
    clo_err e = collateral_take(v, file, v->collateral.version, now);
    if (!clo_failed(e)) e = clo_os_file_write_atomic(v->collateral_path, file, 0600);
    (void)pthread_rwlock_unlock(&v->collateral_lock);
    return e;
}

clo_attest_collateral_set clo_service_collateral_installed(clo_service_verifier *v)
{
    (void)pthread_rwlock_rdlock(&v->collateral_lock);
    clo_attest_collateral_set set = v->collateral;
    (void)pthread_rwlock_unlock(&v->collateral_lock);
    set.items = NULL;
    return set;
}
