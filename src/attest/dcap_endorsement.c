/* Collateral of a quote, from the cache or learned now: the platform's PCK chain with its revocation lists, and Intel's signed documents with
 * their chain. Whether it was known before changes no check: only signatures that held are not computed again. */
#include "attest/dcap_int.h"
#include "base/clo_own.h"

#include <stdio.h>
#include <stdlib.h>

static clo_span part_bytes(const clo_attest_context *c, const char *role)
{
    const clo_attest_part *part = clo_attest_part_find(c, role);
    return part != NULL ? part->bytes : clo_span_of(NULL, 0);
}

/* SHA-256 over the kind, the anchors and the parts, each behind its length. */
static clo_err cache_key(const clo_attest_context *c, const char *kind, const clo_span *parts, size_t count, uint8_t key[32])
{
    __attribute__((cleanup(clo_crypto_hasher_free))) clo_crypto_hasher *h = NULL;
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA256));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(kind, strlen(kind) + 1)));
    const clo_span roots = clo_span_of(&c->policy->roots[0][0], c->policy->root_count * sizeof c->policy->roots[0]);
    for (size_t i = 0; i <= count + 1; i++) {
        clo_span s = i < count ? parts[i] : i == count ? part_bytes(c, "root") : roots;
        uint8_t size[8];
        for (size_t k = 0; k < sizeof size; k++) size[k] = (uint8_t)((uint64_t)s.n >> (56 - 8 * k));
        CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(size, sizeof size)));
        if (s.n != 0) CLO_TRY(clo_crypto_hasher_put(h, s));
    }
    return clo_crypto_hasher_end(h, key);
}

/* A failed check where bytes cannot be taken; other errors are the call's. */
static clo_err refuse(clo_attest_context *c, clo_err e, const char *name, const char *reason, const char *expected, bool *taken)
{
    *taken = !clo_failed(e);
    if (*taken) return CLO_OK;
    if (!clo_attest_err_is_about_input(e)) return e;
    (void)clo_attest_check_add(c->out, name, false, reason, expected, clo_err_text());
    return CLO_OK;
}

static void check_name(clo_attest_context *c, const char *check, const clo_crypto_cert *cert, const char *want)
{
    char name[128] = "";
    bool ok = !clo_failed(clo_crypto_cert_common_name(cert, name, sizeof name)) && strstr(name, want) != NULL;
    (void)clo_attest_check_add(c->out, check, ok, "bad_chain", want, name[0] == '\0' ? "no name that can be read" : name);
}

static void check_issuer(clo_attest_context *c, const clo_crypto_cert *ca)
{
    char name[128] = "";
    bool ok = !clo_failed(clo_crypto_cert_common_name(ca, name, sizeof name)) &&
              (strstr(name, "SGX PCK Platform CA") != NULL || strstr(name, "SGX PCK Processor CA") != NULL);
    (void)clo_attest_check_add(c->out, "pck.issuer", ok, "bad_chain", "SGX PCK Platform CA or Processor CA", name[0] == '\0' ? "no name that can be read" : name);
}

/* A revocation list: taken and verified now, or known to have been. */
static clo_err take_list(clo_attest_context *c, const char *name, const clo_crypto_cert *issuer, const char *role, bool known, clo_attest_crl *list)
{
    if (!known) return clo_attest_crl_take(c, name, issuer, part_bytes(c, role), list);
    char check[48];
    (void)snprintf(check, sizeof check, "%s.crl", name);
    (void)clo_attest_check_add(c->out, check, true, "", "a revocation list signed by the issuer", "signed by the issuer");
    return CLO_OK;
}

/* The key of a certificate, where it is one of P-256. */
static clo_err take_key(clo_attest_context *c, const char *check, const clo_crypto_cert *cert, clo_crypto_verify_key **out)
{
    bool taken = false;
    CLO_TRY(refuse(c, clo_crypto_verify_key_of_cert(cert, out), check, "bad_chain", "a key on P-256", &taken));
    if (!taken || clo_crypto_verify_key_fits(*out, CLO_SCHEME_ES256)) return CLO_OK;
    clo_crypto_verify_key_free(out);
    (void)clo_attest_check_add(c->out, check, false, "bad_chain", "a key on P-256", "another kind of key");
    return CLO_OK;
}

