/* Proves the parts of the operator that need no server: the command line, the configuration file there and back, the route table (what is open,
 * that everything has a handler and a schema) and the JSON of a run. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "gateway/openapi.h"
#include "os/file.h"
#include "service/service_arguments.h"
#include "service/service_int.h"
#include "service/service_schemas.h"
#include "wire/json.h"

#include <stdio.h>
#include <stdlib.h>

#define PARSE(out, ...) clo_service_arguments_parse((int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), (char *[]){__VA_ARGS__}, out)
static char program[] = "cloisterd", init[] = "init", home[] = "--home", role[] = "--role", witness[] = "witness", value[] = "x", config[] = "--config",
            log_option[] = "--log", witness_option[] = "--witness", enclave[] = "--enclave", name[] = "--name", help[] = "--help", version[] = "--version",
            bogus[] = "--bogus", auditor[] = "auditor";

static void arguments(void **state)
{
    (void)state;
    clo_service_arguments a;
    assert_ok(PARSE(&a, program));
    assert_string_equal(a.role, "operator");
    assert_null(a.verb);
    assert_ok(PARSE(&a, program, init, home, value, witness_option, value, witness_option, value));
    assert_string_equal(a.verb, "init");
    assert_int_equal(a.witness_count, 2);
    assert_ok(PARSE(&a, program, role, witness, log_option, value));
    assert_int_equal(a.log_count, 1);
    assert_ok(PARSE(&a, program, help));
    assert_true(a.help && !a.version);
    assert_ok(PARSE(&a, program, version));
    assert_true(!a.help && a.version);
    assert_code(PARSE(&a, program, home), CLO_E_USAGE);
    assert_code(PARSE(&a, program, home, value, home, value), CLO_E_USAGE);
    assert_code(PARSE(&a, program, bogus, value), CLO_E_USAGE);
    assert_code(PARSE(&a, program, value), CLO_E_USAGE);
    assert_code(PARSE(&a, program, init, init), CLO_E_USAGE);
    assert_code(PARSE(&a, program, role, auditor), CLO_E_USAGE);
    assert_code(PARSE(&a, program, log_option, value), CLO_E_USAGE);
    assert_code(PARSE(&a, program, role, witness, enclave, value), CLO_E_USAGE);
    assert_code(PARSE(&a, program, role, witness, witness_option, value), CLO_E_USAGE);
    assert_code(PARSE(&a, program, init, config, value), CLO_E_USAGE);
    assert_code(PARSE(&a, program, config, value, name, value), CLO_E_USAGE);
    assert_code(PARSE(&a, program, witness_option, value, witness_option, value, witness_option, value, witness_option, value, witness_option, value, witness_option,
                      value, witness_option, value, witness_option, value, witness_option, value),
                CLO_E_TOO_MANY);
}

static void configuration(void **state)
{
    (void)state;
    char dir[256], path[300];
    clo_service_config *c = calloc(1, sizeof *c), *d = calloc(1, sizeof *d);
    assert_true(c != NULL && d != NULL);
    assert_ok(clo_os_dir_temporary("clo-config-", dir));
    assert_ok(clo_str_set(c->home, sizeof c->home, clo_span_str(dir)));
    assert_ok(clo_str_set(c->name, sizeof c->name, clo_span_str("operator-1")));
    assert_ok(clo_str_set(c->url, sizeof c->url, clo_span_str("https://[::1]:4")));
    assert_ok(clo_str_set(c->address, sizeof c->address, clo_span_str("::1")));
    assert_ok(clo_str_set(c->enclave, sizeof c->enclave, clo_span_str("/opt/a b/cloister-enclave")));
    c->port = 4;
    c->runs_max = 3;
    c->witness_count = 1;
    clo_crypto_private_key sk;
    clo_crypto_public_key pk;
    clo_wire_note_key key;
    CLO_AUTO(clo_buf_free) clo_buf vkey, text;
    clo_buf_init(&vkey, 500);
    clo_buf_init(&text, 5000);
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &sk, &pk));
    assert_ok(clo_wire_note_key_make("witness", 4, &pk, &key));
    assert_ok(clo_wire_note_key_text(&key, &vkey));
    assert_ok(clo_str_set(c->witnesses[0].vkey, sizeof c->witnesses[0].vkey, clo_buf_span(&vkey)));
    assert_ok(clo_str_set(c->witnesses[0].url, sizeof c->witnesses[0].url, clo_span_str("https://127.0.0.1:9")));
    memset(c->witnesses[0].spki, 0xa7, 32);
    assert_ok(clo_service_config_make(c));
    assert_code(clo_service_config_make(c), CLO_E_EXISTS); /* never over an old one */
    memcpy(d->home, c->home, sizeof d->home);
    assert_ok(clo_service_config_load(d, NULL));
    assert_string_equal(d->name, c->name);
    assert_string_equal(d->url, c->url);
    assert_string_equal(d->address, c->address);
    assert_string_equal(d->enclave, c->enclave);
    assert_true(d->port == 4 && d->runs_max == 3 && d->witness_count == 1);
    assert_memory_equal(d->witnesses[0].spki, c->witnesses[0].spki, 32);
    assert_string_equal(d->witnesses[0].vkey, c->witnesses[0].vkey);
    /* Limits reach the server's options; what is wrong is named with its place. */
    assert_ok(clo_os_path_join(path, sizeof path, dir, "other.yaml"));
    assert_ok(clo_os_file_write_atomic(path, clo_span_str("listen: {connections_per_peer: 77}\n"), 0600));
    assert_ok(clo_service_config_load(d, path));
    assert_int_equal(d->listen.connections_per_peer_max, 77);
    static const struct { const char *yaml; uint32_t code; const char *says; } bad[] = {
        {"runs_maks: 2\n", CLO_E_UNKNOWN_FIELD, "line 1"},
        {"name: x\nruns_max: 17\n", CLO_E_RANGE, "runs_max"},
        {"runs_max: two\n", CLO_E_MALFORMED, "runs_max"},
        {"name: x\nname: y\n", CLO_E_DUPLICATE, "name"},
        {"witnesses: [{url: a, spki: 00, vkey: b}]\n", 0, "spki"},
        {"name: [\n", 0, ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_ok(clo_os_file_write_atomic(path, clo_span_str(bad[i].yaml), 0600));
        clo_err e = clo_service_config_load(d, path);
        assert_true(clo_failed(e) && clo_err_class(e) == CLO_CLASS_INPUT);
        if (bad[i].code != 0) assert_int_equal(e.code, bad[i].code);
        assert_non_null(strstr(clo_err_text(), bad[i].says));
        assert_non_null(strstr(clo_err_text(), "other.yaml"));
    }
    assert_code(clo_service_config_load(d, "/nonexistent.yaml"), CLO_E_NOT_FOUND);
    assert_ok(clo_os_file_remove(path));
    assert_ok(clo_str_set(c->enclave, sizeof c->enclave, clo_span_str("/opt/\"quoted\"")));
    assert_code(clo_service_config_make(c), CLO_E_USAGE);
    assert_ok(clo_os_tree_remove(dir));
    free(c);
    free(d);
}

