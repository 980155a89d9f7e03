/* Proves that what is sealed at home is what the CSV said (opened again with the key that only the key service can open), in
 * chunks of any size; that a sealed file that was cut or changed anywhere is noticed without a key; that bad rows leave neither
 * file nor key behind, nor damage what was there. */
#include "client_fixture.h"

#include "client/seal.h"
#include "collab/key_import.h"
#include "wire/json.h"

#include <stdlib.h>

#define SCHEMA                                                                                                                   \
    "{\"columns\":{\"age\":{\"type\":\"int\",\"min\":0,\"max\":120},\"dose\":{\"type\":\"float\",\"min\":0,\"max\":10,"          \
    "\"nullable\":true},"                                                                                                        \
    "\"ward\":{\"type\":\"code\",\"codes\":[\"north\",\"south\"]}}}"

typedef struct {
    client_fixture base;
    clo_collab_identity owner;
    clo_wire_schema schema;
    clo_crypto_hpke_private kms;
    clo_crypto_hpke_public kms_public;
    clo_client_seal_options options;
    char sealed[CLO_CLIENT_PATH], key[CLO_CLIENT_PATH];
} fixture;

static int setup(void **state)
{
    static fixture f;
    void *base = NULL;
    (void)client_setup(&base);
    memset(&f, 0, sizeof f);
    f.base = *(client_fixture *)base;
    assert_ok(clo_collab_identity_make("hospital-a", &f.owner));
    clo_wire_node *tree = NULL;
    assert_ok(clo_wire_json_decode(&f.base.arena, clo_span_str(SCHEMA), &tree));
    assert_ok(clo_wire_schema_read(&f.base.arena, tree, &f.schema));
    assert_ok(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &f.kms, &f.kms_public));
    f.options = (clo_client_seal_options){
        .name = "rows", .schema = &f.schema, .owner = &f.owner, .kms_hpke = f.kms_public.bytes, .now = 1780000000};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    assert_ok(clo_os_tree_remove(f->base.dir));
    clo_arena_free(&f->base.arena);
    clo_collab_identity_wipe(&f->owner);
    return 0;
}

static clo_err seal(fixture *f, const char *csv, clo_collab_manifest *m)
{
    assert_ok(clo_os_path_join(f->sealed, sizeof f->sealed, f->base.dir, "rows.sealed"));
    assert_ok(clo_os_path_join(f->key, sizeof f->key, f->base.dir, "rows.key"));
    f->options.csv_path = client_write(&f->base, "rows.csv", csv);
    f->options.sealed_path = f->sealed;
    f->options.key_path = f->key;
    return clo_client_dataset_seal(&f->options, m);
}

static clo_span read_all(fixture *f, const char *name)
{
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 32 << 20);
    clo_span out;
    assert_ok(clo_os_file_read(client_path(&f->base, name), 32 << 20, &bytes));
    assert_ok(clo_arena_copy(&f->base.arena, clo_buf_span(&bytes), &out));
    return out;
}

/* Open as runtime and key service would. */
static clo_span open_plain(fixture *f, const clo_collab_manifest *m)
{
    clo_span message = read_all(f, "rows.key"), file = read_all(f, "rows.sealed"), manifest, sealed_dek, head;
    clo_collab_manifest again;
    uint8_t rows[32];
    assert_ok(clo_collab_key_import_decode(&f->base.arena, message, &manifest, rows, &sealed_dek));
    assert_ok(clo_collab_manifest_open(&f->base.arena, manifest, &f->owner.public_half.sign, &again));
    assert_memory_equal(again.version, m->version, 32);
    CLO_KEY32(dek);
    assert_ok(clo_collab_key_import_open(&again, sealed_dek, &f->kms.secret, &dek));
    clo_crypto_stream_info info;
    clo_collab_manifest_stream(&again, &info);
    CLO_AUTO(clo_crypto_stream_free) clo_crypto_stream *stream = NULL;
    assert_ok(clo_crypto_stream_open(&stream, &dek, &info, again.commitment));
    head = clo_span_of(file.p + clo_collab_sealed_offset(manifest.n, &again, 0),
                       (size_t)clo_collab_sealed_span(&again, 0, again.chunk_count));
    void *plain = NULL;
    assert_ok(clo_arena_alloc(&f->base.arena, (size_t)again.plain_size + 1, &plain));
    assert_ok(clo_crypto_stream_open_many(stream, 0, again.chunk_count, head, plain, 2));
    return clo_span_of(plain, (size_t)again.plain_size);
}

