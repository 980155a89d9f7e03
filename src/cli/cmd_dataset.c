/* cloister dataset …: sealing at home, pushing ciphertext. */
#include "cli/cli_int.h"

#include "client/push.h"
#include "client/seal.h"
#include "os/file.h"

#include <stdlib.h>

typedef struct {
    char sealed[CLO_CLIENT_PATH], key[CLO_CLIENT_PATH], schema[CLO_CLIENT_PATH];
} dataset_files;

/* By name in the home, or by the path of its *.sealed. */
static clo_err find_files(clo_cli *c, const char *reference, dataset_files *out)
{
    char name[80];
    size_t n = strlen(reference);
    CLO_TRY(clo_cli_home(c));
    if (n > 7 && strcmp(reference + n - 7, ".sealed") == 0) {
        CLO_CHECKF(n < sizeof out->sealed - 20, CLO_E_TOO_LARGE, "the path is too long");
        (void)snprintf(out->sealed, sizeof out->sealed, "%s", reference);
        (void)snprintf(out->key, sizeof out->key, "%.*s.key", (int)(n - 7), reference);
        (void)snprintf(out->schema, sizeof out->schema, "%.*s.schema.json", (int)(n - 7), reference);
        return CLO_OK;
    }
    CLO_CHECKF(clo_name_valid(reference), CLO_E_MALFORMED, "\"%.70s\" is neither a dataset's name nor a .sealed file", reference);
    (void)snprintf(name, sizeof name, "%s.sealed", reference);
    CLO_TRY(clo_client_home_path(&c->home, "datasets", name, out->sealed));
    (void)snprintf(name, sizeof name, "%s.key", reference);
    CLO_TRY(clo_client_home_path(&c->home, "datasets", name, out->key));
    (void)snprintf(name, sizeof name, "%s.schema.json", reference);
    return clo_client_home_path(&c->home, "datasets", name, out->schema);
}

static clo_err say_manifest(clo_cli *c, const clo_collab_manifest *m, const char *file)
{
    clo_wire_node *tree = NULL;
    char id[65], version[65], time[21];
    CLO_TRY(clo_collab_manifest_tree(&c->arena, m, &tree));
    if (file != NULL) CLO_TRY(clo_wire_set_text(&c->arena, tree, "file", file));
    clo_hex_encode(id, clo_span_of(m->id, sizeof m->id));
    clo_hex_encode(version, clo_span_of(m->version, sizeof m->version));
    clo_time_format(time, m->created);
    clo_cli_say(c, "dataset   %s of %s\nid        %s\nversion   %s\nrows      %llu in %llu chunk%s of %u bytes\nsealed    %s\n",
                m->name, m->owner, id, version, (unsigned long long)m->row_count, (unsigned long long)m->chunk_count,
                m->chunk_count == 1 ? "" : "s", m->chunk_size, time);
    if (file != NULL) clo_cli_say(c, "file      %s\n", file);
    return clo_cli_emit(c, tree);
}

static clo_err write_schema(clo_cli *c, const clo_wire_node *tree, const char *path)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, CLI_FILE_MAX);
    (void)c;
    CLO_TRY(clo_wire_json_encode(tree, 2, &text));
    CLO_TRY(clo_buf_put_u8(&text, '\n'));
    return clo_os_file_write_atomic(path, clo_buf_span(&text), 0644);
}

