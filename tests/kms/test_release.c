/* Phase one: a good message gets its keys, each defect is refused by the claim that is wrong, and a refusal leaves no trace. */
#include "kms_fixture.h"

#include "crypto/hash.h"
#include "wire/cbor.h"
#include <stdio.h>

static world w;

static void open_key(const message *m, const clo_collab_release_reply *r, clo_key32 *dek)
{
    clo_buf info;
    clo_buf_init(&info, 1024);
    assert_int_equal(r->key_count, 1);
    assert_ok(clo_collab_release_info(w.g->id, m->request.run_id, w.manifest_a.id, m->m.binding.nonces[0].bytes, m->m.evidence,
                                      r->expires, &info));
    assert_ok(
        clo_crypto_hpke_open(&m->who->hpke.secret, clo_buf_span(&info), clo_span_of(NULL, 0), r->keys[0].sealed_dek, dek->b, 32));
    clo_buf_free(&info);
}

/* The runtime, and only it, opens the very key that the owner imported. */
static void test_released_key(void **state)
{
    (void)state;
    runtime r;
    static message m;
    static clo_collab_release_reply reply;
    clo_key32 dek;
    world_begin(&w, NULL);
    runtime_make(&r);
    release_ok(&w, &r, &m, &reply);
    open_key(&m, &reply, &dek);
    assert_memory_equal(dek.b, w.dek.b, 32);
    assert_int_equal(reply.lease_seconds, 60);
    assert_int_equal(reply.expires, w.time.wall_seconds + 60);
    assert_ledger(&w, 2, 1);
    assert_balance(&w, "0", "1/100");
    world_end(&w);
}

typedef void (*damage)(message *m);
static void no_client(message *m) { m->channel.have_client = false; }
static void no_tls(message *m) { m->channel.have_exporter = false; }
static void other_leaf(message *m) { m->channel.client_spki[0] ^= 1; }
static void other_proof(message *m) { m->channel_proof_wrong = true; }
static void foreign_nonce(message *m) { memset(m->m.binding.nonces[0].bytes, 1, CLO_NONCE); }
static void forged_nonce(message *m) { m->m.binding.nonces[0].bytes[12] ^= 1; }
static void forged_mac(message *m) { m->m.binding.nonces[0].bytes[CLO_NONCE - 1] ^= 1; }
static void swapped_nonces(message *m)
{
    uint8_t t[CLO_NONCE];
    memcpy(t, m->m.binding.nonces[0].bytes, sizeof t);
    memcpy(m->m.binding.nonces[0].bytes, m->m.binding.nonces[1].bytes, sizeof t);
    memcpy(m->m.binding.nonces[1].bytes, t, sizeof t);
}
static void third_nonce(message *m) { m->m.binding.nonce_count = 3; }
static void no_proof(message *m) { m->m.agreement_proof = world_prove(&w, clo_span_str("another file"), true); }
static void no_witness(message *m) { m->m.agreement_proof = world_prove(&w, m->m.agreement_file, false); }
static void witnessed_later(message *m)
{
    w.time.wall_seconds += 86400;
    m->m.agreement_proof = world_prove(&w, m->m.agreement_file, true);
    w.time.wall_seconds -= 86400;
}
static void unsigned_agreement(message *m)
{
    const clo_collab_identity *some[] = {&w.a, &w.b};
    m->m.agreement_file = world_sign(&w, w.g, some, 2);
    m->m.agreement_proof = world_prove(&w, m->m.agreement_file, true);
}
static void other_agreement(message *m) { m->m.binding.agreement[0] ^= 1; }
static void other_epoch(message *m) { m->m.binding.epoch = 2; }
static void other_request(message *m) { m->m.binding.request[0] = 1; }
static void other_starter(message *m)
{
    (void)snprintf(m->request.starter, sizeof m->request.starter, "hospital-b");
    m->signer = &w.b;
}
static void other_ask(message *m) { assert_ok(clo_dp_rational_make(1, 1000, &m->request.rho)); }
static void not_our_run(message *m)
{
    (void)snprintf(m->request.run, sizeof m->request.run, "other");
    m->request.dataset_count = 1;
    m->request.datasets[0] = m->request.datasets[1];
}
static void no_manifest(message *m) { m->m.manifest_count = 0; }
static void only_foreign_manifest(message *m)
{
    m->m.manifests[0] = m->m.manifests[1];
    m->m.manifest_count = 1;
}
static void other_version(message *m) { m->request.datasets[0].version[0] ^= 1; }
static void other_foreign_version(message *m) { m->request.datasets[1].version[0] ^= 1; }
static void patched_runtime(message *m) { m->measurement[0] ^= 1; }
static void other_report_data(message *m) { m->report_data_twist = 1; }

