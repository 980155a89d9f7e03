/* Progress bars and passwords on a terminal. */
#include "os/term.h"
#include "base/clo_ct.h"
#include "base/clo_own.h"
#include "os/clock.h"
#include "os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

bool clo_os_term_is_tty(int fd) { return isatty(fd) == 1; }

unsigned clo_os_term_columns(void)
{
    struct winsize w = {0};
    if (ioctl(2, TIOCGWINSZ, &w) != 0 || w.ws_col == 0) return 80;
    return w.ws_col;
}

void clo_os_progress_start(clo_os_progress *p, const char *label, uint64_t total, bool bytes, bool quiet)
{
    *p = (clo_os_progress){.total = total, .bytes = bytes, .active = !quiet && clo_os_term_is_tty(2), .started_ns = clo_os_now_ns()};
    (void)snprintf(p->label, sizeof p->label, "%s", label);
    clo_os_progress_set(p, 0);
}

static void write_text(const char *text)
{
    ssize_t n = write(2, text, strlen(text));
    (void)n;
}

static void bar_text(char *to, size_t size, double share, unsigned width)
{
    unsigned filled = (unsigned)(share * (double)width);
    size_t n = 0;
    for (unsigned i = 0; i < width && n + 4 < size; i++) {
        memcpy(to + n, i < filled ? "\xe2\x96\x88" : "\xe2\x96\x91", 3);
        n += 3;
    }
    to[n] = 0;
}

void clo_os_progress_set(clo_os_progress *p, uint64_t done)
{
    if (!p->active) return;
    uint64_t now = clo_os_now_ns();
    if (p->drawn_ns != 0 && now - p->drawn_ns < 100000000u && done != p->total) return;
    p->drawn_ns = now;
    char amount[64] = "", bar[256] = "", text[512];
    double seconds = (double)(now - p->started_ns) / 1e9;
    if (p->bytes)
        (void)snprintf(amount, sizeof amount, " %.1f MB %.1f MB/s", (double)done / 1e6, seconds > 0.05 ? (double)done / 1e6 / seconds : 0.0);
    else
        (void)snprintf(amount, sizeof amount, " %llu", (unsigned long long)done);
    if (p->total != 0) {
        double share = done >= p->total ? 1.0 : (double)done / (double)p->total;
        unsigned columns = clo_os_term_columns();
        unsigned used = (unsigned)strlen(p->label) + (unsigned)strlen(amount) + 10;
        unsigned width = columns > used + 10 ? columns - used : 10;
        bar_text(bar, sizeof bar, share, width > 40 ? 40 : width);
        (void)snprintf(text, sizeof text, "\r\033[K%s %s %3.0f%%%s", p->label, bar, share * 100.0, amount);
    } else {
        (void)snprintf(text, sizeof text, "\r\033[K%s%s", p->label, amount);
    }
    write_text(text);
}

void clo_os_progress_end(clo_os_progress *p)
{
    if (p->active) write_text("\r\033[K");
    p->active = false;
}

static clo_err secret_line(int fd, char *to, size_t to_size)
{
    size_t n = 0;
    for (;;) {
        char c = 0;
        ssize_t got = read(fd, &c, 1);
        if (got < 0 && errno == EINTR) continue;
        CLO_CHECKF(got >= 0, CLO_E_IO, "cannot read from the terminal");
        if (got == 0 || c == '\n') break;
        CLO_CHECKF(n + 1 < to_size, CLO_E_TOO_LARGE, "the answer has more than %zu characters", to_size - 1);
        to[n++] = c;
    }
    to[n] = 0;
    return CLO_OK;
}

clo_err clo_os_term_secret(const char *prompt, char *to, size_t to_size)
{
    CLO_AUTO(clo_os_fd_close) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    CLO_CHECKF(fd >= 0, CLO_E_UNREACHABLE, "there is no terminal to ask on; give the secret by a file");
    struct termios before, quiet;
    CLO_CHECKF(tcgetattr(fd, &before) == 0, CLO_E_UNREACHABLE, "there is no terminal to ask on; give the secret by a file");
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    CLO_CHECK(tcsetattr(fd, TCSAFLUSH, &quiet) == 0, CLO_E_IO);
    clo_err e = clo_os_file_write_all(fd, clo_span_str(prompt));
    if (!clo_failed(e)) e = secret_line(fd, to, to_size);
    (void)tcsetattr(fd, TCSAFLUSH, &before);
    clo_err ended = clo_os_file_write_all(fd, clo_span_str("\n"));
    if (!clo_failed(e)) e = ended;
    if (clo_failed(e)) clo_wipe(to, to_size);
    return e;
}
