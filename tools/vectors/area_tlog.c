/* C2SP logs: signed notes, checkpoints, and a tiled log whose every checkpoint, tile and entry bundle is recomputed. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "base/clo_text.h"
#include "vectors.h"
#include "wire/note.h"

/* The published key of tessera's test log, for folders whose notes.json does not name it. */
static const char tessera_vkey[] = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
enum { TILE_WIDTH = 256 };

typedef struct {
    clo_wire_hash hashes[TILE_WIDTH];
    size_t count;
} leaves;

static void judge(clo_vectors_report *r, const char *file, const char *name, bool valid, clo_err e)
{
    if (name == NULL) name = "case";
    if (clo_failed(e) != valid)
        clo_vectors_pass(r);
    else
        clo_vectors_fail(r, file, name, valid ? "accepted" : "refused", valid ? clo_err_text() : "accepted");
}

static bool member_valid(const clo_wire_node *c)
{
    const clo_wire_node *valid = clo_wire_get(c, "valid");
    return valid != NULL && valid->type == CLO_WIRE_BOOL && valid->boolean;
}

static clo_err run_note(clo_arena *a, const clo_wire_node *c)
{
    const char *vkey = clo_vectors_text(c, "vkey"), *text = clo_vectors_text(c, "note"), *origin = clo_vectors_text(c, "origin");
    CLO_CHECK(vkey != NULL && text != NULL, CLO_E_MISSING_FIELD);
    clo_wire_log_policy policy = {.quorum = 0};
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_wire_note), &p));
    CLO_TRY(clo_wire_note_key_parse(vkey, &policy.log));
    CLO_TRY(clo_wire_note_parse(a, clo_span_str(text), p));
    CLO_TRY(clo_wire_note_verify(p, &policy.log, NULL));
    if (origin == NULL) return CLO_OK;
    clo_wire_checkpoint point = {0};
    CLO_TRY(clo_wire_checkpoint_verify(clo_span_str(text), &policy, &point, NULL));
    CLO_CHECKF(strcmp(point.origin, origin) == 0 && point.size == (uint64_t)clo_vectors_int(c, "size", -1), CLO_E_MALFORMED,
               "another origin or size than listed");
    return CLO_OK;
}

static void run_notes(clo_arena *a, const char *dir, clo_vectors_report *r)
{
    clo_wire_node *cases = NULL;
    if (clo_failed(clo_vectors_json(a, dir, "notes.json", &cases))) return;
    for (const clo_wire_node *c = cases->first; c != NULL; c = c->next)
        judge(r, "notes.json", clo_vectors_text(c, "name"), member_valid(c), run_note(a, c));
}

static clo_err run_checkpoint(const char *vkey, const char *text)
{
    CLO_CHECK(vkey != NULL && text != NULL, CLO_E_MISSING_FIELD);
    clo_wire_log_policy policy = {.quorum = 0};
    CLO_TRY(clo_wire_note_key_parse(vkey, &policy.log));
    return clo_wire_checkpoint_verify(clo_span_str(text), &policy, NULL, NULL);
}

static void run_resigned(clo_arena *a, const char *dir, clo_vectors_report *r)
{
    clo_wire_node *root = NULL;
    if (clo_failed(clo_vectors_json(a, dir, "checkpoints-resigned.json", &root))) return;
    const clo_wire_node *cases = clo_wire_get(root, "cases");
    for (const clo_wire_node *c = cases != NULL ? cases->first : NULL; c != NULL; c = c->next)
        judge(r, "checkpoints-resigned.json", clo_vectors_text(c, "name"), member_valid(c),
              run_checkpoint(clo_vectors_text(root, "vkey"), clo_vectors_text(c, "note")));
}

/* Every partial tile must be the beginning of the widest; the widest gives the leaves. */
static clo_err read_tiles(clo_arena *a, const char *dir, leaves *out, clo_vectors_report *r)
{
    const char *folder = NULL, **names = NULL;
    size_t count = 0;
    CLO_TRY(clo_arena_printf(a, &folder, "%s/tile/0/000.p", dir));
    CLO_TRY(clo_vectors_list(a, folder, "", &names, &count));
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            uint64_t width = 0;
            clo_span tile = {0};
            CLO_TRY(clo_vectors_read(a, folder, names[i], &tile));
            bool sound = !clo_failed(clo_u64_parse(&width, clo_span_str(names[i]))) && width >= 1 && width < TILE_WIDTH &&
                         tile.n == width * 32;
            if (pass == 0) {
                if (!sound || width <= out->count) continue;
                memcpy(out->hashes, tile.p, tile.n);
                out->count = (size_t)width;
            } else if (sound && memcmp(out->hashes, tile.p, tile.n) == 0) {
                clo_vectors_pass(r);
            } else {
                clo_vectors_fail(r, "tile/0/000.p", names[i], "the beginning of the widest tile", "something else");
            }
        }
    }
    return CLO_OK;
}

