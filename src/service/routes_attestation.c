/* The verification service: nonce, verify, keys, recorded evidence, history of this platform. */
#include "attest/ear.h"
#include "attest/evidence_record.h"
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "service/routes_int.h"
#include "wire/jws.h"

#include <stdio.h>
#include <string.h>

CLO_HANDLER(clo_service_get_nonce)
{
    (void)request;
    clo_service *s = context;
    uint8_t nonce[VERIFIER_NONCE];
    char hex[2 * VERIFIER_NONCE + 1], until[21];
    int64_t expires = 0;
    CLO_TRY(clo_service_nonce_make(&s->verifier, clo_os_clock_wall(s->clock), nonce, &expires));
    clo_hex_encode(hex, clo_span_of(nonce, sizeof nonce));
    clo_time_format(until, expires);
    return clo_gateway_response_jsonf(response, "{\"nonce\":\"%s\",\"expires\":\"%s\"}", hex, until);
}

CLO_HANDLER(clo_service_get_certs)
{
    clo_service *s = context;
    clo_arena *a = request->arena;
    clo_wire_node *map = NULL, *keys = NULL, *jwk = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_array(a, &keys));
    CLO_TRY(clo_wire_jwk_make(a, &s->verifier.public_key, &jwk));
    CLO_TRY(clo_wire_append(keys, jwk));
    CLO_TRY(clo_wire_set(a, map, "keys", keys));
    return clo_gateway_response_tree(response, map);
}

/* What was asked, however it came. */
typedef struct {
    clo_attest_record record;
    clo_service_question question;
    const char *accept;
} asked;

static clo_err take_base64(clo_arena *a, const clo_wire_node *n, const char *role, clo_attest_part *out)
{
    CLO_CHECKF(n->type == CLO_WIRE_TEXT, CLO_E_MALFORMED, "evidence and collateral are base64 texts");
    CLO_TRY(clo_str_set(out->role, sizeof out->role, clo_span_str(role)));
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, CLO_RECORD_MAX);
    CLO_TRY(clo_base64_decode(&bytes, n->text));
    return clo_arena_copy(a, clo_buf_span(&bytes), &out->bytes);
}

static clo_err take_parts(clo_arena *a, const clo_wire_node *n, clo_attest_part *parts, size_t *count)
{
    if (n->type == CLO_WIRE_TEXT) return take_base64(a, n, "report", &parts[(*count)++]);
    CLO_CHECKF(n->type == CLO_WIRE_MAP && n->count <= CLO_RECORD_ROLES_MAX, CLO_E_MALFORMED, "evidence and collateral map at most %d roles to base64 texts",
               CLO_RECORD_ROLES_MAX);
    for (const clo_wire_node *one = n->first; one != NULL; one = one->next)
        CLO_TRY(take_base64(a, one, (const char *)one->key->text.p, &parts[(*count)++]));
    return CLO_OK;
}

static clo_err take_nonce(clo_arena *a, const char *hex, clo_span *out)
{
    uint8_t nonce[VERIFIER_NONCE];
    CLO_CHECKF(!clo_failed(clo_hex_decode(nonce, sizeof nonce, clo_span_str(hex))), CLO_E_MALFORMED, "the nonce is %d bytes in hex, as this verifier gave it",
               VERIFIER_NONCE);
    return clo_arena_copy(a, clo_span_of(nonce, sizeof nonce), out);
}

static clo_err read_json(clo_arena *a, const clo_wire_node *body, asked *out)
{
    clo_wire_fields f;
    const clo_wire_node *evidence = NULL, *collateral = NULL;
    const char *nonce = NULL;
    clo_wire_fields_open(&f, a, body, "request");
    clo_wire_take_str(&f, "type", out->record.type, sizeof out->record.type);
    clo_wire_take_any(&f, "evidence", &evidence);
    if (clo_wire_has(&f, "collateral")) clo_wire_take_any(&f, "collateral", &collateral);
    if (clo_wire_has(&f, "policy")) clo_wire_take_text(&f, "policy", &out->question.policy, 64);
    if (clo_wire_has(&f, "reference_values")) clo_wire_take_text(&f, "reference_values", &out->question.reference_values, 64);
    if (clo_wire_has(&f, "nonce")) clo_wire_take_text(&f, "nonce", &nonce, 2 * VERIFIER_NONCE);
    if (clo_wire_has(&f, "domain")) clo_wire_take_text(&f, "domain", &out->question.domain, 64);
    if (clo_wire_has(&f, "accept")) clo_wire_take_text(&f, "accept", &out->accept, 16);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(take_parts(a, evidence, out->record.evidence, &out->record.evidence_count));
    if (collateral != NULL) CLO_TRY(take_parts(a, collateral, out->record.collateral, &out->record.collateral_count));
    return nonce == NULL ? CLO_OK : take_nonce(a, nonce, &out->question.nonce);
}

