/* The chunked body decoder. */
#include "gateway/h1_parser.h"

enum { SIZE_DIGITS_MAX = 12, LINE_MAX_BYTES = 256, TRAILER_MAX = 4096 };

typedef enum {
    CHUNK_SIZE,       /* hexadecimal digits */
    CHUNK_EXTENSION,  /* after ';' */
    CHUNK_SIZE_LF,    /* CR of the size line seen */
    CHUNK_DATA,
    CHUNK_DATA_CR,    /* content finished */
    CHUNK_DATA_LF,
    TRAILER_START,    /* at the start of a trailer line */
    TRAILER_LINE,
    TRAILER_LF,       /* CR of a trailer line seen */
    END_LF,           /* CR of the empty line seen */
    FINISHED,
} chunk_state;

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static clo_err size_byte(clo_gateway_h1_chunks *c, uint8_t b)
{
    int v = hex_value(b);
    if (v >= 0) {
        CLO_CHECKF(++c->digits <= SIZE_DIGITS_MAX, CLO_E_MALFORMED, "a chunk size has more than %d digits", SIZE_DIGITS_MAX);
        c->left = c->left << 4 | (uint64_t)v;
        return CLO_OK;
    }
    CLO_CHECKF(c->digits != 0 && (b == ';' || b == '\r'), CLO_E_MALFORMED, "a chunk size is not hexadecimal or not followed by CR LF");
    c->state = b == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
    c->line_size = 0;
    return CLO_OK;
}

static bool is_text(uint8_t b) { return b == '\t' || (b >= 0x20 && b != 0x7f); }

static clo_err trailer_byte(clo_gateway_h1_chunks *c, uint8_t b)
{
    CLO_CHECKF(++c->trailer_size <= TRAILER_MAX, CLO_E_TOO_LARGE, "the trailers are longer than %d bytes", TRAILER_MAX);
    if (b == '\r') {
        c->state = c->state == TRAILER_START ? END_LF : TRAILER_LF;
        return CLO_OK;
    }
    CLO_CHECKF(is_text(b) && !(c->state == TRAILER_START && (b == ' ' || b == '\t')), CLO_E_MALFORMED,
               "a trailer has a control character or is folded");
    c->state = TRAILER_LINE;
    return CLO_OK;
}

static clo_err line_end(clo_gateway_h1_chunks *c, uint8_t b, unsigned next)
{
    CLO_CHECKF(b == '\n', CLO_E_MALFORMED, "a line of the chunked body does not end with CR LF");
    c->state = next;
    return CLO_OK;
}

/* One byte of framing (every state but CHUNK_DATA). */
static clo_err framing_byte(clo_gateway_h1_chunks *c, uint8_t b)
{
    switch ((chunk_state)c->state) {
    case CHUNK_SIZE: return size_byte(c, b);
    case CHUNK_EXTENSION:
        CLO_CHECKF(++c->line_size <= LINE_MAX_BYTES, CLO_E_TOO_LARGE, "a chunk extension is longer than %d bytes", LINE_MAX_BYTES);
        if (b == '\r') c->state = CHUNK_SIZE_LF;
        else CLO_CHECKF(is_text(b), CLO_E_MALFORMED, "a chunk extension has a control character");
        return CLO_OK;
    case CHUNK_SIZE_LF: return line_end(c, b, c->left == 0 ? TRAILER_START : CHUNK_DATA);
    case CHUNK_DATA_CR:
        CLO_CHECKF(b == '\r', CLO_E_MALFORMED, "a chunk is longer than its size says");
        c->state = CHUNK_DATA_LF;
        return CLO_OK;
    case CHUNK_DATA_LF:
        c->digits = 0;
        return line_end(c, b, CHUNK_SIZE);
    case TRAILER_START:
    case TRAILER_LINE: return trailer_byte(c, b);
    case TRAILER_LF: return line_end(c, b, TRAILER_START);
    case END_LF: return line_end(c, b, FINISHED);
    case CHUNK_DATA:
    case FINISHED: break;
    }
    return CLO_FAIL(CLO_E_BUG);
}

clo_err clo_gateway_h1_chunks_next(clo_gateway_h1_chunks *c, clo_span in, size_t *used, clo_span *content, bool *done)
{
    size_t at = 0;
    *used = 0;
    *content = clo_span_of(NULL, 0);
    *done = c->state == FINISHED;
    while (at < in.n && c->state != FINISHED) {
        if (c->state == CHUNK_DATA) {
            size_t n = in.n - at < c->left ? in.n - at : (size_t)c->left;
            *content = clo_span_of(in.p + at, n);
            c->left -= n;
            CLO_CHECKF(!__builtin_add_overflow(c->total, n, &c->total), CLO_E_TOO_LARGE, "the body is absurdly long");
            if (c->left == 0) c->state = CHUNK_DATA_CR;
            at += n;
            break; /* one piece of content per call */
        }
        CLO_TRY(framing_byte(c, in.p[at]));
        at++;
    }
    *used = at;
    *done = c->state == FINISHED;
    return CLO_OK;
}
