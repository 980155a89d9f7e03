/* Proves: manifests round-trip, refuse every change, other owners and sizes that do not fit; the sealed layout adds up. */
#include "collab_fixture.h"

#include "base/clo_own.h"

static void manifest_make(const clo_collab_identity *owner, clo_collab_manifest *m)
{
    memset(m, 0, sizeof *m);
    memcpy(m->name, "rows-a", sizeof "rows-a");
    memcpy(m->owner, owner->public_half.name, sizeof m->owner);
    assert_ok(clo_collab_dataset_id(&owner->public_half, m->name, m->id));
    memset(m->version, 1, sizeof m->version);
    memset(m->version_id, 2, sizeof m->version_id);
    memset(m->stream_id, 3, sizeof m->stream_id);
    memset(m->commitment, 4, sizeof m->commitment);
    memset(m->schema_digest, 5, sizeof m->schema_digest);
    m->chunk_size = 4096;
    m->plain_size = 10000;
    m->chunk_count = 3;
    m->row_count = 190;
    m->created = FIXTURE_TIME;
}

typedef struct {
    clo_arena *a;
    const clo_crypto_public_key *owner;
} parse_context;
static clo_err parse(void *context, clo_span in)
{
    const parse_context *c = context;
    clo_collab_manifest m;
    clo_err e = clo_collab_manifest_open(c->a, in, c->owner, &m);
    clo_arena_free(c->a);
    clo_arena_init(c->a, 1 << 20);
    return e;
}

static void test_round_trip(void **state)
{
    (void)state;
    clo_collab_identity owner, other;
    fixture_identity("hospital-a", 1, &owner);
    fixture_identity("hospital-a", 2, &other);
    clo_collab_manifest m, again;
    manifest_make(&owner, &m);
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, CLO_MANIFEST_MAX);
    assert_ok(clo_collab_manifest_sign(&m, &owner, &out));
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 1 << 20);
    assert_ok(clo_collab_manifest_open(&a, clo_buf_span(&out), &owner.public_half.sign, &again));
    assert_memory_equal(&m, &again, sizeof m);
    assert_ok(clo_collab_manifest_open(&a, clo_buf_span(&out), NULL, &again));
    assert_code(clo_collab_manifest_open(&a, clo_buf_span(&out), &other.public_half.sign, &again), CLO_E_BAD_SIGNATURE);
    parse_context c = {.a = &a, .owner = &owner.public_half.sign};
    fixture_hostile(parse, &c, clo_buf_span(&out));
    /* A manifest of another key's dataset, rightly signed, is refused too. */
    clo_buf_clear(&out);
    assert_ok(clo_collab_dataset_id(&other.public_half, m.name, m.id));
    assert_ok(clo_collab_manifest_sign(&m, &owner, &out));
    assert_code(clo_collab_manifest_open(&a, clo_buf_span(&out), &owner.public_half.sign, &again), CLO_E_DENIED);
    assert_string_equal(clo_err_denial()->claim, "manifest.id");
}

static void test_inconsistent(void **state)
{
    (void)state;
    clo_collab_identity owner;
    fixture_identity("hospital-a", 1, &owner);
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, CLO_MANIFEST_MAX);
    clo_collab_manifest m;
    manifest_make(&owner, &m);
    m.chunk_count = 2;
    assert_code(clo_collab_manifest_sign(&m, &owner, &out), CLO_E_RANGE);
    manifest_make(&owner, &m);
    m.chunk_size = 1000;
    assert_code(clo_collab_manifest_sign(&m, &owner, &out), CLO_E_RANGE);
    manifest_make(&owner, &m);
    m.plain_size = UINT64_MAX;
    assert_code(clo_collab_manifest_sign(&m, &owner, &out), CLO_E_RANGE);
    manifest_make(&owner, &m);
    m.row_count = 10000;
    assert_code(clo_collab_manifest_sign(&m, &owner, &out), CLO_E_RANGE);
    manifest_make(&owner, &m);
    memcpy(m.owner, "hospital-b", sizeof "hospital-b");
    assert_code(clo_collab_manifest_sign(&m, &owner, &out), CLO_E_DENIED);
    assert_int_equal(out.len, 0);
}

static void test_layout(void **state)
{
    (void)state;
    clo_collab_identity owner;
    fixture_identity("hospital-a", 1, &owner);
    clo_collab_manifest m;
    manifest_make(&owner, &m);
    clo_crypto_stream_info info;
    clo_collab_manifest_stream(&m, &info);
    assert_int_equal(clo_crypto_stream_chunk_count(&info), m.chunk_count);
    assert_int_equal(clo_collab_sealed_offset(500, &m, 0), 16 + 4 + 500);
    assert_int_equal(clo_collab_sealed_offset(500, &m, 2), 16 + 4 + 500 + 2 * (4096 + 16));
    assert_int_equal(clo_collab_sealed_span(&m, 0, 3), clo_crypto_stream_sealed_size(&info));
    assert_int_equal(clo_collab_sealed_span(&m, 0, UINT64_MAX), clo_crypto_stream_sealed_size(&info));
    assert_int_equal(clo_collab_sealed_span(&m, 0, 2), 2 * (4096 + 16));
    assert_int_equal(clo_collab_sealed_span(&m, 2, 1), 10000 - 2 * 4096 + 16);
    assert_int_equal(clo_collab_sealed_span(&m, 3, 1), 0);
    assert_int_equal(clo_collab_sealed_span(&m, 1, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_inconsistent),
                                       cmocka_unit_test(test_layout)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
