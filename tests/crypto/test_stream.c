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

/* ---- T08: whatever is changed, nothing is accepted ---- */

enum { T08_CASES = 120000, T08_CHUNK = 1024, T08_COUNT = 9, T08_PLAIN = 8 * T08_CHUNK + 300, T08_OBJECTS = 4 };
static const uint64_t t08_seed = 0x7408;

static uint64_t t08_next(uint64_t *x) /* xorshift64* */
{
    *x ^= *x >> 12;
    *x ^= *x << 25;
    *x ^= *x >> 27;
    return *x * 0x2545f4914f6cdd1dull;
}

typedef struct {
    clo_crypto_stream_info info;
    clo_crypto_stream *s;
    uint8_t commitment[32], plain[T08_PLAIN], sealed[T08_PLAIN + 16 * T08_COUNT];
} t08_object;

/* Where chunk i lies, and how long it is. */
static clo_span t08_chunk(const t08_object *o, uint64_t i)
{
    return clo_span_of(o->sealed + i * (T08_CHUNK + 16), clo_crypto_stream_chunk_plain(&o->info, i) + 16);
}

/* Objects 0 and 1 are two versions of a dataset, 2 another dataset, 3 an output; all under one data key, the worst case. */
static void t08_make(t08_object *o, size_t which)
{
    o->info = info_of(T08_CHUNK, T08_PLAIN);
    if (which == 1) o->info.version_id[15] ^= 1;
    if (which == 2) o->info.object_id[0] ^= 1;
    if (which == 3) memcpy(o->info.type, "output\0", 8);
    for (size_t i = 0; i < T08_PLAIN; i++) o->plain[i] = (uint8_t)(i * 31 + which);
    assert_ok(clo_crypto_stream_new(&o->s, &dek, &o->info, o->commitment));
    assert_ok(clo_crypto_stream_seal_many(o->s, 0, T08_COUNT, clo_span_of(o->plain, T08_PLAIN), o->sealed, 1));
}

/* One bit of one field of what both sides must agree on: with it every chunk is foreign, or the commitment, or the info itself is refused. */
static bool t08_field(const t08_object *o, uint64_t lot, uint8_t *out)
{
    static const size_t fields[][2] = {{offsetof(clo_crypto_stream_info, type), 7},         {offsetof(clo_crypto_stream_info, stream_id), 16},
                                       {offsetof(clo_crypto_stream_info, object_id), 32},   {offsetof(clo_crypto_stream_info, version_id), 16},
                                       {offsetof(clo_crypto_stream_info, chunk_size), 4},   {offsetof(clo_crypto_stream_info, plain_size), 8}};
    clo_crypto_stream_info info = o->info;
    const size_t *field = fields[lot % 6];
    size_t bit = (lot >> 8) % (8 * field[1]);
    ((uint8_t *)&info)[field[0] + bit / 8] ^= (uint8_t)(1u << (bit % 8));
    uint8_t commitment[32];
    clo_crypto_stream *s = NULL;
    clo_span chunk = t08_chunk(o, (lot >> 24) % T08_COUNT);
    /* chunk_size decides how long a chunk may be: the chunk that fits is the one that could pass */
    bool accepted = !clo_failed(clo_crypto_stream_new(&s, &dek, &info, commitment)) && chunk.n <= T08_CHUNK + 16 &&
                    !clo_failed(clo_crypto_stream_open_chunk(s, (lot >> 24) % T08_COUNT, chunk, out));
    clo_crypto_stream_free(&s);
    return accepted;
}

/* A chunk that is not the one sealed for this place of this object. */
static bool t08_place(const t08_object *objects, uint64_t lot, uint8_t *out)
{
    const t08_object *to = &objects[lot % T08_OBJECTS], *from = &objects[(lot >> 8) % T08_OBJECTS];
    uint64_t at = (lot >> 16) % T08_COUNT, source = (lot >> 24) % T08_COUNT;
    if (to == from && at == source) source = (at + 1) % T08_COUNT;
    clo_span chunk = t08_chunk(from, source);
    if (chunk.n > t08_chunk(to, at).n) chunk.n = t08_chunk(to, at).n;
    return !clo_failed(clo_crypto_stream_open_chunk(to->s, at, chunk, out));
}

