/* Chains to the vendors' anchors, and revocation, for every type that is not AMD's. */
#include "attest/chain.h"
#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdio.h>
#include <stdlib.h>

enum { CRL_MAX = 16 * 1024 * 1024 };

/* SHA-256 of the vendors' root certificates in DER. */
static const char *const anchors[] = {
    [CLO_ATTEST_ANCHOR_INTEL] = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
    [CLO_ATTEST_ANCHOR_NITRO] = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
    [CLO_ATTEST_ANCHOR_NVIDIA] = "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48",
    [CLO_ATTEST_ANCHOR_NVIDIA_RIM] = "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1",
    [CLO_ATTEST_ANCHOR_GOOGLE] = "148b293821bb0c6a317f413c8ba475814091cb22d49b9e3c94198db8e8f86c39",
    [CLO_ATTEST_ANCHOR_PINNED] = "a root that the policy pins",
};

/* Intel issued a second certificate for the same root key (to 2049 instead of 2033); chains of old quotes still end in the first. */
static const char intel_first[] = "fc64f8076d79a4fee9d1d473d74c89eb8d8fd55c5abafeabeba7366d20429404";

/* Do two hashes name the same root? */
static bool same_root(const char *a, const char *b)
{
    const char *second = anchors[CLO_ATTEST_ANCHOR_INTEL];
    if (strcmp(a, b) == 0) return true;
    return (strcmp(a, intel_first) == 0 && strcmp(b, second) == 0) || (strcmp(a, second) == 0 && strcmp(b, intel_first) == 0);
}

bool clo_attest_chain_link_known(const clo_crypto_cert *cert, const clo_crypto_cert *issuer)
{
    clo_crypto_cert *const *known = NULL;
    size_t n = clo_attest_intel_known(&known);
    for (size_t i = 1; i < n; i++) {
        if (cert == known[i]) return issuer == known[0];
    }
    return false;
}

/* Text files of the field end in zero bytes or line ends. */
static clo_span without_tail(clo_span s)
{
    if (s.n != 0 && s.p[0] == 0x30) return s; /* DER has no tail */
    while (s.n != 0 && (s.p[s.n - 1] == 0 || s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r')) s.n--;
    return s;
}

/* Bits that a last base64 character has beyond the bytes it stands for; OpenSSL passes over them. */
static bool spare_bits_zero(uint8_t last, size_t padding)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = last == 0 ? NULL : strchr(alphabet, last);
    return at != NULL && ((size_t)(at - alphabet) & (padding == 1 ? 3u : 15u)) == 0;
}

/* Bytes have one base64 text: nobody can give the same certificates in another. */
static clo_err only_form(clo_span text)
{
    if (text.n != 0 && text.p[0] == 0x30) return CLO_OK;
    for (size_t i = 1, end = 0; i < text.n; i++) {
        if (text.p[i] != '=' || text.p[i - 1] == '=') continue;
        for (end = i; end < text.n && text.p[end] == '=';) end++;
        size_t padding = end - i;
        while (end < text.n && (text.p[end] == '\r' || text.p[end] == '\n')) end++;
        if (end == text.n || text.p[end] != '-') continue; /* words before a certificate */
        CLO_CHECKF(padding <= 2 && spare_bits_zero(text.p[i - 1], padding), CLO_E_NOT_CANONICAL, "a PEM certificate is not in its only base64 form");
    }
    return CLO_OK;
}

/* Each certificate of a PEM text has four runs of dashes; another number means a damaged marker or something else than certificates. */
static clo_err only_certificates(clo_span text, size_t count)
{
    size_t runs = 0, length = 0;
    if (text.n != 0 && text.p[0] == 0x30) return CLO_OK;
    for (size_t i = 0; i < text.n; i++) {
        length = text.p[i] == '-' ? length + 1 : 0;
        if (length == 4) runs++;
    }
    CLO_CHECKF(runs == 4 * count, CLO_E_MALFORMED, "the text holds more than PEM certificates");
    return CLO_OK;
}

clo_err clo_attest_chain_take(clo_attest_chain *chain, clo_span pem_or_der)
{
    size_t count = 0;
    clo_crypto_cert *const *known = NULL;
    size_t known_count = clo_attest_intel_known(&known);
    CLO_TRY(clo_crypto_cert_parse_pem_known(chain->certs + chain->count, CLO_ATTEST_CHAIN_MAX - chain->count, &count, without_tail(pem_or_der), known, known_count));
    chain->count += count;
    CLO_TRY(only_form(without_tail(pem_or_der)));
    return only_certificates(without_tail(pem_or_der), count);
}

void clo_attest_chain_free(clo_attest_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++) clo_crypto_cert_free(&chain->certs[i]);
    chain->count = 0;
}

