/* The demo's chapters. Each says what happens, checks that it did, and fails where it did not. */
#ifndef CLO_CLI_DEMO_STORY_H
#define CLO_CLI_DEMO_STORY_H
#include "cli/demo_world.h"

CLO_R demo_parties(demo *d);   /* homes, daemons, parties */
CLO_R demo_agreement(demo *d); /* template to active agreement */
CLO_R demo_datasets(demo *d);  /* sealing, pushing, the search */
CLO_R demo_runs(demo *d);      /* statistics and model */
CLO_R demo_outputs(demo *d);   /* opening, budgets */
CLO_R demo_receipts(demo *d);  /* everything stopped; offline verification */
CLO_R demo_attacks(demo *d);   /* all eight */

#endif
