/* TCB info and QE identity (PCS API v4): the exact signed bytes, and what they say. The text is read from front to back, without a tree. */
#include "attest/dcap_int.h"
#include "base/clo_text.h"
#include "wire/json_view.h"

#include <stddef.h>

/* How a member of an object becomes a field of a struct. */
typedef enum {
    FIELD_HEX,   /* uint8_t[size] */
    FIELD_U8,
    FIELD_U16,
    FIELD_U32,
    FIELD_TIME,  /* int64_t */
    FIELD_TEXT,  /* clo_span between the quotes */
    FIELD_VALUE, /* clo_span of the value as it stands */
    FIELD_OWN,   /* by `take`, which gets the field */
} field_kind;
typedef struct {
    const char *name;
    field_kind kind;
    size_t offset, size;
    bool optional;
    clo_err (*take)(clo_span value, void *field);
} member;
#define FIELD(name, kind, type, field) {(name), (kind), offsetof(type, field), sizeof(((type *)NULL)->field), false, NULL}
#define FIELD_BY(name, type, field, optional, take) {(name), FIELD_OWN, offsetof(type, field), sizeof(((type *)NULL)->field), (optional), (take)}

static clo_err take_number(clo_span value, field_kind kind, uint8_t *to)
{
    uint64_t v = 0;
    CLO_TRY(clo_wire_json_view_uint(value, kind == FIELD_U8 ? UINT8_MAX : kind == FIELD_U16 ? UINT16_MAX : UINT32_MAX, &v));
    uint8_t narrow = (uint8_t)v;
    uint16_t half = (uint16_t)v;
    uint32_t word = (uint32_t)v;
    if (kind == FIELD_U8) memcpy(to, &narrow, sizeof narrow);
    if (kind == FIELD_U16) memcpy(to, &half, sizeof half);
    if (kind == FIELD_U32) memcpy(to, &word, sizeof word);
    return CLO_OK;
}

static clo_err take_field(const member *m, clo_span value, uint8_t *to)
{
    clo_span text = {NULL, 0};
    int64_t seconds = 0;
    switch (m->kind) {
    case FIELD_HEX:
        return clo_wire_json_view_hex(value, to, m->size);
    case FIELD_U8:
    case FIELD_U16:
    case FIELD_U32:
        return take_number(value, m->kind, to);
    case FIELD_TIME:
        CLO_TRY(clo_wire_json_view_text(value, &text));
        CLO_TRY(clo_time_parse(&seconds, text));
        memcpy(to, &seconds, sizeof seconds);
        return CLO_OK;
    case FIELD_TEXT:
        CLO_TRY(clo_wire_json_view_text(value, &text));
        memcpy(to, &text, sizeof text);
        return CLO_OK;
    case FIELD_VALUE:
        memcpy(to, &value, sizeof value);
        return CLO_OK;
    case FIELD_OWN:
    default:
        return m->take(value, to);
    }
}

/* Every member at most once, the needed ones at all; unknown ones are stepped over: Intel adds members within a version. */
static clo_err take_members(clo_span json, const member *members, size_t count, void *to)
{
    clo_wire_json_view v = clo_wire_json_view_object(json);
    clo_span key, value;
    uint32_t seen = 0;
    while (clo_wire_json_view_next(&v, &key, &value)) {
        for (size_t i = 0; i < count; i++) {
            if (!clo_span_equal(key, clo_span_str(members[i].name))) continue;
            CLO_CHECKF((seen >> i & 1) == 0, CLO_E_DUPLICATE, "member %s is there twice", members[i].name);
            seen |= (uint32_t)1 << i;
            clo_err e = take_field(&members[i], value, (uint8_t *)to + members[i].offset);
            if (clo_failed(e)) return clo_err_prefix(e, members[i].name);
            break;
        }
    }
    CLO_TRY(clo_wire_json_view_end(&v));
    for (size_t i = 0; i < count; i++)
        CLO_CHECKF(members[i].optional || (seen >> i & 1) != 0, CLO_E_MISSING_FIELD, "member %s is missing", members[i].name);
    return CLO_OK;
}
#define TAKE_MEMBERS(json, members, to) take_members((json), (members), sizeof(members) / sizeof(members)[0], (to))

