#include "attest/policy_diff.h"
#include "attest/policy_claims.h"
#include "attest/policy_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/cbor.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct {
    clo_arena *arena;
    clo_attest_policy_change *changes;
    size_t count;
    const char *prefix; /* of the members: "parts.gpu." */
} report;

static clo_err add(report *r, bool admits, const char *member, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static clo_err add(report *r, bool admits, const char *member, const char *fmt, ...)
{
    CLO_CHECKF(r->count < CLO_POLICY_CHANGES_MAX, CLO_E_TOO_MANY, "the policies differ in more than %d ways", (int)CLO_POLICY_CHANGES_MAX);
    clo_attest_policy_change *c = &r->changes[r->count++];
    c->admits = admits;
    (void)snprintf(c->member, sizeof c->member, "%s%s", r->prefix, member);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(c->text, sizeof c->text, fmt, args);
    va_end(args);
    return CLO_OK;
}

static clo_err diff_flags(report *r, const clo_attest_policy *x, const clo_attest_policy *y)
{
    for (size_t i = 0; i < clo_attest_policy_flag_count; i++) {
        const policy_flag *f = &clo_attest_policy_flags[i];
        bool old = policy_flag_get(x, f), now = policy_flag_get(y, f);
        if (old != now) CLO_TRY(add(r, now != f->strict, f->key, "%s", f->admits));
    }
    const struct {
        bool old, now;
        const char *key, *admits;
    } cases[] = {
        {x->claims_only, y->claims_only, "level", "claims without any signature"},
        {x->skip_signature, y->skip_signature, "signature", "tokens whose signature is not checked"},
        {x->skip_hardware_signature, y->skip_hardware_signature, "hardware_signature", "hardware reports whose signature is not checked"},
        {x->skip_revocation, y->skip_revocation, "revocation", "certificates that may be revoked"},
        {x->ak_trusted, y->ak_trusted, "ak_trusted", "TPM keys that nobody vouches for"},
        {x->skip_tcb_certificate_match, y->skip_tcb_certificate_match, "check_tcb_matches_cert", "reports whose TCB is not the certificate's"},
        {x->skip_chip_match, y->skip_chip_match, "check_chip_id", "reports of another chip than the certificate's"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cases[i].old != cases[i].now) CLO_TRY(add(r, cases[i].now, cases[i].key, "%s", cases[i].admits));
    }
    return CLO_OK;
}

static bool holds(const uint8_t *list, size_t size, size_t count, const uint8_t *one)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(list + i * size, one, size) == 0) return true;
    }
    return false;
}

/* Allow-lists: empty = any. */
static clo_err diff_list(report *r, const char *key, const char *what, size_t size, const uint8_t *x, size_t xn, const uint8_t *y, size_t yn)
{
    char hex[33];
    if (xn == 0 && yn == 0) return CLO_OK;
    if (xn == 0) return add(r, false, key, "%s other than the %zu listed", what, yn);
    if (yn == 0) return add(r, true, key, "any %s (the list of %zu is gone)", what, xn);
    for (size_t i = 0; i < yn; i++) {
        clo_hex_encode(hex, clo_span_of(y + i * size, 16));
        if (!holds(x, size, xn, y + i * size)) CLO_TRY(add(r, true, key, "%s %s…", what, hex));
    }
    for (size_t i = 0; i < xn; i++) {
        clo_hex_encode(hex, clo_span_of(x + i * size, 16));
        if (!holds(y, size, yn, x + i * size)) CLO_TRY(add(r, false, key, "%s %s…", what, hex));
    }
    return CLO_OK;
}

