#include "collab_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"
#include "wire/note.h"

void fixture_identity(const char *name, uint8_t seed, clo_collab_identity *out)
{
    memset(out, 0, sizeof *out);
    (void)snprintf(out->public_half.name, sizeof out->public_half.name, "%s", name);
    out->sign.alg = CLO_SIGN_ED25519;
    memset(out->sign.bytes, seed, 32);
    assert_ok(clo_crypto_sign_public_of(&out->sign, &out->public_half.sign));
    clo_crypto_hpke_private sk = {.kem = CLO_HPKE_KEM_X25519};
    clo_crypto_hpke_public pk;
    memset(sk.secret.b, seed + 100, sizeof sk.secret.b);
    clo_key32_copy(&out->hpke, &sk.secret);
    assert_ok(clo_crypto_hpke_public_of(&sk, &pk));
    memcpy(out->public_half.hpke, pk.bytes, sizeof out->public_half.hpke);
}

const char *fixture_hex(fixture *f, clo_span bytes)
{
    void *p = NULL;
    assert_ok(clo_arena_alloc(&f->arena, bytes.n * 2 + 1, &p));
    clo_hex_encode(p, bytes);
    return p;
}

static void put_vkey(fixture *f, const char *name, uint8_t type, const clo_crypto_private_key *sk)
{
    clo_crypto_public_key pk;
    clo_wire_note_key key;
    assert_ok(clo_crypto_sign_public_of(sk, &pk));
    assert_ok(clo_wire_note_key_make(name, type, &pk, &key));
    assert_ok(clo_wire_note_key_text(&key, &f->yaml));
}

static void put_party(fixture *f, size_t i)
{
    static const char *const names[] = {"hospital-a", "hospital-b", "hospital-c", "analyst"};
    clo_collab_identity *id = &f->parties[i];
    fixture_identity(names[i], (uint8_t)(i + 1), id);
    assert_ok(clo_buf_printf(&f->yaml, "  - name: %s\n    role: %s\n    sign_key: %s\n    hpke_key: %s\n", names[i],
                             i < 3 ? "data-owner" : "analyst", fixture_hex(f, clo_crypto_public_key_span(&id->public_half.sign)),
                             fixture_hex(f, clo_span_of(id->public_half.hpke, 32))));
    if (i == 3) return;
    clo_crypto_hpke_private sk = {.kem = CLO_HPKE_KEM_X25519};
    clo_crypto_hpke_public pk;
    memset(sk.secret.b, (int)(0x40 + i), sizeof sk.secret.b);
    clo_key32_copy(&f->kms[i], &sk.secret);
    assert_ok(clo_crypto_hpke_public_of(&sk, &pk));
    assert_ok(clo_buf_printf(&f->yaml,
                             "    key_service:\n      url: https://127.0.0.1:%zu\n      spki: %064zx\n      hpke_key: %s\n",
                             9001 + i, i + 1, fixture_hex(f, clo_span_of(pk.bytes, 32))));
}

static void put_datasets(fixture *f)
{
    assert_ok(clo_buf_put_str(&f->yaml, "datasets:\n"));
    for (int i = 0; i < 3; i++)
        assert_ok(
            clo_buf_printf(&f->yaml,
                           "  - name: rows-%c\n    owner: hospital-%c\n    budget: {epsilon: %d, delta: 1e-6}\n    schema:\n"
                           "      target: malignant\n      columns:\n        radius: {type: float, min: 6.5, max: 28.5}\n"
                           "        area: {type: float, min: 143.5, max: 2501}\n        malignant: {type: int, min: 0, max: 1}\n",
                           'a' + i, 'a' + i, 3 + i));
}

static const char terms[] = "programs:\n"
                            "  - name: means\n    kind: sql\n    sql: SELECT malignant, COUNT(*) AS n, AVG(radius) AS "
                            "mean_radius FROM rows WHERE area >= :floor GROUP BY malignant\n"
                            "    parameters: [floor]\n"
                            "  - name: model\n    kind: train\n    target: malignant\n    steps: 20\n"
                            "runs:\n"
                            "  - name: means\n    program: means\n    datasets: [rows-a, rows-b, rows-c]\n    starters: "
                            "[analyst]\n    recipients: [analyst, hospital-a]\n"
                            "    price: \"0.01\"\n    count_max: 3\n    min_rows: 20\n"
                            "  - name: model\n    program: model\n    datasets: [rows-a, rows-b, rows-c]\n    starters: "
                            "[analyst, hospital-a]\n    recipients: [analyst]\n"
                            "    price: {rho: \"1/20\"}\n    count_max: 1\n    min_rows: 50\n    not_before: "
                            "2026-02-01T00:00:00Z\n    not_after: 2026-12-01T00:00:00Z\n";

