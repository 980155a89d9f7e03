/* Proves: a receipt of a whole synthetic run (agreement, log, witness, evidence of the software TEE, statement) verifies offline,
 * and each part that is tampered with fails its own named check. */
#include "collab_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clo_own.h"
#include "collab/leaf.h"
#include "crypto/hash.h"
#include "tee/sim_device.h"
#include "wire/json.h"
#include "wire/merkle.h"
#include "wire/note.h"

/* Everything that a run leaves behind, remade for each case so that a case may spoil one thing. */
typedef struct {
    fixture f;
    clo_tee_sim *tee;
    clo_collab_agreement *g;
    clo_collab_run_request request;
    clo_collab_statement statement;
    clo_collab_receipt receipt;
    clo_collab_roots roots;
    clo_collab_receipt_verdict verdict;
    clo_crypto_private_key runtime;
    int64_t now;
    /* What a case may change before the run is put together. */
    size_t signers;
    bool patched_measurement, other_host_data, no_witness;
} world;

static char directory[] = "/tmp/clo-receipt-XXXXXX";
static clo_tee_sim *shared_tee;

static clo_span keep(world *w, const clo_buf *b)
{
    clo_span out;
    assert_ok(clo_arena_copy(&w->f.arena, clo_buf_span(b), &out));
    return out;
}

/* A proof for leaf `index` of a log of one or two leaves, signed and witnessed. */
static clo_span prove(world *w, const clo_wire_hash *leaves, uint64_t size, uint64_t index, int64_t time_s)
{
    clo_wire_checkpoint c = {.origin = "log.example", .size = size};
    assert_ok(clo_wire_merkle_root(leaves, size, &c.root));
    CLO_AUTO(clo_buf_free) clo_buf body;
    CLO_AUTO(clo_buf_free) clo_buf note;
    CLO_AUTO(clo_buf_free) clo_buf proof;
    clo_buf_init(&body, 4096);
    clo_buf_init(&note, 8192);
    clo_buf_init(&proof, 16384);
    assert_ok(clo_wire_checkpoint_write(&c, &body));
    assert_ok(clo_wire_note_sign(clo_buf_span(&body), "log.example", &w->f.log_key, &note));
    if (!w->no_witness)
        assert_ok(clo_wire_note_cosign(clo_buf_span(&body), "witness.example", &w->f.witness_key, (uint64_t)time_s, &note));
    assert_ok(
        clo_wire_tlog_proof_write(index, size == 2 ? &leaves[1 - index] : NULL, size == 2 ? 1 : 0, clo_buf_span(&note), &proof));
    return keep(w, &proof);
}

static clo_wire_hash leaf_of(const char *type, clo_span object)
{
    CLO_AUTO(clo_buf_free) clo_buf leaf;
    clo_buf_init(&leaf, 1024);
    clo_wire_hash h;
    assert_ok(clo_collab_leaf(type, object, &leaf));
    assert_ok(clo_wire_merkle_leaf(clo_buf_span(&leaf), &h));
    return h;
}

