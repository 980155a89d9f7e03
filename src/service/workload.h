/* The host data that the host sets at launch: the digest of the workload that START describes. */
#ifndef CLO_SERVICE_WORKLOAD_H
#define CLO_SERVICE_WORKLOAD_H
#include "enclave/frames.h"

/** From the agreement and the request of `start`. A wrong value only makes the key services refuse. */
CLO_R clo_service_workload(const clo_enclave_start *start, const uint8_t measurement[48], uint8_t host_data[32]);

#endif