/* A check "<name>.<what>". */
static bool check(clo_attest_context *c, const char *name, const char *what, bool ok, const char *reason, const char *expected, const char *actual)
{
    char full[48];
    (void)snprintf(full, sizeof full, "%s.%s", name, what);
    return clo_attest_check_add(c->out, full, ok, reason, expected, actual);
}

/* The root among the collateral: evidence never brings one. */
static clo_span given_root(const clo_attest_context *c)
{
    for (size_t i = 0; i < c->collateral_count; i++) {
        if (strcmp(c->collateral[i].role, "root") == 0) return c->collateral[i].bytes;
    }
    return clo_span_of(NULL, 0);
}

/* The root among the collateral: its hash, and the certificate itself where a chain that ends below its root needs it. */
typedef struct {
    bool there;
    uint8_t sha256[32];
    clo_crypto_cert *cert;
} chain_root;

static void chain_root_free(chain_root *r) { clo_crypto_cert_free(&r->cert); }

/* Does the chain end below its root? */
static bool incomplete(const clo_attest_chain *chain) { return !clo_crypto_cert_self_issued(chain->certs[chain->count - 1]); }

/* A root that cannot be read is a failed check. */
static clo_err take_given_root(clo_attest_context *c, const clo_attest_chain *chain, chain_root *out)
{
    clo_span bytes = without_tail(given_root(c));
    size_t count = 0;
    if (bytes.n == 0) return CLO_OK;
    clo_err e = CLO_OK;
    if (incomplete(chain)) {
        e = clo_crypto_cert_parse_pem(&out->cert, 1, &count, bytes);
        if (!clo_failed(e)) clo_crypto_cert_sha256(out->cert, out->sha256);
    } else {
        if (!c->given_root_known) e = clo_crypto_cert_file_sha256(bytes, c->given_root);
        c->given_root_known = !clo_failed(e);
        memcpy(out->sha256, c->given_root, sizeof out->sha256);
    }
    out->there = !clo_failed(e);
    if (out->there) return CLO_OK;
    if (!clo_attest_err_is_about_input(e)) return e;
    (void)check(c, chain->name, "root.given", false, "wrong_root", "one root certificate", clo_err_text());
    return CLO_OK;
}

/* Who signed certificate `index`: the next one, or the given root where the chain ends. */
static const clo_crypto_cert *issuer_of(const clo_attest_chain *chain, size_t index, const clo_crypto_cert *root)
{
    if (index + 1 < chain->count) return chain->certs[index + 1];
    return incomplete(chain) ? root : chain->certs[index];
}

/* depth: authorities between the issuer and the leaf. */
static clo_err signed_by(const clo_crypto_cert *cert, const clo_crypto_cert *issuer, size_t depth)
{
    uint64_t most = 0;
    CLO_CHECKF(issuer != NULL, CLO_E_BAD_SIGNATURE, "the chain ends before a root");
    CLO_CHECKF(!clo_crypto_cert_path_length(issuer, &most) || depth <= most, CLO_E_BAD_SIGNATURE,
               "an authority that may have %llu further ones below it has %zu", (unsigned long long)most, depth);
    return clo_attest_chain_link_known(cert, issuer) ? CLO_OK : clo_crypto_cert_signed_by(cert, issuer);
}

/* A root that is pinned needs no signature of its own: its hash says which it is. */
static clo_err judge_signatures(clo_attest_context *c, const clo_attest_chain *chain, const clo_crypto_cert *root, bool *ok)
{
    size_t links = chain->verified ? 0 : incomplete(chain) ? chain->count : chain->count - 1, depth = 0;
    clo_err e = CLO_OK;
    for (size_t i = 0; i < links && !clo_failed(e); i++) {
        const clo_crypto_cert *issuer = issuer_of(chain, i, root);
        if (chain->verified_from == 0 || i < chain->verified_from) e = signed_by(chain->certs[i], issuer, depth);
        if (issuer != NULL && !clo_crypto_cert_self_issued(issuer)) depth++; /* RFC 5280 §4.2.1.9: self-issued ones do not count */
    }
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    bool good = !clo_failed(e);
    *ok = check(c, chain->name, "signature", good, "bad_chain", "each signed by the next", good ? "each signed by the next" : clo_err_text()) && *ok;
    return CLO_OK;
}

