/* acvp: AES-GCM and KDA HKDF; other algorithms of the folder are skips. */
#include "area_crypto.h"
#include "base/clo_buf.h"
#include "base/clo_own.h"

/* A sealed message with a short tag would be forged in 2^32 tries or fewer: the product opens 16-byte tags only. A tag that is to
 * be made short is the front of the whole one, so those cases still check our seal. */
static void gcm_case(clo_arena *a, const char *file, const char *name, const clo_wire_node *group, const clo_wire_node *test,
                     clo_vectors_report *r)
{
    const clo_wire_node *prompt = clo_wire_get(test, "prompt"), *expected = clo_wire_get(test, "expected");
    const char *direction = clo_vectors_text(group, "direction");
    bool encrypt = direction != NULL && strcmp(direction, "encrypt") == 0;
    size_t tag_size = (size_t)clo_vectors_int(group, "tagLen", 128) / 8;
    clo_span key = clo_vectors_bytes(a, prompt, "key"), iv = clo_vectors_bytes(a, prompt, "iv"),
             aad = clo_vectors_bytes(a, prompt, "aad");
    clo_crypto_aead_alg alg = CLO_AEAD_AES_256_GCM;
    if (!clo_vectors_gcm_alg(key.n, &alg) || tag_size > CLO_AEAD_TAG || clo_wire_get(prompt, "iv") == NULL) {
        clo_vectors_skip(r, file, name, CLO_VECTORS_NO_PRIMITIVE);
        return;
    }
    if (!encrypt && tag_size != CLO_AEAD_TAG) {
        clo_vectors_skip(r, file, name, "the product does not open messages with truncated tags");
        return;
    }
    if (encrypt) {
        clo_span pt = clo_vectors_bytes(a, prompt, "pt"), ct = clo_vectors_bytes(a, expected, "ct"),
                 tag = clo_vectors_bytes(a, expected, "tag");
        uint8_t *got = clo_vectors_scratch(a, pt.n + CLO_AEAD_TAG), *want = clo_vectors_scratch(a, ct.n + tag.n);
        if (clo_failed(clo_crypto_aead_seal(alg, key.p, iv, aad, pt, got))) {
            clo_vectors_fail(r, file, name, "sealed bytes", clo_err_text());
            return;
        }
        if (ct.n != 0) memcpy(want, ct.p, ct.n);
        if (tag.n != 0) memcpy(want + ct.n, tag.p, tag.n);
        clo_vectors_expect(a, r, file, name, clo_span_of(want, ct.n + tag.n), clo_span_of(got, pt.n + tag_size));
        return;
    }
    clo_span ct = clo_vectors_bytes(a, prompt, "ct"), tag = clo_vectors_bytes(a, prompt, "tag"),
             pt = clo_vectors_bytes(a, expected, "pt");
    const clo_wire_node *verdict = clo_wire_get(expected, "testPassed");
    bool good = verdict == NULL || verdict->boolean;
    uint8_t *sealed = clo_vectors_scratch(a, ct.n + tag.n), *got = clo_vectors_scratch(a, ct.n);
    if (ct.n != 0) memcpy(sealed, ct.p, ct.n);
    if (tag.n != 0) memcpy(sealed + ct.n, tag.p, tag.n);
    bool opened = !clo_failed(clo_crypto_aead_open(alg, key.p, iv, aad, clo_span_of(sealed, ct.n + tag.n), got));
    if (opened != good)
        clo_vectors_fail(r, file, name, good ? "opens" : "refused", opened ? "opens" : "refused");
    else if (!good)
        clo_vectors_pass(r);
    else
        clo_vectors_expect(a, r, file, name, pt, clo_span_of(got, ct.n));
}

/* FixedInfo (SP 800-56C): the parts that the pattern names, one behind the other; false for a part we do not know. */
static bool fixed_info(clo_arena *a, const clo_wire_node *config, const clo_wire_node *prompt, clo_buf *out)
{
    const char *at = clo_vectors_text(config, "fixedInfoPattern"), *encoding = clo_vectors_text(config, "fixedInfoEncoding");
    if (at == NULL || encoding == NULL || strcmp(encoding, "concatenation") != 0) return false;
    while (*at != 0) {
        size_t n = strcspn(at, "|");
        bool u = n == 10 && strncmp(at, "uPartyInfo", n) == 0, v = n == 10 && strncmp(at, "vPartyInfo", n) == 0;
        clo_span first = {0}, second = {0};
        if (u || v) {
            const clo_wire_node *party = clo_wire_get(prompt, u ? "fixedInfoPartyU" : "fixedInfoPartyV");
            first = clo_vectors_bytes(a, party, "partyId");
            second = clo_vectors_bytes(a, party, "ephemeralData");
        } else if (n == 1 && *at == 'l') {
            uint32_t bits = (uint32_t)clo_vectors_int(clo_wire_get(prompt, "kdfParameter"), "l", 0);
            uint8_t *be = clo_vectors_scratch(a, 4);
            for (unsigned i = 0; i < 4; i++) be[i] = (uint8_t)(bits >> (24 - 8 * i));
            first = clo_span_of(be, 4);
        } else {
            return false;
        }
        if (clo_failed(clo_buf_put_span(out, first)) || clo_failed(clo_buf_put_span(out, second))) return false;
        at += n;
        at += strspn(at, "|");
    }
    return true;
}

