#include "nitro_fixture.h"

#include "base/clo_own.h"
#include "wire/cbor.h"

#include <stdio.h>

enum { DAY = 86400 };

static nitro_identity *identity_of(nitro_fixture *f, size_t index) { return index < NITRO_AUTHORITIES ? &f->authorities[index] : &f->enclave; }

clo_crypto_cert_request nitro_fixture_request(size_t index, int64_t now)
{
    static const char *const names[] = {"aws.nitro-enclaves", "fe56.us-east-2.aws.nitro-enclaves", "c0b4.zonal.us-east-2.aws.nitro-enclaves",
                                        "i-07.us-east-2.aws.nitro-enclaves", "i-07-enc01.us-east-2.aws"};
    clo_crypto_cert_request r = {.common_name = names[index], .not_before = now - 20 * DAY, .not_after = now + 20 * DAY, .is_ca = true, .serial = 100 + index};
    r.limited = index != 0;
    r.path_length = index == 0 ? 0 : (unsigned)(NITRO_AUTHORITIES - 1 - index);
    if (index == NITRO_AUTHORITIES) {
        r.is_ca = r.limited = false;
        r.not_before = now - 3600;
        r.not_after = now + 2 * 3600;
    }
    return r;
}

CLO_R nitro_fixture_certify(nitro_fixture *f, size_t index, const clo_crypto_cert_request *request, const nitro_identity *issuer)
{
    nitro_identity *i = identity_of(f, index);
    if (issuer == NULL && index != 0) issuer = &f->authorities[index - 1];
    clo_buf_clear(&i->der);
    clo_crypto_cert_free(&i->cert);
    CLO_TRY(clo_crypto_cert_make(request, clo_buf_span(&i->pem), issuer == NULL ? NULL : issuer->cert, clo_buf_span(issuer == NULL ? &i->pem : &issuer->pem), &i->der));
    return clo_crypto_cert_parse(&i->cert, clo_buf_span(&i->der));
}

CLO_R nitro_fixture_start(nitro_fixture *f, int64_t now)
{
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i <= NITRO_AUTHORITIES; i++) {
        nitro_identity *id = identity_of(f, i);
        clo_buf_init(&id->pem, 8192);
        clo_buf_init(&id->der, 8192);
    }
    for (size_t i = 0; i <= NITRO_AUTHORITIES; i++) {
        clo_crypto_cert_request r = nitro_fixture_request(i, now);
        CLO_TRY(clo_crypto_keypair_make(CLO_KEYPAIR_P384, &identity_of(f, i)->pem));
        CLO_TRY(nitro_fixture_certify(f, i, &r, NULL));
    }
    return clo_crypto_keypair_private(clo_buf_span(&f->enclave.pem), &f->key);
}

void nitro_fixture_end(nitro_fixture *f)
{
    for (size_t i = 0; i <= NITRO_AUTHORITIES; i++) {
        nitro_identity *id = identity_of(f, i);
        clo_buf_free(&id->pem);
        clo_buf_free(&id->der);
        clo_crypto_cert_free(&id->cert);
    }
    clo_crypto_private_key_wipe(&f->key);
}

static clo_err set_pcrs(clo_arena *a, clo_wire_node *map, const nitro_wishes *w)
{
    clo_wire_node *pcrs = NULL, *value = NULL;
    CLO_TRY(clo_wire_map(a, &pcrs));
    for (int i = 0; i < 16; i++) {
        uint8_t bytes[48] = {0};
        if (i < 3 && !w->debug) memset(bytes, 0x10 + i, sizeof bytes);
        if (w->pcrs != NULL) memcpy(bytes, w->pcrs[i], sizeof bytes);
        CLO_TRY(clo_wire_bytes(a, clo_span_of(bytes, sizeof bytes), &value));
        CLO_TRY(clo_wire_set_int_key(a, pcrs, i, value));
    }
    return clo_wire_set(a, map, "pcrs", pcrs);
}

static clo_err set_optional(clo_arena *a, clo_wire_node *map, const char *key, clo_span v)
{
    clo_wire_node *null = NULL;
    if (v.p != NULL) return clo_wire_set_bytes(a, map, key, v);
    CLO_TRY(clo_wire_null(a, &null));
    return clo_wire_set(a, map, key, null);
}

