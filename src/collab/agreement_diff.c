/* Semantic difference of two agreements: a walk over their canonical trees, each member judged by one line of one table.
 * A member without a line of its own, and any change that the walk does not understand, counts as widening. */
#include <stdio.h>

#include "attest/policy_diff.h"
#include "base/clo_own.h"
#include "collab/agreement_int.h"
#include "wire/cbor.h"

typedef enum {
    RULE_ANY,        /* every change widens */
    RULE_NEVER,      /* no change widens */
    RULE_UP,         /* more widens */
    RULE_DOWN,       /* less widens */
    RULE_UP_OR_GONE, /* more widens, and so does leaving the limit out */
    RULE_DOWN_OR_GONE,
    RULE_RHO_UP,     /* as RULE_UP, for exact amounts */
    RULE_ADD,        /* list: a new element widens, a lost one narrows; left out = empty */
    RULE_BOTH,       /* list: either widens */
    RULE_LIMIT_LIST, /* list that limits only where it is there: new elements and its absence widen */
    RULE_FLOORS,     /* map of floors: leaving it out widens, giving it narrows */
    RULE_ITEMS,      /* list of named maps: a new one widens, a lost one narrows, a changed one is walked */
    RULE_MEMBERS,    /* list of named maps: a new one and a lost one widen */
    RULE_WALK,       /* map: walk it */
    RULE_POLICY,     /* appraisal policy: what it admits widens */
} rule;

typedef struct {
    const char *pattern; /* [] stands for any element */
    rule rule;
    const char *means; /* what the member is, for the sentence */
} line;

static const line lines[] = {
    {"title", RULE_NEVER, "the title"},
    {"epoch", RULE_NEVER, "the epoch"},
    {"prev", RULE_NEVER, "the amended agreement"},
    {"lineage", RULE_NEVER,
     "the first agreement of the chain"}, /* compared by its value below: the first one does not write it down */
    {"not_after", RULE_UP, "the end of the agreement"},
    {"allow_simulated", RULE_UP, "accepting the software TEE, which gives no protection from the operator,"},
    {"lease_seconds", RULE_UP, "how long a released key may be used without renewal (seconds)"},
    {"reattest_seconds", RULE_UP, "the time between two attestations of a running runtime (seconds)"},
    {"suites", RULE_WALK, ""},
    {"governance", RULE_WALK, ""},
    {"telemetry", RULE_ADD, "what the operator may observe"},
    {"operator", RULE_WALK, ""},
    {"operator.name", RULE_ANY, "the operator"},
    {"operator.url", RULE_ANY, "the operator's address"},
    {"operator.spki", RULE_ANY, "the operator's TLS key"},
    {"log", RULE_WALK, ""},
    {"log.vkey", RULE_ANY, "the transparency log"},
    {"log.witnesses", RULE_BOTH, "who may witness the log"},
    {"log.quorum", RULE_DOWN, "how many witnesses must have seen the log"},
    {"parties", RULE_MEMBERS, "who takes part, signs and can stop it"},
    {"parties[].role", RULE_ANY, "the role of the party"},
    {"parties[].sign_key", RULE_ANY, "the party's signing key"},
    {"parties[].hpke_key", RULE_ANY, "the key to which the party's results are sealed"},
    {"parties[].key_service", RULE_WALK, ""},
    {"parties[].key_service.url", RULE_ANY, "the address of the party's key service"},
    {"parties[].key_service.spki", RULE_ANY, "the TLS key of the party's key service"},
    {"parties[].key_service.hpke_key", RULE_ANY, "the sealing key of the party's key service"},
    {"datasets", RULE_ITEMS, "data that may be used"},
    {"datasets[].owner", RULE_ANY, "the owner of the data"},
    {"datasets[].schema", RULE_ANY, "the columns of the data"},
    {"datasets[].budget", RULE_WALK, ""},
    {"datasets[].budget.rho", RULE_RHO_UP, "the lifetime privacy budget (rho)"},
    {"datasets[].budget.delta", RULE_UP, "the delta at which epsilon is shown"},
    {"programs", RULE_ITEMS, "what may be computed"},
    {"programs[].kind", RULE_ANY, "the kind of the program"},
    {"programs[].sql", RULE_ANY, "the program's text"},
    {"programs[].parameters", RULE_ADD, "what a starter may set"},
    {"programs[].noise", RULE_ANY, "the noise"},
    {"programs[].target", RULE_ANY, "the column that is learned"},
    {"programs[].steps", RULE_ANY, "the steps of the training"},
    {"runtimes", RULE_ITEMS, "runtimes that are trusted"},
    {"runtimes[].measurements", RULE_ADD, "programs that are trusted with the data"},
    {"runtimes[].roots", RULE_LIMIT_LIST, "roots that may vouch for the runtime"},
    {"runtimes[].chips", RULE_LIMIT_LIST, "processors that may be used"},
    {"runtimes[].may_lack", RULE_ADD, "layers of the sandbox that the runtime may lack"},
    {"runtimes[].appraisal", RULE_POLICY, "what the runtime's evidence must show"},
    {"runtimes[].min_tcb", RULE_FLOORS, "the floor of the firmware versions"},
    {"runtimes[].min_tcb.bl", RULE_DOWN, "the oldest boot loader"},
    {"runtimes[].min_tcb.tee", RULE_DOWN, "the oldest TEE firmware"},
    {"runtimes[].min_tcb.snp", RULE_DOWN, "the oldest SNP firmware"},
    {"runtimes[].min_tcb.ucode", RULE_DOWN, "the oldest microcode"},
    {"runtimes[].min_tcb.fmc", RULE_DOWN, "the oldest FMC firmware"},
    {"runs", RULE_ITEMS, "computations that may be started"},
    {"runs[].program", RULE_ANY, "the program that runs"},
    {"runs[].datasets", RULE_BOTH, "data that is used (and whose owners must release the result)"},
    {"runs[].starters", RULE_ADD, "who may start it"},
    {"runs[].recipients", RULE_ADD, "who receives the result"},
    {"runs[].price", RULE_RHO_UP, "what one run may reveal (rho, taken from each dataset's budget)"},
    {"runs[].count_max", RULE_UP, "how often it may run"},
    {"runs[].min_rows", RULE_DOWN, "the fewest rows behind a published value"},
    {"runs[].not_before", RULE_DOWN_OR_GONE, "the begin of the window"},
    {"runs[].not_after", RULE_UP_OR_GONE, "the end of the window"},
};

