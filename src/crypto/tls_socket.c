/* Sessions on sockets. OpenSSL writes to them without MSG_NOSIGNAL, so a peer that hangs up would end the process by SIGPIPE: a
 * program that left that signal at its default gets it ignored here, once. The write then fails, and the session with it. */
#include "crypto/tls_int.h"
#include <pthread.h>
#include <signal.h>

static void ignore_broken_pipes(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN);
}

clo_err clo_crypto_tls_on_socket(clo_crypto_tls **out, clo_crypto_tls_context *context, int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CLO_AUTO(clo_crypto_tls_free) clo_crypto_tls *t = NULL;
    CLO_CHECK(pthread_once(&once, ignore_broken_pipes) == 0, CLO_E_BUG);
    CLO_TRY(clo_crypto_tls_session(&t, context));
    if (SSL_set_fd(t->ssl, fd) != 1) return clo_crypto_fail(CLO_E_NOMEM, "a TLS session could not take its socket");
    *out = CLO_TAKE(t);
    return CLO_OK;
}
