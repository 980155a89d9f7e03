/* Shared by the users of the Nitro Secure Module: one conversation. */
#ifndef CLO_TEE_NSM_INT_H
#define CLO_TEE_NSM_INT_H
#include "tee/nitro_guest.h"
#include "wire/tree.h"

/* Ask: `verb` alone, or {verb: arguments} where these are given. *answer is what stands under `verb` in the module's answer, NULL where that
 * is the bare word. Nodes live in the arena. */
CLO_R clo_tee_nsm_ask(const clo_tee_guest_host *host, clo_arena *a, const char *verb, clo_wire_node *arguments, const clo_wire_node **answer);
#endif
