/* Proves that CBOR is read only in its deterministic form and written in it: RFC 8949 appendix A, own cases for every
 * refusal, decode(encode(x)) = x on random trees with libcbor reading the same bytes, every truncation and every bit flip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cbor.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/cbor.h"
#include "wire_random.h"

typedef struct {
    const char *hex;
    uint32_t code; /* 0: accepted, and encodes to the same bytes */
    uint32_t lenient;
} one_case;

static clo_err decode_hex(clo_arena *a, const char *hex, bool lenient, clo_wire_node **out, clo_span *bytes)
{
    size_t n = strlen(hex) / 2;
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(a, n + 1, &p));
    CLO_TRY(clo_hex_decode(p, n, clo_span_str(hex)));
    *bytes = clo_span_of(p, n);
    clo_wire_cbor_limits limits = {.allow_unsorted = lenient};
    return clo_wire_cbor_decode(a, *bytes, &limits, out);
}

static const one_case table[] = {
    /* RFC 8949 appendix A */
    {"00", 0, 0},
    {"01", 0, 0},
    {"0a", 0, 0},
    {"17", 0, 0},
    {"1818", 0, 0},
    {"1819", 0, 0},
    {"1864", 0, 0},
    {"1903e8", 0, 0},
    {"1a000f4240", 0, 0},
    {"1b000000e8d4a51000", 0, 0},
    {"1bffffffffffffffff", CLO_E_RANGE, CLO_E_RANGE},
    {"3bffffffffffffffff", CLO_E_RANGE, CLO_E_RANGE},
    {"1b7fffffffffffffff", 0, 0},
    {"3b7fffffffffffffff", 0, 0},
    {"3b8000000000000000", CLO_E_RANGE, CLO_E_RANGE},
    {"20", 0, 0},
    {"29", 0, 0},
    {"3863", 0, 0},
    {"3903e7", 0, 0},
    {"f90000", 0, 0},
    {"f98000", 0, 0},
    {"f93c00", 0, 0},
    {"fb3ff199999999999a", 0, 0},
    {"f93e00", 0, 0},
    {"f97bff", 0, 0},
    {"fa47c35000", 0, 0},
    {"fa7f7fffff", 0, 0},
    {"fb7e37e43c8800759c", 0, 0},
    {"f90001", 0, 0},
    {"f90400", 0, 0},
    {"f9c400", 0, 0},
    {"fbc010666666666666", 0, 0},
    {"f97c00", CLO_E_RANGE, CLO_E_RANGE},
    {"f97e00", CLO_E_RANGE, CLO_E_RANGE},
    {"fa7f800000", CLO_E_RANGE, CLO_E_RANGE},
    {"fb7ff8000000000000", CLO_E_RANGE, CLO_E_RANGE},
    {"f4", 0, 0},
    {"f5", 0, 0},
    {"f6", 0, 0},
    {"f7", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},
    {"f0", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},
    {"f8ff", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},
    {"c11a514b67b0", 0, 0},
    {"d74401020304", 0, 0},
    {"d818456449455446", 0, 0},
    {"40", 0, 0},
    {"4401020304", 0, 0},
    {"60", 0, 0},
    {"6161", 0, 0},
    {"62225c", 0, 0},
    {"62c3bc", 0, 0},
    {"63e6b0b4", 0, 0},
    {"64f0908591", 0, 0},
    {"80", 0, 0},
    {"83010203", 0, 0},
    {"8301820203820405", 0, 0},
    {"a0", 0, 0},
    {"a201020304", 0, 0},
    {"a26161016162820203", 0, 0},
    {"826161a161626163", 0, 0},
    {"5f42010243030405ff", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},
    {"7f657374726561646d696e67ff", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},
    {"9fff", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},
    {"bf61610161629f0203ffff", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},
    {"ff", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},
    /* not shortest, not sorted, twice */
    {"1800", CLO_E_NOT_CANONICAL, 0},
    {"1817", CLO_E_NOT_CANONICAL, 0},
    {"190018", CLO_E_NOT_CANONICAL, 0},
    {"1a0000ffff", CLO_E_NOT_CANONICAL, 0},
    {"1b00000000ffffffff", CLO_E_NOT_CANONICAL, 0},
    {"5801aa", CLO_E_NOT_CANONICAL, 0},
    {"780161", CLO_E_NOT_CANONICAL, 0},
    {"d801f6", CLO_E_NOT_CANONICAL, 0},
    {"9801f6", CLO_E_NOT_CANONICAL, 0},
    {"b8010102", CLO_E_NOT_CANONICAL, 0},
    {"fa3f800000", CLO_E_NOT_CANONICAL, 0},
    {"fb3ff0000000000000", CLO_E_NOT_CANONICAL, 0},
    {"fb40f86a0000000000", CLO_E_NOT_CANONICAL, 0},
    {"a203040102", CLO_E_NOT_CANONICAL, 0},
    {"a2626161016162f6", CLO_E_NOT_CANONICAL, 0},
    {"a2616101613102", CLO_E_NOT_CANONICAL, 0},
    {"a201010102", CLO_E_DUPLICATE, CLO_E_DUPLICATE},
    {"a2616101616102", CLO_E_DUPLICATE, CLO_E_DUPLICATE},
    {"a30102616101180102", CLO_E_NOT_CANONICAL, CLO_E_DUPLICATE},
    {"a220012101", 0, 0},
    {"a221012001", CLO_E_NOT_CANONICAL, 0},
    {"a200012001", 0, 0},
    /* broken */
    {"", CLO_E_TRUNCATED, CLO_E_TRUNCATED},
    {"18", CLO_E_TRUNCATED, CLO_E_TRUNCATED},
    {"0000", CLO_E_TRAILING, CLO_E_TRAILING},
    {"1c", CLO_E_MALFORMED, CLO_E_MALFORMED},
    {"61ff", CLO_E_MALFORMED, CLO_E_MALFORMED},
    {"62c080", CLO_E_MALFORMED, CLO_E_MALFORMED},
    {"63eda080", CLO_E_MALFORMED, CLO_E_MALFORMED},
    {"9bffffffffffffffff", CLO_E_TRUNCATED, CLO_E_TRUNCATED},
    {"bb7fffffffffffffff", CLO_E_TRUNCATED, CLO_E_TRUNCATED},
    {"5bffffffffffffffff00", CLO_E_TRUNCATED, CLO_E_TRUNCATED},
    {"7b000000010000000061", CLO_E_TRUNCATED, CLO_E_TRUNCATED},
    {"a1f500", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},
    {"a1410000", CLO_E_UNSUPPORTED, CLO_E_UNSUPPORTED},
    {"a101", CLO_E_TRUNCATED, CLO_E_TRUNCATED},
    {"818181818181818181818181818181818181818181818181818181818181818100", CLO_E_TOO_MANY, CLO_E_TOO_MANY},
    {"8181818181818181818181818181818181818181818181818181818181818100", 0, 0},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (int lenient = 0; lenient < 2; lenient++) {
            CLO_AUTO(clo_arena_free) clo_arena a;
            clo_arena_init(&a, 1 << 20);
            clo_wire_node *n = NULL;
            clo_span bytes = {0};
            clo_err e = decode_hex(&a, table[i].hex, lenient != 0, &n, &bytes);
            uint32_t wanted = lenient != 0 ? table[i].lenient : table[i].code;
            if (e.code != wanted) fail_msg("%s (lenient %d): got %s: %s", table[i].hex, lenient, clo_err_name(e), clo_err_text());
            if (wanted != 0) assert_null(n);
            if (wanted != 0 || lenient != 0) continue;
            CLO_AUTO(clo_buf_free) clo_buf out;
            clo_buf_init(&out, 4096);
            assert_false(clo_failed(clo_wire_cbor_encode(n, &out)));
            if (!clo_span_equal(clo_buf_span(&out), bytes)) fail_msg("%s encodes otherwise", table[i].hex);
        }
    }
}