static clo_err make_payload(clo_arena *a, const nitro_fixture *f, const nitro_wishes *w, clo_buf *out)
{
    clo_wire_node *map = NULL, *bundle = NULL, *one = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "module_id", "i-0123456789abcdef0-enc0123456789abcdef"));
    CLO_TRY(clo_wire_set_text(a, map, "digest", "SHA384"));
    CLO_TRY(clo_wire_set_int(a, map, "timestamp", w->timestamp_ms != 0 ? w->timestamp_ms : INT64_C(1000) * NITRO_NOW));
    CLO_TRY(set_pcrs(a, map, w));
    CLO_TRY(clo_wire_set_bytes(a, map, "certificate", clo_buf_span(&f->enclave.der)));
    CLO_TRY(clo_wire_array(a, &bundle));
    for (size_t i = 0; i < NITRO_AUTHORITIES; i++) {
        CLO_TRY(clo_wire_bytes(a, clo_buf_span(&f->authorities[i].der), &one));
        CLO_TRY(clo_wire_append(bundle, one));
    }
    CLO_TRY(clo_wire_set(a, map, "cabundle", bundle));
    CLO_TRY(set_optional(a, map, "public_key", w->public_key));
    CLO_TRY(set_optional(a, map, "user_data", w->user_data));
    CLO_TRY(set_optional(a, map, "nonce", w->nonce));
    if (w->edit != NULL) CLO_TRY(w->edit(a, map, w->context));
    return clo_wire_cbor_encode(map, out);
}

static clo_err append_bytes(clo_arena *a, clo_wire_node *array, clo_span s)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_bytes(a, s, &n));
    return clo_wire_append(array, n);
}

/* ["Signature1", protected, h'', payload] */
static clo_err sign(clo_arena *a, const nitro_fixture *f, clo_span protected_header, clo_span payload, uint8_t signature[CLO_SIGNATURE_MAX])
{
    clo_wire_node *array = NULL, *n = NULL;
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 65536);
    CLO_TRY(clo_wire_array(a, &array));
    CLO_TRY(clo_wire_text(a, clo_span_str("Signature1"), &n));
    CLO_TRY(clo_wire_append(array, n));
    CLO_TRY(append_bytes(a, array, protected_header));
    CLO_TRY(append_bytes(a, array, clo_span_of("", 0)));
    CLO_TRY(append_bytes(a, array, payload));
    CLO_TRY(clo_wire_cbor_encode(array, &b));
    return clo_crypto_sign(&f->key, clo_buf_span(&b), signature);
}

CLO_R nitro_fixture_document(const nitro_fixture *f, const nitro_wishes *w, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf payload;
    uint8_t signature[CLO_SIGNATURE_MAX];
    clo_wire_node *array = NULL, *map = NULL, *root = NULL;
    clo_arena_init(&a, 1 << 20);
    clo_buf_init(&payload, 65536);
    clo_span es384 = clo_span_of("\xa1\x01\x38\x22", 4), es256 = clo_span_of("\xa1\x01\x26", 3), header = w->es256_label ? es256 : es384;
    CLO_TRY(make_payload(&a, f, w, &payload));
    CLO_TRY(sign(&a, f, header, clo_buf_span(&payload), signature));
    CLO_TRY(clo_wire_array(&a, &array));
    CLO_TRY(append_bytes(&a, array, header));
    CLO_TRY(clo_wire_map(&a, &map));
    if (w->unprotected) {
        clo_wire_node *n = NULL;
        CLO_TRY(clo_wire_int(&a, 1, &n));
        CLO_TRY(clo_wire_set_int_key(&a, map, 99, n));
    }
    CLO_TRY(clo_wire_append(array, map));
    CLO_TRY(append_bytes(&a, array, clo_buf_span(&payload)));
    CLO_TRY(append_bytes(&a, array, clo_span_of(signature, clo_crypto_signature_size(f->key.alg))));
    root = array;
    if (w->tagged) CLO_TRY(clo_wire_tag(&a, 18, array, &root));
    return clo_wire_cbor_encode(root, out);
}
