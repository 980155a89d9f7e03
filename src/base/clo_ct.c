#include "clo_ct.h"

#include <string.h>

void clo_wipe(void *p, size_t n) { explicit_bzero(p, n); }

void clo_key32_wipe(clo_key32 *k) { explicit_bzero(k->b, sizeof k->b); }

void clo_key32_copy(clo_key32 *to, const clo_key32 *from) { memmove(to->b, from->b, sizeof to->b); }

void clo_key32_xor(clo_key32 *to, const clo_key32 *with)
{
    for (size_t i = 0; i < sizeof to->b; i++) to->b[i] ^= with->b[i];
}
