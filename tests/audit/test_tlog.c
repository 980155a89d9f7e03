/* Proves that the log keeps every acknowledged entry over restarts and torn tails, refuses to open when cut or altered, serves proofs that
 * verify with its witness's cosignature, and that a witness never cosigns two histories. */
#include "cmocka_all.h"

#include "audit/tlog.h"
#include "audit/witness.h"
#include "base/clo_own.h"
#include "os/clock.h"
#include "os/file.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char origin[] = "operator.example/log";
static clo_crypto_private_key log_sk, witness_sk;
static clo_wire_log_policy policy;

typedef struct {
    char dir[256], log_dir[300], witness_dir[300];
    clo_audit_witness *witness;
} place;

static clo_err ask_witness(void *context, clo_audit_log *log, clo_span note, uint64_t size, clo_buf *lines)
{
    place *p = context;
    uint64_t old_size = 0;
    for (int tries = 0; tries < 3; tries++) {
        clo_wire_hash path[CLO_MERKLE_PATH_MAX];
        size_t count = 0;
        if (old_size > 0) CLO_TRY(clo_audit_log_consistency(log, old_size, size, path, &count));
        CLO_AUTO(clo_buf_free) clo_buf body, reply;
        clo_buf_init(&body, 100000);
        clo_buf_init(&reply, 10000);
        CLO_TRY(clo_audit_witness_request(old_size, path, count, note, &body));
        unsigned status = 0;
        CLO_TRY(clo_audit_witness_add_checkpoint(p->witness, clo_buf_span(&body), &status, &reply));
        if (status == 200) return clo_buf_put_span(lines, clo_buf_span(&reply));
        if (status != 409) return CLO_FAIL(CLO_E_DENIED);
        unsigned long long theirs = 0;
        assert_int_equal(sscanf((const char *)reply.p, "%llu", &theirs), 1);
        old_size = theirs;
    }
    return CLO_FAIL(CLO_E_AGAIN);
}

static int keys(void **state)
{
    (void)state;
    clo_crypto_public_key pk;
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &log_sk, &pk));
    assert_ok(clo_wire_note_key_make(origin, 1, &pk, &policy.log));
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &witness_sk, &pk));
    assert_ok(clo_wire_note_key_make("witness.example", 4, &pk, &policy.witnesses[0]));
    policy.witness_count = policy.quorum = 1;
    return 0;
}

static void open_place(place *p)
{
    assert_ok(clo_os_dir_temporary("clo-tlog-", p->dir));
    assert_true(snprintf(p->log_dir, sizeof p->log_dir, "%s/log", p->dir) > 0);
    assert_true(snprintf(p->witness_dir, sizeof p->witness_dir, "%s/witness", p->dir) > 0);
    assert_ok(clo_audit_witness_open(&p->witness, p->witness_dir, "witness.example", &witness_sk, clo_os_clock_system()));
    assert_ok(clo_audit_witness_add_log(p->witness, &policy.log));
}

static clo_err open_log(place *p, clo_audit_log **log)
{
    clo_audit_log_options o = {.directory = p->log_dir, .origin = origin, .sk = &log_sk, .witness = ask_witness, .context = p, .retry_ms = 50};
    return clo_audit_log_open(log, &o);
}

static void close_place(place *p)
{
    clo_audit_witness_close(&p->witness);
    assert_ok(clo_os_tree_remove(p->dir));
}

static clo_span entry(int i, char text[32]) { return clo_span_of(text, (size_t)snprintf(text, 32, "entry %d", i)); }

