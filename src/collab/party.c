/* Parties: secret and public files. */
#include "collab/party.h"

#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "base/clo_text.h"
#include "collab/collab_int.h"
#include "crypto/hash.h"
#include "wire/container.h"

/* The identity's CBOR is written and read as fixed bytes: no copy of a secret passes through a tree. Keys in deterministic order.
 */
static const uint8_t identity_name_key[] = {0xa3, 0x64, 'n', 'a', 'm', 'e'};
static const uint8_t identity_seed_key[] = {0x69, 's', 'i', 'g', 'n', '_', 's', 'e', 'e', 'd', 0x58, 0x20};
static const uint8_t identity_hpke_key[] = {0x6b, 'h', 'p', 'k', 'e', '_', 's', 'e', 'c', 'r', 'e', 't', 0x58, 0x20};
enum { IDENTITY_FILE_MAX = 512, TEXT_HEAD_SHORT_MAX = 23, SEED_SIZE = 32 };

static clo_err public_half_of(clo_collab_identity *i)
{
    CLO_TRY(clo_crypto_sign_public_of(&i->sign, &i->public_half.sign));
    CLO_CHECK(i->public_half.sign.n == 32, CLO_E_BUG);
    clo_crypto_hpke_private hpke = {.kem = CLO_HPKE_KEM_X25519};
    clo_key32_copy(&hpke.secret, &i->hpke);
    clo_crypto_hpke_public pk;
    clo_err e = clo_crypto_hpke_public_of(&hpke, &pk);
    clo_crypto_hpke_private_wipe(&hpke);
    CLO_TRY(e);
    CLO_CHECK(pk.n == sizeof i->public_half.hpke, CLO_E_BUG);
    memcpy(i->public_half.hpke, pk.bytes, sizeof i->public_half.hpke);
    return CLO_OK;
}

static clo_err identity_fill(const char *name, clo_collab_identity *i)
{
    CLO_TRY(clo_str_set(i->public_half.name, sizeof i->public_half.name, clo_span_str(name)));
    CLO_TRY(clo_crypto_sign_generate(CLO_SIGN_ED25519, &i->sign, &i->public_half.sign));
    clo_crypto_hpke_private hpke;
    clo_crypto_hpke_public pk;
    CLO_TRY(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &hpke, &pk));
    clo_key32_copy(&i->hpke, &hpke.secret);
    clo_crypto_hpke_private_wipe(&hpke);
    return public_half_of(i);
}

clo_err clo_collab_identity_make(const char *name, clo_collab_identity *out)
{
    CLO_CHECKF(clo_name_valid(name), CLO_E_MALFORMED,
               "a party's name has 1 to 63 of a-z, 0-9, '.', '_', '-' and starts with a letter or digit; choose such a name");
    memset(out, 0, sizeof *out);
    clo_err e = identity_fill(name, out);
    if (clo_failed(e)) clo_collab_identity_wipe(out);
    return e;
}

void clo_collab_identity_wipe(clo_collab_identity *i)
{
    if (i == NULL) return;
    clo_crypto_private_key_wipe(&i->sign);
    clo_key32_wipe(&i->hpke);
    clo_wipe(i, sizeof *i);
}

clo_err clo_collab_identity_encode(const clo_collab_identity *i, clo_buf *out)
{
    size_t name_size = strlen(i->public_half.name);
    CLO_CHECK(clo_name_valid(i->public_half.name) && i->sign.alg == CLO_SIGN_ED25519, CLO_E_BUG);
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(out, IDENTITY_FILE_MAX, &at)); /* the buffer does not move while secrets are in it */
    CLO_TRY(clo_wire_container_put(out, CLO_MAGIC_IDENTITY, 1));
    CLO_TRY(clo_buf_put(out, identity_name_key, sizeof identity_name_key));
    if (name_size <= TEXT_HEAD_SHORT_MAX) {
        CLO_TRY(clo_buf_put_u8(out, (uint8_t)(0x60u + name_size)));
    } else {
        CLO_TRY(clo_buf_put_u8(out, 0x78));
        CLO_TRY(clo_buf_put_u8(out, (uint8_t)name_size));
    }
    CLO_TRY(clo_buf_put_str(out, i->public_half.name));
    CLO_TRY(clo_buf_put(out, identity_seed_key, sizeof identity_seed_key));
    CLO_TRY(clo_buf_put(out, i->sign.bytes, SEED_SIZE));
    CLO_TRY(clo_buf_put(out, identity_hpke_key, sizeof identity_hpke_key));
    return clo_buf_put(out, i->hpke.b, sizeof i->hpke.b);
}