typedef struct {
    clo_arena *arena;
    clo_collab_change *changes;
    size_t count;
} report;

/* Where the walk is: the path for people, the pattern for the table. */
typedef struct {
    char path[160];
    char pattern[96];
} spot;

static const line unknown_line = {"", RULE_ANY, "this member"};
static const line *line_of(const spot *at)
{
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (strcmp(lines[i].pattern, at->pattern) == 0) return &lines[i];
    return &unknown_line;
}

static spot spot_member(const spot *at, const char *key)
{
    spot s = *at;
    size_t path = strlen(s.path), pattern = strlen(s.pattern);
    (void)snprintf(s.path + path, sizeof s.path - path, "%s%.60s", path != 0 ? "." : "", key);
    (void)snprintf(s.pattern + pattern, sizeof s.pattern - pattern, "%s%.40s", pattern != 0 ? "." : "", key);
    return s;
}

static spot spot_element(const spot *at, const char *name)
{
    spot s = *at;
    size_t path = strlen(s.path), pattern = strlen(s.pattern);
    (void)snprintf(s.path + path, sizeof s.path - path, "[%.63s]", name);
    (void)snprintf(s.pattern + pattern, sizeof s.pattern - pattern, "[]");
    return s;
}

static clo_err add(report *r, bool widens, const spot *at, const char *text)
{
    CLO_CHECKF(r->count < CLO_CHANGES_MAX, CLO_E_TOO_MANY, "the agreements differ in more than %d members; compare them as new",
               CLO_CHANGES_MAX);
    clo_collab_change *c = &r->changes[r->count++];
    c->widens = widens;
    memcpy(c->path, at->path, sizeof c->path);
    (void)snprintf(c->text, sizeof c->text, "%s", text);
    return CLO_OK;
}

typedef struct {
    char text[72];
} shown;

/* A value for a sentence. */
static shown show(const clo_wire_node *n, const char *pattern)
{
    shown s;
    memset(&s, 0, sizeof s);
    size_t pattern_size = strlen(pattern);
    bool is_time = pattern_size >= 4 && (strstr(pattern, "not_after") != NULL || strstr(pattern, "not_before") != NULL);
    if (n == NULL) {
        (void)snprintf(s.text, sizeof s.text, "nothing");
    } else if (n->type == CLO_WIRE_INT && is_time) {
        clo_time_format(s.text, n->integer);
    } else if (n->type == CLO_WIRE_INT) {
        (void)snprintf(s.text, sizeof s.text, "%lld", (long long)n->integer);
    } else if (n->type == CLO_WIRE_FLOAT) {
        (void)snprintf(s.text, sizeof s.text, "%g", n->number);
    } else if (n->type == CLO_WIRE_BOOL) {
        (void)snprintf(s.text, sizeof s.text, "%s", n->boolean ? "true" : "false");
    } else if (n->type == CLO_WIRE_BYTES && n->text.n >= 4) {
        (void)snprintf(s.text, sizeof s.text, "%s", clo_collab_short(n->text.p).text);
    } else if (n->type == CLO_WIRE_TEXT && n->text.n <= 60) {
        (void)snprintf(s.text, sizeof s.text, "%s", (const char *)n->text.p);
    } else if (n->type == CLO_WIRE_TEXT) {
        (void)snprintf(s.text, sizeof s.text, "a text of %zu bytes", n->text.n);
    } else {
        (void)snprintf(s.text, sizeof s.text, "other content");
    }
    return s;
}