/* be16 length ‖ entry, for each entry of a bundle. */
static clo_err check_bundle(clo_span bundle, const char *name, const leaves *l)
{
    clo_rd rd = clo_rd_init(bundle);
    uint64_t width = 0;
    size_t count = 0;
    CLO_TRY(clo_u64_parse(&width, clo_span_str(name)));
    while (rd.left != 0 && !rd.bad) {
        clo_rd entry = clo_rd_vec16(&rd);
        clo_wire_hash h;
        CLO_CHECKF(!rd.bad && count < l->count, CLO_E_TRUNCATED, "the bundle has another number of entries");
        CLO_TRY(clo_wire_merkle_leaf(clo_span_of(entry.p, entry.left), &h));
        CLO_CHECKF(memcmp(h.b, l->hashes[count].b, sizeof h.b) == 0, CLO_E_MALFORMED, "entry %zu has another hash than the tile",
                   count);
        count++;
    }
    CLO_CHECKF(count == width, CLO_E_MALFORMED, "the bundle has %zu entries", count);
    return CLO_OK;
}

static clo_err read_bundles(clo_arena *a, const char *dir, const leaves *l, clo_vectors_report *r)
{
    const char *folder = NULL, **names = NULL;
    size_t count = 0;
    CLO_TRY(clo_arena_printf(a, &folder, "%s/tile/entries/000.p", dir));
    CLO_TRY(clo_vectors_list(a, folder, "", &names, &count));
    for (size_t i = 0; i < count; i++) {
        clo_span bundle = {0};
        CLO_TRY(clo_vectors_read(a, folder, names[i], &bundle));
        judge(r, "tile/entries/000.p", names[i], true, check_bundle(bundle, names[i], l));
    }
    return CLO_OK;
}

static clo_err get_subtree(void *context, unsigned level, uint64_t index, clo_wire_hash *out)
{
    const leaves *l = context;
    uint64_t first = index << level, count = UINT64_C(1) << level;
    CLO_CHECK(first + count <= l->count, CLO_E_RANGE);
    return clo_wire_merkle_root(&l->hashes[first], count, out);
}

/* The checkpoint is the root of its leaves; each leaf is proved in it, and each smaller tree consistent with it. */
static clo_err check_root(leaves *l, const clo_wire_checkpoint *c)
{
    clo_wire_hash root, path[CLO_MERKLE_PATH_MAX];
    size_t n = 0;
    CLO_CHECKF(c->size <= l->count, CLO_E_RANGE, "the tiles have %zu leaves only", l->count);
    CLO_TRY(clo_wire_merkle_root(l->hashes, c->size, &root));
    CLO_CHECKF(memcmp(root.b, c->root.b, sizeof root.b) == 0, CLO_E_MALFORMED, "the leaves have another root");
    for (uint64_t i = 0; i < c->size; i++) {
        CLO_TRY(clo_wire_merkle_prove_inclusion(i, c->size, get_subtree, l, path, &n));
        CLO_TRY(clo_wire_merkle_inclusion(&l->hashes[i], i, c->size, path, n, &c->root));
        CLO_TRY(clo_wire_merkle_root(l->hashes, i + 1, &root));
        CLO_TRY(clo_wire_merkle_prove_consistency(i + 1, c->size, get_subtree, l, path, &n));
        CLO_TRY(clo_wire_merkle_consistency(i + 1, c->size, path, n, &root, &c->root));
    }
    return CLO_OK;
}

static clo_err check_log_checkpoint(clo_arena *a, const char *dir, const char *name, leaves *l)
{
    clo_wire_log_policy policy = {.quorum = 0};
    clo_wire_checkpoint c = {0};
    clo_span note = {0};
    CLO_TRY(clo_wire_note_key_parse(tessera_vkey, &policy.log));
    CLO_TRY(clo_vectors_read(a, dir, name, &note));
    CLO_TRY(clo_wire_checkpoint_verify(note, &policy, &c, NULL));
    const char *dot = strchr(name, '.');
    uint64_t size = 0;
    if (dot != NULL) {
        CLO_TRY(clo_u64_parse(&size, clo_span_str(dot + 1)));
        CLO_CHECKF(size == c.size, CLO_E_MALFORMED, "another size than its name says");
    }
    return l->count == 0 ? CLO_OK : check_root(l, &c); /* a folder without tiles has signatures only */
}

static clo_err run_log(clo_arena *a, const char *parent, clo_vectors_report *r)
{
    const char *dir = NULL, **names = NULL;
    size_t count = 0;
    leaves l = {.count = 0};
    CLO_TRY(clo_arena_printf(a, &dir, "%s/tessera-log", parent));
    if (clo_failed(clo_vectors_list(a, dir, "", &names, &count))) return CLO_OK;
    if (clo_failed(read_tiles(a, dir, &l, r)) || clo_failed(read_bundles(a, dir, &l, r)))
        clo_vectors_skip(r, "tessera-log", "tiles", "the folder has no tiles");
    for (size_t i = 0; i < count; i++) {
        if (strncmp(names[i], "checkpoint", 10) != 0) continue;
        judge(r, "tessera-log", names[i], true, check_log_checkpoint(a, dir, names[i], &l));
    }
    return CLO_OK;
}

int clo_vectors_tlog(const char *dir, clo_vectors_report *r)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)64 << 20);
    const char **names = NULL;
    size_t count = 0;
    if (clo_failed(clo_vectors_list(&a, dir, "", &names, &count))) return 1;
    run_notes(&a, dir, r);
    run_resigned(&a, dir, r);
    return clo_failed(run_log(&a, dir, r)) ? 1 : 0;
}
