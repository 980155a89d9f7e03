/* Proves that a schema has one digest however it is written, that CSV becomes typed rows in any piece size and is refused with
 * line, column and remedy where it is wrong, that decimals are read as strtod reads them, and that a table is read back as it was
 * written and refused where it was cut or altered. */

#include "cmocka_all.h"
#include <math.h>
#include <string.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/cbor.h"
#include "wire/json.h"
#include "wire/table.h"
#include "wire/table_int.h"
#include "wire_random.h"

static const char schema_text[] =
    "{\"rows\":3,\"kind\":\"binary\",\"target\":\"sick\",\"columns\":{"
    "\"age\":{\"type\":\"int\",\"min\":0,\"max\":120},\"dose\":{\"type\":\"float\",\"min\":-1.5,\"max\":1000.0,\"missing\":2},"
    "\"sex\":{\"type\":\"int\",\"missing\":0},\"note\":{\"type\":\"text\",\"nullable\":true},\"sick\":{\"type\":\"int\",\"min\":"
    "0,\"max\":1}},"
    "\"codes\":{\"sex\":[\"F\",\"M\",\"1\"]}}";

static clo_err read_schema(clo_arena *a, const char *text, clo_wire_schema *out)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_json_decode(a, clo_span_str(text), &n));
    return clo_wire_schema_read(a, n, out);
}

static clo_err to_buffer(void *context, clo_span row) { return clo_buf_put_span(context, row); }

/* Counting alone gives the rows and bytes of what was read. */
static void count_same(const clo_wire_schema *s, const char *text, size_t n, size_t piece, uint64_t rows, uint64_t bytes)
{
    CLO_AUTO(clo_wire_csv_free) clo_wire_csv *csv = NULL;
    uint64_t count = 0;
    assert_int_equal(clo_wire_csv_new(&csv, s, NULL, NULL).code, 0);
    for (size_t at = 0; at < n; at += piece)
        assert_int_equal(clo_wire_csv_feed(csv, clo_span_of(text + at, n - at < piece ? n - at : piece)).code, 0);
    assert_int_equal(clo_wire_csv_end(csv, &count).code, 0);
    assert_int_equal(count, rows);
    assert_int_equal(clo_wire_csv_bytes(csv), bytes);
}

/* The whole table of a CSV text that is fed in pieces of `piece` bytes. */
static clo_err make_table(const clo_wire_schema *s, const char *text, size_t n, size_t piece, clo_buf *out)
{
    CLO_AUTO(clo_wire_csv_free) clo_wire_csv *csv = NULL;
    CLO_AUTO(clo_buf_free) clo_buf rows;
    clo_buf_init(&rows, 1 << 26);
    uint64_t count = 0;
    CLO_TRY(clo_wire_csv_new(&csv, s, to_buffer, &rows));
    for (size_t at = 0; at < n; at += piece)
        CLO_TRY(clo_wire_csv_feed(csv, clo_span_of(text + at, n - at < piece ? n - at : piece)));
    CLO_TRY(clo_wire_csv_end(csv, &count));
    assert_int_equal(clo_wire_csv_bytes(csv), rows.len);
    count_same(s, text, n, piece, count, rows.len);
    uint8_t head[CLO_TABLE_HEAD];
    CLO_TRY(clo_wire_table_head(s, count, head));
    CLO_TRY(clo_buf_put(out, head, sizeof head));
    return clo_buf_put_span(out, clo_buf_span(&rows));
}

static clo_err read_all(const clo_wire_schema *s, clo_span table, clo_wire_cell *cells, uint64_t *rows)
{
    clo_wire_table t;
    uint64_t count = 0;
    CLO_TRY(clo_wire_table_open(s, table, &t, &count));
    for (uint64_t i = 0; i < count; i++) CLO_TRY(clo_wire_table_next(&t, cells));
    *rows = count;
    return clo_wire_table_end(&t);
}

