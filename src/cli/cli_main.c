/* The command line: options, help, errors, exit codes. */
#include "cli/cli_int.h"

#include "os/clock.h"
#include "os/ending.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

static bool noun_known(const char *noun)
{
    for (size_t i = 0; i < clo_cli_command_count; i++)
        if (strcmp(clo_cli_commands[i].noun, noun) == 0) return true;
    return false;
}

static void help_options(const clo_cli_option *o)
{
    char left[64];
    for (; o != NULL && o->name != NULL; o++) {
        (void)snprintf(left, sizeof left, "%s%s%s", o->name, o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
        (void)printf("  %-26s %s\n", left, o->help);
    }
}

static void help_command_line(const clo_cli_command *c)
{
    char left[80];
    (void)snprintf(left, sizeof left, "%s%s%s%s%s", c->noun, c->verb != NULL ? " " : "", c->verb != NULL ? c->verb : "",
                   c->arguments[0] != 0 ? " " : "", c->arguments);
    (void)printf("  cloister %-38s %s\n", left, c->help);
}

static void help(const char *noun, const clo_cli_command *one)
{
    if (one != NULL) {
        (void)printf("cloister %s%s%s%s%s%s\n  %s\n\n", one->noun, one->verb != NULL ? " " : "",
                     one->verb != NULL ? one->verb : "", one->arguments[0] != 0 ? " " : "", one->arguments,
                     one->options != NULL ? " [OPTIONS]" : "", one->help);
        if (one->options != NULL) {
            (void)printf("Options:\n");
            help_options(one->options);
            (void)printf("\n");
        }
    } else {
        if (noun == NULL) (void)printf("cloister: compute together on data that nobody shows\n\n");
        for (size_t i = 0; i < clo_cli_command_count; i++)
            if (noun == NULL || strcmp(clo_cli_commands[i].noun, noun) == 0) help_command_line(&clo_cli_commands[i]);
        (void)printf("\n");
    }
    (void)printf("Common options:\n");
    help_options(clo_cli_common_options);
    (void)printf("\nExit code: 0 success or a positive verdict, 1 a negative verdict or refusal, 2 bad usage or malformed\n"
                 "input, 3 a service or file could not be reached, 4 a limit was hit.\n");
}

/* Find the command; *used = words that named it. */
static clo_err find_command(const char *const *words, size_t count, const clo_cli_command **out, size_t *used)
{
    CLO_CHECKF(count > 0, CLO_E_USAGE, "which command? see: cloister --help");
    CLO_CHECKF(noun_known(words[0]), CLO_E_USAGE, "\"%.60s\" is no command; see: cloister --help", words[0]);
    for (size_t i = 0; i < clo_cli_command_count; i++) {
        const clo_cli_command *c = &clo_cli_commands[i];
        if (strcmp(c->noun, words[0]) != 0) continue;
        if (c->verb != NULL && (count < 2 || strcmp(c->verb, words[1]) != 0)) continue;
        *out = c;
        *used = c->verb == NULL ? 1 : 2;
        return CLO_OK;
    }
    if (count < 2) return CLO_FAILF(CLO_E_USAGE, "cloister %s what? see: cloister %s --help", words[0], words[0]);
    return CLO_FAILF(CLO_E_USAGE, "\"%.60s\" is nothing that cloister %s can do; see: cloister %s --help", words[1], words[0],
                     words[0]);
}

static const clo_cli_option *find_option(const clo_cli_option *list, const char *name, size_t n)
{
    for (; list != NULL && list->name != NULL; list++)
        if (strlen(list->name) == n && strncmp(list->name, name, n) == 0) return list;
    return NULL;
}

static bool known_anywhere(const char *name, size_t n, bool *takes_value)
{
    const clo_cli_option *o = find_option(clo_cli_common_options, name, n);
    for (size_t i = 0; o == NULL && i < clo_cli_command_count; i++) o = find_option(clo_cli_commands[i].options, name, n);
    if (o != NULL) *takes_value = o->value != NULL;
    return o != NULL;
}

/* What came, before it is known which command it is for. */
typedef struct {
    const char *words[CLI_ARGS_MAX + 2];
    size_t word_count;
    bool help, version;
} given;

static clo_err take_option(clo_cli *c, given *g, int argc, char **argv, int *i)
{
    const char *text = argv[*i], *equals = strchr(text, '=');
    size_t n = equals != NULL ? (size_t)(equals - text) : strlen(text);
    bool takes_value = false;
    CLO_CHECKF(known_anywhere(text, n, &takes_value), CLO_E_USAGE, "%.*s is no option; see --help", (int)(n < 60 ? n : 60), text);
    const char *value = "";
    if (takes_value) {
        if (equals != NULL)
            value = equals + 1;
        else {
            CLO_CHECKF(*i + 1 < argc, CLO_E_USAGE, "%s needs a value", text);
            value = argv[++*i];
        }
    } else
        CLO_CHECKF(equals == NULL, CLO_E_USAGE, "%.*s takes no value", (int)(n < 60 ? n : 60), text);
    const clo_cli_option *common = find_option(clo_cli_common_options, text, n);
    if (common == NULL) {
        CLO_CHECKF(c->value_count < CLI_VALUES_MAX, CLO_E_TOO_MANY, "too many options");
        char *name = strndup(text, n); /* kept for the life of the process */
        CLO_CHECK(name != NULL, CLO_E_NOMEM);
        c->values[c->value_count].name = name;
        c->values[c->value_count++].value = value;
        return CLO_OK;
    }
    if (strcmp(common->name, "--home") == 0) c->home_dir = value;
    if (strcmp(common->name, "--server") == 0) c->server_url = value;
    if (strcmp(common->name, "--pin") == 0) c->server_pin = value;
    if (strcmp(common->name, "--json") == 0) c->json = true;
    if (strcmp(common->name, "--quiet") == 0) c->quiet = true;
    if (strcmp(common->name, "--help") == 0) g->help = true;
    if (strcmp(common->name, "--version") == 0) g->version = true;
    return CLO_OK;
}

static clo_err parse(clo_cli *c, given *g, int argc, char **argv)
{
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
            continue;
        }
        if (!only_words && argv[i][0] == '-' && argv[i][1] == '-') {
            CLO_TRY(take_option(c, g, argc, argv, &i));
            continue;
        }
        if (!only_words && strcmp(argv[i], "-h") == 0) {
            g->help = true;
            continue;
        }
        CLO_CHECKF(only_words || argv[i][0] != '-' || argv[i][1] == 0, CLO_E_USAGE, "%.60s is no option; options begin with --",
                   argv[i]);
        CLO_CHECKF(g->word_count < CLI_ARGS_MAX + 2, CLO_E_TOO_MANY, "too many arguments");
        g->words[g->word_count++] = argv[i];
    }
    return CLO_OK;
}

