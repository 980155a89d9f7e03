/* AMD's extensions of a VCEK or VLEK certificate (AMD 57230): product, TCB, hardware id or CSP id. */
#include "attest/attest_int.h"
#include "base/clo_text.h"
#include "wire/der.h"

#include <stdio.h>

/* Content of the one DER value of this tag that fills `in`; empty where it is anything else. */
static clo_span der_content(clo_span in, uint8_t tag)
{
    clo_span content = {NULL, 0};
    if (clo_failed(clo_wire_der_take(&in, tag, &content)) || in.n != 0) return clo_span_of(NULL, 0);
    return content;
}

/* A number that fills the extension, of at most `most`. */
static clo_err der_number(clo_span in, uint64_t most, uint64_t *out)
{
    CLO_TRY(clo_wire_der_take_uint(&in, out));
    CLO_CHECK(in.n == 0, CLO_E_TRAILING);
    CLO_CHECK(*out <= most, CLO_E_RANGE);
    return CLO_OK;
}

static clo_err take_extension(const clo_crypto_cert *cert, const char *oid, bool required, clo_span *out)
{
    CLO_TRY(clo_crypto_cert_extension(cert, oid, out));
    CLO_CHECKF(!required || out->n != 0, CLO_E_MISSING_FIELD, "the certificate lacks AMD's extension %s", oid);
    return CLO_OK;
}

/* A non-negative INTEGER up to 255 in its shortest form. */
static clo_err take_svn(const clo_crypto_cert *cert, const char *oid, uint8_t *out)
{
    clo_span ext = {NULL, 0};
    CLO_TRY(take_extension(cert, oid, true, &ext));
    uint64_t number = 0;
    CLO_CHECKF(!clo_failed(der_number(ext, UINT8_MAX, &number)), CLO_E_MALFORMED, "AMD's extension %s is no version number of 0..255", oid);
    *out = (uint8_t)number;
    return CLO_OK;
}

static clo_err read_text(const char *oid, char *to, size_t to_size, clo_span ext)
{
    clo_span v = der_content(ext, CLO_DER_IA5);
    if (v.n == 0) v = der_content(ext, CLO_DER_UTF8);
    CLO_CHECKF(v.n != 0, CLO_E_MALFORMED, "AMD's extension %s is no text", oid);
    for (size_t i = 0; i < v.n; i++) {
        CLO_CHECKF(v.p[i] >= 0x20 && v.p[i] < 0x7f, CLO_E_MALFORMED, "AMD's extension %s holds characters outside ASCII", oid);
    }
    return clo_str_set(to, to_size, v);
}

/* "Milan-B0" is Milan: the stepping follows the dash. */
static snp_product product_of_text(const char *text)
{
    static const snp_product all[] = {SNP_PRODUCT_MILAN, SNP_PRODUCT_GENOA, SNP_PRODUCT_TURIN, SNP_PRODUCT_SIMULATED};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const char *name = clo_attest_snp_product_name(all[i]);
        size_t n = strlen(name);
        if (strncmp(text, name, n) == 0 && (text[n] == '\0' || text[n] == '-')) return all[i];
    }
    return SNP_PRODUCT_UNKNOWN;
}

/* The hardware id stands as it is, or (older certificates) inside an OCTET STRING. */
static clo_err take_hardware_id(clo_span ext, bool turin, snp_endorsement *e)
{
    size_t want = turin ? 8 : 64;
    clo_span inner = der_content(ext, CLO_DER_OCTETS);
    if (ext.n != want && inner.n == want) ext = inner;
    CLO_CHECKF(ext.n == want, CLO_E_MALFORMED, "the hardware id of the certificate has %zu bytes, not %zu", ext.n, want);
    memcpy(e->hardware_id, ext.p, ext.n);
    e->hardware_id_bytes = ext.n;
    return CLO_OK;
}

CLO_R clo_attest_snp_endorsement(const clo_crypto_cert *cert, snp_endorsement *out)
{
    snp_endorsement e = {.vlek = false};
    clo_span version = {NULL, 0}, product = {NULL, 0}, hardware = {NULL, 0}, csp = {NULL, 0};
    CLO_TRY(take_extension(cert, "1.3.6.1.4.1.3704.1.1", true, &version));
    uint64_t number = 0;
    CLO_CHECKF(!clo_failed(der_number(version, 1, &number)), CLO_E_VERSION, "the structure version of the certificate is not known (0 and 1 are)");
    CLO_TRY(take_extension(cert, "1.3.6.1.4.1.3704.1.2", true, &product));
    CLO_TRY(read_text("1.3.6.1.4.1.3704.1.2", e.product_text, sizeof e.product_text, product));
    e.product = product_of_text(e.product_text);
    CLO_CHECKF(e.product != SNP_PRODUCT_UNKNOWN, CLO_E_UNSUPPORTED, "the certificate is for the product \"%s\", which is not known", e.product_text);
    e.tcb.turin = e.product == SNP_PRODUCT_TURIN;
    CLO_TRY(take_svn(cert, "1.3.6.1.4.1.3704.1.3.1", &e.tcb.bl));
    CLO_TRY(take_svn(cert, "1.3.6.1.4.1.3704.1.3.2", &e.tcb.tee));
    CLO_TRY(take_svn(cert, "1.3.6.1.4.1.3704.1.3.3", &e.tcb.snp));
    CLO_TRY(take_svn(cert, "1.3.6.1.4.1.3704.1.3.8", &e.tcb.ucode));
    if (e.tcb.turin) CLO_TRY(take_svn(cert, "1.3.6.1.4.1.3704.1.3.9", &e.tcb.fmc));
    CLO_TRY(take_extension(cert, "1.3.6.1.4.1.3704.1.4", false, &hardware));
    CLO_TRY(take_extension(cert, "1.3.6.1.4.1.3704.1.5", false, &csp));
    CLO_CHECKF((hardware.n != 0) != (csp.n != 0), CLO_E_MALFORMED, "the certificate must name either a chip (VCEK) or a cloud provider (VLEK)");
    e.vlek = csp.n != 0;
    if (e.vlek) {
        CLO_TRY(read_text("1.3.6.1.4.1.3704.1.5", e.csp, sizeof e.csp, csp));
    } else {
        CLO_TRY(take_hardware_id(hardware, e.tcb.turin, &e));
    }
    *out = e;
    return CLO_OK;
}
