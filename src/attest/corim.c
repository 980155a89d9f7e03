/* Reading CoRIM. Numbers are the draft's map keys and tags. */
#include "attest/corim.h"

#include "wire/cbor.h"

#include <stdio.h>

enum { TAG_TIME = 1, TAG_UUID = 37, TAG_OID = 111, TAG_CORIM = 501, TAG_COMID = 506, TAG_SVN = 552, TAG_MIN_SVN = 553, TAG_BYTES = 560 };
enum { ITEMS_MAX = 16384, CORIM_MAX = 1024 * 1024 };

typedef struct {
    clo_arena *arena;
    const clo_attest_corim_use *use;
    clo_attest_reference_set *set;
    const char *id; /* of the manifest, for want of a better name */
} import;

static clo_err decode(clo_arena *a, clo_span in, clo_wire_node **out)
{
    clo_wire_cbor_limits limits = {.items_max = ITEMS_MAX, .allow_unsorted = true};
    return clo_wire_cbor_decode(a, in, &limits, out);
}

static const clo_wire_node *member(const clo_wire_node *map, int64_t key, clo_wire_type type)
{
    const clo_wire_node *n = map != NULL && map->type == CLO_WIRE_MAP ? clo_wire_get_int_key(map, key) : NULL;
    return n != NULL && n->type == type ? n : NULL;
}

static const clo_wire_node *untag(const clo_wire_node *n, uint64_t tag) { return n != NULL && n->type == CLO_WIRE_TAG && n->tag == tag ? n->first : n; }

/* {0: not before, 1: not after}, each optional. */
static clo_err check_validity(const clo_wire_node *window, int64_t now)
{
    if (window == NULL) return CLO_OK;
    CLO_CHECKF(window->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the manifest's validity is no map");
    for (int64_t key = 0; key <= 1; key++) {
        const clo_wire_node *t = clo_wire_get_int_key(window, key);
        if (t == NULL) continue;
        t = untag(t, TAG_TIME);
        CLO_CHECKF(t != NULL && t->type == CLO_WIRE_INT, CLO_E_MALFORMED, "a time of the manifest's validity is no number of seconds");
        CLO_CHECKF(key == 0 ? t->integer <= now : now <= t->integer, CLO_E_EXPIRED, "the manifest is not valid at this time");
    }
    return CLO_OK;
}

static const char *main_path(const char *tee)
{
    static const char *const paths[][2] = {{"snp", "measurement"}, {"sim", "measurement"},        {"tdx", "body.mr_td"},
                                           {"nitro", "pcrs.0"},    {"sgx", "body.mrenclave"}, {"nvidia-gpu", "record_sha384"}};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (strcmp(paths[i][0], tee) == 0) return paths[i][1];
    }
    return NULL;
}

static clo_err register_path(const char *tee, int64_t n, char to[CLO_ATTEST_CLAIM_PATH])
{
    static const char *const forms[][2] = {{"tdx", "body.rtmr"}, {"nitro", "pcrs."}, {"tpm", "pcrs."}, {"azure-vtpm", "pcrs."}, {"nvidia-gpu", "measurements."}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(forms[i][0], tee) != 0 || n < 0 || n > 255) continue;
        (void)snprintf(to, CLO_ATTEST_CLAIM_PATH, "%s%u", forms[i][1], (unsigned)n);
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "%s evidence has no register %lld", tee, (long long)n);
}

static clo_err path_of(const import *in, const clo_wire_node *key, char to[CLO_ATTEST_CLAIM_PATH])
{
    const char *path = main_path(in->use->tee);
    if (key != NULL && key->type == CLO_WIRE_INT) return register_path(in->use->tee, key->integer, to);
    if (key != NULL) {
        CLO_CHECKF(key->type == CLO_WIRE_TEXT && key->text.n != 0 && key->text.n < CLO_ATTEST_CLAIM_PATH, CLO_E_UNSUPPORTED,
                   "a measurement's key is neither a number nor the path of a claim");
        path = (const char *)key->text.p;
    }
    CLO_CHECKF(path != NULL, CLO_E_UNSUPPORTED, "%s evidence has no main measurement; the manifest must name the claim", in->use->tee);
    (void)snprintf(to, CLO_ATTEST_CLAIM_PATH, "%s", path);
    return CLO_OK;
}

