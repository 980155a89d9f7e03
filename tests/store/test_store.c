/* Proves what the operator relies on: records survive a restart, the first owner of a name, id or version keeps it, members see their
 * agreements, runs and datasets and nobody else's, pages are complete and disjoint, a run leaves the queue once, an upload's mark only rises, reasons are
 * bounded and private, and a database of a newer program is refused. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "os/file.h"
#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    char home[256];
    clo_store *store;
    clo_arena arena;
} place;

static int set_up(void **state)
{
    static place p;
    clo_arena_init(&p.arena, 64 << 20);
    assert_ok(clo_os_dir_temporary("clo-store-", p.home));
    assert_ok(clo_store_open(&p.store, p.home));
    *state = &p;
    return 0;
}

static int tear_down(void **state)
{
    place *p = *state;
    clo_store_close(&p->store);
    clo_arena_free(&p->arena);
    assert_ok(clo_os_tree_remove(p->home));
    return 0;
}

static void restart(place *p)
{
    clo_store_close(&p->store);
    assert_null(p->store);
    assert_ok(clo_store_open(&p->store, p->home));
}

static void fill(uint8_t *to, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) to[i] = (uint8_t)(seed + i);
}

static void parties(void **state)
{
    place *p = *state;
    clo_store_party a = {.name = "alice", .file = clo_span_of("FILE-A", 6), .created = 7}, out, *list = NULL;
    size_t count = 0;
    int64_t next = 0;
    fill(a.kid, 32, 1);
    assert_ok(clo_store_party_put(p->store, &a, 1000));
    assert_ok(clo_store_party_put(p->store, &a, 1000)); /* the same again */
    clo_store_party other = a;
    fill(other.kid, 32, 2);
    assert_code(clo_store_party_put(p->store, &other, 1000), CLO_E_CONFLICT); /* her name, another key */
    assert_string_equal(clo_err_denial()->claim, "party.name");
    other = a;
    memcpy(other.name, "mallory", 8);
    assert_code(clo_store_party_put(p->store, &other, 1000), CLO_E_CONFLICT); /* her key, another name */
    assert_string_equal(clo_err_denial()->claim, "party.key");
    restart(p);
    assert_ok(clo_store_ping(p->store));
    assert_ok(clo_store_party_by_kid(p->store, &p->arena, a.kid, &out));
    assert_string_equal(out.name, "alice");
    assert_int_equal(out.created, 7);
    assert_int_equal(out.file.n, 6);
    assert_memory_equal(out.file.p, "FILE-A", 6);
    fill(other.kid, 32, 9);
    assert_code(clo_store_party_by_kid(p->store, &p->arena, other.kid, &out), CLO_E_NOT_FOUND);
    for (unsigned i = 0; i < 5; i++) {
        clo_store_party more = {.file = clo_span_of("x", 1)};
        (void)snprintf(more.name, sizeof more.name, "p%u", 5 - i);
        fill(more.kid, 32, 100 + i);
        assert_ok(clo_store_party_put(p->store, &more, 1000));
    }
    assert_ok(clo_store_party_list(p->store, &p->arena, 0, 200, &list, &count, &next));
    assert_int_equal(count, 6);
    assert_int_equal(next, 0);
    assert_string_equal(list[0].name, "p1"); /* the newest first */
    assert_string_equal(list[5].name, "alice");
    size_t seen = 0, pages = 0;
    do {
        assert_ok(clo_store_party_list(p->store, &p->arena, next, 2, &list, &count, &next));
        seen += count;
        pages++;
    } while (next != 0);
    assert_true(seen == 6 && pages == 3);
    assert_string_equal(list[1].name, "alice");
}

static void make_agreement(clo_store_agreement *g, unsigned seed)
{
    memset(g, 0, sizeof *g);
    fill(g->id, 32, seed);
    fill(g->lineage, 32, seed + 1);
    g->epoch = 1;
    g->not_after = 5000;
    g->created = 4000;
    g->log_index = -1;
    g->file = clo_span_of("agreement", 9);
    (void)snprintf(g->title, sizeof g->title, "Agreement %u", seed);
    (void)snprintf(g->state, sizeof g->state, "proposed");
}

