/* Measurements of a GPU or switch against the manifests of its driver and firmware. */
#include "attest/nvidia_int.h"
#include "attest/rim_file.h"
#include "base/clo_own.h"

#include <stdio.h>

/* The measurement that counts only where the first video decoder is switched on (index of the RIM file). */
enum { NVDEC_INDEX = 35, NVDEC_DISABLED = 0x55 };

/* A context in which "root" means the manifests' root and nothing else does. */
static void rim_context(const clo_attest_context *c, clo_attest_part *parts, clo_attest_context *out)
{
    *out = *c;
    out->evidence = NULL;
    out->evidence_count = 0;
    out->collateral = parts;
    out->collateral_count = 0;
    out->given_root_known = false;
    for (size_t i = 0; i < c->collateral_count; i++) {
        const clo_attest_part *part = &c->collateral[i];
        if (strcmp(part->role, "root") == 0) continue;
        parts[out->collateral_count] = *part;
        if (strcmp(part->role, "rim_root") == 0) (void)snprintf(parts[out->collateral_count].role, sizeof part->role, "root");
        out->collateral_count++;
    }
}

/* The signer's chain: to the manifests' root, in its windows, not revoked, and its first certificate not that of an authority. */
static clo_err judge_signer(clo_attest_context *c, const char *name, const clo_wire_xml_signer *signer)
{
    CLO_AUTO(clo_attest_chain_free) clo_attest_chain chain = {.name = name};
    clo_attest_part parts[CLO_ATTEST_PARTS_MAX];
    clo_attest_context with_rim_root;
    bool ok = false;
    for (size_t i = 0; i < signer->count; i++) {
        clo_err e = clo_attest_chain_take(&chain, signer->certs[i]);
        if (!clo_failed(e)) continue;
        if (!clo_attest_err_is_about_input(e)) return e;
        (void)clo_attest_check_add(c->out, name, false, "bad_chain", "certificates", clo_err_text());
        return CLO_OK;
    }
    bool leaf = !clo_crypto_cert_is_ca(chain.certs[0]);
    (void)clo_attest_check_add(c->out, name, leaf, "bad_chain", "signed by a certificate that is no authority's", leaf ? "so it is" : "an authority's");
    rim_context(c, parts, &with_rim_root);
    CLO_TRY(clo_attest_chain_judge(&with_rim_root, &chain, CLO_ATTEST_ANCHOR_NVIDIA_RIM, true, &ok));
    return clo_attest_nvidia_revocation(&with_rim_root, &chain, 0);
}

static bool same_text_any_case(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        int x = *a >= 'a' && *a <= 'z' ? *a - 'a' + 'A' : *a, y = *b >= 'a' && *b <= 'z' ? *b - 'a' + 'A' : *b;
        if (x != y) return false;
    }
    return *a == *b;
}

static bool allowed(const clo_attest_rim_measurement *m, clo_span value)
{
    for (size_t i = 0; i < m->count; i++) {
        if (clo_span_equal(m->values[i], value)) return true;
    }
    return false;
}

/* Blocks count from 1 and RIM files from 0. */
static void compare(clo_attest_context *c, const char *name, const nvidia_report *r, const clo_attest_rim *rim)
{
    clo_span nvdec = clo_attest_nvidia_field(r, NVIDIA_NVDEC_STATUS);
    bool skip_nvdec = nvdec.n == 1 && nvdec.p[0] == NVDEC_DISABLED;
    char want[96], differ[96] = "", check[48];
    size_t bad = 0, at = 0;
    for (size_t i = 0; i < CLO_ATTEST_RIM_INDEXES; i++) {
        const clo_attest_rim_measurement *m = &rim->measurements[i];
        if (!m->active || (i == NVDEC_INDEX && skip_nvdec)) continue;
        if (i + 1 < NVIDIA_INDEX_MAX && r->measurements[i + 1].p != NULL && allowed(m, r->measurements[i + 1])) continue;
        bad++;
        int n = at < sizeof differ ? snprintf(differ + at, sizeof differ - at, " %zu", i + 1) : 0;
        at += n > 0 ? (size_t)n : 0;
    }
    (void)snprintf(check, sizeof check, "%s.measurements", name);
    (void)snprintf(want, sizeof want, "the %zu measurements of version %.40s", rim->active, rim->version);
    char got[128];
    (void)snprintf(got, sizeof got, "%zu differ:%s", bad, differ);
    (void)clo_attest_check_add(c->out, check, bad == 0, "measurement_mismatch", want, bad == 0 ? "the same" : got);
}

/* Read, judge and compare one manifest; *rim stays NULL where there is none that can be used. */
static clo_err judge_rim(clo_attest_context *c, const char *role, const nvidia_report *r, const nvidia_leaf *leaf, const char *version,
                         clo_attest_rim **rim)
{
    const clo_attest_part *part = clo_attest_part_find(c, role);
    if (part == NULL) return CLO_OK;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(c->arena, sizeof(clo_attest_rim), &memory));
    clo_attest_rim *read = memory;
    clo_err e = clo_attest_rim_read(c->arena, part->bytes, read);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    bool ok = !clo_failed(e);
    (void)clo_attest_check_add(c->out, role, ok, e.code == CLO_E_BAD_SIGNATURE ? "bad_collateral_signature" : "malformed",
                               "a signed reference integrity manifest", ok ? read->tag_id : clo_err_text());
    if (!ok) return CLO_OK;
    CLO_TRY(judge_signer(c, role, &read->signer));
    char name[48];
    (void)snprintf(name, sizeof name, "%s.version", role);
    (void)clo_attest_check_add(c->out, name, same_text_any_case(read->version, version), "measurement_mismatch", read->version, version);
    bool product = read->product[0] == '\0' || leaf == NULL || same_text_any_case(read->product, leaf->architecture);
    (void)snprintf(name, sizeof name, "%s.product", role);
    (void)clo_attest_check_add(c->out, name, product, "measurement_mismatch", read->product, leaf == NULL ? "" : leaf->architecture);
    compare(c, role, r, read);
    *rim = read;
    return CLO_OK;
}

CLO_R clo_attest_nvidia_rims(clo_attest_context *c, const nvidia_report *r, const nvidia_leaf *leaf)
{
    char version[64];
    clo_attest_rim *driver = NULL, *vbios = NULL;
    clo_attest_nvidia_driver_version(r, version);
    CLO_TRY(judge_rim(c, "driver_rim", r, leaf, version, &driver));
    clo_attest_nvidia_vbios_version(r, version);
    CLO_TRY(judge_rim(c, "vbios_rim", r, leaf, version, &vbios));
    if (driver != NULL && vbios != NULL) {
        size_t both = 0;
        for (size_t i = 0; i < CLO_ATTEST_RIM_INDEXES; i++) both += driver->measurements[i].active && vbios->measurements[i].active ? 1 : 0;
        (void)clo_attest_check_number(c->out, "rims.overlap", both == 0, "measurement_mismatch", "measurements in both:", 0, both);
    }
    bool any = clo_attest_part_find(c, "driver_rim") != NULL || clo_attest_part_find(c, "vbios_rim") != NULL;
    const clo_attest_policy *p = c->policy;
    if (p->require_crl && !any && p->required_claims == NULL && p->measurement_count == 0) {
        /* Without any reference value the report only says that it is a GPU. */
        (void)clo_attest_check_add(c->out, "rims", false, "collateral_missing", "driver_rim and vbios_rim, or values that the policy names", "none");
    }
    return CLO_OK;
}
