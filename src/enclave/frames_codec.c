/* Bodies of the host protocol's messages, except those in frames_report.c: START, FETCH, TUNNEL_*, EVIDENCE. */
#include "base/clo_own.h"
#include "enclave/frames_int.h"

clo_err clo_enclave_body_begin(clo_arena *a, size_t bytes_max, clo_wire_node **map)
{
    clo_arena_init(a, bytes_max + 64 * 1024);
    return clo_wire_map(a, map);
}

clo_err clo_enclave_body_read(clo_arena *a, clo_span in, const char *name, clo_wire_fields *f)
{
    clo_wire_node *map = NULL;
    clo_wire_cbor_limits limits = {.items_max = 4096};
    clo_err e = clo_wire_cbor_decode(a, in, &limits, &map);
    if (clo_failed(e)) return clo_err_prefix(e, name);
    clo_wire_fields_open(f, a, map, name);
    return CLO_OK;
}

clo_err clo_enclave_spans_set(clo_arena *a, clo_wire_node *map, const char *key, const clo_span *spans, size_t count)
{
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < count; i++) {
        clo_wire_node *n = NULL;
        CLO_TRY(clo_wire_bytes(a, spans[i], &n));
        CLO_TRY(clo_wire_append(list, n));
    }
    return clo_wire_set(a, map, key, list);
}

clo_err clo_enclave_spans_take(const clo_wire_node *list, const char *what, clo_span *spans, size_t max, size_t *count)
{
    CLO_CHECKF(list->count <= max, CLO_E_TOO_MANY, "%s has %zu elements; at most %zu are allowed", what, list->count, max);
    size_t i = 0;
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next) {
        CLO_CHECKF(n->type == CLO_WIRE_BYTES, CLO_E_MALFORMED, "%s[%zu] must be bytes", what, i);
        spans[i++] = n->text;
    }
    *count = i;
    return CLO_OK;
}

