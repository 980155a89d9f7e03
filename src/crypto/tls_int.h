/* Shared by the files about TLS. */
#ifndef CLO_CRYPTO_TLS_INT_H
#define CLO_CRYPTO_TLS_INT_H
#include <openssl/bio.h>
#include <stdbool.h>

/* A BIO over a connected stream socket (borrowed); NULL where memory is short. */
BIO *clo_crypto_tls_socket_bio(int fd);
#endif
