/* Words of denials. */
#include "kms/kms_int.h"
#include <assert.h>
#include <stdio.h>

kms_hex kms_hex_of(const uint8_t *bytes, size_t n)
{
    kms_hex h = {{0}};
    assert(n <= 32);
    clo_hex_encode(h.text, clo_span_of(bytes, n));
    return h;
}

kms_hex kms_hex8(const uint8_t *id) { return kms_hex_of(id, 4); }

kms_source kms_source_agreement(const uint8_t id[32], const char *part)
{
    kms_source s = {{0}};
    (void)snprintf(s.text, sizeof s.text, "agreement %s%s%s", kms_hex8(id).text, part != NULL ? " " : "",
                   part != NULL ? part : "");
    return s;
}

clo_err kms_deny_wrap(clo_err e, const char *claim, const char *expected, const char *source, const char *remedy)
{
    if (!clo_failed(e) || clo_err_denial() != NULL) return e;
    if (clo_err_class(e) != CLO_CLASS_DENIED && clo_err_class(e) != CLO_CLASS_INPUT) return e;
    char actual[200];
    (void)snprintf(actual, sizeof actual, "%s", clo_err_text());
    return CLO_DENY(e.code, claim, expected, actual, source, remedy);
}

const char *clo_kms_key_state_name(clo_kms_key_state s)
{
    static const char *const names[CLO_KMS_KEY_STATES] = {"enabled", "disabled", "revoked", "destroyed"};
    return (unsigned)s < CLO_KMS_KEY_STATES ? names[s] : "unknown";
}

const char *clo_kms_entry_kind_name(clo_kms_entry_kind k)
{
    switch (k) {
    case CLO_KMS_ENTRY_RESERVE:
        return "reserve";
    case CLO_KMS_ENTRY_COMMIT:
        return "commit";
    case CLO_KMS_ENTRY_EXPIRE:
        return "expire";
    case CLO_KMS_ENTRY_LIMIT:
        return "limit";
    case CLO_KMS_ENTRY_STATE:
        return "state";
    default:
        return "unknown";
    }
}
