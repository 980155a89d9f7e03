/* Proves that the dialect is exactly what it says: what is accepted, what is refused and where, that nothing of SQL beyond it
 * gets through (statements, subqueries, other tables, pragmas, functions, comments), and that every cut and flip of a program is
 * safe. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>

#include "dp/dp_test_rng.h"
#include "dp/table_fixture.h"
#include "sql/sql_int.h"

static const char *const schema_json = "{\"columns\": {"
                                       "\"site\": {\"type\": \"code\", \"codes\": [\"north\", \"south\"]},"
                                       "\"age\": {\"type\": \"int\", \"min\": 0, \"max\": 100},"
                                       "\"wide\": {\"type\": \"int\", \"min\": -1e9, \"max\": 1e9},"
                                       "\"count\": {\"type\": \"float\", \"min\": -1.5, \"max\": 2},"
                                       "\"group\": {\"type\": \"float\", \"min\": 7, \"max\": 7},"
                                       "\"far\": {\"type\": \"float\", \"min\": -1.7e308, \"max\": 1.7e308},"
                                       "\"a b; --\": {\"type\": \"float\"},"
                                       "\"note\": {\"type\": \"text\", \"nullable\": true}}}";

typedef struct {
    clo_arena arena;
    clo_wire_schema *schema;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    clo_arena_init(&f->arena, 1 << 24);
    f->schema = table_fixture_schema(&f->arena, schema_json);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    clo_arena_free(&f->arena);
    free(f);
    return 0;
}

static void test_accepted(void **state)
{
    fixture *f = *state;
    static const char *const programs[] = {
        "SELECT COUNT(*) FROM rows",
        "select\tcount ( * ) , Avg(age) From ROWS ;",
        "SELECT count(count), sum(count) AS \"total \"\"x\"\"\", avg(\"group\") FROM rows WHERE \"group\" > 0.5e-3 OR count = .5",
        "SELECT site, age, COUNT(*) FROM rows GROUP BY age, site",
        "SELECT COUNT(\"a b; --\") FROM rows WHERE \"a b; --\" IS NOT NULL",
        "SELECT COUNT(*) FROM rows WHERE note = '; DROP TABLE rows; --'",
        "SELECT COUNT(*) FROM rows WHERE note = 'SELECT' OR note = '' OR note = ''''",
        "SELECT COUNT(*) FROM rows WHERE NOT (age + -3) * 2 / 4 - 1 >= :a AND :b <> note OR :a IN (1, 2, age)",
        "SELECT COUNT(*) FROM rows WHERE ROUND(count, 2) BETWEEN -1 AND age AND LENGTH(note) == 3",
        "SELECT COUNT(*) FROM rows WHERE LOWER(COALESCE(note, UPPER('x'), IFNULL(note, NULLIF(note, 'b')))) != 'c'",
        "SELECT COUNT(*) FROM rows WHERE 1",
        "SELECT COUNT(*) FROM rows WHERE 99999999999999999999999999 > age",
    };
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        clo_err e = clo_sql_check(clo_span_str(programs[i]), f->schema);
        if (clo_failed(e)) fail_msg("%s: %s", programs[i], clo_err_text());
    }
}

static void test_refused(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *program, *says;
    } rows[] = {
        {"", "line 1, column 1: SELECT is expected"},
        {"DELETE FROM rows", "SELECT is expected"},
        {"SELECT", "name of a column"},
        {"SELECT * FROM rows", "name of a column"},
        {"SELECT age FROM rows", "selected as it is"},
        {"SELECT site FROM rows GROUP BY site", "no aggregate"},
        {"SELECT COUNT(*) FROM other", "line 1, column 22: the one table is called rows"},
        {"SELECT COUNT(*) FROM sqlite_master", "called rows"},
        {"SELECT COUNT(*) FROM rows, rows", "should end here"},
        {"SELECT COUNT(*) FROM rows JOIN rows", "should end here"},
        {"SELECT COUNT(*) FROM rows UNION SELECT COUNT(*) FROM rows", "should end here"},
        {"SELECT COUNT(*) FROM rows; SELECT COUNT(*) FROM rows", "should end here"},
        {"SELECT COUNT(*) FROM rows; ATTACH 'x' AS y", "should end here"},
        {"PRAGMA writable_schema=1", "SELECT is expected"},
        {"WITH RECURSIVE t AS (SELECT 1) SELECT COUNT(*) FROM t", "SELECT is expected"},
        {"SELECT COUNT(*) FROM rows WHERE age IN (SELECT age FROM rows)", "name of a column"},
        {"SELECT COUNT(*) FROM rows WHERE EXISTS (SELECT 1)", "no column \"EXISTS\""},
        {"SELECT COUNT(*) FROM rows WHERE (SELECT 1)", "name of a column"},
        {"SELECT COUNT(*) FROM rows WHERE load_extension('x')", "no column \"load_extension\""},
        {"SELECT COUNT(*) FROM rows WHERE randomblob(1000000000) > 1", "no column"},
        {"SELECT COUNT(*) FROM rows WHERE abs(age) > 1", "no column"},
        {"SELECT COUNT(*) FROM rows WHERE COUNT(*) > 1", "no column \"COUNT\""},
        {"SELECT COUNT(*) FROM rows WHERE note LIKE '%a%'", "should end here"},
        {"SELECT COUNT(*) FROM rows WHERE note || note = 'x'", "not part of the dialect"},
        {"SELECT COUNT(*) FROM rows WHERE age = 1 HAVING age", "should end here"},
        {"SELECT COUNT(*) FROM rows WHERE age = 1 ORDER BY age", "should end here"},
        {"SELECT COUNT(*) FROM rows LIMIT 1", "should end here"},
        {"SELECT COUNT(*) FROM rows WHERE age < 1 < 2", "should end here"},
        {"SELECT COUNT(*) FROM rows WHERE CASE WHEN 1 THEN 1 END", "no column"},
        {"SELECT COUNT(*) FROM rows WHERE rowid = 1", "no column \"rowid\""},
        {"SELECT COUNT(*) FROM rows WHERE c0 = 1", "no column \"c0\""},
        {"SELECT COUNT(*) FROM rows WHERE age = 1 -- x", "comments are not accepted"},
        {"SELECT COUNT(*) /* x */ FROM rows", "comments are not accepted"},
        {"SELECT COUNT(*) FROM rows WHERE age = ?1", "not part of the dialect"},
        {"SELECT COUNT(*) FROM rows WHERE age = $x", "not part of the dialect"},
        {"SELECT COUNT(*) FROM rows WHERE age = 0x10", "not a number"},
        {"SELECT COUNT(*) FROM rows WHERE age = 1.2.3", "not a number"},
        {"SELECT COUNT(*) FROM rows WHERE age = 1e", "not a number"},
        {"SELECT COUNT(*) FROM rows WHERE note = 'abc", "line 1, column 40: the quoted text that begins here does not end"},
        {"SELECT COUNT(*) FROM rows\nWHERE\n  ages = 1", "line 3, column 3: there is no column \"ages\""},
        {"SELECT COUNT(*) FROM rows WHERE NOT NOT age", "one NOT"},
        {"SELECT COUNT(*) FROM rows WHERE - - age", "one minus"},
        {"SELECT COUNT(*) FROM rows WHERE age IS 3", "'NULL' is expected"},
        {"SELECT COUNT(*) FROM rows WHERE age IN ()", "value is expected"},
        {"SELECT COUNT(*) FROM rows WHERE age NOT 3", "IN or BETWEEN"},
        {"SELECT COUNT(*) FROM rows WHERE age BETWEEN 1", "expected"},
        {"SELECT COUNT(*) FROM rows WHERE ROUND(1, 2, 3) = 1", "takes 1 to 2 arguments"},
        {"SELECT COUNT(*) FROM rows WHERE", "value is expected"},
        {"SELECT COUNT(*), COUNT(*) FROM rows", "two items are named \"count\""},
        {"SELECT COUNT(*) AS FROM rows", "name is expected behind AS"},
        {"SELECT COUNT(*) AS \"\" FROM rows", "name is empty"},
        {"SELECT COUNT(DISTINCT age) FROM rows", "no column \"DISTINCT\""},
        {"SELECT SUM(note) FROM rows", "needs a numeric column with public bounds"},
        {"SELECT AVG(\"a b; --\") FROM rows", "needs a numeric column with public bounds"},
        {"SELECT SUM(site) FROM rows", "needs a numeric column with public bounds"},
        {"SELECT MAX(age) FROM rows", "no column \"MAX\""},
        {"SELECT SUM(age + 1) FROM rows", ") is expected"},
        {"SELECT note, COUNT(*) FROM rows GROUP BY note", "must be public"},
        {"SELECT count, COUNT(*) AS n FROM rows GROUP BY count", "must be public"},
        {"SELECT wide, COUNT(*) FROM rows GROUP BY wide", "too many possible values"},
        {"SELECT site, COUNT(*) FROM rows GROUP BY site, site", "grouped by twice"},
        {"SELECT site, COUNT(*) FROM rows GROUP BY 1", "name of a column"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        clo_err e = clo_sql_check(clo_span_str(rows[i].program), f->schema);
        if (!clo_failed(e)) fail_msg("accepted: %s", rows[i].program);
        if (strstr(clo_err_text(), rows[i].says) == NULL)
            fail_msg("%s: says \"%s\", wanted \"%s\"", rows[i].program, clo_err_text(), rows[i].says);
        assert_true(clo_err_class(e) == CLO_CLASS_INPUT || clo_err_class(e) == CLO_CLASS_LIMIT);
    }
    assert_code(clo_sql_check(clo_span_str("SELECT SUM(far) FROM rows"), f->schema), CLO_E_RANGE);
    assert_ok(clo_sql_check(clo_span_str("SELECT COUNT(far) FROM rows"), f->schema));
    assert_code(clo_sql_check(clo_span_of("SELECT COUNT(*) FROM rows\0", 26), f->schema), CLO_E_MALFORMED);
    assert_code(clo_sql_check(clo_span_str("SELECT COUNT(*) FROM rows WHERE note = '\xff'"), f->schema), CLO_E_MALFORMED);
}

