/* attestation: every case of each type's manifest.json: verdict, class of the reason, parsed fields, and what else a case says (TCB status and
 * its parts, the merged status that the vendor's own library gave, what the certificate says, until when the verdict holds). The caller's
 * open policy is the start, as in `cloister attest verify --policy`; a time comes from the case, never from a clock. */
#include "vectors.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "wire/json.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_MAX = 256 << 20, CASE_ARENA_MAX = 32 << 20 };
#define NOT_VERIFIED "the product does not verify this type of evidence"
#define CONTRADICTED "another case gives the same bytes, policy and time the other verdict"

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
    if (node == NULL || node->type == CLO_WIRE_NULL) return CLO_OK;
    if (node->type != CLO_WIRE_MAP) return take_file(t, role, node, parts, count);
    for (const clo_wire_node *n = node->first; n != NULL; n = n->next) CLO_TRY(take_file(t, (const char *)n->key->text.p, n, parts, count));
    return CLO_OK;
}

static bool hex_equal(clo_span hex, clo_span bytes)
{
    char pair[3];
    if (hex.n != 2 * bytes.n) return false;
    for (size_t i = 0; i < bytes.n; i++) {
        clo_hex_encode(pair, clo_span_of(bytes.p + i, 1));
        if (memcmp(pair, hex.p + 2 * i, 2) != 0) return false;
    }
    return true;
}

static bool scalar_equal(const clo_wire_node *want, const clo_wire_node *got)
{
    if (got == NULL || got->type == CLO_WIRE_NULL) return want->type == CLO_WIRE_NULL;
    if (want->type == CLO_WIRE_BOOL) return got->type == CLO_WIRE_BOOL && got->boolean == want->boolean;
    if (want->type == CLO_WIRE_INT) return got->type == CLO_WIRE_INT && got->integer == want->integer;
    if (want->type == CLO_WIRE_FLOAT) return got->type == CLO_WIRE_FLOAT && memcmp(&got->number, &want->number, sizeof got->number) == 0;
    if (want->type != CLO_WIRE_TEXT) return false;
    if (got->type == CLO_WIRE_TEXT) return clo_span_equal(want->text, got->text);
    return got->type == CLO_WIRE_BYTES && hex_equal(want->text, got->text);
}

static const char *fields_differ(const clo_wire_node *want, const clo_wire_node *got);

static bool value_equal(const clo_wire_node *want, const clo_wire_node *got)
{
    if (want->type == CLO_WIRE_MAP) return got != NULL && got->type == CLO_WIRE_MAP && fields_differ(want, got) == NULL;
    if (want->type != CLO_WIRE_ARRAY) return scalar_equal(want, got);
    if (got == NULL || got->type != CLO_WIRE_ARRAY || got->count != want->count) return false;
    const clo_wire_node *b = got->first;
    for (const clo_wire_node *a = want->first; a != NULL; a = a->next, b = b->next) {
        if (!value_equal(a, b)) return false;
    }
    return true;
}

/* Every wanted field is there with the wanted value; objects are compared member by member, lists element by element. NULL, or the name that
 * differs (the innermost one). */
static const char *fields_differ(const clo_wire_node *want, const clo_wire_node *got)
{
    if (want == NULL || want->type != CLO_WIRE_MAP) return NULL;
    for (const clo_wire_node *n = want->first; n != NULL; n = n->next) {
        const char *name = (const char *)n->key->text.p;
        const clo_wire_node *value = got == NULL ? NULL : clo_wire_get(got, name);
        if (value_equal(n, value)) continue;
        const char *inner = n->type == CLO_WIRE_MAP && value != NULL && value->type == CLO_WIRE_MAP ? fields_differ(n, value) : NULL;
        return inner != NULL ? inner : name;
    }
    return NULL;
}

/* A member of a member of the result's TCB map, NULL where absent. */
static const clo_wire_node *tcb_get(const clo_attest_result *r, const char *part, const char *name)
{
    const clo_wire_node *map = r->tcb == NULL ? NULL : clo_wire_get(r->tcb, part);
    return map == NULL || name == NULL ? map : map->type == CLO_WIRE_MAP ? clo_wire_get(map, name) : NULL;
}

