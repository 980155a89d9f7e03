/* Configuration files and the TLS identity of a daemon. */
#include "base/clo_buf.h"
#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "gateway/config.h"
#include "os/file.h"
#include "wire/json.h"
#include <stdio.h>
#include <stdio.h>

enum { CONFIG_MAX = 1024 * 1024, KEY_PEM_MAX = 8192, CERT_PEM_MAX = 64 * 1024, TEN_YEARS = 3650 * 86400 };

clo_err clo_gateway_config_open(clo_arena *arena, const char *path, clo_wire_fields *fields)
{
    clo_wire_node *top = NULL;
    if (path == NULL) {
        CLO_TRY(clo_wire_map(arena, &top));
        clo_wire_fields_open(fields, arena, top, "configuration");
        return CLO_OK;
    }
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, CONFIG_MAX);
    CLO_TRY(clo_os_file_read(path, CONFIG_MAX, &text));
    clo_err e = clo_wire_yaml_decode(arena, clo_buf_span(&text), &top);
    if (clo_failed(e)) return clo_err_prefix(e, path);
    if (top->type != CLO_WIRE_MAP) return clo_err_prefix(CLO_FAILF(CLO_E_MALFORMED, "the configuration must be a map of keys"), path);
    clo_wire_fields_open(fields, arena, top, "configuration");
    return CLO_OK;
}

clo_err clo_gateway_config_end(clo_wire_fields *fields, const char *path)
{
    clo_err e = clo_wire_fields_end(fields);
    return clo_failed(e) && path != NULL ? clo_err_prefix(e, path) : e;
}

static void take_unsigned(clo_wire_fields *f, const char *key, int64_t min, int64_t max, unsigned *out)
{
    int64_t v = 0;
    if (!clo_wire_has(f, key)) return;
    clo_wire_take_int(f, key, &v, min, max);
    *out = (unsigned)v;
}

static void take_size(clo_wire_fields *f, const char *key, int64_t min, int64_t max, size_t *out)
{
    int64_t v = 0;
    if (!clo_wire_has(f, key)) return;
    clo_wire_take_int(f, key, &v, min, max);
    *out = (size_t)v;
}

static void take_rate(clo_wire_fields *f, const char *key, double *rate, double *burst)
{
    if (!clo_wire_has(f, key)) return;
    clo_wire_take_float(f, key, rate);
    if (*rate < 0.0 || *rate > 1e6) clo_wire_fields_fail(f, CLO_E_RANGE, key, "must be within 0..1000000 requests per second (0 = unlimited)");
    *burst = *rate * 2.0 < 1.0 ? 1.0 : *rate * 2.0;
}

void clo_gateway_config_listen(clo_wire_fields *fields, clo_gateway_options *options)
{
    if (!clo_wire_has(fields, "listen")) return;
    const clo_wire_node *node = NULL;
    clo_wire_take_map(fields, "listen", &node);
    clo_wire_fields f;
    unsigned port = options->port;
    clo_wire_fields_open(&f, fields->arena, node, "listen");
    if (clo_wire_has(&f, "address")) clo_wire_take_text(&f, "address", &options->address, 45);
    take_unsigned(&f, "port", 0, 65535, &port);
    take_unsigned(&f, "loops", 1, 8, &options->loops);
    take_unsigned(&f, "workers", 1, 256, &options->workers);
    take_size(&f, "queue", 1, 100000, &options->queue_max);
    take_size(&f, "connections", 1, 1000000, &options->connections_max);
    take_size(&f, "connections_per_peer", 1, 1000000, &options->connections_per_peer_max);
    take_unsigned(&f, "head_timeout_ms", 100, 600000, &options->head_timeout_ms);
    take_unsigned(&f, "idle_timeout_ms", 100, 3600000, &options->idle_timeout_ms);
    take_rate(&f, "rate_per_peer", &options->limits.peer_per_second, &options->limits.peer_burst);
    take_rate(&f, "rate_per_principal", &options->limits.principal_per_second, &options->limits.principal_burst);
    take_rate(&f, "failures_per_peer", &options->limits.failures_per_second, &options->limits.failures_burst);
    options->port = (uint16_t)port;
    clo_err e = clo_wire_fields_end(&f);
    /* The outer cursor latches it, so that one place looks at errors. */
    if (!clo_failed(e) || clo_failed(fields->err)) return;
    fields->err = e;
    (void)snprintf(fields->text, sizeof fields->text, "%s", clo_err_text());
}

static clo_err put_option(clo_buf *out, const char *key, uint64_t value)
{
    return value == 0 ? CLO_OK : clo_buf_printf(out, ", %s: %llu", key, (unsigned long long)value);
}

static clo_err put_rate(clo_buf *out, const char *key, double rate) { return rate > 0.0 ? clo_buf_printf(out, ", %s: %.9g", key, rate) : CLO_OK; }

