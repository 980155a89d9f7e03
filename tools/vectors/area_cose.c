/* cose-wg/Examples: signature objects are parsed and verified; everything else is a primitive that the product does not have. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "vectors.h"
#include "wire/cose.h"

static const struct {
    const char *kind, *reason;
} other_kinds[] = {
    {"mac", "the product has no COSE_Mac"},
    {"mac0", "the product has no COSE_Mac0"},
    {"encrypted", "the product has no COSE_Encrypt0"},
    {"enveloped", "the product has no COSE_Encrypt"},
};

static const struct {
    const char *alg, *curve;
    clo_crypto_sign_alg id;
    size_t coordinate;
} curves[] = {
    {"EdDSA", "Ed25519", CLO_SIGN_ED25519, 32},
    {"ES256", "P-256", CLO_SIGN_ES256, 32},
    {"ES384", "P-384", CLO_SIGN_ES384, 48},
    {"ES512", "P-521", CLO_SIGN_ES512, 66},
};

typedef struct {
    const char *file;
    clo_arena arena;
    clo_vectors_report *report;
    const clo_wire_node *root, *body; /* body: input.sign or input.sign0 */
} cose_case;

/* Member `name` (base64url) or `name_hex`, padded on the left to size bytes. */
static clo_err read_coordinate(const clo_wire_node *key, const char *name, uint8_t *to, size_t size)
{
    char hex_name[16];
    (void)snprintf(hex_name, sizeof hex_name, "%s_hex", name);
    const char *hex = clo_vectors_text(key, hex_name), *text = clo_vectors_text(key, name);
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 256);
    if (hex != NULL) {
        uint8_t *at = NULL;
        size_t n = strlen(hex) / 2;
        CLO_TRY(clo_buf_reserve(&b, n, &at));
        CLO_TRY(clo_hex_decode(at, n, clo_span_str(hex)));
        b.len += n;
    } else {
        CLO_CHECK(text != NULL, CLO_E_MISSING_FIELD);
        CLO_TRY(clo_base64url_decode(&b, clo_span_str(text)));
    }
    CLO_CHECK(b.len <= size, CLO_E_RANGE);
    memset(to, 0, size - b.len);
    memcpy(to + size - b.len, b.p, b.len);
    return CLO_OK;
}

static const char *member_alg(const clo_wire_node *signer)
{
    const char *alg = clo_vectors_text(signer, "alg");
    if (alg == NULL) alg = clo_vectors_text(clo_wire_get(signer, "protected"), "alg");
    return alg != NULL ? alg : clo_vectors_text(clo_wire_get(signer, "unprotected"), "alg");
}

/* UNSUPPORTED with a reason where the product has no such key. */
static clo_err read_key(const clo_wire_node *signer, clo_crypto_public_key *out)
{
    const clo_wire_node *key = clo_wire_get(signer, "key");
    const char *alg = member_alg(signer), *curve = clo_vectors_text(key, "crv");
    if (curve == NULL) return CLO_FAILF(CLO_E_UNSUPPORTED, "the product has no %s", alg != NULL ? alg : "such signature");
    size_t i = 0;
    while (i < 4 && strcmp(curves[i].curve, curve) != 0) i++;
    if (i == 4) return CLO_FAILF(CLO_E_UNSUPPORTED, "the product has no curve %s", curve);
    if (alg != NULL && strcmp(alg, curves[i].alg) != 0)
        return CLO_FAILF(CLO_E_UNSUPPORTED, "the product uses %s with %s only, not %s", curve, curves[i].alg, alg);
    uint8_t bytes[CLO_SIGN_PUBLIC_MAX] = {4};
    size_t n = curves[i].coordinate;
    if (curves[i].id == CLO_SIGN_ED25519) {
        CLO_TRY(read_coordinate(key, "x", bytes, n));
        return clo_crypto_public_key_parse(curves[i].id, clo_span_of(bytes, n), out);
    }
    CLO_TRY(read_coordinate(key, "x", bytes + 1, n));
    CLO_TRY(read_coordinate(key, "y", bytes + 1 + n, n));
    return clo_crypto_public_key_parse(curves[i].id, clo_span_of(bytes, 1 + 2 * n), out);
}

/* Verify one signer's signature; where the case lists the signed bytes, ours must be the same. */
static clo_err check_signer(cose_case *c, const clo_wire_cose *object, size_t index, const clo_wire_node *signer,
                            const clo_wire_node *steps)
{
    clo_crypto_public_key pk = {0};
    CLO_TRY(read_key(signer, &pk));
    clo_span external = {0}, listed = {0};
    bool present = false;
    CLO_TRY(clo_vectors_hex(&c->arena, signer, "external", &external, &present));
    if (!present && signer != c->body) CLO_TRY(clo_vectors_hex(&c->arena, c->body, "external", &external, NULL));
    CLO_TRY(clo_wire_cose_verify(object, index, &pk, external));
    CLO_TRY(clo_vectors_hex(&c->arena, steps, "ToBeSign_hex", &listed, &present));
    if (!present) return CLO_OK;
    CLO_AUTO(clo_buf_free) clo_buf ours;
    clo_buf_init(&ours, 1 << 20);
    CLO_TRY(clo_wire_cose_signed_bytes(object, index, external, &ours));
    CLO_CHECKF(clo_span_equal(clo_buf_span(&ours), listed), CLO_E_MALFORMED, "other signed bytes than listed");
    return CLO_OK;
}

