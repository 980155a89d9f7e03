/* Proves that what the parties sign has one meaning (T15): no member of an agreement can be of another type, spelt twice or otherwise and still be read; YAML, JSON
 * and canonical form of one text are one agreement; run requests are judged as by a second reader written from the documentation alone, and whatever is denied
 * names its rule. And that no signed object passes as one of another kind (CVE-2023-36811). */
#include "collab_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clo_own.h"
#include "wire/cbor.h"
#include "wire/json.h"

static fixture f;
static clo_collab_agreement *g;

static int setup(void **state)
{
    (void)state;
    fixture_open(&f, NULL);
    g = fixture_agreement(&f);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

/* ---- every node, every confusion ---- */

enum { CONFUSIONS = 12 };
/* Change the node into something near; false where the confusion does not apply. */
static bool confuse(clo_wire_node *n, unsigned how)
{
    clo_wire_type was = n->type;
    static char digits[32];
    switch (how) {
    case 0: n->type = CLO_WIRE_NULL; break;
    case 1: n->type = CLO_WIRE_BOOL; n->boolean = n->integer != 0 || !n->boolean; break;
    case 2:
        if (was != CLO_WIRE_INT) return false;
        n->type = CLO_WIRE_FLOAT;
        n->number = (double)n->integer + 0.5;
        return true;
    case 3:
        if (was != CLO_WIRE_INT) return false;
        (void)snprintf(digits, sizeof digits, "%lld", (long long)n->integer);
        n->type = CLO_WIRE_TEXT;
        n->text = clo_span_str(digits);
        return true;
    case 4:
        if (was != CLO_WIRE_TEXT) return false;
        n->type = CLO_WIRE_BYTES;
        return true;
    case 5:
        if (was != CLO_WIRE_BYTES) return false;
        n->type = CLO_WIRE_TEXT;
        n->text = clo_span_str("00");
        return true;
    case 6:
        if (was != CLO_WIRE_TEXT || n->text.n == 0) return false;
        n->text = clo_span_of(n->text.p, n->text.n - 1);
        return strcmp((const char *)n->text.p, "") != 0;
    case 7: n->type = CLO_WIRE_ARRAY; n->first = n->last = NULL; n->count = 0; return was != CLO_WIRE_ARRAY || n->count != 0;
    case 8: n->type = CLO_WIRE_MAP; n->first = n->last = NULL; n->count = 0; break;
    case 9: n->type = CLO_WIRE_INT; n->integer = -1; return true;
    case 10: n->type = CLO_WIRE_INT; n->integer = INT64_MAX; return true;
    case 11: n->type = CLO_WIRE_TEXT; n->text = clo_span_str(""); break;
    default: return false;
    }
    return n->type != was;
}

static size_t tried, read_again;
static void try_node(const clo_wire_node *root, clo_wire_node *n, unsigned how)
{
    const clo_wire_node kept = *n;
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, CLO_AGREEMENT_MAX);
    if (confuse(n, how) && !clo_failed(clo_wire_cbor_encode(root, &bytes)) && !clo_span_equal(clo_buf_span(&bytes), g->cbor)) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        clo_arena_init(&a, 32 << 20);
        clo_collab_agreement *other = NULL;
        assert_ok(clo_collab_agreement_new(&a, &other));
        clo_err e = clo_collab_agreement_decode(&a, clo_buf_span(&bytes), other);
        tried++;
        if (clo_failed(e)) {
            assert_true(clo_err_class(e) == CLO_CLASS_INPUT || clo_err_class(e) == CLO_CLASS_DENIED || clo_err_class(e) == CLO_CLASS_LIMIT);
            assert_true(strlen(clo_err_text()) > 8); /* a sentence that names the rule */
        } else {
            /* A value of the right type may be another agreement: then it is another one, and its bytes are all its meaning. */
            assert_memory_not_equal(other->id, g->id, 32);
            assert_true(clo_span_equal(other->cbor, clo_buf_span(&bytes)));
            assert_true(n->type == kept.type);
            read_again++;
        }
    }
    *n = kept;
}

