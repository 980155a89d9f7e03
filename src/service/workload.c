#include "service/workload.h"

#include "base/clo_own.h"
#include "collab/run.h"

CLO_R clo_service_workload(const clo_enclave_start *start, const uint8_t measurement[48], uint8_t host_data[32])
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 16 << 20);
    clo_collab_agreement *g = NULL;
    void *request = NULL;
    const clo_collab_run_terms *terms = NULL;
    uint32_t signed_mask = 0;
    uint8_t digest[48];
    CLO_TRY(clo_collab_agreement_new(&a, &g));
    CLO_TRY(clo_collab_agreement_file_open(&a, start->agreement_file, g, &signed_mask));
    CLO_TRY(clo_arena_alloc(&a, sizeof(clo_collab_run_request), &request));
    CLO_TRY(clo_collab_run_request_open(&a, start->request, g, request, &terms));
    return clo_collab_workload_digest(g, terms, measurement, digest, host_data);
}
