/* Proves the host protocol: the table is sane, heads are bounded by it in both directions, every body decodes to what was encoded,
 * and a body that is cut, or has any bit flipped, is refused or decodes to something within its bounds, and never crashes. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "enclave/frames.h"
#include "enclave/link.h"
#include "os/clock.h"
#include "os/net.h"
#include <string.h>
#include <unistd.h>

static void table_is_sane(void **state)
{
    (void)state;
    for (size_t i = 0; i < clo_enclave_message_count; i++) {
        const clo_enclave_message *m = &clo_enclave_messages[i];
        assert_ptr_equal(clo_enclave_message_find(m->number), m);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(m->number, clo_enclave_messages[j].number);
            assert_string_not_equal(m->name, clo_enclave_messages[j].name);
        }
        assert_true(m->request_max < (64u << 20));
        assert_true(m->reply_max < (64u << 20));
    }
    assert_null(clo_enclave_message_find(0));
    assert_null(clo_enclave_message_find(12));
}

static void heads_are_bounded(void **state)
{
    (void)state;
    for (size_t i = 0; i < clo_enclave_message_count; i++) {
        const clo_enclave_message *m = &clo_enclave_messages[i];
        uint8_t head[CLO_ENCLAVE_FRAME_HEAD];
        uint16_t number = 0;
        uint32_t size = 0;
        clo_enclave_frame_head(head, m->number, m->request_max);
        assert_ok(clo_enclave_frame_head_read(head, false, &number, &size));
        assert_int_equal(number, m->number);
        assert_int_equal(size, m->request_max);
        clo_enclave_frame_head(head, m->number, m->request_max + 1);
        assert_code(clo_enclave_frame_head_read(head, false, &number, &size), CLO_E_TOO_LARGE);
        clo_enclave_frame_head(head, m->number, m->reply_max);
        assert_ok(clo_enclave_frame_head_read(head, true, &number, &size));
        clo_enclave_frame_head(head, m->number, m->reply_max + 1);
        assert_code(clo_enclave_frame_head_read(head, true, &number, &size), CLO_E_TOO_LARGE);
        head[7] = 1;
        assert_code(clo_enclave_frame_head_read(head, true, &number, &size), CLO_E_MALFORMED);
    }
    const uint8_t unknown[CLO_ENCLAVE_FRAME_HEAD] = {0, 0, 0, 0, 0x12, 0x34, 0, 0};
    uint16_t number = 0;
    uint32_t size = 0;
    assert_code(clo_enclave_frame_head_read(unknown, false, &number, &size), CLO_E_MALFORMED);
}

/* One body of each message, encoded. */
enum { BODIES = 13 };
static clo_err encode(size_t which, clo_buf *out)
{
    static const uint8_t bytes[200] = {1, 2, 3};
    static clo_enclave_evidence evidence;
    clo_span some = clo_span_of(bytes, sizeof bytes);
    clo_enclave_start start = {.agreement_file = some, .agreement_proof = some, .request = some, .manifest_count = 2, .manifests = {some, some}};
    clo_enclave_fetch fetch = {.dataset = {7}, .first = 3, .count = 9};
    clo_enclave_tunnel tunnel = {.owner = "north", .send = some, .wait = true};
    clo_enclave_progress progress = {.phase = CLO_ENCLAVE_PHASE_READING, .text = "reading", .done = 1, .total = 2};
    clo_enclave_output output = {.offset = 4096, .last = true, .bytes = some};
    clo_enclave_prepared prepared = {.statement = some, .commit_count = 2, .commits = {some, some}};
    clo_enclave_finish finish = {.output = {1}, .output_size = 77, .statement = some, .commit_count = 3, .commits = {some, some, some}};
    clo_enclave_failed failed = {.code = CLO_E_BUDGET, .text = "no", .owner = "north", .reference = "urn:request:1", .have_denial = true,
                                 .denial = {"budget.rho", "1", "2", "agreement", "ask for less"}};
    clo_enclave_failed plain = {.code = CLO_E_IO, .text = "lost"};
    clo_enclave_host_error error = {.code = CLO_E_TIMEOUT, .text = "slow"};
    evidence = (clo_enclave_evidence){.renewal = true, .tee = "sim", .evidence = some};
    evidence.binding.configuration = some;
    evidence.binding.nonce_count = 2;
    evidence.binding.epoch = 4;
    evidence.binding.nonces[1].bytes[71] = 9;
    switch (which) {
    case 0: return clo_enclave_start_encode(&start, out);
    case 1: return clo_enclave_fetch_encode(&fetch, out);
    case 2: return clo_enclave_tunnel_encode(CLO_ENCLAVE_TUNNEL_OPEN, &tunnel, out);
    case 3: return clo_enclave_tunnel_encode(CLO_ENCLAVE_TUNNEL_EXCHANGE, &tunnel, out);
    case 4: return clo_enclave_tunnel_encode(CLO_ENCLAVE_TUNNEL_CLOSE, &tunnel, out);
    case 5: return clo_enclave_evidence_encode(&evidence, out);
    case 6: return clo_enclave_progress_encode(&progress, out);
    case 7: return clo_enclave_output_encode(&output, out);
    case 8: return clo_enclave_finish_encode(&finish, out);
    case 9: return clo_enclave_failed_encode(&failed, out);
    case 10: return clo_enclave_failed_encode(&plain, out);
    case 11: return clo_enclave_prepared_encode(&prepared, out);
    default: return clo_enclave_host_error_encode(&error, out);
    }
}

