/* What a PCK certificate says of its platform (Intel SGX PCK certificate specification, extension 1.2.840.113741.1.13.1). */
#include "attest/dcap_int.h"
#include "wire/der.h"

enum { PPID = 1, TCB = 2, PCEID = 3, FMSPC = 4, SGX_TYPE = 5, PLATFORM_INSTANCE = 6, CONFIGURATION = 7, PCE_SVN = 17, CPU_SVN = 18 };
enum { NEEDED = 1 << PPID | 1 << TCB | 1 << PCEID | 1 << FMSPC | 1 << SGX_TYPE, TCB_NEEDED = (1 << (CPU_SVN + 1)) - 2 };

/* 1.2.840.113741.1.13.1 as the content of an OBJECT IDENTIFIER. */
static const uint8_t extension_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

/* Take SEQUENCE { OID, value } whose OID is the extension's with `arcs` further ones; the last is the number, the value is left in *value. */
static clo_err take_item(clo_span *in, size_t arcs, unsigned *number, clo_span *value)
{
    clo_span item = {NULL, 0}, oid = {NULL, 0};
    CLO_TRY(clo_wire_der_take(in, CLO_DER_SEQUENCE, &item));
    CLO_TRY(clo_wire_der_take(&item, CLO_DER_OID, &oid));
    bool known = oid.n == sizeof extension_oid + arcs && memcmp(oid.p, extension_oid, sizeof extension_oid) == 0 && oid.p[oid.n - 1] < 32;
    CLO_CHECKF(known, CLO_E_MALFORMED, "the PCK certificate's extension has an item of another kind");
    *number = oid.p[oid.n - 1];
    *value = item;
    return CLO_OK;
}

static clo_err note(uint32_t *seen, unsigned number)
{
    CLO_CHECKF((*seen >> number & 1) == 0, CLO_E_DUPLICATE, "the PCK certificate's extension has item %u twice", number);
    *seen |= (uint32_t)1 << number;
    return CLO_OK;
}

static clo_err take_fixed(clo_span *value, uint8_t *to, size_t n)
{
    clo_span bytes = {NULL, 0};
    CLO_TRY(clo_wire_der_take(value, CLO_DER_OCTETS, &bytes));
    CLO_CHECKF(bytes.n == n, CLO_E_MALFORMED, "an item of the PCK certificate's extension has %zu bytes, not %zu", bytes.n, n);
    memcpy(to, bytes.p, n);
    return CLO_OK;
}

static clo_err take_number(clo_span *value, uint64_t max, uint64_t *out)
{
    CLO_TRY(clo_wire_der_take_uint(value, out));
    CLO_CHECKF(*out <= max, CLO_E_RANGE, "a number of the PCK certificate's extension is larger than %llu", (unsigned long long)max);
    return CLO_OK;
}

static clo_err take_tcb(clo_span *value, dcap_pck *p)
{
    clo_span list = {NULL, 0};
    uint32_t seen = 0;
    CLO_TRY(clo_wire_der_take(value, CLO_DER_SEQUENCE, &list));
    while (list.n != 0) {
        unsigned number = 0;
        uint64_t v = 0;
        clo_span item = {NULL, 0};
        CLO_TRY(take_item(&list, 2, &number, &item));
        CLO_TRY(note(&seen, number));
        CLO_CHECKF(number >= 1 && number <= CPU_SVN, CLO_E_MALFORMED, "the PCK certificate's TCB has an unknown item %u", number);
        if (number == CPU_SVN) {
            CLO_TRY(take_fixed(&item, p->cpusvn, sizeof p->cpusvn));
        } else if (number == PCE_SVN) {
            CLO_TRY(take_number(&item, UINT16_MAX, &v));
            p->pce_svn = (uint16_t)v;
        } else {
            CLO_TRY(take_number(&item, UINT8_MAX, &v));
            p->components[number - 1] = (uint8_t)v;
        }
        CLO_CHECK(item.n == 0, CLO_E_TRAILING);
    }
    CLO_CHECKF(seen == TCB_NEEDED, CLO_E_MISSING_FIELD, "the PCK certificate's TCB is not complete");
    return CLO_OK;
}