/* The message's configuration, changed by `change` and encoded again. */
static void configure(message *m, void (*change)(clo_collab_configuration *c))
{
    clo_collab_configuration c;
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, CLO_CONFIGURATION_MAX);
    assert_ok(clo_collab_configuration_decode(&w.arena, m->m.binding.configuration, &c));
    change(&c);
    assert_ok(clo_collab_configuration_encode(&c, &b));
    assert_ok(clo_arena_copy(&w.arena, clo_buf_span(&b), &m->m.binding.configuration));
}
static void without_landlock(clo_collab_configuration *c) { c->layers[CLO_OS_LAYER_LANDLOCK] = false; }
static void with_long_lease(clo_collab_configuration *c) { c->lease_seconds = 3600; }
static void inactive_layer(message *m) { configure(m, without_landlock); }
static void own_lease(message *m) { configure(m, with_long_lease); }
static void no_configuration(message *m) { m->m.binding.configuration = clo_span_of("\xa0", 1); }

static const struct {
    const char *name;
    damage make;
    uint32_t code;
    const char *claim;
} cases[] = {
    {"no client leaf", no_client, CLO_E_DENIED, "channel.leaf"},
    {"plain connection", no_tls, CLO_E_DENIED, "channel.tls"},
    {"relayed session", other_leaf, CLO_E_DENIED, "channel.leaf"},
    {"proof of another session", other_proof, CLO_E_DENIED, "channel.binding"},
    {"no nonce of ours", foreign_nonce, CLO_E_DENIED, "nonce.owner"},
    {"forged nonce", forged_nonce, CLO_E_DENIED, "nonce.mac"},
    {"forged code", forged_mac, CLO_E_DENIED, "nonce.mac"},
    {"nonces in another order", swapped_nonces, CLO_E_DENIED, "nonce.order"},
    {"one nonce too many", third_nonce, CLO_E_DENIED, "nonce.order"},
    {"agreement not in the log", no_proof, CLO_E_DENIED, "log.inclusion"},
    {"log without witness", no_witness, CLO_E_DENIED, "log.witnesses"},
    {"log witnessed in our future", witnessed_later, CLO_E_DENIED, "clock.witnessed"},
    {"one signature missing", unsigned_agreement, CLO_E_DENIED, "agreement.signatures"},
    {"bound to another agreement", other_agreement, CLO_E_DENIED, "binding.agreement"},
    {"bound to another epoch", other_epoch, CLO_E_DENIED, "binding.epoch"},
    {"bound to another request", other_request, CLO_E_DENIED, "binding.request"},
    {"started by a stranger", other_starter, CLO_E_DENIED, "run.starter"},
    {"asks less than the price", other_ask, CLO_E_DENIED, "run.ask"},
    {"run without this owner", not_our_run, CLO_E_DENIED, "run.owner"},
    {"no manifests", no_manifest, CLO_E_DENIED, "dataset.manifest"},
    {"own manifest missing", only_foreign_manifest, CLO_E_DENIED, "dataset.manifest"},
    {"unknown version", other_version, CLO_E_DENIED, "dataset.version"},
    {"unknown foreign version", other_foreign_version, CLO_E_DENIED, "dataset.version"},
    {"patched runtime", patched_runtime, CLO_E_DENIED, "evidence.measurement"},
    {"evidence for something else", other_report_data, CLO_E_DENIED, "evidence.report_data"},
    {"a layer of the sandbox is inactive", inactive_layer, CLO_E_DENIED, "configuration.layers"},
    {"a lease of the runtime's own", own_lease, CLO_E_DENIED, "configuration.times"},
    {"configuration without members", no_configuration, CLO_E_MISSING_FIELD, "evidence"},
};

