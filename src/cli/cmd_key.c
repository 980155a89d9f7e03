/* cloister key …, budget …: the own key service. */
#include "cli/cli_int.h"

#include "collab/dataset.h"
#include "os/file.h"

clo_err clo_cli_key_list(clo_cli *c)
{
    static const clo_cli_column keys[] = {
        {"id", "ID", 0}, {"name", "DATASET", 0}, {"version", "VERSION", 16}, {"state", "STATE", 0}, {"created", "CREATED", 0}};
    static const clo_cli_column keks[] = {{"version", "KEK", 0}, {"state", "STATE", 0}};
    clo_client_session *kms = NULL;
    clo_wire_node *answer = NULL;
    CLO_TRY(clo_cli_kms(c, &kms));
    CLO_TRY(clo_cli_get(c, kms, "/v1/keys", &answer));
    clo_cli_table(c, clo_wire_get(answer, "keys"), keys, sizeof keys / sizeof keys[0], "No keys.");
    clo_cli_say(c, "\n");
    clo_cli_table(c, clo_wire_get(answer, "keks"), keks, sizeof keks / sizeof keks[0], "No key encryption keys.");
    return clo_cli_emit(c, answer);
}

static clo_err require_key_id(const clo_cli *c)
{
    CLO_CHECKF(clo_cli_is_run_id(c->args[0]), CLO_E_USAGE, "\"%.40s\" is no key; its id has 32 hex digits: cloister key list",
               c->args[0]);
    return CLO_OK;
}

clo_err clo_cli_key_show(clo_cli *c)
{
    clo_client_session *kms = NULL;
    clo_wire_node *answer = NULL;
    CLO_TRY(require_key_id(c));
    CLO_TRY(clo_cli_kms(c, &kms));
    CLO_TRY(clo_cli_get(c, kms, "/v1/keys", &answer));
    const clo_wire_node *keys = clo_wire_get(answer, "keys"), *key = keys != NULL ? keys->first : NULL;
    for (; key != NULL; key = key->next) {
        const char *id = clo_client_text(key, "id");
        if (id != NULL && strcmp(id, c->args[0]) == 0) break;
    }
    CLO_CHECKF(key != NULL, CLO_E_NOT_FOUND, "your key service has no key %s; see: cloister key list", c->args[0]);
    for (const clo_wire_node *n = key->first; n != NULL; n = n->next) {
        char text[140];
        clo_cli_text_of(n, text, sizeof text);
        clo_cli_say(c, "%-12s %s\n", n->key != NULL && n->key->type == CLO_WIRE_TEXT ? (const char *)n->key->text.p : "", text);
    }
    return clo_cli_emit(c, key);
}

static clo_err say_key(clo_cli *c, const clo_wire_node *key)
{
    const char *id = clo_client_text(key, "id"), *name = clo_client_text(key, "name"), *state = clo_client_text(key, "state");
    clo_cli_say(c, "key %s of dataset %s: %s\n", id == NULL ? "?" : id, name == NULL ? "?" : name, state == NULL ? "?" : state);
    return clo_cli_emit(c, key);
}

clo_err clo_cli_key_import(clo_cli *c)
{
    clo_client_session *kms = NULL;
    clo_wire_node *answer = NULL;
    clo_span bytes;
    char name[80], path[CLO_CLIENT_PATH];
    CLO_TRY(clo_cli_kms(c, &kms));
    if (clo_os_file_exists(c->args[0]))
        CLO_TRY(clo_str_set(path, sizeof path, clo_span_str(c->args[0])));
    else {
        CLO_CHECKF(clo_name_valid(c->args[0]), CLO_E_NOT_FOUND, "there is no file %s, nor can a dataset be called so",
                   c->args[0]);
        (void)snprintf(name, sizeof name, "%s.key", c->args[0]);
        CLO_TRY(clo_client_home_path(&c->home, "datasets", name, path));
    }
    CLO_TRY(clo_cli_read(c, path, &bytes));
    CLO_TRY(clo_client_session_json(kms, &c->arena, "POST", "/v1/keys", "application/cbor", bytes, &answer));
    return say_key(c, answer);
}

clo_err clo_cli_key_change(clo_cli *c)
{
    clo_client_session *kms = NULL;
    clo_wire_node *answer = NULL;
    char path[160];
    CLO_TRY(require_key_id(c));
    CLO_TRY(clo_cli_kms(c, &kms));
    (void)snprintf(path, sizeof path, "/v1/keys/%s/%s", c->args[0], c->command->verb);
    CLO_TRY(clo_client_session_json(kms, &c->arena, "POST", path, NULL, clo_span_of(NULL, 0), &answer));
    return say_key(c, answer);
}