/* An array of objects, into count_max structs of `size` bytes. */
static clo_err take_objects(clo_span json, const member *members, size_t member_count, void *to, size_t size, size_t count_max, size_t *count)
{
    clo_wire_json_view list = clo_wire_json_view_array(json);
    clo_span none, one;
    size_t n = 0;
    while (clo_wire_json_view_next(&list, &none, &one)) {
        CLO_CHECKF(n < count_max, CLO_E_TOO_MANY, "there are more than %zu entries", count_max);
        CLO_TRY(take_members(one, members, member_count, (uint8_t *)to + n * size));
        n++;
    }
    CLO_TRY(clo_wire_json_view_end(&list));
    CLO_CHECKF(n != 0, CLO_E_MISSING_FIELD, "there is no entry");
    *count = n;
    return CLO_OK;
}

typedef struct {
    clo_span body;
    uint8_t signature[64];
} document;

CLO_R clo_attest_dcap_document(clo_span json, const char *name, clo_span *signed_bytes, uint8_t signature[64])
{
    const member members[] = {FIELD(name, FIELD_VALUE, document, body), FIELD("signature", FIELD_HEX, document, signature)};
    document d = {.body = {NULL, 0}};
    while (json.n != 0 && json.p[json.n - 1] == 0) json.n--; /* Intel's libraries count the text's end */
    CLO_TRY(TAKE_MEMBERS(json, members, &d));
    CLO_CHECKF(d.body.p[0] == '{', CLO_E_MALFORMED, "member %s is no object", name);
    *signed_bytes = d.body;
    memcpy(signature, d.signature, sizeof d.signature);
    return CLO_OK;
}

/* ---- TCB levels ---- */

/* Intel's names. The two of a relaunch are made by the evaluation and never stand in collateral. */
static const char *const status_names[DCAP_STATUS_COUNT] = {
    [DCAP_NOT_SUPPORTED] = "TcbNotSupported",
    [DCAP_UP_TO_DATE] = "UpToDate",
    [DCAP_SW_HARDENING] = "SWHardeningNeeded",
    [DCAP_CONFIGURATION] = "ConfigurationNeeded",
    [DCAP_CONFIGURATION_SW_HARDENING] = "ConfigurationAndSWHardeningNeeded",
    [DCAP_OUT_OF_DATE] = "OutOfDate",
    [DCAP_OUT_OF_DATE_CONFIGURATION] = "OutOfDateConfigurationNeeded",
    [DCAP_RELAUNCH] = "TDRelaunchAdvised",
    [DCAP_RELAUNCH_CONFIGURATION] = "TDRelaunchAdvisedConfigurationNeeded",
    [DCAP_REVOKED] = "Revoked",
};

const char *clo_attest_dcap_status_name(dcap_status s) { return status_names[s < DCAP_STATUS_COUNT ? s : DCAP_NOT_SUPPORTED]; }

static clo_err take_status(clo_span v, void *field)
{
    clo_span text = {NULL, 0};
    CLO_TRY(clo_wire_json_view_text(v, &text));
    for (size_t i = DCAP_UP_TO_DATE; i < DCAP_STATUS_COUNT; i++) {
        if (i == DCAP_RELAUNCH || i == DCAP_RELAUNCH_CONFIGURATION || !clo_span_equal(text, clo_span_str(status_names[i]))) continue;
        dcap_status status = (dcap_status)i;
        memcpy(field, &status, sizeof status);
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_UNSUPPORTED, "the TCB status is not known");
}

static clo_err take_advisories(clo_span v, void *field)
{
    clo_wire_json_view list = clo_wire_json_view_array(v);
    clo_span none, one, text;
    while (clo_wire_json_view_next(&list, &none, &one)) {
        CLO_TRY(clo_wire_json_view_text(one, &text));
        CLO_CHECKF(text.n != 0 && text.n < CLO_ATTEST_ADVISORY_SIZE, CLO_E_MALFORMED, "an advisory's name has 1 to %d bytes", CLO_ATTEST_ADVISORY_SIZE - 1);
    }
    memcpy(field, &v, sizeof v);
    return clo_wire_json_view_end(&list);
}

#define VERDICT_FIELDS(type)                                                                                                       \
    FIELD("tcbDate", FIELD_TIME, type, verdict.date), FIELD_BY("tcbStatus", type, verdict.status, false, take_status),             \
        FIELD_BY("advisoryIDs", type, verdict.advisories, true, take_advisories)

static clo_err take_components(clo_span v, void *field)
{
    static const member members[] = {{"svn", FIELD_U8, 0, 1, false, NULL}};
    size_t count = 0;
    CLO_TRY(take_objects(v, members, 1, field, 1, DCAP_COMPONENTS, &count));
    CLO_CHECKF(count == DCAP_COMPONENTS, CLO_E_MISSING_FIELD, "there are %zu components, not 16", count);
    return CLO_OK;
}

