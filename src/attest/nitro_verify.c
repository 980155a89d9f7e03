/* AWS Nitro Enclaves: the attestation document under its certificate, the chain to AWS' root, and the policy.
 *
 * Roles: report (or document); collateral root, crl_N: the list that cabundle[N] issued (crl is the root's, crl_0). A list is asked for where
 * a certificate names one. The signature (r, n-s) is as good as (r, s): nothing here takes the document's bytes for an identity. */
#include "attest/chain.h"
#include "attest/nitro_document.h"

#include "base/clo_own.h"
#include "wire/der.h"

#include <stdio.h>
#include <stdlib.h>

enum { COSE_ES384 = -35 };

/* The authorities of one cabundle with their lists: what the cache keeps. */
typedef struct {
    clo_attest_verified base;
    size_t count;
    clo_crypto_cert *certs[NITRO_BUNDLE_MAX]; /* the leaf's issuer first, root last */
    clo_attest_crl lists[NITRO_BUNDLE_MAX];   /* lists[i] is by certs[i] */
} nitro_path;

static void path_destroy(clo_attest_verified *v)
{
    nitro_path *path = (nitro_path *)(void *)v;
    for (size_t i = 0; i < path->count; i++) {
        clo_crypto_cert_free(&path->certs[i]);
        clo_attest_crl_free(&path->lists[i]);
    }
    free(path);
}

static void path_release(nitro_path **path)
{
    if (*path != NULL) clo_attest_verified_release(&(*path)->base);
    *path = NULL;
}

static clo_span list_of(const clo_attest_context *c, size_t bundle_index)
{
    char role[32];
    (void)snprintf(role, sizeof role, "crl_%zu", bundle_index);
    clo_span list = clo_attest_part_bytes(c, role);
    return list.n == 0 && bundle_index == 0 ? clo_attest_part_bytes(c, "crl") : list;
}

/* The bundle's certificates; *path stays NULL where one cannot be read (a failed check). */
static clo_err path_read(clo_attest_context *c, const nitro_document *d, nitro_path **path)
{
    CLO_AUTO(path_release) nitro_path *made = calloc(1, sizeof *made);
    CLO_CHECK(made != NULL, CLO_E_NOMEM);
    made->base.owners = 1;
    made->base.destroy = path_destroy;
    for (size_t i = d->bundle_count; i-- > 0;) {
        clo_crypto_public_key key;
        clo_err e = clo_crypto_cert_parse(&made->certs[made->count], d->bundle[i]);
        if (!clo_failed(e)) e = clo_crypto_cert_public_key(made->certs[made->count], &key);
        if (!clo_failed(e) && key.alg != CLO_SIGN_ES384) e = CLO_FAILF(CLO_E_UNSUPPORTED, "an authority's key is not on P-384");
        if (clo_failed(e)) {
            clo_crypto_cert_free(&made->certs[made->count]);
            if (!clo_attest_err_is_about_input(e)) return e;
            (void)clo_attest_check_add(c->out, "cabundle", false, "bad_chain", "X.509 certificates in DER with keys on P-384", clo_err_text());
            return CLO_OK;
        }
        made->count++;
    }
    *path = CLO_TAKE(made);
    return CLO_OK;
}

static const char *list_name(size_t bundle_index)
{
    static const char *const names[NITRO_BUNDLE_MAX] = {"cabundle_0", "cabundle_1", "cabundle_2", "cabundle_3", "cabundle_4", "cabundle_5", "cabundle_6"};
    return names[bundle_index];
}

/* Lists that were given, verified by their issuers. */
static clo_err take_lists(clo_attest_context *c, nitro_path *path, bool *ok)
{
    for (size_t i = 0; i < path->count; i++) {
        size_t bundle_index = path->count - 1 - i;
        clo_span bytes = list_of(c, bundle_index);
        if (bytes.n == 0) continue;
        CLO_TRY(clo_attest_crl_take(c, list_name(bundle_index), path->certs[i], bytes, &path->lists[i]));
        if (path->lists[i].crl == NULL) *ok = false;
    }
    return CLO_OK;
}

static bool judge_list(clo_attest_context *c, const clo_attest_crl *list, const char *name, const clo_crypto_cert *cert)
{
    clo_span named = {NULL, 0};
    if (list->crl != NULL) {
        bool current = clo_attest_crl_window(c, list);
        return clo_attest_crl_revoked(c, list, name, cert) && current;
    }
    bool asked = clo_failed(clo_crypto_cert_extension(cert, "2.5.29.31", &named)) || named.p != NULL;
    if (!asked || !c->policy->require_crl || list->name != NULL) return true; /* named: it was given, and a failed check says what is wrong */
    char full[48];
    (void)snprintf(full, sizeof full, "%s.crl", name);
    return clo_attest_check_add(c->out, full, false, "collateral_missing", "the revocation list that the certificate names", "none");
}

