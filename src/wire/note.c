/* Signed notes and verifier keys (C2SP signed-note, tlog-cosignature). */
#include "wire/note.h"

#include <stdio.h>

#include "base/clo_own.h"
#include "base/clo_rd.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "wire/note_int.h"

static const char em_dash[] = "\xe2\x80\x94 ";

bool clo_wire_line_take(clo_span *rest, clo_span *line)
{
    const uint8_t *feed = rest->n != 0 ? memchr(rest->p, '\n', rest->n) : NULL;
    if (feed == NULL) return false;
    *line = clo_span_of(rest->p, (size_t)(feed - rest->p));
    *rest = clo_span_of(feed + 1, rest->n - line->n - 1);
    return true;
}

/* White space beyond ASCII, in UTF-8. */
static bool starts_with_space(const char *p)
{
    static const char *const spaces[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
                                         "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++)
        if (strncmp(p, spaces[i], strlen(spaces[i])) == 0) return true;
    const uint8_t *u = (const uint8_t *)p;
    return u[0] == 0xe2 && u[1] == 0x80 && u[2] >= 0x80 && u[2] <= 0x8a; /* U+2000 to U+200A */
}

static bool name_valid(const char *name)
{
    if (name[0] == '\0' || !clo_utf8_valid(clo_span_str(name))) return false;
    for (const char *p = name; *p != '\0'; p++)
        if ((uint8_t)*p <= 0x20 || *p == '+' || starts_with_space(p)) return false;
    return true;
}

static clo_err key_id(const char *name, uint8_t type, const clo_crypto_public_key *pk, uint8_t id[4])
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 1024);
    CLO_TRY(clo_buf_put_str(&b, name));
    CLO_TRY(clo_buf_put_u8(&b, '\n'));
    CLO_TRY(clo_buf_put_u8(&b, type));
    CLO_TRY(clo_buf_put_span(&b, clo_crypto_public_key_span(pk)));
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(clo_buf_span(&b), digest));
    memcpy(id, digest, 4);
    return CLO_OK;
}

clo_err clo_wire_note_key_make(const char *name, uint8_t type, const clo_crypto_public_key *pk, clo_wire_note_key *out)
{
    clo_wire_note_key k = {.type = type, .key = *pk};
    CLO_CHECKF(type == NOTE_TYPE_LOG || type == NOTE_TYPE_COSIGNATURE, CLO_E_UNSUPPORTED,
               "the key type %u is not accepted; use 1 (log) or 4 (witness)", (unsigned)type);
    CLO_CHECKF(pk->alg == CLO_SIGN_ED25519, CLO_E_UNSUPPORTED, "notes are signed with Ed25519 keys only");
    CLO_CHECKF(name_valid(name), CLO_E_MALFORMED, "the name of a log or witness must not be empty and have no spaces and no '+'");
    CLO_TRY(clo_str_set(k.name, sizeof k.name, clo_span_str(name)));
    CLO_TRY(key_id(name, type, pk, k.id));
    *out = k;
    return CLO_OK;
}

static clo_err bad_vkey(const char *why)
{
    return CLO_FAILF(CLO_E_MALFORMED, "the verifier key %s; it must read NAME+HASH+BASE64 as its owner published it", why);
}

clo_err clo_wire_note_key_parse(const char *vkey, clo_wire_note_key *out)
{
    const char *first = strchr(vkey, '+');
    const char *second = first != NULL ? strchr(first + 1, '+') : NULL;
    if (second == NULL || second - first != 9) return bad_vkey("has not three parts");
    char name[256];
    uint8_t id[4];
    CLO_TRY(clo_str_set(name, sizeof name, clo_span_of(vkey, (size_t)(first - vkey))));
    if (clo_failed(clo_hex_decode(id, 4, clo_span_of(first + 1, 8)))) return bad_vkey("has a hash that is not hexadecimal");
    CLO_AUTO(clo_buf_free) clo_buf key;
    clo_buf_init(&key, 64);
    if (clo_failed(clo_base64_decode(&key, clo_span_str(second + 1)))) return bad_vkey("is not valid base64");
    if (key.len != 33) return bad_vkey("has not the length of an Ed25519 key");
    clo_crypto_public_key pk = {0};
    clo_wire_note_key k = {0};
    CLO_TRY(clo_crypto_public_key_parse(CLO_SIGN_ED25519, clo_span_of(key.p + 1, 32), &pk));
    CLO_TRY(clo_wire_note_key_make(name, key.p[0], &pk, &k));
    if (memcmp(k.id, id, 4) != 0) return bad_vkey("has a hash that is not its key's");
    *out = k;
    return CLO_OK;
}