/* The command's own rules: which options, how many arguments. */
static clo_err accept(clo_cli *c, const given *g, size_t used)
{
    const clo_cli_command *k = c->command;
    const char *verb = k->verb != NULL ? k->verb : "", *space = k->verb != NULL ? " " : "";
    for (size_t i = 0; i < c->value_count; i++)
        CLO_CHECKF(find_option(k->options, c->values[i].name, strlen(c->values[i].name)) != NULL, CLO_E_USAGE,
                   "cloister %s%s%s knows no %s; see its --help", k->noun, space, verb, c->values[i].name);
    for (size_t i = used; i < g->word_count; i++) {
        CLO_CHECKF(c->arg_count < CLI_ARGS_MAX, CLO_E_TOO_MANY, "too many arguments");
        c->args[c->arg_count++] = g->words[i];
    }
    CLO_CHECKF(c->arg_count >= k->least, CLO_E_USAGE, "cloister %s%s%s needs: %s", k->noun, space, verb, k->arguments);
    CLO_CHECKF(c->arg_count <= k->most, CLO_E_USAGE, "\"%.60s\" is one argument too many for cloister %s%s%s", c->args[k->most],
               k->noun, space, verb);
    return CLO_OK;
}

static void print_error_json(clo_cli *c, clo_err e)
{
    clo_wire_node *top = NULL, *map = NULL;
    clo_arena *a = &c->arena;
    const clo_denial *d = clo_err_denial();
    char text[600];
    clo_denial denial;
    (void)snprintf(text, sizeof text, "%s", clo_err_text());
    if (d != NULL) denial = *d;
    clo_err made = clo_wire_map(a, &top);
    if (!clo_failed(made)) made = clo_wire_map(a, &map);
    if (!clo_failed(made)) made = clo_wire_set_text(a, map, "code", clo_err_name(e));
    if (!clo_failed(made)) made = clo_wire_set_text(a, map, "detail", text);
    if (!clo_failed(made) && c->explain[0] != 0) made = clo_wire_set_text(a, map, "id", c->explain);
    if (!clo_failed(made) && d != NULL) made = clo_wire_set_denial(a, map, &denial);
    if (!clo_failed(made)) made = clo_wire_set(a, top, "error", map);
    if (!clo_failed(made)) made = clo_cli_emit(c, top);
    (void)made.code;
}