static void world_open(world *w)
{
    memset(w, 0, sizeof *w);
    uint8_t root[32];
    clo_tee_sim_root_sha256(shared_tee, root);
    fixture_open(&w->f, root);
    w->tee = shared_tee;
    assert_ok(fixture_read(&w->f, fixture_with(&w->f, "2027-01-01", "2090-01-01"), &w->g));
    w->now = (int64_t)time(NULL);
    w->runtime.alg = CLO_SIGN_ED25519;
    memset(w->runtime.bytes, 0x44, 32);
    w->signers = 4;
    fixture_request(w->g, &w->request);
    w->request.created = w->now;
    w->roots.party_count = 1;
    w->roots.parties[0] = w->f.parties[0].public_half;
    w->roots.tee_root_count = 1;
    memcpy(w->roots.tee_roots[0], root, 32);
    /* The statement, as the runtime would fill it. */
    clo_collab_statement *s = &w->statement;
    memcpy(s->agreement, w->g->id, 32);
    s->epoch = 1;
    memcpy(s->run_id, w->request.run_id, 16);
    memcpy(s->run, "means", sizeof "means");
    memcpy(s->program, "means", sizeof "means");
    memcpy(s->program_digest, w->g->programs[0].digest, 32);
    s->input_count = 3;
    for (size_t i = 0; i < 3; i++) {
        memcpy(s->inputs[i].id, w->request.datasets[i].id, 32);
        memcpy(s->inputs[i].version, w->request.datasets[i].version, 32);
        s->inputs[i].rho = w->request.rho;
    }
    memset(s->output, 0x99, 32);
    s->recipient_count = 2;
    memcpy(s->recipients[0], "analyst", sizeof "analyst");
    memcpy(s->recipients[1], "hospital-a", sizeof "hospital-a");
    memcpy(s->guards, "min-rows 20: passed", sizeof "min-rows 20: passed");
    memcpy(s->tee, "sim", sizeof "sim");
    s->not_before = w->now - 10;
    s->not_after = w->now + 290;
}

/* Request, binding, evidence. */
static void world_run(world *w)
{
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 1 << 20);
    w->receipt.agreement_file = fixture_signed(&w->f, w->g, w->signers);
    assert_ok(clo_collab_run_request_sign(&w->request, &w->f.parties[3], &out));
    w->receipt.request = keep(w, &out);
    clo_collab_binding *b = &w->receipt.binding;
    b->nonce_count = 3;
    for (size_t i = 0; i < 3; i++) memset(b->nonces[i].bytes, (int)i, CLO_NONCE);
    memcpy(b->agreement, w->g->id, 32);
    b->epoch = 1;
    assert_ok(clo_crypto_sha256(w->receipt.request, b->request));
    clo_crypto_public_key pk;
    assert_ok(clo_crypto_sign_public_of(&w->runtime, &pk));
    memcpy(b->sign, pk.bytes, 32);
    memset(b->hpke, 0x51, 32);
    b->configuration = fixture_configuration(&w->f, w->g, "sql");
    uint8_t measurement[48], workload[48], host_data[32], report_data[64];
    memcpy(measurement, w->f.measurement, sizeof measurement);
    assert_ok(clo_collab_workload_digest(w->g, &w->g->runs[0], measurement, workload, host_data));
    if (w->patched_measurement) measurement[0] ^= 1;
    if (w->other_host_data) host_data[0] ^= 1;
    assert_ok(clo_collab_binding_report_data(b, report_data));
    clo_buf_clear(&out);
    assert_ok(clo_tee_sim_report(w->tee, measurement, host_data, report_data, &out));
    w->receipt.evidence = keep(w, &out);
    assert_ok(clo_crypto_sha256(w->receipt.evidence, w->statement.evidence));
    assert_ok(clo_crypto_sha256(w->receipt.request, w->statement.request));
    memcpy(w->statement.runtime, pk.bytes, 32);
}

/* Statement and log. */
static void world_log(world *w)
{
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 1 << 20);
    assert_ok(clo_collab_statement_sign(&w->statement, &w->runtime, &out));
    w->receipt.statement = keep(w, &out);
    clo_wire_hash leaves[2] = {leaf_of(CLO_LEAF_AGREEMENT, w->receipt.agreement_file),
                               leaf_of(CLO_LEAF_STATEMENT, w->receipt.statement)};
    w->receipt.agreement_proof = prove(w, leaves, 1, 0, w->now - 100);
    w->receipt.proof = prove(w, leaves, 2, 1, w->now + 5);
}

static void world_verify(world *w)
{
    CLO_AUTO(clo_buf_free) clo_buf file;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 16 << 20);
    clo_buf_init(&file, 4 << 20);
    assert_ok(clo_collab_receipt_encode(&w->receipt, &file));
    assert_ok(clo_collab_receipt_verify(&a, clo_buf_span(&file), &w->roots, &w->verdict));
}

