#include "cli/demo_search.h"

#include "cli/demo_data.h"
#include "os/file.h"

#include <stdlib.h>

enum { BLOCK = 1 << 20, OVERLAP = 1024, DOUBLES = 8, ROWS = 12, MAPS_MAX = 4 << 20, TABLE_MAX = 16 << 20, REGION_MAX = 1 << 30 };

/* DOUBLES numbers from the beginning of a line, as the table holds them. */
static clo_err as_doubles(clo_arena *a, clo_span line, clo_span *out)
{
    uint8_t bytes[DOUBLES * 8];
    for (size_t i = 0; i < DOUBLES; i++) {
        const uint8_t *comma = memchr(line.p, ',', line.n);
        double v = 0;
        CLO_CHECK(comma != NULL, CLO_E_TRUNCATED);
        size_t n = (size_t)(comma - line.p);
        CLO_TRY(clo_f64_parse(&v, clo_span_of(line.p, n)));
        memcpy(bytes + 8 * i, &v, 8);
        line = clo_span_of(comma + 1, line.n - n - 1);
    }
    return clo_arena_copy(a, clo_span_of(bytes, sizeof bytes), out);
}

clo_err demo_search_rows(clo_arena *a, clo_span csv, demo_search *out)
{
    *out = (demo_search){.count = 0};
    size_t line_number = 0;
    while (csv.n > 0 && out->count < 2 * ROWS) {
        const uint8_t *end = memchr(csv.p, '\n', csv.n);
        size_t n = end == NULL ? csv.n : (size_t)(end - csv.p);
        clo_span line = clo_span_of(csv.p, n);
        /* Spread over the whole table, so over all three hospitals. */
        if (line_number > 0 && line_number % 47 == 1) {
            out->patterns[out->count++] = line;
            CLO_TRY(as_doubles(a, line, &out->patterns[out->count]));
            out->count++;
        }
        line_number++;
        csv = clo_span_of(csv.p + n + (end != NULL ? 1 : 0), csv.n - n - (end != NULL ? 1 : 0));
    }
    return CLO_OK;
}

static bool all_zero(clo_span b) { return b.n == 0 || (b.p[0] == 0 && memcmp(b.p, b.p + 1, b.n - 1) == 0); }

void demo_search_bytes(demo_search *s, clo_span bytes, const char *where)
{
    s->searched += bytes.n;
    if (all_zero(bytes)) return;
    for (size_t i = 0; i < s->count; i++) {
        if (memmem(bytes.p, bytes.n, s->patterns[i].p, s->patterns[i].n) == NULL) continue;
        s->found_mask |= 1u << i;
        (void)snprintf(s->where, sizeof s->where, "%s", where);
    }
}

/* Block by block, each with the end of the one before. */
static clo_err search_range(demo_search *s, int fd, uint64_t from, uint64_t to, uint8_t *block, const char *where)
{
    size_t kept = 0;
    while (from < to) {
        size_t n = to - from < BLOCK ? (size_t)(to - from) : BLOCK;
        CLO_TRY(clo_os_file_pread(fd, from, block + kept, n));
        demo_search_bytes(s, clo_span_of(block, kept + n), where);
        size_t next = kept + n < OVERLAP ? kept + n : OVERLAP;
        memmove(block, block + kept + n - next, next);
        kept = next;
        from += n;
    }
    return CLO_OK;
}

static void free_block(uint8_t **p)
{
    free(*p);
    *p = NULL;
}

static clo_err search_file(demo_search *s, const char *path)
{
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    CLO_AUTO(free_block) uint8_t *block = malloc(BLOCK + OVERLAP);
    CLO_CHECK(block != NULL, CLO_E_NOMEM);
    uint64_t size = 0;
    clo_err e = clo_os_file_open(&fd, path, CLO_OS_OPEN_READ, 0);
    if (e.code == CLO_E_NOT_FOUND) return CLO_OK; /* it was there when the directory was read */
    CLO_TRY(e);
    CLO_TRY(clo_os_file_size_fd(fd, &size));
    e = search_range(s, fd, 0, size, block, path);
    return e.code == CLO_E_TRUNCATED ? CLO_OK : e; /* it became shorter */
}

