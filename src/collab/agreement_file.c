/* The *.agreement file: container ‖ COSE_Sign over the canonical CBOR, signatures in the order of the parties. */
#include <stdio.h>

#include "base/clo_own.h"
#include "collab/agreement_int.h"
#include "wire/cbor.h"
#include "wire/container.h"

enum { COSE_SIGN_TAG = 98 };

/* An opened file: which signature is whose. */
typedef struct {
    clo_wire_cose cose;
    int signature_of[CLO_PARTIES_MAX]; /* index into cose.signatures, or -1 */
    uint32_t mask;
} opened;

static clo_err signature_assign(const clo_collab_agreement *g, opened *o, size_t index)
{
    for (size_t m = 0; m < g->member_count; m++) {
        uint8_t kid[32];
        CLO_TRY(clo_wire_cose_kid(&g->members[m].party.sign, kid));
        if (!clo_span_equal(o->cose.signatures[index].kid, clo_span_of(kid, sizeof kid))) continue;
        CLO_CHECKF(o->signature_of[m] < 0, CLO_E_DUPLICATE, "the agreement carries two signatures of %s",
                   g->members[m].party.name);
        clo_err e = clo_wire_cose_verify(&o->cose, index, &g->members[m].party.sign, clo_span_of(NULL, 0));
        if (clo_failed(e)) {
            char what[96];
            (void)snprintf(what, sizeof what, "the agreement's signature of %s", g->members[m].party.name);
            return clo_err_prefix(e, what);
        }
        o->signature_of[m] = (int)index;
        o->mask |= UINT32_C(1) << m;
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_BAD_SIGNATURE, "the agreement carries a signature of somebody who is no party of it");
}

static clo_err file_write(clo_arena *a, const clo_collab_agreement *g, const opened *o, clo_buf *out);

static clo_err file_parse(clo_arena *a, clo_span file, clo_collab_agreement *g, opened *o)
{
    clo_span body;
    CLO_CHECKF(file.n <= CLO_COLLAB_FILE_MAX, CLO_E_TOO_LARGE, "the agreement file has %zu bytes; at most %d are allowed", file.n,
               CLO_COLLAB_FILE_MAX);
    CLO_TRY(clo_wire_container_open(file, CLO_MAGIC_AGREEMENT, 1, NULL, &body));
    memset(o, 0, sizeof *o);
    for (size_t m = 0; m < CLO_PARTIES_MAX; m++) o->signature_of[m] = -1;
    clo_err e = clo_wire_cose_parse(a, body, false, &o->cose);
    if (clo_failed(e)) return clo_err_prefix(e, "the agreement file");
    CLO_CHECKF(!o->cose.is_sign1 && o->cose.tagged, CLO_E_MALFORMED, "the agreement file is not a tagged COSE_Sign");
    CLO_CHECKF(clo_span_equal(o->cose.content_type, clo_span_str(CLO_TYPE_AGREEMENT)), CLO_E_MALFORMED,
               "the agreement file holds another kind of content");
    CLO_TRY(clo_collab_agreement_decode(a, o->cose.payload, g));
    for (size_t i = 0; i < o->cose.signature_count; i++) CLO_TRY(signature_assign(g, o, i));
    /* Nothing outside the signatures may vary: the file is the one way to write this content and these signatures. */
    CLO_AUTO(clo_buf_free) clo_buf again;
    clo_buf_init(&again, CLO_COLLAB_FILE_MAX);
    CLO_TRY(file_write(a, g, o, &again));
    CLO_CHECKF(clo_span_equal(clo_buf_span(&again), file), CLO_E_NOT_CANONICAL,
               "the agreement file is not in its canonical form; fetch it again");
    return CLO_OK;
}

static clo_err append_bytes(clo_arena *a, clo_wire_node *list, clo_span bytes)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_bytes(a, bytes, &n));
    return clo_wire_append(list, n);
}

static clo_err append_map(clo_arena *a, clo_wire_node *list)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_map(a, &n));
    return clo_wire_append(list, n);
}

