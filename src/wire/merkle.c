/* Merkle trees of RFC 6962 and RFC 9162: hashes, roots and proofs, and checking proofs. */
#include "wire/merkle.h"

#include "crypto/hash.h"

clo_err clo_wire_merkle_leaf(clo_span data, clo_wire_hash *out)
{
    clo_crypto_hasher *h = NULL;
    static const uint8_t prefix = 0;
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA256));
    clo_err e = clo_crypto_hasher_put(h, clo_span_of(&prefix, 1));
    if (!clo_failed(e)) e = clo_crypto_hasher_put(h, data);
    if (!clo_failed(e)) e = clo_crypto_hasher_end(h, out->b);
    clo_crypto_hasher_free(&h);
    return e;
}

clo_err clo_wire_merkle_node(const clo_wire_hash *left, const clo_wire_hash *right, clo_wire_hash *out)
{
    uint8_t both[65];
    both[0] = 1;
    memcpy(both + 1, left->b, 32);
    memcpy(both + 33, right->b, 32);
    return clo_crypto_sha256(clo_span_of(both, sizeof both), out->b);
}

static bool same(const clo_wire_hash *a, const clo_wire_hash *b) { return memcmp(a->b, b->b, sizeof a->b) == 0; }

clo_err clo_wire_merkle_range_add(clo_wire_merkle_range *r, const clo_wire_hash *leaf)
{
    CLO_CHECKF(r->count < UINT64_MAX, CLO_E_TOO_MANY, "the tree is full");
    clo_wire_hash h = *leaf;
    unsigned level = 0;
    for (; (r->count >> level & 1) != 0; level++) CLO_TRY(clo_wire_merkle_node(&r->stack[level], &h, &h));
    r->stack[level] = h;
    r->count++;
    return CLO_OK;
}

clo_err clo_wire_merkle_range_root(const clo_wire_merkle_range *r, clo_wire_hash *out)
{
    if (r->count == 0) return clo_crypto_sha256(clo_span_of("", 0), out->b);
    clo_wire_hash h = {{0}};
    bool have = false;
    for (unsigned level = 0; level < CLO_MERKLE_PATH_MAX; level++) {
        if ((r->count >> level & 1) == 0) continue;
        if (have)
            CLO_TRY(clo_wire_merkle_node(&r->stack[level], &h, &h));
        else
            h = r->stack[level];
        have = true;
    }
    *out = h;
    return CLO_OK;
}

clo_err clo_wire_merkle_root(const clo_wire_hash *leaves, uint64_t count, clo_wire_hash *out)
{
    clo_wire_merkle_range r = {0};
    for (uint64_t i = 0; i < count; i++) CLO_TRY(clo_wire_merkle_range_add(&r, &leaves[i]));
    return clo_wire_merkle_range_root(&r, out);
}

static clo_err not_proved(const char *claim)
{
    return CLO_DENY(CLO_E_DENIED, claim, "a path that leads to the root", "a path that does not", "RFC 9162 §2.1",
                    "fetch the proof again; if it fails again, the log or the file was altered");
}

