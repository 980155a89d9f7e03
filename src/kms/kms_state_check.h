/* The part of the independent check of a ledger that is about its state entries. */
#ifndef CLO_KMS_STATE_CHECK_H
#define CLO_KMS_STATE_CHECK_H
#include "kms/kms.h"
#include <sqlite3.h>

/** Each state entry of the ledger has the order, amendment, key or release that it tells of, unaltered; each agreement is the one that its parties
 * signed; and neither an agreement nor a key is more open than what the entries make of it. An objection goes into the report. A ledger of an older
 * layout is read by its rules up to where it was brought forward. */
CLO_R kms_state_check(sqlite3 *db, clo_kms_ledger_report *report);

#endif
