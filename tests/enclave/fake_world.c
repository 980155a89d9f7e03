#include "cmocka_all.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/leaf.h"
#include "crypto/x509.h"
#include "fake_world.h"
#include "os/clock.h"
#include "os/file.h"
#include "wire/json.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char schema_text[] =
    "{\"columns\":{\"age\":{\"type\":\"int\",\"min\":0,\"max\":100},\"site\":{\"type\":\"code\",\"codes\":[\"left\",\"right\"]},"
    "\"size\":{\"type\":\"float\",\"min\":0,\"max\":10},\"y\":{\"type\":\"int\",\"min\":0,\"max\":1}},\"target\":\"y\"}";

void fake_runtime_main(int argc, char **argv)
{
    if (argc < 1 || strcmp(argv[0], "cloister-enclave") != 0) return;
    (void)signal(SIGPIPE, SIG_IGN);
    clo_err e = clo_enclave_refuse_injection(argc, argv, environ);
    if (clo_failed(e)) _exit(clo_enclave_exit_code(e));
    clo_enclave_options options = {.host_fd = CLO_ENCLAVE_HOST_FD, .device_fd = CLO_ENCLAVE_DEVICE_FD, .sandbox = true};
    _exit(clo_enclave_exit_code(clo_enclave_run(&options)));
}

const char *fake_world_program;

