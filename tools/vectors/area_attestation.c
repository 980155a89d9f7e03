/* attestation: every case of each type's manifest.json: verdict, class of the reason, parsed fields. The caller's open policy is the start,
 * as in `cloister attest verify --policy`; a time comes from the case, never from a clock. */
#include "vectors.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_MAX = 256 << 20, CASE_ARENA_MAX = 32 << 20 };
#define NOT_VERIFIED "the product does not verify this type of evidence yet"

typedef struct {
    clo_arena *arena;
    const char *dir, *file, *type, *name;
    clo_vectors_report *report;
} attestation_case;

static bool text_is(const clo_wire_node *n, const char *text) { return n != NULL && n->type == CLO_WIRE_TEXT && clo_span_equal(n->text, clo_span_str(text)); }

/* Read the file that a node names, as this role. */
static clo_err take_file(const attestation_case *t, const char *role, const clo_wire_node *file, clo_attest_part *parts, size_t *count)
{
    if (file->type == CLO_WIRE_NULL) return CLO_OK;
    CLO_CHECKF(file->type == CLO_WIRE_TEXT && *count < CLO_ATTEST_PARTS_MAX, CLO_E_MALFORMED, "%s names no file", role);
    clo_attest_part *part = &parts[(*count)++];
    CLO_TRY(clo_str_set(part->role, sizeof part->role, clo_span_str(role)));
    return clo_vectors_read(t->arena, t->dir, (const char *)file->text.p, &part->bytes);
}

/* One file (the role is the type's main one) or an object role -> file. */
static clo_err take_files(const attestation_case *t, const clo_wire_node *node, const char *role, clo_attest_part *parts, size_t *count)
{
    if (node == NULL) return CLO_OK;
    if (node->type != CLO_WIRE_MAP) return take_file(t, role, node, parts, count);
    for (const clo_wire_node *n = node->first; n != NULL; n = n->next) CLO_TRY(take_file(t, (const char *)n->key->text.p, n, parts, count));
    return CLO_OK;
}

static bool scalar_equal(const clo_wire_node *want, const clo_wire_node *got)
{
    if (got == NULL) return want->type == CLO_WIRE_NULL;
    if (want->type == CLO_WIRE_BOOL) return got->type == CLO_WIRE_BOOL && got->boolean == want->boolean;
    if (want->type == CLO_WIRE_INT) return got->type == CLO_WIRE_INT && got->integer == want->integer;
    if (want->type != CLO_WIRE_TEXT) return false;
    if (got->type == CLO_WIRE_TEXT) return clo_span_equal(want->text, got->text);
    uint8_t bytes[512];
    return got->type == CLO_WIRE_BYTES && got->text.n <= sizeof bytes && want->text.n == 2 * got->text.n &&
           !clo_failed(clo_hex_decode(bytes, got->text.n, want->text)) && clo_span_equal(clo_span_of(bytes, got->text.n), got->text);
}

/* Every wanted field is there with the wanted value; objects are compared member by member. NULL, or the name that differs. */
static const char *fields_differ(const clo_wire_node *want, const clo_wire_node *got)
{
    if (want == NULL) return NULL;
    for (const clo_wire_node *n = want->first; n != NULL; n = n->next) {
        const char *name = (const char *)n->key->text.p;
        const clo_wire_node *value = got == NULL ? NULL : clo_wire_get(got, name);
        if (n->type != CLO_WIRE_MAP) {
            if (!scalar_equal(n, value)) return name;
            continue;
        }
        if (value == NULL || value->type != CLO_WIRE_MAP || fields_differ(n, value) != NULL) return name;
    }
    return NULL;
}

/* "a_or_b" accepts either. */
static bool reason_accepted(const char *want, const char *got)
{
    size_t n = strlen(got);
    if (strcmp(want, got) == 0) return true;
    for (const char *at = want; n != 0 && at != NULL;) {
        const char *next = strstr(at, "_or_");
        size_t part = next == NULL ? strlen(at) : (size_t)(next - at);
        if (part == n && strncmp(at, got, n) == 0) return true;
        at = next == NULL ? NULL : next + 4;
    }
    return false;
}

static clo_err appraise(const attestation_case *t, const clo_wire_node *node, clo_attest_result *result)
{
    clo_attest_part evidence[CLO_ATTEST_PARTS_MAX], collateral[CLO_ATTEST_PARTS_MAX];
    size_t evidence_count = 0, collateral_count = 0;
    clo_attest_policy policy;
    int64_t now = 0;
    CLO_TRY(take_files(t, clo_wire_get(node, "evidence"), "report", evidence, &evidence_count));
    CLO_TRY(take_files(t, clo_wire_get(node, "collateral"), "root", collateral, &collateral_count));
    const clo_wire_node *given = clo_wire_get(node, "policy");
    clo_attest_policy_init_open(&policy);
    if (given != NULL) CLO_TRY(clo_attest_policy_read_open(t->arena, given, &policy));
    const char *at = clo_vectors_text(node, "verify_at");
    CLO_CHECKF(at != NULL, CLO_E_MALFORMED, "the case has no verify_at");
    CLO_TRY(clo_time_parse(&now, clo_span_str(at)));
    return clo_attest_verify(t->arena, t->type, evidence, evidence_count, collateral, collateral_count, &policy, now, result);
}

