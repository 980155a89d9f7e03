/* Attacks by what the operator runs and stores: a patched runtime, swapped ciphertext, a clone, a restored disk. */
#include "cli/demo_attacks.h"

#include "os/file.h"

/* ---- a patched runtime ---- */

static clo_err patch(demo *d, char path[DEMO_PATH])
{
    static const char victim[] = "asking each key service for a nonce";
    char from[2 * DEMO_PATH];
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 256 << 20);
    CLO_TRY(clo_os_path_join(from, sizeof from, d->programs, "cloister-enclave"));
    CLO_TRY(clo_os_file_read(from, 256 << 20, &file));
    uint8_t *at = memmem(file.p, file.len, victim, sizeof victim - 1);
    CLO_CHECKF(at != NULL, CLO_E_NOT_FOUND, "the runtime has no such text to patch");
    at[0] ^= 0x20;
    CLO_TRY(demo_path(d, path, "operator/cloister-enclave.patched"));
    return clo_os_file_write_atomic(path, clo_buf_span(&file), 0755);
}

clo_err demo_attack_patched(demo_attacker *t)
{
    demo *d = t->d;
    char path[DEMO_PATH];
    demo_attack_title(t, "A patched enclave");
    demo_say(d, "   One byte of one text in the runtime's executable is changed; cloisterd is restarted with it; the analyst "
                "starts a run.");
    CLO_TRY(patch(d, path));
    CLO_TRY(demo_daemon_stop(d, DEMO_OPERATOR));
    CLO_TRY(demo_operator_start(d, path));
    CLO_TRY(demo_attack_run(t, "statistics", NULL, "evidence.measurement"));
    CLO_TRY(demo_daemon_stop(d, DEMO_OPERATOR));
    CLO_TRY(demo_daemon_start(d, DEMO_OPERATOR));
    demo_held(d, "refused: no key service gives a key to it");
    return CLO_OK;
}

/* ---- ciphertext swapped between datasets ---- */

static clo_err swap_chunk(const demo_loot *l, uint64_t index)
{
    CLO_AUTO(clo_os_fd_close) int one = -1;
    CLO_AUTO(clo_os_fd_close) int two = -1;
    size_t size = (size_t)l->opened[0].chunk_size + 16;
    CLO_CHECKF(l->opened[0].chunk_size == l->opened[1].chunk_size && index + 1 < l->opened[0].chunk_count &&
                   index + 1 < l->opened[1].chunk_count,
               CLO_E_RANGE, "the datasets have no full chunk %llu", (unsigned long long)index);
    uint8_t a[4608], b[4608];
    CLO_CHECK(size <= sizeof a, CLO_E_TOO_LARGE);
    CLO_TRY(clo_os_file_open(&one, l->blobs[0], CLO_OS_OPEN_READ_WRITE, 0));
    CLO_TRY(clo_os_file_open(&two, l->blobs[1], CLO_OS_OPEN_READ_WRITE, 0));
    CLO_TRY(clo_os_file_pread(one, index * size, a, size));
    CLO_TRY(clo_os_file_pread(two, index * size, b, size));
    CLO_TRY(clo_os_file_pwrite(one, index * size, clo_span_of(b, size)));
    return clo_os_file_pwrite(two, index * size, clo_span_of(a, size));
}

clo_err demo_attack_chunk(demo_attacker *t)
{
    demo *d = t->d;
    demo_attack_title(t, "A ciphertext chunk swapped between two hospitals' datasets");
    demo_say(d, "   On the operator's disk, chunk 3 of hospital-a's dataset and chunk 3 of hospital-b's change places; the "
                "analyst starts a run.");
    CLO_TRY(swap_chunk(&t->loot, 3));
    CLO_TRY(demo_attack_run(t, "statistics", NULL, "dataset."));
    CLO_TRY(swap_chunk(&t->loot, 3));
    demo_held(d, "refused by the runtime: the chunks are not those that their owner signed. (Put back afterwards.)");
    return CLO_OK;
}

/* ---- two clones of one run ---- */

typedef struct {
    demo_host host;
    clo_os_thread *thread;
    clo_err err;
    char text[400];
} clone;

static void run_clone(void *context)
{
    clone *c = context;
    c->err = demo_host_run(&c->host);
    if (clo_failed(c->err)) (void)snprintf(c->text, sizeof c->text, "%s", clo_err_text());
}

clo_err demo_attack_clone(demo_attacker *t)
{
    demo *d = t->d;
    clo_span request;
    void *memory = NULL;
    demo_attack_title(t, "A second clone of the same run");
    demo_say(d, "   Two genuine runtimes are started at once for one signed request, each hoping to release an output.");
    CLO_TRY(demo_request_sign(d, t->loot.agreement, "statistics", &request));
    CLO_TRY(clo_arena_alloc(d->a, 2 * sizeof(clone), &memory));
    clone *clones = memory;
    clo_err e = CLO_OK;
    memset(clones, 0, 2 * sizeof(clone));
    for (size_t i = 0; i < 2; i++) demo_host_prepare(&clones[i].host, &t->loot, request);
    for (size_t i = 0; i < 2 && !clo_failed(e); i++) e = clo_os_thread_start(&clones[i].thread, "clone", run_clone, &clones[i]);
    for (size_t i = 0; i < 2; i++)
        if (clones[i].thread != NULL) clo_os_thread_join(&clones[i].thread);
    CLO_TRY(e);
    for (size_t i = 0; i < 2; i++)
        if (clo_failed(clones[i].err)) return clo_err_again(clones[i].err.code, clones[i].text);
    CLO_CHECKF(clones[0].host.finished != clones[1].host.finished, CLO_E_CONFLICT, "%s of the two clones finished",
               clones[0].host.finished ? "THE ATTACK WORKED: both" : "none");
    const demo_host *loser = clones[0].host.finished ? &clones[1].host : &clones[0].host;
    CLO_TRY(demo_attack_host(t, loser, "run.id"));
    demo_held(d, "exactly one of them finished");
    return CLO_OK;
}