/* Written from its parts, so that the same signatures give the same file in whatever order they came. */
static clo_err file_write(clo_arena *a, const clo_collab_agreement *g, const opened *o, clo_buf *out)
{
    clo_wire_node *top = NULL, *signatures = NULL, *tag = NULL;
    CLO_TRY(clo_wire_array(a, &top));
    CLO_TRY(append_bytes(a, top, o->cose.body_protected));
    CLO_TRY(append_map(a, top));
    CLO_TRY(append_bytes(a, top, o->cose.payload));
    CLO_TRY(clo_wire_array(a, &signatures));
    CLO_TRY(clo_wire_append(top, signatures));
    for (size_t m = 0; m < g->member_count; m++) {
        if (o->signature_of[m] < 0) continue;
        const clo_wire_cose_signature *s = &o->cose.signatures[o->signature_of[m]];
        clo_wire_node *one = NULL;
        CLO_TRY(clo_wire_array(a, &one));
        CLO_TRY(append_bytes(a, one, s->protected_header));
        CLO_TRY(append_map(a, one));
        CLO_TRY(append_bytes(a, one, s->signature));
        CLO_TRY(clo_wire_append(signatures, one));
    }
    CLO_TRY(clo_wire_tag(a, COSE_SIGN_TAG, top, &tag));
    CLO_TRY(clo_wire_container_put(out, CLO_MAGIC_AGREEMENT, 1));
    return clo_wire_cbor_encode(tag, out);
}

clo_err clo_collab_agreement_file_make(const clo_collab_agreement *g, clo_buf *out)
{
    CLO_TRY(clo_wire_container_put(out, CLO_MAGIC_AGREEMENT, 1));
    return clo_wire_cose_sign(out, NULL, 0, CLO_TYPE_AGREEMENT, clo_span_of(NULL, 0), g->cbor);
}

static clo_err opened_new(clo_arena *a, clo_collab_agreement **g, opened **o)
{
    void *p = NULL;
    CLO_TRY(clo_collab_agreement_new(a, g));
    CLO_TRY(clo_arena_alloc(a, sizeof(opened), &p));
    *o = p;
    return CLO_OK;
}

clo_err clo_collab_agreement_file_open(clo_arena *a, clo_span file, clo_collab_agreement *out, uint32_t *signed_mask)
{
    clo_collab_agreement *g = NULL;
    opened *o = NULL;
    CLO_TRY(opened_new(a, &g, &o));
    CLO_TRY(file_parse(a, file, g, o));
    *out = *g;
    *signed_mask = o->mask;
    return CLO_OK;
}

enum { WORK_MAX = 64 << 20 };

clo_err clo_collab_agreement_file_sign(clo_span file, const clo_collab_identity *who, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, WORK_MAX);
    clo_collab_agreement *g = NULL;
    opened *o = NULL;
    CLO_TRY(opened_new(&a, &g, &o));
    CLO_TRY(file_parse(&a, file, g, o));
    const clo_collab_member *m = clo_collab_agreement_member(g, who->public_half.name);
    CLO_CHECKF(m != NULL, CLO_E_DENIED, "%s is no party of this agreement and cannot sign it", who->public_half.name);
    CLO_CHECKF(clo_crypto_public_key_equal(&m->party.sign, &who->public_half.sign), CLO_E_DENIED,
               "the agreement names another key for %s; have it made again with the current key", who->public_half.name);
    CLO_CHECKF(o->signature_of[m - g->members] < 0, CLO_E_EXISTS, "%s has signed this agreement already",
               who->public_half.name);
    uint8_t kid[32];
    CLO_TRY(clo_wire_cose_kid(&m->party.sign, kid));
    clo_wire_cose_signer signer = {.sk = &who->sign, .kid = clo_span_of(kid, sizeof kid)};
    CLO_AUTO(clo_buf_free) clo_buf cose;
    clo_buf_init(&cose, CLO_COLLAB_FILE_MAX);
    CLO_TRY(clo_wire_cose_sign_add(&cose, clo_span_of(file.p + CLO_CONTAINER_HEAD, file.n - CLO_CONTAINER_HEAD), &signer,
                                   clo_span_of(NULL, 0)));
    /* Parse again without the order being judged, then write in the parties' order. */
    memset(o, 0, sizeof *o);
    for (size_t i = 0; i < CLO_PARTIES_MAX; i++) o->signature_of[i] = -1;
    CLO_TRY(clo_wire_cose_parse(&a, clo_buf_span(&cose), false, &o->cose));
    for (size_t i = 0; i < o->cose.signature_count; i++) CLO_TRY(signature_assign(g, o, i));
    return file_write(&a, g, o, out);
}

