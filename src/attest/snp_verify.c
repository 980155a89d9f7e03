/* SEV-SNP: every check of a report against its certificates and the policy. The software TEE comes through here too. */
#include "attest/attest_int.h"
#include "base/clo_own.h"

#include <stdio.h>

enum {
    POLICY_SMT = 16,
    POLICY_MUST_BE_ONE = 17,
    POLICY_MIGRATION = 18,
    POLICY_DEBUG = 19,
    POLICY_RAPL_OFF = 23,
    POLICY_CIPHERTEXT_HIDING = 24,
    POLICY_BITS = 26,
    INFO_SMT = 0,
    INFO_RAPL_OFF = 3,
    INFO_CIPHERTEXT_HIDING = 4,
    SIGNER_VCEK = 0,
    SIGNER_VLEK = 1,
};

static bool bit(uint64_t word, unsigned index) { return ((word >> index) & 1) != 0; }

static bool all_zero(clo_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != 0) return false;
    }
    return true;
}

/* r and s: 72 bytes little-endian, of which a P-384 scalar fills the low 48. */
static bool scalar_take(uint8_t to[48], clo_span le)
{
    for (size_t i = 0; i < 48; i++) to[i] = le.p[47 - i];
    return all_zero(clo_span_of(le.p + 48, SNP_SCALAR - 48));
}

static clo_err check_signature(clo_attest_context *c, const snp_report *r, const snp_collateral *chain)
{
    uint8_t rs[96];
    const char *actual = "signed by the endorsement key";
    bool ok = false;
    if (!scalar_take(rs, r->signature_r) || !scalar_take(rs + 48, r->signature_s)) {
        actual = "numbers beyond 384 bits";
    } else if (!chain->have_key) {
        actual = "no usable endorsement key";
    } else {
        clo_span signature = clo_span_of(rs, sizeof rs);
        clo_err e = chain->loaded != NULL ? clo_crypto_verify_with(chain->loaded, CLO_SCHEME_ES384, r->signed_bytes, signature)
                                          : clo_crypto_verify_public(&chain->key, r->signed_bytes, signature);
        if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
        ok = !clo_failed(e);
        if (!ok) actual = "not signed by the endorsement key";
    }
    (void)clo_attest_check_add(c->out, "signature", ok, "bad_signature", "ECDSA P-384 by the endorsement key", actual);
    return CLO_OK;
}

static void check_layout(clo_attest_context *c, const snp_report *r)
{
    if (c->policy->strict_reserved) {
        bool zero = r->signed_reserved_zero && (r->flags >> 5) == 0;
        (void)clo_attest_check_add(c->out, "reserved", zero, "malformed", "reserved bytes are zero", zero ? "zero" : "not zero");
    }
    bool shape = bit(r->policy, POLICY_MUST_BE_ONE) && (r->policy >> POLICY_BITS) == 0;
    char got[32];
    (void)snprintf(got, sizeof got, "0x%llx", (unsigned long long)r->policy);
    (void)clo_attest_check_add(c->out, "policy.shape", shape, "malformed", "bit 17 set, bits 26-63 clear", got);
}

/* The key that the report names, the product and the chip must be those of the certificate. */
static void check_binding(clo_attest_context *c, const snp_report *r, const snp_endorsement *e)
{
    unsigned signer = (r->flags >> 2) & 7;
    (void)clo_attest_check_number(c->out, "signing_key", signer == (e->vlek ? SIGNER_VLEK : SIGNER_VCEK), "key_binding",
                                  e->vlek ? "VLEK =" : "VCEK =", e->vlek ? SIGNER_VLEK : SIGNER_VCEK, signer);
    (void)clo_attest_check_add(c->out, "mask_chip_key", !bit(r->flags, 1), "key_binding", "signed by the chip's key", bit(r->flags, 1) ? "masked" : "not masked");
    if (r->version >= 3 && e->product != SNP_PRODUCT_SIMULATED) {
        snp_product product = clo_attest_snp_product_of_cpuid(r->cpuid_family, r->cpuid_model);
        (void)clo_attest_check_add(c->out, "product", product == e->product, "key_binding", clo_attest_snp_product_name(e->product),
                                   clo_attest_snp_product_name(product));
    }
    if (!c->policy->skip_chip_match && !e->vlek && !all_zero(r->chip_id)) {
        /* A masked chip id is all zero and names no chip; the certificate's signature still binds the report to one. */
        (void)clo_attest_check_bytes(c->out, "chip_id", "chip_id_mismatch", clo_span_of(e->hardware_id, e->hardware_id_bytes),
                                     clo_span_of(r->chip_id.p, e->hardware_id_bytes));
        (void)clo_attest_check_add(c->out, "chip_id.rest", all_zero(clo_span_of(r->chip_id.p + e->hardware_id_bytes, 64 - e->hardware_id_bytes)),
                                   "chip_id_mismatch", "zero behind the hardware id", "see chip_id");
    }
}

