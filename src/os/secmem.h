/* Memory for secrets: outside swap, cores and children, between guard pages, wiped when freed. */
#ifndef CLO_OS_SECMEM_H
#define CLO_OS_SECMEM_H
#include "base/clo_err.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CLO_OS_SECRET_NONE,
    CLO_OS_SECRET_MEMFD,  /* memfd_secret: not even the kernel's direct map has it */
    CLO_OS_SECRET_LOCKED, /* mmap + mlock + MADV_DONTDUMP */
    CLO_OS_SECRET_PLAIN,  /* MADV_DONTDUMP only: the lock limit was reached */
} clo_os_secret_kind;

/* Pages that hold secrets. Never in a child of fork (MADV_DONTFORK). */
typedef struct {
    void *p;                 /* size usable bytes, zeroed at birth */
    size_t size;
    clo_os_secret_kind kind;
    void *map;               /* with guard pages */
    size_t map_size;
} clo_os_secret;

/** Pages for `size` secret bytes (1..64 MiB). Given to the caller. Errors: NOMEM, RANGE.
 *  `strict` refuses PLAIN (ENV error) instead of degrading. */
CLO_R clo_os_secret_new(clo_os_secret *out, size_t size, bool strict);
/** Wipe and unmap; usable with CLO_AUTO, accepts a zeroed one. */
void clo_os_secret_free(clo_os_secret *s);
/** "memfd_secret", "locked", "plain (not locked)", "none". */
const char *clo_os_secret_describe(clo_os_secret_kind kind);

/* A large region that a process shares with the child it forks (rows, engine input and output). */
typedef struct {
    void *p;
    size_t size;
    bool locked; /* mlock held for all of it */
    void *map;
    size_t map_size;
} clo_os_region;
/** Anonymous shared pages, not dumped, locked as far as the limit allows, guard pages around. Errors: NOMEM. */
CLO_R clo_os_region_new(clo_os_region *out, size_t size);
/** Make it read-only for the caller (the program child does so with its inputs). */
CLO_R clo_os_region_protect(const clo_os_region *r);
/** Have its pages made before they are used; a hint. */
void clo_os_region_warm(const clo_os_region *r);
/** Wipe every page that was ever used (where writable) and unmap. The wipe reaches the sharing child too. */
void clo_os_region_free(clo_os_region *r);
/** Unmap without wiping: the child's end of a shared region. */
void clo_os_region_detach(clo_os_region *r);

#ifdef __cplusplus
}
#endif
#endif
