/* The reader of written policies: agreements and services (strict), command lines and published cases (open). */
#include "attest/attest.h"
#include "attest/policy_claims.h"
#include "attest/policy_int.h"
#include "attest/skr_policy.h"
#include "base/clo_text.h"

#include <stddef.h>
#include <stdio.h>

enum { NONCE_MAX = 1024, PARTS_MAX = 4 }; /* a Nitro document has room for 512, a token for any text */

#define FLAG(key, member, strict, open_only, admits) {key, offsetof(clo_attest_policy, member), strict, open_only, admits}
const policy_flag clo_attest_policy_flags[] = {
    FLAG("allow_debug", allow_debug, false, false, "guests and enclaves that can be debugged: nothing in them is confidential"),
    FLAG("allow_simulated", allow_simulated, false, false, "evidence of the software TEE, which gives no protection from the operator"),
    FLAG("allow_trailing_bytes", allow_trailing_bytes, false, false, "evidence with further bytes behind it"),
    FLAG("allow_provisional_firmware", allow_provisional_firmware, false, false, "machines whose firmware the host can still roll back"),
    FLAG("allow_migration_agent", allow_migration_agent, false, false, "guests that an agent may move to another machine"),
    FLAG("allow_mac", allow_mac, false, false, "tokens that are authenticated with a shared key"),
    FLAG("allow_sha1", allow_sha1, false, false, "PCR banks of SHA-1"),
    FLAG("allow_certificate_hold", allow_certificate_hold, false, false, "graphics processors whose certificate is on hold"),
    FLAG("any_advisory", any_advisory, false, false, "machines with any known security advisory"),
    FLAG("any_td_attributes", any_td_attributes, false, false, "trust domains with any attributes beyond debug"),
    FLAG("strict_reserved", strict_reserved, true, false, "evidence whose reserved bytes are not zero"),
    FLAG("require_crl", require_crl, true, false, "evidence without current revocation lists"),
    FLAG("require_binding", require_binding, true, false, "evidence that is bound to no nonce and no keys: a copy serves as well"),
    FLAG("custom_root", custom_root, false, true, "roots that come with the collateral"),
};
#undef FLAG
const size_t clo_attest_policy_flag_count = sizeof clo_attest_policy_flags / sizeof clo_attest_policy_flags[0];

const char *const clo_attest_tcb_status_names[8] = {
    "UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate", "OutOfDateConfigurationNeeded",
    "TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded",
};
const char *const clo_attest_product_names[CLO_ATTEST_PRODUCTS] = {"Milan", "Genoa", "Turin"};

static void take_flags(clo_wire_fields *f, bool open, clo_attest_policy *p)
{
    for (size_t i = 0; i < clo_attest_policy_flag_count; i++) {
        const policy_flag *flag = &clo_attest_policy_flags[i];
        if ((flag->open_only && !open) || !clo_wire_has(f, flag->key)) continue;
        bool v = flag->strict;
        clo_wire_take_bool(f, flag->key, &v);
        memcpy((uint8_t *)p + flag->offset, &v, sizeof v);
    }
    if (clo_wire_has(f, "require_collateral")) {
        bool demanded = false;
        clo_wire_take_bool(f, "require_collateral", &demanded);
        p->require_crl = p->require_crl || demanded;
    }
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

static clo_err svns_read(clo_arena *a, const clo_wire_node *map, const char *what, clo_attest_tcb *out)
{
    clo_attest_tcb t = {.have = true};
    const struct {
        const char *key;
        uint8_t *to;
    } members[] = {{"fmc", &t.fmc}, {"bl", &t.bl}, {"tee", &t.tee}, {"snp", &t.snp}, {"ucode", &t.ucode}};
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, what);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        int64_t v = 0;
        if (clo_wire_has(&f, members[i].key)) clo_wire_take_int(&f, members[i].key, &v, 0, 255);
        *members[i].to = (uint8_t)v;
    }
    CLO_TRY(clo_wire_fields_end(&f));
    *out = t;
    return CLO_OK;
}