static void agreements_and_members(void **state)
{
    place *p = *state;
    clo_store_agreement g, out;
    uint8_t kids[2][32], stranger[32], found[4][32];
    bool member = true;
    size_t count = 0;
    fill(kids[0], 32, 40);
    fill(kids[1], 32, 50);
    fill(stranger, 32, 60);
    make_agreement(&g, 3);
    assert_ok(clo_store_agreement_put(p->store, &g, (const uint8_t(*)[32])kids, 2));
    (void)snprintf(g.state, sizeof g.state, "active");
    g.log_index = 12;
    g.signed_mask = 3;
    g.resumes_missing = 0x80000001u;
    g.proof = clo_span_of("proof", 5);
    g.file = clo_span_of("agreement, signed", 17);
    assert_ok(clo_store_agreement_put(p->store, &g, (const uint8_t(*)[32])kids, 2));
    restart(p);
    assert_ok(clo_store_agreement_get(p->store, &p->arena, g.id, &out));
    assert_string_equal(out.state, "active");
    assert_int_equal(out.log_index, 12);
    assert_int_equal(out.signed_mask, 3);
    assert_true(out.resumes_missing == 0x80000001u);
    assert_memory_equal(out.file.p, "agreement, signed", 17);
    assert_memory_equal(out.proof.p, "proof", 5);
    assert_memory_equal(out.lineage, g.lineage, 32);
    assert_ok(clo_store_agreement_kids(p->store, g.id, found, 4, &count));
    assert_int_equal(count, 2);
    assert_ok(clo_store_agreement_kids(p->store, g.id, found, 1, &count));
    assert_int_equal(count, 1);
    assert_ok(clo_store_agreement_member(p->store, g.id, kids[1], &member));
    assert_true(member);
    assert_ok(clo_store_agreement_member(p->store, g.id, stranger, &member));
    assert_false(member);
    assert_code(clo_store_agreement_get(p->store, &p->arena, stranger, &out), CLO_E_NOT_FOUND);
    /* Its datasets become visible to its members only. */
    uint8_t dataset[32];
    fill(dataset, 32, 70);
    assert_ok(clo_store_scope_put(p->store, dataset, g.id));
    assert_ok(clo_store_scope_put(p->store, dataset, g.id));
    assert_ok(clo_store_scope_has(p->store, dataset, kids[0], &member));
    assert_true(member);
    assert_ok(clo_store_scope_has(p->store, dataset, stranger, &member));
    assert_false(member);
}

static void pages_are_complete_and_disjoint(void **state)
{
    place *p = *state;
    uint8_t alice[32], bob[32];
    fill(alice, 32, 1);
    fill(bob, 32, 2);
    for (unsigned i = 0; i < 23; i++) {
        clo_store_agreement g;
        make_agreement(&g, i);
        assert_ok(clo_store_agreement_put(p->store, &g, (const uint8_t(*)[32])(i % 3 == 0 ? &bob : &alice), 1));
    }
    size_t seen = 0, count = 0;
    int64_t before = 0, next = 0;
    char last[256] = "";
    do {
        clo_store_agreement *list = NULL;
        assert_ok(clo_store_agreement_list(p->store, &p->arena, alice, before, 4, &list, &count, &next));
        assert_true(count <= 4 && count > 0);
        for (size_t i = 0; i < count; i++) {
            assert_string_not_equal(list[i].title, last);
            assert_int_equal(list[i].file.n, 0);
            memcpy(last, list[i].title, sizeof last);
            unsigned number = 0;
            assert_int_equal(sscanf(last, "Agreement %u", &number), 1);
            assert_true(number % 3 != 0); /* never bob's */
            seen++;
        }
        before = next;
    } while (next != 0);
    assert_int_equal(seen, 15);
    uint8_t nobody[32];
    fill(nobody, 32, 3);
    clo_store_agreement *list = NULL;
    assert_ok(clo_store_agreement_list(p->store, &p->arena, nobody, 0, 10, &list, &count, &next));
    assert_int_equal(count, 0);
    assert_int_equal(next, 0);
}

