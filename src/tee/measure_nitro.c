/* PCRs of a Nitro enclave: each begins as zeros and is extended once, by the hash of everything that belongs to it. */
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "tee/eif_image.h"
#include "tee/measure_int.h"
#include "wire/cbor.h"
#include "wire/cose.h"

#include <stdio.h>

enum { IMAGE, BOOT, APPLICATION, HASHERS, SIGNATURE_MAX = 32 * 1024 };

static void hashers_free(clo_crypto_hasher *(*h)[HASHERS])
{
    for (size_t i = 0; i < HASHERS; i++) clo_crypto_hasher_free(&(*h)[i]);
}

static clo_err part_put(clo_crypto_hasher *h, const char *into, const char *what, clo_span bytes, clo_tee_measured *out)
{
    uint8_t digest[48];
    CLO_TRY(clo_crypto_hasher_put(h, bytes));
    CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, bytes, digest));
    return clo_tee_measured_step(out, into, what, 0, bytes.n, clo_span_of(digest, sizeof digest));
}

/* A byte string, or (as the image tools write it) an array of numbers. */
static clo_err bytes_take(const clo_wire_node *n, clo_buf *out)
{
    CLO_CHECKF(n != NULL && (n->type == CLO_WIRE_BYTES || n->type == CLO_WIRE_ARRAY), CLO_E_MALFORMED, "the image's signature section has another shape");
    if (n->type == CLO_WIRE_BYTES) return clo_buf_put_span(out, n->text);
    for (const clo_wire_node *b = n->first; b != NULL; b = b->next) {
        CLO_CHECKF(b->type == CLO_WIRE_INT && b->integer >= 0 && b->integer <= 255, CLO_E_MALFORMED, "the image's signature section has another shape");
        CLO_TRY(clo_buf_put_u8(out, (uint8_t)b->integer));
    }
    return CLO_OK;
}

/* Is this a COSE_Sign1 by the certificate's key over {register_index: 0, register_value: PCR0}? An image whose signature does not hold is not started. */
static clo_err signature_holds(clo_arena *a, const clo_crypto_cert *cert, const clo_wire_node *signature, const uint8_t pcr0[48])
{
    clo_wire_cose cose;
    clo_crypto_public_key key;
    clo_wire_node *payload = NULL;
    clo_wire_cbor_limits limits = {.allow_unsorted = true};
    clo_span none = {NULL, 0};
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    CLO_AUTO(clo_buf_free) clo_buf value;
    clo_buf_init(&bytes, SIGNATURE_MAX);
    clo_buf_init(&value, 64);
    CLO_TRY(bytes_take(signature, &bytes));
    CLO_TRY(clo_crypto_cert_public_key(cert, &key));
    CLO_TRY(clo_wire_cose_parse(a, clo_buf_span(&bytes), true, &cose));
    CLO_TRY(clo_wire_cose_verify(&cose, 0, &key, none));
    CLO_TRY(clo_wire_cbor_decode(a, cose.payload, &limits, &payload));
    const clo_wire_node *index = clo_wire_get(payload, "register_index");
    CLO_TRY(bytes_take(clo_wire_get(payload, "register_value"), &value));
    bool same = index != NULL && index->type == CLO_WIRE_INT && index->integer == 0 && clo_span_equal(clo_buf_span(&value), clo_span_of(pcr0, 48));
    CLO_CHECKF(same, CLO_E_BAD_SIGNATURE, "the image's signature is over another PCR0");
    return CLO_OK;
}

