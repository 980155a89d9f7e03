/* Bodies of the messages that report: PROGRESS, OUTPUT, FINISH, FAILED, ERROR. */
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "enclave/frames_int.h"

/* A text that was cut to its array, and so may end inside a character. */
static clo_err cut_text_set(clo_arena *a, clo_wire_node *map, const char *key, const char *text)
{
    size_t n = strlen(text);
    while (n > 0 && !clo_utf8_valid(clo_span_of(text, n))) n--;
    clo_wire_node *node = NULL;
    CLO_TRY(clo_wire_text(a, clo_span_of(text, n), &node));
    return clo_wire_set(a, map, key, node);
}

clo_err clo_enclave_progress_encode(const clo_enclave_progress *m, clo_buf *out)
{
    CLO_CHECK(m->done <= INT64_MAX, CLO_E_RANGE);
    CLO_CHECK(m->total <= INT64_MAX, CLO_E_RANGE);
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_enclave_body_begin(&a, 4096, &map));
    CLO_TRY(clo_wire_set_text(&a, map, "phase", clo_enclave_phase_name(m->phase)));
    CLO_TRY(cut_text_set(&a, map, "text", m->text));
    CLO_TRY(clo_wire_set_int(&a, map, "done", (int64_t)m->done));
    CLO_TRY(clo_wire_set_int(&a, map, "total", (int64_t)m->total));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_enclave_progress_decode(clo_arena *a, clo_span in, clo_enclave_progress *out)
{
    clo_wire_fields f;
    clo_enclave_progress m = {0};
    char phase[24];
    int64_t done = 0, total = 0;
    CLO_TRY(clo_enclave_body_read(a, in, "PROGRESS", &f));
    clo_wire_take_str(&f, "phase", phase, sizeof phase);
    clo_wire_take_str(&f, "text", m.text, sizeof m.text);
    clo_wire_take_int(&f, "done", &done, 0, INT64_MAX);
    clo_wire_take_int(&f, "total", &total, 0, INT64_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    unsigned p = 0;
    while (p < CLO_ENCLAVE_PHASE_COUNT && strcmp(clo_enclave_phase_name((clo_enclave_phase)p), phase) != 0) p++;
    CLO_CHECKF(p < CLO_ENCLAVE_PHASE_COUNT, CLO_E_MALFORMED, "PROGRESS.phase is no phase of a run");
    m.phase = (clo_enclave_phase)p;
    m.done = (uint64_t)done;
    m.total = (uint64_t)total;
    *out = m;
    return CLO_OK;
}

clo_err clo_enclave_output_encode(const clo_enclave_output *m, clo_buf *out)
{
    CLO_CHECK(m->offset <= CLO_ENCLAVE_OUTPUT_FILE_MAX, CLO_E_RANGE);
    CLO_CHECK(m->bytes.n <= CLO_ENCLAVE_OUTPUT_PIECE, CLO_E_TOO_LARGE);
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_enclave_body_begin(&a, CLO_ENCLAVE_OUTPUT_PIECE, &map));
    CLO_TRY(clo_wire_set_int(&a, map, "offset", (int64_t)m->offset));
    CLO_TRY(clo_wire_set_bool(&a, map, "last", m->last));
    CLO_TRY(clo_wire_set_bytes(&a, map, "bytes", m->bytes));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_enclave_output_decode(clo_arena *a, clo_span in, clo_enclave_output *out)
{
    clo_wire_fields f;
    clo_enclave_output m = {0};
    int64_t offset = 0;
    CLO_TRY(clo_enclave_body_read(a, in, "OUTPUT", &f));
    clo_wire_take_int(&f, "offset", &offset, 0, CLO_ENCLAVE_OUTPUT_FILE_MAX);
    clo_wire_take_bool(&f, "last", &m.last);
    clo_wire_take_bytes(&f, "bytes", &m.bytes, CLO_ENCLAVE_OUTPUT_PIECE);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(m.bytes.n != 0, CLO_E_RANGE, "OUTPUT.bytes is empty");
    m.offset = (uint64_t)offset;
    *out = m;
    return CLO_OK;
}

clo_err clo_enclave_prepared_encode(const clo_enclave_prepared *m, clo_buf *out)
{
    CLO_CHECK(m->commit_count <= CLO_PARTIES_MAX, CLO_E_TOO_MANY);
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_enclave_body_begin(&a, CLO_PARTIES_MAX * CLO_ENCLAVE_COMMIT_MAX, &map));
    CLO_TRY(clo_wire_set_bytes(&a, map, "statement", m->statement));
    CLO_TRY(clo_enclave_spans_set(&a, map, "commits", m->commits, m->commit_count));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_enclave_prepared_decode(clo_arena *a, clo_span in, clo_enclave_prepared *out)
{
    clo_wire_fields f;
    clo_enclave_prepared m = {0};
    const clo_wire_node *list = NULL;
    CLO_TRY(clo_enclave_body_read(a, in, "PREPARED", &f));
    clo_wire_take_bytes(&f, "statement", &m.statement, 33 * 1024);
    clo_wire_take_array(&f, "commits", &list, CLO_PARTIES_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(clo_enclave_spans_take(list, "PREPARED.commits", m.commits, CLO_PARTIES_MAX, &m.commit_count));
    *out = m;
    return CLO_OK;
}

clo_err clo_enclave_finish_encode(const clo_enclave_finish *m, clo_buf *out)
{
    CLO_CHECK(m->output_size <= CLO_ENCLAVE_OUTPUT_FILE_MAX, CLO_E_RANGE);
    CLO_CHECK(m->commit_count <= CLO_PARTIES_MAX, CLO_E_TOO_MANY);
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_enclave_body_begin(&a, CLO_PARTIES_MAX * CLO_ENCLAVE_COMMIT_MAX, &map));
    CLO_TRY(clo_wire_set_bytes(&a, map, "output", clo_span_of(m->output, 32)));
    CLO_TRY(clo_wire_set_int(&a, map, "output_size", (int64_t)m->output_size));
    CLO_TRY(clo_wire_set_bytes(&a, map, "statement", m->statement));
    CLO_TRY(clo_enclave_spans_set(&a, map, "commits", m->commits, m->commit_count));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_enclave_finish_decode(clo_arena *a, clo_span in, clo_enclave_finish *out)
{
    clo_wire_fields f;
    clo_enclave_finish m = {0};
    const clo_wire_node *list = NULL;
    int64_t size = 0;
    CLO_TRY(clo_enclave_body_read(a, in, "FINISH", &f));
    clo_wire_take_fixed(&f, "output", m.output, 32);
    clo_wire_take_int(&f, "output_size", &size, 1, CLO_ENCLAVE_OUTPUT_FILE_MAX);
    clo_wire_take_bytes(&f, "statement", &m.statement, 32 * 1024);
    clo_wire_take_array(&f, "commits", &list, CLO_PARTIES_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_TRY(clo_enclave_spans_take(list, "FINISH.commits", m.commits, CLO_PARTIES_MAX, &m.commit_count));
    m.output_size = (uint64_t)size;
    *out = m;
    return CLO_OK;
}

clo_err clo_enclave_failed_encode(const clo_enclave_failed *m, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *map = NULL, *d = NULL;
    CLO_TRY(clo_enclave_body_begin(&a, 8192, &map));
    CLO_TRY(clo_wire_set_int(&a, map, "code", (int64_t)m->code));
    CLO_TRY(cut_text_set(&a, map, "text", m->text));
    if (m->owner[0] != '\0') CLO_TRY(clo_wire_set_text(&a, map, "owner", m->owner));
    if (m->reference[0] != '\0') CLO_TRY(cut_text_set(&a, map, "reference", m->reference));
    if (m->have_denial) {
        CLO_TRY(clo_wire_map(&a, &d));
        CLO_TRY(cut_text_set(&a, d, "claim", m->denial.claim));
        CLO_TRY(cut_text_set(&a, d, "expected", m->denial.expected));
        CLO_TRY(cut_text_set(&a, d, "actual", m->denial.actual));
        CLO_TRY(cut_text_set(&a, d, "source", m->denial.source));
        CLO_TRY(cut_text_set(&a, d, "remedy", m->denial.remedy));
        CLO_TRY(clo_wire_set(&a, map, "denial", d));
    }
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_enclave_failed_decode(clo_arena *a, clo_span in, clo_enclave_failed *out)
{
    clo_wire_fields f;
    clo_enclave_failed m = {0};
    const clo_wire_node *denial = NULL;
    int64_t code = 0;
    CLO_TRY(clo_enclave_body_read(a, in, "FAILED", &f));
    clo_wire_take_int(&f, "code", &code, 1, UINT32_MAX);
    clo_wire_take_str(&f, "text", m.text, sizeof m.text);
    if (clo_wire_has(&f, "owner")) clo_wire_take_name(&f, "owner", m.owner);
    if (clo_wire_has(&f, "reference")) clo_wire_take_str(&f, "reference", m.reference, sizeof m.reference);
    if (clo_wire_has(&f, "denial")) clo_wire_take_map(&f, "denial", &denial);
    CLO_TRY(clo_wire_fields_end(&f));
    if (denial != NULL) {
        clo_wire_fields_open(&f, a, denial, "FAILED.denial");
        clo_wire_take_str(&f, "claim", m.denial.claim, sizeof m.denial.claim);
        clo_wire_take_str(&f, "expected", m.denial.expected, sizeof m.denial.expected);
        clo_wire_take_str(&f, "actual", m.denial.actual, sizeof m.denial.actual);
        clo_wire_take_str(&f, "source", m.denial.source, sizeof m.denial.source);
        clo_wire_take_str(&f, "remedy", m.denial.remedy, sizeof m.denial.remedy);
        CLO_TRY(clo_wire_fields_end(&f));
        m.have_denial = true;
    }
    m.code = (uint32_t)code;
    *out = m;
    return CLO_OK;
}

clo_err clo_enclave_host_error_encode(const clo_enclave_host_error *m, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a = {0};
    clo_wire_node *map = NULL;
    CLO_TRY(clo_enclave_body_begin(&a, 4096, &map));
    CLO_TRY(clo_wire_set_int(&a, map, "code", (int64_t)m->code));
    CLO_TRY(cut_text_set(&a, map, "text", m->text));
    return clo_wire_cbor_encode(map, out);
}

clo_err clo_enclave_host_error_decode(clo_arena *a, clo_span in, clo_enclave_host_error *out)
{
    clo_wire_fields f;
    clo_enclave_host_error m = {0};
    int64_t code = 0;
    CLO_TRY(clo_enclave_body_read(a, in, "ERROR", &f));
    clo_wire_take_int(&f, "code", &code, 1, UINT32_MAX);
    clo_wire_take_str(&f, "text", m.text, sizeof m.text);
    CLO_TRY(clo_wire_fields_end(&f));
    m.code = (uint32_t)code;
    *out = m;
    return CLO_OK;
}
