/* hpke: key derivation, encapsulation, every message in order of its sequence number, refusal of an altered message, exports. */
#include "area_crypto.h"
#include "base/clo_own.h"
#include "crypto/hpke.h"

typedef struct {
    clo_arena *a;
    const char *file, *name;
    clo_vectors_report *r;
    bool failed;
} run;

static void check(run *t, const char *what, bool good)
{
    if (good || t->failed) return;
    t->failed = true;
    clo_vectors_fail(t->r, t->file, t->name, what, clo_err_text()[0] != 0 ? clo_err_text() : "something else");
}

static bool same(clo_span want, const void *got, size_t n) { return clo_span_equal(want, clo_span_of(got, n)); }

/* One party's pair: derived from its ikm, equal to the published halves. */
static void pair(run *t, uint16_t kem, const clo_wire_node *c, const char *ikm, const char *sk_key, const char *pk_key,
                 clo_crypto_hpke_private *sk, clo_crypto_hpke_public *pk)
{
    check(t, ikm, !clo_failed(clo_crypto_hpke_derive(kem, clo_vectors_bytes(t->a, c, ikm), sk, pk)));
    if (t->failed) return;
    check(t, sk_key, same(clo_vectors_bytes(t->a, c, sk_key), sk->secret.b, 32));
    check(t, pk_key, same(clo_vectors_bytes(t->a, c, pk_key), pk->bytes, pk->n));
    clo_crypto_hpke_public parsed;
    check(t, "public key parses", !clo_failed(clo_crypto_hpke_public_parse(kem, clo_vectors_bytes(t->a, c, pk_key), &parsed)));
}

static void messages(run *t, const clo_wire_node *c, clo_crypto_hpke_context *sender, clo_crypto_hpke_context *recipient)
{
    const clo_wire_node *list = clo_wire_get(c, "encryptions");
    CLO_AUTO(clo_buf_free) clo_buf sealed;
    CLO_AUTO(clo_buf_free) clo_buf opened;
    clo_buf_init(&sealed, (size_t)1 << 20);
    clo_buf_init(&opened, (size_t)1 << 20);
    /* The nonces ask for rising sequence numbers; the published list may be in any order. */
    int64_t last = -1;
    for (size_t round = 0; list != NULL && round < list->count && !t->failed; round++) {
        const clo_wire_node *next = NULL;
        for (const clo_wire_node *e = list->first; e != NULL; e = e->next) {
            int64_t seq = clo_vectors_int(e, "seq", -1);
            if (seq > last && (next == NULL || seq < clo_vectors_int(next, "seq", -1))) next = e;
        }
        if (next == NULL) return;
        last = clo_vectors_int(next, "seq", -1);
        clo_span aad = clo_vectors_bytes(t->a, next, "aad"), pt = clo_vectors_bytes(t->a, next, "pt"),
                 ct = clo_vectors_bytes(t->a, next, "ct");
        clo_buf_clear(&sealed);
        clo_buf_clear(&opened);
        check(t, "seek", !clo_failed(clo_crypto_hpke_context_seek(sender, (uint64_t)last)));
        check(t, "seek", !clo_failed(clo_crypto_hpke_context_seek(recipient, (uint64_t)last)));
        check(t, "seal", !clo_failed(clo_crypto_hpke_context_seal(sender, aad, pt, &sealed)));
        check(t, "ciphertext", clo_span_equal(clo_buf_span(&sealed), ct));
        if (t->failed) return;
        sealed.p[0] ^= 1;
        check(t, "altered message refused",
              clo_failed(clo_crypto_hpke_context_open(recipient, aad, clo_buf_span(&sealed), &opened)));
        check(t, "open", !clo_failed(clo_crypto_hpke_context_open(recipient, aad, ct, &opened)));
        check(t, "plaintext", clo_span_equal(clo_buf_span(&opened), pt));
    }
}

static void exports(run *t, const clo_wire_node *c, clo_crypto_hpke_context *sender, clo_crypto_hpke_context *recipient)
{
    const clo_wire_node *list = clo_wire_get(c, "exports");
    for (const clo_wire_node *e = list != NULL ? list->first : NULL; e != NULL && !t->failed; e = e->next) {
        size_t n = (size_t)clo_vectors_int(e, "L", 0);
        clo_span want = clo_vectors_bytes(t->a, e, "exported_value"), context = clo_vectors_bytes(t->a, e, "exporter_context");
        uint8_t *one = clo_vectors_scratch(t->a, n), *two = clo_vectors_scratch(t->a, n);
        check(t, "export", !clo_failed(clo_crypto_hpke_context_export(sender, context, one, n)));
        check(t, "export", !clo_failed(clo_crypto_hpke_context_export(recipient, context, two, n)));
        check(t, "sender's exported value", same(want, one, n));
        check(t, "recipient's exported value", same(want, two, n));
    }
}