/* Text of the case against the result's; a case that says nothing agrees. */
static bool agrees(const clo_wire_node *want, const clo_wire_node *got) { return want == NULL || value_equal(want, got); }

/* ["TDX_01", status, does its identity match] */
static bool module_agrees(const clo_wire_node *want, const clo_attest_result *r)
{
    if (want == NULL || want->type != CLO_WIRE_ARRAY || want->count != 3) return true;
    return value_equal(want->first, tcb_get(r, "module", "id")) && value_equal(want->first->next, tcb_get(r, "module", "status")) &&
           value_equal(want->last, tcb_get(r, "module", "matches"));
}

/* The name before the blank: "TcbNotSupported (error)". */
static bool merged_agrees(const clo_wire_node *node, const clo_attest_result *r)
{
    const clo_wire_node *merged = clo_wire_get(node, "merged_status_by_intel_qvl");
    const char *name = merged == NULL || merged->type != CLO_WIRE_MAP ? NULL : clo_vectors_text(merged, "name");
    return name == NULL || (strcspn(name, " ") == strlen(r->tcb_status) && strncmp(name, r->tcb_status, strlen(r->tcb_status)) == 0);
}

/* No verdict outlasts the windows that the case names. */
static bool until_agrees(const clo_wire_node *node, const clo_attest_result *r)
{
    static const char *const windows[] = {"chain_window", "pck_chain_window", "collateral_window"};
    int64_t end = INT64_MAX, one = 0;
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        const clo_wire_node *w = clo_wire_get(node, windows[i]);
        if (w == NULL || w->type != CLO_WIRE_ARRAY || w->count != 2 || w->last->type != CLO_WIRE_TEXT) continue;
        if (clo_failed(clo_time_parse(&one, w->last->text))) return false;
        if (one < end) end = one;
    }
    return !r->valid || r->valid_until <= end;
}

/* What is absent may stand as an empty text; the provider of a VLEK stands in the case as the printed bytes of its DER. */
static const char *certificate_differs(const clo_wire_node *want, const clo_attest_result *r)
{
    if (want == NULL || want->type != CLO_WIRE_MAP) return NULL;
    for (const clo_wire_node *n = want->first; n != NULL; n = n->next) {
        const char *name = (const char *)n->key->text.p;
        const clo_wire_node *got = tcb_get(r, "certificate", name);
        bool absent = got == NULL && n->type == CLO_WIRE_TEXT && n->text.n == 0;
        bool printed = got != NULL && got->type == CLO_WIRE_TEXT && strcmp(name, "cspid") == 0 && n->type == CLO_WIRE_TEXT &&
                       strstr((const char *)n->text.p, (const char *)got->text.p) != NULL;
        if (!absent && !printed && !value_equal(n, got)) return name;
    }
    return NULL;
}

/* NULL, or what the result says otherwise than the case. */
static const char *rest_differs(const clo_wire_node *node, const clo_attest_result *r)
{
    const clo_wire_node *tcb = clo_wire_get(node, "tcb");
    if (!merged_agrees(node, r)) return "merged_status_by_intel_qvl";
    if (tcb != NULL && tcb->type == CLO_WIRE_MAP && !value_equal(tcb, tcb_get(r, "platform", NULL))) return "tcb";
    if (!agrees(clo_wire_get(node, "qe_tcb_status"), tcb_get(r, "qe", "status"))) return "qe_tcb_status";
    if (!module_agrees(clo_wire_get(node, "tdx_module"), r)) return "tdx_module";
    if (!agrees(clo_wire_get(node, "tcb_evaluation_data_number"), tcb_get(r, "evaluation_data_number", NULL))) return "tcb_evaluation_data_number";
    const char *field = certificate_differs(clo_wire_get(node, "cert_fields"), r);
    if (field != NULL) return field;
    if (!agrees(clo_wire_get(node, "ark_sha256"), tcb_get(r, "ark_sha256", NULL))) return "ark_sha256";
    const clo_wire_node *pck = r->claims == NULL ? NULL : clo_wire_get(r->claims, "pck");
    if (pck != NULL && !agrees(clo_wire_get(node, "pck"), pck)) return "pck";
    return until_agrees(node, r) ? NULL : "the end of the windows";
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
    if (given != NULL && given->type != CLO_WIRE_NULL) CLO_TRY(clo_attest_policy_read_open(t->arena, given, &policy));
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
    if (field == NULL) field = rest_differs(node, result);
    if (field != NULL) {
        clo_vectors_fail(t->report, t->file, t->name, "the manifest's value", field);
        return;
    }
    clo_vectors_pass(t->report);
}

