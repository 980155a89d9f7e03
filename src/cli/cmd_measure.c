/* cloister measure: what a platform will say of an artefact once it is started, and what goes into it. */
#include "cli/cli_int.h"

#include "collab/run.h"
#include "os/file.h"
#include "tee/measure.h"
#include "tee/tee_measure.h"

enum { ARTEFACT_MAX = 1 << 30, FILES_MAX = 4 };

/* Files in memory; images are larger than what the arena of a command holds. */
typedef struct {
    clo_buf held[FILES_MAX];
    size_t count;
} artefacts;

static void artefacts_free(artefacts *f)
{
    for (size_t i = 0; i < f->count; i++) clo_buf_free(&f->held[i]);
}

static clo_err take_file(artefacts *f, const char *path, clo_span *out)
{
    CLO_CHECK(f->count < FILES_MAX, CLO_E_TOO_MANY);
    clo_buf *b = &f->held[f->count++];
    clo_buf_init(b, ARTEFACT_MAX);
    CLO_TRY(clo_os_file_read(path, ARTEFACT_MAX, b));
    *out = clo_buf_span(b);
    return CLO_OK;
}

static clo_err take_option_file(clo_cli *c, artefacts *f, const char *option, clo_span *out)
{
    const char *path = clo_cli_value(c, option);
    return path == NULL ? CLO_OK : take_file(f, path, out);
}

static clo_err measure_sim(clo_cli *c, artefacts *f, clo_tee_measured *m)
{
    uint8_t measurement[48];
    uint64_t size = 0;
    (void)f;
    CLO_TRY(clo_tee_measure_sim(c->args[0], measurement));
    CLO_TRY(clo_os_file_size(c->args[0], &size));
    clo_wire_node *step = NULL;
    CLO_TRY(clo_wire_map(&c->arena, &step));
    CLO_TRY(clo_wire_set_text(&c->arena, step, "into", "measurement"));
    CLO_TRY(clo_wire_set_text(&c->arena, step, "what", "the file's SHA-384 behind the words of the software TEE's launch"));
    CLO_TRY(clo_wire_set_int(&c->arena, step, "size", (int64_t)size));
    CLO_TRY(clo_wire_append(m->steps, step));
    return clo_wire_set_bytes(&c->arena, m->values, "measurement", clo_span_of(measurement, sizeof measurement));
}

static clo_err take_number(const char *text, const char *option, uint64_t *out)
{
    uint8_t bytes[8] = {0};
    size_t n = text == NULL || strncmp(text, "0x", 2) != 0 ? 0 : strlen(text + 2);
    if (text == NULL) return CLO_OK;
    char padded[17];
    (void)snprintf(padded, sizeof padded, "%016d", 0);
    if (n >= 1 && n <= 16) memcpy(padded + 16 - n, text + 2, n);
    if (n < 1 || n > 16 || clo_failed(clo_hex_decode(bytes, sizeof bytes, clo_span_str(padded))))
        return CLO_FAILF(CLO_E_USAGE, "%s takes a number like 0x21", option);
    *out = 0;
    for (size_t i = 0; i < 8; i++) *out = *out << 8 | bytes[i];
    return CLO_OK;
}

static clo_err take_vmm(const clo_cli *c, clo_tee_vmm *out)
{
    static const char *const names[] = {"qemu", "ec2", "gce"};
    const char *name = clo_cli_value(c, "--vmm");
    for (unsigned i = 0; name != NULL && i < 3; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *out = (clo_tee_vmm)i;
        return CLO_OK;
    }
    CLO_CHECKF(name == NULL, CLO_E_USAGE, "--vmm takes qemu, ec2 or gce");
    return CLO_OK;
}

static clo_err measure_snp(clo_cli *c, artefacts *f, clo_tee_measured *m)
{
    const char *model = clo_cli_value(c, "--vcpu-type"), *digest = clo_cli_value(c, "--firmware-digest");
    uint8_t after[48];
    uint64_t vcpus = 1;
    clo_tee_snp_launch l = {.guest_features = 1, .have_kernel = clo_cli_value(c, "--kernel") != NULL, .command_line = clo_cli_value(c, "--cmdline")};
    CLO_TRY(take_file(f, c->args[0], &l.firmware));
    CLO_TRY(take_option_file(c, f, "--kernel", &l.kernel));
    CLO_TRY(take_option_file(c, f, "--initrd", &l.initrd));
    CLO_CHECKF(l.have_kernel || (l.initrd.n == 0 && l.command_line == NULL), CLO_E_USAGE, "--initrd and --cmdline go with --kernel");
    CLO_TRY(clo_cli_value_count(c, "--vcpus", CLO_TEE_VCPUS_MAX, &vcpus));
    CLO_TRY(take_number(clo_cli_value(c, "--guest-features"), "--guest-features", &l.guest_features));
    CLO_TRY(take_vmm(c, &l.vmm));
    CLO_TRY(clo_tee_vcpu_signature(model == NULL ? "EPYC-v4" : model, &l.vcpu_signature));
    if (digest != NULL) {
        CLO_CHECKF(!clo_failed(clo_hex_decode(after, sizeof after, clo_span_str(digest))), CLO_E_USAGE, "--firmware-digest takes 48 bytes in hex");
        l.firmware_digest = after;
    }
    l.vcpus = (unsigned)vcpus;
    return clo_tee_measure_snp(&l, m);
}

static clo_err measure_tdx(clo_cli *c, artefacts *f, clo_tee_measured *m)
{
    clo_tee_tdx_launch l = {.two_pass = clo_cli_flag(c, "--two-pass"), .command_line = clo_cli_value(c, "--cmdline")};
    l.have_command_line = l.command_line != NULL;
    CLO_TRY(take_file(f, c->args[0], &l.firmware));
    CLO_TRY(take_option_file(c, f, "--initrd", &l.initrd));
    CLO_TRY(take_option_file(c, f, "--event-log", &l.event_log));
    return clo_tee_measure_tdx(&l, m);
}