clo_err clo_gateway_config_listen_write(const char *address, uint16_t port, const clo_gateway_options *o, clo_buf *out)
{
    CLO_TRY(clo_buf_printf(out, "listen: {address: \"%s\", port: %u", address, (unsigned)port));
    CLO_TRY(put_option(out, "loops", o->loops));
    CLO_TRY(put_option(out, "workers", o->workers));
    CLO_TRY(put_option(out, "queue", o->queue_max));
    CLO_TRY(put_option(out, "connections", o->connections_max));
    CLO_TRY(put_option(out, "connections_per_peer", o->connections_per_peer_max));
    CLO_TRY(put_option(out, "head_timeout_ms", o->head_timeout_ms));
    CLO_TRY(put_option(out, "idle_timeout_ms", o->idle_timeout_ms));
    CLO_TRY(put_rate(out, "rate_per_peer", o->limits.peer_per_second));
    CLO_TRY(put_rate(out, "rate_per_principal", o->limits.principal_per_second));
    CLO_TRY(put_rate(out, "failures_per_peer", o->limits.failures_per_second));
    return clo_buf_put_str(out, "}\n");
}

static clo_err make_key(const char *key_path)
{
    CLO_AUTO(clo_buf_free) clo_buf key;
    clo_buf_init(&key, KEY_PEM_MAX);
    clo_err e = clo_crypto_keypair_make(CLO_KEYPAIR_P256, &key);
    if (!clo_failed(e)) e = clo_os_file_write_new(key_path, clo_buf_span(&key), 0600);
    if (key.p != NULL) clo_wipe(key.p, key.cap);
    return e;
}

/* Peers trust the key, not the certificate: a new one for the same key changes nothing for them. */
static clo_err make_certificate(clo_span key, const char *cert_path, const char *common_name, int64_t now)
{
    CLO_AUTO(clo_buf_free) clo_buf der, pem;
    clo_buf_init(&der, CERT_PEM_MAX);
    clo_buf_init(&pem, CERT_PEM_MAX);
    uint64_t serial = 0;
    clo_crypto_cert *leaf = NULL;
    CLO_TRY(clo_crypto_random(&serial, sizeof serial));
    const clo_crypto_cert_request request = {.common_name = common_name,
                                             .not_before = now - 86400,
                                             .not_after = now + TEN_YEARS,
                                             .serial = serial >> 1 | 1u,
                                             .dns_name = "localhost"};
    CLO_TRY(clo_crypto_cert_make(&request, key, NULL, key, &der));
    CLO_TRY(clo_crypto_cert_parse(&leaf, clo_buf_span(&der)));
    clo_err e = clo_crypto_cert_to_pem(leaf, &pem);
    clo_crypto_cert_free(&leaf);
    return clo_failed(e) ? e : clo_os_file_write_new(cert_path, clo_buf_span(&pem), 0644);
}

static clo_err load_identity(clo_span key, const char *cert_path, bool ask_client_leaf, clo_crypto_tls_context **context, uint8_t spki[32])
{
    CLO_AUTO(clo_buf_free) clo_buf pem;
    clo_buf_init(&pem, CERT_PEM_MAX);
    clo_crypto_cert *leaf[8] = {NULL};
    size_t count = 0;
    CLO_TRY(clo_os_file_read(cert_path, CERT_PEM_MAX, &pem));
    clo_err e = clo_crypto_cert_parse_pem(leaf, 8, &count, clo_buf_span(&pem));
    if (!clo_failed(e)) e = clo_crypto_cert_spki_sha256(leaf[0], spki);
    for (size_t i = 0; i < count; i++) clo_crypto_cert_free(&leaf[i]);
    CLO_TRY(e);
    const clo_crypto_tls_options options = {.server = true,
                                            .certificate_pem = clo_buf_span(&pem),
                                            .private_pem = key,
                                            .ask_client_leaf = ask_client_leaf,
                                            .http2 = true};
    return clo_crypto_tls_context_new(context, &options);
}

clo_err clo_gateway_identity_open(const char *dir, const char *common_name, int64_t now, bool ask_client_leaf, clo_crypto_tls_context **context,
                                  uint8_t spki[32])
{
    char key_path[512], cert_path[512];
    uint8_t key[KEY_PEM_MAX];
    size_t n = 0;
    CLO_TRY(clo_os_path_join(key_path, sizeof key_path, dir, "tls.key"));
    CLO_TRY(clo_os_path_join(cert_path, sizeof cert_path, dir, "tls.pem"));
    bool has_key = clo_os_file_exists(key_path), has_cert = clo_os_file_exists(cert_path);
    CLO_CHECKF(has_key || !has_cert, CLO_E_NOT_FOUND, "%s holds tls.pem but no tls.key: put it back, or remove tls.pem for a new identity", dir);
    if (!has_key) CLO_TRY(make_key(key_path));
    CLO_TRY(clo_os_file_read_secret(key_path, key, sizeof key, &n));
    clo_err e = has_cert ? CLO_OK : make_certificate(clo_span_of(key, n), cert_path, common_name, now);
    if (!clo_failed(e)) e = load_identity(clo_span_of(key, n), cert_path, ask_client_leaf, context, spki);
    clo_wipe(key, sizeof key);
    return e;
}
