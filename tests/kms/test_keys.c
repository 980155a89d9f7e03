/* Home, data keys, key encryption keys, agreements and orders, denials. */
#include "kms_fixture.h"

#include "collab/key_import.h"
#include "os/file.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static world w;
static runtime r;
static message m;
static clo_collab_release_reply reply;

static clo_err try_message(message *x)
{
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_release(w.kms, message_finish(&w, x), &x->channel, &out);
    clo_buf_free(&out);
    return e;
}

static void test_home(void **state)
{
    (void)state;
    struct stat st;
    char path[400];
    clo_kms *second = NULL;
    world_begin(&w, NULL);
    assert_code(clo_kms_init(w.home, &w.a.public_half), CLO_E_EXISTS);
    assert_code(clo_kms_open(&second, w.home, &w.clock), CLO_E_CONFLICT);
    assert_null(second);
    assert_code(clo_kms_open(&second, "/nonexistent", &w.clock), CLO_E_NOT_FOUND);
    static const char *const secret[] = {"identity.kms", "owner.pin", "kms.db", "denials.db"};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", w.home, secret[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    uint8_t hpke[32];
    memcpy(hpke, clo_kms_hpke(w.kms), 32);
    world_restart(&w);
    assert_memory_equal(hpke, clo_kms_hpke(w.kms), 32);
    assert_string_equal(clo_kms_owner(w.kms)->name, "hospital-a");
    world_end(&w);
    /* Each cut of the identity is refused. */
    clo_buf b;
    clo_buf_init(&b, 65536);
    (void)snprintf(path, sizeof path, "%s/identity.kms", w.home);
    assert_ok(clo_os_file_read(path, 65536, &b));
    static kms_secrets s;
    for (size_t n = 0; n < b.len; n++) {
        assert_ok(clo_os_file_write_atomic(path, clo_span_of(b.p, n), 0600));
        assert_true(clo_failed(kms_secrets_read(path, &s)));
    }
    assert_ok(clo_os_file_write_atomic(path, clo_buf_span(&b), 0644));
    assert_true(clo_failed(kms_secrets_read(path, &s)));
    clo_buf_free(&b);
    /* A ledger that has lost its identity is never taken for a home that was half made. */
    assert_ok(clo_os_file_remove(path));
    assert_code(clo_kms_init(w.home, &w.a.public_half), CLO_E_CONFLICT);
    (void)snprintf(path, sizeof path, "%s/kms.db", w.home);
    assert_true(clo_os_file_exists(path));
}

static clo_err import(const clo_collab_manifest *mf, clo_span bytes, const clo_key32 *dek, const uint8_t hpke[32])
{
    clo_buf b;
    clo_buf_init(&b, 64 << 10);
    clo_kms_key k;
    assert_ok(clo_collab_key_import_make(bytes, mf, mf->version, dek, hpke, &b));
    clo_err e = clo_kms_key_import(w.kms, clo_buf_span(&b), &k);
    clo_buf_free(&b);
    return e;
}

static void test_import(void **state)
{
    (void)state;
    clo_key32 dek, wrong = {{7}};
    clo_collab_manifest mf;
    clo_span bytes;
    world_begin(&w, NULL);
    assert_ok(import(&w.manifest_a, w.manifest_a_bytes, &w.dek, clo_kms_hpke(w.kms)));
    world_dataset(&w, &w.a, "rows-a", &dek, &mf, &bytes);
    assert_claim(import(&mf, bytes, &wrong, clo_kms_hpke(w.kms)), CLO_E_AUTHENTICATION, "dataset.commitment");
    assert_code(import(&mf, bytes, &dek, w.b.public_half.hpke), CLO_E_AUTHENTICATION);
    world_dataset(&w, &w.b, "rows-b", &dek, &mf, &bytes);
    assert_true(clo_err_class(import(&mf, bytes, &dek, clo_kms_hpke(w.kms))) == CLO_CLASS_DENIED);
    clo_kms_key *keys = NULL;
    size_t count = 0;
    assert_ok(clo_kms_key_list(w.kms, &w.arena, &keys, &count));
    assert_int_equal(count, 1);
    assert_string_equal(keys[0].name, "rows-a");
    assert_int_equal(keys[0].state, CLO_KMS_KEY_ENABLED);
    world_end(&w);
}