/* Decode a body and, where that works, encode it again. */
static clo_err again(size_t which, clo_span in, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_arena_init(&a, 1 << 20);
    static clo_enclave_start start;
    static clo_enclave_evidence evidence;
    clo_enclave_fetch fetch;
    clo_enclave_tunnel tunnel;
    clo_enclave_progress progress;
    clo_enclave_output output;
    clo_enclave_finish finish;
    clo_enclave_prepared prepared;
    clo_enclave_failed failed;
    clo_enclave_host_error error;
    uint16_t number = which == 2 ? CLO_ENCLAVE_TUNNEL_OPEN : which == 3 ? CLO_ENCLAVE_TUNNEL_EXCHANGE : CLO_ENCLAVE_TUNNEL_CLOSE;
    switch (which) {
    case 0: CLO_TRY(clo_enclave_start_decode(&a, in, &start)); return clo_enclave_start_encode(&start, out);
    case 1: CLO_TRY(clo_enclave_fetch_decode(&a, in, &fetch)); return clo_enclave_fetch_encode(&fetch, out);
    case 2: case 3: case 4: CLO_TRY(clo_enclave_tunnel_decode(&a, number, in, &tunnel)); return clo_enclave_tunnel_encode(number, &tunnel, out);
    case 5: CLO_TRY(clo_enclave_evidence_decode(&a, in, &evidence)); return clo_enclave_evidence_encode(&evidence, out);
    case 6: CLO_TRY(clo_enclave_progress_decode(&a, in, &progress)); return clo_enclave_progress_encode(&progress, out);
    case 7: CLO_TRY(clo_enclave_output_decode(&a, in, &output)); return clo_enclave_output_encode(&output, out);
    case 8: CLO_TRY(clo_enclave_finish_decode(&a, in, &finish)); return clo_enclave_finish_encode(&finish, out);
    case 9: case 10: CLO_TRY(clo_enclave_failed_decode(&a, in, &failed)); return clo_enclave_failed_encode(&failed, out);
    case 11: CLO_TRY(clo_enclave_prepared_decode(&a, in, &prepared)); return clo_enclave_prepared_encode(&prepared, out);
    default: CLO_TRY(clo_enclave_host_error_decode(&a, in, &error)); return clo_enclave_host_error_encode(&error, out);
    }
}

