/* What both ways of asking for keys share: callers at once, their rate, their waiting times, the processor time of one release. */
#ifndef CLO_BENCH_RELEASES_H
#define CLO_BENCH_RELEASES_H
#include <stddef.h>

enum { CALLERS_MAX = 64, RELEASES_MAX = 4096 };

typedef struct {
    double rate, p50_ms, p99_ms;
    double cpu_ms;    /* of this process, per release */
    double caller_ms; /* of that, the callers' threads */
} figures;

/** Run operation number 0 .. count - 1, each once, by `callers` threads at once. Exits where one fails. */
figures measure(size_t callers, size_t count, void (*operation)(size_t caller, size_t number));

/** Releases through the daemon: each caller has a TLS session with its own leaf, asks for a nonce, makes evidence for it and posts. */
figures releases_over_tls(size_t callers, size_t count);
#endif
