/* Secret pages and large shared regions. */
#include "os/secmem.h"
#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "os/file.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SECRET_MAX = 64 * 1024 * 1024, WIPE_PAGES = 1024 };

static size_t page_bytes(void)
{
    long n = sysconf(_SC_PAGESIZE);
    return n > 0 ? (size_t)n : 4096;
}

/* A reservation of guard ‖ size rounded up ‖ guard; nothing in it is accessible yet. */
static clo_err reserve(size_t size, void **map, size_t *map_size, uint8_t **middle, size_t *middle_size)
{
    size_t page = page_bytes(), rounded = 0, whole = 0;
    CLO_CHECK(!__builtin_add_overflow(size, page - 1, &rounded), CLO_E_RANGE);
    rounded -= rounded % page;
    CLO_CHECK(!__builtin_add_overflow(rounded, 2 * page, &whole), CLO_E_RANGE);
    void *p = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CLO_CHECKF(p != MAP_FAILED, CLO_E_NOMEM, "cannot reserve %zu bytes of memory", whole);
    *map = p;
    *map_size = whole;
    *middle = (uint8_t *)p + page;
    *middle_size = rounded;
    return CLO_OK;
}

static bool map_memfd_secret(uint8_t *at, size_t size)
{
#if defined(SYS_memfd_secret)
    CLO_AUTO(clo_os_fd_close) int fd = (int)syscall(SYS_memfd_secret, 0x80000u /* O_CLOEXEC */);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0) return false;
    return mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
#else
    (void)at;
    (void)size;
    return false;
#endif
}

static clo_os_secret_kind map_secret(uint8_t *at, size_t size)
{
    if (map_memfd_secret(at, size)) {
        (void)madvise(at, size, MADV_DONTFORK);
        return CLO_OS_SECRET_MEMFD;
    }
    if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) return CLO_OS_SECRET_NONE;
    if (madvise(at, size, MADV_DONTDUMP) != 0 || madvise(at, size, MADV_DONTFORK) != 0) return CLO_OS_SECRET_NONE;
    return mlock(at, size) == 0 ? CLO_OS_SECRET_LOCKED : CLO_OS_SECRET_PLAIN;
}

clo_err clo_os_secret_new(clo_os_secret *out, size_t size, bool strict)
{
    CLO_CHECK(size >= 1 && size <= SECRET_MAX, CLO_E_RANGE);
    clo_os_secret s = {.size = size};
    uint8_t *middle = NULL;
    size_t middle_size = 0;
    CLO_TRY(reserve(size, &s.map, &s.map_size, &middle, &middle_size));
    s.kind = map_secret(middle, middle_size);
    if (s.kind == CLO_OS_SECRET_NONE || (strict && s.kind == CLO_OS_SECRET_PLAIN)) {
        (void)munmap(s.map, s.map_size);
        return CLO_FAILF(CLO_E_NOMEM, "cannot lock %zu bytes for secrets; raise the memlock limit (ulimit -l)", size);
    }
    s.p = middle;
    *out = s;
    return CLO_OK;
}

void clo_os_secret_free(clo_os_secret *s)
{
    if (s->map != NULL) {
        clo_wipe(s->p, s->size);
        (void)munmap(s->map, s->map_size);
    }
    *s = (clo_os_secret){0};
}

const char *clo_os_secret_describe(clo_os_secret_kind kind)
{
    switch (kind) {
    case CLO_OS_SECRET_MEMFD: return "memfd_secret";
    case CLO_OS_SECRET_LOCKED: return "locked";
    case CLO_OS_SECRET_PLAIN: return "plain (not locked)";
    case CLO_OS_SECRET_NONE: break;
    }
    return "none";
}

clo_err clo_os_region_new(clo_os_region *out, size_t size)
{
    CLO_CHECK(size >= 1, CLO_E_RANGE);
    clo_os_region r = {.size = size};
    uint8_t *middle = NULL;
    size_t middle_size = 0;
    CLO_TRY(reserve(size, &r.map, &r.map_size, &middle, &middle_size));
    void *p = mmap(middle, middle_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (p == MAP_FAILED || madvise(p, middle_size, MADV_DONTDUMP) != 0) {
        (void)munmap(r.map, r.map_size);
        return CLO_FAILF(CLO_E_NOMEM, "cannot map %zu bytes for rows", size);
    }
    /* MLOCK_ONFAULT: pages that are never used cost nothing. */
    r.locked = mlock2(p, middle_size, MLOCK_ONFAULT) == 0;
    r.p = p;
    *out = r;
    return CLO_OK;
}

clo_err clo_os_region_protect(const clo_os_region *r)
{
    size_t page = page_bytes();
    CLO_CHECK(mprotect((uint8_t *)r->map + page, r->map_size - 2 * page, PROT_READ) == 0, CLO_E_IO);
    return CLO_OK;
}

void clo_os_region_warm(const clo_os_region *r)
{
#if defined(MADV_POPULATE_READ)
    size_t page = page_bytes();
    (void)madvise((uint8_t *)r->map + page, r->map_size - 2 * page, MADV_POPULATE_READ);
#else
    (void)r;
#endif
}

/* Pages that nobody ever wrote hold nothing: overwriting them would first make them. Where the kernel does not say, all are wiped. */
static void wipe_used(uint8_t *p, size_t size, size_t page)
{
    uint8_t present[WIPE_PAGES];
    for (size_t at = 0; at < size;) {
        size_t n = size - at < WIPE_PAGES * page ? size - at : WIPE_PAGES * page;
        if (mincore(p + at, n, present) != 0) memset(present, 1, sizeof present);
        for (size_t i = 0; i < n / page; i++)
            if ((present[i] & 1) != 0) clo_wipe(p + at + i * page, page);
        at += n;
    }
}

void clo_os_region_free(clo_os_region *r)
{
    if (r->map != NULL) {
        size_t page = page_bytes(), inner = r->map_size - 2 * page;
        /* A protected region becomes writable again so that the wipe reaches the pages. */
        if (mprotect(r->p, inner, PROT_READ | PROT_WRITE) == 0) wipe_used(r->p, inner, page);
    }
    clo_os_region_detach(r);
}

void clo_os_region_detach(clo_os_region *r)
{
    if (r->map != NULL) (void)munmap(r->map, r->map_size);
    *r = (clo_os_region){0};
}
