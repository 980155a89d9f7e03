/* Proves the chunk stream: one golden sealed object, all sizes around the chunk borders, random access, many threads against one,
 * and that every alteration (bit, order, truncation, splice between objects and versions, other key, other commitment) is refused
 * and wiped. */
#include "crypto/hash.h"
#include "crypto/stream.h"
#include "crypto_test.h"

static clo_crypto_stream_info info_of(uint32_t chunk_size, uint64_t plain_size)
{
    clo_crypto_stream_info info = {.type = "dataset", .chunk_size = chunk_size, .plain_size = plain_size};
    for (size_t i = 0; i < 32; i++) info.object_id[i] = (uint8_t)i;
    memset(info.stream_id, 0xa1, 16);
    memset(info.version_id, 0xb2, 16);
    return info;
}
static const clo_key32 dek = {{7, 7, 7}};

static void golden(void **state)
{
    (void)state;
    /* Made once by an independent Python program after the description in stream.h. */
    clo_crypto_stream_info info = info_of(1024, 1500);
    uint8_t commitment[32], plain[1500], sealed[1532], digest[32];
    for (size_t i = 0; i < sizeof plain; i++) plain[i] = (uint8_t)(i * 7);
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *s = NULL;
    assert_ok(clo_crypto_stream_new(&s, &dek, &info, commitment));
    assert_ok(clo_crypto_stream_seal_many(s, 0, 2, clo_span_of(plain, 1500), sealed, 1));
    assert_ok(clo_crypto_sha256(clo_span_of(sealed, sizeof sealed), digest));
    test_bytes want_commitment = unhex("9eece17a5136494481acb6cf7ae8cb7791adc16da224eeccbce17407bea1c933");
    test_bytes want_digest = unhex("cdda4ad43714dc75cad5694ea52287681e7424ae3c2d6139b61fd2564502191c");
    assert_memory_equal(commitment, want_commitment.b, 32);
    assert_memory_equal(digest, want_digest.b, 32);
}

static void sizes(void **state)
{
    (void)state;
    static const uint64_t plain_sizes[] = {0, 1, 1023, 1024, 1025, 2047, 2048, 2049, 10 * 1024 + 3};
    for (size_t k = 0; k < sizeof plain_sizes / sizeof plain_sizes[0]; k++) {
        size_t n = (size_t)plain_sizes[k];
        clo_crypto_stream_info info = info_of(1024, n);
        uint64_t count = clo_crypto_stream_chunk_count(&info);
        assert_int_equal(count, n == 0 ? 1 : (n + 1023) / 1024);
        size_t sealed_size = (size_t)clo_crypto_stream_sealed_size(&info);
        assert_int_equal(sealed_size, n + 16 * count);
        uint8_t commitment[32], *plain = calloc(1, n + 1), *sealed = calloc(1, sealed_size), *other = calloc(1, sealed_size);
        assert_non_null(plain);
        assert_non_null(sealed);
        assert_non_null(other);
        for (size_t i = 0; i < n; i++) plain[i] = (uint8_t)(i ^ (i >> 8));
        CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *s = NULL;
        CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *r = NULL;
        assert_ok(clo_crypto_stream_new(&s, &dek, &info, commitment));
        assert_ok(clo_crypto_stream_open(&r, &dek, &info, commitment));
        for (uint64_t i = 0; i < count; i++)
            assert_ok(clo_crypto_stream_seal(s, i, clo_span_of(plain + i * 1024, clo_crypto_stream_chunk_plain(&info, i)),
                                             sealed + i * 1040));
        for (unsigned threads = 1; threads <= 16; threads += 5) {
            memset(other, 0, sealed_size);
            assert_ok(clo_crypto_stream_seal_many(s, 0, count, clo_span_of(plain, n), other, threads));
            assert_memory_equal(other, sealed, sealed_size);
            memset(other, 0, sealed_size);
            assert_ok(clo_crypto_stream_open_many(r, 0, count, clo_span_of(sealed, sealed_size), other, threads));
            assert_memory_equal(other, plain, n);
        }
        /* random access, from the last to the first */
        for (uint64_t i = count; i-- > 0;) {
            size_t part = clo_crypto_stream_chunk_plain(&info, i);
            assert_ok(clo_crypto_stream_open_chunk(r, i, clo_span_of(sealed + i * 1040, part + 16), other));
            assert_memory_equal(other, plain + i * 1024, part);
        }
        free(plain);
        free(sealed);
        free(other);
    }
    assert_int_equal(clo_crypto_stream_chunk_plain(&(clo_crypto_stream_info){.chunk_size = 1024, .plain_size = 10}, 1), 0);
}

