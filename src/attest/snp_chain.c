/* VCEK or VLEK <- ASK or ASVK <- ARK, to anchors known by SHA-256; windows; the ARK's revocation list, and one of the ASK where given. */
#include "attest/chain.h"
#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdio.h>
#include <stdlib.h>

/* AMD's roots: SHA-256 of the DER certificate (KDS cert_chain of each product). */
static const struct {
    snp_product product;
    uint8_t sha256[32];
} amd_roots[] = {
    {SNP_PRODUCT_MILAN, {0x69, 0xd0, 0x63, 0xb4, 0x53, 0x44, 0xd2, 0x6a, 0x2e, 0x94, 0xe1, 0xf4, 0x21, 0x0d, 0xe4, 0x9e,
                         0xf5, 0x55, 0x30, 0x82, 0x87, 0xd4, 0xc1, 0x74, 0x44, 0x5c, 0x95, 0x63, 0x9a, 0x54, 0x0b, 0xcd}},
    {SNP_PRODUCT_GENOA, {0x4c, 0x65, 0x98, 0xd1, 0x9c, 0x18, 0x71, 0x9c, 0x5d, 0xfd, 0x4a, 0x7d, 0x33, 0x5f, 0x67, 0x4e,
                         0x5b, 0xfe, 0x1d, 0x8f, 0x80, 0x0c, 0xea, 0x2c, 0xf2, 0x70, 0xc1, 0x0d, 0x10, 0x3d, 0xb2, 0xf1}},
    {SNP_PRODUCT_TURIN, {0x1f, 0x08, 0x41, 0x61, 0xa4, 0x4b, 0xb6, 0xd9, 0x37, 0x78, 0xa9, 0x04, 0x87, 0x7d, 0x48, 0x19,
                         0xca, 0xfa, 0x5d, 0x05, 0xef, 0x41, 0x93, 0xb2, 0xde, 0xd9, 0xdd, 0x9c, 0x73, 0xdd, 0x3f, 0x6a}},
};

typedef struct {
    clo_crypto_cert *ek, *ask, *ark;
} chain_certs;

static void chain_certs_free(chain_certs *c)
{
    clo_crypto_cert_free(&c->ek);
    clo_crypto_cert_free(&c->ask);
    clo_crypto_cert_free(&c->ark);
}

static snp_product amd_root_product(const uint8_t sha256[32])
{
    for (size_t i = 0; i < sizeof amd_roots / sizeof amd_roots[0]; i++) {
        if (memcmp(amd_roots[i].sha256, sha256, 32) == 0) return amd_roots[i].product;
    }
    return SNP_PRODUCT_UNKNOWN;
}

/* Parse one certificate of a part; a failure is a check. */
static clo_err take_cert(clo_attest_context *c, const char *name, clo_span bytes, clo_crypto_cert **out)
{
    size_t count = 0;
    clo_err e = clo_crypto_cert_parse_pem(out, 1, &count, bytes);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        (void)clo_attest_check_add(c->out, name, false, "bad_chain", "one X.509 certificate", clo_err_text());
        *out = NULL;
    }
    return CLO_OK;
}

static void swap_if_root_first(chain_certs *k)
{
    char subject[64] = "", issuer[64] = "";
    if (clo_failed(clo_crypto_cert_common_name(k->ask, subject, sizeof subject))) return;
    if (clo_failed(clo_crypto_cert_issuer_common_name(k->ask, issuer, sizeof issuer))) return;
    if (strncmp(subject, "ARK-", 4) != 0 || strcmp(subject, issuer) != 0) return;
    clo_crypto_cert *root = k->ask;
    k->ask = k->ark;
    k->ark = root;
}

/* One file with intermediate and root, in either order. */
static clo_err take_chain_file(clo_attest_context *c, chain_certs *k, clo_span bytes)
{
    clo_crypto_cert *certs[2] = {NULL, NULL};
    size_t count = 0;
    clo_err e = clo_crypto_cert_parse_pem(certs, 2, &count, bytes);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        (void)clo_attest_check_add(c->out, "chain", false, "bad_chain", "the ASK and ARK certificates", clo_err_text());
        return CLO_OK;
    }
    k->ask = certs[0];
    k->ark = certs[1];
    if (count == 2) swap_if_root_first(k);
    return CLO_OK;
}

