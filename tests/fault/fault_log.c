/* The log and its witness under faults: entries one after another, a large one, a group, a restart in between. */
#include "audit/tlog.h"
#include "audit/witness.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "fault_driver.h"
#include "os/file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char origin[] = "operator.example/log";
static const clo_crypto_private_key log_key = {.alg = CLO_SIGN_ED25519, .bytes = {7}};
static const clo_crypto_private_key witness_key = {.alg = CLO_SIGN_ED25519, .bytes = {9}};

static void must(clo_err e)
{
    if (!clo_failed(e)) return;
    fault_tell("broken %s: %s", clo_err_name(e), clo_err_text());
    _Exit(3);
}

static void tell_vkey(const char *what, const char *name, uint8_t type, const clo_crypto_private_key *sk, clo_wire_note_key *key)
{
    clo_crypto_public_key pk;
    const char *text = NULL;
    CLO_AUTO(clo_buf_free) clo_buf vkey;
    clo_buf_init(&vkey, 600);
    must(clo_crypto_sign_public_of(sk, &pk));
    must(clo_wire_note_key_make(name, type, &pk, key));
    must(clo_wire_note_key_text(key, &vkey));
    must(clo_buf_cstr(&vkey, &text));
    fault_tell("%s %s", what, text);
}

static clo_err open_log(const char *home, clo_audit_log **log)
{
    const clo_audit_log_options o = {.directory = home, .origin = origin, .sk = &log_key};
    return clo_audit_log_open(log, &o);
}

/* The entry is its own description: the reader compares it with what is at the index. */
static void append(clo_audit_log *log, const char *text, size_t size)
{
    uint64_t index = 0;
    char *data = calloc(1, size + 64);
    if (data == NULL) _Exit(3);
    (void)snprintf(data, size + 64, "%s", text);
    size_t n = size > strlen(text) ? size : strlen(text);
    clo_err e = clo_audit_log_append(log, clo_span_of(data, n), &index);
    char said[100];
    (void)snprintf(said, sizeof said, "append %s %zu %llu", text, n, (unsigned long long)index);
    (void)fault_say(said, e);
    free(data);
}

typedef struct {
    clo_audit_log *log;
    char text[24];
} group_entry;
static void *append_one(void *context)
{
    group_entry *g = context;
    append(g->log, g->text, 0);
    return NULL;
}

static void append_group(clo_audit_log *log)
{
    pthread_t threads[6];
    group_entry entries[6];
    for (size_t i = 0; i < 6; i++) {
        entries[i] = (group_entry){.log = log};
        (void)snprintf(entries[i].text, sizeof entries[i].text, "group-%zu", i);
        if (pthread_create(&threads[i], NULL, append_one, &entries[i]) != 0) _Exit(3);
    }
    for (size_t i = 0; i < 6; i++) (void)pthread_join(threads[i], NULL);
}

static void prepare_log(const char *template)
{
    clo_wire_note_key key;
    (void)template;
    tell_vkey("vkey", origin, 1, &log_key, &key);
}

static void work_log(const char *home, bool again, bool late)
{
    clo_audit_log *log = NULL;
    char text[24];
    (void)late;
    for (int round = 0; round < 2; round++) {
        if (!fault_say("open", open_log(home, &log))) continue;
        for (int i = 0; i < 4 && !again; i++) {
            (void)snprintf(text, sizeof text, "entry-%d-%d", round, i);
            append(log, text, i == 2 ? 50000 : 0);
        }
        if (round == 0 && !again) append_group(log);
        append(log, again ? "again" : "last", 0);
        fault_tell("size %llu", (unsigned long long)clo_audit_log_size(log));
        clo_audit_log_close(&log);
    }
}

const fault_scenario fault_log = {"log", prepare_log, work_log};

/* ---- the witness: three checkpoints that extend one another, and one of another history ---- */

enum { STAGES = 3 };
static const uint64_t sizes[STAGES] = {1, 3, 7};
static struct {
    uint64_t old_size;
    clo_buf body;
} requests[STAGES + 1];
static clo_wire_note_key witnessed_key;

static void make_request(clo_audit_log *log, uint64_t old_size, uint64_t size, clo_buf *body)
{
    clo_wire_hash path[CLO_MERKLE_PATH_MAX];
    size_t count = 0;
    CLO_AUTO(clo_buf_free) clo_buf note;
    clo_buf_init(&note, CLO_NOTE_MAX);
    must(clo_audit_log_checkpoint(log, &note));
    if (old_size > 0) must(clo_audit_log_consistency(log, old_size, size, path, &count));
    clo_buf_init(body, 100000);
    must(clo_audit_witness_request(old_size, path, count, clo_buf_span(&note), body));
}

static void prepare_witness(const char *template)
{
    char dir[600];
    clo_audit_log *log = NULL;
    uint64_t index = 0, size = 0;
    clo_wire_note_key key;
    tell_vkey("vkey", origin, 1, &log_key, &witnessed_key);
    tell_vkey("witness", "witness.example", 4, &witness_key, &key);
    (void)snprintf(dir, sizeof dir, "%s/../log", template);
    must(open_log(dir, &log));
    for (size_t i = 0; i < STAGES; i++) {
        requests[i].old_size = size;
        for (; size < sizes[i]; size++) must(clo_audit_log_append(log, clo_span_str("x"), &index));
        make_request(log, requests[i].old_size, size, &requests[i].body);
    }
    clo_audit_log_close(&log);
    (void)snprintf(dir, sizeof dir, "%s/../other", template);
    must(open_log(dir, &log));
    for (size = 0; size < sizes[STAGES - 1]; size++) must(clo_audit_log_append(log, clo_span_str("y"), &index));
    make_request(log, 0, size, &requests[STAGES].body); /* says that nothing was seen before */
    clo_audit_log_close(&log);
}

static void ask(clo_audit_witness *w, size_t stage)
{
    CLO_AUTO(clo_buf_free) clo_buf lines;
    clo_buf_init(&lines, 16384);
    unsigned status = 0;
    char what[80];
    clo_err e = clo_audit_witness_add_checkpoint(w, clo_buf_span(&requests[stage].body), &status, &lines);
    if (stage == STAGES)
        (void)snprintf(what, sizeof what, "other %u", status);
    else
        (void)snprintf(what, sizeof what, "cosign %llu %u", (unsigned long long)sizes[stage], status);
    (void)fault_say(what, e);
}

static void work_witness(const char *home, bool again, bool late)
{
    clo_audit_witness *w = NULL;
    (void)late;
    if (!fault_say("open", clo_audit_witness_open(&w, home, "witness.example", &witness_key, clo_os_clock_system()))) return;
    if (fault_say("know", clo_audit_witness_add_log(w, &witnessed_key))) {
        for (size_t i = 0; i < STAGES; i++) ask(w, i);
        if (again) ask(w, STAGES);
    }
    clo_audit_witness_close(&w);
}

const fault_scenario fault_witness = {"witness", prepare_witness, work_witness};
