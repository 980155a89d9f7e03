/* transparency-dev/merkle: inclusion and consistency proofs of whole trees and of subtrees. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "vectors.h"
#include "wire/json.h"
#include "wire/merkle.h"

typedef struct {
    clo_wire_hash path[CLO_MERKLE_PATH_MAX];
    size_t count;
} proof;

/* Numbers of 19 digits and more may be beyond int64: they are put in quotes, and read as text. */
static clo_err quote_large_numbers(clo_span in, clo_buf *out)
{
    bool in_text = false;
    for (size_t i = 0; i < in.n;) {
        size_t n = 0;
        while (!in_text && i + n < in.n && in.p[i + n] >= '0' && in.p[i + n] <= '9') n++;
        if (n >= 19) CLO_TRY(clo_buf_put_u8(out, '"'));
        if (in.p[i] == '"') in_text = !in_text;
        size_t run = n == 0 ? 1 : n;
        if (in_text && in.p[i] == '\\' && i + 1 < in.n) run = 2;
        CLO_TRY(clo_buf_put(out, in.p + i, run));
        if (n >= 19) CLO_TRY(clo_buf_put_u8(out, '"'));
        i += run;
    }
    return CLO_OK;
}

static clo_err read_number(const clo_wire_node *map, const char *key, uint64_t *out)
{
    const clo_wire_node *n = clo_wire_get(map, key);
    CLO_CHECK(n != NULL, CLO_E_MISSING_FIELD);
    if (n->type == CLO_WIRE_TEXT) return clo_u64_parse(out, n->text);
    CLO_CHECK(n->type == CLO_WIRE_INT && n->integer >= 0, CLO_E_RANGE);
    *out = (uint64_t)n->integer;
    return CLO_OK;
}

static clo_err read_hash(const clo_wire_node *n, clo_wire_hash *out)
{
    CLO_CHECK(n != NULL && n->type == CLO_WIRE_TEXT, CLO_E_MALFORMED);
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 4096);
    CLO_TRY(clo_base64_decode(&b, n->text));
    CLO_CHECKF(b.len == sizeof out->b, CLO_E_MALFORMED, "a hash has %zu bytes, not 32", b.len);
    memcpy(out->b, b.p, sizeof out->b);
    return CLO_OK;
}

static clo_err read_proof(const clo_wire_node *list, proof *out)
{
    if (list == NULL || list->type != CLO_WIRE_ARRAY) return CLO_OK; /* null: empty */
    CLO_CHECK(list->count <= CLO_MERKLE_PATH_MAX, CLO_E_TOO_MANY);
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        CLO_TRY(read_hash(n, &out->path[out->count]));
        out->count++;
    }
    return CLO_OK;
}

static clo_err run_inclusion(const clo_wire_node *c, bool subtree)
{
    uint64_t index = 0, start = 0, end = 0;
    clo_wire_hash leaf, root;
    proof p = {.count = 0};
    CLO_TRY(read_number(c, "leafIdx", &index));
    if (subtree) CLO_TRY(read_number(c, "start", &start));
    CLO_TRY(read_number(c, subtree ? "end" : "treeSize", &end));
    CLO_TRY(read_hash(clo_wire_get(c, "leafHash"), &leaf));
    CLO_TRY(read_hash(clo_wire_get(c, "root"), &root));
    CLO_TRY(read_proof(clo_wire_get(c, "proof"), &p));
    return subtree ? clo_wire_merkle_subtree_inclusion(&leaf, index, start, end, p.path, p.count, &root)
                   : clo_wire_merkle_inclusion(&leaf, index, end, p.path, p.count, &root);
}

static clo_err run_consistency(const clo_wire_node *c, bool subtree)
{
    uint64_t start = 0, end = 0, size = 0;
    clo_wire_hash root1, root2;
    proof p = {.count = 0};
    if (subtree) CLO_TRY(read_number(c, "start", &start));
    CLO_TRY(read_number(c, subtree ? "end" : "size1", &end));
    CLO_TRY(read_number(c, subtree ? "size" : "size2", &size));
    CLO_TRY(read_hash(clo_wire_get(c, "root1"), &root1));
    clo_err e = read_hash(clo_wire_get(c, "root2"), &root2);
    if (clo_failed(e) && !(subtree && start == end)) return e; /* nothing is said about the tree of an empty subtree */
    if (clo_failed(e)) root2 = root1;
    CLO_TRY(read_proof(clo_wire_get(c, "proof"), &p));
    return subtree ? clo_wire_merkle_subtree_consistency(start, end, size, p.path, p.count, &root1, &root2)
                   : clo_wire_merkle_consistency(end, size, p.path, p.count, &root1, &root2);
}

static clo_err read_cases(clo_arena *a, const char *dir, const char *file, clo_wire_node **out)
{
    clo_span text = {0};
    CLO_TRY(clo_vectors_read(a, dir, file, &text));
    CLO_AUTO(clo_buf_free) clo_buf quoted;
    clo_buf_init(&quoted, (size_t)128 << 20);
    CLO_TRY(quote_large_numbers(text, &quoted));
    return clo_wire_json_decode(a, clo_buf_span(&quoted), out);
}

int clo_vectors_merkle(const char *dir, clo_vectors_report *r)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)256 << 20);
    const char **names = NULL;
    size_t count = 0;
    if (clo_failed(clo_vectors_list(&a, dir, ".json", &names, &count))) return 1;
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *cases = NULL;
        if (clo_failed(read_cases(&a, dir, names[i], &cases)) || cases->type != CLO_WIRE_ARRAY) {
            clo_vectors_fail(r, names[i], "file", "a list of cases", clo_err_text());
            continue;
        }
        bool subtree = strncmp(names[i], "subtree", 7) == 0, inclusion = strstr(names[i], "inclusion") != NULL;
        for (const clo_wire_node *c = cases->first; c != NULL; c = c->next) {
            const char *name = clo_vectors_text(c, "name");
            const clo_wire_node *wanted = clo_wire_get(c, "wantErr");
            bool must_fail = wanted != NULL && wanted->boolean;
            clo_err e = inclusion ? run_inclusion(c, subtree) : run_consistency(c, subtree);
            if (clo_failed(e) == must_fail)
                clo_vectors_pass(r);
            else
                clo_vectors_fail(r, names[i], name != NULL ? name : "case", must_fail ? "refused" : "accepted",
                                 must_fail ? "accepted" : clo_err_text());
        }
    }
    return 0;
}
