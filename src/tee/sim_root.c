/* The development root of the software TEE: made once per installation in the shape of AMD's hierarchy, and never signed with again. */
#include "base/clo_own.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "os/file.h"
#include "tee/tee_int.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

enum { PEM_MAX = 16 * 1024, DER_MAX = 16 * 1024, DAY = 86400, LIFE_DAYS = 3650 };
#define AMD_OID "1.3.6.1.4.1.3704.1"

/* Private keys stay in one allocation of full size, so that growth leaves no copy behind. */
static clo_err secret_buf_init(clo_buf *b)
{
    uint8_t *at = NULL;
    clo_buf_init(b, PEM_MAX);
    return clo_buf_reserve(b, PEM_MAX, &at);
}

static void secret_buf_free(clo_buf *b)
{
    if (b->p != NULL) clo_wipe(b->p, b->cap);
    clo_buf_free(b);
}

void clo_tee_sim_root_wipe(clo_tee_sim_root_files *r)
{
    clo_buf_free(&r->ark);
    clo_buf_free(&r->ask);
    clo_buf_free(&r->vcek);
    clo_buf_free(&r->crl);
    clo_crypto_private_key_wipe(&r->vcek_key);
    clo_key32_wipe(&r->sealing);
}

static void root_init(clo_tee_sim_root_files *r)
{
    memset(r, 0, sizeof *r);
    clo_buf_init(&r->ark, DER_MAX);
    clo_buf_init(&r->ask, DER_MAX);
    clo_buf_init(&r->vcek, DER_MAX);
    clo_buf_init(&r->crl, DER_MAX);
}

/* One RSA key made on its own thread: the two take most of the time of a first start. */
typedef struct {
    clo_buf *pem;
    clo_err err;
} key_job;

static void *key_run(void *argument)
{
    key_job *job = argument;
    job->err = clo_crypto_keypair_make(CLO_KEYPAIR_RSA4096, job->pem);
    return NULL;
}

static clo_err make_rsa_pair(clo_buf *one, clo_buf *two)
{
    key_job jobs[2] = {{.pem = one}, {.pem = two}};
    pthread_t other;
    bool apart = pthread_create(&other, NULL, key_run, &jobs[1]) == 0;
    (void)key_run(&jobs[0]);
    if (apart) {
        (void)pthread_join(other, NULL);
    } else {
        (void)key_run(&jobs[1]);
    }
    CLO_TRY(jobs[0].err);
    CLO_CHECKF(!clo_failed(jobs[1].err), jobs[1].err.code, "an RSA key of the development root could not be made");
    return CLO_OK;
}

static clo_err make_cert(const char *name, bool ca, int64_t now, const clo_crypto_extension *extensions, size_t extension_count, const clo_buf *key,
                         const clo_crypto_cert *issuer, const clo_buf *issuer_key, clo_buf *der)
{
    uint64_t serial = 0;
    CLO_TRY(clo_crypto_random(&serial, sizeof serial));
    clo_crypto_cert_request request = {
        .common_name = name,
        .not_before = now - DAY,
        .not_after = now + (int64_t)LIFE_DAYS * DAY,
        .is_ca = ca,
        .pss384 = true,
        .serial = serial >> 1 | 1,
        .extensions = extensions,
        .extension_count = extension_count,
    };
    return clo_crypto_cert_make(&request, clo_buf_span(key), issuer, clo_buf_span(issuer_key), der);
}

