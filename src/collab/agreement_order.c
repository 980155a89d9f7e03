/* States of an agreement, and the orders of its parties that change them. */
#include <stdio.h>

#include "base/clo_own.h"
#include "collab/agreement_int.h"

enum { ILLEGAL = CLO_AGREEMENT_STATES };
#define DRAFT CLO_AGREEMENT_DRAFT
#define PROPOSED CLO_AGREEMENT_PROPOSED
#define ACTIVE CLO_AGREEMENT_ACTIVE
#define SUSPENDED CLO_AGREEMENT_SUSPENDED
#define EXPIRED CLO_AGREEMENT_EXPIRED
#define TERMINATED CLO_AGREEMENT_TERMINATED
/* A second stop of a stopped agreement is legal and changes nothing: each party's stop counts for itself until all resume. */
/* clang-format off */
static const uint8_t next_state[CLO_AGREEMENT_STATES][CLO_ORDERS] = {
    /*               PROPOSE   ALL_SIGNED STOP       ALL_RESUMED EXPIRE   TERMINATE */
    [DRAFT]      = { PROPOSED, ILLEGAL,   ILLEGAL,   ILLEGAL,    EXPIRED, TERMINATED },
    [PROPOSED]   = { ILLEGAL,  ACTIVE,    ILLEGAL,   ILLEGAL,    EXPIRED, TERMINATED },
    [ACTIVE]     = { ILLEGAL,  ILLEGAL,   SUSPENDED, ILLEGAL,    EXPIRED, TERMINATED },
    [SUSPENDED]  = { ILLEGAL,  ILLEGAL,   SUSPENDED, ACTIVE,     EXPIRED, TERMINATED },
    [EXPIRED]    = { ILLEGAL,  ILLEGAL,   ILLEGAL,   ILLEGAL,    ILLEGAL, ILLEGAL },
    [TERMINATED] = { ILLEGAL,  ILLEGAL,   ILLEGAL,   ILLEGAL,    ILLEGAL, ILLEGAL },
};
/* clang-format on */

const char *clo_collab_agreement_state_name(clo_collab_agreement_state s)
{
    static const char *const names[CLO_AGREEMENT_STATES] = {"draft", "proposed", "active", "suspended", "expired", "terminated"};
    return (unsigned)s < CLO_AGREEMENT_STATES ? names[s] : "unknown";
}

clo_err clo_collab_agreement_step(clo_collab_agreement_state *s, clo_collab_agreement_order order)
{
    static const char *const names[CLO_ORDERS] = {"be proposed", "become active", "be stopped",
                                                  "be resumed",  "expire",        "be terminated"};
    CLO_CHECK((unsigned)*s < CLO_AGREEMENT_STATES && (unsigned)order < CLO_ORDERS, CLO_E_BUG);
    uint8_t next = next_state[*s][order];
    CLO_CHECKF(next != ILLEGAL, CLO_E_CONFLICT, "the agreement is %s and cannot %s", clo_collab_agreement_state_name(*s),
               names[order]);
    *s = (clo_collab_agreement_state)next;
    return CLO_OK;
}

static bool verb_valid(const char *verb)
{
    return strcmp(verb, "stop") == 0 || strcmp(verb, "resume") == 0 || strcmp(verb, "terminate") == 0;
}

static clo_err order_tree(clo_arena *a, const clo_collab_order *o, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_collab_map_new(a, CLO_FORMAT_ORDER, &map));
    CLO_TRY(clo_collab_set_fixed(a, map, "agreement", o->agreement, sizeof o->agreement));
    CLO_TRY(clo_wire_set_text(a, map, "verb", o->verb));
    CLO_TRY(clo_wire_set_text(a, map, "party", o->party));
    CLO_TRY(clo_wire_set_int(a, map, "time", o->time));
    CLO_TRY(clo_wire_set_int(a, map, "sequence", o->sequence));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_order_make(const clo_collab_identity *who, const clo_collab_order *order, clo_buf *out)
{
    CLO_CHECKF(verb_valid(order->verb), CLO_E_USAGE, "an order is stop, resume or terminate");
    CLO_CHECKF(strcmp(order->party, who->public_half.name) == 0, CLO_E_DENIED, "the order is of %s, but %s signs", order->party,
               who->public_half.name);
    CLO_CHECKF(order->time >= 0 && order->sequence >= 0, CLO_E_RANGE, "the order's time and sequence must not be negative");
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    clo_wire_node *map = NULL;
    CLO_TRY(order_tree(&a, order, &map));
    return clo_collab_map_sign(map, &who->sign, CLO_TYPE_ORDER, out);
}

clo_err clo_collab_order_open(clo_arena *a, clo_span in, const clo_collab_agreement *g, clo_collab_order *out)
{
    clo_wire_cose *cose = NULL;
    clo_wire_node *map = NULL, *again = NULL;
    CLO_TRY(clo_collab_map_open(a, in, CLO_TYPE_ORDER, "the order", &cose, &map));
    clo_collab_order o;
    memset(&o, 0, sizeof o);
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "order");
    clo_collab_take_format(&f, CLO_FORMAT_ORDER);
    clo_wire_take_fixed(&f, "agreement", o.agreement, sizeof o.agreement);
    clo_wire_take_str(&f, "verb", o.verb, sizeof o.verb);
    clo_wire_take_name(&f, "party", o.party);
    clo_wire_take_int(&f, "time", &o.time, 0, INT64_MAX);
    clo_wire_take_int(&f, "sequence", &o.sequence, 0, INT64_MAX);
    if (!verb_valid(o.verb)) clo_wire_fields_fail(&f, CLO_E_UNSUPPORTED, "verb", "must be stop, resume or terminate");
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(order_tree(a, &o, &again));
    CLO_TRY(clo_collab_require_canonical(again, cose->payload, "the order"));
    char source[64];
    (void)snprintf(source, sizeof source, "agreement %s parties", clo_collab_short(g->id).text);
    const clo_collab_member *m = clo_collab_agreement_member(g, o.party);
    if (m == NULL)
        return CLO_DENY(CLO_E_DENIED, "order.party", "a party of the agreement", o.party, source,
                        "only its parties can stop or resume it");
    if (memcmp(o.agreement, g->id, sizeof o.agreement) != 0)
        return CLO_DENY(CLO_E_DENIED, "order.agreement", clo_collab_short(g->id).text, clo_collab_short(o.agreement).text, source,
                        "make the order for this agreement");
    CLO_TRY(clo_collab_map_verify(cose, &m->party.sign, "the order"));
    *out = o;
    return CLO_OK;
}