static void walk(const clo_wire_node *root, clo_wire_node *n)
{
    for (unsigned how = 0; how < CONFUSIONS; how++) try_node(root, n, how);
    if (n->type != CLO_WIRE_MAP && n->type != CLO_WIRE_ARRAY) return;
    for (clo_wire_node *c = n->first; c != NULL; c = c->next) walk(root, c);
}

static void T15_no_member_is_read_as_another_type(void **state)
{
    (void)state;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 32 << 20);
    clo_wire_node *root = NULL;
    assert_ok(clo_wire_cbor_decode(&a, g->cbor, NULL, &root));
    walk(root, root);
    print_message("# %zu confusions, %zu of them another well-typed agreement\n", tried, read_again);
    assert_true(tried > 1000 && read_again < tried / 10);
}

/* ---- spellings ---- */

static void T15_one_text_one_meaning(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf json;
    clo_buf_init(&json, 1 << 20);
    clo_wire_node *tree = NULL, *again = NULL;
    clo_collab_agreement *other = NULL;
    assert_ok(clo_collab_agreement_tree(&f.arena, g, &tree));
    assert_ok(clo_wire_json_encode(tree, 2, &json));
    assert_ok(clo_wire_json_decode(&f.arena, clo_buf_span(&json), &again));
    assert_ok(clo_collab_agreement_new(&f.arena, &other));
    assert_ok(clo_collab_agreement_read(&f.arena, again, other));
    assert_memory_equal(other->id, g->id, 32);
    assert_ok(clo_wire_yaml_decode(&f.arena, clo_buf_span(&json), &again)); /* JSON is YAML */
    assert_ok(clo_collab_agreement_new(&f.arena, &other));
    assert_ok(clo_collab_agreement_read(&f.arena, again, other));
    assert_memory_equal(other->id, g->id, 32);
    static const struct {
        const char *from, *to;
    } same[] = {{"epoch: 1", "epoch: 0x1"}, {"epoch: 1", "epoch: +1"}, {"epoch: 1", "epoch: 1.0"}, {"epoch: 1", "epoch: 01"}, {"epoch: 1", "epoch: 1_0"}, {"epoch: 1", "epoch: 1e0"},
                {"lease_seconds: 300", "lease_seconds: 5:00"}, {"allow_simulated: true", "allow_simulated: True"}, {"allow_simulated: true", "allow_simulated: on"},
                {"allow_simulated: true", "allow_simulated: 1"}, {"name: hospital-a", "name: hospital\xe2\x80\x91" "a"}, {"name: hospital-a", "name: h\xd0\xbespital-a"},
                {"name: hospital-a", "name: HOSPITAL-A"}, {"starters: [analyst]", "starters: [Analyst]"}, {"starters: [analyst]", "starters: analyst"},
                {"starters: [analyst]", "starters: [\" analyst\"]"}, {"title: ", "Title: "}, {"title: ", "t\xc4\xb1tle: "}, {"price: \"0.01\"", "price: \"0.010\\0\""},
                {"epoch: 1", "<<: {epoch: 1}"}, {"epoch: 1", "epoch: !!int 1"}, {"epoch: 1", "epoch: &e 1"}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        clo_err e = fixture_read(&f, fixture_with(&f, same[i].from, same[i].to), &other);
        if (!clo_failed(e) && memcmp(other->id, g->id, 32) != 0) fail_msg("\"%s\" is read as something else", same[i].to);
        if (clo_failed(e)) assert_true(strlen(clo_err_text()) > 8);
    }
}

/* ---- a second reader ---- */

/* docs/formats.md §7 and §5 alone: whose request for what is allowed. */
static bool allowed(const clo_collab_run_request *r, bool by_starter)
{
    if (memcmp(r->agreement, g->id, 32) != 0 || r->epoch != g->epoch || !by_starter) return false;
    size_t run = 0;
    while (run < g->run_count && strcmp(g->runs[run].name, r->run) != 0) run++;
    if (run == g->run_count) return false;
    const clo_collab_run_terms *t = &g->runs[run];
    bool starter = false, program_takes_floor = strcmp(t->program, "means") == 0;
    for (size_t i = 0; i < t->starter_count; i++) starter = starter || strcmp(t->starters[i], r->starter) == 0;
    if (!starter || r->dataset_count != t->dataset_count) return false;
    for (size_t i = 0; i < t->dataset_count; i++) {
        char name[8] = "rows-";
        name[5] = t->datasets[i][5];
        name[6] = 0;
        if (strcmp(name, t->datasets[i]) != 0 || memcmp(r->datasets[i].id, g->datasets[name[5] - 'a'].id, 32) != 0) return false;
    }
    if (r->rho.num * t->rho.den != t->rho.num * r->rho.den) return false;
    if (program_takes_floor) return r->parameter_count == 1 && strcmp(r->parameters[0].name, "floor") == 0;
    return r->parameter_count == 0;
}

