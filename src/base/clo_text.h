/* Text forms of bytes, numbers and times: strict, total, without locale. */
#ifndef CLO_TEXT_H
#define CLO_TEXT_H
#include "clo_buf.h"
#include "clo_err.h"
#include "clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Lower-case hex of n bytes into to (2n+1 bytes with the end). */
void clo_hex_encode(char *to, clo_span from);
CLO_R clo_buf_put_hex(clo_buf *b, clo_span from);
/** Exactly n bytes from exactly 2n hex digits of either case. On error `to` is unchanged. Errors: MALFORMED. */
CLO_R clo_hex_decode(void *to, size_t n, clo_span text);
/** base64 (RFC 4648 §4, padded) and base64url (§5, unpadded). Decoding refuses whitespace, wrong padding and non-zero
 *  left-over bits. */
CLO_R clo_base64_encode(clo_buf *to, clo_span from);
CLO_R clo_base64_decode(clo_buf *to, clo_span text);
CLO_R clo_base64url_encode(clo_buf *to, clo_span from);
CLO_R clo_base64url_decode(clo_buf *to, clo_span text);
/** Decimal digits only, no sign, no leading zero but "0" itself. Errors: MALFORMED, OVERFLOW. */
CLO_R clo_u64_parse(uint64_t *out, clo_span text);
CLO_R clo_i64_parse(int64_t *out, clo_span text);
/** A finite decimal number (JSON grammar plus leading '+' refused, no hex, inf, nan). Errors: MALFORMED, RANGE. */
CLO_R clo_f64_parse(double *out, clo_span text);
/** RFC 3339 UTC ("2026-01-31T12:00:00Z", fraction ignored) to seconds since 1970. Errors: MALFORMED, RANGE. */
CLO_R clo_time_parse(int64_t *seconds, clo_span text);
/** Seconds since 1970 as "YYYY-MM-DDThh:mm:ssZ" (21 bytes with the end); years 0000..9999, else all '?'. */
void clo_time_format(char to[21], int64_t seconds);
/** Valid UTF-8 (no overlong forms, surrogates, or beyond U+10FFFF)? */
bool clo_utf8_valid(clo_span text);
/** Bytes of the character that `text` begins with where nobody sees it but a terminal obeys it: a control character (C0, DEL, C1) or a mark
 *  that reorders text (CVE-2021-42574); else 0. */
size_t clo_utf8_hidden(clo_span text);
/** Copy into a fixed array with its end. Errors: TOO_LARGE, MALFORMED (zero byte inside). On error `to` is unchanged. */
CLO_R clo_str_set(char *to, size_t to_size, clo_span from);
/** Name of a party, dataset, run…: 1..63 of [a-z0-9._-], starting with a letter or digit. */
bool clo_name_valid(const char *name);

#ifdef __cplusplus
}
#endif
#endif
