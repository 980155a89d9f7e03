/* Reading XML: libxml2 behind the few things that are wanted of it. */
#include "wire/xml.h"

#include <libxml/c14n.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/tree.h>
#include <libxml/xmlerror.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clo_own.h"
#include "base/clo_text.h"

struct clo_wire_xml {
    xmlDocPtr doc;
};

/* What a parse ran into; the first finding counts. */
typedef struct {
    startElementNsSAX2Func start;
    size_t elements;
    bool deep, many, dtd, instruction, spaces; /* spaces: every prefix is declared */
} watch;

static void library_start(void) { xmlInitParser(); }

/* libxml2 would print to stderr; the sentences are ours. Its setting is the thread's, and perhaps another library's: it is put back. */
static void be_silent(void *data, xmlErrorPtr error)
{
    (void)data;
    (void)error;
}

typedef struct {
    xmlStructuredErrorFunc handler;
    void *data;
} error_setting;

static error_setting silence(void)
{
    error_setting before = {.handler = xmlStructuredError, .data = xmlStructuredErrorContext};
    xmlSetStructuredErrorFunc(NULL, be_silent);
    return before;
}

static void unsilence(const error_setting *before)
{
    xmlResetLastError();
    xmlSetStructuredErrorFunc(before->data, before->handler);
}

static watch *watch_of(void *context)
{
    xmlParserCtxtPtr c = context;
    return c->_private;
}

static void on_start(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int spaces, const xmlChar **space,
                     int attributes, int defaulted, const xmlChar **attribute)
{
    xmlParserCtxtPtr c = context;
    watch *w = watch_of(context);
    w->elements++;
    w->deep = w->deep || c->nodeNr >= CLO_XML_DEPTH_MAX;
    w->many = w->many || w->elements > CLO_XML_ELEMENTS_MAX;
    if (w->deep || w->many) {
        xmlStopParser(c);
        return;
    }
    w->start(context, name, prefix, uri, spaces, space, attributes, defaulted, attribute);
}

static void on_dtd(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name;
    (void)external;
    (void)system;
    watch_of(context)->dtd = true;
    xmlStopParser(context);
}

static void on_instruction(void *context, const xmlChar *target, const xmlChar *data)
{
    (void)target;
    (void)data;
    watch_of(context)->instruction = true;
    xmlStopParser(context);
}

static void doc_auto(xmlDocPtr *d) { xmlFreeDoc(*d); }

