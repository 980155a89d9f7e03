/* Proves cloisterd as a process: it starts from nothing, holds its home alone, ends on SIGTERM and survives SIGKILL; no route with a token is open to a missing,
 * foreign or misdirected one; datasets arrive in parts, continue where they stopped, are checked when whole and seen by their owner only; refusals are
 * explained to who was refused. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "client/http_client.h"
#include "collab/dataset.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/net.h"
#include "os/process.h"
#include "service/service_int.h"
#include "wire/json.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 4096, CHUNKS = 40 };

static struct {
    char program[600], dir[256], home[300], url[256], audience[65];
    uint8_t spki[32];
    clo_os_process process;
    clo_arena arena;
    clo_collab_identity owner, stranger;
    clo_client_http *http;
    clo_buf answer;
    unsigned status;
    uint8_t sealed[CHUNKS * (CHUNK + 16)];
    clo_buf manifest;
    char version[65];
} w;

/* Run the program with these arguments; its standard output goes to a file. */
static void spawn(const char *const *argv, clo_os_process *out)
{
    char path[320];
    int fd = -1;
    assert_true(snprintf(path, sizeof path, "%s/out", w.dir) > 0);
    assert_ok(clo_os_file_remove(path));
    assert_ok(clo_os_file_open(&fd, path, CLO_OS_OPEN_NEW, 0600));
    const clo_os_fd_map map = {fd, 1};
    const clo_os_spawn o = {.path = w.program, .exec_fd = -1, .argv = argv, .fds = &map, .fd_count = 1, .die_with_parent = true};
    assert_ok(clo_os_process_spawn(out, &o));
    clo_os_fd_close(&fd);
}

static const char *output(void)
{
    char path[320];
    const char *text = NULL;
    clo_buf bytes;
    clo_buf_init(&bytes, 100000);
    assert_true(snprintf(path, sizeof path, "%s/out", w.dir) > 0);
    assert_ok(clo_os_file_read(path, 100000, &bytes));
    assert_ok(clo_arena_str(&w.arena, clo_buf_span(&bytes), &text));
    clo_buf_free(&bytes);
    return text;
}

static int exit_of(const char *const *argv)
{
    clo_os_process p;
    clo_os_process_end end;
    spawn(argv, &p);
    assert_ok(clo_os_process_wait(&p, 60000, &end));
    return end.exited ? end.code : -end.signal;
}

static void serve(void)
{
    const char *argv[] = {"cloisterd", "--home", w.home, NULL};
    spawn(argv, &w.process);
    for (int i = 0; i < 600 && strstr(output(), "cloisterd: serving ") == NULL; i++) clo_os_sleep_ms(50);
    assert_non_null(strstr(output(), w.url));
}

static void stop(int signal)
{
    clo_os_process_end end;
    assert_int_equal(kill(w.process.pid, signal), 0);
    assert_ok(clo_os_process_wait(&w.process, 20000, &end));
    if (signal == SIGTERM) assert_true(end.exited && end.code == 0);
}

static void token_for(const clo_collab_identity *who, const char *audience)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 4096);
    const char *token = NULL;
    assert_ok(clo_collab_token_make(who, audience, clo_os_clock_wall(clo_os_clock_system()), 200, &text));
    assert_ok(clo_buf_cstr(&text, &token));
    assert_ok(clo_client_http_token(w.http, token));
}

static clo_err call(const char *method, const char *path, clo_span body)
{
    clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST(method, path);
    r.body = body;
    clo_buf_clear(&w.answer);
    return clo_client_http_do(w.http, &r, &w.answer, &w.status);
}

static bool answered(const char *part)
{
    const char *text = NULL;
    assert_ok(clo_buf_cstr(&w.answer, &text));
    return strstr(text, part) != NULL;
}

static void register_party(const clo_collab_identity *who)
{
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 4096);
    assert_ok(clo_collab_party_encode(who, &file));
    assert_ok(call("POST", "/api/v1/parties", clo_buf_span(&file)));
}

