/* COSE_Sign1 and COSE_Sign: making them, as trees that the deterministic encoder writes. */
#include "base/clo_own.h"
#include "wire/cbor.h"
#include "wire/cose_int.h"

enum { SCRATCH_MAX = COSE_BYTES_MAX };

/* The encoded protected header; empty where there is nothing in it. signer or content_type may be NULL. */
static clo_err make_protected(clo_arena *a, const clo_wire_cose_signer *signer, const char *content_type, clo_span *out)
{
    clo_wire_node *map = NULL, *n = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    if (signer != NULL) {
        int64_t alg = 0;
        CLO_TRY(clo_wire_cose_alg_id(signer->sk->alg, &alg));
        CLO_TRY(clo_wire_int(a, alg, &n));
        CLO_TRY(clo_wire_set_int_key(a, map, COSE_ALG, n));
        CLO_TRY(clo_wire_bytes(a, signer->kid, &n));
        CLO_TRY(clo_wire_set_int_key(a, map, COSE_KID, n));
    }
    if (content_type != NULL && content_type[0] != '\0') {
        CLO_TRY(clo_wire_text(a, clo_span_str(content_type), &n));
        CLO_TRY(clo_wire_set_int_key(a, map, COSE_CONTENT_TYPE, n));
    }
    *out = clo_span_of(NULL, 0);
    if (map->count == 0) return CLO_OK;
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, SCRATCH_MAX);
    CLO_TRY(clo_wire_cbor_encode(map, &b));
    return clo_arena_copy(a, clo_buf_span(&b), out);
}

static clo_err append_bytes(clo_arena *a, clo_wire_node *array, clo_span s)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_bytes(a, s, &n));
    return clo_wire_append(array, n);
}

static clo_err append_map(clo_arena *a, clo_wire_node *array)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_map(a, &n));
    return clo_wire_append(array, n);
}

static clo_err append_signature(clo_arena *a, clo_wire_node *array, const clo_crypto_private_key *sk, clo_span structure)
{
    uint8_t signature[CLO_SIGNATURE_MAX];
    CLO_TRY(clo_crypto_sign(sk, structure, signature));
    return append_bytes(a, array, clo_span_of(signature, clo_crypto_signature_size(sk->alg)));
}

/* [protected, {}, payload]: the head of both objects. */
static clo_err make_body(clo_arena *a, clo_span protected_header, clo_span payload, clo_wire_node **out)
{
    clo_wire_node *array = NULL;
    CLO_TRY(clo_wire_array(a, &array));
    CLO_TRY(append_bytes(a, array, protected_header));
    CLO_TRY(append_map(a, array));
    CLO_TRY(append_bytes(a, array, payload));
    *out = array;
    return CLO_OK;
}

static clo_err encode_tagged(clo_arena *a, uint64_t tag, clo_wire_node *array, clo_buf *out)
{
    clo_wire_node *root = NULL;
    CLO_TRY(clo_wire_tag(a, tag, array, &root));
    return clo_wire_cbor_encode(root, out);
}

/* [protected, {}, signature] of one signer, as an element of a COSE_Sign. */
static clo_err make_signer(clo_arena *a, const clo_wire_cose_signer *signer, clo_span body_protected, clo_span external_aad,
                           clo_span payload, clo_wire_node **out)
{
    clo_span header = {0};
    CLO_TRY(make_protected(a, signer, NULL, &header));
    CLO_AUTO(clo_buf_free) clo_buf structure;
    clo_buf_init(&structure, COSE_BYTES_MAX);
    CLO_TRY(clo_wire_cose_structure(false, body_protected, header, external_aad, payload, &structure));
    clo_wire_node *array = NULL;
    CLO_TRY(clo_wire_array(a, &array));
    CLO_TRY(append_bytes(a, array, header));
    CLO_TRY(append_map(a, array));
    CLO_TRY(append_signature(a, array, signer->sk, clo_buf_span(&structure)));
    *out = array;
    return CLO_OK;
}

clo_err clo_wire_cose_sign1(clo_buf *out, const clo_wire_cose_signer *signer, const char *content_type, clo_span external_aad,
                            clo_span payload)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, SCRATCH_MAX);
    clo_span header = {0};
    clo_wire_node *array = NULL;
    CLO_TRY(make_protected(&a, signer, content_type, &header));
    CLO_AUTO(clo_buf_free) clo_buf structure;
    clo_buf_init(&structure, COSE_BYTES_MAX);
    CLO_TRY(clo_wire_cose_structure(true, header, clo_span_of(NULL, 0), external_aad, payload, &structure));
    CLO_TRY(make_body(&a, header, payload, &array));
    CLO_TRY(append_signature(&a, array, signer->sk, clo_buf_span(&structure)));
    return encode_tagged(&a, COSE_TAG_SIGN1, array, out);
}

static bool has_signed(const clo_wire_cose_signer *signers, size_t count, clo_span kid)
{
    for (size_t i = 0; i < count; i++)
        if (clo_span_equal(signers[i].kid, kid)) return true;
    return false;
}

clo_err clo_wire_cose_sign(clo_buf *out, const clo_wire_cose_signer *signers, size_t count, const char *content_type,
                           clo_span external_aad, clo_span payload)
{
    CLO_CHECKF(count <= CLO_COSE_SIGNERS_MAX, CLO_E_TOO_MANY, "COSE: %zu signatures; at most %d are allowed", count,
               CLO_COSE_SIGNERS_MAX);
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, SCRATCH_MAX);
    clo_span header = {0};
    clo_wire_node *array = NULL, *list = NULL, *one = NULL;
    CLO_TRY(make_protected(&a, NULL, content_type, &header));
    CLO_TRY(make_body(&a, header, payload, &array));
    CLO_TRY(clo_wire_array(&a, &list));
    for (size_t i = 0; i < count; i++) {
        CLO_CHECKF(!has_signed(signers, i, signers[i].kid), CLO_E_DUPLICATE, "COSE: a key signs twice");
        CLO_TRY(make_signer(&a, &signers[i], header, external_aad, payload, &one));
        CLO_TRY(clo_wire_append(list, one));
    }
    CLO_TRY(clo_wire_append(array, list));
    return encode_tagged(&a, COSE_TAG_SIGN, array, out);
}

clo_err clo_wire_cose_sign_add(clo_buf *out, clo_span cose, const clo_wire_cose_signer *signer, clo_span external_aad)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, SCRATCH_MAX);
    clo_wire_cose c = {0};
    CLO_TRY(clo_wire_cose_parse(&a, cose, false, &c));
    CLO_CHECKF(!c.is_sign1 && c.tagged, CLO_E_MALFORMED, "COSE: the object does not take several signatures");
    CLO_CHECKF(c.signature_count < CLO_COSE_SIGNERS_MAX, CLO_E_TOO_MANY, "COSE: the object has all %d signatures it may have",
               CLO_COSE_SIGNERS_MAX);
    for (size_t i = 0; i < c.signature_count; i++)
        CLO_CHECKF(!clo_span_equal(c.signatures[i].kid, signer->kid), CLO_E_DUPLICATE, "this key has signed already");
    clo_wire_node *root = NULL, *one = NULL;
    CLO_TRY(clo_wire_cbor_decode(&a, cose, NULL, &root));
    CLO_TRY(make_signer(&a, signer, c.body_protected, external_aad, c.payload, &one));
    CLO_TRY(clo_wire_append(root->first->last, one));
    return clo_wire_cbor_encode(root, out);
}