static void test_denials(void **state)
{
    (void)state;
    runtime r;
    world_begin(&w, NULL);
    runtime_make(&r);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        message m;
        message_begin(&w, &m, &r);
        cases[i].make(&m);
        clo_buf out;
        clo_buf_init(&out, 64 << 10);
        clo_err e = clo_kms_release(w.kms, message_finish(&w, &m), &m.channel, &out);
        if (!clo_failed(e)) fail_msg("%s: was released", cases[i].name);
        assert_claim(e, cases[i].code, cases[i].claim);
        assert_int_equal(out.len, 0);
        clo_buf_free(&out);
    }
    /* Nothing happened: no registration, no ledger entry. */
    assert_ledger(&w, 0, 0);
    world_end(&w);
}

/* Valid evidence, properly signed, that the agreement's runtime entry does not take: each for its own reason, and nothing is kept. */
static void refused_under(const terms *t, uint32_t code, const char *claim)
{
    runtime r;
    message m;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, 64 << 10);
    world_begin(&w, t);
    runtime_make(&r);
    message_begin(&w, &m, &r);
    assert_claim(clo_kms_release(w.kms, message_finish(&w, &m), &m.channel, &out), code, claim);
    assert_int_equal(out.len, 0);
    assert_ledger(&w, 0, 0);
    world_end(&w);
}

static void T17_simulated_evidence_under_a_production_agreement(void **state)
{
    (void)state;
    refused_under(&(terms){.simulated_forbidden = true}, CLO_E_DENIED, "evidence.tee");
    /* Evidence of the software TEE that calls itself hardware: its root is not AMD's. */
    runtime r;
    message m;
    CLO_AUTO(clo_buf_free) clo_buf out, renamed;
    clo_buf_init(&out, 64 << 10);
    clo_buf_init(&renamed, CLO_EVIDENCE_MAX);
    world_begin(&w, &(terms){.simulated_forbidden = true});
    runtime_make(&r);
    message_begin(&w, &m, &r);
    (void)message_finish(&w, &m);
    clo_wire_node *map = NULL;
    assert_ok(clo_wire_cbor_decode(&w.arena, m.m.evidence, NULL, &map));
    clo_wire_node *tee = clo_wire_get(map, "tee");
    assert_non_null(tee);
    tee->text = clo_span_str("snp");
    assert_ok(clo_wire_cbor_encode(map, &renamed));
    m.m.evidence = clo_buf_span(&renamed);
    assert_claim(clo_kms_release(w.kms, message_finish(&w, &m), &m.channel, &out), CLO_E_DENIED, "evidence.chain.product");
    assert_ledger(&w, 0, 0);
    world_end(&w);
}

static void T19_old_firmware_is_refused(void **state)
{
    (void)state;
    refused_under(&(terms){.runtime = ", min_tcb: {snp: 200}"}, CLO_E_DENIED, "evidence.reported_tcb");
    refused_under(&(terms){.runtime = ", min_tcb: {ucode: 250}"}, CLO_E_DENIED, "evidence.reported_tcb");
}

/* Whoever extracted one chip's key makes evidence that verifies; a list of chips still refuses it. */
static void T20_valid_evidence_of_a_chip_outside_the_list(void **state)
{
    (void)state;
    uint8_t other[64];
    char text[160] = ", chips: [", hex[129];
    memset(other, 0x5a, sizeof other);
    clo_hex_encode(hex, clo_span_of(other, sizeof other));
    (void)snprintf(text, sizeof text, ", chips: [%s]", hex);
    refused_under(&(terms){.runtime = text}, CLO_E_DENIED, "evidence.chip");
}

