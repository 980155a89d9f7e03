/* COSE_Sign1 and COSE_Sign: parsing and verifying. */
#include "wire/cose.h"

#include <stdio.h>

#include "base/clo_own.h"
#include "crypto/hash.h"
#include "wire/cbor.h"
#include "wire/cose_int.h"
#include "wire/wire_int.h"

enum { FOREIGN_ITEMS_MAX = 512, FOREIGN_DEPTH_MAX = 16 };

static const struct {
    int64_t id;
    clo_crypto_sign_alg alg;
    const char *name;
} algorithms[] = {
    {-8, CLO_SIGN_ED25519, "EdDSA"},
    {-7, CLO_SIGN_ES256, "ES256"},
    {-35, CLO_SIGN_ES384, "ES384"},
    {-36, CLO_SIGN_ES512, "ES512"},
};

clo_err clo_wire_cose_alg_id(clo_crypto_sign_alg alg, int64_t *id)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        if (algorithms[i].alg == alg) {
            *id = algorithms[i].id;
            return CLO_OK;
        }
    return CLO_FAIL(CLO_E_UNSUPPORTED);
}

/* Headers of one level: the protected map (decoded) and the unprotected map. */
typedef struct {
    clo_span encoded; /* empty where the map is empty */
    const clo_wire_node *protected_map, *unprotected;
} headers;

static clo_err check_crit(const headers *h)
{
    CLO_CHECKF(clo_wire_get_int_key(h->unprotected, COSE_CRIT) == NULL, CLO_E_MALFORMED,
               "COSE: crit stands in the unprotected header");
    const clo_wire_node *crit = clo_wire_get_int_key(h->protected_map, COSE_CRIT);
    if (crit == NULL) return CLO_OK;
    CLO_CHECKF(crit->type == CLO_WIRE_ARRAY && crit->count > 0, CLO_E_MALFORMED, "COSE: crit is not a list of labels");
    for (const clo_wire_node *n = crit->first; n != NULL; n = n->next) {
        bool known =
            n->type == CLO_WIRE_INT && (n->integer == COSE_ALG || n->integer == COSE_CONTENT_TYPE || n->integer == COSE_KID);
        CLO_CHECKF(known, CLO_E_UNSUPPORTED, "COSE: a header marked critical is not known to this program; use a newer one");
        CLO_CHECKF(clo_wire_get_int_key(h->protected_map, n->integer) != NULL, CLO_E_MALFORMED,
                   "COSE: a critical header is not there");
    }
    return CLO_OK;
}

static clo_err check_buckets(const headers *h)
{
    for (const clo_wire_node *n = h->unprotected->first; n != NULL; n = n->next)
        for (const clo_wire_node *m = h->protected_map->first; m != NULL; m = m->next)
            CLO_CHECKF(clo_wire_key_compare(n->key, m->key) != 0, CLO_E_DUPLICATE,
                       "COSE: a header is both protected and unprotected");
    return CLO_OK;
}

/* Objects of others come with hostile evidence: small, flat, whatever their encoding. Ours are as large as they are. */
static clo_wire_cbor_limits limits_of(bool foreign)
{
    clo_wire_cbor_limits limits = {.items_max = 0};
    if (foreign) limits = (clo_wire_cbor_limits){.items_max = FOREIGN_ITEMS_MAX, .depth_max = FOREIGN_DEPTH_MAX, .allow_unsorted = true, .allow_indefinite = true};
    return limits;
}

static clo_err read_headers(clo_arena *a, const clo_wire_node *protected_node, const clo_wire_node *unprotected, bool foreign,
                            headers *h)
{
    CLO_CHECKF(protected_node->type == CLO_WIRE_BYTES && unprotected->type == CLO_WIRE_MAP, CLO_E_MALFORMED,
               "COSE: the headers are not a byte string and a map");
    clo_wire_node *map = NULL;
    if (protected_node->text.n == 0) {
        CLO_TRY(clo_wire_map(a, &map));
    } else {
        clo_wire_cbor_limits limits = limits_of(foreign);
        CLO_TRY(clo_wire_cbor_decode(a, protected_node->text, &limits, &map));
        CLO_CHECKF(map->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "COSE: the protected header is not a map");
        CLO_CHECKF(map->count != 0 || foreign, CLO_E_NOT_CANONICAL,
                   "COSE: an empty protected header must be the empty byte string");
    }
    *h = (headers){.protected_map = map, .unprotected = unprotected};
    if (map->count != 0) h->encoded = protected_node->text;
    CLO_TRY(check_buckets(h));
    return check_crit(h);
}