static void expect_valid(world *w)
{
    world_verify(w);
    for (size_t i = 0; i < w->verdict.check_count; i++)
        if (!w->verdict.checks[i].ok) fail_msg("%s: %s", w->verdict.checks[i].name, w->verdict.checks[i].detail);
    assert_true(w->verdict.valid);
}

static void expect_failed(world *w, const char *name)
{
    world_verify(w);
    assert_false(w->verdict.valid);
    for (size_t i = 0; i < w->verdict.check_count; i++) {
        if (strcmp(w->verdict.checks[i].name, name) != 0) continue;
        if (w->verdict.checks[i].ok) fail_msg("%s held", name);
        assert_true(w->verdict.checks[i].detail[0] != '\0');
        return;
    }
    fail_msg("there is no check %s", name);
}

static world w; /* large */

static void test_valid(void **state)
{
    (void)state;
    world_open(&w);
    world_run(&w);
    world_log(&w);
    expect_valid(&w);
    assert_true(w.verdict.simulated);
    assert_int_equal(w.verdict.log_index, 1);
    assert_int_equal(w.verdict.log_size, 2);
    assert_int_equal(w.verdict.witnessed_at, w.now + 5);
    assert_string_equal(w.verdict.agreement_title, "Breast cancer, three hospitals");
    assert_int_equal(w.verdict.check_count, 18);
    /* The log's key instead of a party's is an anchor, too; nothing at all is none. */
    w.roots.party_count = 0;
    expect_failed(&w, "parties");
    w.roots.have_log = true;
    w.roots.log = w.g->log;
    expect_valid(&w);
    w.roots.log.log.key = w.roots.log.witnesses[0].key;
    expect_failed(&w, "log.keys");
    fixture_close(&w.f);
}

/* Parts spoilt after the run. */
static void test_parts(void **state)
{
    (void)state;
    enum { PARTS = 6 };
    static const struct {
        size_t part;
        const char *check;
    } cases[PARTS] = {{0, "statement.signature"}, {1, "statement.log"}, {2, "agreement"},
                      {3, "agreement.log"},       {4, "request"},       {5, "evidence"}};
    for (size_t i = 0; i < PARTS; i++) {
        world_open(&w);
        world_run(&w);
        world_log(&w);
        clo_span *const parts[PARTS] = {&w.receipt.statement,       &w.receipt.proof,   &w.receipt.agreement_file,
                                        &w.receipt.agreement_proof, &w.receipt.request, &w.receipt.evidence};
        clo_span copy;
        assert_ok(clo_arena_copy(&w.f.arena, *parts[cases[i].part], &copy));
        void *p = NULL;
        assert_ok(clo_arena_alloc(&w.f.arena, copy.n, &p));
        memcpy(p, copy.p, copy.n);
        ((uint8_t *)p)[copy.n - 20] ^= 0x04;
        *parts[cases[i].part] = clo_span_of(p, copy.n);
        expect_failed(&w, cases[i].check);
        fixture_close(&w.f);
    }
}

typedef void (*spoil)(world *x);
static void spoil_signers(world *x) { x->signers = 3; }
static void spoil_measurement(world *x) { x->patched_measurement = true; }
static void spoil_host_data(world *x) { x->other_host_data = true; }
static void spoil_witness(world *x) { x->no_witness = true; }
static void spoil_party(world *x) { x->roots.parties[0].sign = x->f.parties[1].public_half.sign; }
static void spoil_root(world *x) { x->roots.tee_roots[0][0] ^= 1; }
static void spoil_epoch(world *x) { x->statement.epoch = 2; }
static void spoil_run(world *x) { x->statement.run_id[0] ^= 1; }
static void spoil_program(world *x) { x->statement.program_digest[0] ^= 1; }
static void spoil_version(world *x) { x->statement.inputs[2].version[0] ^= 1; }
static void spoil_spend(world *x) { x->statement.inputs[1].rho = (clo_dp_rational){1, 1000}; }
static void spoil_recipient(world *x) { memcpy(x->statement.recipients[1], "hospital-b", sizeof "hospital-b"); }
static void spoil_tee(world *x) { memcpy(x->statement.tee, "snp", sizeof "snp"); }
static void spoil_time(world *x)
{
    x->statement.not_before += 100000;
    x->statement.not_after += 100000;
}