int fake_world_program_open(void)
{
    int fd = open(fake_world_program != NULL ? fake_world_program : "/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static clo_err row_sink(void *context, clo_span row) { return clo_buf_put_span(context, row); }

static void table_make(fake_owner *o, const clo_wire_schema *schema, uint64_t rows, unsigned seed, bool other)
{
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_wire_csv *csv = NULL;
    uint64_t count = 0;
    uint8_t head[CLO_TABLE_HEAD];
    clo_buf_init(&body, 256u << 20);
    assert_ok(clo_wire_csv_new(&csv, schema, row_sink, &body));
    assert_ok(clo_wire_csv_feed(csv, clo_span_str("age,site,size,y\n")));
    uint32_t x = 12345u + seed;
    for (uint64_t i = 0; i < rows; i++) {
        x = x * 1664525u + 1013904223u;
        if (other) x = 0;
        unsigned age = (x >> 8) % 100u, site = (x >> 20) & 1u, size = (x >> 12) % 1000u;
        char line[64];
        int n = snprintf(line, sizeof line, "%u,%s,%u.%02u,%d\n", age, site ? "left" : "right", size / 100u, size % 100u, age + (x >> 24) % 20u > 55u);
        assert_ok(clo_wire_csv_feed(csv, clo_span_of(line, (size_t)n)));
    }
    assert_ok(clo_wire_csv_end(csv, &count));
    clo_wire_csv_free(&csv);
    assert_int_equal(count, rows);
    assert_ok(clo_wire_table_head(schema, rows, head));
    clo_buf_init(&o->table, 256u << 20);
    assert_ok(clo_buf_put(&o->table, head, sizeof head));
    assert_ok(clo_buf_put_span(&o->table, clo_buf_span(&body)));
}

static void dataset_seal(fake_world *w, fake_owner *o, const char *name, const clo_wire_schema *schema, uint64_t rows)
{
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *stream = NULL;
    clo_crypto_stream_info info;
    uint8_t *at = NULL;
    o->m = (clo_collab_manifest){.chunk_size = rows > 100000 ? 65536 : 1024, .plain_size = o->table.len, .row_count = rows, .created = 1};
    (void)snprintf(o->m.name, sizeof o->m.name, "%s", name);
    (void)snprintf(o->m.owner, sizeof o->m.owner, "%s", o->identity.public_half.name);
    assert_ok(clo_collab_dataset_id(&o->identity.public_half, name, o->m.id));
    assert_ok(clo_crypto_random(o->m.version_id, 16));
    assert_ok(clo_crypto_random(o->m.stream_id, 16));
    assert_ok(clo_crypto_random(o->dek.b, 32));
    memcpy(o->m.schema_digest, schema->digest, 32);
    o->m.chunk_count = (o->m.plain_size + o->m.chunk_size - 1) / o->m.chunk_size;
    clo_collab_manifest_stream(&o->m, &info);
    assert_ok(clo_crypto_stream_new(&stream, &o->dek, &info, o->m.commitment));
    clo_buf_init(&o->sealed, 300u << 20);
    assert_ok(clo_buf_reserve(&o->sealed, (size_t)clo_crypto_stream_sealed_size(&info), &at));
    assert_ok(clo_crypto_stream_seal_many(stream, 0, o->m.chunk_count, clo_buf_span(&o->table), at, 1));
    o->sealed.len = (size_t)clo_crypto_stream_sealed_size(&info);
    clo_wire_merkle_range tree = {0};
    clo_wire_hash leaf, root;
    size_t offset = 0;
    for (uint64_t i = 0; i < o->m.chunk_count; i++) {
        size_t n = clo_crypto_stream_chunk_plain(&info, i) + 16;
        assert_ok(clo_wire_merkle_leaf(clo_span_of(at + offset, n), &leaf));
        assert_ok(clo_wire_merkle_range_add(&tree, &leaf));
        offset += n;
    }
    assert_ok(clo_wire_merkle_range_root(&tree, &root));
    if (w->fault == FAULT_ROOT) root.b[0] ^= 1;
    memcpy(o->m.version, root.b, 32);
    clo_buf_init(&o->manifest, CLO_MANIFEST_MAX);
    assert_ok(clo_collab_manifest_sign(&o->m, &o->identity, &o->manifest));
    if (w->fault == FAULT_DEK) o->dek.b[5] ^= 1;
}

static void tls_make(fake_world *w, fake_owner *o)
{
    CLO_AUTO(clo_buf_free) clo_buf key = {0}, der = {0}, pem = {0};
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
    clo_buf_init(&key, 8192);
    clo_buf_init(&der, 8192);
    clo_buf_init(&pem, 8192);
    assert_ok(clo_crypto_keypair_make(CLO_KEYPAIR_P256, &key));
    clo_crypto_cert_request r = {.common_name = "kms", .not_before = 1577836800, .not_after = 4102444800, .serial = 7};
    assert_ok(clo_crypto_cert_make(&r, clo_buf_span(&key), NULL, clo_buf_span(&key), &der));
    assert_ok(clo_crypto_cert_parse(&cert, clo_buf_span(&der)));
    assert_ok(clo_crypto_cert_spki_sha256(cert, o->spki));
    assert_ok(clo_crypto_cert_to_pem(cert, &pem));
    clo_crypto_tls_options options = {.server = true, .certificate_pem = clo_buf_span(&pem), .private_pem = clo_buf_span(&key), .ask_client_leaf = true};
    assert_ok(clo_crypto_tls_context_new(&o->context, &options));
    if (w->fault == FAULT_PIN) o->spki[0] ^= 1;
}

static void owner_make(fake_world *w, fake_owner *o, const char *name)
{
    clo_crypto_hpke_private sk;
    clo_crypto_hpke_public pk;
    assert_ok(clo_collab_identity_make(name, &o->identity));
    assert_ok(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &sk, &pk));
    clo_key32_copy(&o->kms_secret, &sk.secret);
    memcpy(o->kms_public, pk.bytes, 32);
    tls_make(w, o);
    clo_buf_init(&o->in, 8u << 20);
}

static void put_hex(clo_buf *b, const char *before, const uint8_t *p, size_t n, const char *after)
{
    assert_ok(clo_buf_put_str(b, before));
    assert_ok(clo_buf_put_hex(b, clo_span_of(p, n)));
    assert_ok(clo_buf_put_str(b, after));
}

static void party_put(clo_buf *b, const clo_collab_party *p, const fake_owner *o)
{
    assert_ok(clo_buf_printf(b, "{\"name\":\"%s\",\"role\":\"%s\"", p->name, o != NULL ? "data-owner" : "analyst"));
    put_hex(b, ",\"sign_key\":\"", p->sign.bytes, 32, "\"");
    put_hex(b, ",\"hpke_key\":\"", p->hpke, 32, "\"");
    if (o != NULL) {
        assert_ok(clo_buf_put_str(b, ",\"key_service\":{\"url\":\"https://kms.example:8443\""));
        put_hex(b, ",\"spki\":\"", o->spki, 32, "\"");
        put_hex(b, ",\"hpke_key\":\"", o->kms_public, 32, "\"}");
    }
    assert_ok(clo_buf_put_str(b, "}"));
}

static const char programs_text[] =
    "\"programs\":[{\"name\":\"counts\",\"kind\":\"sql\",\"sql\":\"SELECT site, COUNT(*) AS n, AVG(age) AS age FROM rows WHERE age >= :low GROUP BY site\","
    "\"parameters\":[\"low\"]},{\"name\":\"model\",\"kind\":\"train\",\"target\":\"y\",\"steps\":30}]";

static void agreement_make(fake_world *w, const clo_wire_note_key *log, const clo_wire_note_key *witness)
{
    CLO_AUTO(clo_buf_free) clo_buf b = {0}, log_text = {0}, witness_text = {0};
    uint8_t root[32];
    const char *log_vkey = NULL, *witness_vkey = NULL;
    clo_buf_init(&b, 1 << 20);
    clo_buf_init(&log_text, 1024);
    clo_buf_init(&witness_text, 1024);
    assert_ok(clo_wire_note_key_text(log, &log_text));
    assert_ok(clo_wire_note_key_text(witness, &witness_text));
    assert_ok(clo_buf_cstr(&log_text, &log_vkey));
    assert_ok(clo_buf_cstr(&witness_text, &witness_vkey));
    clo_tee_sim_root_sha256(w->device, root);
    assert_ok(clo_buf_put_str(&b, "{\"format\":\"cloister-agreement/1\",\"title\":\"test\",\"not_after\":\"2099-01-01T00:00:00Z\",\"allow_simulated\":true,"));
    assert_ok(clo_buf_put_str(&b, w->fault == FAULT_SILENT ? "" : "\"telemetry\":[\"counts\",\"states\"],"));
    assert_ok(clo_buf_put_str(&b, "\"lease_seconds\":600,\"reattest_seconds\":120,\"operator\":{\"name\":\"op\",\"url\":\"https://op.example\""));
    put_hex(&b, ",\"spki\":\"", root, 32, "\"},");
    assert_ok(clo_buf_printf(&b, "\"log\":{\"vkey\":\"%s\",\"witnesses\":[\"%s\"],\"quorum\":1},\"parties\":[", log_vkey, witness_vkey));
    for (size_t i = 0; i < OWNERS; i++) {
        party_put(&b, &w->owners[i].identity.public_half, &w->owners[i]);
        assert_ok(clo_buf_put_str(&b, ","));
    }
    party_put(&b, &w->analyst.public_half, NULL);
    assert_ok(clo_buf_printf(&b, "],\"datasets\":[{\"name\":\"rows-north\",\"owner\":\"north\",\"schema\":%s,\"budget\":\"5\"},"
                                 "{\"name\":\"rows-south\",\"owner\":\"south\",\"schema\":%s,\"budget\":\"5\"}],%s,", schema_text, schema_text, programs_text));
    put_hex(&b, "\"runtimes\":[{\"tee\":\"sim\",\"measurements\":[\"", w->measurement, 48, "\"]");
    put_hex(&b, ",\"roots\":[\"", root, 32, "\"]");
    if (w->fault != FAULT_STRICT)
        assert_ok(clo_buf_put_str(&b, ",\"may_lack\":[\"user-namespace\",\"mount-namespace\",\"pid-namespace\",\"net-namespace\",\"ipc-namespace\","
                                      "\"uts-namespace\",\"empty-root\",\"landlock\",\"secret-memory\",\"locked-rows\"]"));
    assert_ok(clo_buf_put_str(&b, "}],\"runs\":["));
    static const char *const runs[][2] = {{"count", "counts"}, {"learn", "model"}};
    for (size_t i = 0; i < 2; i++)
        assert_ok(clo_buf_printf(&b, "%s{\"name\":\"%s\",\"program\":\"%s\",\"datasets\":[\"rows-north\",\"rows-south\"],\"starters\":[\"analyst\"],"
                                     "\"recipients\":[\"analyst\",\"north\"],\"price\":\"1/2\",\"count_max\":5,\"min_rows\":20}",
                                 i != 0 ? "," : "", runs[i][0], runs[i][1]));
    assert_ok(clo_buf_put_str(&b, "]}"));
    clo_wire_node *tree = NULL;
    assert_ok(clo_wire_json_decode(&w->arena, clo_buf_span(&b), &tree));
    assert_ok(clo_collab_agreement_new(&w->arena, &w->g));
    assert_ok(clo_collab_agreement_read(&w->arena, tree, w->g));
}

static void agreement_sign(fake_world *w)
{
    const clo_collab_identity *who[] = {&w->owners[0].identity, &w->analyst, &w->owners[1].identity};
    size_t count = w->fault == FAULT_UNSIGNED ? 2 : 3;
    clo_buf_init(&w->file, 1 << 20);
    assert_ok(clo_collab_agreement_file_make(w->g, &w->file));
    for (size_t i = 0; i < count; i++) {
        clo_buf next = {0};
        clo_buf_init(&next, 1 << 20);
        assert_ok(clo_collab_agreement_file_sign(clo_buf_span(&w->file), who[i], &next));
        clo_buf_free(&w->file);
        w->file = next;
    }
}

static void proof_make(fake_world *w, const clo_crypto_private_key *log_key, const clo_wire_note_key *log, const clo_crypto_private_key *witness_key,
                       const clo_wire_note_key *witness)
{
    CLO_AUTO(clo_buf_free) clo_buf leaf = {0}, body = {0}, note = {0};
    clo_wire_checkpoint c = {.size = 1};
    clo_buf_init(&leaf, 1024);
    clo_buf_init(&body, 1024);
    clo_buf_init(&note, 4096);
    assert_ok(clo_collab_leaf(CLO_LEAF_AGREEMENT, w->fault == FAULT_PROOF ? clo_span_str("another") : clo_buf_span(&w->file), &leaf));
    (void)snprintf(c.origin, sizeof c.origin, "%s", log->name);
    assert_ok(clo_wire_merkle_leaf(clo_buf_span(&leaf), &c.root));
    assert_ok(clo_wire_checkpoint_write(&c, &body));
    assert_ok(clo_wire_note_sign(clo_buf_span(&body), log->name, log_key, &note));
    assert_ok(clo_wire_note_cosign(clo_buf_span(&body), witness->name, witness_key, 1700000000, &note));
    clo_buf_init(&w->proof, 16384);
    assert_ok(clo_wire_tlog_proof_write(0, NULL, 0, clo_buf_span(&note), &w->proof));
}

static void log_and_agreement_make(fake_world *w)
{
    clo_crypto_private_key log_key, witness_key;
    clo_crypto_public_key log_public, witness_public;
    clo_wire_note_key log, witness;
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &log_key, &log_public));
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &witness_key, &witness_public));
    assert_ok(clo_wire_note_key_make("log.example/test", 1, &log_public, &log));
    assert_ok(clo_wire_note_key_make("witness.example", 4, &witness_public, &witness));
    agreement_make(w, &log, &witness);
    agreement_sign(w);
    proof_make(w, &log_key, &log, &witness_key, &witness);
}

