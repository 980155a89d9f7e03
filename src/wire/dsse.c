/* Opening DSSE envelopes. */
#include "wire/dsse.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"
#include "wire/tree.h"

enum { SIGNATURE_MAX = 160, TYPE_MAX = 256 };

/* Standard base64, or the URL alphabet (both are allowed), into the arena. */
static clo_err base64_any(clo_arena *a, clo_span text, size_t max, clo_span *out)
{
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, max);
    clo_err e = clo_base64_decode(&bytes, text);
    if (clo_failed(e)) {
        clo_buf_clear(&bytes);
        e = clo_base64url_decode(&bytes, text);
    }
    CLO_TRY(e);
    return clo_arena_copy(a, clo_buf_span(&bytes), out);
}

CLO_R clo_wire_dsse_signed_bytes(const char *type, clo_span payload, clo_buf *out)
{
    CLO_TRY(clo_buf_printf(out, "DSSEv1 %zu %s %zu ", strlen(type), type, payload.n));
    return clo_buf_put_span(out, payload);
}

static clo_err signed_by(clo_arena *a, const clo_wire_node *signatures, const clo_crypto_public_key *key, clo_span covered)
{
    CLO_CHECKF(signatures != NULL && signatures->type == CLO_WIRE_ARRAY && signatures->count != 0, CLO_E_MALFORMED, "the envelope has no signature");
    CLO_CHECKF(signatures->count <= CLO_DSSE_SIGNATURES_MAX, CLO_E_TOO_MANY, "the envelope has more than %d signatures", (int)CLO_DSSE_SIGNATURES_MAX);
    for (const clo_wire_node *n = signatures->first; n != NULL; n = n->next) {
        const clo_wire_node *text = n->type == CLO_WIRE_MAP ? clo_wire_get(n, "sig") : NULL;
        clo_span bytes;
        CLO_CHECKF(text != NULL && text->type == CLO_WIRE_TEXT, CLO_E_MALFORMED, "a signature of the envelope has no sig");
        CLO_TRY(base64_any(a, text->text, SIGNATURE_MAX, &bytes));
        clo_err e = key->alg == CLO_SIGN_ED25519 ? clo_crypto_verify(key, covered, bytes) : clo_crypto_verify_der(key, covered, bytes);
        if (!clo_failed(e)) return CLO_OK;
        clo_class k = clo_err_class(e);
        if (k != CLO_CLASS_INPUT && k != CLO_CLASS_DENIED) return e;
    }
    return CLO_FAILF(CLO_E_BAD_SIGNATURE, "no signature of the envelope is by the expected key");
}

CLO_R clo_wire_dsse_open(clo_arena *a, clo_span json, const char *type, const clo_crypto_public_key *key, clo_span *payload)
{
    CLO_CHECKF(json.n <= CLO_DSSE_MAX, CLO_E_TOO_LARGE, "an envelope has at most 4 MiB");
    clo_wire_node *root = NULL;
    CLO_TRY(clo_wire_json_decode(a, json, &root));
    CLO_CHECKF(root->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the envelope is no JSON object");
    const clo_wire_node *stated = clo_wire_get(root, "payloadType"), *body = clo_wire_get(root, "payload");
    CLO_CHECKF(stated != NULL && stated->type == CLO_WIRE_TEXT && body != NULL && body->type == CLO_WIRE_TEXT, CLO_E_MALFORMED,
               "the envelope has no payloadType and payload");
    CLO_CHECKF(clo_span_equal(stated->text, clo_span_str(type)), CLO_E_UNSUPPORTED, "the envelope's payload is not %.60s", type);
    clo_span bytes;
    CLO_TRY(base64_any(a, body->text, CLO_DSSE_MAX, &bytes));
    CLO_AUTO(clo_buf_free) clo_buf covered;
    clo_buf_init(&covered, CLO_DSSE_MAX + TYPE_MAX);
    CLO_TRY(clo_wire_dsse_signed_bytes(type, bytes, &covered));
    CLO_TRY(signed_by(a, clo_wire_get(root, "signatures"), key, clo_buf_span(&covered)));
    *payload = bytes;
    return CLO_OK;
}
