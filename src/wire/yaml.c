/* YAML by libyaml into the tree: one document of maps, lists and scalars; the schema types every scalar. */
#include <stdlib.h>
#include <yaml.h>

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "wire/json.h"
#include "wire/wire_int.h"

enum { YAML_NODES_MAX = 65536 };

typedef struct {
    yaml_parser_t parser;
    clo_arena *arena;
    size_t nodes_left;
} reader;

static unsigned line_of(yaml_mark_t m) { return (unsigned)(m.line < 0x7fffffffu ? m.line + 1 : 0); }

static clo_err next_event(reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event) != 0) return CLO_OK;
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) return CLO_FAIL(CLO_E_NOMEM);
    const char *problem = p->problem != NULL ? p->problem : "it cannot be read";
    yaml_mark_t at = p->error == YAML_READER_ERROR ? p->mark : p->problem_mark;
    return CLO_FAILF(CLO_E_MALFORMED, "YAML line %u, column %u: %s", line_of(at), (unsigned)at.column + 1, problem);
}

static void event_free(yaml_event_t *e) { yaml_event_delete(e); }
static void parser_free(reader *r) { yaml_parser_delete(&r->parser); }

/* Refuse what would let the text mean more than it shows. */
static clo_err check_plainness(const void *anchor, const void *tag, unsigned line)
{
    CLO_CHECKF(anchor == NULL, CLO_E_UNSUPPORTED, "YAML line %u: anchors (&) are not accepted; write the value out", line);
    CLO_CHECKF(tag == NULL, CLO_E_UNSUPPORTED, "YAML line %u: tags (!) are not accepted; remove it", line);
    return CLO_OK;
}

static clo_err read_node(reader *r, yaml_event_t *event, unsigned depth, clo_wire_node **out);

static clo_err read_scalar(reader *r, const yaml_event_t *event, clo_wire_node **out)
{
    unsigned line = line_of(event->start_mark);
    CLO_TRY(check_plainness(event->data.scalar.anchor, event->data.scalar.tag, line));
    clo_span text = clo_span_of(event->data.scalar.value, event->data.scalar.length);
    CLO_CHECKF(text.n == 0 || memchr(text.p, 0, text.n) == NULL, CLO_E_MALFORMED, "YAML line %u: a zero byte is in the text",
               line);
    clo_wire_node *n = NULL;
    CLO_TRY(clo_wire_text(r->arena, text, &n));
    n->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    *out = n;
    return CLO_OK;
}

static clo_err read_sequence(reader *r, unsigned depth, clo_wire_node *list)
{
    for (;;) {
        CLO_AUTO(event_free) yaml_event_t event = {0};
        CLO_TRY(next_event(r, &event));
        if (event.type == YAML_SEQUENCE_END_EVENT) return CLO_OK;
        clo_wire_node *child = NULL;
        CLO_TRY(read_node(r, &event, depth + 1, &child));
        clo_wire_link(list, child);
    }
}

static clo_err read_mapping(reader *r, unsigned depth, clo_wire_node *map)
{
    for (;;) {
        CLO_AUTO(event_free) yaml_event_t key_event = {0};
        CLO_TRY(next_event(r, &key_event));
        if (key_event.type == YAML_MAPPING_END_EVENT) break;
        unsigned line = line_of(key_event.start_mark);
        CLO_CHECKF(key_event.type == YAML_SCALAR_EVENT, CLO_E_UNSUPPORTED, "YAML line %u: a key must be text", line);
        clo_wire_node *key = NULL, *value = NULL;
        CLO_TRY(read_node(r, &key_event, depth + 1, &key));
        CLO_CHECKF(!key->plain || !clo_span_equal(key->text, clo_span_str("<<")), CLO_E_UNSUPPORTED,
                   "YAML line %u: merge keys (<<) are not accepted; write the members out", line);
        CLO_AUTO(event_free) yaml_event_t event = {0};
        CLO_TRY(next_event(r, &event));
        CLO_TRY(read_node(r, &event, depth + 1, &value));
        value->key = key;
        clo_wire_link(map, value);
    }
    char what[32];
    (void)snprintf(what, sizeof what, "YAML line %u", map->line);
    return clo_wire_map_check_unique(map, what);
}

static clo_err read_node(reader *r, yaml_event_t *event, unsigned depth, clo_wire_node **out)
{
    unsigned line = line_of(event->start_mark);
    CLO_CHECKF(depth < CLO_WIRE_DEPTH_MAX, CLO_E_TOO_MANY, "YAML line %u: nests deeper than %d levels", line, CLO_WIRE_DEPTH_MAX);
    CLO_CHECKF(r->nodes_left > 0, CLO_E_TOO_MANY, "YAML line %u: more than %d values", line, YAML_NODES_MAX);
    r->nodes_left--;
    clo_wire_node *n = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        CLO_TRY(read_scalar(r, event, &n));
        n->line = line;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        CLO_TRY(check_plainness(event->data.sequence_start.anchor, event->data.sequence_start.tag, line));
        CLO_TRY(clo_wire_array(r->arena, &n));
        n->line = line;
        CLO_TRY(read_sequence(r, depth, n));
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        CLO_TRY(check_plainness(event->data.mapping_start.anchor, event->data.mapping_start.tag, line));
        CLO_TRY(clo_wire_map(r->arena, &n));
        n->line = line;
        CLO_TRY(read_mapping(r, depth, n));
    } else {
        return CLO_FAILF(CLO_E_UNSUPPORTED, "YAML line %u: aliases (*) are not accepted; write the value out", line);
    }
    *out = n;
    return CLO_OK;
}

static clo_err expect(reader *r, yaml_event_type_t type, uint32_t code, const char *sentence)
{
    CLO_AUTO(event_free) yaml_event_t event = {0};
    CLO_TRY(next_event(r, &event));
    CLO_CHECKF(event.type == type, code, "YAML line %u: %s", line_of(event.start_mark), sentence);
    if (type == YAML_DOCUMENT_START_EVENT)
        CLO_CHECKF(event.data.document_start.tag_directives.start == event.data.document_start.tag_directives.end,
                   CLO_E_UNSUPPORTED, "YAML line %u: tag directives are not accepted; remove them", line_of(event.start_mark));
    return CLO_OK;
}

clo_err clo_wire_yaml_decode(clo_arena *a, clo_span in, clo_wire_node **out)
{
    CLO_CHECKF(clo_utf8_valid(in), CLO_E_MALFORMED, "the YAML text is not valid UTF-8");
    CLO_AUTO(parser_free) reader r = {.arena = a, .nodes_left = YAML_NODES_MAX};
    CLO_CHECK(yaml_parser_initialize(&r.parser) != 0, CLO_E_NOMEM);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, in.n != 0 ? in.p : (const unsigned char *)"", in.n);
    CLO_TRY(expect(&r, YAML_STREAM_START_EVENT, CLO_E_MALFORMED, "the stream does not begin"));
    CLO_TRY(expect(&r, YAML_DOCUMENT_START_EVENT, CLO_E_TRUNCATED, "there is no document"));
    clo_wire_node *root = NULL;
    {
        CLO_AUTO(event_free) yaml_event_t event = {0};
        CLO_TRY(next_event(&r, &event));
        CLO_TRY(read_node(&r, &event, 0, &root));
    }
    CLO_TRY(expect(&r, YAML_DOCUMENT_END_EVENT, CLO_E_MALFORMED, "the document does not end"));
    CLO_TRY(expect(&r, YAML_STREAM_END_EVENT, CLO_E_TRAILING, "a second document follows; keep one"));
    *out = root;
    return CLO_OK;
}
