/* A key service under faults: import, release, renewal, commit, a lease that ends, limit, order, rotation; and a thief who asks for the same
 * run with another runtime. Messages are made once, so that what is repeated after a restart is the same run. */
#include "fault_driver.h"
#include "kms_fixture.h"

#include "base/clo_own.h"
#include "collab/key_import.h"
#include "crypto/hash.h"
#include "os/file.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static world w;
static runtime ours, theirs, others;
enum { FIRST, RETRY, AGAIN, LATER, RENEWAL, MESSAGES };
typedef struct {
    message m[MESSAGES];
    clo_span body[MESSAGES];
} asked;
static asked a_run, b_run, thief;
static clo_span import_body, commit_body[MESSAGES], order_body;
static size_t *committing; /* shared with the children: which release the commit stands on */
static clo_collab_release_token token;

/* The same run of the same runtime, each time with a fresh nonce. */
static void make_messages(asked *to, runtime *who, const message *same_run)
{
    for (size_t i = 0; i < MESSAGES; i++) {
        message_begin(&w, &to->m[i], who);
        const message *first = same_run != NULL ? same_run : &to->m[0];
        if (i > 0 || same_run != NULL) {
            to->m[i].request = first->request;
            to->m[i].m.request = first->m.request;
            memset(to->m[i].m.binding.request, 0, 32);
        }
        to->body[i] = message_finish(&w, &to->m[i]);
    }
}

static void make_import(void)
{
    static clo_collab_manifest m;
    clo_key32 dek;
    clo_span bytes;
    clo_buf b;
    world_dataset(&w, &w.a, "rows-a", &dek, &m, &bytes);
    clo_buf_init(&b, 64 << 10);
    assert_ok(clo_collab_key_import_make(bytes, &m, m.version, &dek, clo_kms_hpke(w.kms), &b));
    assert_ok(clo_arena_copy(&w.arena, clo_buf_span(&b), &import_body));
    clo_buf_free(&b);
    fault_tell("version %s", world_hex(&w, m.version, 32));
}

static void make_order(void)
{
    clo_collab_order o = {.time = w.time.wall_seconds, .sequence = 1};
    clo_buf b;
    memcpy(o.agreement, w.g->id, 32);
    (void)snprintf(o.verb, sizeof o.verb, "stop");
    (void)snprintf(o.party, sizeof o.party, "%s", w.b.public_half.name);
    clo_buf_init(&b, 16384);
    assert_ok(clo_collab_order_make(&w.b, &o, &b));
    assert_ok(clo_arena_copy(&w.arena, clo_buf_span(&b), &order_body));
    clo_buf_free(&b);
}

