/* What evidence, channels and sealed keys are bound to. */
#include "base/clo_own.h"
#include "collab/collab_int.h"
#include "crypto/hash.h"
#include "wire/cbor.h"

enum { MESSAGE_MAX = 8192 };

clo_err clo_collab_binding_report_data(const clo_collab_binding *b, uint8_t out[64])
{
    CLO_CHECKF(b->nonce_count >= 1 && b->nonce_count <= CLO_PARTIES_MAX, CLO_E_RANGE, "the binding must hold 1 to %d nonces",
               CLO_PARTIES_MAX);
    CLO_CHECKF(b->epoch >= 1 && b->epoch <= UINT32_MAX, CLO_E_RANGE, "the binding's epoch is out of range");
    uint8_t configuration[32];
    CLO_TRY(clo_crypto_sha256(b->configuration, configuration));
    CLO_AUTO(clo_buf_free) clo_buf m;
    clo_buf_init(&m, MESSAGE_MAX);
    CLO_TRY(clo_buf_put(&m, "cloister/v1", sizeof "cloister/v1")); /* with its zero byte */
    CLO_TRY(clo_buf_put_u8(&m, (uint8_t)b->nonce_count));
    for (size_t i = 0; i < b->nonce_count; i++) CLO_TRY(clo_buf_put(&m, b->nonces[i].bytes, CLO_NONCE));
    CLO_TRY(clo_buf_put(&m, b->agreement, sizeof b->agreement));
    CLO_TRY(clo_buf_put_u32be(&m, (uint32_t)b->epoch));
    CLO_TRY(clo_buf_put(&m, b->request, sizeof b->request));
    CLO_TRY(clo_buf_put(&m, b->hpke, sizeof b->hpke));
    CLO_TRY(clo_buf_put(&m, b->sign, sizeof b->sign));
    CLO_TRY(clo_buf_put(&m, b->leaf_spki, sizeof b->leaf_spki));
    CLO_TRY(clo_buf_put(&m, configuration, sizeof configuration));
    return clo_crypto_hash(CLO_HASH_SHA512, clo_buf_span(&m), out);
}

clo_err clo_collab_binding_tree(clo_arena *a, const clo_collab_binding *b, clo_wire_node **out)
{
    CLO_CHECK(b->nonce_count <= CLO_PARTIES_MAX, CLO_E_BUG);
    clo_wire_node *map = NULL, *list = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < b->nonce_count; i++) {
        clo_wire_node *n = NULL;
        CLO_TRY(clo_wire_bytes(a, clo_span_of(b->nonces[i].bytes, CLO_NONCE), &n));
        CLO_TRY(clo_wire_append(list, n));
    }
    CLO_TRY(clo_wire_set(a, map, "nonces", list));
    CLO_TRY(clo_collab_set_fixed(a, map, "agreement", b->agreement, sizeof b->agreement));
    CLO_TRY(clo_wire_set_int(a, map, "epoch", b->epoch));
    CLO_TRY(clo_collab_set_fixed(a, map, "request", b->request, sizeof b->request));
    CLO_TRY(clo_collab_set_fixed(a, map, "hpke_key", b->hpke, sizeof b->hpke));
    CLO_TRY(clo_collab_set_fixed(a, map, "sign_key", b->sign, sizeof b->sign));
    CLO_TRY(clo_collab_set_fixed(a, map, "leaf_spki", b->leaf_spki, sizeof b->leaf_spki));
    CLO_TRY(clo_wire_set_bytes(a, map, "configuration", b->configuration));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_binding_read(clo_arena *a, const clo_wire_node *node, const char *what, clo_collab_binding *out)
{
    clo_collab_binding b;
    memset(&b, 0, sizeof b);
    const clo_wire_node *list = NULL;
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, node, what);
    clo_wire_take_array(&f, "nonces", &list, CLO_PARTIES_MAX);
    clo_wire_take_fixed(&f, "agreement", b.agreement, sizeof b.agreement);
    clo_wire_take_int(&f, "epoch", &b.epoch, 1, UINT32_MAX);
    clo_wire_take_fixed(&f, "request", b.request, sizeof b.request);
    clo_wire_take_fixed(&f, "hpke_key", b.hpke, sizeof b.hpke);
    clo_wire_take_fixed(&f, "sign_key", b.sign, sizeof b.sign);
    clo_wire_take_fixed(&f, "leaf_spki", b.leaf_spki, sizeof b.leaf_spki);
    clo_wire_take_bytes(&f, "configuration", &b.configuration, CLO_CONFIGURATION_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(list->count >= 1, CLO_E_MISSING_FIELD, "%s.nonces is empty", what);
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, b.nonce_count++)
        CLO_TRY(clo_wire_node_fixed(n, "a nonce of the binding", b.nonces[b.nonce_count].bytes, CLO_NONCE));
    *out = b;
    return CLO_OK;
}