/* A chain that ends below its root is completed by the given one, whose anchor the judge asks for like for any other. */
static clo_err take_chain(clo_attest_context *c, clo_attest_chain *chain, clo_span first, clo_span second, bool *taken)
{
    clo_err e = clo_attest_chain_take(chain, first);
    if (!clo_failed(e) && second.n != 0) e = clo_attest_chain_take(chain, second);
    clo_span root = part_bytes(c, "root");
    if (!clo_failed(e) && root.n != 0 && !clo_crypto_cert_self_issued(chain->certs[chain->count - 1])) e = clo_attest_chain_take(chain, root);
    return refuse(c, e, chain->name, "malformed", "a chain of certificates", taken);
}

/* ---- the platform ---- */

static void platform_destroy(clo_attest_verified *v)
{
    dcap_platform *p = (dcap_platform *)v;
    clo_attest_crl_free(&p->pck_ca_crl);
    clo_attest_crl_free(&p->root_ca_crl);
    clo_crypto_verify_key_free(&p->key);
    clo_crypto_loaded_free(&p->attestation_key);
    clo_attest_chain_free(&p->chain);
    free(p);
}

static clo_err platform_new(dcap_platform **out)
{
    dcap_platform *p = calloc(1, sizeof *p);
    CLO_CHECK(p != NULL, CLO_E_NOMEM);
    p->base.owners = 1;
    p->base.destroy = platform_destroy;
    p->chain.name = "pck";
    *out = p;
    return CLO_OK;
}

/* Certificates, key and extension; what of it cannot be had is a failed check. */
static clo_err platform_learn(clo_attest_context *c, clo_span leaf, clo_span authorities, dcap_platform *p)
{
    bool taken = false;
    if (leaf.n == 0) {
        (void)clo_attest_check_add(c->out, "pck", false, "collateral_missing", "the PCK certificate and its chain", "none");
        return CLO_OK;
    }
    CLO_TRY(take_chain(c, &p->chain, leaf, authorities, &taken));
    if (!taken) {
        clo_attest_chain_free(&p->chain);
        return CLO_OK;
    }
    CLO_TRY(take_key(c, "pck.key", p->chain.certs[0], &p->key));
    return refuse(c, clo_attest_dcap_pck(p->chain.certs[0], &p->pck), "pck.extension", "bad_chain", "Intel's SGX extension", &p->have_pck);
}

CLO_R clo_attest_dcap_take_platform(clo_attest_context *c, const dcap_quote *q, dcap_collateral *to)
{
    bool own = q->cert_type == DCAP_CERT_CHAIN, ok = false;
    clo_span leaf = own ? q->cert_data : part_bytes(c, "pck_cert"), authorities = own ? clo_span_of(NULL, 0) : part_bytes(c, "pck_sign_chain");
    if (c->cache != NULL) {
        const clo_span parts[] = {leaf, authorities, part_bytes(c, "pck_ca_crl"), part_bytes(c, "root_ca_crl"), q->key, q->qe.bytes, q->qe_signature, q->qe_auth_data};
        CLO_TRY(cache_key(c, "cloister/v1 dcap platform", parts, sizeof parts / sizeof parts[0], to->platform_key));
        to->platform = (dcap_platform *)clo_attest_cache_take(c->cache, to->platform_key);
    }
    to->platform_known = to->platform != NULL;
    if (!to->platform_known) {
        CLO_TRY(platform_new(&to->platform));
        CLO_TRY(platform_learn(c, leaf, authorities, to->platform));
    }
    if (to->platform->chain.count == 0) return CLO_OK;
    CLO_TRY(clo_attest_chain_judge(c, &to->platform->chain, CLO_ATTEST_ANCHOR_INTEL, false, &ok));
    check_name(c, "pck.name", to->platform->chain.certs[0], "SGX PCK Certificate");
    if (to->platform->chain.count > 1) check_issuer(c, to->platform->chain.certs[1]);
    return CLO_OK;
}

