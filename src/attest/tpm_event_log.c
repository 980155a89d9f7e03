/* Reading and replaying the firmware's event log. */
#include "attest/tpm_event_log.h"

enum { SHA1_SIZE = 20, LOCALITY_MAX = 4, SPEC_ID_BANKS_MAX = 16 };

static const struct {
    uint16_t tpm;
    clo_crypto_hash_alg hash;
    const char *name;
} hashes[] = {
    {CLO_TPM_SHA1, CLO_HASH_SHA1, "sha1"},
    {CLO_TPM_SHA256, CLO_HASH_SHA256, "sha256"},
    {CLO_TPM_SHA384, CLO_HASH_SHA384, "sha384"},
    {CLO_TPM_SHA512, CLO_HASH_SHA512, "sha512"},
};

clo_err clo_attest_tpm_hash(uint16_t tpm_alg, clo_crypto_hash_alg *out)
{
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        if (hashes[i].tpm != tpm_alg) continue;
        *out = hashes[i].hash;
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "hash algorithm 0x%x of the TPM is not known here", (unsigned)tpm_alg);
}

const char *clo_attest_tpm_hash_name(uint16_t tpm_alg)
{
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        if (hashes[i].tpm == tpm_alg) return hashes[i].name;
    }
    return NULL;
}

const char *clo_attest_tpm_event_name(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } names[] = {
        {0x1, "EV_POST_CODE"}, {CLO_TPM_EV_NO_ACTION, "EV_NO_ACTION"}, {CLO_TPM_EV_SEPARATOR, "EV_SEPARATOR"}, {0x5, "EV_ACTION"},
        {0x6, "EV_EVENT_TAG"}, {0x7, "EV_S_CRTM_CONTENTS"}, {0x8, "EV_S_CRTM_VERSION"}, {0x9, "EV_CPU_MICROCODE"}, {0xa, "EV_PLATFORM_CONFIG_FLAGS"},
        {0xb, "EV_TABLE_OF_DEVICES"}, {0xc, "EV_COMPACT_HASH"}, {0xd, "EV_IPL"}, {0xe, "EV_IPL_PARTITION_DATA"}, {0xf, "EV_NONHOST_CODE"},
        {0x10, "EV_NONHOST_CONFIG"}, {0x11, "EV_NONHOST_INFO"}, {CLO_TPM_EV_VARIABLE_CONFIG, "EV_EFI_VARIABLE_DRIVER_CONFIG"},
        {0x80000002u, "EV_EFI_VARIABLE_BOOT"}, {0x80000003u, "EV_EFI_BOOT_SERVICES_APPLICATION"}, {0x80000004u, "EV_EFI_BOOT_SERVICES_DRIVER"},
        {0x80000005u, "EV_EFI_RUNTIME_SERVICES_DRIVER"}, {0x80000006u, "EV_EFI_GPT_EVENT"}, {CLO_TPM_EV_EFI_ACTION, "EV_EFI_ACTION"},
        {0x80000008u, "EV_EFI_PLATFORM_FIRMWARE_BLOB"}, {0x80000009u, "EV_EFI_HANDOFF_TABLES"}, {0x8000000au, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"},
        {0x8000000bu, "EV_EFI_HANDOFF_TABLES2"}, {0x8000000cu, "EV_EFI_VARIABLE_BOOT2"}, {0x80000010u, "EV_EFI_HCRTM_EVENT"},
        {0x800000e0u, "EV_EFI_VARIABLE_AUTHORITY"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].type == type) return names[i].name;
    }
    return "event";
}

const clo_attest_tpm_bank *clo_attest_tpm_bank_find(const clo_attest_tpm_pcrs *pcrs, uint16_t hash)
{
    for (size_t i = 0; i < pcrs->count; i++) {
        if (pcrs->banks[i].hash == hash) return &pcrs->banks[i];
    }
    return NULL;
}

static clo_err cut(void) { return CLO_FAILF(CLO_E_TRUNCATED, "the event log ends within an event; it was cut or its lengths are wrong"); }

