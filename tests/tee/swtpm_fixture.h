/* A real TPM 2.0 in software for tests: swtpm on two free loopback ports, its state in a temporary directory, stopped by its process id. */
#ifndef SWTPM_FIXTURE_H
#define SWTPM_FIXTURE_H
#include "cmocka_all.h"

#include "os/process.h"

typedef struct {
    bool there; /* false: not installed (or no ports); `why` says so */
    const char *why;
    clo_os_process process;
    char directory[256], connection[96];
} swtpm;

/** Start one; never fails the test where it cannot be had. */
void swtpm_start(swtpm *t);
void swtpm_stop(swtpm *t);
#endif
