/* What the offline measurements share. */
#include "crypto/hash.h"
#include "tee/measure_int.h"

enum { STEPS_MAX = 20000 };

CLO_R clo_tee_measured_open(clo_arena *a, clo_tee_measured *out)
{
    clo_tee_measured m = {.arena = a};
    CLO_TRY(clo_wire_map(a, &m.values));
    CLO_TRY(clo_wire_map(a, &m.notes));
    CLO_TRY(clo_wire_array(a, &m.steps));
    *out = m;
    return CLO_OK;
}

CLO_R clo_tee_measured_value(clo_tee_measured *m, const char *name, clo_span bytes) { return clo_wire_set_bytes(m->arena, m->values, name, bytes); }

CLO_R clo_tee_measured_step(clo_tee_measured *m, const char *into, const char *what, uint64_t address, uint64_t size, clo_span digest)
{
    clo_wire_node *step = NULL;
    CLO_CHECKF(m->steps->count < STEPS_MAX, CLO_E_TOO_MANY, "more than %d steps go into this measurement", (int)STEPS_MAX);
    CLO_TRY(clo_wire_map(m->arena, &step));
    CLO_TRY(clo_wire_set_text(m->arena, step, "into", into));
    CLO_TRY(clo_wire_set_text(m->arena, step, "what", what));
    if (address != 0) CLO_TRY(clo_wire_set_int(m->arena, step, "address", (int64_t)(address & INT64_MAX)));
    if (size != 0) CLO_TRY(clo_wire_set_int(m->arena, step, "size", (int64_t)(size & INT64_MAX)));
    if (digest.n != 0) CLO_TRY(clo_wire_set_bytes(m->arena, step, "digest", digest));
    return clo_wire_append(m->steps, step);
}

CLO_R clo_tee_extend384(uint8_t value[48], const uint8_t digest[48])
{
    uint8_t both[96];
    memcpy(both, value, 48);
    memcpy(both + 48, digest, 48);
    return clo_crypto_hash(CLO_HASH_SHA384, clo_span_of(both, sizeof both), value);
}