/* Is the leaf what AWS issues: P-384, for signatures, no authority? */
static void judge_leaf(clo_attest_context *c, const clo_crypto_cert *leaf, const clo_crypto_public_key *key)
{
    clo_span extension = {NULL, 0}, bits = {NULL, 0};
    uint64_t most = 0;
    bool usage = !clo_failed(clo_crypto_cert_extension(leaf, "2.5.29.15", &extension)) && extension.p != NULL &&
                 !clo_failed(clo_wire_der_take(&extension, CLO_DER_BITS, &bits)) && bits.n >= 2 && (bits.p[1] & 0x80) != 0;
    bool authority = clo_crypto_cert_is_ca(leaf) || clo_crypto_cert_path_length(leaf, &most);
    bool curve = key != NULL && key->alg == CLO_SIGN_ES384;
    (void)clo_attest_check_add(c->out, "certificate.usage", usage && !authority && curve, "bad_chain", "a P-384 key for digital signatures, no authority",
                               !curve ? "another kind of key" : authority ? "an authority" : usage ? "for digital signatures" : "not for digital signatures");
}

/* Leaf, authorities, anchor, windows, revocation. */
static clo_err judge_chain(clo_attest_context *c, const nitro_document *d, clo_crypto_cert *leaf)
{
    uint8_t key[32];
    clo_span parts[2 * NITRO_BUNDLE_MAX] = {{NULL, 0}};
    for (size_t i = 0; i < NITRO_BUNDLE_MAX; i++) {
        if (i < d->bundle_count) parts[i] = d->bundle[i];
        parts[NITRO_BUNDLE_MAX + i] = list_of(c, i);
    }
    CLO_TRY(clo_attest_cache_key_parts(c, "nitro cabundle", parts, sizeof parts / sizeof parts[0], key));
    CLO_AUTO(path_release) nitro_path *path = (nitro_path *)(void *)clo_attest_cache_take(c->cache, key);
    bool cached = path != NULL, ok = false, lists_ok = true;
    if (!cached) CLO_TRY(path_read(c, d, &path));
    if (path == NULL) return CLO_OK;
    clo_attest_chain chain = {.name = "certificate", .certs = {leaf}, .count = 1 + path->count, .verified_from = cached ? 1 : 0};
    memcpy(chain.certs + 1, path->certs, path->count * sizeof path->certs[0]);
    CLO_TRY(clo_attest_chain_judge(c, &chain, CLO_ATTEST_ANCHOR_NITRO, false, &ok));
    if (!cached) CLO_TRY(take_lists(c, path, &lists_ok));
    for (size_t i = 0; i < path->count; i++) {
        size_t bundle_index = path->count - 1 - i;
        const char *name = i == 0 ? "certificate" : list_name(bundle_index + 1);
        lists_ok = judge_list(c, &path->lists[i], name, i == 0 ? leaf : path->certs[i - 1]) && lists_ok;
    }
    if (!cached && ok && lists_ok) clo_attest_cache_keep(c->cache, key, &path->base);
    return CLO_OK;
}

static clo_err judge_signature(clo_attest_context *c, const clo_wire_cose *cose, const clo_crypto_public_key *key)
{
    const char *actual = "no usable certificate";
    bool ok = false;
    if (key != NULL) {
        clo_err e = clo_wire_cose_verify_public(cose, 0, key, clo_span_of(NULL, 0));
        if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
        ok = !clo_failed(e);
        actual = ok ? "signed by the certificate's key" : "not signed by the certificate's key";
    }
    (void)clo_attest_check_add(c->out, "signature", ok, "bad_signature", "signed by the certificate's key", actual);
    bool es384 = cose->signatures[0].alg == COSE_ES384;
    (void)clo_attest_check_add(c->out, "algorithm", es384, "forbidden_alg", "ES384", es384 ? "ES384" : "another algorithm");
    /* Nothing covers the unprotected header. */
    bool bare = cose->unprotected->count == 0;
    (void)clo_attest_check_add(c->out, "headers", bare, "malformed", "no unprotected header", bare ? "none" : "one");
    return CLO_OK;
}

static void judge_age(clo_attest_context *c, const nitro_document *d)
{
    int64_t made = (int64_t)(d->timestamp_ms / 1000), most = c->policy->max_age_s;
    if (most <= 0) return;
    bool fresh = made <= c->now ? c->now - made <= most : made - c->now <= most;
    (void)clo_attest_check_number(c->out, "age", fresh, "stale", "seconds from now, at most", (uint64_t)most,
                                  made <= c->now ? (uint64_t)(c->now - made) : (uint64_t)(made - c->now));
    if (most < INT64_MAX - made && made + most < c->out->valid_until) c->out->valid_until = made + most;
}