/* The host shows a better configuration than the one that the evidence covers. */
static void T18_configuration_swapped(void **state)
{
    (void)state;
    runtime r;
    message m;
    world_begin(&w, NULL);
    runtime_make(&r);
    message_begin(&w, &m, &r);
    clo_span better = m.m.binding.configuration;
    configure(&m, without_landlock);
    (void)message_finish(&w, &m);
    m.m.binding.configuration = better;
    CLO_AUTO(clo_buf_free) clo_buf body;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&body, 8 << 20);
    clo_buf_init(&out, 64 << 10);
    assert_ok(clo_collab_release_request_encode(&m.m, &body));
    assert_claim(clo_kms_release(w.kms, clo_buf_span(&body), &m.channel, &out), CLO_E_DENIED, "evidence.report_data");
    assert_int_equal(out.len, 0);
    assert_ledger(&w, 0, 0);
    world_end(&w);
}

static clo_err try_message(message *m)
{
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    clo_err e = clo_kms_release(w.kms, message_finish(&w, m), &m->channel, &out);
    clo_buf_free(&out);
    return e;
}

/* A nonce counts once, for 60 seconds, at the service that made it. */
static void test_nonces(void **state)
{
    (void)state;
    runtime r;
    static message m, again;
    static clo_collab_release_reply reply;
    world_begin(&w, NULL);
    runtime_make(&r);
    release_ok(&w, &r, &m, &reply);
    message_begin(&w, &again, &r);
    memcpy(again.m.binding.nonces[0].bytes, m.m.binding.nonces[0].bytes, CLO_NONCE);
    assert_claim(try_message(&again), CLO_E_REPLAYED, "nonce.unused");
    world_restart(&w);
    again.m.evidence = (clo_span){NULL, 0};
    assert_claim(try_message(&again), CLO_E_REPLAYED, "nonce.unused");

    message_begin(&w, &m, &r);
    w.time.wall_seconds += CLO_KMS_NONCE_SECONDS;
    w.time.monotonic_ns += CLO_KMS_NONCE_SECONDS * 1000000000ull;
    assert_ok(try_message(&m));
    message_begin(&w, &m, &r);
    w.time.wall_seconds += CLO_KMS_NONCE_SECONDS + 1;
    w.time.monotonic_ns += (CLO_KMS_NONCE_SECONDS + 1) * 1000000000ull;
    assert_claim(try_message(&m), CLO_E_EXPIRED, "nonce.time");
    clo_kms_free(&w.kms);

    /* Another service's nonce. */
    world_begin(&w, NULL);
    uint8_t foreign[CLO_NONCE];
    assert_ok(clo_kms_nonce(w.kms, foreign));
    clo_kms_free(&w.kms);
    world_begin(&w, NULL);
    message_begin(&w, &m, &r);
    memcpy(m.m.binding.nonces[0].bytes, foreign, CLO_NONCE);
    assert_claim(try_message(&m), CLO_E_DENIED, "nonce.owner");
    world_end(&w);
}