static void routes(void **state)
{
    (void)state;
    static const char *const open[] = {"GET /api/v1/info", "GET /api/v1/compute/status", "GET /api/v1/compute/attestation", "POST /api/v1/parties",
                                       "GET /log/checkpoint", "GET /log/tile/{path*}", "GET /api/v1/attestation/nonce", "POST /api/v1/attestation/verify",
                                       "GET /api/v1/attestation/certs", "GET /api/v1/attestation/history", "GET /api/v1/attestation/policies",
                                       "GET /api/v1/attestation/policies/{name}", "GET /api/v1/attestation/reference-values",
                                       "GET /api/v1/attestation/reference-values/{name}"};
    size_t found = 0;
    for (size_t i = 0; i < clo_service_route_count; i++) {
        const clo_gateway_route *r = &clo_service_routes[i];
        char line[200];
        (void)snprintf(line, sizeof line, "%s %s", clo_gateway_method_name(r->method), r->path);
        if ((r->handler == NULL) == (r->upload == NULL)) fail_msg("%s must have a handler or an upload", line);
        if (r->summary == NULL || r->tag == NULL || r->response_schema == NULL) fail_msg("%s is not described", line);
        if (r->method == CLO_GATEWAY_POST && r->body_max == 0) fail_msg("%s takes no body", line);
        for (size_t k = 0; k < i; k++)
            if (clo_service_routes[k].method == r->method && strcmp(clo_service_routes[k].path, r->path) == 0) fail_msg("%s stands twice", line);
        bool schema = false;
        for (size_t k = 0; k < clo_service_schema_count; k++) schema = schema || strcmp(clo_service_schemas[k].name, r->response_schema) == 0;
        if (!schema) fail_msg("%s answers with an unknown schema %s", line, r->response_schema);
        if (r->auth == CLO_GATEWAY_AUTH_PARTY) continue;
        bool allowed = false;
        for (size_t k = 0; k < sizeof open / sizeof open[0]; k++) allowed = allowed || strcmp(open[k], line) == 0;
        if (!allowed) fail_msg("%s asks for no token", line);
        found++;
    }
    assert_int_equal(found, sizeof open / sizeof open[0]);
    for (size_t i = 0; i < clo_service_schema_count; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 1 << 20);
        clo_wire_node *tree = NULL;
        assert_ok(clo_wire_json_decode(&a, clo_span_str(clo_service_schemas[i].json), &tree));
    }
}