/* A dataset as its owner would announce it; the bytes stand for ciphertext. */
static void make_dataset(void)
{
    clo_collab_manifest m = {.name = "rows", .chunk_size = CHUNK, .plain_size = (uint64_t)CHUNK * CHUNKS, .chunk_count = CHUNKS, .row_count = 9, .created = 1780000000};
    clo_wire_merkle_range range = {0};
    clo_wire_hash leaf, root;
    memcpy(m.owner, "alice", 6);
    assert_ok(clo_collab_dataset_id(&w.owner.public_half, m.name, m.id));
    for (size_t i = 0; i < sizeof w.sealed; i++) w.sealed[i] = (uint8_t)(i * 7 >> 4);
    for (size_t i = 0; i < CHUNKS; i++) {
        assert_ok(clo_wire_merkle_leaf(clo_span_of(w.sealed + i * (CHUNK + 16), CHUNK + 16), &leaf));
        assert_ok(clo_wire_merkle_range_add(&range, &leaf));
    }
    assert_ok(clo_wire_merkle_range_root(&range, &root));
    memcpy(m.version, root.b, 32);
    clo_hex_encode(w.version, clo_span_of(root.b, 32));
    clo_buf_init(&w.manifest, CLO_MANIFEST_MAX);
    assert_ok(clo_collab_manifest_sign(&m, &w.owner, &w.manifest));
}

static int set_up(void **state)
{
    (void)state;
    char dir[500];
    clo_arena_init(&w.arena, 8 << 20);
    clo_buf_init(&w.answer, 1 << 20);
    assert_ok(clo_os_path_program_dir(dir, sizeof dir));
    assert_true(snprintf(w.program, sizeof w.program, "%s/../src/bin/cloisterd", dir) > 0);
    if (!clo_os_file_exists(w.program)) return 0;
    char enclave[600];
    assert_true(snprintf(enclave, sizeof enclave, "%s/../src/bin/cloisterd", dir) > 0); /* any file can be measured */
    assert_ok(clo_os_dir_temporary("clo-operator-", w.dir));
    assert_true(snprintf(w.home, sizeof w.home, "%s/home", w.dir) > 0);
    assert_ok(clo_collab_identity_make("alice", &w.owner));
    assert_ok(clo_collab_identity_make("eve", &w.stranger));
    const char *argv[] = {"cloisterd", "init", "--home", w.home, "--enclave", enclave, NULL};
    assert_int_equal(exit_of(argv), 0);
    clo_wire_node *info = NULL;
    assert_ok(clo_wire_json_decode(&w.arena, clo_span_str(output()), &info));
    assert_ok(clo_str_set(w.url, sizeof w.url, clo_wire_get(info, "url")->text));
    assert_ok(clo_str_set(w.audience, sizeof w.audience, clo_wire_get(info, "audience")->text));
    assert_ok(clo_hex_decode(w.spki, 32, clo_wire_get(info, "spki")->text));
    assert_int_equal(exit_of(argv), 1); /* it is a home already */
    make_dataset();
    serve();
    assert_ok(clo_client_http_new(&w.http, w.url, w.spki));
    register_party(&w.owner);
    register_party(&w.stranger);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (w.dir[0] == 0) return 0;
    clo_client_http_free(&w.http);
    stop(SIGTERM);
    clo_buf_free(&w.manifest);
    clo_buf_free(&w.answer);
    clo_arena_free(&w.arena);
    assert_ok(clo_os_tree_remove(w.dir));
    return 0;
}

static void need_program(void)
{
    if (w.dir[0] == 0) skip_because("the program cloisterd is not built");
}

static void one_daemon_per_home(void **state)
{
    (void)state;
    need_program();
    const char *argv[] = {"cloisterd", "--home", w.home, NULL};
    clo_os_process p;
    clo_os_process_end end;
    spawn(argv, &p);
    assert_ok(clo_os_process_wait(&p, 20000, &end));
    assert_true(end.exited && end.code == 1);
    assert_ok(call("GET", "/healthz", clo_span_str("")));
}

static void every_route_wants_a_good_token(void **state)
{
    (void)state;
    need_program();
    clo_collab_identity unknown;
    assert_ok(clo_collab_identity_make("nobody", &unknown));
    for (int kind = 0; kind < 4; kind++) {
        assert_ok(clo_client_http_token(w.http, NULL));
        if (kind == 1) assert_ok(clo_client_http_token(w.http, "bm90IGEgdG9rZW4"));
        if (kind == 2) token_for(&unknown, w.audience);
        if (kind == 3) token_for(&w.owner, "0000000000000000000000000000000000000000000000000000000000000000");
        for (size_t i = 0; i < clo_service_route_count; i++) {
            const clo_gateway_route *r = &clo_service_routes[i];
            if (r->auth != CLO_GATEWAY_AUTH_PARTY) continue;
            char path[200];
            (void)snprintf(path, sizeof path, "%s", r->path);
            for (char *p = path; *p != 0; p++)
                if (*p == '{' || *p == '}') *p = '0';
            clo_err e = call(clo_gateway_method_name(r->method), path, clo_span_str("x"));
            if (e.code != CLO_E_UNAUTHENTICATED || w.status != 401) fail_msg("%s: %u %s", r->path, w.status, clo_err_text());
        }
    }
    clo_collab_identity_wipe(&unknown);
}