clo_err clo_collab_agreement_file_merge(clo_span one, clo_span two, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, WORK_MAX);
    clo_collab_agreement *g1 = NULL, *g2 = NULL;
    opened *o1 = NULL, *o2 = NULL;
    CLO_TRY(opened_new(&a, &g1, &o1));
    CLO_TRY(opened_new(&a, &g2, &o2));
    CLO_TRY(file_parse(&a, one, g1, o1));
    CLO_TRY(file_parse(&a, two, g2, o2));
    CLO_CHECKF(memcmp(g1->id, g2->id, sizeof g1->id) == 0, CLO_E_CONFLICT, "the files hold two different agreements (%s and %s)",
               clo_collab_short(g1->id).text, clo_collab_short(g2->id).text);
    for (size_t m = 0; m < g1->member_count; m++) {
        if (o1->signature_of[m] >= 0 || o2->signature_of[m] < 0) continue;
        CLO_CHECK(o1->cose.signature_count < CLO_COSE_SIGNERS_MAX, CLO_E_TOO_MANY);
        o1->signature_of[m] = (int)o1->cose.signature_count;
        o1->cose.signatures[o1->cose.signature_count++] = o2->cose.signatures[o2->signature_of[m]];
    }
    return file_write(&a, g1, o1, out);
}

clo_err clo_collab_agreement_require_signed(const clo_collab_agreement *g, uint32_t signed_mask)
{
    char missing[200] = "missing: ";
    char expected[64], source[64];
    size_t used = strlen(missing), count = 0;
    for (size_t m = 0; m < g->member_count; m++) {
        if ((signed_mask >> m & 1u) != 0) continue;
        int n = snprintf(missing + used, sizeof missing - used, "%s%s", count != 0 ? ", " : "", g->members[m].party.name);
        used = n < 0 || (size_t)n >= sizeof missing - used ? sizeof missing - 1 : used + (size_t)n;
        count++;
    }
    if (count == 0) return CLO_OK;
    (void)snprintf(expected, sizeof expected, "a valid signature of each of the %zu parties", g->member_count);
    (void)snprintf(source, sizeof source, "agreement %s parties", clo_collab_short(g->id).text);
    return CLO_DENY(CLO_E_DENIED, "agreement.signatures", expected, missing, source,
                    "have the missing parties run `cloister agreement sign`, then submit the file again");
}

clo_err clo_collab_agreement_require_amends(const clo_collab_agreement *g, const clo_collab_agreement *next)
{
    char expected[96], actual[96], source[64];
    (void)snprintf(source, sizeof source, "agreement %s", clo_collab_short(g->id).text);
    if (memcmp(next->lineage, g->lineage, sizeof g->lineage) != 0)
        return CLO_DENY(CLO_E_DENIED, "agreement.lineage", clo_collab_short(g->lineage).text,
                        clo_collab_short(next->lineage).text, source, "take lineage from the first agreement of this chain");
    if (memcmp(next->prev, g->id, sizeof g->id) != 0)
        return CLO_DENY(CLO_E_DENIED, "agreement.prev", clo_collab_short(g->id).text, clo_collab_short(next->prev).text, source,
                        "amend the agreement that is in force");
    if (next->epoch > g->epoch) return CLO_OK;
    (void)snprintf(expected, sizeof expected, "more than %lld", (long long)g->epoch);
    (void)snprintf(actual, sizeof actual, "%lld", (long long)next->epoch);
    return CLO_DENY(CLO_E_DENIED, "agreement.epoch", expected, actual, source, "raise the epoch");
}