static void request_make(fake_world *w, const char *run)
{
    clo_collab_run_request *r = &w->asked;
    const clo_collab_run_terms *terms = clo_collab_agreement_run(w->g, run);
    assert_non_null(terms);
    memcpy(r->agreement, w->g->id, 32);
    r->epoch = w->g->epoch;
    (void)snprintf(r->run, sizeof r->run, "%s", run);
    assert_ok(clo_crypto_random(r->run_id, 16));
    const clo_collab_identity *starter = w->fault == FAULT_STRANGER ? &w->owners[1].identity : &w->analyst;
    (void)snprintf(r->starter, sizeof r->starter, "%s", starter->public_half.name);
    r->created = 1700000000;
    r->dataset_count = OWNERS;
    for (size_t i = 0; i < OWNERS; i++) {
        memcpy(r->datasets[i].id, w->owners[i].m.id, 32);
        memcpy(r->datasets[i].version, w->owners[i].m.version, 32);
    }
    r->rho = terms->rho;
    if (strcmp(run, "count") == 0) {
        r->parameter_count = 1;
        (void)snprintf(r->parameters[0].name, 64, "low");
        (void)snprintf(r->parameters[0].value, 128, "10");
    }
    clo_buf_init(&w->request, 65536);
    assert_ok(clo_collab_run_request_sign(r, starter, &w->request));
}

