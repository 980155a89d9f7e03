/* The owner's daemon: the key service (kms) behind HTTPS.
 *
 * Routes (one table in broker_routes.c). Bodies are deterministic CBOR where named; else JSON (or CBOR where Accept says
 * application/cbor). GET  /v1/info                     open      {url, spki, hpke, owner, owner_kid, audience, version, ledger:
 * {key, state, entries, witnessed_at, detail}}  (binary values as lower-case hex) GET  /v1/nonce                    open      72 raw bytes, application/octet-stream POST /v1/release
 * /v1/renew       channel   CBOR release request -> CBOR release reply POST /v1/commit                   signed    CBOR commit
 * request -> CBOR commit reply GET  /v1/runs/{id}/shares         open      CBOR commit reply (shares are sealed to their
 * recipients); {id} = 32 hex digits POST /v1/orders                   signed    an order (COSE_Sign1) -> {id, state, …} POST
 * /v1/agreements               owner     *.agreement file -> {id, title, epoch, state, …} GET  /v1/agreements               party
 * list under "agreements" POST /v1/keys                     owner     CBOR {manifest, sealed_dek} (collab/key_import.h) -> {id,
 * name, dataset, version, state} GET  /v1/keys                     owner     list under "keys", KEK versions under "keks" POST
 * /v1/keys/{id}/disable|enable|revoke|destroy   owner -> the key POST /v1/keys/rotate              owner     new KEK version, all
 * data keys rewrapped -> {version} GET  /v1/budgets                  party     list under "budgets": {name, dataset, limit,
 * spent, reserved, left (exact texts), epsilon_…, delta}, and "ledger" as above POST /v1/budgets/{dataset}        owner     JSON {"limit": "n/d"}: sets
 * the lifetime limit GET  /v1/ledger?after=N&limit=N   owner     list under "entries" GET  /v1/runs                     owner
 * list under "runs" GET  /v1/explain/{id}             open      {id, time, what, code, detail, claim, expected, actual, source,
 * remedy} GET  /healthz /readyz /metrics    open
 *
 * Party tokens (collab/party.h) are made for the audience `audience` of /v1/info: the lower-case hex of the service's TLS SPKI
 * pin. "owner": the token's key is the pinned owner's; "party": the owner or a member of a registered agreement. A failure is
 * problem+json whose `instance` is "urn:request:ID"; the last part is what /v1/explain and `cloister explain` take. Where the
 * request's Accept names application/cbor, the same members come as a deterministic CBOR map (application/cbor). */
#ifndef CLO_BROKER_H
#define CLO_BROKER_H
#include "gateway/server.h"
#include "kms/kms.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_broker clo_broker;

/* Zero = the defaults. */
typedef struct {
    const char *home;           /* required; borrowed while the broker lives */
    const char *url;            /* as others reach it; NULL = "https://ADDRESS:PORT" */
    const char *const *witnesses; /* of the ledger, beside those that the home has: "URL,SPKIHEX,VKEY"; kept in the home from then on */
    size_t witness_count;
    clo_gateway_options listen; /* address, port, loops, workers, limits …; the rest is filled in by the broker */
    const clo_os_clock *clock;  /* NULL = the machine's */
} clo_broker_options;

/** What an agreement says of this service. */
typedef struct {
    char url[256];
    uint8_t spki[32];
    uint8_t hpke[32];
    char ledger[256]; /* verifier key of the ledger's log, for witnesses */
} clo_broker_identity;

/** Make the home (clo_kms_init) with its TLS identity; remembers `address:port` (NULL = "127.0.0.1:0": a free port is chosen and
 * kept) for later starts. owner_party = bytes of a *.party file. witnesses of the ledger ("URL,SPKIHEX,VKEY") are kept in the home before it
 * counts as complete: no home that was asked to have witnesses ever serves without. Errors also: USAGE, TOO_MANY. */
CLO_R clo_broker_init(const char *home, clo_span owner_party, const char *listen, const char *url, const char *const *witnesses, size_t witness_count,
                      clo_broker_identity *out);
/** Open the home and serve. Given to the caller. */
CLO_R clo_broker_start(clo_broker **out, const clo_broker_options *options);
const clo_broker_identity *clo_broker_identity_of(const clo_broker *broker);
/** The key service behind it; borrowed. */
clo_kms *clo_broker_kms(const clo_broker *broker);
/** Graceful end: requests in flight get up to grace_ms. */
void clo_broker_stop(clo_broker **broker, unsigned grace_ms);
/** {url, spki, hpke, owner, ledger} as one JSON object (one line), appended to out. */
CLO_R clo_broker_identity_json(const clo_broker_identity *identity, const char *owner, clo_buf *out);

/** The whole program: `cloister-kms init --home DIR --owner FILE.party [--listen ADDRESS:PORT] [--url URL] [--witness
 * URL,SPKIHEX,VKEY]…` prints {url, spki, hpke, owner, ledger} as JSON; `cloister-kms [--config FILE] [--home DIR] [--listen
 * ADDRESS:PORT] [--witness URL,SPKIHEX,VKEY]…` serves until SIGTERM or SIGINT and prints one line "cloister-kms: serving OWNER at URL" on standard output once ready. Returns the exit code. */
int clo_broker_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