static clo_wire_node *random_tree(clo_arena *a, uint64_t *s, unsigned depth)
{
    clo_wire_node *n = NULL;
    uint64_t r = random_next(s);
    uint8_t raw[24];
    for (size_t i = 0; i < sizeof raw; i++) raw[i] = (uint8_t)('a' + (random_next(s) % 26));
    size_t size = random_next(s) % sizeof raw;
    double v;
    uint64_t bits = random_next(s);
    clo_err e = CLO_OK;
    switch (r % (depth == 0 ? 6 : 9)) {
    case 0:
        e = clo_wire_null(a, &n);
        break;
    case 1:
        e = clo_wire_bool(a, (r >> 8 & 1) != 0, &n);
        break;
    case 2:
        e = clo_wire_int(a, (int64_t)bits >> (r >> 8) % 64, &n);
        break;
    case 3:
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) v = 0.5;
        if ((r >> 8) % 3 == 0) v = (double)(float)ldexp((double)(bits % 4096), (int)(r >> 20) % 40 - 30);
        e = clo_wire_float(a, v, &n);
        break;
    case 4:
        e = clo_wire_text(a, clo_span_of(raw, size), &n);
        break;
    case 5:
        e = clo_wire_bytes(a, clo_span_of(raw, size), &n);
        break;
    case 6:
        e = clo_wire_array(a, &n);
        for (size_t i = 0; i < size % 5; i++) assert_false(clo_failed(clo_wire_append(n, random_tree(a, s, depth - 1))));
        break;
    case 7:
        e = clo_wire_map(a, &n);
        for (size_t i = 0; i < size % 7; i++) {
            char key[8];
            (void)snprintf(key, sizeof key, "%llu", (unsigned long long)(random_next(s) % 2000));
            clo_wire_node *child = random_tree(a, s, depth - 1);
            clo_err set = (random_next(s) & 1) != 0 ? clo_wire_set(a, n, key, child)
                                                    : clo_wire_set_int_key(a, n, (int64_t)(random_next(s) % 100) - 50, child);
            assert_true(!clo_failed(set) || set.code == CLO_E_DUPLICATE);
        }
        break;
    default:
        e = clo_wire_tag(a, bits, random_tree(a, s, depth - 1), &n);
        break;
    }
    assert_false(clo_failed(e));
    return n;
}

