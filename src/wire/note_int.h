/* Shared by notes, checkpoints and proofs. */
#ifndef CLO_WIRE_NOTE_INT_H
#define CLO_WIRE_NOTE_INT_H
#include "wire/note.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { NOTE_TYPE_LOG = 1, NOTE_TYPE_COSIGNATURE = 4 };
/** Take the first line (without its newline) off rest; false where no newline is left. */
bool clo_wire_line_take(clo_span *rest, clo_span *line);

#ifdef __cplusplus
}
#endif
#endif