static clo_err read_signature(const headers *h, const clo_wire_node *bytes, bool foreign, clo_wire_cose_signature *out)
{
    const clo_wire_node *alg = clo_wire_get_int_key(h->protected_map, COSE_ALG);
    if (alg == NULL && foreign) alg = clo_wire_get_int_key(h->unprotected, COSE_ALG);
    CLO_CHECKF(alg != NULL, CLO_E_MISSING_FIELD, "COSE: the protected header names no algorithm");
    CLO_CHECKF(alg->type == CLO_WIRE_INT, CLO_E_UNSUPPORTED, "COSE: the algorithm is not known to this program");
    const clo_wire_node *kid = clo_wire_get_int_key(h->protected_map, COSE_KID);
    if (kid == NULL) kid = clo_wire_get_int_key(h->unprotected, COSE_KID);
    if (foreign && kid != NULL && kid->type != CLO_WIRE_BYTES) kid = NULL; /* some write a text; nothing rests on it */
    CLO_CHECKF(kid == NULL || kid->type == CLO_WIRE_BYTES, CLO_E_MALFORMED, "COSE: kid is not a byte string");
    CLO_CHECKF(bytes->type == CLO_WIRE_BYTES, CLO_E_MALFORMED, "COSE: the signature is not a byte string");
    *out = (clo_wire_cose_signature){.alg = alg->integer, .protected_header = h->encoded, .signature = bytes->text};
    if (kid != NULL) out->kid = kid->text;
    return CLO_OK;
}

static clo_err read_signers(clo_arena *a, const clo_wire_node *list, bool foreign, clo_wire_cose *c)
{
    CLO_CHECKF(list->count <= CLO_COSE_SIGNERS_MAX, CLO_E_TOO_MANY, "COSE: %zu signatures; at most %d are allowed", list->count,
               CLO_COSE_SIGNERS_MAX);
    CLO_CHECKF(list->count > 0 || !foreign, CLO_E_MALFORMED, "COSE: there is no signature");
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        CLO_CHECKF(n->type == CLO_WIRE_ARRAY && n->count == 3, CLO_E_MALFORMED, "COSE: a signature is not a list of three");
        headers h;
        CLO_TRY(read_headers(a, n->first, n->first->next, foreign, &h));
        CLO_TRY(read_signature(&h, n->last, foreign, &c->signatures[c->signature_count]));
        c->signature_count++;
    }
    return CLO_OK;
}

static clo_err open_tags(const clo_wire_node *root, bool foreign, const clo_wire_node **array, bool *tagged)
{
    if (foreign && root->type == CLO_WIRE_TAG && root->tag == COSE_TAG_CWT) root = root->first;
    *tagged = root->type == CLO_WIRE_TAG;
    const clo_wire_node *n = *tagged ? root->first : root;
    CLO_CHECKF(n->type == CLO_WIRE_ARRAY && n->count == 4, CLO_E_MALFORMED, "the bytes are not a COSE signature object");
    bool is_sign1 = n->last->type == CLO_WIRE_BYTES;
    CLO_CHECKF(!*tagged || root->tag == (is_sign1 ? COSE_TAG_SIGN1 : COSE_TAG_SIGN), CLO_E_MALFORMED,
               "COSE: the tag does not fit the object");
    CLO_CHECKF(is_sign1 || n->last->type == CLO_WIRE_ARRAY, CLO_E_MALFORMED, "COSE: the signatures are not a list");
    *array = n;
    return CLO_OK;
}