void fixture_open(fixture *f, const uint8_t *sim_root)
{
    memset(f, 0, sizeof *f);
    clo_arena_init(&f->arena, 64 << 20);
    clo_buf_init(&f->yaml, 64 * 1024);
    f->log_key.alg = f->witness_key.alg = CLO_SIGN_ED25519;
    memset(f->log_key.bytes, 0x70, 32);
    memset(f->witness_key.bytes, 0x71, 32);
    memset(f->measurement, 0xab, sizeof f->measurement);
    memset(f->sim_root, 0xcd, sizeof f->sim_root);
    if (sim_root != NULL) memcpy(f->sim_root, sim_root, sizeof f->sim_root);
    assert_ok(clo_buf_printf(
        &f->yaml,
        "format: cloister-agreement/1\ntitle: Breast cancer, three hospitals\nepoch: 1\nnot_after: 2027-01-01T00:00:00Z\n"
        "allow_simulated: true\nlease_seconds: 300\nreattest_seconds: 60\ntelemetry: [states, counts]\n"
        "operator: {name: operator, url: \"https://127.0.0.1:8443\", spki: %064x}\nlog:\n  vkey: ",
        0xfeed));
    put_vkey(f, "log.example", 1, &f->log_key);
    assert_ok(clo_buf_put_str(&f->yaml, "\n  witnesses:\n    - "));
    put_vkey(f, "witness.example", 4, &f->witness_key);
    assert_ok(clo_buf_put_str(&f->yaml, "\n  quorum: 1\nparties:\n"));
    for (size_t i = 0; i < 4; i++) put_party(f, i);
    put_datasets(f);
    assert_ok(clo_buf_printf(&f->yaml, "runtimes:\n  - tee: sim\n    measurements: [%s]\n    roots: [%s]\n",
                             fixture_hex(f, clo_span_of(f->measurement, 48)), fixture_hex(f, clo_span_of(f->sim_root, 32))));
    assert_ok(clo_buf_put_str(&f->yaml, terms));
}

void fixture_close(fixture *f)
{
    clo_buf_free(&f->yaml);
    clo_arena_free(&f->arena);
}

clo_err fixture_read(fixture *f, const char *yaml, clo_collab_agreement **out)
{
    clo_span text = yaml != NULL ? clo_span_str(yaml) : clo_buf_span(&f->yaml);
    clo_wire_node *tree = NULL;
    CLO_TRY(clo_wire_yaml_decode(&f->arena, text, &tree));
    CLO_TRY(clo_collab_agreement_new(&f->arena, out));
    return clo_collab_agreement_read(&f->arena, tree, *out);
}

clo_collab_agreement *fixture_agreement(fixture *f)
{
    clo_collab_agreement *g = NULL;
    assert_ok(fixture_read(f, NULL, &g));
    return g;
}

const char *fixture_with(fixture *f, const char *from, const char *to)
{
    const char *text = NULL;
    assert_ok(clo_buf_cstr(&f->yaml, &text));
    const char *at = strstr(text, from);
    if (at == NULL) fail_msg("the fixture has no \"%s\"", from);
    const char *out = NULL;
    assert_ok(clo_arena_printf(&f->arena, &out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)));
    return out;
}

clo_span fixture_signed(fixture *f, const clo_collab_agreement *g, size_t count)
{
    CLO_AUTO(clo_buf_free) clo_buf file;
    clo_buf_init(&file, 1 << 20);
    assert_ok(clo_collab_agreement_file_make(g, &file));
    for (size_t i = 0; i < count; i++) {
        CLO_AUTO(clo_buf_free) clo_buf next;
        clo_buf_init(&next, 1 << 20);
        assert_ok(clo_collab_agreement_file_sign(clo_buf_span(&file), &f->parties[i], &next));
        clo_buf_clear(&file);
        assert_ok(clo_buf_put_span(&file, clo_buf_span(&next)));
    }
    clo_span out;
    assert_ok(clo_arena_copy(&f->arena, clo_buf_span(&file), &out));
    return out;
}

