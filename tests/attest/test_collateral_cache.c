/* Proves that accepted collateral may be remembered: an appraisal with the cache says word for word what one without it says, before, at and
 * after each window, under other roots and policies, with other revocation lists and with any byte of the collateral changed; only collateral
 * without a fault is kept; the number of entries is bounded; threads may share it. */
#include "attest/attest_int.h"
#include "chain_fixture.h"

#include <pthread.h>
#include <stdio.h>

/* Certificates and lists end at different times, so that each end is met alone. */
enum { CRL_END = NOW + DAY, VCEK_END = NOW + 2 * DAY, ASK_END = NOW + 3 * DAY, ARK_END = NOW + 4 * DAY, BUNDLE_ROOM = 65536 };
static clo_buf vcek, vcek_other, crl, crl_revokes, crl_foreign, crl_ended;
static uint8_t report[1184];
static clo_attest_cache *cache;

static clo_attest_bundle bundle_usual(void)
{
    return (clo_attest_bundle){.tee = "sim",
                               .report = clo_span_of(report, sizeof report),
                               .ek = clo_buf_span(&vcek),
                               .crl = clo_buf_span(&crl),
                               .chain_count = 2,
                               .chain = {clo_buf_span(&ask.der), clo_buf_span(&ark.der)}};
}

static void policy_strict(clo_attest_policy *p)
{
    policy_usual(p);
    p->require_crl = true;
}

static clo_err appraise(clo_attest_cache *with, const clo_attest_bundle *b, const clo_attest_policy *p, int64_t now, clo_attest_result *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_arena_init(&a, 1 << 20);
    clo_buf_init(&bytes, BUNDLE_ROOM);
    CLO_TRY(clo_attest_bundle_encode(b, &bytes));
    clo_err e = clo_attest_verify_bundle(&a, with, clo_buf_span(&bytes), p, now, out);
    out->claims = NULL; /* lives in the arena; made from the report alone */
    return e;
}

/* Both ways; the verdict that they share. */
static const char *verdict(const clo_attest_bundle *b, const clo_attest_policy *p, int64_t now)
{
    static clo_attest_result plain, cached;
    assert_ok(appraise(NULL, b, p, now, &plain));
    assert_ok(appraise(cache, b, p, now, &cached));
    for (size_t i = 0; i < plain.check_count && i < cached.check_count; i++) {
        if (memcmp(&plain.checks[i], &cached.checks[i], sizeof plain.checks[i]) != 0)
            fail_msg("%s: \"%s\" without the cache, %s: \"%s\" with it", plain.checks[i].name, plain.checks[i].actual, cached.checks[i].name,
                     cached.checks[i].actual);
    }
    assert_int_equal(plain.check_count, cached.check_count);
    assert_int_equal(plain.valid, cached.valid);
    assert_int_equal(plain.valid_until, cached.valid_until);
    assert_string_equal(plain.reason, cached.reason);
    assert_string_equal(plain.detail, cached.detail);
    assert_string_equal(plain.tcb_status, cached.tcb_status);
    return cached.valid ? "valid" : cached.reason;
}

static uint64_t hits(void) { return clo_attest_cache_count(cache).hits; }
static size_t entries(void) { return clo_attest_cache_count(cache).entries; }

/* The verdict, and whether the collateral came from the cache. */
static void expect(const clo_attest_bundle *b, const clo_attest_policy *p, int64_t now, const char *wanted, bool from_cache)
{
    uint64_t before = hits();
    const char *got = verdict(b, p, now);
    if (strcmp(got, wanted) != 0) fail_msg("%s, wanted %s", got, wanted);
    assert_int_equal(hits() - before, from_cache ? 1 : 0);
}

static int fresh_cache(void **state)
{
    (void)state;
    report_usual(report);
    report_sign(report);
    return clo_failed(clo_attest_cache_new(&cache)) ? -1 : 0;
}

static int drop_cache(void **state)
{
    (void)state;
    clo_attest_cache_free(&cache);
    clo_attest_cache_free(&cache); /* NULL is allowed */
    return 0;
}