static void test_schema(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    clo_wire_schema s, again;
    assert_int_equal(read_schema(&a, schema_text, &s).code, 0);
    assert_int_equal(s.column_count, 5);
    assert_int_equal(s.columns[2].type, CLO_COLUMN_CODE);
    assert_int_equal(s.columns[2].code_count, 3);
    assert_true(s.columns[1].nullable && !s.columns[0].nullable && s.columns[0].bounded);
    assert_int_equal(clo_wire_schema_find(&s, "sick"), 4);
    assert_int_equal(clo_wire_schema_find(&s, "sic"), -1);
    clo_wire_node *tree = NULL;
    CLO_AUTO(clo_buf_free) clo_buf cbor;
    CLO_AUTO(clo_buf_free) clo_buf json;
    clo_buf_init(&cbor, 1 << 16);
    clo_buf_init(&json, 1 << 16);
    assert_int_equal(clo_wire_schema_tree(&a, &s, &tree).code, 0);
    assert_int_equal(clo_wire_cbor_encode(tree, &cbor).code, 0);
    assert_int_equal(clo_wire_json_encode(tree, 2, &json).code, 0);
    assert_int_equal(clo_wire_cbor_decode(&a, clo_buf_span(&cbor), NULL, &tree).code, 0);
    assert_int_equal(clo_wire_schema_read(&a, tree, &again).code, 0);
    assert_memory_equal(s.digest, again.digest, 32);
    assert_int_equal(clo_wire_json_decode(&a, clo_buf_span(&json), &tree).code, 0);
    assert_int_equal(clo_wire_schema_read(&a, tree, &again).code, 0);
    assert_memory_equal(s.digest, again.digest, 32);
}

static void test_schema_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t code;
    } cases[] = {
        {"[]", CLO_E_MALFORMED},
        {"{}", CLO_E_MISSING_FIELD},
        {"{\"columns\":{}}", CLO_E_TOO_MANY},
        {"{\"columns\":{\"a\":{\"type\":\"real\"}}}", CLO_E_MALFORMED},
        {"{\"columns\":{\"a\":{\"type\":\"int\",\"min\":1}}}", CLO_E_MISSING_FIELD},
        {"{\"columns\":{\"a\":{\"type\":\"int\",\"min\":2,\"max\":1}}}", CLO_E_RANGE},
        {"{\"columns\":{\"a\":{\"type\":\"text\",\"min\":1,\"max\":2}}}", CLO_E_UNSUPPORTED},
        {"{\"columns\":{\"a\":{\"type\":\"int\",\"colour\":1}}}", CLO_E_UNKNOWN_FIELD},
        {"{\"columns\":{\"a\":{\"type\":\"code\"}}}", CLO_E_MISSING_FIELD},
        {"{\"columns\":{\"a\":{\"type\":\"code\",\"codes\":[]}}}", CLO_E_MALFORMED},
        {"{\"columns\":{\"a\":{\"type\":\"code\",\"codes\":[\"x\",\"x\"]}}}", CLO_E_DUPLICATE},
        {"{\"columns\":{\"a\":{\"type\":\"code\",\"codes\":[1]}}}", CLO_E_MALFORMED},
        {"{\"columns\":{\"\":{\"type\":\"int\"}}}", CLO_E_MALFORMED},
        {"{\"columns\":{\"a\\\"b\":{\"type\":\"int\"}}}", CLO_E_MALFORMED},
        {"{\"columns\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"a\",\"type\":\"int\"}]}", CLO_E_DUPLICATE},
        {"{\"columns\":[{\"type\":\"int\"}]}", CLO_E_MISSING_FIELD},
        {"{\"columns\":{\"a\":{\"type\":\"int\"}},\"target\":\"b\"}", CLO_E_RANGE},
        {"{\"columns\":{\"a\":{\"type\":\"int\"}},\"extra\":1}", CLO_E_UNKNOWN_FIELD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 1 << 22);
        clo_wire_schema s;
        clo_err e = read_schema(&a, cases[i].text, &s);
        if (e.code != cases[i].code) fail_msg("%s: got %s: %s", cases[i].text, clo_err_name(e), clo_err_text());
    }
}

static const char good_csv[] = "\xef\xbb\xbf"
                               "age,dose,sex,note,sick\r\n40,1.5,F,\"a \"\"b\"\",\nc\",0\r\n\r\n";

