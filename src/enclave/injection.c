/* Whatever the host can inject after measurement (environment, arguments, descriptors) is refused. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "enclave/enclave.h"

enum { DESCRIPTORS_LOOKED_AT = 1024 }; /* one call each; the kernel may allow a billion */

clo_err clo_enclave_refuse_injection(int argc, char *const *argv, char *const *environment)
{
    (void)argv;
    if (argc > 1)
        return CLO_DENY(CLO_E_DENIED, "runtime.arguments", "no arguments", "arguments", "runtime",
                        "start cloister-enclave without arguments: it takes its orders over its socket");
    if (environment != NULL && environment[0] != NULL)
        return CLO_DENY(CLO_E_DENIED, "runtime.environment", "an empty environment", "environment variables", "runtime",
                        "start cloister-enclave with an empty environment");
    for (int fd = CLO_ENCLAVE_DEVICE_FD + 1; fd < DESCRIPTORS_LOOKED_AT; fd++) {
        if (fcntl(fd, F_GETFD) < 0) continue;
        char actual[32];
        (void)snprintf(actual, sizeof actual, "descriptor %d", fd);
        return CLO_DENY(CLO_E_DENIED, "runtime.descriptors", "descriptors 0 to 4 only", actual, "runtime",
                        "close every other descriptor before starting cloister-enclave");
    }
    /* Beyond them nobody can look, but all can be closed: nothing that was passed there reaches the run. */
    CLO_CHECKF(close_range(DESCRIPTORS_LOOKED_AT, ~0U, 0) == 0, CLO_E_UNSUPPORTED, "the kernel cannot close ranges of descriptors; Linux 5.9 or later is needed");
    return CLO_OK;
}
