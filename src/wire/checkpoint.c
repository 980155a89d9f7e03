/* Checkpoints and tlog-proofs (C2SP tlog-checkpoint, tlog-proof), and a verifier's policy over them. */
#include <stdio.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/note_int.h"

static const char proof_magic[] = "c2sp.org/tlog-proof@v1";
enum { PROOF_MAX = CLO_NOTE_MAX + 128 * 1024, WITNESSES_MAX = 8 };

static clo_err bad_checkpoint(const char *why) { return CLO_FAILF(CLO_E_MALFORMED, "the checkpoint %s; fetch it again", why); }

static clo_err read_hash(clo_span line, clo_wire_hash *out)
{
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, 64);
    if (line.n != 44 || clo_failed(clo_base64_decode(&b, line)) || b.len != sizeof out->b)
        return CLO_FAILF(CLO_E_MALFORMED, "a hash is not the base64 of 32 bytes; fetch the file again");
    memcpy(out->b, b.p, sizeof out->b);
    return CLO_OK;
}

clo_err clo_wire_checkpoint_parse(clo_span body, clo_wire_checkpoint *out)
{
    clo_wire_checkpoint c = {0};
    clo_span rest = body, origin = {0}, size = {0}, root = {0}, extension = {0};
    if (!clo_wire_line_take(&rest, &origin) || !clo_wire_line_take(&rest, &size) || !clo_wire_line_take(&rest, &root))
        return bad_checkpoint("has fewer than three lines");
    if (origin.n == 0) return bad_checkpoint("has an empty origin");
    if (clo_failed(clo_str_set(c.origin, sizeof c.origin, origin))) return bad_checkpoint("has an origin that is too long");
    if (clo_failed(clo_u64_parse(&c.size, size))) return bad_checkpoint("has a size that is not a plain decimal number");
    CLO_TRY(read_hash(root, &c.root));
    while (rest.n != 0) {
        if (!clo_wire_line_take(&rest, &extension)) return bad_checkpoint("does not end with a newline");
        if (extension.n == 0) return bad_checkpoint("has an empty line");
    }
    *out = c;
    return CLO_OK;
}

clo_err clo_wire_checkpoint_write(const clo_wire_checkpoint *c, clo_buf *out)
{
    if (c->origin[0] == '\0' || strchr(c->origin, '\n') != NULL)
        return CLO_FAILF(CLO_E_MALFORMED, "the origin of a log must be one line of text");
    size_t before = out->len;
    clo_err e = clo_buf_printf(out, "%s\n%llu\n", c->origin, (unsigned long long)c->size);
    if (!clo_failed(e)) e = clo_base64_encode(out, clo_span_of(c->root.b, sizeof c->root.b));
    if (!clo_failed(e)) e = clo_buf_put_u8(out, '\n');
    if (clo_failed(e)) out->len = before;
    return e;
}

/* Only a missing or a wrong signature is a denial; anything else is passed on. */
static clo_err deny_signature(clo_err e, const char *claim, const char *expected, const char *remedy)
{
    if (e.code != CLO_E_NOT_FOUND && e.code != CLO_E_BAD_SIGNATURE) return e;
    return CLO_DENY(CLO_E_BAD_SIGNATURE, claim, expected,
                    e.code == CLO_E_NOT_FOUND ? "no signature by this key" : "a signature that does not verify",
                    "the log's policy", remedy);
}

static bool listed_before(const clo_wire_log_policy *policy, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (clo_crypto_public_key_equal(&policy->witnesses[i].key, &policy->witnesses[index].key)) return true;
    return false;
}

/* Count the witnesses that signed; *at is the quorum-th latest of their times. */
static clo_err check_witnesses(const clo_wire_note *note, const clo_wire_log_policy *policy, uint64_t *at)
{
    uint64_t times[WITNESSES_MAX]; /* latest first */
    size_t count = 0;
    char expected[64], actual[64];
    CLO_CHECK(policy->witness_count <= WITNESSES_MAX, CLO_E_BUG);
    for (size_t i = 0; i < policy->witness_count; i++) {
        const clo_wire_note_key *k = &policy->witnesses[i];
        CLO_CHECKF(k->type == NOTE_TYPE_COSIGNATURE, CLO_E_MALFORMED, "the key of witness %s is not a witness key (type 4)",
                   k->name);
        if (listed_before(policy, i)) continue; /* one witness under two names is one witness */
        uint64_t time = 0;
        clo_err e = clo_wire_note_verify(note, k, &time);
        if (e.code == CLO_E_NOT_FOUND) continue;
        if (clo_failed(e))
            return deny_signature(e, "log.witnesses", k->name, "fetch the checkpoint again; if it fails again, it was altered");
        size_t place = count++;
        for (; place > 0 && times[place - 1] < time; place--) times[place] = times[place - 1];
        times[place] = time;
    }
    (void)snprintf(expected, sizeof expected, "cosignatures by %zu witnesses", policy->quorum);
    (void)snprintf(actual, sizeof actual, "cosignatures by %zu", count);
    if (count < policy->quorum)
        return CLO_DENY(CLO_E_DENIED, "log.witnesses", expected, actual, "the log's policy",
                        "wait until the witnesses have signed, then fetch the checkpoint again");
    *at = policy->quorum > 0 ? times[policy->quorum - 1] : 0;
    return CLO_OK;
}