static bool pinned(const clo_attest_policy *p, const uint8_t sha256[32])
{
    for (size_t i = 0; i < p->root_count; i++) {
        if (memcmp(p->roots[i], sha256, 32) == 0) return true;
    }
    return false;
}

static void judge_root(clo_attest_context *c, const clo_attest_chain *chain, clo_attest_anchor anchor, const chain_root *given, bool *ok)
{
    const clo_crypto_cert *root = incomplete(chain) ? given->cert : chain->certs[chain->count - 1];
    uint8_t sha256[32];
    char text[65], want[65];
    if (root == NULL) {
        *ok = check(c, chain->name, "root", false, "wrong_root", anchors[anchor], "a chain without its root");
        return;
    }
    clo_crypto_cert_sha256(root, sha256);
    clo_hex_encode(text, clo_span_of(sha256, sizeof sha256));
    bool by_caller = given->there && (c->policy->custom_root || (anchor == CLO_ATTEST_ANCHOR_PINNED && c->policy->any_issuer));
    if (!by_caller && (anchor != CLO_ATTEST_ANCHOR_PINNED || c->policy->root_count == 0)) {
        *ok = check(c, chain->name, "root", same_root(text, anchors[anchor]), "wrong_root", anchors[anchor], text) && *ok;
    }
    if (given->there) {
        clo_hex_encode(want, clo_span_of(given->sha256, sizeof given->sha256));
        *ok = check(c, chain->name, "root.given", same_root(text, want), "wrong_root", want, text) && *ok;
    }
    if (c->policy->root_count != 0) {
        *ok = check(c, chain->name, "root.pinned", pinned(c->policy, sha256), "wrong_root", "a root that the policy pins", text) && *ok;
    }
}

/* All windows at once: the latest beginning and the earliest end decide. */
static clo_err judge_windows(clo_attest_context *c, const clo_attest_chain *chain, const clo_crypto_cert *root, bool collateral, bool *ok)
{
    int64_t from = INT64_MIN, to = INT64_MAX;
    for (size_t i = 0; i <= chain->count; i++) {
        const clo_crypto_cert *cert = i < chain->count ? chain->certs[i] : incomplete(chain) ? root : NULL;
        int64_t begin = 0, end = 0;
        if (cert == NULL) continue;
        clo_err e = clo_crypto_cert_window(cert, &begin, &end);
        if (clo_failed(e)) {
            if (!clo_attest_err_is_about_input(e)) return e;
            *ok = check(c, chain->name, "window", false, "bad_chain", "a validity window", clo_err_text());
            return CLO_OK;
        }
        if (begin > from) from = begin;
        if (end < to) to = end;
    }
    char name[48];
    (void)snprintf(name, sizeof name, "%s.window", chain->name);
    *ok = clo_attest_check_window(c->out, name, collateral ? "collateral_" : "", from, to, c->now) && *ok;
    return CLO_OK;
}

clo_err clo_attest_chain_judge(clo_attest_context *c, const clo_attest_chain *chain, clo_attest_anchor anchor, bool collateral, bool *ok)
{
    *ok = false;
    if (chain->count == 0) {
        (void)check(c, chain->name, "signature", false, "bad_chain", "a chain of certificates", "none");
        return CLO_OK;
    }
    CLO_AUTO(chain_root_free) chain_root given = {.there = false};
    CLO_TRY(take_given_root(c, chain, &given));
    bool good = given.there || given_root(c).n == 0;
    CLO_TRY(judge_signatures(c, chain, given.cert, &good));
    judge_root(c, chain, anchor, &given, &good);
    CLO_TRY(judge_windows(c, chain, given.cert, collateral, &good));
    *ok = good;
    return CLO_OK;
}

/* ---- revocation ---- */

static void bytes_free(uint8_t **p)
{
    free(*p);
    *p = NULL;
}

