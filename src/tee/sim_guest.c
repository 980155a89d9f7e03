/* The software TEE seen from inside: asks the simulated device on an inherited descriptor. */
#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "crypto/hash.h"
#include "tee/tee.h"
#include "tee/tee_int.h"

#include <stdlib.h>

enum { DEVICE_TIMEOUT_MS = 30 * 1000 };

static bool sim_probe(int device) { return device >= 0; }

static clo_err ask(int device, const uint8_t *body, uint32_t body_bytes, uint32_t *reply_bytes)
{
    uint8_t head[4] = {(uint8_t)(body_bytes >> 24), (uint8_t)(body_bytes >> 16), (uint8_t)(body_bytes >> 8), (uint8_t)body_bytes};
    CLO_CHECKF(device >= 0, CLO_E_UNREACHABLE, "no software TEE is attached; the runtime host passes its descriptor");
    CLO_TRY(clo_tee_write_exact(device, -1, DEVICE_TIMEOUT_MS, head, sizeof head));
    CLO_TRY(clo_tee_write_exact(device, -1, DEVICE_TIMEOUT_MS, body, body_bytes));
    CLO_TRY(clo_tee_read_exact(device, -1, DEVICE_TIMEOUT_MS, head, sizeof head, NULL));
    clo_rd r = clo_rd_init(clo_span_of(head, sizeof head));
    *reply_bytes = clo_rd_u32be(&r);
    return CLO_OK;
}

static clo_err sim_evidence(int device, const uint8_t report_data[64], clo_buf *out)
{
    uint32_t n = 0;
    CLO_TRY(ask(device, report_data, TEE_REPORT_DATA, &n));
    CLO_CHECKF(n > 0, CLO_E_IO, "the TEE's device gave no evidence");
    CLO_CHECKF(n <= TEE_BUNDLE_MAX, CLO_E_MALFORMED, "the TEE's device announced a bundle of %u bytes", n);
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(out, n, &at));
    CLO_TRY(clo_tee_read_exact(device, -1, DEVICE_TIMEOUT_MS, at, n, NULL));
    out->len += n;
    return CLO_OK;
}

static clo_err sim_sealing_key(int device, clo_span context, clo_key32 *out)
{
    uint8_t body[TEE_KEY_REQUEST] = {TEE_KEY_TAG};
    uint32_t n = 0;
    CLO_TRY(clo_crypto_sha256(context, body + 1));
    CLO_TRY(ask(device, body, sizeof body, &n));
    CLO_CHECKF(n > 0, CLO_E_IO, "the TEE's device gave no key");
    CLO_CHECKF(n == sizeof out->b, CLO_E_MALFORMED, "the TEE's device answered with %u bytes, not with a key", n);
    CLO_KEY32(key);
    CLO_TRY(clo_tee_read_exact(device, -1, DEVICE_TIMEOUT_MS, key.b, sizeof key.b, NULL));
    clo_key32_copy(out, &key);
    return CLO_OK;
}

static const char *sim_describe(void)
{
    return "software TEE (simulated): proves which program was started by an honest operator; protects nothing from a dishonest one";
}

const clo_tee_provider clo_tee_provider_sim = {
    .name = "sim",
    .probe = sim_probe,
    .evidence = sim_evidence,
    .derive_sealing_key = sim_sealing_key,
    .describe = sim_describe,
};
