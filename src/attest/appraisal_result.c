#include "attest/attest_int.h"
#include "attest/demands.h"
#include "base/clo_text.h"

#include <stdio.h>

void clo_attest_result_open(clo_attest_result *r, const char *tee)
{
    memset(r, 0, sizeof *r);
    (void)snprintf(r->tee, sizeof r->tee, "%s", tee);
    r->valid_until = INT64_MAX;
}

/* Appraisals make dozens of checks: a copy costs a tenth of formatting. */
static void copy_cut(char *to, size_t to_size, const char *from)
{
    size_t n = strnlen(from, to_size - 1);
    memcpy(to, from, n);
    to[n] = '\0';
}

/* What was cut within a character loses its last bytes; what is no UTF-8 at all (names in others' certificates) shows '?' for each such byte. */
static void text_clean(char *text)
{
    size_t n = strlen(text);
    if (clo_utf8_valid(clo_span_of((const uint8_t *)text, n))) return;
    for (size_t cut = 1; cut <= 3 && cut < n; cut++) {
        if (!clo_utf8_valid(clo_span_of((const uint8_t *)text, n - cut))) continue;
        text[n - cut] = '\0';
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] >= 0x80) text[i] = '?';
    }
}

bool clo_attest_check_add(clo_attest_result *r, const char *name, bool ok, const char *reason, const char *expected, const char *actual)
{
    if (!ok && r->reason[0] == '\0') {
        (void)snprintf(r->reason, sizeof r->reason, "%s", reason);
        (void)snprintf(r->detail, sizeof r->detail, "%s: expected %s, got %s", name, expected, actual);
        text_clean(r->detail);
    }
    r->judged |= clo_attest_judged_bit(reason);
    /* A full list drops only checks that passed or that are not the first failure: the reason is already set. */
    if (r->check_count == CLO_ATTEST_CHECKS_MAX) return ok;
    clo_attest_check *check = &r->checks[r->check_count++];
    check->ok = ok;
    copy_cut(check->name, sizeof check->name, name);
    copy_cut(check->reason, sizeof check->reason, reason);
    copy_cut(check->expected, sizeof check->expected, expected);
    copy_cut(check->actual, sizeof check->actual, actual);
    if (!ok) { /* denials carry these on; those of passed checks are cleaned where they are shown */
        text_clean(check->name);
        text_clean(check->expected);
        text_clean(check->actual);
    }
    return ok;
}

/* Hex of at most 64 bytes; longer values are cut. */
static void hex_text(char to[129], clo_span s)
{
    clo_hex_encode(to, clo_span_of(s.p, s.n < 64 ? s.n : 64));
}

bool clo_attest_check_bytes(clo_attest_result *r, const char *name, const char *reason, clo_span expected, clo_span actual)
{
    char want[129], got[129];
    hex_text(want, expected);
    hex_text(got, actual);
    return clo_attest_check_add(r, name, clo_span_equal(expected, actual), reason, want, got);
}

bool clo_attest_check_one_of(clo_attest_result *r, const char *name, const char *reason, const uint8_t *allowed, size_t count, clo_span actual)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) found = found || clo_span_equal(clo_span_of(allowed + i * actual.n, actual.n), actual);
    char want[160], got[129];
    hex_text(got, actual);
    if (count == 1) {
        hex_text(want, clo_span_of(allowed, actual.n));
    } else {
        char first[129];
        hex_text(first, clo_span_of(allowed, actual.n < 16 ? actual.n : 16));
        (void)snprintf(want, sizeof want, "one of %zu allowed values (%s…)", count, first);
    }
    return clo_attest_check_add(r, name, found, reason, want, got);
}

bool clo_attest_check_number(clo_attest_result *r, const char *name, bool ok, const char *reason, const char *relation, uint64_t bound,
                             uint64_t actual)
{
    char want[64], got[32];
    (void)snprintf(want, sizeof want, "%s %llu", relation, (unsigned long long)bound);
    (void)snprintf(got, sizeof got, "%llu", (unsigned long long)actual);
    return clo_attest_check_add(r, name, ok, reason, want, got);
}

