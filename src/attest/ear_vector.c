/* The trustworthiness vector of a result (draft-ietf-rats-ar4si): a value stands only where a check was made that carries it. */
#include "attest/demands.h"
#include "attest/ear.h"
#include "attest/policy_int.h"

enum {
    TRUSTWORTHY = 2,
    APPROVED_BOOT = 3, /* executables: what was started is approved; what runs later is not seen */
    UNSAFE = 32,
    CONTRAINDICATED = 96,
    UNRECOGNIZED = 97,
    CRYPTO_FAILED = 99,
};

typedef struct {
    bool valid;
    const char *tee, *reason, *tcb_status;
    uint32_t judged;
} subject;

static bool one_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, list[i]) == 0) return true;
    }
    return false;
}
#define ONE_OF(text, ...) one_of((text), (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* Which claim the first failed check contradicts. */
static void derive_failed(const subject *s, int8_t claims[CLO_EAR_CLAIMS])
{
    if (ONE_OF(s->reason, "measurement_mismatch", "pcr_digest_mismatch", "event_log_mismatch", "host_data_mismatch", "id_key_mismatch",
               "author_key_mismatch")) {
        claims[CLO_EAR_EXECUTABLES] = CONTRAINDICATED;
    } else if (ONE_OF(s->reason, "debug", "vmpl", "migration", "platform_policy")) {
        claims[CLO_EAR_CONFIGURATION] = CONTRAINDICATED;
    } else if (ONE_OF(s->reason, "simulated")) {
        claims[CLO_EAR_HARDWARE] = UNRECOGNIZED;
        claims[CLO_EAR_RUNTIME] = CONTRAINDICATED;
    } else if (ONE_OF(s->reason, "tcb_too_low", "tcb_status", "tcb_not_supported", "tcb_date", "advisory", "evaluation_number", "tcb_mismatch",
                      "provisional_firmware", "revoked")) {
        claims[CLO_EAR_HARDWARE] = CONTRAINDICATED;
    } else if (ONE_OF(s->reason, "chip_not_allowed", "wrong_root", "unknown_key", "issuer_mismatch")) {
        claims[CLO_EAR_INSTANCE] = UNRECOGNIZED;
    } else if (ONE_OF(s->reason, "bad_signature", "bad_chain", "bad_collateral_signature", "key_binding", "forbidden_alg", "malformed")) {
        claims[CLO_EAR_INSTANCE] = CRYPTO_FAILED;
    } else {
        claims[CLO_EAR_INSTANCE] = CONTRAINDICATED;
    }
}

static bool leaves_checks_out(const clo_attest_policy *p)
{
    return p->claims_only || p->skip_signature || p->skip_hardware_signature || p->skip_tcb_certificate_match || p->skip_chip_match ||
           p->ak_trusted || p->custom_root || p->skip_revocation;
}

static void derive_valid(const subject *s, const clo_attest_policy *p, int8_t claims[CLO_EAR_CLAIMS])
{
    bool signature = (s->judged & CLO_JUDGED_SIGNATURE) != 0 && !leaves_checks_out(p), simulated = strcmp(s->tee, "sim") == 0;
    if ((s->judged & (CLO_JUDGED_MEASUREMENT | CLO_JUDGED_HOST_DATA)) != 0) claims[CLO_EAR_EXECUTABLES] = APPROVED_BOOT;
    if ((s->judged & CLO_JUDGED_DEBUG) != 0) claims[CLO_EAR_CONFIGURATION] = p->allow_debug ? UNSAFE : TRUSTWORTHY;
    if (simulated) {
        claims[CLO_EAR_HARDWARE] = UNRECOGNIZED;
        claims[CLO_EAR_RUNTIME] = CONTRAINDICATED;
        return;
    }
    if (!signature) return;
    /* Without a list of known instances a genuine key says which kind of instance it is, not which one. */
    if (p->chip_count != 0) claims[CLO_EAR_INSTANCE] = TRUSTWORTHY;
    /* Tokens are others' word about hardware; so is a hash that trusted firmware signs. */
    if (ONE_OF(s->tee, "maa", "gcp-confidential-space", "ear", "optee")) return;
    bool current = s->tcb_status[0] == '\0' || strcmp(s->tcb_status, "UpToDate") == 0;
    claims[CLO_EAR_HARDWARE] = current && p->require_crl ? TRUSTWORTHY : current ? 0 : UNSAFE;
    if (ONE_OF(s->tee, "snp", "tdx", "sgx") && !p->allow_debug) claims[CLO_EAR_RUNTIME] = TRUSTWORTHY;
}

static int8_t tier(int8_t v)
{
    if (v == 0 || v == 1 || v == -1) return CLO_EAR_NONE;
    int size = v < 0 ? -(int)v : v;
    return size < CLO_EAR_WARNING ? CLO_EAR_AFFIRMING : size < CLO_EAR_CONTRAINDICATED ? CLO_EAR_WARNING : CLO_EAR_CONTRAINDICATED;
}

void clo_attest_ear_derive(const clo_attest_result *r, const clo_attest_submodule *part, const clo_attest_policy *p, clo_attest_ear_vector *out)
{
    subject s = {.valid = r->valid, .tee = r->tee, .reason = r->reason, .tcb_status = r->tcb_status, .judged = r->judged};
    if (part != NULL)
        s = (subject){.valid = part->valid, .tee = part->tee, .reason = part->reason, .tcb_status = part->tcb_status, .judged = part->judged};
    for (size_t i = 0; part != NULL && i < p->part_count; i++) {
        if (strcmp(p->parts[i].name, part->name) != 0) continue;
        p = p->parts[i].policy;
        break;
    }
    memset(out, 0, sizeof *out);
    if (s.valid) {
        derive_valid(&s, p, out->claims);
        for (size_t i = 0; i < CLO_EAR_CLAIMS; i++) {
            if (tier(out->claims[i]) > out->status) out->status = tier(out->claims[i]);
        }
    } else {
        derive_failed(&s, out->claims);
        out->status = CLO_EAR_CONTRAINDICATED;
    }
}
