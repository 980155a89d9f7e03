#include "service/service_int.h"

#include "base/clo_own.h"
#include "collab/leaf.h"
#include "os/log.h"

#include <stdio.h>

CLO_R clo_service_require_records(clo_service *s)
{
    clo_err e = clo_store_ping(s->store);
    if (!clo_failed(e)) e = clo_audit_log_usable(s->log);
    if (!clo_failed(e)) return CLO_OK;
    clo_os_log_failure("records", NULL, e);
    char why[160];
    (void)snprintf(why, sizeof why, "%.150s", clo_err_text());
    return CLO_FAILF(CLO_E_AGAIN, "the operator takes no new work because it could not be recorded: %s; the operator must look at its disk", why);
}

CLO_R clo_service_log_append(clo_service *s, const char *type, clo_span object, uint64_t *index)
{
    CLO_AUTO(clo_buf_free) clo_buf leaf;
    clo_buf_init(&leaf, 4096);
    CLO_TRY(clo_collab_leaf(type, object, &leaf));
    /* A crash between the log and the record of it must not register the same twice. */
    if (!clo_failed(clo_audit_log_find(s->log, clo_buf_span(&leaf), index))) return CLO_OK;
    return clo_audit_log_append(s->log, clo_buf_span(&leaf), index);
}
