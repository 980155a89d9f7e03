/* AWS' side of Nitro Enclaves made afresh: root, region, zone and instance authorities, an enclave's certificate, and attestation documents
 * under them, of the form that the real ones have. Verify under custom_root with the root of nitro_fixture_root. */
#ifndef NITRO_FIXTURE_H
#define NITRO_FIXTURE_H
#include "base/clo_buf.h"
#include "crypto/sign.h"
#include "crypto/x509.h"
#include "wire/tree.h"

enum { NITRO_AUTHORITIES = 4, NITRO_NOW = 1800000000 };

typedef struct {
    clo_buf pem, der;
    clo_crypto_cert *cert;
} nitro_identity;

typedef struct {
    nitro_identity authorities[NITRO_AUTHORITIES]; /* root first */
    nitro_identity enclave;
    clo_crypto_private_key key; /* the enclave's */
} nitro_fixture;

/* What a document says; zero = a usual one. */
typedef struct {
    clo_span user_data, nonce, public_key; /* p NULL = null */
    int64_t timestamp_ms;                  /* 0 = NITRO_NOW */
    const uint8_t (*pcrs)[48];             /* 16 values; NULL = made up, not zero */
    bool debug;                            /* PCR0-2 are zero */
    bool tagged, unprotected, es256_label; /* of the COSE object */
    clo_err (*edit)(clo_arena *a, clo_wire_node *document, void *context); /* last change before signing */
    void *context;
} nitro_wishes;

/** All keys and certificates, valid around `now`. Free with nitro_fixture_end. */
CLO_R nitro_fixture_start(nitro_fixture *f, int64_t now);
/** The same keys with another certificate: index of the authority, NITRO_AUTHORITIES for the enclave's own. issuer NULL = its usual one. */
CLO_R nitro_fixture_certify(nitro_fixture *f, size_t index, const clo_crypto_cert_request *request, const nitro_identity *issuer);
/** The usual request of that certificate. */
clo_crypto_cert_request nitro_fixture_request(size_t index, int64_t now);
void nitro_fixture_end(nitro_fixture *f);
static inline clo_span nitro_fixture_root(const nitro_fixture *f) { return clo_buf_span(&f->authorities[0].der); }
/** An attestation document, appended. */
CLO_R nitro_fixture_document(const nitro_fixture *f, const nitro_wishes *wishes, clo_buf *out);

#endif
