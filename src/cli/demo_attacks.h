/* The eight attacks, by topic, and what they share. */
#ifndef CLO_CLI_DEMO_ATTACKS_H
#define CLO_CLI_DEMO_ATTACKS_H
#include "cli/demo_channel.h"
#include "cli/demo_host.h"
#include "cli/demo_story.h"

/* The attacker's means. */
typedef struct {
    demo *d;
    unsigned number;
    demo_loot loot;
    demo_leaf leaf;
    clo_collab_receipt *receipt; /* of the statistics run: all that the operator saw of it */
    char short_id[65];           /* an agreement that ends soon … */
    int64_t short_end;
    clo_span short_request; /* … and a request that was signed while it held */
    demo_loot short_loot;
} demo_attacker;

void demo_attack_title(demo_attacker *t, const char *title);
/** A refusal as five lines; fails unless its claim begins with `wanted`. */
CLO_R demo_attack_denied(demo_attacker *t, const clo_denial *denial, const char *wanted);
/** `cloister explain ID` by a party, shown; fails unless the claim begins with `wanted`. */
CLO_R demo_attack_explain(demo_attacker *t, const char *party, const char *id, const char *wanted);
/** `run start … --watch`, which must be refused; then explain. NULL request: a fresh one for this run of the demo's agreement. */
CLO_R demo_attack_run(demo_attacker *t, const char *run, const char *request, const char *wanted);
/** How a runtime under a bad host ended, where a refusal was due. */
CLO_R demo_attack_host(demo_attacker *t, const demo_host *h, const char *wanted);
/** What is left of every budget, as one text. */
CLO_R demo_attack_budgets(demo_attacker *t, const char **out);

CLO_R demo_attack_agreements_prepare(demo_attacker *t); /* needs some seconds to pass before demo_attack_agreements */

CLO_R demo_attack_patched(demo_attacker *t);
CLO_R demo_attack_replay(demo_attacker *t);
CLO_R demo_attack_agreements(demo_attacker *t);
CLO_R demo_attack_budget(demo_attacker *t);
CLO_R demo_attack_rollback(demo_attacker *t);
CLO_R demo_attack_relay(demo_attacker *t);
CLO_R demo_attack_chunk(demo_attacker *t);
CLO_R demo_attack_clone(demo_attacker *t);

#endif