static void rows_come_back(void **state)
{
    fixture *f = *state;
    clo_collab_manifest m;
    clo_wire_table table;
    clo_wire_cell cells[3];
    uint64_t rows = 0;
    assert_ok(seal(f, "age,dose,ward\n41,2.5,south\n7,,north\n", &m));
    assert_int_equal(m.row_count, 2);
    clo_span plain = open_plain(f, &m);
    assert_ok(clo_wire_table_open(&f->schema, plain, &table, &rows));
    assert_int_equal(rows, 2);
    assert_ok(clo_wire_table_next(&table, cells));
    assert_int_equal(cells[0].integer, 41);
    assert_int_equal(cells[2].integer, 1);
    assert_ok(clo_wire_table_next(&table, cells));
    assert_true(cells[1].null);
    assert_ok(clo_wire_table_end(&table));
    assert_false(clo_os_file_exists(client_path(&f->base, "rows.sealed.part")));
}

/* Around the sizes at which chunks and batches end: 64 bytes of head and 14 a row. */
static void every_size_is_sealed_whole(void **state)
{
    fixture *f = *state;
    static const size_t counts[] = {0, 1, 56, 57, 58, 129, 130, 131, 5000, 50000, 250000};
    f->options.chunk_size = CLO_STREAM_CHUNK_MIN;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        CLO_AUTO(clo_buf_free) clo_buf csv;
        clo_buf_init(&csv, 32 << 20);
        const char *text = NULL;
        clo_collab_manifest m, again;
        clo_wire_table table;
        clo_wire_cell cells[3];
        clo_span manifest;
        uint64_t rows = 0;
        assert_ok(clo_buf_put_str(&csv, "age,dose,ward\n"));
        for (size_t k = 0; k < counts[i]; k++) assert_ok(clo_buf_printf(&csv, "%zu,1.5,north\n", k % 121));
        assert_ok(clo_buf_cstr(&csv, &text));
        f->options.threads = (unsigned)i % 4;
        assert_ok(seal(f, text, &m));
        assert_ok(clo_client_sealed_check(&f->base.arena, f->options.sealed_path, &f->owner.public_half.sign, &again, &manifest));
        assert_memory_equal(again.version, m.version, 32);
        assert_ok(clo_wire_table_open(&f->schema, open_plain(f, &m), &table, &rows));
        assert_int_equal(rows, counts[i]);
        for (size_t k = 0; k < counts[i]; k++) {
            assert_ok(clo_wire_table_next(&table, cells));
            assert_int_equal(cells[0].integer, (int64_t)(k % 121));
        }
        assert_ok(clo_wire_table_end(&table));
    }
}

static void each_seal_is_a_version_of_its_own(void **state)
{
    fixture *f = *state;
    clo_collab_manifest one, two;
    assert_ok(seal(f, "age,dose,ward\n41,2.5,south\n", &one));
    assert_ok(seal(f, "age,dose,ward\n41,2.5,south\n", &two));
    assert_memory_equal(one.id, two.id, 32);
    assert_memory_not_equal(one.version, two.version, 32);
    assert_memory_not_equal(one.commitment, two.commitment, 32);
}

static void bad_rows_leave_nothing(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *csv;
        uint32_t code;
        const char *says;
    } cases[] = {{"", CLO_E_TRUNCATED, NULL},
                 {"age,dose\n1,2\n", 0, NULL},
                 {"age,dose,ward,more\n1,2,north,x\n", 0, NULL},
                 {"age,dose,ward\n1,2\n", 0, "line 2"},
                 {"age,dose,ward\n1,2,north,3\n", 0, "line 2"},
                 {"age,dose,ward\n1,nan,north\n", 0, "line 2"},
                 {"age,dose,ward\n1,inf,north\n", 0, "line 2"},
                 {"age,dose,ward\n1,2,north\nx,2,north\n", 0, "line 3"},
                 {"age,dose,ward\n121,2,north\n", CLO_E_RANGE, "line 2"},
                 {"age,dose,ward\n1,2,west\n", 0, "line 2"},
                 {"age,dose,ward\n,2,north\n", 0, "line 2"},
                 {"age,dose,ward\n1,2,\"north\n", 0, NULL}};
    clo_collab_manifest m;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clo_err e = seal(f, cases[i].csv, &m);
        assert_true(clo_failed(e));
        assert_int_equal(clo_err_class(e), CLO_CLASS_INPUT);
        if (cases[i].code != 0 && cases[i].code != CLO_E_TRUNCATED) assert_int_equal(e.code, cases[i].code);
        if (cases[i].says != NULL && strstr(clo_err_text(), cases[i].says) == NULL) fail_msg("case %zu: %s", i, clo_err_text());
        assert_non_null(strstr(clo_err_text(), "rows.csv"));
        assert_false(clo_os_file_exists(client_path(&f->base, "rows.sealed")));
        assert_false(clo_os_file_exists(client_path(&f->base, "rows.sealed.part")));
        assert_false(clo_os_file_exists(client_path(&f->base, "rows.key")));
    }
    f->options.name = "No Name";
    assert_code(seal(f, "age,dose,ward\n1,2,north\n", &m), CLO_E_MALFORMED);
    f->options.name = "rows";
}

