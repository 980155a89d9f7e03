/* The AEAD chunk stream: format in stream.h. */
#include "crypto/stream.h"
#include "crypto/crypto_int.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    TAG = CLO_AEAD_TAG,
    AAD_MAX = 17 + 1 + 15 + 1 + 32 + 16 + 8 + 8 + 4 + 8,
    POOL = 16, /* keyed cipher contexts kept for reuse, per direction */
};
static const uint64_t COUNT_MAX = (uint64_t)1 << 32;

typedef struct {
    _Atomic(EVP_CIPHER_CTX *) slot[2][POOL]; /* [1] seals, [0] opens */
} context_pool;

struct clo_crypto_stream {
    clo_crypto_stream_info info;
    uint64_t count;
    clo_key32 key;
    uint8_t aad[AAD_MAX];
    size_t aad_size, index_at; /* where be64(index) stands in aad */
    context_pool *pool;
};

static void put_be(uint8_t *to, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

uint64_t clo_crypto_stream_chunk_count(const clo_crypto_stream_info *info)
{
    if (info->chunk_size < CLO_STREAM_CHUNK_MIN || info->chunk_size > CLO_STREAM_CHUNK_MAX) return 0;
    if (info->plain_size == 0) return 1;
    uint64_t count = (info->plain_size - 1) / info->chunk_size + 1;
    return count <= COUNT_MAX ? count : 0;
}

size_t clo_crypto_stream_chunk_plain(const clo_crypto_stream_info *info, uint64_t index)
{
    uint64_t count = clo_crypto_stream_chunk_count(info);
    if (index >= count) return 0;
    return index + 1 < count ? info->chunk_size : (size_t)(info->plain_size - index * info->chunk_size);
}

uint64_t clo_crypto_stream_sealed_size(const clo_crypto_stream_info *info)
{
    uint64_t count = clo_crypto_stream_chunk_count(info);
    return count == 0 ? 0 : info->plain_size + count * TAG;
}

void clo_crypto_stream_free(clo_crypto_stream **s)
{
    if (*s == NULL) return;
    if ((*s)->pool != NULL)
        for (size_t i = 0; i < (size_t)2 * POOL; i++) EVP_CIPHER_CTX_free(atomic_load(&(*s)->pool->slot[i / POOL][i % POOL]));
    free((*s)->pool);
    clo_wipe(*s, sizeof **s);
    free(*s);
    *s = NULL;
}

static void aad_build(clo_crypto_stream *s)
{
    static const char domain[] = "cloister/v1 chunk"; /* its end byte is the first separator */
    size_t type_size = strlen(s->info.type);
    uint8_t *at = s->aad;
    memcpy(at, domain, sizeof domain);
    at += sizeof domain;
    memcpy(at, s->info.type, type_size + 1);
    at += type_size + 1;
    memcpy(at, s->info.object_id, 32);
    at += 32;
    memcpy(at, s->info.version_id, 16);
    at += 16;
    s->index_at = (size_t)(at - s->aad);
    put_be(at, 0, 8);
    put_be(at + 8, s->count, 8);
    put_be(at + 16, s->info.chunk_size, 4);
    put_be(at + 20, s->info.plain_size, 8);
    s->aad_size = s->index_at + 28;
}

/* The context and its commitment, which is still secret here. */
static clo_err stream_make(clo_crypto_stream **out, const clo_key32 *dek, const clo_crypto_stream_info *info,
                           uint8_t commitment[32])
{
    uint64_t count = clo_crypto_stream_chunk_count(info);
    CLO_CHECKF(count != 0, CLO_E_RANGE, "a sealed stream has chunks of %d to %d bytes and at most 2^32 of them",
               CLO_STREAM_CHUNK_MIN, CLO_STREAM_CHUNK_MAX);
    CLO_CHECKF(info->type[0] != 0 && memchr(info->type, 0, sizeof info->type) != NULL, CLO_E_RANGE,
               "the type of a sealed stream is a text of 1 to 15 bytes");
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *s = calloc(1, sizeof *s);
    CLO_CHECK(s != NULL, CLO_E_NOMEM);
    s->pool = calloc(1, sizeof *s->pool);
    CLO_CHECK(s->pool != NULL, CLO_E_NOMEM);
    s->info = *info;
    s->count = count;
    aad_build(s);

    CLO_KEY32(prk);
    clo_span prk_span = clo_span_of(prk.b, sizeof prk.b), type = clo_span_str(info->type);
    clo_span key_info[2] = {clo_span_str("cloister/v1 chunk key"), type};
    clo_span commit_info[2] = {clo_span_str("cloister/v1 commit"), type};
    CLO_TRY(
        clo_crypto_hkdf_extract(CLO_HASH_SHA256, clo_span_of(info->stream_id, CLO_STREAM_ID), clo_span_of(dek->b, 32), prk.b));
    CLO_TRY(clo_crypto_hkdf_expand_parts(CLO_HASH_SHA256, prk_span, key_info, 2, s->key.b, 32));
    CLO_TRY(clo_crypto_hkdf_expand_parts(CLO_HASH_SHA256, prk_span, commit_info, 2, commitment, 32));
    *out = CLO_TAKE(s);
    return CLO_OK;
}

clo_err clo_crypto_stream_new(clo_crypto_stream **out, const clo_key32 *dek, const clo_crypto_stream_info *info,
                              uint8_t commitment[32])
{
    CLO_KEY32(derived);
    CLO_TRY(stream_make(out, dek, info, derived.b));
    CLO_CT_PUBLIC(derived.b, 32); /* it goes into the object's header; HKDF's output tells nothing about the DEK */
    memcpy(commitment, derived.b, 32);
    return CLO_OK;
}

clo_err clo_crypto_stream_open(clo_crypto_stream **out, const clo_key32 *dek, const clo_crypto_stream_info *info,
                               const uint8_t commitment[32])
{
    CLO_KEY32(derived);
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *s = NULL;
    CLO_TRY(stream_make(&s, dek, info, derived.b));
    /* The verdict is public: the caller acts on it. */
    int wrong = clo_ct_declassify(clo_ct_differ(derived.b, commitment, 32));
    CLO_CHECKF(!wrong, CLO_E_AUTHENTICATION, "the key is not the one this object was sealed with (its commitment differs)");
    *out = CLO_TAKE(s);
    return CLO_OK;
}

/* A keyed context: from the pool where one is free, else made. NULL where OpenSSL fails. */
static EVP_CIPHER_CTX *context_take(const clo_crypto_stream *s, int encrypt)
{
    for (size_t i = 0; i < POOL; i++) {
        EVP_CIPHER_CTX *ctx = atomic_exchange(&s->pool->slot[encrypt][i], NULL);
        if (ctx != NULL) return ctx;
    }
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx != NULL && EVP_CipherInit_ex2(ctx, clo_crypto_cipher(CLO_AEAD_AES_256_GCM), s->key.b, NULL, encrypt, NULL) == 1)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

static void context_give(const clo_crypto_stream *s, int encrypt, EVP_CIPHER_CTX *ctx)
{
    for (size_t i = 0; i < POOL && ctx != NULL; i++) {
        EVP_CIPHER_CTX *none = NULL;
        if (atomic_compare_exchange_strong(&s->pool->slot[encrypt][i], &none, ctx)) return;
    }
    EVP_CIPHER_CTX_free(ctx);
}

/* One chunk under a keyed context. in is the plain bytes, or the sealed ones with their tag. */
static bool chunk_run(const clo_crypto_stream *s, EVP_CIPHER_CTX *ctx, int encrypt, uint64_t index, clo_span in, uint8_t *out)
{
    uint8_t nonce[CLO_AEAD_NONCE] = {0}, aad[AAD_MAX], tag[TAG];
    size_t body = encrypt ? in.n : in.n - TAG;
    int n = 0;
    put_be(nonce + 4, index, 8);
    memcpy(aad, s->aad, s->aad_size);
    put_be(aad + s->index_at, index, 8);
    if (EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, encrypt, NULL) != 1) return false;
    if (!encrypt) {
        memcpy(tag, in.p + body, TAG);
        if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1) return false;
    }
    if (EVP_CipherUpdate(ctx, NULL, &n, aad, (int)s->aad_size) != 1) return false;
    if (body != 0 && (EVP_CipherUpdate(ctx, out, &n, in.p, (int)body) != 1 || (size_t)n != body)) return false;
    if (EVP_CipherFinal_ex(ctx, tag, &n) != 1 || n != 0) return false;
    return !encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, out + body) == 1;
}