static void bodies_survive_and_resist(void **state)
{
    (void)state;
    for (size_t which = 0; which < BODIES; which++) {
        CLO_AUTO(clo_buf_free) clo_buf body = {0}, back = {0};
        clo_buf_init(&body, 1 << 20);
        clo_buf_init(&back, 1 << 20);
        assert_ok(encode(which, &body));
        assert_ok(again(which, clo_buf_span(&body), &back));
        assert_true(clo_span_equal(clo_buf_span(&body), clo_buf_span(&back)));
        for (size_t n = 0; n < body.len; n++) {
            clo_buf_clear(&back);
            assert_true(clo_failed(again(which, clo_span_of(body.p, n), &back)));
        }
        for (size_t bit = 0; bit < body.len * 8; bit++) {
            body.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            clo_buf_clear(&back);
            clo_err e = again(which, clo_buf_span(&body), &back);
            if (!clo_failed(e)) assert_int_equal(back.len, body.len);
            body.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
}

static void limits_hold(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf body = {0};
    clo_buf_init(&body, 4 << 20);
    static uint8_t large[CLO_ENCLAVE_OUTPUT_PIECE + 1];
    clo_enclave_output output = {.bytes = clo_span_of(large, sizeof large)};
    assert_code(clo_enclave_output_encode(&output, &body), CLO_E_TOO_LARGE);
    output.bytes.n--;
    assert_ok(clo_enclave_output_encode(&output, &body));
    assert_true(body.len <= clo_enclave_message_find(CLO_ENCLAVE_OUTPUT)->request_max);
    clo_buf_clear(&body);
    clo_enclave_tunnel tunnel = {.owner = "north", .send = clo_span_of(large, CLO_ENCLAVE_TUNNEL_MAX), .wait = false};
    assert_ok(clo_enclave_tunnel_encode(CLO_ENCLAVE_TUNNEL_EXCHANGE, &tunnel, &body));
    assert_true(body.len <= clo_enclave_message_find(CLO_ENCLAVE_TUNNEL_EXCHANGE)->request_max);
    tunnel.send.n++;
    assert_code(clo_enclave_tunnel_encode(CLO_ENCLAVE_TUNNEL_EXCHANGE, &tunnel, &body), CLO_E_TOO_LARGE);
    /* A cut that falls inside a character of the text still encodes. */
    clo_enclave_failed failed = {.code = CLO_E_IO};
    memset(failed.text, 'x', sizeof failed.text);
    failed.text[sizeof failed.text - 2] = (char)0xe2;
    failed.text[sizeof failed.text - 1] = '\0';
    clo_buf_clear(&body);
    assert_ok(clo_enclave_failed_encode(&failed, &body));
}

static void link_speaks(void **state)
{
    (void)state;
    int fds[2];
    assert_ok(clo_os_net_pair(fds));
    uint64_t soon = clo_os_now_ns() + UINT64_C(2000000000);
    CLO_AUTO(clo_buf_free) clo_buf reply = {0};
    clo_buf_init(&reply, CLO_ENCLAVE_FETCH_MAX);
    const uint8_t bytes[] = {1, 2, 3};
    /* The replies wait in the socket before the question is asked: enough for a test in one thread. */
    assert_ok(clo_enclave_link_reply(fds[1], CLO_ENCLAVE_FETCH, clo_span_of(bytes, 3), soon));
    assert_ok(clo_enclave_link_call(fds[0], CLO_ENCLAVE_FETCH, clo_span_of(bytes, 2), &reply, soon));
    assert_int_equal(reply.len, 3);
    assert_ok(clo_enclave_link_reply_cancel(fds[1], soon));
    assert_code(clo_enclave_link_call(fds[0], CLO_ENCLAVE_PROGRESS, clo_span_of(bytes, 2), &reply, soon), CLO_E_CANCELLED);
    assert_ok(clo_enclave_link_reply_error(fds[1], clo_err_again(CLO_E_UNREACHABLE, "no route"), soon));
    assert_code(clo_enclave_link_call(fds[0], CLO_ENCLAVE_TUNNEL_OPEN, clo_span_of(bytes, 2), &reply, soon), CLO_E_UNREACHABLE);
    assert_non_null(strstr(clo_err_text(), "no route"));
    /* The host cannot make the runtime believe in a refusal or a bug. */
    assert_ok(clo_enclave_link_reply_error(fds[1], clo_err_again(CLO_E_BUG, "trust me"), soon));
    assert_code(clo_enclave_link_call(fds[0], CLO_ENCLAVE_TUNNEL_OPEN, clo_span_of(bytes, 2), &reply, soon), CLO_E_IO);
    assert_ok(clo_enclave_link_reply(fds[1], CLO_ENCLAVE_OUTPUT, clo_span_of(NULL, 0), soon));
    assert_code(clo_enclave_link_call(fds[0], CLO_ENCLAVE_PROGRESS, clo_span_of(bytes, 2), &reply, soon), CLO_E_MALFORMED);
    (void)close(fds[1]);
    assert_true(clo_failed(clo_enclave_link_call(fds[0], CLO_ENCLAVE_PROGRESS, clo_span_of(bytes, 2), &reply, soon)));
    (void)close(fds[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table_is_sane), cmocka_unit_test(heads_are_bounded),
                                       cmocka_unit_test(bodies_survive_and_resist), cmocka_unit_test(limits_hold),
                                       cmocka_unit_test(link_speaks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