static clo_err diff_lists(report *r, const clo_attest_policy *x, const clo_attest_policy *y)
{
    CLO_TRY(diff_list(r, "measurements", "measurement", 48, &x->measurements[0][0], x->measurement_count, &y->measurements[0][0], y->measurement_count));
    CLO_TRY(diff_list(r, "id_key_digests", "ID key", 48, &x->id_keys[0][0], x->id_key_count, &y->id_keys[0][0], y->id_key_count));
    CLO_TRY(diff_list(r, "author_key_digests", "author key", 48, &x->author_keys[0][0], x->author_key_count, &y->author_keys[0][0], y->author_key_count));
    CLO_TRY(diff_list(r, "roots", "root certificate", 32, &x->roots[0][0], x->root_count, &y->roots[0][0], y->root_count));
    CLO_TRY(diff_list(r, "chips", "chip", 64, &x->chips[0][0], x->chip_count, &y->chips[0][0], y->chip_count));
    CLO_TRY(diff_list(r, "host_data", "host data", 32, x->host_data, x->have_host_data, y->host_data, y->have_host_data));
    CLO_TRY(diff_list(r, "expected_report_data", "report data", 64, x->report_data, x->have_report_data, y->report_data, y->have_report_data));
    clo_span a = x->expected_nonce, b = y->expected_nonce;
    if (!clo_span_equal(a, b)) {
        if (a.n != 0) CLO_TRY(add(r, true, "expected_nonce", b.n == 0 ? "evidence with any nonce" : "evidence with the new nonce"));
        if (b.n != 0) CLO_TRY(add(r, false, "expected_nonce", "evidence with another nonce than the new one"));
    }
    const char *i = x->expected_issuer, *k = y->expected_issuer;
    if (strcmp(i, k) != 0) {
        if (i[0] != '\0') CLO_TRY(add(r, true, "expected_issuer", "tokens of %.180s", k[0] == '\0' ? "any issuer, where it is open" : k));
        if (k[0] != '\0') CLO_TRY(add(r, false, "expected_issuer", "tokens of %.180s", i[0] == '\0' ? "other issuers" : i));
    }
    return CLO_OK;
}

/* A floor or a ceiling; zero_is_none: 0 = no limit at all. */
static clo_err diff_number(report *r, const char *key, const char *what, int64_t x, int64_t y, bool ceiling, bool zero_is_none)
{
    if (x == y) return CLO_OK;
    bool more = ceiling ? y > x : y < x;
    if (zero_is_none && x == 0) more = false;
    if (zero_is_none && y == 0) more = true;
    if (zero_is_none && more && y == 0) return add(r, true, key, "%s without limit (was %lld)", what, (long long)x);
    int64_t from = more ? x : y, to = more ? y : x;
    if (zero_is_none && !more && x == 0) return add(r, false, key, "%s beyond %lld", what, (long long)y);
    int64_t low = from < to ? from : to, high = from < to ? to : from;
    return add(r, more, key, "%s from %lld to %lld", what, (long long)(ceiling ? low + 1 : low), (long long)(ceiling ? high : high - 1));
}

static clo_err diff_svns(report *r, const char *key, const clo_attest_tcb *x, const clo_attest_tcb *y)
{
    if (!x->have && !y->have) return CLO_OK;
    if (!x->have || !y->have) return add(r, !y->have, key, "machines with older firmware than the floor");
    const struct {
        const char *name;
        uint8_t old, now;
    } parts[] = {{"FMC", x->fmc, y->fmc}, {"boot loader", x->bl, y->bl}, {"TEE", x->tee, y->tee}, {"SNP", x->snp, y->snp}, {"microcode", x->ucode, y->ucode}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].old != parts[i].now)
            CLO_TRY(add(r, parts[i].now < parts[i].old, key, "machines with %s firmware %u to %u", parts[i].name,
                        parts[i].now < parts[i].old ? parts[i].now : parts[i].old, (parts[i].now < parts[i].old ? parts[i].old : parts[i].now) - 1u));
    }
    return CLO_OK;
}