/* One software TEE for all worlds of a program: its RSA-4096 root takes seconds to make. */
static clo_tee_sim *shared_device;
static void device_end(void) { clo_tee_sim_free(&shared_device); }
static clo_tee_sim *device_shared(void)
{
    if (shared_device != NULL) return shared_device;
    char directory[256];
    assert_ok(clo_os_dir_temporary("clo-enclave-", directory));
    assert_ok(clo_tee_sim_open(&shared_device, directory));
    assert_ok(clo_os_tree_remove(directory));
    assert_int_equal(atexit(device_end), 0);
    return shared_device;
}

void fake_world_make(fake_world *w, fault f, const char *run, uint64_t rows_each)
{
    *w = (fake_world){.fault = f, .rows = rows_each};
    clo_arena_init(&w->arena, 64u << 20);
    w->device = device_shared();
    CLO_AUTO(clo_os_fd_close) int self = fake_world_program_open();
    assert_ok(clo_tee_sim_measure_fd(self, w->measurement));
    owner_make(w, &w->owners[0], "north");
    owner_make(w, &w->owners[1], "south");
    assert_ok(clo_collab_identity_make("analyst", &w->analyst));
    log_and_agreement_make(w);
    const clo_wire_schema *schema = &w->g->datasets[0].schema;
    for (unsigned i = 0; i < OWNERS; i++) {
        table_make(&w->owners[i], schema, rows_each, i, w->fault == FAULT_OTHER_ROWS);
        dataset_seal(w, &w->owners[i], w->g->datasets[i].name, schema, rows_each);
    }
    request_make(w, run);
    uint8_t digest[48];
    assert_ok(clo_collab_workload_digest(w->g, clo_collab_agreement_run(w->g, run), w->measurement, digest, w->host_data));
}

