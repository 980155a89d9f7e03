/* Sets of reference values: making, storing, signing. */
#include "attest/policy_claims.h"
#include "attest/reference_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/cbor.h"

#define FORMAT "cloister-reference-values/1"
#define CONTENT_TYPE "application/cloister-reference-values"

enum { TEXT_MAX = 256 };

CLO_R clo_attest_references_init(clo_arena *a, const char *name, int64_t version, int64_t issued, clo_attest_reference_set *out)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_array(a, CLO_ATTEST_REFERENCES_MAX, sizeof(clo_attest_reference), &memory));
    *out = (clo_attest_reference_set){.name = name, .version = version, .issued = issued, .values = memory};
    return CLO_OK;
}

CLO_R clo_attest_reference_add(clo_arena *a, clo_attest_reference_set *set, const char *name, const char *version, const char *tee,
                               const clo_wire_node *environment, clo_attest_reference **out)
{
    clo_wire_node *claims = NULL, *nowhere = NULL;
    clo_attest_reference r = {.name = name, .version = version, .environment = environment};
    CLO_CHECKF(set->count < CLO_ATTEST_REFERENCES_MAX, CLO_E_TOO_MANY, "a set has at most %d reference values", (int)CLO_ATTEST_REFERENCES_MAX);
    CLO_CHECKF(name[0] != '\0' && strlen(name) < TEXT_MAX && strlen(version) < TEXT_MAX, CLO_E_RANGE, "a reference value has a name of 1 to 255 bytes");
    CLO_TRY(clo_str_set(r.tee, sizeof r.tee, clo_span_str(tee)));
    CLO_TRY(clo_wire_map(a, &claims));
    r.claims = claims;
    if (environment == NULL) {
        CLO_TRY(clo_wire_map(a, &nowhere));
        r.environment = nowhere;
    }
    set->values[set->count] = r;
    *out = &set->values[set->count++];
    return CLO_OK;
}

bool clo_attest_reference_lists(const clo_wire_node *list, const clo_wire_node *value)
{
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        if (clo_attest_claim_equal(n, value) || clo_attest_claim_equal(value, n)) return true;
    }
    return false;
}

/* Another node with the same value: a node stands in one list only. */
static clo_err copy_of(clo_arena *a, const clo_wire_node *v, clo_wire_node **out)
{
    if (v->type == CLO_WIRE_INT) return clo_wire_int(a, v->integer, out);
    if (v->type == CLO_WIRE_BOOL) return clo_wire_bool(a, v->boolean, out);
    if (v->type == CLO_WIRE_BYTES) return clo_wire_bytes(a, v->text, out);
    CLO_CHECKF(v->type == CLO_WIRE_TEXT, CLO_E_MALFORMED, "a reference value is neither bytes, text, number nor truth");
    return clo_wire_text(a, v->text, out);
}

CLO_R clo_attest_reference_put(clo_arena *a, clo_wire_node *claims, const char *path, const clo_wire_node *value)
{
    CLO_CHECKF(path[0] != '\0' && strlen(path) < CLO_ATTEST_CLAIM_PATH, CLO_E_RANGE, "a claim's path has 1 to %d bytes", (int)CLO_ATTEST_CLAIM_PATH - 1);
    clo_wire_node *list = clo_wire_get(claims, path), *copy = NULL;
    if (list == NULL) {
        CLO_CHECKF(claims->count < CLO_ATTEST_CLAIMS_MAX, CLO_E_TOO_MANY, "at most %d claims are named", (int)CLO_ATTEST_CLAIMS_MAX);
        CLO_TRY(clo_wire_array(a, &list));
        CLO_TRY(clo_wire_set(a, claims, path, list));
    }
    if (clo_attest_reference_lists(list, value)) return CLO_OK;
    CLO_CHECKF(list->count < CLO_ATTEST_CLAIM_VALUES_MAX, CLO_E_TOO_MANY, "a claim has at most %d values", (int)CLO_ATTEST_CLAIM_VALUES_MAX);
    CLO_TRY(copy_of(a, value, &copy));
    return clo_wire_append(list, copy);
}