static void spoil_late_end(world *x) { x->statement.not_after += 100000; }
static void spoil_early_begin(world *x) { x->statement.not_before -= 100000; }
static void spoil_old_request(world *x) { x->request.created -= 2 * 86400; }

static void test_spoilt(void **state)
{
    (void)state;
    static const struct {
        spoil how;
        const char *check;
    } cases[] = {
        {spoil_signers, "agreement.signatures"},
        {spoil_measurement, "evidence"},
        {spoil_host_data, "evidence"},
        {spoil_witness, "statement.log"},
        {spoil_witness, "agreement.log"},
        {spoil_party, "parties"},
        {spoil_root, "evidence.root"},
        {spoil_epoch, "statement.agreement"},
        {spoil_run, "statement.request"},
        {spoil_program, "statement.program"},
        {spoil_version, "statement.inputs"},
        {spoil_spend, "statement.inputs"},
        {spoil_recipient, "statement.recipients"},
        {spoil_tee, "statement.evidence"},
        {spoil_time, "statement.time"},
        {spoil_late_end, "statement.time"},
        {spoil_early_begin, "statement.time"},
        {spoil_old_request, "statement.time"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_open(&w);
        cases[i].how(&w);
        world_run(&w);
        world_log(&w);
        expect_failed(&w, cases[i].check);
        fixture_close(&w.f);
    }
}

/* The binding spoilt: the evidence no longer speaks for it. */
static void test_binding(void **state)
{
    (void)state;
    world_open(&w);
    world_run(&w);
    world_log(&w);
    w.receipt.binding.hpke[0] ^= 1;
    expect_failed(&w, "evidence");
    w.receipt.binding.hpke[0] ^= 1;
    w.receipt.binding.request[0] ^= 1;
    expect_failed(&w, "binding");
    w.receipt.binding.request[0] ^= 1;
    w.receipt.binding.nonce_count = 2;
    expect_failed(&w, "binding");
    w.receipt.binding.nonce_count = 3;
    w.receipt.binding.sign[0] ^= 1;
    expect_failed(&w, "statement.signature");
    fixture_close(&w.f);
}

/* Another key signs the statement: the attested one did not. */
static void test_other_runtime(void **state)
{
    (void)state;
    world_open(&w);
    world_run(&w);
    memset(w.runtime.bytes, 0x45, 32);
    clo_crypto_public_key pk;
    assert_ok(clo_crypto_sign_public_of(&w.runtime, &pk));
    memcpy(w.statement.runtime, pk.bytes, 32);
    world_log(&w);
    expect_failed(&w, "statement.signature");
    fixture_close(&w.f);
}

static void test_appraise(void **state)
{
    (void)state;
    world_open(&w);
    world_run(&w);
    void *p = NULL;
    assert_ok(clo_arena_alloc(&w.f.arena, sizeof(clo_attest_result), &p));
    const clo_collab_runtime *runtime = NULL;
    const clo_collab_run_terms *terms = &w.g->runs[0];
    assert_ok(clo_collab_evidence_appraise(&w.f.arena, NULL, w.g, terms, &w.receipt.binding, w.receipt.evidence, w.now, &runtime, p));
    assert_ptr_equal(runtime, &w.g->runtimes[0]);
    /* What the agreement writes under appraisal counts, and a policy that cannot be read or says what others say releases nothing. */
    static const struct {
        const char *appraisal;
        uint32_t code;
    } policies[] = {
        {"{\"required_claims\":{\"guest_svn\":[0,7]}}", 0},
        {"{\"required_claims\":{\"guest_svn\":[7]}}", CLO_E_DENIED},
        {"{\"required_claims\":{\"guest_svn\":[\"0\"]}}", CLO_E_DENIED},
        {"{\"min_guest_svn\":1}", CLO_E_DENIED},
        {"{\"vmpl\":1}", CLO_E_UNKNOWN_FIELD},
        {"{\"allow_debug\":true}", CLO_E_MALFORMED},
        {"{\"measurements\":[]}", CLO_E_MALFORMED},
        {"{\"require_crl\":false}", CLO_E_MALFORMED},
        {"{\"vmpl_max\":1}", CLO_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        clo_wire_node *tree = NULL;
        assert_ok(clo_wire_json_decode(&w.f.arena, clo_span_str(policies[i].appraisal), &tree));
        w.g->runtimes[0].appraisal = tree;
        assert_code(clo_collab_evidence_appraise(&w.f.arena, NULL, w.g, terms, &w.receipt.binding, w.receipt.evidence, w.now, &runtime, p), policies[i].code);
    }
    w.g->runtimes[0].appraisal = NULL;
    /* Another run of the same agreement is another workload. */
    assert_code(
        clo_collab_evidence_appraise(&w.f.arena, NULL, w.g, &w.g->runs[1], &w.receipt.binding, w.receipt.evidence, w.now, &runtime, p),
        CLO_E_DENIED);
    /* The clock ten years off. */
    assert_code(clo_collab_evidence_appraise(&w.f.arena, NULL, w.g, terms, &w.receipt.binding, w.receipt.evidence, w.now - 315360000,
                                             &runtime, p),
                CLO_E_DENIED);
    w.g->allow_simulated = false;
    assert_code(clo_collab_evidence_appraise(&w.f.arena, NULL, w.g, terms, &w.receipt.binding, w.receipt.evidence, w.now, &runtime, p),
                CLO_E_DENIED);
    assert_non_null(clo_err_denial());
    w.g->allow_simulated = true;
    memcpy(w.g->runtimes[0].tee, "snp", sizeof "snp");
    assert_code(clo_collab_evidence_appraise(&w.f.arena, NULL, w.g, terms, &w.receipt.binding, w.receipt.evidence, w.now, &runtime, p),
                CLO_E_DENIED);
    assert_string_equal(clo_err_denial()->claim, "evidence.tee");
    fixture_close(&w.f);
}

static void test_malformed(void **state)
{
    (void)state;
    world_open(&w);
    world_run(&w);
    world_log(&w);
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 4 << 20);
    assert_ok(clo_collab_receipt_encode(&w.receipt, &file));
    clo_collab_receipt r;
    for (size_t n = 0; n < file.len; n += n < 64 ? 1 : 97) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 8 << 20);
        assert_true(clo_failed(clo_collab_receipt_decode(&a, clo_span_of(file.p, n), &r)));
    }
    /* Any byte changed: malformed, or a negative verdict; never a positive one. */
    size_t accepted = 0;
    for (size_t i = 0; i < file.len; i += 29) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 64 << 20);
        file.p[i] ^= 0x10;
        clo_err e = clo_collab_receipt_verify(&a, clo_buf_span(&file), &w.roots, &w.verdict);
        file.p[i] ^= 0x10;
        if (!clo_failed(e) && w.verdict.valid) accepted++;
    }
    assert_int_equal(accepted, 0);
    fixture_close(&w.f);
}