clo_err clo_wire_cose_parse(clo_arena *a, clo_span in, bool foreign, clo_wire_cose *out)
{
    clo_wire_cbor_limits limits = limits_of(foreign);
    clo_wire_node *root = NULL;
    const clo_wire_node *array = NULL;
    clo_wire_cose c = {0};
    CLO_TRY(clo_wire_cbor_decode(a, in, &limits, &root));
    CLO_TRY(open_tags(root, foreign, &array, &c.tagged));
    CLO_CHECK(array != NULL && array->first != NULL && array->first->next != NULL, CLO_E_BUG);
    const clo_wire_node *unprotected = array->first->next, *payload = unprotected->next;
    headers h;
    CLO_TRY(read_headers(a, array->first, unprotected, foreign, &h));
    CLO_CHECKF(payload->type != CLO_WIRE_NULL, CLO_E_UNSUPPORTED, "COSE: the payload is detached; attach it");
    CLO_CHECKF(payload->type == CLO_WIRE_BYTES, CLO_E_MALFORMED, "COSE: the payload is not a byte string");
    c.payload = payload->text;
    c.body_protected = h.encoded;
    c.unprotected = unprotected;
    const clo_wire_node *type = clo_wire_get_int_key(h.protected_map, COSE_CONTENT_TYPE);
    if (type != NULL && type->type == CLO_WIRE_TEXT) c.content_type = type->text;
    c.is_sign1 = array->last->type == CLO_WIRE_BYTES;
    if (c.is_sign1) {
        CLO_TRY(read_signature(&h, array->last, foreign, &c.signatures[0]));
        c.signature_count = 1;
    } else {
        CLO_TRY(read_signers(a, array->last, foreign, &c));
    }
    *out = c;
    return CLO_OK;
}

static clo_err put_bytes(clo_buf *out, clo_span s)
{
    CLO_TRY(clo_wire_cbor_put_head(out, 2, s.n));
    return clo_buf_put_span(out, s);
}

clo_err clo_wire_cose_structure(bool is_sign1, clo_span body_protected, clo_span sign_protected, clo_span external_aad,
                                clo_span payload, clo_buf *out)
{
    const char *context = is_sign1 ? "Signature1" : "Signature";
    CLO_TRY(clo_wire_cbor_put_head(out, 4, is_sign1 ? 4 : 5));
    CLO_TRY(clo_wire_cbor_put_head(out, 3, strlen(context)));
    CLO_TRY(clo_buf_put_str(out, context));
    CLO_TRY(put_bytes(out, body_protected));
    if (!is_sign1) CLO_TRY(put_bytes(out, sign_protected));
    CLO_TRY(put_bytes(out, external_aad));
    return put_bytes(out, payload);
}

clo_err clo_wire_cose_signed_bytes(const clo_wire_cose *c, size_t index, clo_span external_aad, clo_buf *out)
{
    CLO_CHECKF(index < c->signature_count, CLO_E_RANGE, "COSE: there is no signature number %zu", index);
    return clo_wire_cose_structure(c->is_sign1, c->body_protected, c->signatures[index].protected_header, external_aad,
                                   c->payload, out);
}

clo_err clo_wire_cose_covered(const clo_wire_cose *c, size_t index, const clo_crypto_public_key *pk, clo_span external_aad, clo_buf *out)
{
    CLO_CHECKF(index < c->signature_count, CLO_E_RANGE, "COSE: there is no signature number %zu", index);
    const clo_wire_cose_signature *s = &c->signatures[index];
    const char *claimed = NULL;
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        if (algorithms[i].id == s->alg) claimed = algorithms[i].name;
    CLO_CHECKF(claimed != NULL, CLO_E_UNSUPPORTED,
               "COSE: signature algorithm %lld is not accepted; sign with EdDSA, ES256, ES384 or ES512", (long long)s->alg);
    int64_t wanted = 0;
    CLO_TRY(clo_wire_cose_alg_id(pk->alg, &wanted));
    CLO_CHECKF(wanted == s->alg, CLO_E_BAD_SIGNATURE, "COSE: the signature says %s, but the key is of another algorithm",
               claimed);
    return clo_wire_cose_signed_bytes(c, index, external_aad, out);
}

clo_err clo_wire_cose_verify(const clo_wire_cose *c, size_t index, const clo_crypto_public_key *pk, clo_span external_aad)
{
    CLO_AUTO(clo_buf_free) clo_buf structure;
    clo_buf_init(&structure, COSE_BYTES_MAX);
    CLO_TRY(clo_wire_cose_covered(c, index, pk, external_aad, &structure));
    return clo_crypto_verify(pk, clo_buf_span(&structure), c->signatures[index].signature);
}

clo_err clo_wire_cose_kid(const clo_crypto_public_key *pk, uint8_t out[32])
{
    return clo_crypto_sha256(clo_crypto_public_key_span(pk), out);
}
