#include "kms_fixture.h"

#include "collab/key_import.h"
#include "collab/leaf.h"
#include "crypto/hash.h"
#include "os/file.h"
#include "wire/json.h"
#include "wire/merkle.h"
#include <stdio.h>
#include <stdlib.h>

const char *world_hex(world *w, const void *p, size_t n)
{
    void *to = NULL;
    assert_ok(clo_arena_alloc(&w->arena, 2 * n + 1, &to));
    clo_hex_encode(to, clo_span_of(p, n));
    return to;
}

void world_open(world *w)
{
    memset(w, 0, sizeof *w);
    clo_arena_init(&w->arena, 512 << 20);
    assert_ok(clo_os_dir_temporary("cloister-kms-test-", w->directory));
    char tee[300];
    (void)snprintf(tee, sizeof tee, "%s/tee", w->directory);
    assert_ok(clo_os_dir_make(tee));
    assert_ok(clo_tee_sim_open(&w->tee, tee));
    assert_ok(clo_collab_identity_make("hospital-a", &w->a));
    assert_ok(clo_collab_identity_make("hospital-b", &w->b));
    assert_ok(clo_collab_identity_make("analyst", &w->analyst));
    clo_crypto_public_key pk;
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &w->log_key, &pk));
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &w->witness_key, &pk));
    memset(w->measurement, 0x4d, sizeof w->measurement);
    w->time.wall_seconds = clo_os_clock_wall(clo_os_clock_system());
    w->time.monotonic_ns = 1000000000000ull;
    w->clock = clo_os_clock_manual(&w->time);
}

void world_close(world *w)
{
    clo_tee_sim_free(&w->tee);
    assert_ok(clo_os_tree_remove(w->directory));
    clo_arena_free(&w->arena);
}

static void put_vkey(const char *name, uint8_t type, const clo_crypto_private_key *sk, clo_buf *out)
{
    clo_crypto_public_key pk;
    clo_wire_note_key key;
    assert_ok(clo_crypto_sign_public_of(sk, &pk));
    assert_ok(clo_wire_note_key_make(name, type, &pk, &key));
    assert_ok(clo_wire_note_key_text(&key, out));
}

static void put_party(world *w, const clo_collab_identity *id, const char *name, const uint8_t *kms_hpke, clo_buf *y)
{
    const clo_collab_party *p = &id->public_half;
    assert_ok(clo_buf_printf(y, "  - name: %s\n    role: %s\n    sign_key: %s\n    hpke_key: %s\n", name,
                             kms_hpke != NULL ? "data-owner" : "analyst", world_hex(w, p->sign.bytes, 32),
                             world_hex(w, p->hpke, 32)));
    if (kms_hpke != NULL)
        assert_ok(clo_buf_printf(y, "    key_service: {url: \"https://127.0.0.1:%s\", spki: %064x, hpke_key: %s}\n",
                                 strcmp(name, "hospital-a") == 0 ? "7001" : "7002", strcmp(name, "hospital-a") == 0 ? 1 : 2,
                                 world_hex(w, kms_hpke, 32)));
}

