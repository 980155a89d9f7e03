/* Proves that a home keeps what it was told (identity, servers, anchors), refuses what it does not understand with the place, and
 * never replaces a party's keys. */
#include "client_fixture.h"

#include "crypto/hash.h"

#define SPKI "854abe3524a6fd793c8e83a23b1b35ef6033b30818b3fced4351e722ac59eb25"
#define LOG_KEY "operator.cloister/log+9f9580b7+AXuHjfGGXgvgF+vccGwZ5O7+JjKBoxi2SRczmuG7UAfv"
#define WITNESS_KEY "witness+d274d75f+BKoj2bHQSazt9gvK36ci5TD7svRXWHv/vHkowNYaWsPw"
#define OPERATOR                                                                                                                 \
    "{\"name\":\"operator\",\"url\":\"https://127.0.0.1:1\",\"spki\":\"" SPKI "\",\"log\":{\"origin\":\"o\",\"vkey\":\"" LOG_KEY \
    "\",\"witnesses\":[\"" WITNESS_KEY "\"],\"quorum\":1},\"tee\":{\"kind\":\"sim\",\"root\":\"3000\"}}"
#define KMS "{\"url\":\"https://127.0.0.1:2\",\"spki\":\"" SPKI "\",\"hpke\":\"" SPKI "\",\"owner\":\"hospital-a\"}"

static void identity_is_kept_and_never_replaced(void **state)
{
    client_fixture *f = *state;
    char path[CLO_CLIENT_PATH], other[CLO_CLIENT_PATH];
    clo_collab_identity who, again;
    assert_code(clo_client_home_identity(&f->home, &who), CLO_E_NOT_FOUND);
    assert_code(clo_client_home_identity_make(&f->home, "Hospital A", path), CLO_E_MALFORMED);
    assert_ok(clo_client_home_identity_make(&f->home, "hospital-a", path));
    assert_true(clo_os_file_exists(path));
    assert_ok(clo_client_home_identity(&f->home, &who));
    assert_string_equal(who.public_half.name, "hospital-a");
    assert_code(clo_client_home_identity_make(&f->home, "hospital-b", other), CLO_E_EXISTS);
    assert_ok(clo_client_home_identity(&f->home, &again));
    assert_true(clo_crypto_public_key_equal(&who.public_half.sign, &again.public_half.sign));
    clo_collab_identity_wipe(&who);
    clo_collab_identity_wipe(&again);
}

static void key_that_others_may_read_is_refused(void **state)
{
    client_fixture *f = *state;
    char path[CLO_CLIENT_PATH];
    clo_collab_identity who;
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 65536);
    assert_ok(clo_client_home_identity_make(&f->home, "hospital-a", path));
    const char *key = client_path(f, "identity.key");
    assert_ok(clo_os_file_read(key, 65536, &bytes));
    assert_ok(clo_os_file_write_atomic(key, clo_buf_span(&bytes), 0644));
    assert_code(clo_client_home_identity(&f->home, &who), CLO_E_DENIED);
}

static void servers_survive_a_restart(void **state)
{
    client_fixture *f = *state;
    clo_client_home again;
    assert_false(f->home.server.known);
    assert_ok(clo_client_home_take_operator(&f->home, clo_span_str(OPERATOR)));
    assert_ok(clo_client_home_take_kms(&f->home, clo_span_str(KMS)));
    assert_ok(clo_client_home_open(&again, f->dir));
    assert_true(again.server.known);
    assert_string_equal(again.server.url, "https://127.0.0.1:1");
    assert_memory_equal(again.server.spki, f->home.server.spki, 32);
    assert_string_equal(again.kms_owner, "hospital-a");
    assert_memory_equal(again.kms_hpke, f->home.kms_hpke, 32);
}

static void bad_descriptions_change_nothing(void **state)
{
    client_fixture *f = *state;
    assert_code(clo_client_home_take_operator(&f->home, clo_span_str("{}")), CLO_E_MISSING_FIELD);
    assert_code(clo_client_home_take_operator(&f->home, clo_span_str("{\"url\":\"https://x\",\"spki\":\"" SPKI "\",\"vkey\":\"k\"}")), /* a witness */
                CLO_E_MISSING_FIELD);
    assert_code(clo_client_home_take_operator(&f->home, clo_span_str("{\"url\":\"http://x\",\"spki\":\"" SPKI "\"}")),
                CLO_E_MISSING_FIELD);
    assert_code(clo_client_home_take_operator(&f->home, clo_span_str("{\"url\":\"https://x\",\"url\":\"https://y\"}")),
                CLO_E_DUPLICATE);
    assert_true(clo_failed(clo_client_home_take_operator(&f->home, clo_span_str("{\"url\":\"https://x\",\"spki\":\"12\"}"))));
    assert_code(clo_client_home_take_kms(&f->home, clo_span_str("{\"url\":\"https://x\",\"spki\":\"" SPKI "\"}")),
                CLO_E_MISSING_FIELD);
    assert_false(f->home.server.known);
    assert_false(f->home.kms.known);
}

/* An operator's or key service's description is text from outside: nothing in it may become a line of our configuration. The first
 * would name a key service of the operator's choice to whoever has none yet. */