static void print_error(clo_cli *c, clo_err e)
{
    if (c->explain[0] == 0 && c->server != NULL)
        (void)snprintf(c->explain, sizeof c->explain, "%s", clo_client_session_instance(c->server));
    if (c->explain[0] == 0 && c->kms != NULL)
        (void)snprintf(c->explain, sizeof c->explain, "%s", clo_client_session_instance(c->kms));
    char text[600];
    (void)snprintf(text, sizeof text, "%s", clo_err_text());
    clo_cli_clean(text, false);
    clo_cli_clean(c->explain, false);
    (void)fflush(stdout);
    (void)fprintf(stderr, "cloister: %s", text);
    if (c->explain[0] != 0 && clo_err_class(e) == CLO_CLASS_DENIED && e.code != CLO_E_NOT_FOUND)
        (void)fprintf(stderr, " (more: cloister explain %s)", c->explain);
    (void)fprintf(stderr, "\n");
    if (c->json && !c->emitted) print_error_json(c, e);
}

static void end(clo_cli *c)
{
    clo_os_progress_end(&c->progress);
    clo_client_session_free(&c->server);
    clo_client_session_free(&c->kms);
    clo_collab_identity_wipe(&c->who);
    clo_arena_free(&c->arena);
}

int clo_cli_main(int argc, char **argv)
{
    clo_cli *c = calloc(1, sizeof *c);
    if (c == NULL) return 3;
    (void)signal(SIGPIPE, SIG_IGN);
    clo_arena_init(&c->arena, CLI_ARENA_MAX);
    given g = {.word_count = 0};
    size_t used = 0;
    int code = 0;
    clo_err e = parse(c, &g, argc, argv);
    if (!clo_failed(e) && g.version)
        (void)printf("cloister %s\n", CLO_VERSION);
    else if (!clo_failed(e) && (g.help || g.word_count == 0)) {
        const char *noun = g.word_count > 0 && noun_known(g.words[0]) ? g.words[0] : NULL;
        clo_err found = find_command(g.words, g.word_count, &c->command, &used);
        help(noun, clo_failed(found) ? NULL : c->command);
        if (!g.help) code = 2;
    } else {
        if (!clo_failed(e)) e = find_command(g.words, g.word_count, &c->command, &used);
        if (!clo_failed(e)) e = accept(c, &g, used);
        if (!clo_failed(e)) e = c->command->run(c);
        clo_os_progress_end(&c->progress);
        if (clo_failed(e)) {
            print_error(c, e);
            code = clo_os_exit_code(e);
        } else if (c->unreached)
            code = 3;
        else if (c->negative)
            code = 1;
    }
    if (fflush(stdout) != 0 && code == 0) code = 3;
    end(c);
    for (size_t i = 0; i < c->value_count; i++) free((void *)(uintptr_t)c->values[i].name);
    free(c);
    return code;
}

int64_t clo_cli_now(void) { return clo_os_clock_wall(clo_os_clock_system()); }
