/* Verification of COSE signatures in evidence. */
#include "base/clo_own.h"
#include "crypto/verify_key.h"
#include "wire/cose_int.h"

clo_err clo_wire_cose_verify_public(const clo_wire_cose *c, size_t index, const clo_crypto_public_key *pk, clo_span external_aad)
{
    CLO_AUTO(clo_buf_free) clo_buf structure;
    clo_buf_init(&structure, COSE_BYTES_MAX);
    CLO_TRY(clo_wire_cose_covered(c, index, pk, external_aad, &structure));
    return clo_crypto_verify_public(pk, clo_buf_span(&structure), c->signatures[index].signature);
}