/* Whoever registers without end takes no more than the room there is, and nobody's who is in use or new. */
static void parties_are_bounded(void **state)
{
    place *p = *state;
    enum { DAY = 86400 };
    clo_store_party one = {.file = clo_span_of("x", 1)}, out;
    clo_store_agreement g = {.log_index = -1, .state = "proposed", .file = clo_span_of("file", 4)};
    uint8_t kids[1][32];
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(one.name, sizeof one.name, "p%u", i);
        fill(one.kid, 32, 50 + i);
        one.created = 10 + i;
        assert_ok(clo_store_party_put(p->store, &one, 4));
    }
    fill(kids[0], 32, 50); /* the oldest is a member of something */
    fill(g.id, 32, 7);
    assert_ok(clo_store_agreement_put(p->store, &g, (const uint8_t(*)[32])kids, 1));
    (void)snprintf(one.name, sizeof one.name, "late");
    fill(one.kid, 32, 90);
    one.created = DAY;
    assert_code(clo_store_party_put(p->store, &one, 4), CLO_E_CONFLICT); /* all are new */
    assert_non_null(strstr(clo_err_text(), "parties_max"));
    one.created = DAY + 12;
    assert_ok(clo_store_party_put(p->store, &one, 4));
    assert_ok(clo_store_party_put(p->store, &one, 4)); /* the same again, where it is full */
    assert_ok(clo_store_party_by_kid(p->store, &p->arena, kids[0], &out));
    fill(one.kid, 32, 51); /* it made room: the oldest that was not in use */
    assert_code(clo_store_party_by_kid(p->store, &p->arena, one.kid, &out), CLO_E_NOT_FOUND);
    fill(one.kid, 32, 52);
    assert_ok(clo_store_party_by_kid(p->store, &p->arena, one.kid, &out));
}

/* A database of the program's first version is taken over; its orders count as done. */
static void a_database_of_version_1_is_taken_over(void **state)
{
    place *p = *state;
    char path[300];
    sqlite3 *db = NULL;
    clo_store_order open;
    uint8_t id[32];
    fill(id, 32, 3);
    clo_store_close(&p->store);
    assert_ok(clo_os_path_join(path, sizeof path, p->home, "operator.db"));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DROP INDEX orders_open; DROP TABLE orders; CREATE TABLE orders(agreement BLOB NOT NULL, party TEXT NOT NULL,"
                                      " sequence INTEGER NOT NULL, verb TEXT NOT NULL, file BLOB NOT NULL, PRIMARY KEY(agreement, party, sequence)) STRICT;"
                                      " INSERT INTO orders VALUES(zeroblob(32), 'alice', 1, 'stop', x'00'); PRAGMA user_version=1;", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        assert_ok(clo_store_open(&p->store, p->home));
        assert_code(clo_store_order_open(p->store, &p->arena, NULL, 0, &open), CLO_E_NOT_FOUND);
        if (i == 0) clo_store_close(&p->store);
    }
    assert_ok(clo_store_order_put(p->store, id, "alice", "stop", 1, clo_span_of("order", 5)));
    assert_ok(clo_store_order_open(p->store, &p->arena, NULL, 0, &open));
    assert_true(clo_span_equal(open.file, clo_span_of("order", 5)));
    assert_memory_equal(open.agreement, id, 32);
    assert_ok(clo_store_order_settle(p->store, open.row));
    assert_code(clo_store_order_open(p->store, &p->arena, NULL, 0, &open), CLO_E_NOT_FOUND);
}

static void orders_rise(void **state)
{
    place *p = *state;
    uint8_t id[32], other[32];
    clo_span order = clo_span_of("order", 5);
    fill(id, 32, 1);
    fill(other, 32, 2);
    assert_ok(clo_store_order_put(p->store, id, "alice", "stop", 5, order));
    assert_code(clo_store_order_put(p->store, id, "alice", "resume", 5, order), CLO_E_REPLAYED);
    assert_string_equal(clo_err_denial()->claim, "order.sequence");
    assert_code(clo_store_order_put(p->store, id, "alice", "resume", 4, order), CLO_E_REPLAYED);
    assert_ok(clo_store_order_put(p->store, id, "alice", "resume", 6, order));
    assert_ok(clo_store_order_put(p->store, id, "bob", "stop", 1, order));
    assert_ok(clo_store_order_put(p->store, other, "alice", "stop", 1, order));
    restart(p);
    assert_code(clo_store_order_put(p->store, id, "alice", "stop", 6, order), CLO_E_REPLAYED);
}

