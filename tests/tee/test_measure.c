/* Proves the offline launch measurements: published values of SEV-SNP guests and an SGX enclave; enclave images and TD firmware made here
 * with their values computed another way; and that no cut or changed file is measured as if it were whole. */
#include "cmocka_all.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "os/file.h"
#include "tee/eif_image.h"
#include "tee/measure.h"
#include "tee/measure_int.h"
#include "wire/cbor.h"
#include "wire/cose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void golden(const char *name, clo_buf *out)
{
    char path[128];
    (void)snprintf(path, sizeof path, "tests/tee/golden/%s", name);
    clo_buf_init(out, 1 << 20);
    assert_ok(clo_os_file_read(path, 1 << 20, out));
}

static void assert_value(const clo_tee_measured *m, const char *name, const char *hex)
{
    const clo_wire_node *n = clo_wire_get(m->values, name);
    char got[129] = "";
    assert_non_null(n);
    clo_hex_encode(got, n->text);
    assert_string_equal(got, hex);
}

static void assert_value_is(const clo_tee_measured *m, const char *name, const uint8_t *bytes, size_t n)
{
    char hex[129];
    clo_hex_encode(hex, clo_span_of(bytes, n));
    assert_value(m, name, hex);
}

#define OPEN_MEASURED                     \
    CLO_AUTO(clo_arena_free) clo_arena a; \
    clo_tee_measured m;                   \
    clo_arena_init(&a, 64 << 20);         \
    assert_ok(clo_tee_measured_open(&a, &m))

typedef struct {
    const char *firmware;
    bool kernel;
    const char *line;
    unsigned vcpus;
    uint64_t features;
    clo_tee_vmm vmm;
    const char *digest;
} snp_case;

/* virtee/sev-snp-measure, tests/test_guest.py: EPYC-v4, kernel and initrd empty files. */
static const snp_case published[] = {
    {"AmdSev", true, "", 1, 0x21, CLO_TEE_VMM_QEMU, "329c8ce0972ae52343b64d34a434a86f245dfd74f5ed7aae15d22efc78fb9683632b9b50e4e1d7fa41179ef98a7ef198"},
    {"AmdSev", true, "", 1, 0x1, CLO_TEE_VMM_QEMU, "ddc5224521617a536ee7ce9dd6224d1b58a8d4fda1c741f3ac99fc4bfa04ba6e9fc98646d4a07a9079397fa3852819b5"},
    {"AmdSev", true, "console=ttyS0 loglevel=7", 1, 0x21, CLO_TEE_VMM_QEMU,
     "803f691094946e42068aaa3a8f9e26a5c89f36f7b73ecfb28c653360fe4b3aba7e534442e7e1e17895dfe778d0228977"},
    {"AmdSev", true, "console=ttyS0 loglevel=7", 1, 0x1, CLO_TEE_VMM_QEMU,
     "6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e706363b4b08fa"},
    {"AmdSev", true, "", 1, 0x21, CLO_TEE_VMM_EC2, "0ce9ccc06bab55eebe8abc234f3df6514883977a68a591b71052498ab52b2f1aa415db338033946ef93aa8278c0d67fb"},
    {"AmdSev", true, "", 1, 0x1, CLO_TEE_VMM_EC2, "0883bd0eeb716e65b7b977a321c278d1e51b33b5c655fab985443bbcc65c086b9c15e8a0bd8811050dec7e24964e5056"},
    {"AmdSev", true, "", 1, 0x1, CLO_TEE_VMM_GCE, "5da7106cf14cf46b1725ebab123eb9e53bd46a1e9f400cd0c08e7827b04b688ea8b4e403c8404efed4397ea5d5d0722e"},
    {"AmdSev", true, "", 4, 0x1, CLO_TEE_VMM_GCE, "5c5debf100fc339f90276e761ee1f1658d08922c3b20e2a2e6c7a6c3370b2452a15a00eae11886a93d6fd1e7ab81e29d"},
    {"AmdSev", false, NULL, 1, 0x21, CLO_TEE_VMM_QEMU, "e1e1ca029dd7973ab9513295be68198472dcd4fc834bd9af9b63f6e8a1674dbf281a9278a4a2ebe0eed9f22adbcd0e2b"},
    {"AmdSev", false, NULL, 1, 0x1, CLO_TEE_VMM_QEMU, "19358ba9a7615534a9a1e2f0dfc29384dcd4dcb7062ff9c6013b26869a5fc6ecabe033c48dd6f6db5d6d76e7c5df632d"},
    {"AmdSev", true, "", 4, 0x21, CLO_TEE_VMM_QEMU, "4953b1fb416fa874980e8442b3706d345926d5f38879134e00813c5d7abcbe78eafe7b422907be0b4698e2414a631942"},
    {"AmdSev", true, "", 4, 0x1, CLO_TEE_VMM_QEMU, "5061fffb019493a903613d56d54b94912a1a2f9e4502385f5c194616753720a92441310ba6c4933de877c36e23046ad5"},
    {"OvmfX64", false, NULL, 1, 0x21, CLO_TEE_VMM_QEMU, "28797ae0afaba4005a81e629acebfb59e6687949d6be44007cd5506823b0dd66f146aaae26ff291eed7b493d8a64c385"},
    {"OvmfX64", false, NULL, 1, 0x1, CLO_TEE_VMM_QEMU, "da0296de8193586a5512078dcd719eccecbd87e2b825ad4148c44f665dc87df21e5b49e21523a9ad993afdb6a30b4005"},
};

