#include "tpm_fixture.h"

#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdio.h>

enum { DAY = 86400 };

static clo_err certify(clo_span subject_pem, const char *name, const tpm_fixture *f, clo_buf *der, clo_crypto_cert **cert)
{
    clo_crypto_cert_request r = {.common_name = name, .not_before = TPM_NOW - DAY, .not_after = TPM_NOW + DAY, .is_ca = f->root == NULL};
    clo_buf_clear(der);
    r.serial = (uint64_t)name[0];
    CLO_TRY(clo_crypto_cert_make(&r, subject_pem, f->root, clo_buf_span(&f->root_pem), der));
    return clo_crypto_cert_parse(cert, clo_buf_span(der));
}

CLO_R tpm_fixture_start(tpm_fixture *f)
{
    memset(f, 0, sizeof *f);
    clo_buf *all[] = {&f->root_pem, &f->root_der, &f->rsa_pem, &f->rsa_der, &f->ec_pem, &f->ec_der};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) clo_buf_init(all[i], 8192);
    CLO_TRY(clo_crypto_keypair_make(CLO_KEYPAIR_P384, &f->root_pem));
    CLO_TRY(clo_crypto_keypair_make(CLO_KEYPAIR_RSA2048, &f->rsa_pem));
    CLO_TRY(clo_crypto_keypair_make(CLO_KEYPAIR_P256, &f->ec_pem));
    CLO_TRY(certify(clo_buf_span(&f->root_pem), "TPM root", f, &f->root_der, &f->root));
    CLO_TRY(certify(clo_buf_span(&f->rsa_pem), "AK rsa", f, &f->rsa_der, &f->rsa_cert));
    CLO_TRY(certify(clo_buf_span(&f->ec_pem), "ak ec", f, &f->ec_der, &f->ec_cert));
    CLO_TRY(clo_crypto_verify_key_of_cert(f->rsa_cert, &f->rsa));
    return clo_crypto_cert_public_key(f->ec_cert, &f->ec);
}

void tpm_fixture_end(tpm_fixture *f)
{
    clo_buf *all[] = {&f->root_pem, &f->root_der, &f->rsa_pem, &f->rsa_der, &f->ec_pem, &f->ec_der};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) clo_buf_free(all[i]);
    clo_crypto_cert_free(&f->root);
    clo_crypto_cert_free(&f->rsa_cert);
    clo_crypto_cert_free(&f->ec_cert);
    clo_crypto_verify_key_free(&f->rsa);
}

static clo_err put_sized(clo_buf *out, clo_span s)
{
    CLO_TRY(clo_buf_put_u16be(out, (uint16_t)s.n));
    return clo_buf_put_span(out, s);
}

static uint16_t alg_of(tpm_how how) { return how == TPM_ECDSA ? 0x18 : how == TPM_RSAPSS ? 0x16 : 0x14; }
static uint16_t hash_of(tpm_how how) { return how == TPM_RSASSA_SHA1 ? CLO_TPM_SHA1 : CLO_TPM_SHA256; }

CLO_R tpm_fixture_area(const tpm_fixture *f, tpm_how how, uint32_t attributes, clo_buf *out)
{
    CLO_TRY(clo_buf_put_u16be(out, how == TPM_ECDSA ? 0x23 : 0x1));
    CLO_TRY(clo_buf_put_u16be(out, 0xb));
    CLO_TRY(clo_buf_put_u32be(out, attributes));
    CLO_TRY(clo_buf_put_u16be(out, 0));
    CLO_TRY(clo_buf_put_u16be(out, 0x10));
    CLO_TRY(clo_buf_put_u16be(out, alg_of(how)));
    CLO_TRY(clo_buf_put_u16be(out, hash_of(how)));
    if (how != TPM_ECDSA) {
        CLO_TRY(clo_buf_put_u16be(out, 2048));
        CLO_TRY(clo_buf_put_u32be(out, 0));
        return put_sized(out, clo_crypto_verify_key_modulus(f->rsa));
    }
    CLO_TRY(clo_buf_put_u16be(out, 3));
    CLO_TRY(clo_buf_put_u16be(out, 0x10));
    CLO_TRY(put_sized(out, clo_span_of(f->ec.bytes + 1, 32)));
    return put_sized(out, clo_span_of(f->ec.bytes + 33, 32));
}

