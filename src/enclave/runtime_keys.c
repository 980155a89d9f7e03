/* The runtime's keys, made inside after the program child was forked, and the configuration that the evidence covers. */
#include <stdio.h>

#include "base/clo_own.h"
#include "crypto/hpke.h"
#include "crypto/x509.h"
#include "enclave/enclave_int.h"
#include "os/net.h"

enum { PEM_MAX = 8192 };
/* The leaf is trusted by its key alone, so its window says nothing: 2020 to 2100. */
#define LEAF_NOT_BEFORE INT64_C(1577836800)
#define LEAF_NOT_AFTER INT64_C(4102444800)

static void pem_wipe(clo_buf *b)
{
    if (b->p != NULL) clo_wipe(b->p, b->cap);
    clo_buf_free(b);
}

static clo_err kms_init(clo_enclave *e, clo_enclave_kms *k, const clo_collab_member *member, clo_span leaf_pem, clo_span private_pem)
{
    clo_os_net_url url;
    k->member = member;
    clo_buf_init(&k->commit, CLO_ENCLAVE_COMMIT_MAX);
    CLO_TRY(clo_os_net_url_parse(&url, member->kms_url));
    (void)snprintf(k->host, sizeof k->host, strchr(url.host, ':') != NULL ? "[%s]:%u" : "%s:%u", url.host, (unsigned)url.port);
    clo_crypto_tls_options options = {.certificate_pem = leaf_pem, .private_pem = private_pem, .pinned_spki = member->kms_spki};
    (void)e;
    return clo_crypto_tls_context_new(&k->context, &options);
}

/* Our TLS leaf: self-signed P-256, a context per key service, then the key exists only inside OpenSSL. */
static clo_err leaf_make(clo_enclave *e)
{
    CLO_AUTO(pem_wipe) clo_buf key = {0};
    CLO_AUTO(clo_buf_free) clo_buf der = {0}, pem = {0};
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
    uint8_t *at = NULL;
    clo_buf_init(&key, PEM_MAX);
    clo_buf_init(&der, PEM_MAX);
    clo_buf_init(&pem, PEM_MAX);
    CLO_TRY(clo_buf_reserve(&key, PEM_MAX, &at)); /* whole at once: growth would leave copies */
    CLO_TRY(clo_crypto_keypair_make(CLO_KEYPAIR_P256, &key));
    clo_crypto_cert_request request = {.common_name = "cloister-enclave", .not_before = LEAF_NOT_BEFORE, .not_after = LEAF_NOT_AFTER, .serial = 1};
    CLO_TRY(clo_crypto_cert_make(&request, clo_buf_span(&key), NULL, clo_buf_span(&key), &der));
    CLO_TRY(clo_crypto_cert_parse(&cert, clo_buf_span(&der)));
    CLO_TRY(clo_crypto_cert_spki_sha256(cert, e->leaf_spki));
    CLO_TRY(clo_crypto_cert_to_pem(cert, &pem));
    size_t owners[CLO_PARTIES_MAX];
    size_t count = clo_collab_run_owners(e->agreement, e->terms, owners);
    CLO_CHECKF(count >= 1 && count <= CLO_PARTIES_MAX, CLO_E_RANGE, "the run has no dataset owner");
    for (size_t i = 0; i < count; i++) {
        e->kms_count = i + 1;
        CLO_TRY(kms_init(e, &e->kms[i], &e->agreement->members[owners[i]], clo_buf_span(&pem), clo_buf_span(&key)));
    }
    return CLO_OK;
}

clo_err clo_enclave_keys_make(clo_enclave *e)
{
    CLO_TRY(clo_os_secret_new(&e->page, sizeof *e->secrets, false));
    e->secrets = e->page.p;
    clo_crypto_hpke_private hpke;
    clo_crypto_hpke_public hpke_public;
    CLO_TRY(clo_crypto_hpke_generate(CLO_HPKE_KEM_X25519, &hpke, &hpke_public));
    clo_key32_copy(&e->secrets->hpke, &hpke.secret);
    clo_crypto_hpke_private_wipe(&hpke);
    CLO_CHECK(hpke_public.n == 32, CLO_E_BUG);
    memcpy(e->binding.hpke, hpke_public.bytes, 32);
    CLO_TRY(clo_crypto_sign_generate(CLO_SIGN_ED25519, &e->secrets->sign, &e->sign_public));
    memcpy(e->binding.sign, e->sign_public.bytes, 32);
    CLO_TRY(leaf_make(e));
    memcpy(e->binding.leaf_spki, e->leaf_spki, 32);
    return CLO_OK;
}

/* The runtime knows its agreement, so it need not ask any key service to learn that its machine gives it too little. */
static clo_err configuration_judge(const clo_enclave *e, const clo_collab_configuration *c)
{
    clo_err err = CLO_FAILF(CLO_E_UNSUPPORTED, "the agreement names no runtime on %s", c->tee);
    for (size_t i = 0; i < e->agreement->runtime_count; i++) {
        if (strcmp(e->agreement->runtimes[i].tee, c->tee) != 0) continue;
        err = clo_collab_configuration_judge(c, e->agreement, e->terms, i);
        if (!clo_failed(err)) break;
    }
    return err;
}

clo_err clo_enclave_configuration_make(clo_enclave *e)
{
    clo_collab_configuration c = {.runtime = "cloister-enclave " CLO_VERSION,
                                  .landlock_abi = e->sandbox.landlock_abi,
                                  .reattest_seconds = e->agreement->reattest_seconds,
                                  .lease_seconds = e->agreement->lease_seconds,
                                  .compute_seconds_max = CLO_ENCLAVE_COMPUTE_SECONDS_MAX,
                                  .result_bytes_max = CLO_ENCLAVE_RESULT_MAX};
    (void)snprintf(c.tee, sizeof c.tee, "%s", e->provider->name);
    (void)snprintf(c.engine, sizeof c.engine, "%s", e->engine->name);
    for (unsigned i = 0; i < CLO_OS_LAYER_COUNT; i++) c.layers[i] = e->sandbox.active[i];
    c.layers[CLO_LAYER_SECRET_MEMORY] = e->page.kind == CLO_OS_SECRET_MEMFD || e->page.kind == CLO_OS_SECRET_LOCKED;
    c.layers[CLO_LAYER_LOCKED_ROWS] = e->child.rows.locked;
    CLO_TRY(configuration_judge(e, &c));
    clo_buf_init(&e->configuration, CLO_CONFIGURATION_MAX);
    CLO_TRY(clo_collab_configuration_encode(&c, &e->configuration));
    e->binding.configuration = clo_buf_span(&e->configuration);
    return CLO_OK;
}
