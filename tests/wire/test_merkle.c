/* Proves that roots, inclusion and consistency proofs of every tree up to 70 leaves verify, agree with the definition of RFC 9162
 * written as a recursion, and fail when index, size, root or any hash is changed. */
#include "cmocka_all.h"

#include <string.h>

#include "wire/merkle.h"

enum { LEAVES = 70 };
static clo_wire_hash leaves[LEAVES];

/* MTH of RFC 9162 §2.1.1, as it stands there. */
static clo_wire_hash definition(size_t start, size_t count)
{
    clo_wire_hash h, left, right;
    if (count == 1) return leaves[start];
    size_t k = 1;
    while (k * 2 < count) k *= 2;
    left = definition(start, k);
    right = definition(start + k, count - k);
    assert_int_equal(clo_wire_merkle_node(&left, &right, &h).code, 0);
    return h;
}

static clo_err get(void *context, unsigned level, uint64_t index, clo_wire_hash *out)
{
    (void)context;
    assert_true((index + 1) << level <= LEAVES); /* only complete subtrees are asked for */
    *out = definition((size_t)(index << level), (size_t)1 << level);
    return CLO_OK;
}

static int make_leaves(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEAVES; i++) {
        uint8_t data = (uint8_t)i;
        if (clo_failed(clo_wire_merkle_leaf(clo_span_of(&data, 1), &leaves[i]))) return 1;
    }
    return 0;
}

static void test_roots(void **state)
{
    (void)state;
    clo_wire_merkle_range r = {0};
    clo_wire_hash a, b, c;
    static const uint8_t empty[4] = {0xe3, 0xb0, 0xc4, 0x42};
    assert_int_equal(clo_wire_merkle_range_root(&r, &a).code, 0);
    assert_memory_equal(a.b, empty, 4);
    for (size_t n = 1; n <= LEAVES; n++) {
        assert_int_equal(clo_wire_merkle_range_add(&r, &leaves[n - 1]).code, 0);
        assert_int_equal(clo_wire_merkle_range_root(&r, &a).code, 0);
        assert_int_equal(clo_wire_merkle_root(leaves, n, &b).code, 0);
        assert_int_equal(clo_wire_merkle_root_of(n, get, NULL, &c).code, 0);
        clo_wire_hash wanted = definition(0, n);
        assert_memory_equal(a.b, wanted.b, 32);
        assert_memory_equal(b.b, wanted.b, 32);
        assert_memory_equal(c.b, wanted.b, 32);
    }
}

static void test_inclusion(void **state)
{
    (void)state;
    clo_wire_hash path[CLO_MERKLE_PATH_MAX];
    size_t count = 0;
    for (uint64_t size = 1; size <= LEAVES; size++) {
        clo_wire_hash root = definition(0, size);
        for (uint64_t i = 0; i < size; i++) {
            assert_int_equal(clo_wire_merkle_prove_inclusion(i, size, get, NULL, path, &count).code, 0);
            assert_int_equal(clo_wire_merkle_inclusion(&leaves[i], i, size, path, count, &root).code, 0);
            if (size > 17 && size != LEAVES) continue;
            assert_true(clo_failed(clo_wire_merkle_inclusion(&leaves[(i + 1) % LEAVES], i, size, path, count, &root)));
            if (size > 1) assert_true(clo_failed(clo_wire_merkle_inclusion(&leaves[i], i ^ 1, size, path, count, &root)));
            if (count > 0) assert_true(clo_failed(clo_wire_merkle_inclusion(&leaves[i], i, size, path, count - 1, &root)));
            assert_true(clo_failed(clo_wire_merkle_inclusion(&leaves[i], i, size, path, count + 1, &root)));
            for (size_t k = 0; k < count; k++) {
                path[k].b[k] ^= 1;
                assert_int_equal(clo_wire_merkle_inclusion(&leaves[i], i, size, path, count, &root).code, CLO_E_DENIED);
                path[k].b[k] ^= 1;
            }
        }
        assert_int_equal(clo_wire_merkle_inclusion(&leaves[0], size, size, path, 0, &root).code, CLO_E_RANGE);
        assert_int_equal(clo_wire_merkle_prove_inclusion(size, size, get, NULL, path, &count).code, CLO_E_RANGE);
    }
    assert_string_equal(clo_err_name(CLO_OK), clo_err_name(CLO_OK));
}

