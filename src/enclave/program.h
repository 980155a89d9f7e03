/* The program child: forked before any key exists, so none ever is in its address space. It shares the row region (which it may only
 * read) and a result region with the runtime, and two pipes; its system calls are read and write on those pipes, memory,
 * randomness, exit. One child per run. */
#ifndef CLO_ENCLAVE_PROGRAM_H
#define CLO_ENCLAVE_PROGRAM_H
#include "enclave/engine.h"
#include "os/secmem.h"
#include <sys/types.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    pid_t pid;    /* 0 = none */
    int go_fd;    /* runtime -> child: how many bytes of all tables are in place */
    int event_fd; /* child -> runtime */
    clo_os_region rows, result;
    uint8_t *tables[CLO_DATASETS_MAX]; /* where each input's plain bytes belong, in rows */
    uint64_t bytes, told; /* of all tables; of them, what the child knows to be in place */
} clo_enclave_program;
#define CLO_ENCLAVE_PROGRAM_NONE ((clo_enclave_program){.go_fd = -1, .event_fd = -1})

/** Size the regions from the inputs' table sizes (task->inputs[i].table.n; .p is filled in), fork, and shut the child in. The caller's
 *  descriptors close_fds are closed in the child. On success the child waits. Errors: TOO_LARGE (more than 8 GiB of rows), NOMEM, IO. */
CLO_R clo_enclave_program_fork(clo_enclave_program *p, clo_enclave_task *task, const clo_enclave_engine *engine, const int *close_fds,
                               size_t close_count);
/** The first `bytes` of all tables, one behind the other, are in place. The child computes on them and waits where it needs more. Small steps
 *  are told together, so that the pipe never fills. */
CLO_R clo_enclave_program_go(clo_enclave_program *p, uint64_t bytes);

typedef enum { CLO_ENCLAVE_PROGRAM_QUIET, CLO_ENCLAVE_PROGRAM_PROGRESS, CLO_ENCLAVE_PROGRAM_DONE } clo_enclave_program_state;
typedef struct {
    clo_enclave_program_state state;
    char phase[32]; /* PROGRESS: letters, digits, spaces, hyphens */
    uint64_t done, total;
    clo_span result; /* DONE: in the result region; the child has ended */
} clo_enclave_program_event;
/** Wait up to timeout_ms for the next event. A child that fails on the data yields the error's class and name, never a sentence of its
 *  own; one that dies: CLO_E_IO with how. */
CLO_R clo_enclave_program_poll(clo_enclave_program *p, unsigned timeout_ms, clo_enclave_program_event *out);
/** Kill what is left, wait for it, wipe both regions; accepts CLO_ENCLAVE_PROGRAM_NONE and repeated calls. */
void clo_enclave_program_end(clo_enclave_program *p);

#ifdef __cplusplus
}
#endif
#endif