static void test_windows(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_strict(&p);
    clo_attest_bundle b = bundle_usual();
    expect(&b, &p, NOW, "valid", false);
    static const struct {
        int64_t now;
        const char *wanted;
    } cases[] = {
        {NOW, "valid"},         {CRL_END, "valid"},          {CRL_END + 1, "collateral_expired"}, {VCEK_END, "collateral_expired"},
        {VCEK_END + 1, "expired"}, {ASK_END + 1, "expired"}, {ARK_END + 1, "expired"},
        {NOW - DAY, "valid"},   {NOW - DAY - 1, "collateral_not_yet_valid"}, {NOW - 5 * DAY - 1, "not_yet_valid"},
        {NOW - 10 * DAY - 1, "not_yet_valid"}, {NOW, "valid"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) expect(&b, &p, cases[i].now, cases[i].wanted, true);
    /* Without a list the certificates' own windows decide, each alone. */
    p.require_crl = false;
    b.crl = clo_span_of(NULL, 0);
    expect(&b, &p, NOW, "valid", false);
    expect(&b, &p, VCEK_END, "valid", true);
    expect(&b, &p, VCEK_END + 1, "expired", true);
    assert_int_equal(entries(), 2);
}

static void test_policies(void **state)
{
    (void)state;
    clo_attest_policy p, q;
    policy_strict(&p);
    clo_attest_bundle b = bundle_usual();
    expect(&b, &p, NOW, "valid", false);
    expect(&b, &p, NOW, "valid", true);
    /* Other anchors: none of what was accepted under the first ones is used. */
    q = p;
    clo_crypto_cert_sha256(other.cert, q.roots[0]);
    expect(&b, &q, NOW, "wrong_root", false);
    q.root_count = 0;
    expect(&b, &q, NOW, "wrong_root", false);
    q = p;
    q.root_count = 2;
    clo_crypto_cert_sha256(other.cert, q.roots[1]);
    expect(&b, &q, NOW, "valid", false);
    /* What the policy says otherwise is asked on every appraisal. */
    q = p;
    q.allow_simulated = false;
    expect(&b, &q, NOW, "simulated", true);
    q = p;
    q.min_reported_tcb = (clo_attest_tcb){.have = true, .bl = 4};
    expect(&b, &q, NOW, "tcb_too_low", true);
    q = p;
    q.chip_count = 1;
    expect(&b, &q, NOW, "chip_not_allowed", true);
    q = p;
    q.measurement_count = 1;
    q.measurements[0][0] = 1;
    expect(&b, &q, NOW, "measurement_mismatch", true);
    q = p;
    q.have_report_data = true;
    q.report_data[63] = 1;
    expect(&b, &q, NOW, "report_data_mismatch", true);
    /* The kind of evidence belongs to the key: as hardware it is judged anew. */
    (void)snprintf(b.tee, sizeof b.tee, "snp");
    expect(&b, &p, NOW, "bad_chain", false);
    expect(&b, &p, NOW, "bad_chain", false);
    assert_int_equal(entries(), 2);
}

static void test_reports(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_strict(&p);
    clo_attest_bundle b = bundle_usual();
    expect(&b, &p, NOW, "valid", false);
    for (size_t i = 0; i < 0x2a0; i += 31) {
        report[i] ^= 1;
        uint64_t before = hits();
        assert_string_not_equal(verdict(&b, &p, NOW), "valid");
        assert_int_equal(hits() - before, 1);
        report[i] ^= 1;
    }
    report[0x2a0 + 5] ^= 1;
    expect(&b, &p, NOW, "bad_signature", true);
    report[0x2a0 + 5] ^= 1;
    report[0x180] = 2;
    report_sign(report);
    expect(&b, &p, NOW, "tcb_mismatch", true);
    report_usual(report);
    report[0x1a0] = 0xc0;
    report_sign(report);
    expect(&b, &p, NOW, "chip_id_mismatch", true);
}

static void test_revocation(void **state)
{
    (void)state;
    clo_attest_policy p, open;
    policy_strict(&p);
    policy_usual(&open);
    clo_attest_bundle b = bundle_usual();
    expect(&b, &p, NOW, "valid", false);
    b.crl = clo_buf_span(&crl_revokes);
    expect(&b, &p, NOW, "revoked", false);
    expect(&b, &p, NOW, "revoked", false);
    expect(&b, &open, NOW, "revoked", false);
    b.crl = clo_buf_span(&crl_foreign);
    expect(&b, &p, NOW, "bad_collateral_signature", false);
    b.crl = clo_buf_span(&crl_ended);
    expect(&b, &p, NOW, "collateral_expired", false);
    b.crl = clo_span_of(NULL, 0);
    expect(&b, &p, NOW, "collateral_missing", false);
    assert_int_equal(entries(), 1);
    /* Accepted without a list under an open policy: a strict one still demands it. */
    expect(&b, &open, NOW, "valid", false);
    expect(&b, &open, NOW, "valid", true);
    expect(&b, &p, NOW, "collateral_missing", true);
    b = bundle_usual();
    expect(&b, &p, NOW, "valid", true);
}

static void test_failures_are_not_kept(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_strict(&p);
    clo_attest_bundle b = bundle_usual();
    expect(&b, &p, CRL_END + 1, "collateral_expired", false);
    expect(&b, &p, ARK_END + 1, "expired", false);
    p.allow_simulated = false;
    expect(&b, &p, NOW, "simulated", false);
    policy_strict(&p);
    b.ek = clo_buf_span(&vcek_other); /* of an intermediate with another key */
    expect(&b, &p, NOW, "bad_chain", false);
    b = bundle_usual();
    b.chain[0] = clo_buf_span(&ark.der);
    expect(&b, &p, NOW, "bad_chain", false);
    b = bundle_usual();
    b.chain_count = 3;
    b.chain[2] = clo_buf_span(&other.der);
    expect(&b, &p, NOW, "bad_chain", false);
    b = bundle_usual();
    b.chain_count = 1;
    expect(&b, &p, NOW, "bad_chain", false);
    b.chain_count = 0;
    expect(&b, &p, NOW, "collateral_missing", false);
    b = bundle_usual();
    b.ek = clo_span_of(NULL, 0);
    expect(&b, &p, NOW, "collateral_missing", false);
    assert_int_equal(entries(), 0);
    /* Collateral and report are apart: good certificates under a bad report are good certificates. */
    b = bundle_usual();
    report[0x50] ^= 1;
    expect(&b, &p, NOW, "bad_signature", false);
    report[0x50] ^= 1;
    assert_int_equal(entries(), 1);
    expect(&b, &p, NOW, "valid", true);
}

static clo_span *part_of(clo_attest_bundle *b, size_t i)
{
    clo_span *parts[] = {&b->ek, &b->chain[0], &b->chain[1], &b->crl};
    return parts[i];
}

static void key_of(const clo_attest_bundle *b, const clo_attest_policy *p, uint8_t key[32])
{
    clo_attest_part parts[] = {{"vcek_or_vlek", b->ek}, {"ask", b->chain[0]}, {"ark", b->chain[1]}, {"crl", b->crl}};
    clo_attest_context c = {.policy = p, .evidence = parts, .evidence_count = 4, .cache = cache};
    bool cacheable = false;
    assert_ok(clo_attest_cache_key(&c, true, key, &cacheable));
    assert_true(cacheable);
}

/* Every byte of the collateral is in the key, and a change of one is refused as without the cache. */
static void test_changed_bytes(void **state)
{
    (void)state;
    clo_attest_policy p;
    policy_strict(&p);
    clo_attest_bundle b = bundle_usual();
    uint8_t key[32], changed[32];
    key_of(&b, &p, key);
    expect(&b, &p, NOW, "valid", false);
    for (size_t i = 0; i < 4; i++) {
        uint8_t bytes[4096];
        clo_span good = *part_of(&b, i);
        assert_true(good.n <= sizeof bytes);
        memcpy(bytes, good.p, good.n);
        *part_of(&b, i) = clo_span_of(bytes, good.n);
        for (size_t at = 0; at < good.n; at++) {
            bytes[at] ^= 0x01;
            key_of(&b, &p, changed);
            assert_memory_not_equal(key, changed, 32);
            if (at % 89 == 0 || at + 1 == good.n) {
                uint64_t before = hits();
                assert_string_not_equal(verdict(&b, &p, NOW), "valid");
                assert_int_equal(hits(), before);
            }
            bytes[at] ^= 0x01;
        }
        bytes[good.n] = 0;
        *part_of(&b, i) = clo_span_of(bytes, good.n + 1);
        uint64_t before = hits();
        assert_string_not_equal(verdict(&b, &p, NOW), "valid");
        assert_int_equal(hits(), before);
        *part_of(&b, i) = good;
    }
    assert_int_equal(entries(), 1);
    /* Bytes that move from one part to the next make another key. */
    clo_attest_bundle moved = b;
    moved.ek.n -= 1;
    moved.chain[0] = clo_span_of(b.ek.p + b.ek.n - 1, 1);
    key_of(&moved, &p, changed);
    assert_memory_not_equal(key, changed, 32);
    expect(&b, &p, NOW, "valid", true);
}

static void test_bound(void **state)
{
    (void)state;
    enum { LISTS = CLO_ATTEST_CACHE_ENTRIES + 3 };
    clo_attest_policy p;
    policy_strict(&p);
    clo_attest_bundle b = bundle_usual();
    CLO_AUTO(clo_buf_free) clo_buf first;
    CLO_AUTO(clo_buf_free) clo_buf next;
    clo_buf_init(&first, 8192);
    clo_buf_init(&next, 8192);
    expect(&b, &p, NOW, "valid", false);
    for (int i = 0; i < LISTS; i++) {
        clo_buf_clear(&next);
        assert_ok(clo_crypto_crl_make(ark.cert, clo_buf_span(&ark.pem), NOW - 5, NOW + 5 + i, NULL, 0, &next));
        if (i == 0) assert_ok(clo_buf_put_span(&first, clo_buf_span(&next)));
        b.crl = clo_buf_span(&next);
        expect(&b, &p, NOW, "valid", false);
        b.crl = clo_buf_span(&crl);
        expect(&b, &p, NOW, "valid", true); /* what is used stays */
        assert_true(entries() <= CLO_ATTEST_CACHE_ENTRIES);
    }
    assert_int_equal(entries(), CLO_ATTEST_CACHE_ENTRIES);
    b.crl = clo_buf_span(&first);
    expect(&b, &p, NOW, "valid", false);
    expect(&b, &p, NOW, "valid", true);
}

enum { THREADS = 8, ROUNDS = 48 };
static size_t surprises;

static void *worker(void *context)
{
    size_t number = *(const size_t *)context;
    clo_attest_result *out = calloc(1, sizeof *out);
    clo_attest_policy p, foreign, open;
    policy_strict(&p);
    policy_usual(&open);
    foreign = p;
    clo_crypto_cert_sha256(other.cert, foreign.roots[0]);
    for (size_t i = 0; out != NULL && i < ROUNDS; i++) {
        clo_attest_bundle b = bundle_usual();
        const clo_attest_policy *policy = &p;
        int64_t now = NOW;
        const char *wanted = "";
        switch ((i + number) % 6) {
        case 0:
            now = CRL_END + 1;
            wanted = "collateral_expired";
            break;
        case 1:
            policy = &foreign;
            wanted = "wrong_root";
            break;
        case 2:
            b.crl = clo_buf_span(&crl_revokes);
            wanted = "revoked";
            break;
        case 3:
            b.crl = clo_span_of(NULL, 0);
            policy = &open;
            break;
        default:
            break;
        }
        if (clo_failed(appraise(cache, &b, policy, now, out)) || strcmp(out->reason, wanted) != 0)
            (void)__atomic_fetch_add(&surprises, 1, __ATOMIC_RELAXED);
    }
    if (out == NULL) (void)__atomic_fetch_add(&surprises, 1, __ATOMIC_RELAXED);
    free(out);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    size_t numbers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, worker, &numbers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(surprises, 0);
    assert_int_equal(entries(), 2);
    clo_attest_cache_counts counts = clo_attest_cache_count(cache);
    assert_int_equal(counts.hits + counts.misses, THREADS * ROUNDS);
    assert_true(counts.hits > THREADS * ROUNDS / 3);
}

static int set_up(void **state)
{
    if (chain_set_up(state) != 0) return -1;
    clo_buf *all[] = {&vcek, &vcek_other, &crl, &crl_revokes, &crl_foreign, &crl_ended};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) clo_buf_init(all[i], 8192);
    make_ca(&ark, "ARK-Simulated", NULL, NOW - 10 * DAY, ARK_END);
    make_ca(&ask, "SEV-Simulated", &ark, NOW - 10 * DAY, ASK_END);
    vcek_options o = usual;
    o.from = NOW - 5 * DAY;
    o.to = VCEK_END;
    make_vcek(&o, &vcek);
    const clo_crypto_cert *revoked[1] = {ask.cert};
    clo_span key = clo_buf_span(&ark.pem);
    assert_ok(clo_crypto_crl_make(ark.cert, key, NOW - DAY, CRL_END, NULL, 0, &crl));
    assert_ok(clo_crypto_crl_make(ark.cert, key, NOW - DAY, CRL_END, revoked, 1, &crl_revokes));
    assert_ok(clo_crypto_crl_make(ark.cert, key, NOW - DAY, NOW - 1, NULL, 0, &crl_ended));
    assert_ok(clo_crypto_crl_make(other.cert, clo_buf_span(&other.pem), NOW - DAY, CRL_END, NULL, 0, &crl_foreign));
    identity kept = ask;
    ask = other; /* the same names, another intermediate's key */
    make_vcek(&o, &vcek_other);
    ask = kept;
    return 0;
}

static int tear_down(void **state)
{
    clo_buf *all[] = {&vcek, &vcek_other, &crl, &crl_revokes, &crl_foreign, &crl_ended};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) clo_buf_free(all[i]);
    return chain_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_windows, fresh_cache, drop_cache),
        cmocka_unit_test_setup_teardown(test_policies, fresh_cache, drop_cache),
        cmocka_unit_test_setup_teardown(test_reports, fresh_cache, drop_cache),
        cmocka_unit_test_setup_teardown(test_revocation, fresh_cache, drop_cache),
        cmocka_unit_test_setup_teardown(test_failures_are_not_kept, fresh_cache, drop_cache),
        cmocka_unit_test_setup_teardown(test_changed_bytes, fresh_cache, drop_cache),
        cmocka_unit_test_setup_teardown(test_bound, fresh_cache, drop_cache),
        cmocka_unit_test_setup_teardown(test_threads, fresh_cache, drop_cache),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