/* ---- two receipts ---- */

static clo_err subtree(void *context, unsigned level, uint64_t index, clo_wire_hash *out)
{
    const clo_wire_hash *leaves = context;
    return clo_wire_merkle_root(leaves + (index << level), UINT64_C(1) << level, out);
}

/* The proof for a leaf of a log of any size, signed by the log; as prove() for larger trees. */
static clo_span prove_in(world *x, clo_wire_hash *leaves, uint64_t size, uint64_t index)
{
    clo_wire_checkpoint c = {.origin = "log.example", .size = size};
    clo_wire_hash path[CLO_MERKLE_PATH_MAX];
    size_t count = 0;
    assert_ok(clo_wire_merkle_root(leaves, size, &c.root));
    assert_ok(clo_wire_merkle_prove_inclusion(index, size, subtree, leaves, path, &count));
    CLO_AUTO(clo_buf_free) clo_buf body;
    CLO_AUTO(clo_buf_free) clo_buf note;
    CLO_AUTO(clo_buf_free) clo_buf proof;
    clo_buf_init(&body, 4096);
    clo_buf_init(&note, 8192);
    clo_buf_init(&proof, 16384);
    assert_ok(clo_wire_checkpoint_write(&c, &body));
    assert_ok(clo_wire_note_sign(clo_buf_span(&body), "log.example", &x->f.log_key, &note));
    assert_ok(clo_wire_note_cosign(clo_buf_span(&body), "witness.example", &x->f.witness_key, (uint64_t)x->now + 5, &note));
    assert_ok(clo_wire_tlog_proof_write(index, path, count, clo_buf_span(&note), &proof));
    return keep(x, &proof);
}