/* [algorithm, value]: numbers of the named information registry, or of COSE. */
static clo_err take_digest(const import *in, const clo_wire_node *pair, const char *path, clo_attest_reference *r)
{
    static const struct {
        int64_t named, cose;
        const char *text;
        size_t size;
    } known[] = {{1, -16, "sha-256", 32}, {7, -43, "sha-384", 48}, {8, -44, "sha-512", 64}};
    CLO_CHECKF(pair->type == CLO_WIRE_ARRAY && pair->count == 2 && pair->last->type == CLO_WIRE_BYTES, CLO_E_MALFORMED,
               "a digest of the manifest is not algorithm and value");
    const clo_wire_node *alg = pair->first;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        bool same = alg->type == CLO_WIRE_INT ? alg->integer == known[i].named || alg->integer == known[i].cose
                                              : alg->type == CLO_WIRE_TEXT && clo_span_equal(alg->text, clo_span_str(known[i].text));
        if (!same) continue;
        CLO_CHECKF(pair->last->text.n == known[i].size, CLO_E_MALFORMED, "a digest of the manifest has the wrong length");
        return clo_attest_reference_allow(in->arena, r, path, pair->last);
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "a digest of the manifest is not SHA-256, SHA-384 or SHA-512");
}

static clo_err take_digests(const import *in, const clo_wire_node *list, const char *path, clo_attest_reference *r)
{
    CLO_CHECKF(list->type == CLO_WIRE_ARRAY && list->count != 0, CLO_E_MALFORMED, "the digests of a measurement are no list");
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) CLO_TRY(take_digest(in, n, path, r));
    return CLO_OK;
}

static clo_err take_svn(const import *in, const clo_wire_node *svn, clo_attest_reference *r)
{
    const clo_wire_node *number = untag(untag(svn, TAG_SVN), TAG_MIN_SVN);
    CLO_CHECKF(number != NULL && number->type == CLO_WIRE_INT && number->integer >= 0 && number->integer <= UINT32_MAX, CLO_E_MALFORMED,
               "a security version of the manifest is no number");
    if (svn->type == CLO_WIRE_TAG && svn->tag == TAG_MIN_SVN) {
        r->have_min_svn = true;
        r->min_svn = (uint32_t)number->integer;
        return CLO_OK;
    }
    const char *tee = in->use->tee, *path = strcmp(tee, "sgx") == 0 ? "body.isv_svn" : strcmp(tee, "snp") == 0 ? "guest_svn" : NULL;
    clo_wire_node *value = NULL;
    CLO_CHECKF(path != NULL, CLO_E_UNSUPPORTED, "%s evidence has no security version of its own", tee);
    CLO_TRY(clo_wire_int(in->arena, number->integer, &value));
    return clo_attest_reference_allow(in->arena, r, path, value);
}

static clo_err take_registers(const import *in, const clo_wire_node *map, clo_attest_reference *r)
{
    CLO_CHECKF(map->type == CLO_WIRE_MAP && map->count != 0, CLO_E_MALFORMED, "the integrity registers are no map");
    for (const clo_wire_node *n = map->first; n != NULL; n = n->next) {
        char path[CLO_ATTEST_CLAIM_PATH];
        CLO_TRY(path_of(in, n->key, path));
        CLO_TRY(take_digests(in, n, path, r));
    }
    return CLO_OK;
}

/* measurement-map {0: key, 1: values}: everything that a value demands is taken, or the manifest is refused. */
static clo_err take_measurement(const import *in, const clo_wire_node *m, clo_attest_reference *r)
{
    enum { VERSION, SVN, DIGESTS, FLAGS, RAW, NAME = 11, REGISTERS = 14 };
    const clo_wire_node *values = member(m, 1, CLO_WIRE_MAP);
    CLO_CHECKF(values != NULL, CLO_E_MALFORMED, "a measurement of the manifest has no values");
    const clo_wire_node *key = clo_wire_get_int_key(m, 0);
    for (const clo_wire_node *n = values->first; n != NULL; n = n->next) {
        char path[CLO_ATTEST_CLAIM_PATH];
        int64_t what = n->key->type == CLO_WIRE_INT ? n->key->integer : -1;
        if (what == DIGESTS || what == RAW) CLO_TRY(path_of(in, key, path));
        if (what == VERSION) {
            const clo_wire_node *text = member(n, 0, CLO_WIRE_TEXT);
            if (text != NULL && r->version[0] == '\0' && text->text.n < 256) r->version = (const char *)text->text.p;
        } else if (what == SVN) {
            CLO_TRY(take_svn(in, n, r));
        } else if (what == DIGESTS) {
            CLO_TRY(take_digests(in, n, path, r));
        } else if (what == RAW) {
            const clo_wire_node *bytes = untag(n, TAG_BYTES);
            CLO_CHECKF(bytes != NULL && bytes->type == CLO_WIRE_BYTES, CLO_E_UNSUPPORTED, "a raw value of the manifest is masked, or no bytes");
            CLO_TRY(clo_attest_reference_allow(in->arena, r, path, bytes));
        } else if (what == REGISTERS) {
            CLO_TRY(take_registers(in, n, r));
        } else {
            CLO_CHECKF(what == NAME, CLO_E_UNSUPPORTED, "a measurement of the manifest demands something that is not understood (%lld)", (long long)what);
        }
    }
    return CLO_OK;
}