/* The right chunk with a changed bit, cut, or extended. */
static bool t08_bytes(const t08_object *o, uint64_t lot, uint8_t *out)
{
    uint8_t changed[T08_CHUNK + 17];
    uint64_t at = (lot >> 4) % T08_COUNT;
    clo_span chunk = t08_chunk(o, at);
    memcpy(changed, chunk.p, chunk.n);
    size_t bit = (size_t)(lot >> 12) % (8 * chunk.n);
    size_t n = chunk.n;
    if (lot % 4 == 0)
        n = (size_t)(lot >> 12) % chunk.n;
    else if (lot % 4 == 1)
        changed[n++] = (uint8_t)(lot >> 40);
    else
        changed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    return !clo_failed(clo_crypto_stream_open_chunk(o->s, at, clo_span_of(changed, n), out));
}

/* The whole object with chunks dropped, doubled or exchanged, or read as one that is shorter by whole chunks. */
static bool t08_whole(const t08_object *o, uint64_t lot, uint8_t *out)
{
    static uint8_t sealed[sizeof o->sealed];
    const size_t step = T08_CHUNK + 16;
    size_t a = (size_t)(lot >> 4) % (T08_COUNT - 1), b = (size_t)(lot >> 12) % (T08_COUNT - 1);
    if (a == b) b = (a + 1) % (T08_COUNT - 1);
    memcpy(sealed, o->sealed, sizeof sealed);
    if (lot % 3 == 0) {
        memcpy(sealed + a * step, o->sealed + b * step, step);
    } else if (lot % 3 == 1) {
        memcpy(sealed + a * step, o->sealed + b * step, step);
        memcpy(sealed + b * step, o->sealed + a * step, step);
    } else {
        clo_crypto_stream_info shorter = o->info;
        clo_crypto_stream *s = NULL;
        shorter.plain_size = (a + 1) * T08_CHUNK;
        assert_ok(clo_crypto_stream_open(&s, &dek, &shorter, o->commitment) /* the commitment is the key's: it holds */);
        bool accepted = !clo_failed(clo_crypto_stream_open_many(s, 0, a + 1, clo_span_of(sealed, (a + 1) * step), out, 1));
        clo_crypto_stream_free(&s);
        return accepted;
    }
    return !clo_failed(clo_crypto_stream_open_many(o->s, 0, T08_COUNT, clo_span_of(sealed, sizeof sealed), out, 1));
}

static void T08_no_altered_object_is_accepted(void **state)
{
    (void)state;
    uint64_t x = t08_seed, kinds[4] = {0}, accepted = 0;
    t08_object *objects = calloc(T08_OBJECTS, sizeof *objects);
    uint8_t *out = malloc(T08_PLAIN);
    assert_non_null(objects);
    assert_non_null(out);
    for (size_t i = 0; i < T08_OBJECTS; i++) t08_make(&objects[i], i);
    for (int i = 0; i < T08_CASES; i++) {
        uint64_t lot = t08_next(&x), kind = t08_next(&x) >> 60;
        const t08_object *o = &objects[(lot >> 56) % T08_OBJECTS];
        memset(out, 0x55, T08_CHUNK);
        bool taken = kind < 5    ? t08_field(o, lot, out)
                     : kind < 10 ? t08_place(objects, lot, out)
                     : kind < 15 ? t08_bytes(o, lot, out)
                                 : t08_whole(o, lot, out);
        kinds[kind / 5]++;
        if (taken) {
            accepted++;
            print_message("accepted: kind %d, lot %llx\n", (int)(kind / 5), (unsigned long long)lot);
        }
    }
    print_message("# seed %llx: %llu fields, %llu places, %llu bytes, %llu whole objects\n", (unsigned long long)t08_seed,
                  (unsigned long long)kinds[0], (unsigned long long)kinds[1], (unsigned long long)kinds[2], (unsigned long long)kinds[3]);
    assert_int_equal(accepted, 0);
    /* and what is right is accepted */
    for (size_t i = 0; i < T08_OBJECTS; i++) {
        assert_ok(clo_crypto_stream_open_many(objects[i].s, 0, T08_COUNT, clo_span_of(objects[i].sealed, sizeof objects[i].sealed), out, 1));
        assert_memory_equal(out, objects[i].plain, T08_PLAIN);
        clo_crypto_stream_free(&objects[i].s);
    }
    free(objects);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(sizes), cmocka_unit_test(tampering),
                                       cmocka_unit_test(commitment), cmocka_unit_test(bounds),
                                       cmocka_unit_test(T08_no_altered_object_is_accepted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
