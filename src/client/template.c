#include "client/template.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "client/home.h"
#include "os/file.h"
#include "tee/tee_measure.h"
#include "wire/json.h"

#include <stdio.h>
#include <string.h>

enum { TEMPLATE_MAX = 1 << 20, SCHEMA_MAX = 16 << 20 };

typedef struct {
    clo_arena *a;
    char dir[CLO_CLIENT_PATH];
    clo_wire_node *operator_info; /* NULL where the template names none */
} resolving;

static clo_err path_of(const resolving *r, const char *name, char to[CLO_CLIENT_PATH])
{
    if (name[0] == '/') return clo_str_set(to, CLO_CLIENT_PATH, clo_span_str(name));
    return clo_os_path_join(to, CLO_CLIENT_PATH, r->dir, name);
}

static clo_err read_bytes(const resolving *r, const char *name, size_t max, clo_span *out)
{
    char path[CLO_CLIENT_PATH];
    CLO_TRY(path_of(r, name, path));
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, max);
    CLO_TRY(clo_os_file_read(path, max, &bytes));
    return clo_arena_copy(r->a, clo_buf_span(&bytes), out);
}

static clo_err read_json(const resolving *r, const char *name, clo_wire_node **out)
{
    clo_span bytes;
    CLO_TRY(read_bytes(r, name, SCHEMA_MAX, &bytes));
    clo_err e = clo_wire_json_decode(r->a, bytes, out);
    if (clo_failed(e)) return clo_err_prefix(e, name);
    CLO_CHECKF((*out)->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "%s: is no JSON object", name);
    return CLO_OK;
}

/* Take a node out of a container that is given up. */
static clo_wire_node *detach(clo_wire_node *n)
{
    n->next = NULL;
    n->key = NULL;
    return n;
}

/* A copy of a map without some of its members: maps are only ever added to. */
static clo_err copy_without(const resolving *r, const clo_wire_node *map, const char *const *leave, clo_wire_node **out)
{
    CLO_TRY(clo_wire_map(r->a, out));
    (*out)->line = map->line;
    for (clo_wire_node *n = map->first, *next = NULL; n != NULL; n = next) {
        next = n->next;
        bool skip = false;
        const char *key = n->key != NULL && n->key->type == CLO_WIRE_TEXT ? (const char *)n->key->text.p : "";
        for (size_t i = 0; leave[i] != NULL; i++) skip = skip || strcmp(leave[i], key) == 0;
        if (skip) continue;
        CLO_TRY(clo_wire_set(r->a, *out, key, detach(n)));
    }
    return CLO_OK;
}

static clo_err set_copy(const resolving *r, clo_wire_node *map, const char *key, const clo_wire_node *from, const char *member,
                        const char *file)
{
    const char *text = clo_client_text(from, member);
    CLO_CHECKF(text != NULL, CLO_E_MISSING_FIELD, "%s: has no \"%s\"", file, member);
    return clo_wire_set_text(r->a, map, key, text);
}

static clo_err resolve_party(const resolving *r, clo_wire_node *node, clo_wire_node **out)
{
    static const char *const leave[] = {"party", "kms", NULL};
    *out = node;
    if (node->type != CLO_WIRE_MAP) return CLO_OK;
    const char *party = clo_client_text(node, "party"), *kms = clo_client_text(node, "kms");
    if (party == NULL && kms == NULL) return CLO_OK;
    clo_wire_node *map = NULL;
    CLO_TRY(copy_without(r, node, leave, &map));
    if (party != NULL) {
        clo_span bytes;
        clo_collab_party p;
        CLO_TRY(read_bytes(r, party, 65536, &bytes));
        clo_err e = clo_collab_party_decode(bytes, &p);
        if (clo_failed(e)) return clo_err_prefix(e, party);
        CLO_TRY(clo_wire_set_text(r->a, map, "name", p.name));
        CLO_TRY(clo_wire_set_bytes(r->a, map, "sign_key", clo_crypto_public_key_span(&p.sign)));
        CLO_TRY(clo_wire_set_bytes(r->a, map, "hpke_key", clo_span_of(p.hpke, sizeof p.hpke)));
    }
    if (kms != NULL) {
        clo_wire_node *info = NULL, *service = NULL;
        CLO_TRY(read_json(r, kms, &info));
        CLO_TRY(clo_wire_map(r->a, &service));
        CLO_TRY(set_copy(r, service, "url", info, "url", kms));
        CLO_TRY(set_copy(r, service, "spki", info, "spki", kms));
        CLO_TRY(set_copy(r, service, "hpke_key", info, "hpke", kms));
        CLO_TRY(clo_wire_set(r->a, map, "key_service", service));
        if (clo_wire_get(map, "role") == NULL) CLO_TRY(clo_wire_set_text(r->a, map, "role", "data-owner"));
        const char *owner = clo_client_text(info, "owner"), *name = clo_client_text(map, "name");
        CLO_CHECKF(owner == NULL || name == NULL || strcmp(owner, name) == 0, CLO_E_CONFLICT,
                   "%s is the key service of %s, not of %s", kms, owner, name);
    } else if (clo_wire_get(map, "role") == NULL)
        CLO_TRY(clo_wire_set_text(r->a, map, "role", "analyst"));
    *out = map;
    return CLO_OK;
}