void fake_world_open(fake_world *w, clo_buf *plain)
{
    CLO_KEY32(key);
    CLO_KEY32(shown);
    uint8_t digest[32];
    assert_ok(clo_crypto_sha256(clo_buf_span(&w->output), digest));
    for (size_t i = 0; i < OWNERS; i++) {
        CLO_AUTO(clo_buf_free) clo_buf info = {0};
        CLO_KEY32(share);
        static clo_collab_commit_reply r;
        clo_buf_init(&info, 1024);
        assert_ok(clo_collab_commit_reply_decode(&w->arena, clo_buf_span(&w->commits[i]), &r));
        assert_ok(clo_collab_share_info(w->g->id, w->asked.run_id, digest, "analyst", &info));
        size_t j = 0;
        while (j < r.share_count && strcmp(r.shares[j].recipient, "analyst") != 0) j++;
        assert_true(j < r.share_count);
        assert_ok(clo_crypto_hpke_open(&w->analyst.hpke, clo_buf_span(&info), clo_span_of(NULL, 0), r.shares[j].sealed, share.b, 32));
        clo_key32_xor(&key, &share);
        for (size_t k = 0; k < sizeof shown.b; k++) shown.b[k] ^= r.statement_share[k];
        /* No proper part of the replies shows the statement that the host was given before the commits. */
        CLO_AUTO(clo_buf_free) clo_buf statement = {0};
        clo_buf_init(&statement, 65536);
        clo_err e = clo_collab_statement_show(&shown, clo_buf_span(&w->hidden), &statement);
        if (i + 1 < OWNERS)
            assert_code(e, CLO_E_AUTHENTICATION);
        else
            assert_true(!clo_failed(e) && clo_span_equal(clo_buf_span(&statement), clo_buf_span(&w->statement)));
    }
    clo_collab_output_head head;
    clo_buf_init(plain, 64u << 20);
    assert_ok(clo_collab_output_open(clo_buf_span(&w->output), &key, &head, plain));
    assert_memory_equal(head.run_id, w->asked.run_id, 16);
}

void fake_world_forget(fake_world *w)
{
    for (size_t i = 0; i < OWNERS; i++) {
        clo_buf_free(&w->commits[i]);
        clo_crypto_tls_free(&w->owners[i].tls);
        clo_buf_clear(&w->owners[i].in);
    }
    clo_buf_free(&w->evidence_bytes);
    clo_buf_free(&w->output);
    clo_buf_free(&w->statement);
    clo_buf_free(&w->heard);
    clo_buf_free(&w->hidden);
    w->finished = w->failed = false;
    w->prepared_count = 0;
}

void fake_world_free(fake_world *w)
{
    fake_world_forget(w);
    for (size_t i = 0; i < OWNERS; i++) {
        fake_owner *o = &w->owners[i];
        clo_crypto_tls_context_free(&o->context);
        clo_buf_free(&o->table);
        clo_buf_free(&o->sealed);
        clo_buf_free(&o->manifest);
        clo_buf_free(&o->in);
    }
    clo_buf_free(&w->file);
    clo_buf_free(&w->proof);
    clo_buf_free(&w->request);
    clo_arena_free(&w->arena);
}
