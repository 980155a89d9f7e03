/* Errors: a class that tells the caller what to do, a number that names what happened, and a sentence for the user.
 *
 * A function that can fail returns clo_err. The sentence (and, for a refusal, the denial: claim, expected, actual,
 * source, remedy) travels beside it in a thread-local record that the next failure overwrites. */
#ifndef CLO_ERR_H
#define CLO_ERR_H
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define CLO_MUST __attribute__((warn_unused_result))

typedef enum {
    CLO_CLASS_OK,
    CLO_CLASS_INPUT,  /* the caller sent something malformed: exit 2, HTTP 400 */
    CLO_CLASS_DENIED, /* a rule said no: exit 1, HTTP 403 */
    CLO_CLASS_LIMIT,  /* a stated maximum was reached: exit 4, HTTP 413/429 */
    CLO_CLASS_AGAIN,  /* not now; the same call may succeed later: exit 3, HTTP 503 */
    CLO_CLASS_ENV,    /* the machine failed us (disk, memory, network): exit 3, HTTP 500 */
    CLO_CLASS_BUG,    /* we failed: alarm */
} clo_class;

typedef struct {
    uint32_t code; /* class << 24 | number; 0 is success */
} clo_err;

#define CLO_R CLO_MUST clo_err
#define CLO_OK ((clo_err){0u})
#define CLO_CODE(cls, num) (((uint32_t)(cls) << 24) | (uint32_t)(num))

/* Every code of the project; docs/errors.md explains each, which a test proves. */
enum {
    CLO_E_TRUNCATED = CLO_CODE(CLO_CLASS_INPUT, 1),
    CLO_E_TRAILING = CLO_CODE(CLO_CLASS_INPUT, 2),
    CLO_E_OVERFLOW = CLO_CODE(CLO_CLASS_INPUT, 3),
    CLO_E_MALFORMED = CLO_CODE(CLO_CLASS_INPUT, 4),
    CLO_E_NOT_CANONICAL = CLO_CODE(CLO_CLASS_INPUT, 5),
    CLO_E_DUPLICATE = CLO_CODE(CLO_CLASS_INPUT, 6),
    CLO_E_UNKNOWN_FIELD = CLO_CODE(CLO_CLASS_INPUT, 7),
    CLO_E_MISSING_FIELD = CLO_CODE(CLO_CLASS_INPUT, 8),
    CLO_E_RANGE = CLO_CODE(CLO_CLASS_INPUT, 9),
    CLO_E_UNSUPPORTED = CLO_CODE(CLO_CLASS_INPUT, 10),
    CLO_E_USAGE = CLO_CODE(CLO_CLASS_INPUT, 11),
    CLO_E_VERSION = CLO_CODE(CLO_CLASS_INPUT, 12),
    CLO_E_DENIED = CLO_CODE(CLO_CLASS_DENIED, 20),
    CLO_E_BAD_SIGNATURE = CLO_CODE(CLO_CLASS_DENIED, 21),
    CLO_E_AUTHENTICATION = CLO_CODE(CLO_CLASS_DENIED, 22), /* AEAD tag, key commitment */
    CLO_E_EXPIRED = CLO_CODE(CLO_CLASS_DENIED, 23),
    CLO_E_BUDGET = CLO_CODE(CLO_CLASS_DENIED, 24),
    CLO_E_REPLAYED = CLO_CODE(CLO_CLASS_DENIED, 25),
    CLO_E_NOT_FOUND = CLO_CODE(CLO_CLASS_DENIED, 26),
    CLO_E_EXISTS = CLO_CODE(CLO_CLASS_DENIED, 27),
    CLO_E_CONFLICT = CLO_CODE(CLO_CLASS_DENIED, 28),
    CLO_E_UNAUTHENTICATED = CLO_CODE(CLO_CLASS_DENIED, 29),
    CLO_E_CANCELLED = CLO_CODE(CLO_CLASS_DENIED, 30),
    CLO_E_TOO_LARGE = CLO_CODE(CLO_CLASS_LIMIT, 40),
    CLO_E_TOO_MANY = CLO_CODE(CLO_CLASS_LIMIT, 41),
    CLO_E_AGAIN = CLO_CODE(CLO_CLASS_AGAIN, 50),
    CLO_E_TIMEOUT = CLO_CODE(CLO_CLASS_AGAIN, 51),
    CLO_E_NOMEM = CLO_CODE(CLO_CLASS_ENV, 60),
    CLO_E_IO = CLO_CODE(CLO_CLASS_ENV, 61),
    CLO_E_CLOSED = CLO_CODE(CLO_CLASS_ENV, 62),
    CLO_E_UNREACHABLE = CLO_CODE(CLO_CLASS_ENV, 63),
    CLO_E_RNG = CLO_CODE(CLO_CLASS_ENV, 64),
    CLO_E_DATABASE = CLO_CODE(CLO_CLASS_ENV, 65),
    CLO_E_BUG = CLO_CODE(CLO_CLASS_BUG, 70),
};