static void proofs_verify_over_restarts(void **state)
{
    (void)state;
    place p;
    open_place(&p);
    for (int round = 0; round < 3; round++) {
        clo_audit_log *log = NULL;
        assert_ok(open_log(&p, &log));
        char text[32];
        for (int i = 0; i < 120; i++) {
            uint64_t index = 99999;
            assert_ok(clo_audit_log_append(log, entry(round * 120 + i, text), &index));
            assert_int_equal(index, round * 120 + i);
        }
        for (int i = 0; i < (round + 1) * 120; i += 7) {
            CLO_AUTO(clo_buf_free) clo_buf proof;
            clo_buf_init(&proof, 100000);
            assert_ok(clo_audit_log_proof(log, (uint64_t)i, 5000, &proof));
            uint64_t index = 0, at = 0;
            assert_ok(clo_wire_tlog_proof_verify(clo_buf_span(&proof), entry(i, text), &policy, NULL, &index, &at));
            assert_int_equal(index, i);
            assert_true(at > 1700000000);
            assert_true(clo_failed(clo_wire_tlog_proof_verify(clo_buf_span(&proof), entry(i + 1, text), &policy, NULL, &index, &at)));
        }
        CLO_AUTO(clo_buf_free) clo_buf tile, bundle;
        clo_buf_init(&tile, 100000);
        clo_buf_init(&bundle, 1000000);
        assert_ok(clo_audit_log_tile(log, 0, 0, 100, &tile));
        assert_int_equal(tile.len, 3200);
        assert_ok(clo_audit_log_bundle(log, 0, 2, &bundle));
        assert_memory_equal(bundle.p, "\0\7entry 0\0\7entry 1", 18);
        assert_code(clo_audit_log_bundle(log, 5, 1, &bundle), CLO_E_NOT_FOUND);
        assert_code(clo_audit_log_tile(log, 1, 0, 200, &tile), CLO_E_NOT_FOUND);
        clo_audit_log_close(&log);
        uint64_t size = 0;
        assert_ok(clo_audit_log_check(p.log_dir, &policy.log, &size));
        assert_int_equal(size, (round + 1) * 120);
    }
    close_place(&p);
}

static void torn_tail_is_dropped_but_truncation_is_refused(void **state)
{
    (void)state;
    place p;
    open_place(&p);
    clo_audit_log *log = NULL;
    assert_ok(open_log(&p, &log));
    uint64_t index = 0, size = 0;
    char text[32], journal[400];
    for (int i = 0; i < 5; i++) assert_ok(clo_audit_log_append(log, entry(i, text), &index));
    clo_audit_log_close(&log);
    assert_ok(clo_os_path_join(journal, sizeof journal, p.log_dir, "journal"));
    int fd = -1;
    assert_ok(clo_os_file_open(&fd, journal, CLO_OS_OPEN_APPEND, 0600));
    assert_ok(clo_os_file_append_sync(fd, clo_span_of("\0\0\0\7ent", 7)));
    clo_os_fd_close(&fd);
    assert_ok(open_log(&p, &log));
    assert_int_equal(clo_audit_log_size(log), 5);
    assert_ok(clo_audit_log_append(log, entry(5, text), &index));
    assert_int_equal(index, 5);
    clo_audit_log_close(&log);
    assert_ok(clo_os_file_open(&fd, journal, CLO_OS_OPEN_READ_WRITE, 0600));
    assert_ok(clo_os_file_size_fd(fd, &size));
    assert_ok(clo_os_file_truncate(fd, size - 10));
    clo_os_fd_close(&fd);
    assert_code(open_log(&p, &log), CLO_E_CONFLICT);
    assert_null(log);
    close_place(&p);
}

static void witness_refuses_a_second_history(void **state)
{
    (void)state;
    place p;
    open_place(&p);
    clo_audit_log *log = NULL;
    char text[32], other[320];
    uint64_t index = 0;
    assert_true(snprintf(other, sizeof other, "%s/old", p.dir) > 0);
    assert_ok(open_log(&p, &log));
    assert_ok(clo_audit_log_append(log, entry(0, text), &index));
    clo_audit_log_close(&log);
    assert_ok(clo_os_tree_copy(p.log_dir, other));
    assert_ok(open_log(&p, &log));
    assert_ok(clo_audit_log_append(log, entry(1, text), &index));
    CLO_AUTO(clo_buf_free) clo_buf proof;
    clo_buf_init(&proof, 100000);
    assert_ok(clo_audit_log_proof(log, 1, 5000, &proof));
    clo_audit_log_close(&log);
    /* The operator puts yesterday's disk back and writes another history of the same length: no witness signs it. */
    assert_ok(clo_os_tree_remove(p.log_dir));
    assert_ok(clo_os_tree_copy(other, p.log_dir));
    assert_ok(open_log(&p, &log));
    assert_ok(clo_audit_log_append(log, entry(77, text), &index));
    assert_int_equal(index, 1);
    assert_code(clo_audit_log_proof(log, 1, 400, &proof), CLO_E_AGAIN);
    clo_audit_log_close(&log);
    close_place(&p);
}

static void *appender(void *arg)
{
    for (int i = 0; i < 50; i++) {
        uint64_t index = 0;
        if (clo_failed(clo_audit_log_append(arg, clo_span_of("x", 1), &index))) return arg;
    }
    return NULL;
}