static clo_err make_vcek(clo_tee_sim_root_files *r, int64_t now, const clo_crypto_cert *ask, const clo_buf *ask_key, const clo_buf *vcek_key)
{
    static const uint8_t version[3] = {0x02, 1, 0}, product[11] = {0x16, 9, 'S', 'i', 'm', 'u', 'l', 'a', 't', 'e', 'd'},
                         boot_loader[3] = {0x02, 1, TEE_SIM_SVN_BOOT_LOADER}, tee[3] = {0x02, 1, TEE_SIM_SVN_TEE},
                         snp[3] = {0x02, 1, TEE_SIM_SVN_SNP}, microcode[3] = {0x02, 1, TEE_SIM_SVN_MICROCODE};
    CLO_TRY(clo_crypto_random(r->chip_id, sizeof r->chip_id));
    const clo_crypto_extension extensions[] = {
        {AMD_OID ".1", clo_span_of(version, sizeof version)},
        {AMD_OID ".2", clo_span_of(product, sizeof product)},
        {AMD_OID ".3.1", clo_span_of(boot_loader, sizeof boot_loader)},
        {AMD_OID ".3.2", clo_span_of(tee, sizeof tee)},
        {AMD_OID ".3.3", clo_span_of(snp, sizeof snp)},
        {AMD_OID ".3.8", clo_span_of(microcode, sizeof microcode)},
        {AMD_OID ".4", clo_span_of(r->chip_id, sizeof r->chip_id)},
    };
    return make_cert("SEV-VCEK", false, now, extensions, sizeof extensions / sizeof extensions[0], vcek_key, ask, ask_key, &r->vcek);
}

/* The whole hierarchy in memory. The two RSA keys are forgotten: nothing can ever be added under this root. */
static clo_err root_make(clo_tee_sim_root_files *r, int64_t now, clo_buf *vcek_pem)
{
    CLO_AUTO(secret_buf_free) clo_buf ark_key = {.p = NULL};
    CLO_AUTO(secret_buf_free) clo_buf ask_key = {.p = NULL};
    CLO_TRY(secret_buf_init(&ark_key));
    CLO_TRY(secret_buf_init(&ask_key));
    CLO_TRY(make_rsa_pair(&ark_key, &ask_key));
    CLO_TRY(clo_crypto_keypair_make(CLO_KEYPAIR_P384, vcek_pem));
    CLO_TRY(clo_crypto_random(r->sealing.b, sizeof r->sealing.b));
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *ark = NULL;
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *ask = NULL;
    CLO_TRY(make_cert("ARK-Simulated", true, now, NULL, 0, &ark_key, NULL, &ark_key, &r->ark));
    CLO_TRY(clo_crypto_cert_parse(&ark, clo_buf_span(&r->ark)));
    CLO_TRY(make_cert("SEV-Simulated", true, now, NULL, 0, &ask_key, ark, &ark_key, &r->ask));
    CLO_TRY(clo_crypto_cert_parse(&ask, clo_buf_span(&r->ask)));
    CLO_TRY(make_vcek(r, now, ask, &ask_key, vcek_pem));
    CLO_TRY(clo_crypto_crl_make(ark, clo_buf_span(&ark_key), now - DAY, now + (int64_t)LIFE_DAYS * DAY, NULL, 0, &r->crl));
    return clo_crypto_keypair_private(clo_buf_span(vcek_pem), &r->vcek_key);
}

static clo_err file_write(const char *directory, const char *name, clo_span bytes)
{
    char path[4096];
    CLO_TRY(clo_os_path_join(path, sizeof path, directory, name));
    return clo_os_file_write_atomic(path, bytes, 0600);
}

/* vcek.key comes last: where it is there, everything is. */
static clo_err root_save(const clo_tee_sim_root_files *r, const char *directory, const clo_buf *vcek_pem)
{
    CLO_TRY(file_write(directory, "ark.der", clo_buf_span(&r->ark)));
    CLO_TRY(file_write(directory, "ask.der", clo_buf_span(&r->ask)));
    CLO_TRY(file_write(directory, "vcek.der", clo_buf_span(&r->vcek)));
    CLO_TRY(file_write(directory, "crl.der", clo_buf_span(&r->crl)));
    CLO_TRY(file_write(directory, "sealing.key", clo_span_of(r->sealing.b, sizeof r->sealing.b)));
    return file_write(directory, "vcek.key", clo_buf_span(vcek_pem));
}

