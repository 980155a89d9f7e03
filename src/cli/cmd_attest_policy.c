/* cloister attest policy check|dry-run|diff|import|export. */
#include "cli/cli_attest.h"

#include "attest/ear.h"
#include "attest/policy_diff.h"
#include "attest/skr_policy.h"

static clo_err tree_read(clo_cli *c, const char *path, clo_wire_node **out)
{
    return clo_client_json_file(&c->arena, path, out);
}

static clo_err policy_load(clo_cli *c, const char *path, bool open, clo_attest_policy **out)
{
    clo_wire_node *tree = NULL;
    void *memory = NULL;
    CLO_TRY(tree_read(c, path, &tree));
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_attest_policy), &memory));
    *out = memory;
    clo_err e = open ? clo_attest_policy_read_open(&c->arena, tree, *out) : clo_attest_policy_read(&c->arena, tree, *out);
    return clo_failed(e) ? clo_err_prefix(e, path) : CLO_OK;
}

/* The document itself is the answer: for people too. */
static clo_err say_document(clo_cli *c, const clo_wire_node *tree)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    const char *shown = NULL;
    clo_buf_init(&text, CLI_FILE_MAX);
    CLO_TRY(clo_wire_json_encode(tree, 2, &text));
    CLO_TRY(clo_buf_cstr(&text, &shown));
    clo_cli_say(c, "%s\n", shown);
    return clo_cli_emit(c, tree);
}

static clo_err changes_tree(clo_cli *c, const clo_attest_policy_change *changes, size_t count, bool admits, clo_wire_node **out)
{
    CLO_TRY(clo_wire_array(&c->arena, out));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *one = NULL;
        if (changes[i].admits != admits) continue;
        CLO_TRY(clo_wire_map(&c->arena, &one));
        CLO_TRY(clo_wire_set_text(&c->arena, one, "member", changes[i].member));
        CLO_TRY(clo_wire_set_text(&c->arena, one, "text", changes[i].text));
        CLO_TRY(clo_wire_append(*out, one));
    }
    return CLO_OK;
}

static void say_changes(clo_cli *c, const clo_attest_policy_change *changes, size_t count, bool admits, const char *title)
{
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        if (changes[i].admits != admits) continue;
        if (first) clo_cli_say(c, "%s\n", title);
        first = false;
        clo_cli_say(c, "  %c %s: %s\n", admits ? '+' : '-', changes[i].member, changes[i].text);
    }
}

static clo_err changes_emit(clo_cli *c, clo_wire_node *map, const clo_attest_policy_change *changes, size_t count)
{
    clo_wire_node *list = NULL;
    CLO_TRY(changes_tree(c, changes, count, true, &list));
    CLO_TRY(clo_wire_set(&c->arena, map, "admits", list));
    CLO_TRY(changes_tree(c, changes, count, false, &list));
    CLO_TRY(clo_wire_set(&c->arena, map, "refuses", list));
    return clo_cli_emit(c, map);
}

static clo_err policy_check(clo_cli *c)
{
    clo_attest_policy *p = NULL;
    clo_attest_policy_change *changes = NULL;
    clo_wire_node *map = NULL, *tree = NULL;
    const char *id = NULL;
    size_t count = 0;
    clo_err e = policy_load(c, c->args[1], false, &p);
    if (clo_failed(e)) {
        char why[300];
        clo_attest_policy *open = NULL;
        (void)snprintf(why, sizeof why, "%s", clo_err_text());
        if (clo_failed(policy_load(c, c->args[1], true, &open))) return clo_err_again(e.code, why);
        return CLO_FAILF(e.code, "%s (as an open policy, for looking at evidence only, it can be read)", why);
    }
    CLO_TRY(clo_attest_policy_describe(&c->arena, p, &changes, &count));
    CLO_TRY(clo_attest_policy_id(&c->arena, p, &id));
    clo_cli_say(c, "%s\n", id);
    if (count == 0) clo_cli_say(c, "the strictest policy: nothing is admitted beyond it, nothing more is demanded\n");
    say_changes(c, changes, count, true, "admits what the strictest policy refuses:");
    say_changes(c, changes, count, false, "refuses beyond the strictest policy:");
    if (p->measurement_count == 0 && p->required_claims == NULL && p->release_policy == NULL && p->part_count == 0)
        clo_cli_say(c, "note: it names no measurement and no claim: any program on genuine hardware passes\n");
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "id", id));
    CLO_TRY(clo_attest_policy_tree(&c->arena, p, &tree));
    CLO_TRY(clo_wire_hexify(&c->arena, tree));
    CLO_TRY(clo_wire_set(&c->arena, map, "policy", tree));
    return changes_emit(c, map, changes, count);
}

static clo_err policy_diff(clo_cli *c)
{
    clo_attest_policy *old = NULL, *next = NULL;
    clo_attest_policy_change *changes = NULL;
    clo_wire_node *map = NULL;
    size_t count = 0;
    CLO_CHECKF(c->arg_count == 3, CLO_E_USAGE, "attest policy diff takes two files: the old policy and the new one");
    CLO_TRY(policy_load(c, c->args[1], false, &old));
    CLO_TRY(policy_load(c, c->args[2], false, &next));
    CLO_TRY(clo_attest_policy_diff(&c->arena, old, next, &changes, &count));
    if (count == 0) clo_cli_say(c, "the two admit the same\n");
    say_changes(c, changes, count, true, "the new policy admits what the old one refused:");
    say_changes(c, changes, count, false, "the new policy refuses what the old one admitted:");
    CLO_TRY(clo_wire_map(&c->arena, &map));
    return changes_emit(c, map, changes, count);
}

typedef struct {
    clo_attest_policy *next, *old;
    clo_wire_node *list;
    size_t refused, changed;
} dry_run;

