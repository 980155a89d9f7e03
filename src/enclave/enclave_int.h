/* The state of one run, shared by the files of this module. */
#ifndef CLO_ENCLAVE_INT_H
#define CLO_ENCLAVE_INT_H
#include "collab/run.h"
#include "crypto/hash.h"
#include "crypto/tls.h"
#include "enclave/enclave.h"
#include "enclave/kms_http.h"
#include "enclave/link.h"
#include "enclave/program.h"
#include "os/sandbox.h"
#include "os/secmem.h"

#define CLO_ENCLAVE_SECOND UINT64_C(1000000000)
enum {
    CLO_ENCLAVE_REPLY_SECONDS = 60,       /* the host must answer within */
    CLO_ENCLAVE_EXCHANGE_SECONDS = 60,    /* a key service must answer within */
    CLO_ENCLAVE_ATTEMPTS = 3,             /* on connections that fail */
    CLO_ENCLAVE_COMPUTE_SECONDS_MAX = 6 * 3600,
    CLO_ENCLAVE_OUTPUT_PAD_MIN = 4096,
};

/* All that must never leave, in pages outside swap, cores and children. Made after the program child was forked. */
typedef struct {
    clo_crypto_private_key sign;
    clo_key32 hpke;
    clo_key32 deks[CLO_DATASETS_MAX]; /* by place in the request */
    clo_key32 output;
    clo_key32 shares[CLO_PARTIES_MAX]; /* by place among the owners */
} clo_enclave_secrets;

/* One owner's key service. */
typedef struct {
    const clo_collab_member *member;
    char host[280];                    /* of its URL: "name:port" */
    clo_crypto_tls_context *context;   /* our leaf, its pin */
    clo_crypto_tls *tls;               /* NULL = no connection */
    bool closing;                      /* the service ends this connection after its response */
    uint8_t nonce[CLO_NONCE];
    uint64_t lease_end_ns;             /* monotonic; counted from before the request was sent */
    int64_t known_from, known_until;   /* wall-clock bounds by its replies, 0 = none yet */
    uint64_t known_from_ns;            /* the same moment on our monotonic clock */
    clo_buf commit;                    /* its commit reply */
} clo_enclave_kms;

typedef struct {
    const clo_enclave_options *options;
    const clo_os_clock *clock;
    const clo_tee_provider *provider; /* whose evidence it is … */
    const clo_tee_provider *asked;    /* … and how it is asked for, on this descriptor */
    int device;
    clo_os_sandbox_report sandbox;
    clo_arena arena;
    clo_buf reply; /* of the host, reused */
    clo_buf chunks; /* sealed, of the host, reused */
    bool fetching; /* a FETCH was sent and its reply not yet taken */

    /* What START brought, verified. */
    clo_buf start_body;
    clo_enclave_start start;
    clo_collab_agreement *agreement;
    clo_collab_run_request request;
    const clo_collab_run_terms *terms;
    const clo_collab_program *program;
    clo_collab_manifest manifests[CLO_DATASETS_MAX];
    const clo_enclave_engine *engine;
    clo_enclave_task task;
    uint64_t row_count;
    int64_t witnessed_at; /* time of the agreement's proof: no earlier than this */

    clo_enclave_program child;

    /* Keys and what is bound to them. */
    clo_os_secret page;
    clo_enclave_secrets *secrets;
    clo_crypto_public_key sign_public;
    uint8_t leaf_spki[32];
    clo_buf configuration;
    clo_collab_binding binding;   /* of the latest evidence */
    clo_buf evidence;             /* latest */
    uint8_t evidence_digest[32];  /* of the release's evidence: named in token and statement */
    uint64_t next_attest_ns;

    size_t kms_count;
    clo_enclave_kms kms[CLO_PARTIES_MAX]; /* in clo_collab_run_owners order */
    char failed_owner[64];                /* whose key service refused */
    char failed_reference[96];            /* its name for the refusal */

    clo_buf output; /* the sealed file */
    uint8_t output_digest[32];
    char guards[256];
} clo_enclave;

/* intake.c: verify everything in START against itself, before anything is believed. */
CLO_R clo_enclave_intake(clo_enclave *e);

/* runtime_keys.c: HPKE, signing and TLS keys; the configuration map and its digest. */
CLO_R clo_enclave_keys_make(clo_enclave *e);
CLO_R clo_enclave_configuration_make(clo_enclave *e);

/* kms_channel.c: one request to a key service over TLS through the tunnel. `body` NULL-span with content_type NULL = GET. A response of
 * status >= 400 becomes the service's denial, verbatim. Reconnects and repeats, `attempts` times in all, where the connection fails. Before each attempt `prepare`
 * (may be NULL) builds the body for the session as it then is. */
typedef clo_err (*clo_enclave_kms_prepare)(clo_enclave *e, clo_enclave_kms *k, void *context, clo_buf *body);
CLO_R clo_enclave_kms_call(clo_enclave *e, clo_enclave_kms *k, unsigned attempts, const char *method, const char *path,
                           clo_enclave_kms_prepare prepare, void *context, clo_buf *reply);
/** Whether the connection failed, so that another attempt may succeed. */
bool clo_enclave_kms_unreached(clo_err err);
void clo_enclave_kms_close(clo_enclave *e, clo_enclave_kms *k);

/* release.c: nonces, evidence, phase one, renewal. */
CLO_R clo_enclave_release(clo_enclave *e);
/** Re-attest where it is due, and fail (EXPIRED) where a lease has ended. */
CLO_R clo_enclave_lease_keep(clo_enclave *e);

/* rows.c: sealed chunks in, rows in the shared region out; DEKs are wiped. */
CLO_R clo_enclave_rows_read(clo_enclave *e);

/* output.c: guards, sealing, phase two, statement. */
CLO_R clo_enclave_output_release(clo_enclave *e, clo_span result);

/* A failure kept aside while cleaning up overwrites the thread's record. */
typedef struct {
    clo_err err;
    bool have_denial;
    clo_denial denial;
    char text[CLO_ENCLAVE_TEXT_MAX];
} clo_enclave_failure;
void clo_enclave_failure_keep(clo_enclave_failure *f, clo_err err);
/** Put it back as the thread's last failure. */
clo_err clo_enclave_failure_again(const clo_enclave_failure *f);

/** Tell the host where the run stands; this is also where a cancellation arrives. */
CLO_R clo_enclave_report(clo_enclave *e, clo_enclave_phase phase, const char *text, uint64_t done, uint64_t total);
/** One request to the host; the reply to a FETCH that nobody took is dropped first. */
CLO_R clo_enclave_ask(clo_enclave *e, uint16_t number, clo_span body);
/** Ask for chunks and go on while the host looks for them; then their sealed bytes, in e->chunks. */
CLO_R clo_enclave_fetch_begin(clo_enclave *e, const clo_enclave_fetch *f);
CLO_R clo_enclave_fetch_end(clo_enclave *e);
static inline uint64_t clo_enclave_now(const clo_enclave *e) { return clo_os_clock_monotonic(e->clock); }
#endif
