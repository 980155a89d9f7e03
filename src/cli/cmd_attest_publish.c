/* cloister attest publish, bundle: signed policies, reference values and collateral, for an operator's verifier and for machines without a network. */
#include "cli/cli_int.h"

#include "attest/collateral_bundle.h"
#include "attest/reference_values.h"
#include "os/file.h"
#include "wire/cbor.h"

enum { DAY = 86400, DAYS_STANDARD = 30, DAYS_MAX = 3650 };

static clo_err signer_of(clo_cli *c, uint8_t kid[32], clo_wire_cose_signer *out)
{
    const clo_collab_identity *who = NULL;
    CLO_TRY(clo_cli_identity(c, &who));
    CLO_TRY(clo_wire_cose_kid(&who->public_half.sign, kid));
    *out = (clo_wire_cose_signer){.sk = &who->sign, .kid = clo_span_of(kid, 32)};
    return CLO_OK;
}

/* The version that a name has at the operator, plus one; 1 where it has none. */
static clo_err next_version(clo_cli *c, clo_client_session *s, const char *list, const char *name, int64_t *out)
{
    clo_wire_node *answer = NULL;
    char path[80];
    (void)snprintf(path, sizeof path, "/api/v1/attestation/%s", strcmp(list, "policies") == 0 ? "policies" : "reference-values");
    CLO_TRY(clo_client_session_list(s, &c->arena, path, list, &answer));
    const clo_wire_node *all = clo_wire_get(answer, list);
    *out = 1;
    for (const clo_wire_node *n = all == NULL ? NULL : all->first; n != NULL; n = n->next) {
        const char *its = clo_client_text(n, "name");
        const clo_wire_node *version = clo_wire_get(n, "version");
        if (its != NULL && strcmp(its, name) == 0 && version != NULL && version->type == CLO_WIRE_INT) *out = version->integer + 1;
    }
    return CLO_OK;
}

static clo_err send(clo_cli *c, clo_client_session *s, const char *method, const char *path, clo_span file, const char *what)
{
    clo_wire_node *answer = NULL;
    CLO_TRY(clo_client_session_json(s, &c->arena, method, path, "application/cose", file, &answer));
    const clo_wire_node *version = clo_wire_get(answer, "version");
    clo_cli_say(c, "%s: version %lld is at the operator\n", what, version != NULL && version->type == CLO_WIRE_INT ? (long long)version->integer : 0);
    return clo_cli_emit(c, answer);
}

static clo_err publish_policy(clo_cli *c, clo_client_session *s, const char *name, const char *path)
{
    clo_wire_node *policy = NULL, *map = NULL;
    clo_wire_cose_signer signer;
    void *memory = NULL;
    uint8_t kid[32];
    int64_t version = 0;
    CLO_CHECKF(clo_name_valid(name), CLO_E_USAGE, "a policy's name has lower-case letters, digits, '.', '_' and '-' only");
    CLO_TRY(clo_client_json_file(&c->arena, path, &policy));
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_attest_policy), &memory));
    clo_err e = clo_attest_policy_read(&c->arena, policy, memory);
    if (clo_failed(e)) return clo_err_prefix(e, path);
    CLO_TRY(next_version(c, s, "policies", name, &version));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "format", "cloister-attest-policy/1"));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "name", name));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "version", version));
    CLO_TRY(clo_wire_set(&c->arena, map, "policy", policy));
    CLO_AUTO(clo_buf_free) clo_buf payload, file;
    clo_buf_init(&payload, CLI_FILE_MAX);
    clo_buf_init(&file, CLI_FILE_MAX);
    CLO_TRY(clo_wire_cbor_encode(map, &payload));
    CLO_TRY(signer_of(c, kid, &signer));
    CLO_TRY(clo_wire_cose_sign1(&file, &signer, "application/cloister-attest-policy", clo_span_of(NULL, 0), clo_buf_span(&payload)));
    return send(c, s, "POST", "/api/v1/attestation/policies", clo_buf_span(&file), name);
}

