/* The appraisal policy: its strict and open starting points, and its object form in agreements, command lines and test manifests. */
#include "attest/attest.h"

#include <stdio.h>

enum { NONCE_MAX = 64 };

void clo_attest_policy_init(clo_attest_policy *p)
{
    memset(p, 0, sizeof *p);
    p->require_crl = true;
    p->strict_reserved = true;
    p->accept_tcb_status = CLO_ATTEST_TCB_UP_TO_DATE;
}

void clo_attest_policy_init_open(clo_attest_policy *p)
{
    memset(p, 0, sizeof *p);
    p->vmpl_max = CLO_ATTEST_VMPL_MAX;
    p->allow_provisional_firmware = true;
    p->allow_migration_agent = true;
    p->accept_tcb_status = CLO_ATTEST_TCB_ANY;
    p->any_advisory = true;
    p->any_td_attributes = true;
}

static void take_flag(clo_wire_fields *f, const char *key, bool *out)
{
    if (clo_wire_has(f, key)) clo_wire_take_bool(f, key, out);
}

/* An array of byte strings of `size` bytes each, stored one after the other. */
static void take_list(clo_wire_fields *f, const char *key, uint8_t *to, size_t size, size_t count_max, size_t *count)
{
    if (!clo_wire_has(f, key)) return;
    const clo_wire_node *list = NULL;
    clo_wire_take_array(f, key, &list, count_max);
    if (clo_failed(f->err)) return;
    if (list->first == NULL) {
        clo_wire_fields_fail(f, CLO_E_RANGE, key, "is an empty list, which would allow nothing; leave it out or name a value");
        return;
    }
    size_t n = 0;
    for (const clo_wire_node *one = list->first; one != NULL && n < count_max; one = one->next, n++) {
        if (clo_failed(clo_wire_node_fixed(one, key, to + n * size, size))) {
            clo_wire_fields_fail(f, CLO_E_MALFORMED, key, "holds a value of the wrong length or form");
            return;
        }
    }
    *count = n;
}

static void take_svn(clo_wire_fields *f, const char *key, uint8_t *out)
{
    int64_t v = 0;
    if (!clo_wire_has(f, key)) return;
    clo_wire_take_int(f, key, &v, 0, 255);
    *out = (uint8_t)v;
}

static clo_err take_tcb(clo_arena *a, clo_wire_fields *f, clo_attest_tcb *out)
{
    if (!clo_wire_has(f, "min_reported_tcb")) return CLO_OK;
    const clo_wire_node *map = NULL;
    clo_wire_take_map(f, "min_reported_tcb", &map);
    if (clo_failed(f->err)) return CLO_OK; /* latched: the caller's end reports it */
    clo_wire_fields parts;
    clo_attest_tcb t = {.have = true};
    clo_wire_fields_open(&parts, a, map, "min_reported_tcb");
    take_svn(&parts, "fmc", &t.fmc);
    take_svn(&parts, "bl", &t.bl);
    take_svn(&parts, "tee", &t.tee);
    take_svn(&parts, "snp", &t.snp);
    take_svn(&parts, "ucode", &t.ucode);
    CLO_TRY(clo_wire_fields_end(&parts));
    *out = t;
    return CLO_OK;
}

static void take_flags(clo_wire_fields *f, clo_attest_policy *p)
{
    take_flag(f, "allow_debug", &p->allow_debug);
    take_flag(f, "allow_simulated", &p->allow_simulated);
    take_flag(f, "allow_trailing_bytes", &p->allow_trailing_bytes);
    take_flag(f, "allow_provisional_firmware", &p->allow_provisional_firmware);
    take_flag(f, "allow_migration_agent", &p->allow_migration_agent);
    take_flag(f, "strict_reserved", &p->strict_reserved);
    take_flag(f, "require_crl", &p->require_crl);
    if (clo_wire_has(f, "require_collateral")) {
        bool demanded = false;
        clo_wire_take_bool(f, "require_collateral", &demanded);
        p->require_crl = p->require_crl || demanded;
    }
}

static void take_values(clo_wire_fields *f, clo_attest_policy *p)
{
    if (clo_wire_has(f, "expected_report_data")) {
        clo_wire_take_fixed(f, "expected_report_data", p->report_data, sizeof p->report_data);
        p->have_report_data = true;
    }
    if (clo_wire_has(f, "expected_nonce")) {
        clo_wire_take_bytes(f, "expected_nonce", &p->expected_nonce, NONCE_MAX);
        /* An empty nonce would switch the check off. */
        if (p->expected_nonce.n == 0) clo_wire_fields_fail(f, CLO_E_RANGE, "expected_nonce", "is empty; leave it out or give 1 to 64 bytes");
    }
    if (clo_wire_has(f, "host_data")) {
        clo_wire_take_fixed(f, "host_data", p->host_data, sizeof p->host_data);
        p->have_host_data = true;
    }
    int64_t v = 0;
    if (clo_wire_has(f, "vmpl_max")) {
        clo_wire_take_int(f, "vmpl_max", &v, 0, CLO_ATTEST_VMPL_MAX);
        p->vmpl_max = (uint8_t)v;
    }
    if (clo_wire_has(f, "min_guest_svn")) {
        clo_wire_take_int(f, "min_guest_svn", &v, 0, UINT32_MAX);
        p->min_guest_svn = (uint32_t)v;
    }
    take_list(f, "measurements", &p->measurements[0][0], 48, CLO_ATTEST_MEASUREMENTS_MAX, &p->measurement_count);
    take_list(f, "id_key_digests", &p->id_keys[0][0], 48, CLO_ATTEST_DIGESTS_MAX, &p->id_key_count);
    take_list(f, "author_key_digests", &p->author_keys[0][0], 48, CLO_ATTEST_DIGESTS_MAX, &p->author_key_count);
    take_list(f, "roots", &p->roots[0][0], 32, CLO_ATTEST_ROOTS_MAX, &p->root_count);
    take_list(f, "chips", &p->chips[0][0], 64, CLO_ATTEST_CHIPS_MAX, &p->chip_count);
}