/* The member "tcb" in the three forms that it has. */
static clo_err take_tcb_tdx(clo_span v, void *field)
{
    static const member members[] = {FIELD_BY("sgxtcbcomponents", dcap_level, sgx, false, take_components),
                                     FIELD_BY("tdxtcbcomponents", dcap_level, tdx, false, take_components),
                                     FIELD("pcesvn", FIELD_U16, dcap_level, pce_svn)};
    return TAKE_MEMBERS(v, members, field);
}
static clo_err take_tcb_sgx(clo_span v, void *field)
{
    static const member members[] = {FIELD_BY("sgxtcbcomponents", dcap_level, sgx, false, take_components), FIELD("pcesvn", FIELD_U16, dcap_level, pce_svn)};
    return TAKE_MEMBERS(v, members, field);
}
static clo_err take_tcb_version2(clo_span v, void *field)
{
#define COMPONENT(digits, i) {"sgxtcbcomp" digits "svn", FIELD_U8, offsetof(dcap_level, sgx) + (i), 1, false, NULL}
    static const member members[] = {
        COMPONENT("01", 0),  COMPONENT("02", 1),  COMPONENT("03", 2),  COMPONENT("04", 3),  COMPONENT("05", 4),  COMPONENT("06", 5),
        COMPONENT("07", 6),  COMPONENT("08", 7),  COMPONENT("09", 8),  COMPONENT("10", 9),  COMPONENT("11", 10), COMPONENT("12", 11),
        COMPONENT("13", 12), COMPONENT("14", 13), COMPONENT("15", 14), COMPONENT("16", 15), FIELD("pcesvn", FIELD_U16, dcap_level, pce_svn)};
    return TAKE_MEMBERS(v, members, field);
}

static clo_err take_isv_svn(clo_span v, void *field)
{
    static const member members[] = {{"isvsvn", FIELD_U16, 0, 2, false, NULL}};
    return TAKE_MEMBERS(v, members, field);
}

/* Of a QE identity or a TDX module. */
static clo_err take_svn_levels(clo_span v, dcap_svn_levels *to)
{
    static const member members[] = {FIELD_BY("tcb", dcap_svn_level, isv_svn, false, take_isv_svn), VERDICT_FIELDS(dcap_svn_level)};
    return take_objects(v, members, sizeof members / sizeof members[0], to->level, sizeof to->level[0], DCAP_SVN_LEVELS_MAX, &to->count);
}
static clo_err take_svn_levels_field(clo_span v, void *field) { return take_svn_levels(v, field); }

/* ---- TCB info ---- */

static clo_err take_module_id(clo_span v, void *field)
{
    clo_span text = {NULL, 0};
    char *id = field;
    CLO_TRY(clo_wire_json_view_text(v, &text));
    CLO_TRY(clo_str_set(id, DCAP_MODULE_ID_SIZE, text));
    for (; *id != '\0'; id++) { /* its hex digits are of either case */
        if (*id >= 'a' && *id <= 'z') *id = (char)(*id - 'a' + 'A');
    }
    return CLO_OK;
}

static clo_err take_module(clo_span v, void *field)
{
    static const member members[] = {FIELD("mrsigner", FIELD_HEX, dcap_module, mrsigner), FIELD("attributes", FIELD_HEX, dcap_module, attributes),
                                     FIELD("attributesMask", FIELD_HEX, dcap_module, mask)};
    ((dcap_module *)field)->there = true;
    return TAKE_MEMBERS(v, members, field);
}

static clo_err take_modules(clo_span v, void *field)
{
    static const member members[] = {FIELD_BY("id", dcap_module, id, false, take_module_id), FIELD("mrsigner", FIELD_HEX, dcap_module, mrsigner),
                                     FIELD("attributes", FIELD_HEX, dcap_module, attributes), FIELD("attributesMask", FIELD_HEX, dcap_module, mask),
                                     FIELD_BY("tcbLevels", dcap_module, levels, false, take_svn_levels_field)};
    dcap_modules *to = field;
    CLO_TRY(take_objects(v, members, sizeof members / sizeof members[0], to->module, sizeof to->module[0], DCAP_MODULES_MAX, &to->count));
    for (size_t i = 0; i < to->count; i++) {
        for (size_t k = 0; k < i; k++)
            CLO_CHECKF(strcmp(to->module[i].id, to->module[k].id) != 0, CLO_E_DUPLICATE, "module %s is there twice", to->module[i].id);
    }
    return CLO_OK;
}

