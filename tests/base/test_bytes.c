/* Proves that readers latch and never read beyond, that buffers and arenas keep their maximum, and that constant-time comparison is right. */
#include "cmocka_all.h"

#include "base/clo_arena.h"
#include "base/clo_buf.h"
#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "base/clo_rd.h"

#include <string.h>

static void reader_reads_and_latches(void **state)
{
    (void)state;
    static const uint8_t in[] = {1, 0, 2, 3, 0, 0, 0, 0, 2, 'a', 'b', 9};
    for (size_t cut = 0; cut <= sizeof in; cut++) {
        clo_rd r = clo_rd_init(clo_span_of(in, cut));
        uint8_t first = clo_rd_u8(&r);
        uint16_t second = clo_rd_u16be(&r);
        uint16_t third = clo_rd_u16le(&r);
        clo_rd sub = clo_rd_vec32(&r);
        clo_span body = clo_rd_span(&sub, 2);
        uint8_t last = clo_rd_u8(&r);
        clo_err e = clo_rd_end(&r);
        if (cut < sizeof in) {
            assert_code(e, CLO_E_TRUNCATED);
            assert_int_equal(clo_rd_u8(&r), 0);
            continue;
        }
        assert_ok(e);
        assert_int_equal(first, 1);
        assert_int_equal(second, 2);
        assert_int_equal(third, 3);
        assert_int_equal(body.n, 2);
        assert_int_equal(last, 9);
    }
    clo_rd r = clo_rd_init(clo_span_of(in, 2));
    (void)clo_rd_u8(&r);
    assert_code(clo_rd_end(&r), CLO_E_TRAILING);
    uint8_t to[4] = {7, 7, 7, 7};
    clo_rd_copy(&r, to, 4);
    assert_int_equal(to[0] | to[3], 0);
}

static void buffer_keeps_its_maximum(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 10);
    assert_ok(clo_buf_put_u32be(&b, 0x01020304));
    assert_ok(clo_buf_put_u32le(&b, 0x01020304));
    assert_code(clo_buf_put(&b, "abc", 3), CLO_E_TOO_LARGE);
    assert_int_equal(b.len, 8);
    assert_memory_equal(b.p, "\1\2\3\4\4\3\2\1", 8);
    uint8_t *at = NULL;
    assert_code(clo_buf_reserve(&b, SIZE_MAX, &at), CLO_E_OVERFLOW);
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 64);
    assert_ok(clo_buf_printf(&text, "%d-%s", 5, "x"));
    const char *s = NULL;
    assert_ok(clo_buf_cstr(&text, &s));
    assert_string_equal(s, "5-x");
}

static void arena_keeps_its_maximum(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 10000);
    void *p = NULL;
    for (int i = 0; i < 100; i++) {
        assert_ok(clo_arena_alloc(&a, 100, &p));
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, i, 100);
    }
    assert_code(clo_arena_alloc(&a, 1, &p), CLO_E_TOO_LARGE);
    assert_code(clo_arena_array(&a, SIZE_MAX, 2, &p), CLO_E_OVERFLOW);
    clo_arena_free(&a);
    const char *s = NULL;
    assert_code(clo_arena_str(&a, clo_span_of("a\0b", 3), &s), CLO_E_MALFORMED);
    assert_ok(clo_arena_str(&a, clo_span_of("ab", 2), &s));
    assert_string_equal(s, "ab");
}

static void constant_time_comparison(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    memset(a, 5, 32);
    memcpy(b, a, 32);
    assert_false(clo_ct_declassify(clo_ct_differ(a, b, 32)));
    for (size_t i = 0; i < 32 * 8; i++) {
        b[i / 8] ^= (uint8_t)(1u << (i % 8));
        assert_true(clo_ct_declassify(clo_ct_differ(a, b, 32)));
        b[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    assert_int_equal(clo_ct_pick(clo_ct_nonzero(1), 10, 20), 10);
    assert_int_equal(clo_ct_pick(clo_ct_nonzero(0), 10, 20), 20);
    clo_key32 k = {{1}}, m = {{3}};
    clo_key32_xor(&k, &m);
    assert_int_equal(k.b[0], 2);
    clo_key32_wipe(&k);
    assert_int_equal(k.b[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reader_reads_and_latches), cmocka_unit_test(buffer_keeps_its_maximum),
                                       cmocka_unit_test(arena_keeps_its_maximum), cmocka_unit_test(constant_time_comparison)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