/* Every pair of state and verb: enabled and disabled change freely, revoked and destroyed are final. */
static void test_states(void **state)
{
    (void)state;
    static const int wanted[CLO_KMS_KEY_STATES][CLO_KMS_KEY_VERBS] = {
        {0, 1, 2, 3}, {0, 1, 2, 3}, {-1, -1, 2, 3}, {-1, -1, -1, 3}};
    static const clo_kms_key_verb into[] = {CLO_KMS_KEY_ENABLE, CLO_KMS_KEY_DISABLE, CLO_KMS_KEY_REVOKE, CLO_KMS_KEY_DESTROY};
    char id[CLO_KMS_ID];
    clo_kms_key k;
    world_begin(&w, NULL);
    assert_code(clo_kms_key_change(w.kms, "no such key", CLO_KMS_KEY_DISABLE, &k), CLO_E_NOT_FOUND);
    for (size_t s = 0; s < CLO_KMS_KEY_STATES; s++)
        for (size_t v = 0; v < CLO_KMS_KEY_VERBS; v++) {
            clo_key32 dek;
            clo_collab_manifest mf;
            clo_span bytes;
            world_dataset(&w, &w.a, "rows-a", &dek, &mf, &bytes);
            world_import(&w, &mf, bytes, &dek);
            assert_ok(kms_key_id(mf.id, mf.version, id));
            assert_ok(clo_kms_key_change(w.kms, id, into[s], &k));
            clo_err e = clo_kms_key_change(w.kms, id, (clo_kms_key_verb)v, &k);
            if (wanted[s][v] < 0)
                assert_code(e, CLO_E_CONFLICT);
            else {
                assert_ok(e);
                assert_int_equal(k.state, wanted[s][v]);
            }
        }
    world_end(&w);
}

/* After a rotation the old KEK is gone from file and memory, and every key still opens; a rotation that was cut off is finished
 * by the next. */
static void test_rotation(void **state)
{
    (void)state;
    enum { KEYS = 600 };
    static clo_key32 deks[KEYS];
    static clo_collab_manifest manifests[KEYS];
    int64_t version = 0;
    clo_kms_kek *keks = NULL;
    size_t count = 0;
    world_begin(&w, NULL);
    for (size_t i = 0; i < KEYS; i += i < 8 ? 1 : 8) {
        clo_span bytes;
        world_dataset(&w, &w.a, "rows-a", &deks[i], &manifests[i], &bytes);
        world_import(&w, &manifests[i], bytes, &deks[i]);
    }
    for (int turn = 2; turn < 5; turn++) {
        assert_ok(clo_kms_kek_rotate(w.kms, &version));
        assert_int_equal(version, turn);
        assert_ok(clo_kms_kek_list(w.kms, &w.arena, &keks, &count));
        assert_int_equal(count, turn);
        for (size_t i = 0; i + 1 < count; i++) assert_int_equal(keks[i].state, CLO_KMS_KEY_DESTROYED);
        assert_int_equal(keks[count - 1].state, CLO_KMS_KEY_ENABLED);
        world_restart(&w);
        clo_key32 dek;
        for (size_t i = 0; i < KEYS; i += i < 8 ? 1 : 8) {
            assert_ok(kms_dek_open(w.kms, manifests[i].id, manifests[i].version, &dek));
            assert_memory_equal(dek.b, deks[i].b, 32);
        }
    }
    /* A wrapped key that is moved to another version's row does not open. */
    assert_ok(kms_db_run(&w.kms->writer,
                         "UPDATE deks SET wrapped = (SELECT wrapped FROM deks WHERE version = ?2) WHERE version = ?1", "bb",
                         (const void *)manifests[0].version, (size_t)32, (const void *)manifests[1].version, (size_t)32));
    clo_key32 dek;
    assert_code(kms_dek_open(w.kms, manifests[0].id, manifests[0].version, &dek), CLO_E_AUTHENTICATION);
    world_end(&w);
}