bool clo_attest_check_window(clo_attest_result *r, const char *name, const char *prefix, int64_t not_before, int64_t not_after, int64_t now)
{
    if (not_after < r->valid_until) r->valid_until = not_after;
    char from[21], to[21], at[21], want[48], reason[32];
    clo_time_format(from, not_before);
    clo_time_format(to, not_after);
    clo_time_format(at, now);
    (void)snprintf(want, sizeof want, "%s..%s", from, to);
    (void)snprintf(reason, sizeof reason, "%s%s", prefix, now < not_before ? "not_yet_valid" : "expired");
    return clo_attest_check_add(r, name, not_before <= now && now <= not_after, reason, want, at);
}

void clo_attest_result_close(clo_attest_result *r)
{
    r->valid = r->check_count > 0 && r->reason[0] == '\0';
    if (r->check_count == 0) {
        (void)clo_attest_check_add(r, "evidence", false, "malformed", "evidence", "nothing that could be checked");
    }
    if (r->valid_until == INT64_MAX || !r->valid) r->valid_until = 0;
}

clo_err clo_attest_deny(const clo_attest_result *result, const char *source)
{
    if (result->valid) return CLO_OK;
    char claim[64] = "evidence";
    const char *expected = "evidence that passes every check", *actual = result->detail;
    for (size_t i = 0; i < result->check_count; i++) {
        const clo_attest_check *check = &result->checks[i];
        if (check->ok) continue;
        (void)snprintf(claim, sizeof claim, "evidence.%s", check->name);
        expected = check->expected;
        actual = check->actual;
        break;
    }
    return CLO_DENY(CLO_E_DENIED, claim, expected, actual, source, clo_attest_advice_of(result->reason)->remedy);
}

static clo_err checks_tree(clo_arena *a, const clo_attest_result *result, clo_wire_node **out)
{
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < result->check_count; i++) {
        clo_attest_check shown = result->checks[i];
        const clo_attest_check *check = &shown;
        clo_wire_node *one = NULL;
        text_clean(shown.name);
        text_clean(shown.expected);
        text_clean(shown.actual);
        CLO_TRY(clo_wire_map(a, &one));
        CLO_TRY(clo_wire_set_text(a, one, "name", check->name));
        CLO_TRY(clo_wire_set_bool(a, one, "ok", check->ok));
        CLO_TRY(clo_wire_set_text(a, one, "expected", check->expected));
        CLO_TRY(clo_wire_set_text(a, one, "actual", check->actual));
        if (!check->ok) CLO_TRY(clo_wire_set_text(a, one, "reason", check->reason));
        if (!check->ok) CLO_TRY(clo_wire_set_text(a, one, "source", clo_attest_advice_of(check->reason)->source));
        if (!check->ok) CLO_TRY(clo_wire_set_text(a, one, "remedy", clo_attest_advice_of(check->reason)->remedy));
        CLO_TRY(clo_wire_append(list, one));
    }
    *out = list;
    return CLO_OK;
}

CLO_R clo_attest_result_tree(clo_arena *a, const clo_attest_result *result, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *tcb = NULL, *advisories = NULL, *checks = NULL, *claims = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "verdict", result->valid ? "valid" : "invalid"));
    CLO_TRY(clo_wire_set_text(a, map, "reason", result->reason));
    CLO_TRY(clo_wire_set_text(a, map, "detail", result->detail));
    CLO_TRY(clo_wire_set_text(a, map, "tee", result->tee));
    CLO_TRY(clo_wire_map(a, &claims));
    if (result->claims != NULL) { /* once more below a new parent: the result keeps its own */
        *claims = *result->claims;
        claims->key = NULL;
        claims->next = NULL;
    }
    CLO_TRY(clo_wire_set(a, map, "claims", claims));
    CLO_TRY(clo_wire_map(a, &tcb));
    CLO_TRY(clo_wire_set_text(a, tcb, "status", result->tcb_status));
    CLO_TRY(clo_wire_array(a, &advisories));
    for (size_t i = 0; i < result->advisory_count; i++) {
        clo_wire_node *one = NULL;
        CLO_TRY(clo_wire_text(a, clo_span_str(result->advisories[i]), &one));
        CLO_TRY(clo_wire_append(advisories, one));
    }
    CLO_TRY(clo_wire_set(a, tcb, "advisories", advisories));
    CLO_TRY(clo_wire_set(a, map, "tcb", tcb));
    CLO_TRY(checks_tree(a, result, &checks));
    CLO_TRY(clo_wire_set(a, map, "checks", checks));
    if (result->valid) {
        char until[21];
        clo_time_format(until, result->valid_until);
        CLO_TRY(clo_wire_set_text(a, map, "valid_until", until));
    }
    *out = map;
    return CLO_OK;
}
