/* Output: sentences for people, one JSON document for programs. */
#include "cli/cli_int.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

void clo_cli_clean(char *text, bool lines)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        size_t hidden = clo_utf8_hidden(clo_span_of(text + i, n - i));
        if (hidden > 0 && !(lines && (text[i] == '\n' || text[i] == '\t'))) memset(text + i, '?', hidden);
        i += hidden > 0 ? hidden : 1;
    }
}

__attribute__((format(printf, 1, 0))) static void print_clean(const char *fmt, va_list list)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, list) < 0) return;
    clo_cli_clean(text, true);
    (void)fputs(text, stdout);
    free(text);
}

/* Commands that are called for what they do, not for what they say: with --quiet their success needs no words. */
static bool only_does(const clo_cli_command *k)
{
    static const char *const verbs[] = {"new",    "export",    "import", "seal",   "rekey",  "push",   "sign",    "submit", "stop",
                                        "resume", "terminate", "cancel", "fetch",  "rotate", "enable", "disable", "revoke", "destroy",
                                        "set"};
    if (k->verb == NULL) return strcmp(k->noun, "init") == 0;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(k->verb, verbs[i]) == 0) return true;
    return false;
}

void clo_cli_say(clo_cli *c, const char *fmt, ...)
{
    if (c->json || (c->quiet && only_does(c->command))) return;
    va_list list;
    va_start(list, fmt);
    print_clean(fmt, list);
    va_end(list);
}

void clo_cli_note(clo_cli *c, const char *fmt, ...)
{
    if (c->json || c->quiet) return;
    va_list list;
    va_start(list, fmt);
    print_clean(fmt, list);
    va_end(list);
}

clo_err clo_cli_emit(clo_cli *c, const clo_wire_node *node)
{
    if (!c->json) return CLO_OK;
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, CLI_FILE_MAX);
    CLO_TRY(clo_wire_json_encode(node, clo_os_term_is_tty(1) ? 2 : 0, &text));
    CLO_TRY(clo_buf_put_u8(&text, '\n'));
    c->emitted = true;
    CLO_CHECKF(fwrite(text.p, 1, text.len, stdout) == text.len && fflush(stdout) == 0, CLO_E_IO,
               "standard output could not be written");
    return CLO_OK;
}

void clo_cli_text_of(const clo_wire_node *n, char *to, size_t size)
{
    to[0] = 0;
    if (n == NULL) return;
    switch (n->type) {
    case CLO_WIRE_BOOL:
        (void)snprintf(to, size, "%s", n->boolean ? "yes" : "no");
        break;
    case CLO_WIRE_INT:
        (void)snprintf(to, size, "%lld", (long long)n->integer);
        break;
    case CLO_WIRE_FLOAT:
        (void)snprintf(to, size, "%.6g", n->number);
        break;
    case CLO_WIRE_TEXT:
        (void)snprintf(to, size, "%s", (const char *)n->text.p);
        break;
    case CLO_WIRE_BYTES:
        if (2 * n->text.n < size) clo_hex_encode(to, n->text);
        break;
    case CLO_WIRE_NULL:
        (void)snprintf(to, size, "-");
        break;
    case CLO_WIRE_ARRAY:
    case CLO_WIRE_MAP:
    case CLO_WIRE_TAG:
        (void)snprintf(to, size, "(%zu)", n->count);
        break;
    }
}

enum { CELL_MAX = 140, COLUMNS_MAX = 40 };

static void cell(const clo_wire_node *row, const clo_cli_column *column, char to[CELL_MAX])
{
    clo_cli_text_of(clo_wire_get(row, column->key), to, CELL_MAX);
    clo_cli_clean(to, false);
    if (column->cut != 0 && strlen(to) > column->cut) to[column->cut] = 0;
}

static void line_end(size_t i, size_t count, const char *text, size_t width)
{
    if (i + 1 == count)
        (void)printf("%s\n", text);
    else
        (void)printf("%-*s  ", (int)width, text);
}

void clo_cli_table(clo_cli *c, const clo_wire_node *list, const clo_cli_column *columns, size_t count, const char *none)
{
    char text[CELL_MAX];
    size_t width[COLUMNS_MAX];
    if (c->json || count > COLUMNS_MAX) return;
    if (list == NULL || list->first == NULL) {
        (void)printf("%s\n", none);
        return;
    }
    for (size_t i = 0; i < count; i++) width[i] = strlen(columns[i].title);
    for (const clo_wire_node *row = list->first; row != NULL; row = row->next)
        for (size_t i = 0; i < count; i++) {
            cell(row, &columns[i], text);
            if (strlen(text) > width[i]) width[i] = strlen(text);
        }
    for (size_t i = 0; i < count; i++) line_end(i, count, columns[i].title, width[i]);
    for (const clo_wire_node *row = list->first; row != NULL; row = row->next)
        for (size_t i = 0; i < count; i++) {
            cell(row, &columns[i], text);
            line_end(i, count, text, width[i]);
        }
}

void clo_cli_say_denial(clo_cli *c, const char *claim, const char *expected, const char *actual, const char *source,
                        const char *remedy)
{
    clo_cli_say(c, "  claim     %s\n  expected  %s\n  actual    %s\n  source    %s\n  remedy    %s\n", claim, expected, actual,
                source, remedy);
}

void clo_cli_progress(void *cli, uint64_t done, uint64_t total)
{
    clo_cli *c = cli;
    (void)total;
    clo_os_progress_set(&c->progress, done);
}