clo_err clo_collab_channel_message(const uint8_t exporter[32], const uint8_t client_spki[32], const uint8_t server_spki[32],
                                   const char *role, clo_span evidence, clo_buf *out)
{
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(evidence, digest));
    CLO_TRY(clo_collab_put_domain(out, "channel"));
    CLO_TRY(clo_buf_put(out, exporter, 32));
    CLO_TRY(clo_buf_put(out, client_spki, 32));
    CLO_TRY(clo_buf_put(out, server_spki, 32));
    CLO_TRY(clo_buf_put_str(out, role));
    return clo_buf_put(out, digest, sizeof digest);
}

clo_err clo_collab_release_info(const uint8_t agreement[32], const uint8_t run_id[16], const uint8_t dataset[32],
                                const uint8_t nonce[CLO_NONCE], clo_span evidence, int64_t expires, clo_buf *out)
{
    CLO_CHECKF(expires >= 0, CLO_E_RANGE, "the expiry of a release must not be negative");
    uint8_t digest[32];
    CLO_TRY(clo_crypto_sha256(evidence, digest));
    CLO_TRY(clo_collab_put_domain(out, "release"));
    CLO_TRY(clo_buf_put(out, agreement, 32));
    CLO_TRY(clo_buf_put(out, run_id, 16));
    CLO_TRY(clo_buf_put(out, dataset, 32));
    CLO_TRY(clo_buf_put(out, nonce, CLO_NONCE));
    CLO_TRY(clo_buf_put(out, digest, sizeof digest));
    return clo_buf_put_u64be(out, (uint64_t)expires);
}

clo_err clo_collab_share_info(const uint8_t agreement[32], const uint8_t run_id[16], const uint8_t output[32], const char *to,
                              clo_buf *out)
{
    CLO_TRY(clo_collab_put_domain(out, "share"));
    CLO_TRY(clo_buf_put(out, agreement, 32));
    CLO_TRY(clo_buf_put(out, run_id, 16));
    CLO_TRY(clo_buf_put(out, output, 32));
    return clo_buf_put_str(out, to);
}

static clo_err append_text(clo_arena *a, clo_wire_node *list, const char *text)
{
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_text(a, clo_span_str(text), &n));
    return clo_wire_append(list, n);
}

static clo_err workload_tree(clo_arena *a, const clo_collab_agreement *g, const clo_collab_run_terms *terms,
                             const uint8_t measurement[48], clo_wire_node **out)
{
    const clo_collab_program *p = clo_collab_agreement_program(g, terms->program);
    CLO_CHECK(p != NULL, CLO_E_BUG);
    clo_wire_node *map = NULL, *schemas = NULL, *capabilities = NULL, *output = NULL;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_collab_set_fixed(a, map, "runtime", measurement, 48));
    CLO_TRY(clo_collab_set_fixed(a, map, "program", p->digest, sizeof p->digest));
    CLO_TRY(clo_wire_array(a, &schemas));
    for (size_t i = 0; i < terms->dataset_count; i++) {
        const clo_collab_dataset_terms *d = clo_collab_agreement_dataset(g, terms->datasets[i]);
        CLO_CHECK(d != NULL, CLO_E_BUG);
        clo_wire_node *n = NULL;
        CLO_TRY(clo_wire_bytes(a, clo_span_of(d->schema.digest, sizeof d->schema.digest), &n));
        CLO_TRY(clo_wire_append(schemas, n));
    }
    CLO_TRY(clo_wire_set(a, map, "schemas", schemas));
    CLO_TRY(clo_wire_array(a, &capabilities));
    CLO_TRY(append_text(a, capabilities, "inputs.read"));
    CLO_TRY(append_text(a, capabilities, p->kind == CLO_PROGRAM_SQL ? "engine.sql" : "engine.train"));
    CLO_TRY(append_text(a, capabilities, "output.write"));
    CLO_TRY(clo_wire_set(a, map, "capabilities", capabilities));
    CLO_TRY(clo_wire_map(a, &output));
    CLO_TRY(clo_wire_set_int(a, output, "min_rows", terms->min_rows));
    CLO_TRY(clo_collab_set_names(a, output, "recipients", terms->recipients, terms->recipient_count));
    CLO_TRY(clo_wire_set(a, map, "output", output));
    CLO_TRY(clo_wire_set_int(a, map, "version", 1));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_workload_digest(const clo_collab_agreement *g, const clo_collab_run_terms *terms,
                                   const uint8_t measurement[48], uint8_t digest[48], uint8_t host_data[32])
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 128 * 1024);
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 64 * 1024);
    clo_wire_node *map = NULL;
    CLO_TRY(workload_tree(&a, g, terms, measurement, &map));
    CLO_TRY(clo_wire_cbor_encode(map, &bytes));
    uint8_t workload[48];
    CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, clo_buf_span(&bytes), workload));
    CLO_TRY(clo_crypto_sha256(clo_span_of(workload, sizeof workload), host_data));
    memcpy(digest, workload, sizeof workload);
    return CLO_OK;
}
