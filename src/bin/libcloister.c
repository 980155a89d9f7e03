/* The public library: opaque objects around the appraisal of the module attest. */
#include <cloister/attest.h>

#include "attest/attest.h"
#include "base/clo_own.h"
#include "wire/json.h"

#include <stdlib.h>

enum { POLICY_ARENA = 1 << 20, VERIFY_ARENA = 16 << 20, PART_MAX = 4 << 20, TEXT_MAX = 4 << 20 };

struct cloister_attest_policy {
    clo_arena arena;
    clo_buf source; /* what it was read from, for copies */
    bool open;
    uint8_t nonce[1024];
    clo_attest_policy policy;
};

struct cloister_attest_parts {
    clo_attest_part parts[CLO_ATTEST_PARTS_MAX];
    size_t count;
};

struct cloister_attest_cache {
    clo_attest_cache *cache;
};

struct cloister_attest_result {
    clo_arena arena;
    clo_buf claims, whole;
    const char *claims_text, *whole_text;
    clo_attest_result result;
};

static int status_of(clo_err e)
{
    switch (clo_err_class(e)) {
    case CLO_CLASS_OK:
        return CLOISTER_OK;
    case CLO_CLASS_LIMIT:
        return CLOISTER_LIMIT;
    case CLO_CLASS_INPUT:
    case CLO_CLASS_DENIED:
        return CLOISTER_INPUT;
    case CLO_CLASS_AGAIN:
    case CLO_CLASS_ENV:
    case CLO_CLASS_BUG:
        break;
    }
    return CLOISTER_MEMORY;
}

const char *cloister_error_text(void) { return clo_err_text(); }

const char *cloister_version(void) { return CLO_VERSION; }

/* ---- policy ---- */

static clo_err policy_fill(cloister_attest_policy *p, const char *json, size_t size, bool open)
{
    clo_wire_node *tree = NULL;
    p->open = open;
    CLO_TRY(clo_buf_put(&p->source, json, size));
    CLO_TRY(clo_wire_json_decode(&p->arena, clo_span_of((const uint8_t *)json, size), &tree));
    return open ? clo_attest_policy_read_open(&p->arena, tree, &p->policy) : clo_attest_policy_read(&p->arena, tree, &p->policy);
}

int cloister_attest_policy_read(const char *json, size_t size, bool open, cloister_attest_policy **out)
{
    cloister_attest_policy *made = calloc(1, sizeof *made);
    if (made == NULL) return status_of(CLO_FAIL(CLO_E_NOMEM));
    clo_arena_init(&made->arena, POLICY_ARENA);
    clo_buf_init(&made->source, POLICY_ARENA);
    clo_err e = json == NULL ? policy_fill(made, "{}", 2, open) : policy_fill(made, json, size, open);
    if (clo_failed(e)) {
        cloister_attest_policy_free(made);
        return status_of(e);
    }
    *out = made;
    return CLOISTER_OK;
}

int cloister_attest_policy_copy(const cloister_attest_policy *policy, cloister_attest_policy **out)
{
    cloister_attest_policy *made = NULL;
    int status = cloister_attest_policy_read((const char *)policy->source.p, policy->source.len, policy->open, &made);
    if (status != CLOISTER_OK) return status;
    if (policy->policy.expected_nonce.p == policy->nonce)
        status = cloister_attest_policy_set_nonce(made, policy->nonce, policy->policy.expected_nonce.n);
    if (status == CLOISTER_OK && policy->policy.have_report_data)
        status = cloister_attest_policy_set_report_data(made, policy->policy.report_data);
    if (status != CLOISTER_OK) {
        cloister_attest_policy_free(made);
        return status;
    }
    *out = made;
    return CLOISTER_OK;
}

int cloister_attest_policy_set_nonce(cloister_attest_policy *policy, const void *nonce, size_t size)
{
    if (size == 0 || size > sizeof policy->nonce) return status_of(CLO_FAILF(CLO_E_RANGE, "a nonce has 1 to 1024 bytes"));
    memcpy(policy->nonce, nonce, size);
    policy->policy.expected_nonce = clo_span_of(policy->nonce, size);
    return CLOISTER_OK;
}

int cloister_attest_policy_set_report_data(cloister_attest_policy *policy, const void *report_data)
{
    memcpy(policy->policy.report_data, report_data, sizeof policy->policy.report_data);
    policy->policy.have_report_data = true;
    return CLOISTER_OK;
}

void cloister_attest_policy_free(cloister_attest_policy *policy)
{
    if (policy == NULL) return;
    clo_buf_free(&policy->source);
    clo_arena_free(&policy->arena);
    free(policy);
}

/* ---- parts ---- */

cloister_attest_parts *cloister_attest_parts_new(void) { return calloc(1, sizeof(cloister_attest_parts)); }