static void put_terms(world *w, const terms *t, clo_buf *y)
{
    static const char schema[] = "schema: {columns: {age: {type: int, min: 0, max: 120}, ill: {type: int, min: 0, max: 1}}}";
    const char *budget = t->budget != NULL ? t->budget : "0.05";
    uint8_t root[32];
    clo_tee_sim_root_sha256(w->tee, root);
    assert_ok(clo_buf_printf(y, "datasets:\n  - {name: rows-a, owner: hospital-a, budget: {rho: \"%s\", delta: 1e-6}, %s}\n",
                             budget, schema));
    assert_ok(clo_buf_printf(y, "  - {name: rows-b, owner: hospital-b, budget: {rho: \"1\"}, %s}\n", schema));
    assert_ok(clo_buf_put_str(
        y, "programs:\n  - {name: means, kind: sql, sql: \"SELECT COUNT(*) AS n, AVG(age) AS age FROM rows\"}\n"));
    if (t->simulated_forbidden)
        assert_ok(clo_buf_printf(y, "runtimes:\n  - {tee: snp, measurements: [%s], min_tcb: {snp: 8}%s}\n", world_hex(w, w->measurement, 48),
                                 t->runtime != NULL ? t->runtime : ""));
    else
        assert_ok(clo_buf_printf(y, "runtimes:\n  - {tee: sim, measurements: [%s], roots: [%s]%s}\n", world_hex(w, w->measurement, 48),
                                 world_hex(w, root, 32), t->runtime != NULL ? t->runtime : ""));
    assert_ok(clo_buf_printf(
        y,
        "runs:\n  - name: means\n    program: means\n    datasets: [rows-a, rows-b]\n    starters: [analyst]\n"
        "    recipients: [analyst, hospital-b]\n    price: \"%s\"\n    count_max: %d\n    min_rows: 5\n%s"
        "  - name: other\n    program: means\n    datasets: [rows-b]\n    starters: [analyst]\n    recipients: [analyst]\n"
        "    price: \"0.01\"\n    count_max: 5\n    min_rows: 5\n",
        t->price != NULL ? t->price : "0.01", t->count_max != 0 ? t->count_max : 100, t->window != NULL ? t->window : ""));
}

static void put_head(world *w, const terms *t, clo_buf *y)
{
    char until[21];
    clo_time_format(until, t->not_after != 0 ? t->not_after : w->time.wall_seconds + 30 * 86400);
    assert_ok(clo_buf_printf(
        y, "format: cloister-agreement/1\ntitle: \"%s\"\nepoch: %d\nnot_after: %s\nallow_simulated: %s\nlease_seconds: %d\n",
        t->title != NULL ? t->title : "Two hospitals", t->epoch != 0 ? t->epoch : 1, until, t->simulated_forbidden ? "false" : "true", t->lease != 0 ? t->lease : 60));
    if (t->prev != NULL)
        assert_ok(clo_buf_printf(y, "prev: %s\nlineage: %s\n", world_hex(w, t->prev, 32), world_hex(w, t->lineage, 32)));
    assert_ok(clo_buf_printf(y, "operator: {name: operator, url: \"https://127.0.0.1:8443\", spki: %064x}\nlog:\n  vkey: ", 7));
    put_vkey("log.test", 1, &w->log_key, y);
    assert_ok(clo_buf_put_str(y, "\n  witnesses:\n    - "));
    put_vkey("witness.test", 4, &w->witness_key, y);
    assert_ok(clo_buf_put_str(y, "\n  quorum: 1\n"));
}

clo_span world_sign(world *w, const clo_collab_agreement *g, const clo_collab_identity *const *who, size_t count)
{
    clo_buf file, next;
    clo_buf_init(&file, 1 << 20);
    clo_buf_init(&next, 1 << 20);
    assert_ok(clo_collab_agreement_file_make(g, &file));
    for (size_t i = 0; i < count; i++) {
        clo_buf_clear(&next);
        assert_ok(clo_collab_agreement_file_sign(clo_buf_span(&file), who[i], &next));
        clo_buf_clear(&file);
        assert_ok(clo_buf_put_span(&file, clo_buf_span(&next)));
    }
    clo_span out;
    assert_ok(clo_arena_copy(&w->arena, clo_buf_span(&file), &out));
    clo_buf_free(&file);
    clo_buf_free(&next);
    return out;
}

