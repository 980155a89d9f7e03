/* Keys of the collateral. */
#include "attest/token_int.h"
#include "base/clo_own.h"
#include "wire/public_key.h"

const clo_attest_part *clo_attest_token_collateral(const clo_attest_context *c, const char *role)
{
    for (size_t i = 0; i < c->collateral_count; i++) {
        if (strcmp(c->collateral[i].role, role) == 0) return &c->collateral[i];
    }
    return NULL;
}

CLO_R clo_attest_token_collateral_key(clo_attest_context *c, const char *role, clo_crypto_public_key *out, bool *ok)
{
    *ok = false;
    const clo_attest_part *part = clo_attest_token_collateral(c, role);
    if (part == NULL) {
        (void)clo_attest_check_add(c->out, "key", false, "collateral_missing", role, "none");
        return CLO_OK;
    }
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *key = NULL;
    clo_err e = clo_wire_public_key_read(c->arena, part->bytes, &key);
    if (!clo_failed(e)) e = clo_crypto_verify_key_public(key, out);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    *ok = clo_attest_check_add(c->out, "key", !clo_failed(e), "bad_key", role, clo_failed(e) ? clo_err_text() : role);
    return CLO_OK;
}
