/* What an event log says, as far as quoted registers prove it. */
#include "attest/tpm_quote.h"

#include "base/clo_buf.h"

#include <stdio.h>

enum { FIRMWARE_REGISTERS = 0xff, EVENTS_SHOWN_MAX = 12, SECURE_BOOT_REGISTER = 7 };

typedef struct {
    clo_attest_tpm_pcrs replayed;
    uint16_t hash;        /* the strongest bank whose replay equals the quote */
    uint32_t proven;      /* its registers */
    uint32_t touched;     /* registers with measurements */
    uint32_t separated;   /* with a separator */
    bool failed;          /* a separator that states an error, a digest that is not of its event */
    bool debugged;        /* firmware debugger */
    int secure_boot;      /* -1 unknown */
    size_t event_count;
    clo_wire_node *shown; /* register -> events */
} log_facts;

/* Registers of the firmware are compared even where the log has nothing of them, the others where it has. */
static void compare_bank(clo_attest_context *c, const clo_attest_tpm_bank *replayed, const clo_attest_tpm_bank *quoted, uint32_t quoted_registers, log_facts *f)
{
    char name[48], want[96], got[136];
    size_t at = 0;
    uint32_t proven = 0;
    clo_crypto_hash_alg hash;
    if (clo_failed(clo_attest_tpm_hash(replayed->hash, &hash))) return;
    got[0] = '\0';
    uint32_t compared = quoted->known & quoted_registers & (replayed->known | FIRMWARE_REGISTERS);
    for (unsigned i = 0; i < CLO_TPM_REGISTERS; i++) {
        if (!tpm_bit(compared, i)) continue;
        if (memcmp(replayed->values[i], quoted->values[i], clo_crypto_hash_size(hash)) == 0) {
            proven |= UINT32_C(1) << i;
        } else if (at + 8 < sizeof got) {
            at += (size_t)snprintf(got + at, sizeof got - at, "%s%u", at == 0 ? "other values of " : ", ", i);
        }
    }
    (void)snprintf(name, sizeof name, "event_log.%s", clo_attest_tpm_hash_name(replayed->hash));
    (void)snprintf(want, sizeof want, "the quoted values, registers 0x%06x", (unsigned)compared);
    bool same = proven == compared;
    (void)clo_attest_check_add(c->out, name, same, "event_log_mismatch", want, same ? "the quoted values" : got);
    if (compared != 0 && replayed->hash != CLO_TPM_SHA1 && replayed->hash >= f->hash) {
        f->hash = replayed->hash;
        f->proven = proven;
        f->touched = replayed->known;
    }
}

static void read_variable(const clo_attest_tpm_event *e, bool separated, log_facts *f)
{
    static const uint8_t global[16] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
    static const char name[20] = "S\0e\0c\0u\0r\0e\0B\0o\0o\0t";
    clo_rd r = clo_rd_init(e->data);
    clo_span guid = clo_rd_span(&r, 16);
    uint64_t name_count = clo_rd_u64le(&r), size = clo_rd_u64le(&r);
    if (r.bad || name_count != 10 || size > e->data.n || !clo_span_equal(guid, clo_span_of(global, sizeof global))) return;
    clo_span text = clo_rd_span(&r, 20), value = clo_rd_span(&r, (size_t)size);
    if (clo_failed(clo_rd_end(&r)) || !clo_span_equal(text, clo_span_of(name, sizeof name))) return;
    int on = value.n == 1 && value.p[0] == 1 ? 1 : 0;
    if (separated || (f->secure_boot >= 0 && f->secure_boot != on)) f->failed = true; /* said behind the firmware's end, or said otherwise before */
    f->secure_boot = f->secure_boot == 0 ? 0 : on;
}

/* Events whose bytes are judged: their digest must be of these bytes, or the register does not vouch for them. */
static clo_err judge_event(const clo_attest_tpm_event *e, clo_span digest, log_facts *f)
{
    if (e->type != CLO_TPM_EV_SEPARATOR && e->type != CLO_TPM_EV_VARIABLE_CONFIG && e->type != CLO_TPM_EV_EFI_ACTION) return CLO_OK;
    uint8_t made[CLO_HASH_MAX];
    clo_crypto_hash_alg hash;
    CLO_TRY(clo_attest_tpm_hash(f->hash, &hash));
    CLO_TRY(clo_crypto_hash(hash, e->data, made));
    bool ours = clo_span_equal(digest, clo_span_of(made, clo_crypto_hash_size(hash)));
    bool separated = tpm_bit(f->separated, e->pcr);
    if (e->type == CLO_TPM_EV_SEPARATOR) {
        bool usual = e->data.n == 4 && (memcmp(e->data.p, "\0\0\0\0", 4) == 0 || memcmp(e->data.p, "\xff\xff\xff\xff", 4) == 0);
        if (!ours || !usual) f->failed = true;
        f->separated |= UINT32_C(1) << e->pcr;
    } else if (e->pcr == SECURE_BOOT_REGISTER && e->type == CLO_TPM_EV_VARIABLE_CONFIG) {
        if (!ours) f->failed = true;
        if (ours) read_variable(e, separated, f);
    } else if (e->pcr == SECURE_BOOT_REGISTER && clo_span_equal(e->data, clo_span_str("UEFI Debug Mode"))) {
        f->debugged = true;
    }
    return CLO_OK;
}

