/* Shared by the commands: the table, what the command line said, sessions made when first needed, output. */
#ifndef CLO_CLI_INT_H
#define CLO_CLI_INT_H
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "cli/cli.h"
#include "client/run_client.h"
#include "client/session.h"
#include "os/term.h"
#include "wire/json.h"

#include <stdio.h>
#include <string.h>

enum { CLI_ARGS_MAX = 16, CLI_VALUES_MAX = 64, CLI_ARENA_MAX = 512 << 20, CLI_FILE_MAX = 64 << 20 };

typedef struct clo_cli clo_cli;

typedef struct {
    const char *name;  /* "--schema"; NULL ends a list */
    const char *value; /* what it takes, for help; NULL = a flag */
    const char *help;
} clo_cli_option;

/* One line of the one table. */
typedef struct {
    const char *noun, *verb; /* verb NULL: the noun is the whole command */
    const char *arguments;   /* for help: "FILE.csv" */
    unsigned least, most;    /* how many */
    const clo_cli_option *options;
    const char *help;
    clo_err (*run)(clo_cli *c);
} clo_cli_command;
extern const clo_cli_command clo_cli_commands[];
extern const size_t clo_cli_command_count;
extern const clo_cli_option clo_cli_common_options[];

struct clo_cli {
    const clo_cli_command *command;
    bool json, quiet;
    const char *home_dir, *server_url, *server_pin;
    const char *args[CLI_ARGS_MAX];
    size_t arg_count;
    struct {
        const char *name, *value;
    } values[CLI_VALUES_MAX];
    size_t value_count;
    clo_arena arena; /* lives as long as the command */
    clo_client_home home;
    bool home_open, have_who, emitted;
    clo_collab_identity who;
    clo_client_session *server, *kms;
    bool unreached;         /* the command worked, but a service did not answer: exit 3 */
    bool negative;    /* the command worked, and its verdict is no */
    char explain[80]; /* id for `cloister explain`, where a failure has one */
    clo_os_progress progress;
};

/* ---- what was said ---- */
/** The last value of an option, or NULL; a flag's is "". */
const char *clo_cli_value(const clo_cli *c, const char *name);
/** Value number `index` of an option that may come several times, or NULL. */
const char *clo_cli_value_at(const clo_cli *c, const char *name, size_t index);
bool clo_cli_flag(const clo_cli *c, const char *name);
CLO_R clo_cli_require(const clo_cli *c, const char *name, const char **out);
CLO_R clo_cli_value_number(const clo_cli *c, const char *name, double *out); /* unchanged where absent */
CLO_R clo_cli_value_count(const clo_cli *c, const char *name, uint64_t max, uint64_t *out);

/* ---- who and where; each made once ---- */
CLO_R clo_cli_home(clo_cli *c);
CLO_R clo_cli_identity(clo_cli *c, const clo_collab_identity **out);
CLO_R clo_cli_server(clo_cli *c, clo_client_session **out);
CLO_R clo_cli_kms(clo_cli *c, clo_client_session **out);
int64_t clo_cli_now(void);
/** The operator's or the key service's answer to GET. */
CLO_R clo_cli_get(clo_cli *c, clo_client_session *s, const char *path, clo_wire_node **out);

/* ---- files ---- */
CLO_R clo_cli_read(clo_cli *c, const char *path, clo_span *out); /* into the arena; at most 64 MiB */
/** A schema file: one set, or with `set` one of several. */
CLO_R clo_cli_schema(clo_cli *c, const char *path, const char *set, clo_wire_schema *out, clo_wire_node **tree);
/** An agreement by file, by id or the beginning of one (kept in the home, or at the operator). `file` may be NULL. */
CLO_R clo_cli_agreement(clo_cli *c, const char *reference, clo_collab_agreement **out, uint32_t *signed_mask, clo_span *file);
/** Is it the one with this id (or the beginning of one)? Whatever an operator sends under an id must be asked. Errors: DENIED. */
CLO_R clo_cli_agreement_require(const clo_collab_agreement *g, const char *id);
/** Keep an agreement's file in the home. */
CLO_R clo_cli_agreement_keep(clo_cli *c, const clo_collab_agreement *g, clo_span file);

