/* What a platform will say of an artefact once it is started, computed offline from files. Sans I/O; never linked into the runtime. */
#ifndef CLO_TEE_MEASURE_ARTEFACT_H
#define CLO_TEE_MEASURE_ARTEFACT_H
#include "base/clo_arena.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

/* What was computed, in the arena. */
typedef struct {
    clo_arena *arena;
    clo_wire_node *values; /* MAP of register or digest to BYTES, in the platform's names: "measurement", "mrtd", "pcr0", "mrenclave" … */
    clo_wire_node *notes;  /* MAP of what else the artefact says: "debug", "security_version" … */
    clo_wire_node *steps;  /* ARRAY of MAP {into, what, address, size, digest}: everything that went into a value, in order */
} clo_tee_measured;
CLO_R clo_tee_measured_open(clo_arena *a, clo_tee_measured *out);

/* Who starts the guest: each sets the first registers its own way. */
typedef enum { CLO_TEE_VMM_QEMU, CLO_TEE_VMM_EC2, CLO_TEE_VMM_GCE } clo_tee_vmm;
enum { CLO_TEE_VCPUS_MAX = 1024, CLO_TEE_FIRMWARE_MAX = 64 << 20 };
typedef struct {
    clo_span firmware;              /* OVMF with its table of GUIDs; a multiple of 4 KiB */
    const uint8_t *firmware_digest; /* 48 bytes: the launch digest after a whole firmware of which `firmware` is only the end; NULL = none */
    bool have_kernel;               /* measured direct boot: hashes of kernel, initrd (may be empty) and command line */
    clo_span kernel, initrd;
    const char *command_line;       /* NULL = empty */
    unsigned vcpus;                 /* 1..CLO_TEE_VCPUS_MAX */
    uint32_t vcpu_signature;        /* CPUID 1 EAX of the guest's processor model (clo_tee_vcpu_signature); QEMU alone shows it to the guest */
    uint64_t guest_features;        /* SEV_FEATURES: 1 = SNP, 0x20 = debug swap */
    clo_tee_vmm vmm;
} clo_tee_snp_launch;
/** The launch digest of an SEV-SNP guest ("measurement"). Errors: MALFORMED (firmware without the tables), RANGE, UNSUPPORTED (a kernel, but
 *  the firmware has no place for its hashes; an unknown kind of section).
 *  Source: AMD 56860, 8.17.2 (PAGE_INFO); QEMU target/i386/sev.c; AMD APM volume 2, table B-4 (VMSA). */
CLO_R clo_tee_measure_snp(const clo_tee_snp_launch *launch, clo_tee_measured *out);
/** CPUID signature of a processor model of QEMU ("EPYC-Milan"), or of hexadecimal digits. Errors: NOT_FOUND. */
CLO_R clo_tee_vcpu_signature(const char *name, uint32_t *out);

typedef struct {
    clo_span firmware;        /* TDVF */
    bool two_pass;            /* a VMM that adds all pages of a section before it measures them (QEMU 8 of Intel's tree) */
    bool have_command_line;   /* direct boot through the kernel's EFI stub: RTMR2 */
    const char *command_line; /* as the kernel sees it */
    clo_span initrd;
    clo_span event_log;       /* CCEL table's log: RTMR0..3 by replay; empty = none */
} clo_tee_tdx_launch;
/** MRTD of a TD ("mrtd"), and RTMRs where the inputs allow. Errors: MALFORMED, RANGE, TOO_LARGE.
 *  Source: TDX module base specification, TDH.MEM.PAGE.ADD and TDH.MR.EXTEND; TDVF design guide, metadata. */
CLO_R clo_tee_measure_tdx(const clo_tee_tdx_launch *launch, clo_tee_measured *out);

/** PCR0, 1, 2 of an enclave image file, PCR8 where it is signed. The image's checksum must hold. Errors: MALFORMED, TRUNCATED, TRAILING,
 *  UNSUPPORTED (version), RANGE.
 *  Source: AWS Nitro Enclaves image format. */
CLO_R clo_tee_measure_nitro(clo_span eif, clo_tee_measured *out);

/** MRENCLAVE, MRSIGNER and attributes of a signed enclave: a SIGSTRUCT of 1,808 bytes, or a shared object that carries exactly one whose
 *  signature holds; or, without a signature, MRENCLAVE of a page stream (SGXS). Errors: NOT_FOUND (no SIGSTRUCT), BAD_SIGNATURE, DUPLICATE,
 *  MALFORMED, TRUNCATED.
 *  Source: Intel SDM volume 3D, 38.13 (SIGSTRUCT), EINIT. */
CLO_R clo_tee_measure_sgx(clo_span file, clo_tee_measured *out);

/** PCRs of a TPM event log ("sha256.pcr0" …). Errors: MALFORMED, TRUNCATED.
 *  Source: TCG PC Client Platform Firmware Profile. */
CLO_R clo_tee_measure_tpm(clo_span event_log, clo_tee_measured *out);

#ifdef __cplusplus
}
#endif
#endif
