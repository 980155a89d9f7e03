#include "tee/tee.h"

const clo_tee_provider *clo_tee_find_in(const clo_tee_provider *const *providers, size_t count, int device)
{
    for (size_t i = 0; i < count; i++) {
        if (providers[i]->probe(device)) return providers[i];
    }
    return NULL;
}

const clo_tee_provider *clo_tee_find(int device)
{
    /* The narrowest boundary first: a Gramine enclave may itself run inside a confidential guest. */
    static const clo_tee_provider *const hardware[] = {&clo_tee_provider_sgx, &clo_tee_provider_nitro, &clo_tee_provider_tdx, &clo_tee_provider_snp};
    if (device >= 0) return clo_tee_provider_sim.probe(device) ? &clo_tee_provider_sim : NULL;
    return clo_tee_find_in(hardware, sizeof hardware / sizeof hardware[0], device);
}