static clo_err diff_tcb(report *r, const clo_attest_policy *x, const clo_attest_policy *y)
{
    static const char key[] = "min_reported_tcb";
    if (x->have_product_tcb != y->have_product_tcb) {
        CLO_TRY(add(r, true, key, "machines between the floors for all products and those by product"));
        CLO_TRY(add(r, false, key, "machines between the floors for all products and those by product"));
    } else if (x->have_product_tcb) {
        for (size_t i = 0; i < CLO_ATTEST_PRODUCTS; i++) {
            char member[48];
            (void)snprintf(member, sizeof member, "%s.%s", key, clo_attest_product_names[i]);
            if (x->product_tcb[i].have != y->product_tcb[i].have) {
                CLO_TRY(add(r, y->product_tcb[i].have, member, "machines of this product"));
            } else {
                CLO_TRY(diff_svns(r, member, &x->product_tcb[i], &y->product_tcb[i]));
            }
        }
    }
    CLO_TRY(diff_svns(r, key, &x->min_reported_tcb, &y->min_reported_tcb));
    for (unsigned i = 0; i < 8; i++) {
        bool old = (x->accept_tcb_status >> i & 1) != 0, now = (y->accept_tcb_status >> i & 1) != 0;
        if (old != now) CLO_TRY(add(r, now, "accept_tcb_status", "machines whose TCB is %s", clo_attest_tcb_status_names[i]));
    }
    for (size_t i = 0; i < y->advisory_count && !x->any_advisory; i++) {
        bool old = false;
        for (size_t k = 0; k < x->advisory_count; k++) old = old || strcmp(x->advisories[k], y->advisories[i]) == 0;
        if (!old) CLO_TRY(add(r, true, "accepted_advisories", "machines with advisory %s", y->advisories[i]));
    }
    for (size_t i = 0; i < x->advisory_count && !y->any_advisory; i++) {
        bool now = false;
        for (size_t k = 0; k < y->advisory_count; k++) now = now || strcmp(y->advisories[k], x->advisories[i]) == 0;
        if (!now) CLO_TRY(add(r, false, "accepted_advisories", "machines with advisory %s", x->advisories[i]));
    }
    return CLO_OK;
}

static clo_err diff_numbers(report *r, const clo_attest_policy *x, const clo_attest_policy *y)
{
    CLO_TRY(diff_number(r, "vmpl_max", "reports of a VMPL", x->vmpl_max, y->vmpl_max, true, false));
    CLO_TRY(diff_number(r, "min_guest_svn", "guests with an SVN", x->min_guest_svn, y->min_guest_svn, false, false));
    CLO_TRY(diff_number(r, "min_tcb_evaluation_number", "TCB information with an evaluation number", x->min_tcb_evaluation_number, y->min_tcb_evaluation_number,
                        false, false));
    CLO_TRY(diff_number(r, "collateral_grace_seconds", "collateral beyond its next update by seconds", x->collateral_grace_s, y->collateral_grace_s, true, false));
    CLO_TRY(diff_number(r, "max_age_seconds", "evidence with an age in seconds", x->max_age_s, y->max_age_s, true, true));
    if (x->min_tcb_date == y->min_tcb_date) return CLO_OK;
    char from[40], to[40];
    bool more = y->min_tcb_date < x->min_tcb_date;
    clo_time_format(from, more ? y->min_tcb_date : x->min_tcb_date);
    clo_time_format(to, more ? x->min_tcb_date : y->min_tcb_date);
    return add(r, more, "min_tcb_date", "TCB levels dated from %s to %s", from, to);
}

static bool has_value(const clo_wire_node *values, const clo_wire_node *one)
{
    for (const clo_wire_node *n = values->first; n != NULL; n = n->next) {
        if (clo_attest_claim_equal(n, one)) return true;
    }
    return false;
}

/* Values of `y` that `x` does not list. */
static clo_err diff_values(report *r, bool admits, const char *member, const clo_wire_node *x, const clo_wire_node *y)
{
    char text[136];
    for (const clo_wire_node *n = y->first; n != NULL; n = n->next) {
        if (has_value(x, n)) continue;
        clo_attest_claim_text(n, text, sizeof text);
        CLO_TRY(add(r, admits, member, "the value %s", text));
    }
    return CLO_OK;
}

static const clo_wire_node nothing = {.type = CLO_WIRE_MAP};
static clo_err diff_claims(report *r, const clo_wire_node *x, const clo_wire_node *y)
{
    if (x == NULL) x = &nothing;
    if (y == NULL) y = &nothing;
    char member[80];
    for (const clo_wire_node *n = y->first; n != NULL; n = n->next) {
        const char *path = (const char *)n->key->text.p;
        const clo_wire_node *old = clo_wire_get(x, path);
        (void)snprintf(member, sizeof member, "required_claims.%s", path);
        if (old == NULL) {
            CLO_TRY(add(r, false, member, "any other value than the %zu listed, and evidence without this claim", n->count));
            continue;
        }
        CLO_TRY(diff_values(r, true, member, old, n));
        CLO_TRY(diff_values(r, false, member, n, old));
    }
    for (const clo_wire_node *n = x->first; n != NULL; n = n->next) {
        const char *path = (const char *)n->key->text.p;
        (void)snprintf(member, sizeof member, "required_claims.%s", path);
        if (clo_wire_get(y, path) == NULL) CLO_TRY(add(r, true, member, "any value, and evidence without this claim"));
    }
    return CLO_OK;
}

