/* One JSON line per event, one write per line: lines of several threads and processes never mix. */
#include "os/log.h"
#include "base/clo_text.h"
#include "os/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static const char *program_name = "cloister";
static atomic_int log_fd = 2;
static atomic_int log_lowest = CLO_OS_LOG_INFO;

static const char *const level_names[] = {"debug", "info", "warning", "error", "none"};

clo_err clo_os_log_level_parse(clo_os_log_level *out, const char *text)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(text, level_names[i]) != 0) continue;
        *out = (clo_os_log_level)i;
        return CLO_OK;
    }
    return CLO_FAILF(CLO_E_MALFORMED, "the log level is one of debug, info, warning, error, none");
}

clo_err clo_os_log_open(const char *program, const char *path, clo_os_log_level lowest)
{
    int fd = 2;
    if (path != NULL) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        CLO_CHECKF(fd >= 0, CLO_E_IO, "cannot open the log %s: %s", path, strerrordesc_np(errno));
    }
    int before = atomic_exchange(&log_fd, fd);
    if (before > 2) (void)close(before);
    program_name = program;
    atomic_store(&log_lowest, (int)lowest);
    return CLO_OK;
}

typedef struct {
    char text[LINE_MAX_BYTES];
    size_t n;
} line;

/* 8 bytes stay free for the end of the line. */
static void put_raw(line *l, const char *text)
{
    size_t n = strlen(text);
    if (n > sizeof l->text - 8 - l->n) n = sizeof l->text - 8 - l->n;
    memcpy(l->text + l->n, text, n);
    l->n += n;
}

static void put_escaped(line *l, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != 0 && l->n + 16 < sizeof l->text; p++) {
        char c[8] = {(char)*p, 0};
        if (*p == '"' || *p == '\\') (void)snprintf(c, sizeof c, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f) (void)snprintf(c, sizeof c, "\\u%04x", *p);
        put_raw(l, c);
    }
}

static void write_line(clo_os_log_level level, const char *event, const char *request_id, const char *text)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    char time_text[21], fraction[8];
    clo_time_format(time_text, (int64_t)now.tv_sec);
    time_text[19] = 0; /* the fraction goes before the Z */
    (void)snprintf(fraction, sizeof fraction, ".%03dZ", (int)((now.tv_nsec / 1000000) % 1000));
    line l = {.n = 0};
    put_raw(&l, "{\"time\":\"");
    put_raw(&l, time_text);
    put_raw(&l, fraction);
    put_raw(&l, "\",\"level\":\"");
    put_raw(&l, level_names[level]);
    put_raw(&l, "\",\"program\":\"");
    put_escaped(&l, program_name);
    put_raw(&l, "\",\"event\":\"");
    put_escaped(&l, event);
    if (request_id != NULL) {
        put_raw(&l, "\",\"request\":\"");
        put_escaped(&l, request_id);
    }
    put_raw(&l, "\",\"text\":\"");
    put_escaped(&l, text);
    memcpy(l.text + l.n, "\"}\n", 3);
    /* A log that cannot be written must not stop the service; what must be durable goes to the audit log. */
    ssize_t n = write(atomic_load(&log_fd), l.text, l.n + 3);
    (void)n;
}

void clo_os_log(clo_os_log_level level, const char *event, const char *request_id, const char *fmt, ...)
{
    if (level >= CLO_OS_LOG_NONE || (int)level < atomic_load_explicit(&log_lowest, memory_order_relaxed)) return;
    int saved = errno;
    char text[LINE_MAX_BYTES - 256];
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(text, sizeof text, fmt, args) < 0) text[0] = 0;
    va_end(args);
    write_line(level, event, request_id, text);
    errno = saved;
}

void clo_os_log_failure(const char *event, const char *request_id, clo_err e)
{
    static const clo_os_log_level level_of[] = {
        [CLO_CLASS_OK] = CLO_OS_LOG_DEBUG,      [CLO_CLASS_INPUT] = CLO_OS_LOG_INFO,  [CLO_CLASS_DENIED] = CLO_OS_LOG_INFO,
        [CLO_CLASS_LIMIT] = CLO_OS_LOG_INFO,    [CLO_CLASS_AGAIN] = CLO_OS_LOG_INFO,  [CLO_CLASS_ENV] = CLO_OS_LOG_WARNING,
        [CLO_CLASS_BUG] = CLO_OS_LOG_ERROR,
    };
    clo_class class = clo_err_class(e);
    clo_os_log(level_of[class <= CLO_CLASS_BUG ? class : CLO_CLASS_BUG], event, request_id, "%s: %s", clo_err_name(e), clo_err_text());
}