static clo_tee_snp_launch launch_of(const snp_case *k, clo_span firmware)
{
    clo_tee_snp_launch l = {.firmware = firmware, .have_kernel = k->kernel, .command_line = k->line, .vcpus = k->vcpus, .guest_features = k->features, .vmm = k->vmm};
    assert_ok(clo_tee_vcpu_signature("EPYC-v4", &l.vcpu_signature));
    return l;
}

static void test_snp_published(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        CLO_AUTO(clo_buf_free) clo_buf firmware = {.p = NULL};
        OPEN_MEASURED;
        char name[64];
        (void)snprintf(name, sizeof name, "ovmf_%s_suffix.bin", published[i].firmware);
        golden(name, &firmware);
        clo_tee_snp_launch l = launch_of(&published[i], clo_buf_span(&firmware));
        assert_ok(clo_tee_measure_snp(&l, &m));
        assert_value(&m, "measurement", published[i].digest);
        assert_true(m.steps->count > published[i].vcpus);
        /* The same from the digest after the firmware alone, which is published too. */
        uint8_t after[48];
        const char *first = "086e2e9149ebf45abdc3445fba5b2da8270bdbb04094d7a2c37faaa4b24af3aa16aff8c374c2a55c467a50da6d466b74";
        if (strcmp(published[i].firmware, "AmdSev") != 0) continue;
        assert_ok(clo_hex_decode(after, 48, clo_span_str(first)));
        l.firmware_digest = after;
        clo_tee_measured again;
        assert_ok(clo_tee_measured_open(&a, &again));
        assert_ok(clo_tee_measure_snp(&l, &again));
        assert_value(&again, "measurement", published[i].digest);
    }
}

static void test_snp_refusals(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf firmware = {.p = NULL};
    CLO_AUTO(clo_buf_free) clo_buf plain = {.p = NULL};
    OPEN_MEASURED;
    golden("ovmf_AmdSev_suffix.bin", &firmware);
    golden("ovmf_OvmfX64_suffix.bin", &plain);
    clo_tee_snp_launch l = launch_of(&published[0], clo_buf_span(&plain));
    assert_code(clo_tee_measure_snp(&l, &m), CLO_E_UNSUPPORTED); /* a kernel, but no place for its hashes */
    l = launch_of(&published[0], clo_buf_span(&firmware));
    l.vcpus = 0;
    assert_code(clo_tee_measure_snp(&l, &m), CLO_E_RANGE);
    l.vcpus = 1025;
    assert_code(clo_tee_measure_snp(&l, &m), CLO_E_RANGE);
    l.vcpus = 1;
    l.firmware.n -= 16;
    assert_code(clo_tee_measure_snp(&l, &m), CLO_E_RANGE);
    l.firmware = clo_span_of(firmware.p, 0);
    assert_true(clo_failed(clo_tee_measure_snp(&l, &m)));
    /* Whatever bit of the tables is turned: refused or measured, never beyond the file. */
    for (size_t bit = 0; bit < 8 * 4096; bit += 7) {
        clo_tee_sev_firmware f;
        clo_tee_td_firmware t;
        firmware.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        (void)!clo_failed(clo_tee_sev_firmware_parse(clo_buf_span(&firmware), &f));
        (void)!clo_failed(clo_tee_td_firmware_parse(clo_buf_span(&firmware), &t));
        firmware.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    uint32_t signature = 0;
    assert_ok(clo_tee_vcpu_signature("EPYC-Milan-v2", &signature));
    assert_int_equal(signature, 0x00a00f11);
    assert_ok(clo_tee_vcpu_signature("0x00a10f10", &signature));
    assert_int_equal(signature, 0x00a10f10);
    assert_code(clo_tee_vcpu_signature("EPYC-Milan-x", &signature), CLO_E_NOT_FOUND);
    assert_code(clo_tee_vcpu_signature("Xeon", &signature), CLO_E_NOT_FOUND);
}

/* ---- TDX ---- */

enum { TDVF = 16384, DESCRIPTOR_AT = TDVF - 1024 };

static void put_le(uint8_t *at, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) at[i] = (uint8_t)(v >> (8 * i));
}

