/* Proves whole runs of the runtime, as its own sandboxed process against a host and key services in this one: SQL and training complete
 * and their outputs open; and for each lie of the host or refusal of a key service the run fails for the right reason, with nothing
 * committed that should not be. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "fake_world.h"
#include "ml/ml.h"
#include "os/file.h"
#include "wire/cbor.h"
#include <stdlib.h>
#include <string.h>

const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; } /* the sandboxed child cannot look for leaks */

static void require_finished(fake_world *w)
{
    if (w->failed) print_message("failed: %s (claim %s, by %s)\n", w->failure.text, w->failure.denial.claim, w->failure.owner);
    assert_false(w->failed);
    assert_true(w->finished);
    assert_true(w->end.exited);
    assert_int_equal(w->end.code, 0);
    assert_int_equal(w->served.code, 0);
    assert_int_equal(w->phases, (1u << CLO_ENCLAVE_PHASE_COUNT) - 1);
}

static void statement_check(fake_world *w)
{
    clo_crypto_public_key pk;
    uint8_t digest[32];
    clo_collab_statement *s = calloc(1, sizeof *s);
    assert_non_null(s);
    assert_ok(clo_crypto_public_key_parse(CLO_SIGN_ED25519, clo_span_of(w->evidence.binding.sign, 32), &pk));
    assert_ok(clo_collab_statement_open(&w->arena, clo_buf_span(&w->statement), &pk, s));
    assert_ok(clo_crypto_sha256(clo_buf_span(&w->evidence_bytes), digest));
    assert_memory_equal(s->evidence, digest, 32);
    assert_ok(clo_crypto_sha256(clo_buf_span(&w->output), digest));
    assert_memory_equal(s->output, digest, 32);
    assert_memory_equal(s->run_id, w->asked.run_id, 16);
    assert_string_equal(s->tee, "sim");
    free(s);
}

static void sql_completes(void **state)
{
    (void)state;
    fake_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    CLO_AUTO(clo_buf_free) clo_buf plain = {0};
    fake_world_make(w, FAULT_NONE, "count", 2000);
    fake_world_run(w);
    require_finished(w);
    print_message("# %s\n", w->sandbox);
    statement_check(w);
    fake_world_open(w, &plain);
    assert_int_equal(plain.len & (plain.len - 1), 0);
    clo_collab_output out;
    assert_ok(clo_collab_output_decode(&w->arena, clo_buf_span(&plain), &out));
    assert_string_equal(out.kind, "table");
    assert_string_equal(out.name, "count");
    clo_wire_node *table = NULL;
    assert_ok(clo_wire_cbor_decode(&w->arena, out.content, NULL, &table));
    assert_int_equal(clo_wire_get(table, "rows")->count, 2);
    int64_t n = clo_wire_get(table, "rows")->first->first->next->integer;
    assert_true(n > 1500 && n < 2100); /* about 90 % of half of 4000 rows, with small noise */
    assert_int_equal(w->owners[0].releases, 1);
    assert_int_equal(w->owners[1].commits, 1);
    fake_world_free(w);
    free(w);
}

/* An agreement whose telemetry lists nothing: the host learns neither phase nor count. */
static void telemetry_is_kept(void **state)
{
    (void)state;
    fake_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    fake_world_make(w, FAULT_SILENT, "count", 2000);
    fake_world_run(w);
    assert_true(w->finished);
    assert_int_equal(w->phases, 1u << CLO_ENCLAVE_PHASE_STARTING);
    assert_int_equal(w->counted, 0);
    fake_world_free(w);
    free(w);
}

static void train_completes(void **state)
{
    (void)state;
    fake_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    CLO_AUTO(clo_buf_free) clo_buf plain = {0};
    fake_world_make(w, FAULT_NONE, "learn", 2000);
    fake_world_run(w);
    require_finished(w);
    statement_check(w);
    fake_world_open(w, &plain);
    clo_collab_output out;
    assert_ok(clo_collab_output_decode(&w->arena, clo_buf_span(&plain), &out));
    assert_string_equal(out.kind, "model");
    clo_ml_model *m = NULL;
    assert_ok(clo_ml_model_decode(out.content, &m));
    assert_int_equal(m->row_count, 4000);
    assert_true(m->is_private);
    /* The rows that were learned from are predicted far better than by chance. */
    clo_ml_dataset *d = NULL;
    clo_span table = clo_buf_span(&w->owners[0].table);
    assert_ok(clo_ml_dataset_from_table(&w->g->datasets[0].schema, "y", table, &d));
    clo_ml_evaluation ev;
    assert_ok(clo_ml_model_evaluate(m, d, &ev));
    assert_true(ev.accuracy > 0.75);
    clo_ml_dataset_free(&d);
    clo_ml_model_free(&m);
    fake_world_free(w);
    free(w);
}