/* A full ring whose saving fails is what it was: not even the number of the oldest, destroyed key is forgotten. */
static void test_failed_rotation(void **state)
{
    (void)state;
    char path[400], aside[400];
    int64_t version = 0;
    clo_kms_kek *keks = NULL;
    size_t count = 0;
    world_begin(&w, NULL);
    for (int turn = 2; turn <= KMS_KEKS_MAX; turn++) assert_ok(clo_kms_kek_rotate(w.kms, &version));
    (void)snprintf(path, sizeof path, "%s/identity.kms", w.home);
    (void)snprintf(aside, sizeof aside, "%s/aside", w.home);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    static kms_secrets before;
    before = *w.kms->secrets;
    assert_true(clo_failed(clo_kms_kek_rotate(w.kms, &version)));
    assert_ok(clo_kms_kek_list(w.kms, &w.arena, &keks, &count));
    assert_int_equal(count, KMS_KEKS_MAX);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(keks[i].version, i + 1);
        assert_int_equal(keks[i].state, before.keks[i].state);
        assert_memory_equal(w.kms->secrets->keks[i].key.b, before.keks[i].key.b, 32);
    }
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rename(aside, path), 0);
    assert_ok(clo_kms_kek_rotate(w.kms, &version));
    assert_int_equal(version, KMS_KEKS_MAX + 1);
    assert_ok(clo_kms_kek_list(w.kms, &w.arena, &keks, &count));
    assert_int_equal(count, KMS_KEKS_MAX);
    assert_int_equal(keks[0].version, 2);
    world_restart(&w);
    world_end(&w);
}

static void database_script(const char *sql)
{
    char path[400];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof path, "%s/kms.db", w.home);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* A database of the time before layouts had numbers, with and without its youngest table, is brought forward with all that it holds; one of a
 * newer key service, or of an unknown layout, is refused and left as it is. */
static void test_layouts(void **state)
{
    (void)state;
#define UNNUMBERED "PRAGMA user_version=0; INSERT INTO meta(key, number) VALUES('schema', 1);"
    static const char *const older[] = {UNNUMBERED "DROP TABLE dataset_rows;", UNNUMBERED, "PRAGMA user_version=2"};
    static const char *const foreign[] = {"PRAGMA user_version=4", "PRAGMA user_version=1", "PRAGMA user_version=0"};
    clo_key32 dek;
    clo_collab_manifest mf;
    clo_span bytes;
    for (size_t i = 0; i < sizeof older / sizeof older[0]; i++) {
        world_begin(&w, NULL);
        runtime_make(&r);
        release_ok(&w, &r, &m, &reply);
        clo_kms_free(&w.kms);
        database_script("ALTER TABLE balances DROP COLUMN unit");
        database_script(older[i]);
        for (int turn = 0; turn < 2; turn++) {
            assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
            assert_ok(import(&w.manifest_a, w.manifest_a_bytes, &w.dek, clo_kms_hpke(w.kms))); /* notes the rows of what was here */
            world_dataset(&w, &w.a, "rows-a", &dek, &mf, &bytes);
            world_import(&w, &mf, bytes, &dek);
            message_begin(&w, &m, &r);
            assert_ok(try_message(&m));
            clo_kms_free(&w.kms);
        }
        database_script("CREATE TEMP TABLE t(x CHECK (x)); INSERT INTO t SELECT user_version = 3 FROM pragma_user_version;"
                        "INSERT INTO t SELECT count(*) = 0 FROM meta WHERE key = 'schema'; INSERT INTO t SELECT count(*) = 3 FROM dataset_rows");
        for (size_t k = 0; k < sizeof foreign / sizeof foreign[0]; k++) {
            database_script(foreign[k]);
            assert_code(clo_kms_open(&w.kms, w.home, &w.clock), CLO_E_VERSION);
            assert_null(w.kms);
            assert_non_null(strstr(clo_err_text(), k == 0 ? "made by a newer key service" : "layout that this program does not know"));
        }
        database_script("PRAGMA user_version=3");
        assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
        world_end(&w);
    }
}

