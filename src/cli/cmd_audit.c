/* cloister audit …: independent checks of what daemons keep, without the daemons. */
#include "cli/cli_int.h"

#include "audit/tlog.h"
#include "kms/kms.h"
#include "os/file.h"

clo_err clo_cli_audit_ledger(clo_cli *c)
{
    clo_kms_ledger_report r;
    clo_wire_node *map = NULL;
    char head[65];
    CLO_CHECKF(clo_os_file_exists(c->args[0]), CLO_E_NOT_FOUND, "there is no file %s; give the kms.db of a key service's home",
               c->args[0]);
    CLO_TRY(clo_kms_ledger_check(c->args[0], &r));
    clo_hex_encode(head, clo_span_of(r.head, sizeof r.head));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "verdict", r.valid ? "valid" : "invalid"));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "entries", (int64_t)r.entry_count));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "open_reservations", (int64_t)r.reserved_count));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "head", head));
    if (!r.valid) {
        CLO_TRY(clo_wire_set_int(&c->arena, map, "bad_entry", r.bad_seq));
        CLO_TRY(clo_wire_set_text(&c->arena, map, "detail", r.detail));
    }
    if (r.valid)
        clo_cli_say(c, "The ledger holds: %llu entries, %llu open reservations, head %s\n", (unsigned long long)r.entry_count,
                    (unsigned long long)r.reserved_count, head);
    else
        clo_cli_say(c, "The ledger does not hold: %s\n", r.detail);
    c->negative = !r.valid;
    return clo_cli_emit(c, map);
}

clo_err clo_cli_audit_log(clo_cli *c)
{
    const char *text = NULL;
    clo_wire_note_key key;
    uint64_t size = 0;
    clo_wire_node *map = NULL;
    CLO_TRY(clo_cli_require(c, "--key", &text));
    CLO_TRY(clo_wire_note_key_parse(text, &key));
    CLO_CHECKF(clo_os_dir_exists(c->args[0]), CLO_E_NOT_FOUND, "there is no directory %s; give the log's", c->args[0]);
    CLO_TRY(clo_audit_log_check(c->args[0], &key, &size));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "verdict", "valid"));
    CLO_TRY(clo_wire_set_int(&c->arena, map, "entries", (int64_t)size));
    clo_cli_say(c, "The log holds: %llu entries, and its checkpoint is the tree's.\n", (unsigned long long)size);
    return clo_cli_emit(c, map);
}
