/* The runtime's configuration: what its evidence covers beside its program, and whether the agreement accepts it. */
#include <stdio.h>

#include "base/clo_own.h"
#include "collab/collab_int.h"
#include "wire/cbor.h"

enum { VERSION = 1, SECONDS_MAX = 30 * 86400 };
static const char hpke_suite[] = "DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM";
static const char signature_suite[] = "Ed25519";
static const char channel_suite[] = "TLS 1.3, pinned keys, exporter-bound";
static const char rows_suite[] = "AES-256-GCM chunks, key-committing, Merkle root";

const char *clo_collab_layer_name(unsigned layer)
{
    if (layer < CLO_OS_LAYER_COUNT) return clo_os_layer_name((clo_os_layer)layer);
    if (layer == CLO_LAYER_SECRET_MEMORY) return "secret-memory";
    return layer == CLO_LAYER_LOCKED_ROWS ? "locked-rows" : "unknown";
}

bool clo_collab_layer_mandatory(unsigned layer)
{
    return layer == CLO_OS_LAYER_NO_DUMP || layer == CLO_OS_LAYER_NO_NEW_PRIVS || layer == CLO_OS_LAYER_RLIMITS || layer == CLO_OS_LAYER_SECCOMP;
}

clo_err clo_collab_configuration_encode(const clo_collab_configuration *c, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 64 * 1024);
    clo_wire_node *map = NULL, *layers = NULL;
    CLO_TRY(clo_wire_map(&a, &map));
    CLO_TRY(clo_wire_set_int(&a, map, "version", VERSION));
    CLO_TRY(clo_wire_set_text(&a, map, "runtime", c->runtime));
    CLO_TRY(clo_wire_set_text(&a, map, "tee", c->tee));
    CLO_TRY(clo_wire_set_text(&a, map, "engine", c->engine));
    CLO_TRY(clo_wire_map(&a, &layers));
    for (unsigned i = 0; i < CLO_LAYERS; i++) CLO_TRY(clo_wire_set_bool(&a, layers, clo_collab_layer_name(i), c->layers[i]));
    CLO_TRY(clo_wire_set(&a, map, "layers", layers));
    CLO_TRY(clo_wire_set_int(&a, map, "landlock_abi", c->landlock_abi));
    CLO_TRY(clo_wire_set_int(&a, map, "reattest_seconds", c->reattest_seconds));
    CLO_TRY(clo_wire_set_int(&a, map, "lease_seconds", c->lease_seconds));
    CLO_TRY(clo_wire_set_int(&a, map, "compute_seconds_max", c->compute_seconds_max));
    CLO_TRY(clo_wire_set_int(&a, map, "result_bytes_max", c->result_bytes_max));
    CLO_TRY(clo_wire_set_text(&a, map, "hpke", hpke_suite));
    CLO_TRY(clo_wire_set_text(&a, map, "signature", signature_suite));
    CLO_TRY(clo_wire_set_text(&a, map, "channel", channel_suite));
    CLO_TRY(clo_wire_set_text(&a, map, "rows", rows_suite));
    return clo_wire_cbor_encode(map, out);
}

static void take_constant(clo_wire_fields *f, const char *key, const char *expected)
{
    char text[80];
    clo_wire_take_str(f, key, text, sizeof text);
    if (strcmp(text, expected) != 0) clo_wire_fields_fail(f, CLO_E_UNSUPPORTED, key, "is not the suite of this version");
}

