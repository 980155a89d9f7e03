/* The launch digest of an SEV-SNP guest: what the secure processor does with each page that the VMM hands it. */
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "tee/measure_int.h"

#include <stdio.h>

enum { PAGE = 4096, PAGE_INFO = 0x70, DIGEST = 48 };
enum { KIND_NORMAL = 1, KIND_VMSA = 2, KIND_ZERO = 3, KIND_UNMEASURED = 4, KIND_SECRETS = 5, KIND_CPUID = 6 };
enum { SECTION_MEMORY = 1, SECTION_SECRETS = 2, SECTION_CPUID = 3, SECTION_CALLING_AREA = 4, SECTION_KERNEL_HASHES = 0x10 };
#define VMSA_ADDRESS UINT64_C(0xfffffffff000)
#define FIRST_EIP UINT32_C(0xfffffff0)

static void put_le(uint8_t *to, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) to[i] = (uint8_t)(v >> (8 * i));
}

/* PAGE_INFO: digest so far ‖ contents ‖ u16 length ‖ kind ‖ IMI page ‖ permissions of VMPL 3, 2, 1 ‖ 0 ‖ u64 address. */
static clo_err page_put(uint8_t digest[DIGEST], unsigned kind, uint64_t address, const uint8_t contents[DIGEST])
{
    uint8_t info[PAGE_INFO] = {0};
    memcpy(info, digest, DIGEST);
    memcpy(info + DIGEST, contents, DIGEST);
    put_le(info + 96, PAGE_INFO, 2);
    info[98] = (uint8_t)kind;
    put_le(info + 104, address, 8);
    return clo_crypto_hash(CLO_HASH_SHA384, clo_span_of(info, sizeof info), digest);
}

static clo_err data_put(uint8_t digest[DIGEST], unsigned kind, uint64_t address, clo_span data)
{
    uint8_t contents[DIGEST];
    for (size_t at = 0; at < data.n; at += PAGE) {
        CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, clo_span_of(data.p + at, PAGE), contents));
        CLO_TRY(page_put(digest, kind, address + at, contents));
    }
    return CLO_OK;
}

static clo_err blank_put(uint8_t digest[DIGEST], unsigned kind, uint64_t address, uint64_t size)
{
    static const uint8_t none[DIGEST] = {0};
    for (uint64_t at = 0; at < size; at += PAGE) CLO_TRY(page_put(digest, kind, address + at, none));
    return CLO_OK;
}

/* The table that QEMU writes for measured direct boot: {GUID, u16 length, entries {GUID, u16 50, SHA-256}}, padded to 16 bytes. */
static clo_err hashes_page(const clo_tee_snp_launch *launch, size_t offset, uint8_t page[PAGE])
{
    static const uint8_t guid_table[16] = {0x06, 0xd6, 0x38, 0x94, 0x22, 0x4f, 0xc9, 0x4c, 0xb4, 0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21};
    static const uint8_t guids[3][16] = {{0xd8, 0x2d, 0xd0, 0x97, 0x20, 0xbd, 0x94, 0x4c, 0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a},
                                         {0x31, 0xf7, 0xba, 0x44, 0x2f, 0x3a, 0xd7, 0x4b, 0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d},
                                         {0x37, 0x94, 0xe7, 0x4d, 0xd2, 0xab, 0x7f, 0x42, 0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b}};
    enum { ENTRY = 50, HEAD = 18, TABLE = HEAD + 3 * ENTRY, PADDED = 176 };
    const char *line = launch->command_line == NULL ? "" : launch->command_line;
    const clo_span parts[3] = {clo_span_of(line, strlen(line) + 1), launch->initrd, launch->kernel}; /* the line with its end byte */
    CLO_CHECKF(offset <= PAGE - PADDED, CLO_E_RANGE, "the firmware's place for kernel hashes crosses a page");
    memset(page, 0, PAGE);
    uint8_t *at = page + offset;
    memcpy(at, guid_table, 16);
    put_le(at + 16, TABLE, 2);
    at += HEAD;
    for (size_t i = 0; i < 3; i++, at += ENTRY) {
        memcpy(at, guids[i], 16);
        put_le(at + 16, ENTRY, 2);
        CLO_TRY(clo_crypto_sha256(parts[i], at + HEAD));
    }
    return CLO_OK;
}

static clo_err hashes_put(const clo_tee_snp_launch *launch, const clo_tee_sev_firmware *f, const clo_tee_sev_section *s, uint8_t digest[DIGEST],
                          clo_tee_measured *m)
{
    if (!launch->have_kernel) return blank_put(digest, KIND_ZERO, s->address, s->size);
    uint8_t page[PAGE], hash[32];
    const char *line = launch->command_line == NULL ? "" : launch->command_line;
    CLO_CHECKF(f->have_hashes && s->size == PAGE, CLO_E_UNSUPPORTED, "this firmware does not say where the kernel's hashes go");
    CLO_TRY(hashes_page(launch, f->hashes_table % PAGE, page));
    CLO_TRY(data_put(digest, KIND_NORMAL, s->address, clo_span_of(page, PAGE)));
    CLO_TRY(clo_crypto_sha256(clo_span_of(line, strlen(line) + 1), hash));
    CLO_TRY(clo_tee_measured_step(m, "measurement", "kernel hashes: command line (SHA-256)", 0, strlen(line) + 1, clo_span_of(hash, sizeof hash)));
    CLO_TRY(clo_crypto_sha256(launch->initrd, hash));
    CLO_TRY(clo_tee_measured_step(m, "measurement", "kernel hashes: initrd (SHA-256)", 0, launch->initrd.n, clo_span_of(hash, sizeof hash)));
    CLO_TRY(clo_crypto_sha256(launch->kernel, hash));
    return clo_tee_measured_step(m, "measurement", "kernel hashes: kernel (SHA-256)", 0, launch->kernel.n, clo_span_of(hash, sizeof hash));
}