static clo_err file_read(const char *directory, const char *name, clo_buf *out)
{
    char path[4096];
    CLO_TRY(clo_os_path_join(path, sizeof path, directory, name));
    return clo_os_file_read(path, DER_MAX, out);
}

static clo_err secret_read(const char *directory, const char *name, void *to, size_t size, size_t *n)
{
    char path[4096];
    CLO_TRY(clo_os_path_join(path, sizeof path, directory, name));
    return clo_os_file_read_secret(path, to, size, n);
}

static clo_err root_load(clo_tee_sim_root_files *r, const char *directory)
{
    CLO_TRY(file_read(directory, "ark.der", &r->ark));
    CLO_TRY(file_read(directory, "ask.der", &r->ask));
    CLO_TRY(file_read(directory, "vcek.der", &r->vcek));
    CLO_TRY(file_read(directory, "crl.der", &r->crl));
    size_t n = 0;
    CLO_TRY(secret_read(directory, "sealing.key", r->sealing.b, sizeof r->sealing.b, &n));
    CLO_CHECKF(n == sizeof r->sealing.b, CLO_E_MALFORMED, "%s/sealing.key is damaged; remove the directory to make a new development root", directory);
    CLO_AUTO(secret_buf_free) clo_buf pem = {.p = NULL};
    CLO_TRY(secret_buf_init(&pem));
    CLO_TRY(secret_read(directory, "vcek.key", pem.p, PEM_MAX, &pem.len));
    CLO_TRY(clo_crypto_keypair_private(clo_buf_span(&pem), &r->vcek_key));
    CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *vcek = NULL;
    clo_span chip = {NULL, 0};
    clo_crypto_public_key in_cert, of_key;
    CLO_TRY(clo_crypto_cert_parse(&vcek, clo_buf_span(&r->vcek)));
    CLO_TRY(clo_crypto_cert_extension(vcek, AMD_OID ".4", &chip));
    CLO_TRY(clo_crypto_cert_public_key(vcek, &in_cert));
    CLO_TRY(clo_crypto_sign_public_of(&r->vcek_key, &of_key));
    CLO_CHECKF(chip.n == sizeof r->chip_id && clo_crypto_public_key_equal(&in_cert, &of_key), CLO_E_MALFORMED,
               "%s: vcek.der and vcek.key do not belong together; remove the directory to make a new development root", directory);
    memcpy(r->chip_id, chip.p, chip.n);
    return CLO_OK;
}

CLO_R clo_tee_sim_root_open(clo_tee_sim_root_files *out, const char *directory, int64_t now)
{
    char path[4096];
    CLO_TRY(clo_os_dir_make(directory));
    CLO_TRY(clo_os_path_join(path, sizeof path, directory, "lock"));
    CLO_AUTO(clo_os_fd_close) int lock = -1;
    clo_err e = CLO_OK;
    for (unsigned tries = 0; tries < 300; tries++) { /* another process may be making the root: about two seconds */
        e = clo_os_lock_take(path, &lock);
        if (e.code != CLO_E_CONFLICT) break;
        (void)usleep(100 * 1000);
    }
    CLO_TRY(e);
    CLO_TRY(clo_os_path_join(path, sizeof path, directory, "vcek.key"));
    clo_tee_sim_root_files r;
    root_init(&r);
    if (clo_os_file_exists(path)) {
        e = root_load(&r, directory);
    } else {
        CLO_AUTO(secret_buf_free) clo_buf pem = {.p = NULL};
        e = secret_buf_init(&pem);
        if (!clo_failed(e)) e = root_make(&r, now, &pem);
        if (!clo_failed(e)) e = root_save(&r, directory, &pem);
    }
    if (clo_failed(e)) {
        clo_tee_sim_root_wipe(&r);
        return e;
    }
    *out = r;
    clo_crypto_private_key_wipe(&r.vcek_key);
    clo_key32_wipe(&r.sealing);
    return CLO_OK;
}