static clo_err seal(clo_cli *c, const char *name, const char *schema_path, const char *set)
{
    const clo_collab_identity *who = NULL;
    clo_wire_schema schema;
    clo_wire_node *tree = NULL;
    dataset_files files;
    uint64_t threads = 2, chunk = 0, size = 0;
    CLO_TRY(clo_cli_identity(c, &who));
    const char *kms = clo_cli_value(c, "--kms");
    if (kms != NULL) {
        clo_span json;
        clo_client_home given = c->home;
        CLO_TRY(clo_cli_read(c, kms, &json));
        CLO_TRY(clo_client_home_take_kms(&given, json));
        c->home = given;
    }
    CLO_CHECKF(c->home.kms.known, CLO_E_USAGE,
               "to which key service shall the key go? run: cloister init --kms FILE.json, or give --kms FILE.json");
    CLO_TRY(find_files(c, name, &files));
    CLO_TRY(clo_cli_schema(c, schema_path, set, &schema, &tree));
    CLO_TRY(clo_cli_value_count(c, "--threads", 16, &threads));
    CLO_TRY(clo_cli_value_count(c, "--chunk-size", CLO_STREAM_CHUNK_MAX, &chunk));
    CLO_TRY(clo_os_file_size(c->args[0], &size));
    CLO_TRY(clo_client_home_save(&c->home));
    clo_os_progress_start(&c->progress, "sealing", 2 * size, true, c->quiet || c->json);
    clo_client_seal_options o = {.csv_path = c->args[0],
                                 .name = name,
                                 .schema = &schema,
                                 .owner = who,
                                 .kms_hpke = c->home.kms_hpke,
                                 .sealed_path = files.sealed,
                                 .key_path = files.key,
                                 .threads = (unsigned)threads,
                                 .chunk_size = (uint32_t)chunk,
                                 .now = clo_cli_now(),
                                 .progress = clo_cli_progress,
                                 .context = c};
    clo_collab_manifest m;
    CLO_TRY(clo_client_dataset_seal(&o, &m));
    clo_os_progress_end(&c->progress);
    CLO_TRY(write_schema(c, tree, files.schema));
    return say_manifest(c, &m, files.sealed);
}

clo_err clo_cli_dataset_seal(clo_cli *c)
{
    const char *name = NULL, *schema = NULL;
    CLO_TRY(clo_cli_require(c, "--name", &name));
    CLO_TRY(clo_cli_require(c, "--schema", &schema));
    return seal(c, name, schema, clo_cli_value(c, "--set"));
}

clo_err clo_cli_dataset_rekey(clo_cli *c)
{
    const char *name = NULL, *schema = clo_cli_value(c, "--schema"), *set = clo_cli_value(c, "--set");
    dataset_files files;
    CLO_TRY(clo_cli_require(c, "--name", &name));
    CLO_TRY(find_files(c, name, &files));
    CLO_CHECKF(clo_os_file_exists(files.sealed), CLO_E_NOT_FOUND,
               "there is no sealed dataset %s to replace; begin with: cloister dataset seal", name);
    if (schema == NULL) {
        schema = files.schema;
        set = NULL;
    }
    CLO_TRY(seal(c, name, schema, set));
    clo_cli_note(
        c,
        "This is a new version under a new key. Push it; then revoke the old key: cloister key list, cloister key revoke ID\n");
    return CLO_OK;
}

clo_err clo_cli_dataset_push(clo_cli *c)
{
    dataset_files files;
    clo_client_session *server = NULL, *kms = NULL;
    bool with_key = !clo_cli_flag(c, "--without-key");
    uint64_t size = 0;
    CLO_TRY(find_files(c, c->args[0], &files));
    CLO_CHECKF(clo_os_file_exists(files.sealed), CLO_E_NOT_FOUND, "there is no %s; seal it first: cloister dataset seal",
               files.sealed);
    CLO_TRY(clo_cli_server(c, &server));
    if (with_key) CLO_TRY(clo_cli_kms(c, &kms));
    CLO_TRY(clo_os_file_size(files.sealed, &size));
    clo_os_progress_start(&c->progress, "pushing", size, true, c->quiet || c->json);
    clo_client_push_options o = {.sealed_path = files.sealed,
                                 .key_path = with_key ? files.key : NULL,
                                 .server = server,
                                 .kms = kms,
                                 .progress = clo_cli_progress,
                                 .context = c};
    clo_collab_manifest m;
    CLO_TRY(clo_client_dataset_push(&o, &m));
    clo_os_progress_end(&c->progress);
    return say_manifest(c, &m, NULL);
}

