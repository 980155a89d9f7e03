/* MRTD: what the TDX module hashes while the VMM adds the firmware's pages and has them measured; and the run-time registers by replay. */
#include "attest/tpm_event_log.h"
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "tee/measure_int.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 4096, CHUNK = 256, RECORD = 128, MR_EXTEND = 1, PAGE_AUG = 2, LINE_MAX_BYTES = 4096 };

static void put_le64(uint8_t *to, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++) to[i] = (uint8_t)(v >> (8 * i));
}

/* 128 bytes: the operation's name in 16, the address, zeros. */
static clo_err record_put(clo_crypto_hasher *h, const char *name, uint64_t address)
{
    uint8_t record[RECORD] = {0};
    memcpy(record, name, strlen(name));
    put_le64(record + 16, address);
    return clo_crypto_hasher_put(h, clo_span_of(record, sizeof record));
}

/* What the file has of these 256 bytes; behind its data a section is zero. */
static clo_err chunk_put(clo_crypto_hasher *h, clo_span firmware, const clo_tee_td_section *s, uint64_t at)
{
    uint8_t chunk[CHUNK] = {0};
    if (at < s->data_size) {
        size_t n = s->data_size - at < CHUNK ? (size_t)(s->data_size - at) : (size_t)CHUNK;
        memcpy(chunk, firmware.p + s->data_offset + at, n);
    }
    CLO_TRY(record_put(h, "MR.EXTEND", s->address + at));
    return clo_crypto_hasher_put(h, clo_span_of(chunk, sizeof chunk));
}

static clo_err page_measure(clo_crypto_hasher *h, clo_span firmware, const clo_tee_td_section *s, uint64_t page)
{
    for (uint64_t at = page; at < page + PAGE; at += CHUNK) CLO_TRY(chunk_put(h, firmware, s, at));
    return CLO_OK;
}

static clo_err section_put(clo_crypto_hasher *h, const clo_tee_tdx_launch *launch, const clo_tee_td_section *s)
{
    bool add = (s->attributes & PAGE_AUG) == 0, measure = add && (s->attributes & MR_EXTEND) != 0;
    for (uint64_t page = 0; add && page < s->size; page += PAGE) {
        CLO_TRY(record_put(h, "MEM.PAGE.ADD", s->address + page));
        if (measure && !launch->two_pass) CLO_TRY(page_measure(h, launch->firmware, s, page));
    }
    for (uint64_t page = 0; measure && launch->two_pass && page < s->size; page += PAGE) CLO_TRY(page_measure(h, launch->firmware, s, page));
    return CLO_OK;
}

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {"boot firmware", "configuration", "TD HOB", "temporary memory", "permanent memory", "payload", "payload's parameter", "TD information"};
    return kind < sizeof names / sizeof names[0] ? names[kind] : "section";
}

static clo_err section_note(const clo_tee_tdx_launch *launch, const clo_tee_td_section *s, clo_tee_measured *out)
{
    char what[80];
    uint8_t digest[48];
    bool add = (s->attributes & PAGE_AUG) == 0, measure = add && (s->attributes & MR_EXTEND) != 0;
    (void)snprintf(what, sizeof what, "%s: %s", kind_name(s->kind), measure ? "addresses and contents" : add ? "addresses alone" : "not measured");
    CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, clo_span_of(launch->firmware.p + s->data_offset, s->data_size), digest));
    return clo_tee_measured_step(out, "mrtd", what, s->address, s->size, clo_span_of(digest, measure ? sizeof digest : 0));
}

static clo_err mrtd(const clo_tee_tdx_launch *launch, clo_tee_measured *out)
{
    clo_tee_td_firmware f;
    uint8_t digest[48];
    CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = NULL;
    CLO_TRY(clo_tee_td_firmware_parse(launch->firmware, &f));
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA384));
    for (size_t i = 0; i < f.count; i++) {
        CLO_TRY(section_put(h, launch, &f.sections[i]));
        CLO_TRY(section_note(launch, &f.sections[i], out));
    }
    CLO_TRY(clo_crypto_hasher_end(h, digest));
    return clo_tee_measured_value(out, "mrtd", clo_span_of(digest, sizeof digest));
}

/* The kernel's EFI stub measures its command line (UTF-16 with its end) and the initrd. */
static clo_err rtmr2(const clo_tee_tdx_launch *launch, clo_tee_measured *out)
{
    const char *line = launch->command_line == NULL ? "" : launch->command_line;
    size_t n = strlen(line);
    uint8_t value[48] = {0}, digest[48], wide[2 * (LINE_MAX_BYTES + 1)] = {0};
    CLO_CHECKF(n <= LINE_MAX_BYTES, CLO_E_TOO_LARGE, "a command line has at most %d bytes", (int)LINE_MAX_BYTES);
    for (size_t i = 0; i < n; i++) {
        CLO_CHECKF((uint8_t)line[i] < 0x80, CLO_E_MALFORMED, "only command lines of ASCII characters are measured");
        wide[2 * i] = (uint8_t)line[i];
    }
    CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, clo_span_of(wide, 2 * (n + 1)), digest));
    CLO_TRY(clo_tee_extend384(value, digest));
    CLO_TRY(clo_tee_measured_step(out, "rtmr2", "command line, UTF-16", 0, 2 * (n + 1), clo_span_of(digest, sizeof digest)));
    if (launch->initrd.n != 0) {
        CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, launch->initrd, digest));
        CLO_TRY(clo_tee_extend384(value, digest));
        CLO_TRY(clo_tee_measured_step(out, "rtmr2", "initrd", 0, launch->initrd.n, clo_span_of(digest, sizeof digest)));
    }
    return clo_tee_measured_value(out, "rtmr2", clo_span_of(value, sizeof value));
}

static void pcrs_free(clo_attest_tpm_pcrs **p) { free(*p); }

/* In the log of a TD register n + 1 is RTMR n. */
static clo_err rtmrs_replay(const clo_tee_tdx_launch *launch, clo_tee_measured *out)
{
    CLO_AUTO(pcrs_free) clo_attest_tpm_pcrs *pcrs = calloc(1, sizeof *pcrs);
    CLO_CHECK(pcrs != NULL, CLO_E_NOMEM);
    CLO_TRY(clo_tee_event_log_steps(launch->event_log, CLO_TPM_SHA384, "rtmr", 1, out));
    CLO_TRY(clo_attest_tpm_log_replay(launch->event_log, pcrs, NULL));
    const clo_attest_tpm_bank *bank = clo_attest_tpm_bank_find(pcrs, CLO_TPM_SHA384);
    CLO_CHECKF(bank != NULL, CLO_E_MALFORMED, "this event log has no SHA-384 digests: it is not a TD's");
    for (unsigned i = 0; i < 4; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "rtmr%u", i);
        CLO_TRY(clo_tee_measured_value(out, name, clo_span_of(bank->values[i + 1], 48)));
    }
    return CLO_OK;
}

CLO_R clo_tee_measure_tdx(const clo_tee_tdx_launch *launch, clo_tee_measured *out)
{
    CLO_TRY(mrtd(launch, out));
    if (launch->event_log.n != 0) return rtmrs_replay(launch, out);
    return launch->have_command_line ? rtmr2(launch, out) : CLO_OK;
}
