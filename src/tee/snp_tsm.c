/* configfs-tsm (Linux >= 6.7, Documentation/ABI/testing/configfs-tsm): one directory per request. */
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "tee/snp_guest_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { PATH_BYTES = 512, SMALL_FILE = 64 };

typedef struct {
    const clo_tee_snp_host *host;
    char path[PATH_BYTES];
} tsm_entry;

static void entry_remove(tsm_entry *e)
{
    if (e->path[0] != '\0') (void)e->host->remove_directory(e->path);
}

static clo_err entry_open(const tsm_entry *e, const char *name, int flags, int *fd)
{
    char path[PATH_BYTES + SMALL_FILE];
    (void)snprintf(path, sizeof path, "%s/%s", e->path, name);
    *fd = e->host->open_file(path, flags | O_CLOEXEC);
    CLO_CHECKF(*fd >= 0, errno == EWOULDBLOCK || errno == EBUSY ? (uint32_t)CLO_E_AGAIN : (uint32_t)CLO_E_IO, "cannot open %s", path);
    return CLO_OK;
}

static clo_err entry_read(const tsm_entry *e, const char *name, clo_buf *out)
{
    CLO_AUTO(clo_tee_fd_close) int fd = -1;
    CLO_TRY(entry_open(e, name, O_RDONLY, &fd));
    for (;;) {
        uint8_t *at = NULL;
        size_t room = out->max - out->len < 4096 ? out->max - out->len : 4096;
        CLO_CHECKF(room > 0, CLO_E_TOO_LARGE, "%s of the TEE's report directory is larger than %zu bytes", name, out->max - 1);
        CLO_TRY(clo_buf_reserve(out, room, &at));
        ssize_t n = read(fd, at, room);
        if (n < 0 && errno == EINTR) continue;
        CLO_CHECKF(n >= 0, errno == EWOULDBLOCK || errno == EBUSY ? (uint32_t)CLO_E_AGAIN : (uint32_t)CLO_E_IO,
                   "cannot read %s of the TEE's report directory", name);
        if (n == 0) return CLO_OK;
        out->len += (size_t)n;
    }
}

static clo_err entry_number(const tsm_entry *e, const char *name, uint64_t *out)
{
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, SMALL_FILE);
    CLO_TRY(entry_read(e, name, &text));
    while (text.len > 0 && text.p[text.len - 1] == '\n') text.len--;
    return clo_u64_parse(out, clo_buf_span(&text));
}

static clo_err entry_write(const tsm_entry *e, const char *name, const uint8_t *bytes, size_t n)
{
    CLO_AUTO(clo_tee_fd_close) int fd = -1;
    CLO_TRY(entry_open(e, name, O_WRONLY, &fd));
    ssize_t put = write(fd, bytes, n);
    CLO_CHECKF(put >= 0 && (size_t)put == n, put < 0 && (errno == EWOULDBLOCK || errno == EBUSY) ? (uint32_t)CLO_E_AGAIN : (uint32_t)CLO_E_IO,
               "cannot write %s of the TEE's report directory", name);
    return CLO_OK;
}

static clo_err entry_is_snp(const tsm_entry *e)
{
    CLO_AUTO(clo_buf_free) clo_buf provider;
    clo_buf_init(&provider, SMALL_FILE);
    CLO_TRY(entry_read(e, "provider", &provider));
    while (provider.len > 0 && provider.p[provider.len - 1] == '\n') provider.len--;
    CLO_CHECKF(clo_span_equal(clo_buf_span(&provider), clo_span_str("sev_guest")), CLO_E_UNREACHABLE, "the machine's TEE is not SEV-SNP");
    return CLO_OK;
}

/* One try. The generation counts writes to the entry: ours is one more than before, and it must still be so at the end. */
static clo_err tsm_try(const clo_tee_snp_host *host, const uint8_t report_data[64], clo_tee_snp_raw *out)
{
    CLO_AUTO(entry_remove) tsm_entry e = {.host = host, .path = ""};
    uint8_t random[8];
    char name[17], path[PATH_BYTES];
    CLO_TRY(clo_crypto_random(random, sizeof random));
    clo_hex_encode(name, clo_span_of(random, sizeof random));
    int length = snprintf(path, sizeof path, "%s/cloister-%s", host->tsm_directory, name);
    CLO_CHECK(length > 0 && (size_t)length < sizeof path, CLO_E_TOO_LARGE);
    CLO_CHECKF(host->make_directory(path, 0700) == 0, CLO_E_UNREACHABLE, "%s cannot be used (is this an SEV-SNP guest with configfs-tsm?)",
               host->tsm_directory);
    memcpy(e.path, path, sizeof path);
    CLO_TRY(entry_is_snp(&e));
    CLO_TRY(entry_write(&e, "inblob", report_data, TEE_REPORT_DATA));
    uint64_t before = 0, after = 0;
    CLO_TRY(entry_number(&e, "generation", &before));
    CLO_AUTO(clo_buf_free) clo_buf report;
    clo_buf_init(&report, 2 * TEE_REPORT_SIZE);
    clo_buf_clear(&out->table);
    CLO_TRY(entry_read(&e, "outblob", &report));
    clo_err aux = entry_read(&e, "auxblob", &out->table);
    if (clo_failed(aux)) {
        /* Older hosts have no table: the bundle then goes without certificates. */
        if (aux.code != CLO_E_IO) return aux;
        clo_buf_clear(&out->table);
    }
    CLO_TRY(entry_number(&e, "generation", &after));
    CLO_CHECKF(before == after, CLO_E_AGAIN, "another writer changed the TEE's report request");
    CLO_CHECKF(report.len == TEE_REPORT_SIZE, CLO_E_MALFORMED, "the TEE's report has %zu bytes, not %d", report.len, (int)TEE_REPORT_SIZE);
    memcpy(out->report, report.p, TEE_REPORT_SIZE);
    return CLO_OK;
}

CLO_R clo_tee_snp_by_tsm(const clo_tee_snp_host *host, const uint8_t report_data[64], clo_tee_snp_raw *out)
{
    clo_err e = CLO_OK;
    for (unsigned i = 0; i < SNP_TRIES; i++) {
        if (i > 0) host->pause_ms(10u << i);
        e = tsm_try(host, report_data, out);
        if (e.code != CLO_E_AGAIN) return e;
    }
    return e;
}
