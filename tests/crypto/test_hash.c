/* Proves digests, HMAC, HKDF and the random generator: published values, empty input, each limit and each refusal. */
#include "crypto/hash.h"
#include "crypto_test.h"
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

static void hash_known(void **state)
{
    (void)state;
    static const struct {
        clo_crypto_hash_alg alg;
        const char *in, *want;
    } cases[] = {
        /* FIPS 180-4 examples "abc" and the empty message */
        {CLO_HASH_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {CLO_HASH_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {CLO_HASH_SHA384, "abc",
         "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"},
        {CLO_HASH_SHA512, "abc",
         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94"
         "fa54ca49f"},
        {CLO_HASH_SHA224, "abc", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"},
        {CLO_HASH_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {CLO_HASH_SHA512_256, "abc", "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_bytes want = unhex(cases[i].want);
        uint8_t got[CLO_HASH_MAX];
        assert_int_equal(clo_crypto_hash_size(cases[i].alg), want.n);
        assert_ok(clo_crypto_hash(cases[i].alg, clo_span_str(cases[i].in), got));
        assert_memory_equal(got, want.b, want.n);
        /* the same bytes, one at a time */
        CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = NULL;
        memset(got, 0, sizeof got);
        assert_ok(clo_crypto_hasher_new(&h, cases[i].alg));
        for (size_t j = 0; j < strlen(cases[i].in); j++) assert_ok(clo_crypto_hasher_put(h, clo_span_of(cases[i].in + j, 1)));
        assert_ok(clo_crypto_hasher_end(h, got));
        assert_memory_equal(got, want.b, want.n);
        assert_code(clo_crypto_hasher_end(h, got), CLO_E_BUG);
        assert_code(clo_crypto_hasher_put(h, clo_span_str("x")), CLO_E_BUG);
    }
}

static void hash_empty_span(void **state)
{
    (void)state;
    uint8_t one[32], two[32];
    assert_ok(clo_crypto_sha256(clo_span_of(NULL, 0), one));
    assert_ok(clo_crypto_sha256(clo_span_str(""), two));
    assert_memory_equal(one, two, 32);
}

static void unknown_algorithm(void **state)
{
    (void)state;
    uint8_t out[64];
    clo_crypto_hasher *h = NULL;
    clo_crypto_hash_alg bad = (clo_crypto_hash_alg)9;
    assert_int_equal(clo_crypto_hash_size(bad), 0);
    assert_code(clo_crypto_hash(bad, clo_span_str("x"), out), CLO_E_UNSUPPORTED);
    assert_code(clo_crypto_hasher_new(&h, bad), CLO_E_UNSUPPORTED);
    assert_null(h);
    assert_code(clo_crypto_hkdf_expand(bad, clo_span_str("x"), clo_span_str(""), out, 1), CLO_E_UNSUPPORTED);
    clo_crypto_hasher_free(&h);
}

static void hmac_known(void **state)
{
    (void)state;
    /* RFC 4231 case 2, RFC 4231 case 6 (long key), and the empty key */
    uint8_t got[64], long_key[131];
    memset(long_key, 0xaa, sizeof long_key);
    test_bytes want = unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_ok(clo_crypto_hmac(CLO_HASH_SHA256, clo_span_str("Jefe"), clo_span_str("what do ya want for nothing?"), got));
    assert_memory_equal(got, want.b, 32);
    want = unhex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_ok(clo_crypto_hmac(CLO_HASH_SHA256, clo_span_of(long_key, 131),
                              clo_span_str("Test Using Larger Than Block-Size Key - Hash Key First"), got));
    assert_memory_equal(got, want.b, 32);
    want = unhex("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    assert_ok(clo_crypto_hmac(CLO_HASH_SHA256, clo_span_of(NULL, 0), clo_span_of(NULL, 0), got));
    assert_memory_equal(got, want.b, 32);
}

static void hkdf_limits(void **state)
{
    (void)state;
    static uint8_t out[255 * 64 + 1];
    static const clo_crypto_hash_alg algs[] = {CLO_HASH_SHA256, CLO_HASH_SHA384, CLO_HASH_SHA512};
    for (size_t i = 0; i < 3; i++) {
        size_t most = 255 * clo_crypto_hash_size(algs[i]);
        assert_ok(clo_crypto_hkdf(algs[i], clo_span_str("salt"), clo_span_str("key"), clo_span_str("info"), out, most));
        assert_code(clo_crypto_hkdf(algs[i], clo_span_str("salt"), clo_span_str("key"), clo_span_str("info"), out, most + 1),
                    CLO_E_RANGE);
        /* a shorter output is the front of a longer one */
        uint8_t front[100];
        for (size_t n = 0; n <= sizeof front; n++) {
            memset(front, 0x5a, sizeof front);
            assert_ok(clo_crypto_hkdf(algs[i], clo_span_str("salt"), clo_span_str("key"), clo_span_str("info"), front, n));
            assert_memory_equal(front, out, n);
            if (n < sizeof front) assert_int_equal(front[n], 0x5a);
        }
    }
}

static void random_differs(void **state)
{
    (void)state;
    uint8_t a[64] = {0}, b[64] = {0};
    assert_ok(clo_crypto_init());
    assert_ok(clo_crypto_random(a, sizeof a));
    assert_ok(clo_crypto_random(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
    assert_ok(clo_crypto_random(a, 0));
    size_t big = ((size_t)1 << 20) + 17; /* more than one round of the generator */
    uint8_t *p = calloc(1, big);
    assert_non_null(p);
    assert_ok(clo_crypto_random(p, big));
    assert_false(all_zero(p + big - 16, 16));
    free(p);
}

/* ---- T12: randomness is never used twice ---- */

enum { DRAW = 32, COPIES = 2 };

/* A copy of this process's memory under the same process id: what a restored snapshot of a machine is. The generator cannot notice. Draws twice, the second
 * time seeded afresh, and writes both. */
static void copy_draws(int out)
{
    uint8_t both[2 * DRAW] = {0};
    bool good = !clo_failed(clo_crypto_random(both, DRAW)) && !clo_failed(clo_crypto_reseed()) && !clo_failed(clo_crypto_random(both + DRAW, DRAW));
    _exit(good && write(out, both, sizeof both) == (ssize_t)sizeof both ? 0 : 1);
}

/* Runs `body` as process 1 of a process id namespace of its own; -1 where that is not allowed. */
static int as_first_process(void (*body)(int), int out)
{
    int status = 0;
    pid_t outer = fork();
    if (outer == 0) {
        if (unshare(CLONE_NEWPID) != 0) _exit(77);
        pid_t inner = fork();
        if (inner == 0) body(out);
        if (inner < 0 || waitpid(inner, &status, 0) != inner) _exit(1);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    if (outer < 0 || waitpid(outer, &status, 0) != outer || !WIFEXITED(status)) return 1;
    return WEXITSTATUS(status) == 77 ? -1 : WEXITSTATUS(status);
}

/* Process 1: its generator has this process id, and so have its copies. */
static void make_copies(int out)
{
    uint8_t warm[8];
    if (clo_failed(clo_crypto_random(warm, sizeof warm))) _exit(1);
    for (int i = 0; i < COPIES; i++) {
        int code = as_first_process(copy_draws, out);
        if (code != 0) _exit(code < 0 ? 77 : code);
    }
    _exit(0);
}

static void T12_copied_state_is_reseeded(void **state)
{
    (void)state;
    int ends[2];
    uint8_t drawn[COPIES][2 * DRAW];
    assert_int_equal(pipe(ends), 0);
    int code = as_first_process(make_copies, ends[1]);
    if (code < 0 || code == 77) {
        print_message("# namespaces of process ids need root\n");
        skip();
    }
    assert_int_equal(code, 0);
    assert_int_equal(read(ends[0], drawn, sizeof drawn), sizeof drawn);
    close(ends[0]);
    close(ends[1]);
    /* The danger is real: unnoticed copies draw the same. Seeded afresh they do not, as the runtime does before it makes its keys. */
    assert_memory_equal(drawn[0], drawn[1], DRAW);
    assert_memory_not_equal(drawn[0] + DRAW, drawn[1] + DRAW, DRAW);
}

/* A fork, as of the program child, is noticed without our doing. */
static void T12_fork_draws_its_own(void **state)
{
    (void)state;
    uint8_t drawn[3][DRAW];
    assert_ok(clo_crypto_random(drawn[2], DRAW));
    for (int i = 0; i < 2; i++) {
        int ends[2], status = 1;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            uint8_t mine[DRAW] = {0};
            _exit(!clo_failed(clo_crypto_random(mine, DRAW)) && write(ends[1], mine, DRAW) == DRAW ? 0 : 1);
        }
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(read(ends[0], drawn[i], DRAW), DRAW);
        close(ends[0]);
        close(ends[1]);
    }
    assert_ok(clo_crypto_random(drawn[2], DRAW));
    assert_memory_not_equal(drawn[0], drawn[1], DRAW);
    assert_memory_not_equal(drawn[0], drawn[2], DRAW);
    assert_memory_not_equal(drawn[1], drawn[2], DRAW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_known), cmocka_unit_test(hash_empty_span), cmocka_unit_test(unknown_algorithm),
        cmocka_unit_test(hmac_known), cmocka_unit_test(hkdf_limits),     cmocka_unit_test(random_differs),
        cmocka_unit_test(T12_copied_state_is_reseeded), cmocka_unit_test(T12_fork_draws_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