static void test_csv(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    clo_wire_schema s;
    assert_int_equal(read_schema(&a, schema_text, &s).code, 0);
    static const char permuted[] = "sick,note,sex,dose,age\n1,,1,,0\n0,\"\",\"M\",\"-1.5\",120\n0,x,0,1e3,7";
    for (size_t piece = 1; piece < sizeof permuted; piece++) {
        CLO_AUTO(clo_buf_free) clo_buf table;
        clo_buf_init(&table, 1 << 16);
        clo_err e = make_table(&s, permuted, sizeof permuted - 1, piece, &table);
        if (clo_failed(e)) fail_msg("%s", clo_err_text());
        clo_wire_table t;
        clo_wire_cell c[5];
        uint64_t rows = 0;
        assert_int_equal(clo_wire_table_open(&s, clo_buf_span(&table), &t, &rows).code, 0);
        assert_int_equal(rows, 3);
        assert_int_equal(clo_wire_table_next(&t, c).code, 0);
        assert_true(c[1].null && c[3].null && !c[2].null);
        assert_int_equal(c[2].integer, 2); /* the code that reads "1", not the index */
        assert_int_equal(c[4].integer, 1);
        assert_int_equal(clo_wire_table_next(&t, c).code, 0);
        assert_int_equal(c[0].integer, 120);
        assert_true(c[1].number < -1.49 && c[1].number > -1.51);
        assert_true(clo_span_equal(c[2].text, clo_span_str("M")));
        assert_true(!c[3].null && c[3].text.n == 0);
        assert_int_equal(clo_wire_table_next(&t, c).code, 0);
        assert_int_equal(c[2].integer, 0);
        assert_int_equal(clo_wire_table_end(&t).code, 0);
        assert_int_equal(clo_wire_table_next(&t, c).code, CLO_E_RANGE);
    }
    for (size_t piece = 1; piece < sizeof good_csv; piece++) {
        CLO_AUTO(clo_buf_free) clo_buf table;
        clo_buf_init(&table, 1 << 16);
        assert_int_equal(make_table(&s, good_csv, sizeof good_csv - 1, piece, &table).code, 0);
        clo_wire_cell c[5];
        uint64_t rows = 0;
        assert_int_equal(read_all(&s, clo_buf_span(&table), c, &rows).code, 0);
        assert_int_equal(rows, 1);
        assert_true(clo_span_equal(c[3].text, clo_span_str("a \"b\",\nc")));
    }
}

static void test_csv_refused(void **state)
{
    (void)state;
#define HEAD "age,dose,sex,note,sick\n"
    static const struct {
        const char *text;
        uint32_t code;
        const char *place;
    } cases[] = {
        {"", CLO_E_TRUNCATED, "empty"},
        {"\n\n", CLO_E_TRUNCATED, "empty"},
        {"age,dose,sex,note\n", CLO_E_MISSING_FIELD, "line 1: the header lacks the schema's column \"sick\""},
        {"age,dose,sex,note,sick,x\n", CLO_E_MALFORMED, "line 1, header field 6"},
        {"age,age,sex,note,sick\n", CLO_E_DUPLICATE, "line 1, header field 2"},
        {HEAD "1,2,F,x\n", CLO_E_MALFORMED, "line 2: the row has 4 cells"},
        {HEAD "1,2,F,x,0,\n", CLO_E_MALFORMED, "line 2: the row has more than 5 cells"},
        {HEAD "1,2,F,x,0\n\n1,2,F,x,0\n", CLO_E_MALFORMED, "line 3 is blank"},
        {HEAD "1,2,F,x,0\n1.0,2,F,x,0\n", CLO_E_MALFORMED, "line 3, column \"age\""},
        {HEAD "01,2,F,x,0\n", CLO_E_MALFORMED, "line 2, column \"age\""},
        {HEAD "9223372036854775808,2,F,x,0\n", CLO_E_MALFORMED, "column \"age\""},
        {HEAD "121,2,F,x,0\n", CLO_E_RANGE, "column \"age\": the value is outside the schema's bounds 0 to 120"},
        {HEAD ",2,F,x,0\n", CLO_E_MALFORMED, "column \"age\": the cell is empty"},
        {HEAD "1,NaN,F,x,0\n", CLO_E_MALFORMED, "column \"dose\""},
        {HEAD "1,inf,F,x,0\n", CLO_E_MALFORMED, "column \"dose\""},
        {HEAD "1,1e999,F,x,0\n", CLO_E_MALFORMED, "column \"dose\""},
        {HEAD "1,0x10,F,x,0\n", CLO_E_MALFORMED, "column \"dose\""},
        {HEAD "1, 2,F,x,0\n", CLO_E_MALFORMED, "column \"dose\""},
        {HEAD "1,1000.01,F,x,0\n", CLO_E_RANGE, "column \"dose\""},
        {HEAD "1,2,G,x,0\n", CLO_E_MALFORMED, "column \"sex\": the cell is none"},
        {HEAD "1,2,3,x,0\n", CLO_E_RANGE, "column \"sex\""},
        {HEAD "1,2,F,a\"b,0\n", CLO_E_MALFORMED, "line 2, column \"note\": a quote stands inside"},
        {HEAD "1,2,F,\"a\"b,0\n", CLO_E_MALFORMED, "line 2, column \"note\": text follows"},
        {HEAD "1,2,F,\"a\n\n,0\n", CLO_E_MALFORMED, "line 2, column \"note\": the quote is never closed"},
        {HEAD "1,2,F,\"a\n\",9\n", CLO_E_RANGE, "line 3, column \"sick\""},
        {HEAD "1,2,F,\xff,0\n", CLO_E_MALFORMED, "column \"note\": the text is not valid UTF-8"},
        {HEAD "1,2,F,a\rb,0\n", CLO_E_MALFORMED, "carriage return"},
    };
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    clo_wire_schema s;
    assert_int_equal(read_schema(&a, schema_text, &s).code, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t piece = 1; piece < 64; piece += 31) {
            CLO_AUTO(clo_buf_free) clo_buf table;
            clo_buf_init(&table, 1 << 16);
            clo_err e = make_table(&s, cases[i].text, strlen(cases[i].text), piece, &table);
            if (e.code != cases[i].code || strstr(clo_err_text(), cases[i].place) == NULL)
                fail_msg("%s: got %s: %s", cases[i].text, clo_err_name(e), clo_err_text());
            assert_int_equal(table.len, 0);
        }
    }
}