static void many_threads_append(void **state)
{
    (void)state;
    place p;
    open_place(&p);
    clo_audit_log *log = NULL;
    assert_ok(open_log(&p, &log));
    pthread_t threads[16];
    for (size_t i = 0; i < 16; i++) assert_int_equal(pthread_create(&threads[i], NULL, appender, log), 0);
    for (size_t i = 0; i < 16; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(clo_audit_log_size(log), 800);
    clo_audit_log_close(&log);
    close_place(&p);
}

/* A log without witness, of n entries, closed. */
static void make_plain_log(place *p, int n)
{
    clo_audit_log *log = NULL;
    char text[32];
    uint64_t index = 0;
    clo_audit_log_options o = {.directory = p->log_dir, .origin = origin, .sk = &log_sk};
    assert_ok(clo_audit_log_open(&log, &o));
    for (int i = 0; i < n; i++) assert_ok(clo_audit_log_append(log, entry(i, text), &index));
    clo_audit_log_close(&log);
}

static void consistency_over_all_sizes(void **state)
{
    (void)state;
    enum { N = 36 };
    place p;
    open_place(&p);
    clo_audit_log *log = NULL;
    clo_audit_log_options o = {.directory = p.log_dir, .origin = origin, .sk = &log_sk};
    clo_wire_hash roots[N + 1] = {0}, path[CLO_MERKLE_PATH_MAX];
    size_t count = 0;
    uint64_t index = 0;
    char text[32];
    assert_ok(clo_audit_log_open(&log, &o));
    for (int i = 0; i < N; i++) {
        CLO_AUTO(clo_buf_free) clo_buf note;
        clo_buf_init(&note, CLO_NOTE_MAX);
        clo_wire_checkpoint c;
        clo_wire_log_policy plain = {.log = policy.log};
        assert_ok(clo_audit_log_append(log, entry(i, text), &index));
        assert_ok(clo_audit_log_checkpoint(log, &note));
        assert_ok(clo_wire_checkpoint_verify(clo_buf_span(&note), &plain, &c, NULL));
        assert_int_equal(c.size, i + 1);
        roots[i + 1] = c.root;
    }
    for (uint64_t from = 1; from <= N; from++) {
        for (uint64_t to = from; to <= N; to++) {
            assert_ok(clo_audit_log_consistency(log, from, to, path, &count));
            assert_ok(clo_wire_merkle_consistency(from, to, path, count, &roots[from], &roots[to]));
            if (from < to) assert_true(clo_failed(clo_wire_merkle_consistency(from, to, path, count, &roots[to], &roots[from])));
        }
    }
    assert_code(clo_audit_log_consistency(log, 5, N + 1, path, &count), CLO_E_NOT_FOUND);
    assert_code(clo_audit_log_consistency(log, 6, 5, path, &count), CLO_E_NOT_FOUND);
    clo_audit_log_close(&log);
    close_place(&p);
}

static void entries_have_a_largest_size(void **state)
{
    (void)state;
    place p;
    open_place(&p);
    clo_audit_log *log = NULL;
    clo_audit_log_options o = {.directory = p.log_dir, .origin = origin, .sk = &log_sk};
    static uint8_t big[CLO_AUDIT_ENTRY_MAX + 1];
    uint64_t index = 77;
    assert_ok(clo_audit_log_open(&log, &o));
    assert_code(clo_audit_log_append(log, clo_span_of(big, sizeof big), &index), CLO_E_TOO_LARGE);
    assert_int_equal(index, 77);
    assert_ok(clo_audit_log_append(log, clo_span_of(big, sizeof big - 1), &index));
    assert_ok(clo_audit_log_append(log, clo_span_of(NULL, 0), &index));
    CLO_AUTO(clo_buf_free) clo_buf bundle, proof;
    clo_buf_init(&bundle, 200000);
    clo_buf_init(&proof, 100000);
    assert_ok(clo_audit_log_bundle(log, 0, 2, &bundle));
    assert_int_equal(bundle.len, 2 + CLO_AUDIT_ENTRY_MAX + 2);
    assert_code(clo_audit_log_proof(log, 2, 0, &proof), CLO_E_NOT_FOUND);
    clo_audit_log *second = NULL;
    assert_code(clo_audit_log_open(&second, &o), CLO_E_CONFLICT); /* one writer */
    clo_audit_log_close(&log);
    close_place(&p);
}

/* A witness that hangs. */
static clo_err hang(void *context, clo_audit_log *log, clo_span note, uint64_t size, clo_buf *lines)
{
    (void)log;
    (void)note;
    (void)size;
    (void)lines;
    pthread_mutex_t *gate = context;
    (void)pthread_mutex_lock(gate);
    (void)pthread_mutex_unlock(gate);
    return CLO_FAIL(CLO_E_TIMEOUT);
}

typedef struct {
    clo_audit_log *log;
    uint32_t code;
} one_append;

static void *append_one(void *arg)
{
    one_append *a = arg;
    uint64_t index = 0;
    a->code = clo_audit_log_append(a->log, clo_span_of("y", 1), &index).code;
    return NULL;
}

/* Appends are acknowledged while a witness hangs; proofs wait for it and then say so. */
static void a_hanging_witness_delays_no_append(void **state)
{
    (void)state;
    enum { THREADS = 64 };
    place p;
    open_place(&p);
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    clo_audit_log *log = NULL;
    clo_audit_log_options o = {.directory = p.log_dir, .origin = origin, .sk = &log_sk, .witness = hang, .context = &gate, .retry_ms = 10};
    assert_ok(clo_audit_log_open(&log, &o));
    (void)pthread_mutex_lock(&gate);
    static pthread_t threads[THREADS];
    static one_append appends[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        appends[i] = (one_append){.log = log, .code = 1};
        assert_int_equal(pthread_create(&threads[i], NULL, append_one, &appends[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(appends[i].code, 0);
    }
    assert_int_equal(clo_audit_log_size(log), THREADS);
    CLO_AUTO(clo_buf_free) clo_buf proof;
    clo_buf_init(&proof, 100000);
    assert_code(clo_audit_log_proof(log, 0, 30, &proof), CLO_E_AGAIN);
    (void)pthread_mutex_unlock(&gate);
    clo_audit_log_close(&log);
    close_place(&p);
}

static void every_altered_byte_is_found(void **state)
{
    (void)state;
    place p;
    open_place(&p);
    make_plain_log(&p, 3);
    char journal[400], checkpoint[400];
    uint64_t size = 0, found = 0;
    assert_ok(clo_os_path_join(journal, sizeof journal, p.log_dir, "journal"));
    assert_ok(clo_os_path_join(checkpoint, sizeof checkpoint, p.log_dir, "checkpoint"));
    const char *const files[] = {journal, checkpoint};
    for (size_t f = 0; f < 2; f++) {
        int fd = -1;
        assert_ok(clo_os_file_open(&fd, files[f], CLO_OS_OPEN_READ_WRITE, 0600));
        assert_ok(clo_os_file_size_fd(fd, &size));
        for (uint64_t i = 0; i < size; i++) {
            uint8_t byte = 0, wrong = 0;
            clo_audit_log *log = NULL;
            clo_audit_log_options o = {.directory = p.log_dir, .origin = origin, .sk = &log_sk};
            assert_ok(clo_os_file_pread(fd, i, &byte, 1));
            wrong = byte ^ 1;
            assert_ok(clo_os_file_pwrite(fd, i, clo_span_of(&wrong, 1)));
            assert_true(clo_failed(clo_audit_log_check(p.log_dir, &policy.log, &found)));
            if (i % 5 == 0) assert_true(clo_failed(clo_audit_log_open(&log, &o)));
            assert_null(log);
            assert_ok(clo_os_file_pwrite(fd, i, clo_span_of(&byte, 1)));
        }
        clo_os_fd_close(&fd);
    }
    assert_ok(clo_audit_log_check(p.log_dir, &policy.log, &found));
    assert_int_equal(found, 3);
    assert_code(clo_audit_log_check("/nonexistent", &policy.log, &found), CLO_E_NOT_FOUND);
    close_place(&p);
}

/* A disk that is full refuses what comes, forgets nothing that was acknowledged, and is written again once there is room. */
static void a_full_disk_is_survived(void **state)
{
    (void)state;
    place p;
    open_place(&p);
    make_plain_log(&p, 3);
    char journal[400], text[32];
    uint64_t size = 0, index = 0;
    struct rlimit before, small;
    clo_audit_log *log = NULL;
    clo_audit_log_options o = {.directory = p.log_dir, .origin = origin, .sk = &log_sk};
    assert_ok(clo_os_path_join(journal, sizeof journal, p.log_dir, "journal"));
    assert_ok(clo_audit_log_open(&log, &o));
    for (int i = 3; i < 20; i++) assert_ok(clo_audit_log_append(log, entry(i, text), &index));
    assert_ok(clo_os_file_size(journal, &size));
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = size + 10; /* room for a part of the next record */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    clo_err first = clo_audit_log_append(log, entry(20, text), &index), second = clo_audit_log_append(log, entry(20, text), &index);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(first.code, CLO_E_IO);
    assert_int_equal(second.code, CLO_E_IO);
    assert_ok(clo_audit_log_append(log, entry(20, text), &index));
    assert_int_equal(index, 20);
    clo_audit_log_close(&log);
    assert_ok(clo_audit_log_check(p.log_dir, &policy.log, &size));
    assert_int_equal(size, 21);
    close_place(&p);
}

/* The record on disk must stay readable for ever: be32 length, data, leaf hash. */
static void the_journal_is_laid_out_as_documented(void **state)
{
    (void)state;
    place p;
    open_place(&p);
    make_plain_log(&p, 1);
    char journal[400];
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 1000);
    assert_ok(clo_os_path_join(journal, sizeof journal, p.log_dir, "journal"));
    assert_ok(clo_os_file_read(journal, 1000, &bytes));
    assert_int_equal(bytes.len, 4 + 7 + 32);
    assert_memory_equal(bytes.p, "\0\0\0\7entry 0", 11);
    clo_wire_hash leaf;
    assert_ok(clo_wire_merkle_leaf(clo_span_str("entry 0"), &leaf));
    assert_memory_equal(bytes.p + 11, leaf.b, 32);
    close_place(&p);
}

static unsigned status_of(place *p, uint64_t old_size, const clo_wire_hash *path, size_t count, clo_span note, clo_buf *lines)
{
    CLO_AUTO(clo_buf_free) clo_buf body;
    clo_buf_init(&body, 200000);
    unsigned status = 0;
    clo_buf_clear(lines);
    assert_ok(clo_audit_witness_request(old_size, path, count, note, &body));
    assert_ok(clo_audit_witness_add_checkpoint(p->witness, clo_buf_span(&body), &status, lines));
    return status;
}

static void sign_checkpoint(const char *name, const clo_crypto_private_key *sk, uint64_t size, const clo_wire_hash *root, clo_buf *note)
{
    clo_wire_checkpoint c = {.size = size, .root = *root};
    CLO_AUTO(clo_buf_free) clo_buf body;
    clo_buf_init(&body, CLO_NOTE_MAX);
    (void)snprintf(c.origin, sizeof c.origin, "%s", name);
    clo_buf_clear(note);
    assert_ok(clo_wire_checkpoint_write(&c, &body));
    assert_ok(clo_wire_note_sign(clo_buf_span(&body), name, sk, note));
}

/* A key id of four bytes can be ground: another key with the same id and name is another log, and takes nothing from the first. */
static void a_ground_key_id_is_another_log(void **state)
{
    (void)state;
    place p;
    open_place(&p);
    clo_crypto_private_key other_sk;
    clo_crypto_public_key other;
    clo_wire_hash root;
    clo_wire_note_key ground = policy.log;
    CLO_AUTO(clo_buf_free) clo_buf lines, note;
    clo_buf_init(&lines, 10000);
    clo_buf_init(&note, CLO_NOTE_MAX);
    assert_ok(clo_crypto_sign_generate(CLO_SIGN_ED25519, &other_sk, &other));
    ground.key = other;
    clo_audit_witness_close(&p.witness);
    assert_ok(clo_audit_witness_open(&p.witness, p.witness_dir, "witness.example", &witness_sk, clo_os_clock_system()));
    assert_ok(clo_audit_witness_add_log(p.witness, &ground)); /* the thief comes first */
    assert_ok(clo_audit_witness_add_log(p.witness, &policy.log));
    memset(&root, 9, sizeof root);
    sign_checkpoint(origin, &log_sk, 7, &root, &note);
    assert_int_equal(status_of(&p, 0, NULL, 0, clo_buf_span(&note), &lines), 200);
    clo_audit_witness_close(&p.witness);
    assert_ok(clo_audit_witness_open(&p.witness, p.witness_dir, "witness.example", &witness_sk, clo_os_clock_system()));
    assert_ok(clo_audit_witness_add_log(p.witness, &policy.log));
    assert_int_equal(status_of(&p, 0, NULL, 0, clo_buf_span(&note), &lines), 409); /* what it saw of the one is not forgotten */
    close_place(&p);
}

static void witness_statuses(void **state)
{
    (void)state;
    place p;
    open_place(&p);
    clo_audit_log *log = NULL;
    clo_audit_log_options o = {.directory = p.log_dir, .origin = origin, .sk = &log_sk};
    clo_wire_hash path[CLO_MERKLE_PATH_MAX], root;
    size_t count = 0;
    uint64_t index = 0;
    char text[32];
    clo_buf notes[6];
    CLO_AUTO(clo_buf_free) clo_buf lines, forged;
    for (size_t i = 0; i < 6; i++) clo_buf_init(&notes[i], CLO_NOTE_MAX);
    clo_buf_init(&lines, 10000);
    clo_buf_init(&forged, CLO_NOTE_MAX);
    assert_ok(clo_audit_log_open(&log, &o));
    for (int i = 0; i < 5; i++) {
        assert_ok(clo_audit_log_append(log, entry(i, text), &index));
        assert_ok(clo_audit_log_checkpoint(log, &notes[i + 1]));
    }
    /* The first one is taken as it is, without a path. */
    assert_ok(clo_audit_log_consistency(log, 2, 4, path, &count));
    assert_int_equal(status_of(&p, 0, path, count, clo_buf_span(&notes[2]), &lines), 422);
    assert_int_equal(status_of(&p, 0, NULL, 0, clo_buf_span(&notes[2]), &lines), 200);
    assert_true(lines.len > 0);
    /* It answers with the size that it has. */
    assert_int_equal(status_of(&p, 0, NULL, 0, clo_buf_span(&notes[4]), &lines), 409);
    assert_int_equal(lines.len, 2);
    assert_memory_equal(lines.p, "2\n", 2);
    assert_int_equal(status_of(&p, 2, path, count, clo_buf_span(&notes[4]), &lines), 200);
    /* Over a restart too. */
    clo_audit_witness_close(&p.witness);
    assert_ok(clo_audit_witness_open(&p.witness, p.witness_dir, "witness.example", &witness_sk, clo_os_clock_system()));
    assert_ok(clo_audit_witness_add_log(p.witness, &policy.log));
    assert_int_equal(status_of(&p, 2, path, count, clo_buf_span(&notes[4]), &lines), 409);
    assert_memory_equal(lines.p, "4\n", 2);
    assert_int_equal(status_of(&p, 4, NULL, 0, clo_buf_span(&notes[4]), &lines), 200);  /* the same size again */
    assert_int_equal(status_of(&p, 4, NULL, 0, clo_buf_span(&notes[2]), &lines), 422);  /* backwards */
    assert_int_equal(status_of(&p, 4, path, count, clo_buf_span(&notes[5]), &lines), 422); /* a path of other sizes */
    memset(&root, 7, sizeof root);
    sign_checkpoint(origin, &log_sk, 4, &root, &forged);
    assert_int_equal(status_of(&p, 4, NULL, 0, clo_buf_span(&forged), &lines), 422); /* another tree of that size */
    sign_checkpoint("stranger.example/log", &log_sk, 4, &root, &forged);
    assert_int_equal(status_of(&p, 4, NULL, 0, clo_buf_span(&forged), &lines), 404);
    sign_checkpoint(origin, &witness_sk, 4, &root, &forged);
    assert_int_equal(status_of(&p, 4, NULL, 0, clo_buf_span(&forged), &lines), 403);
    static const char *const junk[] = {"", "old", "old 1", "old x\n\n", "old 1\n", "old 1\n\n", "old 01\n\nx\n", "old 1\n!!!!\n\nx\n", "old 1\nAAAA\n\nx\n",
                                       "old 99999999999999999999\n\nx\n", "old 4\n\nno note at all\n"};
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        unsigned status = 0;
        assert_ok(clo_audit_witness_add_checkpoint(p.witness, clo_span_str(junk[i]), &status, &lines));
        assert_int_equal(status, 400);
    }
    clo_audit_log_close(&log);
    for (size_t i = 0; i < 6; i++) clo_buf_free(&notes[i]);
    close_place(&p);
}

static void tile_paths(void **state)
{
    (void)state;
    static const struct { const char *path; bool entries; unsigned level; uint64_t index; unsigned width; } good[] = {
        {"tile/0/000", false, 0, 0, 256}, {"tile/1/x001/234.p/5", false, 1, 1234, 5}, {"tile/entries/067", true, 0, 67, 256},
        {"tile/entries/x001/x234/067.p/255", true, 0, 1234067, 255}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        bool entries = false;
        unsigned level = 0, width = 0;
        uint64_t index = 0;
        assert_ok(clo_audit_tile_path(good[i].path, &entries, &level, &index, &width));
        assert_true(entries == good[i].entries && level == good[i].level && index == good[i].index && width == good[i].width);
    }
    static const char *const bad[] = {"", "tile", "tile/0", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/9/000", "tile/0/x000/001", "tile/0/000.p/0",
                                      "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/001/002", "tile/entries/x001", "tile/0/-01", "../tile/0/000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bool entries = false;
        unsigned level = 0, width = 0;
        uint64_t index = 0;
        assert_code(clo_audit_tile_path(bad[i], &entries, &level, &index, &width), CLO_E_NOT_FOUND);
    }
}

/* A witness that can be cut off. */
typedef struct {
    place *p;
    bool cut;
    unsigned asked;
} line;
static clo_err ask_over_line(void *context, clo_audit_log *log, clo_span note, uint64_t size, clo_buf *lines)
{
    line *l = context;
    l->asked++;
    return l->cut ? CLO_FAIL(CLO_E_UNREACHABLE) : ask_witness(l->p, log, note, size, lines);
}

static uint64_t witnessed_at(clo_audit_log *log, clo_span data)
{
    CLO_AUTO(clo_buf_free) clo_buf proof;
    clo_buf_init(&proof, 100000);
    uint64_t index = 0, at = 0;
    assert_ok(clo_audit_log_proof(log, 0, 5000, &proof));
    assert_ok(clo_wire_tlog_proof_verify(clo_buf_span(&proof), data, &policy, NULL, &index, &at));
    return at;
}

/* A log at rest gets new cosignatures on demand and not without need; cut off from its witness it says so in time. */
static void T07_a_log_at_rest_is_witnessed_again(void **state)
{
    (void)state;
    place p;
    open_place(&p);
    line l = {.p = &p};
    clo_audit_log_options o = {.directory = p.log_dir, .origin = origin, .sk = &log_sk, .witness = ask_over_line, .context = &l, .retry_ms = 20};
    clo_audit_log *log = NULL;
    assert_ok(clo_audit_log_open(&log, &o));
    uint64_t index = 0;
    char text[32];
    clo_span data = entry(1, text);
    assert_ok(clo_audit_log_append(log, data, &index));
    uint64_t first = witnessed_at(log, data);
    assert_ok(clo_audit_log_refresh(log, 60000, 5000));
    unsigned asked = l.asked;
    assert_ok(clo_audit_log_refresh(log, 60000, 5000));
    assert_int_equal(l.asked, asked);
    clo_os_sleep_ms(1100); /* cosignatures count seconds */
    assert_ok(clo_audit_log_refresh(log, 500, 5000));
    assert_true(l.asked > asked);
    assert_true(witnessed_at(log, data) > first);
    l.cut = true;
    assert_code(clo_audit_log_refresh(log, 0, 200), CLO_E_AGAIN);
    l.cut = false;
    assert_ok(clo_audit_log_refresh(log, 0, 5000));
    clo_audit_log_close(&log);
    close_place(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(proofs_verify_over_restarts), cmocka_unit_test(torn_tail_is_dropped_but_truncation_is_refused),
                                       cmocka_unit_test(witness_refuses_a_second_history), cmocka_unit_test(many_threads_append),
                                       cmocka_unit_test(consistency_over_all_sizes), cmocka_unit_test(entries_have_a_largest_size),
                                       cmocka_unit_test(a_hanging_witness_delays_no_append), cmocka_unit_test(every_altered_byte_is_found),
                                       cmocka_unit_test(the_journal_is_laid_out_as_documented), cmocka_unit_test(witness_statuses),
        cmocka_unit_test(a_ground_key_id_is_another_log), cmocka_unit_test(T07_a_log_at_rest_is_witnessed_again), cmocka_unit_test(a_full_disk_is_survived),
                                       cmocka_unit_test(tile_paths)};
    return cmocka_run_group_tests(tests, keys, NULL);
}
