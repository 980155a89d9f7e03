#include "attest/evidence_record.h"
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "wire/cbor.h"

#include <stdio.h>

#define RECORD_FORMAT "cloister-evidence/1"
#define COMPOSITE_FORMAT "cloister-composite/1"
enum { ITEMS_MAX = 512 };

static clo_err roles_read(const clo_wire_node *map, clo_attest_part *to, size_t *count)
{
    CLO_CHECKF(map->count <= CLO_RECORD_ROLES_MAX, CLO_E_TOO_MANY, "an evidence record has at most %d roles of a kind", (int)CLO_RECORD_ROLES_MAX);
    for (const clo_wire_node *n = map->first; n != NULL; n = n->next) {
        clo_attest_part *p = &to[(*count)++];
        CLO_CHECKF(n->key->type == CLO_WIRE_TEXT && n->key->text.n != 0 && n->key->text.n < sizeof p->role && n->type == CLO_WIRE_BYTES,
                   CLO_E_MALFORMED, "an evidence record maps roles (texts) to byte strings");
        memcpy(p->role, n->key->text.p, n->key->text.n);
        CLO_CHECKF(strspn(p->role, "abcdefghijklmnopqrstuvwxyz0123456789_.") == n->key->text.n, CLO_E_MALFORMED,
                   "a role has small letters, digits, '_' and '.'");
        p->bytes = n->text;
    }
    return CLO_OK;
}

static bool name_valid(const char *name)
{
    return name[0] != '\0' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

static clo_err record_read(clo_arena *a, const clo_wire_node *node, bool part, clo_attest_record *r)
{
    clo_wire_fields f;
    char format[32] = "";
    const clo_wire_node *evidence = NULL, *collateral = NULL;
    clo_wire_fields_open(&f, a, node, part ? "part" : "record");
    if (part) {
        clo_wire_take_str(&f, "name", r->name, sizeof r->name);
    } else {
        clo_wire_take_str(&f, "format", format, sizeof format);
    }
    clo_wire_take_str(&f, "type", r->type, sizeof r->type);
    if (clo_wire_has(&f, "at")) clo_wire_take_int(&f, "at", &r->at, 1, INT64_MAX / 2);
    clo_wire_take_map(&f, "evidence", &evidence);
    clo_wire_take_map(&f, "collateral", &collateral);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(part || strcmp(format, RECORD_FORMAT) == 0, CLO_E_VERSION, "this is no evidence record of format " RECORD_FORMAT);
    CLO_CHECKF(!part || name_valid(r->name), CLO_E_MALFORMED, "a part's name has small letters, digits and '-'");
    CLO_CHECKF(evidence->count != 0, CLO_E_MALFORMED, "the record holds no evidence");
    CLO_TRY(roles_read(evidence, r->evidence, &r->evidence_count));
    return roles_read(collateral, r->collateral, &r->collateral_count);
}

static clo_err tree_read(clo_arena *a, clo_span in, clo_wire_node **out)
{
    CLO_CHECKF(in.n <= CLO_RECORD_MAX, CLO_E_TOO_LARGE, "an evidence record has at most %d bytes", (int)CLO_RECORD_MAX);
    clo_wire_cbor_limits limits = {.items_max = ITEMS_MAX};
    return clo_wire_cbor_decode(a, in, &limits, out);
}

CLO_R clo_attest_record_decode(clo_arena *a, clo_span in, clo_attest_record *out)
{
    clo_wire_node *tree = NULL;
    void *memory = NULL;
    CLO_TRY(tree_read(a, in, &tree));
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_attest_record), &memory));
    clo_attest_record *r = memory;
    CLO_TRY(record_read(a, tree, false, r));
    *out = *r;
    return CLO_OK;
}

CLO_R clo_attest_composite_decode(clo_arena *a, clo_span in, clo_attest_record **parts, size_t *count)
{
    clo_wire_node *tree = NULL;
    CLO_TRY(tree_read(a, in, &tree));
    clo_wire_fields f;
    char format[32] = "";
    const clo_wire_node *list = NULL;
    clo_wire_fields_open(&f, a, tree, "composite");
    clo_wire_take_str(&f, "format", format, sizeof format);
    clo_wire_take_array(&f, "parts", &list, CLO_COMPOSITE_PARTS_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(strcmp(format, COMPOSITE_FORMAT) == 0, CLO_E_VERSION, "this is no composite of format " COMPOSITE_FORMAT);
    CLO_CHECKF(list->count != 0, CLO_E_MALFORMED, "a composite has at least one part");
    void *memory = NULL;
    CLO_TRY(clo_arena_array(a, list->count, sizeof(clo_attest_record), &memory));
    clo_attest_record *r = memory;
    size_t n = 0;
    for (const clo_wire_node *one = list->first; one != NULL; one = one->next, n++) {
        CLO_TRY(record_read(a, one, true, &r[n]));
        for (size_t i = 0; i < n; i++)
            CLO_CHECKF(strcmp(r[i].name, r[n].name) != 0, CLO_E_DUPLICATE, "two parts have the name %s", r[n].name);
    }
    *parts = r;
    *count = n;
    return CLO_OK;
}

static clo_err roles_tree(clo_arena *a, clo_wire_node *map, const char *key, const clo_attest_part *parts, size_t count)
{
    clo_wire_node *roles = NULL;
    CLO_TRY(clo_wire_map(a, &roles));
    for (size_t i = 0; i < count; i++) CLO_TRY(clo_wire_set_bytes(a, roles, parts[i].role, parts[i].bytes));
    return clo_wire_set(a, map, key, roles);
}

static clo_err record_tree(clo_arena *a, const clo_attest_record *r, bool part, clo_wire_node **out)
{
    CLO_TRY(clo_wire_map(a, out));
    CLO_TRY(clo_wire_set_text(a, *out, part ? "name" : "format", part ? r->name : RECORD_FORMAT));
    CLO_TRY(clo_wire_set_text(a, *out, "type", r->type));
    if (r->at != 0) CLO_TRY(clo_wire_set_int(a, *out, "at", r->at));
    CLO_TRY(roles_tree(a, *out, "evidence", r->evidence, r->evidence_count));
    return roles_tree(a, *out, "collateral", r->collateral, r->collateral_count);
}

CLO_R clo_attest_record_encode(const clo_attest_record *r, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 * (size_t)CLO_RECORD_MAX);
    clo_wire_node *tree = NULL;
    CLO_TRY(record_tree(&a, r, false, &tree));
    return clo_wire_cbor_encode(tree, out);
}

