/* The SPDM exchange's layout, the leaf's DICE extensions, and the claims. */
#include "attest/nvidia_int.h"
#include "base/clo_rd.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "wire/der.h"

#include <stdio.h>

enum { SPDM_1_1 = 0x11, GET_MEASUREMENTS = 0xe0, MEASUREMENTS = 0x60, WITH_SIGNATURE = 1, ALL_BLOCKS = 0xff, DMTF = 1, NONCE_SIZE = 32,
       SIGNATURE_SIZE = 96, VALUE_MIN = 32, VALUE_MAX = 64, INDEX_LAST = 0xfe, SLOT_MAX = 7, BLOCKS_MAX = 96, OPAQUE_MAX = 2048 };

static clo_err take_blocks(nvidia_report *r, size_t count)
{
    clo_rd rd = clo_rd_init(r->record);
    for (size_t i = 0; i < count; i++) {
        uint8_t index = clo_rd_u8(&rd), specification = clo_rd_u8(&rd);
        clo_rd block = clo_rd_sub(&rd, clo_rd_u16le(&rd));
        (void)clo_rd_u8(&block); /* kind of measurement */
        clo_span value = clo_rd_span(&block, clo_rd_u16le(&block));
        CLO_CHECKF(!rd.bad && !block.bad && block.left == 0, CLO_E_TRUNCATED, "measurement block %zu does not fit the record", i + 1);
        CLO_CHECKF(index != 0 && index <= INDEX_LAST && specification == DMTF && value.n >= VALUE_MIN && value.n <= VALUE_MAX, CLO_E_MALFORMED,
                   "measurement block %zu is none of DMTF's with a digest", i + 1);
        CLO_CHECKF(r->measurements[index].p == NULL, CLO_E_DUPLICATE, "measurement %u is there twice", (unsigned)index);
        r->measurements[index] = value;
    }
    CLO_TRY(clo_rd_end(&rd));
    r->block_count = count;
    return CLO_OK;
}

static clo_err take_opaque(nvidia_report *r)
{
    clo_rd rd = clo_rd_init(r->opaque);
    while (rd.left != 0) {
        uint16_t type = clo_rd_u16le(&rd);
        clo_span value = clo_rd_span(&rd, clo_rd_u16le(&rd));
        CLO_CHECKF(!rd.bad, CLO_E_TRUNCATED, "an opaque field ends behind the opaque data");
        CLO_CHECKF(r->field_count < NVIDIA_FIELDS_MAX, CLO_E_TOO_MANY, "there are more than %d opaque fields", (int)NVIDIA_FIELDS_MAX);
        CLO_CHECKF(clo_attest_nvidia_field(r, type).p == NULL, CLO_E_DUPLICATE, "opaque field %u is there twice", (unsigned)type);
        r->fields[r->field_count++] = (nvidia_field){.type = type, .value = value};
    }
    return CLO_OK;
}

CLO_R clo_attest_nvidia_parse(clo_span bytes, nvidia_report *out)
{
    memset(out, 0, sizeof *out);
    clo_rd rd = clo_rd_init(bytes);
    out->request_version = clo_rd_u8(&rd);
    out->request_code = clo_rd_u8(&rd);
    out->param1 = clo_rd_u8(&rd);
    out->param2 = clo_rd_u8(&rd);
    out->nonce = clo_rd_span(&rd, NONCE_SIZE);
    out->slot = clo_rd_u8(&rd);
    out->response_version = clo_rd_u8(&rd);
    out->response_code = clo_rd_u8(&rd);
    (void)clo_rd_u16le(&rd); /* parameters of the response */
    size_t blocks = clo_rd_u8(&rd);
    uint32_t length = clo_rd_u8(&rd);
    length |= (uint32_t)clo_rd_u16le(&rd) << 8;
    out->record = clo_rd_span(&rd, length);
    out->response_nonce = clo_rd_span(&rd, NONCE_SIZE);
    out->opaque = clo_rd_span(&rd, clo_rd_u16le(&rd));
    size_t covered = bytes.n - rd.left;
    out->signature = clo_rd_span(&rd, SIGNATURE_SIZE);
    CLO_CHECKF(!rd.bad, CLO_E_TRUNCATED, "the exchange ends too early, or a length in it is wrong");
    CLO_CHECKF(out->request_version == SPDM_1_1 && out->response_version == SPDM_1_1, CLO_E_VERSION, "the exchange is not SPDM 1.1");
    CLO_CHECKF(out->request_code == GET_MEASUREMENTS && out->response_code == MEASUREMENTS, CLO_E_MALFORMED,
               "the exchange is not GET_MEASUREMENTS and MEASUREMENTS");
    CLO_CHECKF(out->param1 == WITH_SIGNATURE && out->param2 == ALL_BLOCKS && out->slot <= SLOT_MAX, CLO_E_MALFORMED,
               "the request is not for all measurements with a signature");
    CLO_CHECKF(blocks <= BLOCKS_MAX && out->opaque.n <= OPAQUE_MAX, CLO_E_TOO_MANY, "the response has more than %d blocks or %d opaque bytes",
               (int)BLOCKS_MAX, (int)OPAQUE_MAX);
    out->signed_bytes = clo_span_of(bytes.p, covered);
    out->trailing = rd.left;
    CLO_TRY(take_blocks(out, blocks));
    return take_opaque(out);
}

