/* Starting a run, watching it, opening what came out. */
#ifndef CLO_CLIENT_RUN_CLIENT_H
#define CLO_CLIENT_RUN_CLIENT_H
#include "client/session.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const clo_collab_agreement *agreement;
    const char *run;
    const clo_collab_identity *who;
    const char *const *parameters; /* "name=value" */
    size_t parameter_count;
    int64_t now;
} clo_client_run_options;
/** Make and sign a request for the newest complete version of each dataset, as the operator lists them. request's bytes:
 * appended. */
CLO_R clo_client_run_request(clo_client_session *server, const clo_client_run_options *options, clo_collab_run_request *out,
                             clo_buf *request);

/** Called with the run as the operator shows it (run map of service.h), each time it changed. */
typedef clo_err (*clo_client_run_seen)(void *context, const clo_wire_node *run);
/** Follow a run to its end by its event stream, or by asking where that breaks. *out: the last view, in the arena. */
CLO_R clo_client_run_watch(clo_client_session *server, clo_arena *a, const char *id, clo_client_run_seen seen, void *context,
                           clo_wire_node **out);
/** Is this state an end? */
bool clo_client_run_over(const char *state);
/** The refusal or failure of a run that ended badly, as an error; success for "done". */
CLO_R clo_client_run_verdict(const clo_wire_node *run);

/** Fetch a run's sealed output and the shares of its key (from the operator; where it has none, from the owners' key services),
 * open it. plain: appended; it is the recipient's secret. */
CLO_R clo_client_output_open(clo_client_session *server, const clo_collab_agreement *g, const char *run_name,
                             const uint8_t run_id[16], const clo_collab_identity *who, clo_buf *plain);

#ifdef __cplusplus
}
#endif
#endif
