/* cloister dp …: what noise costs, by the accounting of the ledger (zCDP). */
#include "cli/cli_int.h"

#include "crypto/hash.h"
#include "dp/sampler.h"
#include "dp/zcdp.h"

#include <math.h>

typedef enum { GAUSSIAN, LAPLACE } noise;

typedef struct {
    noise noise;
    bool discrete;
    double sigma, scale, epsilon, delta;
    bool have_amount;
    uint64_t steps;
} question;

static clo_err take_mechanism(clo_cli *c, question *q)
{
    static const struct {
        const char *name;
        noise noise;
        bool discrete;
    } table[] = {{"gaussian", GAUSSIAN, false},
                 {"laplace", LAPLACE, false},
                 {"discrete-gaussian", GAUSSIAN, true},
                 {"discrete-laplace", LAPLACE, true}};
    const char *name = NULL;
    CLO_TRY(clo_cli_require(c, "--mechanism", &name));
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, name) == 0) {
            q->noise = table[i].noise;
            q->discrete = table[i].discrete;
            return CLO_OK;
        }
    CLO_CHECKF(strcmp(name, "dp-sgd") != 0, CLO_E_UNSUPPORTED,
               "dp-sgd needs amplification by sampling, which zCDP does not have; this version has no PLD accountant");
    return CLO_FAILF(CLO_E_USAGE,
                     "--mechanism \"%.40s\" is not known; take gaussian, laplace, discrete-gaussian or discrete-laplace", name);
}

static clo_err take_question(clo_cli *c, question *q)
{
    const char *accountant = clo_cli_value(c, "--accountant");
    double rate = 1;
    *q = (question){.delta = 1e-6, .steps = 1};
    CLO_TRY(take_mechanism(c, q));
    CLO_CHECKF(accountant == NULL || strcmp(accountant, "zcdp") == 0, CLO_E_UNSUPPORTED,
               "the accountant of this version is zcdp");
    CLO_TRY(clo_cli_value_number(c, "--sampling-rate", &rate));
    CLO_CHECKF(rate >= 1 && rate <= 1, CLO_E_UNSUPPORTED, "--sampling-rate must be 1: zCDP has no amplification by sampling");
    CLO_TRY(clo_cli_value_number(c, "--sigma", &q->sigma));
    CLO_TRY(clo_cli_value_number(c, "--scale", &q->scale));
    CLO_TRY(clo_cli_value_number(c, "--epsilon", &q->epsilon));
    CLO_TRY(clo_cli_value_number(c, "--delta", &q->delta));
    CLO_TRY(clo_cli_value_count(c, "--steps", 1000000000u, &q->steps));
    CLO_CHECKF(q->delta > 0 && q->delta < 1, CLO_E_USAGE, "--delta must be between 0 and 1");
    CLO_CHECKF(q->steps > 0, CLO_E_USAGE, "--steps must be at least 1");
    q->have_amount = q->noise == GAUSSIAN ? q->sigma > 0 : q->scale > 0 || q->sigma > 0;
    if (q->noise == LAPLACE && q->scale <= 0) q->scale = q->sigma; /* by its other name */
    return CLO_OK;
}

static clo_err answer(clo_cli *c, const question *q, const char *key, double value)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_float(&c->arena, map, key, value));
    if (strcmp(key, "epsilon") != 0) CLO_TRY(clo_wire_set_float(&c->arena, map, "epsilon", q->epsilon));
    CLO_TRY(clo_wire_set_float(&c->arena, map, "delta", q->delta));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "accountant", "zcdp"));
    clo_cli_say(c, strcmp(key, "epsilon") == 0 ? "%s %.8g\n" : "%s %.17g\n", key, value);
    return clo_cli_emit(c, map);
}

static clo_err epsilon_of(const question *q, double amount, double *epsilon)
{
    double rho = (double)q->steps / (2 * amount * amount);
    CLO_TRY(clo_dp_zcdp_epsilon_real(rho, q->delta, epsilon));
    /* Laplace noise is pure: the plain sum holds at every delta. */
    if (q->noise == LAPLACE && (double)q->steps / amount < *epsilon) *epsilon = (double)q->steps / amount;
    return CLO_OK;
}