/* The values as CBOR or as JSON under the same names; name and version are set here. */
static clo_err publish_values(clo_cli *c, clo_client_session *s, const char *name, const char *path)
{
    clo_wire_node *tree = NULL, *values = NULL;
    clo_attest_reference_set set;
    clo_wire_cose_signer signer;
    uint8_t kid[32];
    int64_t version = 0;
    CLO_CHECKF(clo_name_valid(name), CLO_E_USAGE, "a set's name has lower-case letters, digits, '.', '_' and '-' only");
    CLO_TRY(clo_client_json_file(&c->arena, path, &tree));
    values = clo_wire_get(tree, "values");
    CLO_CHECKF(values != NULL && values->type == CLO_WIRE_ARRAY && tree->count == 1, CLO_E_MALFORMED, "%s: {\"values\": [{\"name\", \"version\", \"tee\", \"environment\", \"claims\": {path: [value]}}]} is wanted", path);
    CLO_TRY(next_version(c, s, "reference_values", name, &version));
    CLO_TRY(clo_wire_set_text(&c->arena, tree, "format", "cloister-reference-values/1"));
    CLO_TRY(clo_wire_set_text(&c->arena, tree, "name", name));
    CLO_TRY(clo_wire_set_int(&c->arena, tree, "version", version));
    CLO_TRY(clo_wire_set_int(&c->arena, tree, "issued", clo_cli_now() - 60)); /* two clocks */
    CLO_TRY(clo_wire_set_int(&c->arena, tree, "expires", 0));
    CLO_AUTO(clo_buf_free) clo_buf encoded, file;
    clo_buf_init(&encoded, CLI_FILE_MAX);
    clo_buf_init(&file, CLI_FILE_MAX);
    CLO_TRY(clo_wire_cbor_encode(tree, &encoded));
    clo_err e = clo_attest_references_decode(&c->arena, clo_buf_span(&encoded), &set);
    if (clo_failed(e)) return clo_err_prefix(e, path);
    CLO_TRY(signer_of(c, kid, &signer));
    CLO_TRY(clo_attest_references_seal(&c->arena, &set, &signer, &file));
    return send(c, s, "POST", "/api/v1/attestation/reference-values", clo_buf_span(&file), name);
}

clo_err clo_cli_attest_publish(clo_cli *c)
{
    clo_client_session *s = NULL;
    bool collateral = strcmp(c->args[0], "collateral") == 0;
    CLO_CHECKF(c->arg_count == (collateral ? 2 : 3), CLO_E_USAGE, "use: attest publish policy NAME FILE.json | values NAME FILE.json | collateral FILE");
    CLO_TRY(clo_cli_server(c, &s));
    if (strcmp(c->args[0], "policy") == 0) return publish_policy(c, s, c->args[1], c->args[2]);
    if (strcmp(c->args[0], "values") == 0) return publish_values(c, s, c->args[1], c->args[2]);
    CLO_CHECKF(collateral, CLO_E_USAGE, "what is published is a policy, values or collateral");
    clo_span file;
    CLO_TRY(clo_cli_read(c, c->args[1], &file));
    return send(c, s, "PUT", "/api/v1/attestation/collateral", file, c->args[1]);
}

static clo_err index_item(clo_cli *c, const char *directory, const clo_wire_node *node, clo_attest_collateral_item *out)
{
    clo_wire_fields f;
    char path[700];
    const char *file = NULL;
    clo_wire_fields_open(&f, &c->arena, node, "index.json item");
    clo_wire_take_str(&f, "type", out->type, sizeof out->type);
    clo_wire_take_str(&f, "role", out->role, sizeof out->role);
    clo_wire_take_text(&f, "file", &file, 255);
    if (clo_wire_has(&f, "when")) clo_wire_take_map(&f, "when", &out->when);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(strchr(file, '/') == NULL, CLO_E_RANGE, "index.json names files of its own directory only");
    CLO_TRY(clo_os_path_join(path, sizeof path, directory, file));
    return clo_cli_read(c, path, &out->bytes);
}