static clo_err nodes_equal(const clo_wire_node *x, const clo_wire_node *y, bool *equal)
{
    CLO_AUTO(clo_buf_free) clo_buf bx;
    CLO_AUTO(clo_buf_free) clo_buf by;
    clo_buf_init(&bx, CLO_AGREEMENT_MAX);
    clo_buf_init(&by, CLO_AGREEMENT_MAX);
    CLO_TRY(clo_wire_cbor_encode(x, &bx));
    CLO_TRY(clo_wire_cbor_encode(y, &by));
    *equal = clo_span_equal(clo_buf_span(&bx), clo_buf_span(&by));
    return CLO_OK;
}

static int compare_numbers(const clo_wire_node *x, const clo_wire_node *y)
{
    if (x->type == CLO_WIRE_BOOL) return (int)x->boolean - (int)y->boolean;
    if (x->type == CLO_WIRE_FLOAT) return (x->number > y->number) - (x->number < y->number);
    return (x->integer > y->integer) - (x->integer < y->integer);
}

/* Does the change from x to y widen? Both may be NULL (left out), not both. Anything unexpected does. */
static bool scalar_widens(rule how, const clo_wire_node *x, const clo_wire_node *y)
{
    if (how == RULE_NEVER) return false;
    if (how == RULE_UP_OR_GONE || how == RULE_DOWN_OR_GONE) {
        if (x == NULL) return false;
        if (y == NULL) return true;
        how = how == RULE_UP_OR_GONE ? RULE_UP : RULE_DOWN;
    }
    if (x == NULL || y == NULL || x->type != y->type) return true;
    if (how == RULE_RHO_UP) {
        clo_dp_rational old, now;
        if (clo_failed(clo_dp_rational_parse(x->text, &old)) || clo_failed(clo_dp_rational_parse(y->text, &now))) return true;
        return clo_dp_rational_compare(now, old) > 0;
    }
    bool is_number = x->type == CLO_WIRE_INT || x->type == CLO_WIRE_FLOAT || x->type == CLO_WIRE_BOOL;
    if (is_number && how == RULE_UP) return compare_numbers(y, x) > 0;
    if (is_number && how == RULE_DOWN) return compare_numbers(y, x) < 0;
    return true;
}

static clo_err scalar_changed(report *r, const spot *at, const line *l, const clo_wire_node *x, const clo_wire_node *y)
{
    char text[240];
    (void)snprintf(text, sizeof text, "%.100s changes from %.60s to %.60s", l->means, show(x, at->pattern).text,
                   show(y, at->pattern).text);
    return add(r, scalar_widens(l->rule, x, y), at, text);
}

static clo_err element_changed(report *r, const spot *at, const line *l, const clo_wire_node *n, const char *name, bool is_new,
                               bool widens)
{
    char text[240];
    shown s = show(n, "");
    (void)snprintf(text, sizeof text, "%.100s: %.63s is %s", l->means, name != NULL ? name : s.text,
                   is_new ? "new" : "no longer there");
    return add(r, widens, at, text);
}

static bool lost_widens(rule how) { return how != RULE_ADD && how != RULE_ITEMS && how != RULE_LIMIT_LIST; }

static clo_err has_equal(const clo_wire_node *list, const clo_wire_node *wanted, bool *found)
{
    *found = false;
    for (const clo_wire_node *n = list->first; n != NULL && !*found; n = n->next) CLO_TRY(nodes_equal(n, wanted, found));
    return CLO_OK;
}

