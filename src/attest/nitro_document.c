/* The Nitro attestation document's payload: a CBOR map in any order. */
#include "attest/nitro_document.h"

#include "wire/cbor.h"

#include <stdio.h>

enum { ITEMS_MAX = 160, PUBLIC_KEY_MAX = 1024, USER_DATA_MAX = 512, NONCE_MAX = 512, MODULE_ID_MAX = 256 };

static clo_err take_text(const clo_wire_node *n, const char *name, clo_wire_type type, clo_span *out)
{
    CLO_CHECKF(n->type == type, CLO_E_MALFORMED, "the document's %s is of another type", name);
    *out = n->text;
    return CLO_OK;
}

/* bytes or null; an empty one is there all the same. */
static clo_err take_optional(const clo_wire_node *n, const char *name, clo_span *out)
{
    if (n->type == CLO_WIRE_NULL) return CLO_OK;
    CLO_TRY(take_text(n, name, CLO_WIRE_BYTES, out));
    if (out->p == NULL) *out = clo_span_of("", 0);
    return CLO_OK;
}

static clo_err take_pcrs(const clo_wire_node *map, nitro_document *d)
{
    CLO_CHECKF(map->type == CLO_WIRE_MAP && map->count != 0 && map->count <= NITRO_PCRS, CLO_E_MALFORMED, "the document has no registers, or too many");
    for (const clo_wire_node *n = map->first; n != NULL; n = n->next) {
        CLO_CHECKF(n->key->type == CLO_WIRE_INT && n->key->integer >= 0 && n->key->integer < NITRO_PCRS, CLO_E_MALFORMED,
                   "the document's registers are not numbered 0 to 31");
        size_t index = (size_t)n->key->integer;
        CLO_TRY(take_text(n, "register", CLO_WIRE_BYTES, &d->pcrs[index]));
        d->pcr_mask |= UINT32_C(1) << index;
    }
    return CLO_OK;
}

static clo_err take_bundle(const clo_wire_node *list, nitro_document *d)
{
    CLO_CHECKF(list->type == CLO_WIRE_ARRAY && list->count <= NITRO_BUNDLE_MAX, CLO_E_MALFORMED, "the document's cabundle is no list of at most %d certificates",
               (int)NITRO_BUNDLE_MAX);
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) CLO_TRY(take_text(n, "cabundle", CLO_WIRE_BYTES, &d->bundle[d->bundle_count++]));
    return CLO_OK;
}

static bool named(const clo_wire_node *n, const char *name) { return clo_span_equal(n->key->text, clo_span_str(name)); }

static clo_err take_member(const clo_wire_node *n, nitro_document *d, bool *timed)
{
    CLO_CHECKF(n->key->type == CLO_WIRE_TEXT, CLO_E_MALFORMED, "the document's fields have names");
    if (named(n, "module_id")) return take_text(n, "module_id", CLO_WIRE_TEXT, &d->module_id);
    if (named(n, "digest")) return take_text(n, "digest", CLO_WIRE_TEXT, &d->digest);
    if (named(n, "pcrs")) return take_pcrs(n, d);
    if (named(n, "certificate")) return take_text(n, "certificate", CLO_WIRE_BYTES, &d->certificate);
    if (named(n, "cabundle")) return take_bundle(n, d);
    if (named(n, "public_key")) return take_optional(n, "public_key", &d->public_key);
    if (named(n, "user_data")) return take_optional(n, "user_data", &d->user_data);
    if (named(n, "nonce")) return take_optional(n, "nonce", &d->nonce);
    if (!named(n, "timestamp")) return CLO_OK; /* a later document may say more; it is signed, and nothing here rests on it */
    CLO_CHECKF(n->type == CLO_WIRE_INT && n->integer >= 0, CLO_E_MALFORMED, "the document's timestamp is no time");
    d->timestamp_ms = (uint64_t)n->integer;
    *timed = true;
    return CLO_OK;
}

