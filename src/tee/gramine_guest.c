/* Gramine's attestation files (Gramine documentation, "Attestation and secret provisioning"): one conversation per process, so two threads
 * take turns. */
#include "tee/gramine_guest.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "tee/tee_int.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>

enum { PATH_BYTES = 512, SGX_TRIES = 5, QUOTE_MIN = 48 + 384, QUOTE_REPORT_DATA = 48 + 320, GRAMINE_KEY = 16 };

static const char *path_of(const clo_tee_guest_host *host, const char *name, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/%s", host->gramine_directory, name);
    return path;
}

static clo_err read_small(const clo_tee_guest_host *host, const char *name, clo_buf *out)
{
    char path[PATH_BYTES];
    clo_buf_init(out, 64);
    return clo_tee_file_read(host, path_of(host, name, path), out);
}

bool clo_tee_sgx_present(const clo_tee_guest_host *host)
{
    CLO_AUTO(clo_buf_free) clo_buf type = {.p = NULL};
    if (clo_failed(read_small(host, "attestation_type", &type))) return false;
    while (type.len > 0 && type.p[type.len - 1] == '\n') type.len--;
    return clo_span_equal(clo_buf_span(&type), clo_span_str("dcap"));
}

/* What is written to user_report_data is what the quote that is read next is over. */
static clo_err quote_take(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *quote)
{
    char path[PATH_BYTES];
    clo_buf_clear(quote);
    CLO_TRY(clo_tee_file_write(host, path_of(host, "user_report_data", path), clo_span_of(report_data, TEE_REPORT_DATA)));
    return clo_tee_file_read(host, path_of(host, "quote", path), quote);
}

CLO_R clo_tee_sgx_evidence(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_buf *out)
{
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* rank: none other is taken under it */
    CLO_CHECKF(clo_tee_sgx_present(host), CLO_E_UNREACHABLE, "%s offers no DCAP attestation (Gramine: sgx.remote_attestation = \"dcap\")",
               host->gramine_directory);
    CLO_AUTO(clo_buf_free) clo_buf quote;
    clo_buf_init(&quote, CLO_TEE_TSM_REPORT_MAX);
    clo_err e = CLO_OK;
    for (unsigned i = 0; i < SGX_TRIES; i++) {
        if (i > 0) host->pause_ms(20u << i);
        (void)pthread_mutex_lock(&turn);
        e = quote_take(host, report_data, &quote);
        (void)pthread_mutex_unlock(&turn);
        if (e.code != CLO_E_AGAIN) break;
    }
    CLO_TRY(e);
    CLO_CHECKF(quote.len >= QUOTE_MIN, CLO_E_MALFORMED, "an SGX quote of %zu bytes is too short", quote.len);
    CLO_CHECKF(memcmp(quote.p + QUOTE_REPORT_DATA, report_data, TEE_REPORT_DATA) == 0, CLO_E_MALFORMED,
               "the SGX quote is over other data than was asked for");
    clo_attest_bundle b = {.tee = "sgx", .report = clo_buf_span(&quote)};
    return clo_attest_bundle_encode(&b, out);
}

static clo_err sealing_root(const clo_tee_guest_host *host, uint8_t root[GRAMINE_KEY])
{
    char path[PATH_BYTES];
    uint8_t bytes[GRAMINE_KEY + 1];
    /* Never through a growing buffer: it leaves copies behind. */
    CLO_AUTO(clo_tee_fd_close) int fd = host->open_file(path_of(host, "keys/_sgx_mrenclave", path), O_RDONLY | O_CLOEXEC);
    CLO_CHECKF(fd >= 0, CLO_E_UNREACHABLE, "%s cannot be opened (is this an SGX enclave under Gramine 1.2 or later?)", path);
    size_t have = 0;
    clo_err e = clo_tee_file_take(fd, bytes, sizeof bytes, &have);
    if (!clo_failed(e) && have != GRAMINE_KEY) e = CLO_FAILF(CLO_E_MALFORMED, "Gramine's sealing key has %zu bytes, not %d", have, (int)GRAMINE_KEY);
    if (!clo_failed(e)) memcpy(root, bytes, GRAMINE_KEY);
    clo_wipe(bytes, sizeof bytes);
    return e;
}

CLO_R clo_tee_sgx_derive_key(const clo_tee_guest_host *host, clo_span context, clo_key32 *out)
{
    static const char salt[] = "cloister/v1 sgx seal";
    uint8_t root[GRAMINE_KEY];
    CLO_TRY(sealing_root(host, root));
    CLO_KEY32(key);
    clo_err e = clo_crypto_hkdf(CLO_HASH_SHA384, clo_span_of(salt, sizeof salt), clo_span_of(root, sizeof root), context, key.b, sizeof key.b);
    clo_wipe(root, sizeof root);
    CLO_TRY(e);
    clo_key32_copy(out, &key);
    return CLO_OK;
}

static bool sgx_probe(int device)
{
    (void)device;
    return clo_tee_sgx_present(&clo_tee_guest_system);
}

static clo_err sgx_evidence(int device, const uint8_t report_data[64], clo_buf *out)
{
    (void)device;
    return clo_tee_sgx_evidence(&clo_tee_guest_system, report_data, out);
}

static clo_err sgx_sealing_key(int device, clo_span context, clo_key32 *out)
{
    (void)device;
    return clo_tee_sgx_derive_key(&clo_tee_guest_system, context, out);
}

static const char *sgx_describe(void)
{
    return "Intel SGX under Gramine: one process, memory encrypted and out of reach of the host's kernel; sealing keys of this enclave on this processor";
}

const clo_tee_provider clo_tee_provider_sgx = {
    .name = "sgx",
    .probe = sgx_probe,
    .evidence = sgx_evidence,
    .derive_sealing_key = sgx_sealing_key,
    .describe = sgx_describe,
};
