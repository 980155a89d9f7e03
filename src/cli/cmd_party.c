/* cloister party …: names and keys. */
#include "cli/cli_int.h"

#include "os/file.h"

static clo_err show(clo_cli *c, const clo_collab_party *p, const char *path)
{
    clo_wire_node *map = NULL;
    uint8_t kid[32];
    char sign[65], hpke[65], id[65];
    CLO_TRY(clo_collab_party_kid(p, kid));
    clo_hex_encode(sign, clo_crypto_public_key_span(&p->sign));
    clo_hex_encode(hpke, clo_span_of(p->hpke, sizeof p->hpke));
    clo_hex_encode(id, clo_span_of(kid, sizeof kid));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "name", p->name));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "kid", id));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "sign_key", sign));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "hpke_key", hpke));
    if (path != NULL) CLO_TRY(clo_wire_set_text(&c->arena, map, "file", path));
    clo_cli_say(c, "party     %s\nkey id    %s\nsigning   %s\nsealing   %s\n", p->name, id, sign, hpke);
    if (path != NULL) clo_cli_say(c, "file      %s\n", path);
    return clo_cli_emit(c, map);
}

clo_err clo_cli_party_new(clo_cli *c)
{
    char path[CLO_CLIENT_PATH];
    const clo_collab_identity *who = NULL;
    CLO_TRY(clo_cli_home(c));
    CLO_TRY(clo_client_home_identity_make(&c->home, c->args[0], path));
    CLO_TRY(clo_cli_identity(c, &who));
    return show(c, &who->public_half, path);
}

clo_err clo_cli_party_show(clo_cli *c)
{
    const clo_collab_identity *who = NULL;
    if (c->arg_count == 1) {
        clo_span bytes;
        clo_collab_party p;
        CLO_TRY(clo_cli_read(c, c->args[0], &bytes));
        clo_err e = clo_collab_party_decode(bytes, &p);
        if (clo_failed(e)) return clo_err_prefix(e, c->args[0]);
        return show(c, &p, c->args[0]);
    }
    CLO_TRY(clo_cli_identity(c, &who));
    return show(c, &who->public_half, NULL);
}

clo_err clo_cli_party_export(clo_cli *c)
{
    const clo_collab_identity *who = NULL;
    char name[80];
    CLO_TRY(clo_cli_identity(c, &who));
    const char *out = clo_cli_value(c, "--out");
    if (out == NULL) {
        (void)snprintf(name, sizeof name, "%s.party", who->public_half.name);
        out = name;
    }
    CLO_AUTO(clo_buf_free) clo_buf bytes;
    clo_buf_init(&bytes, 65536);
    CLO_TRY(clo_collab_party_encode(who, &bytes));
    CLO_TRY(clo_os_file_write_atomic(out, clo_buf_span(&bytes), 0644));
    return show(c, &who->public_half, out);
}

clo_err clo_cli_party_import(clo_cli *c)
{
    clo_span bytes;
    clo_collab_party p;
    char file[80], path[CLO_CLIENT_PATH];
    CLO_TRY(clo_cli_read(c, c->args[0], &bytes));
    clo_err e = clo_collab_party_decode(bytes, &p);
    if (clo_failed(e)) return clo_err_prefix(e, c->args[0]);
    CLO_TRY(clo_cli_home(c));
    CLO_TRY(clo_client_home_save(&c->home));
    (void)snprintf(file, sizeof file, "%s.party", p.name);
    CLO_TRY(clo_client_home_path(&c->home, "roots", file, path));
    if (clo_os_file_exists(path)) {
        clo_span known;
        clo_collab_party before;
        CLO_TRY(clo_cli_read(c, path, &known));
        CLO_TRY(clo_collab_party_decode(known, &before));
        CLO_CHECKF(clo_crypto_public_key_equal(&before.sign, &p.sign), CLO_E_CONFLICT,
                   "%s is known under another key; ask %s which is right, then remove %s and import again", p.name, p.name, path);
    }
    CLO_TRY(clo_os_file_write_atomic(path, bytes, 0644));
    return show(c, &p, path);
}
