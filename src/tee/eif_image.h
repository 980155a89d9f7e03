/* Enclave image files of AWS Nitro (aws-nitro-enclaves-image-format): big-endian header of 548 bytes, then sections {u16 kind, u16 flags,
 * u64 size, bytes}. */
#ifndef CLO_TEE_EIF_IMAGE_H
#define CLO_TEE_EIF_IMAGE_H
#include "base/clo_err.h"
#include "base/clo_span.h"

enum { EIF_SECTIONS_MAX = 32, EIF_KERNEL = 1, EIF_COMMAND_LINE, EIF_RAMDISK, EIF_SIGNATURE, EIF_METADATA };
typedef struct {
    unsigned kind;
    clo_span bytes; /* borrowed from the file */
} clo_tee_eif_section;
typedef struct {
    unsigned version;
    bool arm64;
    size_t count;
    clo_tee_eif_section sections[EIF_SECTIONS_MAX];
} clo_tee_eif;
/** The sections as they follow each other, which the header's list must agree with; the checksum must hold. Errors: TRUNCATED, TRAILING,
 *  MALFORMED, UNSUPPORTED (version). */
CLO_R clo_tee_eif_parse(clo_span file, clo_tee_eif *out);
#endif