/* Rows of one size, as counting sees them by their lines: every way to write them, in every piece size. */
static void test_csv_plain_rows(void **state)
{
    (void)state;
    static const char *const texts[] = {"i,f\n1,2.5\n99,-1e3\n",     "i,f\r\n1,2.5\r\n99,-1e3\r\n",       "i,f\n1,2.5\n99,-1e3",
                                        "f,i\n2,1\n3,4\n\n\r\n\n",   "\xef\xbb\xbfi,f\n1,2.5\n99,-1e3\r\n\r\n", "i,f\n\"1\",2.5\n99,-1e3\n",
                                        "\"i\",f\n1,\"2.5\"\n99,-1e3\n\n"};
    static const char *const single[] = {"i\n1\n2\n", "i\r\n1\r\n22\r\n", "i\n1\n2"};
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    clo_wire_schema s, one;
    assert_int_equal(read_schema(&a, "{\"columns\":{\"i\":{\"type\":\"int\",\"min\":0,\"max\":99},\"f\":{\"type\":\"float\"}}}", &s).code, 0);
    assert_int_equal(read_schema(&a, "{\"columns\":{\"i\":{\"type\":\"int\"}}}", &one).code, 0);
    for (size_t i = 0; i < 10; i++) {
        const char *text = i < 7 ? texts[i] : single[i - 7];
        for (size_t piece = 1; piece <= 40; piece++) {
            CLO_AUTO(clo_buf_free) clo_buf table;
            clo_buf_init(&table, 1 << 16);
            assert_int_equal(make_table(i < 7 ? &s : &one, text, strlen(text), piece, &table).code, 0);
            assert_int_equal(table.len, CLO_TABLE_HEAD + (i < 7 ? 34 : 18));
        }
    }
}