clo_err clo_wire_checkpoint_verify(clo_span note, const clo_wire_log_policy *policy, clo_wire_checkpoint *out,
                                   uint64_t *witnessed_at)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)CLO_NOTE_MAX * 4);
    void *p = NULL;
    CLO_TRY(clo_arena_alloc(&a, sizeof(clo_wire_note), &p));
    clo_wire_note *n = p;
    clo_wire_checkpoint c = {0};
    CLO_TRY(clo_wire_note_parse(&a, note, n));
    CLO_CHECKF(policy->log.type == NOTE_TYPE_LOG, CLO_E_MALFORMED, "the key of log %s is not a log key (type 1)",
               policy->log.name);
    clo_err e = clo_wire_note_verify(n, &policy->log, NULL);
    if (clo_failed(e))
        return deny_signature(e, "log.signature", policy->log.name,
                              "check the log's verifier key, then fetch the checkpoint again");
    CLO_TRY(clo_wire_checkpoint_parse(n->body, &c));
    if (strcmp(c.origin, policy->log.name) != 0)
        return CLO_DENY(CLO_E_DENIED, "log.origin", policy->log.name, c.origin, "the log's policy",
                        "fetch the checkpoint of the right log");
    uint64_t at = 0;
    CLO_TRY(check_witnesses(n, policy, &at));
    if (out != NULL) *out = c;
    if (witnessed_at != NULL) *witnessed_at = at;
    return CLO_OK;
}

clo_err clo_wire_tlog_proof_write(uint64_t index, const clo_wire_hash *path, size_t path_count, clo_span checkpoint_note,
                                  clo_buf *out)
{
    size_t before = out->len;
    clo_err e = clo_buf_printf(out, "%s\nindex %llu\n", proof_magic, (unsigned long long)index);
    for (size_t i = 0; i < path_count && !clo_failed(e); i++) {
        e = clo_base64_encode(out, clo_span_of(path[i].b, sizeof path[i].b));
        if (!clo_failed(e)) e = clo_buf_put_u8(out, '\n');
    }
    if (!clo_failed(e)) e = clo_buf_put_u8(out, '\n');
    if (!clo_failed(e)) e = clo_buf_put_span(out, checkpoint_note);
    if (clo_failed(e)) out->len = before;
    return e;
}

static clo_err bad_proof(const char *why) { return CLO_FAILF(CLO_E_MALFORMED, "the log proof %s; fetch it again", why); }

static bool cut_prefix(clo_span *line, const char *prefix)
{
    size_t n = strlen(prefix);
    if (line->n < n || memcmp(line->p, prefix, n) != 0) return false;
    *line = clo_span_of(line->p + n, line->n - n);
    return true;
}

clo_err clo_wire_tlog_proof_parse(clo_span proof, uint64_t *index, clo_wire_hash path[CLO_MERKLE_PATH_MAX], size_t *path_count,
                                  clo_span *checkpoint_note)
{
    CLO_CHECKF(proof.n <= PROOF_MAX, CLO_E_TOO_LARGE, "the log proof has %zu bytes; at most %d are allowed", proof.n, PROOF_MAX);
    clo_span rest = proof, line = {0};
    uint64_t at = 0;
    size_t count = 0;
    if (!clo_wire_line_take(&rest, &line) || !clo_span_equal(line, clo_span_str(proof_magic)))
        return bad_proof("does not begin as one");
    if (!clo_wire_line_take(&rest, &line)) return bad_proof("is cut");
    if (cut_prefix(&line, "extra ")) {
        CLO_AUTO(clo_buf_free) clo_buf ignored;
        clo_buf_init(&ignored, PROOF_MAX);
        if (clo_failed(clo_base64_decode(&ignored, line))) return bad_proof("has extra data that is not base64");
        if (!clo_wire_line_take(&rest, &line)) return bad_proof("is cut");
    }
    if (!cut_prefix(&line, "index ") || clo_failed(clo_u64_parse(&at, line))) return bad_proof("has no index");
    for (;;) {
        if (!clo_wire_line_take(&rest, &line)) return bad_proof("is cut");
        if (line.n == 0) break;
        if (count == CLO_MERKLE_PATH_MAX) return bad_proof("has too many hashes");
        CLO_TRY(read_hash(line, &path[count]));
        count++;
    }
    *index = at;
    *path_count = count;
    *checkpoint_note = rest;
    return CLO_OK;
}

clo_err clo_wire_tlog_proof_verify(clo_span proof, clo_span leaf_data, const clo_wire_log_policy *policy,
                                   clo_wire_checkpoint *out, uint64_t *index, uint64_t *witnessed_at)
{
    clo_wire_hash path[CLO_MERKLE_PATH_MAX], leaf;
    size_t path_count = 0;
    uint64_t at = 0, time = 0;
    clo_span note = {0};
    clo_wire_checkpoint c = {0};
    CLO_TRY(clo_wire_tlog_proof_parse(proof, &at, path, &path_count, &note));
    CLO_TRY(clo_wire_checkpoint_verify(note, policy, &c, &time));
    CLO_TRY(clo_wire_merkle_leaf(leaf_data, &leaf));
    if (at >= c.size)
        return CLO_DENY(CLO_E_DENIED, "log.inclusion", "an index within the log", "an index beyond its checkpoint",
                        "the log proof", "fetch the proof again");
    CLO_TRY(clo_wire_merkle_inclusion(&leaf, at, c.size, path, path_count, &c.root));
    if (out != NULL) *out = c;
    if (index != NULL) *index = at;
    if (witnessed_at != NULL) *witnessed_at = time;
    return CLO_OK;
}
