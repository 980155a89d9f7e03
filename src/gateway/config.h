/* A daemon's one configuration file: YAML into a struct through the schema reader; an unknown key is an error with its line. */
#ifndef CLO_GATEWAY_CONFIG_H
#define CLO_GATEWAY_CONFIG_H
#include "base/clo_arena.h"
#include "gateway/server.h"
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Read a YAML file (at most 1 MiB) and open its top map as `fields` (path = file name); then take members and call
 *  clo_gateway_config_end. path NULL = an empty map, so that every optional member keeps its default. */
CLO_R clo_gateway_config_open(clo_arena *arena, const char *path, clo_wire_fields *fields);
/** clo_wire_fields_end with the file's name before the sentence. */
CLO_R clo_gateway_config_end(clo_wire_fields *fields, const char *path);
/** Member "listen" (optional map: address, port, loops, workers, queue, connections, connections_per_peer, head_timeout_ms,
 *  idle_timeout_ms, rate_per_peer, rate_per_principal, failures_per_peer) into the options; those that are absent stay. Strings are owned by the arena. */
void clo_gateway_config_listen(clo_wire_fields *fields, clo_gateway_options *options);

/** The line "listen: {…}" with everything that is set in the options: what a daemon writes anew keeps what its owner chose. */
CLO_R clo_gateway_config_listen_write(const char *address, uint16_t port, const clo_gateway_options *options, clo_buf *out);

/** The TLS identity of a daemon: DIR/tls.key (0600) and DIR/tls.pem, made (P-256, self-signed, ten years) where both are absent.
 *  spki = the pin that clients need. context is given. */
CLO_R clo_gateway_identity_open(const char *dir, const char *common_name, int64_t now, bool ask_client_leaf, clo_crypto_tls_context **context,
                                uint8_t spki[32]);

#ifdef __cplusplus
}
#endif
#endif
