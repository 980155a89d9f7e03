/* Shared by the offline measurements. */
#ifndef CLO_TEE_MEASURE_INT_H
#define CLO_TEE_MEASURE_INT_H
#include "tee/measure.h"

/* A result. */
CLO_R clo_tee_measured_value(clo_tee_measured *m, const char *name, clo_span bytes);
/* Something that went into `into`; digest may be empty, address and size are left out where both are zero. */
CLO_R clo_tee_measured_step(clo_tee_measured *m, const char *into, const char *what, uint64_t address, uint64_t size, clo_span digest);
/* register = SHA-384(register ‖ digest). */
CLO_R clo_tee_extend384(uint8_t value[48], const uint8_t digest[48]);

/* A step per event of a firmware's log with a digest of this hash (TPM_ALG_ID): into "<into><register - first>". */
CLO_R clo_tee_event_log_steps(clo_span event_log, uint16_t hash, const char *into, unsigned first, clo_tee_measured *out);

/* OVMF's table of GUIDs, which ends 32 bytes before the end of the firmware: the data of the entry with this GUID (UEFI byte order), borrowed.
 * Errors: MALFORMED (no table), NOT_FOUND. */
CLO_R clo_tee_ovmf_entry(clo_span firmware, const uint8_t guid[16], clo_span *data);
/* What an entry points at: `data` begins with an offset from the firmware's end. Errors: RANGE. */
CLO_R clo_tee_ovmf_pointed(clo_span firmware, clo_span data, clo_span *from_there);

enum { OVMF_SECTIONS_MAX = 64 };
typedef struct {
    uint32_t address, size, kind;
} clo_tee_sev_section;
typedef struct {
    size_t count;
    clo_tee_sev_section sections[OVMF_SECTIONS_MAX];
    uint32_t reset_eip;    /* where application processors start */
    bool have_hashes;      /* there is a place for the hashes of a kernel … */
    uint32_t hashes_table; /* … at this address */
} clo_tee_sev_firmware;
/* What an SEV-SNP launch needs of a firmware. Errors: MALFORMED, NOT_FOUND, RANGE, TRUNCATED. */
CLO_R clo_tee_sev_firmware_parse(clo_span firmware, clo_tee_sev_firmware *out);

typedef struct {
    uint32_t data_offset, data_size;
    uint64_t address, size;
    uint32_t kind, attributes;
} clo_tee_td_section;
typedef struct {
    size_t count;
    clo_tee_td_section sections[OVMF_SECTIONS_MAX];
} clo_tee_td_firmware;
/* TDVF metadata; every section's data lies inside the firmware. Errors as above, TOO_LARGE (more than 256 MiB to add). */
CLO_R clo_tee_td_firmware_parse(clo_span firmware, clo_tee_td_firmware *out);

enum { SIGSTRUCT_SIZE = 1808 };
typedef struct {
    uint8_t mrenclave[32], mrsigner[32];
    uint64_t attributes;
    uint32_t date; /* BCD yyyymmdd */
    uint16_t product, security_version;
} clo_tee_sigstruct;
/* One SIGSTRUCT of exactly 1,808 bytes, signature included (RSA-3072, exponent 3). Errors: TRUNCATED, MALFORMED, BAD_SIGNATURE. */
CLO_R clo_tee_sigstruct_parse(clo_span bytes, clo_tee_sigstruct *out);
#endif
