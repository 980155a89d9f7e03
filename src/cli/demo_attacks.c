/* Chapter 5: what an operator gone bad, or a thief of its disk, could try. */
#include "cli/demo_attacks.h"

#include "os/file.h"

void demo_attack_title(demo_attacker *t, const char *title)
{
    if (!t->d->c->json) (void)printf("\n   %u.%u %s\n", t->d->chapter, ++t->number, title);
}

/* Long digests are cut, sentences are not. */
static void quote_line(const demo *d, const char *name, const char *text)
{
    bool long_hex = strlen(text) > 64 && strspn(text, "0123456789abcdef") == strlen(text);
    if (!d->c->json) (void)printf("      | %-8s  %.*s%s\n", name, long_hex ? 48 : 400, text, long_hex ? "…" : "");
}

clo_err demo_attack_denied(demo_attacker *t, const clo_denial *n, const char *wanted)
{
    quote_line(t->d, "claim", n->claim);
    quote_line(t->d, "expected", n->expected);
    quote_line(t->d, "actual", n->actual);
    quote_line(t->d, "source", n->source);
    quote_line(t->d, "remedy", n->remedy);
    CLO_CHECKF(strncmp(n->claim, wanted, strlen(wanted)) == 0, CLO_E_CONFLICT, "it was refused for another reason (%s) than %s",
               n->claim, wanted);
    return CLO_OK;
}

static clo_err take(const clo_wire_node *map, const char *key, char *to, size_t size)
{
    const char *text = clo_client_text(map, key);
    (void)snprintf(to, size, "%s", text == NULL ? "" : text);
    return CLO_OK;
}

clo_err demo_attack_explain(demo_attacker *t, const char *party, const char *id, const char *wanted)
{
    clo_wire_node *map = NULL;
    clo_denial n;
    demo_say(t->d, "   %s$ cloister explain %s", party, id);
    CLO_TRY(demo_cli(t->d, party, "explain", id, "--json", NULL));
    CLO_TRY(demo_json(t->d, &map));
    CLO_TRY(take(map, "claim", n.claim, sizeof n.claim));
    CLO_TRY(take(map, "expected", n.expected, sizeof n.expected));
    CLO_TRY(take(map, "actual", n.actual, sizeof n.actual));
    CLO_TRY(take(map, "source", n.source, sizeof n.source));
    CLO_TRY(take(map, "remedy", n.remedy, sizeof n.remedy));
    CLO_CHECKF(n.claim[0] != 0, CLO_E_CONFLICT, "it ended without naming a claim: %s", t->d->last.out);
    return demo_attack_denied(t, &n, wanted);
}

clo_err demo_attack_run(demo_attacker *t, const char *run, const char *request, const char *wanted)
{
    clo_wire_node *map = NULL;
    const char *id = NULL;
    const char *option = request != NULL ? "--request" : NULL;
    CLO_TRY(demo_cli_refused(t->d, "analyst", "run", "start", "../shared/study.agreement", run, "--watch", "--json", option,
                             request, NULL));
    CLO_TRY(demo_json(t->d, &map));
    CLO_TRY(demo_member(map, "id", &id));
    return demo_attack_explain(t, "analyst", id, wanted);
}

clo_err demo_attack_host(demo_attacker *t, const demo_host *h, const char *wanted)
{
    CLO_CHECKF(!h->finished, CLO_E_CONFLICT, "THE ATTACK WORKED: the run finished");
    CLO_CHECKF(h->failed.have_denial, CLO_E_CONFLICT, "the runtime ended without naming a claim: %s", h->failed.text);
    const char *last = strrchr(h->failed.reference, ':');
    if (last == NULL) {
        demo_say(t->d, "   The runtime itself refuses:");
        return demo_attack_denied(t, &h->failed.denial, wanted);
    }
    demo_say(t->d, "   The key service of %s refuses.", h->failed.owner);
    return demo_attack_explain(t, h->failed.owner, last + 1, wanted);
}

clo_err demo_attack_budgets(demo_attacker *t, const char **out)
{
    clo_wire_node *tree = NULL;
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 4096);
    CLO_TRY(demo_cli(t->d, "analyst", "budget", "list", "--agreement", "../shared/study.agreement", "--json", NULL));
    CLO_TRY(demo_json(t->d, &tree));
    const clo_wire_node *list = clo_wire_get(tree, "budgets");
    for (const clo_wire_node *n = list == NULL ? NULL : list->first; n != NULL; n = n->next) {
        const char *left = NULL, *spent = NULL;
        CLO_TRY(demo_member(n, "left", &left));
        CLO_TRY(demo_member(n, "spent", &spent));
        CLO_TRY(clo_buf_printf(&text, "%s/%s ", spent, left));
    }
    return clo_arena_str(t->d->a, clo_buf_span(&text), out);
}

/* ---- the chapter ---- */

static clo_err take_receipt(demo_attacker *t)
{
    clo_span file;
    void *memory = NULL;
    CLO_TRY(demo_read(t->d, "analyst/statistics.receipt", &file));
    CLO_TRY(clo_arena_alloc(t->d->a, sizeof *t->receipt, &memory));
    t->receipt = memory;
    return clo_collab_receipt_decode(t->d->a, file, t->receipt);
}

static clo_err carry_out(demo_attacker *t)
{
    demo *d = t->d;
    demo_say(d, "The operator has turned bad. It has its disk, its network, its (software) TEE and everything it ever saw.");
    CLO_TRY(demo_loot_take(d, NULL, &t->loot));
    CLO_TRY(demo_leaf_make(&t->leaf));
    CLO_TRY(take_receipt(t));
    CLO_TRY(demo_attack_agreements_prepare(t));
    CLO_TRY(demo_attack_patched(t));
    CLO_TRY(demo_attack_replay(t));
    CLO_TRY(demo_attack_agreements(t));
    CLO_TRY(demo_attack_budget(t));
    CLO_TRY(demo_attack_rollback(t));
    CLO_TRY(demo_attack_relay(t));
    CLO_TRY(demo_attack_chunk(t));
    CLO_TRY(demo_attack_clone(t));
    demo_gap(d);
    demo_held(d, "eight attacks carried out, each refused for the right reason");
    return CLO_OK;
}

clo_err demo_attacks(demo *d)
{
    demo_chapter(d, "Eight attacks, carried out");
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(d->a, sizeof(demo_attacker), &memory));
    demo_attacker *t = memory;
    memset(t, 0, sizeof *t);
    t->d = d;
    clo_err e = carry_out(t);
    demo_loot_free(&t->loot);
    demo_loot_free(&t->short_loot);
    demo_leaf_free(&t->leaf);
    return e;
}
