/* Layout and claims of the HCL report. */
#include "attest/azure_hcl.h"

#include "base/clo_buf.h"
#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "wire/jws.h"

#include <stdio.h>

enum { REQUEST_TYPE = 2, HEADER_SIZE = 32, DATA_HEADER_SIZE = 20, SNP_REPORT_DATA = 0x50, TD_REPORT_DATA = 128, TD_REPORT_SIZE = 1024 };

static bool all_zero(clo_span s)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < s.n; i++) seen = (uint8_t)(seen | s.p[i]);
    return seen == 0;
}

static clo_err read_header(clo_rd *r, azure_hcl *h)
{
    clo_span magic = clo_rd_span(r, 4);
    h->version = clo_rd_u32le(r);
    h->report_size = clo_rd_u32le(r);
    h->request_type = clo_rd_u32le(r);
    h->status = clo_rd_u32le(r);
    h->reserved_zero = all_zero(clo_rd_span(r, 12));
    h->hardware = clo_rd_span(r, AZURE_HARDWARE_SIZE);
    h->data_size = clo_rd_u32le(r);
    h->data_version = clo_rd_u32le(r);
    h->report_type = clo_rd_u32le(r);
    h->hash_type = clo_rd_u32le(r);
    h->claims_size = clo_rd_u32le(r);
    h->claims = clo_rd_span(r, h->claims_size);
    CLO_CHECKF(!r->bad, CLO_E_TRUNCATED, "the HCL report is shorter than it says");
    CLO_CHECKF(clo_span_equal(magic, clo_span_str("HCLA")), CLO_E_MALFORMED, "the bytes do not begin as an HCL report does");
    CLO_CHECKF(h->version == 1 || h->version == 2, CLO_E_VERSION, "an HCL report of version %u is not known here", (unsigned)h->version);
    CLO_CHECKF(h->data_version == 1, CLO_E_VERSION, "runtime data of version %u is not known here", (unsigned)h->data_version);
    CLO_CHECKF(h->request_type == REQUEST_TYPE && h->status == 0, CLO_E_MALFORMED, "the HCL report answers another request, or a failed one");
    CLO_CHECKF(h->data_size == h->claims_size + DATA_HEADER_SIZE && h->report_size == HEADER_SIZE + AZURE_HARDWARE_SIZE + h->data_size, CLO_E_MALFORMED,
               "the sizes in the HCL report do not agree");
    return CLO_OK;
}

clo_err clo_attest_azure_hcl_parse(clo_span bytes, azure_hcl *out)
{
    static const clo_crypto_hash_alg hashes[] = {CLO_HASH_SHA256, CLO_HASH_SHA384, CLO_HASH_SHA512};
    CLO_CHECKF(bytes.n <= AZURE_HCL_MAX, CLO_E_TOO_LARGE, "an HCL report has at most %d bytes", (int)AZURE_HCL_MAX);
    azure_hcl h = {.version = 0};
    clo_rd r = clo_rd_init(bytes);
    CLO_TRY(read_header(&r, &h));
    h.reserved_zero = all_zero(clo_rd_span(&r, r.left)) && h.reserved_zero; /* the NV index is larger than the report */
    CLO_CHECKF(h.report_type == AZURE_REPORT_SNP || h.report_type == AZURE_REPORT_TDX, CLO_E_UNSUPPORTED,
               "hardware report of kind %u: SEV-SNP (2) and TDX (4) are known", (unsigned)h.report_type);
    CLO_CHECKF(h.hash_type >= 1 && h.hash_type <= 3, CLO_E_UNSUPPORTED, "claims hash of kind %u is not known here", (unsigned)h.hash_type);
    h.hash = hashes[h.hash_type - 1];
    CLO_TRY(clo_crypto_hash(h.hash, h.claims, h.bound));
    bool tdx = h.report_type == AZURE_REPORT_TDX;
    if (tdx) h.reserved_zero = all_zero(clo_span_of(h.hardware.p + TD_REPORT_SIZE, AZURE_HARDWARE_SIZE - TD_REPORT_SIZE)) && h.reserved_zero;
    h.report_data = clo_span_of(h.hardware.p + (tdx ? TD_REPORT_DATA : SNP_REPORT_DATA), 64);
    *out = h;
    return CLO_OK;
}