static void descriptions_cannot_write_configuration(void **state)
{
    client_fixture *f = *state;
    clo_client_home again;
    static const char *const urls[] = {
        "https://x:1\\\", spki: \\\"" SPKI "\\\"}\\nkms: {url: \\\"https://evil\\\", spki: \\\"" SPKI "\\\", hpke: \\\"" SPKI "\\\", owner: \\\"a\\\"}\\n#",
        "https://x:1/\\nkms: {}", "https://x\\\"", "https://x\\\\", "https://x:1/path", "https://x y"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        char text[2048];
        (void)snprintf(text, sizeof text, "{\"url\":\"%s\",\"spki\":\"" SPKI "\",\"log\":{\"vkey\":\"" LOG_KEY "\"}}", urls[i]);
        assert_code(clo_client_home_take_operator(&f->home, clo_span_str(text)), CLO_E_MALFORMED);
        (void)snprintf(text, sizeof text, "{\"url\":\"%s\",\"spki\":\"" SPKI "\",\"hpke\":\"" SPKI "\",\"owner\":\"a\"}", urls[i]);
        assert_code(clo_client_home_take_kms(&f->home, clo_span_str(text)), CLO_E_MALFORMED);
    }
    assert_code(clo_client_home_take_kms(&f->home, clo_span_str("{\"url\":\"https://x\",\"spki\":\"" SPKI "\",\"hpke\":\"" SPKI
                                                                "\",\"owner\":\"a\\\"}\\nserver: {}\"}")),
                CLO_E_MALFORMED);
    assert_code(clo_client_home_take_operator(&f->home, clo_span_str("{\"url\":\"https://x\",\"spki\":\"" SPKI
                                                                     "\",\"log\":{\"vkey\":\"" LOG_KEY "\\nquorum none\"}}")),
                CLO_E_MALFORMED);
    assert_ok(clo_client_home_open(&again, f->dir));
    assert_false(again.server.known);
    assert_false(again.kms.known);
}

static void unknown_configuration_names_its_line(void **state)
{
    client_fixture *f = *state;
    clo_client_home again;
    (void)client_write(f, "config.yaml", "server: {url: \"https://x\", spki: \"" SPKI "\"}\nsurprise: 1\n");
    assert_code(clo_client_home_open(&again, f->dir), CLO_E_UNKNOWN_FIELD);
    assert_non_null(strstr(clo_err_text(), "surprise"));
    assert_non_null(strstr(clo_err_text(), "config.yaml"));
    (void)client_write(f, "config.yaml", "server: [\n");
    assert_true(clo_failed(clo_client_home_open(&again, f->dir)));
}

static void anchors_are_loaded(void **state)
{
    client_fixture *f = *state;
    static clo_collab_roots roots;
    char party[CLO_CLIENT_PATH];
    uint8_t digest[32];
    assert_ok(clo_client_roots_load(&f->home, NULL, &roots));
    assert_false(roots.have_log);
    assert_ok(clo_client_home_take_operator(&f->home, clo_span_str(OPERATOR)));
    assert_ok(clo_client_home_identity_make(&f->home, "hospital-a", party));
    assert_ok(clo_os_file_copy(party, client_path(f, "roots/hospital-a.party"), 0644));
    assert_ok(clo_client_roots_load(&f->home, NULL, &roots));
    assert_true(roots.have_log);
    assert_int_equal(roots.log.witness_count, 1);
    assert_int_equal(roots.log.quorum, 1);
    assert_int_equal(roots.tee_root_count, 1);
    assert_ok(clo_crypto_sha256(clo_span_of("\x30\x00", 2), digest));
    assert_memory_equal(roots.tee_roots[0], digest, 32);
    assert_int_equal(roots.party_count, 1);
    assert_string_equal(roots.parties[0].name, "hospital-a");
    assert_code(clo_client_roots_load(&f->home, client_path(f, "nowhere"), &roots), CLO_E_NOT_FOUND);
}

static void broken_anchors_are_errors(void **state)
{
    client_fixture *f = *state;
    static clo_collab_roots roots;
    static const struct {
        const char *text;
        uint32_t code;
    } cases[] = {{"surprise x\n", CLO_E_MALFORMED},
                 {"quorum none\n", CLO_E_MISSING_FIELD},
                 {"log " LOG_KEY "\nlog " LOG_KEY "\n", CLO_E_DUPLICATE},
                 {"log " LOG_KEY "\nwitness w1 " WITNESS_KEY "\ngroup g 2 w1\nquorum g\n", CLO_E_RANGE},
                 {"log " LOG_KEY "\nwitness w1 " WITNESS_KEY "\ngroup g 1\nquorum g\n", CLO_E_UNSUPPORTED},
                 {"log nonsense\n", CLO_E_MALFORMED}};
    assert_ok(clo_client_home_save(&f->home));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)client_write(f, "roots/log.policy", cases[i].text);
        assert_code(clo_client_roots_load(&f->home, NULL, &roots), cases[i].code);
        assert_false(roots.have_log);
    }
    (void)client_write(f, "roots/log.policy", "# nothing but\n\nlog " LOG_KEY "\nquorum none\n");
    assert_ok(clo_client_roots_load(&f->home, NULL, &roots));
    (void)client_write(f, "roots/x.party", "no party");
    assert_true(clo_failed(clo_client_roots_load(&f->home, NULL, &roots)));
    assert_false(roots.have_log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(identity_is_kept_and_never_replaced, client_setup, client_teardown),
        cmocka_unit_test_setup_teardown(key_that_others_may_read_is_refused, client_setup, client_teardown),
        cmocka_unit_test_setup_teardown(servers_survive_a_restart, client_setup, client_teardown),
        cmocka_unit_test_setup_teardown(bad_descriptions_change_nothing, client_setup, client_teardown),
        cmocka_unit_test_setup_teardown(descriptions_cannot_write_configuration, client_setup, client_teardown),
        cmocka_unit_test_setup_teardown(unknown_configuration_names_its_line, client_setup, client_teardown),
        cmocka_unit_test_setup_teardown(anchors_are_loaded, client_setup, client_teardown),
        cmocka_unit_test_setup_teardown(broken_anchors_are_errors, client_setup, client_teardown),
    };
    return cmocka_run_group_tests_name("client home", tests, NULL, NULL);
}
