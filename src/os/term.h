/* The terminal: progress on standard error where a person looks at it, nothing where it is piped; secrets read without echo. */
#ifndef CLO_OS_TERM_H
#define CLO_OS_TERM_H
#include "base/clo_err.h"
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

bool clo_os_term_is_tty(int fd);
/** Columns of the terminal on standard error; 80 where unknown. */
unsigned clo_os_term_columns(void);

/* A progress bar. Zero-initialise; all functions do nothing where standard error is no terminal or `quiet` was set. */
typedef struct {
    char label[48];
    uint64_t total; /* 0 = unknown: a counter instead of a bar */
    uint64_t started_ns, drawn_ns;
    bool active, bytes; /* bytes: show MB and MB/s */
} clo_os_progress;
void clo_os_progress_start(clo_os_progress *p, const char *label, uint64_t total, bool bytes, bool quiet);
/** Cheap: draws at most 10 times a second. */
void clo_os_progress_set(clo_os_progress *p, uint64_t done);
/** Remove the bar. */
void clo_os_progress_end(clo_os_progress *p);

/** Ask for a secret on the terminal without echo. Errors: UNREACHABLE (no terminal), TOO_LARGE. `to` is wiped on error. */
CLO_R clo_os_term_secret(const char *prompt, char *to, size_t to_size);

#ifdef __cplusplus
}
#endif
#endif