static clo_err judge(clo_cli *c, const char *file, const clo_attest_policy *p, clo_attest_result **out)
{
    cli_case *k = NULL;
    CLO_TRY(clo_cli_case_open(c, &k));
    CLO_TRY(clo_cli_case_evidence(c, k, file));
    return clo_cli_case_verify(c, k, p, out);
}

static clo_err dry_run_one(clo_cli *c, dry_run *d, const char *file)
{
    clo_attest_result *now = NULL, *before = NULL;
    clo_wire_node *one = NULL;
    CLO_TRY(judge(c, file, d->next, &now));
    if (d->old != NULL) CLO_TRY(judge(c, file, d->old, &before));
    bool changed = before != NULL && before->valid != now->valid;
    d->refused += now->valid ? 0 : 1;
    d->changed += changed ? 1 : 0;
    clo_cli_say(c, "%c %s: %s%s%s\n", changed ? '*' : ' ', file, now->valid ? "admitted" : "refused: ", now->reason,
                !changed ? "" : now->valid ? " (the old policy refuses it)" : " (the old policy admits it)");
    if (!now->valid) clo_cli_say(c, "      %s\n", now->detail);
    CLO_TRY(clo_wire_map(&c->arena, &one));
    CLO_TRY(clo_wire_set_text(&c->arena, one, "file", file));
    CLO_TRY(clo_wire_set_text(&c->arena, one, "verdict", now->valid ? "valid" : "invalid"));
    CLO_TRY(clo_wire_set_text(&c->arena, one, "reason", now->reason));
    CLO_TRY(clo_wire_set_text(&c->arena, one, "detail", now->detail));
    if (before != NULL) CLO_TRY(clo_wire_set_text(&c->arena, one, "old_verdict", before->valid ? "valid" : "invalid"));
    return clo_wire_append(d->list, one);
}

/* Recorded evidence was bound in an exchange that is over: that it was is not asked again, everything else is. */
static clo_err policy_dry_run(clo_cli *c)
{
    dry_run d = {.refused = 0};
    clo_wire_node *map = NULL;
    const char *against = clo_cli_value(c, "--against");
    CLO_CHECKF(c->arg_count >= 3, CLO_E_USAGE, "attest policy dry-run takes a policy and at least one file of evidence");
    CLO_TRY(policy_load(c, c->args[1], false, &d.next));
    d.next->require_binding = false;
    if (against != NULL) CLO_TRY(policy_load(c, against, false, &d.old));
    if (d.old != NULL) d.old->require_binding = false;
    CLO_TRY(clo_wire_array(&c->arena, &d.list));
    for (size_t i = 2; i < c->arg_count; i++) CLO_TRY(dry_run_one(c, &d, c->args[i]));
    clo_cli_say(c, "%zu admitted, %zu refused", c->arg_count - 2 - d.refused, d.refused);
    if (d.old != NULL) clo_cli_say(c, ", %zu judged otherwise by %s", d.changed, against);
    clo_cli_say(c, "\n");
    c->negative = d.refused != 0;
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "admitted", (int64_t)(c->arg_count - 2 - d.refused)));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "refused", (int64_t)d.refused));
    if (d.old != NULL) CLO_TRY(clo_wire_set_int(&c->arena, map, "changed", (int64_t)d.changed));
    CLO_TRY(clo_wire_set(&c->arena, map, "files", d.list));
    return clo_cli_emit(c, map);
}

/* The bare policy, or Azure's envelope {contentType, data: base64url}. */
static clo_err policy_import(clo_cli *c)
{
    clo_wire_node *tree = NULL, *out = NULL;
    CLO_TRY(tree_read(c, c->args[1], &tree));
    const clo_wire_node *data = tree->type == CLO_WIRE_MAP ? clo_wire_get(tree, "data") : NULL;
    if (data != NULL && data->type == CLO_WIRE_TEXT) {
        CLO_AUTO(clo_buf_free) clo_buf bytes;
        clo_buf_init(&bytes, 1 << 20);
        CLO_TRY(clo_base64url_decode(&bytes, data->text));
        CLO_TRY(clo_wire_json_decode(&c->arena, clo_buf_span(&bytes), &tree));
    }
    clo_err e = clo_attest_skr_import(&c->arena, tree, &out);
    if (clo_failed(e)) return clo_err_prefix(e, c->args[1]);
    return say_document(c, out);
}

static clo_err policy_export(clo_cli *c)
{
    clo_attest_policy *p = NULL;
    clo_wire_node *out = NULL;
    const char *authority = NULL, *type = clo_cli_value(c, "--type");
    CLO_TRY(policy_load(c, c->args[1], false, &p));
    authority = clo_cli_value(c, "--authority");
    if (authority == NULL && p->expected_issuer[0] != '\0') authority = p->expected_issuer;
    if (authority == NULL && p->release_policy != NULL) authority = ""; /* it names its own */
    CLO_CHECKF(authority != NULL, CLO_E_USAGE, "whose tokens is the policy for? give --authority https://…, or expected_issuer in the policy");
    CLO_TRY(clo_attest_skr_export(&c->arena, p, authority, type == NULL ? "maa" : type, &out));
    return say_document(c, out);
}

clo_err clo_cli_attest_policy(clo_cli *c)
{
    static const struct {
        const char *verb;
        clo_err (*run)(clo_cli *c);
    } verbs[] = {{"check", policy_check}, {"dry-run", policy_dry_run}, {"diff", policy_diff}, {"import", policy_import}, {"export", policy_export}};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].verb, c->args[0]) == 0) return verbs[i].run(c);
    return CLO_FAILF(CLO_E_USAGE, "attest policy %s: there are check, dry-run, diff, import and export", c->args[0]);
}
