/* cloister init, status, console, explain, completion. */
#include "cli/cli_int.h"

#include "os/file.h"

#include <stdlib.h>

static clo_err fetch_info(clo_cli *c, clo_span *out)
{
    clo_client_session *s = NULL;
    CLO_TRY(clo_client_session_open(&s, &c->home.server, NULL));
    clo_err e = clo_client_session_get(s, &c->arena, "/api/v1/info", CLO_CLIENT_JSON_MAX, out);
    clo_client_session_free(&s);
    return e;
}

static clo_err register_if_possible(clo_cli *c)
{
    char path[CLO_CLIENT_PATH];
    const clo_collab_identity *who = NULL;
    CLO_TRY(clo_client_home_path(&c->home, NULL, "identity.key", path));
    if (!clo_os_file_exists(path)) return CLO_OK;
    CLO_TRY(clo_cli_identity(c, &who));
    clo_client_session *server = NULL;
    clo_wire_node *answer = NULL;
    CLO_AUTO(clo_buf_free) clo_buf party;
    clo_buf_init(&party, 65536);
    CLO_TRY(clo_collab_party_encode(who, &party));
    CLO_TRY(clo_client_session_open(&server, &c->home.server, NULL));
    clo_err e = clo_client_session_json(server, &c->arena, "POST", "/api/v1/parties", "application/octet-stream",
                                        clo_buf_span(&party), &answer);
    clo_client_session_free(&server);
    return e;
}

clo_err clo_cli_init(clo_cli *c)
{
    const char *operator_file = clo_cli_value(c, "--operator"), *kms_file = clo_cli_value(c, "--kms");
    clo_span json;
    CLO_TRY(clo_cli_home(c));
    if (operator_file != NULL) {
        CLO_TRY(clo_cli_read(c, operator_file, &json));
        clo_err e = clo_client_home_take_operator(&c->home, json);
        if (clo_failed(e)) return clo_err_prefix(e, operator_file);
    } else if (c->server_url != NULL) {
        CLO_TRY(fetch_info(c, &json));
        clo_client_server asked = c->home.server;
        CLO_TRY(clo_client_home_take_operator(&c->home, json));
        c->home.server = asked; /* the address and the pin that were given count, not what the server says of itself */
    }
    if (kms_file != NULL) {
        CLO_TRY(clo_cli_read(c, kms_file, &json));
        clo_err e = clo_client_home_take_kms(&c->home, json);
        if (clo_failed(e)) return clo_err_prefix(e, kms_file);
    }
    CLO_TRY(clo_client_home_save(&c->home));
    if (c->home.server.known && (operator_file != NULL || c->server_url != NULL)) {
        clo_err e = register_if_possible(c);
        if (clo_failed(e) && clo_err_class(e) != CLO_CLASS_ENV && clo_err_class(e) != CLO_CLASS_AGAIN) return e;
        if (clo_failed(e))
            clo_cli_note(c, "The operator does not answer yet; your party is registered with it when you first use it.\n");
    }
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "home", c->home.dir));
    if (c->home.server.known) CLO_TRY(clo_wire_set_text(&c->arena, map, "server", c->home.server.url));
    if (c->home.kms.known) CLO_TRY(clo_wire_set_text(&c->arena, map, "kms", c->home.kms.url));
    clo_cli_say(c, "Home: %s\n", c->home.dir);
    clo_cli_say(c, "Operator: %s\n", c->home.server.known ? c->home.server.url : "none yet (cloister init --operator FILE.json)");
    clo_cli_say(c, "Key service: %s\n",
                c->home.kms.known ? c->home.kms.url : "none (data owners: cloister init --kms FILE.json)");
    return clo_cli_emit(c, map);
}

static clo_err set_failure(clo_cli *c, clo_wire_node *map, const char *key)
{
    char text[300];
    (void)snprintf(text, sizeof text, "%s", clo_err_text());
    clo_cli_say(c, "  %s\n", text);
    return clo_wire_set_text(&c->arena, map, key, text);
}