/* Renewal: fresh nonce, fresh evidence, same keys; the receipt's evidence stays that of the release. */
static void leases_are_renewed(void **state)
{
    (void)state;
    fake_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    CLO_AUTO(clo_buf_free) clo_buf plain = {0};
    fake_world_make(w, FAULT_SHORT_LEASE, "learn", 300);
    fake_world_run(w);
    require_finished(w);
    assert_true(w->owners[0].renewals >= 2);
    assert_true(w->owners[1].renewals >= 2);
    assert_int_equal(w->owners[0].releases, 1);
    statement_check(w);
    fake_world_open(w, &plain);
    fake_world_free(w);
    free(w);
}

/* A nonce counts once: when a reply was lost, all services are asked anew, and those that had released repeat themselves. */
static void a_lost_reply_is_asked_for_again(void **state)
{
    (void)state;
    fake_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    fake_world_make(w, FAULT_LOST_REPLY, "count", 300);
    fake_world_run(w);
    require_finished(w);
    assert_int_equal(w->owners[0].releases, 2);
    assert_int_equal(w->owners[1].releases, 2);
    statement_check(w);
    fake_world_free(w);
    free(w);
}

static void complete_in_spite_of(fault f)
{
    fake_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    CLO_AUTO(clo_buf_free) clo_buf plain = {0};
    fake_world_make(w, f, "count", 300);
    fake_world_run(w);
    require_finished(w);
    assert_int_equal(w->owners[0].commits, 1);
    assert_int_equal(w->owners[1].commits, 1);
    fake_world_open(w, &plain);
    fake_world_free(w);
    free(w);
}

/* A key service that cannot release its share yet holds up no other's commit, and is asked again. */
static void a_commit_that_waits(void **state)
{
    (void)state;
    complete_in_spite_of(FAULT_WAIT);
}

/* One that is busy has nothing; it is asked again before anybody else is. */
static void a_commit_that_finds_it_busy(void **state)
{
    (void)state;
    complete_in_spite_of(FAULT_BUSY_ONCE);
}

/* The program itself, as it is installed: one static file. */
static void binary_completes(void **state)
{
    (void)state;
    char directory[400], path[512];
    assert_ok(clo_os_path_program_dir(directory, sizeof directory));
    assert_ok(clo_os_path_join(path, sizeof path, directory, "../src/bin/cloister-enclave"));
    bool sanitized = false;
#if defined(__SANITIZE_ADDRESS__)
    sanitized = true; /* that build of the program looks for leaks at its end, which its sandbox forbids */
#endif
    if (sanitized || !clo_os_file_exists(path)) skip_because("leak checking cannot run inside the sandbox, or the program is not built");
    fake_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    CLO_AUTO(clo_buf_free) clo_buf plain = {0};
    fake_world_program = path;
    fake_world_make(w, FAULT_NONE, "count", 500);
    fake_world_run(w);
    fake_world_program = NULL;
    require_finished(w);
    fake_world_open(w, &plain);
    fake_world_free(w);
    free(w);
}

