/* The AEAD chunk stream: how every bulk object (dataset, output) is sealed.
 *
 * A stream of plain_size bytes is cut into chunk_count = max(1, ceil(plain_size / chunk_size)) chunks. Each is sealed with
 * AES-256-GCM under a key that HKDF-SHA256 derives from the DEK with salt = stream id and
 * info = "cloister/v1 chunk key" ‖ type; nonce = 4 zero bytes ‖ be64(index);
 * AAD = "cloister/v1 chunk" ‖ 0 ‖ type ‖ 0 ‖ object id (32) ‖ version id (16) ‖ be64(index) ‖ be64(count) ‖ be32(chunk_size) ‖
 * be64(plain_size). AES-GCM does not commit to its key, so the header of the object carries commitment = HKDF(DEK, salt = stream
 * id, info = "cloister/v1 commit" ‖ type), 32 bytes, checked (constant time) before any chunk. Chunk i of the sealed object lies
 * at i * (chunk_size + 16): random access and parallel work need no index. */
#ifndef CLO_CRYPTO_STREAM_H
#define CLO_CRYPTO_STREAM_H
#include "base/clo_ct.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

enum {
    CLO_STREAM_CHUNK_DEFAULT = 64 * 1024,
    CLO_STREAM_CHUNK_MIN = 1024,
    CLO_STREAM_CHUNK_MAX = 16 * 1024 * 1024,
    CLO_STREAM_ID = 16,
};

/* What both sides must agree on; everything in it is authenticated with each chunk. */
typedef struct {
    char type[16];          /* "dataset", "output" */
    uint8_t stream_id[16];  /* random, public: salt of the key derivation */
    uint8_t object_id[32];  /* dataset id, or run id, zero-padded */
    uint8_t version_id[16]; /* random per version */
    uint32_t chunk_size;
    uint64_t plain_size;
} clo_crypto_stream_info;

/** Chunks of a stream; 0 where the info is out of its bounds (chunk size, 2^32 chunks). */
uint64_t clo_crypto_stream_chunk_count(const clo_crypto_stream_info *info);
/** Plain bytes of chunk `index` (the last may be shorter; an empty stream has one empty chunk). */
size_t clo_crypto_stream_chunk_plain(const clo_crypto_stream_info *info, uint64_t index);
/** Bytes of the whole sealed stream. */
uint64_t clo_crypto_stream_sealed_size(const clo_crypto_stream_info *info);

/* A derived, reusable, thread-safe sealing context (the same context may be used by several threads at once). Errors of the
 * constructors also: RANGE where the info is out of its bounds or type is empty or has no end. In-place work (out = in.p) is
 * allowed for single chunks only. */
typedef struct clo_crypto_stream clo_crypto_stream;
/** Derive the key for a new or known stream and its commitment. Given to the caller; clo_crypto_stream_free wipes it. */
CLO_R clo_crypto_stream_new(clo_crypto_stream **out, const clo_key32 *dek, const clo_crypto_stream_info *info,
                            uint8_t commitment[32]);
/** The same, refusing a DEK that does not match the commitment. Errors: AUTHENTICATION. */
CLO_R clo_crypto_stream_open(clo_crypto_stream **out, const clo_key32 *dek, const clo_crypto_stream_info *info,
                             const uint8_t commitment[32]);
/** Seal chunk `index`; in.n must be its plain size; out has in.n + 16 bytes. */
CLO_R clo_crypto_stream_seal(const clo_crypto_stream *s, uint64_t index, clo_span in, uint8_t *out);
/** Open chunk `index`; out has in.n - 16 bytes and is wiped on failure. Errors: TRUNCATED, RANGE, AUTHENTICATION. */
CLO_R clo_crypto_stream_open_chunk(const clo_crypto_stream *s, uint64_t index, clo_span in, uint8_t *out);
void clo_crypto_stream_free(clo_crypto_stream **s);

/** Seal or open `count` consecutive chunks starting at `first` with up to `threads` threads (1..16); `in` and `out` hold
 *  the chunks back to back. On failure the whole of out is wiped.
 *  Each thread takes a run of chunks and reuses one cipher context. Where a thread cannot be started, the caller's does its part.
 */
CLO_R clo_crypto_stream_seal_many(const clo_crypto_stream *s, uint64_t first, uint64_t count, clo_span in, uint8_t *out,
                                  unsigned threads);
CLO_R clo_crypto_stream_open_many(const clo_crypto_stream *s, uint64_t first, uint64_t count, clo_span in, uint8_t *out,
                                  unsigned threads);

#ifdef __cplusplus
}
#endif
#endif