static void make_dataset(clo_store_dataset *d, unsigned version)
{
    memset(d, 0, sizeof *d);
    fill(d->version, 32, version);
    fill(d->id, 32, 200);
    fill(d->owner_kid, 32, 1);
    (void)snprintf(d->name, sizeof d->name, "rows");
    (void)snprintf(d->owner, sizeof d->owner, "alice");
    d->size = 100;
    d->created = 9;
    d->manifest = clo_span_of("manifest", 8);
}

static void datasets(void **state)
{
    place *p = *state;
    clo_store_dataset d, out, *list = NULL;
    int64_t next = 0;
    size_t count = 0;
    make_dataset(&d, 1);
    assert_ok(clo_store_dataset_put(p->store, &d));
    assert_ok(clo_store_dataset_progress(p->store, d.version, 60, false));
    assert_ok(clo_store_dataset_put(p->store, &d)); /* again: the mark stays */
    clo_store_dataset other = d;
    other.manifest = clo_span_of("manifesT", 8);
    assert_code(clo_store_dataset_put(p->store, &other), CLO_E_CONFLICT);
    other = d;
    fill(other.owner_kid, 32, 2);
    assert_code(clo_store_dataset_put(p->store, &other), CLO_E_CONFLICT);
    restart(p);
    assert_ok(clo_store_dataset_get(p->store, &p->arena, d.version, &out));
    assert_int_equal(out.received, 60);
    assert_false(out.complete);
    assert_code(clo_store_dataset_latest(p->store, &p->arena, d.id, &out), CLO_E_NOT_FOUND);
    /* An upload that was cut reports late: the mark of the one that went on stays. */
    assert_ok(clo_store_dataset_progress(p->store, d.version, 20, false));
    assert_ok(clo_store_dataset_get(p->store, &p->arena, d.version, &out));
    assert_int_equal(out.received, 60);
    assert_ok(clo_store_dataset_reset(p->store, d.version));
    assert_ok(clo_store_dataset_get(p->store, &p->arena, d.version, &out));
    assert_int_equal(out.received, 0);
    assert_ok(clo_store_dataset_progress(p->store, d.version, 100, true));
    assert_ok(clo_store_dataset_progress(p->store, d.version, 30, false));
    assert_ok(clo_store_dataset_reset(p->store, d.version));
    assert_ok(clo_store_dataset_get(p->store, &p->arena, d.version, &out));
    assert_true(out.complete && out.received == 100);
    make_dataset(&other, 2);
    assert_ok(clo_store_dataset_put(p->store, &other));
    assert_ok(clo_store_dataset_latest(p->store, &p->arena, d.id, &out));
    assert_memory_equal(out.version, d.version, 32); /* the newer one is not complete */
    assert_ok(clo_store_dataset_progress(p->store, other.version, 100, true));
    assert_ok(clo_store_dataset_latest(p->store, &p->arena, d.id, &out));
    assert_memory_equal(out.version, other.version, 32);
    assert_ok(clo_store_dataset_list(p->store, &p->arena, d.owner_kid, 0, 200, &list, &count, &next));
    assert_int_equal(count, 2);
    assert_memory_equal(list[0].manifest.p, "manifest", 8);
    assert_int_equal(next, 0);
    assert_ok(clo_store_dataset_list(p->store, &p->arena, d.owner_kid, 0, 1, &list, &count, &next));
    assert_true(count == 1 && next > 0);
    assert_memory_equal(list[0].version, other.version, 32);
    assert_ok(clo_store_dataset_list(p->store, &p->arena, d.owner_kid, next, 1, &list, &count, &next));
    assert_true(count == 1 && next == 0);
    assert_memory_equal(list[0].version, d.version, 32);
    uint8_t nobody[32];
    fill(nobody, 32, 77);
    assert_ok(clo_store_dataset_list(p->store, &p->arena, nobody, 0, 200, &list, &count, &next));
    assert_int_equal(count, 0);
    assert_code(clo_store_dataset_get(p->store, &p->arena, nobody, &out), CLO_E_NOT_FOUND);
}

static void make_run(clo_store_run *r, unsigned seed)
{
    memset(r, 0, sizeof *r);
    fill(r->id, 16, seed);
    fill(r->agreement, 32, 3);
    (void)snprintf(r->run, sizeof r->run, "count");
    (void)snprintf(r->starter, sizeof r->starter, "alice");
    (void)snprintf(r->state, sizeof r->state, "queued");
    r->created = r->changed = 100;
    r->log_index = -1;
    r->request = clo_span_of("request", 7);
}

