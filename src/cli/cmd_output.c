/* cloister output …, receipt …: what came out, and the proof of how. */
#include "cli/cli_int.h"

#include "ml/ml.h"
#include "os/file.h"
#include "wire/cbor.h"

#include <stdlib.h>

enum { PLAIN_MAX = 72 << 20 };

static clo_err require_run_id(clo_cli *c, uint8_t id[16])
{
    CLO_CHECKF(clo_cli_is_run_id(c->args[0]), CLO_E_USAGE, "\"%.40s\" is no run; its id has 32 hex digits", c->args[0]);
    return clo_hex_decode(id, 16, clo_span_str(c->args[0]));
}

/* ---- tables as CSV ---- */

static clo_err put_csv_cell(clo_buf *out, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) return clo_buf_put_str(out, text);
    CLO_TRY(clo_buf_put_u8(out, '"'));
    for (; *text != 0; text++) {
        if (*text == '"') CLO_TRY(clo_buf_put_u8(out, '"'));
        CLO_TRY(clo_buf_put_u8(out, (uint8_t)*text));
    }
    return clo_buf_put_u8(out, '"');
}

static void cell_text(const clo_wire_node *n, char *to, size_t size)
{
    to[0] = 0;
    if (n->type == CLO_WIRE_FLOAT)
        (void)snprintf(to, size, "%.10g", n->number);
    else if (n->type != CLO_WIRE_NULL)
        clo_cli_text_of(n, to, size);
}

static void shown_text(const clo_wire_node *n, char *to, size_t size)
{
    cell_text(n, to, size);
    clo_cli_clean(to, false);
}

static clo_err put_csv_row(clo_buf *out, const clo_wire_node *row)
{
    char text[300];
    for (const clo_wire_node *n = row->first; n != NULL; n = n->next) {
        cell_text(n, text, sizeof text);
        CLO_TRY(put_csv_cell(out, text));
        CLO_TRY(clo_buf_put_u8(out, n->next == NULL ? '\n' : ','));
    }
    return CLO_OK;
}

static bool is_table(const clo_wire_node *t)
{
    const clo_wire_node *columns = clo_wire_get(t, "columns"), *rows = clo_wire_get(t, "rows");
    return columns != NULL && columns->type == CLO_WIRE_ARRAY && rows != NULL && rows->type == CLO_WIRE_ARRAY;
}

static clo_err table_csv(const clo_wire_node *t, clo_buf *out)
{
    CLO_TRY(put_csv_row(out, clo_wire_get(t, "columns")));
    for (const clo_wire_node *row = clo_wire_get(t, "rows")->first; row != NULL; row = row->next) CLO_TRY(put_csv_row(out, row));
    return CLO_OK;
}

/* ---- for people ---- */

enum { SHOWN_COLUMNS_MAX = 64, SHOWN_ROWS_MAX = 50 };

static void measure_row(const clo_wire_node *row, size_t *width, size_t *count)
{
    char text[300];
    size_t i = 0;
    for (const clo_wire_node *n = row->first; n != NULL && i < SHOWN_COLUMNS_MAX; n = n->next, i++) {
        shown_text(n, text, sizeof text);
        size_t length = n->type == CLO_WIRE_NULL ? 8 : strlen(text);
        if (length > width[i]) width[i] = length;
    }
    if (i > *count) *count = i;
}

static void print_row(const clo_wire_node *row, const size_t *width)
{
    char text[300];
    size_t i = 0;
    (void)printf("  ");
    for (const clo_wire_node *n = row->first; n != NULL && i < SHOWN_COLUMNS_MAX; n = n->next, i++) {
        shown_text(n, text, sizeof text);
        (void)printf("%-*s%s", (int)width[i], n->type == CLO_WIRE_NULL ? "withheld" : text, n->next == NULL ? "\n" : "  ");
    }
}

