#include "audit/tlog_int.h"

#include "os/file.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MAX = 1 << 28 };

static clo_err level_add(clo_audit_level *l, const clo_wire_hash *h)
{
    if (l->count == l->capacity) {
        uint64_t capacity = l->capacity == 0 ? 64 : l->capacity * 2;
        clo_wire_hash *grown = reallocarray(l->hashes, capacity, sizeof *grown);
        CLO_CHECK(grown != NULL, CLO_E_NOMEM);
        l->hashes = grown;
        l->capacity = capacity;
    }
    l->hashes[l->count++] = *h;
    return CLO_OK;
}

static clo_err entry_room(clo_audit_tree *t)
{
    if (t->size < t->capacity) return CLO_OK;
    uint64_t capacity = t->capacity == 0 ? 64 : t->capacity * 2;
    uint64_t *offsets = reallocarray(t->offsets, capacity, sizeof *offsets);
    CLO_CHECK(offsets != NULL, CLO_E_NOMEM);
    t->offsets = offsets;
    uint32_t *sizes = reallocarray(t->sizes, capacity, sizeof *sizes);
    CLO_CHECK(sizes != NULL, CLO_E_NOMEM);
    t->sizes = sizes;
    t->capacity = capacity;
    return CLO_OK;
}

CLO_R clo_audit_tree_add(clo_audit_tree *t, const clo_wire_hash *leaf, uint64_t offset, uint32_t size)
{
    CLO_CHECKF(t->size < ENTRIES_MAX, CLO_E_TOO_MANY, "the log is full; start a new one");
    CLO_TRY(entry_room(t));
    CLO_TRY(level_add(&t->levels[0], leaf));
    for (unsigned level = 0; t->levels[level].count % 2 == 0; level++) {
        const clo_audit_level *l = &t->levels[level];
        clo_wire_hash parent;
        CLO_TRY(clo_wire_merkle_node(&l->hashes[l->count - 2], &l->hashes[l->count - 1], &parent));
        CLO_TRY(level_add(&t->levels[level + 1], &parent));
    }
    t->offsets[t->size] = offset;
    t->sizes[t->size] = size;
    t->size++;
    return CLO_OK;
}

clo_err clo_audit_tree_get(void *tree, unsigned level, uint64_t index, clo_wire_hash *out)
{
    const clo_audit_tree *t = tree;
    CLO_CHECK(level < LEVELS && index < t->levels[level].count, CLO_E_NOT_FOUND);
    *out = t->levels[level].hashes[index];
    return CLO_OK;
}

void clo_audit_tree_free(clo_audit_tree *t)
{
    for (size_t i = 0; i < LEVELS; i++) free(t->levels[i].hashes);
    free(t->offsets);
    free(t->sizes);
    memset(t, 0, sizeof *t);
}

CLO_R clo_audit_journal_load(int fd, clo_audit_tree *tree, uint64_t *good)
{
    uint64_t size = 0, at = 0;
    CLO_TRY(clo_os_file_size_fd(fd, &size));
    uint8_t *record = malloc(CLO_AUDIT_ENTRY_MAX + RECORD_EXTRA);
    CLO_CHECK(record != NULL, CLO_E_NOMEM);
    clo_err e = CLO_OK;
    while (!clo_failed(e) && size - at >= RECORD_EXTRA) {
        e = clo_os_file_pread(fd, at, record, 4);
        if (clo_failed(e)) break;
        uint32_t n = (uint32_t)record[0] << 24 | (uint32_t)record[1] << 16 | (uint32_t)record[2] << 8 | record[3];
        if (n > CLO_AUDIT_ENTRY_MAX || size - at - RECORD_EXTRA < n) break; /* torn */
        e = clo_os_file_pread(fd, at + 4, record, (size_t)n + 32);
        clo_wire_hash leaf;
        if (!clo_failed(e)) e = clo_wire_merkle_leaf(clo_span_of(record, n), &leaf);
        if (clo_failed(e) || memcmp(leaf.b, record + n, 32) != 0) break; /* torn or altered: the caller compares with the checkpoint */
        e = clo_audit_tree_add(tree, &leaf, at + 4, n);
        at += RECORD_EXTRA + (uint64_t)n;
    }
    free(record);
    *good = at;
    return e;
}

CLO_R clo_audit_journal_record(clo_buf *group, clo_span data, const clo_wire_hash *leaf)
{
    size_t before = group->len;
    clo_err e = clo_buf_put_u32be(group, (uint32_t)data.n);
    if (!clo_failed(e)) e = clo_buf_put_span(group, data);
    if (!clo_failed(e)) e = clo_buf_put(group, leaf->b, sizeof leaf->b);
    if (clo_failed(e)) group->len = before;
    return e;
}
