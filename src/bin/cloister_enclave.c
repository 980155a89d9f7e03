/* cloister-enclave: one run in one process. Started by the runtime host with its socket as descriptor 3 and, where the TEE is the
 * software one, its device as descriptor 4; no arguments, no environment. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "enclave/enclave.h"

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    clo_err e = clo_enclave_refuse_injection(argc, argv, environ);
    if (clo_failed(e)) {
        const char *text = clo_err_text();
        ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
        ignored = write(STDERR_FILENO, "\n", 1);
        (void)ignored;
        return clo_enclave_exit_code(e);
    }
    int device = fcntl(CLO_ENCLAVE_DEVICE_FD, F_GETFD) >= 0 ? CLO_ENCLAVE_DEVICE_FD : -1;
    clo_enclave_options options = {.host_fd = CLO_ENCLAVE_HOST_FD, .device_fd = device, .sandbox = true};
    return clo_enclave_exit_code(clo_enclave_run(&options));
}