/* A line without end is refused after CLO_CSV_LINE_MAX bytes, whatever the pieces; the longest allowed line is read. */
static void test_csv_long_line(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    clo_wire_schema s;
    assert_int_equal(read_schema(&a, "{\"columns\":{\"t\":{\"type\":\"text\"}}}", &s).code, 0);
    char *block = malloc((size_t)CLO_CSV_LINE_MAX + 2);
    assert_non_null(block);
    memset(block, 'x', (size_t)CLO_CSV_LINE_MAX + 2);
    for (size_t piece = 4096; piece <= (size_t)CLO_CSV_LINE_MAX + 2; piece += CLO_CSV_LINE_MAX + 2 - 4096) {
        for (int quoted = 0; quoted < 2; quoted++) {
            CLO_AUTO(clo_wire_csv_free) clo_wire_csv *csv = NULL;
            CLO_AUTO(clo_buf_free) clo_buf rows;
            clo_buf_init(&rows, 1 << 16);
            assert_int_equal(clo_wire_csv_new(&csv, &s, to_buffer, &rows).code, 0);
            assert_int_equal(clo_wire_csv_feed(csv, clo_span_str(quoted != 0 ? "t\n\"" : "t\n")).code, 0);
            size_t fed = 0;
            clo_err e = CLO_OK;
            while (!clo_failed(e) && fed < (size_t)1 << 30) {
                e = clo_wire_csv_feed(csv, clo_span_of(block, piece));
                fed += piece;
            }
            assert_int_equal(e.code, CLO_E_TOO_LARGE);
            assert_non_null(strstr(clo_err_text(), "CSV line 2"));
            assert_true(fed <= (size_t)CLO_CSV_LINE_MAX + piece);
            uint64_t count = 0;
            assert_int_equal(clo_wire_csv_feed(csv, clo_span_str("x")).code, CLO_E_USAGE);
            assert_int_equal(clo_wire_csv_end(csv, &count).code, CLO_E_USAGE);
        }
    }
    CLO_AUTO(clo_buf_free) clo_buf table;
    clo_buf_init(&table, 1 << 16);
    assert_int_equal(read_schema(&a, "{\"columns\":{\"t\":{\"type\":\"text\"}}}", &s).code, 0);
    block[0] = 't';
    block[1] = '\n';
    block[CLO_CSV_LINE_MAX + 1] = 'x';
    assert_int_equal(make_table(&s, block, CLO_CSV_LINE_MAX, 100000, &table).code, CLO_E_TOO_LARGE); /* the text, not the line */
    assert_non_null(strstr(clo_err_text(), "column \"t\""));
    free(block);
}

static void test_decimal(void **state)
{
    (void)state;
    uint64_t seed = random_seed();
    for (int i = 0; i < 300000; i++) {
        char text[64];
        uint64_t r = random_next(&seed), m = random_next(&seed) >> (r % 64);
        int digits = (int)((r >> 8) % 20), n = 0;
        switch (r >> 16 & 3) {
        case 0:
            n = snprintf(text, sizeof text, "%s%llu", (r & 1) != 0 ? "-" : "", (unsigned long long)m);
            break;
        case 1:
            n = snprintf(text, sizeof text, "%llu.%0*llu", (unsigned long long)(m % 100000), digits + 1,
                         (unsigned long long)(r >> 40));
            break;
        case 2:
            n = snprintf(text, sizeof text, "%.*e", digits, (double)m / 3e7);
            break;
        default:
            n = snprintf(text, sizeof text, "%lluE%s%d", (unsigned long long)(m % 1000000), (r & 1) != 0 ? "-" : "+", digits * 2);
            break;
        }
        double got = 0, wanted = strtod(text, NULL);
        if (clo_wire_decimal_read(clo_span_of(text, (size_t)n), &got) != (size_t)n || memcmp(&got, &wanted, sizeof got) != 0)
            fail_msg("%s: got %.17g", text, got);
    }
    static const char *const refused[] = {"", "-", "+1", ".5", "5.", "00", "01.5", "1e", "1e+", "x", "1e999", "-01", "--1"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        double v = 0;
        size_t n = strlen(refused[i]);
        if (n != 0 && clo_wire_decimal_read(clo_span_str(refused[i]), &v) == n) fail_msg("%s is accepted", refused[i]);
    }
    int64_t v = 0;
    assert_int_equal(clo_wire_integer_read(clo_span_str("-9223372036854775808"), &v), 20);
    assert_true(v == INT64_MIN);
    assert_int_equal(clo_wire_integer_read(clo_span_str("9223372036854775807"), &v), 19);
    assert_int_equal(clo_wire_integer_read(clo_span_str("9223372036854775808"), &v), 0);
    assert_int_equal(clo_wire_integer_read(clo_span_str("99999999999999999999"), &v), 0);
    assert_int_equal(clo_wire_integer_read(clo_span_str("-0"), &v), 0);
    assert_int_equal(clo_wire_integer_read(clo_span_str("0"), &v), 1);
}

