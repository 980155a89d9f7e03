/* Proves what handlers do with what others interrupt: an order that was stored when the daemon was lost gets into the log and is followed, once; a version
 * has one upload at a time, so that what is complete stays so; an answer of compute/status is the reader's own and does not change while it is read. */
#include "../collab/collab_fixture.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "collab/dataset.h"
#include "collab/leaf.h"
#include "gateway/gateway_int.h"
#include "os/clock.h"
#include "os/file.h"
#include "service/routes_int.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHUNK = 4096 };

typedef struct {
    char home[256];
    fixture f;
    clo_service *s;
    clo_collab_agreement *g;
    clo_gateway_exchange *x[2];
    uint8_t version[32], content[CHUNK + 16];
} place;

static void open_service(place *p)
{
    static const clo_crypto_private_key key = {.alg = CLO_SIGN_ED25519, .bytes = {5}};
    char dir[300];
    clo_service *s = p->s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->clock = clo_os_clock_system();
    assert_ok(clo_store_open(&s->store, p->home));
    assert_true(snprintf(dir, sizeof dir, "%s/log", p->home) > 0);
    const clo_audit_log_options o = {.directory = dir, .origin = "op/log", .sk = &key};
    assert_ok(clo_audit_log_open(&s->log, &o));
}

static void close_service(place *p)
{
    clo_audit_log_close(&p->s->log);
    clo_tee_sim_free(&p->s->sim);
    clo_store_close(&p->s->store);
    free(p->s);
}

static int set_up(void **state)
{
    place *p = calloc(1, sizeof *p);
    assert_non_null(p);
    assert_ok(clo_os_dir_temporary("clo-routes-", p->home));
    fixture_open(&p->f, NULL);
    p->g = fixture_agreement(&p->f);
    open_service(p);
    for (size_t i = 0; i < 2; i++) {
        clo_gateway_exchange *x = p->x[i] = calloc(1, sizeof *x);
        assert_non_null(x);
        clo_arena_init(&x->arena, 8 << 20);
        x->request.arena = &x->arena;
        x->response.x = x;
        x->response.fd = -1;
        x->response.status = 200;
    }
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    place *p = *state;
    for (size_t i = 0; i < 2; i++) {
        clo_arena_free(&p->x[i]->arena);
        free(p->x[i]);
    }
    close_service(p);
    fixture_close(&p->f);
    assert_ok(clo_os_tree_remove(p->home));
    free(p);
    return 0;
}

/* ---- orders ---- */

static void put_agreement(place *p)
{
    clo_store_agreement record = {.log_index = 0, .file = fixture_signed(&p->f, p->g, 4), .proof = clo_span_of("proof", 5), .state = "active"};
    memcpy(record.id, p->g->id, 32);
    assert_ok(clo_store_agreement_put(p->s->store, &record, NULL, 0));
}

/* An order of member i, stored as it is before anything else happens to it. */
static void store_order(place *p, size_t i, const char *verb, int64_t sequence, clo_buf *file)
{
    clo_collab_order order = {.time = FIXTURE_TIME, .sequence = sequence};
    const char *name = p->f.parties[i].public_half.name;
    memcpy(order.agreement, p->g->id, 32);
    assert_ok(clo_str_set(order.verb, sizeof order.verb, clo_span_str(verb)));
    assert_ok(clo_str_set(order.party, sizeof order.party, clo_span_str(name)));
    clo_buf_clear(file);
    assert_ok(clo_collab_order_make(&p->f.parties[i], &order, file));
    assert_ok(clo_store_order_put(p->s->store, p->g->id, name, verb, sequence, clo_buf_span(file)));
}

static void restart(place *p)
{
    close_service(p);
    open_service(p);
    clo_service_orders_settle(p->s);
}

static void expect(place *p, const char *state, uint64_t entries)
{
    clo_store_agreement r;
    assert_ok(clo_store_agreement_get(p->s->store, &p->f.arena, p->g->id, &r));
    assert_string_equal(r.state, state);
    assert_int_equal(clo_audit_log_size(p->s->log), entries);
}

static void an_order_survives_a_crash(void **state)
{
    place *p = *state;
    uint64_t index = 0;
    CLO_AUTO(clo_buf_free) clo_buf file, leaf;
    clo_buf_init(&file, 65536);
    clo_buf_init(&leaf, 4096);
    put_agreement(p);
    store_order(p, 0, "stop", 1, &file);
    assert_ok(clo_collab_leaf(CLO_LEAF_ORDER, clo_buf_span(&file), &leaf));
    restart(p); /* lost between the order and the log */
    expect(p, "suspended", 1);
    assert_ok(clo_audit_log_find(p->s->log, clo_buf_span(&leaf), &index));
    for (int i = 0; i < 2; i++) restart(p); /* nothing is done twice */
    expect(p, "suspended", 1);
    /* Lost between the log and the agreement's record. */
    for (size_t i = 0; i < 4; i++) {
        store_order(p, i, "resume", 2, &file);
        assert_ok(clo_service_log_append(p->s, CLO_LEAF_ORDER, clo_buf_span(&file), &index));
        restart(p);
        expect(p, i < 3 ? "suspended" : "active", 2 + i);
    }
}

/* Lost between the agreement's record and the note that the order is done: the state has followed it already, and nothing else. */
static void a_followed_order_is_not_followed_again(void **state)
{
    place *p = *state;
    clo_store_order open;
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 65536);
    put_agreement(p);
    store_order(p, 1, "terminate", 1, &file);
    restart(p);
    expect(p, "terminated", 1);
    store_order(p, 1, "stop", 2, &file); /* a state that does not take it */
    restart(p);
    expect(p, "terminated", 2);
    assert_code(clo_store_order_open(p->s->store, &p->f.arena, NULL, 0, &open), CLO_E_NOT_FOUND);
}