/* The host's clock may jump: the service refuses, its time never goes back, and a nonce does not live longer for it. */
static void test_clock(void **state)
{
    (void)state;
    runtime r;
    static message m;
    int64_t now = 0, ten_years = 10ll * 365 * 86400;
    world_begin(&w, NULL);
    runtime_make(&r);
    message_begin(&w, &m, &r);
    w.time.wall_seconds += ten_years;
    assert_claim(try_message(&m), CLO_E_DENIED, "clock.wall");
    w.time.wall_seconds -= 2 * ten_years;
    w.time.monotonic_ns += (CLO_KMS_NONCE_SECONDS + 1) * 1000000000ull;
    m.m.evidence = (clo_span){NULL, 0};
    assert_claim(try_message(&m), CLO_E_EXPIRED, "nonce.time");
    w.time.wall_seconds += ten_years;
    assert_ok(clo_kms_now(w.kms, &now));
    assert_int_equal(now, w.time.wall_seconds + CLO_KMS_NONCE_SECONDS + 1);
    /* A restart under a clock that went back ends every lease. */
    message_begin(&w, &m, &r);
    assert_ok(try_message(&m));
    assert_balance(&w, "0", "1/100");
    clo_kms_free(&w.kms);
    w.time.wall_seconds -= 1000;
    assert_ok(clo_kms_open(&w.kms, w.home, &w.clock));
    assert_balance(&w, "0", "0");
    int64_t later = 0;
    assert_ok(clo_kms_now(w.kms, &later));
    assert_true(later >= now);
    assert_ledger(&w, 3, 0);
    w.time.wall_seconds += 1000 + 3600;
    w.time.monotonic_ns += 3600 * 1000000000ull;
    world_end(&w);
}

/* A run belongs to the first runtime: a clone gets nothing, the same runtime may ask again, an ended run stays ended. */
static void test_run_id(void **state)
{
    (void)state;
    runtime r, clone;
    static message m, second;
    static clo_collab_release_reply reply;
    world_begin(&w, NULL);
    runtime_make(&r);
    runtime_make(&clone);
    release_ok(&w, &r, &m, &reply);
    message_begin(&w, &second, &clone);
    second.m.request = m.m.request;
    assert_claim(try_message(&second), CLO_E_CONFLICT, "run.id");
    message_begin(&w, &second, &r);
    second.m.request = m.m.request;
    second.request = m.request;
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    assert_ok(clo_kms_release(w.kms, message_finish(&w, &second), &second.channel, &out));
    static clo_collab_release_reply again;
    assert_ok(clo_collab_release_reply_decode(&w.arena, clo_buf_span(&out), &again));
    assert_memory_equal(again.release_id, reply.release_id, 16);
    clo_key32 dek;
    open_key(&second, &again, &dek);
    assert_memory_equal(dek.b, w.dek.b, 32);
    clo_buf_free(&out);
    assert_ledger(&w, 2, 1);
    w.time.monotonic_ns += 61ull * 1000000000ull;
    w.time.wall_seconds += 61;
    message_begin(&w, &second, &r);
    second.m.request = m.m.request;
    assert_claim(try_message(&second), CLO_E_EXPIRED, "run.lease");
    size_t ended = 0;
    assert_ok(clo_kms_sweep(w.kms, &ended));
    assert_int_equal(ended, 1);
    message_begin(&w, &second, &r);
    second.m.request = m.m.request;
    assert_claim(try_message(&second), CLO_E_EXPIRED, "run.lease");
    world_end(&w);
}

static void test_counts_and_windows(void **state)
{
    (void)state;
    runtime r;
    static message m;
    static clo_collab_release_reply reply;
    char window[200], from[21], to[21];
    world_begin(&w, &(terms){.count_max = 2});
    runtime_make(&r);
    release_ok(&w, &r, &m, &reply);
    release_ok(&w, &r, &m, &reply);
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_DENIED, "run.count");
    world_end(&w);
    clo_time_format(from, w.time.wall_seconds + 100);
    clo_time_format(to, w.time.wall_seconds + 200);
    (void)snprintf(window, sizeof window, "    not_before: %s\n    not_after: %s\n", from, to);
    world_begin(&w, &(terms){.window = window});
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_DENIED, "run.window");
    w.time.wall_seconds += 100;
    message_begin(&w, &m, &r);
    assert_ok(try_message(&m));
    w.time.wall_seconds += 100;
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_DENIED, "run.window");
    world_end(&w);
}

