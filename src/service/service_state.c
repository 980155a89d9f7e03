#include "service/service_int.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "gateway/config.h"
#include "os/file.h"
#include "service/runtime_host.h"

#include <stdio.h>
#include <string.h>

/* New parties of one address: so many at once, then one in so many seconds. */
enum { REGISTRATION_BURST = 64, REGISTRATION_SECONDS = 60 };

/* The log's signing key: made on first use, 0600. */
static clo_err open_log_key(clo_service *s)
{
    char path[600];
    uint8_t seed[32];
    size_t n = 0;
    CLO_TRY(clo_os_path_join(path, sizeof path, s->config.home, "log.key"));
    if (!clo_os_file_exists(path)) {
        clo_crypto_public_key pk;
        CLO_TRY(clo_crypto_sign_generate(CLO_SIGN_ED25519, &s->log_sk, &pk));
        CLO_TRY(clo_os_file_write_new(path, clo_span_of(s->log_sk.bytes, 32), 0600));
    }
    clo_err e = clo_os_file_read_secret(path, seed, sizeof seed, &n);
    if (!clo_failed(e) && n != sizeof seed) e = CLO_FAILF(CLO_E_MALFORMED, "%s is no log key of 32 bytes", path);
    s->log_sk.alg = CLO_SIGN_ED25519;
    if (!clo_failed(e)) memcpy(s->log_sk.bytes, seed, sizeof seed);
    clo_wipe(seed, sizeof seed);
    return e;
}

static clo_err open_log(clo_service *s)
{
    char directory[600];
    clo_crypto_public_key pk;
    CLO_TRY(open_log_key(s));
    CLO_TRY(clo_crypto_sign_public_of(&s->log_sk, &pk));
    (void)snprintf(s->origin, sizeof s->origin, "%s.cloister/log", s->config.name);
    CLO_TRY(clo_wire_note_key_make(s->origin, 1, &pk, &s->log_key));
    CLO_AUTO(clo_buf_free) clo_buf vkey;
    clo_buf_init(&vkey, sizeof s->log_vkey);
    CLO_TRY(clo_wire_note_key_text(&s->log_key, &vkey));
    CLO_TRY(clo_str_set(s->log_vkey, sizeof s->log_vkey, clo_buf_span(&vkey)));
    CLO_TRY(clo_os_path_join(directory, sizeof directory, s->config.home, "log"));
    const clo_audit_log_options options = {.directory = directory, .origin = s->origin, .sk = &s->log_sk,
                                           .witness = s->config.witness_count > 0 ? clo_service_witness_ask : NULL, .context = s};
    return clo_audit_log_open(&s->log, &options);
}

CLO_R clo_service_open(clo_service *s)
{
    char directory[600];
    CLO_TRY(clo_os_dir_make(s->config.home));
    s->started = clo_os_clock_wall(s->clock);
    (void)pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->wake, &monotonic);
    (void)pthread_cond_init(&s->settle, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    s->locks_ready = true;
    CLO_TRY(clo_store_open(&s->store, s->config.home));
    CLO_TRY(clo_service_verifier_open(&s->verifier, s->config.home));
    CLO_TRY(clo_service_collateral_load(&s->verifier, s->config.home, clo_crypto_public_key_span(&s->config.collateral_key), s->started));
    CLO_TRY(clo_os_path_join(directory, sizeof directory, s->config.home, "sim-tee"));
    CLO_TRY(clo_tee_sim_open(&s->sim, directory));
    CLO_TRY(clo_service_host_measure(s->config.enclave, s->measurement));
    CLO_TRY(clo_gateway_hub_new(&s->hub, 1024));
    CLO_TRY(clo_gateway_replay_store_new(&s->replay, 4096));
    CLO_TRY(clo_gateway_buckets_new(&s->registrations, 4096, 1.0 / REGISTRATION_SECONDS, REGISTRATION_BURST));
    return open_log(s);
}

void clo_service_close(clo_service *s)
{
    clo_service_platform_stop(s);
    clo_service_scheduler_stop(s);
    if (s->server != NULL) clo_gateway_server_stop(&s->server, 5000);
    clo_crypto_tls_context_free(&s->listen.tls);
    clo_audit_log_close(&s->log);
    for (size_t i = 0; i < s->config.witness_count; i++) clo_client_witness_close(&s->config.witnesses[i]);
    clo_gateway_hub_free(&s->hub);
    clo_gateway_replay_store_free(&s->replay);
    clo_gateway_buckets_free(&s->registrations);
    clo_tee_sim_free(&s->sim);
    clo_service_verifier_close(&s->verifier);
    clo_store_close(&s->store);
    clo_crypto_private_key_wipe(&s->log_sk);
    if (s->locks_ready) {
        (void)pthread_cond_destroy(&s->wake);
        (void)pthread_cond_destroy(&s->settle);
        (void)pthread_mutex_destroy(&s->lock);
        s->locks_ready = false;
    }
}

static clo_err log_tree(clo_service *s, clo_arena *a, clo_wire_node **out)
{
    clo_wire_node *witnesses = NULL, *item = NULL;
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_wire_set_text(a, *out, "origin", s->origin));
    CLO_TRY(clo_wire_set_text(a, *out, "vkey", s->log_vkey));
    CLO_TRY(clo_wire_array(a, &witnesses));
    for (size_t i = 0; i < s->config.witness_count; i++) {
        CLO_TRY(clo_wire_text(a, clo_span_str(s->config.witnesses[i].vkey), &item));
        CLO_TRY(clo_wire_append(witnesses, item));
    }
    CLO_TRY(clo_wire_set(a, *out, "witnesses", witnesses));
    return clo_wire_set_int(a, *out, "quorum", (int64_t)s->config.witness_count);
}

static clo_err tee_tree(clo_service *s, clo_arena *a, clo_wire_node **out)
{
    uint8_t digest[32];
    CLO_TRY(clo_wire_map(a, out));
    clo_tee_sim_root_sha256(s->sim, digest);
    CLO_TRY(clo_wire_set_text(a, *out, "kind", "sim"));
    CLO_TRY(clo_wire_set_bool(a, *out, "simulated", true));
    CLO_TRY(clo_wire_set_bytes(a, *out, "root", clo_tee_sim_root(s->sim)));
    CLO_TRY(clo_wire_set_bytes(a, *out, "root_sha256", clo_span_of(digest, sizeof digest)));
    return clo_wire_set_bytes(a, *out, "measurement", clo_span_of(s->measurement, sizeof s->measurement));
}

CLO_R clo_service_info(clo_service *s, clo_arena *a, clo_wire_node **out)
{
    clo_wire_node *child = NULL;
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_wire_set_text(a, *out, "name", s->config.name));
    CLO_TRY(clo_wire_set_text(a, *out, "url", s->config.url));
    CLO_TRY(clo_wire_set_bytes(a, *out, "spki", clo_span_of(s->spki, sizeof s->spki)));
    CLO_TRY(clo_wire_set_text(a, *out, "audience", s->audience));
    CLO_TRY(clo_wire_set_text(a, *out, "version", CLO_VERSION));
    CLO_TRY(log_tree(s, a, &child));
    CLO_TRY(clo_wire_set(a, *out, "log", child));
    CLO_TRY(tee_tree(s, a, &child));
    return clo_wire_set(a, *out, "tee", child);
}
