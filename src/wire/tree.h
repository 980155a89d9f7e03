/* One tree for every outside format: JSON, YAML and CBOR are read into it and written from it.
 *
 * A node is owned by the arena it was made in. Maps keep the order of insertion; the CBOR writer sorts. */
#ifndef CLO_WIRE_TREE_H
#define CLO_WIRE_TREE_H
#include "base/clo_arena.h"
#include "base/clo_buf.h"
#include "base/clo_err.h"
#include "base/clo_span.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CLO_WIRE_NULL,
    CLO_WIRE_BOOL,
    CLO_WIRE_INT,   /* int64_t */
    CLO_WIRE_FLOAT, /* finite double */
    CLO_WIRE_TEXT,  /* valid UTF-8 */
    CLO_WIRE_BYTES,
    CLO_WIRE_ARRAY,
    CLO_WIRE_MAP,
    CLO_WIRE_TAG, /* CBOR tag: first child is the content */
} clo_wire_type;

typedef struct clo_wire_node clo_wire_node;
struct clo_wire_node {
    clo_wire_type type;
    unsigned line; /* of the source text, from 1; 0 = unknown */
    bool plain;    /* YAML plain (unquoted) scalar: TEXT whose type the schema decides */
    bool boolean;
    int64_t integer;
    double number;
    uint64_t tag;
    clo_span text;                      /* TEXT and BYTES; TEXT has a zero byte behind it */
    clo_wire_node *key;                 /* of a map's member: TEXT (or INT, COSE headers) */
    clo_wire_node *first, *last, *next; /* children of ARRAY, MAP (the values), TAG; siblings */
    size_t count;                       /* children */
};

enum { CLO_WIRE_DEPTH_MAX = 32 };

/* Building. Each returns a node owned by the arena. */
CLO_R clo_wire_null(clo_arena *a, clo_wire_node **out);
CLO_R clo_wire_bool(clo_arena *a, bool v, clo_wire_node **out);
CLO_R clo_wire_int(clo_arena *a, int64_t v, clo_wire_node **out);
CLO_R clo_wire_float(clo_arena *a, double v, clo_wire_node **out);
CLO_R clo_wire_text(clo_arena *a, clo_span v, clo_wire_node **out);  /* copied; MALFORMED where not UTF-8 */
CLO_R clo_wire_bytes(clo_arena *a, clo_span v, clo_wire_node **out); /* copied */
CLO_R clo_wire_array(clo_arena *a, clo_wire_node **out);
CLO_R clo_wire_map(clo_arena *a, clo_wire_node **out);
CLO_R clo_wire_tag(clo_arena *a, uint64_t tag, clo_wire_node *content, clo_wire_node **out);
CLO_R clo_wire_append(clo_wire_node *array, clo_wire_node *value);
/** Add a member (DUPLICATE where the key is there). The key text is copied. */
CLO_R clo_wire_set(clo_arena *a, clo_wire_node *map, const char *key, clo_wire_node *value);
CLO_R clo_wire_set_int_key(clo_arena *a, clo_wire_node *map, int64_t key, clo_wire_node *value);
/* Shorthands for the common member kinds. */
CLO_R clo_wire_set_text(clo_arena *a, clo_wire_node *map, const char *key, const char *v);
CLO_R clo_wire_set_bytes(clo_arena *a, clo_wire_node *map, const char *key, clo_span v);
CLO_R clo_wire_set_int(clo_arena *a, clo_wire_node *map, const char *key, int64_t v);
CLO_R clo_wire_set_float(clo_arena *a, clo_wire_node *map, const char *key, double v);
CLO_R clo_wire_set_bool(clo_arena *a, clo_wire_node *map, const char *key, bool v);
/** Seconds since 1970 as text, "YYYY-MM-DDThh:mm:ssZ". */
CLO_R clo_wire_set_time(clo_arena *a, clo_wire_node *map, const char *key, int64_t seconds);
/** The five words of a denial: claim, expected, actual, source, remedy. */
CLO_R clo_wire_set_denial(clo_arena *a, clo_wire_node *map, const clo_denial *d);
/** Member's value or NULL. */
clo_wire_node *clo_wire_get(const clo_wire_node *map, const char *key);
clo_wire_node *clo_wire_get_int_key(const clo_wire_node *map, int64_t key);
/** Replace every BYTES node by its lower-case hex TEXT (for JSON output), in place. */
CLO_R clo_wire_hexify(clo_arena *a, clo_wire_node *node);

/* Reading an object by schema: open a map, take each member by name and type, close it. The cursor latches its first error
 * (with the path and the line), so only `end` must be looked at; `end` also refuses members that nobody took.
 * Plain YAML scalars convert by the type asked for; TEXT is accepted as hex where BYTES are asked for; nothing else converts. */
typedef struct {
    const clo_wire_node *map;
    clo_arena *arena;
    char path[160];
    uint64_t taken; /* bit per member index; maps read by schema have at most 64 members */
    clo_err err;
    char text[320]; /* the sentence of err */
} clo_wire_fields;
/** `what` names the object in messages: "agreement.parties[2]". node may be NULL (then every required member is missing). */
void clo_wire_fields_open(clo_wire_fields *f, clo_arena *arena, const clo_wire_node *node, const char *what);
/** Required members. On error the out is zeroed; texts, lists and maps are then empty, never NULL. */
void clo_wire_take_text(clo_wire_fields *f, const char *key, const char **out, size_t bytes_max);
void clo_wire_take_str(clo_wire_fields *f, const char *key, char *to, size_t to_size); /* into a fixed array */
void clo_wire_take_name(clo_wire_fields *f, const char *key, char to[64]);             /* clo_name_valid */
void clo_wire_take_bytes(clo_wire_fields *f, const char *key, clo_span *out, size_t bytes_max);
void clo_wire_take_fixed(clo_wire_fields *f, const char *key, void *to, size_t n); /* exactly n bytes */
void clo_wire_take_int(clo_wire_fields *f, const char *key, int64_t *out, int64_t min, int64_t max);
void clo_wire_take_float(clo_wire_fields *f, const char *key, double *out); /* INT accepted */
void clo_wire_take_bool(clo_wire_fields *f, const char *key, bool *out);
void clo_wire_take_time(clo_wire_fields *f, const char *key, int64_t *seconds); /* INT seconds, or RFC 3339 text */
void clo_wire_take_array(clo_wire_fields *f, const char *key, const clo_wire_node **out, size_t count_max);
void clo_wire_take_map(clo_wire_fields *f, const char *key, const clo_wire_node **out);
void clo_wire_take_any(clo_wire_fields *f, const char *key, const clo_wire_node **out);
/** Is the member there (not NULL)? Use it before an optional take. A null member that was asked for counts as taken. */
bool clo_wire_has(clo_wire_fields *f, const char *key);
/** Fail the cursor with an own sentence about a member. */
void clo_wire_fields_fail(clo_wire_fields *f, uint32_t code, const char *key, const char *sentence);
/** First error, or UNKNOWN_FIELD for a member that was not taken, or success. */
CLO_R clo_wire_fields_end(clo_wire_fields *f);
/** Text of an array element / scalar outside a map, with the same conversions. */
CLO_R clo_wire_node_text(clo_arena *a, const clo_wire_node *n, const char *what, const char **out, size_t bytes_max);
CLO_R clo_wire_node_fixed(const clo_wire_node *n, const char *what, void *to, size_t bytes);
CLO_R clo_wire_node_float(const clo_wire_node *n, const char *what, double *out);
CLO_R clo_wire_node_int(const clo_wire_node *n, const char *what, int64_t *out);

#ifdef __cplusplus
}
#endif
#endif