CLO_R clo_attest_reference_allow(clo_arena *a, clo_attest_reference *r, const char *path, const clo_wire_node *value)
{
    clo_wire_node *claims = NULL;
    CLO_TRY(clo_wire_map(a, &claims));
    for (const clo_wire_node *list = r->claims->first; list != NULL; list = list->next) {
        for (const clo_wire_node *n = list->first; n != NULL; n = n->next) CLO_TRY(clo_attest_reference_put(a, claims, (const char *)list->key->text.p, n));
    }
    CLO_TRY(clo_attest_reference_put(a, claims, path, value));
    r->claims = claims;
    return CLO_OK;
}

/* Maps of texts, bytes and numbers, and of lists of them, copied: the encoder wants nodes of its own. */
static clo_err copy_tree(clo_arena *a, const clo_wire_node *from, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *value = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    for (const clo_wire_node *n = from->first; n != NULL; n = n->next) {
        CLO_CHECKF(n->key != NULL && n->key->type == CLO_WIRE_TEXT, CLO_E_MALFORMED, "a member of a reference value has no name");
        if (n->type == CLO_WIRE_ARRAY) {
            clo_wire_node *copy = NULL;
            CLO_TRY(clo_wire_array(a, &value));
            for (const clo_wire_node *one = n->first; one != NULL; one = one->next) {
                CLO_TRY(copy_of(a, one, &copy));
                CLO_TRY(clo_wire_append(value, copy));
            }
        } else {
            CLO_TRY(copy_of(a, n, &value));
        }
        CLO_TRY(clo_wire_set(a, map, (const char *)n->key->text.p, value));
    }
    *out = map;
    return CLO_OK;
}

static clo_err value_tree(clo_arena *a, const clo_attest_reference *r, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *part = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "name", r->name));
    CLO_TRY(clo_wire_set_text(a, map, "version", r->version));
    CLO_TRY(clo_wire_set_text(a, map, "tee", r->tee));
    CLO_TRY(copy_tree(a, r->environment, &part));
    CLO_TRY(clo_wire_set(a, map, "environment", part));
    CLO_TRY(copy_tree(a, r->claims, &part));
    CLO_TRY(clo_wire_set(a, map, "claims", part));
    if (r->have_min_svn) CLO_TRY(clo_wire_set_int(a, map, "min_svn", r->min_svn));
    *out = map;
    return CLO_OK;
}

CLO_R clo_attest_references_encode(clo_arena *a, const clo_attest_reference_set *set, clo_buf *out)
{
    clo_wire_node *map = NULL, *list = NULL, *one = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < set->count; i++) {
        CLO_TRY(value_tree(a, &set->values[i], &one));
        CLO_TRY(clo_wire_append(list, one));
    }
    CLO_TRY(clo_wire_set_text(a, map, "format", FORMAT));
    CLO_TRY(clo_wire_set_text(a, map, "name", set->name));
    CLO_TRY(clo_wire_set_int(a, map, "version", set->version));
    CLO_TRY(clo_wire_set_int(a, map, "issued", set->issued));
    CLO_TRY(clo_wire_set_int(a, map, "expires", set->expires));
    CLO_TRY(clo_wire_set(a, map, "values", list));
    return clo_wire_cbor_encode(map, out);
}

static clo_err take_claims(clo_arena *a, const clo_wire_node *from, clo_attest_reference *r)
{
    clo_wire_node *claims = NULL;
    CLO_TRY(clo_wire_map(a, &claims));
    for (const clo_wire_node *list = from->first; list != NULL; list = list->next) {
        CLO_CHECKF(list->key->type == CLO_WIRE_TEXT && list->type == CLO_WIRE_ARRAY && list->count != 0, CLO_E_MALFORMED,
                   "a claim of a reference value is no list of values");
        for (const clo_wire_node *n = list->first; n != NULL; n = n->next) CLO_TRY(clo_attest_reference_put(a, claims, (const char *)list->key->text.p, n));
    }
    r->claims = claims;
    return CLO_OK;
}

