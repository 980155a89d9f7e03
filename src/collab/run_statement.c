/* The runtime's statement about a run. */
#include <stdio.h>

#include "base/clo_own.h"
#include "collab/collab_int.h"

static clo_err inputs_tree(clo_arena *a, const clo_collab_statement *s, clo_wire_node **out)
{
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < s->input_count; i++) {
        clo_wire_node *input = NULL;
        CLO_TRY(clo_wire_map(a, &input));
        CLO_TRY(clo_collab_set_fixed(a, input, "id", s->inputs[i].id, sizeof s->inputs[i].id));
        CLO_TRY(clo_collab_set_fixed(a, input, "version", s->inputs[i].version, sizeof s->inputs[i].version));
        CLO_TRY(clo_collab_set_rho(a, input, "rho", s->inputs[i].rho));
        CLO_TRY(clo_wire_append(list, input));
    }
    *out = list;
    return CLO_OK;
}

static clo_err statement_tree(clo_arena *a, const clo_collab_statement *s, clo_wire_node **out)
{
    CLO_CHECK(s->input_count <= CLO_DATASETS_MAX && s->recipient_count <= CLO_PARTIES_MAX, CLO_E_BUG);
    clo_wire_node *map = NULL, *inputs = NULL;
    CLO_TRY(clo_collab_map_new(a, CLO_FORMAT_STATEMENT, &map));
    CLO_TRY(clo_collab_set_fixed(a, map, "agreement", s->agreement, sizeof s->agreement));
    CLO_TRY(clo_wire_set_int(a, map, "epoch", s->epoch));
    CLO_TRY(clo_collab_set_fixed(a, map, "run_id", s->run_id, sizeof s->run_id));
    CLO_TRY(clo_wire_set_text(a, map, "run", s->run));
    CLO_TRY(clo_wire_set_text(a, map, "program", s->program));
    CLO_TRY(clo_collab_set_fixed(a, map, "program_digest", s->program_digest, sizeof s->program_digest));
    CLO_TRY(inputs_tree(a, s, &inputs));
    CLO_TRY(clo_wire_set(a, map, "inputs", inputs));
    CLO_TRY(clo_collab_set_fixed(a, map, "request", s->request, sizeof s->request));
    CLO_TRY(clo_collab_set_fixed(a, map, "output", s->output, sizeof s->output));
    CLO_TRY(clo_collab_set_names(a, map, "recipients", s->recipients, s->recipient_count));
    CLO_TRY(clo_wire_set_text(a, map, "guards", s->guards));
    CLO_TRY(clo_collab_set_fixed(a, map, "evidence", s->evidence, sizeof s->evidence));
    CLO_TRY(clo_wire_set_text(a, map, "tee", s->tee));
    CLO_TRY(clo_collab_set_fixed(a, map, "runtime", s->runtime, sizeof s->runtime));
    CLO_TRY(clo_wire_set_int(a, map, "not_before", s->not_before));
    CLO_TRY(clo_wire_set_int(a, map, "not_after", s->not_after));
    *out = map;
    return CLO_OK;
}

clo_err clo_collab_statement_sign(const clo_collab_statement *s, const clo_crypto_private_key *runtime, clo_buf *out)
{
    CLO_AUTO(clo_arena_free) clo_arena a;
    clo_arena_init(&a, 256 * 1024);
    clo_wire_node *map = NULL;
    CLO_TRY(statement_tree(&a, s, &map));
    return clo_collab_map_sign(map, runtime, CLO_TYPE_STATEMENT, out);
}

static clo_err inputs_read(clo_arena *a, const clo_wire_node *list, clo_collab_statement *s)
{
    for (const clo_wire_node *n = list->first; n != NULL; n = n->next, s->input_count++) {
        char what[48];
        (void)snprintf(what, sizeof what, "statement.inputs[%zu]", s->input_count);
        clo_wire_fields f;
        clo_wire_fields_open(&f, a, n, what);
        clo_wire_take_fixed(&f, "id", s->inputs[s->input_count].id, 32);
        clo_wire_take_fixed(&f, "version", s->inputs[s->input_count].version, 32);
        clo_collab_take_rho(&f, "rho", &s->inputs[s->input_count].rho);
        CLO_TRY(clo_wire_fields_end(&f));
    }
    return CLO_OK;
}

static clo_err statement_read(clo_arena *a, const clo_wire_node *map, clo_collab_statement *s)
{
    const clo_wire_node *inputs = NULL;
    clo_wire_fields f;
    clo_wire_fields_open(&f, a, map, "statement");
    clo_collab_take_format(&f, CLO_FORMAT_STATEMENT);
    clo_wire_take_fixed(&f, "agreement", s->agreement, sizeof s->agreement);
    clo_wire_take_int(&f, "epoch", &s->epoch, 1, INT32_MAX);
    clo_wire_take_fixed(&f, "run_id", s->run_id, sizeof s->run_id);
    clo_wire_take_name(&f, "run", s->run);
    clo_wire_take_name(&f, "program", s->program);
    clo_wire_take_fixed(&f, "program_digest", s->program_digest, sizeof s->program_digest);
    clo_wire_take_array(&f, "inputs", &inputs, CLO_DATASETS_MAX);
    clo_wire_take_fixed(&f, "request", s->request, sizeof s->request);
    clo_wire_take_fixed(&f, "output", s->output, sizeof s->output);
    clo_collab_take_names(&f, "recipients", s->recipients, CLO_PARTIES_MAX, &s->recipient_count);
    clo_wire_take_str(&f, "guards", s->guards, sizeof s->guards);
    clo_wire_take_fixed(&f, "evidence", s->evidence, sizeof s->evidence);
    clo_wire_take_str(&f, "tee", s->tee, sizeof s->tee);
    clo_wire_take_fixed(&f, "runtime", s->runtime, sizeof s->runtime);
    clo_wire_take_int(&f, "not_before", &s->not_before, 0, INT64_MAX);
    clo_wire_take_int(&f, "not_after", &s->not_after, 0, INT64_MAX);
    CLO_TRY(clo_wire_fields_end(&f));
    CLO_CHECKF(s->not_before <= s->not_after, CLO_E_RANGE, "the statement's time bounds are reversed");
    return inputs_read(a, inputs, s);
}

clo_err clo_collab_statement_open(clo_arena *a, clo_span in, const clo_crypto_public_key *runtime, clo_collab_statement *out)
{
    clo_wire_cose *cose = NULL;
    clo_wire_node *map = NULL, *again = NULL;
    CLO_TRY(clo_collab_map_open(a, in, CLO_TYPE_STATEMENT, "the statement", &cose, &map));
    clo_collab_statement s;
    memset(&s, 0, sizeof s);
    CLO_TRY(statement_read(a, map, &s));
    clo_crypto_public_key own;
    CLO_TRY(clo_crypto_public_key_parse(CLO_SIGN_ED25519, clo_span_of(s.runtime, sizeof s.runtime), &own));
    CLO_CHECKF(runtime == NULL || clo_crypto_public_key_equal(&own, runtime), CLO_E_BAD_SIGNATURE,
               "the statement names another runtime key");
    CLO_TRY(clo_collab_map_verify(cose, &own, "the statement"));
    CLO_TRY(statement_tree(a, &s, &again));
    CLO_TRY(clo_collab_require_canonical(again, cose->payload, "the statement"));
    *out = s;
    return CLO_OK;
}