static void judge(const attestation_case *t, const clo_wire_node *node)
{
    void *memory = NULL;
    if (clo_failed(clo_arena_alloc(t->arena, sizeof(clo_attest_result), &memory))) {
        clo_vectors_fail(t->report, t->file, t->name, "memory", clo_err_text());
        return;
    }
    clo_attest_result *result = memory;
    clo_err e = appraise(t, node, result);
    if (clo_failed(e)) {
        clo_vectors_fail(t->report, t->file, t->name, "a verdict", clo_err_text());
        return;
    }
    bool want = text_is(clo_wire_get(node, "expected"), "valid");
    const char *reason = clo_vectors_text(node, "reason"), *verdict = want ? "valid" : reason == NULL ? "invalid" : reason;
    if (result->valid != want || (!want && reason != NULL && !reason_accepted(reason, result->reason))) {
        char got[320];
        (void)snprintf(got, sizeof got, "%s (%s)", result->valid ? "valid" : result->reason, result->detail);
        clo_vectors_fail(t->report, t->file, t->name, verdict, got);
        return;
    }
    const char *field = fields_differ(clo_wire_get(node, "fields"), result->claims);
    if (field != NULL) {
        clo_vectors_fail(t->report, t->file, t->name, "the manifest's value", field);
        return;
    }
    clo_vectors_pass(t->report);
}

static void run_case(const char *dir, const char *file, const char *type, const clo_wire_node *node, clo_vectors_report *r)
{
    const char *name = clo_vectors_text(node, "name");
    if (name == NULL) name = "(no name)";
    if (strcmp(type, "snp") != 0 && strcmp(type, "sim") != 0) {
        clo_vectors_skip(r, file, name, NOT_VERIFIED);
        return;
    }
    CLO_AUTO(clo_arena_free) clo_arena arena;
    clo_arena_init(&arena, CASE_ARENA_MAX);
    attestation_case t = {.arena = &arena, .dir = dir, .file = file, .type = type, .name = name, .report = r};
    judge(&t, node);
}

static int run_folder(clo_arena *a, const char *dir, clo_vectors_report *r)
{
    clo_wire_node *root = NULL;
    const char *file = NULL;
    if (clo_failed(clo_arena_printf(a, &file, "%s/manifest.json", dir)) || clo_failed(clo_vectors_json(a, dir, "manifest.json", &root))) {
        clo_vectors_fail(r, dir, "manifest.json", "a manifest", clo_err_text());
        return 1;
    }
    const char *type = clo_vectors_text(root, "type");
    const clo_wire_node *cases = clo_wire_get(root, "cases");
    if (type == NULL || cases == NULL || cases->type != CLO_WIRE_ARRAY) {
        clo_vectors_fail(r, file, "manifest", "type and cases", "neither");
        return 1;
    }
    for (const clo_wire_node *node = cases->first; node != NULL; node = node->next) run_case(dir, file, type, node, r);
    return 0;
}

static bool has_manifest(clo_arena *a, const char *dir)
{
    const char **names = NULL;
    size_t count = 0;
    if (clo_failed(clo_vectors_list(a, dir, "manifest.json", &names, &count))) return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], "manifest.json") == 0) return true;
    }
    return false;
}

int clo_vectors_attestation(const char *dir, clo_vectors_report *r)
{
    CLO_AUTO(clo_arena_free) clo_arena arena;
    clo_arena_init(&arena, ARENA_MAX);
    if (has_manifest(&arena, dir)) return run_folder(&arena, dir, r);
    const char **names = NULL;
    size_t count = 0;
    if (clo_failed(clo_vectors_list(&arena, dir, "", &names, &count))) {
        clo_vectors_fail(r, dir, "attestation", "a folder", clo_err_text());
        return 1;
    }
    int status = 0;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const char *sub = NULL;
        if (clo_failed(clo_arena_printf(&arena, &sub, "%s/%s", dir, names[i]))) return 1;
        if (!has_manifest(&arena, sub)) continue;
        any = true;
        status |= run_folder(&arena, sub, r);
    }
    if (!any) clo_vectors_fail(r, dir, "attestation", "folders with a manifest.json", "none");
    return any ? status : 1;
}
