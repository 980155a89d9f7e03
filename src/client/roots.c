/* Trust anchors of an offline verifier, from a directory: log.policy, *.der, *.party. */
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "client/home.h"
#include "crypto/hash.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

enum { ANCHOR_MAX = 65536, WORDS_MAX = 16 };

typedef struct {
    const char *dir;
    clo_collab_roots *roots;
    char names[8][64]; /* of witnesses */
} loading;

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

/* Split in place at single spaces. */
static size_t split(char *line, char *words[WORDS_MAX])
{
    size_t count = 0;
    while (*line != 0 && count < WORDS_MAX) {
        words[count++] = line;
        char *space = strchr(line, ' ');
        if (space == NULL) break;
        *space = 0;
        line = space + 1;
    }
    return count;
}

static clo_err take_line(loading *l, char *line)
{
    char *w[WORDS_MAX];
    clo_wire_log_policy *p = &l->roots->log;
    if (line[0] == 0 || line[0] == '#') return CLO_OK;
    size_t n = split(line, w);
    if (strcmp(w[0], "log") == 0 && n >= 2) {
        CLO_CHECKF(!l->roots->have_log, CLO_E_DUPLICATE, "only one log may be named");
        l->roots->have_log = true;
        return clo_wire_note_key_parse(w[1], &p->log);
    }
    if (strcmp(w[0], "witness") == 0 && n >= 3) {
        CLO_CHECKF(p->witness_count < sizeof p->witnesses / sizeof p->witnesses[0], CLO_E_TOO_MANY,
                   "at most 8 witnesses may be named");
        CLO_TRY(clo_str_set(l->names[p->witness_count], sizeof l->names[0], clo_span_str(w[1])));
        return clo_wire_note_key_parse(w[2], &p->witnesses[p->witness_count++]);
    }
    if (strcmp(w[0], "group") == 0 && n >= 3) {
        uint64_t k = 0;
        CLO_CHECKF(n - 3 == p->witness_count, CLO_E_UNSUPPORTED, "the one group must name every witness");
        if (strcmp(w[2], "all") == 0)
            k = p->witness_count;
        else if (strcmp(w[2], "any") == 0)
            k = 1;
        else
            CLO_TRY(clo_u64_parse(&k, clo_span_str(w[2])));
        CLO_CHECKF(k >= 1 && k <= p->witness_count, CLO_E_RANGE, "the group's threshold is out of range");
        p->quorum = (size_t)k;
        return CLO_OK;
    }
    if (strcmp(w[0], "quorum") == 0 && n == 2) return CLO_OK;
    return CLO_FAILF(CLO_E_MALFORMED, "\"%.40s\" is not understood; lines are log, witness, group, quorum", w[0]);
}

static clo_err take_log_policy(loading *l, char *text)
{
    unsigned number = 1;
    while (text != NULL) {
        char *end = strchr(text, '\n');
        if (end != NULL) *end = 0;
        clo_err e = take_line(l, text);
        if (clo_failed(e)) {
            char place[40];
            (void)snprintf(place, sizeof place, "log.policy line %u", number);
            return clo_err_prefix(e, place);
        }
        text = end == NULL ? NULL : end + 1;
        number++;
    }
    CLO_CHECKF(l->roots->have_log, CLO_E_MISSING_FIELD, "log.policy names no log");
    return CLO_OK;
}

static clo_err take_entry(void *context, const char *name, bool is_directory)
{
    loading *l = context;
    clo_collab_roots *r = l->roots;
    bool policy = strcmp(name, "log.policy") == 0, der = ends_with(name, ".der"), party = ends_with(name, ".party");
    if (is_directory || (!policy && !der && !party)) return CLO_OK;
    char path[CLO_CLIENT_PATH];
    CLO_TRY(clo_os_path_join(path, sizeof path, l->dir, name));
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, ANCHOR_MAX + 1);
    CLO_TRY(clo_os_file_read(path, ANCHOR_MAX, &bytes));
    if (policy) {
        CLO_TRY(clo_buf_put_u8(&bytes, 0));
        return take_log_policy(l, (char *)bytes.p);
    }
    if (der) {
        CLO_CHECKF(r->tee_root_count < sizeof r->tee_roots / sizeof r->tee_roots[0], CLO_E_TOO_MANY,
                   "%s holds more than 8 TEE roots", l->dir);
        return clo_crypto_sha256(clo_buf_span(&bytes), r->tee_roots[r->tee_root_count++]);
    }
    CLO_CHECKF(r->party_count < CLO_PARTIES_MAX, CLO_E_TOO_MANY, "%s holds more than %d parties", l->dir, CLO_PARTIES_MAX);
    clo_err e = clo_collab_party_decode(clo_buf_span(&bytes), &r->parties[r->party_count]);
    if (clo_failed(e)) return clo_err_prefix(e, path);
    r->party_count++;
    return CLO_OK;
}

clo_err clo_client_roots_load(const clo_client_home *h, const char *dir, clo_collab_roots *out)
{
    char path[CLO_CLIENT_PATH];
    bool given = dir != NULL;
    if (dir == NULL) {
        CLO_TRY(clo_client_home_path(h, NULL, "roots", path));
        dir = path;
    }
    memset(out, 0, sizeof *out);
    if (!clo_os_dir_exists(dir)) {
        CLO_CHECKF(!given, CLO_E_NOT_FOUND, "there is no directory %s; give the one with your roots", dir);
        return CLO_OK;
    }
    loading l;
    memset(&l, 0, sizeof l);
    l.dir = dir;
    l.roots = out;
    clo_err e = clo_os_dir_list(dir, take_entry, &l);
    if (clo_failed(e)) memset(out, 0, sizeof *out);
    return e;
}
