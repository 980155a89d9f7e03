/* What the agreement's terms bound in time and number, and how one might reach beyond: windows, the age of a request, leases asked for
 * twice, counts over amendments, another owner's name. */
#include "kms_fixture.h"

#include "crypto/hash.h"
#include <stdio.h>

static world w;
static runtime r;
static message m, again;
static clo_collab_release_reply reply;

static void pass(int64_t seconds)
{
    w.time.wall_seconds += seconds;
    w.time.monotonic_ns += (uint64_t)seconds * 1000000000ull;
    w.proof = world_prove(&w, w.file, true); /* the log's witnesses go on */
}

static clo_err release(message *one)
{
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_release(w.kms, message_finish(&w, one), &one->channel, &out);
    if (!clo_failed(e)) assert_ok(clo_collab_release_reply_decode(&w.arena, clo_buf_span(&out), &reply));
    clo_buf_free(&out);
    return e;
}

/* The run of `first` again, with fresh nonce and evidence. */
static clo_err repeat(const message *first, bool renewal)
{
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    message_begin(&w, &again, &r);
    again.request = first->request;
    again.m.request = first->m.request;
    clo_span body = message_finish(&w, &again);
    clo_err e = renewal ? clo_kms_renew(w.kms, body, &again.channel, &out) : clo_kms_release(w.kms, body, &again.channel, &out);
    if (!clo_failed(e)) assert_ok(clo_collab_release_reply_decode(&w.arena, clo_buf_span(&out), &reply));
    clo_buf_free(&out);
    return e;
}

static clo_err commit(const message *one)
{
    static clo_collab_release_token token;
    clo_key32 share;
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    token_begin(&w, one, &token);
    assert_ok(clo_crypto_random(share.b, sizeof share.b));
    clo_err e = clo_kms_commit(w.kms, commit_finish(&w, one, &token, &r, &share), &out);
    clo_buf_free(&out);
    return e;
}

static void begin_window(int64_t seconds)
{
    char window[100], to[21];
    clo_time_format(to, w.time.wall_seconds + seconds);
    (void)snprintf(window, sizeof window, "    not_after: %s\n", to);
    world_begin(&w, &(terms){.window = window, .lease = 600});
    runtime_make(&r);
}

/* Neither a lease nor its renewal goes beyond the run's window, so nothing is committed after it. */
static void test_window_ends_the_run(void **state)
{
    (void)state;
    begin_window(100);
    message_begin(&w, &m, &r);
    assert_ok(release(&m));
    assert_int_equal(reply.expires, w.time.wall_seconds + 100);
    assert_int_equal(reply.lease_seconds, 100);
    pass(60);
    assert_ok(repeat(&m, true));
    assert_int_equal(reply.lease_seconds, 40);
    pass(40);
    assert_claim(repeat(&m, true), CLO_E_DENIED, "run.window");
    assert_claim(commit(&m), CLO_E_EXPIRED, "run.lease");
    size_t ended = 0;
    assert_ok(clo_kms_sweep(w.kms, &ended));
    assert_int_equal(ended, 1);
    assert_balance(&w, "0", "0");
    world_end(&w);
    /* The agreement's own end is a window, too. */
    world_begin(&w, &(terms){.not_after = w.time.wall_seconds + 30, .lease = 600});
    message_begin(&w, &m, &r);
    assert_ok(release(&m));
    assert_int_equal(reply.lease_seconds, 30);
    world_end(&w);
}

/* A request is good for a day; one from tomorrow is none. A run that was released within it may go on. */
static void test_old_request(void **state)
{
    (void)state;
    const struct {
        int64_t made;
        bool good;
    } cases[] = {{0, true}, {-CLO_RUN_REQUEST_AGE_MAX, true}, {-CLO_RUN_REQUEST_AGE_MAX - 1, false}, {600, true}, {601, false}, {INT64_MIN / 2, false}};
    world_begin(&w, &(terms){.lease = 3600});
    runtime_make(&r);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        message_begin(&w, &m, &r);
        m.request.created = w.time.wall_seconds + cases[i].made;
        if (m.request.created < 0) m.request.created = 1;
        if (cases[i].good)
            assert_ok(release(&m));
        else
            assert_claim(release(&m), CLO_E_EXPIRED, "run.created");
    }
    message_begin(&w, &m, &r);
    m.request.created = w.time.wall_seconds - CLO_RUN_REQUEST_AGE_MAX + 10;
    assert_ok(release(&m));
    pass(100);
    assert_ok(repeat(&m, true));
    world_end(&w);
}

/* Asked again, a release tells what is left of the lease, not a whole one. */
static void test_repeated_release(void **state)
{
    (void)state;
    world_begin(&w, NULL);
    runtime_make(&r);
    message_begin(&w, &m, &r);
    assert_ok(release(&m));
    assert_int_equal(reply.lease_seconds, 60);
    int64_t expires = reply.expires;
    pass(50);
    assert_ok(repeat(&m, false));
    assert_int_equal(reply.expires, expires);
    assert_int_equal(reply.lease_seconds, 10);
    world_end(&w);
}

/* An amendment goes on counting where its predecessor stopped. */
static void test_count_over_amendments(void **state)
{
    (void)state;
    world_begin(&w, &(terms){.count_max = 2});
    runtime_make(&r);
    message_begin(&w, &m, &r);
    assert_ok(release(&m));
    uint8_t first[32];
    memcpy(first, w.g->id, 32);
    w.g = world_agreement(&w, &(terms){.epoch = 2, .prev = first, .lineage = first, .count_max = 2, .title = "amended"}, &w.file, &w.proof);
    message_begin(&w, &m, &r);
    assert_ok(release(&m));
    message_begin(&w, &m, &r);
    assert_claim(release(&m), CLO_E_DENIED, "run.count");
    world_end(&w);
}

/* The name in a manifest is the owner's name in the agreement. */
static void test_owner_of_a_manifest(void **state)
{
    (void)state;
    world_begin(&w, NULL);
    runtime_make(&r);
    clo_buf out;
    clo_buf_init(&out, CLO_MANIFEST_MAX);
    (void)snprintf(w.manifest_b.owner, sizeof w.manifest_b.owner, "hospital-a");
    clo_collab_identity posing = w.b;
    (void)snprintf(posing.public_half.name, sizeof posing.public_half.name, "hospital-a");
    assert_ok(clo_collab_manifest_sign(&w.manifest_b, &posing, &out));
    assert_ok(clo_arena_copy(&w.arena, clo_buf_span(&out), &w.manifest_b_bytes));
    clo_buf_free(&out);
    message_begin(&w, &m, &r);
    assert_claim(release(&m), CLO_E_DENIED, "dataset.owner");
    world_end(&w);
}

static int group_open(void **state)
{
    (void)state;
    world_open(&w);
    return 0;
}
static int group_close(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_ends_the_run),   cmocka_unit_test(test_old_request),         cmocka_unit_test(test_repeated_release),
        cmocka_unit_test(test_count_over_amendments), cmocka_unit_test(test_owner_of_a_manifest),
    };
    return cmocka_run_group_tests(tests, group_open, group_close);
}