static clo_err bundle_make(clo_cli *c, const char *directory)
{
    char path[700];
    clo_wire_node *index = NULL;
    void *memory = NULL;
    uint64_t version = 0, days = DAYS_STANDARD;
    const char *out = NULL;
    uint8_t kid[32];
    clo_wire_cose_signer signer;
    CLO_TRY(clo_cli_require(c, "--out", &out));
    CLO_TRY(clo_cli_value_count(c, "--version-number", INT32_MAX, &version));
    CLO_TRY(clo_cli_value_count(c, "--days", DAYS_MAX, &days));
    CLO_CHECKF(version > 0, CLO_E_USAGE, "--version-number N is wanted: higher than that of any bundle before");
    CLO_TRY(clo_os_path_join(path, sizeof path, directory, "index.json"));
    CLO_TRY(clo_client_json_file(&c->arena, path, &index));
    CLO_CHECKF(index->type == CLO_WIRE_ARRAY, CLO_E_MALFORMED, "%s is a list of {type, role, file, when}", path);
    CLO_TRY(clo_arena_array(&c->arena, index->count + 1, sizeof(clo_attest_collateral_item), &memory));
    clo_attest_collateral_set set = {.version = (int64_t)version, .issued = clo_cli_now() - 60, .items = memory};
    set.not_after = set.issued + (int64_t)days * DAY;
    for (const clo_wire_node *n = index->first; n != NULL; n = n->next) {
        set.items[set.count] = (clo_attest_collateral_item){.when = NULL};
        CLO_TRY(index_item(c, directory, n, &set.items[set.count++]));
    }
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_attest_collateral_set again;
    clo_buf_init(&file, CLO_COLLATERAL_BUNDLE_MAX);
    CLO_TRY(signer_of(c, kid, &signer));
    CLO_TRY(clo_attest_collateral_seal(&c->arena, &set, &signer, &file));
    /* What cannot be opened is not handed out. */
    CLO_TRY(clo_attest_collateral_open(&c->arena, clo_buf_span(&file), &c->who.public_half.sign, 1, clo_cli_now(), &again));
    CLO_TRY(clo_os_file_write_atomic(out, clo_buf_span(&file), 0644));
    char hex[65];
    clo_hex_encode(hex, clo_crypto_public_key_span(&c->who.public_half.sign));
    clo_cli_say(c, "%s: %zu items, version %llu; operators pin its signer with collateral_key: \"%s\"\n", out, set.count, (unsigned long long)version, hex);
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "file", out));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "version", set.version));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "items", (int64_t)set.count));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "collateral_key", hex));
    return clo_cli_emit(c, map);
}

static clo_err bundle_show(clo_cli *c, const char *path, const char *key_hex)
{
    clo_crypto_public_key key = {.alg = CLO_SIGN_ED25519, .n = 32};
    clo_attest_collateral_set set;
    clo_span file;
    clo_wire_node *list = NULL, *one = NULL;
    char bytes[32];
    static const clo_cli_column columns[] = {{"type", "type", 0}, {"role", "role", 0}, {"bytes", "bytes", 0}, {"when", "when", 0}};
    CLO_TRY(clo_hex_decode(key.bytes, 32, clo_span_str(key_hex)));
    CLO_TRY(clo_cli_read(c, path, &file));
    CLO_TRY(clo_attest_collateral_open(&c->arena, file, &key, 1, clo_cli_now(), &set));
    CLO_TRY(clo_wire_array(&c->arena, &list));
    for (size_t i = 0; i < set.count; i++) {
        CLO_AUTO(clo_buf_free) clo_buf when;
        const char *text = NULL;
        clo_buf_init(&when, 4096);
        CLO_TRY(clo_wire_json_encode(set.items[i].when, 0, &when));
        CLO_TRY(clo_buf_cstr(&when, &text));
        (void)snprintf(bytes, sizeof bytes, "%zu", set.items[i].bytes.n);
        CLO_TRY(clo_wire_map(&c->arena, &one));
        CLO_TRY(clo_wire_set_text(&c->arena, one, "type", set.items[i].type));
        CLO_TRY(clo_wire_set_text(&c->arena, one, "role", set.items[i].role));
        CLO_TRY(clo_wire_set_text(&c->arena, one, "bytes", bytes));
        CLO_TRY(clo_wire_set_text(&c->arena, one, "when", text));
        CLO_TRY(clo_wire_append(list, one));
    }
    clo_cli_say(c, "version %lld\n", (long long)set.version);
    clo_cli_table(c, list, columns, sizeof columns / sizeof columns[0], "the bundle is empty");
    return clo_cli_emit(c, list);
}

clo_err clo_cli_attest_bundle(clo_cli *c)
{
    const char *key = clo_cli_value(c, "--show");
    return key != NULL ? bundle_show(c, c->args[0], key) : bundle_make(c, c->args[0]);
}