clo_err clo_wire_merkle_inclusion(const clo_wire_hash *leaf, uint64_t index, uint64_t size, const clo_wire_hash *path,
                                  size_t path_count, const clo_wire_hash *root)
{
    CLO_CHECKF(index < size, CLO_E_RANGE, "leaf %llu is beyond the tree of %llu leaves", (unsigned long long)index,
               (unsigned long long)size);
    uint64_t fn = index, sn = size - 1; /* RFC 9162 §2.1.3.2 */
    clo_wire_hash r = *leaf;
    for (size_t i = 0; i < path_count; i++) {
        if (sn == 0) return not_proved("log.inclusion");
        if ((fn & 1) != 0 || fn == sn) {
            CLO_TRY(clo_wire_merkle_node(&path[i], &r, &r));
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            CLO_TRY(clo_wire_merkle_node(&r, &path[i], &r));
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && same(&r, root) ? CLO_OK : not_proved("log.inclusion");
}

clo_err clo_wire_merkle_inclusion_parts(const clo_wire_hash *leaf, uint64_t index, uint64_t size, const clo_wire_hash *path,
                                        size_t path_count, clo_wire_merkle_part parts[CLO_MERKLE_PARTS_MAX], size_t *count)
{
    CLO_CHECKF(index < size && path_count <= CLO_MERKLE_PATH_MAX, CLO_E_RANGE, "leaf %llu is beyond the tree of %llu leaves",
               (unsigned long long)index, (unsigned long long)size);
    /* Down from the root: where the way goes, and what is left beside it (RFC 9162 §2.1.3.1). */
    clo_wire_merkle_part on_way[CLO_MERKLE_PATH_MAX + 1] = {{.start = 0, .end = size}}, beside[CLO_MERKLE_PATH_MAX];
    size_t depth = 0;
    for (uint64_t start = 0, end = size; end - start > 1; depth++) {
        if (depth == path_count) return not_proved("log.inclusion");
        uint64_t middle = start + (UINT64_C(1) << (63 - __builtin_clzll(end - start - 1)));
        bool left = index < middle;
        beside[depth] = (clo_wire_merkle_part){.start = left ? middle : start, .end = left ? end : middle, .hash = path[path_count - 1 - depth]};
        if (left) end = middle;
        else start = middle;
        on_way[depth + 1] = (clo_wire_merkle_part){.start = start, .end = end};
    }
    if (depth != path_count) return not_proved("log.inclusion");
    on_way[depth].hash = *leaf;
    for (size_t i = depth; i > 0; i--) {
        bool left = on_way[i].start < beside[i - 1].start;
        CLO_TRY(clo_wire_merkle_node(left ? &on_way[i].hash : &beside[i - 1].hash, left ? &beside[i - 1].hash : &on_way[i].hash, &on_way[i - 1].hash));
    }
    memcpy(parts, on_way, (depth + 1) * sizeof *parts);
    memcpy(parts + depth + 1, beside, depth * sizeof *parts);
    *count = 2 * depth + 1;
    return CLO_OK;
}

clo_err clo_wire_merkle_consistency(uint64_t size1, uint64_t size2, const clo_wire_hash *path, size_t path_count,
                                    const clo_wire_hash *root1, const clo_wire_hash *root2)
{
    CLO_CHECKF(size1 <= size2, CLO_E_RANGE, "the tree shrank from %llu to %llu leaves", (unsigned long long)size1,
               (unsigned long long)size2);
    CLO_CHECKF(size1 > 0, CLO_E_RANGE, "consistency with an empty tree proves nothing; compare the trees themselves");
    if (size1 == size2) return path_count == 0 && same(root1, root2) ? CLO_OK : not_proved("log.consistency");
    return clo_wire_merkle_subtree_consistency(0, size1, size2, path, path_count, root1, root2);
}

clo_err clo_wire_merkle_subtree_inclusion(const clo_wire_hash *leaf, uint64_t index, uint64_t start, uint64_t end,
                                          const clo_wire_hash *path, size_t path_count, const clo_wire_hash *root)
{
    CLO_TRY(clo_wire_merkle_subtree_check(start, end));
    CLO_CHECKF(index >= start && index < end, CLO_E_RANGE, "leaf %llu is not in the subtree", (unsigned long long)index);
    return clo_wire_merkle_inclusion(leaf, index - start, end - start, path, path_count, root);
}

clo_err clo_wire_merkle_subtree_check(uint64_t start, uint64_t end)
{
    CLO_CHECKF(start < end, CLO_E_RANGE, "the subtree from %llu to %llu is empty", (unsigned long long)start,
               (unsigned long long)end);
    uint64_t size = end - start, power = 1;
    while (power < size && power < UINT64_C(1) << 63) power <<= 1;
    CLO_CHECKF(power >= size && start % power == 0, CLO_E_RANGE, "%llu to %llu is no subtree of a log", (unsigned long long)start,
               (unsigned long long)end);
    return CLO_OK;
}

clo_err clo_wire_merkle_subtree_consistency(uint64_t start, uint64_t end, uint64_t size, const clo_wire_hash *path,
                                            size_t path_count, const clo_wire_hash *root1, const clo_wire_hash *root2)
{
    if (start == end && end <= size) {
        clo_wire_hash empty;
        CLO_TRY(clo_wire_merkle_root(NULL, 0, &empty));
        return path_count == 0 && same(root1, &empty) ? CLO_OK : not_proved("log.consistency");
    }
    CLO_TRY(clo_wire_merkle_subtree_check(start, end));
    CLO_CHECKF(end <= size, CLO_E_RANGE, "the subtree ends beyond the tree of %llu leaves", (unsigned long long)size);
    uint64_t fn = start, sn = end - 1, tn = size - 1;
    if (sn == tn) {
        /* The subtree is the right edge of the tree: go up while it is a whole part of it. */
        while (fn != sn) {
            fn >>= 1;
            sn >>= 1;
            tn >>= 1;
        }
    } else {
        while (fn != sn && (sn & 1) != 0) {
            fn >>= 1;
            sn >>= 1;
            tn >>= 1;
        }
    }
    size_t at = 0;
    clo_wire_hash first, second;
    if (fn == sn) {
        first = *root1; /* the subtree is one node of the tree: its hash is not repeated in the path */
    } else {
        if (path_count == 0) return not_proved("log.consistency");
        first = path[at++];
    }
    second = first;
    for (; at < path_count; at++) {
        if (tn == 0) return not_proved("log.consistency");
        if ((sn & 1) != 0 || sn == tn) {
            if (fn < sn) CLO_TRY(clo_wire_merkle_node(&path[at], &first, &first));
            CLO_TRY(clo_wire_merkle_node(&path[at], &second, &second));
            while ((sn & 1) == 0 && sn != 0) {
                fn >>= 1;
                sn >>= 1;
                tn >>= 1;
            }
        } else {
            CLO_TRY(clo_wire_merkle_node(&second, &path[at], &second));
        }
        fn >>= 1;
        sn >>= 1;
        tn >>= 1;
    }
    return tn == 0 && same(&first, root1) && same(&second, root2) ? CLO_OK : not_proved("log.consistency");
}
