/* Uploading a sealed dataset and entrusting its key; resumable. */
#ifndef CLO_CLIENT_PUSH_H
#define CLO_CLIENT_PUSH_H
#include "client/session.h"
#include "collab/dataset.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *sealed_path;
    const char *key_path; /* NULL = the key is at its service already */
    clo_client_session *server, *kms;
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
} clo_client_push_options;
/** The key first (so that no dataset lies there that nobody can use), then the manifest, then the chunks from where the operator
 * stopped receiving. A broken connection is taken up again five times. Pushing what is complete is success. */
CLO_R clo_client_dataset_push(const clo_client_push_options *options, clo_collab_manifest *out);

#ifdef __cplusplus
}
#endif
#endif