clo_err clo_collab_configuration_decode(clo_arena *a, clo_span in, clo_collab_configuration *out)
{
    CLO_CHECKF(in.n <= CLO_CONFIGURATION_MAX, CLO_E_TOO_LARGE, "the runtime's configuration has %zu bytes; at most %d are allowed", in.n,
               CLO_CONFIGURATION_MAX);
    clo_wire_node *map = NULL;
    CLO_TRY(clo_collab_map_decode(a, in, CLO_COLLAB_ITEMS_MAX, "the runtime's configuration", &map));
    clo_collab_configuration c;
    memset(&c, 0, sizeof c);
    const clo_wire_node *layers = NULL;
    int64_t version = 0;
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "configuration");
    clo_wire_take_int(&f, "version", &version, VERSION, VERSION);
    clo_wire_take_str(&f, "runtime", c.runtime, sizeof c.runtime);
    clo_wire_take_str(&f, "tee", c.tee, sizeof c.tee);
    clo_wire_take_str(&f, "engine", c.engine, sizeof c.engine);
    clo_wire_take_map(&f, "layers", &layers);
    clo_wire_take_int(&f, "landlock_abi", &c.landlock_abi, 0, INT32_MAX);
    clo_wire_take_int(&f, "reattest_seconds", &c.reattest_seconds, 1, SECONDS_MAX);
    clo_wire_take_int(&f, "lease_seconds", &c.lease_seconds, 1, SECONDS_MAX);
    clo_wire_take_int(&f, "compute_seconds_max", &c.compute_seconds_max, 1, SECONDS_MAX);
    clo_wire_take_int(&f, "result_bytes_max", &c.result_bytes_max, 1, INT64_MAX);
    take_constant(&f, "hpke", hpke_suite);
    take_constant(&f, "signature", signature_suite);
    take_constant(&f, "channel", channel_suite);
    take_constant(&f, "rows", rows_suite);
    CLO_TRY(clo_wire_fields_end(&f));
    clo_wire_fields_open(&f, a, layers, "configuration.layers");
    for (unsigned i = 0; i < CLO_LAYERS; i++) clo_wire_take_bool(&f, clo_collab_layer_name(i), &c.layers[i]);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_AUTO(clo_buf_free) clo_buf again;
    clo_buf_init(&again, CLO_CONFIGURATION_MAX);
    CLO_TRY(clo_collab_configuration_encode(&c, &again));
    CLO_CHECKF(clo_span_equal(clo_buf_span(&again), in), CLO_E_NOT_CANONICAL, "the runtime's configuration is not in its one canonical form");
    *out = c;
    return CLO_OK;
}

/* Names of layers, as many as fit. */
static void put_layers(char *to, size_t size, const char *before, const clo_collab_configuration *c, uint32_t allowed)
{
    size_t used = 0;
    to[0] = '\0';
    for (unsigned i = 0; i < CLO_LAYERS; i++) {
        if (c->layers[i] || (allowed >> i & 1) != 0 || used + 28 >= size) continue;
        int n = snprintf(to + used, size - used, "%s%s", used == 0 ? before : ", ", clo_collab_layer_name(i));
        if (n > 0) used += (size_t)n;
    }
}

static clo_err judge_terms(const clo_collab_configuration *c, const clo_collab_agreement *g, const clo_collab_run_terms *terms,
                           const clo_collab_runtime *r, const char *source)
{
    const clo_collab_program *p = clo_collab_agreement_program(g, terms->program);
    CLO_CHECK(p != NULL, CLO_E_BUG);
    const char *engine = p->kind == CLO_PROGRAM_SQL ? "sql" : "train";
    static const char remedy[] = "run the runtime that the agreement names, on the agreement that it was given";
    if (strcmp(c->tee, r->tee) != 0) return CLO_DENY(CLO_E_DENIED, "configuration.tee", r->tee, c->tee, source, remedy);
    if (strcmp(c->engine, engine) != 0) return CLO_DENY(CLO_E_DENIED, "configuration.engine", engine, c->engine, source, remedy);
    char expected[64], actual[64];
    if (c->lease_seconds == g->lease_seconds && c->reattest_seconds == g->reattest_seconds) return CLO_OK;
    (void)snprintf(expected, sizeof expected, "lease %lld s, attestation every %lld s", (long long)g->lease_seconds, (long long)g->reattest_seconds);
    (void)snprintf(actual, sizeof actual, "lease %lld s, attestation every %lld s", (long long)c->lease_seconds, (long long)c->reattest_seconds);
    return CLO_DENY(CLO_E_DENIED, "configuration.times", expected, actual, source, remedy);
}

clo_err clo_collab_configuration_judge(const clo_collab_configuration *c, const clo_collab_agreement *g, const clo_collab_run_terms *terms,
                                       size_t runtime)
{
    const clo_collab_runtime *r = &g->runtimes[runtime];
    char source[96], expected[160], actual[200], remedy[240], names[160];
    (void)snprintf(source, sizeof source, "agreement %s runtimes[%zu]", clo_collab_short(g->id).text, runtime);
    CLO_TRY(judge_terms(c, g, terms, r, source));
    put_layers(names, sizeof names, "", c, r->may_lack);
    if (names[0] == '\0') return CLO_OK;
    (void)snprintf(actual, sizeof actual, "inactive: %s", names);
    if (r->may_lack == 0)
        (void)snprintf(expected, sizeof expected, "every layer of the sandbox active");
    else
        (void)snprintf(expected, sizeof expected, "every layer of the sandbox active, except those in may_lack");
    (void)snprintf(remedy, sizeof remedy, "run on a kernel that grants them, or agree on may_lack: [%s]", names);
    return CLO_DENY(CLO_E_DENIED, "configuration.layers", expected, actual, source, remedy);
}
