/* Making Merkle proofs and roots from the hashes of complete subtrees (which is what tiles hold). */
#include "wire/merkle.h"

typedef struct {
    clo_wire_merkle_get get;
    void *context;
    clo_wire_hash path[CLO_MERKLE_PATH_MAX]; /* from the root down */
    size_t count;
} prover;

/* MTH of the leaves [start, start + count), where start is a multiple of the largest power of two in count. */
static clo_err range_hash(const prover *p, uint64_t start, uint64_t count, clo_wire_hash *out)
{
    clo_wire_hash h = {{0}}, left;
    bool have = false;
    for (unsigned level = 0; level < 64 && count >> level != 0; level++) {
        if ((count >> level & 1) == 0) continue;
        uint64_t before = (count >> level) - 1; /* complete subtrees of this level to the left, within the range */
        CLO_TRY(p->get(p->context, level, (start >> level) + before, have ? &left : &h));
        if (have) CLO_TRY(clo_wire_merkle_node(&left, &h, &h));
        have = true;
    }
    *out = h;
    return CLO_OK;
}

/* The largest power of two below n >= 2. */
static uint64_t split(uint64_t n) { return UINT64_C(1) << (63 - __builtin_clzll(n - 1)); }

static clo_err push(prover *p, uint64_t start, uint64_t count)
{
    CLO_CHECK(p->count < CLO_MERKLE_PATH_MAX, CLO_E_BUG);
    CLO_TRY(range_hash(p, start, count, &p->path[p->count]));
    p->count++;
    return CLO_OK;
}

static void hand_over(const prover *p, clo_wire_hash *path, size_t *path_count)
{
    for (size_t i = 0; i < p->count; i++) path[i] = p->path[p->count - 1 - i];
    *path_count = p->count;
}

static clo_err check_size(uint64_t size)
{
    CLO_CHECKF(size <= UINT64_C(1) << 63, CLO_E_RANGE, "a tree of %llu leaves is too large", (unsigned long long)size);
    return CLO_OK;
}

clo_err clo_wire_merkle_prove_inclusion(uint64_t index, uint64_t size, clo_wire_merkle_get get, void *context,
                                        clo_wire_hash *path, size_t *path_count)
{
    CLO_TRY(check_size(size));
    CLO_CHECKF(index < size, CLO_E_RANGE, "leaf %llu is beyond the tree of %llu leaves", (unsigned long long)index,
               (unsigned long long)size);
    prover p = {.get = get, .context = context};
    uint64_t start = 0, count = size;
    while (count > 1) {
        uint64_t k = split(count);
        if (index - start < k) {
            CLO_TRY(push(&p, start + k, count - k));
            count = k;
        } else {
            CLO_TRY(push(&p, start, k));
            start += k;
            count -= k;
        }
    }
    hand_over(&p, path, path_count);
    return CLO_OK;
}

clo_err clo_wire_merkle_prove_consistency(uint64_t size1, uint64_t size2, clo_wire_merkle_get get, void *context,
                                          clo_wire_hash *path, size_t *path_count)
{
    CLO_TRY(check_size(size2));
    CLO_CHECKF(size1 <= size2, CLO_E_RANGE, "the tree shrank from %llu to %llu leaves", (unsigned long long)size1,
               (unsigned long long)size2);
    prover p = {.get = get, .context = context};
    uint64_t start = 0, count = size2, m = size1;
    while (m != 0 && m != count) {
        uint64_t k = split(count);
        if (m <= k) {
            CLO_TRY(push(&p, start + k, count - k));
            count = k;
        } else {
            CLO_TRY(push(&p, start, k));
            start += k;
            count -= k;
            m -= k;
        }
    }
    if (start != 0) CLO_TRY(push(&p, start, count)); /* the old tree's right edge, which is not its whole */
    hand_over(&p, path, path_count);
    return CLO_OK;
}

clo_err clo_wire_merkle_root_of(uint64_t size, clo_wire_merkle_get get, void *context, clo_wire_hash *out)
{
    CLO_TRY(check_size(size));
    if (size == 0) return clo_wire_merkle_root(NULL, 0, out);
    prover p = {.get = get, .context = context};
    return range_hash(&p, 0, size, out);
}
