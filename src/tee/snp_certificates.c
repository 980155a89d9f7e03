/* The host's certificate table: entries {GUID 16, offset u32 LE, length u32 LE} up to an all-zero entry, offsets from the table's start. */
#include "base/clo_rd.h"
#include "tee/tee_int.h"

enum { TABLE_ENTRIES_MAX = 64, TABLE_ENTRY = 24, CERTIFICATE_MAX = 16 * 1024 };

static const struct {
    uint8_t guid[16];
    size_t offset; /* of the member in clo_tee_snp_certificates */
} kinds[] = {
    {{0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd}, offsetof(clo_tee_snp_certificates, vcek)},
    {{0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1}, offsetof(clo_tee_snp_certificates, vlek)},
    {{0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82}, offsetof(clo_tee_snp_certificates, ask)},
    {{0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae}, offsetof(clo_tee_snp_certificates, ark)},
    {{0x92, 0xf8, 0x1b, 0xc3, 0x58, 0x11, 0x4d, 0x3d, 0x97, 0xff, 0xd1, 0x9f, 0x88, 0xdc, 0x67, 0xea}, offsetof(clo_tee_snp_certificates, crl)},
};

/* Hosts write the GUID as its text reads, or in the mixed byte order of UEFI; the two never meet for these five. */
static bool guid_equal(const uint8_t wanted[16], const uint8_t *got)
{
    static const uint8_t mixed[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    bool as_text = true, as_uefi = true;
    for (size_t i = 0; i < 16; i++) {
        as_text = as_text && got[i] == wanted[i];
        as_uefi = as_uefi && got[i] == wanted[mixed[i]];
    }
    return as_text || as_uefi;
}

static clo_span *member_of(clo_tee_snp_certificates *c, const uint8_t *guid)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (guid_equal(kinds[i].guid, guid)) return (clo_span *)(void *)((uint8_t *)c + kinds[i].offset);
    }
    return NULL; /* an unknown kind is no concern of ours */
}

CLO_R clo_tee_snp_certificates_parse(clo_span table, clo_tee_snp_certificates *out)
{
    static const uint8_t end[TABLE_ENTRY] = {0};
    clo_tee_snp_certificates c = {.vcek = {NULL, 0}};
    clo_rd r = clo_rd_init(table);
    for (size_t i = 0; table.n != 0; i++) {
        CLO_CHECKF(i < TABLE_ENTRIES_MAX, CLO_E_TOO_MANY, "the host's certificate table has more than %d entries", (int)TABLE_ENTRIES_MAX);
        clo_span entry = clo_rd_span(&r, TABLE_ENTRY);
        CLO_CHECKF(!r.bad, CLO_E_TRUNCATED, "the host's certificate table has no end");
        if (memcmp(entry.p, end, TABLE_ENTRY) == 0) break;
        clo_rd fields = clo_rd_init(clo_span_of(entry.p + 16, 8));
        uint32_t offset = clo_rd_u32le(&fields);
        uint32_t length = clo_rd_u32le(&fields);
        CLO_CHECKF(offset <= table.n && length <= table.n - offset && length <= CERTIFICATE_MAX, CLO_E_RANGE,
                   "the host's certificate table points outside itself");
        clo_span *member = member_of(&c, entry.p);
        if (member == NULL) continue;
        CLO_CHECKF(member->n == 0, CLO_E_DUPLICATE, "the host's certificate table names a certificate twice");
        *member = clo_span_of(table.p + offset, length);
    }
    *out = c;
    return CLO_OK;
}
