/* MRENCLAVE: from the SIGSTRUCT that an enclave comes with, or from the stream of pages itself (SGXS). */
#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "crypto/hash.h"
#include "tee/measure_int.h"

#include <stdio.h>

enum { RECORD = 64, CHUNK = 256, PAGE = 4096 };

static clo_err sigstruct_put(const clo_tee_sigstruct *s, clo_tee_measured *out)
{
    char date[16];
    (void)snprintf(date, sizeof date, "%04x-%02x-%02x", s->date >> 16, s->date >> 8 & 0xff, s->date & 0xff);
    CLO_TRY(clo_tee_measured_value(out, "mrenclave", clo_span_of(s->mrenclave, 32)));
    CLO_TRY(clo_tee_measured_value(out, "mrsigner", clo_span_of(s->mrsigner, 32)));
    CLO_TRY(clo_tee_measured_step(out, "mrenclave", "SIGSTRUCT, ENCLAVEHASH", 0, SIGSTRUCT_SIZE, clo_span_of(NULL, 0)));
    CLO_TRY(clo_tee_measured_step(out, "mrsigner", "SIGSTRUCT, SHA-256 of the signer's modulus", 0, 384, clo_span_of(s->mrsigner, 32)));
    CLO_TRY(clo_wire_set_bool(out->arena, out->notes, "debug", (s->attributes & 2) != 0));
    CLO_TRY(clo_wire_set_int(out->arena, out->notes, "product", s->product));
    CLO_TRY(clo_wire_set_int(out->arena, out->notes, "security_version", s->security_version));
    return clo_wire_set_text(out->arena, out->notes, "date", date);
}

/* An enclave's shared object carries its SIGSTRUCT in a note or a section of its SDK's; the signature tells it from anything else. */
static clo_err object_search(clo_span file, clo_tee_sigstruct *found)
{
    static const uint8_t header[16] = {6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1};
    bool have = false;
    clo_err last = CLO_OK;
    for (size_t at = 0; file.n >= SIGSTRUCT_SIZE && at <= file.n - SIGSTRUCT_SIZE;) {
        const uint8_t *hit = memmem(file.p + at, file.n - at, header, sizeof header);
        if (hit == NULL || (size_t)(hit - file.p) > file.n - SIGSTRUCT_SIZE) break;
        clo_tee_sigstruct one;
        clo_err e = clo_tee_sigstruct_parse(clo_span_of(hit, SIGSTRUCT_SIZE), &one);
        at = (size_t)(hit - file.p) + 1;
        if (e.code == CLO_E_BAD_SIGNATURE) last = e;
        if (clo_failed(e)) continue;
        CLO_CHECKF(!have || memcmp(one.mrenclave, found->mrenclave, 32) == 0, CLO_E_DUPLICATE, "the file carries two enclaves' signatures");
        have = true;
        *found = one;
    }
    if (have) return CLO_OK;
    return clo_failed(last) ? last : CLO_FAILF(CLO_E_NOT_FOUND, "there is no SIGSTRUCT in this file: it is not a signed enclave");
}

/* One record of a page stream and what follows it. Everything but unmeasured chunks is hashed as it stands. */
static clo_err stream_next(clo_rd *r, bool first, clo_crypto_hasher *h, uint64_t counts[3])
{
    clo_span record = clo_rd_span(r, RECORD), chunk = {NULL, 0};
    CLO_CHECKF(!r->bad, CLO_E_TRUNCATED, "the enclave's page stream ends within a record");
    bool create = memcmp(record.p, "ECREATE\0", 8) == 0, add = memcmp(record.p, "EADD\0\0\0\0", 8) == 0, extend = memcmp(record.p, "EEXTEND\0", 8) == 0,
         unmeasured = memcmp(record.p, "UNMEASRD", 8) == 0;
    clo_rd fields = clo_rd_init(clo_span_of(record.p + 8, 8));
    uint64_t offset = clo_rd_u64le(&fields);
    CLO_CHECKF((create || add || extend || unmeasured) && create == first, CLO_E_MALFORMED, "the enclave's page stream has a record of an unknown kind");
    CLO_CHECKF(create || (add ? offset % PAGE == 0 : offset % CHUNK == 0), CLO_E_MALFORMED, "the enclave's page stream has a page at an odd place");
    if (extend || unmeasured) chunk = clo_rd_span(r, CHUNK);
    CLO_CHECKF(!r->bad, CLO_E_TRUNCATED, "the enclave's page stream ends within a page");
    if (unmeasured) {
        counts[2]++;
        return CLO_OK;
    }
    counts[0] += add ? 1u : 0u;
    counts[1] += extend ? 1u : 0u;
    CLO_TRY(clo_crypto_hasher_put(h, record));
    return clo_crypto_hasher_put(h, chunk);
}

static clo_err stream_measure(clo_span file, clo_tee_measured *out)
{
    CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = NULL;
    uint8_t digest[32];
    uint64_t counts[3] = {0};
    clo_rd r = clo_rd_init(file);
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA256));
    for (bool first = true; r.left != 0; first = false) CLO_TRY(stream_next(&r, first, h, counts));
    CLO_TRY(clo_crypto_hasher_end(h, digest));
    CLO_TRY(clo_tee_measured_step(out, "mrenclave", "ECREATE", 0, RECORD, clo_span_of(NULL, 0)));
    CLO_TRY(clo_tee_measured_step(out, "mrenclave", "pages added (EADD)", 0, counts[0] * PAGE, clo_span_of(NULL, 0)));
    CLO_TRY(clo_tee_measured_step(out, "mrenclave", "contents measured (EEXTEND)", 0, counts[1] * CHUNK, clo_span_of(NULL, 0)));
    if (counts[2] != 0) CLO_TRY(clo_tee_measured_step(out, "mrenclave", "contents that are not measured", 0, counts[2] * CHUNK, clo_span_of(NULL, 0)));
    return clo_tee_measured_value(out, "mrenclave", clo_span_of(digest, sizeof digest));
}

CLO_R clo_tee_measure_sgx(clo_span file, clo_tee_measured *out)
{
    clo_tee_sigstruct s;
    if (file.n >= RECORD && memcmp(file.p, "ECREATE\0", 8) == 0) return stream_measure(file, out);
    if (file.n == SIGSTRUCT_SIZE) {
        CLO_TRY(clo_tee_sigstruct_parse(file, &s));
    } else {
        CLO_TRY(object_search(file, &s));
    }
    return sigstruct_put(&s, out);
}
