/* The machine's clocks, and one that tests move. */
#include "os/clock.h"
#include <time.h>

static uint64_t system_monotonic(void *context)
{
    (void)context;
    struct timespec t = {0};
    /* BOOTTIME counts suspended time too: a lease must not sleep with the machine. */
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t system_wall(void *context)
{
    (void)context;
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec;
}

const clo_os_clock *clo_os_clock_system(void)
{
    static const clo_os_clock system_clock = {.monotonic_ns = system_monotonic, .wall_seconds = system_wall, .context = 0};
    return &system_clock;
}

uint64_t clo_os_now_ns(void) { return system_monotonic(0); }

void clo_os_sleep_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, 0);
}

static uint64_t manual_monotonic(void *context) { return ((const clo_os_clock_manual_state *)context)->monotonic_ns; }
static int64_t manual_wall(void *context) { return ((const clo_os_clock_manual_state *)context)->wall_seconds; }

clo_os_clock clo_os_clock_manual(clo_os_clock_manual_state *state)
{
    return (clo_os_clock){.monotonic_ns = manual_monotonic, .wall_seconds = manual_wall, .context = state};
}
