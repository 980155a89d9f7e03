#include "tee/tee_measure.h"

#include "base/clo_own.h"
#include "crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 64 * 1024 };
#define FILE_MAX ((off_t)1 << 30)

static void close_fd(int *fd)
{
    if (*fd >= 0) (void)close(*fd);
}

static void block_free(uint8_t **p) { free(*p); }

/* The launch event around the file's digest: another domain can never give the same measurement. */
static clo_err launch_digest(const uint8_t file_digest[48], uint8_t out[48])
{
    static const char domain[] = "cloister/v1 sim launch"; /* its end byte is the separator */
    uint8_t message[sizeof domain + 48];
    memcpy(message, domain, sizeof domain);
    memcpy(message + sizeof domain, file_digest, 48);
    return clo_crypto_hash(CLO_HASH_SHA384, clo_span_of(message, sizeof message), out);
}

CLO_R clo_tee_sim_measure_bytes(clo_span file, uint8_t out[48])
{
    uint8_t digest[48];
    CLO_TRY(clo_crypto_hash(CLO_HASH_SHA384, file, digest));
    return launch_digest(digest, out);
}

CLO_R clo_tee_sim_measure_fd(int fd, uint8_t out[48])
{
    struct stat st;
    CLO_CHECKF(fstat(fd, &st) == 0 && S_ISREG(st.st_mode), CLO_E_IO, "only a regular file can be measured");
    CLO_CHECKF(st.st_size <= FILE_MAX, CLO_E_TOO_LARGE, "a program of more than 1 GiB is not measured");
    CLO_AUTO(clo_crypto_hasher_free) clo_crypto_hasher *h = NULL;
    CLO_AUTO(block_free) uint8_t *block = malloc(BLOCK);
    CLO_CHECK(block != NULL, CLO_E_NOMEM);
    CLO_TRY(clo_crypto_hasher_new(&h, CLO_HASH_SHA384));
    for (off_t at = 0; at < st.st_size;) {
        ssize_t n = pread(fd, block, BLOCK, at);
        if (n < 0 && errno == EINTR) continue;
        CLO_CHECKF(n > 0, CLO_E_IO, "the program changed or could not be read while it was measured");
        CLO_TRY(clo_crypto_hasher_put(h, clo_span_of(block, (size_t)n)));
        at += n;
    }
    uint8_t digest[48];
    CLO_TRY(clo_crypto_hasher_end(h, digest));
    return launch_digest(digest, out);
}

CLO_R clo_tee_measure_sim(const char *path, uint8_t out[48])
{
    CLO_AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    CLO_CHECKF(fd >= 0, errno == ENOENT ? (uint32_t)CLO_E_NOT_FOUND : (uint32_t)CLO_E_IO, "cannot open %s to measure it", path);
    return clo_tee_sim_measure_fd(fd, out);
}
