/* Zero-concentrated differential privacy (Bun and Steinke 2016): what mechanisms cost, what a cost means in (epsilon, delta).
 *
 * Costs (rho) are exact rationals and add up under adaptive composition: clo_dp_rational_add is the composition rule.
 * The unit of privacy is one row; neighbours differ by replacing one row (the number of rows is public, it stands in the
 * manifest). Conversions to epsilon are shown to people and never enter the ledger; they round against us. */
#ifndef CLO_DP_ZCDP_H
#define CLO_DP_ZCDP_H
#include "dp/rational.h"
#ifdef __cplusplus
extern "C" {
#endif

/** rho of (discrete) Gaussian noise: sensitivity_squared / (2 sigma_squared); sensitivity in the L2 norm, in grid units. */
CLO_R clo_dp_zcdp_gaussian(uint64_t sensitivity_squared, clo_dp_rational sigma_squared, clo_dp_rational *rho);
/** rho of an epsilon-DP mechanism (discrete Laplace of scale sensitivity/epsilon): epsilon^2 / 2. */
CLO_R clo_dp_zcdp_pure(clo_dp_rational epsilon, clo_dp_rational *rho);

/** The smallest sigma^2 that the sampler takes and whose cost is at most rho: sensitivity_squared / (2 rho), rounded up to a
 *  grid of at most 2^-16 where the exact value does not fit. Errors: RANGE where rho is 0 or sigma^2 would exceed 2^54. */
CLO_R clo_dp_zcdp_sigma_squared(uint64_t sensitivity_squared, clo_dp_rational rho, clo_dp_rational *sigma_squared);
/** The smallest scale b (on the grid 2^-10) of discrete Laplace noise for an L1 sensitivity whose cost (sensitivity/b)^2 / 2
 *  is at most rho. Errors: RANGE where rho is 0 or b would exceed 2^40. */
CLO_R clo_dp_zcdp_scale(uint64_t sensitivity, clo_dp_rational rho, clo_dp_rational *scale);

/** The best epsilon known for rho-zCDP at delta, rounded up (Canonne, Kamath, Steinke 2020, proposition 12), never above
 *  rho + 2 sqrt(rho ln(1/delta)). 0 for rho = 0. Errors: RANGE where delta is not in (0, 1). */
CLO_R clo_dp_zcdp_epsilon(clo_dp_rational rho, double delta, double *epsilon);
/** rho + 2 sqrt(rho ln(1/delta)) rounded up (Bun and Steinke 2016, proposition 1.3). */
CLO_R clo_dp_zcdp_epsilon_standard(clo_dp_rational rho, double delta, double *epsilon);
/** The best delta known for rho-zCDP at epsilon >= 0, rounded up. */
CLO_R clo_dp_zcdp_delta(clo_dp_rational rho, double epsilon, double *delta);
/** The largest rho with at most 9 decimals whose clo_dp_zcdp_epsilon at delta is at most epsilon (rounded down; may be 0).
 *  Errors: RANGE where epsilon is not in (0, 1000] or delta not in (0, 1). */
CLO_R clo_dp_zcdp_rho(double epsilon, double delta, clo_dp_rational *rho);

/* The same conversions over a real rho, for the analyses that are not kept in a ledger (the command line, the vectors). */
CLO_R clo_dp_zcdp_epsilon_real(double rho, double delta, double *epsilon);
CLO_R clo_dp_zcdp_delta_real(double rho, double epsilon, double *delta);
CLO_R clo_dp_zcdp_rho_real(double epsilon, double delta, double *rho); /* rounded down */

#ifdef __cplusplus
}
#endif
#endif
