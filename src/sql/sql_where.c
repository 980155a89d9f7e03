/* The WHERE expression: parsed completely and written again from the parse, so that SQLite sees only what this grammar has.
 *
 * Every operator and function here is a total function of one row: no error, no state, no other row. That is what the
 * sensitivity proof of sql_plan.c rests on (SQLite's integer overflow turns into a real, division by zero into NULL). */
#include <stdio.h>

#include "sql/sql_int.h"

typedef struct {
    clo_sql_lexer *x;
    const clo_wire_schema *schema;
    clo_sql_program *out;
    unsigned depth, terms;
} where;

static const struct {
    const char *name;
    unsigned min, max;
} functions[] = {
    {"COALESCE", 2, 8}, {"IFNULL", 2, 2}, {"NULLIF", 2, 2}, {"LENGTH", 1, 1}, {"LOWER", 1, 1}, {"UPPER", 1, 1}, {"ROUND", 1, 2},
};

static clo_err parse_or(where *w);

static bool at(const where *w, const char *text) { return clo_sql_token_is(&w->x->token, text); }

/* Each token is followed by a space, so that two of them never melt into another. */
static clo_err put(where *w, const char *text)
{
    CLO_TRY(clo_buf_put_str(&w->out->where, text));
    return clo_buf_put_u8(&w->out->where, ' ');
}

static clo_err put_and_next(where *w, const char *text)
{
    CLO_TRY(put(w, text));
    return clo_sql_lexer_next(w->x);
}

static clo_err expect(where *w, const char *symbol)
{
    if (!at(w, symbol)) return clo_sql_error_at(&w->x->token, CLO_E_MALFORMED, "'%s' is expected here", symbol);
    return put_and_next(w, symbol);
}

static clo_err deeper(where *w)
{
    if (++w->depth > CLO_SQL_DEPTH_MAX)
        return clo_sql_error_at(&w->x->token, CLO_E_TOO_MANY, "the expression is nested deeper than %d levels",
                                CLO_SQL_DEPTH_MAX);
    return CLO_OK;
}

static clo_err parse_parameter(where *w)
{
    clo_sql_program *out = w->out;
    clo_span name = w->x->token.text;
    size_t i = 0;
    if (name.n >= sizeof out->parameters[0])
        return clo_sql_error_at(&w->x->token, CLO_E_TOO_LARGE, "the name of a parameter has at most 63 characters");
    while (i < out->parameter_count && !clo_span_equal(clo_span_str(out->parameters[i]), name)) i++;
    if (i == out->parameter_count) {
        if (i == CLO_SQL_PARAMETERS_MAX)
            return clo_sql_error_at(&w->x->token, CLO_E_TOO_MANY, "a program has at most %d parameters", CLO_SQL_PARAMETERS_MAX);
        memcpy(out->parameters[i], name.p, name.n);
        out->parameters[i][name.n] = '\0';
        out->parameter_count++;
    }
    char text[16];
    (void)snprintf(text, sizeof text, "?%zu", i + 1);
    return put_and_next(w, text);
}

static clo_err parse_arguments(where *w, unsigned min, unsigned max)
{
    clo_sql_token call = w->x->token;
    unsigned count = 0;
    CLO_TRY(deeper(w));
    CLO_TRY(expect(w, "("));
    for (;;) {
        CLO_TRY(parse_or(w));
        count++;
        if (!at(w, ",")) break;
        CLO_TRY(put_and_next(w, ","));
    }
    CLO_TRY(expect(w, ")"));
    w->depth--;
    if (count < min || count > max)
        return clo_sql_error_at(&call, CLO_E_MALFORMED, "this function takes %u to %u arguments, not %u", min, max, count);
    return CLO_OK;
}

static clo_err parse_word(where *w)
{
    clo_sql_lexer *x = w->x;
    size_t column = 0;
    char text[16];
    if (x->token.type == CLO_SQL_TOKEN_WORD) {
        if (at(w, "NULL")) return put_and_next(w, "NULL");
        for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
            clo_sql_lexer ahead = *x;
            if (!at(w, functions[i].name)) continue;
            CLO_TRY(clo_sql_lexer_next(&ahead));
            if (!clo_sql_token_is(&ahead.token, "(")) break; /* a column may have this name */
            CLO_TRY(put_and_next(w, functions[i].name));
            return parse_arguments(w, functions[i].min, functions[i].max);
        }
    }
    CLO_TRY(clo_sql_parse_column(x, w->schema, &column));
    w->out->where_columns[column] = true;
    (void)snprintf(text, sizeof text, "c%zu", column);
    return put(w, text);
}

