#include "audit/tlog.h"

#include "base/clo_text.h"

#include <string.h>

/* One decimal number without leading zeros up to `end`. */
static bool number(const char *from, const char *end, uint64_t *out)
{
    return !clo_failed(clo_u64_parse(out, clo_span_of(from, (size_t)(end - from))));
}

/* "x001/x234/067": groups of three digits, all but the last marked x. */
static bool grouped(const char *from, const char *end, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned groups = 0; groups < 6; groups++) {
        bool more = from < end && *from == 'x';
        if (more) from++;
        if (end - from < 3) return false;
        for (int i = 0; i < 3; i++) {
            if (from[i] < '0' || from[i] > '9') return false;
            v = v * 10 + (uint64_t)(from[i] - '0');
        }
        from += 3;
        if (!more) {
            *out = v;
            return from == end && (groups == 0 || v >= 1000);
        }
        if (from >= end || *from++ != '/') return false;
    }
    return false;
}

CLO_R clo_audit_tile_path(const char *path, bool *entries, unsigned *level, uint64_t *index, unsigned *width)
{
    static const char prefix[] = "tile/";
    CLO_CHECK(strncmp(path, prefix, sizeof prefix - 1) == 0 && strlen(path) < 128, CLO_E_NOT_FOUND);
    const char *at = path + sizeof prefix - 1, *slash = strchr(at, '/');
    CLO_CHECK(slash != NULL, CLO_E_NOT_FOUND);
    uint64_t l = 0, n = 0, w = CLO_AUDIT_TILE;
    bool bundle = slash - at == 7 && memcmp(at, "entries", 7) == 0;
    CLO_CHECK(bundle || (number(at, slash, &l) && l < 8), CLO_E_NOT_FOUND);
    const char *end = path + strlen(path), *partial = strstr(slash, ".p/");
    if (partial != NULL) {
        CLO_CHECK(number(partial + 3, end, &w) && w >= 1 && w < CLO_AUDIT_TILE, CLO_E_NOT_FOUND);
        end = partial;
    }
    CLO_CHECK(grouped(slash + 1, end, &n), CLO_E_NOT_FOUND);
    *entries = bundle;
    *level = (unsigned)l;
    *index = n;
    *width = (unsigned)w;
    return CLO_OK;
}
