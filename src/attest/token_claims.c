/* Claims of JSON tokens: forms by table, texts and bytes out of them, challenges and measurements against the policy. */
#include "attest/token_int.h"
#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdio.h>

static bool is_hex(clo_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) return false;
    }
    return true;
}

static bool is_base64url(clo_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        if (!ok) return false;
    }
    return s.n % 4 != 1;
}

static bool is_texts(const clo_wire_node *n)
{
    if (n->type == CLO_WIRE_TEXT) return true;
    if (n->type != CLO_WIRE_ARRAY) return false;
    for (const clo_wire_node *one = n->first; one != NULL; one = one->next) {
        if (one->type != CLO_WIRE_TEXT) return false;
    }
    return true;
}

/* The number behind an "h". */
static size_t hex_bytes(const char *form)
{
    size_t n = 0;
    for (const char *at = form + 1; *at >= '0' && *at <= '9'; at++) n = n * 10 + (size_t)(*at - '0');
    return n;
}

static bool has_form(const clo_wire_node *n, const char *form)
{
    bool text = n->type == CLO_WIRE_TEXT;
    switch (form[0]) {
    case 'b':
        return n->type == CLO_WIRE_BOOL;
    case 'u':
        return n->type == CLO_WIRE_INT && n->integer >= 0;
    case 't':
        return text;
    case 'T':
        return is_texts(n);
    case 'h':
        return text && n->text.n == 2 * hex_bytes(form) && is_hex(n->text);
    case 'e':
        return text && is_base64url(n->text);
    case 'm':
        return n->type == CLO_WIRE_MAP;
    default:
        return n->type == CLO_WIRE_ARRAY;
    }
}

static const char *form_text(const char *form)
{
    static const char *const names[] = {"ba boolean", "ua number from 0 up", "ta text", "Ta text or a list of texts", "hhex of its length", "ebase64url", "man object"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i][0] == form[0]) return names[i] + 1;
    }
    return "a list";
}

bool clo_attest_token_shape(clo_attest_result *r, const char *name, const clo_wire_node *map, const char *const *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool required = rules[i][0] == '!';
        const char *form = rules[i] + (required ? 1 : 0), *claim = strchr(form, ' ') + 1;
        const clo_wire_node *n = clo_wire_get(map, claim);
        bool absent = n == NULL || n->type == CLO_WIRE_NULL; /* null says no more than absence */
        if (absent ? !required : has_form(n, form)) continue;
        char want[136];
        (void)snprintf(want, sizeof want, "%s: %s", claim, form_text(form));
        return clo_attest_check_add(r, name, false, "claims", want, absent ? "absent" : "another form");
    }
    return clo_attest_check_add(r, name, true, "claims", "each claim in its form", "each claim in its form");
}

void clo_attest_token_claim_bad(clo_attest_result *r, const char *name, const char *expected, const char *actual)
{
    (void)clo_attest_check_add(r, name, false, "claims", expected, actual);
}

clo_span clo_attest_token_text(const clo_wire_node *map, const char *name)
{
    const clo_wire_node *n = map == NULL ? NULL : clo_wire_get(map, name);
    return n != NULL && n->type == CLO_WIRE_TEXT ? n->text : clo_span_of(NULL, 0);
}

bool clo_attest_token_hex(const clo_wire_node *map, const char *name, uint8_t *to, size_t n)
{
    clo_span text = clo_attest_token_text(map, name);
    return text.n == 2 * n && !clo_failed(clo_hex_decode(to, n, text));
}

static bool same_encoded(clo_span text, clo_span bytes, clo_err (*encode)(clo_buf *to, clo_span from))
{
    CLO_AUTO(clo_buf_free) clo_buf form;
    clo_buf_init(&form, 4096);
    return !clo_failed(encode(&form, bytes)) && clo_span_equal(clo_buf_span(&form), text);
}

bool clo_attest_token_text_is(clo_span text, clo_span bytes)
{
    if (text.n == 0 || bytes.n == 0 || bytes.n > 1024) return false;
    if (clo_span_equal(text, bytes)) return true;
    if (text.n == 2 * bytes.n && is_hex(text)) {
        for (size_t i = 0; i < bytes.n; i++) {
            uint8_t one = 0;
            if (clo_failed(clo_hex_decode(&one, 1, clo_span_of(text.p + 2 * i, 2))) || one != bytes.p[i]) return false;
        }
        return true;
    }
    return same_encoded(text, bytes, clo_base64_encode) || same_encoded(text, bytes, clo_base64url_encode);
}

void clo_attest_token_measurement(clo_attest_context *c, clo_span measurement)
{
    const clo_attest_policy *p = c->policy;
    if (p->measurement_count == 0) return;
    uint8_t padded[48] = {0};
    if (measurement.n == 0 || measurement.n > sizeof padded) {
        (void)clo_attest_check_add(c->out, "measurement", false, "measurement_mismatch", "an allowed measurement of at most 48 bytes",
                                   measurement.n == 0 ? "none" : "a longer one: name it in required_claims");
        return;
    }
    memcpy(padded, measurement.p, measurement.n);
    (void)clo_attest_check_one_of(c->out, "measurement", "measurement_mismatch", &p->measurements[0][0], p->measurement_count,
                                  clo_span_of(padded, sizeof padded));
}

static bool padded_equal(clo_span expected, clo_span actual)
{
    if (expected.n > actual.n || memcmp(expected.p, actual.p, expected.n) != 0) return false;
    for (size_t i = expected.n; i < actual.n; i++) {
        if (actual.p[i] != 0) return false;
    }
    return true;
}

void clo_attest_token_challenge(clo_attest_context *c, clo_span challenge)
{
    const clo_attest_policy *p = c->policy;
    if (p->expected_nonce.n != 0) {
        bool same = challenge.n != 0 && padded_equal(p->expected_nonce, challenge);
        if (p->expected_nonce.n == challenge.n) {
            (void)clo_attest_check_bytes(c->out, "nonce", "nonce_mismatch", p->expected_nonce, challenge);
        } else {
            (void)clo_attest_check_add(c->out, "nonce", same, "nonce_mismatch", "the expected nonce, zero-padded", same ? "the expected nonce" : "other bytes");
        }
    }
    if (p->have_report_data) {
        (void)clo_attest_check_bytes(c->out, "report_data", "report_data_mismatch", clo_span_of(p->report_data, sizeof p->report_data), challenge);
    }
}
