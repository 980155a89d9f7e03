/* Opening an output: the sealed file, one share of its key from each owner's key service, combined. */
#include "client/run_client.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "wire/cbor.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_MAX = 96 << 20, FILE_MAX = 72 << 20, SHARES_MAX = 4 << 20 };

typedef struct {
    clo_arena *a;
    clo_client_session *server;
    const clo_collab_agreement *g;
    const clo_collab_identity *who;
    const uint8_t *run_id;
    char id[33];
    clo_span file;
    uint8_t digest[32];
    clo_wire_node *replies; /* what the operator kept; NULL = nothing */
} opening;

/* The operator's copies of the commit replies: a convenience, not a dependency. */
static void fetch_replies(opening *o)
{
    char path[100];
    clo_span bytes;
    (void)snprintf(path, sizeof path, "/api/v1/outputs/%s/shares", o->id);
    clo_err e = clo_client_session_get(o->server, o->a, path, SHARES_MAX, &bytes);
    if (!clo_failed(e)) e = clo_wire_cbor_decode(o->a, bytes, NULL, &o->replies);
    if (clo_failed(e) || o->replies->type != CLO_WIRE_ARRAY) o->replies = NULL;
}

static clo_err ask_owner(const opening *o, const clo_collab_member *owner, clo_collab_commit_reply *out)
{
    clo_client_server server = {.known = true};
    char path[100];
    clo_span bytes;
    memcpy(server.url, owner->kms_url, sizeof server.url);
    memcpy(server.spki, owner->kms_spki, sizeof server.spki);
    clo_client_session *kms = NULL;
    CLO_TRY(clo_client_session_open(&kms, &server, NULL));
    (void)snprintf(path, sizeof path, "/v1/runs/%s/shares", o->id);
    clo_err e = clo_client_session_get(kms, o->a, path, SHARES_MAX, &bytes);
    clo_client_session_free(&kms);
    CLO_TRY(e);
    return clo_collab_commit_reply_decode(o->a, bytes, out);
}

static clo_err find_reply(const opening *o, const clo_collab_member *owner, clo_collab_commit_reply *out)
{
    for (const clo_wire_node *n = o->replies == NULL ? NULL : o->replies->first; n != NULL; n = n->next) {
        if (n->type != CLO_WIRE_BYTES || clo_failed(clo_collab_commit_reply_decode(o->a, n->text, out))) continue;
        if (strcmp(out->owner, owner->party.name) == 0) return CLO_OK;
    }
    return ask_owner(o, owner, out);
}

static clo_err take_share(const opening *o, const clo_collab_member *owner, clo_key32 *share)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(o->a, sizeof(clo_collab_commit_reply), &memory));
    clo_collab_commit_reply *reply = memory;
    CLO_TRY(find_reply(o, owner, reply));
    const char *me = o->who->public_half.name;
    CLO_AUTO(clo_buf_free) clo_buf info;
    clo_buf_init(&info, 512);
    CLO_TRY(clo_collab_share_info(o->g->id, o->run_id, o->digest, me, &info));
    for (size_t i = 0; i < reply->share_count; i++) {
        if (strcmp(reply->shares[i].recipient, me) != 0) continue;
        clo_err e = clo_crypto_hpke_open(&o->who->hpke, clo_buf_span(&info), clo_span_of(NULL, 0), reply->shares[i].sealed,
                                         share->b, sizeof share->b);
        if (clo_failed(e) && o->replies != NULL) {
            /* What the operator kept may be damaged; the owner has it, too. */
            CLO_TRY(ask_owner(o, owner, reply));
            if (i < reply->share_count && strcmp(reply->shares[i].recipient, me) == 0)
                e = clo_crypto_hpke_open(&o->who->hpke, clo_buf_span(&info), clo_span_of(NULL, 0), reply->shares[i].sealed,
                                         share->b, sizeof share->b);
        }
        CLO_CHECKF(!clo_failed(e), CLO_E_AUTHENTICATION,
                   "the share of %s does not open for this output; the output file is not the one that was released",
                   owner->party.name);
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_DENIED, "%s's key service has no share for %s: you are no recipient of this run", owner->party.name,
                     me);
}

clo_err clo_client_output_open(clo_client_session *server, const clo_collab_agreement *g, const char *run_name,
                               const uint8_t run_id[16], const clo_collab_identity *who, clo_buf *plain)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, ARENA_MAX);
    opening o = {.a = &a, .server = server, .g = g, .who = who, .run_id = run_id};
    size_t owners[CLO_PARTIES_MAX];
    char path[100];
    const clo_collab_run_terms *terms = clo_collab_agreement_run(g, run_name);
    CLO_CHECKF(terms != NULL, CLO_E_NOT_FOUND, "the agreement has no run \"%.60s\"", run_name);
    clo_hex_encode(o.id, clo_span_of(run_id, 16));
    (void)snprintf(path, sizeof path, "/api/v1/outputs/%s", o.id);
    CLO_TRY(clo_client_session_get(server, &a, path, FILE_MAX, &o.file));
    clo_collab_output_head head;
    CLO_TRY(clo_collab_output_peek(o.file, &head));
    if (memcmp(head.run_id, run_id, 16) != 0 || memcmp(head.agreement, g->id, 32) != 0)
        return CLO_DENY(CLO_E_DENIED, "output.run", o.id, "the output of another run", "request",
                        "ask the operator for the right file");
    CLO_TRY(clo_crypto_sha256(o.file, o.digest));
    fetch_replies(&o);
    size_t count = clo_collab_run_owners(g, terms, owners);
    CLO_KEY32(key);
    for (size_t i = 0; i < count; i++) {
        CLO_KEY32(share);
        CLO_TRY(take_share(&o, &g->members[owners[i]], &share));
        clo_key32_xor(&key, &share);
    }
    return clo_collab_output_open(o.file, &key, NULL, plain);
}
