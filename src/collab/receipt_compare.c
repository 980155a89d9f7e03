/* Two receipts of one log: whoever shows two histories, or cuts one and grows another, is caught by two people who compare what they hold. */
#include <stdio.h>

#include "base/clo_own.h"
#include "collab/collab_int.h"
#include "collab/leaf.h"

enum { PROOFS = 2 }; /* of the agreement, of the statement */

typedef struct {
    clo_wire_checkpoint checkpoint;
    size_t count;
    clo_wire_merkle_part parts[CLO_MERKLE_PARTS_MAX];
} shown;
typedef struct {
    clo_wire_note_key log;
    shown proofs[PROOFS];
} view;

static clo_err proof_open(const char *type, clo_span object, clo_span proof, const clo_wire_log_policy *policy, shown *out)
{
    CLO_AUTO(clo_buf_free) clo_buf leaf;
    clo_buf_init(&leaf, 1024);
    clo_wire_hash hash, path[CLO_MERKLE_PATH_MAX];
    uint64_t index = 0;
    size_t path_count = 0;
    clo_span note;
    CLO_TRY(clo_collab_leaf(type, object, &leaf));
    CLO_TRY(clo_wire_tlog_proof_verify(proof, clo_buf_span(&leaf), policy, &out->checkpoint, NULL, NULL));
    CLO_TRY(clo_wire_tlog_proof_parse(proof, &index, path, &path_count, &note));
    CLO_TRY(clo_wire_merkle_leaf(clo_buf_span(&leaf), &hash));
    return clo_wire_merkle_inclusion_parts(&hash, index, out->checkpoint.size, path, path_count, out->parts, &out->count);
}

static clo_err view_open(clo_arena *a, clo_span file, view **out)
{
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(view), &p));
    view *v = p;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_collab_receipt), &p));
    clo_collab_receipt *r = p;
    clo_collab_agreement *g = NULL;
    uint32_t mask = 0;
    CLO_TRY(clo_collab_receipt_decode(a, file, r));
    CLO_TRY(clo_collab_agreement_new(a, &g));
    CLO_TRY(clo_collab_agreement_file_open(a, r->agreement_file, g, &mask));
    /* A dishonest log may come without its witnesses: its own signature convicts it. */
    clo_wire_log_policy policy = {.log = g->log.log};
    v->log = g->log.log;
    CLO_TRY(proof_open(CLO_LEAF_AGREEMENT, r->agreement_file, r->agreement_proof, &policy, &v->proofs[0]));
    CLO_TRY(proof_open(CLO_LEAF_STATEMENT, r->statement, r->proof, &policy, &v->proofs[1]));
    *out = v;
    return CLO_OK;
}

/* Equal parts must have equal hashes; a part that is the whole smaller tree settles all of it. */
static void compare(const shown *x, const shown *y, clo_collab_receipt_comparison *out)
{
    uint64_t smaller = x->checkpoint.size < y->checkpoint.size ? x->checkpoint.size : y->checkpoint.size;
    for (size_t i = 0; i < x->count; i++) {
        for (size_t k = 0; k < y->count; k++) {
            const clo_wire_merkle_part *p = &x->parts[i], *q = &y->parts[k];
            if (p->start != q->start || p->end != q->end) continue;
            if (memcmp(p->hash.b, q->hash.b, sizeof p->hash.b) == 0) {
                out->whole = out->whole || (p->start == 0 && p->end == smaller);
                continue;
            }
            if (!out->contradict)
                (void)snprintf(out->detail, sizeof out->detail,
                               "the log signed two histories: entries %llu to %llu differ between its trees of %llu and %llu entries",
                               (unsigned long long)p->start, (unsigned long long)p->end - 1, (unsigned long long)x->checkpoint.size,
                               (unsigned long long)y->checkpoint.size);
            out->contradict = true;
        }
    }
}

clo_err clo_collab_receipt_compare(clo_arena *a, clo_span one, clo_span two, clo_collab_receipt_comparison *out)
{
    view *x = NULL, *y = NULL;
    CLO_TRY(view_open(a, one, &x));
    CLO_TRY(view_open(a, two, &y));
    clo_collab_receipt_comparison c = {.same_log = strcmp(x->log.name, y->log.name) == 0 && clo_crypto_public_key_equal(&x->log.key, &y->log.key)};
    if (!c.same_log) {
        (void)snprintf(c.detail, sizeof c.detail, "they name different logs, so nothing follows from one for the other");
        *out = c;
        return CLO_OK;
    }
    bool whole = true;
    for (size_t i = 0; i < PROOFS; i++) {
        for (size_t k = 0; k < PROOFS; k++) {
            c.whole = false;
            compare(&x->proofs[i], &y->proofs[k], &c);
            if (i == PROOFS - 1 && k == PROOFS - 1) whole = c.whole; /* the statements' trees are the newest */
        }
    }
    c.whole = whole && !c.contradict;
    if (!c.contradict)
        (void)snprintf(c.detail, sizeof c.detail, "%s", c.whole ? "one history: the larger tree continues the smaller one" :
                       "no contradiction, but the two show too little of the log's tree to compare all of it; a later receipt shows more");
    *out = c;
    return CLO_OK;
}
