#include "area_crypto.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include <stdio.h>
#include <stdlib.h>

/* The runner cannot go on: memory or a file is bad in a way that is no verdict about the product. */
static void give_up(const char *what)
{
    fprintf(stderr, "cloister-vectors: %s: %s\n", what, clo_err_text());
    exit(3);
}

int clo_vectors_each_file(const char *dir, clo_vectors_file run, clo_vectors_report *r)
{
    CLO_AUTO(clo_arena_free) clo_arena names_arena;
    clo_arena_init(&names_arena, (size_t)16 << 20);
    const char **names = NULL;
    size_t count = 0;
    if (clo_failed(clo_vectors_list(&names_arena, dir, ".json", &names, &count))) return 1;
    for (size_t i = 0; i < count; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, (size_t)1 << 30);
        clo_wire_node *root = NULL;
        if (clo_failed(clo_vectors_json(&a, dir, names[i], &root))) {
            clo_vectors_fail(r, names[i], "file", "JSON", clo_err_text());
            continue;
        }
        run(&a, names[i], root, r);
    }
    return 0;
}

clo_span clo_vectors_bytes(clo_arena *a, const clo_wire_node *map, const char *key)
{
    clo_span out;
    if (clo_failed(clo_vectors_hex(a, map, key, &out, NULL))) give_up(key);
    return out;
}

uint8_t *clo_vectors_scratch(clo_arena *a, size_t n)
{
    void *p = NULL;
    if (clo_failed(clo_arena_alloc(a, n + 1, &p))) give_up("scratch");
    return p;
}

const char *clo_vectors_name(clo_arena *a, const clo_wire_node *test, const char *id_key)
{
    const char *name = NULL, *comment = clo_vectors_text(test, "comment");
    if (clo_failed(clo_arena_printf(a, &name, "%lld%s%s", (long long)clo_vectors_int(test, id_key, -1),
                                    comment != NULL && comment[0] != 0 ? " " : "", comment != NULL ? comment : "")))
        give_up("name");
    return name;
}

void clo_vectors_expect(clo_arena *a, clo_vectors_report *r, const char *file, const char *name, clo_span expected, clo_span got)
{
    if (clo_span_equal(expected, got)) {
        clo_vectors_pass(r);
        return;
    }
    char *wanted = (char *)clo_vectors_scratch(a, 2 * expected.n + 1), *have = (char *)clo_vectors_scratch(a, 2 * got.n + 1);
    clo_hex_encode(wanted, expected);
    clo_hex_encode(have, got);
    clo_vectors_fail(r, file, name, wanted, have);
}

bool clo_vectors_gcm_alg(size_t key_size, clo_crypto_aead_alg *alg)
{
    switch (key_size) {
    case 16:
        *alg = CLO_AEAD_AES_128_GCM;
        return true;
    case 24:
        *alg = CLO_AEAD_AES_192_GCM;
        return true;
    case 32:
        *alg = CLO_AEAD_AES_256_GCM;
        return true;
    default:
        return false;
    }
}

bool clo_vectors_hash_alg(const char *name, clo_crypto_hash_alg *alg)
{
    static const struct {
        const char *name;
        clo_crypto_hash_alg alg;
    } known[] = {{"sha256", CLO_HASH_SHA256},          {"SHA-256", CLO_HASH_SHA256},  {"SHA2-256", CLO_HASH_SHA256},
                 {"sha384", CLO_HASH_SHA384},          {"SHA-384", CLO_HASH_SHA384},  {"SHA2-384", CLO_HASH_SHA384},
                 {"sha512", CLO_HASH_SHA512},          {"SHA-512", CLO_HASH_SHA512},  {"SHA2-512", CLO_HASH_SHA512},
                 {"sha224", CLO_HASH_SHA224},          {"SHA2-224", CLO_HASH_SHA224}, {"SHA-224", CLO_HASH_SHA224},
                 {"SHA2-512/256", CLO_HASH_SHA512_256}};
    for (size_t i = 0; name != NULL && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(name, known[i].name) != 0) continue;
        *alg = known[i].alg;
        return true;
    }
    return false;
}