static const struct {
    const char *name;
    fault fault;
    uint32_t code;     /* 0 = any */
    const char *claim; /* "" = none is asked for */
    const char *owner;
    int exit_code;     /* -1 = any but 0 */
} refusals[] = {
    {"another server key", FAULT_PIN, CLO_E_DENIED, "tls.server.spki", "north", 1},
    {"another data key", FAULT_DEK, CLO_E_AUTHENTICATION, "dataset.key", "", 1},
    {"a chunk of another dataset", FAULT_CHUNK_SWAP, CLO_E_AUTHENTICATION, "dataset.chunk", "", 1},
    {"a changed chunk", FAULT_CHUNK_FLIP, CLO_E_AUTHENTICATION, "dataset.chunk", "", 1},
    {"a short chunk", FAULT_CHUNK_SHORT, CLO_E_TRUNCATED, "", "", 2},
    {"another version", FAULT_ROOT, CLO_E_DENIED, "dataset.version", "", 1},
    {"cancelled", FAULT_CANCEL, CLO_E_CANCELLED, "", "", 6},
    {"release refused", FAULT_DENY_RELEASE, CLO_E_BUDGET, "budget.rho", "south", 1},
    {"commit refused", FAULT_DENY_COMMIT, CLO_E_BUDGET, "budget.rho", "south", 1},
    {"a key service is too busy to commit", FAULT_BUSY, CLO_E_AGAIN, "", "north", -1},
    {"a key service's clock is a day off", FAULT_CLOCK, CLO_E_DENIED, "release.clock", "south", 1},
    {"renewal refused", FAULT_LEASE, 0, "release.lease", "north", 1},
    {"changed agreement", FAULT_AGREEMENT_FLIP, 0, "", "", -1},
    {"a signature is missing", FAULT_UNSIGNED, CLO_E_DENIED, "agreement.signatures", "", 1},
    {"proof of another agreement", FAULT_PROOF, 0, "log.inclusion", "", 1},
    {"changed request", FAULT_REQUEST_FLIP, CLO_E_BAD_SIGNATURE, "", "", 1},
    {"not a starter", FAULT_STRANGER, CLO_E_DENIED, "run.starter", "", 1},
    {"changed manifest", FAULT_MANIFEST_FLIP, CLO_E_BAD_SIGNATURE, "", "", 1},
    {"swapped manifests", FAULT_MANIFEST_SWAP, 0, "", "", 1},
    {"reply of another number", FAULT_WRONG_FRAME, CLO_E_MALFORMED, "", "", 2},
    {"changed TLS bytes", FAULT_TUNNEL_FLIP, 0, "", "north", -1},
    {"key sealed for another run", FAULT_RESEAL, CLO_E_AUTHENTICATION, "", "", 1},
    {"no START", FAULT_NO_START, CLO_E_MALFORMED, "", "", 2},
    {"too few rows", FAULT_MIN_ROWS, CLO_E_DENIED, "guard.min_rows", "", 1},
};

static void lies_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        fake_world *w = calloc(1, sizeof *w);
        assert_non_null(w);
        fake_world_make(w, refusals[i].fault, "count", refusals[i].fault == FAULT_MIN_ROWS ? 5 : 300);
        fake_world_run(w);
        print_message("# %s: %s\n", refusals[i].name, w->failure.text);
        if (w->finished || !w->failed) fail_msg("%s: the run did not fail", refusals[i].name);
        if (refusals[i].code != 0 && w->failure.code != refusals[i].code)
            fail_msg("%s: %s", refusals[i].name, clo_err_name((clo_err){w->failure.code}));
        if (refusals[i].claim[0] != '\0') assert_string_equal(w->failure.denial.claim, refusals[i].claim);
        assert_string_equal(w->failure.owner, refusals[i].owner);
        if (refusals[i].fault == FAULT_DENY_RELEASE) assert_string_equal(w->failure.reference, "urn:request:77");
        assert_true(w->end.exited);
        if (refusals[i].exit_code >= 0) assert_int_equal(w->end.code, refusals[i].exit_code);
        else assert_int_not_equal(w->end.code, 0);
        /* Nothing is committed but where the refusal is the commit's own. */
        if (refusals[i].fault != FAULT_DENY_COMMIT) assert_int_equal(w->owners[0].commits + w->owners[1].commits, 0);
        fake_world_free(w);
        free(w);
    }
}

/* An agreement that tolerates no missing layer: the run is made where every layer is active, and refused by its reason where one is not. */
static void T18_strict_agreement(void **state)
{
    (void)state;
    fake_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    fake_world_make(w, FAULT_STRICT, "count", 300);
    fake_world_run(w);
    bool complete = strstr(w->sandbox, "inactive: ") == NULL;
    print_message("# %s\n# %s\n", w->sandbox, w->failed ? w->failure.text : "finished");
    if (w->failed) {
        assert_string_equal(w->failure.denial.claim, "configuration.layers");
        assert_string_equal(w->failure.owner, "");
        assert_int_equal(w->end.code, 1);
        assert_int_equal(w->owners[0].releases + w->owners[1].releases, 0);
    } else {
        assert_true(complete && w->finished);
    }
    fake_world_free(w);
    free(w);
}

static void injection_is_refused(void **state)
{
    (void)state;
    char name[] = "cloister-enclave", argument[] = "--debug", variable[] = "LD_PRELOAD=x";
    char *one[] = {name, NULL}, *two[] = {name, argument, NULL}, *none[] = {NULL}, *some[] = {variable, NULL};
    assert_code(clo_enclave_refuse_injection(2, two, none), CLO_E_DENIED);
    assert_string_equal(clo_err_denial()->claim, "runtime.arguments");
    assert_code(clo_enclave_refuse_injection(1, one, some), CLO_E_DENIED);
    assert_string_equal(clo_err_denial()->claim, "runtime.environment");
}

/* ---- T09: who holds which shares ---- */