static clo_err take_value(unsigned number, clo_span *value, dcap_pck *p)
{
    uint64_t v = 0;
    clo_span skipped = {NULL, 0};
    switch (number) {
    case PPID:
        return take_fixed(value, p->ppid, sizeof p->ppid);
    case TCB:
        return take_tcb(value, p);
    case PCEID:
        return take_fixed(value, p->pceid, sizeof p->pceid);
    case FMSPC:
        return take_fixed(value, p->fmspc, sizeof p->fmspc);
    case SGX_TYPE:
        CLO_TRY(take_number(value, 2, &v));
        p->sgx_type = (uint8_t)v;
        return CLO_OK;
    case PLATFORM_INSTANCE:
        p->have_platform_instance = true;
        return take_fixed(value, p->platform_instance, sizeof p->platform_instance);
    case CONFIGURATION: /* three booleans: the TCB status says already what follows from them */
        return clo_wire_der_take(value, CLO_DER_SEQUENCE, &skipped);
    default:
        return CLO_FAILF(CLO_E_MALFORMED, "the PCK certificate's extension has an unknown item %u", number);
    }
}

CLO_R clo_attest_dcap_pck(const clo_crypto_cert *cert, dcap_pck *out)
{
    clo_span extension = {NULL, 0}, list = {NULL, 0};
    dcap_pck p = {.pce_svn = 0};
    uint32_t seen = 0;
    CLO_TRY(clo_crypto_cert_extension(cert, "1.2.840.113741.1.13.1", &extension));
    CLO_CHECKF(extension.n != 0, CLO_E_MISSING_FIELD, "the certificate is none of a platform: it has no SGX extension");
    CLO_TRY(clo_wire_der_take(&extension, CLO_DER_SEQUENCE, &list));
    CLO_CHECK(extension.n == 0, CLO_E_TRAILING);
    while (list.n != 0) {
        unsigned number = 0;
        clo_span value = {NULL, 0};
        CLO_TRY(take_item(&list, 1, &number, &value));
        CLO_TRY(note(&seen, number));
        CLO_TRY(take_value(number, &value, &p));
        CLO_CHECK(value.n == 0, CLO_E_TRAILING);
    }
    CLO_CHECKF((seen & NEEDED) == NEEDED, CLO_E_MISSING_FIELD, "the PCK certificate's extension is not complete");
    *out = p;
    return CLO_OK;
}

CLO_R clo_attest_dcap_pck_claims(clo_arena *a, const dcap_pck *p, clo_wire_node *claims)
{
    clo_wire_node *map = NULL, *list = NULL, *one = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_bytes(a, map, "ppid", clo_span_of(p->ppid, sizeof p->ppid)));
    CLO_TRY(clo_wire_set_int(a, map, "pcesvn", p->pce_svn));
    CLO_TRY(clo_wire_set_bytes(a, map, "cpusvn", clo_span_of(p->cpusvn, sizeof p->cpusvn)));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < DCAP_COMPONENTS; i++) {
        CLO_TRY(clo_wire_int(a, p->components[i], &one));
        CLO_TRY(clo_wire_append(list, one));
    }
    CLO_TRY(clo_wire_set(a, map, "comp", list));
    CLO_TRY(clo_wire_set_bytes(a, map, "pceid", clo_span_of(p->pceid, sizeof p->pceid)));
    CLO_TRY(clo_wire_set_bytes(a, map, "fmspc", clo_span_of(p->fmspc, sizeof p->fmspc)));
    CLO_TRY(clo_wire_set_int(a, map, "sgx_type", p->sgx_type));
    if (p->have_platform_instance)
        CLO_TRY(clo_wire_set_bytes(a, map, "platform_instance_id", clo_span_of(p->platform_instance, sizeof p->platform_instance)));
    return clo_wire_set(a, claims, "pck", map);
}
