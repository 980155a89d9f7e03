/* cloister demo: the main job from beginning to end, on this machine. */
#include "cli/demo_story.h"

#include "os/clock.h"
#include "os/file.h"

#include <stdlib.h>

static clo_err say_what_next(const demo *d)
{
    demo_gap(d);
    demo_say(d, "Every step held. %.1f s in all.", (double)(clo_os_now_ns() - d->began_ns) / 1e9);
    if (!d->keep) {
        demo_say(d, "Everything was stopped and removed. To look around afterwards: cloister demo --keep DIR");
        return CLO_OK;
    }
    demo_say(d, "Everything was stopped; its files are in %s. To look around:", d->dir);
    demo_say(d, "   cloister --home %s/analyst/home receipt verify %s/analyst/model.receipt", d->dir, d->dir);
    demo_say(d, "   cloister audit ledger %s/hospital-a/kms/kms.db", d->dir);
    demo_say(d, "   cloister agreement show %s/shared/study.agreement", d->dir);
    demo_say(d, "To start the servers again (stop them with Ctrl-C, or kill and their process ids):");
    demo_say(d, "   cloisterd --role witness --home %s/witness/home &", d->dir);
    demo_say(d, "   cloisterd --home %s/operator/home &", d->dir);
    demo_say(d, "   for x in a b c; do cloister-kms --home %s/hospital-$x/kms & done", d->dir);
    demo_say(d, "   cloister --home %s/analyst/home run list", d->dir);
    demo_say(d, "The operator's API is described at the address that cloisterd prints, under /api/v1/openapi.json.");
    return CLO_OK;
}

static clo_err tell(demo *d)
{
    CLO_TRY(demo_parties(d));
    CLO_TRY(demo_agreement(d));
    CLO_TRY(demo_datasets(d));
    CLO_TRY(demo_runs(d));
    CLO_TRY(demo_outputs(d));
    if (clo_cli_flag(d->c, "--attacks")) CLO_TRY(demo_attacks(d));
    CLO_TRY(demo_receipts(d));
    return say_what_next(d);
}

/* What a later failure must not hide. */
typedef struct {
    clo_err err;
    char text[600];
} outcome;

static clo_err report(clo_cli *c, const demo *d)
{
    clo_wire_node *map = NULL;
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_bool(&c->arena, map, "held", true));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "statistics", d->statistics));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "model", d->model));
    CLO_TRY(clo_wire_set_float(&c->arena, map, "seconds", (double)(clo_os_now_ns() - d->began_ns) / 1e9));
    if (d->keep) CLO_TRY(clo_wire_set_text(&c->arena, map, "directory", d->dir));
    return clo_cli_emit(c, map);
}

clo_err clo_cli_demo(clo_cli *c)
{
    demo *d = calloc(1, sizeof *d);
    CLO_CHECK(d != NULL, CLO_E_NOMEM);
    d->c = c;
    d->a = &c->arena;
    outcome o = {.err = demo_open(d, clo_cli_value(c, "--keep"))};
    if (!clo_failed(o.err)) {
        clo_cli_say(c, "Cloister: three hospitals and an analyst compute together; no one shows rows to anyone.\nDirectory: %s\n",
                    d->dir);
        o.err = tell(d);
    }
    if (demo_interrupted()) o.err = CLO_FAILF(CLO_E_CANCELLED, "interrupted; everything was stopped");
    if (clo_failed(o.err)) (void)snprintf(o.text, sizeof o.text, "%s", clo_err_text());
    demo_close(d);
    clo_err e = clo_failed(o.err) ? clo_err_again(o.err.code, o.text) : report(c, d);
    free(d);
    return e;
}
