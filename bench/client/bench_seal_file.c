/* Sealing file to file, and reading at random places of the sealed file, against a plain copy with fsync and plain reads of the same bytes. The
 * two take turns and the best round of each counts. Usage: bench_seal_file DIR [MIB]; DIR is on the disk that is measured. One JSON line per
 * figure. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/chunks.h"
#include "crypto/hash.h"
#include "os/clock.h"
#include "os/file.h"

enum { PIECE = 1 << 20, ROUNDS = 4, CHUNK = CLO_STREAM_CHUNK_DEFAULT, TAG = 16, READS = 1000 };

typedef struct {
    int plain, sealed;
    uint64_t at, size;
    clo_crypto_stream *stream;
    clo_crypto_stream_info info;
} files;

static void must(clo_err e)
{
    if (!clo_failed(e)) return;
    (void)fprintf(stderr, "bench_seal_file: %s\n", clo_err_text());
    exit(1);
}

static double seconds_since(uint64_t began) { return (double)(clo_os_now_ns() - began) / 1e9; }
static double least(double a, double b) { return a < b ? a : b; }

static int make(const char *dir, const char *name)
{
    char path[512];
    int fd = -1;
    must(clo_os_path_join(path, sizeof path, dir, name));
    must(clo_os_file_remove(path));
    must(clo_os_file_open(&fd, path, CLO_OS_OPEN_CREATE, 0600));
    return fd;
}

static clo_err next_bytes(void *context, uint8_t *to, size_t n)
{
    files *f = context;
    CLO_TRY(clo_os_file_pread(f->plain, f->at, to, n));
    f->at += n;
    return CLO_OK;
}

static double seal(files *f, unsigned threads)
{
    clo_wire_hash root;
    must(clo_os_file_truncate(f->sealed, 0));
    uint64_t began = clo_os_now_ns();
    f->at = 0;
    clo_client_chunks o = {.fd = f->sealed, .stream = f->stream, .info = f->info, .source = next_bytes, .context = f, .threads = threads};
    must(clo_client_chunks_write(&o, &root));
    must(clo_os_file_sync(f->sealed));
    return seconds_since(began);
}

static double copy(files *f, int to, uint8_t *piece)
{
    must(clo_os_file_truncate(to, 0));
    uint64_t began = clo_os_now_ns();
    for (uint64_t at = 0; at < f->size; at += PIECE) {
        must(clo_os_file_pread(f->plain, at, piece, PIECE));
        must(clo_os_file_pwrite(to, at, clo_span_of(piece, PIECE)));
    }
    must(clo_os_file_sync(to));
    return seconds_since(began);
}

/* Both from the disk: what the page cache holds is dropped first, and the kernel does not read ahead. */
static double read_random(const files *f, bool sealed, uint8_t *in, uint8_t *out)
{
    int fd = sealed ? f->sealed : f->plain;
    uint64_t x = 7, chunks = f->size / CHUNK, stride = sealed ? CHUNK + TAG : CHUNK;
    size_t n = (size_t)stride;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    uint64_t began = clo_os_now_ns();
    for (int i = 0; i < READS; i++) {
        x = x * UINT64_C(6364136223846793005) + 1;
        uint64_t chunk = (x >> 33) % chunks;
        must(clo_os_file_pread(fd, chunk * stride, in, n));
        if (sealed) must(clo_crypto_stream_open_chunk(f->stream, chunk, clo_span_of(in, n), out));
    }
    double seconds = seconds_since(began);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
    return seconds;
}

static void report(const char *name, const char *unit, double amount, double ours, double peer)
{
    (void)printf("{\"name\":\"%s\",\"ours\":%.1f,\"peer\":%.1f,\"unit\":\"%s\",\"ratio\":%.3f}\n", name, amount / ours, amount / peer, unit, peer / ours);
}

static void fill(files *f, uint8_t *piece)
{
    for (uint64_t at = 0; at < f->size; at += PIECE) {
        must(clo_crypto_random(piece, PIECE));
        must(clo_os_file_pwrite(f->plain, at, clo_span_of(piece, PIECE)));
    }
    must(clo_os_file_sync(f->plain));
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: bench_seal_file DIR [MIB]\n");
        return 2;
    }
    uint8_t commitment[32], *piece = malloc(PIECE), *out = malloc(CHUNK);
    clo_key32 dek = {{9}};
    files f = {.plain = make(argv[1], "plain"), .sealed = make(argv[1], "sealed"),
               .size = (uint64_t)PIECE * (argc > 2 ? strtoul(argv[2], NULL, 10) : 512)};
    int to = make(argv[1], "copied");
    if (piece == NULL || out == NULL) return 1;
    f.info = (clo_crypto_stream_info){.type = "dataset", .chunk_size = CHUNK, .plain_size = f.size};
    must(clo_crypto_stream_new(&f.stream, &dek, &f.info, commitment));
    fill(&f, piece);
    double ours = 1e9, one = 1e9, peer = 1e9, ours_read = 1e9, peer_read = 1e9, megabytes = (double)f.size / 1e6;
    for (int i = 0; i < ROUNDS; i++) {
        peer = least(peer, copy(&f, to, piece));
        ours = least(ours, seal(&f, 2));
        if (i % 2 == 0) one = least(one, seal(&f, 1));
    }
    for (int i = 0; i < ROUNDS; i++) {
        peer_read = least(peer_read, read_random(&f, false, piece, out));
        ours_read = least(ours_read, read_random(&f, true, piece, out));
    }
    report("seal-file", "MB/s", megabytes, ours, peer);
    report("seal-file-1", "MB/s", megabytes, one, peer);
    report("read-random", "reads/s", READS, ours_read, peer_read);
    clo_crypto_stream_free(&f.stream);
    clo_os_fd_close(&f.plain);
    clo_os_fd_close(&f.sealed);
    clo_os_fd_close(&to);
    free(piece);
    free(out);
    return 0;
}