static void a_run_from_queue_to_end(void **state)
{
    place *p = *state;
    clo_store_run r, out;
    uint64_t queued = 9, active = 9;
    bool cancelled = true;
    int64_t row = 0;
    make_run(&r, 1);
    assert_ok(clo_store_run_put(p->store, &r));
    assert_code(clo_store_run_put(p->store, &r), CLO_E_EXISTS);
    r.request = clo_span_of("another", 7);
    assert_code(clo_store_run_put(p->store, &r), CLO_E_CONFLICT);
    assert_string_equal(clo_err_denial()->claim, "run.id");
    make_run(&r, 2);
    assert_ok(clo_store_run_put(p->store, &r));
    assert_code(clo_store_run_unsettled(p->store, &p->arena, &row, &out), CLO_E_NOT_FOUND); /* queued runs only wait */
    assert_ok(clo_store_run_active(p->store, &queued, &active));
    assert_true(queued == 2 && active == 0);
    restart(p);
    assert_ok(clo_store_run_take(p->store, &p->arena, &out)); /* the oldest first */
    assert_int_equal(out.id[0], 1);
    assert_memory_equal(out.request.p, "request", 7);
    assert_ok(clo_store_run_cancel_queued(p->store, out.id, 5, &cancelled));
    assert_false(cancelled); /* it is not queued any more */
    assert_ok(clo_store_run_cancel_queued(p->store, r.id, 5, &cancelled));
    assert_true(cancelled);
    clo_store_run none;
    assert_code(clo_store_run_take(p->store, &p->arena, &none), CLO_E_NOT_FOUND);
    assert_ok(clo_store_run_active(p->store, &queued, &active));
    assert_true(queued == 0 && active == 1);
    (void)snprintf(out.state, sizeof out.state, "computing");
    (void)snprintf(out.text, sizeof out.text, "step 3");
    out.done = 3;
    out.total = UINT32_MAX;
    out.have_denial = true;
    out.denial = (clo_denial){.claim = "c", .expected = "", .actual = "a", .source = "s", .remedy = "r"};
    out.statement = clo_span_of("statement", 9);
    out.binding = clo_span_of("binding", 7);
    out.commits = clo_span_of("commits", 7);
    assert_ok(clo_store_run_update(p->store, &out));
    restart(p);
    assert_ok(clo_store_run_unsettled(p->store, &p->arena, &row, &r));
    assert_true(row > 0 && r.released && r.have_denial && r.done == 3);
    assert_string_equal(r.denial.claim, "c");
    assert_string_equal(r.denial.expected, "");
    assert_string_equal(r.denial.remedy, "r");
    assert_memory_equal(r.statement.p, "statement", 9);
    assert_code(clo_store_run_unsettled(p->store, &p->arena, &row, &none), CLO_E_NOT_FOUND); /* none behind it */
    (void)snprintf(r.state, sizeof r.state, "done");
    r.receipt = clo_span_of("receipt", 7);
    assert_ok(clo_store_run_update(p->store, &r));
    row = 0;
    assert_code(clo_store_run_unsettled(p->store, &p->arena, &row, &none), CLO_E_NOT_FOUND);
    assert_ok(clo_store_run_get(p->store, &p->arena, r.id, &out));
    assert_memory_equal(out.receipt.p, "receipt", 7);
    assert_memory_equal(out.request.p, "request", 7); /* no update changes it */
    uint8_t nobody[16] = {0};
    assert_code(clo_store_run_get(p->store, &p->arena, nobody, &out), CLO_E_NOT_FOUND);
}