/* Role ask_ark_chain, or roles ask and ark; `root` may stand in for a root that they leave out. */
static clo_err take_chain(clo_attest_context *c, chain_certs *k)
{
    const clo_attest_part *file = clo_attest_part_find(c, "ask_ark_chain"), *ask = clo_attest_part_find(c, "ask"),
                          *ark = clo_attest_part_find(c, "ark"), *root = clo_attest_part_find(c, "root");
    size_t before = c->out->check_count;
    if (file != NULL && file->bytes.n != 0) {
        CLO_TRY(take_chain_file(c, k, file->bytes));
    } else if (ask != NULL) {
        CLO_TRY(take_cert(c, "chain", ask->bytes, &k->ask));
        if (ark != NULL) CLO_TRY(take_cert(c, "chain", ark->bytes, &k->ark));
    } else {
        (void)clo_attest_check_add(c->out, "chain", false, "collateral_missing", "the ASK and ARK certificates", "none");
        return CLO_OK;
    }
    if (c->out->check_count != before) return CLO_OK; /* already said what is wrong with them */
    if (k->ark == NULL && root != NULL) CLO_TRY(take_cert(c, "root", root->bytes, &k->ark));
    bool complete = k->ask != NULL && k->ark != NULL && clo_attest_part_find(c, "surplus") == NULL;
    if (!complete) {
        (void)clo_attest_check_add(c->out, "chain", false, "bad_chain", "the ASK and ARK certificates and no more", "another number of certificates");
    }
    return CLO_OK;
}

/* Ask about a signature; what is not about the bytes is returned. */
static clo_err check_signed(clo_attest_context *c, const char *name, const clo_crypto_cert *cert, const clo_crypto_cert *issuer)
{
    if (cert == NULL || issuer == NULL) return CLO_OK; /* its absence was a failed check already */
    clo_err e = clo_crypto_cert_signed_by(cert, issuer);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    bool ok = !clo_failed(e);
    if (ok && !clo_crypto_cert_is_pss384(cert)) {
        (void)clo_attest_check_add(c->out, name, false, "bad_chain", "RSASSA-PSS with SHA-384 and a 48-byte salt", "another signature algorithm");
        return CLO_OK;
    }
    (void)clo_attest_check_add(c->out, name, ok, "bad_chain", "signed by its issuer", ok ? "signed by its issuer" : clo_err_text());
    return CLO_OK;
}

/* Names tell which kind of endorsement key an intermediate may certify. */
static void check_names(clo_attest_context *c, const snp_collateral *f)
{
    if (!f->have_endorsement || !f->ask.there || !f->ark.there) return;
    const char *product = clo_attest_snp_product_name(f->endorsement.product);
    char want_ask[64], want_ark[64];
    (void)snprintf(want_ask, sizeof want_ask, "SEV-%s%s", f->endorsement.vlek ? "VLEK-" : "", product);
    (void)snprintf(want_ark, sizeof want_ark, "ARK-%s", product);
    (void)clo_attest_check_add(c->out, "chain.intermediate", strcmp(f->ask.name, want_ask) == 0, "bad_chain", want_ask, f->ask.name);
    (void)clo_attest_check_add(c->out, "chain.root_name", strcmp(f->ark.name, want_ark) == 0, "bad_chain", want_ark, f->ark.name);
    const char *want_ek = f->endorsement.vlek ? "SEV-VLEK" : "SEV-VCEK";
    (void)clo_attest_check_add(c->out, "chain.kind", strcmp(f->ek.name, want_ek) == 0, "bad_chain", want_ek, f->ek.name);
}

static bool root_pinned(const clo_attest_policy *p, const uint8_t sha256[32])
{
    for (size_t i = 0; i < p->root_count; i++) {
        if (memcmp(p->roots[i], sha256, 32) == 0) return true;
    }
    return false;
}

/* The caller's own root in the place of AMD's (which root is judged like any given one): never for a hierarchy of the software TEE. */
static bool root_by_caller(const clo_attest_context *c, const snp_collateral *f)
{
    bool given = false;
    for (size_t i = 0; i < c->collateral_count; i++) given = given || strcmp(c->collateral[i].role, "root") == 0;
    return c->policy->custom_root && given && f->have_endorsement && f->endorsement.product != SNP_PRODUCT_SIMULATED;
}