/* TCG_EfiSpecIDEvent: which banks every later event has digests of. */
static clo_err read_spec_id(clo_rd rd, clo_attest_tpm_log *log)
{
    clo_span signature = clo_rd_span(&rd, 16);
    CLO_CHECKF(clo_span_equal(signature, clo_span_of("Spec ID Event03", 16)), CLO_E_UNSUPPORTED,
               "the event log does not begin with a Spec ID event of the crypto-agile form");
    (void)clo_rd_u32le(&rd); /* platform class */
    (void)clo_rd_u32le(&rd); /* version minor, major, errata, size of a native word */
    uint32_t count = clo_rd_u32le(&rd);
    CLO_CHECKF(!rd.bad && count != 0 && count <= SPEC_ID_BANKS_MAX, CLO_E_MALFORMED, "the event log names no bank, or too many");
    for (uint32_t i = 0; i < count; i++) {
        uint16_t hash = clo_rd_u16le(&rd), size = clo_rd_u16le(&rd);
        clo_crypto_hash_alg known;
        bool ours = !clo_failed(clo_attest_tpm_hash(hash, &known));
        CLO_CHECKF(!rd.bad && size != 0 && size <= CLO_HASH_MAX && (!ours || size == clo_crypto_hash_size(known)), CLO_E_MALFORMED,
                   "the event log gives bank 0x%x digests of %u bytes", (unsigned)hash, (unsigned)size);
        for (size_t k = 0; k < log->bank_count; k++)
            CLO_CHECKF(log->banks[k].hash != hash, CLO_E_DUPLICATE, "the event log names bank 0x%x twice", (unsigned)hash);
        CLO_CHECKF(log->bank_count < CLO_TPM_BANKS_MAX, CLO_E_TOO_MANY, "an event log has at most %d banks", (int)CLO_TPM_BANKS_MAX);
        log->banks[log->bank_count].hash = hash;
        log->banks[log->bank_count++].size = size;
    }
    (void)clo_rd_bytes(&rd, clo_rd_u8(&rd)); /* vendor information */
    return clo_rd_end(&rd);
}

clo_err clo_attest_tpm_log_open(clo_span bytes, clo_attest_tpm_log *out)
{
    CLO_CHECKF(bytes.n <= CLO_TPM_LOG_MAX, CLO_E_TOO_LARGE, "an event log has at most %d bytes", (int)CLO_TPM_LOG_MAX);
    clo_attest_tpm_log log = {.rd = clo_rd_init(bytes)};
    uint32_t pcr = clo_rd_u32le(&log.rd);
    uint32_t type = clo_rd_u32le(&log.rd);
    (void)clo_rd_bytes(&log.rd, SHA1_SIZE);
    size_t size = clo_rd_u32le(&log.rd);
    clo_rd data = clo_rd_sub(&log.rd, size);
    if (log.rd.bad) return cut();
    CLO_CHECKF(pcr == 0 && type == CLO_TPM_EV_NO_ACTION, CLO_E_UNSUPPORTED, "the event log does not begin with a Spec ID event");
    CLO_TRY(read_spec_id(data, &log));
    *out = log;
    return CLO_OK;
}

static size_t digest_size(const clo_attest_tpm_log *log, uint16_t hash)
{
    for (size_t i = 0; i < log->bank_count; i++) {
        if (log->banks[i].hash == hash) return log->banks[i].size;
    }
    return 0;
}

clo_err clo_attest_tpm_log_next(clo_attest_tpm_log *log, clo_attest_tpm_event *out, bool *there)
{
    *there = false;
    if (!log->rd.bad && log->rd.left == 0) return CLO_OK;
    clo_attest_tpm_event e = {0};
    e.pcr = clo_rd_u32le(&log->rd);
    e.type = clo_rd_u32le(&log->rd);
    uint32_t count = clo_rd_u32le(&log->rd);
    if (log->rd.bad) return cut();
    CLO_CHECKF(count <= log->bank_count, CLO_E_MALFORMED, "an event has %u digests; the log has %zu banks", (unsigned)count, log->bank_count);
    for (uint32_t i = 0; i < count; i++) {
        uint16_t hash = clo_rd_u16le(&log->rd);
        if (log->rd.bad) return cut();
        size_t size = digest_size(log, hash);
        CLO_CHECKF(size != 0, CLO_E_MALFORMED, "an event has a digest of bank 0x%x, which the log does not name", (unsigned)hash);
        for (size_t k = 0; k < e.digest_count; k++)
            CLO_CHECKF(e.digests[k].hash != hash, CLO_E_DUPLICATE, "an event has two digests of bank 0x%x", (unsigned)hash);
        e.digests[e.digest_count].hash = hash;
        e.digests[e.digest_count++].digest = clo_rd_span(&log->rd, size);
    }
    size_t size = clo_rd_u32le(&log->rd);
    e.data = clo_rd_span(&log->rd, size);
    if (log->rd.bad) return cut();
    CLO_CHECKF(e.type == CLO_TPM_EV_NO_ACTION || e.pcr < CLO_TPM_REGISTERS, CLO_E_MALFORMED, "an event names register %u", (unsigned)e.pcr);
    *out = e;
    *there = true;
    return CLO_OK;
}