typedef struct {
    demo_search *search;
    const char *dir;
} walk;

static clo_err walk_entry(void *context, const char *name, bool is_directory)
{
    const walk *w = context;
    char path[2 * DEMO_PATH];
    CLO_TRY(clo_os_path_join(path, sizeof path, w->dir, name));
    return is_directory ? demo_search_tree(w->search, path) : search_file(w->search, path);
}

clo_err demo_search_tree(demo_search *s, const char *dir)
{
    walk w = {.search = s, .dir = dir};
    return clo_os_dir_list(dir, walk_entry, &w);
}

/* "7f12-7f34 rw-p …" */
static bool parse_region(clo_span line, uint64_t *from, uint64_t *to)
{
    uint64_t v[2] = {0, 0};
    size_t k = 0, i = 0;
    for (; i < line.n && line.p[i] != ' '; i++) {
        unsigned c = line.p[i];
        if (c == (unsigned)'-' && k == 0) {
            k = 1;
            continue;
        }
        unsigned digit = c - (unsigned)'0' < 10u ? c - (unsigned)'0' : c - (unsigned)'a' < 6u ? c - (unsigned)'a' + 10u : 16u;
        if (digit > 15) return false;
        v[k] = v[k] << 4 | digit;
    }
    *from = v[0];
    *to = v[1];
    return k == 1 && i + 1 < line.n && line.p[i + 1] == 'r' && v[0] < v[1] && v[1] - v[0] <= REGION_MAX &&
           v[1] < (uint64_t)1 << 47;
}

clo_err demo_search_memory(demo_search *s, pid_t pid)
{
    char path[64];
    CLO_AUTO(clo_buf_free) clo_buf maps;
    clo_buf_init(&maps, MAPS_MAX);
    CLO_AUTO(clo_os_fd_close) int fd = -1;
    CLO_AUTO(free_block) uint8_t *block = malloc(BLOCK + OVERLAP);
    CLO_CHECK(block != NULL, CLO_E_NOMEM);
    (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    CLO_TRY(clo_os_file_read(path, MAPS_MAX, &maps));
    (void)snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    CLO_TRY(clo_os_file_open(&fd, path, CLO_OS_OPEN_READ, 0));
    clo_span rest = clo_buf_span(&maps);
    uint64_t before = s->searched;
    while (rest.n > 0) {
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        size_t n = end == NULL ? rest.n : (size_t)(end - rest.p);
        uint64_t from = 0, to = 0;
        /* A region may vanish or be unreadable (guard pages of devices) meanwhile. */
        if (parse_region(clo_span_of(rest.p, n), &from, &to)) (void)search_range(s, fd, from, to, block, path).code;
        rest = clo_span_of(rest.p + n + (end != NULL ? 1 : 0), rest.n - n - (end != NULL ? 1 : 0));
    }
    CLO_CHECKF(s->searched > before + (1 << 16), CLO_E_IO, "the memory of process %d could not be read", (int)pid);
    return CLO_OK;
}

static clo_err put_row(void *context, clo_span row) { return clo_buf_put_span(context, row); }

clo_err demo_search_table(clo_arena *a, clo_span csv, clo_buf *table)
{
    clo_wire_node *tree = NULL;
    clo_wire_schema schema;
    clo_wire_csv *reader = NULL;
    uint64_t rows = 0;
    CLO_TRY(clo_wire_json_decode(a, clo_demo_schema, &tree));
    CLO_TRY(clo_wire_schema_read(a, tree, &schema));
    CLO_TRY(clo_wire_csv_new(&reader, &schema, put_row, table));
    clo_err e = clo_wire_csv_feed(reader, csv);
    if (!clo_failed(e)) e = clo_wire_csv_end(reader, &rows);
    clo_wire_csv_free(&reader);
    return e;
}
