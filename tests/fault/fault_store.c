/* The operator's store under faults: every kind of record, and the files beside it as the daemon writes them. */
#include "base/clo_own.h"
#include "fault_driver.h"
#include "os/file.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOB = 150000, PIECE = 50000, OUTPUT = 20000 };
static uint8_t blob[BLOB];
static clo_arena arena;

static void fill(uint8_t *to, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) to[i] = (uint8_t)(seed + i * 7);
}

static void prepare(const char *template)
{
    (void)template;
    fill(blob, sizeof blob, 1);
    clo_arena_init(&arena, 8 << 20);
}

static void put_party(clo_store *s)
{
    clo_store_party p = {.name = "alice", .file = clo_span_of(blob, 300), .created = 7};
    fill(p.kid, 32, 1);
    (void)fault_say("party", clo_store_party_put(s, &p, 1000));
}

static void put_agreement(clo_store *s, const char *state)
{
    clo_store_agreement g = {.epoch = 1, .not_after = 5000, .created = 4000, .log_index = -1, .file = clo_span_of(blob, 9000)};
    uint8_t kids[2][32], dataset[32];
    char what[60];
    fill(g.id, 32, 3);
    fill(kids[0], 32, 1);
    fill(kids[1], 32, 2);
    fill(dataset, 32, 5);
    (void)snprintf(g.title, sizeof g.title, "title");
    (void)snprintf(g.state, sizeof g.state, "%s", state);
    if (strcmp(state, "active") == 0) g.proof = clo_span_of(blob, 900);
    clo_store_agreement known;
    bool repeats = strcmp(state, "proposed") == 0 && !clo_failed(clo_store_agreement_get(s, &arena, g.id, &known));
    clo_err e = clo_store_scope_put(s, dataset, g.id);
    if (!clo_failed(e) && !repeats) e = clo_store_agreement_put(s, &g, (const uint8_t(*)[32])kids, 2);
    (void)snprintf(what, sizeof what, "agreement %s", state);
    (void)fault_say(what, e);
}

static void put_order(clo_store *s)
{
    uint8_t agreement[32];
    fill(agreement, 32, 3);
    clo_err e = clo_store_order_put(s, agreement, "alice", "stop", 5, clo_span_of(blob, 400));
    (void)fault_say("order", e.code == CLO_E_REPLAYED ? CLO_OK : e);
}

/* As an upload does it: pieces, sync of the file and of its name, then the mark. */
static clo_err upload(clo_store *s, const uint8_t version[32], uint64_t from, uint64_t to)
{
    char path[640];
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    CLO_TRY(clo_store_blob_path(s, "dataset", clo_span_of(version, 32), path));
    CLO_TRY(clo_os_file_open(&fd, path, CLO_OS_OPEN_CREATE, 0600));
    CLO_TRY(clo_os_file_pwrite(fd, from, clo_span_of(blob + from, (size_t)(to - from))));
    CLO_TRY(clo_os_file_sync(fd));
    CLO_TRY(clo_store_blob_sync(s));
    return clo_store_dataset_progress(s, version, to, to == BLOB);
}

static void put_dataset(clo_store *s)
{
    clo_store_dataset d = {.name = "rows", .owner = "alice", .created = 9, .size = BLOB, .manifest = clo_span_of(blob, 700)};
    char what[60];
    fill(d.version, 32, 4);
    fill(d.id, 32, 5);
    fill(d.owner_kid, 32, 1);
    (void)fault_say("dataset", clo_store_dataset_put(s, &d));
    /* The owner continues where the operator says. */
    clo_store_dataset now;
    for (int tries = 0; tries < 5; tries++) {
        clo_err e = clo_store_dataset_get(s, &arena, d.version, &now);
        if (clo_failed(e)) {
            (void)fault_say("upload", e);
            return;
        }
        if (now.complete) break;
        uint64_t to = now.received + PIECE < BLOB ? now.received + PIECE : BLOB;
        (void)snprintf(what, sizeof what, "upload %llu", (unsigned long long)to);
        (void)fault_say(what, upload(s, d.version, now.received, to));
    }
}

static clo_err output(clo_store *s, const uint8_t id[16])
{
    char path[640];
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    CLO_TRY(clo_store_blob_path(s, "output", clo_span_of(id, 16), path));
    CLO_TRY(clo_os_file_remove(path));
    CLO_TRY(clo_os_file_open(&fd, path, CLO_OS_OPEN_NEW, 0600));
    CLO_TRY(clo_os_file_pwrite(fd, 0, clo_span_of(blob, OUTPUT)));
    CLO_TRY(clo_os_file_sync(fd));
    return clo_store_blob_sync(s);
}

static void put_run(clo_store *s)
{
    static const char *const states[] = {"attesting", "computing", "committing", "done"};
    clo_store_run r = {.run = "count", .starter = "alice", .state = "queued", .created = 100, .changed = 100, .log_index = -1,
                       .request = clo_span_of(blob, 600)};
    char what[60];
    fill(r.id, 16, 6);
    fill(r.agreement, 32, 3);
    fill(r.starter_kid, 32, 1);
    clo_err e = clo_store_run_put(s, &r);
    if (!fault_say("run queued", e.code == CLO_E_EXISTS ? CLO_OK : e)) return;
    e = clo_store_run_take(s, &arena, &r);
    if (!fault_say("run starting", e.code == CLO_E_NOT_FOUND ? CLO_OK : e)) return; /* taken before */
    fill(r.id, 16, 6);
    if (!fault_say("run known", clo_store_run_get(s, &arena, r.id, &r))) return;
    if (strcmp(r.state, "done") == 0) {
        (void)fault_say("run done", CLO_OK);
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        if (i == 2 && !fault_say("run output", output(s, r.id))) return;
        (void)snprintf(r.state, sizeof r.state, "%s", states[i]);
        if (i == 2) r.prepared = clo_span_of(blob, 5000);
        if (i == 3) {
            r.commits = clo_span_of(blob, 3000);
            r.statement = clo_span_of(blob, 2000);
            r.receipt = clo_span_of(blob, 20000);
        }
        (void)snprintf(what, sizeof what, "run %s", states[i]);
        if (!fault_say(what, clo_store_run_update(s, &r))) return;
    }
}

static void put_reason(clo_store *s)
{
    clo_store_reason r = {.id = "11112222333344445555666677778888", .time = 5, .what = "release", .code = "denied", .text = "because"};
    (void)fault_say("reason", clo_store_reason_put(s, &r));
}

static void work(const char *home, bool again, bool late)
{
    clo_store *s = NULL;
    (void)again;
    (void)late;
    for (int round = 0; round < 2; round++) {
        if (!fault_say("open", clo_store_open(&s, home))) continue;
        put_party(s);
        put_agreement(s, "proposed");
        put_order(s);
        put_dataset(s);
        put_run(s);
        put_agreement(s, "active");
        put_reason(s);
        clo_store_close(&s);
        if (again) return;
    }
}

const fault_scenario fault_store = {"store", prepare, work};