/* Why something was refused, in the five words that every denial of the product carries. */
typedef struct {
    char claim[64];     /* dotted name of what was looked at, e.g. "evidence.measurement" */
    char expected[200]; /* what the rule asks for */
    char actual[200];   /* what was found; never secret data */
    char source[120];   /* who set the rule: "agreement 3f9a… runtimes[0]" */
    char remedy[240];   /* what the reader can do about it */
} clo_denial;

CLO_MUST static inline bool clo_failed(clo_err e) { return e.code != 0u; }
static inline clo_class clo_err_class(clo_err e) { return (clo_class)(e.code >> 24); }

/** The stable name of a code, e.g. "truncated"; "unknown" for a number that is none of ours. */
const char *clo_err_name(clo_err e);

/** The code of a stable name (a problem document from elsewhere); 0 where it is none of ours. */
uint32_t clo_err_code_named(const char *name);

/** The thread's last sentence; never NULL, empty where none was noted. Borrowed until the thread's next failure. */
const char *clo_err_text(void);

/** The thread's last denial, or NULL where the last failure was none. Borrowed until the thread's next failure. */
const clo_denial *clo_err_denial(void);

/** Put `prefix` and ": " before the thread's last sentence (for places: file, field, line); returns e. */
clo_err clo_err_prefix(clo_err e, const char *prefix);

/** Note a failure without a sentence of its own (the code's standard sentence is used). */
clo_err clo_fail_at(uint32_t code, const char *file, int line);
/** Note a failure with a sentence: what is wrong and what to do. Never row data, keys or tokens. */
clo_err clo_failf_at(uint32_t code, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/** Note a refusal. The strings are copied and cut to size; any may be NULL (empty). */
clo_err clo_deny_at(uint32_t code, const char *file, int line, const char *claim, const char *expected, const char *actual,
                    const char *source, const char *remedy);
/** Set the thread's record from a denial that came from elsewhere (wire, child process); returns the error. */
clo_err clo_deny_again(uint32_t code, const clo_denial *d);
/** Set the thread's sentence verbatim for an error that came from elsewhere; returns the error. */
clo_err clo_err_again(uint32_t code, const char *text);

#define CLO_FAIL(code) clo_fail_at((code), __FILE__, __LINE__)
#define CLO_FAILF(code, ...) clo_failf_at((code), __FILE__, __LINE__, __VA_ARGS__)
#define CLO_DENY(code, claim, expected, actual, source, remedy) \
    clo_deny_at((code), __FILE__, __LINE__, (claim), (expected), (actual), (source), (remedy))
#define CLO_TRY(expr)                              \
    do {                                           \
        clo_err clo_e_ = (expr);                   \
        if (clo_failed(clo_e_)) return clo_e_;     \
    } while (0)
#define CLO_CHECK(cond, code)                      \
    do {                                           \
        if (!(cond)) return CLO_FAIL(code);        \
    } while (0)
#define CLO_CHECKF(cond, code, ...)                \
    do {                                           \
        if (!(cond)) return CLO_FAILF(code, __VA_ARGS__); \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
