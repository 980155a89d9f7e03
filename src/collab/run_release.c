/* The messages of both release phases, between runtime and key service. */
#include <stdio.h>

#include "base/clo_own.h"
#include "collab/collab_int.h"
#include "wire/cbor.h"

enum { SEALED_KEY = 80, PROOF_MAX = 64 * 1024 }; /* HPKE enc 32 ‖ key 32 ‖ tag 16 */

static clo_err release_request_tree(clo_arena *a, const clo_collab_release_request *r, clo_wire_node **out)
{
    CLO_CHECK(r->manifest_count <= CLO_DATASETS_MAX, CLO_E_BUG);
    clo_wire_node *map = NULL, *list = NULL, *binding = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_bytes(a, map, "agreement", r->agreement_file));
    CLO_TRY(clo_wire_set_bytes(a, map, "agreement_proof", r->agreement_proof));
    CLO_TRY(clo_wire_set_bytes(a, map, "request", r->request));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < r->manifest_count; i++) {
        clo_wire_node *n = NULL;
        CLO_TRY(clo_wire_bytes(a, r->manifests[i], &n));
        CLO_TRY(clo_wire_append(list, n));
    }
    CLO_TRY(clo_wire_set(a, map, "manifests", list));
    CLO_TRY(clo_collab_binding_tree(a, &r->binding, &binding));
    CLO_TRY(clo_wire_set(a, map, "binding", binding));
    CLO_TRY(clo_wire_set_bytes(a, map, "evidence", r->evidence));
    CLO_TRY(clo_collab_set_fixed(a, map, "channel_proof", r->channel_proof, sizeof r->channel_proof));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_release_request_encode(const clo_collab_release_request *r, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, CLO_COLLAB_FILE_MAX);
    clo_wire_node *map = NULL;
    CLO_TRY(release_request_tree(&a, r, &map));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_collab_release_request_decode(clo_arena *a, clo_span in, clo_collab_release_request *out)
{
    clo_wire_node *map = NULL, *again = NULL;
    CLO_TRY(clo_collab_map_decode(a, in, CLO_COLLAB_ITEMS_MAX, "the release request", &map));
    clo_collab_release_request r;
    memset(&r, 0, sizeof r);
    const clo_wire_node *list = NULL, *binding = NULL;
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "release");
    clo_wire_take_bytes(&f, "agreement", &r.agreement_file, CLO_COLLAB_OBJECT_MAX);
    clo_wire_take_bytes(&f, "agreement_proof", &r.agreement_proof, PROOF_MAX);
    clo_wire_take_bytes(&f, "request", &r.request, CLO_COLLAB_OBJECT_MAX);
    clo_wire_take_array(&f, "manifests", &list, CLO_DATASETS_MAX);
    clo_wire_take_map(&f, "binding", &binding);
    clo_wire_take_bytes(&f, "evidence", &r.evidence, CLO_EVIDENCE_MAX);
    clo_wire_take_fixed(&f, "channel_proof", r.channel_proof, sizeof r.channel_proof);
    CLO_TRY(clo_wire_fields_end(&f));
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        CLO_CHECKF(n->type == CLO_WIRE_BYTES && n->text.n <= CLO_MANIFEST_MAX, CLO_E_MALFORMED,
                   "release.manifests[%zu] is no manifest", r.manifest_count);
        r.manifests[r.manifest_count++] = n->text;
    }
    CLO_TRY(clo_collab_binding_read(a, binding, "release.binding", &r.binding));
    CLO_TRY(release_request_tree(a, &r, &again));
    CLO_TRY(clo_collab_require_canonical(again, in, "the release request"));
    *out = r;
    return CLO_OK;
}

static clo_err release_reply_tree(clo_arena *a, const clo_collab_release_reply *r, clo_wire_node **out)
{
    CLO_CHECK(r->key_count <= CLO_DATASETS_MAX, CLO_E_BUG);
    clo_wire_node *map = NULL, *list = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_collab_set_fixed(a, map, "release_id", r->release_id, sizeof r->release_id));
    CLO_TRY(clo_wire_set_int(a, map, "lease_seconds", r->lease_seconds));
    CLO_TRY(clo_wire_set_int(a, map, "expires", r->expires));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < r->key_count; i++) {
        clo_wire_node *key = NULL;
        CLO_TRY(clo_wire_map(a, &key));
        CLO_TRY(clo_collab_set_fixed(a, key, "dataset", r->keys[i].dataset, sizeof r->keys[i].dataset));
        CLO_TRY(clo_wire_set_bytes(a, key, "sealed_dek", r->keys[i].sealed_dek));
        CLO_TRY(clo_wire_append(list, key));
    }
    CLO_TRY(clo_wire_set(a, map, "keys", list));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_release_reply_encode(const clo_collab_release_reply *r, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 256 * 1024);
    clo_wire_node *map = NULL;
    CLO_TRY(release_reply_tree(&a, r, &map));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_collab_release_reply_decode(clo_arena *a, clo_span in, clo_collab_release_reply *out)
{
    clo_wire_node *map = NULL, *again = NULL;
    CLO_TRY(clo_collab_map_decode(a, in, CLO_COLLAB_ITEMS_MAX, "the release reply", &map));
    clo_collab_release_reply r;
    memset(&r, 0, sizeof r);
    const clo_wire_node *list = NULL;
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "reply");
    clo_wire_take_fixed(&f, "release_id", r.release_id, sizeof r.release_id);
    clo_wire_take_int(&f, "lease_seconds", &r.lease_seconds, 0, 86400);
    clo_wire_take_int(&f, "expires", &r.expires, 0, INT64_MAX);
    clo_wire_take_array(&f, "keys", &list, CLO_DATASETS_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, r.key_count++) {
        char what[32];
        (void)snprintf(what, sizeof what, "reply.keys[%zu]", r.key_count);
        clo_wire_fields_open(&f, a, n, what);
        clo_wire_take_fixed(&f, "dataset", r.keys[r.key_count].dataset, 32);
        clo_wire_take_bytes(&f, "sealed_dek", &r.keys[r.key_count].sealed_dek, SEALED_KEY);
        CLO_TRY(clo_wire_fields_end(&f));
    }
    CLO_TRY(release_reply_tree(a, &r, &again));
    CLO_TRY(clo_collab_require_canonical(again, in, "the release reply"));
    *out = r;
    return CLO_OK;
}