static clo_err order(const clo_collab_identity *who, const char *verb, int64_t sequence, int64_t time, clo_kms_agreement *out)
{
    clo_collab_order o = {.time = time, .sequence = sequence};
    memcpy(o.agreement, w.g->id, 32);
    (void)snprintf(o.verb, sizeof o.verb, "%s", verb);
    (void)snprintf(o.party, sizeof o.party, "%s", who->public_half.name);
    clo_buf b;
    clo_buf_init(&b, 16384);
    assert_ok(clo_collab_order_make(who, &o, &b));
    clo_err e = clo_kms_order(w.kms, clo_buf_span(&b), out);
    clo_buf_free(&b);
    return e;
}

/* Two registered epochs of one lineage; w.g is the second. */
static clo_collab_agreement *begin_amended(void)
{
    clo_kms_agreement g;
    world_begin(&w, NULL);
    runtime_make(&r);
    clo_collab_agreement *old = w.g;
    assert_ok(clo_kms_agreement_submit(w.kms, w.file, &g));
    w.g = world_agreement(&w, &(terms){.epoch = 2, .prev = old->id, .lineage = old->id, .title = "Amended"}, &w.file, &w.proof);
    assert_ok(clo_kms_agreement_submit(w.kms, w.file, &g));
    message_begin(&w, &m, &r);
    assert_ok(try_message(&m));
    return old;
}

static clo_err order_on(clo_collab_agreement *on, const clo_collab_identity *who, const char *verb, int64_t sequence, int64_t time, clo_kms_agreement *out)
{
    clo_collab_agreement *kept = w.g;
    w.g = on;
    clo_err e = order(who, verb, sequence, time, out);
    w.g = kept;
    return e;
}

/* Whoever stops or ends an agreement by an older epoch's id stops what runs under its newest. */
static void test_stop_of_an_older_epoch(void **state)
{
    (void)state;
    clo_kms_agreement g;
    clo_collab_agreement *old = begin_amended();
    int64_t t = w.time.wall_seconds;
    assert_ok(order_on(old, &w.b, "stop", 1, t, &g));
    assert_int_equal(g.state, CLO_AGREEMENT_SUSPENDED);
    assert_true(g.superseded);
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_DENIED, "agreement.state");
    world_restart(&w);
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_DENIED, "agreement.state");
    /* The newest is resumed as after a stop of its own. */
    assert_ok(order(&w.a, "resume", 1, t - 1, &g));
    assert_true(g.late);
    assert_ok(order(&w.a, "resume", 2, t + 1, &g));
    assert_ok(order(&w.b, "resume", 1, t + 1, &g));
    assert_int_equal(g.resumes_missing, 4);
    assert_ok(order(&w.analyst, "resume", 1, t + 1, &g));
    assert_int_equal(g.state, CLO_AGREEMENT_ACTIVE);
    message_begin(&w, &m, &r);
    assert_ok(try_message(&m));
    /* A party that the amendment does not have any more stops nothing, and hears so. */
    database_script("UPDATE members SET name = 'another' WHERE name = 'analyst' AND agreement <> (SELECT lineage FROM agreements LIMIT 1)");
    assert_claim(order_on(old, &w.analyst, "stop", 9, t, &g), CLO_E_DENIED, "agreement.epoch");
    database_script("UPDATE members SET name = 'analyst' WHERE name = 'another'");
    assert_ok(order_on(old, &w.analyst, "terminate", 9, t, &g));
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_DENIED, "agreement.state");
    assert_code(order(&w.a, "resume", 12, t, &g), CLO_E_CONFLICT);
    world_restart(&w);
    world_end(&w);
}