static void judge_policy(clo_attest_context *c, const nitro_document *d)
{
    const clo_attest_policy *p = c->policy;
    const char *fault = clo_attest_nitro_document_fault(d);
    (void)clo_attest_check_add(c->out, "document.rules", fault == NULL, "malformed", "a document that keeps AWS' rules", fault == NULL ? "kept" : fault);
    bool debug = clo_attest_nitro_debug(d);
    (void)clo_attest_check_add(c->out, "debug", p->allow_debug || !debug, "debug", p->allow_debug ? "any" : "off", debug ? "on (PCR0-2 are zero)" : "off");
    judge_age(c, d);
    if (p->expected_nonce.n != 0) (void)clo_attest_check_bytes(c->out, "nonce", "nonce_mismatch", p->expected_nonce, d->nonce);
    if (p->have_report_data) {
        clo_span begin = clo_span_of(d->user_data.p, d->user_data.n < sizeof p->report_data ? d->user_data.n : sizeof p->report_data);
        (void)clo_attest_check_bytes(c->out, "user_data", "report_data_mismatch", clo_span_of(p->report_data, sizeof p->report_data), begin);
    }
    if (p->measurement_count != 0) {
        bool sha384 = d->pcrs[0].n == sizeof p->measurements[0];
        if (sha384) (void)clo_attest_check_one_of(c->out, "measurement", "measurement_mismatch", &p->measurements[0][0], p->measurement_count, d->pcrs[0]);
        else (void)clo_attest_check_add(c->out, "measurement", false, "measurement_mismatch", "a PCR0 of SHA-384", "none");
    }
}

/* COSE_Sign1 and the payload in it. *ok: both could be read. */
static clo_err take_document(clo_attest_context *c, clo_wire_cose *cose, nitro_document *d, bool *ok)
{
    clo_span bytes = clo_attest_part_bytes(c, "report");
    if (bytes.n == 0) bytes = clo_attest_part_bytes(c, "document");
    clo_err e = bytes.n > NITRO_DOCUMENT_MAX ? CLO_FAILF(CLO_E_TOO_LARGE, "a document has at most %d bytes", (int)NITRO_DOCUMENT_MAX)
                                             : clo_wire_cose_parse(c->arena, bytes, true, cose);
    if (!clo_failed(e) && !cose->is_sign1) e = CLO_FAILF(CLO_E_MALFORMED, "the document is no COSE_Sign1");
    if (!clo_failed(e)) e = clo_attest_nitro_document_parse(c->arena, cose->payload, d);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    *ok = clo_attest_check_add(c->out, "document", !clo_failed(e), "malformed", "an attestation document", clo_failed(e) ? clo_err_text() : "read");
    return CLO_OK;
}

CLO_R clo_attest_nitro_verify(clo_attest_context *c)
{
    clo_wire_cose cose;
    nitro_document d;
    bool ok = false;
    CLO_TRY(take_document(c, &cose, &d, &ok));
    if (!ok) return clo_wire_map(c->arena, &c->out->claims);
    CLO_TRY(clo_attest_nitro_claims(c->arena, &d, cose.tagged, &c->out->claims));
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *leaf = NULL;
    clo_crypto_public_key key;
    const char *why = NULL;
    clo_err e = clo_crypto_cert_parse(&leaf, d.certificate);
    if (!clo_failed(e)) e = clo_crypto_cert_public_key(leaf, &key);
    bool usable = !clo_failed(e);
    if (!usable) {
        if (!clo_attest_err_is_about_input(e)) return e;
        CLO_TRY(clo_arena_printf(c->arena, &why, "%s", clo_err_text()));
    }
    CLO_TRY(judge_signature(c, &cose, usable ? &key : NULL));
    if (leaf != NULL) {
        CLO_TRY(judge_chain(c, &d, leaf));
        judge_leaf(c, leaf, usable ? &key : NULL);
    } else {
        (void)clo_attest_check_add(c->out, "certificate", false, "bad_chain", "an X.509 certificate", why);
    }
    judge_policy(c, &d);
    return CLO_OK;
}

bool clo_attest_nitro_recognise(const clo_attest_part *evidence, size_t evidence_count)
{
    if (evidence_count != 1) return false;
    clo_span b = evidence[0].bytes;
    if (b.n != 0 && b.p[0] == 0xd2) b = clo_span_of(b.p + 1, b.n - 1);
    /* [h'{1: -35}', {}, …] */
    return b.n > 8 && memcmp(b.p, "\x84\x44\xa1\x01\x38\x22", 6) == 0;
}
