/* An agreement's template: YAML (or JSON) in which some values name files. They are resolved here; the result is the pure tree of
 * collab/agreement.h.
 *
 *   parties[]: {party: FILE.party, role: R, kms: FILE.json}   -> name, sign_key, hpke_key, key_service {url, spki, hpke_key}
 *   operator: FILE.json | {file: FILE.json}                   -> operator {name, url, spki}; log, where the template has none
 *   datasets[].schema: FILE.json | {file: FILE.json, set: S}  -> the schema
 *   programs[].sql: {file: FILE.sql}                          -> the text
 *   runtimes[].measurements[]: {program: FILE}                -> the software TEE's measurement of that file
 *   runtimes[].roots: operator                                -> the operator's software-TEE root (it is what the installation
 * made) */
#ifndef CLO_CLIENT_TEMPLATE_H
#define CLO_CLIENT_TEMPLATE_H
#include "wire/tree.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Read the template at `path`; file names are relative to its directory. Errors name the place and the file. */
CLO_R clo_client_template_read(clo_arena *a, const char *path, clo_wire_node **out);

#ifdef __cplusplus
}
#endif
#endif