static unsigned random_state = 1;
static unsigned roll(unsigned n)
{
    random_state = random_state * 1103515245u + 12345u;
    return random_state / 65536u % n;
}

static void random_request(clo_collab_run_request *r)
{
    static const char *const names[] = {"analyst", "hospital-a", "hospital-b", "nobody"};
    fixture_request(g, r);
    if (roll(2) == 0) {
        memcpy(r->run, "model", sizeof "model");
        r->parameter_count = 0;
        r->rho = g->runs[1].rho;
    }
    if (roll(12) == 0) r->agreement[roll(32)] ^= 1;
    if (roll(12) == 0) r->epoch++;
    if (roll(12) == 0) memcpy(r->run, "medians", sizeof "medians");
    if (roll(3) == 0) (void)snprintf(r->starter, sizeof r->starter, "%s", names[roll(4)]);
    if (roll(12) == 0) r->dataset_count--;
    if (roll(12) == 0) memcpy(r->datasets[0].id, r->datasets[1].id, 32);
    if (roll(12) == 0) r->rho = (clo_dp_rational){1, 1000};
    if (roll(12) == 0) { /* the same amount, not in lowest terms */
        r->rho.num *= 2;
        r->rho.den *= 2;
    }
    if (roll(12) == 0) r->parameter_count = r->parameter_count == 0 ? 1 : 0;
    if (roll(12) == 0) memcpy(r->parameters[0].name, "ceiling", sizeof "ceiling");
}

static void T15_requests_are_judged_as_by_a_second_reader(void **state)
{
    (void)state;
    enum { REQUESTS = 4000 };
    size_t yes = 0, no = 0;
    for (unsigned i = 0; i < REQUESTS; i++) {
        CLO_AUTO(clo_arena_free) clo_arena a;
        CLO_AUTO(clo_buf_free) clo_buf out;
        clo_arena_init(&a, 4 << 20);
        clo_buf_init(&out, 1 << 16);
        clo_collab_run_request r, back;
        const clo_collab_run_terms *terms = NULL;
        random_request(&r);
        /* Signed by whom it names, or by another. */
        size_t named = strcmp(r.starter, "hospital-a") == 0 ? 0 : strcmp(r.starter, "hospital-b") == 0 ? 1 : 3;
        size_t signer = roll(8) == 0 ? roll(4) : named;
        if (clo_failed(clo_collab_run_request_sign(&r, &f.parties[signer], &out))) continue; /* two datasets alike, a fraction not in lowest terms: not even written */
        clo_err e = clo_collab_run_request_open(&a, clo_buf_span(&out), g, &back, &terms);
        bool wanted = allowed(&r, signer == named);
        if (clo_failed(e) == wanted) fail_msg("request %u: %s, the second reader says %s", i, clo_failed(e) ? clo_err_text() : "allowed", wanted ? "allowed" : "denied");
        if (clo_failed(e)) {
            assert_int_equal(clo_err_class(e), CLO_CLASS_DENIED);
            bool signature = e.code == CLO_E_BAD_SIGNATURE;
            assert_true(signature || (clo_err_denial() != NULL && strncmp(clo_err_denial()->claim, "run.", 4) == 0));
        }
        yes += wanted ? 1 : 0;
        no += wanted ? 0 : 1;
    }
    print_message("# %zu allowed, %zu denied\n", yes, no);
    assert_true(yes > 300 && no > 300);
}

/* ---- kinds ---- */