clo_err clo_wire_note_key_text(const clo_wire_note_key *k, clo_buf *out)
{
    uint8_t bytes[1 + CLO_SIGN_PUBLIC_MAX];
    bytes[0] = k->type;
    memcpy(bytes + 1, k->key.bytes, k->key.n);
    CLO_TRY(clo_buf_put_str(out, k->name));
    CLO_TRY(clo_buf_put_u8(out, '+'));
    CLO_TRY(clo_buf_put_hex(out, clo_span_of(k->id, 4)));
    CLO_TRY(clo_buf_put_u8(out, '+'));
    return clo_base64_encode(out, clo_span_of(bytes, 1 + k->key.n));
}

static clo_err bad_note(const char *why) { return CLO_FAILF(CLO_E_MALFORMED, "the signed note %s; fetch it again", why); }

static clo_err read_signature(clo_arena *a, clo_span line, clo_wire_note *n)
{
    size_t dash = sizeof em_dash - 1;
    if (line.n < dash || memcmp(line.p, em_dash, dash) != 0)
        return bad_note("has a signature line that does not begin with an em dash");
    clo_span rest = clo_span_of(line.p + dash, line.n - dash);
    const uint8_t *space = rest.n != 0 ? memchr(rest.p, ' ', rest.n) : NULL;
    if (space == NULL) return bad_note("has a signature line without a name");
    if (n->signature_count == CLO_NOTE_SIGNATURES_MAX)
        return CLO_FAILF(CLO_E_TOO_MANY, "the signed note has more than %d signatures", CLO_NOTE_SIGNATURES_MAX);
    char *name = n->signatures[n->signature_count].name;
    size_t name_size = sizeof n->signatures[0].name;
    clo_span name_text = clo_span_of(rest.p, (size_t)(space - rest.p));
    if (clo_failed(clo_str_set(name, name_size, name_text)) || !name_valid(name))
        return bad_note("has a signature line with an invalid name");
    CLO_AUTO(clo_buf_free) clo_buf blob;
    clo_buf_init(&blob, CLO_NOTE_MAX);
    clo_span text = clo_span_of(space + 1, rest.n - name_text.n - 1);
    if (clo_failed(clo_base64_decode(&blob, text)) || blob.len < 5) return bad_note("has a signature that is not valid base64");
    clo_span copy = {0};
    CLO_TRY(clo_arena_copy(a, clo_buf_span(&blob), &copy));
    memcpy(n->signatures[n->signature_count].id, copy.p, 4);
    n->signatures[n->signature_count].blob = clo_span_of(copy.p + 4, copy.n - 4);
    n->signature_count++;
    return CLO_OK;
}

clo_err clo_wire_note_parse(clo_arena *a, clo_span text, clo_wire_note *out)
{
    CLO_CHECKF(text.n <= CLO_NOTE_MAX, CLO_E_TOO_LARGE, "the signed note has %zu bytes; at most %d are allowed", text.n,
               CLO_NOTE_MAX);
    if (!clo_utf8_valid(text)) return bad_note("is not valid UTF-8");
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 && text.p[i] != '\n') return bad_note("has a control character");
    size_t blank = 0; /* of the last blank line */
    for (size_t i = 1; i < text.n; i++)
        if (text.p[i] == '\n' && text.p[i - 1] == '\n') blank = i;
    if (blank == 0) return bad_note("has no blank line before its signatures");
    clo_span copy = {0};
    CLO_TRY(clo_arena_copy(a, text, &copy));
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(a, sizeof(clo_wire_note), &p));
    clo_wire_note *n = p;
    n->body = clo_span_of(copy.p, blank);
    clo_span rest = clo_span_of(copy.p + blank + 1, copy.n - blank - 1), line = {0};
    if (rest.n == 0) return bad_note("has no signature");
    while (rest.n != 0) {
        if (!clo_wire_line_take(&rest, &line)) return bad_note("does not end with a newline");
        CLO_TRY(read_signature(a, line, n));
    }
    *out = *n;
    return CLO_OK;
}

/* "cosignature/v1\ntime N\n" ‖ body */
static clo_err cosigned_message(clo_span body, uint64_t time, clo_buf *out)
{
    CLO_TRY(clo_buf_printf(out, "cosignature/v1\ntime %llu\n", (unsigned long long)time));
    return clo_buf_put_span(out, body);
}

static clo_err verify_one(const clo_wire_note *n, clo_span blob, const clo_wire_note_key *k, uint64_t *time)
{
    if (k->type == NOTE_TYPE_LOG) return clo_crypto_verify(&k->key, n->body, blob);
    clo_rd r = clo_rd_init(blob);
    uint64_t t = clo_rd_u64be(&r);
    clo_span signature = clo_rd_span(&r, r.left);
    CLO_CHECKF(!r.bad && t <= (uint64_t)INT64_MAX, CLO_E_BAD_SIGNATURE, "the cosignature of %s is malformed", k->name);
    CLO_AUTO(clo_buf_free) clo_buf message;
    clo_buf_init(&message, CLO_NOTE_MAX + 64);
    CLO_TRY(cosigned_message(n->body, t, &message));
    CLO_TRY(clo_crypto_verify(&k->key, clo_buf_span(&message), signature));
    if (t > *time) *time = t;
    return CLO_OK;
}