/* The owner's key is the pinned one, whatever the agreement says; the service's own key must be in it too. */
static void test_pinned_owner(void **state)
{
    (void)state;
    runtime r;
    static message m;
    clo_collab_identity impostor;
    assert_ok(clo_collab_identity_make("hospital-a", &impostor));
    runtime_make(&r);
    world_begin(&w, NULL);
    w.g = world_agreement(&w, &(terms){.owner = &impostor}, &w.file, &w.proof);
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_DENIED, "agreement.owner_key");
    uint8_t other[32];
    memset(other, 9, sizeof other);
    w.g = world_agreement(&w, &(terms){.hpke = other}, &w.file, &w.proof);
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_DENIED, "agreement.kms_key");
    world_end(&w);
}

/* Keys that are disabled, revoked, destroyed or absent are not released. */
static void test_key_states(void **state)
{
    (void)state;
    runtime r;
    static message m;
    clo_kms_key k;
    char id[CLO_KMS_ID];
    static const clo_kms_key_verb verbs[] = {CLO_KMS_KEY_DISABLE, CLO_KMS_KEY_REVOKE, CLO_KMS_KEY_DESTROY};
    runtime_make(&r);
    for (size_t i = 0; i < 3; i++) {
        world_begin(&w, NULL);
        assert_ok(kms_key_id(w.manifest_a.id, w.manifest_a.version, id));
        assert_ok(clo_kms_key_change(w.kms, id, verbs[i], &k));
        message_begin(&w, &m, &r);
        assert_claim(try_message(&m), CLO_E_DENIED, "key.state");
        world_end(&w);
    }
    world_begin(&w, NULL);
    clo_key32 dek;
    world_dataset(&w, &w.a, "rows-a", &dek, &w.manifest_a, &w.manifest_a_bytes);
    message_begin(&w, &m, &r);
    assert_claim(try_message(&m), CLO_E_NOT_FOUND, "key.present");
    world_end(&w);
}

/* Renewal needs fresh evidence of the same runtime, and extends the lease. */
static void test_renewal(void **state)
{
    (void)state;
    runtime r, clone;
    static message m, again;
    static clo_collab_release_reply reply;
    world_begin(&w, NULL);
    runtime_make(&r);
    runtime_make(&clone);
    release_ok(&w, &r, &m, &reply);
    for (int i = 0; i < 3; i++) {
        w.time.wall_seconds += 50;
        w.time.monotonic_ns += 50ull * 1000000000ull;
        message_begin(&w, &again, &r);
        again.m.request = m.m.request;
        clo_buf out;
        clo_buf_init(&out, 64 << 10);
        assert_ok(clo_kms_renew(w.kms, message_finish(&w, &again), &again.channel, &out));
        static clo_collab_release_reply renewed;
        assert_ok(clo_collab_release_reply_decode(&w.arena, clo_buf_span(&out), &renewed));
        assert_int_equal(renewed.key_count, 0);
        assert_int_equal(renewed.expires, w.time.wall_seconds + 60);
        clo_buf_free(&out);
        size_t ended = 1;
        assert_ok(clo_kms_sweep(w.kms, &ended));
        assert_int_equal(ended, 0);
    }
    clo_buf out;
    clo_buf_init(&out, 64 << 10);
    message_begin(&w, &again, &clone);
    again.m.request = m.m.request;
    assert_claim(clo_kms_renew(w.kms, message_finish(&w, &again), &again.channel, &out), CLO_E_CONFLICT, "run.id");
    message_begin(&w, &again, &r);
    assert_code(clo_kms_renew(w.kms, message_finish(&w, &again), &again.channel, &out), CLO_E_NOT_FOUND);
    w.time.wall_seconds += 60;
    w.time.monotonic_ns += 60ull * 1000000000ull;
    message_begin(&w, &again, &r);
    again.m.request = m.m.request;
    assert_claim(clo_kms_renew(w.kms, message_finish(&w, &again), &again.channel, &out), CLO_E_EXPIRED, "run.lease");
    clo_buf_free(&out);
    world_end(&w);
}

