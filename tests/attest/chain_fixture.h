/* A hierarchy of the software TEE made afresh: ARK, ASK, an unrelated root, an endorsement key; certificates and reports on demand. */
#ifndef CHAIN_FIXTURE_H
#define CHAIN_FIXTURE_H
#include "cmocka_all.h"

#include "attest/attest.h"
#include "base/clo_own.h"
#include "crypto/sign.h"
#include "crypto/x509.h"

#include <stdlib.h>
#include <string.h>

enum { NOW = 1800000000, DAY = 86400 };

typedef struct {
    clo_buf pem, der;
    clo_crypto_cert *cert;
} identity;
extern identity ark, ask, other;

/* What a case makes different about the endorsement certificate. */
typedef struct {
    const char *product, *kind;
    uint8_t boot_loader, hardware_id_bytes, octets, csp;
    bool no_snp, duplicate_number, not_pss, rsa_key;
    int64_t from, to;
} vcek_options;

extern const vcek_options usual;

/* Certify i's key anew, by itself where issuer is NULL. */
void make_ca(identity *i, const char *name, const identity *issuer, int64_t from, int64_t to);
void make_usual_cas(void);
/* The endorsement certificate by the ASK, appended to der. */
void make_vcek(const vcek_options *o, clo_buf *der);
void report_usual(uint8_t report[1184]);
void report_sign(uint8_t report[1184]);
/* Strict, but simulated evidence is allowed, the ARK is pinned and no revocation list is demanded. */
void policy_usual(clo_attest_policy *p);
/* Group fixtures: the keys. */
int chain_set_up(void **state);
int chain_tear_down(void **state);
#endif