/* The analyst's shares, opened as the analyst alone can; nobody else's keys open them. */
static void shares_open(fake_world *w, clo_key32 shares[OWNERS])
{
    uint8_t digest[32];
    assert_ok(clo_crypto_sha256(clo_buf_span(&w->output), digest));
    for (size_t i = 0; i < OWNERS; i++) {
        CLO_AUTO(clo_buf_free) clo_buf info = {0};
        static clo_collab_commit_reply r;
        clo_buf_init(&info, 1024);
        assert_ok(clo_collab_commit_reply_decode(&w->arena, clo_buf_span(&w->commits[i]), &r));
        assert_ok(clo_collab_share_info(w->g->id, w->asked.run_id, digest, "analyst", &info));
        clo_span sealed = r.shares[0].sealed, none = clo_span_of(NULL, 0);
        assert_string_equal(r.shares[0].recipient, "analyst");
        for (size_t k = 0; k < OWNERS; k++) {
            assert_code(clo_crypto_hpke_open(&w->owners[k].identity.hpke, clo_buf_span(&info), none, sealed, shares[i].b, 32), CLO_E_AUTHENTICATION);
            assert_code(clo_crypto_hpke_open(&w->owners[k].kms_secret, clo_buf_span(&info), none, sealed, shares[i].b, 32), CLO_E_AUTHENTICATION);
        }
        assert_ok(clo_crypto_hpke_open(&w->analyst.hpke, clo_buf_span(&info), none, sealed, shares[i].b, 32));
    }
}

/* The operator has the output; of the owners' shares every set but the whole is worth nothing. */
static void T09_all_shares_or_nothing(void **state)
{
    (void)state;
    fake_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    clo_key32 shares[OWNERS];
    fake_world_make(w, FAULT_NONE, "count", 300);
    fake_world_run(w);
    require_finished(w);
    shares_open(w, shares);
    for (unsigned set = 0; set < 1u << OWNERS; set++) {
        CLO_KEY32(key);
        CLO_AUTO(clo_buf_free) clo_buf plain = {0};
        clo_buf_init(&plain, 64u << 20);
        for (size_t i = 0; i < OWNERS; i++)
            if ((set >> i & 1) != 0) clo_key32_xor(&key, &shares[i]);
        clo_err e = clo_collab_output_open(clo_buf_span(&w->output), &key, NULL, &plain);
        if (set + 1 == 1u << OWNERS) assert_ok(e);
        else assert_code(e, CLO_E_AUTHENTICATION);
        assert_int_equal(plain.len == 0, set + 1 != 1u << OWNERS);
    }
    fake_world_free(w);
    free(w);
}

/* ---- T13: what a run tells its host ---- */

/* Two runs over rows that have nothing in common but their number: the host hears the same frames of the same sizes in the same order, the same phases and
 * the same counts. */
static void T13_host_hears_the_same(void **state)
{
    (void)state;
    static const char *const runs[] = {"count", "learn"};
    for (size_t k = 0; k < 2; k++) {
        fake_world *w[2];
        for (int i = 0; i < 2; i++) {
            w[i] = calloc(1, sizeof **w);
            assert_non_null(w[i]);
            fake_world_make(w[i], i == 0 ? FAULT_NONE : FAULT_OTHER_ROWS, runs[k], 500);
            fake_world_run(w[i]);
            require_finished(w[i]);
        }
        assert_int_equal(w[0]->output.len, w[1]->output.len);
        assert_int_equal(w[0]->statement.len, w[1]->statement.len);
        assert_true(clo_buf_put_u8(&w[0]->heard, 0).code == 0 && clo_buf_put_u8(&w[1]->heard, 0).code == 0);
        assert_string_equal((const char *)w[0]->heard.p, (const char *)w[1]->heard.p);
        for (int i = 0; i < 2; i++) {
            fake_world_free(w[i]);
            free(w[i]);
        }
    }
}

int main(int argc, char **argv)
{
    fake_runtime_main(argc, argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(sql_completes), cmocka_unit_test(telemetry_is_kept), cmocka_unit_test(train_completes), cmocka_unit_test(leases_are_renewed), cmocka_unit_test(a_commit_that_waits), cmocka_unit_test(a_commit_that_finds_it_busy), cmocka_unit_test(a_lost_reply_is_asked_for_again),
                                       cmocka_unit_test(binary_completes),
                                       cmocka_unit_test(lies_are_refused),
                                       cmocka_unit_test(T18_strict_agreement), cmocka_unit_test(injection_is_refused),
                                       cmocka_unit_test(T09_all_shares_or_nothing), cmocka_unit_test(T13_host_hears_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