static clo_err chunk_failed(int encrypt, uint64_t index)
{
    (void)clo_crypto_fail(CLO_E_AUTHENTICATION, "");
    if (encrypt) return CLO_FAILF(CLO_E_NOMEM, "sealing failed inside OpenSSL");
    return CLO_FAILF(CLO_E_AUTHENTICATION,
                     "chunk %llu does not open: it was altered, moved, or belongs to another object or version",
                     (unsigned long long)index);
}

static clo_err chunk_check(const clo_crypto_stream *s, uint64_t index, size_t size, size_t extra)
{
    CLO_CHECKF(index < s->count, CLO_E_RANGE, "chunk %llu is beyond the last of %llu", (unsigned long long)index,
               (unsigned long long)s->count);
    size_t want = clo_crypto_stream_chunk_plain(&s->info, index) + extra;
    CLO_CHECKF(size >= want, CLO_E_TRUNCATED, "chunk %llu has %zu bytes where %zu belong", (unsigned long long)index, size, want);
    CLO_CHECKF(size == want, CLO_E_TRAILING, "chunk %llu has %zu bytes where %zu belong", (unsigned long long)index, size, want);
    return CLO_OK;
}

static clo_err chunk_one(const clo_crypto_stream *s, int encrypt, uint64_t index, clo_span in, uint8_t *out, size_t out_size)
{
    EVP_CIPHER_CTX *ctx = context_take(s, encrypt);
    bool ok = ctx != NULL && chunk_run(s, ctx, encrypt, index, in, out);
    context_give(s, encrypt, ctx);
    if (ok) return CLO_OK;
    clo_wipe(out, out_size);
    return chunk_failed(encrypt, index);
}