static clo_err digest_of(tpm_how how, const tpm_pick *picks, size_t pick_count, const clo_attest_tpm_pcrs *pcrs, uint8_t out[CLO_HASH_MAX], size_t *size)
{
    CLO_AUTO(clo_buf_free) clo_buf all;
    clo_buf_init(&all, 65536);
    for (size_t i = 0; i < pick_count; i++) {
        for (size_t b = 0; b < pcrs->count; b++) {
            if (pcrs->banks[b].hash != picks[i].bank) continue;
            size_t n = picks[i].bank == CLO_TPM_SHA1 ? 20 : picks[i].bank == CLO_TPM_SHA384 ? 48 : 32;
            for (size_t r = 0; r < 24; r++) {
                if ((picks[i].registers >> r & 1) != 0) CLO_TRY(clo_buf_put(&all, pcrs->banks[b].values[r], n));
            }
        }
    }
    *size = how == TPM_RSASSA_SHA1 ? 20 : 32;
    return clo_crypto_hash(how == TPM_RSASSA_SHA1 ? CLO_HASH_SHA1 : CLO_HASH_SHA256, clo_buf_span(&all), out);
}

CLO_R tpm_fixture_quote(tpm_how how, clo_span qualified_signer, clo_span extra, const tpm_pick *picks, size_t pick_count, const clo_attest_tpm_pcrs *pcrs,
                        clo_buf *out)
{
    uint8_t digest[CLO_HASH_MAX];
    size_t size = 0;
    CLO_TRY(digest_of(how, picks, pick_count, pcrs, digest, &size));
    CLO_TRY(clo_buf_put(out, "\xff\x54\x43\x47\x80\x18", 6));
    CLO_TRY(put_sized(out, qualified_signer));
    CLO_TRY(put_sized(out, extra));
    CLO_TRY(clo_buf_put_u64be(out, 1543));
    CLO_TRY(clo_buf_put_u32be(out, 1));
    CLO_TRY(clo_buf_put_u32be(out, 0));
    CLO_TRY(clo_buf_put_u8(out, 1));
    CLO_TRY(clo_buf_put_u64be(out, UINT64_C(0x2019102300163636)));
    CLO_TRY(clo_buf_put_u32be(out, (uint32_t)pick_count));
    for (size_t i = 0; i < pick_count; i++) {
        CLO_TRY(clo_buf_put_u16be(out, picks[i].bank));
        CLO_TRY(clo_buf_put_u8(out, 3));
        for (unsigned k = 0; k < 3; k++) CLO_TRY(clo_buf_put_u8(out, (uint8_t)(picks[i].registers >> (8 * k))));
    }
    return put_sized(out, clo_span_of(digest, size));
}

CLO_R tpm_fixture_sign(const tpm_fixture *f, tpm_how how, clo_span message, clo_buf *out)
{
    static const clo_crypto_scheme schemes[] = {CLO_SCHEME_RS256, CLO_SCHEME_PS256_ANY_SALT, CLO_SCHEME_ES256, CLO_SCHEME_RS1};
    CLO_AUTO(clo_buf_free) clo_buf raw;
    clo_buf_init(&raw, 1024);
    CLO_TRY(clo_crypto_keypair_sign(clo_buf_span(how == TPM_ECDSA ? &f->ec_pem : &f->rsa_pem), schemes[how], message, &raw));
    CLO_TRY(clo_buf_put_u16be(out, alg_of(how)));
    CLO_TRY(clo_buf_put_u16be(out, hash_of(how)));
    if (how != TPM_ECDSA) return put_sized(out, clo_buf_span(&raw));
    CLO_TRY(put_sized(out, clo_span_of(raw.p, 32)));
    return put_sized(out, clo_span_of(raw.p + 32, 32));
}

CLO_R tpm_fixture_pcrs_json(const clo_attest_tpm_pcrs *pcrs, clo_buf *out)
{
    CLO_TRY(clo_buf_put_str(out, "{"));
    for (size_t b = 0; b < pcrs->count; b++) {
        const clo_attest_tpm_bank *bank = &pcrs->banks[b];
        size_t n = bank->hash == CLO_TPM_SHA1 ? 20 : bank->hash == CLO_TPM_SHA384 ? 48 : bank->hash == CLO_TPM_SHA512 ? 64 : 32;
        const char *comma = "";
        CLO_TRY(clo_buf_printf(out, "%s\"%s\": {", b == 0 ? "" : ", ", n == 20 ? "sha1" : n == 48 ? "sha384" : n == 64 ? "sha512" : "sha256"));
        for (unsigned i = 0; i < 24; i++) {
            if ((bank->known >> i & 1) == 0) continue;
            CLO_TRY(clo_buf_printf(out, "%s\"%u\": \"", comma, i));
            CLO_TRY(clo_buf_put_hex(out, clo_span_of(bank->values[i], n)));
            CLO_TRY(clo_buf_put_str(out, "\""));
            comma = ", ";
        }
        CLO_TRY(clo_buf_put_str(out, "}"));
    }
    return clo_buf_put_str(out, "}");
}

static clo_err put_u16le(clo_buf *b, uint16_t v)
{
    CLO_TRY(clo_buf_put_u8(b, (uint8_t)v));
    return clo_buf_put_u8(b, (uint8_t)(v >> 8));
}

