/* The metric registry. Values are atomics; the list grows under a lock and never shrinks. */
#include "gateway/metrics.h"
#include "base/clo_own.h"
#include <pthread.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { METRICS_MAX = 512, BOUNDS_MAX = 16 };
typedef enum { COUNTER, GAUGE, HISTOGRAM } metric_kind;

struct clo_gateway_metric {
    metric_kind kind;
    char *name, *labels, *help;
    _Atomic uint64_t value; /* counter; bits of a double (gauge, histogram sum) */
    double (*ask)(void *context);
    void *context;
    size_t bound_count;
    double bounds[BOUNDS_MAX];
    _Atomic uint64_t counts[BOUNDS_MAX + 1];
};
struct clo_gateway_metrics {
    pthread_mutex_t lock; /* rank: above the locks of whatever a gauge function takes; guards the list */
    size_t count;
    clo_gateway_metric *all[METRICS_MAX];
};

static void metric_free(clo_gateway_metric *m)
{
    if (m == NULL) return;
    free(m->name);
    free(m->labels);
    free(m->help);
    free(m);
}

clo_err clo_gateway_metrics_new(clo_gateway_metrics **out)
{
    clo_gateway_metrics *m = calloc(1, sizeof *m);
    CLO_CHECK(m != NULL, CLO_E_NOMEM);
    (void)pthread_mutex_init(&m->lock, NULL);
    *out = m;
    return CLO_OK;
}

