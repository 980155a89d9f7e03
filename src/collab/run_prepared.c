/* The statement that a runtime signs before the commits, and that nobody else can read until every owner has committed. */
#include "base/clo_own.h"
#include "collab/collab_int.h"
#include "collab/run.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

clo_err clo_collab_statement_share(const uint8_t agreement[32], const uint8_t run_id[16], const uint8_t output[32], const clo_key32 *share,
                                   clo_key32 *out)
{
    static const char domain[] = "cloister/v1 statement";
    CLO_AUTO(clo_buf_free) clo_buf info;
    clo_buf_init(&info, 256);
    CLO_TRY(clo_buf_put(&info, domain, sizeof domain));
    CLO_TRY(clo_buf_put(&info, agreement, 32));
    CLO_TRY(clo_buf_put(&info, run_id, 16));
    CLO_TRY(clo_buf_put(&info, output, 32));
    return clo_crypto_hkdf(CLO_HASH_SHA256, clo_span_of(NULL, 0), clo_span_of(share->b, sizeof share->b), clo_buf_span(&info), out->b, sizeof out->b);
}

/* A key seals one statement, so that its nonce may be constant. */
static const uint8_t only_nonce[CLO_AEAD_NONCE];

clo_err clo_collab_statement_hide(const clo_key32 *key, clo_span statement, clo_buf *out)
{
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(out, statement.n + CLO_AEAD_TAG, &at));
    CLO_TRY(clo_crypto_aead_seal(CLO_AEAD_AES_256_GCM, key->b, clo_span_of(only_nonce, sizeof only_nonce), clo_span_of(NULL, 0), statement, at));
    out->len += statement.n + CLO_AEAD_TAG;
    return CLO_OK;
}

clo_err clo_collab_statement_show(const clo_key32 *key, clo_span hidden, clo_buf *out)
{
    uint8_t *at = NULL;
    CLO_CHECK(hidden.n > CLO_AEAD_TAG && hidden.n <= CLO_COLLAB_OBJECT_MAX, CLO_E_RANGE);
    CLO_TRY(clo_buf_reserve(out, hidden.n, &at));
    clo_err e = clo_crypto_aead_open(CLO_AEAD_AES_256_GCM, key->b, clo_span_of(only_nonce, sizeof only_nonce), clo_span_of(NULL, 0), hidden, at);
    if (clo_failed(e)) return clo_err_prefix(e, "the key services' shares do not open the prepared statement");
    out->len += hidden.n - CLO_AEAD_TAG;
    return CLO_OK;
}