static void run_json(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 1 << 16);
    clo_store_run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    clo_wire_node *tree = NULL;
    const char *json = NULL;
    memset(r->id, 0x11, 16);
    r->created = 1780000000;
    r->changed = 1780000001;
    r->log_index = -1;
    memcpy(r->state, "queued", 7);
    memcpy(r->run, "count", 6);
    assert_ok(clo_service_run_tree(&a, r, &tree));
    assert_ok(clo_wire_json_encode(tree, 0, &text));
    assert_ok(clo_buf_cstr(&text, &json));
    static const char *const parts[] = {"\"id\":\"11111111111111111111111111111111\"", "\"run\":\"count\"", "\"state\":\"queued\"", "\"denial\":null",
                                        "\"log_index\":null", "\"released\":false", "\"simulated\":false", "\"created\":\"2026-05-28T20:26:40Z\"", "\"done\":0"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(json, parts[i]) == NULL) fail_msg("%s is missing in %s", parts[i], json);
    r->have_denial = true;
    r->denial = (clo_denial){.claim = "budget.left", .expected = ">= 1/10", .actual = "\"0\"", .source = "hospital-a", .remedy = "ask\nher"};
    memcpy(r->owner, "hospital-a", 11);
    memcpy(r->tee, "sim", 4);
    r->log_index = 7;
    r->commits = clo_span_of("x", 1);
    clo_buf_clear(&text);
    assert_ok(clo_service_run_tree(&a, r, &tree));
    assert_ok(clo_wire_json_encode(tree, 0, &text));
    assert_ok(clo_buf_cstr(&text, &json));
    static const char *const more[] = {"\"claim\":\"budget.left\"", "\"actual\":\"\\\"0\\\"\"", "\"remedy\":\"ask\\nher\"", "\"owner\":\"hospital-a\"", "\"log_index\":7",
                                       "\"simulated\":true", "\"released\":true"};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        if (strstr(json, more[i]) == NULL) fail_msg("%s is missing in %s", more[i], json);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(arguments), cmocka_unit_test(configuration), cmocka_unit_test(routes), cmocka_unit_test(run_json)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
