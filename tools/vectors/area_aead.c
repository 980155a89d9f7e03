/* aead: each case is sealed and opened again; names of the files tell the algorithm where the key's size does not. */
#include "area_crypto.h"

static void aead_case(clo_arena *a, const char *file, const char *name, const clo_wire_node *test, clo_vectors_report *r)
{
    clo_span key = clo_vectors_bytes(a, test, "key"), aad = clo_vectors_bytes(a, test, "aad"),
             pt = clo_vectors_bytes(a, test, "pt");
    clo_span ct = clo_vectors_bytes(a, test, "ct"), tag = clo_vectors_bytes(a, test, "tag");
    bool gcm = clo_wire_get(test, "iv") != NULL;
    clo_span nonce = clo_vectors_bytes(a, test, gcm ? "iv" : "nonce");
    clo_crypto_aead_alg alg = CLO_AEAD_CHACHA20_POLY1305;
    if ((gcm && !clo_vectors_gcm_alg(key.n, &alg)) || key.n != clo_crypto_aead_key_size(alg) || tag.n != CLO_AEAD_TAG) {
        clo_vectors_skip(r, file, name, CLO_VECTORS_NO_PRIMITIVE);
        return;
    }
    uint8_t *want = clo_vectors_scratch(a, ct.n + tag.n), *got = clo_vectors_scratch(a, pt.n + CLO_AEAD_TAG);
    if (ct.n != 0) memcpy(want, ct.p, ct.n);
    memcpy(want + ct.n, tag.p, tag.n);
    clo_span sealed = clo_span_of(want, ct.n + tag.n);
    if (clo_failed(clo_crypto_aead_seal(alg, key.p, nonce, aad, pt, got))) {
        clo_vectors_fail(r, file, name, "sealed bytes", clo_err_text());
        return;
    }
    if (!clo_span_equal(sealed, clo_span_of(got, pt.n + CLO_AEAD_TAG))) {
        clo_vectors_expect(a, r, file, name, sealed, clo_span_of(got, pt.n + CLO_AEAD_TAG));
        return;
    }
    if (clo_failed(clo_crypto_aead_open(alg, key.p, nonce, aad, sealed, got))) {
        clo_vectors_fail(r, file, name, "opened bytes", clo_err_text());
        return;
    }
    clo_vectors_expect(a, r, file, name, pt, clo_span_of(got, pt.n));
}

static void aead_file(clo_arena *a, const char *file, const clo_wire_node *root, clo_vectors_report *r)
{
    int index = 0;
    for (const clo_wire_node *test = root->first; test != NULL; test = test->next, index++) {
        const char *name = NULL;
        if (clo_failed(clo_arena_printf(a, &name, "%d", index))) return;
        aead_case(a, file, name, test, r);
    }
}

int clo_vectors_aead(const char *dir, clo_vectors_report *r) { return clo_vectors_each_file(dir, aead_file, r); }