/* Floors for every machine, or by product. */
static clo_err take_tcb(clo_arena *a, clo_wire_fields *f, clo_attest_policy *p)
{
    if (!clo_wire_has(f, "min_reported_tcb")) return CLO_OK;
    const clo_wire_node *map = NULL, *one = NULL;
    clo_wire_take_map(f, "min_reported_tcb", &map);
    if (clo_failed(f->err)) return CLO_OK; /* latched: the caller's end reports it */
    bool by_product = false;
    for (size_t i = 0; i < CLO_ATTEST_PRODUCTS; i++) by_product = by_product || clo_wire_get(map, clo_attest_product_names[i]) != NULL;
    if (!by_product) return svns_read(a, map, "min_reported_tcb", &p->min_reported_tcb);
    clo_wire_fields products;
    clo_wire_fields_open(&products, a, map, "min_reported_tcb");
    for (size_t i = 0; i < CLO_ATTEST_PRODUCTS; i++) {
        if (!clo_wire_has(&products, clo_attest_product_names[i])) continue;
        clo_wire_take_map(&products, clo_attest_product_names[i], &one);
        if (!clo_failed(products.err)) CLO_TRY(svns_read(a, one, clo_attest_product_names[i], &p->product_tcb[i]));
    }
    p->have_product_tcb = true;
    return clo_wire_fields_end(&products);
}

static void take_number(clo_wire_fields *f, const char *key, int64_t max, int64_t *out)
{
    if (clo_wire_has(f, key)) clo_wire_take_int(f, key, out, 0, max);
}

static void take_nonce(clo_wire_fields *f, const char *key, clo_attest_policy *p)
{
    if (!clo_wire_has(f, key)) return;
    bool twice = p->expected_nonce.n != 0;
    clo_wire_take_bytes(f, key, &p->expected_nonce, NONCE_MAX);
    if (twice) clo_wire_fields_fail(f, CLO_E_DUPLICATE, key, "is the nonce by another name, and expected_nonce is there too");
    /* An empty nonce would switch the check off. */
    if (p->expected_nonce.n == 0) clo_wire_fields_fail(f, CLO_E_RANGE, key, "is empty; leave it out or give 1 to 1,024 bytes");
}

static void take_identity(clo_wire_fields *f, clo_attest_policy *p)
{
    if (clo_wire_has(f, "expected_report_data")) {
        clo_wire_take_fixed(f, "expected_report_data", p->report_data, sizeof p->report_data);
        p->have_report_data = true;
    }
    take_nonce(f, "expected_nonce", p);
    take_nonce(f, "expected_challenge", p);
    if (clo_wire_has(f, "expected_issuer")) {
        clo_wire_take_str(f, "expected_issuer", p->expected_issuer, sizeof p->expected_issuer);
        if (p->expected_issuer[0] == '\0') clo_wire_fields_fail(f, CLO_E_RANGE, "expected_issuer", "is empty; name the issuer's address");
    }
    if (clo_wire_has(f, "host_data")) {
        clo_wire_take_fixed(f, "host_data", p->host_data, sizeof p->host_data);
        p->have_host_data = true;
    }
    take_list(f, "measurements", &p->measurements[0][0], 48, CLO_ATTEST_MEASUREMENTS_MAX, &p->measurement_count);
    take_list(f, "id_key_digests", &p->id_keys[0][0], 48, CLO_ATTEST_DIGESTS_MAX, &p->id_key_count);
    take_list(f, "author_key_digests", &p->author_keys[0][0], 48, CLO_ATTEST_DIGESTS_MAX, &p->author_key_count);
    take_list(f, "roots", &p->roots[0][0], 32, CLO_ATTEST_ROOTS_MAX, &p->root_count);
    take_list(f, "chips", &p->chips[0][0], 64, CLO_ATTEST_CHIPS_MAX, &p->chip_count);
}

static void take_numbers(clo_wire_fields *f, clo_attest_policy *p)
{
    int64_t vmpl = p->vmpl_max, guest_svn = 0, evaluation = 0;
    take_number(f, "vmpl_max", CLO_ATTEST_VMPL_MAX, &vmpl);
    take_number(f, "min_guest_svn", UINT32_MAX, &guest_svn);
    take_number(f, "min_tcb_evaluation_number", UINT32_MAX, &evaluation);
    take_number(f, "collateral_grace_seconds", CLO_ATTEST_GRACE_MAX, &p->collateral_grace_s);
    take_number(f, "max_age_seconds", INT32_MAX, &p->max_age_s);
    if (clo_wire_has(f, "min_tcb_date")) clo_wire_take_time(f, "min_tcb_date", &p->min_tcb_date);
    if (p->min_tcb_date < 0) clo_wire_fields_fail(f, CLO_E_RANGE, "min_tcb_date", "lies before 1970");
    p->vmpl_max = (uint8_t)vmpl;
    p->min_guest_svn = (uint32_t)guest_svn;
    p->min_tcb_evaluation_number = (uint32_t)evaluation;
}

