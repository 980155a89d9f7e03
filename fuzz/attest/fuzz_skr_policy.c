/* Any JSON as a release policy: what is read is read again to the same, is imported to a policy that can be read and exported, and never matches
 * an empty set of claims. */
#include "attest/skr_policy.h"
#include "wire/cbor.h"
#include "wire/json.h"

#include <stdlib.h>

static void must(clo_err e)
{
    if (clo_failed(e)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clo_arena a;
    clo_buf one, two;
    clo_arena_init(&a, 1 << 23);
    clo_buf_init(&one, 1 << 20);
    clo_buf_init(&two, 1 << 20);
    clo_wire_node *node = NULL, *read = NULL, *again = NULL, *imported = NULL, *empty = NULL;
    static clo_attest_policy p;
    char why[200];
    if (!clo_failed(clo_wire_json_decode(&a, clo_span_of(data, size), &node)) && !clo_failed(clo_attest_skr_read(&a, node, &read))) {
        must(clo_wire_cbor_encode(read, &one));
        must(clo_attest_skr_read(&a, read, &again));
        must(clo_wire_cbor_encode(again, &two));
        if (!clo_span_equal(clo_buf_span(&one), clo_buf_span(&two))) abort();
        must(clo_wire_map(&a, &empty));
        if (clo_attest_skr_match(read, empty, NULL, why)) abort();
        (void)clo_attest_skr_match(read, node, NULL, why);
        must(clo_attest_skr_import(&a, read, &imported));
        if (!clo_failed(clo_attest_policy_read(&a, imported, &p))) (void)!clo_failed(clo_attest_skr_export(&a, &p, "https://a.example", "maa", &again));
    }
    clo_buf_free(&one);
    clo_buf_free(&two);
    clo_arena_free(&a);
    return 0;
}
