/* Differential privacy: zCDP conversions, and the exact samplers against the published probability tables. */
#include <math.h>
#include <stdio.h>

#include "vectors.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "crypto/hash.h"
#include "dp/sampler.h"
#include "dp/zcdp.h"

enum { DRAWS = 1000000, CELLS_MAX = 512, VALUE_MAX = 1 << 16, ARENA_MAX = 64 << 20 };

/* A case of one file: its name, its members, and where the outcome goes. */
typedef struct {
    const char *file, *name;
    const clo_wire_node *members;
    clo_vectors_report *report;
} dp_case;

static double number_of(const clo_wire_node *n)
{
    double v = (double)NAN;
    if (n == NULL) return v;
    if (n->type == CLO_WIRE_INT) return (double)n->integer;
    if (n->type == CLO_WIRE_FLOAT) return n->number;
    if (n->type != CLO_WIRE_TEXT || clo_failed(clo_f64_parse(&v, n->text))) return (double)NAN;
    return v;
}

static double member(const dp_case *c, const char *key) { return number_of(clo_wire_get(c->members, key)); }

/* Ours must lie between wanted * low and wanted * high. */
static void judge(const dp_case *c, clo_err e, double ours, double wanted, double low, double high)
{
    char expected[64], got[64];
    if (!clo_failed(e) && ours >= wanted * low && ours <= wanted * high) {
        clo_vectors_pass(c->report);
        return;
    }
    (void)snprintf(expected, sizeof expected, "%.17g", wanted);
    (void)snprintf(got, sizeof got, "%.17g", ours);
    clo_vectors_fail(c->report, c->file, c->name, expected, clo_failed(e) ? clo_err_text() : got);
}

static void zcdp_to_epsilon(const dp_case *c)
{
    double ours = 0;
    clo_err e = clo_dp_zcdp_epsilon_real(member(c, "rho"), member(c, "delta"), &ours);
    judge(c, e, ours, member(c, "epsilon"), 1, 1 + 1e-6);
}

static void zcdp_to_delta(const dp_case *c)
{
    double ours = 0;
    clo_err e = clo_dp_zcdp_delta_real(member(c, "rho"), member(c, "epsilon"), &ours);
    judge(c, e, ours, member(c, "delta"), 1, 1 + 1e-6);
}

static void epsilon_to_zcdp(const dp_case *c)
{
    double ours = 0;
    clo_err e = clo_dp_zcdp_rho_real(member(c, "epsilon"), member(c, "delta"), &ours);
    judge(c, e, ours, member(c, "rho"), 1 - 1e-6, 1);
}

static clo_err random_fill(void *context, uint8_t *to, size_t n)
{
    (void)context;
    return clo_crypto_random(to, n);
}

/* Normal deviate of a chi-square statistic (Wilson and Hilferty 1931); the verdict is p > 10^-6. */
static void judge_chi(const dp_case *c, clo_err e, double statistic, double freedom)
{
    double f = fmax(freedom, 1), k = 2 / (9 * f), deviate = (cbrt(statistic / f) - (1 - k)) / sqrt(k);
    char got[96];
    if (!clo_failed(e) && deviate < 4.76) {
        clo_vectors_pass(c->report);
        return;
    }
    (void)snprintf(got, sizeof got, "chi-square %.1f at %.0f degrees of freedom", statistic, freedom);
    clo_vectors_fail(c->report, c->file, c->name, "the tabulated distribution", clo_failed(e) ? clo_err_text() : got);
}

static clo_err fraction(const dp_case *c, const char *num, const char *den, clo_dp_rational *out)
{
    double n = member(c, num), d = member(c, den);
    CLO_CHECK(n >= 0 && n < 0x1p53 && d >= 1 && d < 0x1p53, CLO_E_MALFORMED);
    return clo_dp_rational_make((uint64_t)n, (uint64_t)d, out);
}

