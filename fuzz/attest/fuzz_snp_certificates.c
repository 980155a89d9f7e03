/* Any bytes as the host's certificate table: every certificate that comes out lies inside the table. */
#include "tee/tee_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clo_tee_snp_certificates c;
    if (clo_failed(clo_tee_snp_certificates_parse(clo_span_of(data, size), &c))) return 0;
    const clo_span all[] = {c.vcek, c.vlek, c.ask, c.ark, c.crl};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].n != 0 && (all[i].p < data || all[i].n > size - (size_t)(all[i].p - data))) abort();
    }
    return 0;
}
