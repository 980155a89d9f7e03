/* How a program ends: by a signal that it waits for, and with an exit code that says what became of its work. */
#ifndef CLO_OS_ENDING_H
#define CLO_OS_ENDING_H
#include "base/clo_err.h"
#ifdef __cplusplus
extern "C" {
#endif

/** A crash of this process leaves no core, and no other process of its user reads its memory: keys lie in it. First in main. */
void clo_os_ending_leaves_nothing(void);
/** Block SIGTERM and SIGINT for this thread and those it will start, and ignore SIGPIPE. */
void clo_os_ending_block(void);
/** Print `line` on standard output, then wait for SIGTERM or SIGINT; clo_os_ending_block came before. Errors: IO. */
CLO_R clo_os_ending_wait(const char *line);
/** 0 success, 1 refused, 2 bad usage or input, 3 a file or service could not be reached (also NOT_FOUND), 4 a limit was hit. */
int clo_os_exit_code(clo_err e);

#ifdef __cplusplus
}
#endif
#endif