static void tcb_text(char to[64], snp_tcb t)
{
    if (t.turin) {
        (void)snprintf(to, 64, "fmc %u bl %u tee %u snp %u ucode %u", t.fmc, t.bl, t.tee, t.snp, t.ucode);
    } else {
        (void)snprintf(to, 64, "bl %u tee %u snp %u ucode %u", t.bl, t.tee, t.snp, t.ucode);
    }
}

static bool tcb_at_most(snp_tcb a, snp_tcb b)
{
    return a.fmc <= b.fmc && a.bl <= b.bl && a.tee <= b.tee && a.snp <= b.snp && a.ucode <= b.ucode;
}

static bool check_tcb_order(clo_attest_context *c, const char *name, const char *reason, bool ok, const char *relation, snp_tcb bound, snp_tcb got)
{
    char bound_text[64], want[96], actual[64];
    tcb_text(bound_text, bound);
    tcb_text(actual, got);
    (void)snprintf(want, sizeof want, "%s %s", relation, bound_text);
    return clo_attest_check_add(c->out, name, ok, reason, want, actual);
}

static bool check_floor(clo_attest_context *c, const char *name, const clo_attest_tcb *least, bool turin, snp_tcb reported)
{
    snp_tcb floor = {.turin = turin, .fmc = turin ? least->fmc : (uint8_t)0, .bl = least->bl, .tee = least->tee, .snp = least->snp, .ucode = least->ucode};
    return check_tcb_order(c, name, "tcb_too_low", tcb_at_most(floor, reported), "at least", floor, reported);
}

/* One floor for all, and one for each product, whose firmware counts differently. */
static bool check_floors(clo_attest_context *c, const snp_report *r, const snp_collateral *chain, bool turin, snp_tcb reported)
{
    const clo_attest_policy *p = c->policy;
    bool enough = true;
    if (p->min_reported_tcb.have) enough = check_floor(c, "reported_tcb", &p->min_reported_tcb, turin, reported);
    if (!p->have_product_tcb) return enough;
    snp_product product = chain->have_endorsement ? chain->endorsement.product : clo_attest_snp_product_of_cpuid(r->cpuid_family, r->cpuid_model);
    const clo_attest_tcb *of = product == SNP_PRODUCT_MILAN   ? &p->product_tcb[CLO_ATTEST_MILAN]
                               : product == SNP_PRODUCT_GENOA ? &p->product_tcb[CLO_ATTEST_GENOA]
                               : product == SNP_PRODUCT_TURIN ? &p->product_tcb[CLO_ATTEST_TURIN]
                                                              : NULL;
    if (of != NULL && of->have) return check_floor(c, "reported_tcb.product", of, turin, reported) && enough;
    return clo_attest_check_add(c->out, "reported_tcb.product", false, "tcb_too_low", "a product for which the policy has a floor",
                                clo_attest_snp_product_name(product));
}

static uint32_t firmware_number(snp_firmware f) { return (uint32_t)f.major << 16 | (uint32_t)f.minor << 8 | f.build; }

static void check_tcb(clo_attest_context *c, const snp_report *r, const snp_collateral *chain, bool turin)
{
    const clo_attest_policy *p = c->policy;
    snp_tcb reported = clo_attest_snp_tcb(r->reported_tcb, turin), committed = clo_attest_snp_tcb(r->committed_tcb, turin),
            current = clo_attest_snp_tcb(r->current_tcb, turin);
    if (chain->have_endorsement && !p->skip_tcb_certificate_match) {
        snp_tcb of_cert = chain->endorsement.tcb;
        bool same = tcb_at_most(reported, of_cert) && tcb_at_most(of_cert, reported);
        (void)check_tcb_order(c, "reported_tcb.certificate", "tcb_mismatch", same, "=", of_cert, reported);
    }
    (void)check_tcb_order(c, "reported_tcb.committed", "tcb_mismatch", tcb_at_most(reported, committed), "at most", committed, reported);
    (void)check_tcb_order(c, "committed_tcb.current", "tcb_mismatch", tcb_at_most(committed, current), "at most", current, committed);
    bool older = firmware_number(r->committed) <= firmware_number(r->current);
    (void)clo_attest_check_number(c->out, "committed_firmware", older, "tcb_mismatch", "at most", firmware_number(r->current),
                                  firmware_number(r->committed));
    if (!p->allow_provisional_firmware) {
        bool final = tcb_at_most(current, committed) && firmware_number(r->current) == firmware_number(r->committed);
        (void)check_tcb_order(c, "provisional_firmware", "provisional_firmware", final, "current = committed", committed, current);
    }
    bool enough = check_floors(c, r, chain, turin, reported);
    (void)snprintf(c->out->tcb_status, sizeof c->out->tcb_status, "%s", enough ? "UpToDate" : "OutOfDate");
}