static clo_err parse_primary(where *w)
{
    clo_sql_token t = w->x->token;
    if (++w->terms > CLO_SQL_TERMS_MAX)
        return clo_sql_error_at(&t, CLO_E_TOO_MANY, "the expression has more than %d operands", CLO_SQL_TERMS_MAX);
    if (t.type == CLO_SQL_TOKEN_PARAMETER) return parse_parameter(w);
    if (t.type == CLO_SQL_TOKEN_NUMBER || t.type == CLO_SQL_TOKEN_STRING) {
        CLO_TRY(clo_buf_put_span(&w->out->where, t.text)); /* the lexer proved that it is one whole literal */
        return put_and_next(w, "");
    }
    if (at(w, "(")) {
        CLO_TRY(deeper(w));
        CLO_TRY(put_and_next(w, "("));
        CLO_TRY(parse_or(w));
        CLO_TRY(expect(w, ")"));
        w->depth--;
        return CLO_OK;
    }
    if (t.type == CLO_SQL_TOKEN_WORD || t.type == CLO_SQL_TOKEN_QUOTED) return parse_word(w);
    return clo_sql_error_at(&t, CLO_E_MALFORMED, "a value is expected here");
}

static clo_err parse_unary(where *w)
{
    unsigned minuses = 0;
    while (at(w, "-")) {
        if (++minuses > 1) return clo_sql_error_at(&w->x->token, CLO_E_MALFORMED, "one minus is enough");
        CLO_TRY(put_and_next(w, "-"));
    }
    return parse_primary(w);
}

static clo_err parse_product(where *w)
{
    CLO_TRY(parse_unary(w));
    while (at(w, "*") || at(w, "/")) {
        CLO_TRY(put_and_next(w, at(w, "*") ? "*" : "/"));
        CLO_TRY(parse_unary(w));
    }
    return CLO_OK;
}

static clo_err parse_sum(where *w)
{
    CLO_TRY(parse_product(w));
    while (at(w, "+") || at(w, "-")) {
        CLO_TRY(put_and_next(w, at(w, "+") ? "+" : "-"));
        CLO_TRY(parse_product(w));
    }
    return CLO_OK;
}

/* [NOT] IN (list) and [NOT] BETWEEN low AND high; the NOT is consumed. */
static clo_err parse_range(where *w)
{
    if (at(w, "IN")) {
        CLO_TRY(put_and_next(w, "IN"));
        CLO_TRY(expect(w, "("));
        for (;;) {
            CLO_TRY(parse_sum(w));
            if (!at(w, ",")) return expect(w, ")");
            CLO_TRY(put_and_next(w, ","));
        }
    }
    if (!at(w, "BETWEEN")) return clo_sql_error_at(&w->x->token, CLO_E_MALFORMED, "IN or BETWEEN is expected behind NOT");
    CLO_TRY(put_and_next(w, "BETWEEN"));
    CLO_TRY(parse_sum(w));
    CLO_TRY(expect(w, "AND"));
    return parse_sum(w);
}

static clo_err parse_comparison(where *w)
{
    static const char *const operators[] = {"=", "==", "<>", "!=", "<=", ">=", "<", ">"};
    CLO_TRY(parse_sum(w));
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (!at(w, operators[i])) continue;
        CLO_TRY(put_and_next(w, operators[i]));
        return parse_sum(w);
    }
    if (at(w, "IS")) {
        CLO_TRY(put_and_next(w, "IS"));
        if (at(w, "NOT")) CLO_TRY(put_and_next(w, "NOT"));
        return expect(w, "NULL");
    }
    if (at(w, "NOT")) {
        CLO_TRY(put_and_next(w, "NOT"));
        return parse_range(w);
    }
    if (at(w, "IN") || at(w, "BETWEEN")) return parse_range(w);
    return CLO_OK;
}

static clo_err parse_not(where *w)
{
    unsigned nots = 0;
    while (at(w, "NOT")) {
        if (++nots > 1) return clo_sql_error_at(&w->x->token, CLO_E_MALFORMED, "one NOT is enough");
        CLO_TRY(put_and_next(w, "NOT"));
    }
    return parse_comparison(w);
}

static clo_err parse_and(where *w)
{
    CLO_TRY(parse_not(w));
    while (at(w, "AND")) {
        CLO_TRY(put_and_next(w, "AND"));
        CLO_TRY(parse_not(w));
    }
    return CLO_OK;
}

static clo_err parse_or(where *w)
{
    CLO_TRY(parse_and(w));
    while (at(w, "OR")) {
        CLO_TRY(put_and_next(w, "OR"));
        CLO_TRY(parse_and(w));
    }
    return CLO_OK;
}

clo_err clo_sql_parse_where(clo_sql_lexer *x, const clo_wire_schema *schema, clo_sql_program *out)
{
    where w = {.x = x, .schema = schema, .out = out};
    CLO_TRY(parse_or(&w));
    out->has_where = true;
    return CLO_OK;
}