enum { LOG_MAX = 40 };
static void other_leaves(clo_wire_hash *leaves, uint64_t from, uint64_t to, uint8_t history)
{
    for (uint64_t i = from; i < to; i++) {
        memset(leaves[i].b, history, sizeof leaves[i].b);
        leaves[i].b[0] = (uint8_t)i;
    }
}

/* The receipt's statement as entry `index` of a log of `size` entries, whose others are `leaves`; the agreement is entry 0. */
static clo_span receipt_in(world *x, clo_wire_hash *leaves, uint64_t size, uint64_t index, uint64_t agreement_size)
{
    leaves[0] = leaf_of(CLO_LEAF_AGREEMENT, x->receipt.agreement_file);
    leaves[index] = leaf_of(CLO_LEAF_STATEMENT, x->receipt.statement);
    x->receipt.agreement_proof = prove_in(x, leaves, agreement_size, 0);
    x->receipt.proof = prove_in(x, leaves, size, index);
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 4 << 20);
    assert_ok(clo_collab_receipt_encode(&x->receipt, &file));
    return keep(x, &file);
}

static void compared(clo_span one, clo_span two, bool contradict)
{
    for (int turn = 0; turn < 2; turn++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 16 << 20);
        clo_collab_receipt_comparison c;
        assert_ok(clo_collab_receipt_compare(&a, turn == 0 ? one : two, turn == 0 ? two : one, &c));
        assert_true(c.same_log);
        if (c.contradict != contradict) fail_msg("%s", c.detail);
    }
}

/* Each of two clients is shown a log of its own: same key, same length, another entry somewhere. Both receipts verify, even with a witness that
 * signs anything; side by side they convict the log, whatever the entry. */
static void T22_split_view_is_seen_from_two_receipts(void **state)
{
    (void)state;
    static clo_wire_hash one[LOG_MAX], two[LOG_MAX];
    world_open(&w);
    world_run(&w);
    world_log(&w);
    for (uint64_t size = 3; size <= LOG_MAX; size += 12) {
        for (uint64_t differs = 1; differs < size - 1; differs++) {
            other_leaves(one, 1, LOG_MAX, 1);
            other_leaves(two, 1, LOG_MAX, 1);
            other_leaves(two, differs, differs + 1, 2);
            clo_span a = receipt_in(&w, one, size, size - 1, 1), b = receipt_in(&w, two, size, size - 1, 1);
            if (size == 9) expect_valid(&w);
            compared(a, b, true);
            compared(a, a, false);
        }
    }
    fixture_close(&w.f);
}

