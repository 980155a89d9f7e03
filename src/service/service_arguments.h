/* Command line of cloisterd, for both roles. */
#ifndef CLO_SERVICE_ARGUMENTS_H
#define CLO_SERVICE_ARGUMENTS_H
#include "base/clo_err.h"

#include <stddef.h>

enum { SERVICE_REPEATS_MAX = 8 };

typedef struct {
    const char *role, *verb, *home, *config, *name, *listen, *url, *enclave, *open_logs;
    const char *witnesses[SERVICE_REPEATS_MAX]; /* URL,SPKIHEX,VKEY */
    size_t witness_count;
    const char *logs[SERVICE_REPEATS_MAX];      /* vkeys that a witness trusts */
    size_t log_count;
    bool help, version;
} clo_service_arguments;

/** Errors: USAGE. */
CLO_R clo_service_arguments_parse(int argc, char **argv, clo_service_arguments *out);
/** The role's home where none is given: ~/.cloister-operator or ~/.cloister-witness. */
CLO_R clo_service_arguments_home(const clo_service_arguments *a, const char *standard, char to[512]);

/* The two roles; exit by error. */
CLO_R clo_service_operator_main(const clo_service_arguments *a);
CLO_R clo_service_witness_main(const clo_service_arguments *a);

#endif
