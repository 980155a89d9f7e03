/* Proves the chains of every type that is not AMD's, with a hierarchy made here under custom_root: a good chain and its list hold; each of a
 * wrong signature, a non-authority, a path that is too long, each window, a root that is not the anchor, not the given or not the pinned one,
 * and a revoked, missing, expired, early, foreign, forged or unreadable list is refused with its own reason; lists come as DER, PEM and hex;
 * grace is for lists alone; the real anchors hold where no custom root is allowed; evidence never brings a root. */
#include "attest/chain.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "cmocka_all.h"

#include <stdlib.h>

enum { NOW = 1800000000, DAY = 86400 };

typedef struct {
    clo_buf pem, der;
    clo_crypto_cert *cert;
} identity;
enum { ROOT, MIDDLE, LEAF, OTHER, IDENTITIES };
static identity all[IDENTITIES];
static clo_attest_result result;
static clo_attest_policy policy;
static clo_attest_part root_part;

static void certify(identity *i, const char *name, const identity *issuer, const clo_crypto_cert_request *like)
{
    clo_crypto_cert_request r = *like;
    r.common_name = name;
    r.serial += (uint64_t)(i - all); /* lists name certificates by number */
    clo_buf_clear(&i->der);
    clo_crypto_cert_free(&i->cert);
    assert_ok(clo_crypto_cert_make(&r, clo_buf_span(&i->pem), issuer == NULL ? NULL : issuer->cert, clo_buf_span(issuer == NULL ? &i->pem : &issuer->pem), &i->der));
    assert_ok(clo_crypto_cert_parse(&i->cert, clo_buf_span(&i->der)));
}

static const clo_crypto_cert_request authority = {.not_before = NOW - 10 * DAY, .not_after = NOW + 10 * DAY, .is_ca = true, .serial = 3};
static const clo_crypto_cert_request end = {.not_before = NOW - DAY, .not_after = NOW + DAY, .serial = 4};

static void make_usual(void)
{
    certify(&all[ROOT], "test root", NULL, &authority);
    certify(&all[MIDDLE], "test authority", &all[ROOT], &authority);
    certify(&all[LEAF], "test leaf", &all[MIDDLE], &end);
    certify(&all[OTHER], "test root", NULL, &authority); /* the same name, another key */
}

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < IDENTITIES; i++) {
        clo_buf_init(&all[i].pem, 8192);
        clo_buf_init(&all[i].der, 8192);
        if (clo_failed(clo_crypto_keypair_make(CLO_KEYPAIR_P256, &all[i].pem))) return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < IDENTITIES; i++) {
        clo_buf_free(&all[i].pem);
        clo_buf_free(&all[i].der);
        clo_crypto_cert_free(&all[i].cert);
    }
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    make_usual();
    clo_attest_policy_init(&policy);
    policy.custom_root = true;
    root_part = (clo_attest_part){"root", clo_buf_span(&all[ROOT].der)};
    return 0;
}

static clo_attest_context context(int64_t now)
{
    clo_attest_result_open(&result, "test");
    return (clo_attest_context){.policy = &policy, .collateral = &root_part, .collateral_count = root_part.bytes.n != 0, .now = now, .out = &result};
}

/* The usual chain, of `count` certificates from the leaf on. */
static void take_chain(clo_attest_chain *chain, size_t count)
{
    static const size_t order[] = {LEAF, MIDDLE, ROOT};
    *chain = (clo_attest_chain){.name = "test"};
    for (size_t i = 0; i < count; i++) assert_ok(clo_attest_chain_take(chain, clo_buf_span(&all[order[i]].der)));
}

static const char *reason_of(clo_attest_anchor anchor, size_t count, int64_t now, bool collateral)
{
    CLO_AUTO(clo_attest_chain_free) clo_attest_chain chain;
    bool ok = false;
    clo_attest_context c = context(now);
    take_chain(&chain, count);
    assert_ok(clo_attest_chain_judge(&c, &chain, anchor, collateral, &ok));
    assert_int_equal(ok, result.reason[0] == '\0');
    return result.reason;
}
static const char *judged(void) { return reason_of(CLO_ATTEST_ANCHOR_INTEL, 3, NOW, false); }