static bool take_exactly(clo_rd *r, const uint8_t *wanted, size_t n)
{
    const uint8_t *found = clo_rd_bytes(r, n);
    return found != NULL && memcmp(found, wanted, n) == 0;
}

static clo_err identity_parse(clo_span body, clo_collab_identity *i)
{
    clo_rd r = clo_rd_init(body);
    bool good = take_exactly(&r, identity_name_key, sizeof identity_name_key);
    uint8_t head = clo_rd_u8(&r);
    size_t name_size = head == 0x78 ? clo_rd_u8(&r) : (size_t)head - 0x60u;
    good = good && (head == 0x78 ? name_size > TEXT_HEAD_SHORT_MAX : head >= 0x60 && name_size <= TEXT_HEAD_SHORT_MAX) &&
           name_size < 64;
    clo_span name = clo_rd_span(&r, good ? name_size : 0);
    good = good && !clo_failed(clo_str_set(i->public_half.name, sizeof i->public_half.name, name)) &&
           clo_name_valid(i->public_half.name);
    good = good && take_exactly(&r, identity_seed_key, sizeof identity_seed_key);
    i->sign.alg = CLO_SIGN_ED25519;
    clo_rd_copy(&r, i->sign.bytes, SEED_SIZE);
    good = good && take_exactly(&r, identity_hpke_key, sizeof identity_hpke_key);
    clo_rd_copy(&r, i->hpke.b, sizeof i->hpke.b);
    CLO_CHECKF(good, CLO_E_MALFORMED, "the identity file is damaged; restore it from a copy");
    clo_err e = clo_rd_end(&r);
    if (clo_failed(e)) return clo_err_prefix(e, "the identity file is damaged");
    return public_half_of(i);
}

clo_err clo_collab_identity_decode(clo_span in, clo_collab_identity *out)
{
    clo_span body;
    CLO_TRY(clo_wire_container_open(in, CLO_MAGIC_IDENTITY, 1, NULL, &body));
    memset(out, 0, sizeof *out);
    clo_err e = identity_parse(body, out);
    if (clo_failed(e)) clo_collab_identity_wipe(out);
    return e;
}

static clo_err party_tree(clo_arena *a, const clo_collab_party *p, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_collab_map_new(a, CLO_FORMAT_PARTY, &map));
    CLO_TRY(clo_wire_set_text(a, map, "name", p->name));
    CLO_TRY(clo_wire_set_bytes(a, map, "sign_key", clo_crypto_public_key_span(&p->sign)));
    CLO_TRY(clo_collab_set_fixed(a, map, "hpke_key", p->hpke, sizeof p->hpke));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_party_encode(const clo_collab_identity *i, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    clo_wire_node *map = NULL;
    CLO_TRY(party_tree(&a, &i->public_half, &map));
    CLO_TRY(clo_wire_container_put(out, CLO_MAGIC_PARTY, 1));
    return clo_collab_map_sign(map, &i->sign, CLO_TYPE_PARTY, out);
}

static clo_err party_parse(clo_arena *a, clo_span body, clo_collab_party *out)
{
    clo_wire_cose *cose = NULL;
    clo_wire_node *map = NULL;
    CLO_TRY(clo_collab_map_open(a, body, CLO_TYPE_PARTY, "the party file", &cose, &map));
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "party");
    uint8_t key[32];
    clo_collab_take_format(&f, CLO_FORMAT_PARTY);
    clo_wire_take_name(&f, "name", out->name);
    clo_wire_take_fixed(&f, "sign_key", key, sizeof key);
    clo_wire_take_fixed(&f, "hpke_key", out->hpke, sizeof out->hpke);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(clo_crypto_public_key_parse(CLO_SIGN_ED25519, clo_span_of(key, sizeof key), &out->sign));
    CLO_TRY(clo_collab_map_verify(cose, &out->sign, "the party file"));
    clo_wire_node *again = NULL;
    CLO_TRY(party_tree(a, out, &again));
    return clo_collab_require_canonical(again, cose->payload, "the party file");
}

clo_err clo_collab_party_decode(clo_span in, clo_collab_party *out)
{
    clo_span body;
    CLO_TRY(clo_wire_container_open(in, CLO_MAGIC_PARTY, 1, NULL, &body));
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 256 * 1024);
    clo_collab_party p;
    memset(&p, 0, sizeof p);
    CLO_TRY(party_parse(&a, body, &p));
    *out = p;
    return CLO_OK;
}

clo_err clo_collab_party_kid(const clo_collab_party *p, uint8_t out[32]) { return clo_wire_cose_kid(&p->sign, out); }
