#include "clo_text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void clo_hex_encode(char *to, clo_span from)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < from.n; i++) {
        to[2 * i] = digits[from.p[i] >> 4];
        to[2 * i + 1] = digits[from.p[i] & 15];
    }
    to[2 * from.n] = 0;
}

CLO_R clo_buf_put_hex(clo_buf *b, clo_span from)
{
    CLO_CHECK(from.n < SIZE_MAX / 2, CLO_E_TOO_LARGE);
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(b, 2 * from.n + 1, &at));
    clo_hex_encode((char *)at, from);
    b->len += 2 * from.n;
    return CLO_OK;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

CLO_R clo_hex_decode(void *to, size_t n, clo_span text)
{
    CLO_CHECKF(text.n % 2 == 0 && text.n / 2 == n, CLO_E_MALFORMED, "expected %zu hex digits, found %zu characters", 2 * n, text.n);
    for (size_t i = 0; i < text.n; i++)
        CLO_CHECKF(hex_value(text.p[i]) >= 0, CLO_E_MALFORMED, "character %zu is no hex digit", i + 1);
    uint8_t *at = to;
    for (size_t i = 0; i < n; i++) at[i] = (uint8_t)(hex_value(text.p[2 * i]) << 4 | hex_value(text.p[2 * i + 1]));
    return CLO_OK;
}

static const char alphabet_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static clo_err base64_encode(clo_buf *to, clo_span from, const char *alphabet, bool pad)
{
    CLO_CHECK(from.n < SIZE_MAX / 2, CLO_E_TOO_LARGE);
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(to, (from.n + 2) / 3 * 4, &at));
    size_t k = 0;
    for (size_t i = 0; i < from.n; i += 3) {
        size_t have = from.n - i < 3 ? from.n - i : 3;
        uint32_t v = (uint32_t)from.p[i] << 16;
        if (have > 1) v |= (uint32_t)from.p[i + 1] << 8;
        if (have > 2) v |= from.p[i + 2];
        for (size_t j = 0; j <= have; j++) at[k++] = (uint8_t)alphabet[v >> (18 - 6 * j) & 63];
        for (size_t j = have; pad && j < 3; j++) at[k++] = '=';
    }
    to->len += k;
    return CLO_OK;
}

static clo_err base64_decode(clo_buf *to, clo_span text, const char *alphabet, bool pad)
{
    size_t n = text.n;
    if (pad) {
        CLO_CHECKF(n % 4 == 0, CLO_E_MALFORMED, "base64 text has %zu characters, which is no multiple of 4", n);
        for (int i = 0; i < 2 && n > 0 && text.p[n - 1] == '='; i++) n--;
    }
    CLO_CHECKF(n % 4 != 1, CLO_E_MALFORMED, "base64 text is cut");
    uint8_t *at = NULL;
    CLO_TRY(clo_buf_reserve(to, n / 4 * 3 + 3, &at));
    size_t k = 0;
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        const char *found = text.p[i] == 0 ? NULL : strchr(alphabet, text.p[i]);
        CLO_CHECKF(found != NULL, CLO_E_MALFORMED, "character %zu is not of the base64 alphabet", i + 1);
        v = v << 6 | (uint32_t)(found - alphabet);
        if (i % 4 == 3) {
            at[k++] = (uint8_t)(v >> 16);
            at[k++] = (uint8_t)(v >> 8);
            at[k++] = (uint8_t)v;
            v = 0;
        }
    }
    if (n % 4 == 2) {
        CLO_CHECKF((v & 15) == 0, CLO_E_NOT_CANONICAL, "base64 text has left-over bits");
        at[k++] = (uint8_t)(v >> 4);
    } else if (n % 4 == 3) {
        CLO_CHECKF((v & 3) == 0, CLO_E_NOT_CANONICAL, "base64 text has left-over bits");
        at[k++] = (uint8_t)(v >> 10);
        at[k++] = (uint8_t)(v >> 2);
    }
    to->len += k;
    return CLO_OK;
}