/* Every truncation and every changed byte of a message is refused. */
static void test_hostile_bytes(void **state)
{
    (void)state;
    runtime r;
    static message m;
    world_begin(&w, NULL);
    runtime_make(&r);
    message_begin(&w, &m, &r);
    clo_span good = message_finish(&w, &m);
    clo_buf out, bad;
    clo_buf_init(&out, 64 << 10);
    clo_buf_init(&bad, 1 << 20);
    for (size_t n = 0; n < good.n; n += n < 200 ? 1 : 97)
        assert_true(clo_failed(clo_kms_release(w.kms, clo_span_of(good.p, n), &m.channel, &out)));
    for (size_t i = 0; i < good.n; i += 13) {
        clo_buf_clear(&bad);
        assert_ok(clo_buf_put_span(&bad, good));
        bad.p[i] ^= 0x10;
        if (!clo_failed(clo_kms_release(w.kms, clo_buf_span(&bad), &m.channel, &out)))
            fail_msg("byte %zu changed was accepted", i);
    }
    assert_int_equal(out.len, 0);
    assert_ok(clo_kms_release(w.kms, good, &m.channel, &out));
    clo_buf_free(&out);
    clo_buf_free(&bad);
    world_end(&w);
}

/* What earlier releases left in memory helps no changed message: with agreement, manifests and collateral known, each byte still counts. */
static void test_hostile_bytes_when_known(void **state)
{
    (void)state;
    runtime r;
    static message m;
    static clo_collab_release_reply reply;
    world_begin(&w, NULL);
    runtime_make(&r);
    release_ok(&w, &r, &m, &reply);
    release_ok(&w, &r, &m, &reply);
    assert_int_equal(clo_attest_cache_count(w.kms->collateral).hits, 1);
    message_begin(&w, &m, &r);
    clo_span good = message_finish(&w, &m);
    clo_buf out, bad;
    clo_buf_init(&out, 64 << 10);
    clo_buf_init(&bad, 1 << 20);
    for (size_t i = 0; i < good.n; i += 7) {
        clo_buf_clear(&bad);
        assert_ok(clo_buf_put_span(&bad, good));
        bad.p[i] ^= 0x20;
        if (!clo_failed(clo_kms_release(w.kms, clo_buf_span(&bad), &m.channel, &out)))
            fail_msg("byte %zu changed was accepted", i);
    }
    /* Another manifest of the dataset: signed by someone else, or signed well and not the one that the request names. */
    clo_key32 dek;
    clo_collab_manifest next;
    clo_span known = m.m.manifests[0];
    world_dataset(&w, &w.b, "rows-a", &dek, &next, &m.m.manifests[0]);
    m.m.evidence = clo_span_of(NULL, 0);
    assert_claim(clo_kms_release(w.kms, message_finish(&w, &m), &m.channel, &out), CLO_E_DENIED, "dataset.manifest");
    world_dataset(&w, &w.a, "rows-a", &dek, &next, &m.m.manifests[0]);
    assert_claim(clo_kms_release(w.kms, message_finish(&w, &m), &m.channel, &out), CLO_E_DENIED, "dataset.version");
    m.m.manifests[0] = known;
    assert_int_equal(out.len, 0);
    assert_ok(clo_kms_release(w.kms, message_finish(&w, &m), &m.channel, &out));
    clo_buf_free(&out);
    clo_buf_free(&bad);
    world_end(&w);
}

WORLD_GROUP(w)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_released_key),  cmocka_unit_test(test_denials), cmocka_unit_test(T17_simulated_evidence_under_a_production_agreement),
                                       cmocka_unit_test(T19_old_firmware_is_refused), cmocka_unit_test(T20_valid_evidence_of_a_chip_outside_the_list),
                                       cmocka_unit_test(T18_configuration_swapped),    cmocka_unit_test(test_nonces),
        cmocka_unit_test(test_clock),         cmocka_unit_test(test_run_id),     cmocka_unit_test(test_counts_and_windows),
        cmocka_unit_test(test_pinned_owner),  cmocka_unit_test(test_key_states), cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_hostile_bytes), cmocka_unit_test(test_hostile_bytes_when_known),
    };
    return cmocka_run_group_tests(tests, group_open, group_close);
}