static void tampering(void **state)
{
    (void)state;
    enum { N = 2100, SEALED = N + 48 };
    clo_crypto_stream_info info = info_of(1024, N);
    uint8_t commitment[32], plain[N], sealed[SEALED], out[N];
    memset(plain, 0x33, sizeof plain);
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *s = NULL;
    assert_ok(clo_crypto_stream_new(&s, &dek, &info, commitment));
    assert_ok(clo_crypto_stream_seal_many(s, 0, 3, clo_span_of(plain, N), sealed, 2));
    for (size_t at = 0; at < SEALED; at += 13) {
        memset(out, 0x55, sizeof out);
        sealed[at] ^= 0x10;
        assert_code(clo_crypto_stream_open_many(s, 0, 3, clo_span_of(sealed, SEALED), out, 1 + (unsigned)(at % 3)),
                    CLO_E_AUTHENTICATION);
        assert_true(all_zero(out, N));
        sealed[at] ^= 0x10;
    }
    /* order, position, lengths */
    assert_code(clo_crypto_stream_open_chunk(s, 1, clo_span_of(sealed, 1040), out), CLO_E_AUTHENTICATION);
    assert_code(clo_crypto_stream_open_chunk(s, 3, clo_span_of(sealed, 1040), out), CLO_E_RANGE);
    memset(out, 0x55, sizeof out);
    assert_code(clo_crypto_stream_open_chunk(s, 0, clo_span_of(sealed, 1039), out), CLO_E_TRUNCATED);
    assert_true(all_zero(out, 1023));
    assert_code(clo_crypto_stream_open_chunk(s, 0, clo_span_of(sealed, 0), out), CLO_E_TRUNCATED);
    assert_code(clo_crypto_stream_open_chunk(s, 0, clo_span_of(sealed, 1041), out), CLO_E_TRAILING);
    assert_code(clo_crypto_stream_seal(s, 2, clo_span_of(plain, 53), out), CLO_E_TRAILING);
    assert_code(clo_crypto_stream_seal(s, 2, clo_span_of(plain, 51), out), CLO_E_TRUNCATED);
    assert_code(clo_crypto_stream_open_many(s, 0, 3, clo_span_of(sealed, SEALED - 1), out, 1), CLO_E_TRUNCATED);
    assert_code(clo_crypto_stream_open_many(s, 0, 2, clo_span_of(sealed, SEALED), out, 1), CLO_E_TRAILING);
    assert_code(clo_crypto_stream_open_many(s, 1, 3, clo_span_of(sealed, SEALED), out, 1), CLO_E_RANGE);
    assert_code(clo_crypto_stream_open_many(s, UINT64_MAX, 2, clo_span_of(sealed, SEALED), out, 1), CLO_E_RANGE);
    assert_code(clo_crypto_stream_open_many(s, 0, 3, clo_span_of(sealed, SEALED), out, 0), CLO_E_RANGE);
    assert_code(clo_crypto_stream_open_many(s, 0, 3, clo_span_of(sealed, SEALED), out, 17), CLO_E_RANGE);
    assert_ok(clo_crypto_stream_open_many(s, 3, 0, clo_span_of(NULL, 0), out, 1));
    assert_code(clo_crypto_stream_open_many(s, 3, 0, clo_span_of(sealed, 1), out, 1), CLO_E_TRAILING);

    /* splice: each field of the context alone makes the chunks of another stream foreign */
    for (int field = 0; field < 6; field++) {
        clo_crypto_stream_info other = info;
        uint8_t other_commitment[32];
        if (field == 0) memcpy(other.type, "output\0", 8);
        if (field == 1) other.object_id[31] ^= 1;
        if (field == 2) other.version_id[0] ^= 1;
        if (field == 3) other.plain_size = N + 1;
        if (field == 4) other.stream_id[5] ^= 1;
        if (field == 5) other.plain_size = N + 2048; /* another count: truncation */
        CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *r = NULL;
        CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *refused = NULL;
        assert_ok(clo_crypto_stream_new(&r, &dek, &other, other_commitment));
        assert_code(clo_crypto_stream_open_chunk(r, 0, clo_span_of(sealed, 1040), out), CLO_E_AUTHENTICATION);
        bool keyed = field == 0 || field == 4; /* these also change the keys, hence the commitment */
        assert_int_equal(memcmp(other_commitment, commitment, 32) != 0, keyed);
        if (keyed) assert_code(clo_crypto_stream_open(&refused, &dek, &other, commitment), CLO_E_AUTHENTICATION);
    }
}

static void commitment(void **state)
{
    (void)state;
    clo_crypto_stream_info info = info_of(1024, 10);
    uint8_t committed[32];
    clo_key32 other = {{7, 7, 8}};
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *s = NULL;
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *r = NULL;
    assert_ok(clo_crypto_stream_new(&s, &dek, &info, committed));
    assert_code(clo_crypto_stream_open(&r, &other, &info, committed), CLO_E_AUTHENTICATION);
    for (size_t bit = 0; bit < 256; bit++) {
        committed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_code(clo_crypto_stream_open(&r, &dek, &info, committed), CLO_E_AUTHENTICATION);
        committed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_null(r);
    assert_ok(clo_crypto_stream_open(&r, &dek, &info, committed));
}

static void bounds(void **state)
{
    (void)state;
    uint8_t committed[32];
    clo_crypto_stream *s = NULL;
    clo_crypto_stream_info bad[] = {info_of(1023, 1),
                                    info_of(16 * 1024 * 1024 + 1, 1),
                                    info_of(1024, ((uint64_t)1024 << 32) + 1),
                                    info_of(1024, UINT64_MAX),
                                    info_of(1024, 1),
                                    info_of(1024, 1)};
    memset(bad[4].type, 0, 16);
    memset(bad[5].type, 'x', 16);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_code(clo_crypto_stream_new(&s, &dek, &bad[i], committed), CLO_E_RANGE);
        if (i < 4) assert_int_equal(clo_crypto_stream_sealed_size(&bad[i]), 0);
    }
    assert_null(s);
    clo_crypto_stream_info most = info_of(1024, (uint64_t)1024 << 32);
    assert_int_equal(clo_crypto_stream_chunk_count(&most), (uint64_t)1 << 32);
    clo_crypto_stream_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(sizes), cmocka_unit_test(tampering),
                                       cmocka_unit_test(commitment), cmocka_unit_test(bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