static const char *section_name(uint32_t kind)
{
    switch (kind) {
    case SECTION_MEMORY: return "memory of the first stage (zero pages)";
    case SECTION_SECRETS: return "secrets page";
    case SECTION_CPUID: return "CPUID page";
    case SECTION_CALLING_AREA: return "SVSM calling area (zero pages)";
    case SECTION_KERNEL_HASHES: return "page of kernel hashes";
    default: return NULL;
    }
}

static clo_err section_put(const clo_tee_snp_launch *launch, const clo_tee_sev_firmware *f, const clo_tee_sev_section *s, uint8_t digest[DIGEST],
                           clo_tee_measured *m)
{
    const char *name = section_name(s->kind);
    CLO_CHECKF(name != NULL, CLO_E_UNSUPPORTED, "the firmware's SEV metadata has a section of kind %u", s->kind);
    switch (s->kind) {
    case SECTION_MEMORY:
        CLO_TRY(blank_put(digest, launch->vmm == CLO_TEE_VMM_GCE ? KIND_UNMEASURED : KIND_ZERO, s->address, s->size));
        break;
    case SECTION_SECRETS: CLO_TRY(blank_put(digest, KIND_SECRETS, s->address, PAGE)); break;
    case SECTION_CPUID: CLO_TRY(blank_put(digest, KIND_CPUID, s->address, PAGE)); break;
    case SECTION_CALLING_AREA: CLO_TRY(blank_put(digest, KIND_ZERO, s->address, s->size)); break;
    default: CLO_TRY(hashes_put(launch, f, s, digest, m)); break;
    }
    return clo_tee_measured_step(m, "measurement", name, s->address, s->size, clo_span_of(NULL, 0));
}

/* EC2 hands the CPUID page over last. */
static clo_err sections_put(const clo_tee_snp_launch *launch, const clo_tee_sev_firmware *f, uint8_t digest[DIGEST], clo_tee_measured *m)
{
    bool have_hashes = false;
    for (size_t i = 0; i < f->count; i++) have_hashes = have_hashes || f->sections[i].kind == SECTION_KERNEL_HASHES;
    CLO_CHECKF(have_hashes || !launch->have_kernel, CLO_E_UNSUPPORTED,
               "this firmware has no place for a kernel's hashes (it is not an AmdSev build): the kernel is not part of its launch digest");
    bool late = launch->vmm == CLO_TEE_VMM_EC2;
    for (size_t i = 0; i < f->count; i++) {
        if (!late || f->sections[i].kind != SECTION_CPUID) CLO_TRY(section_put(launch, f, &f->sections[i], digest, m));
    }
    for (size_t i = 0; late && i < f->count; i++) {
        if (f->sections[i].kind == SECTION_CPUID) CLO_TRY(section_put(launch, f, &f->sections[i], digest, m));
    }
    return CLO_OK;
}

static void segment(uint8_t *to, unsigned selector, unsigned attributes, uint32_t base)
{
    put_le(to, selector, 2);
    put_le(to + 2, attributes, 2);
    put_le(to + 4, 0xffff, 4);
    put_le(to + 8, base, 8);
}