static uint32_t status_bit(clo_span name)
{
    for (unsigned i = 0; i < 8; i++) {
        if (clo_span_equal(name, clo_span_str(clo_attest_tcb_status_names[i]))) return UINT32_C(1) << i;
    }
    return 0;
}

/* A list of names, one name, or the two phrases of the published cases. */
static void take_statuses(clo_wire_fields *f, clo_attest_policy *p)
{
    static const char key[] = "accept_tcb_status";
    if (!clo_wire_has(f, key)) return;
    const clo_wire_node *n = NULL;
    clo_wire_take_any(f, key, &n);
    if (n == NULL) return;
    uint32_t set = 0;
    bool known = n->type == CLO_WIRE_TEXT || (n->type == CLO_WIRE_ARRAY && n->first != NULL);
    if (n->type == CLO_WIRE_TEXT && clo_span_equal(n->text, clo_span_str("UpToDate only"))) {
        set = CLO_ATTEST_TCB_UP_TO_DATE;
    } else if (n->type == CLO_WIRE_TEXT && clo_span_equal(n->text, clo_span_str("any except Revoked"))) {
        set = CLO_ATTEST_TCB_ANY;
    } else if (n->type == CLO_WIRE_TEXT) {
        set = status_bit(n->text);
        known = set != 0;
    }
    for (const clo_wire_node *one = n->type == CLO_WIRE_ARRAY ? n->first : NULL; one != NULL; one = one->next) {
        uint32_t bit = one->type == CLO_WIRE_TEXT ? status_bit(one->text) : 0;
        known = known && bit != 0;
        set |= bit;
    }
    if (!known) clo_wire_fields_fail(f, CLO_E_MALFORMED, key, "is a list of TCB statuses (UpToDate, SWHardeningNeeded, …); Revoked cannot be accepted");
    p->accept_tcb_status = set;
}

static void take_advisories(clo_wire_fields *f, clo_attest_policy *p)
{
    static const char key[] = "accepted_advisories";
    if (!clo_wire_has(f, key)) return;
    const clo_wire_node *list = NULL;
    clo_wire_take_array(f, key, &list, CLO_ATTEST_ADVISORIES_MAX);
    if (clo_failed(f->err)) return;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        if (n->type != CLO_WIRE_TEXT || n->text.n == 0 || n->text.n >= CLO_ATTEST_ADVISORY_SIZE || strlen((const char *)n->text.p) != n->text.n) {
            clo_wire_fields_fail(f, CLO_E_MALFORMED, key, "is a list of advisory names, like INTEL-SA-00615");
            return;
        }
        memcpy(p->advisories[p->advisory_count++], n->text.p, n->text.n + 1);
    }
}

/* Members by which a published case says what its files do not hold: a text that begins with `begin`, or "required" for the opposite. */
static void take_leave(clo_wire_fields *f, const char *key, const char *begin, bool *out)
{
    const char *text = NULL;
    if (!clo_wire_has(f, key)) return;
    clo_wire_take_text(f, key, &text, 200);
    *out = strncmp(text, begin, strlen(begin)) == 0;
    if (!*out && strcmp(text, "required") != 0) clo_wire_fields_fail(f, CLO_E_MALFORMED, key, "is none of the known words");
}

static void take_open(clo_wire_fields *f, clo_attest_policy *p)
{
    bool tcb = true, chip = true;
    if (clo_wire_has(f, "check_tcb_matches_cert")) clo_wire_take_bool(f, "check_tcb_matches_cert", &tcb);
    if (clo_wire_has(f, "check_chip_id")) clo_wire_take_bool(f, "check_chip_id", &chip);
    p->skip_tcb_certificate_match = !tcb;
    p->skip_chip_match = !chip;
    take_leave(f, "level", "claims only", &p->claims_only);
    take_leave(f, "revocation", "skip", &p->skip_revocation);
    take_leave(f, "signature", "skip", &p->skip_signature);
    take_leave(f, "hardware_signature", "skip", &p->skip_hardware_signature);
    take_leave(f, "ak_trusted", "given", &p->ak_trusted);
}

