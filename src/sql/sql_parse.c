#include <stdio.h>

#include "sql/sql_int.h"

void clo_sql_program_free(clo_sql_program *p)
{
    if (p != NULL) clo_buf_free(&p->where);
}

static const char *const reserved[] = {"SELECT", "FROM", "WHERE", "GROUP",   "BY", "AS",  "AND",
                                       "OR",     "NOT",  "IN",    "BETWEEN", "IS", "NULL"};

static bool is_reserved(const clo_sql_token *t)
{
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (clo_sql_token_is(t, reserved[i])) return true;
    return false;
}

static clo_err expect(clo_sql_lexer *x, const char *wanted)
{
    if (!clo_sql_token_is(&x->token, wanted)) return clo_sql_error_at(&x->token, CLO_E_MALFORMED, "%s is expected here", wanted);
    return clo_sql_lexer_next(x);
}

/* The text of a word, or of "quoted" with its doubled quotes made single. */
static clo_err identifier(const clo_sql_token *t, char *to, size_t to_size)
{
    size_t n = 0, from = 0, end = t->text.n;
    if (t->type == CLO_SQL_TOKEN_QUOTED) {
        from = 1;
        end--;
    }
    for (size_t i = from; i < end; i++) {
        if (n + 1 >= to_size) return clo_sql_error_at(t, CLO_E_TOO_LARGE, "this name is too long");
        to[n++] = (char)t->text.p[i];
        if (t->type == CLO_SQL_TOKEN_QUOTED && t->text.p[i] == '"') i++;
    }
    to[n] = '\0';
    if (n == 0) return clo_sql_error_at(t, CLO_E_MALFORMED, "a name is empty");
    return CLO_OK;
}

clo_err clo_sql_parse_column(clo_sql_lexer *x, const clo_wire_schema *schema, size_t *column)
{
    char name[64];
    clo_sql_token t = x->token;
    if (t.type != CLO_SQL_TOKEN_QUOTED && (t.type != CLO_SQL_TOKEN_WORD || is_reserved(&t)))
        return clo_sql_error_at(&t, CLO_E_MALFORMED, "the name of a column is expected here");
    CLO_TRY(identifier(&t, name, sizeof name));
    int found = clo_wire_schema_find(schema, name);
    if (found < 0)
        return clo_sql_error_at(&t, CLO_E_MALFORMED,
                                "there is no column \"%s\"; use a column of the schema (functions: COUNT, SUM, AVG; in "
                                "WHERE: COALESCE, IFNULL, NULLIF, LENGTH, LOWER, UPPER, ROUND)",
                                name);
    *column = (size_t)found;
    return clo_sql_lexer_next(x);
}

static clo_err aggregate(clo_sql_lexer *x, const clo_wire_schema *schema, clo_sql_item_kind kind, const char *label,
                         clo_sql_item *item)
{
    clo_sql_token call = x->token;
    CLO_TRY(clo_sql_lexer_next(x));
    CLO_TRY(expect(x, "("));
    item->kind = kind;
    if (kind == CLO_SQL_COUNT && clo_sql_token_is(&x->token, "*")) {
        CLO_TRY(clo_sql_lexer_next(x));
        item->kind = CLO_SQL_COUNT_ALL;
        (void)snprintf(item->name, sizeof item->name, "count");
        return expect(x, ")");
    }
    CLO_TRY(clo_sql_parse_column(x, schema, &item->column));
    const clo_wire_column *c = &schema->columns[item->column];
    bool numeric = c->type == CLO_COLUMN_INT || c->type == CLO_COLUMN_FLOAT;
    if (kind != CLO_SQL_COUNT && !(numeric && c->bounded))
        return clo_sql_error_at(&call, CLO_E_MALFORMED,
                                "%s needs a numeric column with public bounds; give \"%s\" a min and a max in the schema", label,
                                c->name);
    (void)snprintf(item->name, sizeof item->name, "%s_%s", label, c->name);
    return expect(x, ")");
}

static clo_err item(clo_sql_lexer *x, const clo_wire_schema *schema, clo_sql_item *out)
{
    static const struct {
        const char *word, *label;
        clo_sql_item_kind kind;
    } kinds[] = {{"COUNT", "count", CLO_SQL_COUNT}, {"SUM", "sum", CLO_SQL_SUM}, {"AVG", "avg", CLO_SQL_AVG}};
    bool found = false;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && !found; i++) {
        clo_sql_lexer ahead = *x;
        if (!clo_sql_token_is(&x->token, kinds[i].word)) continue;
        CLO_TRY(clo_sql_lexer_next(&ahead));
        if (!clo_sql_token_is(&ahead.token, "(")) break; /* a column may have this name */
        CLO_TRY(aggregate(x, schema, kinds[i].kind, kinds[i].label, out));
        found = true;
    }
    if (!found) {
        out->kind = CLO_SQL_GROUP;
        CLO_TRY(clo_sql_parse_column(x, schema, &out->column));
        (void)snprintf(out->name, sizeof out->name, "%s", schema->columns[out->column].name);
    }
    if (!clo_sql_token_is(&x->token, "AS")) return CLO_OK;
    CLO_TRY(clo_sql_lexer_next(x));
    if (x->token.type != CLO_SQL_TOKEN_QUOTED && (x->token.type != CLO_SQL_TOKEN_WORD || is_reserved(&x->token)))
        return clo_sql_error_at(&x->token, CLO_E_MALFORMED, "a name is expected behind AS");
    CLO_TRY(identifier(&x->token, out->name, 64));
    return clo_sql_lexer_next(x);
}