static void say_table(clo_cli *c, const clo_wire_node *t)
{
    size_t width[SHOWN_COLUMNS_MAX] = {0}, count = 0, shown = 0;
    char rho[64], suppressed[40];
    if (c->json) return;
    const clo_wire_node *columns = clo_wire_get(t, "columns"), *rows = clo_wire_get(t, "rows");
    measure_row(columns, width, &count);
    for (const clo_wire_node *row = rows->first; row != NULL; row = row->next) measure_row(row, width, &count);
    print_row(columns, width);
    for (const clo_wire_node *row = rows->first; row != NULL && shown < SHOWN_ROWS_MAX; row = row->next, shown++)
        print_row(row, width);
    if (rows->count > shown) (void)printf("  … and %zu rows more\n", rows->count - shown);
    clo_cli_text_of(clo_wire_get(t, "rho"), rho, sizeof rho);
    clo_cli_text_of(clo_wire_get(t, "suppressed"), suppressed, sizeof suppressed);
    (void)printf("  spent rho %s on each dataset; %s rows withheld by the minimum-rows guard\n", rho, suppressed);
    const clo_wire_node *noise = clo_wire_get(t, "noise");
    for (const clo_wire_node *n = noise == NULL ? NULL : noise->first; n != NULL; n = n->next) {
        char amount[40];
        const clo_wire_node *sigma = clo_wire_get(n, "sigma");
        clo_cli_text_of(sigma != NULL ? sigma : clo_wire_get(n, "scale"), amount, sizeof amount);
        (void)printf("  noise on %s: %s, %s %s\n", clo_client_text(n, "column"), clo_client_text(n, "mechanism"),
                     sigma != NULL ? "sigma" : "scale", amount);
    }
}

static clo_err say_model(clo_cli *c, clo_span file, clo_wire_node **tree)
{
    CLO_AUTO(clo_ml_model_free) clo_ml_model *m = NULL;
    CLO_TRY(clo_ml_model_decode(file, &m));
    CLO_TRY(clo_ml_model_describe(&c->arena, m, tree));
    clo_cli_say(c, "  logistic regression of %s on %zu features, %llu rows, %u steps, %s\n", m->target, m->feature_count,
                (unsigned long long)m->row_count, m->steps, m->is_private ? "differentially private" : "not private");
    return CLO_OK;
}

/* ---- commands ---- */

typedef struct {
    clo_collab_agreement *agreement;
    const char *run_name;
    uint8_t id[16];
    clo_collab_output output;
    clo_wire_node *content; /* of a table, or the model's description */
} opened;

static clo_err open_output(clo_cli *c, opened *o)
{
    clo_client_session *server = NULL;
    clo_wire_node *run = NULL;
    const clo_collab_identity *who = NULL;
    uint32_t mask = 0;
    char path[100];
    CLO_TRY(require_run_id(c, o->id));
    CLO_TRY(clo_cli_identity(c, &who));
    CLO_TRY(clo_cli_server(c, &server));
    (void)snprintf(path, sizeof path, "/api/v1/runs/%s", c->args[0]);
    CLO_TRY(clo_cli_get(c, server, path, &run));
    const char *agreement = clo_client_text(run, "agreement");
    o->run_name = clo_client_text(run, "run");
    CLO_CHECKF(agreement != NULL && o->run_name != NULL, CLO_E_MALFORMED,
               "the operator's answer about the run is not understood");
    CLO_TRY(clo_cli_agreement(c, agreement, &o->agreement, &mask, NULL));
    CLO_TRY(clo_collab_agreement_require_signed(o->agreement, mask));
    CLO_AUTO(clo_buf_free) clo_buf plain;
    clo_buf_init(&plain, PLAIN_MAX);
    CLO_TRY(clo_client_output_open(server, o->agreement, o->run_name, o->id, who, &plain));
    return clo_collab_output_decode(&c->arena, clo_buf_span(&plain), &o->output);
}

static clo_err write_output(clo_cli *c, const opened *o, const char *out, const char *format, char path[CLO_CLIENT_PATH])
{
    bool table = strcmp(o->output.media_type, "application/cbor") == 0;
    bool csv = table && format != NULL && strcmp(format, "csv") == 0;
    char name[80];
    if (out == NULL) {
        (void)snprintf(name, sizeof name, "%s.%s", c->args[0], !table ? "model" : csv ? "csv" : "json");
        CLO_TRY(clo_client_home_path(&c->home, NULL, "outputs", path));
        CLO_TRY(clo_os_dir_make(path));
        CLO_TRY(clo_client_home_path(&c->home, "outputs", name, path));
    } else
        CLO_TRY(clo_str_set(path, CLO_CLIENT_PATH, clo_span_str(out)));
    if (!table) return clo_os_file_write_atomic(path, o->output.content, 0600);
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, PLAIN_MAX);
    if (csv) {
        CLO_CHECKF(is_table(o->content), CLO_E_UNSUPPORTED, "this output is no table of rows; take --format json");
        CLO_TRY(table_csv(o->content, &text));
    } else {
        CLO_TRY(clo_wire_json_encode(o->content, 2, &text));
        CLO_TRY(clo_buf_put_u8(&text, '\n'));
    }
    return clo_os_file_write_atomic(path, clo_buf_span(&text), 0600);
}