/* A home whose older key service applied such a stop to the old epoch alone. */
static void test_stop_is_brought_forward(void **state)
{
    (void)state;
    clo_kms_agreement g;
    clo_collab_agreement *old = begin_amended();
    assert_ok(order_on(old, &w.b, "stop", 1, w.time.wall_seconds, &g));
    clo_kms_free(&w.kms);
    database_script("UPDATE agreements SET state = 2, stopped = 0 WHERE epoch = 2");
    assert_code(clo_kms_open(&w.kms, w.home, &w.clock), CLO_E_DATABASE); /* of this layout it is a forgery */
    database_script("ALTER TABLE balances DROP COLUMN unit; PRAGMA user_version=2");
    clo_kms_ledger_report report;
    char path[400];
    (void)snprintf(path, sizeof path, "%s/kms.db", w.home);
    assert_ok(clo_kms_ledger_check(path, &report));
    assert_true(report.valid);
    for (int turn = 0; turn < 2; turn++) {
        assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
        message_begin(&w, &m, &r);
        assert_claim(try_message(&m), CLO_E_DENIED, "agreement.state");
        clo_kms_free(&w.kms);
    }
    assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
    world_end(&w);
}

static int64_t entries(void)
{
    clo_kms_ledger_report report;
    char path[400];
    (void)snprintf(path, sizeof path, "%s/kms.db", w.home);
    assert_ok(clo_kms_ledger_check(path, &report));
    if (!report.valid) fail_msg("%s", report.detail);
    return (int64_t)report.entry_count;
}

/* A stop of what is stopped costs no room, but counts: by its sequence, its time, and over any resume that came before it. */
static void test_repeated_stops(void **state)
{
    (void)state;
    clo_kms_agreement g;
    world_begin(&w, NULL);
    int64_t t = w.time.wall_seconds;
    assert_ok(clo_kms_agreement_submit(w.kms, w.file, &g));
    int64_t before = entries();
    for (int i = 1; i <= 50; i++) assert_ok(order(&w.b, "stop", i, t, &g));
    assert_int_equal(entries(), before + 1);
    assert_claim(order(&w.b, "resume", 50, t + 1, &g), CLO_E_REPLAYED, "order.sequence"); /* one that was kept back */
    w.time.wall_seconds += 30;
    w.time.monotonic_ns += 30ull * 1000000000ull;
    assert_ok(order(&w.b, "stop", 51, t, &g));
    assert_int_equal(entries(), before + 1);
    assert_int_equal(g.resume_from, t + 28);
    assert_ok(order(&w.a, "resume", 1, t + 27, &g));
    assert_true(g.late);
    assert_ok(order(&w.a, "resume", 2, t + 28, &g));
    assert_int_equal(g.resumes_missing, 6);
    assert_ok(order(&w.b, "stop", 52, t, &g)); /* it undoes a resume, so it is kept */
    assert_int_equal(entries(), before + 4);
    assert_int_equal(g.resumes_missing, 7);
    assert_ok(order(&w.analyst, "stop", 1, t, &g)); /* another party's own */
    assert_int_equal(entries(), before + 5);
    world_restart(&w);
    /* Orders in turn have an end, too; a stop never is refused for it. */
    clo_err e = CLO_OK;
    int64_t sequence = 3;
    for (; !clo_failed(e) && sequence < 2100; sequence++) e = order(&w.a, sequence % 2 == 0 ? "stop" : "resume", sequence, t + 28, &g);
    assert_code(e, CLO_E_TOO_MANY);
    assert_ok(order(&w.a, "stop", 3000, t, &g));
    assert_ok(order(&w.a, "terminate", 3001, t, &g));
    assert_true(entries() < before + 1100);
    world_end(&w);
}

