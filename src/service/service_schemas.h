/* JSON schemas of the operator's answers, for the OpenAPI document. */
#ifndef CLO_SERVICE_SCHEMAS_H
#define CLO_SERVICE_SCHEMAS_H
#include "gateway/route.h"

extern const clo_gateway_schema clo_service_schemas[];
extern const size_t clo_service_schema_count;

#endif