static void test_consistency(void **state)
{
    (void)state;
    clo_wire_hash path[CLO_MERKLE_PATH_MAX];
    size_t count = 0;
    for (uint64_t n = 1; n <= LEAVES; n++) {
        clo_wire_hash root2 = definition(0, n);
        for (uint64_t m = 1; m <= n; m++) {
            clo_wire_hash root1 = definition(0, m);
            assert_int_equal(clo_wire_merkle_prove_consistency(m, n, get, NULL, path, &count).code, 0);
            assert_int_equal(clo_wire_merkle_consistency(m, n, path, count, &root1, &root2).code, 0);
            if (n > 17 && n != LEAVES) continue;
            if (m != n) assert_true(clo_failed(clo_wire_merkle_consistency(m, n, path, count, &root2, &root1)));
            assert_true(clo_failed(clo_wire_merkle_consistency(m, n, path, count + 1, &root1, &root2)));
            if (count > 0) assert_true(clo_failed(clo_wire_merkle_consistency(m, n, path, count - 1, &root1, &root2)));
            for (size_t k = 0; k < count; k++) {
                path[k].b[31] ^= 0x80;
                assert_true(clo_failed(clo_wire_merkle_consistency(m, n, path, count, &root1, &root2)));
                path[k].b[31] ^= 0x80;
            }
        }
        assert_int_equal(clo_wire_merkle_consistency(n + 1, n, path, 0, &root2, &root2).code, CLO_E_RANGE);
        assert_int_equal(clo_wire_merkle_consistency(0, n, path, 0, &root2, &root2).code, CLO_E_RANGE);
        assert_int_equal(clo_wire_merkle_prove_consistency(n + 1, n, get, NULL, path, &count).code, CLO_E_RANGE);
    }
}

