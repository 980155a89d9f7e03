/* The demo's world: directories, daemons and commands as real processes, what they said.
 *
 *   DIR/hospital-a|b|c/   rows.csv, home/ (its CLI's home), kms/ (its key service), kms.log
 *   DIR/analyst/home/     DIR/operator/home/, operator.log     DIR/witness/home/, witness.log
 *   DIR/shared/           what the parties hand each other: *.party, *.kms.json, operator.json, the template, the agreement */
#ifndef CLO_CLI_DEMO_WORLD_H
#define CLO_CLI_DEMO_WORLD_H
#include "cli/cli_int.h"
#include "os/process.h"

enum { DEMO_PATH = 480, DEMO_HOSPITALS = 3, DEMO_RUN_SECONDS = 90, DEMO_ID = 33 };
typedef enum { DEMO_WITNESS, DEMO_KMS_A, DEMO_KMS_B, DEMO_KMS_C, DEMO_OPERATOR, DEMO_DAEMONS } demo_daemon_name;

typedef struct {
    clo_os_process process;
    int said_fd; /* its standard output */
} demo_daemon;

/* What a command left. Texts end with a zero byte and live in the arena. */
typedef struct {
    int code;
    const char *out, *err;
} demo_result;

typedef struct {
    clo_cli *c;
    clo_arena *a;
    char dir[DEMO_PATH];      /* absolute */
    char programs[DEMO_PATH]; /* where cloister, cloisterd … are */
    bool keep;
    demo_daemon daemons[DEMO_DAEMONS];
    char log_vkey[600], witness[1200]; /* as the command lines take them */
    demo_result last;
    unsigned patience_ms; /* commands are killed after that; 0 = two minutes */
    char agreement_id[65];
    char statistics[DEMO_ID], model[DEMO_ID]; /* run ids */
    uint64_t began_ns, chapter_ns;
    unsigned chapter;
} demo;

extern const char *const demo_hospitals[DEMO_HOSPITALS]; /* "hospital-a" … */

/** Make DIR (or a temporary one) and its directories. */
CLO_R demo_open(demo *d, const char *keep);
/** Stop everything that runs; remove DIR where it is not kept. */
void demo_close(demo *d);
/** Was Ctrl-C (or SIGTERM) received? */
bool demo_interrupted(void);
/** DIR/… by a format. */
CLO_R demo_path(const demo *d, char to[DEMO_PATH], const char *fmt, ...) __attribute__((format(printf, 3, 4)));
CLO_R demo_write(const demo *d, const char *name, clo_span bytes); /* DIR/name */
CLO_R demo_read(const demo *d, const char *name, clo_span *out);   /* into the arena */

/** Run a program to its end in DIR/cwd; d->last has what it left. argv is NULL-terminated and begins with the program's name. */
CLO_R demo_program(demo *d, const char *cwd, const char *const *argv);
/** `cloister --home home ARGS…` by a party in DIR/party; the list ends with NULL. Fails unless it exits with 0, saying what it
 * said. */
CLO_R demo_cli(demo *d, const char *party, ...) __attribute__((sentinel));
/** The same where it must be refused: fails unless it exits with 1. */
CLO_R demo_cli_refused(demo *d, const char *party, ...) __attribute__((sentinel));
/** The same, whatever the exit code. */
CLO_R demo_cli_any(demo *d, const char *party, ...) __attribute__((sentinel));
/** The last command's standard output as JSON. */
CLO_R demo_json(demo *d, clo_wire_node **out);
/** Text member of that, or of a map inside; NOT_FOUND where absent. */
CLO_R demo_member(const clo_wire_node *map, const char *key, const char **out);

CLO_R demo_daemon_start(demo *d, demo_daemon_name which);
/** As start, with another runtime for the operator to start (NULL = the built one). */
CLO_R demo_operator_start(demo *d, const char *enclave_path);
/** SIGTERM, then wait; a daemon that does not end within 15 s is killed, and that is an error. */
CLO_R demo_daemon_stop(demo *d, demo_daemon_name which);
/** SIGKILL. */
void demo_daemon_kill(demo *d, demo_daemon_name which);
pid_t demo_daemon_pid(const demo *d, demo_daemon_name which);

/* ---- telling ---- */
void demo_chapter(demo *d, const char *title);
void demo_gap(const demo *d); /* an empty line */
void demo_say(const demo *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Some text of a command, indented; `lines` 0 = all. */
void demo_quote(const demo *d, const char *text, unsigned lines);
/** A step that held. */
void demo_held(const demo *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
