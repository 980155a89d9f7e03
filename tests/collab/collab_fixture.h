/* A small consortium with fixed keys: three hospitals, one analyst, a log, a witness. */
#ifndef CLO_COLLAB_FIXTURE_H
#define CLO_COLLAB_FIXTURE_H
#include "cmocka_all.h"

#include "collab/run.h"

enum { FIXTURE_TIME = 1780000000 }; /* 2026-05-28, within the fixture's agreement */

typedef struct {
    clo_arena arena;
    clo_collab_identity parties[4]; /* hospital-a, hospital-b, hospital-c, analyst */
    clo_key32 kms[3];
    clo_crypto_private_key log_key, witness_key;
    uint8_t sim_root[32];
    uint8_t measurement[48];
    clo_buf yaml;
} fixture;

/** Everything from fixed seeds; yaml is the agreement that people would write. sim_root = NULL: fixed bytes. */
void fixture_open(fixture *f, const uint8_t *sim_root);
void fixture_close(fixture *f);
/** Identity from one seed byte. */
void fixture_identity(const char *name, uint8_t seed, clo_collab_identity *out);
/** Read YAML text (NULL: the fixture's). */
clo_err fixture_read(fixture *f, const char *yaml, clo_collab_agreement **out);
clo_collab_agreement *fixture_agreement(fixture *f);
/** The fixture's YAML with the first `from` replaced by `to`; `from` must be there. Owned by the arena. */
const char *fixture_with(fixture *f, const char *from, const char *to);
/** The agreement file signed by the first `count` parties. */
clo_span fixture_signed(fixture *f, const clo_collab_agreement *g, size_t count);
/** A request of the analyst for the run "means" (sql) of this agreement. */
void fixture_request(const clo_collab_agreement *g, clo_collab_run_request *out);
/** The configuration of a runtime with every layer active, fit for this run. In the arena. */
clo_span fixture_configuration(fixture *f, const clo_collab_agreement *g, const char *engine);
/** Hex text of bytes, in the arena. */
const char *fixture_hex(fixture *f, clo_span bytes);

/** Compare with tests/collab/golden/NAME.hex (byte for byte); with CLOISTER_GOLDEN_WRITE set, write it instead. */
void fixture_golden(fixture *f, const char *name, clo_span bytes);
clo_span fixture_golden_read(fixture *f, const char *name);

/** One parser under test: success or a refusal. */
typedef clo_err (*fixture_parser)(void *context, clo_span in);
/** Every truncation, every single-byte change (three bit patterns) and one byte too many must be refused. */
void fixture_hostile(fixture_parser parse, void *context, clo_span good);
#endif