static clo_err read_record(const clo_gateway_request *request, asked *out)
{
    const char *nonce = NULL;
    CLO_TRY(clo_attest_record_decode(request->arena, request->body, &out->record));
    CLO_TRY(clo_gateway_request_query(request, "policy", &out->question.policy));
    CLO_TRY(clo_gateway_request_query(request, "reference_values", &out->question.reference_values));
    CLO_TRY(clo_gateway_request_query(request, "domain", &out->question.domain));
    CLO_CHECKF(out->question.domain == NULL || strlen(out->question.domain) <= 64, CLO_E_RANGE, "the domain has at most 64 bytes");
    CLO_TRY(clo_gateway_request_query(request, "accept", &out->accept));
    CLO_TRY(clo_gateway_request_query(request, "nonce", &nonce));
    return nonce == NULL ? CLO_OK : take_nonce(request->arena, nonce, &out->question.nonce);
}

/* Keys that decide whom to believe come from this operator's bundle, never from who asks: else anybody's own key would make a verdict. */
static clo_err no_anchors(const clo_attest_part *parts, size_t count)
{
    static const char *const anchors[] = {"jwks", "iak_public", "iak_mac", "cpak_public", "attestation_key"};
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < sizeof anchors / sizeof anchors[0]; k++)
            if (strcmp(parts[i].role, anchors[k]) == 0)
                return CLO_DENY(CLO_E_DENIED, "attestation.collateral", "certificates, lists and documents", anchors[k], "the request",
                                "have the operator install this key in its collateral bundle");
    return CLO_OK;
}

static clo_err read_asked(const clo_gateway_request *request, asked **out)
{
    void *memory = NULL;
    clo_wire_node *body = NULL;
    CLO_TRY(clo_arena_alloc(request->arena, sizeof(asked), &memory));
    asked *q = memset(memory, 0, sizeof(asked));
    if (clo_span_equal(clo_gateway_request_header(request, "content-type"), clo_span_str("application/cbor"))) {
        CLO_TRY(read_record(request, q));
    } else {
        CLO_TRY(clo_gateway_request_tree(request, &body));
        CLO_TRY(read_json(request->arena, body, q));
    }
    CLO_TRY(no_anchors(q->record.evidence, q->record.evidence_count));
    CLO_TRY(no_anchors(q->record.collateral, q->record.collateral_count));
    if (q->question.policy == NULL) q->question.policy = "default";
    if (q->accept == NULL) q->accept = "ear-jwt";
    CLO_CHECKF(strcmp(q->accept, "ear-jwt") == 0 || strcmp(q->accept, "ear-cwt") == 0 || strcmp(q->accept, "maa-jwt") == 0, CLO_E_UNSUPPORTED,
               "accept is ear-jwt, ear-cwt or maa-jwt");
    q->question.type = q->record.type;
    q->question.evidence = q->record.evidence;
    q->question.evidence_count = q->record.evidence_count;
    q->question.collateral = q->record.collateral;
    q->question.collateral_count = q->record.collateral_count;
    *out = q;
    return CLO_OK;
}

static clo_err set_token(clo_service *s, clo_arena *a, const asked *q, const clo_attest_policy *policy, const clo_attest_result *r, clo_wire_node *map)
{
    clo_wire_node *text = NULL;
    CLO_AUTO(clo_buf_free) clo_buf token, base64;
    clo_buf_init(&token, 1 << 20);
    clo_buf_init(&base64, 2 << 20);
    char policy_id[600];
    (void)snprintf(policy_id, sizeof policy_id, "%s/api/v1/attestation/policies/%s", s->config.url, q->question.policy);
    const clo_attest_ear_options o = {.key = &s->verifier.key, .issuer = s->config.url, .developer = "cloister", .build = CLO_VERSION, .policy_id = policy_id,
                                      .nonce = q->question.nonce, .now = clo_os_clock_wall(s->clock)};
    bool cwt = strcmp(q->accept, "ear-cwt") == 0, azure = strcmp(q->accept, "maa-jwt") == 0;
    CLO_TRY(clo_wire_set_text(a, map, "token_type", q->accept));
    if (azure && !r->valid) { /* a token under Azure's names only says yes */
        CLO_TRY(clo_wire_null(a, &text));
        return clo_wire_set(a, map, "token", text);
    }
    if (azure) CLO_TRY(clo_attest_maa_token(a, r, &o, &token));
    else if (cwt) CLO_TRY(clo_attest_ear_cwt(a, r, policy, &o, &token));
    else CLO_TRY(clo_attest_ear_jwt(a, r, policy, &o, &token));
    if (cwt) CLO_TRY(clo_base64_encode(&base64, clo_buf_span(&token)));
    CLO_TRY(clo_wire_text(a, cwt ? clo_buf_span(&base64) : clo_buf_span(&token), &text));
    return clo_wire_set(a, map, "token", text);
}