/* Lists of scalars, as sets. */
static clo_err set_changed(report *r, const spot *at, const line *l, const clo_wire_node *x, const clo_wire_node *y)
{
    size_t before = r->count;
    bool found = false;
    for (const clo_wire_node *n = y->first; n != NULL; n = n->next) {
        CLO_TRY(has_equal(x, n, &found));
        if (!found) CLO_TRY(element_changed(r, at, l, n, NULL, true, true));
    }
    for (const clo_wire_node *n = x->first; n != NULL; n = n->next) {
        CLO_TRY(has_equal(y, n, &found));
        if (!found) CLO_TRY(element_changed(r, at, l, n, NULL, false, lost_widens(l->rule)));
    }
    if (r->count != before) return CLO_OK;
    return add(r, false, at, "the same elements stand in another order");
}

/* The name under which an element of a list of maps is known; runtimes go by their TEE and its ordinal. */
static clo_err element_name(const clo_wire_node *list, const clo_wire_node *element, char to[80])
{
    const clo_wire_node *name = clo_wire_get(element, "name");
    if (name != NULL && name->type == CLO_WIRE_TEXT) {
        (void)snprintf(to, 80, "%.63s", (const char *)name->text.p);
        return CLO_OK;
    }
    const clo_wire_node *tee = clo_wire_get(element, "tee");
    CLO_CHECK(tee != NULL && tee->type == CLO_WIRE_TEXT, CLO_E_BUG);
    unsigned ordinal = 1;
    for (const clo_wire_node *n = list->first; n != NULL && n != element; n = n->next) {
        const clo_wire_node *other = clo_wire_get(n, "tee");
        if (other != NULL && clo_span_equal(other->text, tee->text)) ordinal++;
    }
    if (ordinal == 1)
        (void)snprintf(to, 80, "%.40s", (const char *)tee->text.p);
    else
        (void)snprintf(to, 80, "%.40s#%u", (const char *)tee->text.p, ordinal);
    return CLO_OK;
}

static clo_err element_find(const clo_wire_node *list, const char *name, const clo_wire_node **out)
{
    *out = NULL;
    for (const clo_wire_node *n = list->first; n != NULL && *out == NULL; n = n->next) {
        char other[80];
        CLO_TRY(element_name(list, n, other));
        if (strcmp(other, name) == 0) *out = n;
    }
    return CLO_OK;
}

static clo_err walk_map(report *r, const spot *at, const clo_wire_node *x, const clo_wire_node *y);

static clo_err items_changed(report *r, const spot *at, const line *l, const clo_wire_node *x, const clo_wire_node *y)
{
    size_t before = r->count;
    char name[80];
    const clo_wire_node *other = NULL;
    for (const clo_wire_node *n = y->first; n != NULL; n = n->next) {
        CLO_TRY(element_name(y, n, name));
        spot s = spot_element(at, name);
        CLO_TRY(element_find(x, name, &other));
        if (other != NULL)
            CLO_TRY(walk_map(r, &s, other, n));
        else
            CLO_TRY(element_changed(r, &s, l, n, name, true, true));
    }
    for (const clo_wire_node *n = x->first; n != NULL; n = n->next) {
        CLO_TRY(element_name(x, n, name));
        spot s = spot_element(at, name);
        CLO_TRY(element_find(y, name, &other));
        if (other == NULL) CLO_TRY(element_changed(r, &s, l, n, name, false, l->rule == RULE_MEMBERS));
    }
    if (r->count != before) return CLO_OK;
    return add(r, false, at, "the same elements stand in another order");
}

/* Appraisal policies, member by member; one that cannot be read widens. */
static clo_err policy_changed(report *r, const spot *at, const clo_wire_node *x, const clo_wire_node *y)
{
    static const clo_wire_node empty = {.type = CLO_WIRE_MAP};
    void *memory = NULL;
    clo_attest_policy_change *changes = NULL;
    size_t count = 0;
    CLO_TRY(clo_arena_array(r->arena, 2, sizeof(clo_attest_policy), &memory));
    clo_attest_policy *policies = memory;
    if (clo_failed(clo_attest_policy_read(r->arena, x != NULL ? x : &empty, &policies[0])) ||
        clo_failed(clo_attest_policy_read(r->arena, y != NULL ? y : &empty, &policies[1])))
        return add(r, true, at, "what the runtime's evidence must show is changed, and one of the two policies cannot be read");
    CLO_TRY(clo_attest_policy_diff(r->arena, &policies[0], &policies[1], &changes, &count));
    if (count == 0) return add(r, false, at, "the same policy is written in another way");
    for (size_t i = 0; i < count; i++) {
        char text[240];
        spot s = spot_member(at, changes[i].member);
        (void)snprintf(text, sizeof text, "%s now: %.200s", changes[i].admits ? "evidence admitted" : "evidence refused", changes[i].text);
        CLO_TRY(add(r, changes[i].admits, &s, text));
    }
    return CLO_OK;
}