/* Who may be on which list: the PCK on its CA's, the CA and the signer of documents on the root's. */
static clo_err check_revocation(clo_attest_context *c, dcap_collateral *k)
{
    dcap_platform *p = k->platform;
    const clo_crypto_cert *ca = p->chain.count > 1 ? p->chain.certs[1] : NULL, *root = p->chain.count > 2 ? p->chain.certs[p->chain.count - 1] : NULL;
    CLO_TRY(take_list(c, "pck_ca", ca, "pck_ca_crl", k->platform_known, &p->pck_ca_crl));
    (void)clo_attest_crl_window(c, &p->pck_ca_crl);
    if (p->chain.count != 0) (void)clo_attest_crl_revoked(c, &p->pck_ca_crl, "pck", p->chain.certs[0]);
    CLO_TRY(take_list(c, "root_ca", root, "root_ca_crl", k->platform_known, &p->root_ca_crl));
    (void)clo_attest_crl_window(c, &p->root_ca_crl);
    if (ca != NULL) (void)clo_attest_crl_revoked(c, &p->root_ca_crl, "pck_ca", ca);
    return CLO_OK;
}

/* ---- the documents ---- */

static void documents_destroy(clo_attest_verified *v)
{
    dcap_documents *d = (dcap_documents *)v;
    clo_attest_chain_free(&d->chain);
    free(d->text);
    free(d);
}

static clo_err documents_new(size_t text_size, dcap_documents **out)
{
    dcap_documents *d = calloc(1, sizeof *d);
    CLO_CHECK(d != NULL, CLO_E_NOMEM);
    d->base.owners = 1;
    d->base.destroy = documents_destroy;
    d->chain.name = "tcb_signing";
    d->text = malloc(text_size + 1);
    if (d->text == NULL) {
        documents_destroy(&d->base);
        return CLO_FAIL(CLO_E_NOMEM);
    }
    *out = d;
    return CLO_OK;
}

/* The signed bytes of one document, copied to `to`; empty where they are not there or no signature of the signer's. */
static clo_err take_document(clo_attest_context *c, const char *role, const char *member, const clo_crypto_verify_key *signer, uint8_t *to, clo_span *out)
{
    clo_span bytes = part_bytes(c, role), body = {NULL, 0};
    uint8_t signature[64];
    char check[48];
    bool ok = false;
    if (bytes.n == 0) return CLO_OK;
    CLO_TRY(refuse(c, clo_attest_dcap_document(bytes, member, &body, signature), role, "malformed", "a document and its signature", &ok));
    if (!ok) return CLO_OK;
    if (signer != NULL) {
        clo_err e = clo_crypto_verify_with(signer, CLO_SCHEME_ES256, body, clo_span_of(signature, sizeof signature));
        if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
        ok = !clo_failed(e);
    } else {
        ok = false;
    }
    (void)snprintf(check, sizeof check, "%s.signature", role);
    (void)clo_attest_check_add(c->out, check, ok, "bad_collateral_signature", "signed by the TCB signing certificate",
                               ok ? "signed by the TCB signing certificate" : "no signature of it");
    if (!ok) return CLO_OK;
    memcpy(to, body.p, body.n);
    *out = clo_span_of(to, body.n);
    return CLO_OK;
}

/* What a stranger signed is not read. */
static clo_err documents_learn(clo_attest_context *c, clo_span signers, dcap_documents *d)
{
    __attribute__((cleanup(clo_crypto_verify_key_free))) clo_crypto_verify_key *signer = NULL;
    clo_span info = {NULL, 0}, qe = {NULL, 0};
    bool taken = false;
    CLO_TRY(take_chain(c, &d->chain, signers, clo_span_of(NULL, 0), &taken));
    if (!taken) {
        clo_attest_chain_free(&d->chain);
        return CLO_OK;
    }
    CLO_TRY(take_key(c, "tcb_signing.key", d->chain.certs[0], &signer));
    CLO_TRY(take_document(c, "tcb_info", "tcbInfo", signer, d->text, &info));
    CLO_TRY(take_document(c, "qe_identity", "enclaveIdentity", signer, d->text + info.n, &qe));
    if (info.n != 0) CLO_TRY(refuse(c, clo_attest_dcap_tcb_info(info, &d->tcb_info), "tcb_info", "malformed", "TCB info", &d->have_tcb_info));
    if (qe.n != 0) CLO_TRY(refuse(c, clo_attest_dcap_qe_identity(qe, &d->qe_identity), "qe_identity", "malformed", "a QE identity", &d->have_qe_identity));
    return CLO_OK;
}