void fixture_request(const clo_collab_agreement *g, clo_collab_run_request *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->agreement, g->id, 32);
    out->epoch = g->epoch;
    memcpy(out->run, "means", sizeof "means");
    memset(out->run_id, 0x5a, sizeof out->run_id);
    memcpy(out->starter, "analyst", sizeof "analyst");
    out->created = FIXTURE_TIME;
    out->rho = g->runs[0].rho;
    out->dataset_count = g->dataset_count;
    for (size_t i = 0; i < g->dataset_count; i++) {
        memcpy(out->datasets[i].id, g->datasets[i].id, 32);
        memset(out->datasets[i].version, (int)(0x80 + i), 32);
    }
    out->parameter_count = 1;
    memcpy(out->parameters[0].name, "floor", sizeof "floor");
    memcpy(out->parameters[0].value, "200", sizeof "200");
}

clo_span fixture_configuration(fixture *f, const clo_collab_agreement *g, const char *engine)
{
    clo_collab_configuration c = {.runtime = "cloister-enclave 1", .tee = "sim", .landlock_abi = 6, .reattest_seconds = g->reattest_seconds,
                                  .lease_seconds = g->lease_seconds, .compute_seconds_max = 3600, .result_bytes_max = 1 << 20};
    (void)snprintf(c.engine, sizeof c.engine, "%s", engine);
    for (unsigned i = 0; i < CLO_LAYERS; i++) c.layers[i] = true;
    CLO_AUTO(clo_buf_free) clo_buf out;
    clo_buf_init(&out, CLO_CONFIGURATION_MAX);
    assert_ok(clo_collab_configuration_encode(&c, &out));
    clo_span kept;
    assert_ok(clo_arena_copy(&f->arena, clo_buf_span(&out), &kept));
    return kept;
}

static const char *golden_path(fixture *f, const char *name)
{
    const char *path = NULL;
    assert_ok(clo_arena_printf(&f->arena, &path, "tests/collab/golden/%s.hex", name));
    return path;
}

clo_span fixture_golden_read(fixture *f, const char *name)
{
    FILE *file = fopen(golden_path(f, name), "re");
    if (file == NULL) fail_msg("tests/collab/golden/%s.hex is missing", name);
    void *text = NULL, *bytes = NULL;
    enum { TEXT_MAX = 1 << 20 };
    assert_ok(clo_arena_alloc(&f->arena, TEXT_MAX, &text));
    size_t n = fread(text, 1, TEXT_MAX, file);
    assert_int_equal(fclose(file), 0);
    while (n > 0 && ((char *)text)[n - 1] == '\n') n--;
    assert_ok(clo_arena_alloc(&f->arena, n / 2 + 1, &bytes));
    assert_ok(clo_hex_decode(bytes, n / 2, clo_span_of(text, n)));
    return clo_span_of(bytes, n / 2);
}

void fixture_golden(fixture *f, const char *name, clo_span bytes)
{
    if (getenv("CLOISTER_GOLDEN_WRITE") != NULL) {
        FILE *file = fopen(golden_path(f, name), "we");
        assert_non_null(file);
        assert_true(fprintf(file, "%s\n", fixture_hex(f, bytes)) > 0);
        assert_int_equal(fclose(file), 0);
    }
    if (!clo_span_equal(fixture_golden_read(f, name), bytes)) fail_msg("%s is no longer written as its golden file", name);
}

void fixture_hostile(fixture_parser parse, void *context, clo_span good)
{
    assert_ok(parse(context, good));
    uint8_t *bad = malloc(good.n + 1);
    assert_non_null(bad);
    static const uint8_t flips[] = {0x01, 0x20, 0x80};
    for (size_t i = 0; i < good.n; i++) {
        for (size_t k = 0; k < sizeof flips; k++) {
            memcpy(bad, good.p, good.n);
            bad[i] ^= flips[k];
            if (!clo_failed(parse(context, clo_span_of(bad, good.n))))
                fail_msg("byte %zu of %zu changed by %02x was accepted", i, good.n, flips[k]);
        }
    }
    memcpy(bad, good.p, good.n);
    bad[good.n] = 0;
    for (size_t n = 0; n < good.n; n++) /* a copy of exact size, so that a sanitizer sees any read beyond it */
        if (n < 64 || n % 7 == 0 || n + 64 > good.n) {
            uint8_t *cut = malloc(n + (n == 0));
            assert_non_null(cut);
            memcpy(cut, good.p, n);
            if (!clo_failed(parse(context, clo_span_of(cut, n)))) fail_msg("%zu of %zu bytes were accepted", n, good.n);
            free(cut);
        }
    if (!clo_failed(parse(context, clo_span_of(bad, good.n + 1)))) fail_msg("a byte too many was accepted");
    free(bad);
}