static void test_subtrees(void **state)
{
    (void)state;
    static const struct {
        uint64_t start, end;
        bool good;
    } cases[] = {{0, 1, true}, {0, 70, true}, {4, 8, true},  {4, 7, true},  {2, 5, false},          {8, 13, true},
                 {6, 8, true}, {6, 9, false}, {3, 3, false}, {5, 4, false}, {0, UINT64_MAX, false}, {1, 2, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(!clo_failed(clo_wire_merkle_subtree_check(cases[i].start, cases[i].end)), cases[i].good);
    clo_wire_hash root = definition(4, 3), path[2] = {leaves[4], leaves[6]};
    assert_int_equal(clo_wire_merkle_subtree_inclusion(&leaves[5], 5, 4, 7, path, 2, &root).code, 0);
    assert_int_equal(clo_wire_merkle_subtree_inclusion(&leaves[5], 7, 4, 7, path, 2, &root).code, CLO_E_RANGE);
    assert_int_equal(clo_wire_merkle_subtree_inclusion(&leaves[5], 6, 4, 7, path, 2, &root).code, CLO_E_DENIED);
}

/* ---- a server that lies (CVE-2022-36111: a forged proof between two states was believed) ---- */

enum { LIES_MAX = 64 };
typedef struct {
    clo_wire_hash leaves[LIES_MAX];
} history;
static clo_err of_history(void *context, unsigned level, uint64_t index, clo_wire_hash *out)
{
    const history *h = context;
    return clo_wire_merkle_root(h->leaves + (index << level), UINT64_C(1) << level, out);
}

typedef struct {
    uint64_t from, to;
    const clo_wire_hash *root1, *root2;
    size_t tried, believed;
} lie;
static void tell(lie *l, const clo_wire_hash *path, size_t count)
{
    l->tried++;
    if (!clo_failed(clo_wire_merkle_consistency(l->from, l->to, path, count, l->root1, l->root2))) l->believed++;
}

/* What a server with both histories can put together: each one's proof, one with any prefix of the other, with a hash less, twice, or of its roots. */
static void tell_all(lie *l, const clo_wire_hash *one, const clo_wire_hash *two, size_t count)
{
    clo_wire_hash path[CLO_MERKLE_PATH_MAX + 1];
    tell(l, NULL, 0);
    for (size_t cut = 0; cut <= count; cut++) {
        memcpy(path, one, cut * sizeof *path);
        memcpy(path + cut, two + cut, (count - cut) * sizeof *path);
        tell(l, path, count);
        memcpy(path, two, cut * sizeof *path);
        memcpy(path + cut, one + cut, (count - cut) * sizeof *path);
        tell(l, path, count);
        tell(l, path, cut);
        if (cut == count) break;
        memcpy(path, two, count * sizeof *path);
        memmove(path + cut + 1, path + cut, (count - cut) * sizeof *path);
        tell(l, path, count + 1);
        path[cut] = *l->root1;
        tell(l, path, count + 1);
        path[cut] = *l->root2;
        tell(l, path, count);
    }
}

static void CVE_2022_36111_no_lie_between_two_histories_is_believed(void **state)
{
    (void)state;
    static history one, two;
    clo_wire_hash root1, root2, p1[CLO_MERKLE_PATH_MAX], p2[CLO_MERKLE_PATH_MAX];
    size_t n1 = 0, n2 = 0, tried = 0;
    for (uint64_t to = 1; to <= LIES_MAX; to++) {
        for (uint64_t from = 1; from <= to; from++) {
            for (unsigned i = 0; i < LIES_MAX; i++) memset(one.leaves[i].b, (int)i, 32);
            two = one;
            two.leaves[(from * 7 + to) % from].b[0] ^= 0x80; /* an entry that the client has seen */
            assert_ok(clo_wire_merkle_root(one.leaves, from, &root1));
            assert_ok(clo_wire_merkle_root(two.leaves, to, &root2));
            assert_ok(clo_wire_merkle_prove_consistency(from, to, of_history, &one, p1, &n1));
            assert_ok(clo_wire_merkle_prove_consistency(from, to, of_history, &two, p2, &n2));
            assert_int_equal(n1, n2);
            lie l = {.from = from, .to = to, .root1 = &root1, .root2 = &root2};
            tell_all(&l, p1, p2, n1);
            if (l.believed != 0) fail_msg("%llu to %llu: %zu of %zu lies were believed", (unsigned long long)from, (unsigned long long)to, l.believed, l.tried);
            tried += l.tried;
            /* The entry of one history is not included in the other. */
            uint64_t at = (from * 7 + to) % from;
            assert_ok(clo_wire_merkle_prove_inclusion(at, to, of_history, &two, p2, &n2));
            assert_ok(clo_wire_merkle_inclusion(&two.leaves[at], at, to, p2, n2, &root2));
            assert_true(clo_failed(clo_wire_merkle_inclusion(&one.leaves[at], at, to, p2, n2, &root2)));
        }
    }
    print_message("# %zu lies\n", tried);
}

/* The parts that a proof shows are those of the tree, for every leaf of every tree. */
static void parts_are_those_of_the_tree(void **state)
{
    (void)state;
    static history h;
    clo_wire_hash path[CLO_MERKLE_PATH_MAX], wanted;
    clo_wire_merkle_part parts[CLO_MERKLE_PARTS_MAX];
    size_t n = 0, count = 0;
    for (unsigned i = 0; i < LIES_MAX; i++) memset(h.leaves[i].b, (int)i, 32);
    for (uint64_t size = 1; size <= LIES_MAX; size++) {
        for (uint64_t at = 0; at < size; at++) {
            assert_ok(clo_wire_merkle_prove_inclusion(at, size, of_history, &h, path, &n));
            assert_ok(clo_wire_merkle_inclusion_parts(&h.leaves[at], at, size, path, n, parts, &count));
            assert_int_equal(count, 2 * n + 1);
            for (size_t i = 0; i < count; i++) {
                assert_ok(clo_wire_merkle_root(h.leaves + parts[i].start, parts[i].end - parts[i].start, &wanted));
                assert_memory_equal(&wanted, &parts[i].hash, sizeof wanted);
            }
            assert_true(clo_failed(clo_wire_merkle_inclusion_parts(&h.leaves[at], at, size, path, n + 1, parts, &count)));
            if (n > 0) assert_true(clo_failed(clo_wire_merkle_inclusion_parts(&h.leaves[at], at, size, path, n - 1, parts, &count)));
        }
    }
    assert_code(clo_wire_merkle_inclusion_parts(&h.leaves[0], 3, 3, path, 2, parts, &count), CLO_E_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(CVE_2022_36111_no_lie_between_two_histories_is_believed),
                                       cmocka_unit_test(parts_are_those_of_the_tree),
                                       cmocka_unit_test(test_roots), cmocka_unit_test(test_inclusion),
                                       cmocka_unit_test(test_consistency), cmocka_unit_test(test_subtrees)};
    return cmocka_run_group_tests(tests, make_leaves, NULL);
}
