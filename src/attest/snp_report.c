/* The report's layout, its TCB bytes and its claims (AMD 56860). */
#include "attest/attest_int.h"
#include "base/clo_rd.h"

static bool all_zero(clo_span s)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < s.n; i++) seen = (uint8_t)(seen | s.p[i]);
    return seen == 0;
}

/* Bytes that must be zero; remembers whether they were. */
static void take_zero(clo_rd *r, size_t n, bool *zero) { *zero = all_zero(clo_rd_span(r, n)) && *zero; }

static snp_firmware take_firmware(clo_rd *r, bool *zero)
{
    snp_firmware f;
    f.build = clo_rd_u8(r);
    f.minor = clo_rd_u8(r);
    f.major = clo_rd_u8(r);
    take_zero(r, 1, zero);
    return f;
}

/* 0x180 .. 0x29f */
static void take_versions(clo_rd *r, snp_report *s)
{
    bool *zero = &s->signed_reserved_zero;
    s->reported_tcb = clo_rd_span(r, 8);
    if (s->version >= 3) {
        s->cpuid_family = clo_rd_u8(r);
        s->cpuid_model = clo_rd_u8(r);
        s->cpuid_stepping = clo_rd_u8(r);
        take_zero(r, 21, zero);
    } else {
        take_zero(r, 24, zero);
    }
    s->chip_id = clo_rd_span(r, 64);
    s->committed_tcb = clo_rd_span(r, 8);
    s->current = take_firmware(r, zero);
    s->committed = take_firmware(r, zero);
    s->launch_tcb = clo_rd_span(r, 8);
    if (s->version >= 5) {
        s->launch_mitigations = clo_rd_u64le(r);
        s->current_mitigations = clo_rd_u64le(r);
    } else {
        take_zero(r, 16, zero);
    }
    take_zero(r, SNP_SIGNED_SIZE - 0x208, zero);
}

CLO_R clo_attest_snp_parse(clo_span bytes, snp_report *out)
{
    snp_report s = {.signed_reserved_zero = true, .unsigned_reserved_zero = true};
    clo_rd r = clo_rd_init(bytes);
    s.version = clo_rd_u32le(&r);
    s.guest_svn = clo_rd_u32le(&r);
    s.policy = clo_rd_u64le(&r);
    s.family_id = clo_rd_span(&r, 16);
    s.image_id = clo_rd_span(&r, 16);
    s.vmpl = clo_rd_u32le(&r);
    s.signature_algorithm = clo_rd_u32le(&r);
    s.current_tcb = clo_rd_span(&r, 8);
    s.platform_info = clo_rd_u64le(&r);
    s.flags = clo_rd_u32le(&r);
    take_zero(&r, 4, &s.signed_reserved_zero);
    s.report_data = clo_rd_span(&r, 64);
    s.measurement = clo_rd_span(&r, 48);
    s.host_data = clo_rd_span(&r, 32);
    s.id_key_digest = clo_rd_span(&r, 48);
    s.author_key_digest = clo_rd_span(&r, 48);
    s.report_id = clo_rd_span(&r, 32);
    s.report_id_ma = clo_rd_span(&r, 32);
    take_versions(&r, &s);
    s.signature_r = clo_rd_span(&r, SNP_SCALAR);
    s.signature_s = clo_rd_span(&r, SNP_SCALAR);
    take_zero(&r, SNP_REPORT_SIZE - SNP_UNSIGNED_FROM, &s.unsigned_reserved_zero);
    CLO_TRY(clo_rd_end(&r));
    CLO_CHECKF(s.version == 2 || s.version == 3 || s.version == 5, CLO_E_VERSION, "SNP report version %u is not known (2, 3 and 5 are)", s.version);
    CLO_CHECKF(s.signature_algorithm == 1, CLO_E_UNSUPPORTED, "SNP signature algorithm %u is not known (1 is ECDSA P-384 with SHA-384)",
               s.signature_algorithm);
    s.signed_bytes = clo_span_of(bytes.p, SNP_SIGNED_SIZE);
    *out = s;
    return CLO_OK;
}