static clo_err commit_request_tree(clo_arena *a, const clo_collab_commit_request *r, clo_wire_node **out)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_bytes(a, map, "token", r->token));
    CLO_TRY(clo_wire_set_bytes(a, map, "sealed_share", r->sealed_share));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_commit_request_encode(const clo_collab_commit_request *r, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, CLO_COLLAB_FILE_MAX);
    clo_wire_node *map = NULL;
    CLO_TRY(commit_request_tree(&a, r, &map));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_collab_commit_request_decode(clo_arena *a, clo_span in, clo_collab_commit_request *out)
{
    clo_wire_node *map = NULL, *again = NULL;
    CLO_TRY(clo_collab_map_decode(a, in, CLO_COLLAB_ITEMS_MAX, "the commit request", &map));
    clo_collab_commit_request r;
    memset(&r, 0, sizeof r);
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "commit");
    clo_wire_take_bytes(&f, "token", &r.token, CLO_MANIFEST_MAX);
    clo_wire_take_bytes(&f, "sealed_share", &r.sealed_share, SEALED_KEY);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(commit_request_tree(a, &r, &again));
    CLO_TRY(clo_collab_require_canonical(again, in, "the commit request"));
    *out = r;
    return CLO_OK;
}

static clo_err commit_reply_tree(clo_arena *a, const clo_collab_commit_reply *r, clo_wire_node **out)
{
    CLO_CHECK(r->share_count <= CLO_PARTIES_MAX, CLO_E_BUG);
    clo_wire_node *map = NULL, *list = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "owner", r->owner));
    if (!r->without_statement) CLO_TRY(clo_collab_set_fixed(a, map, "statement_share", r->statement_share, sizeof r->statement_share));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < r->share_count; i++) {
        clo_wire_node *share = NULL;
        CLO_TRY(clo_wire_map(a, &share));
        CLO_TRY(clo_wire_set_text(a, share, "recipient", r->shares[i].recipient));
        CLO_TRY(clo_wire_set_bytes(a, share, "sealed", r->shares[i].sealed));
        CLO_TRY(clo_wire_append(list, share));
    }
    CLO_TRY(clo_wire_set(a, map, "shares", list));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_commit_reply_encode(const clo_collab_commit_reply *r, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 256 * 1024);
    clo_wire_node *map = NULL;
    CLO_TRY(commit_reply_tree(&a, r, &map));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_collab_commit_reply_decode(clo_arena *a, clo_span in, clo_collab_commit_reply *out)
{
    clo_wire_node *map = NULL, *again = NULL;
    CLO_TRY(clo_collab_map_decode(a, in, CLO_COLLAB_ITEMS_MAX, "the commit reply", &map));
    clo_collab_commit_reply r;
    memset(&r, 0, sizeof r);
    const clo_wire_node *list = NULL;
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "reply");
    clo_wire_take_name(&f, "owner", r.owner);
    r.without_statement = !clo_wire_has(&f, "statement_share");
    if (!r.without_statement) clo_wire_take_fixed(&f, "statement_share", r.statement_share, sizeof r.statement_share);
    clo_wire_take_array(&f, "shares", &list, CLO_PARTIES_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, r.share_count++) {
        char what[32];
        (void)snprintf(what, sizeof what, "reply.shares[%zu]", r.share_count);
        clo_wire_fields_open(&f, a, n, what);
        clo_wire_take_name(&f, "recipient", r.shares[r.share_count].recipient);
        clo_wire_take_bytes(&f, "sealed", &r.shares[r.share_count].sealed, SEALED_KEY);
        CLO_TRY(clo_wire_fields_end(&f));
    }
    CLO_TRY(commit_reply_tree(a, &r, &again));
    CLO_TRY(clo_collab_require_canonical(again, in, "the commit reply"));
    *out = r;
    return CLO_OK;
}

bool clo_collab_commit_held(clo_err e)
{
    const clo_denial *d = clo_err_denial();
    return e.code == CLO_E_AGAIN && d != NULL && strcmp(d->claim, "ledger.witness") == 0;
}
