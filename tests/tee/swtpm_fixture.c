#include "swtpm_fixture.h"

#include "os/file.h"
#include "os/net.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Two neighbouring ports: tpm2-tss takes the second for control. */
static uint16_t ports_free(void)
{
    for (unsigned i = 0; i < 50; i++) {
        int one = -1, two = -1;
        uint16_t first = 0, second = 0;
        if (clo_failed(clo_os_net_listen(&one, "127.0.0.1", 0, &first))) continue;
        bool both = first < 65535 && !clo_failed(clo_os_net_listen(&two, "127.0.0.1", (uint16_t)(first + 1), &second));
        (void)close(one);
        if (both) (void)close(two);
        if (both) return first;
    }
    return 0;
}

static const char *program(void)
{
    static const char *const places[] = {"/usr/bin/swtpm", "/usr/local/bin/swtpm"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], X_OK) == 0) return places[i];
    }
    return NULL;
}

static bool answers(uint16_t port)
{
    for (unsigned i = 0; i < 100; i++) {
        int fd = -1;
        if (!clo_failed(clo_os_net_connect(&fd, "127.0.0.1", port, 1000))) {
            (void)close(fd);
            return true;
        }
        (void)usleep(50 * 1000);
    }
    return false;
}

void swtpm_start(swtpm *t)
{
    *t = (swtpm){.process = CLO_OS_PROCESS_NONE, .why = "swtpm is not installed (scripts/setup installs it)"};
    const char *path = program();
    if (path == NULL) return;
    uint16_t port = ports_free();
    char state[300], server[96], control[96];
    t->why = "no two free ports on the loopback";
    if (port == 0) return;
    assert_ok(clo_os_dir_temporary("clo-swtpm-", t->directory));
    (void)snprintf(state, sizeof state, "dir=%s", t->directory);
    (void)snprintf(server, sizeof server, "type=tcp,port=%u,bindaddr=127.0.0.1", port);
    (void)snprintf(control, sizeof control, "type=tcp,port=%u,bindaddr=127.0.0.1", port + 1u);
    const char *argv[] = {path, "socket", "--tpm2", "--tpmstate", state, "--server", server, "--ctrl", control, "--flags", "not-need-init,startup-clear", NULL};
    clo_os_spawn options = {.path = path, .exec_fd = -1, .argv = argv, .inherit_env = true, .die_with_parent = true};
    t->why = "swtpm does not start here";
    if (clo_failed(clo_os_process_spawn(&t->process, &options))) return;
    (void)snprintf(t->connection, sizeof t->connection, "swtpm:host=127.0.0.1,port=%u", port);
    /* Only the control port may be tried: the other serves one connection at a time. */
    t->there = answers((uint16_t)(port + 1));
}

void swtpm_stop(swtpm *t)
{
    clo_os_process_kill(&t->process);
    if (t->directory[0] != '\0') (void)!clo_failed(clo_os_tree_remove(t->directory));
}