static clo_err resolve_schema(const resolving *r, clo_wire_node *node, clo_wire_node **out)
{
    const char *file = node->type == CLO_WIRE_TEXT ? (const char *)node->text.p : clo_client_text(node, "file");
    *out = node;
    if (file == NULL) return CLO_OK;
    clo_wire_node *all = NULL;
    CLO_TRY(read_json(r, file, &all));
    const char *set = node->type == CLO_WIRE_MAP ? clo_client_text(node, "set") : NULL;
    if (set != NULL) {
        all = clo_wire_get(all, set);
        CLO_CHECKF(all != NULL && all->type == CLO_WIRE_MAP, CLO_E_NOT_FOUND, "%s: has no set \"%s\"", file, set);
        (void)detach(all);
    }
    *out = all;
    return CLO_OK;
}

static clo_err resolve_dataset(const resolving *r, clo_wire_node *node, clo_wire_node **out)
{
    static const char *const leave[] = {"schema", NULL};
    *out = node;
    clo_wire_node *schema = node->type == CLO_WIRE_MAP ? clo_wire_get(node, "schema") : NULL, *resolved = NULL;
    if (schema == NULL) return CLO_OK;
    CLO_TRY(resolve_schema(r, schema, &resolved));
    if (resolved == schema) return CLO_OK;
    CLO_TRY(copy_without(r, node, leave, out));
    return clo_wire_set(r->a, *out, "schema", resolved);
}

static clo_err resolve_program(const resolving *r, clo_wire_node *node, clo_wire_node **out)
{
    static const char *const leave[] = {"sql", NULL};
    *out = node;
    const char *file = node->type == CLO_WIRE_MAP ? clo_client_text(clo_wire_get(node, "sql"), "file") : NULL;
    if (file == NULL) return CLO_OK;
    clo_span text;
    clo_wire_node *value = NULL;
    CLO_TRY(read_bytes(r, file, CLO_PROGRAM_TEXT_MAX, &text));
    CLO_TRY(clo_wire_text(r->a, text, &value));
    CLO_TRY(copy_without(r, node, leave, out));
    return clo_wire_set(r->a, *out, "sql", value);
}

static clo_err resolve_measurement(const resolving *r, clo_wire_node *node, clo_wire_node **out)
{
    *out = node;
    const char *file = clo_client_text(node, "program");
    if (file == NULL) return CLO_OK;
    char path[CLO_CLIENT_PATH];
    uint8_t measurement[48];
    CLO_TRY(path_of(r, file, path));
    CLO_TRY(clo_tee_measure_sim(path, measurement));
    return clo_wire_bytes(r->a, clo_span_of(measurement, sizeof measurement), out);
}

typedef clo_err (*resolve_fn)(const resolving *, clo_wire_node *, clo_wire_node **);

/* Every element of a list through `each`, into a new list. */
static clo_err resolve_list(const resolving *r, clo_wire_node *list, resolve_fn each, clo_wire_node **out)
{
    CLO_TRY(clo_wire_array(r->a, out));
    for (clo_wire_node *n = list->first, *next = NULL; n != NULL; n = next) {
        clo_wire_node *resolved = NULL;
        next = n->next;
        CLO_TRY(each(r, n, &resolved));
        CLO_TRY(clo_wire_append(*out, detach(resolved)));
    }
    return CLO_OK;
}

static clo_err operator_root(const resolving *r, clo_wire_node **out)
{
    const clo_wire_node *tee = r->operator_info == NULL ? NULL : clo_wire_get(r->operator_info, "tee");
    const char *root = clo_client_text(tee, "root_sha256");
    CLO_CHECKF(root != NULL, CLO_E_MISSING_FIELD, "runtimes[].roots: operator needs an operator file with tee.root_sha256");
    clo_wire_node *value = NULL;
    CLO_TRY(clo_wire_array(r->a, out));
    CLO_TRY(clo_wire_text(r->a, clo_span_str(root), &value));
    return clo_wire_append(*out, value);
}

/* The appraisal policy in its one form, whatever way it was written in; here is where a wrong one is noticed. */
static clo_err resolve_appraisal(const resolving *r, const clo_wire_node *written, clo_wire_node **out)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(r->a, sizeof(clo_collab_runtime), &memory));
    clo_collab_runtime *runtime = memory;
    CLO_TRY(clo_arena_alloc(r->a, sizeof(clo_attest_policy), &memory));
    clo_attest_policy_init(&runtime->policy);
    runtime->appraisal = written;
    CLO_TRY(clo_collab_runtime_policy(r->a, runtime, memory));
    return clo_attest_policy_tree(r->a, memory, out);
}