/* Repeat `piece` count times between head and tail. */
static clo_err check_long(fixture *f, const char *head, const char *piece, size_t count, const char *middle, const char *close,
                          const char *tail)
{
    CLO_AUTO(clo_buf_free) clo_buf b = {0};
    clo_buf_init(&b, 1 << 22);
    assert_ok(clo_buf_put_str(&b, head));
    for (size_t i = 0; i < count; i++) assert_ok(clo_buf_put_str(&b, piece));
    assert_ok(clo_buf_put_str(&b, middle));
    for (size_t i = 0; i < count; i++) assert_ok(clo_buf_put_str(&b, close));
    assert_ok(clo_buf_put_str(&b, tail));
    return clo_sql_check(clo_buf_span(&b), f->schema);
}

static void test_limits(void **state)
{
    fixture *f = *state;
    const char *head = "SELECT COUNT(*) FROM rows WHERE ";
    assert_ok(check_long(f, head, "(", 12, "age", ")", ""));
    assert_code(check_long(f, head, "", 1, "age", ")", ""), CLO_E_MALFORMED);
    assert_code(check_long(f, head, "(", 25, "age", ")", ""), CLO_E_TOO_MANY);
    assert_code(check_long(f, head, "(", 5000, "age", ")", ""), CLO_E_TOO_MANY);
    assert_code(check_long(f, head, "LOWER(", 5000 / 2, "age", ")", ""), CLO_E_TOO_LARGE);
    assert_code(check_long(f, head, "COALESCE(1,", 1000, "age", ")", ""), CLO_E_TOO_MANY);
    assert_ok(check_long(f, head, "age=1 OR ", 199, "age=1", "", ""));
    assert_code(check_long(f, head, "age=1 OR ", 200, "age=1", "", ""), CLO_E_TOO_MANY);
    assert_ok(check_long(f, head, "age = 1", 1, " AND note='", "x", "'"));
    assert_ok(check_long(f, "SELECT COUNT(*) FROM rows WHERE note='", "x", 16000, "'", "", ""));
    assert_code(check_long(f, "SELECT COUNT(*) FROM rows WHERE note='", "x", 17000, "'", "", ""), CLO_E_TOO_LARGE);
    CLO_AUTO(clo_buf_free) clo_buf b = {0};
    clo_buf_init(&b, 1 << 20);
    for (int many = 64; many <= 65; many++) {
        clo_buf_clear(&b);
        for (int i = 0; i < many; i++) assert_ok(clo_buf_printf(&b, "%s COUNT(*) AS n%d", i == 0 ? "SELECT" : ",", i));
        assert_ok(clo_buf_put_str(&b, " FROM rows"));
        assert_code(clo_sql_check(clo_buf_span(&b), f->schema), many == 64 ? 0 : CLO_E_TOO_MANY);
    }
    for (int many = 32; many <= 33; many++) {
        clo_buf_clear(&b);
        assert_ok(clo_buf_put_str(&b, "SELECT COUNT(*) FROM rows WHERE age IN (0"));
        for (int i = 0; i < many; i++) assert_ok(clo_buf_printf(&b, ", :p%d", i));
        assert_ok(clo_buf_put_str(&b, ")"));
        assert_code(clo_sql_check(clo_buf_span(&b), f->schema), many == 32 ? 0 : CLO_E_TOO_MANY);
    }
}

/* Whatever the bytes are: a program that is accepted at the agreement is one that SQLite prepares; nothing else happens. */
static void test_cuts_and_flips(void **state)
{
    fixture *f = *state;
    static const char program[] =
        "SELECT site, COUNT(*) AS n, AVG(age) FROM rows WHERE (note <> 'a''b' AND age BETWEEN 2 AND :x) GROUP BY site";
    char copy[sizeof program];
    for (size_t cut = 0; cut < sizeof program - 1; cut++) {
        clo_err e = clo_sql_check(clo_span_of(program, cut), f->schema);
        assert_true(!clo_failed(e) || clo_err_class(e) == CLO_CLASS_INPUT);
    }
    for (size_t at = 0; at < sizeof program - 1; at++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, program, sizeof program);
            copy[at] = (char)(copy[at] ^ (1 << bit));
            clo_err e = clo_sql_check(clo_span_of(copy, sizeof program - 1), f->schema);
            assert_true(!clo_failed(e) || clo_err_class(e) == CLO_CLASS_INPUT);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cuts_and_flips, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