int cloister_attest_parts_add(cloister_attest_parts *parts, const char *role, const void *bytes, size_t size)
{
    if (role == NULL) role = "report";
    if (parts->count == CLO_ATTEST_PARTS_MAX) return status_of(CLO_FAILF(CLO_E_TOO_MANY, "at most %d parts", (int)CLO_ATTEST_PARTS_MAX));
    clo_attest_part *p = &parts->parts[parts->count];
    if (role[0] == '\0' || strlen(role) >= sizeof p->role) return status_of(CLO_FAILF(CLO_E_RANGE, "a role has 1 to 31 bytes"));
    if (size > PART_MAX) return status_of(CLO_FAILF(CLO_E_TOO_LARGE, "a part has at most %d bytes", (int)PART_MAX));
    uint8_t *copy = malloc(size != 0 ? size : 1);
    if (copy == NULL) return status_of(CLO_FAIL(CLO_E_NOMEM));
    if (size != 0) memcpy(copy, bytes, size);
    memcpy(p->role, role, strlen(role) + 1);
    p->bytes = clo_span_of(copy, size);
    parts->count++;
    return CLOISTER_OK;
}

void cloister_attest_parts_free(cloister_attest_parts *parts)
{
    if (parts == NULL) return;
    for (size_t i = 0; i < parts->count; i++) free((void *)(uintptr_t)parts->parts[i].bytes.p);
    free(parts);
}

/* ---- cache ---- */

cloister_attest_cache *cloister_attest_cache_new(void)
{
    cloister_attest_cache *made = calloc(1, sizeof *made);
    if (made == NULL) return NULL;
    if (clo_failed(clo_attest_cache_new(&made->cache))) {
        free(made);
        return NULL;
    }
    return made;
}

void cloister_attest_cache_free(cloister_attest_cache *cache)
{
    if (cache == NULL) return;
    clo_attest_cache_free(&cache->cache);
    free(cache);
}

/* ---- appraisal ---- */

static clo_err verify(cloister_attest_result *r, const char *type, const cloister_attest_parts *evidence, const cloister_attest_parts *collateral,
                      const cloister_attest_policy *policy, int64_t time, cloister_attest_cache *cache)
{
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_attest_verify_with(&r->arena, cache != NULL ? cache->cache : NULL, type, evidence->parts, evidence->count,
                                   collateral != NULL ? collateral->parts : NULL, collateral != NULL ? collateral->count : 0, &policy->policy, time,
                                   &r->result));
    CLO_TRY(clo_wire_json_encode(r->result.claims, 0, &r->claims));
    CLO_TRY(clo_attest_result_tree(&r->arena, &r->result, &tree));
    CLO_TRY(clo_wire_json_encode(tree, 0, &r->whole));
    CLO_TRY(clo_buf_cstr(&r->claims, &r->claims_text));
    return clo_buf_cstr(&r->whole, &r->whole_text);
}

int cloister_attest_verify(const char *type, const cloister_attest_parts *evidence, const cloister_attest_parts *collateral,
                           const cloister_attest_policy *policy, int64_t time, cloister_attest_cache *cache, cloister_attest_result **out)
{
    cloister_attest_result *made = calloc(1, sizeof *made);
    if (made == NULL) return status_of(CLO_FAIL(CLO_E_NOMEM));
    clo_arena_init(&made->arena, VERIFY_ARENA);
    clo_buf_init(&made->claims, TEXT_MAX);
    clo_buf_init(&made->whole, TEXT_MAX);
    clo_err e = verify(made, type, evidence, collateral, policy, time, cache);
    if (clo_failed(e)) {
        cloister_attest_result_free(made);
        return status_of(e);
    }
    *out = made;
    return CLOISTER_OK;
}

void cloister_attest_result_free(cloister_attest_result *result)
{
    if (result == NULL) return;
    clo_buf_free(&result->claims);
    clo_buf_free(&result->whole);
    clo_arena_free(&result->arena);
    free(result);
}

bool cloister_attest_result_valid(const cloister_attest_result *result) { return result->result.valid; }
const char *cloister_attest_result_reason(const cloister_attest_result *result) { return result->result.reason; }
const char *cloister_attest_result_detail(const cloister_attest_result *result) { return result->result.detail; }
const char *cloister_attest_result_type(const cloister_attest_result *result) { return result->result.tee; }
const char *cloister_attest_result_claims(const cloister_attest_result *result) { return result->claims_text; }
const char *cloister_attest_result_tcb_status(const cloister_attest_result *result) { return result->result.tcb_status; }
size_t cloister_attest_result_advisory_count(const cloister_attest_result *result) { return result->result.advisory_count; }

const char *cloister_attest_result_advisory(const cloister_attest_result *result, size_t index)
{
    return index < result->result.advisory_count ? result->result.advisories[index] : "";
}

int64_t cloister_attest_result_valid_until(const cloister_attest_result *result) { return result->result.valid_until; }
const char *cloister_attest_result_json(const cloister_attest_result *result) { return result->whole_text; }
size_t cloister_attest_result_check_count(const cloister_attest_result *result) { return result->result.check_count; }

bool cloister_attest_result_check(const cloister_attest_result *result, size_t index, cloister_attest_check *out)
{
    if (index >= result->result.check_count) return false;
    const clo_attest_check *k = &result->result.checks[index];
    *out = (cloister_attest_check){.name = k->name, .ok = k->ok, .expected = k->expected, .actual = k->actual};
    return true;
}