static void test_table_damage(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    clo_wire_schema s, other;
    assert_int_equal(read_schema(&a, schema_text, &s).code, 0);
    assert_int_equal(read_schema(&a, "{\"columns\":{\"t\":{\"type\":\"text\"}}}", &other).code, 0);
    CLO_AUTO(clo_buf_free) clo_buf table;
    clo_buf_init(&table, 1 << 16);
    assert_int_equal(make_table(&s, good_csv, sizeof good_csv - 1, 100, &table).code, 0);
    clo_wire_cell c[5];
    uint64_t rows = 0;
    assert_int_equal(read_all(&s, clo_buf_span(&table), c, &rows).code, 0);
    assert_int_equal(read_all(&other, clo_buf_span(&table), c, &rows).code, CLO_E_MALFORMED);
    for (size_t n = 0; n < table.len; n++) {
        uint8_t *copy = malloc(n + 1); /* so that a read beyond is seen */
        assert_non_null(copy);
        memcpy(copy, table.p, n);
        clo_err e = read_all(&s, clo_span_of(copy, n), c, &rows);
        free(copy);
        assert_int_equal(e.code, CLO_E_TRUNCATED);
    }
    assert_int_equal(clo_buf_put_u8(&table, 0).code, 0);
    assert_int_equal(read_all(&s, clo_buf_span(&table), c, &rows).code, CLO_E_TRAILING);
    table.len--;
    for (size_t bit = 0; bit < table.len * 8; bit++) {
        table.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        clo_err e = read_all(&s, clo_buf_span(&table), c, &rows);
        if (bit < CLO_TABLE_HEAD * 8) assert_true(clo_failed(e));
        table.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    uint8_t *row = table.p + CLO_TABLE_HEAD;
    row[0] = 0x80; /* a mark for a column that does not exist */
    assert_int_equal(read_all(&s, clo_buf_span(&table), c, &rows).code, CLO_E_NOT_CANONICAL);
    row[0] = 1; /* null where the schema has none */
    assert_int_equal(read_all(&s, clo_buf_span(&table), c, &rows).code, CLO_E_RANGE);
    row[0] = 0;
    memset(row + 9, 0xff, 8); /* the dose: not a number */
    assert_int_equal(read_all(&s, clo_buf_span(&table), c, &rows).code, CLO_E_RANGE);
}

/* Every published table of the data folder is read completely. */
static void test_shared_data(void **state)
{
    (void)state;
    const char *base = getenv("CLOISTER_SHARED");
    char path[512];
    (void)snprintf(path, sizeof path, "%s/data/schema.json", base != NULL ? base : "../shared");
    FILE *f = fopen(path, "rb");
    if (f == NULL) skip_because("the data sets are not beside the project (../shared/data)");
    static char text[1 << 20];
    size_t n = fread(text, 1, sizeof text, f);
    (void)fclose(f);
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    clo_wire_node *sets = NULL;
    assert_int_equal(clo_wire_json_decode(&a, clo_span_of(text, n), &sets).code, 0);
    for (const clo_wire_node *set = sets->first; set != NULL; set = set->next) {
        if (clo_wire_get(set, "columns") == NULL) continue;
        clo_wire_schema s;
        clo_err e = clo_wire_schema_read(&a, set, &s);
        if (clo_failed(e)) fail_msg("%s: %s", (const char *)set->key->text.p, clo_err_text());
        (void)snprintf(path, sizeof path, "%s/data/%s.csv", base != NULL ? base : "../shared", (const char *)set->key->text.p);
        f = fopen(path, "rb");
        assert_non_null(f);
        n = fread(text, 1, sizeof text, f);
        bool whole = feof(f) != 0;
        (void)fclose(f);
        if (!whole) continue;
        CLO_AUTO(clo_buf_free) clo_buf table;
        clo_buf_init(&table, 1 << 26);
        e = make_table(&s, text, n, 65536, &table);
        if (clo_failed(e)) fail_msg("%s: %s", path, clo_err_text());
        clo_wire_cell *cells = calloc(s.column_count, sizeof *cells);
        uint64_t rows = 0;
        assert_int_equal(read_all(&s, clo_buf_span(&table), cells, &rows).code, 0);
        free(cells);
        assert_int_equal(rows, clo_wire_get(set, "rows")->integer);
    }
}

/* A table of which more comes only when it is asked for. */
typedef struct {
    clo_span whole;
    uint8_t *place;
    size_t there, step, asked;
} arriving;

static clo_err bring(void *context, size_t bytes, size_t *there)
{
    arriving *r = context;
    assert_true(bytes <= r->whole.n && bytes > r->there);
    r->asked++;
    while (r->there < bytes) {
        size_t n = r->whole.n - r->there < r->step ? r->whole.n - r->there : r->step;
        memcpy(r->place + r->there, r->whole.p + r->there, n);
        r->there += n;
    }
    *there = r->there;
    return CLO_OK;
}
static clo_err lost(void *context, size_t bytes, size_t *there)
{
    (void)context;
    *there = 64;
    return bytes <= 64 ? CLO_OK : CLO_FAIL(CLO_E_CLOSED);
}

/* Whatever the steps in which it comes, an arriving table has the rows of one that is there, and no byte is looked at before it came. */
static void test_arriving(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf text;
    CLO_AUTO(clo_buf_free) clo_buf table;
    clo_arena_init(&a, 1 << 24);
    clo_buf_init(&text, 1 << 22);
    clo_buf_init(&table, 1 << 22);
    clo_wire_schema s;
    assert_int_equal(read_schema(&a, schema_text, &s).code, 0);
    assert_int_equal(clo_buf_put_str(&text, "age,dose,sex,note,sick\n").code, 0);
    for (int i = 0; i < 3000; i++) assert_int_equal(clo_buf_printf(&text, "%d,%d.5,F,%.*s,%d\n", i % 120, i % 7, i % 9, "abcdefghi", i % 2).code, 0);
    assert_int_equal(make_table(&s, (const char *)text.p, text.len, text.len, &table).code, 0);
    uint8_t *place = malloc(table.len);
    assert_non_null(place);
    static const size_t steps[] = {1, 7, 64, 1000, 4096, 1 << 20};
    for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
        arriving r = {.whole = clo_buf_span(&table), .place = place, .step = steps[k]};
        clo_wire_table t, all;
        clo_wire_cell c[5], same[5];
        uint64_t rows = 0;
        memset(place, 0xff, table.len); /* no row reads so */
        assert_int_equal(clo_wire_table_open_arriving(&s, clo_span_of(place, table.len), (clo_wire_arrival){bring, &r}, &t, &rows).code, 0);
        assert_int_equal(clo_wire_table_open(&s, clo_buf_span(&table), &all, NULL).code, 0);
        for (uint64_t i = 0; i < rows; i++) {
            assert_int_equal(clo_wire_table_next(&t, c).code, 0);
            assert_int_equal(clo_wire_table_next(&all, same).code, 0);
            assert_int_equal(c[0].integer, same[0].integer);
            assert_true(clo_span_equal(c[3].text, same[3].text));
        }
        assert_int_equal(clo_wire_table_end(&t).code, 0);
        assert_true(steps[k] == 1 << 20 ? r.asked == 1 : r.asked > 1);
    }
    free(place);
    clo_wire_table t;
    clo_wire_cell c[5];
    assert_int_equal(clo_wire_table_open_arriving(&s, clo_buf_span(&table), (clo_wire_arrival){lost, NULL}, &t, NULL).code, 0);
    assert_int_equal(clo_wire_table_next(&t, c).code, CLO_E_CLOSED);
}

