#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/clo_text.h"
#include "sql/sql_int.h"

clo_err clo_sql_error_at(const clo_sql_token *t, uint32_t code, const char *fmt, ...)
{
    char text[384];
    va_list list;
    va_start(list, fmt);
    (void)vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    return CLO_FAILF(code, "line %u, column %u: %s", t->line, t->column, text);
}

clo_err clo_sql_lexer_open(clo_sql_lexer *x, clo_span program)
{
    CLO_CHECKF(program.n <= CLO_SQL_PROGRAM_MAX, CLO_E_TOO_LARGE, "the SQL program is longer than %d bytes", CLO_SQL_PROGRAM_MAX);
    CLO_CHECKF(clo_utf8_valid(program) && (program.n == 0 || memchr(program.p, 0, program.n) == NULL), CLO_E_MALFORMED,
               "the SQL program is not UTF-8 text");
    *x = (clo_sql_lexer){.program = program, .line = 1, .column = 1};
    return clo_sql_lexer_next(x);
}

static uint8_t peek(const clo_sql_lexer *x, size_t ahead)
{
    return x->at + ahead < x->program.n ? x->program.p[x->at + ahead] : (uint8_t)0;
}

static void skip(clo_sql_lexer *x, size_t count)
{
    for (size_t i = 0; i < count && x->at < x->program.n; i++) {
        if (x->program.p[x->at++] == '\n') {
            x->line++;
            x->column = 1;
        } else {
            x->column++;
        }
    }
}

static bool is_word_start(uint8_t c) { return isalpha(c) || c == '_'; }
static bool is_word(uint8_t c) { return isalnum(c) || c == '_'; }

/* Length of 'text' or "name" at the position, a doubled quote stands for one; 0 where it does not end. */
static size_t quoted_length(const clo_sql_lexer *x)
{
    uint8_t quote = peek(x, 0);
    for (size_t i = 1; x->at + i < x->program.n; i++) {
        if (peek(x, i) != quote) continue;
        if (peek(x, i + 1) != quote) return i + 1;
        i++;
    }
    return 0;
}

static size_t word_length(const clo_sql_lexer *x, size_t from)
{
    size_t n = from;
    while (is_word(peek(x, n))) n++;
    return n;
}

/* digits [. digits] [e [sign] digits], or . digits */
static size_t number_length(const clo_sql_lexer *x)
{
    size_t n = 0;
    while (isdigit(peek(x, n))) n++;
    if (peek(x, n) == '.') {
        n++;
        while (isdigit(peek(x, n))) n++;
    }
    if (peek(x, n) == 'e' || peek(x, n) == 'E') {
        size_t m = n + 1;
        if (peek(x, m) == '+' || peek(x, m) == '-') m++;
        if (!isdigit(peek(x, m))) return 0;
        while (isdigit(peek(x, m))) m++;
        n = m;
    }
    return is_word(peek(x, n)) || peek(x, n) == '.' ? 0 : n;
}

static size_t symbol_length(const clo_sql_lexer *x)
{
    static const char *const two[] = {"<=", ">=", "<>", "!=", "=="};
    for (size_t i = 0; i < sizeof two / sizeof two[0]; i++)
        if (peek(x, 0) == (uint8_t)two[i][0] && peek(x, 1) == (uint8_t)two[i][1]) return 2;
    return peek(x, 0) != 0 && strchr("=<>+-*/(),;", peek(x, 0)) != NULL ? 1 : 0;
}

static bool is_comment(const clo_sql_lexer *x)
{
    return (peek(x, 0) == '-' && peek(x, 1) == '-') || (peek(x, 0) == '/' && peek(x, 1) == '*');
}

clo_err clo_sql_lexer_next(clo_sql_lexer *x)
{
    enum { NUMBER_MAX = 40 };
    while (x->at < x->program.n && strchr(" \t\r\n", x->program.p[x->at]) != NULL) skip(x, 1);
    clo_sql_token t = {.type = CLO_SQL_TOKEN_END, .line = x->line, .column = x->column};
    uint8_t c = peek(x, 0);
    size_t n = 0, drop = 0;
    if (x->at == x->program.n) {
        x->token = t;
        return CLO_OK;
    }
    if (is_comment(x)) return clo_sql_error_at(&t, CLO_E_MALFORMED, "comments are not accepted in a program; remove it");
    if (is_word_start(c)) {
        t.type = CLO_SQL_TOKEN_WORD;
        n = word_length(x, 0);
    } else if (isdigit(c) || (c == '.' && isdigit(peek(x, 1)))) {
        t.type = CLO_SQL_TOKEN_NUMBER;
        n = number_length(x);
        if (n == 0 || n > NUMBER_MAX) return clo_sql_error_at(&t, CLO_E_MALFORMED, "this is not a number");
    } else if (c == '\'' || c == '"') {
        t.type = c == '"' ? CLO_SQL_TOKEN_QUOTED : CLO_SQL_TOKEN_STRING;
        n = quoted_length(x);
        if (n == 0) return clo_sql_error_at(&t, CLO_E_MALFORMED, "the quoted text that begins here does not end");
    } else if (c == ':' && is_word_start(peek(x, 1))) {
        t.type = CLO_SQL_TOKEN_PARAMETER;
        n = word_length(x, 1);
        drop = 1;
    } else {
        t.type = CLO_SQL_TOKEN_SYMBOL;
        n = symbol_length(x);
        if (n == 0) return clo_sql_error_at(&t, CLO_E_MALFORMED, "this character is not part of the dialect");
    }
    t.text = clo_span_of(x->program.p + x->at + drop, n - drop);
    skip(x, n);
    x->token = t;
    return CLO_OK;
}

bool clo_sql_token_is(const clo_sql_token *t, const char *wanted)
{
    if (t->type != CLO_SQL_TOKEN_WORD && t->type != CLO_SQL_TOKEN_SYMBOL) return false;
    return t->text.n == strlen(wanted) && strncasecmp((const char *)t->text.p, wanted, t->text.n) == 0;
}