snp_tcb clo_attest_snp_tcb(clo_span tcb, bool turin)
{
    snp_tcb t = {.turin = turin};
    if (tcb.n != 8) return t;
    if (turin) {
        t.fmc = tcb.p[0];
        t.bl = tcb.p[1];
        t.tee = tcb.p[2];
        t.snp = tcb.p[3];
    } else {
        t.bl = tcb.p[0];
        t.tee = tcb.p[1];
        t.snp = tcb.p[6];
    }
    t.ucode = tcb.p[7];
    return t;
}

snp_product clo_attest_snp_product_of_cpuid(uint8_t family, uint8_t model)
{
    if (family == 0x19 && model <= 0x0f) return SNP_PRODUCT_MILAN;
    if (family == 0x19 && ((model >= 0x10 && model <= 0x1f) || (model >= 0xa0 && model <= 0xaf))) return SNP_PRODUCT_GENOA;
    if (family == 0x1a && model <= 0x11) return SNP_PRODUCT_TURIN;
    return SNP_PRODUCT_UNKNOWN;
}

const char *clo_attest_snp_product_name(snp_product p)
{
    switch (p) {
    case SNP_PRODUCT_MILAN: return "Milan";
    case SNP_PRODUCT_GENOA: return "Genoa";
    case SNP_PRODUCT_TURIN: return "Turin";
    case SNP_PRODUCT_SIMULATED: return "Simulated";
    case SNP_PRODUCT_UNKNOWN: break;
    }
    return "unknown";
}

/* A 64-bit field beyond the tree's integers keeps its value as decimal text. */
static clo_err set_u64(clo_arena *a, clo_wire_node *map, const char *key, uint64_t v)
{
    if (v <= INT64_MAX) return clo_wire_set_int(a, map, key, (int64_t)v);
    const char *text = NULL;
    CLO_TRY(clo_arena_printf(a, &text, "%llu", (unsigned long long)v));
    return clo_wire_set_text(a, map, key, text);
}

static clo_err set_firmware(clo_arena *a, clo_wire_node *map, const char *build, const char *minor, const char *major, snp_firmware f)
{
    CLO_TRY(clo_wire_set_int(a, map, build, f.build));
    CLO_TRY(clo_wire_set_int(a, map, minor, f.minor));
    return clo_wire_set_int(a, map, major, f.major);
}

static clo_err set_policy_bits(clo_arena *a, clo_wire_node *map, uint64_t policy)
{
    CLO_TRY(clo_wire_set_int(a, map, "policy_abi_minor", (int64_t)(policy & 0xff)));
    CLO_TRY(clo_wire_set_int(a, map, "policy_abi_major", (int64_t)((policy >> 8) & 0xff)));
    static const struct {
        const char *name;
        unsigned bit;
    } bits[] = {{"policy_smt", 16},          {"policy_migrate_ma", 18}, {"policy_debug", 19},     {"policy_single_socket", 20},
                {"policy_cxl", 21},          {"policy_aes_256_xts", 22}, {"policy_rapl_off", 23}, {"policy_ciphertext_hiding", 24},
                {"policy_page_swap_off", 25}};
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        CLO_TRY(clo_wire_set_bool(a, map, bits[i].name, ((policy >> bits[i].bit) & 1) != 0));
    }
    return CLO_OK;
}

static clo_err set_parts(clo_arena *a, clo_wire_node *map, const char *key, clo_span tcb, bool turin)
{
    clo_wire_node *parts = NULL;
    snp_tcb t = clo_attest_snp_tcb(tcb, turin);
    CLO_TRY(clo_wire_map(a, &parts));
    if (turin) CLO_TRY(clo_wire_set_int(a, parts, "fmc", t.fmc));
    CLO_TRY(clo_wire_set_int(a, parts, "bl", t.bl));
    CLO_TRY(clo_wire_set_int(a, parts, "tee", t.tee));
    CLO_TRY(clo_wire_set_int(a, parts, "snp", t.snp));
    CLO_TRY(clo_wire_set_int(a, parts, "ucode", t.ucode));
    return clo_wire_set(a, map, key, parts);
}

