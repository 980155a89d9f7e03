/* The quote's layout, versions 3, 4 and 5. All integers are little-endian. */
#include "attest/dcap_int.h"
#include "base/clo_rd.h"

/* Intel's quoting enclaves. */
static const uint8_t intel_vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

static void take_zero(clo_rd *r, size_t n, bool *zero) { *zero = dcap_all_zero(clo_rd_span(r, n)) && *zero; }

static void take_sgx_body(clo_rd *r, dcap_sgx_body *b)
{
    clo_rd whole = clo_rd_sub(r, DCAP_SGX_BODY_SIZE);
    *b = (dcap_sgx_body){.bytes = clo_span_of(whole.p, whole.left), .reserved_zero = true};
    b->cpusvn = clo_rd_span(&whole, 16);
    b->miscselect = clo_rd_u32le(&whole);
    take_zero(&whole, 12, &b->reserved_zero);
    b->ext_prod_id = clo_rd_span(&whole, 16);
    b->attributes = clo_rd_span(&whole, 16);
    b->mrenclave = clo_rd_span(&whole, 32);
    take_zero(&whole, 32, &b->reserved_zero);
    b->mrsigner = clo_rd_span(&whole, 32);
    take_zero(&whole, 32, &b->reserved_zero);
    b->config_id = clo_rd_span(&whole, 64);
    b->isv_prod_id = clo_rd_u16le(&whole);
    b->isv_svn = clo_rd_u16le(&whole);
    b->config_svn = clo_rd_u16le(&whole);
    take_zero(&whole, 42, &b->reserved_zero);
    b->family_id = clo_rd_span(&whole, 16);
    b->report_data = clo_rd_span(&whole, 64);
    r->bad = r->bad || whole.bad;
}

static void take_td_body(clo_rd *r, bool td15, dcap_td_body *b)
{
    *b = (dcap_td_body){.tee_tcb_svn = clo_rd_span(r, 16)};
    b->mr_seam = clo_rd_span(r, 48);
    b->mr_signer_seam = clo_rd_span(r, 48);
    b->seam_attributes = clo_rd_span(r, 8);
    b->td_attributes = clo_rd_span(r, 8);
    b->xfam = clo_rd_span(r, 8);
    b->mr_td = clo_rd_span(r, 48);
    b->mr_config_id = clo_rd_span(r, 48);
    b->mr_owner = clo_rd_span(r, 48);
    b->mr_owner_config = clo_rd_span(r, 48);
    for (size_t i = 0; i < 4; i++) b->rtmr[i] = clo_rd_span(r, 48);
    b->report_data = clo_rd_span(r, 64);
    if (!td15) return;
    b->tee_tcb_svn2 = clo_rd_span(r, 16);
    b->mr_service_td = clo_rd_span(r, 48);
}

static clo_err take_header(clo_rd *r, dcap_quote *q)
{
    q->version = clo_rd_u16le(r);
    q->key_type = clo_rd_u16le(r);
    q->tee_type = clo_rd_u32le(r);
    q->qe_svn = clo_rd_u16le(r);
    q->pce_svn = clo_rd_u16le(r);
    q->vendor = clo_rd_span(r, 16);
    q->user_data = clo_rd_span(r, 20);
    CLO_CHECKF(!r->bad, CLO_E_TRUNCATED, "a quote has a header of 48 bytes");
    CLO_CHECKF(q->version >= 3 && q->version <= 5, CLO_E_VERSION, "quote version %u is not known (3, 4 and 5 are)", q->version);
    CLO_CHECKF(q->key_type == 2, CLO_E_UNSUPPORTED, "attestation key type %u is not known (2 is ECDSA P-256)", q->key_type);
    CLO_CHECKF(q->tee_type == DCAP_TEE_SGX || (q->version > 3 && q->tee_type == DCAP_TEE_TDX), CLO_E_UNSUPPORTED,
               "TEE type 0x%x is not known in a quote of version %u", q->tee_type, q->version);
    CLO_CHECKF(clo_span_equal(q->vendor, clo_span_of(intel_vendor, sizeof intel_vendor)), CLO_E_UNSUPPORTED, "the quoting enclave is not Intel's");
    return CLO_OK;
}