clo_err clo_cli_output_open(clo_cli *c)
{
    opened o;
    memset(&o, 0, sizeof o);
    char path[CLO_CLIENT_PATH], receipt[CLO_CLIENT_PATH] = "";
    const char *format = clo_cli_value(c, "--format");
    CLO_CHECKF(format == NULL || strcmp(format, "json") == 0 || strcmp(format, "csv") == 0, CLO_E_USAGE,
               "--format is json or csv");
    CLO_TRY(open_output(c, &o));
    clo_cli_say(c, "%s of run %s (%s)\n", o.output.kind, o.output.name, c->args[0]);
    bool table = strcmp(o.output.media_type, "application/cbor") == 0;
    if (table)
        CLO_TRY(clo_wire_cbor_decode(&c->arena, o.output.content, NULL, &o.content));
    else
        CLO_TRY(say_model(c, o.output.content, &o.content));
    if (table && is_table(o.content)) say_table(c, o.content);
    CLO_TRY(write_output(c, &o, clo_cli_value(c, "--out"), format, path));
    clo_cli_say(c, "  written to %s\n", path);
    /* The receipt belongs to it; a run whose statement is not in the log yet has none. */
    clo_err e = clo_cli_receipt_keep(c, c->args[0], receipt);
    if (!clo_failed(e)) clo_cli_say(c, "  receipt %s\n", receipt);
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "id", c->args[0]));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "run", o.output.name));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "kind", o.output.kind));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "file", path));
    if (!clo_failed(e)) CLO_TRY(clo_wire_set_text(&c->arena, map, "receipt", receipt));
    CLO_TRY(clo_wire_set(&c->arena, map, "content", o.content));
    return clo_cli_emit(c, map);
}

static clo_err list(clo_cli *c, const char *path, const char *key, const char *none)
{
    static const clo_cli_column columns[] = {
        {"id", "ID", 0}, {"run", "RUN", 0}, {"starter", "STARTER", 0}, {"changed", "DONE", 0}, {"log_index", "LOG", 0}};
    clo_client_session *server = NULL;
    clo_wire_node *answer = NULL;
    CLO_TRY(clo_cli_server(c, &server));
    CLO_TRY(clo_client_session_list(server, &c->arena, path, key, &answer));
    clo_cli_table(c, clo_wire_get(answer, key), columns, sizeof columns / sizeof columns[0], none);
    return clo_cli_emit(c, answer);
}

clo_err clo_cli_output_list(clo_cli *c) { return list(c, "/api/v1/outputs", "outputs", "No outputs."); }
clo_err clo_cli_receipt_list(clo_cli *c) { return list(c, "/api/v1/receipts", "receipts", "No receipts."); }

clo_err clo_cli_receipt_keep(clo_cli *c, const char *id, char path[CLO_CLIENT_PATH])
{
    clo_client_session *server = NULL;
    clo_span bytes;
    char name[80], request[100];
    CLO_TRY(clo_cli_server(c, &server));
    (void)snprintf(request, sizeof request, "/api/v1/receipts/%.40s", id);
    CLO_TRY(clo_client_session_get(server, &c->arena, request, CLI_FILE_MAX, &bytes));
    (void)snprintf(name, sizeof name, "%.40s.receipt", id);
    CLO_TRY(clo_client_home_path(&c->home, NULL, "receipts", path));
    CLO_TRY(clo_os_dir_make(path));
    CLO_TRY(clo_client_home_path(&c->home, "receipts", name, path));
    return clo_os_file_write_atomic(path, bytes, 0644);
}

clo_err clo_cli_receipt_fetch(clo_cli *c)
{
    uint8_t id[16];
    char path[CLO_CLIENT_PATH];
    const char *out = clo_cli_value(c, "--out");
    clo_wire_node *map = NULL;
    CLO_TRY(require_run_id(c, id));
    CLO_TRY(clo_cli_receipt_keep(c, c->args[0], path));
    if (out != NULL) {
        CLO_TRY(clo_os_file_copy(path, out, 0644));
        CLO_TRY(clo_str_set(path, sizeof path, clo_span_str(out)));
    }
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "file", path));
    clo_cli_say(c, "%s\nCheck it with: cloister receipt verify %s\n", path, path);
    return clo_cli_emit(c, map);
}