/* Does the policy ask for something that only TCB info and QE identity answer? */
static bool documents_needed(const clo_attest_policy *p)
{
    return p->require_crl || (p->accept_tcb_status & CLO_ATTEST_TCB_ANY) != CLO_ATTEST_TCB_ANY || p->min_tcb_date != 0 ||
           p->min_tcb_evaluation_number != 0 || !p->any_advisory;
}

/* Each part that is absent and needed is a failed check. A document is never believed without the signer's chain. */
static bool documents_there(clo_attest_context *c)
{
    static const char *const roles[] = {"tcb_info", "qe_identity", "tcb_signing_chain"};
    bool any = part_bytes(c, "tcb_info").n != 0 || part_bytes(c, "qe_identity").n != 0, needed = documents_needed(c->policy);
    for (size_t i = 0; i < 3; i++) {
        if (part_bytes(c, roles[i]).n != 0 || !(needed || (any && i == 2))) continue;
        (void)clo_attest_check_add(c->out, roles[i], false, "collateral_missing", "Intel's signed collateral", "none");
    }
    return any && part_bytes(c, "tcb_signing_chain").n != 0;
}

static clo_err take_signed(clo_attest_context *c, dcap_collateral *k)
{
    clo_span signers = part_bytes(c, "tcb_signing_chain"), info = part_bytes(c, "tcb_info"), qe = part_bytes(c, "qe_identity");
    bool ok = false;
    if (c->cache != NULL) {
        const clo_span parts[] = {signers, info, qe};
        CLO_TRY(cache_key(c, "cloister/v1 dcap documents", parts, sizeof parts / sizeof parts[0], k->documents_key));
        k->documents = (dcap_documents *)clo_attest_cache_take(c->cache, k->documents_key);
    }
    k->documents_known = k->documents != NULL;
    if (!k->documents_known) {
        CLO_TRY(documents_new(info.n + qe.n, &k->documents));
        CLO_TRY(documents_learn(c, signers, k->documents));
    }
    dcap_documents *d = k->documents;
    if (d->chain.count == 0) return CLO_OK;
    CLO_TRY(clo_attest_chain_judge(c, &d->chain, CLO_ATTEST_ANCHOR_INTEL, true, &ok));
    check_name(c, "tcb_signing.name", d->chain.certs[0], "SGX TCB Signing");
    (void)clo_attest_crl_revoked(c, &k->platform->root_ca_crl, "tcb_signing", d->chain.certs[0]);
    if (!k->documents_known) return CLO_OK;
    static const char signed_by[] = "signed by the TCB signing certificate";
    if (d->have_tcb_info) (void)clo_attest_check_add(c->out, "tcb_info.signature", true, "", signed_by, signed_by);
    if (d->have_qe_identity) (void)clo_attest_check_add(c->out, "qe_identity.signature", true, "", signed_by, signed_by);
    return CLO_OK;
}

CLO_R clo_attest_dcap_take_documents(clo_attest_context *c, dcap_collateral *to)
{
    CLO_TRY(check_revocation(c, to));
    if (documents_there(c)) CLO_TRY(take_signed(c, to));
    /* Nothing is kept of evidence in which anything failed so far. */
    if (c->cache == NULL || c->out->reason[0] != '\0') return CLO_OK;
    bool lists = to->platform->pck_ca_crl.crl != NULL && to->platform->root_ca_crl.crl != NULL;
    if (!to->platform_known && lists) {
        to->platform->chain.verified = true;
        clo_attest_cache_keep(c->cache, to->platform_key, &to->platform->base);
    }
    if (!to->documents_known && to->documents != NULL) {
        to->documents->chain.verified = true;
        clo_attest_cache_keep(c->cache, to->documents_key, &to->documents->base);
    }
    return CLO_OK;
}

void clo_attest_dcap_collateral_release(dcap_collateral *k)
{
    if (k->platform != NULL) clo_attest_verified_release(&k->platform->base);
    if (k->documents != NULL) clo_attest_verified_release(&k->documents->base);
    *k = (dcap_collateral){.platform = NULL};
}
