/* Reference integrity manifests of NVIDIA's driver and firmware: SWID tags (ISO/IEC 19770-2, TCG RIM) with an enveloped XML signature. */
#ifndef CLO_ATTEST_RIM_FILE_H
#define CLO_ATTEST_RIM_FILE_H
#include "base/clo_arena.h"
#include "base/clo_err.h"
#include "wire/xml_signature.h"

enum { CLO_ATTEST_RIM_INDEXES = 256, CLO_ATTEST_RIM_ALTERNATIVES_MAX = 32 };

typedef struct {
    bool there, active;
    size_t count;           /* alternatives; 0 where it is not active */
    const clo_span *values; /* bytes, of the arena */
} clo_attest_rim_measurement;

typedef struct {
    char name[64], version[64], product[32]; /* of the tag: name, Meta colloquialVersion and product; empty where absent */
    char tag_id[128];
    clo_wire_xml_signer signer; /* whose first certificate signed; its chain is the caller's to judge */
    size_t active;              /* how many measurements count */
    clo_attest_rim_measurement measurements[CLO_ATTEST_RIM_INDEXES]; /* by the file's index, from 0 */
} clo_attest_rim;               /* large (7 KiB): in an arena */

/** Parse and check the signature. Errors: MALFORMED, UNSUPPORTED, TOO_LARGE, TOO_MANY, DUPLICATE (an index twice), BAD_SIGNATURE. */
CLO_R clo_attest_rim_read(clo_arena *a, clo_span xml, clo_attest_rim *out);

#endif