static clo_err measure_nitro(clo_cli *c, artefacts *f, clo_tee_measured *m)
{
    clo_span file;
    CLO_TRY(take_file(f, c->args[0], &file));
    return clo_tee_measure_nitro(file, m);
}

static clo_err measure_sgx(clo_cli *c, artefacts *f, clo_tee_measured *m)
{
    clo_span file;
    CLO_TRY(take_file(f, c->args[0], &file));
    return clo_tee_measure_sgx(file, m);
}

static clo_err measure_tpm(clo_cli *c, artefacts *f, clo_tee_measured *m)
{
    clo_span file;
    CLO_TRY(take_file(f, c->args[0], &file));
    return clo_tee_measure_tpm(file, m);
}

/* The workload digests of an agreement's runs on this measurement: what the host must say at launch. */
static clo_err workloads_put(clo_cli *c, const char *reference, clo_tee_measured *m)
{
    clo_collab_agreement *g = NULL;
    uint32_t signed_mask = 0;
    uint8_t digest[48], host_data[32];
    char name[128];
    const clo_wire_node *measurement = clo_wire_get(m->values, "measurement");
    CLO_CHECKF(measurement != NULL && measurement->text.n == 48, CLO_E_USAGE, "--agreement goes with --tee sim or snp");
    CLO_TRY(clo_cli_agreement(c, reference, &g, &signed_mask, NULL));
    for (size_t i = 0; i < g->run_count; i++) {
        CLO_TRY(clo_collab_workload_digest(g, &g->runs[i], measurement->text.p, digest, host_data));
        (void)snprintf(name, sizeof name, "workload.%s", g->runs[i].name);
        CLO_TRY(clo_wire_set_bytes(&c->arena, m->values, name, clo_span_of(digest, sizeof digest)));
        (void)snprintf(name, sizeof name, "host_data.%s", g->runs[i].name);
        CLO_TRY(clo_wire_set_bytes(&c->arena, m->values, name, clo_span_of(host_data, sizeof host_data)));
    }
    return CLO_OK;
}

static void say_steps(clo_cli *c, const clo_wire_node *steps)
{
    for (const clo_wire_node *n = steps->first; n != NULL; n = n->next) {
        const clo_wire_node *address = clo_wire_get(n, "address"), *size = clo_wire_get(n, "size"), *digest = clo_wire_get(n, "digest");
        clo_cli_say(c, "  %-14s %s", clo_client_text(n, "into"), clo_client_text(n, "what"));
        if (address != NULL) clo_cli_say(c, " at 0x%llx", (unsigned long long)address->integer);
        if (size != NULL) clo_cli_say(c, ", %lld bytes", (long long)size->integer);
        if (digest != NULL) clo_cli_say(c, ": %s", (const char *)digest->text.p);
        clo_cli_say(c, "\n");
    }
}

/* Move a map's members to the end of another, telling people of each where `say`. */
static clo_err members_move(clo_cli *c, clo_wire_node *from, bool say, clo_wire_node *to)
{
    char text[140];
    for (clo_wire_node *n = from->first, *next = NULL; n != NULL; n = next) {
        const char *key = (const char *)n->key->text.p;
        next = n->next;
        clo_cli_text_of(n, text, sizeof text);
        if (say) clo_cli_say(c, "%-16s %s\n", key, text);
        n->key = n->next = NULL;
        CLO_TRY(clo_wire_set(&c->arena, to, key, n));
    }
    return CLO_OK;
}

static clo_err say_all(clo_cli *c, const char *tee, clo_tee_measured *m)
{
    clo_wire_node *map = NULL;
    bool explain = clo_cli_flag(c, "--explain");
    CLO_TRY(clo_wire_hexify(&c->arena, m->values));
    CLO_TRY(clo_wire_hexify(&c->arena, m->steps));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "tee", tee));
    /* One value stands alone, so that a script can take it as it is. */
    bool alone = m->values->count == 1 && !explain;
    if (alone) clo_cli_say(c, "%s\n", (const char *)m->values->first->text.p);
    CLO_TRY(members_move(c, m->values, !alone, map));
    CLO_TRY(members_move(c, m->notes, explain, map));
    if (explain) {
        clo_cli_say(c, "what goes into it, in this order:\n");
        say_steps(c, m->steps);
        CLO_TRY(clo_wire_set(&c->arena, map, "steps", m->steps));
    }
    return clo_cli_emit(c, map);
}

clo_err clo_cli_measure(clo_cli *c)
{
    static const struct {
        const char *tee;
        clo_err (*measure)(clo_cli *c, artefacts *f, clo_tee_measured *m);
    } kinds[] = {{"sim", measure_sim}, {"snp", measure_snp}, {"tdx", measure_tdx}, {"nitro", measure_nitro}, {"sgx", measure_sgx}, {"tpm", measure_tpm}};
    const char *tee = clo_cli_value(c, "--tee"), *agreement = clo_cli_value(c, "--agreement");
    CLO_AUTO(artefacts_free) artefacts f = {.count = 0};
    clo_tee_measured m;
    if (tee == NULL) tee = "sim";
    CLO_TRY(clo_tee_measured_open(&c->arena, &m));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(tee, kinds[i].tee) != 0) continue;
        CLO_TRY(kinds[i].measure(c, &f, &m));
        if (agreement != NULL) CLO_TRY(workloads_put(c, agreement, &m));
        return say_all(c, tee, &m);
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "--tee takes sim, snp, tdx, nitro, sgx or tpm; \"%.40s\" cannot be measured from a file", tee);
}
