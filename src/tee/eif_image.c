#include "tee/eif_image.h"

#include "base/clo_rd.h"

enum { HEADER = 548, VERSION_LEAST = 2, VERSION_MOST = 4, SECTION_HEAD = 12 };

/* CRC-32 (ISO HDLC), four bits at a time. */
static uint32_t crc_put(uint32_t crc, clo_span bytes)
{
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                       0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    for (size_t i = 0; i < bytes.n; i++) {
        crc ^= bytes.p[i];
        crc = table[crc & 15] ^ crc >> 4;
        crc = table[crc & 15] ^ crc >> 4;
    }
    return crc;
}

typedef struct {
    unsigned version, flags, count;
    uint64_t offsets[EIF_SECTIONS_MAX], sizes[EIF_SECTIONS_MAX];
    uint32_t crc;
} eif_header;

static clo_err header_take(clo_rd *r, eif_header *h)
{
    clo_span magic = clo_rd_span(r, 4);
    h->version = clo_rd_u16be(r);
    h->flags = clo_rd_u16be(r);
    (void)clo_rd_bytes(r, 8 + 8 + 2); /* memory and processors that the image asks for */
    h->count = clo_rd_u16be(r);
    for (size_t i = 0; i < EIF_SECTIONS_MAX; i++) h->offsets[i] = clo_rd_u64be(r);
    for (size_t i = 0; i < EIF_SECTIONS_MAX; i++) h->sizes[i] = clo_rd_u64be(r);
    (void)clo_rd_u32be(r);
    h->crc = clo_rd_u32be(r);
    CLO_CHECKF(!r->bad && memcmp(magic.p, ".eif", 4) == 0, CLO_E_MALFORMED, "this is no enclave image file");
    CLO_CHECKF(h->version >= VERSION_LEAST && h->version <= VERSION_MOST, CLO_E_UNSUPPORTED, "an enclave image file of version %u is not known", h->version);
    CLO_CHECKF(h->count >= 1 && h->count <= EIF_SECTIONS_MAX, CLO_E_MALFORMED, "the image has %u sections", h->count);
    return CLO_OK;
}

CLO_R clo_tee_eif_parse(clo_span file, clo_tee_eif *out)
{
    eif_header h = {.count = 0};
    clo_rd r = clo_rd_init(file);
    CLO_TRY(header_take(&r, &h));
    clo_tee_eif image = {.version = h.version, .arm64 = (h.flags & 1) != 0};
    while (r.left != 0 && !r.bad) {
        CLO_CHECKF(image.count < h.count, CLO_E_TRAILING, "there is more in the image than its header lists");
        size_t at = file.n - r.left;
        clo_tee_eif_section *s = &image.sections[image.count];
        s->kind = clo_rd_u16be(&r);
        (void)clo_rd_u16be(&r);
        uint64_t size = clo_rd_u64be(&r);
        CLO_CHECKF(!r.bad && size <= r.left, CLO_E_TRUNCATED, "the image ends within its section %zu", image.count);
        CLO_CHECKF(h.offsets[image.count] == at && h.sizes[image.count] == size, CLO_E_MALFORMED,
                   "the image's header and its section %zu disagree on where it is", image.count);
        CLO_CHECKF(s->kind >= EIF_KERNEL && s->kind <= EIF_METADATA, CLO_E_MALFORMED, "section %zu of the image is of kind %u", image.count, s->kind);
        s->bytes = clo_rd_span(&r, (size_t)size);
        image.count++;
    }
    CLO_CHECKF(image.count == h.count, CLO_E_TRUNCATED, "the image has %zu of the %u sections that its header lists", image.count, h.count);
    uint32_t crc = crc_put(crc_put(0xffffffffu, clo_span_of(file.p, HEADER - 4)), clo_span_of(file.p + HEADER, file.n - HEADER)) ^ 0xffffffffu;
    CLO_CHECKF(crc == h.crc, CLO_E_MALFORMED, "the image's checksum does not hold: the file is damaged");
    *out = image;
    return CLO_OK;
}