static clo_err check_root(clo_attest_context *c, bool simulated, const snp_collateral *f)
{
    if (!f->ark.there) return CLO_OK;
    const uint8_t *sha256 = f->root;
    char text[65];
    clo_hex_encode(text, clo_span_of(sha256, sizeof f->root));
    snp_product vendor = amd_root_product(sha256);
    if (simulated) {
        bool ok = vendor == SNP_PRODUCT_UNKNOWN && root_pinned(c->policy, sha256);
        (void)clo_attest_check_add(c->out, "root", ok, "wrong_root", "a development root that the policy pins", text);
    } else {
        bool ok = vendor != SNP_PRODUCT_UNKNOWN ? !f->have_endorsement || vendor == f->endorsement.product : root_by_caller(c, f);
        (void)clo_attest_check_add(c->out, "root", ok, "wrong_root", "AMD's root of the product", text);
        if (c->policy->root_count != 0) {
            (void)clo_attest_check_add(c->out, "root.pinned", root_pinned(c->policy, sha256), "wrong_root", "a root that the policy pins", text);
        }
    }
    const clo_attest_part *pin = clo_attest_part_find(c, "root");
    if (pin == NULL) return CLO_OK;
    __attribute__((cleanup(clo_crypto_cert_free))) clo_crypto_cert *root = NULL;
    CLO_TRY(take_cert(c, "root.given", pin->bytes, &root));
    if (root == NULL) return CLO_OK;
    uint8_t given[32];
    clo_crypto_cert_sha256(root, given);
    (void)clo_attest_check_bytes(c->out, "root.given", "wrong_root", clo_span_of(given, sizeof given), clo_span_of(sha256, sizeof f->root));
    return CLO_OK;
}

/* cert: NULL where its window is known or it is not there. */
static clo_err check_window(clo_attest_context *c, const char *name, const clo_crypto_cert *cert, snp_cert_facts *f)
{
    if (cert != NULL) {
        clo_err e = clo_crypto_cert_window(cert, &f->from, &f->to);
        if (clo_failed(e)) {
            if (!clo_attest_err_is_about_input(e)) return e;
            (void)clo_attest_check_add(c->out, name, false, "bad_chain", "a validity window", clo_err_text());
            return CLO_OK;
        }
        f->have_window = true;
    }
    if (f->have_window) (void)clo_attest_check_window(c->out, name, "", f->from, f->to, c->now);
    return CLO_OK;
}

static void check_revoked(clo_attest_context *c, const char *name, bool listed)
{
    (void)clo_attest_check_add(c->out, name, !listed, "revoked", "not on the root's revocation list", listed ? "revoked" : "not listed");
}

/* The ARK's signature over the list and what the list says; *holds where all of that could be read. */
static clo_err learn_crl(clo_attest_context *c, const chain_certs *k, const clo_attest_part *part, snp_collateral *f, bool *holds)
{
    *holds = false;
    __attribute__((cleanup(clo_crypto_crl_free))) clo_crypto_crl *crl = NULL;
    clo_err e = clo_crypto_crl_parse(&crl, part->bytes);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        (void)clo_attest_check_add(c->out, "crl", false, "bad_collateral_signature", "a revocation list", clo_err_text());
        return CLO_OK;
    }
    if (k->ark == NULL) return CLO_OK;
    e = clo_crypto_crl_signed_by(crl, k->ark);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    bool ok = !clo_failed(e);
    if (!clo_attest_check_add(c->out, "crl", ok, "bad_collateral_signature", "signed by the ARK", ok ? "signed by the ARK" : clo_err_text())) {
        return CLO_OK; /* what a stranger signed says nothing about revocation */
    }
    e = clo_crypto_crl_window(crl, &f->crl_from, &f->crl_to);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        (void)clo_attest_check_add(c->out, "crl.window", false, "collateral_expired", "a window with an end", clo_err_text());
        return CLO_OK;
    }
    f->crl_lists_ask = k->ask != NULL && clo_crypto_crl_lists(crl, k->ask);
    f->crl_lists_ark = clo_crypto_crl_lists(crl, k->ark);
    *holds = true;
    return CLO_OK;
}