static void td_section(uint8_t *at, uint32_t offset, uint32_t data, uint64_t address, uint64_t size, uint32_t kind, uint32_t attributes)
{
    put_le(at, offset, 4);
    put_le(at + 4, data, 4);
    put_le(at + 8, address, 8);
    put_le(at + 16, size, 8);
    put_le(at + 24, kind, 4);
    put_le(at + 28, attributes, 4);
}

/* Firmware (measured), a section whose data ends within a chunk, a HOB (address alone), and memory that is not added at launch. */
static void make_tdvf(uint8_t f[TDVF])
{
    static const uint8_t footer[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
    static const uint8_t tdx[16] = {0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2};
    for (size_t i = 0; i < TDVF; i++) f[i] = (uint8_t)(i * 31 + i / 251);
    uint8_t *d = f + DESCRIPTOR_AT;
    memcpy(d, "TDVF", 4);
    put_le(d + 4, 16 + 4 * 32, 4);
    put_le(d + 8, 1, 4);
    put_le(d + 12, 4, 4);
    td_section(d + 16, 4096, 8192, 0xffffd000, 8192, 0, 1);
    td_section(d + 48, 100, 5000, 0xffc00000, 8192, 1, 1);
    td_section(d + 80, 0, 0, 0x809000, 8192, 2, 0);
    td_section(d + 112, 0, 0, 0, UINT64_C(0x80000000), 4, 2);
    uint8_t *end = f + TDVF - 32; /* the table: one entry, then its own */
    put_le(end - 40, 1024, 4);
    put_le(end - 36, 22, 2);
    memcpy(end - 34, tdx, 16);
    put_le(end - 18, 40, 2);
    memcpy(end - 16, footer, 16);
}

static void test_tdx(void **state)
{
    (void)state;
    static uint8_t f[TDVF];
    OPEN_MEASURED;
    make_tdvf(f);
    if (getenv("DUMP_TDVF") != NULL) (void)!clo_failed(clo_os_file_write_atomic(getenv("DUMP_TDVF"), clo_span_of(f, TDVF), 0600));
    clo_tee_tdx_launch l = {.firmware = clo_span_of(f, TDVF)};
    assert_ok(clo_tee_measure_tdx(&l, &m));
    /* Computed from the same bytes by a script of a few lines (Python's hashlib) after the TDX module specification. */
    assert_value(&m, "mrtd", "f2bf8694a7590fb4ab4f9fc5089eefe33b96e7e043a29afbf19cc95ededdfad142720f251d17ffdc0fd7faad3992b9c6");
    assert_int_equal(m.steps->count, 4);
    assert_null(clo_wire_get(m.values, "rtmr2"));
    clo_tee_measured two;
    assert_ok(clo_tee_measured_open(&a, &two));
    l.two_pass = true;
    l.have_command_line = true;
    l.command_line = "console=hvc0 root=/dev/vda1";
    l.initrd = clo_span_str("initrd bytes");
    assert_ok(clo_tee_measure_tdx(&l, &two));
    assert_value(&two, "mrtd", "e261c26069e92b6d90d53af7c5f39b19031900a02b832355f1cf00f3cd44f65bb78c0d8a234ad7bf9d19360399cd27a5");
    assert_value(&two, "rtmr2", "04ebd64290edce74a3d371a5c9cb6ae9f13733336fe25bba1bf9c0724ae32710ff3e74ce2d7b69b3bf3c800235709dd5");
    l.command_line = "caf\xc3\xa9";
    assert_ok(clo_tee_measured_open(&a, &two));
    assert_code(clo_tee_measure_tdx(&l, &two), CLO_E_MALFORMED);
}

static void test_tdx_refusals(void **state)
{
    (void)state;
    static uint8_t f[TDVF];
    clo_tee_td_firmware t;
    clo_span whole = clo_span_of(f, TDVF);
    make_tdvf(f);
    assert_ok(clo_tee_td_firmware_parse(whole, &t));
    assert_int_equal(t.count, 4);
    put_le(f + DESCRIPTOR_AT + 16, TDVF, 4); /* data beyond the file */
    assert_code(clo_tee_td_firmware_parse(whole, &t), CLO_E_RANGE);
    make_tdvf(f);
    put_le(f + DESCRIPTOR_AT + 48 + 8, 1, 8); /* not a page */
    assert_code(clo_tee_td_firmware_parse(whole, &t), CLO_E_RANGE);
    make_tdvf(f);
    put_le(f + DESCRIPTOR_AT + 112 + 28, 0, 4); /* 2 GiB to be added */
    assert_code(clo_tee_td_firmware_parse(whole, &t), CLO_E_TOO_LARGE);
    make_tdvf(f);
    put_le(f + DESCRIPTOR_AT + 48 + 16, 4096, 8); /* more data than memory */
    assert_code(clo_tee_td_firmware_parse(whole, &t), CLO_E_RANGE);
    make_tdvf(f);
    put_le(f + DESCRIPTOR_AT + 12, 65, 4);
    assert_code(clo_tee_td_firmware_parse(whole, &t), CLO_E_RANGE);
    make_tdvf(f);
    put_le(f + DESCRIPTOR_AT + 12, 40, 4); /* runs out of the file */
    assert_true(clo_failed(clo_tee_td_firmware_parse(whole, &t)));
    make_tdvf(f);
    f[DESCRIPTOR_AT] = 'X';
    assert_code(clo_tee_td_firmware_parse(whole, &t), CLO_E_MALFORMED);
    make_tdvf(f);
    put_le(f + TDVF - 32 - 40, TDVF + 1, 4); /* metadata before the file */
    assert_code(clo_tee_td_firmware_parse(whole, &t), CLO_E_RANGE);
    make_tdvf(f);
    f[TDVF - 32 - 34] ^= 1; /* another entry */
    assert_code(clo_tee_td_firmware_parse(whole, &t), CLO_E_NOT_FOUND);
    make_tdvf(f);
    put_le(f + TDVF - 32 - 36, 17, 2); /* an entry smaller than its head */
    assert_code(clo_tee_td_firmware_parse(whole, &t), CLO_E_MALFORMED);
    make_tdvf(f);
    put_le(f + TDVF - 32 - 18, 0xffff, 2);
    assert_code(clo_tee_td_firmware_parse(whole, &t), CLO_E_MALFORMED);
    for (size_t n = 0; n < TDVF; n += 37) assert_true(clo_failed(clo_tee_td_firmware_parse(clo_span_of(f, n), &t)));
}

/* ---- Nitro ---- */

static uint32_t crc_of(clo_span bytes, uint32_t crc)
{
    for (size_t i = 0; i < bytes.n; i++) {
        crc ^= bytes.p[i];
        for (unsigned k = 0; k < 8; k++) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
    }
    return crc;
}

typedef struct {
    unsigned kind;
    clo_span bytes;
} eif_part;

static void eif_seal(clo_buf *out)
{
    uint32_t crc = crc_of(clo_span_of(out->p + 548, out->len - 548), crc_of(clo_span_of(out->p, 544), 0xffffffffu)) ^ 0xffffffffu;
    for (unsigned i = 0; i < 4; i++) out->p[544 + i] = (uint8_t)(crc >> (24 - 8 * i));
}

static void make_eif(const eif_part *parts, size_t count, clo_buf *out)
{
    clo_buf_clear(out);
    assert_ok(clo_buf_put_str(out, ".eif"));
    assert_ok(clo_buf_put_u16be(out, 4));
    assert_ok(clo_buf_put_u16be(out, 0));
    assert_ok(clo_buf_put_u64be(out, 1 << 30));
    assert_ok(clo_buf_put_u64be(out, 2));
    assert_ok(clo_buf_put_u16be(out, 0));
    assert_ok(clo_buf_put_u16be(out, (uint16_t)count));
    uint64_t at = 548;
    for (size_t i = 0; i < 32; i++) {
        assert_ok(clo_buf_put_u64be(out, i < count ? at : 0));
        if (i < count) at += 12 + parts[i].bytes.n;
    }
    for (size_t i = 0; i < 32; i++) assert_ok(clo_buf_put_u64be(out, i < count ? parts[i].bytes.n : 0));
    assert_ok(clo_buf_put_u64be(out, 0));
    assert_int_equal(out->len, 548);
    for (size_t i = 0; i < count; i++) {
        assert_ok(clo_buf_put_u16be(out, (uint16_t)parts[i].kind));
        assert_ok(clo_buf_put_u16be(out, 0));
        assert_ok(clo_buf_put_u64be(out, parts[i].bytes.n));
        assert_ok(clo_buf_put_span(out, parts[i].bytes));
    }
    eif_seal(out);
}

/* SHA-384(zeros ‖ SHA-384(text)) */
static void extended(clo_span text, uint8_t out[48])
{
    uint8_t both[96] = {0};
    assert_ok(clo_crypto_hash(CLO_HASH_SHA384, text, both + 48));
    assert_ok(clo_crypto_hash(CLO_HASH_SHA384, clo_span_of(both, 96), out));
}

static const eif_part usual_eif[] = {
    {EIF_KERNEL, {(const uint8_t *)"kernel", 6}},
    {EIF_COMMAND_LINE, {(const uint8_t *)"reboot=k", 8}},
    {EIF_METADATA, {(const uint8_t *)"{}", 2}},
    {EIF_RAMDISK, {(const uint8_t *)"init", 4}},
    {EIF_RAMDISK, {(const uint8_t *)"application", 11}},
    {EIF_RAMDISK, {(const uint8_t *)"more", 4}},
};

static void test_nitro(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf eif;
    uint8_t wanted[48];
    OPEN_MEASURED;
    clo_buf_init(&eif, 1 << 16);
    make_eif(usual_eif, 6, &eif);
    assert_ok(clo_tee_measure_nitro(clo_buf_span(&eif), &m));
    extended(clo_span_str("kernelreboot=kinitapplicationmore"), wanted);
    assert_value_is(&m, "pcr0", wanted, 48);
    extended(clo_span_str("kernelreboot=kinit"), wanted);
    assert_value_is(&m, "pcr1", wanted, 48);
    extended(clo_span_str("applicationmore"), wanted);
    assert_value_is(&m, "pcr2", wanted, 48);
    assert_null(clo_wire_get(m.values, "pcr8"));
    assert_int_equal(m.steps->count, 10);
    /* The image that a builder makes of an empty application has the well-known PCR2 of nothing. */
    make_eif(usual_eif, 4, &eif);
    assert_ok(clo_tee_measured_open(&a, &m));
    assert_ok(clo_tee_measure_nitro(clo_buf_span(&eif), &m));
    assert_value(&m, "pcr2", "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a");
}

/* The signature section as the tools write it (numbers) and as byte strings. */
static void make_signature(const clo_buf *pem, bool numbers, clo_span signature, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_wire_node *list = NULL, *one = NULL, *bytes = NULL, *n = NULL;
    clo_arena_init(&a, 8 << 20);
    assert_ok(clo_wire_array(&a, &list));
    assert_ok(clo_wire_map(&a, &one));
    if (numbers) {
        assert_ok(clo_wire_array(&a, &bytes));
        for (size_t i = 0; i < pem->len; i++) {
            assert_ok(clo_wire_int(&a, pem->p[i], &n));
            assert_ok(clo_wire_append(bytes, n));
        }
        assert_ok(clo_wire_set(&a, one, "signing_certificate", bytes));
    } else {
        assert_ok(clo_wire_set_bytes(&a, one, "signing_certificate", clo_buf_span(pem)));
    }
    assert_ok(clo_wire_set_bytes(&a, one, "signature", signature));
    assert_ok(clo_wire_append(list, one));
    clo_buf_clear(out);
    assert_ok(clo_wire_cbor_encode(list, out));
}

/* COSE_Sign1 over {register_index: 0, register_value: PCR0} by the key. */
static void sign_pcr0(const clo_buf *key_pem, const uint8_t pcr0[48], clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    CLO_AUTO(clo_buf_free) clo_buf payload;
    clo_crypto_private_key sk;
    clo_wire_node *map = NULL;
    clo_arena_init(&a, 1 << 16);
    clo_buf_init(&payload, 256);
    assert_ok(clo_crypto_keypair_private(clo_buf_span(key_pem), &sk));
    assert_ok(clo_wire_map(&a, &map));
    assert_ok(clo_wire_set_int(&a, map, "register_index", 0));
    assert_ok(clo_wire_set_bytes(&a, map, "register_value", clo_span_of(pcr0, 48)));
    assert_ok(clo_wire_cbor_encode(map, &payload));
    const clo_wire_cose_signer signer = {.sk = &sk, .kid = clo_span_str("k")};
    clo_buf_clear(out);
    assert_ok(clo_wire_cose_sign1(out, &signer, "x", clo_span_of(NULL, 0), clo_buf_span(&payload)));
    clo_crypto_private_key_wipe(&sk);
}

static void test_nitro_signed(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf eif;
    CLO_AUTO(clo_buf_free) clo_buf key;
    CLO_AUTO(clo_buf_free) clo_buf der;
    CLO_AUTO(clo_buf_free) clo_buf pem;
    CLO_AUTO(clo_buf_free) clo_buf section;
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
    uint8_t wanted[48];
    clo_buf_init(&eif, 1 << 16);
    clo_buf_init(&key, 4096);
    clo_buf_init(&der, 4096);
    clo_buf_init(&pem, 4096);
    clo_buf_init(&section, 1 << 15);
    clo_crypto_cert_request r = {.common_name = "signer", .not_before = 1700000000, .not_after = 1900000000, .serial = 5};
    assert_ok(clo_crypto_keypair_make(CLO_KEYPAIR_P384, &key));
    assert_ok(clo_crypto_cert_make(&r, clo_buf_span(&key), NULL, clo_buf_span(&key), &der));
    assert_ok(clo_crypto_cert_parse(&cert, clo_buf_span(&der)));
    assert_ok(clo_crypto_cert_to_pem(cert, &pem));
    extended(clo_buf_span(&der), wanted);
    CLO_AUTO(clo_buf_free) clo_buf cose;
    uint8_t pcr0[48];
    clo_buf_init(&cose, 1024);
    extended(clo_span_str("kernelreboot=kinitapplicationmore"), pcr0);
    for (int numbers = 0; numbers < 3; numbers++) {
        OPEN_MEASURED;
        sign_pcr0(&key, numbers == 2 ? wanted : pcr0, &cose);
        make_signature(&pem, numbers != 0, clo_buf_span(&cose), &section);
        eif_part parts[8];
        memcpy(parts, usual_eif, sizeof usual_eif);
        parts[6] = (eif_part){EIF_SIGNATURE, clo_buf_span(&section)};
        make_eif(parts, 7, &eif);
        assert_ok(clo_tee_measure_nitro(clo_buf_span(&eif), &m));
        assert_value_is(&m, "pcr8", wanted, 48);
        assert_int_equal(clo_wire_get(m.notes, "signature_holds")->boolean, numbers != 2); /* over another PCR0 */
        parts[7] = parts[6];
        make_eif(parts, 8, &eif);
        assert_ok(clo_tee_measured_open(&a, &m));
        assert_code(clo_tee_measure_nitro(clo_buf_span(&eif), &m), CLO_E_DUPLICATE);
        parts[6].bytes = clo_span_str("\x80");
        make_eif(parts, 7, &eif);
        assert_ok(clo_tee_measured_open(&a, &m));
        assert_true(clo_failed(clo_tee_measure_nitro(clo_buf_span(&eif), &m)));
    }
}

static void test_nitro_refusals(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf eif;
    clo_tee_eif image;
    clo_buf_init(&eif, 1 << 16);
    make_eif(usual_eif, 6, &eif);
    assert_ok(clo_tee_eif_parse(clo_buf_span(&eif), &image));
    for (size_t n = 0; n < eif.len; n++) assert_true(clo_failed(clo_tee_eif_parse(clo_span_of(eif.p, n), &image)));
    for (size_t bit = 0; bit < 8 * eif.len; bit++) {
        eif.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(clo_failed(clo_tee_eif_parse(clo_buf_span(&eif), &image)));
        eif.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_ok(clo_buf_put_str(&eif, "tail"));
    assert_code(clo_tee_eif_parse(clo_buf_span(&eif), &image), CLO_E_TRAILING);
    /* A checksum that holds makes none of these an image. */
    static const struct {
        size_t at;
        uint8_t value;
        uint32_t code;
    } changes[] = {{5, 1, CLO_E_UNSUPPORTED}, {5, 5, CLO_E_UNSUPPORTED}, {26, 1, CLO_E_MALFORMED}, {35, 1, CLO_E_MALFORMED}, {549, 9, CLO_E_MALFORMED}, {549, 0, CLO_E_MALFORMED}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        make_eif(usual_eif, 6, &eif);
        eif.p[changes[i].at] = changes[i].value;
        eif_seal(&eif);
        assert_code(clo_tee_eif_parse(clo_buf_span(&eif), &image), changes[i].code);
    }
}

/* ---- event logs ---- */

/* A log of two banks (SHA-256, SHA-384): what is measured is the hash of the event's data. */
static void log_head(clo_buf *log)
{
    assert_ok(clo_buf_put_u32le(log, 0));
    assert_ok(clo_buf_put_u32le(log, 3)); /* EV_NO_ACTION */
    for (unsigned i = 0; i < 20; i++) assert_ok(clo_buf_put_u8(log, 0));
    static const uint8_t spec[] = {'S', 'p', 'e', 'c', ' ', 'I', 'D', ' ', 'E', 'v', 'e', 'n', 't', '0', '3', 0, 0, 0, 0, 0, 0, 2, 0, 2,
                                   2,   0,   0,   0,   0xb, 0,   32,  0,   0xc, 0,   48,  0,   0};
    assert_ok(clo_buf_put_u32le(log, sizeof spec));
    assert_ok(clo_buf_put(log, spec, sizeof spec));
}

static void log_event(clo_buf *log, uint32_t pcr, uint32_t type, const char *data, uint8_t value[48])
{
    uint8_t sha256[32], both[96];
    assert_ok(clo_crypto_sha256(clo_span_str(data), sha256));
    assert_ok(clo_crypto_hash(CLO_HASH_SHA384, clo_span_str(data), both + 48));
    assert_ok(clo_buf_put_u32le(log, pcr));
    assert_ok(clo_buf_put_u32le(log, type));
    assert_ok(clo_buf_put_u32le(log, 2));
    assert_ok(clo_buf_put(log, "\x0b\0", 2));
    assert_ok(clo_buf_put(log, sha256, 32));
    assert_ok(clo_buf_put(log, "\x0c\0", 2));
    assert_ok(clo_buf_put(log, both + 48, 48));
    assert_ok(clo_buf_put_u32le(log, (uint32_t)strlen(data)));
    assert_ok(clo_buf_put_str(log, data));
    memcpy(both, value, 48);
    assert_ok(clo_crypto_hash(CLO_HASH_SHA384, clo_span_of(both, 96), value));
}

static void test_event_logs(void **state)
{
    (void)state;
    static uint8_t firmware[TDVF];
    CLO_AUTO(clo_buf_free) clo_buf log;
    uint8_t one[48] = {0}, two[48] = {0};
    OPEN_MEASURED;
    clo_buf_init(&log, 8192);
    log_head(&log);
    log_event(&log, 1, 0x80000008, "firmware volume", one);
    log_event(&log, 2, 0x80000003, "boot loader", two);
    log_event(&log, 1, 4, "separator", one);
    assert_ok(clo_tee_measure_tpm(clo_buf_span(&log), &m));
    assert_value_is(&m, "sha384.pcr1", one, 48);
    assert_value_is(&m, "sha384.pcr2", two, 48);
    assert_non_null(clo_wire_get(m.values, "sha256.pcr1"));
    assert_null(clo_wire_get(m.values, "sha256.pcr3"));
    assert_int_equal(m.steps->count, 6);
    /* The same log of a TD: register n + 1 is RTMR n. */
    clo_tee_measured td;
    static const uint8_t zeros[48];
    make_tdvf(firmware);
    clo_tee_tdx_launch l = {.firmware = clo_span_of(firmware, TDVF), .event_log = clo_buf_span(&log)};
    assert_ok(clo_tee_measured_open(&a, &td));
    assert_ok(clo_tee_measure_tdx(&l, &td));
    assert_value_is(&td, "rtmr0", one, 48);
    assert_value_is(&td, "rtmr1", two, 48);
    assert_value_is(&td, "rtmr2", zeros, 48);
    for (size_t n = 0; n < log.len; n++) {
        clo_err e = clo_tee_measured_open(&a, &td);
        if (!clo_failed(e)) e = clo_tee_measure_tpm(clo_span_of(log.p, n), &td);
        /* A cut between two events is a shorter log. */
        if (!clo_failed(e)) assert_true(td.steps->count < 6);
    }
}

/* ---- SGX ---- */

static void test_sgx_published(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf sig = {.p = NULL};
    CLO_AUTO(clo_buf_free) clo_buf stream = {.p = NULL};
    static const char mrenclave[] = "784acfd7d5096a8f0fbd3265760bff21b120f62407a9a9e5ba31aa3c8ed198fc";
    OPEN_MEASURED;
    clo_tee_measured pages;
    golden("test_enclave.sig", &sig);
    golden("test_enclave.sgxs", &stream);
    assert_ok(clo_tee_measure_sgx(clo_buf_span(&sig), &m));
    assert_value(&m, "mrenclave", mrenclave);
    assert_non_null(clo_wire_get(m.values, "mrsigner"));
    assert_ok(clo_tee_measured_open(&a, &pages));
    assert_ok(clo_tee_measure_sgx(clo_buf_span(&stream), &pages));
    assert_value(&pages, "mrenclave", mrenclave);
    assert_null(clo_wire_get(pages.values, "mrsigner"));
}

static void test_sgx_object(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf sig = {.p = NULL};
    CLO_AUTO(clo_buf_free) clo_buf object;
    clo_tee_measured m;
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 8 << 20);
    golden("test_enclave.sig", &sig);
    clo_buf_init(&object, 1 << 16);
    static const uint8_t code[777] = {0x7f, 'E', 'L', 'F', 6, 0, 0, 0, 0xe1};
    assert_ok(clo_buf_put(&object, code, sizeof code));
    assert_ok(clo_tee_measured_open(&a, &m));
    assert_code(clo_tee_measure_sgx(clo_buf_span(&object), &m), CLO_E_NOT_FOUND);
    assert_ok(clo_buf_put_span(&object, clo_buf_span(&sig)));
    assert_ok(clo_buf_put(&object, code, sizeof code));
    assert_ok(clo_tee_measure_sgx(clo_buf_span(&object), &m));
    assert_value(&m, "mrenclave", "784acfd7d5096a8f0fbd3265760bff21b120f62407a9a9e5ba31aa3c8ed198fc");
    object.p[sizeof code + 970] ^= 1; /* another MRENCLAVE under the same signature */
    assert_ok(clo_tee_measured_open(&a, &m));
    assert_code(clo_tee_measure_sgx(clo_buf_span(&object), &m), CLO_E_BAD_SIGNATURE);
}

static void test_sgx_refusals(void **state)
{
    (void)state;
    CLO_AUTO(clo_buf_free) clo_buf sig = {.p = NULL};
    CLO_AUTO(clo_buf_free) clo_buf stream = {.p = NULL};
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_tee_sigstruct s;
    clo_tee_measured m;
    clo_arena_init(&a, 8 << 20);
    golden("test_enclave.sig", &sig);
    golden("test_enclave.sgxs", &stream);
    for (size_t n = 0; n < sig.len; n++) assert_true(clo_failed(clo_tee_sigstruct_parse(clo_span_of(sig.p, n), &s)));
    /* Every byte counts but the twelve reserved ones between the signed part and the quotients. */
    for (size_t at = 0; at < sig.len; at++) {
        sig.p[at] ^= (uint8_t)(1u << at % 8);
        bool reserved = at >= 1028 && at < 1040;
        assert_int_equal(clo_failed(clo_tee_sigstruct_parse(clo_buf_span(&sig), &s)), !reserved);
        sig.p[at] ^= (uint8_t)(1u << at % 8);
    }
    assert_ok(clo_tee_measured_open(&a, &m));
    for (size_t cut = 1; cut < 64; cut++) assert_true(clo_failed(clo_tee_measure_sgx(clo_span_of(stream.p, stream.len - cut), &m)));
    stream.p[64] ^= 1; /* a record of no kind */
    assert_code(clo_tee_measure_sgx(clo_buf_span(&stream), &m), CLO_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snp_published), cmocka_unit_test(test_snp_refusals),   cmocka_unit_test(test_tdx),        cmocka_unit_test(test_tdx_refusals),
        cmocka_unit_test(test_nitro),         cmocka_unit_test(test_nitro_signed),   cmocka_unit_test(test_nitro_refusals),
        cmocka_unit_test(test_event_logs),     cmocka_unit_test(test_sgx_published), cmocka_unit_test(test_sgx_object),     cmocka_unit_test(test_sgx_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