static clo_err extend(clo_attest_tpm_bank *bank, uint32_t pcr, clo_span digest)
{
    uint8_t both[2 * CLO_HASH_MAX];
    clo_crypto_hash_alg hash;
    CLO_TRY(clo_attest_tpm_hash(bank->hash, &hash));
    memcpy(both, bank->values[pcr], digest.n);
    memcpy(both + digest.n, digest.p, digest.n);
    bank->known |= UINT32_C(1) << pcr;
    return clo_crypto_hash(hash, clo_span_of(both, 2 * digest.n), bank->values[pcr]);
}

/* "StartupLocality", a zero byte and the locality, which is where register 0 starts. */
static clo_err start_at_locality(clo_attest_tpm_pcrs *pcrs, const clo_attest_tpm_event *e)
{
    if (e->data.n != 17 || memcmp(e->data.p, "StartupLocality", 16) != 0) return CLO_OK;
    uint8_t locality = e->data.p[16];
    CLO_CHECKF(e->pcr == 0 && locality <= LOCALITY_MAX, CLO_E_MALFORMED, "the event log states a start-up locality that there is not");
    for (size_t i = 0; i < pcrs->count; i++) {
        clo_attest_tpm_bank *bank = &pcrs->banks[i];
        clo_crypto_hash_alg hash;
        CLO_CHECKF((bank->known & 1) == 0, CLO_E_MALFORMED, "the event log states its locality behind measurements of register 0");
        CLO_TRY(clo_attest_tpm_hash(bank->hash, &hash));
        bank->values[0][clo_crypto_hash_size(hash) - 1] = locality;
    }
    return CLO_OK;
}

static void start(const clo_attest_tpm_log *log, clo_attest_tpm_pcrs *pcrs)
{
    memset(pcrs, 0, sizeof *pcrs);
    for (size_t i = 0; i < log->bank_count; i++) {
        if (clo_attest_tpm_hash_name(log->banks[i].hash) == NULL) continue;
        clo_attest_tpm_bank *bank = &pcrs->banks[pcrs->count++];
        bank->hash = log->banks[i].hash;
        for (size_t pcr = 17; pcr <= 22; pcr++) memset(bank->values[pcr], 0xff, log->banks[i].size);
    }
}

static clo_err replay(clo_span bytes, clo_attest_tpm_pcrs *out, size_t *event_count)
{
    clo_attest_tpm_log log;
    clo_attest_tpm_event e;
    bool there = false;
    size_t events = 0;
    CLO_TRY(clo_attest_tpm_log_open(bytes, &log));
    start(&log, out);
    for (;;) {
        CLO_TRY(clo_attest_tpm_log_next(&log, &e, &there));
        if (!there) break;
        events++;
        if (e.type == CLO_TPM_EV_NO_ACTION) {
            CLO_TRY(start_at_locality(out, &e));
            continue;
        }
        for (size_t i = 0; i < e.digest_count; i++) {
            for (size_t k = 0; k < out->count; k++) {
                if (out->banks[k].hash == e.digests[i].hash) CLO_TRY(extend(&out->banks[k], e.pcr, e.digests[i].digest));
            }
        }
    }
    if (event_count != NULL) *event_count = events;
    return CLO_OK;
}

clo_err clo_attest_tpm_log_replay(clo_span bytes, clo_attest_tpm_pcrs *out, size_t *event_count)
{
    clo_err e = replay(bytes, out, event_count);
    if (clo_failed(e)) memset(out, 0, sizeof *out);
    return e;
}