static clo_err check_crl(clo_attest_context *c, const chain_certs *k, bool known, snp_collateral *f)
{
    const clo_attest_part *part = clo_attest_part_find(c, "crl");
    if (part == NULL || part->bytes.n == 0) {
        if (c->policy->require_crl) {
            (void)clo_attest_check_add(c->out, "crl", false, "collateral_missing", "a revocation list signed by the ARK", "none");
        }
        return CLO_OK;
    }
    bool holds = known;
    if (known) {
        (void)clo_attest_check_add(c->out, "crl", true, "bad_collateral_signature", "signed by the ARK", "signed by the ARK");
    } else {
        CLO_TRY(learn_crl(c, k, part, f, &holds));
    }
    if (!holds) return CLO_OK;
    (void)clo_attest_check_collateral_window(c, "crl.window", f->crl_from, f->crl_to);
    if (f->ask.there) check_revoked(c, "crl.intermediate", f->crl_lists_ask);
    check_revoked(c, "crl.root", f->crl_lists_ark);
    return CLO_OK;
}

/* AMD lists only intermediates; an operator may have a list of the ASK or ASVK too, of chips that he no longer trusts. */
static clo_err check_chip_list(clo_attest_context *c, const chain_certs *k, bool known, snp_collateral *f)
{
    const clo_attest_part *part = clo_attest_part_find(c, "ask_crl");
    if (part == NULL || part->bytes.n == 0) return CLO_OK;
    if (known) {
        (void)clo_attest_check_add(c->out, "endorsement.crl", true, "bad_collateral_signature", "a revocation list signed by the issuer", "signed by the issuer");
    } else {
        CLO_AUTO(clo_attest_crl_free) clo_attest_crl list = {.crl = NULL};
        CLO_TRY(clo_attest_crl_take(c, "endorsement", k->ask, part->bytes, &list));
        if (list.crl == NULL) return CLO_OK;
        f->chips_from = list.from;
        f->chips_to = list.to;
        f->chips_list_ek = k->ek != NULL && clo_crypto_crl_lists(list.crl, k->ek);
    }
    (void)clo_attest_check_collateral_window(c, "endorsement.crl.window", f->chips_from, f->chips_to);
    (void)clo_attest_check_add(c->out, "endorsement.revoked", !f->chips_list_ek, "revoked", "not on its issuer's revocation list",
                               f->chips_list_ek ? "revoked" : "not listed");
    return CLO_OK;
}

/* What the endorsement certificate itself says. */
static clo_err read_endorsement(clo_attest_context *c, chain_certs *k, snp_collateral *out)
{
    const clo_attest_part *part = clo_attest_part_find(c, "vcek_or_vlek");
    if (part == NULL || part->bytes.n == 0) {
        (void)clo_attest_check_add(c->out, "endorsement", false, "collateral_missing", "the VCEK or VLEK certificate", "none");
        return CLO_OK;
    }
    CLO_TRY(take_cert(c, "endorsement", part->bytes, &k->ek));
    if (k->ek == NULL) return CLO_OK;
    clo_err e = clo_attest_snp_endorsement(k->ek, &out->endorsement);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        (void)clo_attest_check_add(c->out, "endorsement", false, "bad_chain", "a VCEK or VLEK certificate with AMD's extensions", clo_err_text());
    } else {
        out->have_endorsement = true;
    }
    e = clo_crypto_cert_public_key(k->ek, &out->key);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    out->have_key = !clo_failed(e) && out->key.alg == CLO_SIGN_ES384;
    if (!out->have_key) {
        (void)clo_attest_check_add(c->out, "endorsement.key", false, "bad_chain", "an ECDSA P-384 key", "another kind of key");
    }
    return CLO_OK;
}

static void learn_cert(const clo_crypto_cert *cert, snp_cert_facts *f)
{
    f->there = cert != NULL;
    if (cert == NULL || clo_failed(clo_crypto_cert_common_name(cert, f->name, sizeof f->name))) f->name[0] = '\0';
}

/* Read all certificates and verify who signed whom. */
static clo_err learn_chain(clo_attest_context *c, chain_certs *k, snp_collateral *f)
{
    CLO_TRY(read_endorsement(c, k, f));
    CLO_TRY(take_chain(c, k));
    CLO_TRY(check_signed(c, "chain.ark", k->ark, k->ark));
    CLO_TRY(check_signed(c, "chain.ask", k->ask, k->ark));
    CLO_TRY(check_signed(c, "chain.endorsement", k->ek, k->ask));
    learn_cert(k->ek, &f->ek);
    learn_cert(k->ask, &f->ask);
    learn_cert(k->ark, &f->ark);
    if (k->ark != NULL) clo_crypto_cert_sha256(k->ark, f->root);
    return CLO_OK;
}

static void note_known_chain(clo_attest_context *c)
{
    static const char *const names[] = {"chain.ark", "chain.ask", "chain.endorsement"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)clo_attest_check_add(c->out, names[i], true, "bad_chain", "signed by its issuer", "signed by its issuer");
    }
}

