/* The operator's daemon: stores ciphertext and metadata, registers what was signed in the transparency log, starts runtimes and forwards their bytes.
 * It is trusted for availability alone.
 *
 * HTTP (one table in service_routes.c; JSON unless named; party tokens are made for the audience = lower-case hex of the daemon's TLS SPKI pin):
 *   GET  /api/v1/info                        open   {name, url, spki, audience, version, log: {origin, vkey, witnesses: [vkey], quorum},
 *                                                    tee: {kind, simulated, root (hex DER), root_sha256, measurement}}
 *   GET  /api/v1/compute/status              open   as interfaces.md §4
 *   GET  /api/v1/compute/attestation         open   ?nonce=HEX (8..64 bytes); evidence of a fresh idle runtime over SHA-512("cloister/v1 attestation" ‖ 0 ‖ nonce)
 *   POST /api/v1/parties                     open   *.party file -> {name, kid}; the first key under a name stays (409 for another)
 *   GET  /api/v1/parties                     party
 *   POST /api/v1/agreements                  party  *.agreement file (any number of signatures; merged with what is there; only members) -> the agreement
 *   GET  /api/v1/agreements[/{id}]           party  {id, title, epoch, state, signed: [..], missing: [..], not_after, log_index|null, lineage}; members only
 *   GET  /api/v1/agreements/{id}/file        party  the file;   GET …/proof  its tlog-proof (text/plain)
 *   POST /api/v1/agreements/{id}/orders      party  order (COSE_Sign1) -> the agreement
 *   POST /api/v1/datasets                    party  manifest (COSE_Sign1; its owner only) -> {id, name, owner, version, received, size, complete}
 *   GET  /api/v1/datasets[/{version}]        party  the same + row_count, chunk_count, created; owner or member of an agreement with it
 *   GET  /api/v1/datasets/{version}/manifest party  COSE bytes
 *   PUT  /api/v1/datasets/{version}/content  party  ?offset=N: streamed; must continue at `received`; when complete the Merkle root is checked (400 else, and nothing is kept)
 *   POST /api/v1/runs                        party  run request (COSE_Sign1) -> 202 the run; same request again = the same run
 *   GET  /api/v1/runs[/{id}]                 party  {id, agreement, run, starter, state, phase, text, done, total, created, changed, tee, simulated, released,
 *                                                    denial: {claim, expected, actual, source, remedy, owner}|null, error, log_index|null}
 *   POST /api/v1/runs/{id}/cancel            party  starter or a data owner of the run
 *   GET  /api/v1/runs/{id}/events            party  SSE: event "run", data = the run as above
 *   GET  /api/v1/outputs                     party  runs whose recipient the caller is
 *   GET  /api/v1/outputs/{id}                party  sealed output file (recipients);   GET …/shares  CBOR array of commit replies (bytes)
 *   GET  /api/v1/receipts[/{id}]             party  list; the *.receipt file
 *   GET  /api/v1/explain/{id}                party  {id, what, time, code, detail, claim, expected, actual, source, remedy}; id of a run or of a request
 *   GET  /log/checkpoint, /log/tile/…        open   C2SP tlog-tiles
 *   GET  /events                             party  SSE of the caller's runs;  /healthz /readyz /metrics /api/v1/openapi.json
 * States of a run: queued, starting, attesting, releasing, reading, computing, committing, done, failed, cancelled. {id} = 32 hex digits (run id). */
#ifndef CLO_SERVICE_H
#define CLO_SERVICE_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#ifdef __cplusplus
extern "C" {
#endif

/** The whole program.
 *   cloisterd init --home DIR [--name NAME] [--listen ADDRESS:PORT] [--url URL] [--enclave PATH] [--witness URL,SPKIHEX,VKEY]…   make a home; prints /api/v1/info as one JSON line
 *   cloisterd [--config FILE] [--home DIR] [--listen …]    serve until SIGTERM/SIGINT; prints "cloisterd: serving NAME at URL" once ready
 *   cloisterd --role witness init --home DIR [--name NAME] [--listen ADDRESS:PORT] [--log VKEY]… [--open-logs N]   prints {name, url, spki, vkey}
 *   cloisterd --role witness [--home DIR] [--log VKEY]… [--open-logs N]   serve as an independent witness: POST /add-checkpoint, POST /logs, GET /info
 * Without init, a missing home is made with the embedded default. Exit codes as in interfaces.md §2. */
int clo_service_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