CLO_R clo_base64_encode(clo_buf *to, clo_span from) { return base64_encode(to, from, alphabet_std, true); }
CLO_R clo_base64_decode(clo_buf *to, clo_span text) { return base64_decode(to, text, alphabet_std, true); }
CLO_R clo_base64url_encode(clo_buf *to, clo_span from) { return base64_encode(to, from, alphabet_url, false); }
CLO_R clo_base64url_decode(clo_buf *to, clo_span text) { return base64_decode(to, text, alphabet_url, false); }

CLO_R clo_u64_parse(uint64_t *out, clo_span text)
{
    CLO_CHECKF(text.n > 0, CLO_E_MALFORMED, "a number is missing");
    CLO_CHECKF(text.n == 1 || text.p[0] != '0', CLO_E_NOT_CANONICAL, "a number has a leading zero");
    uint64_t v = 0;
    for (size_t i = 0; i < text.n; i++) {
        CLO_CHECKF(text.p[i] >= '0' && text.p[i] <= '9', CLO_E_MALFORMED, "expected decimal digits");
        CLO_CHECK(!__builtin_mul_overflow(v, (uint64_t)10, &v), CLO_E_OVERFLOW);
        CLO_CHECK(!__builtin_add_overflow(v, (uint64_t)(text.p[i] - '0'), &v), CLO_E_OVERFLOW);
    }
    *out = v;
    return CLO_OK;
}

CLO_R clo_i64_parse(int64_t *out, clo_span text)
{
    bool negative = text.n > 0 && text.p[0] == '-';
    if (negative) text = clo_span_of(text.p + 1, text.n - 1);
    uint64_t v = 0;
    CLO_TRY(clo_u64_parse(&v, text));
    CLO_CHECKF(!negative || v != 0, CLO_E_NOT_CANONICAL, "\"-0\" is no integer; write 0");
    CLO_CHECK(v <= (uint64_t)INT64_MAX + (negative ? 1u : 0u), CLO_E_OVERFLOW);
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return CLO_OK;
}

/* The grammar of a JSON number; strtod alone would take hex, inf, nan, spaces and the locale's point. */
static bool json_number(const char *s)
{
    if (*s == '-') s++;
    if (*s < '0' || *s > '9') return false;
    if (*s == '0' && s[1] >= '0' && s[1] <= '9') return false;
    while (*s >= '0' && *s <= '9') s++;
    if (*s == '.') {
        s++;
        if (*s < '0' || *s > '9') return false;
        while (*s >= '0' && *s <= '9') s++;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '+' || *s == '-') s++;
        if (*s < '0' || *s > '9') return false;
        while (*s >= '0' && *s <= '9') s++;
    }
    return *s == 0;
}

CLO_R clo_f64_parse(double *out, clo_span text)
{
    char copy[64];
    CLO_CHECKF(text.n > 0 && text.n < sizeof copy, CLO_E_MALFORMED, "expected a decimal number of at most 63 characters");
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    CLO_CHECKF(json_number(copy), CLO_E_MALFORMED, "expected a decimal number");
    errno = 0;
    double v = strtod(copy, NULL);
    CLO_CHECKF(isfinite(v), CLO_E_RANGE, "the number is too large");
    *out = v;
    return CLO_OK;
}

/* Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static bool two_digits(const uint8_t *p, int64_t *out)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9') return false;
    *out = (p[0] - '0') * 10 + (p[1] - '0');
    return true;
}

CLO_R clo_time_parse(int64_t *seconds, clo_span text)
{
    static const char shape[] = "YYYY-MM-DDThh:mm:ssZ, for example 2026-12-31T23:59:59Z";
    CLO_CHECKF(text.n >= 20 && text.n <= 40, CLO_E_MALFORMED, "expected a UTC time as %s", shape);
    const uint8_t *p = text.p;
    int64_t high = 0, low = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
    bool good = two_digits(p, &high) && two_digits(p + 2, &low) && p[4] == '-' && two_digits(p + 5, &month) && p[7] == '-' &&
                two_digits(p + 8, &day) && (p[10] == 'T' || p[10] == 't') && two_digits(p + 11, &hour) && p[13] == ':' &&
                two_digits(p + 14, &minute) && p[16] == ':' && two_digits(p + 17, &second);
    size_t at = 19;
    if (good && p[at] == '.') {
        size_t from = ++at;
        while (at < text.n && p[at] >= '0' && p[at] <= '9') at++;
        good = at > from;
    }
    good = good && at + 1 == text.n && (p[at] == 'Z' || p[at] == 'z');
    CLO_CHECKF(good, CLO_E_MALFORMED, "expected a UTC time as %s", shape);
    static const int64_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year = high * 100 + low;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    CLO_CHECKF(month >= 1 && month <= 12 && day >= 1 && day <= month_days[month - 1] + (month == 2 && leap ? 1 : 0) && hour < 24 &&
                   minute < 60 && second < 60,
               CLO_E_RANGE, "there is no such date or time");
    *seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return CLO_OK;
}

void clo_time_format(char to[21], int64_t seconds)
{
    static const char unknown[21] = {'?', '?', '?', '?', '-', '?', '?', '-', '?', '?', 'T', '?', '?', ':', '?', '?', ':', '?', '?', 'Z', 0};
    memcpy(to, unknown, sizeof unknown);
    if (seconds < -62167219200 || seconds > 253402300799) return;
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9, year = yoe + era * 400 + (month <= 2);
    const int64_t part[] = {year / 100, year % 100, month, day, rest / 3600, rest / 60 % 60, rest % 60};
    static const size_t at[] = {0, 2, 5, 8, 11, 14, 17};
    for (size_t i = 0; i < 7; i++) {
        to[at[i]] = (char)('0' + part[i] / 10);
        to[at[i] + 1] = (char)('0' + part[i] % 10);
    }
}

bool clo_utf8_valid(clo_span text)
{
    const uint8_t *p = text.p;
    for (size_t i = 0; i < text.n;) {
        uint8_t c = p[i];
        if (c < 0x80) {
            i++;
            continue;
        }
        size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || text.n - i <= more) return false;
        uint8_t second = p[i + 1];
        uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (second < low || second > high) return false;
        for (size_t k = 2; k <= more; k++)
            if ((p[i + k] & 0xc0) != 0x80) return false;
        i += more + 1;
    }
    return true;
}

size_t clo_utf8_hidden(clo_span text)
{
    const uint8_t *p = text.p;
    if (text.n == 0) return 0;
    if (p[0] < 0x20 || p[0] == 0x7f) return 1;
    if (text.n >= 2 && p[0] == 0xc2 && p[1] < 0xa0) return 2;
    if (text.n < 3 || p[0] != 0xe2) return 0;
    bool marks = p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae)); /* U+200E, 200F, 2028..202E */
    return marks || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9) ? 3 : 0;                        /* U+2066..2069 */
}

CLO_R clo_str_set(char *to, size_t to_size, clo_span from)
{
    CLO_CHECKF(from.n < to_size, CLO_E_TOO_LARGE, "the text has %zu bytes; at most %zu are allowed", from.n, to_size - 1);
    CLO_CHECK(from.n == 0 || memchr(from.p, 0, from.n) == NULL, CLO_E_MALFORMED);
    if (from.n != 0) memmove(to, from.p, from.n);
    to[from.n] = 0;
    return CLO_OK;
}

bool clo_name_valid(const char *name)
{
    size_t n = 0;
    for (; name[n] != 0; n++) {
        char c = name[n];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (n >= 63 || (!word && (n == 0 || (c != '.' && c != '_' && c != '-')))) return false;
    }
    return n > 0;
}
