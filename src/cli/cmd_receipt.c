/* cloister receipt verify, show: offline, one file and the roots. */
#include "cli/cli_int.h"

static clo_err set_hex(clo_cli *c, clo_wire_node *map, const char *key, const uint8_t *bytes, size_t n)
{
    return clo_wire_set_bytes(&c->arena, map, key, clo_span_of(bytes, n));
}

static clo_err statement_tree(clo_cli *c, const clo_collab_statement *s, clo_wire_node **out)
{
    clo_wire_node *map = NULL, *list = NULL;
    clo_arena *a = &c->arena;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(set_hex(c, map, "agreement", s->agreement, 32));
    CLO_TRY(clo_wire_set_int(a, map, "epoch", s->epoch));
    CLO_TRY(set_hex(c, map, "run_id", s->run_id, 16));
    CLO_TRY(clo_wire_set_text(a, map, "run", s->run));
    CLO_TRY(clo_wire_set_text(a, map, "program", s->program));
    CLO_TRY(set_hex(c, map, "program_digest", s->program_digest, 32));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < s->input_count; i++) {
        clo_wire_node *one = NULL;
        char rho[CLO_DP_RATIONAL_TEXT];
        clo_dp_rational_format(rho, s->inputs[i].rho);
        CLO_TRY(clo_wire_map(a, &one));
        CLO_TRY(set_hex(c, one, "id", s->inputs[i].id, 32));
        CLO_TRY(set_hex(c, one, "version", s->inputs[i].version, 32));
        CLO_TRY(clo_wire_set_text(a, one, "rho", rho));
        CLO_TRY(clo_wire_append(list, one));
    }
    CLO_TRY(clo_wire_set(a, map, "inputs", list));
    CLO_TRY(set_hex(c, map, "request", s->request, 32));
    CLO_TRY(set_hex(c, map, "output", s->output, 32));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < s->recipient_count; i++) {
        clo_wire_node *one = NULL;
        CLO_TRY(clo_wire_text(a, clo_span_str(s->recipients[i]), &one));
        CLO_TRY(clo_wire_append(list, one));
    }
    CLO_TRY(clo_wire_set(a, map, "recipients", list));
    CLO_TRY(clo_wire_set_text(a, map, "guards", s->guards));
    CLO_TRY(set_hex(c, map, "evidence", s->evidence, 32));
    CLO_TRY(clo_wire_set_text(a, map, "tee", s->tee));
    CLO_TRY(set_hex(c, map, "runtime", s->runtime, 32));
    CLO_TRY(clo_wire_set_time(&c->arena, map, "not_before", s->not_before));
    CLO_TRY(clo_wire_set_time(&c->arena, map, "not_after", s->not_after));
    *out = map;
    return CLO_OK;
}

static void say_statement(clo_cli *c, const clo_collab_statement *s)
{
    char id[65], agreement[65], output[65], from[21], to[21];
    clo_hex_encode(id, clo_span_of(s->run_id, 16));
    clo_hex_encode(agreement, clo_span_of(s->agreement, 32));
    clo_hex_encode(output, clo_span_of(s->output, 32));
    clo_time_format(from, s->not_before);
    clo_time_format(to, s->not_after);
    clo_cli_say(c, "run        %s (%s, program %s)\nagreement  %s, epoch %lld\n", id, s->run, s->program, agreement,
                (long long)s->epoch);
    for (size_t i = 0; i < s->input_count; i++) {
        char version[65], rho[CLO_DP_RATIONAL_TEXT];
        clo_hex_encode(version, clo_span_of(s->inputs[i].version, 32));
        clo_dp_rational_format(rho, s->inputs[i].rho);
        clo_cli_say(c, "input      version %.16s…, spent rho %s\n", version, rho);
    }
    clo_cli_say(c, "output     %s\n", output);
    for (size_t i = 0; i < s->recipient_count; i++) clo_cli_say(c, "recipient  %s\n", s->recipients[i]);
    clo_cli_say(c, "guards     %s\ntee        %s\ntime       %s to %s\n", s->guards, s->tee, from, to);
}