/* Any one stops, all resume; an old resume kept back by somebody does not count; a replayed order is refused; terminated is for
 * ever. */
static void test_orders(void **state)
{
    (void)state;
    clo_kms_agreement g;
    world_begin(&w, NULL);
    runtime_make(&r);
    int64_t t = w.time.wall_seconds;
    assert_code(order(&w.b, "stop", 1, t, &g), CLO_E_NOT_FOUND);
    assert_ok(clo_kms_agreement_submit(w.kms, w.file, &g));
    assert_int_equal(g.state, CLO_AGREEMENT_ACTIVE);
    assert_code(order(&w.a, "resume", 1, t, &g), CLO_E_CONFLICT);
    assert_ok(order(&w.analyst, "stop", 1, t, &g));
    assert_int_equal(g.state, CLO_AGREEMENT_SUSPENDED);
    assert_int_equal(g.resumes_missing, 7);
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_DENIED, "agreement.state");
    assert_claim(order(&w.analyst, "stop", 1, t, &g), CLO_E_REPLAYED, "order.sequence");
    assert_ok(order(&w.a, "resume", 2, t + 1, &g));
    assert_int_equal(g.resumes_missing, 6);
    assert_ok(order(&w.b, "stop", 2, t + 10, &g));
    assert_int_equal(g.resumes_missing, 7);
    assert_ok(order(&w.b, "resume", 3, t + 11, &g));
    assert_false(g.late);
    assert_ok(order(&w.analyst, "resume", 4, t + 5, &g)); /* signed before the second stop */
    assert_int_equal(g.state, CLO_AGREEMENT_SUSPENDED);
    assert_true(g.late);
    assert_int_equal(g.resume_from, t + 10);
    assert_ok(order(&w.analyst, "resume", 5, t + 12, &g));
    assert_false(g.late);
    assert_int_equal(g.resumes_missing, 1);
    world_restart(&w);
    assert_ok(order(&w.a, "resume", 9, t + 12, &g));
    assert_int_equal(g.state, CLO_AGREEMENT_ACTIVE);
    message_begin(&w, &m, &r);
    assert_ok(try_message(&m));
    assert_ok(order(&w.b, "terminate", 10, t, &g));
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_DENIED, "agreement.state");
    assert_code(order(&w.b, "resume", 11, t, &g), CLO_E_CONFLICT);
    clo_collab_identity stranger;
    assert_ok(clo_collab_identity_make("hospital-b", &stranger));
    assert_true(clo_failed(order(&stranger, "stop", 20, t, &g)));
    world_end(&w);
}

/* A stop that claims an older time does not let resumes from before it count, whether they came before it or were kept back. */
static void test_backdated_stop(void **state)
{
    (void)state;
    clo_kms_agreement g;
    world_begin(&w, NULL);
    int64_t t = w.time.wall_seconds;
    assert_ok(clo_kms_agreement_submit(w.kms, w.file, &g));
    assert_ok(order(&w.analyst, "stop", 1, t, &g));
    assert_ok(order(&w.a, "resume", 1, t + 20, &g));
    assert_ok(order(&w.b, "resume", 1, t + 20, &g));
    assert_int_equal(g.resumes_missing, 4);
    w.time.wall_seconds += 30;
    w.time.monotonic_ns += 30ull * 1000000000ull;
    assert_ok(order(&w.analyst, "stop", 2, t - 1000, &g));
    assert_int_equal(g.resumes_missing, 7);
    assert_ok(order(&w.a, "resume", 2, t + 25, &g)); /* signed before, brought after */
    assert_int_equal(g.resumes_missing, 7);
    assert_true(g.late);
    assert_int_equal(g.resume_from, t + 28);
    assert_ok(order(&w.analyst, "resume", 3, t + 31, &g));
    assert_ok(order(&w.b, "resume", 3, t + 31, &g));
    assert_int_equal(g.state, CLO_AGREEMENT_SUSPENDED);
    assert_ok(order(&w.a, "resume", 3, t + 31, &g));
    assert_int_equal(g.state, CLO_AGREEMENT_ACTIVE);
    world_end(&w);
}