static void test_good(void **state)
{
    (void)state;
    assert_string_equal(judged(), "");
    assert_true(result.check_count >= 3);
    assert_int_equal(result.valid_until, NOW + DAY);
    assert_string_equal(reason_of(CLO_ATTEST_ANCHOR_INTEL, 2, NOW, false), ""); /* the root completes it */
    assert_string_equal(reason_of(CLO_ATTEST_ANCHOR_INTEL, 0, NOW, false), "bad_chain");
    assert_string_equal(reason_of(CLO_ATTEST_ANCHOR_INTEL, 1, NOW, false), "bad_chain");
    clo_crypto_cert_sha256(all[ROOT].cert, policy.roots[0]);
    policy.root_count = 1;
    assert_string_equal(judged(), "");
}

static void test_windows(void **state)
{
    (void)state;
    static const struct {
        int64_t now;
        bool collateral;
        const char *reason;
    } cases[] = {{NOW + DAY, false, ""},
                 {NOW + DAY + 1, false, "expired"},
                 {NOW - DAY, false, ""},
                 {NOW - DAY - 1, false, "not_yet_valid"},
                 {NOW + DAY + 1, true, "collateral_expired"},
                 {NOW - DAY - 1, true, "collateral_not_yet_valid"}};
    policy.collateral_grace_s = CLO_ATTEST_GRACE_MAX; /* never for certificates */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(reason_of(CLO_ATTEST_ANCHOR_INTEL, 3, cases[i].now, cases[i].collateral), cases[i].reason);
    /* Each of the three windows alone. */
    clo_crypto_cert_request ended = authority;
    ended.not_after = NOW - 1;
    certify(&all[MIDDLE], "test authority", &all[ROOT], &ended);
    assert_string_equal(judged(), "expired");
    assert_string_equal(reason_of(CLO_ATTEST_ANCHOR_INTEL, 2, NOW, false), "expired");
    make_usual();
    certify(&all[ROOT], "test root", NULL, &ended);
    root_part.bytes = clo_buf_span(&all[ROOT].der);
    assert_string_equal(judged(), "expired");
    assert_string_equal(reason_of(CLO_ATTEST_ANCHOR_INTEL, 2, NOW, false), "expired"); /* also the root that completes it */
}

static void test_signatures(void **state)
{
    (void)state;
    certify(&all[LEAF], "test leaf", &all[OTHER], &end); /* by another authority */
    assert_string_equal(judged(), "bad_chain");
    make_usual();
    certify(&all[MIDDLE], "test authority", &all[OTHER], &authority); /* the root's name, another key */
    root_part.bytes = clo_buf_span(&all[ROOT].der);
    assert_string_equal(judged(), "bad_chain");
    make_usual();
    root_part.bytes = clo_buf_span(&all[ROOT].der);
    clo_crypto_cert_request no_authority = authority;
    no_authority.is_ca = false;
    certify(&all[MIDDLE], "test authority", &all[ROOT], &no_authority);
    certify(&all[LEAF], "test leaf", &all[MIDDLE], &end);
    assert_string_equal(judged(), "bad_chain");
}