static clo_err count_ones(clo_dp_rational gamma, double *ones)
{
    CLO_AUTO(clo_dp_sampler_wipe) clo_dp_sampler s;
    clo_dp_sampler_init(&s, (clo_dp_rng){NULL, random_fill});
    for (int i = 0; i < DRAWS; i++) {
        bool one = false;
        CLO_TRY(clo_dp_sample_bernoulli_exp(&s, gamma, &one));
        *ones += one;
    }
    return CLO_OK;
}

static void bernoulli_exp(const dp_case *c)
{
    clo_dp_rational gamma = clo_dp_rational_zero();
    double ones = 0, p = member(c, "p_one");
    clo_err e = fraction(c, "gamma_num", "gamma_den", &gamma);
    if (!clo_failed(e)) e = count_ones(gamma, &ones);
    judge_chi(c, e, pow(ones - DRAWS * p, 2) / (DRAWS * p * (1 - p)), 1);
}

typedef clo_err (*sample_of)(clo_dp_sampler *s, clo_dp_rational parameter, int64_t *out);

/* Row of the table + 1 for each tabulated absolute value; 0 where the table has none. */
static uint16_t row_of[VALUE_MAX];

static clo_err index_values(const clo_wire_node *values)
{
    memset(row_of, 0, sizeof row_of);
    CLO_CHECK(values != NULL && 2 * values->count <= CELLS_MAX, CLO_E_MALFORMED);
    uint16_t row = 0;
    for (const clo_wire_node *n = values->first; n != NULL; n = n->next) {
        CLO_CHECK(n->type == CLO_WIRE_INT && n->integer >= 0 && n->integer < VALUE_MAX, CLO_E_MALFORMED);
        row_of[n->integer] = ++row;
    }
    return CLO_OK;
}

/* counts[2 k] = draws of the k-th tabulated value, [2 k + 1] of its negative; what is not tabulated: [CELLS_MAX]. */
static clo_err count_cells(sample_of sample, clo_dp_rational parameter, double *counts)
{
    CLO_AUTO(clo_dp_sampler_wipe) clo_dp_sampler s;
    clo_dp_sampler_init(&s, (clo_dp_rng){NULL, random_fill});
    for (int i = 0; i < DRAWS; i++) {
        int64_t v = 0;
        CLO_TRY(sample(&s, parameter, &v));
        uint64_t size = v < 0 ? (uint64_t)-v : (uint64_t)v;
        size_t row = size < VALUE_MAX ? row_of[size] : 0;
        counts[row == 0 ? CELLS_MAX : 2 * (row - 1) + (v < 0)]++;
    }
    return CLO_OK;
}

static void chi_of_table(const dp_case *c, sample_of sample, clo_dp_rational parameter, clo_err e)
{
    static double counts[CELLS_MAX + 1];
    const clo_wire_node *pmf = clo_wire_get(c->members, "pmf"), *x = clo_wire_get(c->members, "x");
    double statistic = 0, rest_p = 1, rest_n = 0;
    unsigned freedom = 0;
    memset(counts, 0, sizeof counts);
    if (!clo_failed(e)) e = index_values(x);
    if (!clo_failed(e) && (pmf == NULL || pmf->count != x->count)) e = CLO_FAIL(CLO_E_MALFORMED);
    if (!clo_failed(e)) e = count_cells(sample, parameter, counts);
    const clo_wire_node *value = clo_failed(e) ? NULL : x->first;
    const clo_wire_node *n = clo_failed(e) ? NULL : pmf->first;
    for (size_t row = 0; n != NULL && value != NULL; n = n->next, value = value->next, row++) {
        double p = number_of(n);
        for (size_t side = 0; side < (value->integer == 0 ? 1u : 2u); side++) {
            double seen = counts[2 * row + side];
            if (p * DRAWS < 10) {
                rest_n += seen;
                continue;
            }
            statistic += pow(seen - p * DRAWS, 2) / (p * DRAWS);
            rest_p -= p;
            freedom++;
        }
    }
    rest_n += counts[CELLS_MAX];
    if (rest_p * DRAWS >= 1) {
        statistic += pow(rest_n - rest_p * DRAWS, 2) / (rest_p * DRAWS);
        freedom++;
    } else if (rest_n > 30) {
        statistic += 1e9; /* far more in the tail than its probability allows */
    }
    judge_chi(c, e, statistic, (double)freedom - 1);
}