static clo_err status_of_server(clo_cli *c, clo_wire_node *map)
{
    clo_client_session *s = NULL;
    clo_wire_node *answer = NULL;
    char waiting[40];
    clo_cli_say(c, "Operator %s\n", c->home.server.url);
    CLO_TRY(clo_client_session_open(&s, &c->home.server, NULL));
    clo_err e = clo_cli_get(c, s, "/api/v1/compute/status", &answer);
    clo_client_session_free(&s);
    if (clo_failed(e)) {
        c->unreached = true;
        return set_failure(c, map, "operator_error");
    }
    const char *status = clo_client_text(answer, "status"), *tee = clo_client_text(answer, "tee_technology"),
               *attestation = clo_client_text(answer, "attestation_status");
    const clo_wire_node *metrics = clo_wire_get(answer, "system_metrics");
    clo_cli_text_of(metrics == NULL ? NULL : clo_wire_get(metrics, "pending_requests"), waiting, sizeof waiting);
    clo_cli_say(c, "  %s, TEE %s%s, attestation %s, %s requests pending\n", status == NULL ? "?" : status,
                tee == NULL ? "?" : tee,
                tee != NULL && strcmp(tee, "SIM") == 0 ? " (simulated: no protection from the operator)" : "",
                attestation == NULL ? "?" : attestation, waiting);
    return clo_wire_set(&c->arena, map, "operator", answer);
}

static clo_err status_of_kms(clo_cli *c, clo_wire_node *map)
{
    clo_client_session *s = NULL;
    clo_wire_node *answer = NULL;
    clo_cli_say(c, "Key service %s\n", c->home.kms.url);
    CLO_TRY(clo_cli_kms(c, &s));
    clo_err e = clo_cli_get(c, s, "/v1/budgets", &answer);
    if (clo_failed(e)) {
        c->unreached = true;
        return set_failure(c, map, "kms_error");
    }
    const clo_wire_node *list = clo_wire_get(answer, "budgets");
    for (const clo_wire_node *n = list == NULL ? NULL : list->first; n != NULL; n = n->next) {
        char left[40], limit[40];
        clo_cli_text_of(clo_wire_get(n, "epsilon_left"), left, sizeof left);
        clo_cli_text_of(clo_wire_get(n, "epsilon_limit"), limit, sizeof limit);
        clo_cli_say(c, "  dataset %s: epsilon left %s of %s\n", clo_client_text(n, "name"), left, limit);
    }
    const clo_wire_node *ledger = clo_wire_get(answer, "ledger");
    const char *state = ledger == NULL ? NULL : clo_client_text(ledger, "state"),
               *detail = ledger == NULL ? NULL : clo_client_text(ledger, "detail");
    if (state != NULL) clo_cli_say(c, "  ledger %s%s%s\n", state, detail == NULL ? "" : ": ", detail == NULL ? "" : detail);
    return clo_wire_set(&c->arena, map, "kms", answer);
}

clo_err clo_cli_status(clo_cli *c)
{
    clo_wire_node *map = NULL;
    char path[CLO_CLIENT_PATH];
    CLO_TRY(clo_cli_home(c));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "home", c->home.dir));
    CLO_TRY(clo_client_home_path(&c->home, NULL, "identity.key", path));
    if (clo_os_file_exists(path)) {
        const clo_collab_identity *who = NULL;
        CLO_TRY(clo_cli_identity(c, &who));
        CLO_TRY(clo_wire_set_text(&c->arena, map, "party", who->public_half.name));
        clo_cli_say(c, "Party %s (%s)\n", who->public_half.name, c->home.dir);
    } else
        clo_cli_say(c, "No party in %s yet; make one with: cloister party new NAME\n", c->home.dir);
    if (c->home.server.known) CLO_TRY(status_of_server(c, map));
    if (c->home.kms.known && clo_os_file_exists(path)) CLO_TRY(status_of_kms(c, map));
    return clo_cli_emit(c, map);
}

