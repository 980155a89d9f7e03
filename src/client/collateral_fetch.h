/* Collateral of one platform from its vendor: Intel's provisioning certification service (PCS API v4; a PCCS answers the same paths) and AMD's
 * key distribution service (AMD 57230). Nothing here judges what came: the verifier does, before anything is kept. */
#ifndef CLO_CLIENT_COLLATERAL_FETCH_H
#define CLO_CLIENT_COLLATERAL_FETCH_H
#include "base/clo_arena.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_CLIENT_COLLATERAL_MAX = 6, CLO_CLIENT_COLLATERAL_TRIES = 3, CLO_CLIENT_COLLATERAL_SECONDS = 60 };

typedef struct {
    const char *server;  /* https://host[:port] instead of the vendor's; NULL = the vendor's */
    const uint8_t *spki; /* 32 bytes: the server's pin; NULL = the machine's authorities decide */
    void (*note)(void *context, const char *text); /* said before each wait; may be NULL */
    void *context;
} clo_client_collateral_source;

typedef struct {
    const char *role, *file; /* of a part of evidence's collateral; a name for it in a directory */
    clo_span bytes;          /* arena */
} clo_client_collateral_file;
typedef struct {
    size_t count;
    clo_client_collateral_file files[CLO_CLIENT_COLLATERAL_MAX];
} clo_client_collateral;

/* Both: 429 and 503 are asked again after what Retry-After says (seconds or a date), CLO_CLIENT_COLLATERAL_TRIES times at most; everything
 * together takes CLO_CLIENT_COLLATERAL_SECONDS at most, and a wait that would not fit is not begun. Answers are bounded.
 * Errors: AGAIN (busy to the end), TIMEOUT, UNREACHABLE, DENIED (TLS, a redirect), NOT_FOUND (the vendor does not know the platform), TOO_LARGE,
 * MALFORMED. */

/** tcb_info, qe_identity, tcb_signing_chain, root_ca_crl, pck_ca_crl. ca: "platform" or "processor", who signed the PCK certificate. */
CLO_R clo_client_collateral_intel(clo_arena *a, const clo_client_collateral_source *from, bool tdx, const uint8_t fmspc[6], const char *ca,
                                  clo_client_collateral *out);

typedef struct {
    const char *product; /* "Milan", "Genoa", "Turin" */
    clo_span hardware_id; /* 64 bytes; 8 on Turin */
    bool have_fmc;        /* Turin */
    unsigned fmc, bl, tee, snp, ucode; /* of the reported TCB */
} clo_client_collateral_chip;
/** vcek_or_vlek, ask_ark_chain and crl; crl is absent where the server has none. */
CLO_R clo_client_collateral_amd(clo_arena *a, const clo_client_collateral_source *from, const clo_client_collateral_chip *chip, clo_client_collateral *out);

#ifdef __cplusplus
}
#endif
#endif
