/* XML documents of others, read with libxml2 and nothing of what XML can do beyond elements, attributes and text: no DTD, no entities but the
 * predefined ones, no processing instructions, no file, no network; depth 16, 1 MiB. And the canonical forms that signatures cover. */
#ifndef CLO_WIRE_XML_H
#define CLO_WIRE_XML_H
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { CLO_XML_MAX = 1024 * 1024, CLO_XML_DEPTH_MAX = 16, CLO_XML_ELEMENTS_MAX = 16384 };

typedef struct clo_wire_xml clo_wire_xml;
typedef struct clo_wire_xml_element clo_wire_xml_element; /* of a document, borrowed; never changed */

/** One UTF-8 document. Given to the caller. Errors: MALFORMED, TOO_LARGE, TOO_MANY (depth, elements), UNSUPPORTED (DTD, processing
 *  instruction), NOMEM. */
CLO_R clo_wire_xml_parse(clo_span in, clo_wire_xml **out);
void clo_wire_xml_free(clo_wire_xml **doc);
const clo_wire_xml_element *clo_wire_xml_root(const clo_wire_xml *doc);
/** First child element, next sibling element, the element around it; NULL where there is none. */
const clo_wire_xml_element *clo_wire_xml_child(const clo_wire_xml_element *e);
const clo_wire_xml_element *clo_wire_xml_next(const clo_wire_xml_element *e);
const clo_wire_xml_element *clo_wire_xml_parent(const clo_wire_xml_element *e);
/** Is it `name` in this namespace (NULL = in none)? name NULL: any name. */
bool clo_wire_xml_is(const clo_wire_xml_element *e, const char *space, const char *name);
/** The value of an attribute, borrowed; space NULL = the attribute has no prefix. p = NULL where it is absent. */
clo_span clo_wire_xml_attribute(const clo_wire_xml_element *e, const char *space, const char *name);
size_t clo_wire_xml_attribute_count(const clo_wire_xml_element *e);
/** The text of an element that has nothing else inside, not even a comment; borrowed, may be empty. Errors: MALFORMED. */
CLO_R clo_wire_xml_text(const clo_wire_xml_element *e, clo_span *out);
/** Nothing but child elements and white space inside? */
bool clo_wire_xml_only_elements(const clo_wire_xml_element *e);

typedef enum { CLO_XML_C14N_1_0, CLO_XML_C14N_EXCLUSIVE, CLO_XML_C14N_1_1 } clo_wire_xml_canonical_form;
/** Append the canonical form, without comments, of the document (subtree NULL) or of one element, leaving out the element `without` and
 *  all in it (may be NULL). Errors: TOO_LARGE, UNSUPPORTED, NOMEM. */
CLO_R clo_wire_xml_canonical(const clo_wire_xml *doc, const clo_wire_xml_element *subtree, const clo_wire_xml_element *without,
                             clo_wire_xml_canonical_form form, clo_buf *out);

#ifdef __cplusplus
}
#endif
#endif
