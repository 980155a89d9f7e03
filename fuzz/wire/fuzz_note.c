/* Signed notes, verifier keys and checkpoints. */
#include "base/clo_own.h"
#include "wire/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char vkey[] = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, (size_t)1 << 24);
    clo_wire_note n;
    clo_wire_note_key k;
    clo_wire_checkpoint c;
    const char *text = NULL;
    clo_span in = clo_span_of(data, size);
    if (!clo_failed(clo_arena_str(&a, in, &text))) (void)clo_failed(clo_wire_note_key_parse(text, &k));
    (void)clo_failed(clo_wire_checkpoint_parse(in, &c));
    if (clo_failed(clo_wire_note_parse(&a, in, &n)) || clo_failed(clo_wire_note_key_parse(vkey, &k))) return 0;
    (void)clo_failed(clo_wire_note_verify(&n, &k, NULL));
    (void)clo_failed(clo_wire_checkpoint_parse(n.body, &c));
    return 0;
}