static clo_err take_value(clo_arena *a, const clo_wire_node *node, clo_attest_reference_set *set)
{
    clo_wire_fields f;
    const char *name = NULL, *version = NULL, *tee = NULL;
    const clo_wire_node *environment = NULL, *claims = NULL;
    clo_wire_node *copied = NULL;
    clo_attest_reference *r = NULL;
    int64_t svn = 0;
    clo_wire_fields_open(&f, a, node, "reference_values.values[]");
    clo_wire_take_text(&f, "name", &name, TEXT_MAX - 1);
    clo_wire_take_text(&f, "version", &version, TEXT_MAX - 1);
    clo_wire_take_text(&f, "tee", &tee, sizeof r->tee - 1);
    clo_wire_take_map(&f, "environment", &environment);
    clo_wire_take_map(&f, "claims", &claims);
    bool have_svn = clo_wire_has(&f, "min_svn");
    if (have_svn) clo_wire_take_int(&f, "min_svn", &svn, 0, UINT32_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(copy_tree(a, environment, &copied)); /* judges what stands in it */
    CLO_TRY(clo_attest_reference_add(a, set, name, version, tee, copied, &r));
    r->have_min_svn = have_svn;
    r->min_svn = (uint32_t)svn;
    return take_claims(a, claims, r);
}

CLO_R clo_attest_references_decode(clo_arena *a, clo_span in, clo_attest_reference_set *out)
{
    clo_wire_node *root = NULL;
    const clo_wire_node *values = NULL;
    const char *format = NULL;
    clo_wire_fields f;
    clo_attest_reference_set set;
    CLO_CHECKF(in.n <= CLO_ATTEST_REFERENCE_SET_MAX, CLO_E_TOO_LARGE, "a set of reference values has at most 4 MiB");
    CLO_TRY(clo_wire_cbor_decode(a, in, NULL, &root));
    CLO_TRY(clo_attest_references_init(a, "", 0, 0, &set));
    clo_wire_fields_open(&f, a, root, "reference_values");
    clo_wire_take_text(&f, "format", &format, TEXT_MAX);
    clo_wire_take_text(&f, "name", &set.name, TEXT_MAX);
    clo_wire_take_int(&f, "version", &set.version, 0, INT64_MAX);
    clo_wire_take_int(&f, "issued", &set.issued, 0, INT64_MAX);
    clo_wire_take_int(&f, "expires", &set.expires, 0, INT64_MAX);
    clo_wire_take_array(&f, "values", &values, CLO_ATTEST_REFERENCES_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(strcmp(format, FORMAT) == 0, CLO_E_VERSION, "the reference values are of another format than " FORMAT);
    for (const clo_wire_node *n = values->first; n != NULL; n = n->next) CLO_TRY(take_value(a, n, &set));
    *out = set;
    return CLO_OK;
}

CLO_R clo_attest_references_seal(clo_arena *a, const clo_attest_reference_set *set, const clo_wire_cose_signer *signer, clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf payload;
    clo_buf_init(&payload, CLO_ATTEST_REFERENCE_SET_MAX);
    CLO_TRY(clo_attest_references_encode(a, set, &payload));
    return clo_wire_cose_sign1(out, signer, CONTENT_TYPE, clo_span_of(NULL, 0), clo_buf_span(&payload));
}

CLO_R clo_attest_references_open(clo_arena *a, clo_span in, const clo_crypto_public_key *key, int64_t min_version, int64_t now,
                                 clo_attest_reference_set *out)
{
    void *memory = NULL;
    clo_attest_reference_set set;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_wire_cose), &memory));
    clo_wire_cose *cose = memory;
    CLO_TRY(clo_wire_cose_parse(a, in, false, cose));
    CLO_CHECKF(cose->is_sign1 && clo_span_equal(cose->content_type, clo_span_str(CONTENT_TYPE)), CLO_E_MALFORMED, "the object is no signed set of reference values");
    CLO_TRY(clo_wire_cose_verify(cose, 0, key, clo_span_of(NULL, 0)));
    CLO_TRY(clo_attest_references_decode(a, cose->payload, &set));
    CLO_CHECKF(set.version >= min_version, CLO_E_REPLAYED, "the reference values are of version %lld; %lld is known already", (long long)set.version,
               (long long)min_version);
    CLO_CHECKF(set.issued <= now && (set.expires == 0 || now <= set.expires), CLO_E_EXPIRED, "the reference values are not valid at this time");
    *out = set;
    return CLO_OK;
}