/* The newest epoch that is known counts; expired agreements do not. */
static void test_epochs(void **state)
{
    (void)state;
    clo_kms_agreement g;
    world_begin(&w, NULL);
    runtime_make(&r);
    clo_span old_file = w.file, old_proof = w.proof;
    clo_collab_agreement *old = w.g;
    release_ok(&w, &r, &m, &reply);
    terms next = {.epoch = 2, .prev = old->id, .lineage = old->id, .title = "Two hospitals, amended"};
    w.g = world_agreement(&w, &next, &w.file, &w.proof);
    assert_ok(clo_kms_agreement_submit(w.kms, w.file, &g));
    assert_int_equal(g.epoch, 2);
    message_begin(&w, &m, &r);
    assert_ok(try_message(&m));
    clo_collab_agreement *amended = w.g;
    w.g = old;
    w.file = old_file;
    w.proof = old_proof;
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_DENIED, "agreement.epoch");
    assert_ok(clo_kms_agreement_submit(w.kms, old_file, &g)); /* known already: it stays what it is */
    assert_true(g.superseded);
    /* Two amendments of one epoch: the first to come stays. */
    next.title = "Two hospitals, amended otherwise";
    w.g = world_agreement(&w, &next, &w.file, &w.proof);
    assert_claim(clo_kms_agreement_submit(w.kms, w.file, &g), CLO_E_DENIED, "agreement.epoch");
    /* An amendment of this predecessor that claims another lineage. */
    uint8_t lineage[32] = {5};
    next = (terms){.epoch = 3, .prev = amended->id, .lineage = lineage, .title = "Astray"};
    w.g = world_agreement(&w, &next, &w.file, &w.proof);
    assert_claim(clo_kms_agreement_submit(w.kms, w.file, &g), CLO_E_CONFLICT, "agreement.prev");
    clo_kms_agreement *list = NULL;
    size_t count = 0;
    assert_ok(clo_kms_agreement_list(w.kms, &w.arena, NULL, &list, &count));
    assert_int_equal(count, 2);
    uint8_t kid[32];
    assert_ok(clo_collab_party_kid(&w.analyst.public_half, kid));
    assert_ok(clo_kms_agreement_list(w.kms, &w.arena, kid, &list, &count));
    assert_int_equal(count, 2);
    kid[0] ^= 1;
    assert_ok(clo_kms_agreement_list(w.kms, &w.arena, kid, &list, &count));
    assert_int_equal(count, 0);
    clo_kms_budget *budgets = NULL;
    assert_ok(clo_kms_budget_list(w.kms, &w.arena, kid, &budgets, &count));
    assert_int_equal(count, 0);
    clo_collab_party party;
    assert_code(clo_kms_party_find(w.kms, kid, &party), CLO_E_UNAUTHENTICATED);
    kid[0] ^= 1;
    assert_ok(clo_kms_party_find(w.kms, kid, &party));
    assert_string_equal(party.name, "analyst");
    world_end(&w);

    world_begin(&w, &(terms){.not_after = w.time.wall_seconds + 50});
    release_ok(&w, &r, &m, &reply);
    w.time.wall_seconds += 50;
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_EXPIRED, "agreement.not_after");
    world_end(&w);
}