static void test_path_length(void **state)
{
    (void)state;
    clo_crypto_cert_request limited = authority;
    limited.limited = true;
    static const struct {
        unsigned root, middle;
        const char *reason;
    } cases[] = {{1, 0, ""}, {2, 5, ""}, {0, 0, "bad_chain"}, {0, 9, "bad_chain"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        limited.path_length = cases[i].root;
        certify(&all[ROOT], "test root", NULL, &limited);
        root_part.bytes = clo_buf_span(&all[ROOT].der);
        limited.path_length = cases[i].middle;
        certify(&all[MIDDLE], "test authority", &all[ROOT], &limited);
        certify(&all[LEAF], "test leaf", &all[MIDDLE], &end);
        assert_string_equal(judged(), cases[i].reason);
        assert_string_equal(reason_of(CLO_ATTEST_ANCHOR_INTEL, 2, NOW, false), cases[i].reason);
    }
}

static void test_roots(void **state)
{
    (void)state;
    static const clo_attest_anchor anchors[] = {CLO_ATTEST_ANCHOR_INTEL, CLO_ATTEST_ANCHOR_NITRO, CLO_ATTEST_ANCHOR_NVIDIA, CLO_ATTEST_ANCHOR_NVIDIA_RIM, CLO_ATTEST_ANCHOR_GOOGLE};
    for (size_t i = 0; i < sizeof anchors / sizeof anchors[0]; i++) {
        policy.custom_root = true;
        assert_string_equal(reason_of(anchors[i], 3, NOW, false), "");
        policy.custom_root = false; /* a root among the collateral is no anchor */
        assert_string_equal(reason_of(anchors[i], 3, NOW, false), "wrong_root");
        assert_string_equal(reason_of(anchors[i], 2, NOW, false), "wrong_root");
    }
    policy.root_count = 1; /* a pin narrows, it never widens */
    clo_crypto_cert_sha256(all[ROOT].cert, policy.roots[0]);
    assert_string_equal(judged(), "wrong_root");
    policy.custom_root = true;
    assert_string_equal(judged(), "");
    clo_crypto_cert_sha256(all[OTHER].cert, policy.roots[0]);
    assert_string_equal(judged(), "wrong_root");
    policy.root_count = 0;
    root_part.bytes = clo_buf_span(&all[OTHER].der);
    assert_string_equal(judged(), "wrong_root");
    root_part.bytes = clo_span_str("no certificate");
    assert_string_equal(judged(), "wrong_root");
    root_part.bytes = clo_span_of(NULL, 0); /* custom_root without a root: the vendor's */
    assert_string_equal(judged(), "wrong_root");
    /* Evidence that brings a part called root. */
    CLO_AUTO(clo_attest_chain_free) clo_attest_chain chain;
    clo_attest_part brought = {"root", clo_buf_span(&all[ROOT].der)};
    clo_attest_context c = context(NOW);
    bool ok = true;
    c.evidence = &brought;
    c.evidence_count = 1;
    take_chain(&chain, 3);
    assert_ok(clo_attest_chain_judge(&c, &chain, CLO_ATTEST_ANCHOR_INTEL, false, &ok));
    assert_false(ok);
    assert_string_equal(result.reason, "wrong_root");
}

static void make_list(const identity *issuer, int64_t from, int64_t to, const identity *revoked, clo_buf *der)
{
    const clo_crypto_cert *list[1] = {revoked == NULL ? NULL : revoked->cert};
    clo_buf_clear(der);
    assert_ok(clo_crypto_crl_make(issuer->cert, clo_buf_span(&issuer->pem), from, to, list, revoked != NULL, der));
}

static const char *list_reason(size_t count, size_t index, clo_span crl, int64_t now)
{
    CLO_AUTO(clo_attest_chain_free) clo_attest_chain chain;
    bool ok = false;
    clo_attest_context c = context(now);
    take_chain(&chain, count);
    assert_ok(clo_attest_chain_revocation(&c, &chain, index, crl, &ok));
    assert_int_equal(ok, result.reason[0] == '\0');
    return result.reason;
}

static void test_revocation(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf der;
    clo_buf_init(&der, 8192);
    make_list(&all[MIDDLE], NOW - 5, NOW + 5, NULL, &der);
    clo_span list = clo_buf_span(&der);
    assert_string_equal(list_reason(3, 0, list, NOW), "");
    assert_int_equal(result.valid_until, NOW + 5);
    assert_string_equal(list_reason(3, 0, list, NOW + 6), "collateral_expired");
    assert_string_equal(list_reason(3, 0, list, NOW - 6), "collateral_not_yet_valid");
    policy.collateral_grace_s = 10;
    assert_string_equal(list_reason(3, 0, list, NOW), "");
    assert_int_equal(result.valid_until, NOW + 5);
    assert_string_equal(list_reason(3, 0, list, NOW + 15), "");
    assert_int_equal(result.valid_until, NOW + 15);
    assert_string_equal(list_reason(3, 0, list, NOW + 16), "collateral_expired");
    assert_string_equal(list_reason(3, 0, list, NOW - 6), "collateral_not_yet_valid");
    assert_string_equal(list_reason(3, 1, list, NOW), "bad_collateral_signature"); /* the list of another issuer */
    make_list(&all[MIDDLE], NOW - 5, NOW + 5, &all[LEAF], &der);
    assert_string_equal(list_reason(3, 0, clo_buf_span(&der), NOW), "revoked");
    make_list(&all[ROOT], NOW - 5, NOW + 5, &all[MIDDLE], &der);
    assert_string_equal(list_reason(3, 1, clo_buf_span(&der), NOW), "revoked");
    assert_string_equal(list_reason(2, 1, clo_buf_span(&der), NOW), "revoked"); /* the issuer is the root that completes the chain */
    make_list(&all[OTHER], NOW - 5, NOW + 5, NULL, &der);
    assert_string_equal(list_reason(3, 1, clo_buf_span(&der), NOW), "bad_collateral_signature"); /* the root's name, another key */
    assert_string_equal(list_reason(3, 0, clo_span_of(NULL, 0), NOW), "collateral_missing");
    policy.require_crl = false;
    assert_string_equal(list_reason(3, 0, clo_span_of(NULL, 0), NOW), "");
    assert_string_equal(list_reason(3, 0, clo_span_str("no list"), NOW), "bad_collateral_signature");
    assert_string_equal(list_reason(3, 0, clo_span_str("300x"), NOW), "bad_collateral_signature");
}

static void test_list_forms(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf der;
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&der, 8192);
    clo_buf_init(&text, 32768);
    make_list(&all[MIDDLE], NOW - 5, NOW + 5, &all[LEAF], &der);
    assert_ok(clo_buf_put_hex(&text, clo_buf_span(&der)));
    assert_string_equal(list_reason(3, 0, clo_buf_span(&text), NOW), "revoked");
    assert_ok(clo_buf_put(&text, "\n\0", 2));
    assert_string_equal(list_reason(3, 0, clo_buf_span(&text), NOW), "revoked");
    text.p[2] = 'A' + (uint8_t)(text.p[2] == 'A');
    assert_string_not_equal(list_reason(3, 0, clo_buf_span(&text), NOW), "");
    clo_buf_clear(&text);
    assert_ok(clo_buf_put_str(&text, "-----BEGIN X509 CRL-----\n"));
    assert_ok(clo_base64_encode(&text, clo_buf_span(&der)));
    assert_ok(clo_buf_put_str(&text, "\n-----END X509 CRL-----\n"));
    size_t pem = text.len;
    for (size_t i = 25 + 64; i < pem - 24; i += 65) { /* lines of 64 */
        uint8_t *at = NULL;
        assert_ok(clo_buf_reserve(&text, 1, &at));
        memmove(text.p + i + 1, text.p + i, text.len - i);
        text.p[i] = '\n';
        text.len++;
        pem++;
    }
    assert_string_equal(list_reason(3, 0, clo_buf_span(&text), NOW), "revoked");
    for (size_t at = 0; at < der.len; at++) {
        der.p[at] ^= 1;
        assert_string_not_equal(list_reason(3, 0, clo_buf_span(&der), NOW), "");
        der.p[at] ^= 1;
    }
    for (size_t cut = 1; cut < der.len; cut++) assert_string_equal(list_reason(3, 0, clo_span_of(der.p, cut), NOW), "bad_collateral_signature");
}

