/* XML signatures (W3C XML-DSig) in the one shape that manifests use: an enveloped signature over the whole document, made with the key of an
 * X.509 chain that stands in it. Every other shape is refused: what is verified is then always the document itself. */
#ifndef CLO_WIRE_XML_SIGNATURE_H
#define CLO_WIRE_XML_SIGNATURE_H
#include "crypto/x509.h"
#include "wire/xml.h"
#ifdef __cplusplus
extern "C" {
#endif

#define CLO_XML_DSIG "http://www.w3.org/2000/09/xmldsig#"
enum { CLO_XML_CERTS_MAX = 8 };

typedef struct {
    size_t count;
    clo_span certs[CLO_XML_CERTS_MAX]; /* DER, in the file's order, the signer's first; of the arena; trusted by nobody yet */
} clo_wire_xml_signer;

/** The document's only element of the signature namespace outside itself is one Signature, the last child of the root: one Reference to the
 *  whole document (URI ""), transforms exactly enveloped-signature and at most one canonicalisation, SHA-256 or longer, ECDSA or RSA (PKCS #1)
 *  with the same, KeyInfo with certificates only. The digest is that of the document without the signature; the signature is the first
 *  certificate's. Whether that certificate may sign is the caller's question. Errors: MALFORMED (another shape), UNSUPPORTED (algorithm),
 *  BAD_SIGNATURE (digest or signature), TOO_LARGE, NOMEM. */
CLO_R clo_wire_xml_signature_verify(clo_arena *a, const clo_wire_xml *doc, clo_wire_xml_signer *out);

#ifdef __cplusplus
}
#endif
#endif
