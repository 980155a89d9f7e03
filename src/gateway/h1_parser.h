/* HTTP/1.1 request parser (RFC 9112), sans-I/O and strict: what two parsers could read differently is refused.
 *
 * Refused: bare CR or LF, obs-fold, blanks before the colon, control characters, Transfer-Encoding beside Content-Length, any
 * coding but "chunked", duplicate Host / Content-Length / Transfer-Encoding, missing Host on 1.1, signs or blanks in lengths,
 * chunk extensions over 256 bytes, trailers over 4 KiB, absolute targets with another authority than Host. */
#ifndef CLO_GATEWAY_H1_PARSER_H
#define CLO_GATEWAY_H1_PARSER_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#include "gateway/request.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_GATEWAY_H1_HEAD_MAX = 16 * 1024 };

typedef struct {
    clo_gateway_method method;
    clo_span method_text;
    clo_span path, query; /* of the target; query without '?' */
    unsigned minor;       /* HTTP/1.minor: 0 or 1 */
    clo_span host;
    clo_gateway_header headers[CLO_GATEWAY_HEADERS_MAX];
    size_t header_count;
    bool chunked;
    bool has_length;
    uint64_t length;
    bool keep_alive;      /* by version and Connection */
    bool expect_continue;
    bool upgrade_h2c;     /* never honoured */
} clo_gateway_h1_head;

/** Parse a head at the start of `in`. *used = bytes of the head including the empty line, 0 where more bytes are needed (then the
 *  head is not valid yet). Spans point into `in`. One empty line before the request line is skipped.
 *  Errors: MALFORMED (400), TOO_LARGE (431), TOO_MANY (431), UNSUPPORTED (501: coding), VERSION (505), RANGE (414: target over 8 KiB). */
CLO_R clo_gateway_h1_head_parse(clo_span in, clo_gateway_h1_head *out, size_t *used);

/* Decoder of a chunked body: feed it bytes, it says which of them are content. */
typedef struct {
    unsigned state;
    uint64_t left;      /* of the current chunk */
    uint64_t total;     /* content bytes so far */
    unsigned line_size; /* of the current size or trailer line */
    unsigned trailer_size;
    unsigned digits;
} clo_gateway_h1_chunks;
/** Look at in: *used bytes were consumed, *content is the (borrowed) part of them that is content (maybe empty), *done where the body
 *  has ended. Call again with the rest until used is 0 or done. Errors: MALFORMED, TOO_LARGE. */
CLO_R clo_gateway_h1_chunks_next(clo_gateway_h1_chunks *c, clo_span in, size_t *used, clo_span *content, bool *done);

#ifdef __cplusplus
}
#endif
#endif