/* A denial can be told later, word for word; the store is bounded. */
static void test_explain(void **state)
{
    (void)state;
    char id[CLO_KMS_ID], plain[CLO_KMS_ID];
    clo_kms_denial d;
    world_begin(&w, NULL);
    clo_err e = CLO_DENY(CLO_E_BUDGET, "budget.rho", "at most 1", "2", "agreement", "ask for less");
    clo_kms_denial_note(w.kms, "release", e, id);
    assert_string_equal(clo_err_denial()->claim, "budget.rho");
    e = CLO_FAILF(CLO_E_MALFORMED, "byte 3 is wrong");
    clo_kms_denial_note(w.kms, "commit", e, plain);
    world_restart(&w);
    assert_ok(clo_kms_explain(w.kms, id, &d));
    assert_string_equal(d.code, "budget");
    assert_true(d.have_denial);
    assert_string_equal(d.denial.claim, "budget.rho");
    assert_string_equal(d.denial.expected, "at most 1");
    assert_string_equal(d.denial.actual, "2");
    assert_string_equal(d.denial.source, "agreement");
    assert_string_equal(d.denial.remedy, "ask for less");
    assert_ok(clo_kms_explain(w.kms, plain, &d));
    assert_false(d.have_denial);
    assert_string_equal(d.text, "byte 3 is wrong");
    assert_code(clo_kms_explain(w.kms, "0", &d), CLO_E_NOT_FOUND);
    for (int i = 0; i < CLO_KMS_DENIALS_MAX; i++) clo_kms_denial_note(w.kms, "commit", e, plain);
    assert_code(clo_kms_explain(w.kms, id, &d), CLO_E_NOT_FOUND);
    assert_ok(clo_kms_explain(w.kms, plain, &d));
    world_end(&w);
}

WORLD_GROUP(w)

/* An amendment that everybody signed before a party's stop does not undo it: not by its own word, not by skipping an epoch. */
static void test_stop_holds_for_amendments(void **state)
{
    (void)state;
    clo_kms_agreement g;
    world_begin(&w, NULL);
    runtime_make(&r);
    const clo_collab_agreement *old = w.g;
    release_ok(&w, &r, &m, &reply);
    clo_collab_order o = {.verb = "stop", .party = "analyst", .time = w.time.wall_seconds, .sequence = 1};
    memcpy(o.agreement, old->id, sizeof o.agreement);
    clo_buf order;
    clo_buf_init(&order, 16384);
    assert_ok(clo_collab_order_make(&w.analyst, &o, &order));
    assert_ok(clo_kms_order(w.kms, clo_buf_span(&order), &g));
    assert_int_equal(g.state, CLO_AGREEMENT_SUSPENDED);
    static const uint8_t unknown[32] = {7};
    terms next[] = {{.epoch = 2, .prev = old->id, .lineage = old->id, .title = "Signed before the stop"},
                    {.epoch = 3, .prev = unknown, .lineage = old->id, .title = "Signed before the stop, too"}};
    for (size_t i = 0; i < sizeof next / sizeof next[0]; i++) {
        w.g = world_agreement(&w, &next[i], &w.file, &w.proof);
        message_begin(&w, &m, &r);
        assert_claim(try_message(&m), CLO_E_CONFLICT, "agreement.lineage");
        assert_claim(clo_kms_agreement_submit(w.kms, w.file, &g), CLO_E_CONFLICT, "agreement.lineage");
    }
    assert_ledger(&w, 3, 1);
    clo_buf_free(&order);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_holds_for_amendments),
        cmocka_unit_test(test_home),     cmocka_unit_test(test_import), cmocka_unit_test(test_states),
        cmocka_unit_test(test_rotation), cmocka_unit_test(test_failed_rotation), cmocka_unit_test(test_layouts), cmocka_unit_test(test_orders), cmocka_unit_test(test_stop_of_an_older_epoch), cmocka_unit_test(test_stop_is_brought_forward), cmocka_unit_test(test_repeated_stops), cmocka_unit_test(test_backdated_stop), cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_explain),
    };
    return cmocka_run_group_tests(tests, group_open, group_close);
}