/* The save area that KVM has made of a processor in reset, before its first instruction at `eip`. */
static void vmsa_fill(const clo_tee_snp_launch *launch, uint32_t eip, uint8_t page[PAGE])
{
    bool qemu = launch->vmm == CLO_TEE_VMM_QEMU, ec2 = launch->vmm == CLO_TEE_VMM_EC2;
    memset(page, 0, PAGE);
    segment(page + 0x00, 0, 0x93, 0);                                                          /* ES */
    segment(page + 0x10, 0xf000, ec2 && eip == FIRST_EIP ? 0x9a : 0x9b, eip & 0xffff0000);     /* CS */
    segment(page + 0x20, 0, ec2 ? 0x92 : 0x93, 0);                                             /* SS */
    for (unsigned i = 3; i <= 5; i++) segment(page + 0x10 * (size_t)i, 0, 0x93, 0);            /* DS, FS, GS */
    segment(page + 0x60, 0, 0, 0);                                                             /* GDTR */
    segment(page + 0x70, 0, 0x82, 0);                                                          /* LDTR */
    segment(page + 0x80, 0, 0, 0);                                                             /* IDTR */
    segment(page + 0x90, 0, ec2 ? 0x83 : 0x8b, 0);                                             /* TR */
    put_le(page + 0x0d0, 0x1000, 8);                                                           /* EFER: SVME */
    put_le(page + 0x148, 0x40, 8);                                                             /* CR4: MCE */
    put_le(page + 0x158, 0x10, 8);                                                             /* CR0 */
    put_le(page + 0x160, 0x400, 8);                                                            /* DR7 */
    put_le(page + 0x168, 0xffff0ff0, 8);                                                       /* DR6 */
    put_le(page + 0x170, 0x2, 8);                                                              /* RFLAGS */
    put_le(page + 0x178, eip & 0xffff, 8);                                                     /* RIP */
    put_le(page + 0x268, launch->vmm == CLO_TEE_VMM_GCE ? 0x00070106 : UINT64_C(0x7040600070406), 8); /* G_PAT */
    put_le(page + 0x310, qemu ? launch->vcpu_signature : 0x600, 8);                            /* RDX */
    put_le(page + 0x3b0, launch->guest_features, 8);                                           /* SEV_FEATURES */
    put_le(page + 0x3e8, 1, 8);                                                                /* XCR0 */
    put_le(page + 0x408, qemu ? 0x1f80 : 0, 4);                                                /* MXCSR */
    put_le(page + 0x410, qemu ? 0x37f : 0, 2);                                                 /* x87 control word */
}

static clo_err vcpus_put(const clo_tee_snp_launch *launch, uint32_t reset_eip, uint8_t digest[DIGEST], clo_tee_measured *m)
{
    uint8_t page[PAGE], contents[DIGEST];
    for (unsigned i = 0; i < launch->vcpus; i++) {
        char name[64];
        uint32_t eip = i == 0 ? FIRST_EIP : reset_eip;
        vmsa_fill(launch, eip, page);
        CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, clo_span_of(page, PAGE), contents));
        CLO_TRY(page_put(digest, KIND_VMSA, VMSA_ADDRESS, contents));
        (void)snprintf(name, sizeof name, "save area of processor %u, first instruction at 0x%08x", i, eip);
        CLO_TRY(clo_tee_measured_step(m, "measurement", name, VMSA_ADDRESS, PAGE, clo_span_of(contents, sizeof contents)));
    }
    return CLO_OK;
}

CLO_R clo_tee_measure_snp(const clo_tee_snp_launch *launch, clo_tee_measured *out)
{
    uint8_t digest[DIGEST] = {0};
    clo_tee_sev_firmware f;
    CLO_CHECKF(launch->vcpus >= 1 && launch->vcpus <= CLO_TEE_VCPUS_MAX, CLO_E_RANGE, "a guest has 1 to %d processors", (int)CLO_TEE_VCPUS_MAX);
    CLO_CHECKF(launch->firmware.n % PAGE == 0, CLO_E_RANGE, "a firmware is a multiple of 4 KiB; this file has %zu bytes", launch->firmware.n);
    CLO_TRY(clo_tee_sev_firmware_parse(launch->firmware, &f));
    uint64_t address = (UINT64_C(1) << 32) - launch->firmware.n;
    if (launch->firmware_digest != NULL) {
        memcpy(digest, launch->firmware_digest, DIGEST);
    } else {
        CLO_TRY(data_put(digest, KIND_NORMAL, address, launch->firmware));
    }
    CLO_TRY(clo_tee_measured_step(out, "measurement", launch->firmware_digest != NULL ? "firmware (launch digest given)" : "firmware, page by page", address,
                                  launch->firmware.n, clo_span_of(digest, DIGEST)));
    CLO_TRY(sections_put(launch, &f, digest, out));
    CLO_TRY(vcpus_put(launch, f.reset_eip, digest, out));
    return clo_tee_measured_value(out, "measurement", clo_span_of(digest, DIGEST));
}

/* Family, model and stepping as CPUID leaf 1 has them (AMD 25481). */
CLO_R clo_tee_vcpu_signature(const char *name, uint32_t *out)
{
    static const struct {
        const char *name;
        uint32_t signature;
    } models[] = {{"EPYC-Rome", 0x00830f10}, {"EPYC-Milan", 0x00a00f11}, {"EPYC-Genoa", 0x00a10f10}, {"EPYC-Turin", 0x00b00f00}, {"EPYC", 0x00800f12}};
    if (strncmp(name, "0x", 2) == 0) {
        uint8_t bytes[4];
        CLO_TRY(clo_hex_decode(bytes, sizeof bytes, clo_span_str(name + 2)));
        *out = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
        return CLO_OK;
    }
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        size_t n = strlen(models[i].name);
        /* "EPYC-Milan-v2" is the same processor with other features. */
        bool version = strncmp(name, models[i].name, n) == 0 && (name[n] == '\0' || strncmp(name + n, "-v", 2) == 0 || strcmp(name + n, "-IBPB") == 0);
        if (!version) continue;
        *out = models[i].signature;
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_NOT_FOUND, "\"%.40s\" is no processor model of QEMU's with SEV-SNP; use EPYC-Milan, EPYC-Genoa, EPYC-Turin or 0x and eight digits", name);
}
