/* Proves: party and identity files round-trip, refuse every change, and access tokens hold only for their party, audience and
 * window. */
#include "collab_fixture.h"

#include "base/clo_own.h"
#include "base/clo_text.h"

static void test_identity(void **state)
{
    (void)state;
    clo_collab_identity made, again;
    assert_ok(clo_collab_identity_make("hospital-a", &made));
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 4096);
    assert_ok(clo_collab_identity_encode(&made, &file));
    assert_ok(clo_collab_identity_decode(clo_buf_span(&file), &again));
    assert_memory_equal(&made.public_half.sign.bytes, &again.public_half.sign.bytes, 32);
    assert_memory_equal(made.public_half.hpke, again.public_half.hpke, 32);
    assert_string_equal(again.public_half.name, "hospital-a");
    for (size_t n = 0; n < file.len; n++) {
        clo_err e = clo_collab_identity_decode(clo_span_of(file.p, n), &again);
        assert_true(clo_failed(e));
        if (n >= 16) assert_int_equal(again.public_half.name[0], 0); /* half a secret is wiped */
    }
    assert_code(clo_collab_identity_make("No Spaces", &again), CLO_E_MALFORMED);
    assert_code(clo_collab_identity_make("", &again), CLO_E_MALFORMED);
    clo_collab_identity_wipe(&made);
    clo_collab_identity_wipe(&again);
    clo_collab_identity_wipe(NULL);
}

static void test_identity_long_name(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 23, 24, 63};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char name[64] = {0};
        memset(name, 'x', lengths[i]);
        clo_collab_identity made, again;
        fixture_identity(name, 9, &made);
        CLO_AUTO(clo_buf_free) clo_buf file;
        clo_buf_init(&file, 4096);
        assert_ok(clo_collab_identity_encode(&made, &file));
        assert_ok(clo_collab_identity_decode(clo_buf_span(&file), &again));
        assert_string_equal(again.public_half.name, name);
    }
}

static clo_err parse_party(void *context, clo_span in) { return clo_collab_party_decode(in, context); }

static void test_party_file(void **state)
{
    (void)state;
    clo_collab_identity i;
    fixture_identity("analyst", 4, &i);
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 4096);
    assert_ok(clo_collab_party_encode(&i, &file));
    clo_collab_party p;
    fixture_hostile(parse_party, &p, clo_buf_span(&file));
    assert_ok(clo_collab_party_decode(clo_buf_span(&file), &p));
    assert_string_equal(p.name, "analyst");
    assert_memory_equal(p.hpke, i.public_half.hpke, 32);
    uint8_t kid[32], kid2[32];
    assert_ok(clo_collab_party_kid(&p, kid));
    assert_ok(clo_collab_party_kid(&i.public_half, kid2));
    assert_memory_equal(kid, kid2, 32);
}

typedef struct {
    const clo_collab_party *party;
} token_context;

static clo_err parse_token(void *context, clo_span in)
{
    const token_context *c = context;
    return clo_collab_token_verify(in, c->party, "operator", 1000);
}

static void test_token(void **state)
{
    (void)state;
    clo_collab_identity i, other;
    fixture_identity("analyst", 4, &i);
    fixture_identity("analyst", 5, &other);
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 4096);
    assert_ok(clo_collab_token_make(&i, "operator", 1000, 60, &text));
    clo_span t = clo_buf_span(&text);
    char party[64];
    uint8_t kid[32], wanted[32];
    assert_ok(clo_collab_token_peek(t, party, kid));
    assert_string_equal(party, "analyst");
    assert_ok(clo_collab_party_kid(&i.public_half, wanted));
    assert_memory_equal(kid, wanted, 32);

    static const struct {
        int64_t now;
        bool good;
    } windows[] = {{969, false}, {970, true},   {1000, true},       {1060, true},
                   {1089, true}, {1090, false}, {INT64_MAX, false}, {-1, false}};
    for (size_t k = 0; k < sizeof windows / sizeof windows[0]; k++) {
        clo_err e = clo_collab_token_verify(t, &i.public_half, "operator", windows[k].now);
        if (windows[k].good)
            assert_ok(e);
        else
            assert_code(e, CLO_E_UNAUTHENTICATED);
    }
    assert_code(clo_collab_token_verify(t, &i.public_half, "hospital-a", 1000), CLO_E_UNAUTHENTICATED);
    assert_code(clo_collab_token_verify(t, &other.public_half, "operator", 1000), CLO_E_UNAUTHENTICATED);
    clo_collab_party renamed = i.public_half;
    memcpy(renamed.name, "operator", sizeof "operator");
    assert_code(clo_collab_token_verify(t, &renamed, "operator", 1000), CLO_E_UNAUTHENTICATED);
    clo_buf_clear(&text);
    assert_code(clo_collab_token_make(&i, "operator", 1000, 301, &text), CLO_E_RANGE);
    assert_code(clo_collab_token_make(&i, "operator", 1000, 0, &text), CLO_E_RANGE);
}

static void test_token_hostile(void **state)
{
    (void)state;
    clo_collab_identity i;
    fixture_identity("analyst", 4, &i);
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 4096);
    assert_ok(clo_collab_token_make(&i, "operator", 1000, 60, &text));
    token_context c = {.party = &i.public_half};
    fixture_hostile(parse_token, &c, clo_buf_span(&text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity), cmocka_unit_test(test_identity_long_name), cmocka_unit_test(test_party_file),
        cmocka_unit_test(test_token),    cmocka_unit_test(test_token_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