/* A list that is taken once and looked up for several certificates. */
static void test_shared_list(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf der;
    CLO_AUTO(clo_attest_crl_free) clo_attest_crl list;
    clo_buf_init(&der, 8192);
    make_list(&all[ROOT], NOW - 5, NOW + 5, &all[MIDDLE], &der);
    clo_attest_context c = context(NOW);
    assert_ok(clo_attest_crl_take(&c, "root", all[ROOT].cert, clo_buf_span(&der), &list));
    assert_true(clo_attest_crl_window(&c, &list));
    assert_true(clo_attest_crl_revoked(&c, &list, "root", all[ROOT].cert));
    assert_false(clo_attest_crl_revoked(&c, &list, "middle", all[MIDDLE].cert));
    assert_string_equal(result.reason, "revoked");
    clo_attest_crl_free(&list);
    c = context(NOW);
    assert_ok(clo_attest_crl_take(&c, "root", NULL, clo_buf_span(&der), &list));
    assert_string_equal(result.reason, "bad_collateral_signature");
    assert_false(clo_attest_crl_window(&c, &list));
    assert_false(clo_attest_crl_revoked(&c, &list, "root", all[ROOT].cert));
}

static void test_taking(void **state)
{
    (void)state;
    CLO_AUTO(clo_attest_chain_free) clo_attest_chain chain = {.name = "test"};
    CLO_AUTO(clo_buf_free) clo_buf pem;
    clo_buf_init(&pem, 32768);
    assert_ok(clo_crypto_cert_to_pem(all[LEAF].cert, &pem));
    assert_ok(clo_crypto_cert_to_pem(all[MIDDLE].cert, &pem));
    assert_ok(clo_crypto_cert_to_pem(all[ROOT].cert, &pem));
    assert_ok(clo_buf_put(&pem, "\0\0", 2));
    assert_ok(clo_attest_chain_take(&chain, clo_buf_span(&pem)));
    assert_int_equal(chain.count, 3);
    assert_ok(clo_attest_chain_take(&chain, clo_buf_span(&pem)));
    assert_code(clo_attest_chain_take(&chain, clo_buf_span(&pem)), CLO_E_TOO_MANY);
    assert_int_equal(chain.count, 6);
    assert_true(clo_failed(clo_attest_chain_take(&chain, clo_span_of(NULL, 0))));
    assert_true(clo_failed(clo_attest_chain_take(&chain, clo_span_str("nothing"))));
    assert_true(clo_failed(clo_attest_chain_take(&chain, clo_span_of(pem.p, pem.len - 40))));
    assert_int_equal(chain.count, 6);
}

