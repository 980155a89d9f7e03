/* The release token: what the runtime asks the key services to commit. */
#include <stdio.h>

#include "base/clo_own.h"
#include "collab/collab_int.h"

static clo_err spends_tree(clo_arena *a, const clo_collab_release_token *t, clo_wire_node **out)
{
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < t->spend_count; i++) {
        clo_wire_node *spend = NULL;
        CLO_TRY(clo_wire_map(a, &spend));
        CLO_TRY(clo_collab_set_fixed(a, spend, "dataset", t->spends[i].dataset, sizeof t->spends[i].dataset));
        CLO_TRY(clo_collab_set_rho(a, spend, "rho", t->spends[i].rho));
        CLO_TRY(clo_wire_append(list, spend));
    }
    *out = list;
    return CLO_OK;
}

static clo_err shares_tree(clo_arena *a, const clo_collab_release_token *t, clo_wire_node **out)
{
    CLO_TRY(clo_wire_array(a, out));
    for (size_t i = 0; i < t->share_count; i++) {
        clo_wire_node *digest = NULL;
        CLO_TRY(clo_wire_bytes(a, clo_span_of(t->shares[i], sizeof t->shares[i]), &digest));
        CLO_TRY(clo_wire_append(*out, digest));
    }
    return CLO_OK;
}

static clo_err token_tree(clo_arena *a, const clo_collab_release_token *t, clo_wire_node **out)
{
    CLO_CHECK(t->recipient_count <= CLO_PARTIES_MAX && t->spend_count <= CLO_DATASETS_MAX && t->share_count <= CLO_PARTIES_MAX, CLO_E_BUG);
    clo_wire_node *map = NULL, *spends = NULL, *shares = NULL;
    CLO_TRY(clo_collab_map_new(a, CLO_FORMAT_RELEASE, &map));
    CLO_TRY(clo_collab_set_fixed(a, map, "agreement", t->agreement, sizeof t->agreement));
    CLO_TRY(clo_wire_set_int(a, map, "epoch", t->epoch));
    CLO_TRY(clo_collab_set_fixed(a, map, "run_id", t->run_id, sizeof t->run_id));
    CLO_TRY(clo_collab_set_fixed(a, map, "request", t->request, sizeof t->request));
    CLO_TRY(clo_collab_set_fixed(a, map, "output", t->output, sizeof t->output));
    CLO_TRY(clo_collab_set_u64(a, map, "output_size", t->output_size));
    CLO_TRY(clo_collab_set_names(a, map, "recipients", t->recipients, t->recipient_count));
    CLO_TRY(spends_tree(a, t, &spends));
    CLO_TRY(clo_wire_set(a, map, "spends", spends));
    CLO_TRY(shares_tree(a, t, &shares));
    CLO_TRY(clo_wire_set(a, map, "shares", shares));
    CLO_TRY(clo_wire_set_bool(a, map, "guards_passed", t->guards_passed));
    CLO_TRY(clo_wire_set_text(a, map, "guards", t->guards));
    CLO_TRY(clo_collab_set_fixed(a, map, "evidence", t->evidence, sizeof t->evidence));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_release_token_sign(const clo_collab_release_token *t, const clo_crypto_private_key *runtime, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 256 * 1024);
    clo_wire_node *map = NULL;
    CLO_TRY(token_tree(&a, t, &map));
    return clo_collab_map_sign(map, runtime, CLO_TYPE_RELEASE, out);
}

static clo_err spends_read(clo_arena *a, const clo_wire_node *list, clo_collab_release_token *t)
{
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, t->spend_count++) {
        char what[48];
        (void)snprintf(what, sizeof what, "release.spends[%zu]", t->spend_count);
        clo_wire_fields f;
        clo_wire_fields_open(&f, a, n, what);
        clo_wire_take_fixed(&f, "dataset", t->spends[t->spend_count].dataset, 32);
        clo_collab_take_rho(&f, "rho", &t->spends[t->spend_count].rho);
        CLO_TRY(clo_wire_fields_end(&f));
        for (size_t k = 0; k < t->spend_count; k++)
            CLO_CHECKF(memcmp(t->spends[k].dataset, t->spends[t->spend_count].dataset, 32) != 0, CLO_E_DUPLICATE,
                       "%s names a dataset twice", what);
    }
    return CLO_OK;
}

static clo_err shares_read(const clo_wire_node *list, clo_collab_release_token *t)
{
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, t->share_count++)
        CLO_TRY(clo_wire_node_fixed(n, "release.shares", t->shares[t->share_count], sizeof t->shares[0]));
    return CLO_OK;
}

clo_err clo_collab_release_token_open(clo_arena *a, clo_span in, const clo_crypto_public_key *runtime,
                                      clo_collab_release_token *out)
{
    clo_wire_cose *cose = NULL;
    clo_wire_node *map = NULL, *again = NULL;
    CLO_TRY(clo_collab_map_open(a, in, CLO_TYPE_RELEASE, "the release token", &cose, &map));
    CLO_TRY(clo_collab_map_verify(cose, runtime, "the release token"));
    clo_collab_release_token t;
    memset(&t, 0, sizeof t);
    const clo_wire_node *spends = NULL, *shares = NULL;
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "release");
    clo_collab_take_format(&f, CLO_FORMAT_RELEASE);
    clo_wire_take_fixed(&f, "agreement", t.agreement, sizeof t.agreement);
    clo_wire_take_int(&f, "epoch", &t.epoch, 1, INT32_MAX);
    clo_wire_take_fixed(&f, "run_id", t.run_id, sizeof t.run_id);
    clo_wire_take_fixed(&f, "request", t.request, sizeof t.request);
    clo_wire_take_fixed(&f, "output", t.output, sizeof t.output);
    clo_collab_take_u64(&f, "output_size", &t.output_size);
    clo_collab_take_names(&f, "recipients", t.recipients, CLO_PARTIES_MAX, &t.recipient_count);
    clo_wire_take_array(&f, "spends", &spends, CLO_DATASETS_MAX);
    clo_wire_take_array(&f, "shares", &shares, CLO_PARTIES_MAX);
    clo_wire_take_bool(&f, "guards_passed", &t.guards_passed);
    clo_wire_take_str(&f, "guards", t.guards, sizeof t.guards);
    clo_wire_take_fixed(&f, "evidence", t.evidence, sizeof t.evidence);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(spends_read(a, spends, &t));
    CLO_TRY(shares_read(shares, &t));
    CLO_TRY(token_tree(a, &t, &again));
    CLO_TRY(clo_collab_require_canonical(again, cose->payload, "the release token"));
    *out = t;
    return CLO_OK;
}
