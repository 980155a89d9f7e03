/* Attacks on the rules: agreements that do not hold, more than the budget, the past played again. */
#include "cli/demo_attacks.h"

#include "cli/demo_data.h"
#include "crypto/hash.h"
#include "os/clock.h"
#include "os/file.h"

enum { SHORT_SECONDS = 8, FORK_MS = 2000, FORK_TRIES = 5 };

/* ---- agreements that do not hold ---- */

/* The template with another title and end. */
static clo_err write_template(demo *d, const char *name, const char *title, const char *end)
{
    static const char old_title[] = "Breast cancer, three hospitals", old_end[] = "2099-12-31T00:00:00Z";
    clo_span all = clo_demo_template;
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 1 << 20);
    const uint8_t *a = memmem(all.p, all.n, old_title, sizeof old_title - 1),
                  *b = memmem(all.p, all.n, old_end, sizeof old_end - 1);
    CLO_CHECK(a != NULL && b != NULL && a < b, CLO_E_BUG);
    CLO_TRY(clo_buf_put(&text, all.p, (size_t)(a - all.p)));
    CLO_TRY(clo_buf_put_str(&text, title));
    a += sizeof old_title - 1;
    CLO_TRY(clo_buf_put(&text, a, (size_t)(b - a)));
    CLO_TRY(clo_buf_put_str(&text, end));
    b += sizeof old_end - 1;
    CLO_TRY(clo_buf_put(&text, b, all.n - (size_t)(b - all.p)));
    return demo_write(d, name, clo_buf_span(&text));
}

static clo_err sign_all(demo *d, const char *file, size_t count)
{
    static const char *const signers[] = {"analyst", "hospital-a", "hospital-b", "hospital-c"};
    for (size_t i = 0; i < count; i++) CLO_TRY(demo_cli(d, signers[i], "agreement", "sign", file, NULL));
    return CLO_OK;
}

clo_err demo_attack_agreements_prepare(demo_attacker *t)
{
    demo *d = t->d;
    char end[21];
    clo_wire_node *tree = NULL;
    const char *id = NULL;
    t->short_end = clo_cli_now() + SHORT_SECONDS;
    clo_time_format(end, t->short_end);
    CLO_TRY(write_template(d, "shared/short.yaml", "A study that ends soon", end));
    CLO_TRY(demo_cli(d, "analyst", "agreement", "new", "../shared/short.yaml", "--out", "../shared/short.agreement", NULL));
    CLO_TRY(sign_all(d, "../shared/short.agreement", 4));
    CLO_TRY(demo_cli(d, "analyst", "agreement", "submit", "../shared/short.agreement", "--json", NULL));
    CLO_TRY(demo_json(d, &tree));
    CLO_TRY(demo_member(tree, "id", &id));
    CLO_TRY(clo_str_set(t->short_id, sizeof t->short_id, clo_span_str(id)));
    CLO_TRY(demo_loot_take(d, t->short_id, &t->short_loot));
    return demo_request_sign(d, t->short_loot.agreement, "statistics", &t->short_request);
}

/* Straight to a key service, with keys of the attacker's own and a fresh nonce, around the runtime. */
static clo_err ask_directly(demo_attacker *t, const clo_collab_agreement *g, clo_span file, clo_span proof, clo_span request,
                            const char *wanted)
{
    demo_channel ch;
    demo_refusal no;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(t->d->a, sizeof(clo_collab_release_request), &memory));
    clo_collab_release_request *r = memory;
    memset(r, 0, sizeof *r);
    r->agreement_file = file;
    r->agreement_proof = proof;
    r->request = request;
    r->manifest_count = DEMO_HOSPITALS;
    for (size_t i = 0; i < DEMO_HOSPITALS; i++) r->manifests[i] = t->loot.manifests[i];
    r->binding = t->receipt->binding;
    r->evidence = t->receipt->evidence;
    memcpy(r->binding.agreement, g->id, 32);
    r->binding.epoch = g->epoch;
    CLO_TRY(clo_crypto_sha256(request, r->binding.request));
    memcpy(r->binding.leaf_spki, t->leaf.spki, 32);
    memcpy(r->binding.sign, t->leaf.sign_public, 32);
    CLO_TRY(demo_channel_open(&ch, &t->leaf, clo_collab_agreement_member(g, demo_hospitals[0])));
    clo_err e = demo_channel_nonce(&ch, r->binding.nonces[0].bytes);
    if (!clo_failed(e)) e = demo_channel_prove(&ch, &t->leaf, r);
    if (!clo_failed(e)) e = demo_channel_release(&ch, r, &no);
    demo_channel_close(&ch);
    CLO_TRY(e);
    return demo_attack_explain(t, "hospital-a", no.id, wanted);
}