static void test_properties(void **state)
{
    (void)state;
    uint64_t s = random_seed();
    for (int round = 0; round < 400; round++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 16 << 20);
        CLO_AUTO(clo_buf_free) clo_buf first;
        CLO_AUTO(clo_buf_free) clo_buf second;
        clo_buf_init(&first, 1 << 20);
        clo_buf_init(&second, 1 << 20);
        clo_wire_node *back = NULL, *ignored = NULL;
        assert_false(clo_failed(clo_wire_cbor_encode(random_tree(&a, &s, 4), &first)));
        assert_false(clo_failed(clo_wire_cbor_decode(&a, clo_buf_span(&first), NULL, &back)));
        assert_false(clo_failed(clo_wire_cbor_encode(back, &second)));
        assert_int_equal(first.len, second.len);
        assert_memory_equal(first.p, second.p, first.len);
        struct cbor_load_result result;
        cbor_item_t *item = cbor_load(first.p, first.len, &result);
        assert_non_null(item);
        assert_int_equal(result.read, first.len);
        cbor_decref(&item);
        if (first.len > 400) continue;
        for (size_t n = 0; n < first.len; n++)
            assert_true(clo_failed(clo_wire_cbor_decode(&a, clo_span_of(first.p, n), NULL, &ignored)));
        for (size_t bit = 0; bit < first.len * 8; bit++) {
            CLO_AUTO(clo_arena_free) clo_arena scratch;
            clo_arena_init(&scratch, 1 << 20);
            first.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (!clo_failed(clo_wire_cbor_decode(&scratch, clo_buf_span(&first), NULL, &back))) {
                /* Whatever is accepted is the one encoding of what was read. */
                clo_buf_clear(&second);
                assert_false(clo_failed(clo_wire_cbor_encode(back, &second)));
                assert_true(clo_span_equal(clo_buf_span(&first), clo_buf_span(&second)));
            }
            first.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

/* All half-precision values, and floats around each boundary, take their shortest form and come back. */
static void test_floats(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        if ((h >> 10 & 31) == 31) continue;
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 1 << 16);
        CLO_AUTO(clo_buf_free) clo_buf out;
        clo_buf_init(&out, 16);
        uint8_t bytes[3] = {0xf9, (uint8_t)(h >> 8), (uint8_t)h};
        clo_wire_node *n = NULL;
        assert_false(clo_failed(clo_wire_cbor_decode(&a, clo_span_of(bytes, 3), NULL, &n)));
        assert_false(clo_failed(clo_wire_cbor_encode(n, &out)));
        assert_int_equal(out.len, 3);
        assert_memory_equal(out.p, bytes, 3);
    }
}