/* One member; x or y is NULL where it is left out. */
static const clo_wire_node empty_list = {.type = CLO_WIRE_ARRAY};
static clo_err walk_member(report *r, const spot *at, const clo_wire_node *x, const clo_wire_node *y)
{
    if (x != NULL && y != NULL) {
        bool equal = false;
        CLO_TRY(nodes_equal(x, y, &equal));
        if (equal) return CLO_OK;
    }
    const line *l = line_of(at);
    bool maps = x != NULL && y != NULL && x->type == CLO_WIRE_MAP && y->type == CLO_WIRE_MAP;
    bool lists = x != NULL && y != NULL && x->type == CLO_WIRE_ARRAY && y->type == CLO_WIRE_ARRAY;
    char text[200];
    switch (l->rule) {
    case RULE_WALK:
        if (maps) return walk_map(r, at, x, y);
        break;
    case RULE_POLICY:
        return policy_changed(r, at, x, y);
    case RULE_FLOORS:
        if (maps) return walk_map(r, at, x, y);
        return add(r, y == NULL, at,
                   y == NULL ? "the floor of the firmware versions is gone" : "there is now a floor of the firmware versions");
    case RULE_ITEMS:
    case RULE_MEMBERS:
        if (lists) return items_changed(r, at, l, x, y);
        break;
    case RULE_LIMIT_LIST:
        if (lists) return set_changed(r, at, l, x, y);
        (void)snprintf(text, sizeof text, "%.100s: %s", l->means,
                       y == NULL ? "the limit to listed ones is gone" : "only listed ones are accepted now");
        return add(r, y == NULL, at, text);
    case RULE_ADD:
        if (x == NULL && y->type == CLO_WIRE_ARRAY) return set_changed(r, at, l, &empty_list, y);
        if (y == NULL && x->type == CLO_WIRE_ARRAY) return set_changed(r, at, l, x, &empty_list);
        if (lists) return set_changed(r, at, l, x, y);
        break;
    case RULE_BOTH:
        if (lists) return set_changed(r, at, l, x, y);
        break;
    case RULE_ANY:
    case RULE_NEVER:
    case RULE_UP:
    case RULE_DOWN:
    case RULE_UP_OR_GONE:
    case RULE_DOWN_OR_GONE:
    case RULE_RHO_UP:
        return scalar_changed(r, at, l, x, y);
    }
    (void)snprintf(text, sizeof text, "%.120s is %s", at->path, x == NULL ? "new" : y == NULL ? "gone" : "different");
    return add(r, true, at, text);
}

static clo_err walk_map(report *r, const spot *at, const clo_wire_node *x, const clo_wire_node *y)
{
    for (const clo_wire_node *n = y->first; n != NULL; n = n->next) {
        const char *key = (const char *)n->key->text.p;
        spot s = spot_member(at, key);
        CLO_TRY(walk_member(r, &s, clo_wire_get(x, key), n));
    }
    for (const clo_wire_node *n = x->first; n != NULL; n = n->next) {
        const char *key = (const char *)n->key->text.p;
        if (clo_wire_get(y, key) != NULL) continue;
        spot s = spot_member(at, key);
        CLO_TRY(walk_member(r, &s, n, NULL));
    }
    return CLO_OK;
}

clo_err clo_collab_agreement_diff(clo_arena *a, const clo_collab_agreement *old, const clo_collab_agreement *next,
                                  clo_collab_change **changes, size_t *count)
{
    clo_wire_node *x = NULL, *y = NULL;
    CLO_TRY(clo_collab_agreement_tree(a, old, &x));
    CLO_TRY(clo_collab_agreement_tree(a, next, &y));
    void *p = NULL;
    CLO_TRY(clo_arena_array(a, CLO_CHANGES_MAX, sizeof(clo_collab_change), &p));
    report r = {.arena = a, .changes = p};
    spot top;
    memset(&top, 0, sizeof top);
    CLO_TRY(walk_map(&r, &top, x, y));
    bool drafts = old->epoch == 1 && next->epoch == 1; /* two first versions side by side: each is its own chain */
    if (!drafts && memcmp(old->lineage, next->lineage, sizeof old->lineage) != 0)
        CLO_TRY(add(&r, true, &top, "they are of different chains of amendments: nothing ties one to the other"));
    bool equal = false;
    CLO_TRY(nodes_equal(x, y, &equal));
    if (!equal && r.count == 0) CLO_TRY(add(&r, true, &top, "the agreements differ in a way that this program cannot name"));
    *changes = r.changes;
    *count = r.count;
    return CLO_OK;
}
