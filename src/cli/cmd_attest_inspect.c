/* cloister attest inspect: any evidence as a person reads it; and checks as a table. */
#include "cli/cli_attest.h"

#include "attest/ear.h"
#include "attest/evidence_record.h"

enum { LINE_MAX = 200, INLINE_ITEMS = 24, SHOWN_BYTES = 64 };

void clo_cli_say_checks(clo_cli *c, const clo_attest_result *r)
{
    size_t passed = 0;
    for (size_t i = 0; i < r->check_count; i++) {
        const clo_attest_check *k = &r->checks[i];
        if (!k->ok) continue;
        passed++;
        if (!c->quiet && r->valid) clo_cli_say(c, "  ok   %s\n", k->name);
    }
    if (r->valid) return;
    clo_cli_say(c, "  %zu checks passed; these did not:\n", passed);
    for (size_t i = 0; i < r->check_count; i++) {
        const clo_attest_check *k = &r->checks[i];
        if (k->ok) continue;
        const clo_attest_advice *advice = clo_attest_advice_of(k->reason);
        clo_cli_say(c, "\n  check       %s (%s)\n  expected    %s\n  actual      %s\n  source      %s\n  what to do  %s\n", k->name, k->reason, k->expected,
                    k->actual, advice->source, advice->remedy);
    }
    clo_cli_say(c, "\n");
}

static bool is_time(const char *key)
{
    static const char *const names[] = {"iat", "exp", "nbf", "timestamp", "timestamp_ms"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], key) == 0) return true;
    return false;
}

static void bytes_text(clo_span s, char *to, size_t size)
{
    char hex[2 * SHOWN_BYTES + 1];
    bool zero = true;
    for (size_t i = 0; i < s.n; i++) zero = zero && s.p[i] == 0;
    clo_hex_encode(hex, clo_span_of(s.p, s.n < SHOWN_BYTES ? s.n : SHOWN_BYTES));
    if (s.n == 0)
        (void)snprintf(to, size, "empty");
    else if (zero && s.n > 8)
        (void)snprintf(to, size, "all zero (%zu bytes)", s.n);
    else if (s.n > SHOWN_BYTES)
        (void)snprintf(to, size, "%s… (%zu bytes)", hex, s.n);
    else
        (void)snprintf(to, size, "%s", hex);
}

/* A scalar with what its name says about it. */
static void scalar_text(const char *key, const clo_wire_node *n, char *to, size_t size)
{
    if (n->type == CLO_WIRE_BYTES) {
        bytes_text(n->text, to, size);
        return;
    }
    clo_cli_text_of(n, to, size);
    if (n->type == CLO_WIRE_TEXT && n->text.n >= size) memcpy(to + size - 4, "…", 4);
    if (n->type == CLO_WIRE_INT && is_time(key) && n->integer > 0) {
        char at[40];
        clo_time_format(at, strcmp(key, "timestamp_ms") == 0 ? n->integer / 1000 : n->integer);
        (void)snprintf(to, size, "%lld  (%s)", (long long)n->integer, at);
    }
}

static bool is_scalar(const clo_wire_node *n) { return n->type != CLO_WIRE_MAP && n->type != CLO_WIRE_ARRAY && n->type != CLO_WIRE_TAG; }

/* A short list of numbers on one line: PCR selections, SVNs. */
static bool list_inline(const clo_wire_node *list, char *to, size_t size)
{
    size_t used = 0;
    if (list->count > INLINE_ITEMS) return false;
    to[0] = 0;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        if (n->type != CLO_WIRE_INT) return false;
        int m = snprintf(to + used, size - used, "%s%lld", used != 0 ? " " : "", (long long)n->integer);
        if (m < 0 || (size_t)m >= size - used) return false;
        used += (size_t)m;
    }
    return true;
}

static void say_node(clo_cli *c, const char *key, const clo_wire_node *n, unsigned depth)
{
    char text[LINE_MAX];
    int indent = 2 + 2 * (int)depth, width = indent < 30 ? 30 - indent : 1;
    if (n->type == CLO_WIRE_ARRAY && list_inline(n, text, sizeof text)) {
        clo_cli_say(c, "%*s%-*s %s\n", indent, "", width, key, n->count == 0 ? "none" : text);
        return;
    }
    if (is_scalar(n)) {
        scalar_text(key, n, text, sizeof text);
        clo_cli_say(c, "%*s%-*s %s\n", indent, "", width, key, text);
        return;
    }
    clo_cli_say(c, "%*s%s\n", indent, "", key);
    if (depth == 12) return;
    size_t index = 0;
    for (const clo_wire_node *m = n->first; m != NULL; m = m->next, index++) {
        char name[80];
        if (m->key != NULL && m->key->type == CLO_WIRE_TEXT)
            (void)snprintf(name, sizeof name, "%s", (const char *)m->key->text.p);
        else
            (void)snprintf(name, sizeof name, "%lld", m->key != NULL ? (long long)m->key->integer : (long long)index);
        say_node(c, name, m, depth + 1);
    }
}