static clo_err expired(demo_attacker *t)
{
    demo *d = t->d;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(d->a, sizeof(demo_host), &memory));
    demo_host *h = memory;
    while (clo_cli_now() <= t->short_end) {
        CLO_CHECKF(!demo_interrupted(), CLO_E_CANCELLED, "interrupted; everything was stopped");
        clo_os_sleep_ms(100);
    }
    demo_say(d, "   An agreement, signed by all and logged, that has ended meanwhile; the request was signed while it held.");
    demo_host_prepare(h, &t->short_loot, t->short_request);
    CLO_TRY(demo_host_run(h));
    CLO_TRY(demo_attack_host(t, h, "agreement."));
    demo_say(d, "   The same, around the runtime, straight to hospital-a's key service, which goes by its own clock:");
    return ask_directly(t, t->short_loot.agreement, t->short_loot.file, t->short_loot.proof, t->short_request, "agreement.");
}

static clo_err not_signed(demo_attacker *t)
{
    demo *d = t->d;
    clo_span file, request;
    uint32_t mask = 0;
    clo_collab_agreement *g = NULL;
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(d->a, sizeof(demo_host), &memory));
    demo_host *h = memory;
    demo_say(d, "   An agreement that hospital-c has not signed:");
    CLO_TRY(write_template(d, "shared/unsigned.yaml", "A study that hospital-c does not want", "2099-12-31T00:00:00Z"));
    CLO_TRY(demo_cli(d, "analyst", "agreement", "new", "../shared/unsigned.yaml", "--out", "../shared/unsigned.agreement", NULL));
    CLO_TRY(sign_all(d, "../shared/unsigned.agreement", 3));
    CLO_TRY(demo_read(d, "shared/unsigned.agreement", &file));
    CLO_TRY(clo_collab_agreement_new(d->a, &g));
    CLO_TRY(clo_collab_agreement_file_open(d->a, file, g, &mask));
    CLO_TRY(demo_request_sign(d, g, "statistics", &request));
    demo_host_prepare(h, &t->loot, request);
    h->file = file;
    CLO_TRY(demo_host_run(h));
    CLO_TRY(demo_attack_host(t, h, "agreement.signatures"));
    demo_say(d, "   The same, around the runtime, straight to hospital-a's key service:");
    return ask_directly(t, g, file, t->loot.proof, request, "agreement.");
}

clo_err demo_attack_agreements(demo_attacker *t)
{
    demo_attack_title(t, "An expired agreement, and one that a party has not signed");
    CLO_TRY(expired(t));
    CLO_TRY(not_signed(t));
    demo_held(t->d, "refused by the runtime and by the key service, each for itself");
    return CLO_OK;
}

/* ---- more than the budget ---- */

clo_err demo_attack_budget(demo_attacker *t)
{
    demo_attack_title(t, "A query over budget");
    demo_say(t->d, "   The analyst asks for the model a second time; its price is more than what is left.");
    CLO_TRY(demo_attack_run(t, "model", NULL, "budget.rho"));
    demo_held(t->d, "refused by the ledger of the first hospital that was asked; nothing was reserved or released");
    return CLO_OK;
}

/* ---- the past played again ---- */

static clo_err put_home(demo *d, const char *from, const char *to)
{
    char source[DEMO_PATH], target[DEMO_PATH];
    CLO_TRY(demo_path(d, source, "operator/%s", from));
    CLO_TRY(demo_path(d, target, "operator/%s", to));
    return clo_os_file_rename(source, target);
}

static clo_err copy_home(demo *d, const char *to)
{
    char source[DEMO_PATH], target[DEMO_PATH];
    CLO_TRY(demo_path(d, source, "operator/home"));
    CLO_TRY(demo_path(d, target, "operator/%s", to));
    return clo_os_tree_copy(source, target);
}