clo_err clo_cli_receipt_verify(clo_cli *c)
{
    clo_span file;
    void *memory = NULL;
    CLO_TRY(clo_cli_home(c));
    CLO_TRY(clo_cli_read(c, c->args[0], &file));
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_collab_roots), &memory));
    clo_collab_roots *roots = memory;
    CLO_TRY(clo_client_roots_load(&c->home, clo_cli_value(c, "--roots"), roots));
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_collab_receipt_verdict), &memory));
    clo_collab_receipt_verdict *v = memory;
    clo_err e = clo_collab_receipt_verify(&c->arena, file, roots, v);
    if (clo_failed(e)) return clo_err_prefix(e, c->args[0]);
    clo_wire_node *map = NULL, *list = NULL, *statement = NULL;
    clo_arena *a = &c->arena;
    CLO_TRY(clo_wire_map(a, &map));
    CLO_TRY(clo_wire_set_text(a, map, "verdict", v->valid ? "valid" : "invalid"));
    CLO_TRY(clo_wire_set_bool(a, map, "simulated", v->simulated));
    CLO_TRY(clo_wire_set_text(a, map, "agreement_title", v->agreement_title));
    CLO_TRY(clo_wire_set_int(a, map, "log_index", (int64_t)v->log_index));
    CLO_TRY(clo_wire_set_int(a, map, "log_size", (int64_t)v->log_size));
    CLO_TRY(clo_wire_set_time(&c->arena, map, "witnessed_at", (int64_t)v->witnessed_at));
    CLO_TRY(clo_wire_array(a, &list));
    for (size_t i = 0; i < v->check_count; i++) {
        clo_wire_node *one = NULL;
        CLO_TRY(clo_wire_map(a, &one));
        CLO_TRY(clo_wire_set_text(a, one, "name", v->checks[i].name));
        CLO_TRY(clo_wire_set_bool(a, one, "ok", v->checks[i].ok));
        CLO_TRY(clo_wire_set_text(a, one, "detail", v->checks[i].detail));
        CLO_TRY(clo_wire_append(list, one));
        if (!v->checks[i].ok || !c->quiet)
            clo_cli_say(c, "  %s  %-24s %s\n", v->checks[i].ok ? "ok " : "NO ", v->checks[i].name, v->checks[i].detail);
    }
    CLO_TRY(clo_wire_set(a, map, "checks", list));
    CLO_TRY(statement_tree(c, &v->statement, &statement));
    CLO_TRY(clo_wire_set(a, map, "statement", statement));
    clo_cli_say(c, "%s: %s%s\n", c->args[0], v->valid ? "VALID" : "NOT VALID",
                v->simulated ? " (software TEE: simulated, no protection from the operator)" : "");
    c->negative = !v->valid;
    return clo_cli_emit(c, map);
}

clo_err clo_cli_receipt_compare(clo_cli *c)
{
    clo_span one, two;
    clo_wire_node *map = NULL;
    clo_collab_receipt_comparison r;
    CLO_TRY(clo_cli_read(c, c->args[0], &one));
    CLO_TRY(clo_cli_read(c, c->args[1], &two));
    CLO_TRY(clo_collab_receipt_compare(&c->arena, one, two, &r));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "verdict", r.contradict ? "contradiction" : r.whole ? "consistent" : "undecided"));
    CLO_TRY(clo_wire_set_bool(&c->arena, map, "same_log", r.same_log));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "detail", r.detail));
    clo_cli_say(c, "%s: %s\n", r.contradict ? "CONTRADICTION" : r.whole ? "CONSISTENT" : "UNDECIDED", r.detail);
    c->negative = r.contradict;
    return clo_cli_emit(c, map);
}

clo_err clo_cli_receipt_show(clo_cli *c)
{
    clo_span file;
    void *memory = NULL;
    CLO_TRY(clo_cli_read(c, c->args[0], &file));
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_collab_receipt), &memory));
    clo_collab_receipt *r = memory;
    clo_err e = clo_collab_receipt_decode(&c->arena, file, r);
    if (clo_failed(e)) return clo_err_prefix(e, c->args[0]);
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_collab_statement), &memory));
    clo_collab_statement *s = memory;
    CLO_TRY(clo_collab_statement_open(&c->arena, r->statement, NULL, s));
    clo_wire_node *tree = NULL;
    CLO_TRY(statement_tree(c, s, &tree));
    say_statement(c, s);
    clo_cli_note(c, "This is what it says. Whether it is true: cloister receipt verify %s\n", c->args[0]);
    return clo_cli_emit(c, tree);
}
