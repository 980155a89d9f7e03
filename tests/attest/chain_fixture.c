#include "chain_fixture.h"

#define AMD "1.3.6.1.4.1.3704.1"

identity ark, ask, other;
static clo_buf vcek_pem;
static clo_crypto_private_key vcek_key;

const vcek_options usual = {.product = "Simulated", .kind = "SEV-VCEK", .boot_loader = 3, .hardware_id_bytes = 64, .from = NOW - DAY, .to = NOW + DAY};

void make_ca(identity *i, const char *name, const identity *issuer, int64_t from, int64_t to)
{
    clo_crypto_cert_request r = {.common_name = name, .not_before = from, .not_after = to, .is_ca = true, .pss384 = true, .serial = 7};
    clo_buf_clear(&i->der);
    clo_crypto_cert_free(&i->cert);
    assert_ok(clo_crypto_cert_make(&r, clo_buf_span(&i->pem), issuer == NULL ? NULL : issuer->cert, clo_buf_span(issuer == NULL ? &i->pem : &issuer->pem), &i->der));
    assert_ok(clo_crypto_cert_parse(&i->cert, clo_buf_span(&i->der)));
}

void make_usual_cas(void)
{
    make_ca(&ark, "ARK-Simulated", NULL, NOW - 10 * DAY, NOW + 10 * DAY);
    make_ca(&ask, "SEV-Simulated", &ark, NOW - 10 * DAY, NOW + 10 * DAY);
}

void make_vcek(const vcek_options *o, clo_buf *der)
{
    uint8_t number[3] = {2, 1, 0}, bl[4] = {2, 1, o->boot_loader}, ucode[4] = {2, 2, 0, 0x80}, product[34] = {0x16}, id[66];
    size_t bl_size = 3, id_at = 2;
    if (o->boot_loader >= 0x80) {
        memcpy(bl, (const uint8_t[]){2, 2, 0, o->boot_loader}, 4);
        bl_size = 4;
    }
    size_t length = strlen(o->product);
    product[1] = (uint8_t)length;
    memcpy(product + 2, o->product, length);
    memset(id, 0xc1, sizeof id);
    id[0] = 4;
    id[1] = o->hardware_id_bytes;
    if (o->octets) id_at = 0;
    clo_span csp = clo_span_of("\x16\x05" "CN=ab", 7);
    clo_crypto_extension list[9] = {
        {AMD ".1", clo_span_of(number, 3)},    {AMD ".2", clo_span_of(product, length + 2)}, {AMD ".3.1", clo_span_of(bl, bl_size)},
        {AMD ".3.2", clo_span_of(number, 3)},  {AMD ".3.8", clo_span_of(ucode, 4)},
    };
    size_t n = 5;
    if (!o->no_snp) list[n++] = (clo_crypto_extension){AMD ".3.3", clo_span_of(number, 3)};
    if (o->hardware_id_bytes != 0) list[n++] = (clo_crypto_extension){AMD ".4", clo_span_of(id + id_at, (size_t)o->hardware_id_bytes + 2 - id_at)};
    if (o->csp) list[n++] = (clo_crypto_extension){AMD ".5", csp};
    if (o->duplicate_number) list[n++] = (clo_crypto_extension){AMD ".3.1", clo_span_of(bl, bl_size)};
    clo_crypto_cert_request r = {.common_name = o->kind, .not_before = o->from, .not_after = o->to, .pss384 = !o->not_pss, .serial = 9, .extensions = list, .extension_count = n};
    assert_ok(clo_crypto_cert_make(&r, clo_buf_span(o->rsa_key ? &other.pem : &vcek_pem), ask.cert, clo_buf_span(&ask.pem), der));
}

static void put_tcb(uint8_t *at, uint8_t boot_loader)
{
    at[0] = boot_loader;
    at[7] = 0x80;
}

void report_usual(uint8_t report[1184])
{
    memset(report, 0, 1184);
    report[0] = 2;
    report[0x0a] = 3;
    report[0x34] = 1;
    put_tcb(report + 0x38, 3);
    put_tcb(report + 0x180, 3);
    memset(report + 0x1a0, 0xc1, 64);
    put_tcb(report + 0x1e0, 3);
    memcpy(report + 0x1e8, "\x05\x37\x01\0\x05\x37\x01\0", 8);
    put_tcb(report + 0x1f0, 3);
}

void report_sign(uint8_t report[1184])
{
    uint8_t rs[96];
    assert_ok(clo_crypto_sign(&vcek_key, clo_span_of(report, 0x2a0), rs));
    for (size_t i = 0; i < 48; i++) {
        report[0x2a0 + i] = rs[47 - i];
        report[0x2e8 + i] = rs[95 - i];
    }
}

void policy_usual(clo_attest_policy *p)
{
    clo_attest_policy_init(p);
    p->allow_simulated = true;
    p->require_crl = false;
    p->root_count = 1;
    clo_crypto_cert_sha256(ark.cert, p->roots[0]);
}

int chain_set_up(void **state)
{
    (void)state;
    identity *all[] = {&ark, &ask, &other};
    for (size_t i = 0; i < 3; i++) {
        clo_buf_init(&all[i]->pem, 16384);
        clo_buf_init(&all[i]->der, 16384);
        if (clo_failed(clo_crypto_keypair_make(CLO_KEYPAIR_RSA4096, &all[i]->pem))) return -1;
    }
    clo_buf_init(&vcek_pem, 4096);
    if (clo_failed(clo_crypto_keypair_make(CLO_KEYPAIR_P384, &vcek_pem))) return -1;
    make_usual_cas();
    make_ca(&other, "ARK-Simulated", NULL, NOW - DAY, NOW + DAY);
    return clo_failed(clo_crypto_keypair_private(clo_buf_span(&vcek_pem), &vcek_key)) ? -1 : 0;
}

int chain_tear_down(void **state)
{
    (void)state;
    identity *all[] = {&ark, &ask, &other};
    for (size_t i = 0; i < 3; i++) {
        clo_buf_free(&all[i]->pem);
        clo_buf_free(&all[i]->der);
        clo_crypto_cert_free(&all[i]->cert);
    }
    clo_buf_free(&vcek_pem);
    return 0;
}