/* The log is cut to `kept` entries ("recovered") and grown again past its old length. */
static void T22_truncated_and_regrown_is_seen_from_two_receipts(void **state)
{
    (void)state;
    static clo_wire_hash one[LOG_MAX], two[LOG_MAX];
    world_open(&w);
    world_run(&w);
    world_log(&w);
    size_t seen = 0, all = 0;
    for (uint64_t before = 4; before <= 32; before += 7) {
        for (uint64_t kept = 1; kept + 1 < before; kept++) {
            for (uint64_t after = before + 1; after <= LOG_MAX; after += 9) {
                other_leaves(one, 1, LOG_MAX, 1);
                other_leaves(two, 1, LOG_MAX, 1);
                other_leaves(two, kept, LOG_MAX, 2);
                clo_span a = receipt_in(&w, one, before, before - 1, 1), b = receipt_in(&w, two, after, before - 1, 1);
                clo_collab_receipt_comparison c;
                CLO_AUTO(clo_arena_free) clo_arena arena;
                clo_arena_init(&arena, 16 << 20);
                assert_ok(clo_collab_receipt_compare(&arena, a, b, &c));
                assert_true(c.same_log && (c.contradict || !c.whole)); /* never "one history" */
                seen += c.contradict ? 1 : 0;
                all++;
            }
            fixture_close(&w.f);
            world_open(&w);
            world_run(&w);
            world_log(&w);
        }
    }
    print_message("# %zu of %zu pairs show the contradiction\n", seen, all);
    assert_true(seen * 2 > all);
    fixture_close(&w.f);
}

/* A log that only grows is never accused, and named one history where the two proofs show it. */
static void T22_an_honest_log_is_never_accused(void **state)
{
    (void)state;
    static clo_wire_hash leaves[LOG_MAX];
    world_open(&w);
    world_run(&w);
    world_log(&w);
    other_leaves(leaves, 1, LOG_MAX, 1);
    clo_span a = receipt_in(&w, leaves, 8, 7, 3), b = receipt_in(&w, leaves, 16, 7, 5);
    clo_collab_receipt_comparison c;
    assert_ok(clo_collab_receipt_compare(&w.f.arena, a, b, &c));
    assert_true(!c.contradict && c.whole);
    for (uint64_t size = 8; size <= LOG_MAX; size++) compared(a, receipt_in(&w, leaves, size, 7, size / 2), false);
    fixture_close(&w.f);
}

/* Every part of one valid receipt in the place of the other's: no mixture verifies (CVE-2022-36056: the entry is valid, but about something else). */
static void CVE_2022_36056_parts_of_another_receipt(void **state)
{
    (void)state;
    static world other;
    world_open(&w);
    world_run(&w);
    world_log(&w);
    world_open(&other);
    other.runtime.bytes[0] = 0x46;
    memset(other.request.run_id, 0x77, sizeof other.request.run_id);
    memcpy(other.statement.run_id, other.request.run_id, 16);
    memset(other.statement.output, 0x98, 32);
    world_run(&other);
    world_log(&other);
    expect_valid(&w);
    expect_valid(&other);
    enum { PARTS = 6 };
    clo_span *const ours[PARTS] = {&w.receipt.statement, &w.receipt.proof, &w.receipt.request, &w.receipt.evidence, &w.receipt.agreement_proof, &w.receipt.agreement_file};
    const clo_span theirs[PARTS] = {other.receipt.statement, other.receipt.proof, other.receipt.request, other.receipt.evidence,
                                    other.receipt.agreement_proof, other.receipt.agreement_file};
    const clo_collab_receipt kept = w.receipt;
    size_t refused = 0;
    for (unsigned mask = 1; mask < 1u << (PARTS + 1); mask++) {
        w.receipt = kept;
        for (unsigned i = 0; i < PARTS; i++)
            if ((mask >> i & 1) != 0) *ours[i] = theirs[i];
        if ((mask >> PARTS & 1) != 0) w.receipt.binding = other.receipt.binding;
        /* What is common to both runs (the agreement, its proof) may be exchanged; so may everything at once. */
        unsigned own = mask & 0x0f, bound = mask >> PARTS & 1;
        bool fine = (own == 0 && bound == 0) || (own == 0x0f && bound == 1);
        world_verify(&w);
        if (w.verdict.valid != fine) fail_msg("mixture %x is %s", mask, w.verdict.valid ? "valid" : "refused");
        refused += fine ? 0 : 1;
    }
    assert_int_equal(refused, 127 - 7);
    fixture_close(&w.f);
    fixture_close(&other.f);
}