clo_err clo_attest_nitro_document_parse(clo_arena *a, clo_span payload, nitro_document *out)
{
    clo_wire_cbor_limits limits = {.items_max = ITEMS_MAX, .allow_unsorted = true, .allow_indefinite = true};
    clo_wire_node *map = NULL;
    nitro_document d = {.pcr_mask = 0};
    bool timed = false;
    CLO_TRY(clo_wire_cbor_decode(a, payload, &limits, &map));
    CLO_CHECKF(map->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the document is no map");
    for (const clo_wire_node *n = map->first; n != NULL; n = n->next) CLO_TRY(take_member(n, &d, &timed));
    CLO_CHECKF(timed && d.module_id.p != NULL && d.digest.p != NULL && d.pcr_mask != 0 && d.certificate.p != NULL && d.bundle_count != 0,
               CLO_E_MISSING_FIELD, "the document lacks one of module_id, digest, timestamp, pcrs, certificate, cabundle");
    *out = d;
    return CLO_OK;
}

const char *clo_attest_nitro_document_fault(const nitro_document *d)
{
    if (d->module_id.n == 0 || d->module_id.n > MODULE_ID_MAX) return "module_id is empty or longer than 256 bytes";
    if (!clo_span_equal(d->digest, clo_span_str("SHA384"))) return "digest is not SHA384";
    if (d->timestamp_ms == 0) return "timestamp is zero";
    for (size_t i = 0; i < NITRO_PCRS; i++) {
        size_t n = d->pcrs[i].n;
        if (((d->pcr_mask >> i) & 1) != 0 && n != 32 && n != 48 && n != 64) return "a register is not of 32, 48 or 64 bytes";
    }
    if (d->certificate.n == 0 || d->certificate.n > NITRO_CERT_MAX) return "certificate is empty or longer than 1,024 bytes";
    for (size_t i = 0; i < d->bundle_count; i++) {
        if (d->bundle[i].n == 0 || d->bundle[i].n > NITRO_CERT_MAX) return "a certificate of cabundle is empty or longer than 1,024 bytes";
    }
    if (d->public_key.n > PUBLIC_KEY_MAX) return "public_key is longer than 1,024 bytes";
    if (d->user_data.n > USER_DATA_MAX) return "user_data is longer than 512 bytes";
    if (d->nonce.n > NONCE_MAX) return "nonce is longer than 512 bytes";
    return NULL;
}

bool clo_attest_nitro_debug(const nitro_document *d)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < d->pcrs[i].n; k++) seen = (uint8_t)(seen | d->pcrs[i].p[k]);
    }
    return seen == 0;
}

static clo_err set_optional(clo_arena *a, clo_wire_node *map, const char *key, clo_span v)
{
    if (v.p != NULL) return clo_wire_set_bytes(a, map, key, v);
    clo_wire_node *null = NULL;
    CLO_TRY(clo_wire_null(a, &null));
    return clo_wire_set(a, map, key, null);
}

clo_err clo_attest_nitro_claims(clo_arena *a, const nitro_document *d, bool tagged, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *pcrs = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_text(a, d->module_id, &pcrs));
    CLO_TRY(clo_wire_set(a, map, "module_id", pcrs));
    CLO_TRY(clo_wire_text(a, d->digest, &pcrs));
    CLO_TRY(clo_wire_set(a, map, "digest", pcrs));
    CLO_TRY(clo_wire_set_int(a, map, "timestamp_ms", (int64_t)d->timestamp_ms));
    CLO_TRY(clo_wire_map(a, &pcrs));
    for (unsigned i = 0; i < NITRO_PCRS; i++) {
        char name[4];
        if (((d->pcr_mask >> i) & 1) == 0) continue;
        (void)snprintf(name, sizeof name, "%u", i);
        CLO_TRY(clo_wire_set_bytes(a, pcrs, name, d->pcrs[i]));
    }
    CLO_TRY(clo_wire_set(a, map, "pcrs", pcrs));
    CLO_TRY(set_optional(a, map, "public_key", d->public_key));
    CLO_TRY(set_optional(a, map, "user_data", d->user_data));
    CLO_TRY(set_optional(a, map, "nonce", d->nonce));
    CLO_TRY(clo_wire_set_int(a, map, "cabundle_len", (int64_t)d->bundle_count));
    CLO_TRY(clo_wire_set_bool(a, map, "debug_mode", clo_attest_nitro_debug(d)));
    CLO_TRY(clo_wire_set_bool(a, map, "cose_tag18", tagged));
    CLO_TRY(clo_wire_set_int(a, map, "trailing_bytes", 0));
    *out = map;
    return CLO_OK;
}
