/* The threads of the log: one turns a queue of appenders into groups, one asks the witnesses. */
#ifndef CLO_AUDIT_TLOG_COMMIT_H
#define CLO_AUDIT_TLOG_COMMIT_H
#include "audit/tlog_int.h"

/** Thread body; ends when log->stop is set and the queue is empty. */
void *clo_audit_commit_thread(void *log);
/** Thread body; ends when log->stop is set. */
void *clo_audit_witness_thread(void *log);
/** Thread body: stores the published checkpoint, at most 50 times a second; ends when log->stop is set. */
void *clo_audit_keeper_thread(void *log);
/** Store the published checkpoint durably unless it is stored already. Called without the lock. */
CLO_R clo_audit_checkpoint_store(clo_audit_log *log);
/** Sign and store a checkpoint of the tree as it is; before the thread runs. */
CLO_R clo_audit_commit_sign_now(clo_audit_log *log);

#endif