static void runs_are_listed_to_members(void **state)
{
    place *p = *state;
    clo_store_agreement g;
    uint8_t alice[32], eve[32], other[32];
    clo_store_run *list = NULL;
    size_t count = 0, seen = 0;
    int64_t next = 0, before = 0;
    fill(alice, 32, 1);
    fill(eve, 32, 2);
    make_agreement(&g, 3);
    assert_ok(clo_store_agreement_put(p->store, &g, (const uint8_t(*)[32]) & alice, 1));
    for (unsigned i = 0; i < 7; i++) {
        clo_store_run r;
        make_run(&r, i);
        assert_ok(clo_store_run_put(p->store, &r));
    }
    do {
        assert_ok(clo_store_run_list(p->store, &p->arena, alice, NULL, before, 3, &list, &count, &next));
        for (size_t i = 0; i < count; i++) assert_true(list[i].request.n == 0 && !list[i].released);
        seen += count;
        before = next;
    } while (next != 0);
    assert_int_equal(seen, 7);
    assert_ok(clo_store_run_list(p->store, &p->arena, alice, g.id, 0, 100, &list, &count, &next));
    assert_int_equal(count, 7);
    fill(other, 32, 99);
    assert_ok(clo_store_run_list(p->store, &p->arena, alice, other, 0, 100, &list, &count, &next));
    assert_int_equal(count, 0);
    assert_ok(clo_store_run_list(p->store, &p->arena, eve, NULL, 0, 100, &list, &count, &next));
    assert_int_equal(count, 0);
}

static void *taker(void *context)
{
    place *p = context;
    size_t taken = 0;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 8 << 20);
    clo_store_run *r = NULL;
    void *memory = NULL;
    if (clo_failed(clo_arena_alloc(&a, sizeof *r, &memory))) return NULL;
    while (!clo_failed(clo_store_run_take(p->store, &a, memory))) taken++;
    return (void *)taken; /* NOLINT(performance-no-int-to-ptr) */
}

static void each_run_is_taken_once(void **state)
{
    place *p = *state;
    pthread_t threads[4];
    size_t taken = 0;
    for (unsigned i = 0; i < 40; i++) {
        clo_store_run r;
        make_run(&r, i);
        assert_ok(clo_store_run_put(p->store, &r));
    }
    for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, taker, p), 0);
    for (size_t i = 0; i < 4; i++) {
        void *n = NULL;
        assert_int_equal(pthread_join(threads[i], &n), 0);
        taken += (size_t)n;
    }
    assert_int_equal(taken, 40);
}

static void reasons_are_private_and_bounded(void **state)
{
    place *p = *state;
    clo_store_reason r = {.id = "req-1", .time = 5, .what = "POST /x", .code = "denied", .text = "no", .have_denial = true}, out;
    uint8_t eve[32], nobody[32] = {0};
    r.denial = (clo_denial){.claim = "claim", .remedy = "ask"};
    fill(r.kid, 32, 1);
    fill(eve, 32, 2);
    assert_ok(clo_store_reason_put(p->store, &r));
    assert_code(clo_store_reason_get(p->store, "req-1", eve, &out), CLO_E_NOT_FOUND);
    assert_code(clo_store_reason_get(p->store, "req-1", nobody, &out), CLO_E_NOT_FOUND);
    /* Another one's choice of the same id does not cover it. */
    clo_store_reason theirs = r;
    memcpy(theirs.kid, eve, 32);
    memcpy(theirs.text, "mine", 5);
    assert_ok(clo_store_reason_put(p->store, &theirs));
    assert_ok(clo_store_reason_get(p->store, "req-1", r.kid, &out));
    assert_string_equal(out.text, "no");
    assert_string_equal(out.denial.claim, "claim");
    assert_string_equal(out.denial.remedy, "ask");
    /* What nobody in particular was told, everybody who knows the id may read. */
    memcpy(theirs.kid, nobody, 32);
    memcpy(theirs.id, "req-2", 6);
    assert_ok(clo_store_reason_put(p->store, &theirs));
    assert_ok(clo_store_reason_get(p->store, "req-2", eve, &out));
    /* Only the newest 20,000 stay: the test moves one far ahead instead of writing so many. */
    sqlite3 *db = NULL;
    char path[300];
    assert_ok(clo_os_path_join(path, sizeof path, p->home, "operator.db"));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE reason SET row = row + 30000 WHERE id = 'req-2'", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    memcpy(theirs.id, "req-3", 6);
    assert_ok(clo_store_reason_put(p->store, &theirs));
    assert_code(clo_store_reason_get(p->store, "req-1", r.kid, &out), CLO_E_NOT_FOUND);
    assert_ok(clo_store_reason_get(p->store, "req-2", eve, &out));
}

