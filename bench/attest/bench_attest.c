/* Appraisal of real evidence against what its signatures alone would cost: how many appraisals a second one core makes, and how many it
 * would make if it did nothing but the signature verifications that the evidence needs, at the rate that OpenSSL's own verification has in
 * the same run (key loaded, digest given). One JSON line per figure. The two take turns, in CPU time of the thread, and the best round of
 * each counts, so that a busy machine disturbs both alike. Usage: bench_attest FOLDER-OF-ATTESTATION-VECTORS */
#include "attest/attest.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "crypto/verify_key.h"
#include "wire/json.h"
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 10, FILE_MAX = 1 << 20, ARENA_MAX = 16 << 20 };
#define ROUND_SECONDS 0.1

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
static double cpu(void) { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

static void must(bool good, const char *what)
{
    if (good) return;
    (void)fprintf(stderr, "bench_attest: %s failed: %s\n", what, clo_err_text());
    exit(1);
}
static void must_ok(clo_err e, const char *what) { must(!clo_failed(e), what); }

/* ---- raw signatures ---- */

typedef struct {
    EVP_PKEY *key;
    EVP_PKEY_CTX *ctx;
    uint8_t digest[48], signature[128];
    size_t digest_size, signature_size;
} raw_key;

static void raw_make(raw_key *r, const char *curve, size_t digest_size)
{
    r->digest_size = digest_size;
    r->signature_size = sizeof r->signature;
    memset(r->digest, 0x5a, sizeof r->digest);
    r->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
    EVP_PKEY_CTX *signer = EVP_PKEY_CTX_new_from_pkey(NULL, r->key, NULL);
    must(signer != NULL && EVP_PKEY_sign_init(signer) == 1 && EVP_PKEY_sign(signer, r->signature, &r->signature_size, r->digest, digest_size) == 1,
         "a signature");
    EVP_PKEY_CTX_free(signer);
    r->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, r->key, NULL);
    must(r->ctx != NULL && EVP_PKEY_verify_init(r->ctx) == 1, "a verification context");
}

static void raw_once(void *context)
{
    raw_key *r = context;
    must(EVP_PKEY_verify(r->ctx, r->signature, r->signature_size, r->digest, r->digest_size) == 1, "raw verification");
}

/* ---- one case of the vectors ---- */

typedef struct {
    const char *type;
    clo_attest_part evidence[CLO_ATTEST_PARTS_MAX], collateral[CLO_ATTEST_PARTS_MAX];
    size_t evidence_count, collateral_count;
    clo_attest_policy policy;
    int64_t at;
    clo_attest_cache *cache;
    clo_attest_result *result;
} evidence_case;

static bool slurp(clo_arena *a, const char *dir, const char *name, clo_span *out)
{
    const char *path = NULL;
    void *memory = NULL;
    must_ok(clo_arena_printf(a, &path, "%s/%s", dir, name), "a path");
    FILE *f = fopen(path, "rb");
    if (f == NULL) return false;
    must_ok(clo_arena_alloc(a, FILE_MAX, &memory), "memory");
    *out = clo_span_of(memory, fread(memory, 1, FILE_MAX, f));
    (void)fclose(f);
    return true;
}

static void take_parts(clo_arena *a, const char *dir, const clo_wire_node *node, clo_attest_part *parts, size_t *count)
{
    if (node == NULL || (node->type != CLO_WIRE_TEXT && node->type != CLO_WIRE_MAP)) return;
    for (const clo_wire_node *n = node->type == CLO_WIRE_MAP ? node->first : node; n != NULL && *count < CLO_ATTEST_PARTS_MAX; n = n->next) {
        (void)snprintf(parts[*count].role, sizeof parts[*count].role, "%s", node->type == CLO_WIRE_MAP ? (const char *)n->key->text.p : "report");
        must(slurp(a, dir, (const char *)n->text.p, &parts[*count].bytes), "reading the case's files");
        (*count)++;
        if (node->type != CLO_WIRE_MAP) break;
    }
}

