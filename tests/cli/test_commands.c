/* Proves the face of the program: every command has help, wrong usage is exit 2 with a hint, exit codes follow the class of the
 * failure, --json is exactly one document also on failure, and the commands that need no server do their work end to end on
 * files. */
#include "cli_fixture.h"

static void every_command_has_help(void **state)
{
    fixture *f = *state;
    char line[120];
    expect(f, "--help", 0);
    const char *all = f->out;
    for (size_t i = 0; i < clo_cli_command_count; i++) {
        const clo_cli_command *k = &clo_cli_commands[i];
        assert_non_null(strstr(all, k->help));
        (void)snprintf(line, sizeof line, "%s %s --help", k->noun, k->verb != NULL ? k->verb : "");
        expect(f, line, 0);
        assert_non_null(strstr(f->out, k->help));
        for (const clo_cli_option *o = k->options; o != NULL && o->name != NULL; o++) assert_non_null(strstr(f->out, o->name));
        (void)snprintf(line, sizeof line, "%s --help", k->noun);
        expect(f, line, 0);
        /* Verbs of a noun stand together and once: the completion relies on it. */
        for (size_t j = 0; j < i; j++) {
            bool same = strcmp(clo_cli_commands[j].noun, k->noun) == 0;
            assert_false(same && (k->verb == NULL || strcmp(clo_cli_commands[j].verb, k->verb) == 0));
            assert_false(same && strcmp(clo_cli_commands[i - 1].noun, k->noun) != 0);
        }
    }
    expect(f, "--version", 0);
    assert_string_equal(f->out, "cloister " CLO_VERSION "\n");
}

static void wrong_usage_is_exit_2(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"nonsense", "is no command"},
        {"run", "what?"},
        {"run strat", "cloister run --help"},
        {"run start", "needs: AGREEMENT RUN"},
        {"run start a b c", "too many"},
        {"run list --nonsense", "is no option"},
        {"run list -x", "is no option"},
        {"run list --schema x", "knows no --schema"},
        {"dataset seal x.csv --name", "needs a value"},
        {"run start a b --watch=1", "takes no value"},
        {"dataset seal x.csv", "--name is missing"},
        {"party new Bad/Name", "is no name"},
        {"explain zz", "is no id"},
        {"run show 12", "is no run"},
        {"run list", "no operator is known"},
        {"run list --server https://x", "--pin"},
        {"run list --server https://x --pin 12", "64 hex digits"},
        {"key list", "no key service is known"},
        {"dp epsilon --mechanism nonsense --sigma 1", "is not known"},
        {"dp epsilon --mechanism gaussian", "--sigma is missing"},
        {"dp epsilon --mechanism gaussian --sigma x", "takes a number"},
        {"dp epsilon --mechanism gaussian --sigma 1 --accountant pld", "zcdp"},
        {"dp sample --mechanism gaussian --sigma 1", "discrete"},
        {"model train --data @x.csv --kind gbdt", "is not in this version"},
        {"measure @x --tee cca", "sim"},
        {"attest verify --type snp", "--evidence is missing"},
        {"completion bash --json", "no JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(f, cases[i].line, 2);
        expect_error(f, cases[i].says);
    }
}

static void failures_have_their_exit_codes(void **state)
{
    fixture *f = *state;
    write_text(f, "junk", "junk");
    expect(f, "receipt verify @nothing", 3);
    expect_error(f, "nothing");
    expect(f, "receipt verify @junk", 2);
    expect(f, "agreement check @nothing.yaml", 3);
    expect(f, "party show @junk", 2);
    expect(f, "dataset verify nothing", 3);
    expect(f, "audit ledger @nothing", 3);
    expect(f, "party new hospital-a", 0);
    expect(f, "party new hospital-a", 1);
    expect_error(f, "there already");
    /* Nobody listens there. */
    expect(f, "run list --server https://127.0.0.1:1 --pin 854abe3524a6fd793c8e83a23b1b35ef6033b30818b3fced4351e722ac59eb25", 3);
    expect_error(f, "cannot be reached");
}

static void json_is_one_document(void **state)
{
    fixture *f = *state;
    expect(f, "party new hospital-a --json", 0);
    assert_string_equal(text(document(f), "name"), "hospital-a");
    assert_int_equal(strlen(text(document(f), "kid")), 64);
    expect(f, "party show --json", 0);
    assert_string_equal(text(document(f), "name"), "hospital-a");
    expect(f, "status --json", 0);
    assert_string_equal(text(document(f), "party"), "hospital-a");
    expect(f, "receipt verify @nothing --json", 3);
    assert_string_equal(text(clo_wire_get(document(f), "error"), "code"), "not-found");
    expect(f, "run list --json", 2);
    assert_string_equal(text(clo_wire_get(document(f), "error"), "code"), "usage");
}