static void hpke_case(clo_arena *a, const char *file, const char *name, const clo_wire_node *c, clo_vectors_report *r)
{
    int64_t kem_id = clo_vectors_int(c, "kem_id", 0), mode = clo_vectors_int(c, "mode", -1);
    int64_t kdf_id = clo_vectors_int(c, "kdf_id", 0), aead_id = clo_vectors_int(c, "aead_id", 0);
    if ((kem_id != CLO_HPKE_KEM_X25519 && kem_id != CLO_HPKE_KEM_P256) || kdf_id < CLO_HPKE_KDF_SHA256 ||
        kdf_id > CLO_HPKE_KDF_SHA512 ||
        ((aead_id < CLO_HPKE_AEAD_AES128GCM || aead_id > CLO_HPKE_AEAD_CHACHA20) && aead_id != CLO_HPKE_AEAD_EXPORT)) {
        clo_vectors_skip(r, file, name, CLO_VECTORS_NO_PRIMITIVE);
        return;
    }
    run t = {.a = a, .file = file, .name = name, .r = r};
    uint16_t kem = (uint16_t)kem_id;
    clo_crypto_hpke_private receiver, ephemeral, sender;
    clo_crypto_hpke_public receiver_public, ephemeral_public, sender_public, enc;
    pair(&t, kem, c, "ikmR", "skRm", "pkRm", &receiver, &receiver_public);
    pair(&t, kem, c, "ikmE", "skEm", "pkEm", &ephemeral, &ephemeral_public);
    bool auth = mode == CLO_HPKE_AUTH || mode == CLO_HPKE_AUTH_PSK;
    if (auth) pair(&t, kem, c, "ikmS", "skSm", "pkSm", &sender, &sender_public);
    if (t.failed) return;
    clo_crypto_hpke_setup setup = {
        .suite = {kem, (uint16_t)kdf_id, (uint16_t)aead_id},
        .mode = (int)mode,
        .info = clo_vectors_bytes(a, c, "info"),
        .psk = clo_vectors_bytes(a, c, "psk"),
        .psk_id = clo_vectors_bytes(a, c, "psk_id"),
        .sender_key = auth ? &sender : NULL,
        .ephemeral = &ephemeral,
    };
    CLO_AUTO(clo_crypto_hpke_context_free) clo_crypto_hpke_context *sealing = NULL;
    CLO_AUTO(clo_crypto_hpke_context_free) clo_crypto_hpke_context *opening = NULL;
    clo_span published = clo_vectors_bytes(a, c, "enc");
    check(&t, "sender set up", !clo_failed(clo_crypto_hpke_sender(&sealing, &setup, &receiver_public, &enc)));
    if (t.failed) return;
    check(&t, "encapsulated key", same(published, enc.bytes, enc.n));
    setup.sender_public = auth ? &sender_public : NULL;
    check(&t, "recipient set up", !clo_failed(clo_crypto_hpke_recipient(&opening, &setup, &receiver, published)));
    if (t.failed) return;
    if (setup.suite.aead != CLO_HPKE_AEAD_EXPORT) messages(&t, c, sealing, opening);
    exports(&t, c, sealing, opening);
    if (!t.failed) clo_vectors_pass(r);
}

static void hpke_file(clo_arena *a, const char *file, const clo_wire_node *root, clo_vectors_report *r)
{
    int index = 0;
    for (const clo_wire_node *c = root->first; c != NULL; c = c->next, index++) {
        const char *name = NULL;
        if (clo_failed(clo_arena_printf(a, &name, "%d (mode %lld, kem 0x%04llx, kdf %lld, aead %lld)", index,
                                        (long long)clo_vectors_int(c, "mode", -1),
                                        (unsigned long long)clo_vectors_int(c, "kem_id", 0),
                                        (long long)clo_vectors_int(c, "kdf_id", 0), (long long)clo_vectors_int(c, "aead_id", 0))))
            return;
        hpke_case(a, file, name, c, r);
    }
}

int clo_vectors_hpke(const char *dir, clo_vectors_report *r) { return clo_vectors_each_file(dir, hpke_file, r); }