clo_span world_prove(world *w, clo_span file, bool witnessed)
{
    clo_buf leaf, body, note, proof;
    clo_buf_init(&leaf, 4096);
    clo_buf_init(&body, 4096);
    clo_buf_init(&note, 16384);
    clo_buf_init(&proof, 16384);
    assert_ok(clo_collab_leaf(CLO_LEAF_AGREEMENT, file, &leaf));
    clo_wire_checkpoint c = {.origin = "log.test", .size = 1};
    assert_ok(clo_wire_merkle_leaf(clo_buf_span(&leaf), &c.root));
    assert_ok(clo_wire_checkpoint_write(&c, &body));
    assert_ok(clo_wire_note_sign(clo_buf_span(&body), "log.test", &w->log_key, &note));
    if (witnessed)
        assert_ok(
            clo_wire_note_cosign(clo_buf_span(&body), "witness.test", &w->witness_key, (uint64_t)w->time.wall_seconds, &note));
    assert_ok(clo_wire_tlog_proof_write(0, NULL, 0, clo_buf_span(&note), &proof));
    clo_span out;
    assert_ok(clo_arena_copy(&w->arena, clo_buf_span(&proof), &out));
    clo_buf_free(&leaf);
    clo_buf_free(&body);
    clo_buf_free(&note);
    clo_buf_free(&proof);
    return out;
}

clo_collab_agreement *world_agreement(world *w, const terms *given, clo_span *file, clo_span *proof)
{
    const terms usual = {.epoch = 1}, *t = given != NULL ? given : &usual;
    const clo_collab_identity *owner = t->owner != NULL ? t->owner : &w->a;
    clo_buf y;
    clo_buf_init(&y, 64 << 10);
    put_head(w, t, &y);
    assert_ok(clo_buf_put_str(&y, "parties:\n"));
    put_party(w, owner, "hospital-a", t->hpke != NULL ? t->hpke : clo_kms_hpke(w->kms), &y);
    put_party(w, &w->b, "hospital-b", w->b.public_half.hpke, &y);
    put_party(w, &w->analyst, "analyst", NULL, &y);
    put_terms(w, t, &y);
    clo_wire_node *tree = NULL;
    clo_collab_agreement *g = NULL;
    assert_ok(clo_wire_yaml_decode(&w->arena, clo_buf_span(&y), &tree));
    assert_ok(clo_collab_agreement_new(&w->arena, &g));
    assert_ok(clo_collab_agreement_read(&w->arena, tree, g));
    clo_buf_free(&y);
    const clo_collab_identity *all[] = {owner, &w->b, &w->analyst};
    *file = world_sign(w, g, all, 3);
    *proof = world_prove(w, *file, true);
    return g;
}

void world_dataset(world *w, const clo_collab_identity *owner, const char *name, clo_key32 *dek, clo_collab_manifest *m,
                   clo_span *bytes)
{
    memset(m, 0, sizeof *m);
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    (void)snprintf(m->owner, sizeof m->owner, "%s", owner->public_half.name);
    assert_ok(clo_collab_dataset_id(&owner->public_half, name, m->id));
    assert_ok(clo_crypto_random(m->version, sizeof m->version));
    assert_ok(clo_crypto_random(m->version_id, sizeof m->version_id));
    assert_ok(clo_crypto_random(m->stream_id, sizeof m->stream_id));
    assert_ok(clo_crypto_random(dek->b, sizeof dek->b));
    memcpy(m->schema_digest, w->g->datasets[0].schema.digest, sizeof m->schema_digest);
    m->chunk_size = CLO_STREAM_CHUNK_DEFAULT;
    m->plain_size = 1000;
    m->chunk_count = 1;
    m->row_count = 50;
    m->created = w->time.wall_seconds;
    clo_crypto_stream_info info;
    clo_crypto_stream *s = NULL;
    clo_collab_manifest_stream(m, &info);
    assert_ok(clo_crypto_stream_new(&s, dek, &info, m->commitment));
    clo_crypto_stream_free(&s);
    clo_buf out;
    clo_buf_init(&out, CLO_MANIFEST_MAX);
    assert_ok(clo_collab_manifest_sign(m, owner, &out));
    assert_ok(clo_arena_copy(&w->arena, clo_buf_span(&out), bytes));
    clo_buf_free(&out);
}

