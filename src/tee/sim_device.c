#include "tee/sim_device.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "os/clock.h"
#include "tee/tee_int.h"

#include <stdlib.h>

enum { SIGNED_BYTES = 0x2a0 };

struct clo_tee_sim {
    clo_tee_sim_root_files root;
};

CLO_R clo_tee_sim_open(clo_tee_sim **out, const char *directory)
{
    CLO_AUTO(clo_tee_sim_free) clo_tee_sim *s = calloc(1, sizeof *s);
    CLO_CHECK(s != NULL, CLO_E_NOMEM);
    CLO_TRY(clo_tee_sim_root_open(&s->root, directory, clo_os_clock_wall(clo_os_clock_system())));
    *out = CLO_TAKE(s);
    return CLO_OK;
}

void clo_tee_sim_free(clo_tee_sim **s)
{
    if (*s == NULL) return;
    clo_tee_sim_root_wipe(&(*s)->root);
    free(*s);
    *s = NULL;
}

clo_span clo_tee_sim_root(const clo_tee_sim *s) { return clo_buf_span(&s->root.ark); }

void clo_tee_sim_root_sha256(const clo_tee_sim *s, uint8_t out[32])
{
    if (clo_failed(clo_crypto_sha256(clo_tee_sim_root(s), out))) memset(out, 0, 32); /* a root that matches nothing */
}

static void put_u32le(uint8_t *to, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) to[i] = (uint8_t)(v >> (8 * i));
}

static void put_tcb(uint8_t *to)
{
    to[0] = TEE_SIM_SVN_BOOT_LOADER;
    to[1] = TEE_SIM_SVN_TEE;
    to[6] = TEE_SIM_SVN_SNP;
    to[7] = TEE_SIM_SVN_MICROCODE;
}

/* A version 2 report in the Milan layout; everything that is not set is zero. */
static clo_err report_fill(const clo_tee_sim *s, const uint8_t measurement[48], const uint8_t host_data[32], const uint8_t report_data[64],
                           uint8_t report[TEE_REPORT_SIZE])
{
    memset(report, 0, TEE_REPORT_SIZE);
    put_u32le(report, 2);
    report[0x08 + 2] = 0x03; /* guest policy: SMT allowed, bit 17 */
    put_u32le(report + 0x34, 1);
    put_tcb(report + 0x38);
    report[0x40] = 0x01; /* platform: SMT on */
    memcpy(report + 0x50, report_data, 64);
    memcpy(report + 0x90, measurement, 48);
    memcpy(report + 0xc0, host_data, 32);
    CLO_TRY(clo_crypto_random(report + 0x140, 32));
    memset(report + 0x160, 0xff, 32); /* no migration agent */
    put_tcb(report + 0x180);
    memcpy(report + 0x1a0, s->root.chip_id, 64);
    put_tcb(report + 0x1e0);
    static const uint8_t firmware[8] = {1, 55, 1, 0, 1, 55, 1, 0}; /* build, minor, major: current and committed */
    memcpy(report + 0x1e8, firmware, sizeof firmware);
    put_tcb(report + 0x1f0);
    uint8_t rs[96];
    CLO_TRY(clo_crypto_sign(&s->root.vcek_key, clo_span_of(report, SIGNED_BYTES), rs));
    for (size_t i = 0; i < 48; i++) {
        report[0x2a0 + i] = rs[47 - i];
        report[0x2e8 + i] = rs[95 - i];
    }
    return CLO_OK;
}

CLO_R clo_tee_sim_report(const clo_tee_sim *s, const uint8_t measurement[48], const uint8_t host_data[32], const uint8_t report_data[64],
                         clo_buf *bundle)
{
    uint8_t report[TEE_REPORT_SIZE];
    CLO_TRY(report_fill(s, measurement, host_data, report_data, report));
    clo_attest_bundle b = {
        .tee = "sim",
        .report = clo_span_of(report, sizeof report),
        .ek = clo_buf_span(&s->root.vcek),
        .crl = clo_buf_span(&s->root.crl),
        .chain_count = 2,
        .chain = {clo_buf_span(&s->root.ask), clo_buf_span(&s->root.ark)},
    };
    return clo_attest_bundle_encode(&b, bundle);
}

/* What only this device gives to this measurement for this context. */
static clo_err sealing_key(const clo_tee_sim *s, const uint8_t measurement[48], const uint8_t context[32], clo_key32 *out)
{
    static const char domain[] = "cloister/v1 sim seal"; /* its end byte is the separator */
    uint8_t message[sizeof domain + 48 + 32];
    memcpy(message, domain, sizeof domain);
    memcpy(message + sizeof domain, measurement, 48);
    memcpy(message + sizeof domain + 48, context, 32);
    return clo_crypto_hmac(CLO_HASH_SHA256, clo_span_of(s->root.sealing.b, sizeof s->root.sealing.b), clo_span_of(message, sizeof message), out->b);
}

/* One program on the simulated hardware. */
typedef struct {
    const clo_tee_sim *sim;
    const uint8_t *measurement, *host_data;
} launched;

static clo_err device_evidence(const void *context, const uint8_t report_data[64], clo_buf *out)
{
    const launched *l = context;
    return clo_tee_sim_report(l->sim, l->measurement, l->host_data, report_data, out);
}

static clo_err device_key(const void *context, const uint8_t digest[32], clo_key32 *out)
{
    const launched *l = context;
    return sealing_key(l->sim, l->measurement, digest, out);
}

CLO_R clo_tee_sim_serve(const clo_tee_sim *s, int fd, int stop_fd, const uint8_t measurement[48], const uint8_t host_data[32])
{
    const launched l = {.sim = s, .measurement = measurement, .host_data = host_data};
    const clo_tee_device device = {.context = &l, .evidence = device_evidence, .key = device_key};
    return clo_tee_serve(fd, stop_fd, &device);
}