/* Single members of the binding from the other receipt. */
static void CVE_2022_36056_members_of_another_binding(void **state)
{
    (void)state;
    world_open(&w);
    world_run(&w);
    world_log(&w);
    expect_valid(&w);
    const clo_collab_binding kept = w.receipt.binding;
    uint8_t *const members[] = {w.receipt.binding.agreement, w.receipt.binding.request, w.receipt.binding.hpke, w.receipt.binding.sign,
                                w.receipt.binding.leaf_spki, w.receipt.binding.nonces[0].bytes, w.receipt.binding.nonces[2].bytes};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        memset(members[i], 0x3c, 32);
        world_verify(&w);
        assert_false(w.verdict.valid);
        w.receipt.binding = kept;
    }
    w.receipt.binding.configuration = fixture_configuration(&w.f, w.g, "train");
    expect_failed(&w, "evidence");
    fixture_close(&w.f);
}

/* A receipt of this version, with the root of its software TEE before it: it must verify for ever. */
static void test_golden(void **state)
{
    (void)state;
    world_open(&w);
    if (getenv("CLOISTER_GOLDEN_WRITE") != NULL) {
        world_run(&w);
        world_log(&w);
        CLO_AUTO(clo_buf_free) clo_buf file;
        clo_buf_init(&file, 4 << 20);
        assert_ok(clo_buf_put(&file, w.f.sim_root, 32));
        assert_ok(clo_collab_receipt_encode(&w.receipt, &file));
        fixture_golden(&w.f, "receipt", clo_buf_span(&file));
    }
    clo_span golden = fixture_golden_read(&w.f, "receipt");
    assert_true(golden.n > 32);
    memcpy(w.roots.tee_roots[0], golden.p, 32);
    assert_ok(clo_collab_receipt_verify(&w.f.arena, clo_span_of(golden.p + 32, golden.n - 32), &w.roots, &w.verdict));
    for (size_t i = 0; i < w.verdict.check_count; i++)
        if (!w.verdict.checks[i].ok) fail_msg("%s: %s", w.verdict.checks[i].name, w.verdict.checks[i].detail);
    assert_true(w.verdict.valid);
    fixture_close(&w.f);
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL) return -1;
    return clo_failed(clo_tee_sim_open(&shared_tee, directory)) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"ark.der", "ask.der", "vcek.der", "crl.der", "vcek.key", "sealing.key", "lock"};
    clo_tee_sim_free(&shared_tee);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),     cmocka_unit_test(test_parts),         cmocka_unit_test(test_spoilt),
        cmocka_unit_test(test_binding),   cmocka_unit_test(test_other_runtime), cmocka_unit_test(test_appraise),
        cmocka_unit_test(test_malformed), cmocka_unit_test(T22_split_view_is_seen_from_two_receipts),
                                       cmocka_unit_test(T22_truncated_and_regrown_is_seen_from_two_receipts),
                                       cmocka_unit_test(T22_an_honest_log_is_never_accused),
                                       cmocka_unit_test(CVE_2022_36056_parts_of_another_receipt),
                                       cmocka_unit_test(CVE_2022_36056_members_of_another_binding),
                                       cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