static clo_err policy_read(clo_arena *a, const clo_wire_node *node, bool open, bool part, clo_attest_policy *out);

/* Beside parts, the whole says only what is about the whole. */
static clo_err parts_alone(const clo_wire_node *node)
{
    static const char *const whole[] = {"parts",           "expected_nonce",  "expected_challenge", "expected_report_data",
                                        "require_binding", "required_claims", "release_policy"};
    for (const clo_wire_node *n = node->first; n != NULL; n = n->next) {
        bool allowed = false;
        for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) allowed = allowed || clo_span_equal(n->key->text, clo_span_str(whole[i]));
        CLO_CHECKF(allowed, CLO_E_MALFORMED, "policy.%.60s: where parts are named, it belongs into the policies of the parts", (const char *)n->key->text.p);
    }
    return CLO_OK;
}

/* Policies of a composite's parts; they have no parts of their own. */
static clo_err parts_read(clo_arena *a, const clo_wire_node *map, bool open, clo_attest_policy *p)
{
    CLO_CHECKF(map->count != 0 && map->count <= PARTS_MAX, CLO_E_RANGE, "policy.parts names 1 to %d parts", (int)PARTS_MAX);
    void *memory = NULL;
    CLO_TRY(clo_arena_array(a, map->count, sizeof(clo_attest_part_policy), &memory));
    clo_attest_part_policy *parts = memory;
    p->part_count = 0;
    for (const clo_wire_node *n = map->first; n != NULL; n = n->next) {
        clo_attest_part_policy *one = &parts[p->part_count++];
        clo_span name = n->key->text;
        CLO_CHECKF(n->key->type == CLO_WIRE_TEXT && name.n != 0 && name.n < sizeof one->name, CLO_E_MALFORMED,
                   "policy.parts: a part's name has 1 to %zu bytes", sizeof one->name - 1);
        memcpy(one->name, name.p, name.n);
        CLO_TRY(clo_arena_alloc(a, sizeof(clo_attest_policy), &memory));
        clo_attest_policy *policy = memory;
        clo_err e = policy_read(a, n, open, true, policy);
        if (clo_failed(e)) return clo_err_prefix(e, one->name);
        one->policy = policy;
    }
    p->parts = parts;
    return CLO_OK;
}

static clo_err policy_read(clo_arena *a, const clo_wire_node *node, bool open, bool part, clo_attest_policy *out)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_attest_policy), &memory)); /* too large for a frame that can be there twice */
    clo_attest_policy *p = memory;
    if (open) {
        clo_attest_policy_init_open(p);
    } else {
        clo_attest_policy_init(p);
        p->require_binding = !part; /* a part is bound by its composite */
    }
    clo_wire_fields f;
    const clo_wire_node *claims = NULL, *release = NULL, *parts = NULL;
    clo_wire_node *read = NULL;
    clo_wire_fields_open(&f, a, node, "policy");
    take_flags(&f, open, p);
    take_identity(&f, p);
    take_numbers(&f, p);
    take_statuses(&f, p);
    take_advisories(&f, p);
    if (clo_wire_has(&f, "required_claims")) clo_wire_take_map(&f, "required_claims", &claims);
    if (clo_wire_has(&f, "release_policy")) clo_wire_take_map(&f, "release_policy", &release);
    if (!part && clo_wire_has(&f, "parts")) clo_wire_take_map(&f, "parts", &parts);
    if (open) take_open(&f, p);
    CLO_TRY(take_tcb(a, &f, p));
    CLO_TRY(clo_wire_fields_end(&f));
    if (claims != NULL) {
        CLO_TRY(clo_attest_required_claims_read(a, claims, &read));
        p->required_claims = read;
    }
    if (release != NULL) {
        CLO_TRY(clo_attest_skr_read(a, release, &read));
        p->release_policy = read;
    }
    if (parts != NULL) CLO_TRY(parts_alone(node));
    if (parts != NULL) CLO_TRY(parts_read(a, parts, open, p));
    *out = *p;
    return CLO_OK;
}

CLO_R clo_attest_policy_read(clo_arena *a, const clo_wire_node *node, clo_attest_policy *out) { return policy_read(a, node, false, false, out); }

CLO_R clo_attest_policy_read_open(clo_arena *a, const clo_wire_node *node, clo_attest_policy *out)
{
    return policy_read(a, node, true, false, out);
}
