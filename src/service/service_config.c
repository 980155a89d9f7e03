#include "service/service_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "gateway/config.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

static clo_err path_of(const clo_service_config *c, char to[600]) { return clo_os_path_join(to, 600, c->home, "cloisterd.yaml"); }

/* These stand between quotes in the file. */
static clo_err check_quotable(const char *what, const char *text)
{
    for (const char *p = text; *p != 0; p++)
        CLO_CHECKF((unsigned char)*p >= 0x20 && *p != '"' && *p != '\\', CLO_E_USAGE, "%s must not have quotes, backslashes or control characters", what);
    return CLO_OK;
}

CLO_R clo_service_config_make(clo_service_config *c)
{
    CLO_TRY(check_quotable("the url", c->url));
    CLO_TRY(check_quotable("the runtime's path", c->enclave));
    for (size_t i = 0; i < c->witness_count; i++) {
        CLO_TRY(check_quotable("a witness's url", c->witnesses[i].url));
        CLO_TRY(check_quotable("a witness's key", c->witnesses[i].vkey));
    }
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 16384);
    CLO_TRY(clo_buf_printf(&text,
                           "# The operator's daemon. A key that is not known here is an error.\n"
                           "name: %s\nurl: \"%s\"\n", c->name, c->url));
    CLO_TRY(clo_gateway_config_listen_write(c->address, c->port, &c->listen, &text));
    CLO_TRY(clo_buf_printf(&text, "enclave: \"%s\"\nruns_max: %lld\nwitnesses:", c->enclave, (long long)c->runs_max));
    if (c->witness_count == 0) CLO_TRY(clo_buf_put_str(&text, " []"));
    for (size_t i = 0; i < c->witness_count; i++) {
        char hex[65];
        clo_hex_encode(hex, clo_span_of(c->witnesses[i].spki, 32));
        CLO_TRY(clo_buf_printf(&text, "\n  - {url: \"%s\", spki: \"%s\", vkey: \"%s\"}", c->witnesses[i].url, hex, c->witnesses[i].vkey));
    }
    CLO_TRY(clo_buf_put_str(&text, "\n"));
    char path[600];
    CLO_TRY(path_of(c, path));
    return clo_os_file_write_new(path, clo_buf_span(&text), 0600);
}

static clo_err read_witness(clo_arena *a, const clo_wire_node *node, clo_client_witness *out)
{
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, "witnesses");
    clo_wire_take_str(&f, "url", out->url, sizeof out->url);
    clo_wire_take_fixed(&f, "spki", out->spki, sizeof out->spki);
    clo_wire_take_str(&f, "vkey", out->vkey, sizeof out->vkey);
    CLO_TRY(clo_wire_fields_end(&f));
    clo_wire_note_key key;
    return clo_wire_note_key_parse(out->vkey, &key);
}

CLO_R clo_service_config_load(clo_service_config *c, const char *path)
{
    char standard[600];
    CLO_TRY(path_of(c, standard));
    if (path == NULL) path = standard;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 << 20);
    clo_wire_fields f;
    CLO_TRY(clo_gateway_config_open(&a, path, &f));
    if (clo_wire_has(&f, "name")) clo_wire_take_name(&f, "name", c->name);
    if (clo_wire_has(&f, "url")) clo_wire_take_str(&f, "url", c->url, sizeof c->url);
    if (clo_wire_has(&f, "enclave")) clo_wire_take_str(&f, "enclave", c->enclave, sizeof c->enclave);
    if (clo_wire_has(&f, "runs_max")) clo_wire_take_int(&f, "runs_max", &c->runs_max, 1, SERVICE_RUNS_MAX);
    if (clo_wire_has(&f, "reattest_seconds")) clo_wire_take_int(&f, "reattest_seconds", &c->reattest_seconds, 1, 86400);
    if (clo_wire_has(&f, "record_evidence")) clo_wire_take_int(&f, "record_evidence", &c->record_evidence, 0, 100000);
    if (clo_wire_has(&f, "collateral_key")) {
        c->collateral_key = (clo_crypto_public_key){.alg = CLO_SIGN_ED25519, .n = 32};
        clo_wire_take_fixed(&f, "collateral_key", c->collateral_key.bytes, 32);
    }
    if (clo_wire_has(&f, "parties_max")) clo_wire_take_int(&f, "parties_max", &c->parties_max, 1, 1000000);
    clo_gateway_options listen = {0};
    if (clo_wire_has(&f, "listen")) clo_gateway_config_listen(&f, &listen);
    if (listen.address != NULL) (void)snprintf(c->address, sizeof c->address, "%s", listen.address);
    if (listen.port != 0) c->port = listen.port;
    c->listen = listen;
    c->listen.address = NULL; /* its text ends with the arena */
    const clo_wire_node *list = NULL;
    if (clo_wire_has(&f, "witnesses")) clo_wire_take_array(&f, "witnesses", &list, SERVICE_WITNESSES_MAX);
    CLO_TRY(clo_gateway_config_end(&f, path));
    c->witness_count = 0;
    for (const clo_wire_node *n = list != NULL ? list->first : NULL; n != NULL; n = n->next) {
        clo_err e = read_witness(&a, n, &c->witnesses[c->witness_count++]);
        if (clo_failed(e)) return clo_err_prefix(e, path);
    }
    return CLO_OK;
}