void world_import(world *w, const clo_collab_manifest *m, clo_span bytes, const clo_key32 *dek)
{
    clo_buf b;
    clo_buf_init(&b, 64 << 10);
    clo_kms_key k;
    assert_ok(clo_collab_key_import_make(bytes, m, m->version, dek, clo_kms_hpke(w->kms), &b));
    assert_ok(clo_kms_key_import(w->kms, clo_buf_span(&b), &k));
    clo_buf_free(&b);
}

void world_begin(world *w, const terms *t)
{
    clo_key32 other;
    (void)snprintf(w->home, sizeof w->home, "%s/home%u", w->directory, w->homes++);
    assert_ok(clo_kms_init(w->home, &w->a.public_half));
    assert_ok(clo_kms_open(&w->kms, w->home, &w->clock));
    w->g = world_agreement(w, t, &w->file, &w->proof);
    world_dataset(w, &w->a, "rows-a", &w->dek, &w->manifest_a, &w->manifest_a_bytes);
    world_dataset(w, &w->b, "rows-b", &other, &w->manifest_b, &w->manifest_b_bytes);
    world_import(w, &w->manifest_a, w->manifest_a_bytes, &w->dek);
}

void world_end(world *w) { clo_kms_free(&w->kms); }

void world_restart(world *w)
{
    clo_kms_free(&w->kms);
    assert_ok(clo_kms_open(&w->kms, w->home, &w->clock));
}

void runtime_make(runtime *r)
{
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &r->sign, &r->sign_public));
    assert_ok(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &r->hpke, &r->hpke_public));
    assert_ok(clo_crypto_random(r->leaf, sizeof r->leaf));
}

/* Of a runtime with every layer active, fit for this world's runs. */
static clo_span world_configuration(world *w)
{
    clo_collab_configuration c = {.runtime = "cloister-enclave 1", .tee = "sim", .engine = "sql", .landlock_abi = 6, .reattest_seconds = w->g->reattest_seconds,
                                  .lease_seconds = w->g->lease_seconds, .compute_seconds_max = 3600, .result_bytes_max = 1 << 20};
    for (unsigned i = 0; i < CLO_LAYERS; i++) c.layers[i] = true;
    clo_buf out;
    clo_span kept;
    clo_buf_init(&out, CLO_CONFIGURATION_MAX);
    assert_ok(clo_collab_configuration_encode(&c, &out));
    assert_ok(clo_arena_copy(&w->arena, clo_buf_span(&out), &kept));
    clo_buf_free(&out);
    return kept;
}

void message_begin(world *w, message *m, runtime *who)
{
    memset(m, 0, sizeof *m);
    m->who = who;
    m->signer = &w->analyst;
    memcpy(m->measurement, w->measurement, sizeof m->measurement);
    clo_collab_run_request *q = &m->request;
    memcpy(q->agreement, w->g->id, 32);
    q->epoch = w->g->epoch;
    (void)snprintf(q->run, sizeof q->run, "means");
    (void)snprintf(q->starter, sizeof q->starter, "analyst");
    assert_ok(clo_crypto_random(q->run_id, sizeof q->run_id));
    q->created = w->time.wall_seconds;
    q->rho = w->g->runs[0].rho;
    q->dataset_count = 2;
    memcpy(q->datasets[0].id, w->manifest_a.id, 32);
    memcpy(q->datasets[0].version, w->manifest_a.version, 32);
    memcpy(q->datasets[1].id, w->manifest_b.id, 32);
    memcpy(q->datasets[1].version, w->manifest_b.version, 32);
    m->m.agreement_file = w->file;
    m->m.agreement_proof = w->proof;
    m->m.manifest_count = 2;
    m->m.manifests[0] = w->manifest_a_bytes;
    m->m.manifests[1] = w->manifest_b_bytes;
    clo_collab_binding *b = &m->m.binding;
    b->nonce_count = 2;
    assert_ok(clo_kms_nonce(w->kms, b->nonces[0].bytes));
    assert_ok(clo_crypto_random(b->nonces[1].bytes, CLO_NONCE));
    memcpy(b->agreement, w->g->id, 32);
    b->epoch = w->g->epoch;
    memcpy(b->hpke, who->hpke_public.bytes, 32);
    memcpy(b->sign, who->sign_public.bytes, 32);
    memcpy(b->leaf_spki, who->leaf, 32);
    b->configuration = world_configuration(w);
    m->channel = (clo_kms_channel){.have_exporter = true, .have_client = true, .have_server = true};
    assert_ok(clo_crypto_random(m->channel.exporter, 32));
    memcpy(m->channel.client_spki, who->leaf, 32);
    memset(m->channel.server_spki, 0x53, 32);
}

