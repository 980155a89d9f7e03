/* Shared by the schema, the CSV reader and the table reader. */
#ifndef CLO_WIRE_TABLE_INT_H
#define CLO_WIRE_TABLE_INT_H
#include "wire/table.h"
#ifdef __cplusplus
extern "C" {
#endif

/** Fill order[count] with the indexes of codes in strcmp order. Errors: DUPLICATE. */
CLO_R clo_wire_codes_sort(const char *const *codes, size_t count, uint32_t *order);
/** Length of the decimal number (grammar of clo_f64_parse) at the start of text, and its correctly rounded value; 0 where there
 *  is none or it is beyond a double. */
size_t clo_wire_decimal_read(clo_span text, double *out);
/** The same for an integer of 64 bits with sign. */
size_t clo_wire_integer_read(clo_span text, int64_t *out);
static inline size_t clo_wire_bitmap_bytes(const clo_wire_schema *s) { return (s->column_count + 7) / 8; }

#ifdef __cplusplus
}
#endif
#endif
