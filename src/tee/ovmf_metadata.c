/* OVMF's table of GUIDs and what SEV-SNP and TDX launches find through it (edk2, OvmfPkg/ResetVector). */
#include "base/clo_rd.h"
#include "tee/measure_int.h"

enum { TABLE_END = 32, ENTRY_HEAD = 18, ENTRIES_MAX = 64, TD_PAGES_MAX = 65536 };
static const uint8_t guid_footer[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
static const uint8_t guid_hashes[16] = {0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b, 0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54};
static const uint8_t guid_reset[16] = {0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f, 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e};
static const uint8_t guid_sev[16] = {0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47, 0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc};
static const uint8_t guid_tdx[16] = {0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2};

/* An entry stands before its head {u16 size of both, GUID}; the last one is the table's own. Takes it off the end. */
static clo_err entry_pop(clo_span *table, clo_span *guid, clo_span *data)
{
    CLO_CHECKF(table->n >= ENTRY_HEAD, CLO_E_MALFORMED, "the firmware's table of GUIDs ends within an entry");
    clo_rd r = clo_rd_init(clo_span_of(table->p + table->n - ENTRY_HEAD, ENTRY_HEAD));
    size_t size = clo_rd_u16le(&r);
    CLO_CHECKF(size >= ENTRY_HEAD && size <= table->n, CLO_E_MALFORMED, "the firmware's table of GUIDs has an entry of %zu bytes", size);
    *guid = clo_rd_span(&r, 16);
    *data = clo_span_of(table->p + table->n - size, size - ENTRY_HEAD);
    table->n -= size;
    return CLO_OK;
}

CLO_R clo_tee_ovmf_entry(clo_span firmware, const uint8_t guid[16], clo_span *data)
{
    clo_span name, content;
    CLO_CHECKF(firmware.n >= TABLE_END + ENTRY_HEAD && firmware.n <= CLO_TEE_FIRMWARE_MAX, CLO_E_MALFORMED, "a file of %zu bytes is no firmware", firmware.n);
    clo_span whole = clo_span_of(firmware.p, firmware.n - TABLE_END);
    CLO_TRY(entry_pop(&whole, &name, &content));
    CLO_CHECKF(memcmp(name.p, guid_footer, sizeof guid_footer) == 0, CLO_E_MALFORMED, "this firmware has no table of GUIDs: is it OVMF, whole to its end?");
    clo_span table = content;
    for (unsigned i = 0; table.n != 0; i++) {
        CLO_CHECKF(i < ENTRIES_MAX, CLO_E_TOO_MANY, "the firmware's table of GUIDs has more than %d entries", (int)ENTRIES_MAX);
        CLO_TRY(entry_pop(&table, &name, &content));
        if (memcmp(name.p, guid, 16) != 0) continue;
        *data = content;
        return CLO_OK;
    }
    return CLO_FAIL(CLO_E_NOT_FOUND);
}

CLO_R clo_tee_ovmf_pointed(clo_span firmware, clo_span data, clo_span *from_there)
{
    clo_rd r = clo_rd_init(data);
    uint32_t offset = clo_rd_u32le(&r);
    CLO_CHECKF(!r.bad && offset != 0 && offset <= firmware.n, CLO_E_RANGE, "the firmware's metadata lies outside of it");
    *from_there = clo_span_of(firmware.p + firmware.n - offset, offset);
    return CLO_OK;
}

static clo_err entry_u32(clo_span firmware, const uint8_t guid[16], uint32_t *out)
{
    clo_span data;
    CLO_TRY(clo_tee_ovmf_entry(firmware, guid, &data));
    clo_rd r = clo_rd_init(data);
    uint32_t v = clo_rd_u32le(&r);
    CLO_CHECKF(!r.bad, CLO_E_TRUNCATED, "an entry of the firmware's table of GUIDs is too short");
    *out = v;
    return CLO_OK;
}

/* {"ASEV", u32 size, u32 version 1, u32 count, count × {u32 address, u32 size, u32 kind}} */
static clo_err sev_sections(clo_span firmware, clo_tee_sev_firmware *out)
{
    clo_span data, metadata;
    clo_err e = clo_tee_ovmf_entry(firmware, guid_sev, &data);
    if (e.code == CLO_E_NOT_FOUND) return CLO_FAILF(CLO_E_NOT_FOUND, "this firmware has no SEV metadata: it is not built for SEV-SNP");
    CLO_TRY(e);
    CLO_TRY(clo_tee_ovmf_pointed(firmware, data, &metadata));
    clo_rd r = clo_rd_init(metadata);
    clo_span signature = clo_rd_span(&r, 4);
    uint32_t size = clo_rd_u32le(&r);
    uint32_t version = clo_rd_u32le(&r);
    uint32_t count = clo_rd_u32le(&r);
    CLO_CHECKF(!r.bad && memcmp(signature.p, "ASEV", 4) == 0 && version == 1, CLO_E_MALFORMED, "the firmware's SEV metadata is not of version 1");
    CLO_CHECKF(count <= OVMF_SECTIONS_MAX && size >= 16 + 12 * count, CLO_E_RANGE, "the firmware's SEV metadata has %u sections in %u bytes", count, size);
    for (uint32_t i = 0; i < count; i++) {
        clo_tee_sev_section *s = &out->sections[i];
        s->address = clo_rd_u32le(&r);
        s->size = clo_rd_u32le(&r);
        s->kind = clo_rd_u32le(&r);
        CLO_CHECKF(!r.bad && s->size % 4096 == 0 && s->size <= 1u << 28, CLO_E_RANGE, "section %u of the firmware's SEV metadata has %u bytes", i, s->size);
    }
    out->count = count;
    return CLO_OK;
}

CLO_R clo_tee_sev_firmware_parse(clo_span firmware, clo_tee_sev_firmware *out)
{
    clo_tee_sev_firmware f = {.count = 0};
    CLO_TRY(sev_sections(firmware, &f));
    CLO_TRY(entry_u32(firmware, guid_reset, &f.reset_eip));
    clo_err e = entry_u32(firmware, guid_hashes, &f.hashes_table);
    if (clo_failed(e) && e.code != CLO_E_NOT_FOUND) return e;
    f.have_hashes = !clo_failed(e) && f.hashes_table != 0;
    *out = f;
    return CLO_OK;
}

/* {u32 data offset, u32 data size, u64 address, u64 size, u32 kind, u32 attributes} */
static clo_err td_section(clo_rd *r, clo_span firmware, uint32_t i, uint64_t *pages, clo_tee_td_section *out)
{
    clo_tee_td_section s;
    s.data_offset = clo_rd_u32le(r);
    s.data_size = clo_rd_u32le(r);
    s.address = clo_rd_u64le(r);
    s.size = clo_rd_u64le(r);
    s.kind = clo_rd_u32le(r);
    s.attributes = clo_rd_u32le(r);
    CLO_CHECKF(!r->bad, CLO_E_TRUNCATED, "the firmware's TDX metadata ends within section %u", i);
    CLO_CHECKF(s.data_offset <= firmware.n && s.data_size <= firmware.n - s.data_offset, CLO_E_RANGE, "section %u of the firmware's TDX metadata lies outside of it: is this only its code? Take the whole OVMF.fd", i);
    bool aligned = s.address % 4096 == 0 && s.size % 4096 == 0 && s.size <= UINT64_MAX - s.address;
    CLO_CHECKF(aligned && s.data_size <= s.size, CLO_E_RANGE, "section %u of the firmware's TDX metadata is not made of pages that hold its data", i);
    if ((s.attributes & 2) == 0) *pages += s.size / 4096 <= TD_PAGES_MAX ? s.size / 4096 : TD_PAGES_MAX + 1;
    CLO_CHECKF(*pages <= TD_PAGES_MAX, CLO_E_TOO_LARGE, "this firmware wants more than %d pages added at launch", (int)TD_PAGES_MAX);
    *out = s;
    return CLO_OK;
}

CLO_R clo_tee_td_firmware_parse(clo_span firmware, clo_tee_td_firmware *out)
{
    clo_span data, metadata;
    clo_tee_td_firmware f = {.count = 0};
    clo_err e = clo_tee_ovmf_entry(firmware, guid_tdx, &data);
    if (e.code == CLO_E_NOT_FOUND) return CLO_FAILF(CLO_E_NOT_FOUND, "this firmware has no TDX metadata: it is no TDVF");
    CLO_TRY(e);
    CLO_TRY(clo_tee_ovmf_pointed(firmware, data, &metadata));
    clo_rd r = clo_rd_init(metadata);
    clo_span signature = clo_rd_span(&r, 4);
    (void)clo_rd_u32le(&r);
    uint32_t version = clo_rd_u32le(&r);
    uint32_t count = clo_rd_u32le(&r);
    CLO_CHECKF(!r.bad && memcmp(signature.p, "TDVF", 4) == 0 && version == 1, CLO_E_MALFORMED, "the firmware's TDX metadata is not of version 1");
    CLO_CHECKF(count >= 1 && count <= OVMF_SECTIONS_MAX, CLO_E_RANGE, "the firmware's TDX metadata has %u sections", count);
    uint64_t pages = 0;
    for (uint32_t i = 0; i < count; i++) CLO_TRY(td_section(&r, firmware, i, &pages, &f.sections[i]));
    f.count = count;
    *out = f;
    return CLO_OK;
}
