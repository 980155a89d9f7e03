/* The client's home: identity, what it knows of its servers, and what it keeps.
 *
 *   identity.key   the party's private keys (0600)          NAME.party    the public half
 *   config.yaml    server {url, spki}, kms {url, spki, hpke, owner}
 *   roots/         log.policy, *.der (roots of software TEEs), *.party (parties known from elsewhere), operator.json
 *   agreements/ datasets/ outputs/ receipts/                 as their commands say */
#ifndef CLO_CLIENT_HOME_H
#define CLO_CLIENT_HOME_H
#include "collab/run.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_CLIENT_PATH = 600, CLO_CLIENT_JSON_MAX = 1 << 20 };

typedef struct {
    bool known;
    char url[256];
    uint8_t spki[32];
} clo_client_server;
typedef struct {
    char dir[512];
    clo_client_server server, kms;
    uint8_t kms_hpke[32];
    char kms_owner[64];
} clo_client_home;

/** dir NULL = $CLOISTER_HOME, else ~/.cloister. Reads config.yaml where there is one; makes nothing. Errors: those of the file,
 * by line. */
CLO_R clo_client_home_open(clo_client_home *out, const char *dir);
/** Make the directories and write config.yaml. */
CLO_R clo_client_home_save(const clo_client_home *h);
/** dir[/sub]/name; sub may be NULL. */
CLO_R clo_client_home_path(const clo_client_home *h, const char *sub, const char *name, char to[CLO_CLIENT_PATH]);
/** The home's identity; wipe it. Errors: NOT_FOUND (says how to make one), DENIED (others may read the file). */
CLO_R clo_client_home_identity(const clo_client_home *h, clo_collab_identity *out);
/** Make an identity: identity.key and NAME.party. Errors: EXISTS. */
CLO_R clo_client_home_identity_make(const clo_client_home *h, const char *name, char party_path[CLO_CLIENT_PATH]);
/** Take a server from what `/api/v1/info` or cloisterd init printed; also writes its log keys, witnesses and TEE root under
 * roots/. */
CLO_R clo_client_home_take_operator(clo_client_home *h, clo_span json);
/** Take the own key service from what cloister-kms init printed. */
CLO_R clo_client_home_take_kms(clo_client_home *h, clo_span json);

/** Trust anchors from a directory (NULL = the home's roots/); a missing directory is no anchors. Names that are not understood
 * are ignored. */
CLO_R clo_client_roots_load(const clo_client_home *h, const char *dir, clo_collab_roots *out);

/** Read a JSON object from a file (at most 1 MiB) or from bytes, naming the file in errors. */
CLO_R clo_client_json_file(clo_arena *a, const char *path, clo_wire_node **out);
/** Text member of a map, or NULL. */
const char *clo_client_text(const clo_wire_node *map, const char *key);

#ifdef __cplusplus
}
#endif
#endif
