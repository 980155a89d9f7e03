#include "service/routes_int.h"

#include "base/clo_own.h"
#include "collab/leaf.h"

enum { TILE_MAX = CLO_AUDIT_TILE * (CLO_AUDIT_ENTRY_MAX + 2) };

CLO_HANDLER(clo_service_get_checkpoint)
{
    clo_service *s = context;
    (void)request;
    CLO_AUTO(clo_buf_free) clo_buf note;
    clo_buf_init(&note, CLO_NOTE_MAX);
    CLO_TRY(clo_audit_log_checkpoint(s->log, &note));
    return clo_gateway_response_bytes(response, "text/plain; charset=utf-8", clo_buf_span(&note));
}

CLO_HANDLER(clo_service_get_tile)
{
    clo_service *s = context;
    bool entries = false;
    unsigned level = 0, width = 0;
    uint64_t index = 0;
    CLO_AUTO(clo_buf_free) clo_buf path, tile;
    clo_buf_init(&path, 256);
    clo_buf_init(&tile, TILE_MAX);
    const char *text = NULL;
    CLO_TRY(clo_buf_printf(&path, "tile/%.200s", clo_gateway_request_param(request, "path")));
    CLO_TRY(clo_buf_cstr(&path, &text));
    CLO_TRY(clo_audit_tile_path(text, &entries, &level, &index, &width));
    CLO_TRY(entries ? clo_audit_log_bundle(s->log, index, width, &tile) : clo_audit_log_tile(s->log, level, index, width, &tile));
    CLO_TRY(clo_gateway_response_header(response, "Cache-Control", "public, max-age=31536000, immutable"));
    return clo_gateway_response_bytes(response, "application/octet-stream", clo_buf_span(&tile));
}