static void a_party_travels(void **state)
{
    fixture *f = *state;
    expect(f, "party new hospital-a", 0);
    expect(f, "party export --out @a.party", 0);
    expect(f, "party import @a.party", 0);
    expect(f, "party import @a.party", 0);
    expect(f, "party show @a.party --json", 0);
    const char *kid = text(document(f), "kid");
    expect(f, "party show --json", 0);
    assert_string_equal(text(document(f), "kid"), kid);
    /* The same name under another key is not taken. */
    assert_ok(clo_os_tree_remove(path_in(f, "other")));
    assert_ok(clo_os_file_rename(path_in(f, "home"), path_in(f, "other")));
    expect(f, "party new hospital-a", 0);
    expect(f, "party export --out @b.party", 0);
    assert_ok(clo_os_tree_remove(path_in(f, "home")));
    assert_ok(clo_os_file_rename(path_in(f, "other"), path_in(f, "home")));
    expect(f, "party import @b.party", 1);
    expect_error(f, "another key");
}

#define SCHEMA                                                                                                                   \
    "{\"columns\":{\"age\":{\"type\":\"int\",\"min\":0,\"max\":120},\"sick\":{\"type\":\"int\",\"min\":0,\"max\":1}},"           \
    "\"target\":\"sick\"}"
#define KMS_JSON                                                                                                                 \
    "{\"url\":\"https://127.0.0.1:2\",\"spki\":\"854abe3524a6fd793c8e83a23b1b35ef6033b30818b3fced4351e722ac59eb25\","            \
    "\"hpke\":\"c9313b50b0ff06907b73eeb60dc925a1af19b5385c581d8e5c8111aa899de62e\",\"owner\":\"hospital-a\"}"

static void quiet_is_quiet(void **state)
{
    fixture *f = *state;
    static const char *const silent[] = {"--quiet party new lab", "--quiet party export --out @lab.party", "--quiet party import @lab.party", "--quiet init"};
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        expect(f, silent[i], 0);
        assert_string_equal(f->out, "");
        assert_string_equal(f->err, "");
    }
    expect(f, "--quiet party show", 0); /* what it was asked for */
    assert_non_null(strstr(f->out, "lab"));
    expect(f, "--quiet party new lab", 1);
    expect_error(f, "is there already");
}

static void rows_are_sealed_and_checked(void **state)
{
    fixture *f = *state;
    write_text(f, "s.json", SCHEMA);
    write_text(f, "kms.json", KMS_JSON);
    write_text(f, "rows.csv", "age,sick\n40,1\n30,0\n");
    expect(f, "dataset seal @rows.csv --schema @s.json --name rows", 3);
    expect_error(f, "cloister party new");
    expect(f, "party new hospital-a", 0);
    expect(f, "dataset seal @rows.csv --schema @s.json --name rows", 2);
    expect_error(f, "key service");
    expect(f, "init --kms @kms.json", 0);
    expect(f, "dataset seal @rows.csv --schema @s.json --name rows --json", 0);
    const char *version = text(document(f), "version");
    assert_int_equal(strlen(version), 64);
    expect(f, "dataset verify rows", 0);
    expect(f, "dataset show rows --json", 0);
    assert_string_equal(text(document(f), "version"), version);
    expect(f, "dataset list --json", 0);
    assert_int_equal(clo_wire_get(document(f), "datasets")->count, 1);
    expect(f, "dataset rekey @rows.csv --name rows --json", 0);
    assert_string_not_equal(text(document(f), "version"), version);
    write_text(f, "bad.csv", "age,sick\n40,2\n");
    expect(f, "dataset rekey @bad.csv --name rows", 2);
    expect_error(f, "line 2");
    expect(f, "dataset verify rows", 0);
    /* A byte changed in the file: a verdict, not a crash. */
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 1 << 20);
    assert_ok(clo_os_file_read(path_in(f, "home/datasets/rows.sealed"), 1 << 20, &bytes));
    bytes.p[bytes.len - 5] ^= 1;
    assert_ok(clo_os_file_write_atomic(path_in(f, "home/datasets/rows.sealed"), clo_buf_span(&bytes), 0600));
    expect(f, "dataset verify rows", 1);
    expect_error(f, "dataset.root");
}