static clo_err place_set(clo_arena *a, clo_wire_node *map, const char *name, const clo_wire_node *n)
{
    while (n != NULL && n->type == CLO_WIRE_TAG) n = n->first;
    if (n == NULL) return CLO_OK;
    if (n->type == CLO_WIRE_BYTES) return clo_wire_set_bytes(a, map, name, n->text);
    if (n->type == CLO_WIRE_INT) return clo_wire_set_int(a, map, name, n->integer);
    CLO_CHECKF(n->type == CLO_WIRE_TEXT, CLO_E_MALFORMED, "the manifest's %s cannot be read", name);
    return clo_wire_set_text(a, map, name, (const char *)n->text.p);
}

/* environment-map {0: class {0 id, 1 vendor, 2 model, 3 layer, 4 index}, 1: instance, 2: group}. */
static clo_err take_environment(const import *in, const clo_wire_node *from, clo_wire_node **out, const char **name)
{
    static const char *const parts[] = {"class_id", "vendor", "model", "layer", "index"};
    CLO_CHECKF(from->type == CLO_WIRE_MAP && from->count != 0, CLO_E_MALFORMED, "a triple of the manifest names no environment");
    const clo_wire_node *kind = member(from, 0, CLO_WIRE_MAP);
    CLO_TRY(clo_wire_map(in->arena, out));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && kind != NULL; i++) {
        CLO_TRY(place_set(in->arena, *out, parts[i], clo_wire_get_int_key(kind, (int64_t)i)));
    }
    CLO_TRY(place_set(in->arena, *out, "instance", clo_wire_get_int_key(from, 1)));
    CLO_TRY(place_set(in->arena, *out, "group", clo_wire_get_int_key(from, 2)));
    const clo_wire_node *text = member(kind, 2, CLO_WIRE_TEXT);
    if (text == NULL) text = member(kind, 1, CLO_WIRE_TEXT);
    *name = text != NULL && text->text.n != 0 && text->text.n < 256 ? (const char *)text->text.p : in->id;
    return CLO_OK;
}

/* [environment, measurement or list of them] */
static clo_err take_triple(const import *in, const clo_wire_node *triple)
{
    clo_wire_node *environment = NULL;
    const char *name = NULL;
    clo_attest_reference *r = NULL;
    CLO_CHECKF(triple->type == CLO_WIRE_ARRAY && triple->count == 2, CLO_E_MALFORMED, "a triple of the manifest is not environment and measurements");
    CLO_TRY(take_environment(in, triple->first, &environment, &name));
    CLO_TRY(clo_attest_reference_add(in->arena, in->set, name, "", in->use->tee, environment, &r));
    if (triple->last->type == CLO_WIRE_MAP) return take_measurement(in, triple->last, r);
    CLO_CHECKF(triple->last->type == CLO_WIRE_ARRAY && triple->last->count != 0, CLO_E_MALFORMED, "a triple of the manifest has no measurements");
    for (const clo_wire_node *n = triple->last->first; n != NULL; n = n->next) CLO_TRY(take_measurement(in, n, r));
    return CLO_OK;
}

static clo_err take_comid(const import *in, const clo_wire_node *comid)
{
    const clo_wire_node *triples = member(comid, 4, CLO_WIRE_MAP);
    CLO_CHECKF(triples != NULL, CLO_E_MALFORMED, "a tag of the manifest has no triples");
    for (int64_t kind = 0; kind <= (in->use->endorsed ? 1 : 0); kind++) {
        const clo_wire_node *list = clo_wire_get_int_key(triples, kind);
        if (list == NULL) continue;
        CLO_CHECKF(list->type == CLO_WIRE_ARRAY, CLO_E_MALFORMED, "the triples of the manifest are no list");
        for (const clo_wire_node *n = list->first; n != NULL; n = n->next) CLO_TRY(take_triple(in, n));
    }
    return CLO_OK;
}