static void newer_or_damaged_databases_are_refused(void **state)
{
    place *p = *state;
    char path[300];
    sqlite3 *db = NULL;
    clo_store *second = NULL;
    clo_store_close(&p->store);
    assert_ok(clo_os_path_join(path, sizeof path, p->home, "operator.db"));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=5", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_code(clo_store_open(&second, p->home), CLO_E_VERSION);
    assert_null(second);
    assert_ok(clo_os_file_write_atomic(path, clo_span_str("this is no database, but long enough to be taken for one at first sight, "
                                                          "which is what a reader does with its first hundred bytes"), 0600));
    assert_code(clo_store_open(&second, p->home), CLO_E_DATABASE);
    assert_null(second);
    assert_ok(clo_os_file_remove(path));
    assert_ok(clo_store_open(&p->store, p->home));
}

/* The layout of version 1: runs without `prepared`, reasons that anybody could read. */
static void an_older_database_is_brought_forward(void **state)
{
    place *p = *state;
    char path[300];
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    clo_store_run r, out;
    make_run(&r, 1);
    assert_ok(clo_store_run_put(p->store, &r));
    clo_store_close(&p->store);
    assert_ok(clo_os_path_join(path, sizeof path, p->home, "operator.db"));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE run DROP COLUMN prepared; DROP TABLE reason; CREATE TABLE reason(row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
                                      " time INTEGER NOT NULL, what TEXT NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL, denial BLOB NOT NULL) STRICT;"
                                      "CREATE TABLE idempotency(key TEXT PRIMARY KEY); INSERT INTO reason VALUES(1, 'old', 1, 'a', 'b', 'c', x'');"
                                      "PRAGMA user_version=1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    for (int turn = 0; turn < 2; turn++) {
        assert_ok(clo_store_open(&p->store, p->home));
        assert_ok(clo_store_run_get(p->store, &p->arena, r.id, &out));
        assert_int_equal(out.prepared.n, 0);
        assert_ok(clo_store_run_update(p->store, &out));
        clo_store_close(&p->store);
    }
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT (SELECT count(kid) FROM reason), (SELECT count(*) FROM sqlite_schema WHERE name = 'idempotency')", -1, &q, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(q, 0) + sqlite3_column_int(q, 1), 0);
    assert_int_equal(sqlite3_finalize(q), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_ok(clo_store_open(&p->store, p->home));
}

static void a_wrong_size_in_the_database_is_an_error(void **state)
{
    place *p = *state;
    char path[300];
    sqlite3 *db = NULL;
    clo_store_party a = {.name = "alice", .file = clo_span_of("F", 1)}, *list = NULL;
    int64_t next = 0;
    size_t count = 0;
    fill(a.kid, 32, 1);
    assert_ok(clo_store_party_put(p->store, &a, 1000));
    assert_ok(clo_os_path_join(path, sizeof path, p->home, "operator.db"));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE party SET kid = x'00'", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_code(clo_store_party_list(p->store, &p->arena, 0, 200, &list, &count, &next), CLO_E_DATABASE);
    assert_ok(clo_store_ping(p->store)); /* the connection is not stuck */
}

static void blob_names(void **state)
{
    place *p = *state;
    char path[640];
    uint8_t id[33];
    fill(id, sizeof id, 0xf0);
    assert_ok(clo_store_blob_path(p->store, "dataset", clo_span_of(id, 3), path));
    assert_non_null(strstr(path, "/blobs/dataset-f0f1f2"));
    assert_ok(clo_store_blob_path(p->store, "dataset", clo_span_of(id, 32), path));
    assert_code(clo_store_blob_path(p->store, "dataset", clo_span_of(id, 33), path), CLO_E_RANGE);
    assert_ok(clo_store_blob_sync(p->store));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {TEST(parties), TEST(parties_are_bounded), TEST(a_database_of_version_1_is_taken_over), TEST(agreements_and_members), TEST(pages_are_complete_and_disjoint), TEST(orders_rise),
                                       TEST(datasets), TEST(a_run_from_queue_to_end), TEST(runs_are_listed_to_members), TEST(each_run_is_taken_once),
                                       TEST(reasons_are_private_and_bounded), TEST(newer_or_damaged_databases_are_refused), TEST(an_older_database_is_brought_forward),
                                       TEST(a_wrong_size_in_the_database_is_an_error), TEST(blob_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