static clo_err resolve_runtime(const resolving *r, clo_wire_node *node, clo_wire_node **out)
{
    static const char *const leave[] = {"measurements", "roots", "appraisal", NULL};
    *out = node;
    if (node->type != CLO_WIRE_MAP) return CLO_OK;
    clo_wire_node *measurements = clo_wire_get(node, "measurements"), *roots = clo_wire_get(node, "roots"), *list = NULL;
    clo_wire_node *appraisal = clo_wire_get(node, "appraisal"), *policy = NULL;
    if (appraisal != NULL) CLO_TRY(resolve_appraisal(r, appraisal, &policy));
    CLO_TRY(copy_without(r, node, leave, out));
    if (measurements != NULL && measurements->type == CLO_WIRE_ARRAY) {
        CLO_TRY(resolve_list(r, measurements, resolve_measurement, &list));
        CLO_TRY(clo_wire_set(r->a, *out, "measurements", list));
    } else if (measurements != NULL)
        CLO_TRY(clo_wire_set(r->a, *out, "measurements", detach(measurements)));
    if (policy != NULL) CLO_TRY(clo_wire_set(r->a, *out, "appraisal", policy));
    if (roots == NULL) return CLO_OK;
    if (roots->type == CLO_WIRE_TEXT && strcmp((const char *)roots->text.p, "operator") == 0) CLO_TRY(operator_root(r, &roots));
    return clo_wire_set(r->a, *out, "roots", detach(roots));
}

static clo_err resolve_operator(resolving *r, clo_wire_node *top)
{
    const clo_wire_node *node = clo_wire_get(top, "operator");
    if (node == NULL) return CLO_OK;
    const char *file = node->type == CLO_WIRE_TEXT ? (const char *)node->text.p : clo_client_text(node, "file");
    if (file == NULL) return CLO_OK;
    return read_json(r, file, &r->operator_info);
}

/* The operator's own words: who it is, and its log where the template names none. */
static clo_err put_operator(const resolving *r, clo_wire_node *to, bool log_given)
{
    clo_wire_node *map = NULL, *log = clo_wire_get(r->operator_info, "log");
    CLO_TRY(clo_wire_map(r->a, &map));
    CLO_TRY(set_copy(r, map, "name", r->operator_info, "name", "operator"));
    CLO_TRY(set_copy(r, map, "url", r->operator_info, "url", "operator"));
    CLO_TRY(set_copy(r, map, "spki", r->operator_info, "spki", "operator"));
    CLO_TRY(clo_wire_set(r->a, to, "operator", map));
    if (log_given || log == NULL || log->type != CLO_WIRE_MAP) return CLO_OK;
    static const char *const leave[] = {"origin", NULL};
    CLO_TRY(copy_without(r, log, leave, &map));
    return clo_wire_set(r->a, to, "log", map);
}

static const struct {
    const char *key;
    resolve_fn each;
} lists[] = {
    {"parties", resolve_party}, {"datasets", resolve_dataset}, {"programs", resolve_program}, {"runtimes", resolve_runtime}};

static clo_err resolve(resolving *r, clo_wire_node *top, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_CHECKF(top->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the template is no map; begin with: format: cloister-agreement/1");
    CLO_TRY(resolve_operator(r, top));
    bool log_given = clo_wire_get(top, "log") != NULL;
    CLO_TRY(clo_wire_map(r->a, &map));
    for (clo_wire_node *n = top->first, *next = NULL; n != NULL; n = next) {
        next = n->next;
        const char *key = (const char *)n->key->text.p;
        clo_wire_node *value = n;
        if (strcmp(key, "operator") == 0 && r->operator_info != NULL) {
            CLO_TRY(put_operator(r, map, log_given));
            continue;
        }
        for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
            if (n->type == CLO_WIRE_ARRAY && strcmp(key, lists[i].key) == 0) CLO_TRY(resolve_list(r, n, lists[i].each, &value));
        CLO_TRY(clo_wire_set(r->a, map, key, detach(value)));
    }
    *out = map;
    return CLO_OK;
}

clo_err clo_client_template_read(clo_arena *a, const char *path, clo_wire_node **out)
{
    resolving r;
    memset(&r, 0, sizeof r);
    r.a = a;
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        CLO_TRY(clo_str_set(r.dir, sizeof r.dir, clo_span_str(".")));
    else
        CLO_TRY(clo_str_set(r.dir, sizeof r.dir, clo_span_of(path, slash == path ? 1 : (size_t)(slash - path))));
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, TEMPLATE_MAX);
    CLO_TRY(clo_os_file_read(path, TEMPLATE_MAX, &text));
    clo_wire_node *top = NULL;
    size_t n = strlen(path);
    bool json = n > 5 && strcmp(path + n - 5, ".json") == 0;
    clo_err e = json ? clo_wire_json_decode(a, clo_buf_span(&text), &top) : clo_wire_yaml_decode(a, clo_buf_span(&text), &top);
    if (!clo_failed(e)) e = resolve(&r, top, out);
    return clo_failed(e) ? clo_err_prefix(e, path) : CLO_OK;
}
