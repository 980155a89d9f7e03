/* NVIDIA GPUs and NVSwitches: every check of an SPDM report against its certificates, its manifests and the policy. Roles: "report" (request
 * and response), "cert_chain" (PEM, leaf first), "root", "driver_rim", "vbios_rim", "rim_root", "ocsp…", "ocsp_nonce", "crl…". */
#include "attest/nvidia_int.h"
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "crypto/verify_key.h"

#include <stdio.h>

enum { SPDM_REQUEST_SIZE = 37, REPORT_MAX = 64 * 1024 };

static clo_err take_report(clo_attest_context *c, nvidia_report **out)
{
    const clo_attest_part *part = clo_attest_part_find(c, "report");
    void *memory = NULL;
    if (part == NULL) {
        (void)clo_attest_check_add(c->out, "report", false, "malformed", "an SPDM 1.1 measurement exchange", "none");
        return CLO_OK;
    }
    CLO_TRY(clo_arena_alloc(c->arena, sizeof(nvidia_report), &memory));
    nvidia_report *r = memory;
    clo_err e = clo_attest_nvidia_parse(part->bytes, r);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    char got[192];
    (void)snprintf(got, sizeof got, "%zu bytes%s%s", part->bytes.n, clo_failed(e) ? ": " : "", clo_failed(e) ? clo_err_text() : "");
    (void)clo_attest_check_add(c->out, "report", !clo_failed(e), "malformed", "an SPDM 1.1 measurement exchange", got);
    if (!clo_failed(e)) *out = r;
    return CLO_OK;
}

/* The chain of the device. *ok: it stands, and begins with the key of a device's firmware. */
static clo_err judge_chain(clo_attest_context *c, clo_attest_chain *chain, nvidia_leaf *leaf, bool *have_leaf)
{
    const clo_attest_part *part = clo_attest_part_find(c, "cert_chain");
    bool ok = false;
    if (part == NULL) {
        (void)clo_attest_check_add(c->out, "cert_chain", false, "collateral_missing", "the device's certificates", "none");
        return CLO_OK;
    }
    clo_err e = clo_attest_chain_take(chain, part->bytes);
    if (!clo_failed(e)) {
        e = clo_attest_nvidia_leaf(chain->certs[0], leaf);
        *have_leaf = !clo_failed(e);
    }
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    (void)clo_attest_check_add(c->out, "cert_chain", !clo_failed(e), "bad_chain", "the device's certificates", clo_failed(e) ? clo_err_text() : "read");
    if (!*have_leaf) return CLO_OK;
    bool is_leaf = leaf->firmware_leaf && !clo_crypto_cert_is_ca(chain->certs[0]);
    (void)clo_attest_check_add(c->out, "cert_chain.leaf", is_leaf, "bad_chain", "the attestation key of a device's firmware (… FMC LF)", leaf->name);
    return clo_attest_chain_judge(c, chain, CLO_ATTEST_ANCHOR_NVIDIA, false, &ok);
}

static clo_err check_signature(clo_attest_context *c, const nvidia_report *r, const clo_crypto_cert *cert)
{
    clo_crypto_public_key key;
    clo_err e = clo_crypto_cert_public_key(cert, &key);
    if (!clo_failed(e) && key.alg != CLO_SIGN_ES384) e = CLO_FAILF(CLO_E_UNSUPPORTED, "the leaf's key is not on P-384");
    if (!clo_failed(e)) e = clo_crypto_verify_public(&key, r->signed_bytes, r->signature);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    (void)clo_attest_check_add(c->out, "signature", !clo_failed(e), "bad_signature", "ECDSA P-384 by the leaf over request and response",
                               clo_failed(e) ? "not signed by the leaf" : "signed by the leaf");
    return CLO_OK;
}

/* The firmware that the report names must be the one whose key signed. Older firmware names none. */
static void check_leaf(clo_attest_context *c, const nvidia_report *r, const nvidia_leaf *leaf)
{
    static const char *const families[] = {"GH", "GB", "LS_"};
    clo_span named = clo_attest_nvidia_field(r, NVIDIA_FWID), certified = leaf->fwid.p != NULL ? leaf->fwid : leaf->layer_fwid;
    if (named.p != NULL) (void)clo_attest_check_bytes(c->out, "fwid", "key_binding", certified, named);
    bool known = false;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) known = known || strncmp(leaf->architecture, families[i], strlen(families[i])) == 0;
    (void)clo_attest_check_add(c->out, "architecture", known, "unsupported", "Hopper, Blackwell or NVSwitch", leaf->architecture);
    bool debug = leaf->debug;
    (void)clo_attest_check_add(c->out, "debug", c->policy->allow_debug || !debug, "debug", c->policy->allow_debug ? "any" : "off", debug ? "on" : "off");
}

static clo_err check_policy(clo_attest_context *c, const nvidia_report *r)
{
    const clo_attest_policy *p = c->policy;
    if (p->expected_nonce.n != 0) (void)clo_attest_check_bytes(c->out, "nonce", "nonce_mismatch", p->expected_nonce, r->nonce);
    if (p->have_report_data && p->expected_nonce.n == 0) {
        (void)clo_attest_check_add(c->out, "report_data", false, "report_data_mismatch", "64 bytes of report data", "a GPU has a nonce only; demand that");
    }
    if (p->measurement_count != 0) {
        uint8_t digest[48];
        CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, r->record, digest));
        (void)clo_attest_check_one_of(c->out, "record", "measurement_mismatch", &p->measurements[0][0], p->measurement_count,
                                      clo_span_of(digest, sizeof digest));
    }
    return CLO_OK;
}

CLO_R clo_attest_nvidia_verify(clo_attest_context *c)
{
    CLO_AUTO(clo_attest_chain_free) clo_attest_chain chain = {.name = "device"};
    nvidia_report *r = NULL;
    nvidia_leaf leaf;
    bool have_leaf = false;
    CLO_TRY(take_report(c, &r));
    CLO_TRY(judge_chain(c, &chain, &leaf, &have_leaf));
    if (r != NULL && have_leaf) {
        CLO_TRY(check_signature(c, r, chain.certs[0]));
        check_leaf(c, r, &leaf);
    }
    if (r != NULL) {
        CLO_TRY(check_policy(c, r));
        CLO_TRY(clo_attest_nvidia_rims(c, r, have_leaf ? &leaf : NULL));
        /* Late, as it says the least: the signature stands where the lengths say, and what follows it is never looked at. */
        if (!c->policy->allow_trailing_bytes) {
            (void)clo_attest_check_number(c->out, "trailing_bytes", r->trailing == 0, "malformed", "=", 0, r->trailing);
        }
    }
    /* The leaf is issued by the device itself: nobody publishes anything about it. */
    if (have_leaf) CLO_TRY(clo_attest_nvidia_revocation(c, &chain, 1));
    if (r == NULL) return clo_wire_map(c->arena, &c->out->claims);
    return clo_attest_nvidia_claims(c->arena, r, have_leaf ? &leaf : NULL, &c->out->claims);
}

bool clo_attest_nvidia_recognise(const clo_attest_part *evidence, size_t evidence_count)
{
    if (evidence_count == 0 || strcmp(evidence[0].role, "report") != 0 || evidence[0].bytes.n <= SPDM_REQUEST_SIZE || evidence[0].bytes.n > REPORT_MAX) {
        return false;
    }
    const uint8_t *p = evidence[0].bytes.p;
    return p[0] == 0x11 && p[1] == 0xe0 && p[SPDM_REQUEST_SIZE] == 0x11 && p[SPDM_REQUEST_SIZE + 1] == 0x60;
}
