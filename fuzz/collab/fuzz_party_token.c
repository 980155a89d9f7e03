/* Access tokens: peek and verify agree that a forged one is refused. */
#include <stdlib.h>

#include "base/clo_own.h"
#include "collab/party.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)1 << 26);
    char party[64];
    uint8_t kid[32];
    if (clo_failed(clo_collab_token_peek(clo_span_of(data, size), party, kid))) return 0;
    clo_collab_party p = {.name = "nobody", .sign = {.alg = CLO_SIGN_ED25519, .n = 32}};
    if (!clo_failed(clo_collab_token_verify(clo_span_of(data, size), &p, "operator", 0))) abort();
    return 0;
}
