/* A socket for OpenSSL that never raises SIGPIPE: its own writes without MSG_NOSIGNAL, which would end a process whose peer hung
 * up. */
#include "crypto/tls_int.h"
#include <errno.h>
#include <openssl/bio.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

static BIO_METHOD *method;

static int fd_of(BIO *bio) { return (int)(intptr_t)BIO_get_data(bio); }
static bool later(int error) { return error == EAGAIN || error == EINTR || error == ENOTCONN; }

static int socket_write(BIO *bio, const char *from, size_t size, size_t *written)
{
    ssize_t n = send(fd_of(bio), from, size, MSG_NOSIGNAL);
    BIO_clear_retry_flags(bio);
    *written = n > 0 ? (size_t)n : 0;
    if (n < 0 && later(errno)) BIO_set_retry_write(bio);
    return n > 0;
}

static int socket_read(BIO *bio, char *to, size_t size, size_t *got)
{
    ssize_t n = recv(fd_of(bio), to, size, 0);
    BIO_clear_retry_flags(bio);
    *got = n > 0 ? (size_t)n : 0;
    if (n < 0 && later(errno)) BIO_set_retry_read(bio);
    if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return n > 0;
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH;
}

static void method_make(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without signals");
    if (m != NULL && BIO_meth_set_write_ex(m, socket_write) == 1 && BIO_meth_set_read_ex(m, socket_read) == 1 &&
        BIO_meth_set_ctrl(m, socket_control) == 1)
        method = m;
}

BIO *clo_crypto_tls_socket_bio(int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    BIO *bio = pthread_once(&once, method_make) == 0 && method != NULL ? BIO_new(method) : NULL;
    if (bio == NULL) return NULL;
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    return bio;
}