/* Everything that depends on policy or time, judged on what was learned now or before. */
static clo_err judge(clo_attest_context *c, bool simulated, bool known, const chain_certs *k, snp_collateral *f)
{
    check_names(c, f);
    if (f->have_endorsement) {
        bool fits = (f->endorsement.product == SNP_PRODUCT_SIMULATED) == simulated;
        (void)clo_attest_check_add(c->out, "chain.product", fits, "bad_chain", simulated ? "Simulated" : "a product of AMD",
                                   f->endorsement.product_text);
    }
    CLO_TRY(check_root(c, simulated, f));
    CLO_TRY(check_window(c, "window.ark", k->ark, &f->ark));
    CLO_TRY(check_window(c, "window.ask", k->ask, &f->ask));
    CLO_TRY(check_window(c, "window.endorsement", k->ek, &f->ek));
    CLO_TRY(check_crl(c, k, known, f));
    return check_chip_list(c, k, known, f);
}

/* ---- what the cache keeps ---- */

typedef struct {
    clo_attest_verified base;
    snp_collateral facts;
    clo_crypto_verify_key *loaded;
} snp_kept;

static void kept_destroy(clo_attest_verified *v)
{
    snp_kept *kept = (snp_kept *)v; /* its first member */
    clo_crypto_verify_key_free(&kept->loaded);
    free(kept);
}

/* A failure here costs the next appraisal its time, nothing else. */
static void keep(clo_attest_cache *cache, const uint8_t key[32], const snp_collateral *facts)
{
    snp_kept *made = calloc(1, sizeof *made);
    if (made == NULL) return;
    made->base = (clo_attest_verified){.owners = 1, .destroy = kept_destroy};
    made->facts = *facts;
    if (!clo_failed(clo_crypto_verify_key_of_public(&facts->key, &made->loaded))) {
        made->facts.loaded = made->loaded;
        clo_attest_cache_keep(cache, key, &made->base);
    }
    clo_attest_verified_release(&made->base);
}

clo_err clo_attest_cache_key(const clo_attest_context *c, bool simulated, uint8_t key[32], bool *cacheable)
{
    enum { EK, CHAIN, ASK, ARK, ROOT, CRL, CHIPS, ROLES };
    static const char *const roles[ROLES] = {"vcek_or_vlek", "ask_ark_chain", "ask", "ark", "root", "crl", "ask_crl"};
    clo_span parts[ROLES];
    *cacheable = false;
    if (c->cache == NULL || clo_attest_part_find(c, "surplus") != NULL) return CLO_OK;
    for (size_t i = 0; i < ROLES; i++) {
        const clo_attest_part *part = clo_attest_part_find(c, roles[i]);
        parts[i] = part != NULL ? part->bytes : clo_span_of(NULL, 0);
    }
    bool complete = parts[CHAIN].n != 0 || (parts[ASK].n != 0 && (parts[ARK].n != 0 || parts[ROOT].n != 0));
    if (parts[EK].n == 0 || !complete) return CLO_OK;
    CLO_TRY(clo_attest_cache_key_parts(c, simulated ? "sim" : "snp", parts, ROLES, key));
    *cacheable = true;
    return CLO_OK;
}

void clo_attest_snp_chain_free(snp_chain *chain)
{
    clo_attest_verified_release(chain->kept);
    chain->kept = NULL;
}

CLO_R clo_attest_snp_chain(clo_attest_context *c, bool simulated, snp_chain *out)
{
    *out = (snp_chain){.kept = NULL};
    snp_collateral *f = &out->facts;
    CLO_AUTO(chain_certs_free) chain_certs k = {NULL, NULL, NULL};
    uint8_t key[32] = {0};
    bool cacheable = false;
    CLO_TRY(clo_attest_cache_key(c, simulated, key, &cacheable));
    if (cacheable) out->kept = clo_attest_cache_take(c->cache, key);
    bool known = out->kept != NULL;
    if (known) {
        *f = ((const snp_kept *)out->kept)->facts;
        note_known_chain(c);
    } else {
        CLO_TRY(learn_chain(c, &k, f));
    }
    CLO_TRY(judge(c, simulated, known, &k, f));
    if (cacheable && !known && c->out->reason[0] == '\0') keep(c->cache, key, f);
    return CLO_OK;
}
