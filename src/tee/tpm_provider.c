/* Evidence bundles of a TPM, and of the vTPM of Azure's confidential VMs. */
#include "attest/attest.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "tee/tee.h"
#include "tee/tee_int.h"
#include "tee/tpm_guest.h"

#include <stdio.h>
#include <unistd.h>

enum { EVENT_LOG_MAX = 48 * 1024, HCL_HEADER = 32, HCL_MIN = 1236 };

static void part_add(clo_attest_bundle *b, const char *role, clo_span bytes)
{
    if (bytes.n == 0 || b->part_count == CLO_ATTEST_BUNDLE_PARTS_MAX) return;
    clo_attest_part *part = &b->parts[b->part_count++];
    (void)snprintf(part->role, sizeof part->role, "%s", role);
    part->bytes = bytes;
}

static clo_err pcrs_json(uint8_t pcrs[CLO_TEE_TPM_PCRS][32], clo_buf *out)
{
    CLO_TRY(clo_buf_put_str(out, "{\"sha256\":{"));
    for (unsigned i = 0; i < CLO_TEE_TPM_PCRS; i++) {
        CLO_TRY(clo_buf_printf(out, "%s\"%u\":\"", i == 0 ? "" : ",", i));
        CLO_TRY(clo_buf_put_hex(out, clo_span_of(pcrs[i], 32)));
        CLO_TRY(clo_buf_put_str(out, "\""));
    }
    return clo_buf_put_str(out, "}}");
}

CLO_R clo_tee_tpm_evidence(const char *connection, const char *event_log_path, const uint8_t report_data[64], clo_buf *out)
{
    CLO_AUTO(clo_tee_tpm_close) clo_tee_tpm *t = NULL;
    CLO_AUTO(clo_tee_tpm_quote_free) clo_tee_tpm_quote q = {.pcrs = {{0}}};
    CLO_AUTO(clo_buf_free) clo_buf pcrs;
    CLO_AUTO(clo_buf_free) clo_buf log;
    clo_buf_init(&pcrs, 8 * 1024);
    clo_buf_init(&log, EVENT_LOG_MAX);
    CLO_TRY(clo_tee_tpm_open(&t, connection));
    CLO_TRY(clo_tee_tpm_quote_make(t, 0, clo_span_of(report_data, TEE_REPORT_DATA), &q));
    CLO_TRY(pcrs_json(q.pcrs, &pcrs));
    /* A log that cannot be read or does not fit is left out: the verifier then judges the registers alone, and says so. */
    if (event_log_path != NULL && clo_failed(clo_tee_file_read(&clo_tee_guest_system, event_log_path, &log))) clo_buf_clear(&log);
    clo_attest_bundle b = {.tee = "tpm"};
    part_add(&b, "message", clo_buf_span(&q.message));
    part_add(&b, "signature_tpmt", clo_buf_span(&q.signature));
    part_add(&b, "ak_public_tpmt", clo_buf_span(&q.ak));
    part_add(&b, "pcrs_json", clo_buf_span(&pcrs));
    part_add(&b, "event_log", clo_buf_span(&log));
    return clo_attest_bundle_encode(&b, out);
}

static clo_err hcl_read(clo_tee_tpm *t, clo_buf *hcl)
{
    clo_err e = clo_tee_tpm_nv_read(t, CLO_TEE_AZURE_HCL_REPORT, hcl);
    if (e.code == CLO_E_NOT_FOUND) return CLO_FAILF(CLO_E_UNREACHABLE, "the TPM holds no HCL report: this is no confidential VM of Azure's");
    CLO_TRY(e);
    CLO_CHECKF(hcl->len >= HCL_MIN && memcmp(hcl->p, "HCLA", 4) == 0, CLO_E_MALFORMED, "what the TPM holds at 0x%08x is no HCL report", (unsigned)CLO_TEE_AZURE_HCL_REPORT);
    return CLO_OK;
}

/* With the guest's bytes among its claims the hardware itself answers for them. A machine that takes none keeps the report of its boot. */
static clo_err hcl_refresh(clo_tee_tpm *t, const uint8_t report_data[64], clo_buf *hcl)
{
    if (clo_failed(clo_tee_tpm_nv_write(t, CLO_TEE_AZURE_USER_DATA, clo_span_of(report_data, TEE_REPORT_DATA)))) return CLO_OK;
    clo_buf_clear(hcl);
    return hcl_read(t, hcl);
}