static void names_are_first_come(void **state)
{
    (void)state;
    need_program();
    clo_collab_identity second;
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 4096);
    register_party(&w.owner); /* again */
    assert_ok(clo_collab_identity_make("alice", &second));
    assert_ok(clo_collab_party_encode(&second, &file));
    assert_code(call("POST", "/api/v1/parties", clo_buf_span(&file)), CLO_E_CONFLICT);
    assert_int_equal(w.status, 409);
    file.p[file.len - 1] ^= 1;
    assert_true(clo_failed(call("POST", "/api/v1/parties", clo_buf_span(&file))));
    assert_true(w.status == 400 || w.status == 403);
    clo_collab_identity_wipe(&second);
}

static void a_dataset_arrives(void **state)
{
    (void)state;
    need_program();
    char path[200], content[240];
    const size_t half = 10 * (CHUNK + 16) + 77;
    (void)snprintf(path, sizeof path, "/api/v1/datasets/%s", w.version);
    token_for(&w.stranger, w.audience);
    assert_code(call("POST", "/api/v1/datasets", clo_buf_span(&w.manifest)), CLO_E_BAD_SIGNATURE); /* not hers */
    token_for(&w.owner, w.audience);
    assert_ok(call("POST", "/api/v1/datasets", clo_buf_span(&w.manifest)));
    assert_true(answered("\"received\":0"));
    /* Wrong bytes are found when all are there, and nothing of them stays. */
    (void)snprintf(content, sizeof content, "%s/content?offset=0", path);
    w.sealed[5] ^= 1;
    assert_code(call("PUT", content, clo_span_of(w.sealed, sizeof w.sealed)), CLO_E_MALFORMED);
    w.sealed[5] ^= 1;
    assert_ok(call("GET", path, clo_span_str("")));
    assert_true(answered("\"received\":0") && answered("\"complete\":false"));
    assert_ok(call("PUT", content, clo_span_of(w.sealed, half)));
    assert_code(call("PUT", content, clo_span_of(w.sealed, half)), CLO_E_CONFLICT);
    assert_non_null(strstr(clo_err_text(), "must continue at byte"));
    /* The daemon dies; what it acknowledged is there. */
    stop(SIGKILL);
    serve();
    assert_ok(call("GET", path, clo_span_str("")));
    char mark[40];
    (void)snprintf(mark, sizeof mark, "\"received\":%zu", half);
    assert_true(answered(mark));
    (void)snprintf(content, sizeof content, "%s/content?offset=%zu", path, half);
    static uint8_t longer[sizeof w.sealed + 1];
    assert_code(call("PUT", content, clo_span_of(longer, sizeof longer - half)), CLO_E_TOO_LARGE);
    /* What came before the end was reached is kept at its place; go on from there, whatever it is. */
    assert_ok(call("GET", path, clo_span_str("")));
    const char *text = NULL;
    size_t received = 0;
    assert_ok(clo_buf_cstr(&w.answer, &text));
    assert_int_equal(sscanf(strstr(text, "\"received\":"), "\"received\":%zu", &received), 1);
    assert_true(received >= half);
    (void)snprintf(content, sizeof content, "%s/content?offset=%zu", path, received);
    clo_err e = call("PUT", content, clo_span_of(w.sealed + received, sizeof w.sealed - received));
    if (received > half) {
        assert_code(e, CLO_E_MALFORMED); /* the wrong bytes before it: from the start then */
        (void)snprintf(content, sizeof content, "%s/content", path);
        e = call("PUT", content, clo_span_of(w.sealed, sizeof w.sealed));
    }
    assert_ok(e);
    assert_true(answered("\"complete\":true"));
    assert_code(call("PUT", content, clo_span_of(w.sealed, 1)), CLO_E_EXISTS);
    assert_ok(call("GET", "/api/v1/datasets", clo_span_str("")));
    assert_true(answered(w.version));
    token_for(&w.stranger, w.audience);
    assert_code(call("GET", path, clo_span_str("")), CLO_E_NOT_FOUND);
    assert_int_equal(w.status, 404);
    (void)snprintf(content, sizeof content, "%s/content", path);
    assert_code(call("PUT", content, clo_span_of(w.sealed, 1)), CLO_E_NOT_FOUND);
    assert_ok(call("GET", "/api/v1/datasets", clo_span_str("")));
    assert_false(answered(w.version));
}