/* What the guest's owner fixed at launch, against what the platform says it is. */
static void check_guest_policy(clo_attest_context *c, const snp_report *r)
{
    const clo_attest_policy *p = c->policy;
    bool debug = bit(r->policy, POLICY_DEBUG);
    (void)clo_attest_check_add(c->out, "debug", p->allow_debug || !debug, "debug", p->allow_debug ? "any" : "off", debug ? "on" : "off");
    bool migration = bit(r->policy, POLICY_MIGRATION);
    (void)clo_attest_check_add(c->out, "migration_agent", p->allow_migration_agent || !migration, "migration",
                               p->allow_migration_agent ? "any" : "none", migration ? "allowed" : "none");
    uint32_t vmpl_max = p->vmpl_max < CLO_ATTEST_VMPL_MAX ? p->vmpl_max : (uint32_t)CLO_ATTEST_VMPL_MAX;
    (void)clo_attest_check_number(c->out, "vmpl", r->vmpl <= vmpl_max, "vmpl", "at most", vmpl_max, r->vmpl);
    (void)clo_attest_check_number(c->out, "guest_svn", r->guest_svn >= p->min_guest_svn, "tcb_too_low", "at least", p->min_guest_svn, r->guest_svn);
    bool smt = bit(r->policy, POLICY_SMT) || !bit(r->platform_info, INFO_SMT);
    (void)clo_attest_check_add(c->out, "platform.smt", smt, "platform_policy", bit(r->policy, POLICY_SMT) ? "any" : "off",
                               bit(r->platform_info, INFO_SMT) ? "on" : "off");
    if (bit(r->policy, POLICY_RAPL_OFF)) {
        bool off = bit(r->platform_info, INFO_RAPL_OFF);
        (void)clo_attest_check_add(c->out, "platform.rapl", off, "platform_policy", "off", off ? "off" : "on");
    }
    if (bit(r->policy, POLICY_CIPHERTEXT_HIDING)) {
        bool on = bit(r->platform_info, INFO_CIPHERTEXT_HIDING);
        (void)clo_attest_check_add(c->out, "platform.ciphertext_hiding", on, "platform_policy", "on", on ? "on" : "off");
    }
    uint32_t need = (uint32_t)(((r->policy >> 8) & 0xff) << 8 | (r->policy & 0xff));
    uint32_t have = (uint32_t)r->current.major << 8 | r->current.minor;
    (void)clo_attest_check_number(c->out, "platform.abi", have >= need, "platform_policy", "at least", need, have);
}

static void check_identity(clo_attest_context *c, const snp_report *r)
{
    const clo_attest_policy *p = c->policy;
    if (p->have_report_data) {
        (void)clo_attest_check_bytes(c->out, "report_data", "report_data_mismatch", clo_span_of(p->report_data, sizeof p->report_data), r->report_data);
    }
    if (p->expected_nonce.n != 0) {
        /* A nonce shorter than the field stands at its start, zeros follow: what configfs-tsm and the guest driver write. */
        bool fits = p->expected_nonce.n <= r->report_data.n;
        size_t n = fits ? p->expected_nonce.n : r->report_data.n;
        bool same = fits && clo_span_equal(p->expected_nonce, clo_span_of(r->report_data.p, n)) &&
                    all_zero(clo_span_of(r->report_data.p + n, r->report_data.n - n));
        (void)clo_attest_check_add(c->out, "nonce", same, "nonce_mismatch", "the expected nonce, zero-padded", same ? "the expected nonce" : "other bytes");
    }
    if (p->measurement_count != 0) {
        (void)clo_attest_check_one_of(c->out, "measurement", "measurement_mismatch", &p->measurements[0][0], p->measurement_count, r->measurement);
    }
    if (p->have_host_data) {
        (void)clo_attest_check_bytes(c->out, "host_data", "host_data_mismatch", clo_span_of(p->host_data, sizeof p->host_data), r->host_data);
    }
    if (p->id_key_count != 0) {
        (void)clo_attest_check_one_of(c->out, "id_key_digest", "id_key_mismatch", &p->id_keys[0][0], p->id_key_count, r->id_key_digest);
    }
    if (p->author_key_count != 0) {
        bool enabled = bit(r->flags, 0);
        (void)clo_attest_check_add(c->out, "author_key_enabled", enabled, "author_key_mismatch", "on", enabled ? "on" : "off");
        (void)clo_attest_check_one_of(c->out, "author_key_digest", "author_key_mismatch", &p->author_keys[0][0], p->author_key_count,
                                      r->author_key_digest);
    }
    if (p->chip_count != 0) {
        (void)clo_attest_check_one_of(c->out, "chip", "chip_not_allowed", &p->chips[0][0], p->chip_count, r->chip_id);
    }
}