static xmlDocPtr parse(clo_span in, watch *w, bool *no_memory)
{
    xmlParserCtxtPtr c = xmlNewParserCtxt();
    *no_memory = c == NULL;
    if (c == NULL) return NULL;
    w->start = c->sax->startElementNs;
    c->sax->startElementNs = on_start;
    c->sax->internalSubset = on_dtd;
    c->sax->processingInstruction = on_instruction;
    c->_private = w;
    xmlDocPtr doc = xmlCtxtReadMemory(c, (const char *)in.p, (int)in.n, NULL, "UTF-8",
                                      XML_PARSE_NONET | XML_PARSE_NOENT | XML_PARSE_NOCDATA | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    *no_memory = doc == NULL && c->errNo == XML_ERR_NO_MEMORY;
    w->spaces = c->wellFormed == 1 && c->nsWellFormed == 1;
    xmlFreeParserCtxt(c);
    return doc;
}

CLO_R clo_wire_xml_parse(clo_span in, clo_wire_xml **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CLO_CHECK(pthread_once(&once, library_start) == 0, CLO_E_NOMEM);
    CLO_CHECKF(in.n != 0 && in.n <= CLO_XML_MAX, CLO_E_TOO_LARGE, "an XML document has between 1 byte and 1 MiB");
    CLO_CHECKF(clo_utf8_valid(in) && memchr(in.p, 0, in.n) == NULL, CLO_E_MALFORMED, "the XML document is not UTF-8 text");
    watch w = {.elements = 0};
    bool no_memory = false;
    error_setting before = silence();
    CLO_AUTO(doc_auto) xmlDocPtr doc = parse(in, &w, &no_memory);
    unsilence(&before);
    CLO_CHECK(!no_memory, CLO_E_NOMEM);
    CLO_CHECKF(!w.dtd, CLO_E_UNSUPPORTED, "the XML document has a document type; entities and defaults are not accepted");
    CLO_CHECKF(!w.instruction, CLO_E_UNSUPPORTED, "the XML document has a processing instruction");
    CLO_CHECKF(!w.deep, CLO_E_TOO_MANY, "the XML document nests deeper than %d elements", (int)CLO_XML_DEPTH_MAX);
    CLO_CHECKF(!w.many, CLO_E_TOO_MANY, "the XML document has more than %d elements", (int)CLO_XML_ELEMENTS_MAX);
    CLO_CHECKF(doc != NULL && w.spaces && xmlDocGetRootElement(doc) != NULL && doc->intSubset == NULL && doc->extSubset == NULL, CLO_E_MALFORMED,
               "the bytes are not a well-formed XML document");
    clo_wire_xml *made = calloc(1, sizeof *made);
    CLO_CHECK(made != NULL, CLO_E_NOMEM);
    made->doc = CLO_TAKE(doc);
    *out = made;
    return CLO_OK;
}

void clo_wire_xml_free(clo_wire_xml **doc)
{
    if (*doc == NULL) return;
    xmlFreeDoc((*doc)->doc);
    free(*doc);
    *doc = NULL;
}

/* Elements are libxml2's nodes under another name. */
static const xmlNode *node_of(const clo_wire_xml_element *e) { return (const xmlNode *)(const void *)e; }

static const clo_wire_xml_element *element_from(const xmlNode *n)
{
    while (n != NULL && n->type != XML_ELEMENT_NODE) n = n->next;
    return (const clo_wire_xml_element *)(const void *)n;
}

const clo_wire_xml_element *clo_wire_xml_root(const clo_wire_xml *doc) { return element_from(xmlDocGetRootElement(doc->doc)); }

const clo_wire_xml_element *clo_wire_xml_child(const clo_wire_xml_element *e) { return element_from(node_of(e)->children); }

const clo_wire_xml_element *clo_wire_xml_next(const clo_wire_xml_element *e) { return element_from(node_of(e)->next); }

const clo_wire_xml_element *clo_wire_xml_parent(const clo_wire_xml_element *e)
{
    const xmlNode *up = node_of(e)->parent;
    return up != NULL && up->type == XML_ELEMENT_NODE ? (const clo_wire_xml_element *)(const void *)up : NULL;
}

static bool same(const xmlChar *have, const char *want) { return strcmp((const char *)have, want) == 0; }

static bool in_space(const xmlNs *ns, const char *space)
{
    if (space == NULL) return ns == NULL;
    return ns != NULL && ns->href != NULL && same(ns->href, space);
}

bool clo_wire_xml_is(const clo_wire_xml_element *e, const char *space, const char *name)
{
    const xmlNode *n = node_of(e);
    return in_space(n->ns, space) && (name == NULL || same(n->name, name));
}

clo_span clo_wire_xml_attribute(const clo_wire_xml_element *e, const char *space, const char *name)
{
    for (const xmlAttr *a = node_of(e)->properties; a != NULL; a = a->next) {
        if (!in_space(a->ns, space) || !same(a->name, name)) continue;
        const xmlNode *text = a->children;
        if (text == NULL) return clo_span_of("", 0);
        /* One text node: entities other than the predefined ones cannot occur. */
        if (text->type != XML_TEXT_NODE || text->next != NULL || text->content == NULL) break;
        return clo_span_str((const char *)text->content);
    }
    return clo_span_of(NULL, 0);
}

size_t clo_wire_xml_attribute_count(const clo_wire_xml_element *e)
{
    size_t n = 0;
    for (const xmlAttr *a = node_of(e)->properties; a != NULL; a = a->next) n++;
    return n;
}

CLO_R clo_wire_xml_text(const clo_wire_xml_element *e, clo_span *out)
{
    const xmlNode *text = node_of(e)->children;
    if (text == NULL) {
        *out = clo_span_of("", 0);
        return CLO_OK;
    }
    CLO_CHECKF(text->type == XML_TEXT_NODE && text->next == NULL && text->content != NULL, CLO_E_MALFORMED,
               "XML element %.40s holds more than text", (const char *)node_of(e)->name);
    *out = clo_span_str((const char *)text->content);
    return CLO_OK;
}

bool clo_wire_xml_only_elements(const clo_wire_xml_element *e)
{
    for (const xmlNode *n = node_of(e)->children; n != NULL; n = n->next) {
        if (n->type == XML_ELEMENT_NODE) continue;
        if (n->type != XML_TEXT_NODE || xmlIsBlankNode(n) != 1) return false;
    }
    return true;
}

typedef struct {
    const xmlNode *subtree, *without;
} part;

/* Attributes and namespaces are seen with their element; everything else with what it stands in. */
static int visible(void *data, xmlNodePtr node, xmlNodePtr parent)
{
    const part *p = data;
    const xmlNode *n = node->type == XML_ATTRIBUTE_NODE || node->type == XML_NAMESPACE_DECL ? parent : node;
    bool inside = p->subtree == NULL;
    for (; n != NULL && n->type != XML_DOCUMENT_NODE; n = n->parent) {
        if (n == p->without) return 0;
        inside = inside || n == p->subtree;
    }
    return inside ? 1 : 0;
}

static void output_auto(xmlOutputBufferPtr *o)
{
    if (*o != NULL) (void)xmlOutputBufferClose(*o);
}

CLO_R clo_wire_xml_canonical(const clo_wire_xml *doc, const clo_wire_xml_element *subtree, const clo_wire_xml_element *without,
                             clo_wire_xml_canonical_form form, clo_buf *out)
{
    int mode = form == CLO_XML_C14N_1_0 ? XML_C14N_1_0 : form == CLO_XML_C14N_1_1 ? XML_C14N_1_1 : XML_C14N_EXCLUSIVE_1_0;
    part p = {.subtree = subtree == NULL ? NULL : node_of(subtree), .without = without == NULL ? NULL : node_of(without)};
    CLO_AUTO(output_auto) xmlOutputBufferPtr o = xmlAllocOutputBuffer(NULL);
    CLO_CHECK(o != NULL, CLO_E_NOMEM);
    error_setting before = silence();
    int n = xmlC14NExecute(doc->doc, visible, &p, mode, NULL, 0, o);
    unsilence(&before);
    CLO_CHECKF(n >= 0, CLO_E_UNSUPPORTED, "the XML document has no canonical form (a relative namespace name)");
    return clo_buf_put(out, xmlOutputBufferGetContent(o), xmlOutputBufferGetSize(o));
}
