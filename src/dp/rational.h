/* Exact non-negative rationals: the unit in which privacy budget is kept, added and compared.
 *
 * Always normalised (lowest terms, den >= 1, zero is 0/1). Every operation is exact or fails; nothing wraps or rounds.
 * Amounts on one decimal grid (at most 9 fraction digits) add without growing their denominator. */
#ifndef CLO_DP_RATIONAL_H
#define CLO_DP_RATIONAL_H
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint64_t num, den;
} clo_dp_rational;

/* "18446744073709551615/18446744073709551615" and its end. */
enum { CLO_DP_RATIONAL_TEXT = 44 };

/** 0/1. */
clo_dp_rational clo_dp_rational_zero(void);
/** num/den in lowest terms. Errors: RANGE where den is 0. */
CLO_R clo_dp_rational_make(uint64_t num, uint64_t den, clo_dp_rational *out);
/** Is this a value that these functions made (den >= 1, lowest terms)? */
bool clo_dp_rational_valid(clo_dp_rational r);
bool clo_dp_rational_is_zero(clo_dp_rational r);
/** -1, 0, 1 as a is below, equal to, above b. Exact. An invalid operand is a bug and asserts. */
int clo_dp_rational_compare(clo_dp_rational a, clo_dp_rational b);
/** a + b, a - b (RANGE where a < b), a * k, a / k (RANGE where k is 0), a * b. Errors: OVERFLOW where the result in lowest
 *  terms does not fit. On error `out` is unchanged; `out` may be an operand's variable. */
CLO_R clo_dp_rational_add(clo_dp_rational a, clo_dp_rational b, clo_dp_rational *out);
CLO_R clo_dp_rational_sub(clo_dp_rational a, clo_dp_rational b, clo_dp_rational *out);
CLO_R clo_dp_rational_times(clo_dp_rational a, uint64_t k, clo_dp_rational *out);
CLO_R clo_dp_rational_divide(clo_dp_rational a, uint64_t k, clo_dp_rational *out);
CLO_R clo_dp_rational_multiply(clo_dp_rational a, clo_dp_rational b, clo_dp_rational *out);
/** "3", "n/d", or a decimal with at most 9 fraction digits ("0.25"); no sign, exponent or spaces.
 *  Errors: MALFORMED, RANGE (zero denominator), OVERFLOW. */
CLO_R clo_dp_rational_parse(clo_span text, clo_dp_rational *out);
/** The canonical text: "n" where den is 1, else "n/d"; parse gives the same value back. */
void clo_dp_rational_format(char to[CLO_DP_RATIONAL_TEXT], clo_dp_rational r);
/** For people only: the nearest double. */
double clo_dp_rational_double(clo_dp_rational r);

#ifdef __cplusplus
}
#endif
#endif