clo_err clo_attest_azure_hcl_claims(clo_arena *a, const azure_hcl *h, clo_wire_node **out)
{
    static const char *const hash_names[] = {"sha256", "sha384", "sha512"};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    const struct {
        const char *name;
        uint32_t value;
    } numbers[] = {{"version", h->version},     {"report_size", h->report_size},  {"request_type", h->request_type},
                   {"data_size", h->data_size}, {"req_version", h->data_version}, {"var_size", h->claims_size}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) CLO_TRY(clo_wire_set_int(a, map, numbers[i].name, numbers[i].value));
    CLO_TRY(clo_wire_set_text(a, map, "signature", "HCLA"));
    CLO_TRY(clo_wire_set_text(a, map, "report_type", h->report_type == AZURE_REPORT_TDX ? "tdx" : "snp"));
    CLO_TRY(clo_wire_set_text(a, map, "hash_type", hash_names[h->hash_type - 1]));
    CLO_TRY(clo_wire_set_bytes(a, map, "claims_hash", clo_span_of(h->bound, clo_crypto_hash_size(h->hash))));
    CLO_TRY(clo_wire_set_bool(a, map, "binding_ok", clo_span_equal(h->report_data, clo_span_of(h->bound, sizeof h->bound))));
    *out = map;
    return CLO_OK;
}

clo_err clo_attest_azure_ak(clo_arena *a, const clo_wire_node *claims, clo_crypto_verify_key **out)
{
    const clo_wire_node *keys = clo_wire_get(claims, "keys"), *found = NULL;
    CLO_CHECKF(keys != NULL && keys->type == CLO_WIRE_ARRAY, CLO_E_MALFORMED, "the claims have no list of keys");
    for (const clo_wire_node *n = keys->first; n != NULL; n = n->next) {
        const clo_wire_node *kid = n->type == CLO_WIRE_MAP ? clo_wire_get(n, "kid") : NULL;
        if (kid == NULL || kid->type != CLO_WIRE_TEXT || !clo_span_equal(kid->text, clo_span_str("HCLAkPub"))) continue;
        CLO_CHECKF(found == NULL, CLO_E_DUPLICATE, "the claims have two keys HCLAkPub");
        found = n;
    }
    CLO_CHECKF(found != NULL, CLO_E_MISSING_FIELD, "the claims have no key HCLAkPub");
    CLO_AUTO(clo_crypto_verify_key_free) clo_crypto_verify_key *made = NULL;
    CLO_TRY(clo_wire_jwk_read(a, found, &made));
    CLO_CHECKF(clo_crypto_verify_key_rsa_bits(made) != 0, CLO_E_UNSUPPORTED, "HCLAkPub is no RSA key");
    *out = CLO_TAKE(made);
    return CLO_OK;
}

clo_err clo_attest_azure_qualified_name(clo_span modulus, uint8_t out[34])
{
    /* TPMT_PUBLIC: RSA, SHA-256, fixedTPM fixedParent sensitiveDataOrigin userWithAuth noDA restricted sign, no policy, no symmetric
     * cipher, RSASSA with SHA-256, 2,048 bits, the usual exponent. */
    static const uint8_t template[] = {0x00, 0x01, 0x00, 0x0b, 0x00, 0x05, 0x04, 0x72, 0x00, 0x00, 0x00, 0x10,
                                       0x00, 0x14, 0x00, 0x0b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00};
    uint8_t area[sizeof template + 256] = {0}, name[4 + 34] = {0x40, 0x00, 0x00, 0x0b, 0x00, 0x0b}; /* the endorsement hierarchy; SHA-256 */
    CLO_CHECKF(modulus.n == 256, CLO_E_UNSUPPORTED, "the template is of RSA keys of 2,048 bits");
    memcpy(area, template, sizeof template);
    memcpy(area + sizeof template, modulus.p, modulus.n);
    CLO_TRY(clo_crypto_sha256(clo_span_of(area, sizeof area), name + 6));
    out[0] = 0x00;
    out[1] = 0x0b;
    return clo_crypto_sha256(clo_span_of(name, sizeof name), out + 2);
}