/* DER, PEM, or hex digits of DER. */
static clo_err parse_list(clo_span bytes, clo_crypto_crl **out)
{
    bytes = without_tail(bytes);
    CLO_CHECKF(bytes.n <= CRL_MAX, CLO_E_TOO_LARGE, "a revocation list has at most 16 MiB");
    /* DER begins with the byte 0x30, its hex text with the digits "30", of which the first is 0x33. */
    if (bytes.n < 2 || bytes.p[0] != '3' || bytes.p[1] != '0') return clo_crypto_crl_parse(out, bytes);
    size_t n = bytes.n / 2;
    CLO_AUTO(bytes_free) uint8_t *der = malloc(n);
    CLO_CHECK(der != NULL, CLO_E_NOMEM);
    CLO_TRY(clo_hex_decode(der, n, bytes));
    return clo_crypto_crl_parse(out, clo_span_of(der, n));
}

static bool list_fails(clo_attest_context *c, const char *name, const char *actual)
{
    return check(c, name, "crl", false, "bad_collateral_signature", "a revocation list signed by the issuer", actual);
}

clo_err clo_attest_crl_take(clo_attest_context *c, const char *name, const clo_crypto_cert *issuer, clo_span bytes, clo_attest_crl *out)
{
    *out = (clo_attest_crl){.name = name};
    CLO_AUTO(clo_crypto_crl_free) clo_crypto_crl *crl = NULL;
    if (bytes.n == 0) {
        if (c->policy->require_crl) {
            (void)check(c, name, "crl", false, "collateral_missing", "a revocation list signed by the issuer", "none");
        } else {
            out->waived = true;
        }
        return CLO_OK;
    }
    if (issuer == NULL) {
        (void)list_fails(c, name, "no issuer that could have signed it");
        return CLO_OK;
    }
    clo_err e = parse_list(bytes, &crl);
    if (!clo_failed(e)) e = clo_crypto_crl_signed_by(crl, issuer);
    if (!clo_failed(e)) e = clo_crypto_crl_window(crl, &out->from, &out->to);
    if (clo_failed(e)) {
        if (!clo_attest_err_is_about_input(e)) return e;
        (void)list_fails(c, name, clo_err_text());
        return CLO_OK;
    }
    (void)check(c, name, "crl", true, "bad_collateral_signature", "a revocation list signed by the issuer", "signed by the issuer");
    out->crl = CLO_TAKE(crl);
    return CLO_OK;
}

void clo_attest_crl_free(clo_attest_crl *crl) { clo_crypto_crl_free(&crl->crl); }

bool clo_attest_crl_window(clo_attest_context *c, const clo_attest_crl *crl)
{
    if (crl->crl == NULL) return crl->waived;
    char name[48];
    (void)snprintf(name, sizeof name, "%s.crl.window", crl->name);
    return clo_attest_check_collateral_window(c, name, crl->from, crl->to);
}

bool clo_attest_crl_revoked(clo_attest_context *c, const clo_attest_crl *crl, const char *name, const clo_crypto_cert *cert)
{
    if (crl->crl == NULL) return crl->waived;
    bool listed = clo_crypto_crl_lists(crl->crl, cert);
    return check(c, name, "revoked", !listed, "revoked", "not on the issuer's revocation list", listed ? "revoked" : "not listed");
}

bool clo_attest_check_collateral_window(clo_attest_context *c, const char *name, int64_t from, int64_t to)
{
    int64_t grace = c->policy->collateral_grace_s;
    if (grace > CLO_ATTEST_GRACE_MAX) grace = CLO_ATTEST_GRACE_MAX;
    /* What is past its end counts until the end of the grace, and so long only. */
    int64_t until = grace > 0 && c->now > to && to <= INT64_MAX - grace ? to + grace : to;
    return clo_attest_check_window(c->out, name, "collateral_", from, until, c->now);
}

clo_err clo_attest_chain_revocation(clo_attest_context *c, const clo_attest_chain *chain, size_t index, clo_span crl, bool *ok)
{
    CLO_AUTO(chain_root_free) chain_root given = {.there = false};
    CLO_AUTO(clo_attest_crl_free) clo_attest_crl list = {.crl = NULL};
    *ok = false;
    if (index >= chain->count) return CLO_OK; /* the chain's own checks say what is missing */
    if (index + 1 == chain->count && incomplete(chain)) CLO_TRY(take_given_root(c, chain, &given));
    CLO_TRY(clo_attest_crl_take(c, chain->name, issuer_of(chain, index, given.cert), crl, &list));
    bool current = clo_attest_crl_window(c, &list);
    *ok = clo_attest_crl_revoked(c, &list, chain->name, chain->certs[index]) && current;
    return CLO_OK;
}