static size_t size_of(uint16_t bank)
{
    return bank == CLO_TPM_SHA1 ? 20 : bank == CLO_TPM_SHA384 ? 48 : bank == CLO_TPM_SHA512 ? 64 : 32;
}

CLO_R tpm_log_start(clo_buf *log, const uint16_t *banks, size_t count)
{
    static const uint8_t zeros[20] = {0};
    CLO_TRY(clo_buf_put_u32le(log, 0));
    CLO_TRY(clo_buf_put_u32le(log, CLO_TPM_EV_NO_ACTION));
    CLO_TRY(clo_buf_put(log, zeros, sizeof zeros));
    CLO_TRY(clo_buf_put_u32le(log, (uint32_t)(16 + 8 + 4 + 4 * count + 1)));
    CLO_TRY(clo_buf_put(log, "Spec ID Event03", 16));
    CLO_TRY(clo_buf_put_u32le(log, 0));
    CLO_TRY(clo_buf_put(log, "\x00\x02\x02\x02", 4)); /* 2.0, errata 2, 64-bit */
    CLO_TRY(clo_buf_put_u32le(log, (uint32_t)count));
    for (size_t i = 0; i < count; i++) {
        CLO_TRY(put_u16le(log, banks[i]));
        CLO_TRY(put_u16le(log, (uint16_t)size_of(banks[i])));
    }
    return clo_buf_put_u8(log, 0);
}

CLO_R tpm_log_event(clo_buf *log, const uint16_t *banks, size_t count, uint32_t pcr, uint32_t type, clo_span measured, clo_span data)
{
    CLO_TRY(clo_buf_put_u32le(log, pcr));
    CLO_TRY(clo_buf_put_u32le(log, type));
    CLO_TRY(clo_buf_put_u32le(log, (uint32_t)count));
    for (size_t i = 0; i < count; i++) {
        uint8_t digest[64] = {0x5c}; /* of a bank that nobody replays */
        clo_crypto_hash_alg hash;
        CLO_TRY(put_u16le(log, banks[i]));
        if (!clo_failed(clo_attest_tpm_hash(banks[i], &hash))) CLO_TRY(clo_crypto_hash(hash, measured, digest));
        CLO_TRY(clo_buf_put(log, digest, size_of(banks[i])));
    }
    CLO_TRY(clo_buf_put_u32le(log, (uint32_t)data.n));
    return clo_buf_put_span(log, data);
}

CLO_R tpm_log_secure_boot(clo_buf *data, bool on)
{
    CLO_TRY(clo_buf_put(data, "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c", 16));
    CLO_TRY(clo_buf_put_u64le(data, 10));
    CLO_TRY(clo_buf_put_u64le(data, 1));
    CLO_TRY(clo_buf_put(data, "S\0e\0c\0u\0r\0e\0B\0o\0o\0t", 20));
    return clo_buf_put_u8(data, on ? 1 : 0);
}

CLO_R tpm_log_usual(clo_buf *log, const uint16_t *banks, size_t count, bool secure_boot)
{
    CLO_AUTO(clo_buf_free) clo_buf variable;
    clo_buf_init(&variable, 256);
    CLO_TRY(tpm_log_secure_boot(&variable, secure_boot));
    CLO_TRY(tpm_log_start(log, banks, count));
    CLO_TRY(tpm_log_event(log, banks, count, 0, CLO_TPM_EV_NO_ACTION, clo_span_str(""), clo_span_of("StartupLocality\0\3", 17)));
    CLO_TRY(tpm_log_event(log, banks, count, 0, 0x8, clo_span_str("v1"), clo_span_str("v1")));
    CLO_TRY(tpm_log_event(log, banks, count, 7, CLO_TPM_EV_VARIABLE_CONFIG, clo_buf_span(&variable), clo_buf_span(&variable)));
    for (uint32_t pcr = 0; pcr < 8; pcr++) CLO_TRY(tpm_log_event(log, banks, count, pcr, CLO_TPM_EV_SEPARATOR, clo_span_of("\0\0\0\0", 4), clo_span_of("\0\0\0\0", 4)));
    CLO_TRY(tpm_log_event(log, banks, count, 4, 0x80000003u, clo_span_str("the loader"), clo_span_str("\\EFI\\BOOT\\BOOTX64.EFI")));
    CLO_TRY(tpm_log_event(log, banks, count, 8, 0xd, clo_span_str("kernel_cmdline: quiet"), clo_span_str("kernel_cmdline: quiet")));
    CLO_TRY(tpm_log_event(log, banks, count, 9, 0xd, clo_span_str("the kernel"), clo_span_str("/vmlinuz")));
    return tpm_log_event(log, banks, count, 11, 0xd, clo_span_str("phase"), clo_span_str("enter-initrd"));
}
