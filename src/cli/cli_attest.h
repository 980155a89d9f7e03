/* Evidence and collateral from files, shared by the commands of `attest`. */
#ifndef CLO_CLI_ATTEST_H
#define CLO_CLI_ATTEST_H
#include "attest/attest.h"
#include "cli/cli_int.h"

/* What one appraisal is given. In the command's arena. */
typedef struct {
    char type[24]; /* "auto" where nothing said it */
    int64_t at;
    clo_attest_part evidence[CLO_ATTEST_PARTS_MAX], collateral[CLO_ATTEST_PARTS_MAX];
    size_t evidence_count, collateral_count;
} cli_case;

/** A case from --type, --at and --collateral; its evidence comes next. */
CLO_R clo_cli_case_open(clo_cli *c, cli_case **out);
/** [ROLE=]FILE as evidence: a report, a bundle, a record (with type, time and collateral), or a file recognised by its content. */
CLO_R clo_cli_case_evidence(clo_cli *c, cli_case *k, const char *text);
/** Appraise; the result is the arena's. */
CLO_R clo_cli_case_verify(clo_cli *c, const cli_case *k, const clo_attest_policy *p, clo_attest_result **out);
/** The role of a collateral file by its content, for evidence of this type ("auto" = unknown). Errors: MALFORMED. */
CLO_R clo_cli_guess_collateral(const char *type, clo_span bytes, const char *path, char role[32]);
/** The role of an evidence file by its content. */
void clo_cli_guess_evidence(clo_arena *a, clo_span bytes, char role[32]);
/** Checks as a table: failed ones with source and remedy. */
void clo_cli_say_checks(clo_cli *c, const clo_attest_result *r);

#endif