static clo_err policy_read(clo_arena *a, const clo_wire_node *node, bool open, clo_attest_policy *out)
{
    clo_attest_policy p;
    if (open) {
        clo_attest_policy_init_open(&p);
    } else {
        clo_attest_policy_init(&p);
    }
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, "policy");
    take_flags(&f, &p);
    take_values(&f, &p);
    if (open) {
        bool tcb = true, chip = true;
        take_flag(&f, "check_tcb_matches_cert", &tcb);
        take_flag(&f, "check_chip_id", &chip);
        p.skip_tcb_certificate_match = !tcb;
        p.skip_chip_match = !chip;
    }
    CLO_TRY(take_tcb(a, &f, &p.min_reported_tcb));
    CLO_TRY(clo_wire_fields_end(&f));
    *out = p;
    return CLO_OK;
}

CLO_R clo_attest_policy_read(clo_arena *a, const clo_wire_node *node, clo_attest_policy *out) { return policy_read(a, node, false, out); }

CLO_R clo_attest_policy_read_open(clo_arena *a, const clo_wire_node *node, clo_attest_policy *out) { return policy_read(a, node, true, out); }

static clo_err set_list(clo_arena *a, clo_wire_node *map, const char *key, const uint8_t *values, size_t size, size_t count)
{
    if (count == 0) return CLO_OK;
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *one = NULL;
        CLO_TRY(clo_wire_bytes(a, clo_span_of(values + i * size, size), &one));
        CLO_TRY(clo_wire_append(list, one));
    }
    return clo_wire_set(a, map, key, list);
}

static clo_err set_flag(clo_arena *a, clo_wire_node *map, const char *key, bool v, bool strict)
{
    return v == strict ? CLO_OK : clo_wire_set_bool(a, map, key, v);
}

static clo_err set_flags(clo_arena *a, clo_wire_node *map, const clo_attest_policy *p)
{
    CLO_TRY(set_flag(a, map, "allow_debug", p->allow_debug, false));
    CLO_TRY(set_flag(a, map, "allow_simulated", p->allow_simulated, false));
    CLO_TRY(set_flag(a, map, "allow_trailing_bytes", p->allow_trailing_bytes, false));
    CLO_TRY(set_flag(a, map, "allow_provisional_firmware", p->allow_provisional_firmware, false));
    CLO_TRY(set_flag(a, map, "allow_migration_agent", p->allow_migration_agent, false));
    CLO_TRY(set_flag(a, map, "strict_reserved", p->strict_reserved, true));
    return set_flag(a, map, "require_crl", p->require_crl, true);
}

CLO_R clo_attest_policy_tree(clo_arena *a, const clo_attest_policy *p, clo_wire_node **out)
{
    CLO_CHECKF(!p->skip_tcb_certificate_match && !p->skip_chip_match, CLO_E_RANGE,
               "a policy that skips the match with the certificate has no written form");
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(set_flags(a, map, p));
    if (p->have_report_data) CLO_TRY(clo_wire_set_bytes(a, map, "expected_report_data", clo_span_of(p->report_data, sizeof p->report_data)));
    if (p->expected_nonce.n != 0) CLO_TRY(clo_wire_set_bytes(a, map, "expected_nonce", p->expected_nonce));
    if (p->min_reported_tcb.have) {
        clo_wire_node *tcb = NULL;
        CLO_TRY(clo_wire_map(a, &tcb));
        CLO_TRY(clo_wire_set_int(a, tcb, "fmc", p->min_reported_tcb.fmc));
        CLO_TRY(clo_wire_set_int(a, tcb, "bl", p->min_reported_tcb.bl));
        CLO_TRY(clo_wire_set_int(a, tcb, "tee", p->min_reported_tcb.tee));
        CLO_TRY(clo_wire_set_int(a, tcb, "snp", p->min_reported_tcb.snp));
        CLO_TRY(clo_wire_set_int(a, tcb, "ucode", p->min_reported_tcb.ucode));
        CLO_TRY(clo_wire_set(a, map, "min_reported_tcb", tcb));
    }
    if (p->min_guest_svn != 0) CLO_TRY(clo_wire_set_int(a, map, "min_guest_svn", p->min_guest_svn));
    if (p->vmpl_max != 0) CLO_TRY(clo_wire_set_int(a, map, "vmpl_max", p->vmpl_max));
    CLO_TRY(set_list(a, map, "measurements", &p->measurements[0][0], 48, p->measurement_count));
    if (p->have_host_data) CLO_TRY(clo_wire_set_bytes(a, map, "host_data", clo_span_of(p->host_data, sizeof p->host_data)));
    CLO_TRY(set_list(a, map, "id_key_digests", &p->id_keys[0][0], 48, p->id_key_count));
    CLO_TRY(set_list(a, map, "author_key_digests", &p->author_keys[0][0], 48, p->author_key_count));
    CLO_TRY(set_list(a, map, "roots", &p->roots[0][0], 32, p->root_count));
    CLO_TRY(set_list(a, map, "chips", &p->chips[0][0], 64, p->chip_count));
    *out = map;
    return CLO_OK;
}