static void noise_is_priced(void **state)
{
    fixture *f = *state;
    expect(f, "dp epsilon --mechanism discrete-gaussian --sigma 10 --delta 1e-6 --json", 0);
    double epsilon = clo_wire_get(document(f), "epsilon")->number;
    assert_true(epsilon > 0.3 && epsilon < 0.6);
    assert_string_equal(text(document(f), "accountant"), "zcdp");
    expect(f, "dp epsilon --mechanism laplace --scale 10 --json", 0);
    assert_true(clo_wire_get(document(f), "epsilon")->number <= 0.1);
    expect(f, "dp calibrate --mechanism gaussian --epsilon 1 --delta 1e-6 --json", 0);
    double sigma = clo_wire_get(document(f), "sigma")->number;
    assert_true(sigma > 3 && sigma < 6);
    char line[160];
    (void)snprintf(line, sizeof line, "dp epsilon --mechanism gaussian --sigma %.17g --delta 1e-6 --json", sigma);
    expect(f, line, 0);
    assert_true(clo_wire_get(document(f), "epsilon")->number <= 1.0);
    expect(f, "dp sample --mechanism discrete-laplace --scale 3 --count 20", 0);
    size_t lines = 0;
    for (const char *p = f->out; *p != 0; p++) lines += *p == '\n' ? 1 : 0;
    assert_int_equal(lines, 20);
    expect(f, "dp sample --mechanism discrete-gaussian --sigma 2.5 --count 3 --json", 0);
    assert_int_equal(clo_wire_get(document(f), "samples")->count, 3);
}

static void models_are_trained_and_used(void **state)
{
    fixture *f = *state;
    CLO_AUTO(clo_buf_free) clo_buf csv;
    clo_buf_init(&csv, 1 << 20);
    const char *rows = NULL;
    assert_ok(clo_buf_put_str(&csv, "age,sick\n"));
    for (unsigned i = 0; i < 400; i++) assert_ok(clo_buf_printf(&csv, "%u,%u\n", i % 120, i % 120 > 60 ? 1u : 0u));
    assert_ok(clo_buf_cstr(&csv, &rows));
    write_text(f, "rows.csv", rows);
    write_text(f, "s.json", SCHEMA);
    expect(f, "model train --data @rows.csv --schema @s.json --folds 4 --out @m --json", 0);
    assert_string_equal(text(document(f), "kind"), "logistic");
    assert_int_equal(clo_wire_get(document(f), "folds")->count, 4);
    assert_true(clo_wire_get(clo_wire_get(document(f), "mean"), "auc")->number > 0.95);
    assert_int_equal(clo_wire_get(document(f), "privacy")->type, CLO_WIRE_NULL);
    expect(f, "model evaluate --model @m --data @rows.csv --schema @s.json --json", 0);
    assert_true(clo_wire_get(document(f), "accuracy")->number > 0.9);
    expect(f, "model predict --model @m --data @rows.csv --schema @s.json --out @p.csv --json", 0);
    assert_int_equal(clo_wire_get(document(f), "probabilities")->count, 400);
    expect(f, "model show @m", 0);
    expect(f, "model train --data @rows.csv --schema @s.json --epsilon 2 --delta 1e-5 --json", 0);
    double epsilon = clo_wire_get(clo_wire_get(document(f), "privacy"), "epsilon")->number;
    assert_true(epsilon > 1.9 && epsilon <= 2.0);
    /* Bounds from the rows are fine where nothing is private, and only there. */
    expect(f, "model train --data @rows.csv --target sick --json", 0);
    expect(f, "model train --data @rows.csv --target sick --epsilon 2", 2);
    expect_error(f, "not public");
    write_text(f, "words.csv", "ward,age,state\nnorth,1,well\nsouth,,ill\nnorth,3,well\n\"a,b\",5,ill\n");
    expect(f, "model train --data @words.csv --target state --json", 0);
    assert_int_equal(clo_wire_get(document(f), "features")->integer, 4);
    write_text(f, "ragged.csv", "a,b\n1,2\n3\n");
    expect(f, "model train --data @ragged.csv --target b", 2);
    expect_error(f, "line 3");
}

static void programs_are_measured(void **state)
{
    fixture *f = *state;
    write_text(f, "program", "one");
    expect(f, "measure @program --json", 0);
    const char *first = text(document(f), "measurement");
    assert_int_equal(strlen(first), 96);
    write_text(f, "program", "two");
    expect(f, "measure @program", 0);
    assert_null(strstr(f->out, first));
    expect(f, "measure @nothing", 3);
}

static void evidence_that_is_none_is_a_verdict(void **state)
{
    fixture *f = *state;
    write_text(f, "report", "no report");
    expect(f, "attest verify --type snp --evidence @report --json", 1);
    assert_string_equal(text(document(f), "verdict"), "invalid");
    assert_string_equal(text(document(f), "reason"), "malformed");
    expect(f, "attest verify --type snp --evidence @report", 1);
    assert_non_null(strstr(f->out, "what to do"));
    expect(f, "attest verify --type snp --evidence @report --at yesterday", 2);
    expect(f, "attest verify --type snp --evidence @report --nonce xyz", 2);
    expect(f, "attest verify --type nonsense --evidence @report", 2);
    expect(f, "attest verify --type snp --evidence @report --collateral @report", 2);
    expect_error(f, "ROLE=");
}