static clo_err set_identity(clo_arena *a, clo_wire_node *map, const snp_report *r)
{
    CLO_TRY(clo_wire_set_int(a, map, "version", r->version));
    CLO_TRY(clo_wire_set_int(a, map, "guest_svn", r->guest_svn));
    CLO_TRY(set_u64(a, map, "policy", r->policy));
    CLO_TRY(clo_wire_set_bytes(a, map, "family_id", r->family_id));
    CLO_TRY(clo_wire_set_bytes(a, map, "image_id", r->image_id));
    CLO_TRY(clo_wire_set_int(a, map, "vmpl", r->vmpl));
    CLO_TRY(clo_wire_set_int(a, map, "sig_algo", r->signature_algorithm));
    CLO_TRY(clo_wire_set_bytes(a, map, "current_tcb", r->current_tcb));
    CLO_TRY(set_u64(a, map, "platform_info", r->platform_info));
    CLO_TRY(clo_wire_set_int(a, map, "flags", r->flags));
    CLO_TRY(clo_wire_set_bytes(a, map, "report_data", r->report_data));
    CLO_TRY(clo_wire_set_bytes(a, map, "measurement", r->measurement));
    CLO_TRY(clo_wire_set_bytes(a, map, "host_data", r->host_data));
    CLO_TRY(clo_wire_set_bytes(a, map, "id_key_digest", r->id_key_digest));
    CLO_TRY(clo_wire_set_bytes(a, map, "author_key_digest", r->author_key_digest));
    CLO_TRY(clo_wire_set_bytes(a, map, "report_id", r->report_id));
    return clo_wire_set_bytes(a, map, "report_id_ma", r->report_id_ma);
}

CLO_R clo_attest_snp_claims(clo_arena *a, const snp_report *r, bool turin, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(set_identity(a, map, r));
    CLO_TRY(clo_wire_set_bytes(a, map, "reported_tcb", r->reported_tcb));
    CLO_TRY(clo_wire_set_bytes(a, map, "chip_id", r->chip_id));
    CLO_TRY(clo_wire_set_bytes(a, map, "committed_tcb", r->committed_tcb));
    CLO_TRY(set_firmware(a, map, "current_build", "current_minor", "current_major", r->current));
    CLO_TRY(set_firmware(a, map, "committed_build", "committed_minor", "committed_major", r->committed));
    CLO_TRY(clo_wire_set_bytes(a, map, "launch_tcb", r->launch_tcb));
    if (r->version >= 3) {
        CLO_TRY(clo_wire_set_int(a, map, "cpuid_fam", r->cpuid_family));
        CLO_TRY(clo_wire_set_int(a, map, "cpuid_mod", r->cpuid_model));
        CLO_TRY(clo_wire_set_int(a, map, "cpuid_step", r->cpuid_stepping));
    }
    if (r->version >= 5) {
        CLO_TRY(set_u64(a, map, "launch_mit_vector", r->launch_mitigations));
        CLO_TRY(set_u64(a, map, "current_mit_vector", r->current_mitigations));
    }
    CLO_TRY(set_policy_bits(a, map, r->policy));
    static const char *const signers[8] = {"vcek", "vlek", "reserved", "reserved", "reserved", "reserved", "reserved", "none"};
    CLO_TRY(clo_wire_set_text(a, map, "signing_key", signers[(r->flags >> 2) & 7]));
    CLO_TRY(clo_wire_set_bool(a, map, "mask_chip_key", (r->flags & 2) != 0));
    CLO_TRY(clo_wire_set_bool(a, map, "author_key_en", (r->flags & 1) != 0));
    CLO_TRY(set_parts(a, map, "reported_tcb_parts", r->reported_tcb, turin));
    *out = map;
    return CLO_OK;
}