/* The evidence of a registered party is kept where this operator keeps any. */
static clo_err keep(clo_service *s, const clo_gateway_request *request, asked *q, const clo_attest_result *r, clo_wire_node *map)
{
    clo_gateway_principal who = {0};
    if (s->config.record_evidence == 0 || clo_gateway_request_header(request, "authorization").p == NULL) return CLO_OK;
    CLO_TRY(clo_service_authenticate(s, request, &who));
    clo_store_evidence e = {.time = clo_os_clock_wall(s->clock)};
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, CLO_RECORD_MAX);
    q->record.at = e.time;
    CLO_TRY(clo_attest_record_encode(&q->record, &file));
    CLO_TRY(clo_crypto_random(e.id, sizeof e.id));
    memcpy(e.kid, who.key, sizeof e.kid);
    (void)snprintf(e.type, sizeof e.type, "%s", r->tee);
    (void)snprintf(e.verdict, sizeof e.verdict, "%s", r->valid ? "valid" : "invalid");
    e.file = clo_buf_span(&file);
    CLO_TRY(clo_store_evidence_put(s->store, &e, s->config.record_evidence));
    return clo_service_set_hex(request->arena, map, "record", e.id, sizeof e.id);
}

CLO_HANDLER(clo_service_post_verify)
{
    clo_service *s = context;
    clo_arena *a = request->arena;
    asked *q = NULL;
    clo_attest_policy *policy = NULL;
    clo_attest_result *r = NULL;
    clo_wire_node *map = NULL, *result = NULL;
    int64_t now = clo_os_clock_wall(s->clock);
    CLO_TRY(read_asked(request, &q));
    if (q->question.nonce.n > 0) CLO_TRY(clo_service_nonce_take(&s->verifier, now, q->question.nonce));
    CLO_TRY(clo_service_appraise(&s->verifier, s->store, a, &q->question, now, &policy, &r));
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_attest_result_tree(a, r, &result));
    CLO_TRY(clo_wire_set(a, map, "result", result));
    CLO_TRY(set_token(s, a, q, policy, r, map));
    CLO_TRY(keep(s, request, q, r, map));
    return clo_gateway_response_tree(response, map);
}

CLO_HANDLER(clo_service_get_evidences)
{
    clo_service *s = context;
    clo_store_evidence *list = NULL;
    size_t count = 0, max = 0;
    int64_t before = 0, next = 0;
    clo_wire_node *array = NULL;
    CLO_TRY(clo_service_page(request, &before, &max));
    CLO_TRY(clo_store_evidence_list(s->store, request->arena, request->principal.key, before, max, &list, &count, &next));
    CLO_TRY(clo_wire_array(request->arena, &array));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *one = NULL;
        CLO_TRY(clo_wire_map(request->arena, &one));
        CLO_TRY(clo_service_set_hex(request->arena, one, "id", list[i].id, sizeof list[i].id));
        CLO_TRY(clo_wire_set_time(request->arena, one, "time", list[i].time));
        CLO_TRY(clo_wire_set_text(request->arena, one, "type", list[i].type));
        CLO_TRY(clo_wire_set_text(request->arena, one, "verdict", list[i].verdict));
        CLO_TRY(clo_wire_append(array, one));
    }
    return clo_service_answer_list(request, response, "records", array, next);
}

CLO_HANDLER(clo_service_get_evidence)
{
    clo_service *s = context;
    clo_store_evidence e;
    uint8_t id[16];
    CLO_TRY(clo_service_param_id(request, "id", id, sizeof id));
    CLO_TRY(clo_store_evidence_get(s->store, request->arena, id, request->principal.key, &e));
    return clo_gateway_response_bytes(response, "application/cbor", e.file);
}

CLO_HANDLER(clo_service_get_history)
{
    clo_service *s = context;
    clo_arena *a = request->arena;
    clo_store_platform *list = NULL;
    size_t count = 0, max = 0;
    int64_t before = 0, next = 0;
    clo_wire_node *array = NULL;
    CLO_TRY(clo_service_page(request, &before, &max));
    CLO_TRY(clo_store_platform_list(s->store, a, before, max, &list, &count, &next));
    CLO_TRY(clo_wire_array(a, &array));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *one = NULL;
        CLO_TRY(clo_wire_map(a, &one));
        CLO_TRY(clo_wire_set_time(a, one, "time", list[i].time));
        CLO_TRY(clo_wire_set_text(a, one, "tee", list[i].tee));
        CLO_TRY(clo_wire_set_text(a, one, "verdict", list[i].verdict));
        CLO_TRY(clo_wire_set_text(a, one, "reason", list[i].reason));
        CLO_TRY(clo_wire_set_text(a, one, "detail", list[i].detail));
        if (list[i].valid_until != 0) CLO_TRY(clo_wire_set_time(a, one, "valid_until", list[i].valid_until));
        CLO_TRY(clo_wire_append(array, one));
    }
    return clo_service_answer_list(request, response, "history", array, next);
}
