#include "clo_err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 512 };

/* What the thread failed at last. Thread-local, because a message must never be another thread's. */
static _Thread_local struct {
    char text[TEXT_MAX];
    clo_denial denial;
    bool denied;
} last;

static const struct {
    uint32_t code;
    const char *name;
    const char *sentence;
} codes[] = {
    {CLO_E_TRUNCATED, "truncated", "the input ends too early"},
    {CLO_E_TRAILING, "trailing", "the input has bytes behind its end"},
    {CLO_E_OVERFLOW, "overflow", "a number is too large to work with"},
    {CLO_E_MALFORMED, "malformed", "the input is malformed"},
    {CLO_E_NOT_CANONICAL, "not-canonical", "the encoding is not the canonical one"},
    {CLO_E_DUPLICATE, "duplicate", "a key or an entry appears twice"},
    {CLO_E_UNKNOWN_FIELD, "unknown-field", "a field is not known"},
    {CLO_E_MISSING_FIELD, "missing-field", "a required field is missing"},
    {CLO_E_RANGE, "range", "a value is outside its bounds"},
    {CLO_E_UNSUPPORTED, "unsupported", "this form or algorithm is not supported"},
    {CLO_E_USAGE, "usage", "the command line is not understood; see --help"},
    {CLO_E_VERSION, "version", "the format version is not known; use a newer program"},
    {CLO_E_DENIED, "denied", "the request was refused"},
    {CLO_E_BAD_SIGNATURE, "bad-signature", "a signature does not verify"},
    {CLO_E_AUTHENTICATION, "authentication", "the data was altered, or the key is not the one it was sealed with"},
    {CLO_E_EXPIRED, "expired", "the time for this has passed"},
    {CLO_E_BUDGET, "budget", "the privacy budget does not suffice"},
    {CLO_E_REPLAYED, "replayed", "this was used before"},
    {CLO_E_NOT_FOUND, "not-found", "there is no such thing"},
    {CLO_E_EXISTS, "exists", "it exists already"},
    {CLO_E_CONFLICT, "conflict", "it contradicts what is there"},
    {CLO_E_UNAUTHENTICATED, "unauthenticated", "the caller is not known; send a valid token"},
    {CLO_E_CANCELLED, "cancelled", "it was cancelled"},
    {CLO_E_TOO_LARGE, "too-large", "the input is larger than allowed"},
    {CLO_E_TOO_MANY, "too-many", "there are more items than allowed"},
    {CLO_E_AGAIN, "again", "not now; try again later"},
    {CLO_E_TIMEOUT, "timeout", "it took too long"},
    {CLO_E_NOMEM, "no-memory", "memory is exhausted"},
    {CLO_E_IO, "io", "reading or writing failed"},
    {CLO_E_CLOSED, "closed", "the other side closed the connection"},
    {CLO_E_UNREACHABLE, "unreachable", "the other side cannot be reached"},
    {CLO_E_RNG, "rng", "the random number generator failed"},
    {CLO_E_DATABASE, "database", "the database failed"},
    {CLO_E_BUG, "bug", "an internal error occurred"},
};

const char *clo_err_name(clo_err e)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == e.code) return codes[i].name;
    return "unknown";
}

uint32_t clo_err_code_named(const char *name)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(codes[i].name, name) == 0) return codes[i].code;
    return 0;
}

static const char *sentence_of(uint32_t code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code) return codes[i].sentence;
    return "an unknown error occurred";
}

const char *clo_err_text(void) { return last.text; }

const clo_denial *clo_err_denial(void) { return last.denied ? &last.denial : NULL; }

clo_err clo_err_prefix(clo_err e, const char *prefix)
{
    char joined[TEXT_MAX];
    (void)snprintf(joined, sizeof joined, "%.200s: %.300s", prefix, last.text);
    memcpy(last.text, joined, sizeof joined);
    return e;
}

clo_err clo_err_again(uint32_t code, const char *text)
{
    char copy[TEXT_MAX];
    (void)snprintf(copy, sizeof copy, "%s", text != NULL && text[0] != 0 ? text : sentence_of(code));
    memcpy(last.text, copy, sizeof copy);
    last.denied = false;
    return (clo_err){code};
}

clo_err clo_fail_at(uint32_t code, const char *file, int line)
{
    (void)file; /* places are for debuggers: break here */
    (void)line;
    return clo_err_again(code, sentence_of(code));
}

clo_err clo_failf_at(uint32_t code, const char *file, int line, const char *fmt, ...)
{
    (void)file;
    (void)line;
    char text[TEXT_MAX]; /* the arguments may point into last.text */
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return clo_err_again(code, text);
}

/* Copy with cut, replacing control characters, since denials are printed on terminals and in logs. */
static void copy_clean(char *to, size_t size, const char *from)
{
    size_t n = 0;
    for (; from != NULL && from[n] != 0 && n + 1 < size; n++) to[n] = (unsigned char)from[n] < 0x20 ? ' ' : from[n];
    to[n] = 0;
}

clo_err clo_deny_at(uint32_t code, const char *file, int line, const char *claim, const char *expected, const char *actual,
                    const char *source, const char *remedy)
{
    (void)file;
    (void)line;
    clo_denial d = {0};
    copy_clean(d.claim, sizeof d.claim, claim);
    copy_clean(d.expected, sizeof d.expected, expected);
    copy_clean(d.actual, sizeof d.actual, actual);
    copy_clean(d.source, sizeof d.source, source);
    copy_clean(d.remedy, sizeof d.remedy, remedy);
    return clo_deny_again(code, &d);
}

clo_err clo_deny_again(uint32_t code, const clo_denial *d)
{
    clo_denial kept = *d; /* d may be the record itself */
    last.denial = kept;
    last.denied = true;
    (void)snprintf(last.text, sizeof last.text, "refused: %s: expected %.150s, actual %.150s; %.120s", kept.claim, kept.expected,
                   kept.actual, kept.remedy);
    return (clo_err){code};
}