static void hkdf_case(clo_arena *a, const char *file, const char *name, const clo_wire_node *group, const clo_wire_node *test,
                      clo_vectors_report *r)
{
    const clo_wire_node *config = clo_wire_get(group, "kdfConfiguration"), *prompt = clo_wire_get(test, "prompt");
    const clo_wire_node *parameter = clo_wire_get(prompt, "kdfParameter"), *expected = clo_wire_get(test, "expected");
    CLO_AUTO(clo_buf_free) clo_buf info;
    clo_buf_init(&info, (size_t)1 << 20);
    clo_crypto_hash_alg alg = CLO_HASH_SHA256;
    if (!clo_vectors_hash_alg(clo_vectors_text(config, "hmacAlg"), &alg) || !fixed_info(a, config, prompt, &info)) {
        clo_vectors_skip(r, file, name, CLO_VECTORS_NO_PRIMITIVE);
        return;
    }
    size_t size = (size_t)clo_vectors_int(parameter, "l", 0) / 8;
    clo_span salt = clo_vectors_bytes(a, parameter, "salt"), z = clo_vectors_bytes(a, parameter, "z"),
             t = clo_vectors_bytes(a, parameter, "t");
    uint8_t *secret = clo_vectors_scratch(a, z.n + t.n), *got = clo_vectors_scratch(a, size);
    if (z.n != 0) memcpy(secret, z.p, z.n);
    if (t.n != 0) memcpy(secret + z.n, t.p, t.n); /* hybrid secrets: Z ‖ T */
    if (clo_failed(clo_crypto_hkdf(alg, salt, clo_span_of(secret, z.n + t.n), clo_buf_span(&info), got, size))) {
        clo_vectors_fail(r, file, name, "derived bytes", clo_err_text());
        return;
    }
    const clo_wire_node *verdict = clo_wire_get(expected, "testPassed");
    if (verdict == NULL) {
        clo_vectors_expect(a, r, file, name, clo_vectors_bytes(a, expected, "dkm"), clo_span_of(got, size));
        return;
    }
    bool same = clo_span_equal(clo_vectors_bytes(a, prompt, "dkm"), clo_span_of(got, size));
    if (same == verdict->boolean)
        clo_vectors_pass(r);
    else
        clo_vectors_fail(r, file, name, verdict->boolean ? "equal" : "different", same ? "equal" : "different");
}

static void acvp_file(clo_arena *a, const char *file, const clo_wire_node *root, clo_vectors_report *r)
{
    for (const clo_wire_node *set = root->first; set != NULL; set = set->next) {
        const char *algorithm = clo_vectors_text(set, "algorithm"), *mode = clo_vectors_text(set, "mode");
        bool gcm = algorithm != NULL && strcmp(algorithm, "ACVP-AES-GCM") == 0;
        bool hkdf = algorithm != NULL && mode != NULL && strcmp(algorithm, "KDA") == 0 && strcmp(mode, "HKDF") == 0;
        const clo_wire_node *groups = clo_wire_get(set, "testGroups");
        for (const clo_wire_node *group = groups != NULL ? groups->first : NULL; group != NULL; group = group->next) {
            const clo_wire_node *tests = clo_wire_get(group, "tests");
            for (const clo_wire_node *test = tests != NULL ? tests->first : NULL; test != NULL; test = test->next) {
                const char *name = clo_vectors_name(a, test, "tcId");
                if (gcm)
                    gcm_case(a, file, name, group, test, r);
                else if (hkdf)
                    hkdf_case(a, file, name, group, test, r);
                else
                    clo_vectors_skip(r, file, name, CLO_VECTORS_NO_PRIMITIVE);
            }
        }
    }
}

int clo_vectors_acvp(const char *dir, clo_vectors_report *r) { return clo_vectors_each_file(dir, acvp_file, r); }