static clo_span copied(world *w, clo_buf *b)
{
    clo_span out;
    assert_ok(clo_arena_copy(&w->arena, clo_buf_span(b), &out));
    clo_buf_free(b);
    return out;
}

static void message_attest(world *w, message *m)
{
    uint8_t report_data[64], workload[48], host_data[32];
    const clo_collab_run_terms *run = clo_collab_agreement_run(w->g, m->request.run);
    assert_non_null(run);
    assert_ok(clo_collab_binding_report_data(&m->m.binding, report_data));
    report_data[0] ^= m->report_data_twist;
    assert_ok(clo_collab_workload_digest(w->g, run, m->measurement, workload, host_data));
    clo_buf bundle;
    clo_buf_init(&bundle, CLO_EVIDENCE_MAX);
    assert_ok(clo_tee_sim_report(w->tee, m->measurement, host_data, report_data, &bundle));
    m->m.evidence = copied(w, &bundle);
}

clo_span message_finish(world *w, message *m)
{
    clo_buf b;
    if (m->m.request.n == 0) {
        clo_buf_init(&b, 64 << 10);
        assert_ok(clo_collab_run_request_sign(&m->request, m->signer, &b));
        m->m.request = copied(w, &b);
    }
    static const uint8_t zero[32];
    if (memcmp(m->m.binding.request, zero, 32) == 0) assert_ok(clo_crypto_sha256(m->m.request, m->m.binding.request));
    if (m->m.evidence.n == 0) message_attest(w, m);
    clo_buf_init(&b, 4096);
    assert_ok(clo_collab_channel_message(m->channel.exporter, m->channel.client_spki, m->channel.server_spki, "runtime",
                                         m->m.evidence, &b));
    assert_ok(clo_crypto_sign(&m->who->sign, clo_buf_span(&b), m->m.channel_proof));
    clo_buf_free(&b);
    if (m->channel_proof_wrong) m->m.channel_proof[3] ^= 1;
    clo_buf_init(&b, 8 << 20);
    assert_ok(clo_collab_release_request_encode(&m->m, &b));
    return copied(w, &b);
}

void release_ok(world *w, runtime *who, message *m, clo_collab_release_reply *reply)
{
    clo_buf out;
    message_begin(w, m, who);
    clo_buf_init(&out, 64 << 10);
    assert_ok(clo_kms_release(w->kms, message_finish(w, m), &m->channel, &out));
    assert_ok(clo_collab_release_reply_decode(&w->arena, copied(w, &out), reply));
}