clo_err clo_cli_console(clo_cli *c)
{
    clo_wire_node *map = NULL;
    char url[320];
    CLO_TRY(clo_cli_home(c));
    CLO_CHECKF(c->home.server.known, CLO_E_USAGE, "no operator is known; run: cloister init --operator FILE.json");
    (void)snprintf(url, sizeof url, "%s/api/v1/openapi.json", c->home.server.url);
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "api", url));
    clo_cli_say(c, "This version has no graphical console. The operator's API is described at\n%s\n", url);
    return clo_cli_emit(c, map);
}

/* ---- explain ---- */

static const char *text_or(const clo_wire_node *n, const char *key)
{
    const char *text = clo_client_text(n, key);
    return text == NULL ? "" : text;
}

static clo_err ask_anonymously(clo_cli *c, const clo_client_server *server, const char *path, clo_wire_node **out)
{
    clo_client_session *s = NULL;
    CLO_TRY(clo_client_session_open(&s, server, NULL));
    clo_err e = clo_cli_get(c, s, path, out);
    clo_client_session_free(&s);
    return e;
}

typedef struct {
    clo_cli *c;
    const char *dir, *path;
    clo_wire_node **out;
    bool found;
} asking;

static clo_err ask_members(void *context, const char *name, bool is_directory)
{
    asking *k = context;
    char path[CLO_CLIENT_PATH];
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    if (is_directory || k->found || strlen(name) < 10 || strcmp(name + strlen(name) - 10, ".agreement") != 0) return CLO_OK;
    CLO_TRY(clo_os_path_join(path, sizeof path, k->dir, name));
    if (clo_failed(clo_cli_agreement(k->c, path, &g, &mask, NULL))) return CLO_OK;
    for (size_t i = 0; i < g->member_count && !k->found; i++) {
        if (!g->members[i].data_owner) continue;
        clo_client_server server = {.known = true};
        memcpy(server.url, g->members[i].kms_url, sizeof server.url);
        memcpy(server.spki, g->members[i].kms_spki, sizeof server.spki);
        k->found = !clo_failed(ask_anonymously(k->c, &server, k->path, k->out));
    }
    return CLO_OK;
}

static clo_err find_reason(clo_cli *c, const char *id, clo_wire_node **out)
{
    char path[160], dir[CLO_CLIENT_PATH];
    clo_client_session *server = NULL;
    clo_err e = CLO_FAILF(CLO_E_NOT_FOUND, "nothing is known under %.70s; give the id that the refusal printed", id);
    CLO_TRY(clo_client_home_path(&c->home, NULL, "identity.key", dir));
    if (c->home.server.known && clo_os_file_exists(dir)) { /* the operator tells parties only */
        (void)snprintf(path, sizeof path, "/api/v1/explain/%s", id);
        CLO_TRY(clo_cli_server(c, &server));
        e = clo_cli_get(c, server, path, out);
        if (!clo_failed(e)) return e;
    }
    (void)snprintf(path, sizeof path, "/v1/explain/%s", id);
    if (c->home.kms.known && !clo_failed(ask_anonymously(c, &c->home.kms, path, out))) return CLO_OK;
    CLO_TRY(clo_client_home_path(&c->home, NULL, "agreements", dir));
    asking k = {.c = c, .dir = dir, .path = path, .out = out};
    if (clo_os_dir_exists(dir)) CLO_TRY(clo_os_dir_list(dir, ask_members, &k));
    if (k.found) return CLO_OK;
    if (clo_failed(e) && clo_err_class(e) != CLO_CLASS_DENIED)
        return CLO_FAILF(CLO_E_UNREACHABLE, "neither the operator nor any key service answers; see that they run");
    return CLO_FAILF(CLO_E_NOT_FOUND, "nothing is known under %.70s; give the id that the refusal printed", id);
}