CLO_R clo_attest_composite_encode(const clo_attest_record *parts, size_t count, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 4 * (size_t)CLO_RECORD_MAX);
    clo_wire_node *map = NULL, *list = NULL, *one = NULL;
    CLO_TRY(clo_wire_map(&a, &map));
    CLO_TRY(clo_wire_set_text(&a, map, "format", COMPOSITE_FORMAT));
    CLO_TRY(clo_wire_array(&a, &list));
    for (size_t i = 0; i < count; i++) {
        CLO_TRY(record_tree(&a, &parts[i], true, &one));
        CLO_TRY(clo_wire_append(list, one));
    }
    CLO_TRY(clo_wire_set(&a, map, "parts", list));
    return clo_wire_cbor_encode(map, out);
}

/* ---- binding ---- */

static clo_err put_size(clo_crypto_hasher *h, size_t n)
{
    uint8_t be[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    CLO_CHECK(n <= UINT32_MAX, CLO_E_TOO_LARGE);
    return clo_crypto_hasher_put(h, clo_span_of(be, sizeof be));
}

static clo_err put_sized(clo_crypto_hasher *h, clo_span s)
{
    CLO_TRY(put_size(h, s.n));
    return s.n == 0 ? CLO_OK : clo_crypto_hasher_put(h, s);
}

static clo_err hasher_start(clo_crypto_hasher **h, clo_crypto_hash_alg alg, const char *domain)
{
    CLO_TRY(clo_crypto_hasher_new(h, alg));
    return clo_crypto_hasher_put(*h, clo_span_of(domain, strlen(domain) + 1)); /* with its zero byte */
}

CLO_R clo_attest_composite_nonce(clo_span nonce, const char *name, uint8_t out[32])
{
    CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = NULL;
    CLO_TRY(hasher_start(&h, CLO_HASH_SHA256, "cloister/v1 composite nonce"));
    CLO_TRY(put_sized(h, nonce));
    CLO_TRY(clo_crypto_hasher_put(h, clo_span_str(name)));
    return clo_crypto_hasher_end(h, out);
}

/* Roles in the order of CBOR maps: shorter first, then by bytes; as the decoder gives them, and as the maker must list them too. */
static clo_err evidence_digest(const clo_attest_record *r, uint8_t out[32])
{
    CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = NULL;
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA256));
    for (size_t i = 0; i < r->evidence_count; i++) {
        size_t n = strlen(r->evidence[i].role), before = i == 0 ? 0 : strlen(r->evidence[i - 1].role);
        CLO_CHECKF(i == 0 || before < n || (before == n && strcmp(r->evidence[i - 1].role, r->evidence[i].role) < 0), CLO_E_NOT_CANONICAL,
                   "the roles of a part's evidence must be sorted: shorter ones first");
        CLO_TRY(put_sized(h, clo_span_str(r->evidence[i].role)));
        CLO_TRY(put_sized(h, r->evidence[i].bytes));
    }
    return clo_crypto_hasher_end(h, out);
}

CLO_R clo_attest_composite_commitment(clo_span nonce, clo_span bound, const clo_attest_record *parts, size_t count, uint8_t out[64])
{
    CLO_CHECK(count >= 1 && count <= CLO_COMPOSITE_PARTS_MAX, CLO_E_RANGE);
    CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = NULL;
    CLO_TRY(hasher_start(&h, CLO_HASH_SHA512, "cloister/v1 composite"));
    CLO_TRY(put_sized(h, nonce));
    CLO_TRY(put_sized(h, bound));
    CLO_TRY(put_size(h, count - 1));
    for (size_t i = 1; i < count; i++) {
        uint8_t digest[32];
        CLO_TRY(evidence_digest(&parts[i], digest));
        CLO_TRY(put_sized(h, clo_span_str(parts[i].name)));
        CLO_TRY(put_sized(h, clo_span_str(parts[i].type)));
        CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(digest, sizeof digest)));
    }
    return clo_crypto_hasher_end(h, out);
}

CLO_R clo_attest_composite_root(const char *type, const uint8_t commitment[64], bool *in_report_data, uint8_t out[64], size_t *size)
{
    static const struct {
        const char *type;
        bool in_report_data, digest;
    } roots[] = {{"snp", true, false},   {"sim", true, false}, {"tdx", true, false}, {"sgx", true, false}, {"nitro", false, false},
                 {"cca", false, false}, {"psa", false, false}, {"tpm", false, true}, {"azure-vtpm", false, true}};
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        if (strcmp(roots[i].type, type) != 0) continue;
        *in_report_data = roots[i].in_report_data;
        *size = roots[i].digest ? 32 : 64;
        if (roots[i].digest) return clo_crypto_sha256(clo_span_of(commitment, 64), out);
        memcpy(out, commitment, 64);
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "evidence of type %s cannot be the root of a composite: it has no room for the commitment", type);
}
