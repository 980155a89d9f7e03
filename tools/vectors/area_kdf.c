/* kdf: HKDF extract and expand of RFC 5869, and both at once. */
#include "area_crypto.h"

static void kdf_case(clo_arena *a, const char *file, const clo_wire_node *test, clo_vectors_report *r)
{
    const char *name = clo_vectors_name(a, test, "case");
    clo_crypto_hash_alg alg = CLO_HASH_SHA256;
    if (!clo_vectors_hash_alg(clo_vectors_text(test, "hash"), &alg)) {
        clo_vectors_skip(r, file, name, CLO_VECTORS_NO_PRIMITIVE);
        return;
    }
    clo_span ikm = clo_vectors_bytes(a, test, "ikm"), salt = clo_vectors_bytes(a, test, "salt"),
             info = clo_vectors_bytes(a, test, "info");
    clo_span prk = clo_vectors_bytes(a, test, "prk"), okm = clo_vectors_bytes(a, test, "okm");
    size_t size = (size_t)clo_vectors_int(test, "L", 0), hash_size = clo_crypto_hash_size(alg);
    uint8_t extracted[CLO_HASH_MAX];
    uint8_t *expanded = clo_vectors_scratch(a, size), *whole = clo_vectors_scratch(a, size);
    if (clo_failed(clo_crypto_hkdf_extract(alg, salt, ikm, extracted)) ||
        clo_failed(clo_crypto_hkdf_expand(alg, clo_span_of(extracted, hash_size), info, expanded, size)) ||
        clo_failed(clo_crypto_hkdf(alg, salt, ikm, info, whole, size))) {
        clo_vectors_fail(r, file, name, "derived bytes", clo_err_text());
        return;
    }
    if (prk.n != 0 && !clo_span_equal(prk, clo_span_of(extracted, hash_size))) {
        clo_vectors_expect(a, r, file, name, prk, clo_span_of(extracted, hash_size));
        return;
    }
    if (!clo_span_equal(clo_span_of(expanded, size), clo_span_of(whole, size))) {
        clo_vectors_fail(r, file, name, "one step equals two", "they differ");
        return;
    }
    clo_vectors_expect(a, r, file, name, okm, clo_span_of(expanded, size));
}

static void kdf_file(clo_arena *a, const char *file, const clo_wire_node *root, clo_vectors_report *r)
{
    for (const clo_wire_node *test = root->first; test != NULL; test = test->next) kdf_case(a, file, test, r);
}

int clo_vectors_kdf(const char *dir, clo_vectors_report *r) { return clo_vectors_each_file(dir, kdf_file, r); }