/* A tag is 506 around the bytes of a CoMID, or (older drafts) bytes of 506 around it. Tags of other kinds hold no such values. */
static clo_err take_tag(const import *in, const clo_wire_node *tag)
{
    clo_wire_node *inside = NULL;
    if (tag->type == CLO_WIRE_TAG && tag->tag != TAG_COMID) return CLO_OK;
    const clo_wire_node *bytes = untag(tag, TAG_COMID);
    CLO_CHECKF(bytes != NULL && bytes->type == CLO_WIRE_BYTES, CLO_E_MALFORMED, "a tag of the manifest is no bytes");
    CLO_TRY(decode(in->arena, bytes->text, &inside));
    if (tag->type == CLO_WIRE_TAG) return take_comid(in, inside);
    return inside->type == CLO_WIRE_TAG && inside->tag == TAG_COMID ? take_comid(in, inside->first) : CLO_OK;
}

static clo_err take_manifest(import *in, clo_span bytes)
{
    clo_wire_node *root = NULL;
    CLO_TRY(decode(in->arena, bytes, &root));
    const clo_wire_node *map = untag(root, TAG_CORIM), *tags = member(map, 1, CLO_WIRE_ARRAY), *id = member(map, 0, CLO_WIRE_TEXT);
    CLO_CHECKF(root->type == CLO_WIRE_TAG && tags != NULL, CLO_E_MALFORMED, "the bytes are no CoRIM (tag 501)");
    CLO_TRY(check_validity(clo_wire_get_int_key(map, 4), in->use->now));
    in->id = id != NULL && id->text.n != 0 && id->text.n < 256 ? (const char *)id->text.p : "corim";
    for (const clo_wire_node *n = tags->first; n != NULL; n = n->next) CLO_TRY(take_tag(in, n));
    return CLO_OK;
}

/* COSE_Sign1: content type, meta (8) and CWT claims (15) of the protected header. */
static clo_err take_signed(import *in, clo_span bytes)
{
    enum { META = 8, CWT_CLAIMS = 15, CWT_EXPIRES = 4, CWT_NOT_BEFORE = 5 };
    void *memory = NULL;
    clo_wire_node *header = NULL, *meta = NULL;
    CLO_TRY(clo_arena_alloc(in->arena, sizeof(clo_wire_cose), &memory));
    clo_wire_cose *cose = memory;
    CLO_TRY(clo_wire_cose_parse(in->arena, bytes, true, cose));
    CLO_CHECKF(cose->is_sign1 && cose->tagged, CLO_E_MALFORMED, "the bytes are no signed CoRIM (tag 18)");
    bool typed = clo_span_equal(cose->content_type, clo_span_str("application/rim+cbor")) ||
                 clo_span_equal(cose->content_type, clo_span_str("application/corim-unsigned+cbor"));
    CLO_CHECKF(typed, CLO_E_UNSUPPORTED, "the signed object is of another content type than a CoRIM");
    CLO_TRY(clo_wire_cose_verify(cose, 0, in->use->signer, clo_span_of(NULL, 0)));
    CLO_TRY(decode(in->arena, cose->body_protected, &header));
    const clo_wire_node *packed = member(header, META, CLO_WIRE_BYTES), *claims = member(header, CWT_CLAIMS, CLO_WIRE_MAP);
    if (packed != NULL) {
        CLO_TRY(decode(in->arena, packed->text, &meta));
        CLO_CHECKF(meta->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the signature's meta data are no map");
        CLO_TRY(check_validity(clo_wire_get_int_key(meta, 1), in->use->now));
    }
    const clo_wire_node *expires = member(claims, CWT_EXPIRES, CLO_WIRE_INT), *from = member(claims, CWT_NOT_BEFORE, CLO_WIRE_INT);
    CLO_CHECKF((expires == NULL || in->use->now <= expires->integer) && (from == NULL || from->integer <= in->use->now), CLO_E_EXPIRED,
               "the manifest's signature is not valid at this time");
    return take_manifest(in, cose->payload);
}

CLO_R clo_attest_corim_import(clo_arena *a, clo_span bytes, const clo_attest_corim_use *use, clo_attest_reference_set *set)
{
    import in = {.arena = a, .use = use, .set = set, .id = "corim"};
    size_t before = set->count;
    CLO_CHECKF(bytes.n <= CORIM_MAX, CLO_E_TOO_LARGE, "a CoRIM has at most 1 MiB");
    clo_err e = use->signer != NULL ? take_signed(&in, bytes) : take_manifest(&in, bytes);
    if (!clo_failed(e) && set->count == before) e = CLO_FAILF(CLO_E_NOT_FOUND, "the manifest has no reference values");
    if (clo_failed(e)) set->count = before;
    return e;
}
