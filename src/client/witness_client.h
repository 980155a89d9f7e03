/* A log's side of C2SP tlog-witness: one witness over HTTPS, and what it is known to have seen. */
#ifndef CLO_CLIENT_WITNESS_CLIENT_H
#define CLO_CLIENT_WITNESS_CLIENT_H
#include "base/clo_buf.h"
#include "client/http_client.h"
#include "wire/merkle.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Zero it, or let clo_client_witness_parse fill it; clo_client_witness_close ends it. */
typedef struct {
    char url[256];
    uint8_t spki[32];
    char vkey[512];
    uint64_t size;         /* of the last checkpoint that it cosigned, as far as is known */
    clo_client_http *http; /* kept between questions; NULL before the first */
} clo_client_witness;

/** "URL,SPKIHEX,VKEY", as a witness printed them at its init. Errors: USAGE, and those of a bad key. */
CLO_R clo_client_witness_parse(const char *text, clo_client_witness *out);
void clo_client_witness_close(clo_client_witness *w);

/* What a log offers. */
typedef struct {
    clo_span note; /* signed checkpoint */
    uint64_t size; /* entries in it */
    clo_err (*consistency)(void *context, uint64_t old_size, uint64_t size, clo_wire_hash *path, size_t *count);
    void *context;
    unsigned timeout_ms;
} clo_client_witness_offer;

/** Have a checkpoint cosigned: offer the consistency from the size that the witness last had; a 409 tells the size that it has. Its
 *  cosignature lines, verified, are appended to `lines`; other lines are dropped. One question at a time. Errors: CONFLICT with claim log.history where the
 *  witness has seen a longer or another log; NOT_FOUND where it does not know the log; BAD_SIGNATURE where its answer has none of its own; else whatever kept the answer away. */
CLO_R clo_client_witness_ask(clo_client_witness *w, const clo_client_witness_offer *offer, clo_buf *lines);
/** Make a log known to a witness that is open to logs of this kind (`--open-logs`). Errors: DENIED (it is not). */
CLO_R clo_client_witness_introduce(clo_client_witness *w, const char *log_vkey, unsigned timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