/* The report's bytes, without trailing ones where the policy lets them be. Notes a failed check and leaves parsed false otherwise. */
static void take_report(clo_attest_context *c, snp_report *r, bool *parsed)
{
    const clo_attest_part *part = clo_attest_part_find(c, "report");
    *parsed = false;
    if (part == NULL) {
        (void)clo_attest_check_add(c->out, "report", false, "malformed", "an attestation report of 1,184 bytes", "none");
        return;
    }
    clo_span bytes = part->bytes;
    if (c->policy->allow_trailing_bytes && bytes.n > SNP_REPORT_SIZE) bytes.n = SNP_REPORT_SIZE;
    clo_err e = clo_attest_snp_parse(bytes, r);
    *parsed = !clo_failed(e);
    char got[160];
    (void)snprintf(got, sizeof got, "%zu bytes%s%s", part->bytes.n, *parsed ? "" : ": ", *parsed ? "" : clo_err_text());
    (void)clo_attest_check_add(c->out, "report", *parsed, "malformed", "an attestation report of 1,184 bytes", got);
    if (*parsed && c->policy->strict_reserved) {
        bool zero = r->unsigned_reserved_zero;
        (void)clo_attest_check_add(c->out, "reserved.unsigned", zero, "malformed", "zero behind the signature", zero ? "zero" : "not zero");
    }
}

/* What the verdict rests on: the certificate's own TCB, product and chip, and the root. */
static clo_err set_tcb(clo_attest_context *c, const snp_collateral *f)
{
    const snp_endorsement *e = &f->endorsement;
    clo_wire_node *map = NULL, *tcb = NULL;
    if (!f->have_endorsement) return CLO_OK;
    CLO_TRY(clo_wire_map(c->arena, &map));
    if (e->tcb.turin) CLO_TRY(clo_wire_set_int(c->arena, map, "fmc", e->tcb.fmc));
    CLO_TRY(clo_wire_set_int(c->arena, map, "bl", e->tcb.bl));
    CLO_TRY(clo_wire_set_int(c->arena, map, "tee", e->tcb.tee));
    CLO_TRY(clo_wire_set_int(c->arena, map, "snp", e->tcb.snp));
    CLO_TRY(clo_wire_set_int(c->arena, map, "ucode", e->tcb.ucode));
    CLO_TRY(clo_wire_set_text(c->arena, map, "product", e->product_text));
    CLO_TRY(e->vlek ? clo_wire_set_text(c->arena, map, "cspid", e->csp) : clo_wire_set_bytes(c->arena, map, "hwid", clo_span_of(e->hardware_id, e->hardware_id_bytes)));
    CLO_TRY(clo_wire_map(c->arena, &tcb));
    CLO_TRY(clo_wire_set(c->arena, tcb, "certificate", map));
    if (f->ark.there) CLO_TRY(clo_wire_set_bytes(c->arena, tcb, "ark_sha256", clo_span_of(f->root, sizeof f->root)));
    c->out->tcb = tcb;
    return CLO_OK;
}

CLO_R clo_attest_snp_appraise(clo_attest_context *c, bool simulated)
{
    snp_report r;
    CLO_AUTO(clo_attest_snp_chain_free) snp_chain chain = {.kept = NULL};
    const snp_collateral *facts = &chain.facts;
    bool parsed = false;
    take_report(c, &r, &parsed);
    CLO_TRY(clo_attest_snp_chain(c, simulated, &chain));
    if (!parsed) {
        CLO_TRY(clo_wire_map(c->arena, &c->out->claims));
        return CLO_OK;
    }
    bool turin = facts->have_endorsement ? facts->endorsement.tcb.turin
                                        : r.version >= 3 && clo_attest_snp_product_of_cpuid(r.cpuid_family, r.cpuid_model) == SNP_PRODUCT_TURIN;
    CLO_TRY(check_signature(c, &r, facts));
    check_layout(c, &r);
    if (facts->have_endorsement) check_binding(c, &r, &facts->endorsement);
    check_tcb(c, &r, facts, turin);
    check_guest_policy(c, &r);
    check_identity(c, &r);
    CLO_TRY(set_tcb(c, facts));
    return clo_attest_snp_claims(c->arena, &r, turin, &c->out->claims);
}

CLO_R clo_attest_snp_verify(clo_attest_context *c) { return clo_attest_snp_appraise(c, false); }

bool clo_attest_snp_recognise(const clo_attest_part *evidence, size_t evidence_count)
{
    return evidence_count != 0 && strcmp(evidence[0].role, "report") == 0 && evidence[0].bytes.n == SNP_REPORT_SIZE;
}