static void discrete_gaussian(const dp_case *c)
{
    clo_dp_rational sigma_squared = clo_dp_rational_zero();
    const clo_wire_node *text = clo_wire_get(c->members, "sigma2");
    clo_err e = text != NULL && text->type == CLO_WIRE_TEXT ? clo_dp_rational_parse(text->text, &sigma_squared)
                                                            : CLO_FAIL(CLO_E_MALFORMED);
    chi_of_table(c, clo_dp_sample_gaussian, sigma_squared, e);
}

static void discrete_laplace(const dp_case *c)
{
    clo_dp_rational scale = clo_dp_rational_zero();
    clo_err e = fraction(c, "t_den", "t_num", &scale); /* the scale is 1 / t */
    chi_of_table(c, clo_dp_sample_laplace, scale, e);
}

static const struct {
    const char *schema;
    void (*run)(const dp_case *c);
} runs[] = {
    {"zcdp_to_epsilon", zcdp_to_epsilon},         {"zcdp_to_delta", zcdp_to_delta},
    {"epsilon_to_zcdp", epsilon_to_zcdp},         {"bernoulli_exp", bernoulli_exp},
    {"discrete_gaussian_pmf", discrete_gaussian}, {"discrete_laplace_pmf", discrete_laplace},
};

static const char *reason_without(const char *schema)
{
    if (strncmp(schema, "audit_", 6) == 0 || strcmp(schema, "lira_scores") == 0 || strcmp(schema, "mia_metrics") == 0)
        return "the product has no privacy audit";
    if (strcmp(schema, "selection_mechanisms") == 0 || strcmp(schema, "randomized_response") == 0)
        return "the product does not have this mechanism";
    return "the product accounts by zCDP; it has no RDP, PLD or analytic Gaussian accountant";
}

static clo_err run_file(const char *dir, const char *file, clo_vectors_report *r)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *root = NULL;
    clo_arena_init(&a, ARENA_MAX);
    CLO_TRY(clo_vectors_json(&a, dir, file, &root));
    const char *schema = clo_vectors_text(root, "schema");
    const clo_wire_node *cases = clo_wire_get(root, "cases");
    CLO_CHECKF(schema != NULL && cases != NULL && cases->type == CLO_WIRE_ARRAY, CLO_E_MALFORMED, "%s has no schema or no cases",
               file);
    unsigned index = 0;
    for (const clo_wire_node *n = cases->first; n != NULL; n = n->next, index++) {
        char name[24];
        (void)snprintf(name, sizeof name, "cases[%u]", index);
        dp_case c = {file, name, n, r};
        size_t k = 0;
        while (k < sizeof runs / sizeof runs[0] && strcmp(runs[k].schema, schema) != 0) k++;
        if (k < sizeof runs / sizeof runs[0])
            runs[k].run(&c);
        else
            clo_vectors_skip(r, file, name, reason_without(schema));
    }
    return CLO_OK;
}

int clo_vectors_dp(const char *dir, clo_vectors_report *r)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    const char **names = NULL;
    size_t count = 0;
    clo_arena_init(&a, ARENA_MAX);
    if (clo_failed(clo_vectors_list(&a, dir, ".json", &names, &count))) return 1;
    for (size_t i = 0; i < count; i++)
        if (clo_failed(run_file(dir, names[i], r)))
            clo_vectors_fail(r, names[i], "file", "a readable file of cases", clo_err_text());
    return 0;
}
