#include "tee/tee.h"

const clo_tee_provider *clo_tee_find(int device)
{
    if (device >= 0) return clo_tee_provider_sim.probe(device) ? &clo_tee_provider_sim : NULL;
    static const clo_tee_provider *const hardware[] = {&clo_tee_provider_snp};
    for (size_t i = 0; i < sizeof hardware / sizeof hardware[0]; i++) {
        if (hardware[i]->probe(device)) return hardware[i];
    }
    return NULL;
}