clo_err clo_enclave_start_encode(const clo_enclave_start *m, clo_buf *out)
{
    CLO_CHECK(m->manifest_count <= CLO_DATASETS_MAX, CLO_E_TOO_MANY);
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_enclave_body_begin(&a, 2 * CLO_ENCLAVE_START_MAX, &map));
    CLO_TRY(clo_wire_set_bytes(&a, map, "agreement", m->agreement_file));
    CLO_TRY(clo_wire_set_bytes(&a, map, "agreement_proof", m->agreement_proof));
    CLO_TRY(clo_wire_set_bytes(&a, map, "request", m->request));
    CLO_TRY(clo_enclave_spans_set(&a, map, "manifests", m->manifests, m->manifest_count));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_enclave_start_decode(clo_arena *a, clo_span in, clo_enclave_start *out)
{
    clo_wire_fields f;
    clo_enclave_start m = {0};
    const clo_wire_node *list = NULL;
    CLO_TRY(clo_enclave_body_read(a, in, "START", &f));
    clo_wire_take_bytes(&f, "agreement", &m.agreement_file, CLO_ENCLAVE_START_MAX);
    clo_wire_take_bytes(&f, "agreement_proof", &m.agreement_proof, CLO_NOTE_MAX);
    clo_wire_take_bytes(&f, "request", &m.request, 64 * 1024);
    clo_wire_take_array(&f, "manifests", &list, CLO_DATASETS_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(clo_enclave_spans_take(list, "START.manifests", m.manifests, CLO_DATASETS_MAX, &m.manifest_count));
    for (size_t i = 0; i < m.manifest_count; i++)
        CLO_CHECKF(m.manifests[i].n <= CLO_MANIFEST_MAX, CLO_E_TOO_LARGE, "START.manifests[%zu] has %zu bytes; at most %d are allowed", i,
                   m.manifests[i].n, CLO_MANIFEST_MAX);
    *out = m;
    return CLO_OK;
}

clo_err clo_enclave_fetch_encode(const clo_enclave_fetch *m, clo_buf *out)
{
    CLO_CHECK(m->first <= INT64_MAX, CLO_E_RANGE);
    CLO_CHECK(m->count <= INT64_MAX, CLO_E_RANGE);
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_enclave_body_begin(&a, 4096, &map));
    CLO_TRY(clo_wire_set_bytes(&a, map, "dataset", clo_span_of(m->dataset, 32)));
    CLO_TRY(clo_wire_set_int(&a, map, "first", (int64_t)m->first));
    CLO_TRY(clo_wire_set_int(&a, map, "count", (int64_t)m->count));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_enclave_fetch_decode(clo_arena *a, clo_span in, clo_enclave_fetch *out)
{
    clo_wire_fields f;
    clo_enclave_fetch m = {{0}, 0, 0};
    int64_t first = 0, count = 0;
    CLO_TRY(clo_enclave_body_read(a, in, "FETCH", &f));
    clo_wire_take_fixed(&f, "dataset", m.dataset, 32);
    clo_wire_take_int(&f, "first", &first, 0, UINT32_MAX);
    clo_wire_take_int(&f, "count", &count, 1, UINT32_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    m.first = (uint64_t)first;
    m.count = (uint64_t)count;
    *out = m;
    return CLO_OK;
}

clo_err clo_enclave_tunnel_encode(uint16_t number, const clo_enclave_tunnel *m, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_enclave_body_begin(&a, CLO_ENCLAVE_TUNNEL_MAX, &map));
    CLO_TRY(clo_wire_set_text(&a, map, "owner", m->owner));
    if (number == CLO_ENCLAVE_TUNNEL_EXCHANGE) {
        CLO_CHECK(m->send.n <= CLO_ENCLAVE_TUNNEL_MAX, CLO_E_TOO_LARGE);
        CLO_TRY(clo_wire_set_bytes(&a, map, "send", m->send));
        CLO_TRY(clo_wire_set_bool(&a, map, "wait", m->wait));
    }
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_enclave_tunnel_decode(clo_arena *a, uint16_t number, clo_span in, clo_enclave_tunnel *out)
{
    clo_wire_fields f;
    clo_enclave_tunnel m = {0};
    CLO_TRY(clo_enclave_body_read(a, in, "TUNNEL", &f));
    clo_wire_take_name(&f, "owner", m.owner);
    if (number == CLO_ENCLAVE_TUNNEL_EXCHANGE) {
        clo_wire_take_bytes(&f, "send", &m.send, CLO_ENCLAVE_TUNNEL_MAX);
        clo_wire_take_bool(&f, "wait", &m.wait);
    }
    CLO_TRY(clo_wire_fields_end(&f));
    *out = m;
    return CLO_OK;
}

clo_err clo_enclave_evidence_encode(const clo_enclave_evidence *m, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *map = NULL, *binding = NULL;
    CLO_TRY(clo_enclave_body_begin(&a, CLO_EVIDENCE_MAX + CLO_CONFIGURATION_MAX, &map));
    CLO_TRY(clo_wire_set_bool(&a, map, "renewal", m->renewal));
    CLO_TRY(clo_wire_set_text(&a, map, "tee", m->tee));
    CLO_TRY(clo_collab_binding_tree(&a, &m->binding, &binding));
    CLO_TRY(clo_wire_set(&a, map, "binding", binding));
    CLO_TRY(clo_wire_set_bytes(&a, map, "evidence", m->evidence));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_enclave_evidence_decode(clo_arena *a, clo_span in, clo_enclave_evidence *out)
{
    clo_wire_fields f;
    clo_enclave_evidence m = {0};
    const clo_wire_node *binding = NULL;
    CLO_TRY(clo_enclave_body_read(a, in, "EVIDENCE", &f));
    clo_wire_take_bool(&f, "renewal", &m.renewal);
    clo_wire_take_str(&f, "tee", m.tee, sizeof m.tee);
    clo_wire_take_map(&f, "binding", &binding);
    clo_wire_take_bytes(&f, "evidence", &m.evidence, CLO_EVIDENCE_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(clo_collab_binding_read(a, binding, "EVIDENCE.binding", &m.binding));
    *out = m;
    return CLO_OK;
}