/* PCR8: the first signing certificate, DER. */
static clo_err certificate_put(clo_span section, const uint8_t pcr0[48], clo_tee_measured *out)
{
    clo_wire_node *list = NULL;
    clo_wire_cbor_limits limits = {.allow_unsorted = true};
    CLO_AUTO(clo_buf_free) clo_buf pem;
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
    uint8_t value[48] = {0}, digest[48];
    size_t count = 0;
    clo_buf_init(&pem, SIGNATURE_MAX);
    CLO_CHECKF(section.n <= SIGNATURE_MAX, CLO_E_TOO_LARGE, "an image's signature section has at most %d bytes", (int)SIGNATURE_MAX);
    CLO_TRY(clo_wire_cbor_decode(out->arena, section, &limits, &list));
    CLO_CHECKF(list->type == CLO_WIRE_ARRAY && list->first != NULL, CLO_E_MALFORMED, "the image's signature section has another shape");
    CLO_TRY(bytes_take(clo_wire_get(list->first, "signing_certificate"), &pem));
    CLO_TRY(clo_crypto_cert_parse_pem(&cert, 1, &count, clo_buf_span(&pem)));
    clo_span der = clo_crypto_cert_der(cert);
    CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, der, digest));
    CLO_TRY(clo_tee_extend384(value, digest));
    CLO_TRY(clo_tee_measured_step(out, "pcr8", "signing certificate (DER)", 0, der.n, clo_span_of(digest, sizeof digest)));
    clo_err holds = signature_holds(out->arena, cert, clo_wire_get(list->first, "signature"), pcr0);
    if (clo_failed(holds) && clo_err_class(holds) != CLO_CLASS_INPUT && clo_err_class(holds) != CLO_CLASS_DENIED) return holds;
    CLO_TRY(clo_wire_set_bool(out->arena, out->notes, "signature_holds", !clo_failed(holds)));
    return clo_tee_measured_value(out, "pcr8", clo_span_of(value, sizeof value));
}

static clo_err section_put(const clo_tee_eif_section *s, unsigned *ramdisks, clo_crypto_hasher *const h[HASHERS], clo_tee_measured *out)
{
    static const char *const names[] = {"", "kernel", "command line", "ramdisk", "signature", "metadata"};
    if (s->kind > EIF_RAMDISK) return CLO_OK;
    bool ramdisk = s->kind == EIF_RAMDISK;
    const char *name = !ramdisk ? names[s->kind] : *ramdisks == 0 ? "first ramdisk (boot)" : "ramdisk (application)";
    CLO_TRY(part_put(h[IMAGE], "pcr0", name, s->bytes, out));
    bool application = ramdisk && *ramdisks > 0;
    if (ramdisk) (*ramdisks)++;
    return application ? part_put(h[APPLICATION], "pcr2", name, s->bytes, out) : part_put(h[BOOT], "pcr1", name, s->bytes, out);
}

CLO_R clo_tee_measure_nitro(clo_span eif, clo_tee_measured *out)
{
    clo_tee_eif image;
    CLO_AUTO(hashers_free) clo_crypto_hasher *h[HASHERS] = {NULL};
    unsigned ramdisks = 0;
    uint8_t pcr0[48] = {0};
    CLO_TRY(clo_tee_eif_parse(eif, &image));
    for (size_t i = 0; i < HASHERS; i++) CLO_TRY(clo_crypto_hasher_new(&h[i], CLO_HASH_SHA384));
    for (size_t i = 0; i < image.count; i++) CLO_TRY(section_put(&image.sections[i], &ramdisks, h, out));
    for (size_t i = 0; i < HASHERS; i++) {
        char name[8];
        uint8_t digest[48], value[48] = {0};
        (void)snprintf(name, sizeof name, "pcr%zu", i);
        CLO_TRY(clo_crypto_hasher_end(h[i], digest));
        CLO_TRY(clo_tee_extend384(value, digest));
        CLO_TRY(clo_tee_measured_value(out, name, clo_span_of(value, sizeof value)));
        if (i == IMAGE) memcpy(pcr0, value, sizeof pcr0);
    }
    bool is_signed = false;
    for (size_t i = 0; i < image.count; i++) {
        if (image.sections[i].kind != EIF_SIGNATURE) continue;
        CLO_CHECKF(!is_signed, CLO_E_DUPLICATE, "the image has two signature sections");
        is_signed = true;
        CLO_TRY(certificate_put(image.sections[i].bytes, pcr0, out));
    }
    CLO_TRY(clo_wire_set_bool(out->arena, out->notes, "signed", is_signed));
    return clo_wire_set_text(out->arena, out->notes, "architecture", image.arm64 ? "arm64" : "x86_64");
}
