#include "service/service_arguments.h"

#include "base/clo_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static clo_err take(clo_service_arguments *a, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **to;
    } single[] = {{"--role", &a->role}, {"--home", &a->home},       {"--config", &a->config}, {"--name", &a->name},
                  {"--url", &a->url},   {"--listen", &a->listen}, {"--enclave", &a->enclave}, {"--open-logs", &a->open_logs}};
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        if (strcmp(single[i].name, name) != 0) continue;
        CLO_CHECKF(*single[i].to == NULL, CLO_E_USAGE, "%s is given twice", name);
        *single[i].to = value;
        return CLO_OK;
    }
    bool witness = strcmp(name, "--witness") == 0;
    CLO_CHECKF(witness || strcmp(name, "--log") == 0, CLO_E_USAGE, "\"%.60s\" is not understood; see cloisterd --help", name);
    size_t *count = witness ? &a->witness_count : &a->log_count;
    CLO_CHECKF(*count < SERVICE_REPEATS_MAX, CLO_E_TOO_MANY, "%s is given more than %d times", name, SERVICE_REPEATS_MAX);
    (witness ? a->witnesses : a->logs)[(*count)++] = value;
    return CLO_OK;
}

CLO_R clo_service_arguments_parse(int argc, char **argv, clo_service_arguments *out)
{
    *out = (clo_service_arguments){0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--version") == 0) {
            out->help = argv[i][2] == 'h';
            out->version = !out->help;
        } else if (strcmp(argv[i], "init") == 0 && out->verb == NULL) {
            out->verb = argv[i];
        } else {
            CLO_CHECKF(argv[i][0] == '-', CLO_E_USAGE, "\"%.60s\" is not understood; see cloisterd --help", argv[i]);
            CLO_CHECKF(i + 1 < argc, CLO_E_USAGE, "%.60s needs a value; see cloisterd --help", argv[i]);
            CLO_TRY(take(out, argv[i], argv[i + 1]));
            i++;
        }
    }
    if (out->role == NULL) out->role = "operator";
    bool witness = strcmp(out->role, "witness") == 0;
    CLO_CHECKF(witness || strcmp(out->role, "operator") == 0, CLO_E_USAGE, "--role is operator or witness");
    CLO_CHECKF(witness ? out->witness_count == 0 && out->enclave == NULL : out->log_count == 0 && out->open_logs == NULL, CLO_E_USAGE, "%s is not for the role %s; see cloisterd --help",
               witness ? "--witness or --enclave" : "--log or --open-logs", out->role);
    CLO_CHECKF(out->verb == NULL || out->config == NULL, CLO_E_USAGE, "init writes the configuration: --config is for serving");
    CLO_CHECKF(out->verb != NULL || out->name == NULL || out->config == NULL, CLO_E_USAGE, "--name is for init; afterwards it stands in the configuration");
    return CLO_OK;
}

CLO_R clo_service_arguments_home(const clo_service_arguments *a, const char *standard, char to[512])
{
    if (a->home != NULL) return clo_str_set(to, 512, clo_span_str(a->home));
    const char *home = getenv("HOME");
    CLO_CHECKF(home != NULL && home[0] == '/', CLO_E_USAGE, "HOME is not set; say where to work with --home DIR");
    CLO_CHECK(snprintf(to, 512, "%s/%s", home, standard) < 512, CLO_E_TOO_LARGE);
    return CLO_OK;
}
