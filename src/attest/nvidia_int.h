/* NVIDIA GPUs and NVSwitches: the parsed SPDM 1.1 exchange (DMTF DSP0274) and what its verifier's files share. */
#ifndef CLO_ATTEST_NVIDIA_INT_H
#define CLO_ATTEST_NVIDIA_INT_H
#include "attest/attest_int.h"
#include "attest/chain.h"

enum {
    NVIDIA_FIELDS_MAX = 32,
    NVIDIA_INDEX_MAX = 256,
    NVIDIA_DRIVER_VERSION = 3, /* types of opaque fields */
    NVIDIA_VBIOS_VERSION = 6,
    NVIDIA_NVDEC_STATUS = 11,
    NVIDIA_FWID = 20,
    NVIDIA_FWID_SIZE = 48,
};

typedef struct {
    uint16_t type;
    clo_span value;
} nvidia_field;

/* Spans are borrowed from the evidence. */
typedef struct {
    uint8_t request_version, request_code, param1, param2, slot, response_version, response_code;
    clo_span nonce, response_nonce, record, opaque, signed_bytes, signature;
    size_t trailing, block_count, field_count;
    clo_span measurements[NVIDIA_INDEX_MAX]; /* by block index, p = NULL where there is none */
    nvidia_field fields[NVIDIA_FIELDS_MAX];
} nvidia_report;

/* What the leaf certificate says about the firmware that holds its key (TCG DICE). */
typedef struct {
    char name[64], architecture[16];
    bool firmware_leaf;   /* the name is that of a firmware's attestation key */
    clo_span fwid;        /* of 2.23.133.5.4.1; empty where it is absent */
    clo_span layer_fwid;  /* of 2.23.133.5.4.1.1 (Blackwell) */
    bool debug;           /* the flag of a TcbInfo that has flags */
} nvidia_leaf;

/** Request and response in one piece, layout only. Errors: TRUNCATED, TRAILING (inside), MALFORMED, VERSION, DUPLICATE, TOO_MANY. */
CLO_R clo_attest_nvidia_parse(clo_span bytes, nvidia_report *out);
/** The value of an opaque field; p = NULL where it is absent. */
clo_span clo_attest_nvidia_field(const nvidia_report *r, uint16_t type);
/** Versions as people and RIM files write them ("535.86.09", "96.00.5E.00.01"); empty where absent or unreadable. */
void clo_attest_nvidia_driver_version(const nvidia_report *r, char to[64]);
void clo_attest_nvidia_vbios_version(const nvidia_report *r, char to[64]);
/** Errors: MALFORMED (an extension that cannot be read). */
CLO_R clo_attest_nvidia_leaf(const clo_crypto_cert *cert, nvidia_leaf *out);
/** The manifests' `fields`, and architecture, driver_version, vbios_version, record_sha384. */
CLO_R clo_attest_nvidia_claims(clo_arena *a, const nvidia_report *r, const nvidia_leaf *leaf, clo_wire_node **out);
/** driver_rim and vbios_rim against the report. Every finding is a check. */
CLO_R clo_attest_nvidia_rims(clo_attest_context *c, const nvidia_report *r, const nvidia_leaf *leaf);
/** Is any certificate of the chain, from index `from` up to but without its root, revoked? By OCSP responses (roles "ocsp", "ocsp_…") or
 *  lists (roles "crl", "crl_…") of the context; without either a failed check, unless the policy skips revocation. */
CLO_R clo_attest_nvidia_revocation(clo_attest_context *c, const clo_attest_chain *chain, size_t from);

#endif