/* Orders that wait together are followed in their order. */
static void orders_that_wait_keep_their_order(void **state)
{
    place *p = *state;
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 65536);
    put_agreement(p);
    store_order(p, 0, "stop", 1, &file);
    for (size_t i = 0; i < 4; i++) store_order(p, i, "resume", 2, &file);
    restart(p);
    expect(p, "active", 5);
}

/* ---- uploads ---- */

static void put_dataset(place *p)
{
    clo_collab_manifest m = {.name = "rows", .chunk_size = CHUNK, .plain_size = CHUNK, .chunk_count = 1, .row_count = 9, .created = FIXTURE_TIME};
    clo_wire_hash leaf, root;
    clo_wire_merkle_range range = {0};
    CLO_AUTO(clo_buf_free) clo_buf manifest;
    clo_buf_init(&manifest, CLO_MANIFEST_MAX);
    memset(p->content, 'r', sizeof p->content);
    assert_ok(clo_wire_merkle_leaf(clo_span_of(p->content, sizeof p->content), &leaf));
    assert_ok(clo_wire_merkle_range_add(&range, &leaf));
    assert_ok(clo_wire_merkle_range_root(&range, &root));
    memcpy(p->version, root.b, 32);
    memcpy(m.version, root.b, 32);
    assert_ok(clo_str_set(m.owner, sizeof m.owner, clo_span_str(p->f.parties[0].public_half.name)));
    assert_ok(clo_collab_dataset_id(&p->f.parties[0].public_half, m.name, m.id));
    assert_ok(clo_collab_manifest_sign(&m, &p->f.parties[0], &manifest));
    clo_store_dataset d = {.name = "rows", .size = sizeof p->content, .manifest = clo_buf_span(&manifest)};
    memcpy(d.version, m.version, 32);
    memcpy(d.id, m.id, 32);
    assert_ok(clo_collab_party_kid(&p->f.parties[0].public_half, d.owner_kid));
    assert_ok(clo_store_dataset_put(p->s->store, &d));
}

static clo_err begin(place *p, size_t i)
{
    clo_gateway_request *r = &p->x[i]->request;
    static char hex[65];
    clo_hex_encode(hex, clo_span_of(p->version, 32));
    for (size_t k = 0; k < clo_service_route_count; k++)
        if (clo_service_routes[k].upload != NULL) r->route = &clo_service_routes[k];
    r->params[0] = hex;
    assert_ok(clo_collab_party_kid(&p->f.parties[0].public_half, r->principal.key));
    return clo_service_dataset_upload.begin(p->s, r);
}

static void a_version_has_one_upload_at_a_time(void **state)
{
    place *p = *state;
    char path[640];
    clo_store_dataset d;
    const clo_gateway_upload *u = &clo_service_dataset_upload;
    put_dataset(p);
    assert_ok(begin(p, 0));
    clo_err second = begin(p, 1);
    if (!clo_failed(second)) { /* what two at a time would do to the first */
        uint8_t wrong[sizeof p->content] = {0};
        assert_ok(u->data(p->s, &p->x[0]->request, clo_span_of(p->content, sizeof p->content)));
        assert_ok(u->end(p->s, &p->x[0]->request, &p->x[0]->response));
        assert_ok(u->data(p->s, &p->x[1]->request, clo_span_of(wrong, sizeof wrong)));
        (void)u->end(p->s, &p->x[1]->request, &p->x[1]->response).code;
        assert_ok(clo_store_blob_path(p->s->store, "dataset", clo_span_of(p->version, 32), path));
        fail_msg("the second upload was taken; the complete content is %s", clo_os_file_exists(path) ? "overwritten" : "removed");
    }
    assert_int_equal(second.code, CLO_E_AGAIN);
    u->abort(p->s, &p->x[0]->request); /* the first ends: another may begin, and once it is complete none */
    assert_ok(begin(p, 1));
    assert_ok(u->data(p->s, &p->x[1]->request, clo_span_of(p->content, sizeof p->content)));
    assert_ok(u->end(p->s, &p->x[1]->request, &p->x[1]->response));
    assert_code(begin(p, 0), CLO_E_EXISTS);
    assert_code(begin(p, 1), CLO_E_EXISTS); /* and the refused one has left nothing behind */
    assert_ok(clo_store_dataset_get(p->s->store, &p->f.arena, p->version, &d));
    assert_true(d.complete);
}

/* ---- compute/status ---- */

static void an_answer_is_its_readers_own(void **state)
{
    place *p = *state;
    char dir[300];
    assert_true(snprintf(dir, sizeof dir, "%s/sim-tee", p->home) > 0);
    assert_ok(clo_tee_sim_open(&p->s->sim, dir)); /* its keys take seconds: for this test alone */
    assert_ok(clo_service_sampler_start(p->s));
    for (size_t i = 0; i < 2; i++) assert_ok(clo_service_get_status(p->s, &p->x[i]->request, &p->x[i]->response));
    clo_span a = p->x[0]->response.body, b = p->x[1]->response.body;
    clo_service_sampler_stop();
    assert_true(a.n > 100 && clo_span_equal(clo_span_of(a.p, 10), clo_span_str("{\"status\":")));
    assert_true(b.n > 100 && a.p != b.p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {TEST(an_order_survives_a_crash), TEST(a_followed_order_is_not_followed_again), TEST(orders_that_wait_keep_their_order),
                                       TEST(a_version_has_one_upload_at_a_time), TEST(an_answer_is_its_readers_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