static clo_err load(clo_cli *c, bool check)
{
    dataset_files files;
    clo_collab_manifest m;
    clo_span bytes;
    uint64_t content = 0;
    char path[CLO_CLIENT_PATH];
    const clo_crypto_public_key *owner = NULL;
    CLO_TRY(find_files(c, c->args[0], &files));
    CLO_TRY(clo_client_sealed_manifest(&c->arena, files.sealed, NULL, &m, &bytes, &content));
    /* Whose signature it must be: our own, or that of a party we know. */
    CLO_TRY(clo_client_home_path(&c->home, NULL, "identity.key", path));
    clo_collab_roots *roots = NULL;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof *roots, &memory));
    roots = memory;
    CLO_TRY(clo_client_roots_load(&c->home, NULL, roots));
    for (size_t i = 0; i < roots->party_count; i++)
        if (strcmp(roots->parties[i].name, m.owner) == 0) owner = &roots->parties[i].sign;
    if (owner == NULL && clo_os_file_exists(path)) {
        const clo_collab_identity *who = NULL;
        CLO_TRY(clo_cli_identity(c, &who));
        if (strcmp(who->public_half.name, m.owner) == 0) owner = &who->public_half.sign;
    }
    if (check) {
        CLO_CHECKF(owner != NULL, CLO_E_MISSING_FIELD, "the key of %s is not known here; run: cloister party import %s.party",
                   m.owner, m.owner);
        CLO_TRY(clo_client_sealed_check(&c->arena, files.sealed, owner, &m, &bytes));
        clo_cli_say(c, "The file is whole, and %s signed it.\n", m.owner);
    }
    return say_manifest(c, &m, files.sealed);
}

clo_err clo_cli_dataset_show(clo_cli *c) { return load(c, false); }
clo_err clo_cli_dataset_verify(clo_cli *c) { return load(c, true); }

typedef struct {
    clo_cli *c;
    const char *dir;
    clo_wire_node *list;
} listing;

static clo_err list_local(void *context, const char *name, bool is_directory)
{
    listing *l = context;
    size_t n = strlen(name);
    if (is_directory || n < 8 || strcmp(name + n - 7, ".sealed") != 0) return CLO_OK;
    char path[CLO_CLIENT_PATH];
    clo_collab_manifest m;
    clo_span bytes;
    uint64_t content = 0;
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_os_path_join(path, sizeof path, l->dir, name));
    if (clo_failed(clo_client_sealed_manifest(&l->c->arena, path, NULL, &m, &bytes, &content))) return CLO_OK;
    CLO_TRY(clo_collab_manifest_tree(&l->c->arena, &m, &tree));
    return clo_wire_append(l->list, tree);
}

clo_err clo_cli_dataset_list(clo_cli *c)
{
    static const clo_cli_column columns[] = {{"name", "NAME", 0},         {"owner", "OWNER", 0},      {"row_count", "ROWS", 0},
                                             {"complete", "COMPLETE", 0}, {"version", "VERSION", 16}, {"created", "CREATED", 0}};
    clo_wire_node *answer = NULL;
    CLO_TRY(clo_cli_home(c));
    if (c->home.server.known && !clo_cli_flag(c, "--local")) {
        clo_client_session *server = NULL;
        CLO_TRY(clo_cli_server(c, &server));
        CLO_TRY(clo_client_session_list(server, &c->arena, "/api/v1/datasets", "datasets", &answer));
    } else {
        char dir[CLO_CLIENT_PATH];
        clo_wire_node *list = NULL;
        CLO_TRY(clo_wire_map(&c->arena, &answer));
        CLO_TRY(clo_wire_array(&c->arena, &list));
        CLO_TRY(clo_client_home_path(&c->home, NULL, "datasets", dir));
        listing l = {.c = c, .dir = dir, .list = list};
        if (clo_os_dir_exists(dir)) CLO_TRY(clo_os_dir_list(dir, list_local, &l));
        CLO_TRY(clo_wire_set(&c->arena, answer, "datasets", list));
    }
    clo_cli_table(c, clo_wire_get(answer, "datasets"), columns, sizeof columns / sizeof columns[0], "No datasets.");
    return clo_cli_emit(c, answer);
}