clo_err clo_cli_explain(clo_cli *c)
{
    const char *id = c->args[0];
    clo_wire_node *reason = NULL;
    CLO_CHECKF(strspn(id, "0123456789abcdefABCDEF-") == strlen(id) && strlen(id) < 65, CLO_E_USAGE, "\"%.60s\" is no id", id);
    CLO_TRY(clo_cli_home(c));
    CLO_TRY(find_reason(c, id, &reason));
    clo_cli_say(c, "%s %s (%s)\n", text_or(reason, "what"), id, text_or(reason, "time"));
    const char *claim = text_or(reason, "claim");
    if (claim[0] != 0)
        clo_cli_say_denial(c, claim, text_or(reason, "expected"), text_or(reason, "actual"), text_or(reason, "source"),
                           text_or(reason, "remedy"));
    else if (strcmp(text_or(reason, "code"), "done") == 0)
        clo_cli_say(c, "  done; nothing was refused\n");
    else
        clo_cli_say(c, "  %s: %s\n", text_or(reason, "code"), text_or(reason, "detail"));
    return clo_cli_emit(c, reason);
}

/* ---- completion ---- */

static void print_nouns(void)
{
    for (size_t i = 0; i < clo_cli_command_count; i++)
        if (i == 0 || strcmp(clo_cli_commands[i].noun, clo_cli_commands[i - 1].noun) != 0)
            (void)printf("%s%s", i == 0 ? "" : " ", clo_cli_commands[i].noun);
}

static void print_options(const clo_cli_option *o)
{
    for (; o != NULL && o->name != NULL; o++) (void)printf(" %s", o->name);
}

clo_err clo_cli_completion(clo_cli *c)
{
    CLO_CHECKF(!c->json, CLO_E_USAGE, "the completion script is no JSON");
    (void)printf("# bash completion of cloister; made by: cloister completion bash\n"
                 "_cloister()\n{\n    local current=\"${COMP_WORDS[COMP_CWORD]}\" noun=\"${COMP_WORDS[1]}\" words=\"\"\n"
                 "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words=\"");
    print_nouns();
    (void)printf(
        "\"\n    elif [ \"$COMP_CWORD\" -eq 2 ] && [ \"${current#-}\" = \"$current\" ]; then\n        case \"$noun\" in\n");
    for (size_t i = 0; i < clo_cli_command_count; i++) {
        const clo_cli_command *k = &clo_cli_commands[i];
        if (k->verb == NULL) continue;
        bool first = i == 0 || strcmp(k[-1].noun, k->noun) != 0;
        bool last = i + 1 == clo_cli_command_count || strcmp(k[1].noun, k->noun) != 0;
        if (first) (void)printf("        %s) words=\"", k->noun);
        (void)printf("%s%s%s", first ? "" : " ", k->verb, last ? "\" ;;\n" : "");
    }
    (void)printf(
        "        esac\n    elif [ \"${current#-}\" != \"$current\" ]; then\n        case \"$noun ${COMP_WORDS[2]}\" in\n");
    for (size_t i = 0; i < clo_cli_command_count; i++) {
        const clo_cli_command *k = &clo_cli_commands[i];
        if (k->options == NULL) continue;
        (void)printf("        \"%s %s\"%s) words=\"", k->noun, k->verb != NULL ? k->verb : "", k->verb != NULL ? "" : "*");
        print_options(k->options + 0);
        (void)printf("\" ;;\n");
    }
    (void)printf("        esac\n        words=\"$words");
    print_options(clo_cli_common_options);
    (void)printf("\"\n    fi\n    # shellcheck disable=SC2207\n    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                 "    if [ ${#COMPREPLY[@]} -eq 0 ]; then\n        # shellcheck disable=SC2207\n        COMPREPLY=($(compgen -f "
                 "-- \"$current\"))\n    fi\n}\n"
                 "complete -o filenames -F _cloister cloister\n");
    return CLO_OK;
}