static clo_err take_body(clo_rd *r, dcap_quote *q)
{
    q->body_type = q->tee_type == DCAP_TEE_TDX ? DCAP_BODY_TD10 : DCAP_BODY_SGX;
    q->body_size = q->tee_type == DCAP_TEE_TDX ? DCAP_TD10_BODY_SIZE : DCAP_SGX_BODY_SIZE;
    if (q->version == 5) {
        uint16_t type = clo_rd_u16le(r);
        uint32_t size = clo_rd_u32le(r);
        CLO_CHECKF(!r->bad, CLO_E_TRUNCATED, "the quote ends before its body");
        bool td15 = q->tee_type == DCAP_TEE_TDX && type == DCAP_BODY_TD15;
        CLO_CHECKF(td15 || type == (uint16_t)q->body_type, CLO_E_UNSUPPORTED, "body type %u does not go with TEE type 0x%x", type, q->tee_type);
        if (td15) {
            q->body_type = DCAP_BODY_TD15;
            q->body_size = DCAP_TD15_BODY_SIZE;
        }
        CLO_CHECKF(size == q->body_size, CLO_E_MALFORMED, "a body of type %u has %u bytes, not %u", type, q->body_size, size);
    }
    if (q->body_type == DCAP_BODY_SGX) {
        take_sgx_body(r, &q->sgx);
    } else {
        take_td_body(r, q->body_type == DCAP_BODY_TD15, &q->td);
    }
    CLO_CHECKF(!r->bad, CLO_E_TRUNCATED, "the quote ends inside its body");
    return CLO_OK;
}

/* The QE's report, its signature, authentication data and certification data fill `r`. */
static clo_err take_qe_part(clo_rd *r, dcap_quote *q)
{
    take_sgx_body(r, &q->qe);
    q->qe_signature = clo_rd_span(r, 64);
    q->qe_auth_data = clo_rd_span(r, clo_rd_u16le(r));
    q->cert_type = clo_rd_u16le(r);
    q->cert_data = clo_rd_span(r, clo_rd_u32le(r));
    CLO_TRY(clo_rd_end(r));
    CLO_CHECKF(q->cert_type >= 1 && q->cert_type <= DCAP_CERT_CHAIN, CLO_E_UNSUPPORTED, "certification data of type %u is not known", q->cert_type);
    CLO_CHECKF(q->cert_data.n <= DCAP_CERT_DATA_MAX, CLO_E_TOO_LARGE, "certification data has at most %d bytes", (int)DCAP_CERT_DATA_MAX);
    return CLO_OK;
}

static clo_err take_signature(clo_rd *r, dcap_quote *q)
{
    q->signature_size = clo_rd_u32le(r);
    clo_rd part = clo_rd_sub(r, q->signature_size);
    CLO_CHECKF(!r->bad, CLO_E_TRUNCATED, "the quote ends before the %u bytes of its signature data", q->signature_size);
    q->signature = clo_rd_span(&part, 64);
    q->key = clo_rd_span(&part, 64);
    if (q->version == 3) return take_qe_part(&part, q);
    uint16_t type = clo_rd_u16le(&part);
    clo_rd inner = clo_rd_sub(&part, clo_rd_u32le(&part));
    CLO_TRY(clo_rd_end(&part));
    CLO_CHECKF(type == 6, CLO_E_UNSUPPORTED, "a quote of version %u has certification data of type 6, not %u", q->version, type);
    return take_qe_part(&inner, q);
}

CLO_R clo_attest_dcap_parse(clo_span bytes, dcap_quote *out)
{
    dcap_quote q = {.version = 0};
    clo_rd r = clo_rd_init(bytes);
    CLO_TRY(take_header(&r, &q));
    CLO_TRY(take_body(&r, &q));
    q.signed_bytes = clo_span_of(bytes.p, bytes.n - r.left);
    CLO_TRY(take_signature(&r, &q));
    q.trailing = r.left;
    *out = q;
    return CLO_OK;
}