static clo_err items(clo_sql_lexer *x, const clo_wire_schema *schema, clo_sql_program *out)
{
    for (;;) {
        clo_sql_token start = x->token;
        if (out->item_count == CLO_SQL_ITEMS_MAX)
            return clo_sql_error_at(&start, CLO_E_TOO_MANY, "a program selects at most %d items", CLO_SQL_ITEMS_MAX);
        clo_sql_item *next = &out->items[out->item_count];
        CLO_TRY(item(x, schema, next));
        for (size_t i = 0; i < out->item_count; i++)
            if (strcmp(out->items[i].name, next->name) == 0)
                return clo_sql_error_at(&start, CLO_E_DUPLICATE, "two items are named \"%s\"; name one with AS", next->name);
        out->item_count++;
        if (!clo_sql_token_is(&x->token, ",")) return CLO_OK;
        CLO_TRY(clo_sql_lexer_next(x));
    }
}

static clo_err grouping(clo_sql_lexer *x, const clo_wire_schema *schema, clo_sql_program *out)
{
    CLO_TRY(expect(x, "GROUP"));
    CLO_TRY(expect(x, "BY"));
    for (;;) {
        clo_sql_token start = x->token;
        size_t column = 0;
        CLO_TRY(clo_sql_parse_column(x, schema, &column));
        const clo_wire_column *c = &schema->columns[column];
        if (c->type != CLO_COLUMN_CODE && !(c->type == CLO_COLUMN_INT && c->bounded))
            return clo_sql_error_at(&start, CLO_E_MALFORMED,
                                    "the values of a grouping column must be public: \"%s\" needs codes, or whole numbers "
                                    "with a min and a max, in the schema",
                                    c->name);
        for (size_t i = 0; i < out->group_count; i++)
            if (out->groups[i] == column) return clo_sql_error_at(&start, CLO_E_DUPLICATE, "\"%s\" is grouped by twice", c->name);
        if (out->group_count == CLO_SQL_GROUP_COLUMNS_MAX)
            return clo_sql_error_at(&start, CLO_E_TOO_MANY, "a program groups by at most %d columns", CLO_SQL_GROUP_COLUMNS_MAX);
        out->groups[out->group_count++] = column;
        if (!clo_sql_token_is(&x->token, ",")) return CLO_OK;
        CLO_TRY(clo_sql_lexer_next(x));
    }
}

/* Rows never leave: every selected column is grouped by, and at least one aggregate is asked for. */
static clo_err check_items(const clo_sql_program *p, const clo_wire_schema *schema)
{
    bool aggregates = false;
    for (size_t i = 0; i < p->item_count; i++) {
        bool grouped = false;
        if (p->items[i].kind != CLO_SQL_GROUP) {
            aggregates = true;
            continue;
        }
        for (size_t g = 0; g < p->group_count; g++) grouped = grouped || p->groups[g] == p->items[i].column;
        CLO_CHECKF(grouped, CLO_E_MALFORMED, "column \"%s\" is selected as it is; group by it, or ask for its COUNT, SUM or AVG",
                   schema->columns[p->items[i].column].name);
    }
    CLO_CHECKF(aggregates, CLO_E_MALFORMED, "the program asks for no aggregate; select a COUNT, SUM or AVG");
    return CLO_OK;
}

clo_err clo_sql_parse(clo_span program, const clo_wire_schema *schema, clo_sql_program *out)
{
    clo_sql_lexer x;
    memset(out, 0, sizeof *out);
    clo_buf_init(&out->where, 4 * CLO_SQL_PROGRAM_MAX);
    CLO_CHECKF(schema != NULL && schema->column_count <= CLO_TABLE_COLUMNS_MAX, CLO_E_RANGE, "the schema has too many columns");
    CLO_TRY(clo_sql_lexer_open(&x, program));
    CLO_TRY(expect(&x, "SELECT"));
    CLO_TRY(items(&x, schema, out));
    CLO_TRY(expect(&x, "FROM"));
    if (!clo_sql_token_is(&x.token, "rows"))
        return clo_sql_error_at(&x.token, CLO_E_MALFORMED, "the one table is called rows: FROM rows");
    CLO_TRY(clo_sql_lexer_next(&x));
    if (clo_sql_token_is(&x.token, "WHERE")) {
        CLO_TRY(clo_sql_lexer_next(&x));
        CLO_TRY(clo_sql_parse_where(&x, schema, out));
    }
    if (clo_sql_token_is(&x.token, "GROUP")) CLO_TRY(grouping(&x, schema, out));
    if (clo_sql_token_is(&x.token, ";")) CLO_TRY(clo_sql_lexer_next(&x));
    if (x.token.type != CLO_SQL_TOKEN_END)
        return clo_sql_error_at(&x.token, CLO_E_MALFORMED,
                                "the program should end here; the dialect has SELECT ... FROM rows [WHERE ...] "
                                "[GROUP BY ...] and nothing else");
    return check_items(out, schema);
}
