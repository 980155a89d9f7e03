/* A GPU of a test root: root, architecture CA, device, firmware leaf; SPDM exchanges, signed manifests and OCSP answers on demand. */
#ifndef NVIDIA_FIXTURE_H
#define NVIDIA_FIXTURE_H
#include "cmocka_all.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "crypto/sign.h"
#include "crypto/x509.h"

#include <string.h>

enum { GPU_NOW = 1800000000, GPU_DAY = 86400, GPU_BLOCKS = 64 };

typedef struct {
    clo_buf pem, der;
    clo_crypto_cert *cert;
} gpu_identity;
extern gpu_identity gpu_root, gpu_ca, gpu_device, gpu_leaf, gpu_other_root, gpu_rim_root, gpu_rim_signer, gpu_responder;
extern uint8_t gpu_fwid[48], gpu_nonce[32];

/* What a case makes different about a report. */
typedef struct {
    const char *driver;          /* NULL = "550.90.07" */
    bool no_fwid, other_fwid, nvdec_enabled;
    uint8_t changed_block;       /* 1..64: another value there; 0 = none */
    uint8_t twice;               /* block index that appears twice; 0 = none */
} gpu_report_options;
/* The value of a measurement of the usual report. */
void gpu_measurement(unsigned index, uint8_t to[48]);
/* Request, response and signature, appended. */
void gpu_report_make(const gpu_report_options *o, clo_buf *out);
/* Put a new signature over all but the last 96 bytes. */
void gpu_report_sign(clo_buf *report);

/* What a case makes different about a manifest. */
typedef struct {
    const char *version, *product; /* NULL: the usual */
    bool vbios;                    /* measurements 33..64 instead of 1..32 */
    bool few;                      /* four measurements, two of them active */
    uint8_t wrong;                 /* file index of a measurement that is another; 0 = none */
    bool other_signer;             /* signed by a key that is not the certificate's */
    const char *inject;            /* XML put before the signature, before signing */
} gpu_rim_options;
void gpu_rim_make(const gpu_rim_options *o, clo_buf *xml);

/* What a case makes different about an OCSP answer. */
typedef struct {
    const gpu_identity *subject, *issuer; /* required */
    const gpu_identity *signer;           /* NULL = the issuer */
    bool revoked, unknown, sha256, no_next, twice, with_nonce;
    int reason;                           /* of a revocation */
    int64_t from, to;                     /* 0: NOW - DAY, NOW + DAY */
} gpu_ocsp_options;
void gpu_ocsp_make(const gpu_ocsp_options *o, clo_buf *der);

/* Certify i's key anew. kind: 'r' root or CA, 'l' leaf with DICE identity, 's' plain leaf, 'o' OCSP responder. */
void gpu_certify(gpu_identity *i, const char *name, const gpu_identity *issuer, char kind, int64_t from, int64_t to);
/* The device's chain as PEM text, leaf first, root last. */
void gpu_chain(clo_buf *pem);
int gpu_set_up(void **state);
int gpu_tear_down(void **state);
#endif
