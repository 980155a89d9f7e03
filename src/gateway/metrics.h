/* Metrics in the Prometheus text format 0.0.4. A metric lives as long as its registry; values change from any thread without a lock. */
#ifndef CLO_GATEWAY_METRICS_H
#define CLO_GATEWAY_METRICS_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct clo_gateway_metrics clo_gateway_metrics;
typedef struct clo_gateway_metric clo_gateway_metric;

CLO_R clo_gateway_metrics_new(clo_gateway_metrics **out);
void clo_gateway_metrics_free(clo_gateway_metrics **metrics);
/** Counter or gauge. name [a-z_:][a-z0-9_:]*; labels = text inside the braces, e.g. `state="done"`, or NULL; both copied. The same
 *  name and labels return the same metric. Errors: MALFORMED, CONFLICT (other kind), TOO_MANY (512). */
CLO_R clo_gateway_counter(clo_gateway_metrics *metrics, const char *name, const char *labels, const char *help, clo_gateway_metric **out);
CLO_R clo_gateway_gauge(clo_gateway_metrics *metrics, const char *name, const char *labels, const char *help, clo_gateway_metric **out);
/** Histogram with ascending upper bounds (at most 16; +Inf is implied). */
CLO_R clo_gateway_histogram(clo_gateway_metrics *metrics, const char *name, const char *labels, const char *help, const double *bounds,
                            size_t bound_count, clo_gateway_metric **out);
/** metric NULL is allowed and does nothing. */
void clo_gateway_metric_add(clo_gateway_metric *metric, uint64_t n); /* counters */
void clo_gateway_metric_set(clo_gateway_metric *metric, double value); /* gauges */
void clo_gateway_metric_observe(clo_gateway_metric *metric, double value); /* histograms */
/** A gauge whose value is asked for at each scrape (on a worker). */
CLO_R clo_gateway_gauge_fn(clo_gateway_metrics *metrics, const char *name, const char *labels, const char *help,
                           double (*value)(void *context), void *context);
/** Append the exposition. */
CLO_R clo_gateway_metrics_write(clo_gateway_metrics *metrics, clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