static void run_case(const char *dir, const char *file, const char *type, const clo_wire_node *node, clo_vectors_report *r)
{
    const char *name = clo_vectors_text(node, "name");
    CLO_AUTO(clo_arena_free) clo_arena arena;
    clo_arena_init(&arena, CASE_ARENA_MAX);
    attestation_case t = {.arena = &arena, .dir = dir, .file = file, .type = type, .name = name == NULL ? "(no name)" : name, .report = r};
    judge(&t, node);
}

/* What a verdict depends on: bytes of the evidence, collateral, policy, time. */
typedef struct {
    uint8_t digest[32];
    bool known, valid;
} case_input;

static clo_err input_of(const char *dir, const clo_wire_node *node, case_input *out)
{
    static const char *const members[] = {"collateral", "policy", "verify_at"};
    CLO_AUTO(clo_arena_free) clo_arena arena;
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_arena_init(&arena, CASE_ARENA_MAX);
    clo_buf_init(&text, CASE_ARENA_MAX);
    clo_attest_part parts[CLO_ATTEST_PARTS_MAX];
    attestation_case t = {.arena = &arena, .dir = dir};
    size_t count = 0;
    CLO_TRY(take_files(&t, clo_wire_get(node, "evidence"), "report", parts, &count));
    for (size_t i = 0; i < count; i++) {
        CLO_TRY(clo_buf_put(&text, parts[i].role, sizeof parts[i].role));
        CLO_TRY(clo_buf_put_u32be(&text, (uint32_t)parts[i].bytes.n));
        CLO_TRY(clo_buf_put_span(&text, parts[i].bytes));
    }
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const clo_wire_node *member = clo_wire_get(node, members[i]);
        CLO_TRY(clo_buf_put_str(&text, members[i]));
        if (member != NULL) CLO_TRY(clo_wire_json_encode(member, 0, &text));
    }
    CLO_TRY(clo_crypto_sha256(clo_buf_span(&text), out->digest));
    out->valid = text_is(clo_wire_get(node, "expected"), "valid");
    out->known = true;
    return CLO_OK;
}

static bool contradicted(const case_input *inputs, size_t count, size_t at)
{
    for (size_t i = 0; i < count; i++) {
        if (inputs[i].known && inputs[at].known && inputs[i].valid != inputs[at].valid && memcmp(inputs[i].digest, inputs[at].digest, 32) == 0) return true;
    }
    return false;
}

/* A type that is in the verifier's table answers no evidence with a verdict, any other with an error. */
static bool type_known(clo_arena *a, const char *type)
{
    void *memory = NULL;
    clo_attest_policy policy;
    clo_attest_policy_init_open(&policy);
    if (clo_failed(clo_arena_alloc(a, sizeof(clo_attest_result), &memory))) return false;
    return !clo_failed(clo_attest_verify(a, type, NULL, 0, NULL, 0, &policy, 0, memory));
}

static clo_err run_cases(clo_arena *a, const char *dir, const char *file, const char *type, const clo_wire_node *cases, clo_vectors_report *r)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_array(a, cases->count + 1, sizeof(case_input), &memory));
    case_input *inputs = memory;
    bool known = type_known(a, type);
    size_t i = 0;
    /* A file that cannot be read fails its case below. */
    for (const clo_wire_node *node = cases->first; node != NULL; node = node->next, i++) inputs[i].known = !clo_failed(input_of(dir, node, &inputs[i]));
    i = 0;
    for (const clo_wire_node *node = cases->first; node != NULL; node = node->next, i++) {
        const char *name = clo_vectors_text(node, "name");
        const char *why = !known ? NOT_VERIFIED : contradicted(inputs, cases->count, i) ? CONTRADICTED : NULL;
        if (why != NULL) {
            clo_vectors_skip(r, file, name == NULL ? "(no name)" : name, why);
        } else {
            run_case(dir, file, type, node, r);
        }
    }
    return CLO_OK;
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
    return clo_failed(run_cases(a, dir, file, type, cases, r)) ? 1 : 0;
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