clo_span clo_attest_nvidia_field(const nvidia_report *r, uint16_t type)
{
    for (size_t i = 0; i < r->field_count; i++) {
        if (r->fields[i].type == type) return r->fields[i].value;
    }
    return clo_span_of(NULL, 0);
}

/* Printable text with or without zeros behind it; empty where it is something else. */
static void text_of(clo_span value, char to[64])
{
    size_t n = 0;
    to[0] = '\0';
    while (n < value.n && value.p[n] != 0) n++;
    for (size_t i = 0; i < value.n; i++) {
        if (i < n ? (value.p[i] <= ' ' || value.p[i] > '~') : value.p[i] != 0) return;
    }
    if (clo_failed(clo_str_set(to, 64, clo_span_of(value.p, n)))) to[0] = '\0';
}

void clo_attest_nvidia_driver_version(const nvidia_report *r, char to[64]) { text_of(clo_attest_nvidia_field(r, NVIDIA_DRIVER_VERSION), to); }

void clo_attest_nvidia_vbios_version(const nvidia_report *r, char to[64])
{
    clo_span v = clo_attest_nvidia_field(r, NVIDIA_VBIOS_VERSION);
    /* GPUs: a little-endian number, whose low half comes first when it is written; switches: text. */
    if (v.n == 8 && v.p[5] == 0 && v.p[6] == 0 && v.p[7] == 0) {
        (void)snprintf(to, 64, "%02X.%02X.%02X.%02X.%02X", v.p[3], v.p[2], v.p[1], v.p[0], v.p[4]);
    } else {
        text_of(v, to);
    }
}

/* FWID ::= SEQUENCE {hash algorithm OID, digest}; SHA-384 alone is known here. */
static bool fwid_of(clo_span sequence, clo_span *out)
{
    char oid[64];
    clo_span digest;
    if (clo_failed(clo_wire_der_take_oid(&sequence, oid, sizeof oid)) || clo_failed(clo_wire_der_take(&sequence, CLO_DER_OCTETS, &digest))) return false;
    if (strcmp(oid, "2.16.840.1.101.3.4.2.2") != 0 || digest.n != NVIDIA_FWID_SIZE || sequence.n != 0) return false;
    *out = digest;
    return true;
}

/* TcbInfo in TCG's form ([6] FWIDs, [7] flags), or in NVIDIA's older one, which ends with one FWID. */
static clo_err tcb_info(clo_span extension, clo_span *fwid, bool *debug)
{
    enum { FWIDS = 0xa6, FLAGS = 0x87, FLAG_DEBUG = 0x10 };
    clo_span body, value, first;
    CLO_TRY(clo_wire_der_take(&extension, CLO_DER_SEQUENCE, &body));
    CLO_CHECKF(extension.n == 0, CLO_E_TRAILING, "the leaf's TcbInfo has bytes behind it");
    uint8_t tag = 0;
    while (body.n != 0) {
        CLO_TRY(clo_wire_der_next(&body, &tag, &value));
        if (tag == FWIDS) {
            CLO_TRY(clo_wire_der_take(&value, CLO_DER_SEQUENCE, &first));
            CLO_CHECKF(fwid_of(first, fwid), CLO_E_MALFORMED, "the leaf's TcbInfo has an unreadable FWID");
        } else if (tag == FLAGS) {
            CLO_CHECKF(value.n >= 2, CLO_E_MALFORMED, "the leaf's TcbInfo has unreadable flags");
            *debug = *debug || (value.p[1] & FLAG_DEBUG) != 0;
        } else if (tag == CLO_DER_SEQUENCE && body.n == 0) {
            CLO_CHECKF(fwid_of(value, fwid), CLO_E_MALFORMED, "the leaf's TcbInfo does not end with a FWID");
        }
    }
    return CLO_OK;
}

CLO_R clo_attest_nvidia_leaf(const clo_crypto_cert *cert, nvidia_leaf *out)
{
    memset(out, 0, sizeof *out);
    clo_span extension;
    CLO_TRY(clo_crypto_cert_common_name(cert, out->name, sizeof out->name));
    const char *space = strchr(out->name, ' ');
    size_t n = strlen(out->name);
    if (space != NULL && (size_t)(space - out->name) < sizeof out->architecture) memcpy(out->architecture, out->name, (size_t)(space - out->name));
    out->firmware_leaf = n > 7 && strcmp(out->name + n - 7, " FMC LF") == 0;
    CLO_TRY(clo_crypto_cert_extension(cert, "2.23.133.5.4.1", &extension));
    if (extension.p != NULL) CLO_TRY(tcb_info(extension, &out->fwid, &out->debug));
    CLO_TRY(clo_crypto_cert_extension(cert, "2.23.133.5.4.1.1", &extension));
    if (extension.p != NULL) CLO_TRY(tcb_info(extension, &out->layer_fwid, &out->debug));
    return CLO_OK;
}