clo_err clo_cli_key_rotate(clo_cli *c)
{
    clo_client_session *kms = NULL;
    clo_wire_node *answer = NULL;
    char version[40];
    CLO_TRY(clo_cli_kms(c, &kms));
    CLO_TRY(clo_client_session_json(kms, &c->arena, "POST", "/v1/keys/rotate", NULL, clo_span_of(NULL, 0), &answer));
    clo_cli_text_of(clo_wire_get(answer, "version"), version, sizeof version);
    clo_cli_say(c, "The key encryption key is now version %s; every data key is wrapped under it.\n", version);
    return clo_cli_emit(c, answer);
}

/* ---- budgets ---- */

static const clo_cli_column budget_columns[] = {
    {"owner", "OWNER", 0},      {"name", "DATASET", 0}, {"epsilon_left", "EPSILON LEFT", 0},
    {"epsilon_limit", "OF", 0}, {"delta", "DELTA", 0},  {"left", "RHO LEFT", 0},
    {"limit", "OF", 0},         {"runs", "RUNS", 0}};

static clo_err take_budgets(clo_cli *c, clo_client_session *s, const char *owner, clo_wire_node *list)
{
    clo_wire_node *answer = NULL;
    CLO_TRY(clo_cli_get(c, s, "/v1/budgets", &answer));
    const clo_wire_node *budgets = clo_wire_get(answer, "budgets");
    CLO_CHECKF(budgets != NULL && budgets->type == CLO_WIRE_ARRAY, CLO_E_MALFORMED, "the key service's answer has no budgets");
    for (clo_wire_node *n = budgets->first, *next = NULL; n != NULL; n = next) {
        next = n->next;
        n->next = NULL;
        CLO_TRY(clo_wire_set_text(&c->arena, n, "owner", owner));
        CLO_TRY(clo_wire_append(list, n));
    }
    return CLO_OK;
}

static clo_err from_owners(clo_cli *c, const char *reference, clo_wire_node *list)
{
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    const clo_collab_identity *who = NULL;
    CLO_TRY(clo_cli_identity(c, &who));
    CLO_TRY(clo_cli_agreement(c, reference, &g, &mask, NULL));
    for (size_t i = 0; i < g->member_count; i++) {
        if (!g->members[i].data_owner) continue;
        clo_client_server server = {.known = true};
        clo_client_session *s = NULL;
        memcpy(server.url, g->members[i].kms_url, sizeof server.url);
        memcpy(server.spki, g->members[i].kms_spki, sizeof server.spki);
        CLO_TRY(clo_client_session_open(&s, &server, who));
        clo_err e = take_budgets(c, s, g->members[i].party.name, list);
        clo_client_session_free(&s);
        CLO_TRY(e);
    }
    return CLO_OK;
}

clo_err clo_cli_budget_list(clo_cli *c)
{
    clo_wire_node *map = NULL, *list = NULL;
    const char *reference = clo_cli_value(c, "--agreement");
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_array(&c->arena, &list));
    if (reference != NULL)
        CLO_TRY(from_owners(c, reference, list));
    else {
        clo_client_session *kms = NULL;
        CLO_TRY(clo_cli_kms(c, &kms));
        CLO_TRY(take_budgets(c, kms, c->home.kms_owner, list));
    }
    CLO_TRY(clo_wire_set(&c->arena, map, "budgets", list));
    clo_cli_table(c, list, budget_columns, sizeof budget_columns / sizeof budget_columns[0],
                  "No budgets: no agreement is known there yet.");
    return clo_cli_emit(c, map);
}

clo_err clo_cli_budget_set(clo_cli *c)
{
    const clo_collab_identity *who = NULL;
    clo_client_session *kms = NULL;
    clo_wire_node *answer = NULL;
    clo_dp_rational limit;
    uint8_t id[32];
    char hex[65], path[160], rho[CLO_DP_RATIONAL_TEXT], body[80];
    CLO_TRY(clo_dp_rational_parse(clo_span_str(c->args[1]), &limit));
    CLO_TRY(clo_cli_identity(c, &who));
    CLO_CHECKF(clo_name_valid(c->args[0]), CLO_E_MALFORMED, "\"%.70s\" is no name of a dataset", c->args[0]);
    CLO_TRY(clo_collab_dataset_id(&who->public_half, c->args[0], id));
    clo_hex_encode(hex, clo_span_of(id, sizeof id));
    clo_dp_rational_format(rho, limit);
    (void)snprintf(path, sizeof path, "/v1/budgets/%s", hex);
    int n = snprintf(body, sizeof body, "{\"limit\":\"%s\"}", rho);
    CLO_TRY(clo_cli_kms(c, &kms));
    CLO_TRY(clo_client_session_json(kms, &c->arena, "POST", path, "application/json", clo_span_of(body, (size_t)n), &answer));
    clo_cli_say(c, "The lifetime limit of dataset %s is now rho = %s.\n", c->args[0], rho);
    return clo_cli_emit(c, answer);
}