static clo_err run_object(cose_case *c, bool is_sign1)
{
    clo_span bytes = {0};
    bool present = false;
    CLO_TRY(clo_vectors_hex(&c->arena, clo_wire_get(c->root, "output"), "cbor", &bytes, &present));
    const clo_wire_node *steps = clo_wire_get(c->root, "intermediates");
    const clo_wire_node *signers = clo_wire_get(c->body, "signers");
    /* A key of a kind that the product lacks is reported before the object is looked at. */
    clo_crypto_public_key pk = {0};
    for (const clo_wire_node *s = signers != NULL ? signers->first : c->body; s != NULL; s = signers != NULL ? s->next : NULL)
        CLO_TRY(read_key(s, &pk));
    clo_wire_cose object = {0};
    CLO_TRY(clo_wire_cose_parse(&c->arena, bytes, true, &object));
    CLO_CHECKF(object.is_sign1 == is_sign1, CLO_E_MALFORMED, "the object is of the other signature kind");
    if (signers == NULL) return check_signer(c, &object, 0, c->body, steps);
    CLO_CHECKF(object.signature_count == signers->count, CLO_E_MALFORMED, "%zu signatures, not %zu", object.signature_count,
               signers->count);
    const clo_wire_node *list = clo_wire_get(steps, "signers");
    const clo_wire_node *step = list != NULL ? list->first : NULL;
    size_t index = 0;
    for (const clo_wire_node *s = signers->first; s != NULL; s = s->next, index++) {
        CLO_TRY(check_signer(c, &object, index, s, step));
        if (step != NULL) step = step->next;
    }
    return CLO_OK;
}

static void run_case(cose_case *c, const char *dir)
{
    clo_wire_node *root = NULL;
    if (clo_failed(clo_vectors_json(&c->arena, dir, c->file, &root))) {
        clo_vectors_fail(c->report, c->file, "case", "a readable case", clo_err_text());
        return;
    }
    c->root = root;
    const clo_wire_node *input = clo_wire_get(root, "input"), *fail = clo_wire_get(root, "fail");
    const char *title = clo_vectors_text(root, "title");
    if (title == NULL) title = "case";
    bool is_sign1 = clo_wire_get(input, "sign0") != NULL;
    c->body = clo_wire_get(input, is_sign1 ? "sign0" : "sign");
    if (c->body == NULL) {
        const char *reason = "the product has no such COSE object";
        for (size_t i = 0; i < sizeof other_kinds / sizeof other_kinds[0]; i++)
            if (clo_wire_get(input, other_kinds[i].kind) != NULL) reason = other_kinds[i].reason;
        clo_vectors_skip(c->report, c->file, title, reason);
        return;
    }
    bool must_fail = fail != NULL && fail->type == CLO_WIRE_BOOL && fail->boolean;
    clo_err e = run_object(c, is_sign1);
    if (must_fail && clo_failed(e))
        clo_vectors_pass(c->report);
    else if (must_fail)
        clo_vectors_fail(c->report, c->file, title, "refused", "accepted");
    else if (e.code == CLO_E_UNSUPPORTED)
        clo_vectors_skip(c->report, c->file, title, clo_err_text());
    else if (clo_failed(e))
        clo_vectors_fail(c->report, c->file, title, "accepted", clo_err_text());
    else if (strncmp(c->file, "countersign", 11) == 0)
        clo_vectors_skip(c->report, c->file, title, "the signature verifies; the product has no countersignatures");
    else
        clo_vectors_pass(c->report);
}

static clo_err run_folder(clo_arena *a, const char *dir, const char *folder, clo_vectors_report *r)
{
    const char *path = NULL, **names = NULL;
    size_t count = 0;
    CLO_TRY(clo_arena_printf(a, &path, "%s/%s", dir, folder));
    if (clo_failed(clo_vectors_list(a, path, ".json", &names, &count))) return CLO_OK; /* not a folder */
    for (size_t i = 0; i < count; i++) {
        cose_case c = {.report = r};
        CLO_TRY(clo_arena_printf(a, &c.file, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", names[i]));
        clo_arena_init(&c.arena, (size_t)16 << 20);
        run_case(&c, dir);
        clo_arena_free(&c.arena);
    }
    return CLO_OK;
}

int clo_vectors_cose(const char *dir, clo_vectors_report *r)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)16 << 20);
    const char **names = NULL;
    size_t count = 0;
    if (clo_failed(clo_vectors_list(&a, dir, "", &names, &count)) || clo_failed(run_folder(&a, dir, "", r))) return 1;
    for (size_t i = 0; i < count; i++)
        if (clo_failed(run_folder(&a, dir, names[i], r))) return 1;
    return 0;
}
