/* Every provider. Only programs outside the runtime link this: it brings the TPM software stack with it. */
#include "tee/tee.h"

#include <string.h>

static const clo_tee_provider *const all[] = {&clo_tee_provider_sim,        &clo_tee_provider_sgx, &clo_tee_provider_nitro,     &clo_tee_provider_tdx, &clo_tee_provider_snp,
                                              &clo_tee_provider_azure_vtpm, &clo_tee_provider_tpm, &clo_tee_provider_trustzone};
enum { ALL = sizeof all / sizeof all[0] };

const clo_tee_provider *clo_tee_find_any(int device)
{
    if (device >= 0) return clo_tee_find(device);
    return clo_tee_find_in(all + 1, ALL - 1, device);
}

const clo_tee_provider *clo_tee_named(const char *name)
{
    for (size_t i = 0; i < ALL; i++) {
        if (strcmp(all[i]->name, name) == 0) return all[i];
    }
    return NULL;
}
