#include "audit/witness.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "os/file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOGS_MAX = 64, BODY_MAX = 128 * 1024 };

typedef struct {
    clo_wire_note_key key;
    char path[700];
    uint64_t size;
    clo_wire_hash root;
} known_log;

struct clo_audit_witness {
    char directory[512], name[256];
    clo_crypto_private_key sk;
    const clo_os_clock *clock;
    pthread_mutex_t lock; /* guards logs; held over the state file's write so that two requests cannot both extend one size */
    size_t count;
    known_log logs[LOGS_MAX];
};

CLO_R clo_audit_witness_open(clo_audit_witness **out, const char *directory, const char *name, const clo_crypto_private_key *sk,
                             const clo_os_clock *clock)
{
    clo_audit_witness *w = calloc(1, sizeof *w);
    CLO_CHECK(w != NULL, CLO_E_NOMEM);
    (void)pthread_mutex_init(&w->lock, NULL);
    w->sk = *sk;
    w->clock = clock;
    clo_err e = clo_str_set(w->directory, sizeof w->directory, clo_span_str(directory));
    if (!clo_failed(e)) e = clo_str_set(w->name, sizeof w->name, clo_span_str(name));
    if (!clo_failed(e)) e = clo_os_dir_make(directory);
    if (!clo_failed(e)) e = clo_os_dir_sweep(directory);
    if (clo_failed(e)) {
        clo_audit_witness_close(&w);
        return e;
    }
    *out = w;
    return CLO_OK;
}

void clo_audit_witness_close(clo_audit_witness **w)
{
    if (*w == NULL) return;
    clo_crypto_private_key_wipe(&(*w)->sk);
    (void)pthread_mutex_destroy(&(*w)->lock);
    free(*w);
    *w = NULL;
}

/* The state file is the body of the last checkpoint that was cosigned. */
static clo_err load_state(known_log *l)
{
    if (!clo_os_file_exists(l->path)) return CLO_OK;
    CLO_AUTO(clo_buf_free) clo_buf body;
    clo_buf_init(&body, CLO_NOTE_MAX);
    CLO_TRY(clo_os_file_read(l->path, CLO_NOTE_MAX, &body));
    clo_wire_checkpoint c;
    CLO_TRY(clo_wire_checkpoint_parse(clo_buf_span(&body), &c));
    CLO_CHECKF(strcmp(c.origin, l->key.name) == 0, CLO_E_CONFLICT, "%s is the state of the log %.100s, not of %.100s", l->path, c.origin, l->key.name);
    l->size = c.size;
    l->root = c.root;
    return CLO_OK;
}

/* The whole key and its name: a key id of four bytes can be ground. */
static bool same_log(const clo_wire_note_key *a, const clo_wire_note_key *b)
{
    return strcmp(a->name, b->name) == 0 && clo_crypto_public_key_equal(&a->key, &b->key);
}

/* Its state is in the file named by its key's digest. */
static clo_err known_log_open(const clo_audit_witness *w, known_log *l, const clo_wire_note_key *key)
{
    uint8_t digest[32];
    char id[65], file[80];
    *l = (known_log){.key = *key};
    CLO_TRY(clo_crypto_sha256(clo_crypto_public_key_span(&key->key), digest));
    clo_hex_encode(id, clo_span_of(digest, sizeof digest));
    (void)snprintf(file, sizeof file, "log-%s", id);
    CLO_TRY(clo_os_path_join(l->path, sizeof l->path, w->directory, file));
    return load_state(l);
}