void clo_gateway_metrics_free(clo_gateway_metrics **metrics)
{
    clo_gateway_metrics *m = *metrics;
    *metrics = NULL;
    if (m == NULL) return;
    for (size_t i = 0; i < m->count; i++) metric_free(m->all[i]);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

static bool name_valid(const char *name)
{
    if (!((name[0] >= 'a' && name[0] <= 'z') || name[0] == '_' || name[0] == ':')) return false;
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_:")] == 0;
}

static clo_err metric_make(clo_gateway_metric **out, metric_kind kind, const char *name, const char *labels, const char *help)
{
    clo_gateway_metric *m = calloc(1, sizeof *m);
    CLO_CHECK(m != NULL, CLO_E_NOMEM);
    m->kind = kind;
    m->name = strdup(name);
    m->labels = strdup(labels != NULL ? labels : "");
    m->help = strdup(help != NULL ? help : "");
    if (m->name == NULL || m->labels == NULL || m->help == NULL) {
        metric_free(m);
        return CLO_FAIL(CLO_E_NOMEM);
    }
    *out = m;
    return CLO_OK;
}

static clo_err find_or_add(clo_gateway_metrics *r, metric_kind kind, const char *name, const char *labels, const char *help,
                           clo_gateway_metric **out, bool *fresh)
{
    *fresh = false;
    for (size_t i = 0; i < r->count; i++) {
        clo_gateway_metric *m = r->all[i];
        if (strcmp(m->name, name) != 0) continue;
        CLO_CHECKF(m->kind == kind, CLO_E_CONFLICT, "the metric %s exists with another kind", name);
        if (strcmp(m->labels, labels != NULL ? labels : "") != 0) continue;
        *out = m;
        return CLO_OK;
    }
    CLO_CHECKF(r->count < METRICS_MAX, CLO_E_TOO_MANY, "there are more than %d metrics", METRICS_MAX);
    CLO_TRY(metric_make(&r->all[r->count], kind, name, labels, help));
    *out = r->all[r->count++];
    *fresh = true;
    return CLO_OK;
}

static clo_err metric_get(clo_gateway_metrics *r, metric_kind kind, const char *name, const char *labels, const char *help,
                          const double *bounds, size_t bound_count, clo_gateway_metric **out)
{
    CLO_CHECKF(name_valid(name), CLO_E_MALFORMED, "\"%s\" is no metric name", name);
    CLO_CHECK(bound_count <= BOUNDS_MAX, CLO_E_TOO_MANY);
    bool fresh = false;
    (void)pthread_mutex_lock(&r->lock);
    clo_err e = find_or_add(r, kind, name, labels, help, out, &fresh);
    if (!clo_failed(e) && fresh && bound_count != 0) {
        memcpy((*out)->bounds, bounds, bound_count * sizeof *bounds);
        (*out)->bound_count = bound_count;
    }
    (void)pthread_mutex_unlock(&r->lock);
    return e;
}

clo_err clo_gateway_counter(clo_gateway_metrics *metrics, const char *name, const char *labels, const char *help, clo_gateway_metric **out)
{
    return metric_get(metrics, COUNTER, name, labels, help, NULL, 0, out);
}
clo_err clo_gateway_gauge(clo_gateway_metrics *metrics, const char *name, const char *labels, const char *help, clo_gateway_metric **out)
{
    return metric_get(metrics, GAUGE, name, labels, help, NULL, 0, out);
}
clo_err clo_gateway_histogram(clo_gateway_metrics *metrics, const char *name, const char *labels, const char *help, const double *bounds,
                              size_t bound_count, clo_gateway_metric **out)
{
    return metric_get(metrics, HISTOGRAM, name, labels, help, bounds, bound_count, out);
}
clo_err clo_gateway_gauge_fn(clo_gateway_metrics *metrics, const char *name, const char *labels, const char *help,
                             double (*value)(void *context), void *context)
{
    clo_gateway_metric *m = NULL;
    CLO_TRY(metric_get(metrics, GAUGE, name, labels, help, NULL, 0, &m));
    m->context = context;
    m->ask = value;
    return CLO_OK;
}

static uint64_t bits_of(double v)
{
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}
static double value_of(uint64_t bits)
{
    double v = 0;
    memcpy(&v, &bits, sizeof v);
    return v;
}

void clo_gateway_metric_add(clo_gateway_metric *metric, uint64_t n)
{
    if (metric != NULL) atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
}
void clo_gateway_metric_set(clo_gateway_metric *metric, double value)
{
    if (metric != NULL) atomic_store_explicit(&metric->value, bits_of(value), memory_order_relaxed);
}
void clo_gateway_metric_observe(clo_gateway_metric *metric, double value)
{
    if (metric == NULL) return;
    size_t at = 0;
    while (at < metric->bound_count && value > metric->bounds[at]) at++;
    atomic_fetch_add_explicit(&metric->counts[at], 1u, memory_order_relaxed);
    uint64_t was = atomic_load_explicit(&metric->value, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&metric->value, &was, bits_of(value_of(was) + value), memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

static clo_err sample(clo_buf *out, const clo_gateway_metric *m, const char *suffix, const char *bound, const char *value)
{
    bool both = m->labels[0] != 0 && bound[0] != 0, any = m->labels[0] != 0 || bound[0] != 0;
    return clo_buf_printf(out, "%s%s%s%s%s%s%s %s\n", m->name, suffix, any ? "{" : "", m->labels, both ? "," : "", bound, any ? "}" : "", value);
}

static clo_err write_histogram(clo_buf *out, clo_gateway_metric *m)
{
    uint64_t total = 0;
    char bound[48], value[40];
    for (size_t i = 0; i <= m->bound_count; i++) {
        total += atomic_load_explicit(&m->counts[i], memory_order_relaxed);
        if (i < m->bound_count) (void)snprintf(bound, sizeof bound, "le=\"%g\"", m->bounds[i]);
        else (void)snprintf(bound, sizeof bound, "le=\"+Inf\"");
        (void)snprintf(value, sizeof value, "%llu", (unsigned long long)total);
        CLO_TRY(sample(out, m, "_bucket", bound, value));
    }
    CLO_TRY(sample(out, m, "_count", "", value));
    (void)snprintf(value, sizeof value, "%.9g", value_of(atomic_load_explicit(&m->value, memory_order_relaxed)));
    return sample(out, m, "_sum", "", value);
}

static clo_err write_metric(clo_buf *out, clo_gateway_metric *m)
{
    char value[40];
    if (m->kind == HISTOGRAM) return write_histogram(out, m);
    uint64_t bits = atomic_load_explicit(&m->value, memory_order_relaxed);
    if (m->kind == COUNTER) (void)snprintf(value, sizeof value, "%llu", (unsigned long long)bits);
    else (void)snprintf(value, sizeof value, "%.12g", m->ask != NULL ? m->ask(m->context) : value_of(bits));
    return sample(out, m, "", "", value);
}

/* All series of one name stand together under one HELP and TYPE. */
static clo_err write_family(clo_buf *out, clo_gateway_metrics *r, size_t first)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    const char *name = r->all[first]->name;
    for (size_t i = 0; i < first; i++)
        if (strcmp(r->all[i]->name, name) == 0) return CLO_OK;
    CLO_TRY(clo_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, r->all[first]->help, name, kinds[r->all[first]->kind]));
    for (size_t i = first; i < r->count; i++)
        if (strcmp(r->all[i]->name, name) == 0) CLO_TRY(write_metric(out, r->all[i]));
    return CLO_OK;
}

clo_err clo_gateway_metrics_write(clo_gateway_metrics *metrics, clo_buf *out)
{
    clo_err e = CLO_OK;
    (void)pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; i < metrics->count && !clo_failed(e); i++) e = write_family(out, metrics, i);
    (void)pthread_mutex_unlock(&metrics->lock);
    return e;
}
