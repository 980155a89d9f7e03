/* Looking for rows where none may be: every file below a directory, and the memory of a running process. */
#ifndef CLO_CLI_DEMO_SEARCH_H
#define CLO_CLI_DEMO_SEARCH_H
#include "cli/demo_world.h"

enum { DEMO_PATTERNS_MAX = 32 };

/* What rows look like: as CSV text, and as the doubles of the table that is sealed. */
typedef struct {
    size_t count;
    clo_span patterns[DEMO_PATTERNS_MAX];
    uint64_t searched;     /* bytes */
    uint32_t found_mask;   /* bit i: pattern i was seen */
    char where[DEMO_PATH]; /* the last place */
} demo_search;

/** Patterns of some rows of this CSV: two per row. They live in the arena. */
CLO_R demo_search_rows(clo_arena *a, clo_span csv, demo_search *out);
void demo_search_bytes(demo_search *s, clo_span bytes, const char *where);
CLO_R demo_search_tree(demo_search *s, const char *dir);
/** All readable memory of a process. */
CLO_R demo_search_memory(demo_search *s, pid_t pid);
/** The CSV as the table that a hospital seals, in memory: what the binary patterns must be found in. */
CLO_R demo_search_table(clo_arena *a, clo_span csv, clo_buf *table);

#endif
