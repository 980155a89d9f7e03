/* The schema of a table: read from its JSON form or its canonical form, digest over the canonical form. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "wire/cbor.h"
#include "wire/table.h"
#include "wire/table_int.h"

static const char *const type_names[] = {"int", "float", "code", "text"};

static int compare_codes(const void *x, const void *y, void *context)
{
    const char *const *codes = context;
    const uint32_t *a = x;
    const uint32_t *b = y;
    return strcmp(codes[*a], codes[*b]);
}

clo_err clo_wire_codes_sort(const char *const *codes, size_t count, uint32_t *order)
{
    for (size_t i = 0; i < count; i++) order[i] = (uint32_t)i;
    const void *context = codes;
    union {
        const void *in;
        void *out;
    } plain = {.in = context}; /* qsort_r takes the context without const */
    qsort_r(order, count, sizeof *order, compare_codes, plain.out);
    for (size_t i = 1; i < count; i++)
        if (strcmp(codes[order[i - 1]], codes[order[i]]) == 0) return CLO_FAIL(CLO_E_DUPLICATE);
    return CLO_OK;
}

static clo_err read_codes(clo_arena *a, const clo_wire_node *list, const char *what, clo_wire_column *c)
{
    if (list->type != CLO_WIRE_ARRAY || list->count == 0)
        return CLO_FAILF(CLO_E_MALFORMED, "%s must be a list with at least one text", what);
    CLO_CHECKF(list->count <= CLO_TABLE_CODES_MAX, CLO_E_TOO_MANY, "%s has %zu codes; at most %d are allowed", what, list->count,
               CLO_TABLE_CODES_MAX);
    void *p = NULL, *order = NULL;
    CLO_TRY(clo_arena_array(a, list->count, sizeof(char *), &p));
    CLO_TRY(clo_arena_array(a, list->count, sizeof(uint32_t), &order));
    const char **codes = p;
    size_t i = 0;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, i++) {
        CLO_TRY(clo_wire_node_text(a, n, what, &codes[i], CLO_TABLE_TEXT_MAX));
        CLO_CHECKF(codes[i][0] != '\0', CLO_E_MALFORMED, "%s has an empty code; remove it", what);
    }
    if (clo_failed(clo_wire_codes_sort(codes, list->count, order)))
        return CLO_FAILF(CLO_E_DUPLICATE, "%s has a code twice; remove one of them", what);
    c->codes = codes;
    c->code_count = list->count;
    c->type = CLO_COLUMN_CODE;
    return CLO_OK;
}

static clo_err set_name(clo_wire_column *c, clo_span name)
{
    CLO_CHECKF(name.n > 0 && name.n < sizeof c->name, CLO_E_MALFORMED, "schema: a column's name must have 1 to %zu bytes",
               sizeof c->name - 1);
    for (size_t i = 0; i < name.n; i++)
        CLO_CHECKF(name.p[i] >= 0x20 && name.p[i] != 0x7f && name.p[i] != '"', CLO_E_MALFORMED,
                   "schema: a column's name has a control character or a quote; rename the column");
    return clo_str_set(c->name, sizeof c->name, name);
}

static clo_err read_bounds(clo_wire_fields *f, clo_wire_column *c)
{
    bool low = clo_wire_has(f, "min"), high = clo_wire_has(f, "max");
    if (low) clo_wire_take_float(f, "min", &c->min);
    if (high) clo_wire_take_float(f, "max", &c->max);
    if (low != high) clo_wire_fields_fail(f, CLO_E_MISSING_FIELD, low ? "max" : "min", "is missing; give both bounds or none");
    if (low && high && c->min > c->max) clo_wire_fields_fail(f, CLO_E_RANGE, "min", "is above max; exchange them");
    c->bounded = low && high;
    if (c->bounded && c->type == CLO_COLUMN_TEXT)
        clo_wire_fields_fail(f, CLO_E_UNSUPPORTED, "min", "is given for a text column; remove it");
    return CLO_OK;
}

