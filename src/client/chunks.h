/* The chunks of a sealed file, written by several threads: one takes the next plain bytes while others seal, hash and write theirs. */
#ifndef CLO_CLIENT_CHUNKS_H
#define CLO_CLIENT_CHUNKS_H
#include "crypto/stream.h"
#include "wire/merkle.h"
#ifdef __cplusplus
extern "C" {
#endif

/** The next n plain bytes; called in order, by one thread at a time. */
typedef clo_err (*clo_client_plain_source)(void *context, uint8_t *to, size_t n);

typedef struct {
    int fd;
    uint64_t offset; /* of chunk 0 in the file */
    const clo_crypto_stream *stream;
    clo_crypto_stream_info info;
    clo_client_plain_source source;
    void *context;
    unsigned threads; /* the caller's is one of them; 0 = 2, at most 16 */
} clo_client_chunks;

/** Write all chunks (not synced yet) and give the Merkle root over them. Memory: 2 MiB per thread, or two chunks where they are larger.
 *  Errors: those of the source, NOMEM, IO; the file then holds a part. */
CLO_R clo_client_chunks_write(const clo_client_chunks *o, clo_wire_hash *root);

#ifdef __cplusplus
}
#endif
#endif