CLO_R clo_attest_dcap_tcb_info(clo_span json, dcap_tcb_info *out)
{
    static const member members[] = {
        FIELD("version", FIELD_U32, dcap_tcb_info, version),
        {"id", FIELD_TEXT, offsetof(dcap_tcb_info, id), sizeof(clo_span), true, NULL},
        FIELD("issueDate", FIELD_TIME, dcap_tcb_info, issued),
        FIELD("nextUpdate", FIELD_TIME, dcap_tcb_info, next_update),
        FIELD("fmspc", FIELD_HEX, dcap_tcb_info, fmspc),
        FIELD("pceId", FIELD_HEX, dcap_tcb_info, pceid),
        FIELD("tcbType", FIELD_U32, dcap_tcb_info, type),
        FIELD("tcbEvaluationDataNumber", FIELD_U32, dcap_tcb_info, evaluation_number),
        FIELD_BY("tdxModule", dcap_tcb_info, module, true, take_module),
        FIELD_BY("tdxModuleIdentities", dcap_tcb_info, modules, true, take_modules),
        FIELD("tcbLevels", FIELD_VALUE, dcap_tcb_info, level_list), /* their form depends on version and id, which may stand behind them */
    };
    memset(out, 0, sizeof *out);
    CLO_TRY(TAKE_MEMBERS(json, members, out));
    CLO_CHECKF(out->version == 2 || out->version == 3, CLO_E_VERSION, "TCB info of version %u is not known (2 and 3 are)", out->version);
    CLO_CHECKF(out->type == 0, CLO_E_UNSUPPORTED, "TCB type %u is not known (0 is)", out->type);
    out->tdx = clo_span_equal(out->id, clo_span_str("TDX"));
    bool sgx = out->version == 2 ? out->id.n == 0 : clo_span_equal(out->id, clo_span_str("SGX"));
    CLO_CHECKF(sgx || (out->version == 3 && out->tdx), CLO_E_UNSUPPORTED, "TCB info is for SGX or TDX");
    CLO_CHECKF(out->tdx == out->module.there && (out->tdx || out->modules.count == 0), CLO_E_MALFORMED,
               "TDX modules belong to TCB info for TDX and to no other");
    const member level[] = {
        {"tcb", FIELD_OWN, 0, 0, false, out->version == 2 ? take_tcb_version2 : out->tdx ? take_tcb_tdx : take_tcb_sgx}, VERDICT_FIELDS(dcap_level)};
    clo_err e = take_objects(out->level_list, level, sizeof level / sizeof level[0], out->levels, sizeof out->levels[0], DCAP_LEVELS_MAX, &out->level_count);
    return clo_failed(e) ? clo_err_prefix(e, "tcbLevels") : CLO_OK;
}

CLO_R clo_attest_dcap_qe_identity(clo_span json, dcap_qe_identity *out)
{
    static const member members[] = {
        FIELD("id", FIELD_TEXT, dcap_qe_identity, id),
        FIELD("version", FIELD_U32, dcap_qe_identity, version),
        FIELD("issueDate", FIELD_TIME, dcap_qe_identity, issued),
        FIELD("nextUpdate", FIELD_TIME, dcap_qe_identity, next_update),
        FIELD("tcbEvaluationDataNumber", FIELD_U32, dcap_qe_identity, evaluation_number),
        FIELD("miscselect", FIELD_HEX, dcap_qe_identity, miscselect),
        FIELD("miscselectMask", FIELD_HEX, dcap_qe_identity, miscselect_mask),
        FIELD("attributes", FIELD_HEX, dcap_qe_identity, attributes),
        FIELD("attributesMask", FIELD_HEX, dcap_qe_identity, attributes_mask),
        FIELD("mrsigner", FIELD_HEX, dcap_qe_identity, mrsigner),
        FIELD("isvprodid", FIELD_U16, dcap_qe_identity, isv_prod_id),
        FIELD_BY("tcbLevels", dcap_qe_identity, levels, false, take_svn_levels_field),
    };
    memset(out, 0, sizeof *out);
    CLO_TRY(TAKE_MEMBERS(json, members, out));
    CLO_CHECKF(out->version == 2, CLO_E_VERSION, "QE identity of version %u is not known (2 is)", out->version);
    out->tdx = clo_span_equal(out->id, clo_span_str("TD_QE"));
    CLO_CHECKF(out->tdx || clo_span_equal(out->id, clo_span_str("QE")), CLO_E_UNSUPPORTED, "the identity is of another enclave than QE and TD_QE");
    return CLO_OK;
}
