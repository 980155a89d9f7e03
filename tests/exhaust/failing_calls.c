/* Preloaded into a unit test program: fails one call of an allocation or of the random generator, chosen by where it comes from.
 *
 * A site is the kind of call and up to three return addresses inside the program itself, nearest first; what lies between (OpenSSL, SQLite,
 * jansson) does not count. CLO_SITES=FILE appends a line "kind id address address address" for each new site (offsets into the program,
 * hexadecimal). CLO_FAIL=ID fails the first call that comes from that site, once, and says so in CLO_FAILED=FILE. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INTERPOSED __attribute__((visibility("default")))

enum { DEPTH = 40, NEAR = 3, TABLE = 1 << 15 };

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

static uintptr_t program_from, program_to;
static int sites_fd = -1, failed_fd = -1;
static uint64_t wanted;
static bool armed;
static atomic_bool ready, done;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t seen[TABLE];
static __thread bool inside __attribute__((tls_model("initial-exec")));

typedef struct {
    uint64_t id;
    uintptr_t at[NEAR];
} site;

static bool find_site(char kind, site *s)
{
    void *frames[DEPTH];
    int n = backtrace(frames, DEPTH), near = 0;
    memset(s, 0, sizeof *s);
    s->id = 1469598103934665603u ^ (uint64_t)(unsigned char)kind;
    for (int i = 0; i < n && near < NEAR; i++) {
        uintptr_t p = (uintptr_t)frames[i];
        if (p < program_from || p >= program_to) continue;
        s->at[near++] = p - program_from - 1; /* within the call instruction */
    }
    for (int i = 0; i < near; i++) s->id = (s->id ^ s->at[i]) * 1099511628211u;
    return near > 0;
}

/* True once for each id. */
static bool first_time(uint64_t id)
{
    for (size_t i = id % TABLE, steps = 0; steps < TABLE; i = (i + 1) % TABLE, steps++) {
        if (seen[i] == id) return false;
        if (seen[i] == 0) {
            seen[i] = id;
            return true;
        }
    }
    return false;
}

static void tell(int fd, char kind, const site *s)
{
    char line[160];
    int n = snprintf(line, sizeof line, "%c %016llx %zx %zx %zx\n", kind, (unsigned long long)s->id, (size_t)s->at[0], (size_t)s->at[1],
                     (size_t)s->at[2]);
    if (fd >= 0 && write(fd, line, (size_t)n) != n) abort();
}

static bool must_fail(char kind)
{
    if (!atomic_load(&ready) || inside) return false;
    inside = true;
    site s;
    bool fail = false;
    if (find_site(kind, &s)) {
        pthread_mutex_lock(&lock);
        if (sites_fd >= 0 && first_time(s.id)) tell(sites_fd, kind, &s);
        pthread_mutex_unlock(&lock);
        if (armed && s.id == wanted && !atomic_exchange(&done, true)) {
            fail = true;
            tell(failed_fd, kind, &s);
        }
    }
    inside = false;
    return fail;
}

INTERPOSED void *malloc(size_t n)
{
    if (must_fail('m')) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_malloc(n);
}

INTERPOSED void *calloc(size_t n, size_t size)
{
    if (must_fail('m')) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_calloc(n, size);
}

INTERPOSED void *realloc(void *p, size_t n)
{
    if (must_fail('m')) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(p, n);
}

INTERPOSED void *aligned_alloc(size_t align, size_t n)
{
    if (must_fail('m')) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_memalign(align, n);
}

INTERPOSED int posix_memalign(void **out, size_t align, size_t n)
{
    if (must_fail('m')) return ENOMEM;
    *out = __libc_memalign(align, n);
    return *out == NULL ? ENOMEM : 0;
}

static int random_bytes(unsigned char *out, int n)
{
    if (must_fail('r')) return 0;
    return RAND_OpenSSL()->bytes(out, n);
}

static int program_range(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    program_from = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type == PT_LOAD && info->dlpi_addr + h->p_vaddr + h->p_memsz > program_to)
            program_to = info->dlpi_addr + h->p_vaddr + h->p_memsz;
    }
    return 1; /* the first is the program */
}

/* A child may shut itself in and must then not write where we do. */
static void leave_child_alone(void) { atomic_store(&ready, false); }

static int open_at(const char *variable)
{
    const char *path = getenv(variable);
    if (path == NULL) return -1;
    int low = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int fd = fcntl(low, F_DUPFD_CLOEXEC, 900); /* out of the way of tests that count descriptors */
    (void)close(low);
    return fd;
}

__attribute__((constructor)) static void start(void)
{
    static RAND_METHOD method;
    void *frames[4];
    (void)backtrace(frames, 4); /* loads the unwinder now */
    (void)dl_iterate_phdr(program_range, NULL);
    sites_fd = open_at("CLO_SITES");
    failed_fd = open_at("CLO_FAILED");
    const char *id = getenv("CLO_FAIL");
    if (id != NULL) {
        wanted = strtoull(id, NULL, 16);
        armed = true;
    }
    (void)pthread_atfork(NULL, NULL, leave_child_alone);
    (void)unsetenv("LD_PRELOAD"); /* for this program, not for those that it starts */
    method = *RAND_OpenSSL();
    method.bytes = random_bytes;
    (void)RAND_set_rand_method(&method);
    atomic_store(&ready, true);
}