/* The same bytes in another base64 text, which OpenSSL reads: refused, so that nothing of a chain can change unseen. */
static void test_only_form(void **state)
{
    (void)state;
    size_t tried = 0;
    for (int round = 0; round < 40 && tried < 3; round++) {
        make_usual();
        CLO_AUTO(clo_buf_free) clo_buf pem;
        clo_buf_init(&pem, 1 << 16);
        assert_ok(clo_buf_put_str(&pem, "subject=CN = what some tools write above\n"));
        size_t words = pem.len;
        assert_ok(clo_crypto_cert_to_pem(all[LEAF].cert, &pem));
        CLO_AUTO(clo_attest_chain_free) clo_attest_chain chain = {.name = "test"};
        assert_ok(clo_attest_chain_take(&chain, clo_buf_span(&pem)));
        uint8_t *padding = memchr(pem.p + words, '=', pem.len - words);
        if (padding == NULL || padding[-1] == '/' || padding[-1] == 'z' || padding[-1] == 'Z' || padding[-1] == '9') continue;
        padding[-1]++; /* the next of the alphabet: a spare bit is set */
        clo_crypto_cert *read = NULL;
        size_t count = 0;
        assert_ok(clo_crypto_cert_parse_pem(&read, 1, &count, clo_buf_span(&pem)));
        assert_true(clo_span_equal(clo_crypto_cert_der(read), clo_buf_span(&all[LEAF].der)));
        clo_crypto_cert_free(&read);
        CLO_AUTO(clo_attest_chain_free) clo_attest_chain other = {.name = "test"};
        assert_code(clo_attest_chain_take(&other, clo_buf_span(&pem)), CLO_E_NOT_CANONICAL);
        tried++;
    }
    assert_true(tried > 0);
}

/* Intel's certificates that are parsed once: all of them are there, shared by whoever meets them, and still nobody's anchor by that. */
static void test_common(void **state)
{
    (void)state;
    clo_crypto_cert *const *common = NULL;
    size_t count = clo_attest_intel_known(&common);
    assert_int_equal(count, 5);
    assert_true(clo_crypto_cert_self_issued(common[0]));
    CLO_AUTO(clo_attest_chain_free) clo_attest_chain chain = {.name = "test"};
    CLO_AUTO(clo_buf_free) clo_buf pem;
    clo_buf_init(&pem, 32768);
    for (size_t i = 0; i < count; i++) {
        assert_ok(clo_crypto_cert_signed_by(common[i], common[0])); /* really verified, whatever is known by hash */
        assert_ok(clo_crypto_cert_to_pem(common[i], &pem));
    }
    assert_ok(clo_attest_chain_take(&chain, clo_buf_span(&pem)));
    for (size_t i = 0; i < count; i++) assert_ptr_equal(chain.certs[i], common[i]);
    clo_attest_chain_free(&chain);
    clo_buf_clear(&pem);
    assert_ok(clo_crypto_cert_to_pem(common[1], &pem));
    assert_ok(clo_crypto_cert_to_pem(common[0], &pem));
    assert_ok(clo_attest_chain_take(&chain, clo_buf_span(&pem)));
    clo_attest_context c = context(NOW);
    bool ok = false;
    root_part.bytes = clo_span_of(NULL, 0);
    c.collateral_count = 0;
    policy.custom_root = false;
    assert_ok(clo_attest_chain_judge(&c, &chain, CLO_ATTEST_ANCHOR_INTEL, false, &ok));
    assert_true(ok);
    c = context(NOW);
    assert_ok(clo_attest_chain_judge(&c, &chain, CLO_ATTEST_ANCHOR_NITRO, false, &ok));
    assert_false(ok);
    assert_string_equal(result.reason, "wrong_root");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good, fresh),       cmocka_unit_test_setup(test_windows, fresh),     cmocka_unit_test_setup(test_signatures, fresh),
        cmocka_unit_test_setup(test_path_length, fresh), cmocka_unit_test_setup(test_roots, fresh),       cmocka_unit_test_setup(test_revocation, fresh),
        cmocka_unit_test_setup(test_list_forms, fresh), cmocka_unit_test_setup(test_shared_list, fresh), cmocka_unit_test_setup(test_taking, fresh),
        cmocka_unit_test_setup(test_only_form, fresh),
        cmocka_unit_test_setup(test_common, fresh),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
