/* AMD SEV-SNP seen from inside: evidence bundles from whichever way this kernel has. */
#include "attest/attest.h"
#include "base/clo_own.h"
#include "tee/snp_guest_int.h"

#include <fcntl.h>

bool clo_tee_snp_present(const clo_tee_guest_host *host)
{
    CLO_AUTO(clo_tee_fd_close) int fd = host->open_file(host->sev_device, O_RDWR);
    if (fd >= 0) return true;
    return clo_tee_tsm_serves(host, "sev_guest");
}

static clo_err by_tsm(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_tee_snp_raw *out)
{
    CLO_AUTO(clo_buf_free) clo_buf report;
    clo_buf_init(&report, 2 * TEE_REPORT_SIZE);
    CLO_TRY(clo_tee_tsm_report(host, "sev_guest", report_data, &report, &out->table));
    CLO_CHECKF(report.len == TEE_REPORT_SIZE, CLO_E_MALFORMED, "the TEE's report has %zu bytes, not %d", report.len, (int)TEE_REPORT_SIZE);
    memcpy(out->report, report.p, TEE_REPORT_SIZE);
    return CLO_OK;
}

static clo_err bundle_put(const clo_tee_snp_raw *raw, clo_buf *out)
{
    clo_tee_snp_certificates certs;
    CLO_TRY(clo_tee_snp_certificates_parse(clo_buf_span(&raw->table), &certs));
    clo_attest_bundle b = {.tee = "snp", .report = clo_span_of(raw->report, TEE_REPORT_SIZE), .crl = certs.crl};
    /* Flags, bits 2-4: 1 = signed by a VLEK. */
    bool vlek = (raw->report[0x48] >> 2 & 7) == 1;
    b.ek = vlek ? certs.vlek : certs.vcek;
    if (certs.ask.n != 0) b.chain[b.chain_count++] = certs.ask;
    if (certs.ask.n != 0 && certs.ark.n != 0) b.chain[b.chain_count++] = certs.ark;
    return clo_attest_bundle_encode(&b, out);
}

static void raw_free(clo_tee_snp_raw *raw) { clo_buf_free(&raw->table); }

CLO_R clo_tee_snp_evidence(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *out)
{
    CLO_AUTO(raw_free) clo_tee_snp_raw raw = {.report = {0}};
    clo_buf_init(&raw.table, SNP_TABLE_MAX);
    clo_err e = by_tsm(host, report_data, &raw);
    if (e.code == CLO_E_UNREACHABLE) e = clo_tee_snp_by_device(host, report_data, &raw);
    CLO_TRY(e);
    CLO_CHECKF(memcmp(raw.report + 0x50, report_data, TEE_REPORT_DATA) == 0, CLO_E_MALFORMED, "the TEE's report is over other data than was asked for");
    return bundle_put(&raw, out);
}

static bool snp_probe(int device)
{
    (void)device;
    return clo_tee_snp_present(&clo_tee_guest_system);
}

static clo_err snp_evidence(int device, const uint8_t report_data[64], clo_buf *out)
{
    (void)device;
    return clo_tee_snp_evidence(&clo_tee_guest_system, report_data, out);
}

static clo_err snp_sealing_key(int device, clo_span context, clo_key32 *out)
{
    (void)device;
    return clo_tee_snp_derive_key(&clo_tee_guest_system, context, out);
}

static const char *snp_describe(void)
{
    return "AMD SEV-SNP: memory encrypted and integrity-protected against the host; not against physical attacks on the memory bus";
}

const clo_tee_provider clo_tee_provider_snp = {
    .name = "snp",
    .probe = snp_probe,
    .evidence = snp_evidence,
    .derive_sealing_key = snp_sealing_key,
    .describe = snp_describe,
};