/* Found when most of the file has been sealed already, whichever thread reads it. */
static void a_late_bad_row_leaves_nothing(void **state)
{
    fixture *f = *state;
    CLO_AUTO(clo_buf_free) clo_buf csv;
    clo_collab_manifest m;
    const char *text = NULL;
    clo_buf_init(&csv, 32 << 20);
    assert_ok(clo_buf_put_str(&csv, "age,dose,ward\n"));
    for (size_t k = 0; k < 200000; k++) assert_ok(clo_buf_printf(&csv, "%zu,1.5,north\n", k == 199990 ? 121 : k % 121));
    assert_ok(clo_buf_cstr(&csv, &text));
    for (unsigned threads = 1; threads <= 3; threads++) {
        f->options.threads = threads;
        assert_code(seal(f, text, &m), CLO_E_RANGE);
        if (strstr(clo_err_text(), "line 199992, column \"age\"") == NULL) fail_msg("%s", clo_err_text());
        assert_false(clo_os_file_exists(client_path(&f->base, "rows.sealed")));
        assert_false(clo_os_file_exists(client_path(&f->base, "rows.sealed.part")));
        assert_false(clo_os_file_exists(client_path(&f->base, "rows.key")));
    }
    f->options.threads = 17;
    assert_code(seal(f, "age,dose,ward\n1,2,north\n", &m), CLO_E_RANGE);
    assert_false(clo_os_file_exists(client_path(&f->base, "rows.sealed.part")));
}

static void a_failure_keeps_the_version_before(void **state)
{
    fixture *f = *state;
    clo_collab_manifest m, again;
    clo_span manifest;
    assert_ok(seal(f, "age,dose,ward\n41,2.5,south\n", &m));
    assert_true(clo_failed(seal(f, "age,dose,ward\n400,2.5,south\n", &again)));
    assert_ok(clo_client_sealed_check(&f->base.arena, f->options.sealed_path, &f->owner.public_half.sign, &again, &manifest));
    assert_memory_equal(again.version, m.version, 32);
    (void)open_plain(f, &m);
}

static void a_line_without_end_is_a_limit(void **state)
{
    fixture *f = *state;
    clo_collab_manifest m;
    size_t n = CLO_CSV_LINE_MAX + 100;
    char *csv = malloc(n + 1);
    assert_non_null(csv);
    memset(csv, '7', n);
    memcpy(csv, "age,dose,ward\n", 14);
    csv[n] = 0;
    assert_code(seal(f, csv, &m), CLO_E_TOO_LARGE);
    free(csv);
    assert_false(clo_os_file_exists(client_path(&f->base, "rows.sealed")));
}

static void damage_is_noticed(void **state)
{
    fixture *f = *state;
    clo_collab_manifest m, again;
    clo_span manifest;
    f->options.chunk_size = CLO_STREAM_CHUNK_MIN;
    assert_ok(seal(f, "age,dose,ward\n41,2.5,south\n7,,north\n", &m));
    clo_span good = read_all(f, "rows.sealed");
    const char *path = client_path(&f->base, "bad.sealed");
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 1 << 20);
    for (size_t n = 0; n < good.n; n += 7) {
        assert_ok(clo_os_file_write_atomic(path, clo_span_of(good.p, n), 0600));
        assert_true(clo_failed(clo_client_sealed_check(&f->base.arena, path, &f->owner.public_half.sign, &again, &manifest)));
    }
    assert_ok(clo_buf_put_span(&bytes, good));
    for (size_t i = 0; i < good.n; i += 3) {
        bytes.p[i] ^= 0x10;
        assert_ok(clo_os_file_write_atomic(path, clo_buf_span(&bytes), 0600));
        if (!clo_failed(clo_client_sealed_check(&f->base.arena, path, &f->owner.public_half.sign, &again, &manifest)))
            fail_msg("byte %zu", i);
        bytes.p[i] ^= 0x10;
    }
    assert_ok(clo_buf_put_u8(&bytes, 0));
    assert_ok(clo_os_file_write_atomic(path, clo_buf_span(&bytes), 0600));
    assert_code(clo_client_sealed_check(&f->base.arena, path, &f->owner.public_half.sign, &again, &manifest), CLO_E_TRAILING);
    clo_collab_identity stranger;
    assert_ok(clo_collab_identity_make("hospital-b", &stranger));
    assert_true(clo_failed(
        clo_client_sealed_check(&f->base.arena, f->options.sealed_path, &stranger.public_half.sign, &again, &manifest)));
    clo_collab_identity_wipe(&stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(every_size_is_sealed_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(each_seal_is_a_version_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_rows_leave_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_bad_row_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_keeps_the_version_before, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_without_end_is_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_noticed, setup, teardown),
    };
    return cmocka_run_group_tests_name("client seal", tests, NULL, NULL);
}