/* Does the checkpoint that the operator serves carry the witness's signature? Its second line is the size of the log. */
static clo_err witnessed(demo *d, bool *out, uint64_t *size)
{
    char dir[DEMO_PATH], line[300];
    clo_client_home home;
    clo_client_session *s = NULL;
    clo_span note;
    CLO_TRY(demo_path(d, dir, "analyst/home"));
    CLO_TRY(clo_client_home_open(&home, dir));
    CLO_TRY(clo_client_session_open(&s, &home.server, NULL));
    clo_err e = clo_client_session_get(s, d->a, "/log/checkpoint", CLO_CLIENT_JSON_MAX, &note);
    clo_client_session_free(&s);
    CLO_TRY(e);
    const char *comma = strrchr(d->witness, ',');
    CLO_CHECK(comma != NULL, CLO_E_BUG);
    int name_size = (int)strcspn(comma + 1, "+");
    int n = snprintf(line, sizeof line, "\xe2\x80\x94 %.*s ", name_size, comma + 1);
    *out = memmem(note.p, note.n, line, (size_t)n) != NULL;
    const uint8_t *second = memchr(note.p, '\n', note.n);
    CLO_CHECK(second != NULL, CLO_E_MALFORMED);
    second++;
    const uint8_t *end = memchr(second, '\n', note.n - (size_t)(second - note.p));
    CLO_CHECK(end != NULL, CLO_E_MALFORMED);
    return clo_u64_parse(size, clo_span_of(second, (size_t)(end - second)));
}

/* The rolled-back log grows in another direction; the witness remembers what it has seen. */
static clo_err fork_log(demo_attacker *t)
{
    demo *d = t->d;
    bool cosigned = false;
    uint64_t before = 0, after = 0;
    CLO_TRY(demo_cli(d, "hospital-c", "agreement", "sign", "../shared/unsigned.agreement", NULL));
    CLO_TRY(witnessed(d, &cosigned, &before));
    /* The operator waits for a witnessed proof in vain, so the submission does not come back. */
    for (unsigned i = 0; i < FORK_TRIES && after <= before; i++) {
        d->patience_ms = FORK_MS;
        clo_err e = demo_cli_any(d, "analyst", "agreement", "submit", "../shared/unsigned.agreement", NULL);
        d->patience_ms = 0;
        if (e.code != CLO_E_TIMEOUT) CLO_TRY(e);
        CLO_TRY(witnessed(d, &cosigned, &after));
    }
    CLO_CHECKF(after > before, CLO_E_CONFLICT, "the restored log did not grow");
    CLO_CHECKF(!cosigned, CLO_E_CONFLICT, "THE ATTACK WORKED: the witness cosigned a forked log");
    demo_say(d, "   A new entry in the restored log: its checkpoint carries the operator's signature alone. The witness has seen "
                "a longer log");
    demo_say(d, "   and does not cosign this one, so that no proof from it is worth anything.");
    return CLO_OK;
}

static clo_err play_again(demo_attacker *t)
{
    const char *before = NULL, *after = NULL;
    CLO_TRY(demo_attack_budgets(t, &before));
    CLO_TRY(demo_attack_run(t, "statistics", "again.request", "run.id"));
    CLO_TRY(demo_attack_budgets(t, &after));
    CLO_CHECKF(strcmp(before, after) == 0, CLO_E_CONFLICT, "the budgets changed from %s to %s", before, after);
    demo_say(t->d, "   The budgets of all three hospitals are exactly as before.");
    return fork_log(t);
}

clo_err demo_attack_rollback(demo_attacker *t)
{
    demo *d = t->d;
    bool cosigned = false;
    uint64_t size = 0;
    demo_attack_title(t, "The operator's disk rolled back to an earlier snapshot, and the run repeated");
    demo_say(
        d, "   cloisterd is stopped, its directory copied; it is started and does a run; then the copy is put back and the same");
    demo_say(d, "   signed request sent again. The operator remembers nothing of the run.");
    CLO_TRY(demo_daemon_stop(d, DEMO_OPERATOR));
    CLO_TRY(copy_home(d, "snapshot"));
    CLO_TRY(demo_daemon_start(d, DEMO_OPERATOR));
    CLO_TRY(demo_cli(d, "analyst", "run", "start", "../shared/study.agreement", "statistics", "--request-out", "again.request",
                     "--watch", NULL));
    CLO_TRY(witnessed(d, &cosigned, &size));
    CLO_CHECKF(cosigned, CLO_E_CONFLICT, "the operator's checkpoint has no cosignature of the witness");
    CLO_TRY(demo_daemon_stop(d, DEMO_OPERATOR));
    CLO_TRY(put_home(d, "home", "present"));
    CLO_TRY(put_home(d, "snapshot", "home"));
    CLO_TRY(demo_daemon_start(d, DEMO_OPERATOR));
    CLO_TRY(play_again(t));
    demo_daemon_kill(d, DEMO_OPERATOR);
    CLO_TRY(put_home(d, "home", "rolled-back"));
    CLO_TRY(put_home(d, "present", "home"));
    CLO_TRY(demo_daemon_start(d, DEMO_OPERATOR));
    demo_held(d, "refused: what was released stays released once. (The present is put back afterwards.)");
    return CLO_OK;
}