clo_err clo_cli_dp_epsilon(clo_cli *c)
{
    question q;
    double epsilon = 0;
    CLO_TRY(take_question(c, &q));
    CLO_CHECKF(q.have_amount, CLO_E_USAGE, "%s is missing", q.noise == GAUSSIAN ? "--sigma" : "--scale");
    CLO_TRY(epsilon_of(&q, q.noise == GAUSSIAN ? q.sigma : q.scale, &epsilon));
    return answer(c, &q, "epsilon", epsilon);
}

clo_err clo_cli_dp_calibrate(clo_cli *c)
{
    question q;
    double rho = 0;
    CLO_TRY(take_question(c, &q));
    CLO_CHECKF(q.epsilon > 0, CLO_E_USAGE, "--epsilon is missing or not above 0");
    CLO_TRY(clo_dp_zcdp_rho_real(q.epsilon, q.delta, &rho));
    CLO_CHECKF(rho > 0, CLO_E_RANGE, "no noise reaches so small an epsilon at this delta; raise --epsilon");
    double amount = sqrt((double)q.steps / (2 * rho)), pure = (double)q.steps / q.epsilon, reached = 0;
    if (q.noise == LAPLACE && pure < amount) amount = pure;
    /* Rounding may leave it a hair too small; what is printed must hold. */
    for (double more = 1e-15; more < 1e-3; more *= 2) {
        CLO_TRY(epsilon_of(&q, amount, &reached));
        if (reached <= q.epsilon) break;
        amount *= 1 + more;
    }
    return answer(c, &q, q.noise == GAUSSIAN ? "sigma" : "scale", amount);
}

static clo_err fill_random(void *context, uint8_t *to, size_t n)
{
    (void)context;
    return clo_crypto_random(to, n);
}

clo_err clo_cli_dp_sample(clo_cli *c)
{
    question q;
    uint64_t count = 1;
    clo_dp_rational amount;
    CLO_TRY(take_question(c, &q));
    CLO_CHECKF(q.discrete, CLO_E_UNSUPPORTED,
               "only discrete-gaussian and discrete-laplace are sampled: floating-point noise is no release of ours");
    const char *text = clo_cli_value(c, q.noise == LAPLACE ? "--scale" : "--sigma");
    if (text == NULL && q.noise == LAPLACE) text = clo_cli_value(c, "--sigma");
    CLO_CHECKF(text != NULL, CLO_E_USAGE, "%s is missing", q.noise == GAUSSIAN ? "--sigma" : "--scale");
    clo_err e = clo_dp_rational_parse(clo_span_str(text), &amount);
    if (clo_failed(e))
        return CLO_FAILF(CLO_E_USAGE, "the amount of noise must be a decimal with at most 9 digits behind the point, or n/d");
    if (q.noise == GAUSSIAN) CLO_TRY(clo_dp_rational_multiply(amount, amount, &amount));
    CLO_TRY(clo_cli_value_count(c, "--count", 100000000u, &count));
    clo_dp_sampler s;
    clo_dp_sampler_init(&s, (clo_dp_rng){.context = NULL, .fill = fill_random});
    clo_wire_node *map = NULL, *list = NULL;
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_array(&c->arena, &list));
    for (uint64_t i = 0; i < count && !clo_failed(e); i++) {
        int64_t x = 0;
        clo_wire_node *n = NULL;
        e = q.noise == GAUSSIAN ? clo_dp_sample_gaussian(&s, amount, &x) : clo_dp_sample_laplace(&s, amount, &x);
        if (clo_failed(e)) break;
        if (!c->json) {
            if (printf("%lld\n", (long long)x) < 0) e = CLO_FAIL(CLO_E_IO);
            continue;
        }
        e = clo_wire_int(&c->arena, x, &n);
        if (!clo_failed(e)) e = clo_wire_append(list, n);
    }
    clo_dp_sampler_wipe(&s);
    CLO_TRY(e);
    CLO_TRY(clo_wire_set(&c->arena, map, "samples", list));
    return clo_cli_emit(c, map);
}