static void refusals_are_explained_to_who_was_refused(void **state)
{
    (void)state;
    need_program();
    char path[200];
    token_for(&w.stranger, w.audience);
    (void)snprintf(path, sizeof path, "/api/v1/datasets/%s", w.version);
    assert_code(call("GET", path, clo_span_str("")), CLO_E_NOT_FOUND);
    (void)snprintf(path, sizeof path, "/api/v1/explain/%s", clo_client_http_instance(w.http));
    assert_ok(call("GET", path, clo_span_str("")));
    assert_true(answered("\"what\":\"GET /api/v1/datasets/{version}\"") && answered("\"code\":\"not-found\""));
    token_for(&w.owner, w.audience);
    assert_code(call("GET", path, clo_span_str("")), CLO_E_NOT_FOUND);
}

/* Each refusal that is kept is a write with a sync: junk without a token must not cause one. */
static void what_strangers_ask_for_in_vain_costs_no_disk(void **state)
{
    (void)state;
    need_program();
    char ids[3][80];
    static const char *const paths[] = {"/log/tile/9/zzz", "/log/tile/0/999.p/7", "/log/tile/entries/x999/999"};
    assert_ok(clo_client_http_token(w.http, NULL));
    for (size_t i = 0; i < 3; i++) {
        assert_code(call("GET", paths[i], clo_span_of(NULL, 0)), CLO_E_NOT_FOUND);
        (void)snprintf(ids[i], sizeof ids[i], "%s", clo_client_http_instance(w.http));
        assert_true(ids[i][0] != 0);
    }
    stop(SIGTERM);
    clo_store *store = NULL;
    static const uint8_t nobody[32];
    clo_store_reason reason;
    assert_ok(clo_store_open(&store, w.home));
    for (size_t i = 0; i < 3; i++) assert_code(clo_store_reason_get(store, ids[i], nobody, &reason), CLO_E_NOT_FOUND);
    clo_store_close(&store);
    serve();
}

/* Registration is open: it is bounded per address and in all, and who is registered is never held off. */
static void registration_is_bounded(void **state)
{
    (void)state;
    need_program();
    char path[320];
    CLO_AUTO(clo_buf_free) clo_buf yaml, file;
    clo_buf_init(&yaml, 65536);
    clo_buf_init(&file, 4096);
    assert_true(snprintf(path, sizeof path, "%s/cloisterd.yaml", w.home) > 0);
    assert_ok(clo_os_file_read(path, 65536, &yaml));
    assert_ok(clo_buf_put_str(&yaml, "parties_max: 20\n"));
    assert_ok(clo_os_file_write_atomic(path, clo_buf_span(&yaml), 0600));
    stop(SIGTERM);
    serve();
    size_t taken = 0, full = 0, held_off = 0;
    for (unsigned i = 0; i < 80; i++) {
        char name[20];
        clo_collab_identity who;
        (void)snprintf(name, sizeof name, "crowd-%u", i);
        assert_ok(clo_collab_identity_make(name, &who));
        clo_buf_clear(&file);
        assert_ok(clo_collab_party_encode(&who, &file));
        clo_err e = call("POST", "/api/v1/parties", clo_buf_span(&file));
        taken += !clo_failed(e);
        full += e.code == CLO_E_CONFLICT && w.status == 409 && strstr(clo_err_text(), "parties_max") != NULL;
        held_off += e.code == CLO_E_TOO_MANY && w.status == 429;
        clo_collab_identity_wipe(&who);
    }
    assert_int_equal(taken, 18);
    assert_true(full >= 46 && full <= 50);
    assert_int_equal(taken + full + held_off, 80);
    register_party(&w.owner); /* again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_daemon_per_home), cmocka_unit_test(every_route_wants_a_good_token), cmocka_unit_test(names_are_first_come),
                                       cmocka_unit_test(a_dataset_arrives), cmocka_unit_test(refusals_are_explained_to_who_was_refused), cmocka_unit_test(what_strangers_ask_for_in_vain_costs_no_disk),
                                       cmocka_unit_test(registration_is_bounded)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