static clo_err set_sgx_body(clo_arena *a, clo_wire_node *map, const dcap_sgx_body *b)
{
    CLO_TRY(clo_wire_set_bytes(a, map, "cpusvn", b->cpusvn));
    CLO_TRY(clo_wire_set_int(a, map, "miscselect", b->miscselect));
    CLO_TRY(clo_wire_set_bytes(a, map, "isv_ext_prod_id", b->ext_prod_id));
    CLO_TRY(clo_wire_set_bytes(a, map, "attributes", b->attributes));
    CLO_TRY(clo_wire_set_bool(a, map, "debug", (b->attributes.p[0] & DCAP_DEBUG) != 0));
    CLO_TRY(clo_wire_set_bytes(a, map, "mrenclave", b->mrenclave));
    CLO_TRY(clo_wire_set_bytes(a, map, "mrsigner", b->mrsigner));
    CLO_TRY(clo_wire_set_bytes(a, map, "config_id", b->config_id));
    CLO_TRY(clo_wire_set_int(a, map, "isv_prod_id", b->isv_prod_id));
    CLO_TRY(clo_wire_set_int(a, map, "isv_svn", b->isv_svn));
    CLO_TRY(clo_wire_set_int(a, map, "config_svn", b->config_svn));
    CLO_TRY(clo_wire_set_bytes(a, map, "isv_family_id", b->family_id));
    return clo_wire_set_bytes(a, map, "report_data", b->report_data);
}

static clo_err set_td_body(clo_arena *a, clo_wire_node *map, const dcap_td_body *b)
{
    const struct {
        const char *name;
        clo_span value;
    } fields[] = {
        {"tee_tcb_svn", b->tee_tcb_svn},   {"mr_seam", b->mr_seam}, {"mr_signer_seam", b->mr_signer_seam}, {"seam_attributes", b->seam_attributes},
        {"td_attributes", b->td_attributes}, {"xfam", b->xfam},     {"mr_td", b->mr_td},                   {"mr_config_id", b->mr_config_id},
        {"mr_owner", b->mr_owner},         {"mr_owner_config", b->mr_owner_config},
        {"rtmr0", b->rtmr[0]},             {"rtmr1", b->rtmr[1]},   {"rtmr2", b->rtmr[2]},                 {"rtmr3", b->rtmr[3]},
        {"report_data", b->report_data},   {"tee_tcb_svn2", b->tee_tcb_svn2}, {"mr_service_td", b->mr_service_td},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].value.n != 0) CLO_TRY(clo_wire_set_bytes(a, map, fields[i].name, fields[i].value));
    }
    return clo_wire_set_bool(a, map, "debug", (b->td_attributes.p[0] & 1) != 0);
}

static clo_err set_qe(clo_arena *a, clo_wire_node *map, const dcap_sgx_body *qe)
{
    CLO_TRY(clo_wire_set_bytes(a, map, "mrsigner", qe->mrsigner));
    CLO_TRY(clo_wire_set_int(a, map, "isv_prod_id", qe->isv_prod_id));
    CLO_TRY(clo_wire_set_int(a, map, "isv_svn", qe->isv_svn));
    CLO_TRY(clo_wire_set_bytes(a, map, "attributes", qe->attributes));
    return clo_wire_set_int(a, map, "miscselect", qe->miscselect);
}

CLO_R clo_attest_dcap_claims(clo_arena *a, const dcap_quote *q, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *body = NULL, *qe = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_int(a, map, "version", q->version));
    CLO_TRY(clo_wire_set_int(a, map, "att_key_type", q->key_type));
    CLO_TRY(clo_wire_set_int(a, map, "tee_type", q->tee_type));
    CLO_TRY(clo_wire_set_bytes(a, map, "qe_vendor_id", q->vendor));
    CLO_TRY(clo_wire_set_bytes(a, map, "user_data", q->user_data));
    if (q->version == 3) {
        CLO_TRY(clo_wire_set_int(a, map, "qe_svn", q->qe_svn));
        CLO_TRY(clo_wire_set_int(a, map, "pce_svn", q->pce_svn));
    }
    if (q->version == 5) {
        CLO_TRY(clo_wire_set_int(a, map, "body_type", (int64_t)q->body_type));
        CLO_TRY(clo_wire_set_int(a, map, "body_size", q->body_size));
    }
    CLO_TRY(clo_wire_map(a, &body));
    CLO_TRY(q->body_type == DCAP_BODY_SGX ? set_sgx_body(a, body, &q->sgx) : set_td_body(a, body, &q->td));
    CLO_TRY(clo_wire_set(a, map, "body", body));
    CLO_TRY(clo_wire_set_int(a, map, "sig_data_len", q->signature_size));
    CLO_TRY(clo_wire_set_int(a, map, "trailing_bytes", (int64_t)q->trailing));
    CLO_TRY(clo_wire_set_int(a, map, "cert_type", q->cert_type));
    CLO_TRY(clo_wire_map(a, &qe));
    CLO_TRY(set_qe(a, qe, &q->qe));
    CLO_TRY(clo_wire_set(a, map, "qe", qe));
    *out = map;
    return CLO_OK;
}