/* ---- saying things ---- */
/** Much of what is shown was written by others: replace by '?' what would steer the terminal. `lines`: line breaks and tabs may stay. */
void clo_cli_clean(char *text, bool lines);
/** Results for people: nothing with --json; with --quiet nothing of commands that are called for what they do. */
void clo_cli_say(clo_cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Remarks: nothing with --json or --quiet. */
void clo_cli_note(clo_cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** The one JSON document, where --json was given. */
CLO_R clo_cli_emit(clo_cli *c, const clo_wire_node *node);
typedef struct {
    const char *key, *title;
    unsigned cut; /* show at most so many bytes; 0 = all */
} clo_cli_column;
/** A list of maps as a table; `none` is said where it is empty. */
void clo_cli_table(clo_cli *c, const clo_wire_node *list, const clo_cli_column *columns, size_t count, const char *none);
/** A scalar as text into `to`. */
void clo_cli_text_of(const clo_wire_node *n, char *to, size_t size);
/** Five lines of a denial. */
void clo_cli_say_denial(clo_cli *c, const char *claim, const char *expected, const char *actual, const char *source,
                        const char *remedy);
void clo_cli_progress(void *cli, uint64_t done, uint64_t total);

/* ---- commands, by file ---- */
clo_err clo_cli_init(clo_cli *c);
clo_err clo_cli_status(clo_cli *c);
clo_err clo_cli_console(clo_cli *c);
clo_err clo_cli_explain(clo_cli *c);
clo_err clo_cli_completion(clo_cli *c);
clo_err clo_cli_party_new(clo_cli *c);
clo_err clo_cli_party_show(clo_cli *c);
clo_err clo_cli_party_export(clo_cli *c);
clo_err clo_cli_party_import(clo_cli *c);
clo_err clo_cli_dataset_seal(clo_cli *c);
clo_err clo_cli_dataset_push(clo_cli *c);
clo_err clo_cli_dataset_list(clo_cli *c);
clo_err clo_cli_dataset_show(clo_cli *c);
clo_err clo_cli_dataset_verify(clo_cli *c);
clo_err clo_cli_dataset_rekey(clo_cli *c);
clo_err clo_cli_agreement_new(clo_cli *c);
clo_err clo_cli_agreement_check(clo_cli *c);
clo_err clo_cli_agreement_show(clo_cli *c);
clo_err clo_cli_agreement_diff(clo_cli *c);
clo_err clo_cli_agreement_sign(clo_cli *c);
clo_err clo_cli_agreement_submit(clo_cli *c);
clo_err clo_cli_agreement_status(clo_cli *c);
clo_err clo_cli_agreement_stop(clo_cli *c);
clo_err clo_cli_agreement_resume(clo_cli *c);
clo_err clo_cli_agreement_terminate(clo_cli *c);
clo_err clo_cli_agreement_list(clo_cli *c);
clo_err clo_cli_run_start(clo_cli *c);
clo_err clo_cli_run_list(clo_cli *c);
clo_err clo_cli_run_show(clo_cli *c);
clo_err clo_cli_run_watch(clo_cli *c);
clo_err clo_cli_run_cancel(clo_cli *c);
clo_err clo_cli_output_open(clo_cli *c);
clo_err clo_cli_output_list(clo_cli *c);
clo_err clo_cli_receipt_verify(clo_cli *c);
clo_err clo_cli_receipt_compare(clo_cli *c);
clo_err clo_cli_receipt_show(clo_cli *c);
clo_err clo_cli_receipt_fetch(clo_cli *c);
clo_err clo_cli_receipt_list(clo_cli *c);
clo_err clo_cli_attest_verify(clo_cli *c);
clo_err clo_cli_attest_inspect(clo_cli *c);
clo_err clo_cli_attest_policy(clo_cli *c);
clo_err clo_cli_attest_fetch(clo_cli *c);
clo_err clo_cli_attest_collect(clo_cli *c);
clo_err clo_cli_attest_publish(clo_cli *c);
clo_err clo_cli_attest_bundle(clo_cli *c);
clo_err clo_cli_measure(clo_cli *c);
clo_err clo_cli_key_list(clo_cli *c);
clo_err clo_cli_key_show(clo_cli *c);
clo_err clo_cli_key_import(clo_cli *c);
clo_err clo_cli_key_change(clo_cli *c);
clo_err clo_cli_key_rotate(clo_cli *c);
clo_err clo_cli_budget_list(clo_cli *c);
clo_err clo_cli_budget_set(clo_cli *c);
clo_err clo_cli_dp_epsilon(clo_cli *c);
clo_err clo_cli_dp_calibrate(clo_cli *c);
clo_err clo_cli_dp_sample(clo_cli *c);
clo_err clo_cli_model_train(clo_cli *c);
clo_err clo_cli_model_evaluate(clo_cli *c);
clo_err clo_cli_model_predict(clo_cli *c);
clo_err clo_cli_model_show(clo_cli *c);
clo_err clo_cli_audit_ledger(clo_cli *c);
clo_err clo_cli_audit_log(clo_cli *c);
clo_err clo_cli_demo(clo_cli *c);
/** Used by several: keep a run's receipt under receipts/ID.receipt; its path. */
CLO_R clo_cli_receipt_keep(clo_cli *c, const char *id, char path[CLO_CLIENT_PATH]);
/** 32 hex digits? */
bool clo_cli_is_run_id(const char *text);

#endif