static bool load(clo_arena *a, const char *root, const char *type, const char *name, evidence_case *out)
{
    const char *dir = NULL;
    clo_span json = {NULL, 0};
    clo_wire_node *manifest = NULL;
    must_ok(clo_arena_printf(a, &dir, "%s/%s", root, type), "a path");
    if (!slurp(a, dir, "manifest.json", &json)) return false;
    must_ok(clo_wire_json_decode(a, json, &manifest), "the manifest");
    const clo_wire_node *cases = clo_wire_get(manifest, "cases");
    for (const clo_wire_node *n = cases == NULL ? NULL : cases->first; n != NULL; n = n->next) {
        const clo_wire_node *called = clo_wire_get(n, "name"), *policy = clo_wire_get(n, "policy");
        if (called == NULL || !clo_span_equal(called->text, clo_span_str(name))) continue;
        memset(out, 0, sizeof *out);
        out->type = type;
        take_parts(a, dir, clo_wire_get(n, "evidence"), out->evidence, &out->evidence_count);
        take_parts(a, dir, clo_wire_get(n, "collateral"), out->collateral, &out->collateral_count);
        must_ok(clo_attest_policy_read_open(a, policy, &out->policy), "the case's policy");
        must_ok(clo_time_parse(&out->at, clo_wire_get(n, "verify_at")->text), "the case's time");
        out->result = malloc(sizeof *out->result);
        must(out->result != NULL, "memory");
        return true;
    }
    return false;
}

static void appraise_once(void *context)
{
    evidence_case *c = context;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, ARENA_MAX);
    must_ok(clo_attest_verify_with(&a, c->cache, c->type, c->evidence, c->evidence_count, c->collateral, c->collateral_count, &c->policy, c->at, c->result),
            c->type);
    if (!c->result->valid) (void)fprintf(stderr, "bench_attest: %s: %s\n", c->type, c->result->detail);
    must(c->result->valid, "an appraisal");
}

/* ---- rounds ---- */

/* Calls a second of CPU time. */
static double rate(void (*once)(void *), void *context)
{
    double from = cpu(), to = from;
    unsigned calls = 0;
    do {
        for (int i = 0; i < 8; i++) once(context);
        calls += 8;
        to = cpu();
    } while (to - from < ROUND_SECONDS);
    return calls / (to - from);
}

static double most(double a, double b) { return a > b ? a : b; }

static void print(const char *name, double ours, double peer, const char *note)
{
    (void)printf("{\"name\":\"%s\",\"ours\":%.1f,\"peer\":%.1f,\"unit\":\"1/s\",\"ratio\":%.3f,\"note\":\"%s\"}\n", name, ours, peer, ours / peer, note);
    (void)fflush(stdout);
}

typedef struct {
    const char *name, *type, *subject;
    unsigned p256, p384; /* signatures that the evidence needs */
    bool cached;
} row;

static void run_row(const char *root, const row *r, raw_key *p256, raw_key *p384)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 << 20);
    evidence_case c;
    char note[96];
    if (!load(&a, root, r->type, r->subject, &c)) return; /* the row is reported as absent */
    if (r->cached) must_ok(clo_attest_cache_new(&c.cache), "a cache");
    appraise_once(&c);
    double ours = 0, limit = 0;
    for (int i = 0; i < ROUNDS; i++) {
        ours = most(ours, rate(appraise_once, &c));
        double seconds = (r->p256 != 0 ? r->p256 / rate(raw_once, p256) : 0) + (r->p384 != 0 ? r->p384 / rate(raw_once, p384) : 0);
        limit = most(limit, 1 / seconds);
    }
    (void)snprintf(note, sizeof note, "%s; the limit is %u signatures on P-256, %u on P-384", r->subject, r->p256, r->p384);
    print(r->name, ours, limit, note);
    clo_attest_cache_free(&c.cache);
    free(c.result);
}

/* ---- P-384 alone ---- */

static clo_crypto_verify_key *own_key;
static uint8_t own_signature[96];

static void own_once(void *context)
{
    const raw_key *r = context;
    must_ok(clo_crypto_verify_digest_with(own_key, CLO_SCHEME_ES384, clo_span_of(r->digest, 48), clo_span_of(own_signature, 96)), "ES384");
}