CLO_R clo_tee_azure_evidence(const char *connection, const uint8_t report_data[64], clo_buf *out)
{
    CLO_AUTO(clo_tee_tpm_close) clo_tee_tpm *t = NULL;
    CLO_AUTO(clo_tee_tpm_quote_free) clo_tee_tpm_quote q = {.pcrs = {{0}}};
    CLO_AUTO(clo_buf_free) clo_buf hcl;
    clo_buf_init(&hcl, CLO_TEE_TPM_NV_MAX);
    CLO_TRY(clo_tee_tpm_open(&t, connection));
    CLO_TRY(hcl_read(t, &hcl));
    CLO_TRY(hcl_refresh(t, report_data, &hcl));
    CLO_TRY(clo_tee_tpm_quote_make(t, CLO_TEE_AZURE_AK, clo_span_of(report_data, TEE_REPORT_DATA), &q));
    clo_attest_bundle b = {.tee = "azure-vtpm"};
    part_add(&b, "hcl_report", clo_buf_span(&hcl));
    part_add(&b, "tpm_quote_message", clo_buf_span(&q.message));
    part_add(&b, "tpm_quote_signature", clo_buf_span(&q.signature));
    part_add(&b, "pcrs_sha256", clo_span_of(q.pcrs, sizeof q.pcrs));
    return clo_attest_bundle_encode(&b, out);
}

bool clo_tee_azure_present(const char *connection)
{
    CLO_AUTO(clo_tee_tpm_close) clo_tee_tpm *t = NULL;
    CLO_AUTO(clo_buf_free) clo_buf hcl;
    clo_buf_init(&hcl, CLO_TEE_TPM_NV_MAX);
    return !clo_failed(clo_tee_tpm_open(&t, connection)) && !clo_failed(hcl_read(t, &hcl));
}

/* The device's file is looked for before the stack is started: it complains on standard error where there is none. */
static bool device_there(void) { return access(CLO_TEE_TPM_DEVICE, R_OK | W_OK) == 0; }

static bool tpm_probe(int device)
{
    (void)device;
    CLO_AUTO(clo_tee_tpm_close) clo_tee_tpm *t = NULL;
    return device_there() && !clo_failed(clo_tee_tpm_open(&t, CLO_TEE_TPM_CONNECTION));
}

static bool azure_probe(int device)
{
    (void)device;
    return device_there() && clo_tee_azure_present(CLO_TEE_TPM_CONNECTION);
}

static clo_err there(void)
{
    CLO_CHECKF(device_there(), CLO_E_UNREACHABLE, "%s cannot be opened (is there a TPM, and may this user use it?)", CLO_TEE_TPM_DEVICE);
    return CLO_OK;
}

static clo_err tpm_evidence(int device, const uint8_t report_data[64], clo_buf *out)
{
    (void)device;
    CLO_TRY(there());
    return clo_tee_tpm_evidence(CLO_TEE_TPM_CONNECTION, CLO_TEE_TPM_EVENT_LOG, report_data, out);
}

static clo_err azure_evidence(int device, const uint8_t report_data[64], clo_buf *out)
{
    (void)device;
    CLO_TRY(there());
    return clo_tee_azure_evidence(CLO_TEE_TPM_CONNECTION, report_data, out);
}

static clo_err tpm_sealing_key(int device, clo_span context, clo_key32 *out)
{
    (void)device;
    CLO_AUTO(clo_tee_tpm_close) clo_tee_tpm *t = NULL;
    CLO_TRY(there());
    CLO_TRY(clo_tee_tpm_open(&t, CLO_TEE_TPM_CONNECTION));
    return clo_tee_tpm_derive_key(t, context, out);
}

static const char *tpm_describe(void)
{
    return "TPM 2.0: shows what was booted and derives keys for it alone; the machine's memory is not protected from whoever holds or hosts it";
}

static const char *azure_describe(void)
{
    return "Azure confidential VM: memory encrypted (SEV-SNP or TDX); its vTPM runs in Microsoft's paravisor inside the VM, which must be trusted; the "
           "evidence is the whole VM's";
}

const clo_tee_provider clo_tee_provider_tpm = {
    .name = "tpm",
    .probe = tpm_probe,
    .evidence = tpm_evidence,
    .derive_sealing_key = tpm_sealing_key,
    .describe = tpm_describe,
};

const clo_tee_provider clo_tee_provider_azure_vtpm = {
    .name = "azure-vtpm",
    .probe = azure_probe,
    .evidence = azure_evidence,
    .derive_sealing_key = tpm_sealing_key,
    .describe = azure_describe,
};
