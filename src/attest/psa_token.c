/* COSE_Sign1 tokens of PSA kind: reading and verifying. */
#include "attest/psa_int.h"
#include "wire/cbor.h"

#include <stdio.h>

enum { TAG_SIGN1_BYTE = 0xd2, ITEMS_MAX = 256, DEPTH_MAX = 16 };

CLO_R clo_attest_psa_claims_read(clo_arena *a, clo_span payload, clo_wire_node **out)
{
    clo_wire_cbor_limits limits = {.items_max = ITEMS_MAX, .depth_max = DEPTH_MAX, .allow_unsorted = true};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_cbor_decode(a, payload, &limits, &map));
    CLO_CHECKF(map->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the payload is no map of claims");
    CLO_TRY(clo_attest_cbor_name_keys(a, map));
    *out = map;
    return CLO_OK;
}

static clo_err parse(clo_arena *a, clo_span bytes, psa_token *out)
{
    CLO_CHECKF(bytes.n > 1 && bytes.p[0] == TAG_SIGN1_BYTE, CLO_E_MALFORMED, "the token does not begin with the tag of COSE_Sign1 (18)");
    CLO_TRY(clo_wire_cose_parse(a, bytes, true, &out->cose));
    CLO_CHECKF(out->cose.body_protected.n != 0, CLO_E_MALFORMED, "the token's header protects no algorithm");
    return clo_attest_psa_claims_read(a, out->cose.payload, &out->claims);
}

CLO_R clo_attest_psa_open(clo_attest_context *c, const char *name, clo_span bytes, psa_token *out, bool *ok)
{
    memset(out, 0, sizeof *out);
    clo_err e = parse(c->arena, bytes, out);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    *ok = clo_attest_check_add(c->out, name, !clo_failed(e), "malformed", "a COSE_Sign1 token", clo_failed(e) ? clo_err_text() : "a COSE_Sign1 token");
    return CLO_OK;
}

CLO_R clo_attest_psa_verify_by(clo_attest_context *c, const char *name, const psa_token *token, const clo_crypto_public_key *key)
{
    int64_t alg = token->cose.signatures[0].alg;
    char got[32];
    (void)snprintf(got, sizeof got, "%lld", (long long)alg);
    if (alg != -7 && alg != -35 && alg != -36) {
        (void)clo_attest_check_add(c->out, name, false, "forbidden_alg", "ES256 (-7), ES384 (-35) or ES512 (-36)", got);
        return CLO_OK;
    }
    clo_err e = clo_wire_cose_verify_public(&token->cose, 0, key, clo_span_of(NULL, 0));
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    (void)clo_attest_check_add(c->out, name, !clo_failed(e), "bad_signature", "ECDSA by the key", clo_failed(e) ? clo_err_text() : "signed by it");
    return CLO_OK;
}