/* `codes` is the list that stands beside the columns (the data catalogue's way), or NULL. */
static clo_err read_column(clo_arena *a, const clo_wire_node *node, bool canonical, const clo_wire_node *codes,
                           clo_wire_column *c)
{
    char what[96];
    if (canonical) {
        const clo_wire_node *name = clo_wire_get(node, "name");
        CLO_CHECKF(name != NULL && name->type == CLO_WIRE_TEXT, CLO_E_MISSING_FIELD, "schema: a column has no name; add it");
        CLO_TRY(set_name(c, name->text));
    } else {
        CLO_CHECKF(node->key->type == CLO_WIRE_TEXT, CLO_E_MALFORMED, "schema: a column's name must be text");
        CLO_TRY(set_name(c, node->key->text));
    }
    (void)snprintf(what, sizeof what, "schema column \"%s\"", c->name);
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, what);
    char type[8], name[64];
    if (canonical) clo_wire_take_str(&f, "name", name, sizeof name);
    clo_wire_take_str(&f, "type", type, sizeof type);
    size_t t = 0;
    while (t < 4 && strcmp(type, type_names[t]) != 0) t++;
    if (t == 4) clo_wire_fields_fail(&f, CLO_E_MALFORMED, "type", "must be int, float, code or text");
    c->type = (clo_wire_column_type)(t & 3u);
    const clo_wire_node *own = NULL;
    if (clo_wire_has(&f, "codes")) clo_wire_take_any(&f, "codes", &own);
    if (clo_wire_has(&f, "nullable")) clo_wire_take_bool(&f, "nullable", &c->nullable);
    int64_t missing = 0;
    if (clo_wire_has(&f, "missing")) clo_wire_take_int(&f, "missing", &missing, 0, INT64_MAX);
    c->nullable = c->nullable || missing > 0;
    CLO_TRY(read_bounds(&f, c));
    CLO_TRY(clo_wire_fields_end(&f));
    if (own != NULL && codes != NULL) return CLO_FAILF(CLO_E_DUPLICATE, "%s has its codes twice; remove one list", what);
    if (own == NULL) own = codes;
    if (own == NULL) {
        CLO_CHECKF(c->type != CLO_COLUMN_CODE, CLO_E_MISSING_FIELD, "%s is a code column without codes; add them", what);
        return CLO_OK;
    }
    CLO_TRY(read_codes(a, own, what, c));
    c->bounded = true;
    c->min = 0;
    c->max = (double)(c->code_count - 1);
    return CLO_OK;
}

static clo_err check_names(const clo_wire_schema *s)
{
    for (size_t i = 1; i < s->column_count; i++)
        for (size_t j = 0; j < i; j++)
            CLO_CHECKF(strcmp(s->columns[i].name, s->columns[j].name) != 0, CLO_E_DUPLICATE,
                       "schema: column \"%s\" is there twice; rename one", s->columns[i].name);
    CLO_CHECKF(s->target[0] == '\0' || clo_wire_schema_find(s, s->target) >= 0, CLO_E_RANGE,
               "schema: target \"%s\" is not the name of a column", s->target);
    return CLO_OK;
}

static clo_err schema_digest(clo_wire_schema *s)
{
    CLO_AUTO(clo_arena_free) clo_arena scratch;
    clo_arena_init(&scratch, (size_t)1 << 28);
    CLO_AUTO(clo_buf_free) clo_buf encoded;
    clo_buf_init(&encoded, (size_t)1 << 28);
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_wire_schema_tree(&scratch, s, &tree));
    CLO_TRY(clo_wire_cbor_encode(tree, &encoded));
    return clo_crypto_sha256(clo_buf_span(&encoded), s->digest);
}

