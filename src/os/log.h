/* The one log of a process: one JSON object per line, one write call per line. A line names request ids, error codes and
 * public names, never payload, keys, tokens or raw evidence. */
#ifndef CLO_OS_LOG_H
#define CLO_OS_LOG_H
#include "base/clo_err.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum { CLO_OS_LOG_DEBUG, CLO_OS_LOG_INFO, CLO_OS_LOG_WARNING, CLO_OS_LOG_ERROR, CLO_OS_LOG_NONE } clo_os_log_level;

/** Set up before threads start. path NULL = standard error. `program` is kept (borrowed for ever). Without this call: INFO to
 *  standard error. Errors: IO. */
CLO_R clo_os_log_open(const char *program, const char *path, clo_os_log_level lowest);
CLO_R clo_os_log_level_parse(clo_os_log_level *out, const char *text);
/** Write a line (cut at 2 KiB). event: a short stable word; request_id may be NULL. Any thread; keeps errno and the error record. */
void clo_os_log(clo_os_log_level level, const char *event, const char *request_id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** Log a failure by its class: refusals at info, environment at warning, BUG at error; with the thread's sentence. */
void clo_os_log_failure(const char *event, const char *request_id, clo_err e);

#ifdef __cplusplus
}
#endif
#endif