clo_err clo_crypto_stream_seal(const clo_crypto_stream *s, uint64_t index, clo_span in, uint8_t *out)
{
    CLO_TRY(chunk_check(s, index, in.n, 0));
    return chunk_one(s, 1, index, in, out, in.n + TAG);
}

clo_err clo_crypto_stream_open_chunk(const clo_crypto_stream *s, uint64_t index, clo_span in, uint8_t *out)
{
    clo_err e = chunk_check(s, index, in.n, TAG);
    if (clo_failed(e)) {
        if (in.n > TAG) clo_wipe(out, in.n - TAG);
        return e;
    }
    return chunk_one(s, 0, index, in, out, in.n - TAG);
}

typedef struct {
    const clo_crypto_stream *stream;
    int encrypt;
    uint64_t first, count; /* this worker's run of chunks */
    const uint8_t *in;
    uint8_t *out;
    pthread_t thread;
    bool started, ok;
    uint64_t failed_at;
} worker;

static void *worker_run(void *argument)
{
    worker *w = argument;
    const clo_crypto_stream *s = w->stream;
    EVP_CIPHER_CTX *ctx = context_take(s, w->encrypt);
    const uint8_t *in = w->in;
    uint8_t *out = w->out;
    w->ok = ctx != NULL;
    for (uint64_t i = w->first; w->ok && i < w->first + w->count; i++) {
        size_t plain = clo_crypto_stream_chunk_plain(&s->info, i);
        size_t in_size = w->encrypt ? plain : plain + TAG, out_size = w->encrypt ? plain + TAG : plain;
        w->ok = chunk_run(s, ctx, w->encrypt, i, clo_span_of(in, in_size), out);
        w->failed_at = i;
        in += in_size;
        out += out_size;
    }
    context_give(s, w->encrypt, ctx);
    return NULL;
}

enum { THREADS_MAX = 16 };

static clo_err run_many(const clo_crypto_stream *s, int encrypt, uint64_t first, uint64_t count, clo_span in, uint8_t *out,
                        unsigned threads)
{
    CLO_CHECKF(threads >= 1 && threads <= THREADS_MAX, CLO_E_RANGE, "between 1 and %d threads, not %u", THREADS_MAX, threads);
    CLO_CHECKF(first <= s->count && count <= s->count - first, CLO_E_RANGE, "chunks %llu+%llu are beyond the last of %llu",
               (unsigned long long)first, (unsigned long long)count, (unsigned long long)s->count);
    if (count == 0) {
        CLO_CHECKF(in.n == 0, CLO_E_TRAILING, "no chunks were announced but %zu bytes given", in.n);
        return CLO_OK;
    }
    /* At most 2^32 chunks of 2^24 bytes: nothing here overflows 64 bits. */
    uint64_t plain = (count - 1) * s->info.chunk_size + clo_crypto_stream_chunk_plain(&s->info, first + count - 1);
    uint64_t want = encrypt ? plain : plain + count * TAG, made = encrypt ? plain + count * TAG : plain;
    CLO_CHECKF(in.n >= want, CLO_E_TRUNCATED, "%zu bytes where the chunks have %llu", in.n, (unsigned long long)want);
    CLO_CHECKF(in.n == want, CLO_E_TRAILING, "%zu bytes where the chunks have %llu", in.n, (unsigned long long)want);

    worker workers[THREADS_MAX];
    unsigned used = count < threads ? (unsigned)count : threads;
    uint64_t in_step = s->info.chunk_size + (encrypt ? 0u : (uint64_t)TAG),
             out_step = s->info.chunk_size + (encrypt ? (uint64_t)TAG : 0u);
    for (unsigned i = 0; i < used; i++) {
        uint64_t from = count * i / used, to = count * (i + 1u) / used;
        workers[i] = (worker){.stream = s,
                              .encrypt = encrypt,
                              .first = first + from,
                              .count = to - from,
                              .in = in.n != 0 ? in.p + from * in_step : in.p,
                              .out = out + from * out_step};
    }
    for (unsigned i = 1; i < used; i++)
        workers[i].started = pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]) == 0;
    for (unsigned i = 0; i < used; i++)
        if (!workers[i].started) (void)worker_run(&workers[i]);
    for (unsigned i = 1; i < used; i++)
        if (workers[i].started) (void)pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < used; i++) {
        if (workers[i].ok) continue;
        clo_wipe(out, (size_t)made);
        return chunk_failed(encrypt, workers[i].failed_at);
    }
    return CLO_OK;
}

clo_err clo_crypto_stream_seal_many(const clo_crypto_stream *s, uint64_t first, uint64_t count, clo_span in, uint8_t *out,
                                    unsigned threads)
{
    return run_many(s, 1, first, count, in, out, threads);
}

clo_err clo_crypto_stream_open_many(const clo_crypto_stream *s, uint64_t first, uint64_t count, clo_span in, uint8_t *out,
                                    unsigned threads)
{
    return run_many(s, 0, first, count, in, out, threads);
}
