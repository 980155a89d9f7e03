/* in-toto statements. */
#include "attest/intoto.h"

#include "base/clo_text.h"
#include "wire/dsse.h"
#include "wire/json.h"

enum { DIGEST_MAX = 64, SUBJECTS_MAX = 1024 };

static bool text_is(const clo_wire_node *n, const char *text)
{
    return n != NULL && n->type == CLO_WIRE_TEXT && clo_span_equal(n->text, clo_span_str(text));
}

static size_t digest_size(const char *algorithm)
{
    return strcmp(algorithm, "sha256") == 0 ? 32 : strcmp(algorithm, "sha384") == 0 ? 48 : strcmp(algorithm, "sha512") == 0 ? 64 : 0;
}

/* The value of a subject's digest, as the claim has it. */
static clo_err value_of(clo_arena *a, const clo_wire_node *text, const clo_attest_intoto_use *use, clo_wire_node **out)
{
    uint8_t digest[DIGEST_MAX];
    char lower[2 * DIGEST_MAX + 1];
    size_t n = digest_size(use->algorithm);
    CLO_CHECKF(text->type == CLO_WIRE_TEXT && !clo_failed(clo_hex_decode(digest, n, text->text)), CLO_E_MALFORMED,
               "a subject's %s digest is not %zu bytes in hex", use->algorithm, n);
    if (!use->as_text) return clo_wire_bytes(a, clo_span_of(digest, n), out);
    const char *joined = NULL;
    clo_hex_encode(lower, clo_span_of(digest, n));
    CLO_TRY(clo_arena_printf(a, &joined, "%s:%s", use->algorithm, lower));
    return clo_wire_text(a, clo_span_str(joined), out);
}

static clo_err take_subject(clo_arena *a, const clo_wire_node *subject, const clo_attest_intoto_use *use, clo_attest_reference_set *set)
{
    CLO_CHECKF(subject->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "a subject of the statement is no object");
    const clo_wire_node *name = clo_wire_get(subject, "name"), *digests = clo_wire_get(subject, "digest");
    CLO_CHECKF(digests != NULL && digests->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "a subject of the statement has no digest");
    if (use->subject != NULL && !text_is(name, use->subject)) return CLO_OK;
    const clo_wire_node *digest = clo_wire_get(digests, use->algorithm);
    if (digest == NULL) return CLO_OK;
    const char *called = "subject";
    if (name != NULL && name->type == CLO_WIRE_TEXT && name->text.n != 0) CLO_TRY(clo_arena_str(a, name->text, &called));
    clo_attest_reference *r = NULL;
    clo_wire_node *value = NULL;
    CLO_TRY(value_of(a, digest, use, &value));
    CLO_TRY(clo_attest_reference_add(a, set, called, use->version == NULL ? "" : use->version, use->tee, NULL, &r));
    return clo_attest_reference_allow(a, r, use->path, value);
}

static clo_err take_statement(clo_arena *a, const clo_wire_node *statement, const clo_attest_intoto_use *use, clo_attest_reference_set *set)
{
    CLO_CHECKF(statement->type == CLO_WIRE_MAP, CLO_E_MALFORMED, "the statement is no object");
    CLO_CHECKF(text_is(clo_wire_get(statement, "_type"), "https://in-toto.io/Statement/v1"), CLO_E_UNSUPPORTED,
               "the payload is no in-toto statement of version 1");
    CLO_CHECKF(use->predicate_type == NULL || text_is(clo_wire_get(statement, "predicateType"), use->predicate_type), CLO_E_UNSUPPORTED,
               "the statement's predicate is not %.80s", use->predicate_type == NULL ? "" : use->predicate_type);
    const clo_wire_node *subjects = clo_wire_get(statement, "subject");
    CLO_CHECKF(subjects != NULL && subjects->type == CLO_WIRE_ARRAY && subjects->count <= SUBJECTS_MAX, CLO_E_MALFORMED,
               "the statement has no usable list of subjects");
    for (const clo_wire_node *n = subjects->first; n != NULL; n = n->next) CLO_TRY(take_subject(a, n, use, set));
    return CLO_OK;
}

CLO_R clo_attest_intoto_import(clo_arena *a, clo_span envelope, const clo_attest_intoto_use *use, clo_attest_reference_set *set)
{
    clo_span payload;
    clo_wire_node *statement = NULL;
    size_t before = set->count;
    CLO_CHECKF(digest_size(use->algorithm) != 0 && use->signer != NULL, CLO_E_USAGE, "name sha256, sha384 or sha512, and the key of the signer");
    CLO_TRY(clo_wire_dsse_open(a, envelope, "application/vnd.in-toto+json", use->signer, &payload));
    CLO_TRY(clo_wire_json_decode(a, payload, &statement));
    clo_err e = take_statement(a, statement, use, set);
    if (!clo_failed(e) && set->count == before) e = CLO_FAILF(CLO_E_NOT_FOUND, "the statement has no subject with the digest that is asked for");
    if (clo_failed(e)) set->count = before;
    return e;
}