static clo_crypto_public_key signer;
static clo_arena *kinds_arena;
static clo_err open_party(clo_span in)
{
    clo_collab_party p;
    return clo_collab_party_decode(in, &p);
}
static clo_err open_manifest(clo_span in)
{
    clo_collab_manifest m;
    return clo_collab_manifest_open(kinds_arena, in, NULL, &m);
}
static clo_err open_agreement(clo_span in)
{
    clo_collab_agreement *other = NULL;
    uint32_t mask = 0;
    CLO_TRY(clo_collab_agreement_new(kinds_arena, &other));
    return clo_collab_agreement_file_open(kinds_arena, in, other, &mask);
}
static clo_err open_order(clo_span in)
{
    clo_collab_order o;
    return clo_collab_order_open(kinds_arena, in, g, &o);
}
static clo_err open_request(clo_span in)
{
    clo_collab_run_request r;
    return clo_collab_run_request_peek(kinds_arena, in, &r);
}
static clo_err open_token(clo_span in)
{
    clo_collab_release_token t;
    return clo_collab_release_token_open(kinds_arena, in, &signer, &t);
}
static clo_err open_statement(clo_span in)
{
    clo_collab_statement s;
    return clo_collab_statement_open(kinds_arena, in, NULL, &s);
}
static clo_err open_release_request(clo_span in)
{
    clo_collab_release_request r;
    return clo_collab_release_request_decode(kinds_arena, in, &r);
}
static clo_err open_release_reply(clo_span in)
{
    clo_collab_release_reply r;
    return clo_collab_release_reply_decode(kinds_arena, in, &r);
}
static clo_err open_commit_request(clo_span in)
{
    clo_collab_commit_request r;
    return clo_collab_commit_request_decode(kinds_arena, in, &r);
}
static clo_err open_commit_reply(clo_span in)
{
    clo_collab_commit_reply r;
    return clo_collab_commit_reply_decode(kinds_arena, in, &r);
}
static clo_err open_receipt(clo_span in)
{
    clo_collab_receipt r;
    return clo_collab_receipt_decode(kinds_arena, in, &r);
}
static clo_err open_identity(clo_span in)
{
    clo_collab_identity i;
    return clo_collab_identity_decode(in, &i);
}
static clo_err open_output(clo_span in)
{
    clo_collab_output_head h;
    return clo_collab_output_peek(in, &h);
}
static clo_err open_access_token(clo_span in) { return clo_collab_token_verify(in, &f.parties[0].public_half, "operator", FIXTURE_TIME); }

static void CVE_2023_36811_no_object_passes_as_another(void **state)
{
    (void)state;
    static const struct {
        const char *golden;
        size_t skip; /* of the golden file: a key before it */
        clo_err (*open)(clo_span in);
    } kinds[] = {{"party", 0, open_party},       {"manifest", 0, open_manifest},           {"agreement", 0, open_agreement},         {"order", 0, open_order},
                 {"request", 0, open_request},   {"release_token", 0, open_token},         {"statement", 0, open_statement},         {"release_request", 0, open_release_request},
                 {"release_reply", 0, open_release_reply}, {"commit_request", 0, open_commit_request}, {"commit_reply", 0, open_commit_reply}, {"receipt", 32, open_receipt},
                 {"identity", 0, open_identity}, {"output", 32, open_output},              {"token", 0, open_access_token}};
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    clo_crypto_private_key sk = {.alg = CLO_SIGN_ED25519};
    memset(sk.bytes, 0x33, 32);
    assert_ok(clo_crypto_sign_public_of(&sk, &signer));
    for (size_t i = 0; i < KINDS; i++) {
        clo_span whole = fixture_golden_read(&f, kinds[i].golden), object = clo_span_of(whole.p + kinds[i].skip, whole.n - kinds[i].skip);
        for (size_t k = 0; k < KINDS; k++) {
            CLO_AUTO(clo_arena_free) clo_arena a;
            clo_arena_init(&a, 32 << 20);
            kinds_arena = &a;
            clo_err e = kinds[k].open(object);
            if (clo_failed(e) == (i == k)) fail_msg("%s opened as %s: %s", kinds[i].golden, kinds[k].golden, clo_failed(e) ? clo_err_text() : "accepted");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(T15_no_member_is_read_as_another_type), cmocka_unit_test(T15_one_text_one_meaning),
                                       cmocka_unit_test(T15_requests_are_judged_as_by_a_second_reader), cmocka_unit_test(CVE_2023_36811_no_object_passes_as_another)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