static const char *title_of(const char *type)
{
    static const struct {
        const char *type, *title;
    } titles[] = {
        {"snp", "an AMD SEV-SNP attestation report"},
        {"sim", "a report of the software TEE: no protection from the operator"},
        {"tdx", "an Intel TDX quote"},
        {"sgx", "an Intel SGX quote"},
        {"nitro", "an AWS Nitro attestation document"},
        {"tpm", "a TPM 2.0 quote"},
        {"azure-vtpm", "an Azure confidential VM: HCL report and vTPM quote"},
        {"maa", "a token of Microsoft Azure Attestation"},
        {"gcp-confidential-space", "a token of Google Confidential Space"},
        {"nvidia-gpu", "an NVIDIA GPU attestation report (SPDM)"},
        {"psa", "an Arm PSA token"},
        {"cca", "an Arm CCA token"},
        {"optee", "a measurement by OP-TEE"},
        {"composite", "composite evidence"},
        {"ear", "an attestation result (EAR)"},
    };
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        if (strcmp(titles[i].type, type) == 0) return titles[i].title;
    return type;
}

/* What can be said about the bytes without any certificate: checks of form that failed. */
static void say_form(clo_cli *c, const clo_attest_result *r)
{
    for (size_t i = 0; i < r->check_count; i++) {
        const clo_attest_check *k = &r->checks[i];
        if (!k->ok && strcmp(k->reason, "malformed") == 0) clo_cli_say(c, "not well formed: %s: %s\n", k->name, k->actual);
    }
}

/* A certificate, list, key set or vendor document is no evidence; say what it is. */
static clo_err inspect_collateral(clo_cli *c, clo_span bytes, const char *path)
{
    char role[32];
    clo_wire_node *map = NULL;
    const char *type = clo_cli_value(c, "--type");
    clo_err e = clo_cli_guess_collateral(type == NULL ? "auto" : type, bytes, path, role);
    if (clo_failed(e)) return CLO_FAILF(CLO_E_MALFORMED, "%s is no evidence and no collateral that is recognised; give --type", path);
    clo_cli_say(c, "%s is collateral, not evidence: give it as --collateral %s=%s\n", path, role, path);
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "collateral", role));
    return clo_cli_emit(c, map);
}

clo_err clo_cli_attest_inspect(clo_cli *c)
{
    void *memory = NULL;
    cli_case *k = NULL;
    clo_attest_result *r = NULL;
    clo_wire_node *map = NULL, *claims = NULL;
    CLO_TRY(clo_cli_case_open(c, &k));
    for (size_t i = 0; i < c->arg_count; i++) CLO_TRY(clo_cli_case_evidence(c, k, c->args[i]));
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_attest_policy), &memory));
    clo_attest_policy *open = memory;
    clo_attest_policy_init_open(open);
    open->allow_debug = open->allow_simulated = open->allow_trailing_bytes = true;
    clo_err e = clo_cli_case_verify(c, k, open, &r);
    if (clo_failed(e) && e.code == CLO_E_UNSUPPORTED && strcmp(k->type, "auto") == 0 && k->evidence_count == 1)
        return inspect_collateral(c, k->evidence[0].bytes, c->args[0]);
    CLO_TRY(e);
    CLO_CHECKF(r->claims != NULL && (r->claims->count != 0 || r->submodule_count != 0), CLO_E_MALFORMED, "%s: %s", c->args[0],
               r->detail[0] != 0 ? r->detail : "this is no evidence of a known type; give --type");
    clo_cli_say(c, "%s is %s; what it claims, not verified:\n", c->args[0], title_of(r->tee));
    say_form(c, r);
    for (const clo_wire_node *n = r->claims->first; n != NULL; n = n->next) {
        if (n->key != NULL && n->key->type == CLO_WIRE_TEXT) say_node(c, (const char *)n->key->text.p, n, 0);
    }
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "tee", r->tee));
    CLO_TRY(clo_wire_map(&c->arena, &claims));
    *claims = *r->claims;
    claims->key = NULL;
    claims->next = NULL;
    CLO_TRY(clo_wire_hexify(&c->arena, claims));
    CLO_TRY(clo_wire_set(&c->arena, map, "claims", claims));
    return clo_cli_emit(c, map);
}
