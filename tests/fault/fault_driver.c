/* A server for the fault sweep: `fault_driver SCENARIO TEMPLATE` prepares once, then does for each line of standard input
 * "first HOME", "again HOME" or "late HOME" all steps in a forked child, prints what was acknowledged, and closes with "end STATUS".
 * The faults themselves come from the preloaded fault_shim. */
#include "fault_driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const fault_scenario *const scenarios[] = {&fault_log, &fault_witness, &fault_store, &fault_kms, &fault_kms_init};

/* One write per line: what a child said before it died stands. */
void fault_tell(const char *format, ...)
{
    char line[600];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (n < 0) abort();
    size_t size = (size_t)n < sizeof line - 2 ? (size_t)n : sizeof line - 2;
    for (size_t i = 0; i < size; i++)
        if (line[i] == '\n') line[i] = ' ';
    line[size++] = '\n';
    if (write(1, line, size) < 0) abort();
}

bool fault_say(const char *what, clo_err e)
{
    if (clo_failed(e))
        fault_tell("no %s %s: %s", what, clo_err_name(e), clo_err_text());
    else
        fault_tell("ok %s", what);
    return !clo_failed(e);
}

static int child_of(const fault_scenario *s, const char *home, bool again, bool late)
{
    pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
        s->work(home, again, late);
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) abort();
    return status;
}

int main(int argc, char **argv)
{
    const fault_scenario *s = NULL;
    char line[700];
    for (size_t i = 0; argc == 3 && i < sizeof scenarios / sizeof scenarios[0]; i++)
        if (strcmp(scenarios[i]->name, argv[1]) == 0) s = scenarios[i];
    if (s == NULL) return 2;
    s->prepare(argv[2]);
    fault_tell("ready");
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *home = strchr(line, ' ');
        if (home == NULL) return 2;
        *home++ = 0;
        home[strcspn(home, "\n")] = 0;
        bool late = strcmp(line, "late") == 0;
        int status = child_of(s, home, late || strcmp(line, "again") == 0, late);
        fault_tell("end %s %d", WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    return 0;
}