static clo_err show_event(clo_arena *a, const clo_attest_tpm_event *e, clo_span digest, log_facts *f)
{
    static const uint32_t shown = UINT32_C(1) << 4 | UINT32_C(1) << 7 | UINT32_C(1) << 8 | UINT32_C(1) << 9 | UINT32_C(1) << 11;
    if (!tpm_bit(shown, e->pcr)) return CLO_OK;
    char name[4];
    (void)snprintf(name, sizeof name, "%u", (unsigned)e->pcr);
    clo_wire_node *list = clo_wire_get(f->shown, name), *one = NULL;
    if (list == NULL) {
        CLO_TRY(clo_wire_array(a, &list));
        CLO_TRY(clo_wire_set(a, f->shown, name, list));
    }
    if (list->count == EVENTS_SHOWN_MAX) return CLO_OK;
    CLO_TRY(clo_wire_map(a, &one));
    CLO_TRY(clo_wire_set_text(a, one, "type", clo_attest_tpm_event_name(e->type)));
    CLO_TRY(clo_wire_set_bytes(a, one, "digest", digest));
    return clo_wire_append(list, one);
}

static clo_err walk(clo_arena *a, clo_span bytes, log_facts *f)
{
    clo_attest_tpm_log log;
    clo_attest_tpm_event e;
    bool there = false;
    CLO_TRY(clo_wire_map(a, &f->shown));
    CLO_TRY(clo_attest_tpm_log_open(bytes, &log));
    for (;;) {
        CLO_TRY(clo_attest_tpm_log_next(&log, &e, &there));
        if (!there) return CLO_OK;
        if (e.type == CLO_TPM_EV_NO_ACTION || !tpm_bit(f->proven, e.pcr)) continue;
        for (size_t i = 0; i < e.digest_count; i++) {
            if (e.digests[i].hash != f->hash) continue;
            CLO_TRY(judge_event(&e, e.digests[i].digest, f));
            CLO_TRY(show_event(a, &e, e.digests[i].digest, f));
        }
    }
}

static clo_err set_claims(clo_arena *a, const log_facts *f, clo_wire_node *claims)
{
    clo_wire_node *map = NULL, *list = NULL, *n = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_int(a, map, "event_count", (int64_t)f->event_count));
    if (f->secure_boot >= 0) CLO_TRY(clo_wire_set_bool(a, map, "secure_boot", f->secure_boot == 1 && !f->failed));
    CLO_TRY(clo_wire_set_bool(a, map, "firmware_debugger", f->debugged));
    CLO_TRY(clo_wire_array(a, &list));
    for (unsigned i = 0; i < CLO_TPM_REGISTERS; i++) {
        if (!tpm_bit(f->separated, i)) continue;
        CLO_TRY(clo_wire_int(a, i, &n));
        CLO_TRY(clo_wire_append(list, n));
    }
    CLO_TRY(clo_wire_set(a, map, "separators", list));
    CLO_TRY(clo_wire_set(a, map, "events", f->shown));
    return clo_wire_set(a, claims, "event_log", map);
}

clo_err clo_attest_tpm_log_judge(clo_attest_context *c, clo_span log, const tpm_quote *quote, const clo_attest_tpm_pcrs *quoted, clo_wire_node *claims)
{
    log_facts f = {.secure_boot = -1};
    clo_err e = clo_attest_tpm_log_replay(log, &f.replayed, &f.event_count);
    if (clo_failed(e) && !clo_attest_err_is_about_input(e)) return e;
    if (!clo_attest_check_add(c->out, "event_log", !clo_failed(e), "malformed", "a crypto-agile event log", clo_failed(e) ? clo_err_text() : "read"))
        return CLO_OK;
    for (size_t i = 0; i < f.replayed.count; i++) {
        const clo_attest_tpm_bank *bank = clo_attest_tpm_bank_find(quoted, f.replayed.banks[i].hash);
        if (bank != NULL) compare_bank(c, &f.replayed.banks[i], bank, clo_attest_tpm_selected(quote, bank->hash), &f);
    }
    if (!clo_attest_check_add(c->out, "event_log.bank", f.hash != 0, "event_log_mismatch", "a bank of SHA-256 or better in log and quote",
                              f.hash != 0 ? clo_attest_tpm_hash_name(f.hash) : "none"))
        return CLO_OK;
    CLO_TRY(walk(c->arena, log, &f));
    uint32_t open = f.proven & f.touched & FIRMWARE_REGISTERS & ~f.separated;
    (void)clo_attest_check_add(c->out, "event_log.separators", open == 0 && !f.failed, "event_log_mismatch", "every firmware register closed, no error stated",
                               f.failed ? "an event whose digest is not its own, or a stated error" : open != 0 ? "a register that was not closed" : "closed");
    (void)clo_attest_check_add(c->out, "event_log.debugger", !f.debugged || c->policy->allow_debug, "debug", c->policy->allow_debug ? "any" : "no firmware debugger",
                               f.debugged ? "a firmware debugger" : "none");
    return set_claims(c->arena, &f, claims);
}
