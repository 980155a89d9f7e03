/* OpenAPI 3.1 from the route table. */
#ifndef CLO_GATEWAY_OPENAPI_H
#define CLO_GATEWAY_OPENAPI_H
#include "base/clo_buf.h"
#include "gateway/route.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Append the document. schemas must be valid JSON texts (else MALFORMED, naming the schema). */
CLO_R clo_gateway_openapi_write(clo_buf *out, const char *title, const char *version, const clo_gateway_route *routes, size_t route_count,
                                const clo_gateway_schema *schemas, size_t schema_count);

#ifdef __cplusplus
}
#endif
#endif