CLO_R clo_audit_witness_add_log(clo_audit_witness *w, const clo_wire_note_key *key)
{
    (void)pthread_mutex_lock(&w->lock);
    clo_err e = CLO_OK;
    size_t i = 0;
    while (i < w->count && !same_log(&w->logs[i].key, key)) i++;
    if (i == LOGS_MAX)
        e = CLO_FAILF(CLO_E_TOO_MANY, "a witness knows at most %d logs", LOGS_MAX);
    else if (i == w->count) {
        e = known_log_open(w, &w->logs[i], key);
        if (!clo_failed(e)) w->count++;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return e;
}

typedef struct {
    uint64_t old_size;
    size_t count;
    clo_wire_hash path[CLO_MERKLE_PATH_MAX];
    clo_span note;
} add_request;

static clo_span take_line(clo_span *rest)
{
    const uint8_t *end = rest->n == 0 ? NULL : memchr(rest->p, '\n', rest->n);
    if (end == NULL) return clo_span_of(NULL, 0);
    clo_span line = clo_span_of(rest->p, (size_t)(end - rest->p));
    *rest = clo_span_of(end + 1, rest->n - line.n - 1);
    return line;
}

static clo_err parse_request(clo_span body, add_request *out)
{
    clo_span line = take_line(&body);
    CLO_CHECK(line.n > 4 && memcmp(line.p, "old ", 4) == 0, CLO_E_MALFORMED);
    CLO_TRY(clo_u64_parse(&out->old_size, clo_span_of(line.p + 4, line.n - 4)));
    for (line = take_line(&body); line.n > 0; line = take_line(&body)) {
        CLO_CHECK(out->count < CLO_MERKLE_PATH_MAX, CLO_E_TOO_MANY);
        CLO_AUTO(clo_buf_free) clo_buf hash;
        clo_buf_init(&hash, 64);
        CLO_TRY(clo_base64_decode(&hash, line));
        CLO_CHECK(hash.len == 32, CLO_E_MALFORMED);
        memcpy(out->path[out->count++].b, hash.p, 32);
    }
    CLO_CHECK(line.p != NULL && body.n > 0, CLO_E_TRUNCATED);
    out->note = body;
    return CLO_OK;
}

/* Decide about a well-formed, correctly signed checkpoint. Lock held. */
static clo_err extend(clo_audit_witness *w, known_log *l, const add_request *r, const clo_wire_checkpoint *c, clo_span body, unsigned *status,
                      clo_buf *lines)
{
    if (r->old_size != l->size) {
        *status = 409;
        return clo_buf_printf(lines, "%llu\n", (unsigned long long)l->size);
    }
    bool consistent = c->size >= l->size;
    if (consistent && l->size == 0)
        consistent = r->count == 0;
    else if (consistent)
        consistent = !clo_failed(clo_wire_merkle_consistency(l->size, c->size, r->path, r->count, &l->root, &c->root));
    if (!consistent) {
        *status = 422;
        return CLO_OK;
    }
    CLO_TRY(clo_os_file_write_atomic(l->path, body, 0600));
    l->size = c->size;
    l->root = c->root;
    *status = 200;
    int64_t now = clo_os_clock_wall(w->clock);
    return clo_wire_note_cosign(body, w->name, &w->sk, now > 0 ? (uint64_t)now : 0, lines);
}

CLO_R clo_audit_witness_add_checkpoint(clo_audit_witness *w, clo_span body, unsigned *status, clo_buf *lines)
{
    *status = 400;
    add_request r = {0};
    if (body.n > BODY_MAX || clo_failed(parse_request(body, &r))) return CLO_OK;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 256 * 1024);
    clo_wire_note note;
    clo_wire_checkpoint c;
    if (clo_failed(clo_wire_note_parse(&a, r.note, &note)) || clo_failed(clo_wire_checkpoint_parse(note.body, &c))) return CLO_OK;
    (void)pthread_mutex_lock(&w->lock);
    clo_err e = CLO_OK;
    *status = 404;
    for (size_t i = 0; i < w->count; i++) {
        if (strcmp(w->logs[i].key.name, c.origin) != 0) continue;
        *status = 403;
        if (clo_failed(clo_wire_note_verify(&note, &w->logs[i].key, NULL))) continue;
        e = extend(w, &w->logs[i], &r, &c, note.body, status, lines);
        break;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return e;
}

CLO_R clo_audit_witness_request(uint64_t old_size, const clo_wire_hash *path, size_t count, clo_span note, clo_buf *out)
{
    CLO_TRY(clo_buf_printf(out, "old %llu\n", (unsigned long long)old_size));
    for (size_t i = 0; i < count; i++) {
        CLO_TRY(clo_base64_encode(out, clo_span_of(path[i].b, 32)));
        CLO_TRY(clo_buf_put_u8(out, '\n'));
    }
    CLO_TRY(clo_buf_put_u8(out, '\n'));
    return clo_buf_put_span(out, note);
}