static clo_err diff_release(report *r, const clo_wire_node *x, const clo_wire_node *y)
{
    static const char key[] = "release_policy";
    if (x == NULL && y == NULL) return CLO_OK;
    if (x == NULL) return add(r, false, key, "claims that the release policy does not allow");
    if (y == NULL) return add(r, true, key, "claims that the release policy did not allow");
    CLO_AUTO(clo_buf_free) clo_buf one;
    CLO_AUTO(clo_buf_free) clo_buf two;
    clo_buf_init(&one, 1 << 20);
    clo_buf_init(&two, 1 << 20);
    CLO_TRY(clo_wire_cbor_encode(x, &one));
    CLO_TRY(clo_wire_cbor_encode(y, &two));
    if (clo_span_equal(clo_buf_span(&one), clo_buf_span(&two))) return CLO_OK;
    CLO_TRY(add(r, true, key, "whatever its new conditions allow (not compared further: judge recorded evidence by both)"));
    return add(r, false, key, "whatever only its old conditions allowed");
}

static clo_err diff_policy(report *r, const clo_attest_policy *x, const clo_attest_policy *y)
{
    CLO_TRY(diff_flags(r, x, y));
    CLO_TRY(diff_lists(r, x, y));
    CLO_TRY(diff_tcb(r, x, y));
    CLO_TRY(diff_numbers(r, x, y));
    CLO_TRY(diff_claims(r, x->required_claims, y->required_claims));
    return diff_release(r, x->release_policy, y->release_policy);
}

static const clo_attest_policy *part_find(const clo_attest_policy *p, const char *name)
{
    for (size_t i = 0; i < p->part_count; i++) {
        if (strcmp(p->parts[i].name, name) == 0) return p->parts[i].policy;
    }
    return NULL;
}

/* Composites must have exactly the parts that are named, so another set of names admits and refuses. */
static clo_err diff_parts(report *r, const clo_attest_policy *x, const clo_attest_policy *y)
{
    bool same = x->part_count == y->part_count;
    for (size_t i = 0; i < y->part_count; i++) same = same && part_find(x, y->parts[i].name) != NULL;
    if (!same) {
        if (x->part_count != 0) CLO_TRY(add(r, true, "parts", y->part_count == 0 ? "composites of any parts" : "composites of the new set of parts"));
        if (y->part_count != 0) CLO_TRY(add(r, false, "parts", "composites of other parts than the %zu named", y->part_count));
        return CLO_OK;
    }
    for (size_t i = 0; i < y->part_count; i++) {
        CLO_TRY(clo_arena_printf(r->arena, &r->prefix, "parts.%s.", y->parts[i].name));
        CLO_TRY(diff_policy(r, part_find(x, y->parts[i].name), y->parts[i].policy));
    }
    return CLO_OK;
}

CLO_R clo_attest_policy_diff(clo_arena *a, const clo_attest_policy *old, const clo_attest_policy *next, clo_attest_policy_change **changes,
                             size_t *count)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_array(a, CLO_POLICY_CHANGES_MAX, sizeof(clo_attest_policy_change), &memory));
    report r = {.arena = a, .changes = memory, .prefix = ""};
    CLO_TRY(diff_policy(&r, old, next));
    CLO_TRY(diff_parts(&r, old, next));
    *changes = r.changes;
    *count = r.count;
    return CLO_OK;
}

CLO_R clo_attest_policy_describe(clo_arena *a, const clo_attest_policy *p, clo_attest_policy_change **changes, size_t *count)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_attest_policy), &memory));
    clo_attest_policy *strict = memory;
    clo_attest_policy_init(strict);
    strict->require_binding = true;
    return clo_attest_policy_diff(a, strict, p, changes, count);
}
