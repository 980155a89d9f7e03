/* Proves the padded plain form: canonical CBOR that gives the content back, and a size that is a power of two for every content size. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "enclave/output_plain.h"
#include "wire/cbor.h"
#include <stdlib.h>
#include <string.h>

static void check_size(size_t n, const char *name)
{
    CLO_AUTO(clo_buf_free) clo_buf out = {0}, back = {0};
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *root = NULL;
    uint8_t *content = malloc(n + 1);
    assert_non_null(content);
    memset(content, 0x5a, n);
    clo_buf_init(&out, 4 << 20);
    clo_buf_init(&back, 4 << 20);
    clo_arena_init(&a, 16 << 20);
    assert_ok(clo_enclave_output_plain("table", name, "application/x", clo_span_of(content, n), &out));
    assert_true(out.len >= 4096);
    assert_int_equal(out.len & (out.len - 1), 0);
    assert_ok(clo_wire_cbor_decode(&a, clo_buf_span(&out), NULL, &root));
    assert_ok(clo_wire_cbor_encode(root, &back));
    assert_true(clo_span_equal(clo_buf_span(&out), clo_buf_span(&back)));
    assert_true(clo_span_equal(clo_wire_get(root, "content")->text, clo_span_of(content, n)));
    assert_string_equal((const char *)clo_wire_get(root, "name")->text.p, name);
    assert_string_equal((const char *)clo_wire_get(root, "media_type")->text.p, "application/x");
    free(content);
}

static void sizes(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300; n++) check_size(n, "run-1");
    /* Around the place where the pad shrinks to nothing and its head changes size. */
    for (size_t n = 3700; n < 4200; n++) check_size(n, "a");
    for (size_t n = 7800; n < 8300; n += 1) check_size(n, "abc");
    for (size_t n = 65300; n < 65700; n += 1) check_size(n, "abc");
    check_size(1 << 20, "big");
}

static void too_large(void **state)
{
    (void)state;
    static uint8_t content[8192];
    CLO_AUTO(clo_buf_free) clo_buf out = {0};
    clo_buf_init(&out, 8192);
    assert_code(clo_enclave_output_plain("table", "n", "t", clo_span_of(content, sizeof content), &out), CLO_E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes), cmocka_unit_test(too_large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