/* Policies in words, on evidence, against each other, and Azure's. */
static void policies_are_explained(void **state)
{
    fixture *f = *state;
    write_text(f, "strict.json", "{}");
    write_text(f, "open.json", "{\"allow_debug\":true,\"min_guest_svn\":3}");
    write_text(f, "case.json", "{\"custom_root\":true}");
    write_text(f, "bad.json", "{\"allow_debgu\":true}");
    write_text(f, "report", "no report");
    write_text(f, "skr.json", "{\"version\":\"1.0.0\",\"anyOf\":[{\"authority\":\"https://a.example\",\"allOf\":[{\"claim\":\"a\",\"equals\":1}]}]}");
    write_text(f, "envelope.json", "{\"contentType\":\"application/json\",\"data\":\"eyJ2ZXJzaW9uIjoiMS4wLjAiLCJhbnlPZiI6W3siYXV0aG9yaXR5IjoiaHR0cHM6Ly9hLmV4YW1wbGUiLCJhbGxPZiI6W3siY2xhaW0iOiJhIiwiZXF1YWxzIjoxfV19XX0\"}");
    expect(f, "attest policy check @strict.json", 0);
    assert_non_null(strstr(f->out, "the strictest policy"));
    expect(f, "attest policy check @open.json --json", 0);
    assert_int_equal(clo_wire_get(document(f), "admits")->count, 1);
    assert_int_equal(clo_wire_get(document(f), "refuses")->count, 1);
    expect(f, "attest policy check @case.json", 2);
    expect_error(f, "open policy");
    expect(f, "attest policy check @bad.json", 2);
    expect_error(f, "allow_debgu");
    expect(f, "attest policy diff @strict.json @open.json", 0);
    assert_non_null(strstr(f->out, "+ allow_debug"));
    assert_non_null(strstr(f->out, "- min_guest_svn"));
    expect(f, "attest policy diff @strict.json @strict.json", 0);
    assert_non_null(strstr(f->out, "admit the same"));
    expect(f, "attest policy diff @strict.json", 2);
    expect(f, "attest policy dry-run --type snp @strict.json @report --json", 1);
    assert_int_equal(clo_wire_get(document(f), "refused")->integer, 1);
    expect(f, "attest policy dry-run @strict.json", 2);
    expect(f, "attest policy import @skr.json --json", 0);
    assert_string_equal(text(document(f), "expected_issuer"), "https://a.example");
    expect(f, "attest policy import @envelope.json --json", 0);
    assert_string_equal(text(document(f), "expected_issuer"), "https://a.example");
    write_text(f, "imported.json", f->out);
    expect(f, "attest policy export @imported.json --json", 0);
    assert_string_equal(text(document(f), "version"), "1.0.0");
    expect(f, "attest policy export @strict.json", 2);
    expect(f, "attest policy export @strict.json --authority https://a.example --type maa", 2);
    expect(f, "attest policy import @strict.json", 2);
    expect(f, "attest policy praise @strict.json", 2);
    expect(f, "attest inspect @skr.json", 2);
    write_text(f, "keys.json", "{\"keys\":[]}");
    expect(f, "attest inspect @keys.json --json", 0);
    assert_string_equal(text(document(f), "collateral"), "jwks");
}

/* The committed completion is what the table of commands says. */
static void completion_is_up_to_date(void **state)
{
    fixture *f = *state;
    expect(f, "completion bash", 0);
    if (!clo_os_file_exists("tools/completion/cloister.bash")) skip_because("the source tree is not here");
    assert_string_equal(f->out, read_text(f, "tools/completion/cloister.bash"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_command_has_help, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_usage_is_exit_2, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_have_their_exit_codes, setup, teardown),
        cmocka_unit_test_setup_teardown(json_is_one_document, setup, teardown),
        cmocka_unit_test_setup_teardown(a_party_travels, setup, teardown),
        cmocka_unit_test_setup_teardown(quiet_is_quiet, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_are_sealed_and_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(noise_is_priced, setup, teardown),
        cmocka_unit_test_setup_teardown(models_are_trained_and_used, setup, teardown),
        cmocka_unit_test_setup_teardown(programs_are_measured, setup, teardown),
        cmocka_unit_test_setup_teardown(evidence_that_is_none_is_a_verdict, setup, teardown),
        cmocka_unit_test_setup_teardown(policies_are_explained, setup, teardown),
        cmocka_unit_test_setup_teardown(completion_is_up_to_date, setup, teardown),
    };
    return cmocka_run_group_tests_name("cli commands", tests, NULL, NULL);
}