static void prepare(const char *template)
{
    clo_key32 share;
    world_open(&w);
    world_begin(&w, NULL);
    runtime_make(&ours);
    runtime_make(&theirs);
    runtime_make(&others);
    make_messages(&a_run, &ours, NULL);
    make_messages(&b_run, &theirs, NULL);
    make_messages(&thief, &others, &a_run.m[0]);
    assert_ok(clo_crypto_random(share.b, sizeof share.b));
    for (size_t i = 0; i < MESSAGES; i++) {
        token_begin(&w, &a_run.m[i], &token);
        commit_body[i] = commit_finish(&w, &a_run.m[i], &token, &ours, &share);
    }
    committing = mmap(NULL, sizeof *committing, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(committing != MAP_FAILED);
    make_import();
    make_order();
    clo_kms_free(&w.kms);
    assert_ok(clo_os_tree_remove(template));
    assert_ok(clo_os_tree_copy(w.home, template));
    fault_tell("run-a %s", world_hex(&w, a_run.m[0].request.run_id, 16));
    fault_tell("run-b %s", world_hex(&w, b_run.m[0].request.run_id, 16));
    fault_tell("agreement %s", world_hex(&w, w.g->id, 32));
    /* Children leave what the parent made alone; it goes with the parent's process. */
    assert_ok(clo_os_tree_remove(w.home));
}

static void tell_digest(const char *what, const clo_buf *b)
{
    uint8_t digest[32];
    char hex[65];
    assert_ok(clo_crypto_sha256(clo_buf_span(b), digest));
    clo_hex_encode(hex, clo_span_of(digest, sizeof digest));
    fault_tell("%s %s", what, hex);
}

static bool release(const char *what, const asked *r, size_t which)
{
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = which == RENEWAL ? clo_kms_renew(w.kms, r->body[which], &r->m[which].channel, &out)
                                 : clo_kms_release(w.kms, r->body[which], &r->m[which].channel, &out);
    if (clo_failed(e) && out.len != 0) fault_tell("broken a refusal with %zu bytes", out.len);
    return fault_say(what, e);
}

static bool commit(void)
{
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_commit(w.kms, commit_body[*committing], &out);
    if (!clo_failed(e)) tell_digest("committed", &out);
    if (clo_failed(e) && out.len != 0) fault_tell("broken a refusal with %zu bytes", out.len);
    return fault_say("commit", e);
}

static bool shares(void)
{
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_shares(w.kms, token.run_id, &out);
    if (!clo_failed(e)) tell_digest("committed", &out);
    return fault_say("shares", e);
}

static void pass(unsigned seconds)
{
    fault_tell("passed");
    w.time.wall_seconds += seconds;
    w.time.monotonic_ns += (uint64_t)seconds * 1000000000ull;
}

static void owner_steps(void)
{
    clo_kms_key key;
    clo_kms_agreement g;
    clo_dp_rational limit;
    int64_t version = 0;
    (void)fault_say("import", clo_kms_key_import(w.kms, import_body, &key));
    (void)fault_say("agreement", clo_kms_agreement_submit(w.kms, w.file, &g));
    assert_ok(clo_dp_rational_make(2, 25, &limit));
    (void)fault_say("limit", clo_kms_budget_set(w.kms, w.manifest_a.id, limit));
    (void)fault_say("rotate", clo_kms_kek_rotate(w.kms, &version));
    clo_err e = clo_kms_order(w.kms, order_body, &g);
    (void)fault_say("order", e.code == CLO_E_REPLAYED ? CLO_OK : e);
}

static void open_here(const char *home)
{
    (void)snprintf(w.home, sizeof w.home, "%s", home);
    if (!fault_say("open", clo_kms_open(&w.kms, home, &w.clock)) && !fault_say("open", clo_kms_open(&w.kms, home, &w.clock))) _exit(0);
}

static void work_first(const char *home)
{
    size_t ended = 0;
    open_here(home);
    *committing = FIRST;
    bool have_a = release("release-a", &a_run, FIRST);
    if (!have_a) {
        *committing = RETRY;
        have_a = release("release-a", &a_run, RETRY);
    }
    if (have_a) (void)release("thief", &thief, FIRST);
    (void)release("renew-a", &a_run, RENEWAL);
    if (!release("release-b", &b_run, FIRST)) (void)release("release-b", &b_run, RETRY);
    if (!commit()) (void)commit();
    (void)shares();
    pass(61);
    if (!fault_say("sweep", clo_kms_sweep(w.kms, &ended))) (void)fault_say("sweep", clo_kms_sweep(w.kms, &ended));
    owner_steps();
    clo_kms_free(&w.kms);
    fault_tell("closed");
}

static void work(const char *home, bool again, bool late)
{
    size_t ended = 0;
    if (!again) {
        work_first(home);
        return;
    }
    if (late) {
        w.time.wall_seconds += 61;
        w.time.monotonic_ns += 61ull * 1000000000ull;
    }
    open_here(home);
    if (!shares() && release("release-a", &a_run, AGAIN)) *committing = AGAIN;
    (void)release("thief", &thief, AGAIN);
    (void)commit();
    (void)shares();
    (void)release("release-b", &b_run, AGAIN);
    if (!late) pass(61);
    (void)fault_say("sweep", clo_kms_sweep(w.kms, &ended));
    (void)release("release-a-late", &a_run, LATER);
    owner_steps();
    clo_kms_free(&w.kms);
    fault_tell("closed");
}

const fault_scenario fault_kms = {"kms", prepare, work};

/* ---- making a key service: at whatever point it breaks off, the same command makes it ---- */

static clo_collab_identity owner;
static void prepare_init(const char *template)
{
    (void)template;
    assert_ok(clo_collab_identity_make("hospital-a", &owner));
}

static void work_init(const char *home, bool again, bool late)
{
    clo_kms *kms = NULL;
    (void)late;
    clo_err e = clo_kms_init(home, &owner.public_half);
    if (!fault_say("init", again && e.code == CLO_E_EXISTS ? CLO_OK : e)) return;
    if (!fault_say("open", clo_kms_open(&kms, home, NULL))) return;
    clo_kms_free(&kms);
}

const fault_scenario fault_kms_init = {"kms-init", prepare_init, work_init};