static void test_limits(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    uint8_t many[6] = {0x85, 1, 2, 3, 4, 5};
    clo_wire_node *n = NULL;
    clo_wire_cbor_limits limits = {.items_max = 5};
    assert_int_equal(clo_wire_cbor_decode(&a, clo_span_of(many, 6), &limits, &n).code, CLO_E_TOO_MANY);
    limits.items_max = 6;
    assert_int_equal(clo_wire_cbor_decode(&a, clo_span_of(many, 6), &limits, &n).code, 0);
    CLO_AUTO(clo_buf_free) clo_buf small;
    clo_buf_init(&small, 5);
    assert_int_equal(clo_wire_cbor_encode(n, &small).code, CLO_E_TOO_LARGE);
    assert_int_equal(small.len, 0);
    clo_arena tiny;
    clo_arena_init(&tiny, 300);
    assert_true(clo_failed(clo_wire_cbor_decode(&tiny, clo_span_of(many, 6), NULL, &n)));
    clo_arena_free(&tiny);
}

/* RFC 8949 appendix A's items with a break: equal to the same item with lengths, only where the limits allow them. */
static void test_indefinite(void **state)
{
    (void)state;
    static const struct {
        const char *open, *closed; /* NULL: refused */
    } cases[] = {
        {"5f42010243030405ff", "450102030405"}, {"7f657374726561646d696e67ff", "6973747265616d696e67"},
        {"9fff", "80"},                         {"9f018202039f0405ffff", "83018202038204" "05"},
        {"bf61610161629f0203ffff", "a26161016162820203"}, {"bf6346756ef563416d7421ff", "a263416d74216346756ef5"},
        {"5fff", "40"},                         {"5f5f4101ffff", NULL},
        {"5f6161ff", NULL},                     {"9f01", NULL},
        {"5f4101", NULL},                       {"bf6161ff", NULL},
        {"ff", NULL},                           {"1fff", NULL},
        {"dfff", NULL},                         {"bf616101616102ff", NULL},
        {"9fffff", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 65536);
        uint8_t bytes[64];
        size_t n = strlen(cases[i].open) / 2;
        CLO_AUTO(clo_buf_free) clo_buf again;
        clo_buf_init(&again, 256);
        clo_wire_cbor_limits limits = {.allow_unsorted = true, .allow_indefinite = true}, definite = {.allow_unsorted = true};
        clo_wire_node *node = NULL;
        assert_false(clo_failed(clo_hex_decode(bytes, n, clo_span_str(cases[i].open))));
        assert_true(clo_failed(clo_wire_cbor_decode(&a, clo_span_of(bytes, n), &definite, &node)));
        clo_err e = clo_wire_cbor_decode(&a, clo_span_of(bytes, n), &limits, &node);
        assert_int_equal(clo_failed(e), cases[i].closed == NULL);
        if (cases[i].closed == NULL) continue;
        assert_false(clo_failed(clo_wire_cbor_encode(node, &again)));
        char hex[129];
        clo_hex_encode(hex, clo_buf_span(&again));
        assert_string_equal(hex, cases[i].closed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_indefinite),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