/* The bytes of a table of version 1, for ever. */
static void test_golden(void **state)
{
    (void)state;
    static const char wanted[] =
        "434c4f5441424c45000000010000000000000005c5819eb347a2d3e6175911db2ead3cd10455384898c5a0b00fab91bc3b32ca46000000"
        "000000000100000000002800000000000000000000000000f83f00000000080061202262222c0a630000000000000000";
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 24);
    clo_wire_schema s;
    assert_int_equal(read_schema(&a, schema_text, &s).code, 0);
    CLO_AUTO(clo_buf_free) clo_buf table;
    CLO_AUTO(clo_buf_free) clo_buf hex;
    clo_buf_init(&table, 1 << 16);
    clo_buf_init(&hex, 1 << 16);
    const char *text = NULL;
    assert_int_equal(make_table(&s, good_csv, sizeof good_csv - 1, 100, &table).code, 0);
    assert_int_equal(clo_buf_put_hex(&hex, clo_buf_span(&table)).code, 0);
    assert_int_equal(clo_buf_cstr(&hex, &text).code, 0);
    assert_string_equal(text, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema),       cmocka_unit_test(test_schema_refused), cmocka_unit_test(test_csv),
        cmocka_unit_test(test_csv_refused),  cmocka_unit_test(test_csv_long_line), cmocka_unit_test(test_csv_plain_rows),  cmocka_unit_test(test_decimal),
        cmocka_unit_test(test_table_damage), cmocka_unit_test(test_arriving), cmocka_unit_test(test_golden),         cmocka_unit_test(test_shared_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