void token_begin(world *w, const message *m, clo_collab_release_token *t)
{
    memset(t, 0, sizeof *t);
    memcpy(t->agreement, w->g->id, 32);
    t->epoch = w->g->epoch;
    memcpy(t->run_id, m->request.run_id, 16);
    memcpy(t->request, m->m.binding.request, 32);
    memset(t->output, 0x0f, 32);
    t->output_size = 4096;
    const clo_collab_run_terms *run = clo_collab_agreement_run(w->g, m->request.run);
    t->recipient_count = run->recipient_count;
    memcpy(t->recipients, run->recipients, sizeof t->recipients);
    t->spend_count = 2;
    memcpy(t->spends[0].dataset, w->manifest_a.id, 32);
    memcpy(t->spends[1].dataset, w->manifest_b.id, 32);
    t->spends[0].rho = t->spends[1].rho = run->rho;
    t->guards_passed = true;
    (void)snprintf(t->guards, sizeof t->guards, "min-rows 5: passed");
    assert_ok(clo_crypto_sha256(m->m.evidence, t->evidence));
}

clo_span commit_finish(world *w, const message *m, const clo_collab_release_token *t, const runtime *signer,
                       const clo_key32 *share)
{
    (void)m;
    clo_buf token, info, sealed, body;
    clo_buf_init(&token, 64 << 10);
    clo_buf_init(&info, 1024);
    clo_buf_init(&sealed, 256);
    clo_buf_init(&body, 64 << 10);
    assert_ok(clo_collab_share_info(t->agreement, t->run_id, t->output, "kms", &info));
    assert_ok(clo_crypto_hpke_seal(clo_kms_hpke(w->kms), clo_buf_span(&info), clo_span_of(NULL, 0), clo_span_of(share->b, 32),
                                   &sealed));
    static clo_collab_release_token named; /* large */
    named = *t;
    if (named.share_count == 0) {
        named.share_count = 1;
        assert_ok(clo_crypto_sha256(clo_buf_span(&sealed), named.shares[0]));
    }
    assert_ok(clo_collab_release_token_sign(&named, &signer->sign, &token));
    clo_collab_commit_request c = {clo_buf_span(&token), clo_buf_span(&sealed)};
    assert_ok(clo_collab_commit_request_encode(&c, &body));
    clo_buf_free(&token);
    clo_buf_free(&info);
    clo_buf_free(&sealed);
    return copied(w, &body);
}

void assert_claim(clo_err e, uint32_t code, const char *claim)
{
    assert_code(e, code);
    const clo_denial *d = clo_err_denial();
    if (d == NULL)
        fail_msg("no denial, wanted %s: %s", claim, clo_err_text());
    else if (strcmp(d->claim, claim) != 0)
        fail_msg("denial of %s (expected %s, actual %s), wanted %s", d->claim, d->expected, d->actual, claim);
    else {
        assert_true(d->expected[0] != '\0');
        assert_true(d->actual[0] != '\0');
        assert_true(d->source[0] != '\0');
        assert_true(d->remedy[0] != '\0');
    }
}

/* Each release has an entry of its own, beside its reservations. */
static uint64_t release_entries(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM releases", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    uint64_t count = (uint64_t)sqlite3_column_int64(s, 0);
    assert_int_equal(sqlite3_finalize(s), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return count;
}

void assert_ledger(world *w, uint64_t entries, uint64_t open)
{
    char path[400];
    clo_kms_ledger_report r;
    (void)snprintf(path, sizeof path, "%s/kms.db", w->home);
    assert_ok(clo_kms_ledger_check(path, &r));
    if (!r.valid) fail_msg("the ledger does not hold: %s", r.detail);
    assert_int_equal(r.entry_count, entries + release_entries(path));
    assert_int_equal(r.reserved_count, open);
}

void assert_balance(world *w, const char *spent, const char *reserved)
{
    clo_kms_budget *items = NULL;
    size_t count = 0;
    assert_ok(clo_kms_budget_list(w->kms, &w->arena, NULL, &items, &count));
    assert_int_equal(count, 1);
    char text[CLO_DP_RATIONAL_TEXT];
    clo_dp_rational_format(text, items[0].spent);
    assert_string_equal(text, spent);
    clo_dp_rational_format(text, items[0].reserved);
    assert_string_equal(text, reserved);
}