static void run_p384(raw_key *p384)
{
    unsigned char *spki = NULL;
    int n = i2d_PUBKEY(p384->key, &spki);
    must(n > 0, "the key");
    must_ok(clo_crypto_verify_key_of_spki(clo_span_of(spki, (size_t)n), &own_key), "the key");
    OPENSSL_free(spki);
    const uint8_t *at = p384->signature;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)p384->signature_size);
    must(sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), own_signature, 48) == 48 && BN_bn2binpad(ECDSA_SIG_get0_s(sig), own_signature + 48, 48) == 48,
         "the signature");
    ECDSA_SIG_free(sig);
    double ours = 0, peer = 0;
    for (int i = 0; i < ROUNDS; i++) {
        ours = most(ours, rate(own_once, p384));
        peer = most(peer, rate(raw_once, p384));
    }
    print("p384-verify", ours, peer, "against OpenSSL's verification of the same signature");
    clo_crypto_verify_key_free(&own_key);
}

/* ---- two threads ---- */

typedef struct {
    evidence_case c;
    double seconds;
    unsigned calls;
} worker;

static void *work(void *context)
{
    worker *w = context;
    double from = seconds_of(CLOCK_MONOTONIC);
    w->calls = 0;
    while (seconds_of(CLOCK_MONOTONIC) - from < w->seconds) {
        appraise_once(&w->c);
        w->calls++;
    }
    return NULL;
}

static unsigned calls_of(worker *workers, size_t count)
{
    pthread_t threads[2];
    unsigned calls = 0;
    for (size_t i = 0; i < count; i++) must(pthread_create(&threads[i], NULL, work, &workers[i]) == 0, "a thread");
    for (size_t i = 0; i < count; i++) {
        must(pthread_join(threads[i], NULL) == 0, "a thread");
        calls += workers[i].calls;
    }
    return calls;
}

/* Both threads use one cache. */
static void run_threads(const char *root)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 << 20);
    worker workers[2] = {{.seconds = 0.3}, {.seconds = 0.3}};
    clo_attest_cache *cache = NULL;
    must_ok(clo_attest_cache_new(&cache), "a cache");
    for (size_t i = 0; i < 2; i++) {
        if (!load(&a, root, "tdx", "phala-tdx-v4", &workers[i].c)) return;
        workers[i].c.cache = cache;
        appraise_once(&workers[i].c);
    }
    double one = 0, two = 0;
    for (int i = 0; i < ROUNDS; i++) {
        one = most(one, calls_of(workers, 1) / workers[0].seconds);
        two = most(two, calls_of(workers, 2) / workers[0].seconds);
    }
    print("attest-threads", two, one, "two threads and one cache against one thread");
    clo_attest_cache_free(&cache);
    for (size_t i = 0; i < 2; i++) free(workers[i].c.result);
}

int main(int argc, char **argv)
{
    static const row rows[] = {
        {"attest-tdx", "tdx", "phala-tdx-v4", 10, 0, false}, {"attest-tdx-cached", "tdx", "phala-tdx-v4", 2, 0, true},
        {"attest-sgx", "sgx", "phala-sgx-v3", 10, 0, false}, {"attest-sgx-cached", "sgx", "phala-sgx-v3", 2, 0, true},
        {"attest-snp", "snp", "oak-milan-v3", 0, 1, true},   {"attest-nitro", "nitro", "anjuna-prod", 0, 5, false},
        {"attest-nitro-cached", "nitro", "anjuna-prod", 0, 2, true},
    };
    if (argc < 2) {
        (void)fputs("usage: bench_attest FOLDER [ROW]\n", stderr);
        return 2;
    }
    must_ok(clo_crypto_init(), "start-up");
    raw_key p256 = {.key = NULL}, p384 = {.key = NULL};
    raw_make(&p256, "P-256", 32);
    raw_make(&p384, "P-384", 48);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (argc == 2 || strcmp(argv[2], rows[i].name) == 0) run_row(argv[1], &rows[i], &p256, &p384);
    }
    if (argc == 2 || strcmp(argv[2], "p384-verify") == 0) run_p384(&p384);
    if (argc == 2 || strcmp(argv[2], "attest-threads") == 0) run_threads(argv[1]);
    return 0;
}
