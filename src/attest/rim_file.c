/* Reading a RIM file. What is read is the document whose signature was just checked; nothing is looked up anywhere else in it. */
#include "attest/rim_file.h"

#include "base/clo_own.h"
#include "base/clo_text.h"

#include <stdio.h>

#define SWID "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
#define SHA384_SPACE "http://www.w3.org/2001/04/xmlenc#sha384"

enum { DIGEST_MIN = 32, DIGEST_MAX = 64 };

/* The only child of this name; NULL where there is none or more than one. */
static const clo_wire_xml_element *only_child(const clo_wire_xml_element *e, const char *name)
{
    const clo_wire_xml_element *found = NULL;
    for (const clo_wire_xml_element *n = clo_wire_xml_child(e); n != NULL; n = clo_wire_xml_next(n)) {
        if (!clo_wire_xml_is(n, SWID, name)) continue;
        if (found != NULL) return NULL;
        found = n;
    }
    return found;
}

static clo_err number_of(const clo_wire_xml_element *e, const char *name, uint64_t max, uint64_t *out)
{
    CLO_CHECKF(!clo_failed(clo_u64_parse(out, clo_wire_xml_attribute(e, NULL, name))) && *out <= max, CLO_E_MALFORMED,
               "a measurement of the RIM has no usable %s", name);
    return CLO_OK;
}

static clo_err take_values(clo_arena *a, const clo_wire_xml_element *e, size_t size, size_t count, clo_attest_rim_measurement *m)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_array(a, count, sizeof(clo_span), &memory));
    clo_span *values = memory;
    for (size_t i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "Hash%zu", i);
        clo_span text = clo_wire_xml_attribute(e, SHA384_SPACE, name);
        CLO_CHECKF(text.p != NULL && text.n == 2 * size, CLO_E_MALFORMED, "a measurement of the RIM lacks one of its %zu values", count);
        CLO_TRY(clo_arena_alloc(a, size, &memory));
        CLO_TRY(clo_hex_decode(memory, size, text));
        values[i] = clo_span_of(memory, size);
    }
    m->values = values;
    m->count = count;
    return CLO_OK;
}

static clo_err take_measurement(clo_arena *a, const clo_wire_xml_element *e, clo_attest_rim *out)
{
    uint64_t index = 0, size = 0, count = 0;
    CLO_TRY(number_of(e, "index", CLO_ATTEST_RIM_INDEXES - 1, &index));
    clo_attest_rim_measurement *m = &out->measurements[index];
    CLO_CHECKF(!m->there, CLO_E_DUPLICATE, "the RIM has measurement %u twice", (unsigned)index);
    m->there = true;
    clo_span active = clo_wire_xml_attribute(e, NULL, "active");
    m->active = clo_span_equal(active, clo_span_str("True"));
    CLO_CHECKF(m->active || clo_span_equal(active, clo_span_str("False")), CLO_E_MALFORMED,
               "measurement %u of the RIM is neither active nor inactive", (unsigned)index);
    if (!m->active) return CLO_OK;
    CLO_TRY(number_of(e, "size", DIGEST_MAX, &size));
    CLO_TRY(number_of(e, "alternatives", CLO_ATTEST_RIM_ALTERNATIVES_MAX, &count));
    CLO_CHECKF(size >= DIGEST_MIN && count != 0, CLO_E_MALFORMED, "measurement %u of the RIM allows nothing", (unsigned)index);
    out->active++;
    return take_values(a, e, (size_t)size, (size_t)count, m);
}

static clo_err take_document(clo_arena *a, const clo_wire_xml *doc, clo_attest_rim *out)
{
    const clo_wire_xml_element *root = clo_wire_xml_root(doc);
    CLO_CHECKF(clo_wire_xml_is(root, SWID, "SoftwareIdentity"), CLO_E_MALFORMED, "the document is no SWID tag");
    const clo_wire_xml_element *meta = only_child(root, "Meta"), *payload = only_child(root, "Payload");
    CLO_CHECKF(meta != NULL && payload != NULL, CLO_E_MALFORMED, "the RIM has not exactly one Meta and one Payload");
    CLO_TRY(clo_str_set(out->name, sizeof out->name, clo_wire_xml_attribute(root, NULL, "name")));
    CLO_TRY(clo_str_set(out->tag_id, sizeof out->tag_id, clo_wire_xml_attribute(root, NULL, "tagId")));
    CLO_TRY(clo_str_set(out->product, sizeof out->product, clo_wire_xml_attribute(meta, NULL, "product")));
    CLO_TRY(clo_str_set(out->version, sizeof out->version, clo_wire_xml_attribute(meta, NULL, "colloquialVersion")));
    CLO_CHECKF(out->version[0] != '\0', CLO_E_MALFORMED, "the RIM does not say which version it is for");
    for (const clo_wire_xml_element *e = clo_wire_xml_child(payload); e != NULL; e = clo_wire_xml_next(e)) {
        clo_span type = clo_wire_xml_attribute(e, NULL, "type");
        CLO_CHECKF(clo_wire_xml_is(e, SWID, "Resource"), CLO_E_MALFORMED, "the RIM's payload holds something else than resources");
        if (clo_span_equal(type, clo_span_str("Measurement"))) CLO_TRY(take_measurement(a, e, out));
    }
    CLO_CHECKF(out->active != 0, CLO_E_MALFORMED, "the RIM has no active measurement");
    return CLO_OK;
}

CLO_R clo_attest_rim_read(clo_arena *a, clo_span xml, clo_attest_rim *out)
{
    CLO_AUTO(clo_wire_xml_free) clo_wire_xml *doc = NULL;
    memset(out, 0, sizeof *out);
    CLO_TRY(clo_wire_xml_parse(xml, &doc));
    clo_err e = clo_wire_xml_signature_verify(a, doc, &out->signer);
    if (!clo_failed(e)) e = take_document(a, doc, out);
    if (clo_failed(e)) memset(out, 0, sizeof *out);
    return e;
}
