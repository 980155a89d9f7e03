/* Time comes in through a struct of functions, so that tests drive it. */
#ifndef CLO_OS_CLOCK_H
#define CLO_OS_CLOCK_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint64_t (*monotonic_ns)(void *context); /* never goes back; for leases and deadlines */
    int64_t (*wall_seconds)(void *context);  /* since 1970; hostile on an operator's machine */
    void *context;
} clo_os_clock;

/** The machine's clocks (CLOCK_BOOTTIME, CLOCK_REALTIME). */
const clo_os_clock *clo_os_clock_system(void);
static inline uint64_t clo_os_clock_monotonic(const clo_os_clock *c) { return c->monotonic_ns(c->context); }
static inline int64_t clo_os_clock_wall(const clo_os_clock *c) { return c->wall_seconds(c->context); }
/** Monotonic nanoseconds of the machine. */
uint64_t clo_os_now_ns(void);
/** Sleep; returns early on a signal. */
void clo_os_sleep_ms(unsigned ms);

/* A clock that stands until it is moved, for tests. context points to one of these. */
typedef struct {
    uint64_t monotonic_ns;
    int64_t wall_seconds;
} clo_os_clock_manual_state;
clo_os_clock clo_os_clock_manual(clo_os_clock_manual_state *state);

#ifdef __cplusplus
}
#endif
#endif
