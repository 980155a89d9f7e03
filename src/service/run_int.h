/* Inside of runs: what the worker that executes a run and the settler that ends what a worker or a crash left open share. */
#ifndef CLO_SERVICE_RUN_INT_H
#define CLO_SERVICE_RUN_INT_H
#include "service/service_int.h"

/** Store the run and tell listeners; tries again every second until it is stored. false = the daemon is stopping and it is not stored. */
bool clo_service_run_save(clo_service *s, clo_store_run *run);
/** The run is over: e = success ("done"), CANCELLED ("cancelled") or why it failed, with the thread's sentence and denial. */
void clo_service_run_conclude(clo_service *s, clo_store_run *run, clo_err e);
/** The same for a run of which nobody could say whether its output was released: the output stays. e = a failure. */
void clo_service_run_give_up(clo_service *s, clo_store_run *run, clo_err e);
/** The run's statement is stored: register it, make the receipt, conclude. Where the log or its witness cannot now, the run stays
 *  "committing" and the settler goes on. */
void clo_service_run_finish(clo_service *s, clo_store_run *run, unsigned proof_wait_ms);
/** The runtime is gone with e, after its output was complete: whether it was released is known to the key services only. The run
 *  stays "committing" and the settler asks them. The first e stands in its code and denial until it is concluded. */
void clo_service_run_leave(clo_service *s, clo_store_run *run, clo_err e);

#endif