clo_err clo_wire_schema_read(clo_arena *a, const clo_wire_node *node, clo_wire_schema *out)
{
    clo_wire_schema s = {0};
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, "schema");
    const clo_wire_node *columns = NULL, *codes = NULL, *ignored = NULL;
    clo_wire_take_any(&f, "columns", &columns);
    if (clo_wire_has(&f, "target")) clo_wire_take_str(&f, "target", s.target, sizeof s.target);
    if (clo_wire_has(&f, "codes")) clo_wire_take_map(&f, "codes", &codes);
    static const char *const descriptive[] = {"rows", "features", "kind", "origin", "licence", "missing", "note"};
    for (size_t i = 0; i < sizeof descriptive / sizeof descriptive[0]; i++)
        if (clo_wire_has(&f, descriptive[i])) clo_wire_take_any(&f, descriptive[i], &ignored);
    bool canonical = columns->type == CLO_WIRE_ARRAY;
    if (!canonical && columns->type != CLO_WIRE_MAP)
        clo_wire_fields_fail(&f, CLO_E_MALFORMED, "columns", "must be a map or a list of columns");
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(columns->count >= 1 && columns->count <= CLO_TABLE_COLUMNS_MAX, CLO_E_TOO_MANY,
               "schema: %zu columns; 1 to %d are allowed", columns->count, CLO_TABLE_COLUMNS_MAX);
    void *p = NULL;
    CLO_TRY(clo_arena_array(a, columns->count, sizeof(clo_wire_column), &p));
    s.columns = p;
    for (const clo_wire_node *n = columns->first; n != NULL; n = n->next) {
        const clo_wire_node *listed = NULL;
        if (!canonical && codes != NULL && n->key->type == CLO_WIRE_TEXT)
            listed = clo_wire_get(codes, (const char *)n->key->text.p);
        CLO_TRY(read_column(a, n, canonical, listed, &s.columns[s.column_count]));
        s.column_count++;
    }
    CLO_TRY(check_names(&s));
    CLO_TRY(schema_digest(&s));
    *out = s;
    return CLO_OK;
}

static clo_err column_tree(clo_arena *a, const clo_wire_column *c, clo_wire_node **out)
{
    clo_wire_node *m = NULL, *list = NULL, *code = NULL;
    CLO_TRY(clo_wire_map(a, &m));
    CLO_TRY(clo_wire_set_text(a, m, "name", c->name));
    CLO_TRY(clo_wire_set_text(a, m, "type", type_names[c->type]));
    if (c->nullable) CLO_TRY(clo_wire_set_bool(a, m, "nullable", true));
    if (c->type == CLO_COLUMN_CODE) {
        CLO_TRY(clo_wire_array(a, &list));
        for (size_t i = 0; i < c->code_count; i++) {
            CLO_TRY(clo_wire_text(a, clo_span_str(c->codes[i]), &code));
            CLO_TRY(clo_wire_append(list, code));
        }
        CLO_TRY(clo_wire_set(a, m, "codes", list));
    } else if (c->bounded) {
        CLO_TRY(clo_wire_set_float(a, m, "min", c->min));
        CLO_TRY(clo_wire_set_float(a, m, "max", c->max));
    }
    *out = m;
    return CLO_OK;
}

clo_err clo_wire_schema_tree(clo_arena *a, const clo_wire_schema *schema, clo_wire_node **out)
{
    clo_wire_node *m = NULL, *list = NULL, *column = NULL;
    CLO_TRY(clo_wire_map(a, &m));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < schema->column_count; i++) {
        CLO_TRY(column_tree(a, &schema->columns[i], &column));
        CLO_TRY(clo_wire_append(list, column));
    }
    CLO_TRY(clo_wire_set(a, m, "columns", list));
    if (schema->target[0] != '\0') CLO_TRY(clo_wire_set_text(a, m, "target", schema->target));
    *out = m;
    return CLO_OK;
}

int clo_wire_schema_find(const clo_wire_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->column_count; i++)
        if (strcmp(schema->columns[i].name, name) == 0) return (int)i;
    return -1;
}