clo_err clo_wire_note_verify(const clo_wire_note *n, const clo_wire_note_key *k, uint64_t *cosigned_at)
{
    uint64_t time = 0;
    bool found = false;
    for (size_t i = 0; i < n->signature_count; i++) {
        if (strcmp(n->signatures[i].name, k->name) != 0 || memcmp(n->signatures[i].id, k->id, 4) != 0) continue;
        CLO_TRY(verify_one(n, n->signatures[i].blob, k, &time));
        found = true;
    }
    CLO_CHECKF(found, CLO_E_NOT_FOUND, "the note is not signed by %s", k->name);
    if (cosigned_at != NULL) *cosigned_at = time;
    return CLO_OK;
}

/* One signature line; the blob begins with `prefix`. */
static clo_err put_line(const clo_wire_note_key *k, clo_span prefix, const uint8_t *signature, clo_buf *out)
{
    CLO_AUTO(clo_buf_free) clo_buf blob;
    clo_buf_init(&blob, 256);
    CLO_TRY(clo_buf_put(&blob, k->id, 4));
    CLO_TRY(clo_buf_put_span(&blob, prefix));
    CLO_TRY(clo_buf_put(&blob, signature, clo_crypto_signature_size(k->key.alg)));
    CLO_TRY(clo_buf_put_str(out, em_dash));
    CLO_TRY(clo_buf_put_str(out, k->name));
    CLO_TRY(clo_buf_put_u8(out, ' '));
    CLO_TRY(clo_base64_encode(out, clo_buf_span(&blob)));
    return clo_buf_put_u8(out, '\n');
}

static clo_err put_signature(const char *name, uint8_t type, const clo_crypto_private_key *sk, clo_span prefix, clo_span message,
                             clo_buf *out)
{
    clo_crypto_public_key pk = {0};
    clo_wire_note_key k = {0};
    uint8_t signature[CLO_SIGNATURE_MAX];
    CLO_TRY(clo_crypto_sign_public_of(sk, &pk));
    CLO_TRY(clo_wire_note_key_make(name, type, &pk, &k));
    CLO_TRY(clo_crypto_sign(sk, message, signature));
    return put_line(&k, prefix, signature, out);
}

static clo_err put_body(clo_span body, clo_buf *out)
{
    CLO_CHECKF(body.n > 0 && body.p[body.n - 1] == '\n', CLO_E_MALFORMED, "the text of a note must end in a newline");
    CLO_TRY(clo_buf_put_span(out, body));
    return clo_buf_put_u8(out, '\n');
}

clo_err clo_wire_note_sign(clo_span body, const char *name, const clo_crypto_private_key *sk, clo_buf *out)
{
    size_t before = out->len;
    clo_err e = put_body(body, out);
    if (!clo_failed(e)) e = put_signature(name, NOTE_TYPE_LOG, sk, clo_span_of(NULL, 0), body, out);
    if (clo_failed(e)) out->len = before;
    return e;
}

clo_err clo_wire_note_sign_loaded(clo_span body, const clo_wire_note_key *key, const clo_crypto_loaded_key *sk, clo_buf *out)
{
    CLO_CHECKF(key->type == NOTE_TYPE_LOG, CLO_E_UNSUPPORTED, "a log signs with a key of type 1");
    uint8_t signature[CLO_SIGNATURE_MAX];
    size_t before = out->len;
    clo_err e = put_body(body, out);
    if (!clo_failed(e)) e = clo_crypto_loaded_sign(sk, body, signature);
    if (!clo_failed(e)) e = put_line(key, clo_span_of(NULL, 0), signature, out);
    if (clo_failed(e)) out->len = before;
    return e;
}

clo_err clo_wire_note_cosign(clo_span body, const char *name, const clo_crypto_private_key *sk, uint64_t time, clo_buf *line)
{
    CLO_CHECKF(time <= (uint64_t)INT64_MAX, CLO_E_RANGE, "the time of a cosignature is beyond 2^63");
    uint8_t stamp[8];
    for (unsigned i = 0; i < 8; i++) stamp[i] = (uint8_t)(time >> (56 - 8 * i));
    CLO_AUTO(clo_buf_free) clo_buf message;
    clo_buf_init(&message, CLO_NOTE_MAX + 64);
    CLO_TRY(cosigned_message(body, time, &message));
    size_t before = line->len;
    clo_err e = put_signature(name, NOTE_TYPE_COSIGNATURE, sk, clo_span_of(stamp, 8), clo_buf_span(&message), line);
    if (clo_failed(e)) line->len = before;
    return e;
}