static clo_err spdm_claims(clo_arena *a, const nvidia_report *r, clo_wire_node *to)
{
    static const struct {
        const char *name;
        size_t at;
    } codes[] = {{"req_version", offsetof(nvidia_report, request_version)},
                 {"req_code", offsetof(nvidia_report, request_code)},
                 {"resp_version", offsetof(nvidia_report, response_version)},
                 {"resp_code", offsetof(nvidia_report, response_code)}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char text[8];
        (void)snprintf(text, sizeof text, "0x%02x", (unsigned)((const uint8_t *)r)[codes[i].at]);
        CLO_TRY(clo_wire_set_text(a, to, codes[i].name, text));
    }
    CLO_TRY(clo_wire_set_int(a, to, "param1", r->param1));
    CLO_TRY(clo_wire_set_int(a, to, "param2", r->param2));
    CLO_TRY(clo_wire_set_bytes(a, to, "nonce", r->nonce));
    CLO_TRY(clo_wire_set_int(a, to, "slot", r->slot));
    CLO_TRY(clo_wire_set_int(a, to, "n_blocks", (int64_t)r->block_count));
    CLO_TRY(clo_wire_set_bytes(a, to, "resp_nonce", r->response_nonce));
    CLO_TRY(clo_wire_set_int(a, to, "trailing_bytes", (int64_t)r->trailing));
    CLO_TRY(clo_wire_set_int(a, to, "signed_len", (int64_t)r->signed_bytes.n));
    CLO_TRY(clo_wire_set_int(a, to, "record_len", (int64_t)r->record.n));
    CLO_TRY(clo_wire_set_int(a, to, "opaque_len", (int64_t)r->opaque.n));
    return clo_wire_set_int(a, to, "sig_len", (int64_t)r->signature.n);
}

static clo_err leaf_claims(clo_arena *a, const nvidia_report *r, const nvidia_leaf *leaf, clo_wire_node *to)
{
    CLO_TRY(clo_wire_set_text(a, to, "arch_leaf_cn", leaf->name));
    CLO_TRY(clo_wire_set_text(a, to, "architecture", leaf->architecture));
    if (leaf->fwid.p == NULL) return CLO_OK;
    CLO_TRY(clo_wire_set_bytes(a, to, "fwid_from_leaf_cert", leaf->fwid));
    return clo_wire_set_bool(a, to, "fwid_matches_opaque", clo_span_equal(leaf->fwid, clo_attest_nvidia_field(r, NVIDIA_FWID)));
}

CLO_R clo_attest_nvidia_claims(clo_arena *a, const nvidia_report *r, const nvidia_leaf *leaf, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *spdm = NULL, *opaque = NULL, *measurements = NULL;
    char text[64];
    uint8_t digest[48];
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_map(a, &spdm));
    CLO_TRY(clo_wire_map(a, &opaque));
    CLO_TRY(clo_wire_map(a, &measurements));
    CLO_TRY(spdm_claims(a, r, spdm));
    CLO_TRY(clo_wire_set(a, map, "spdm", spdm));
    if (leaf != NULL) CLO_TRY(leaf_claims(a, r, leaf, map));
    for (size_t i = 0; i < r->field_count; i++) {
        (void)snprintf(text, sizeof text, "%u", (unsigned)r->fields[i].type);
        CLO_TRY(clo_wire_set_bytes(a, opaque, text, r->fields[i].value));
    }
    for (size_t i = 0; i < NVIDIA_INDEX_MAX; i++) {
        if (r->measurements[i].p == NULL) continue;
        (void)snprintf(text, sizeof text, "%zu", i);
        CLO_TRY(clo_wire_set_bytes(a, measurements, text, r->measurements[i]));
    }
    CLO_TRY(clo_wire_set(a, map, "opaque", opaque));
    CLO_TRY(clo_wire_set_int(a, map, "measurement_count", (int64_t)r->block_count));
    CLO_TRY(clo_wire_set(a, map, "measurements", measurements));
    clo_attest_nvidia_driver_version(r, text);
    CLO_TRY(clo_wire_set_text(a, map, "driver_version", text));
    clo_attest_nvidia_vbios_version(r, text);
    CLO_TRY(clo_wire_set_text(a, map, "vbios_version", text));
    CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, r->record, digest));
    CLO_TRY(clo_wire_set_bytes(a, map, "record_sha384", clo_span_of(digest, sizeof digest)));
    *out = map;
    return CLO_OK;
}
