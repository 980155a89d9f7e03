/* Chapters 1 to 4: the main job. */
#include "cli/demo_story.h"

#include "cli/demo_data.h"
#include "cli/demo_search.h"
#include "os/file.h"

#include <math.h>

static const char csv_name[] = "shared/wdbc.csv";

/* ---- parties and their servers ---- */

static clo_err init_witness_and_operator(demo *d)
{
    const char *witness[] = {"cloisterd", "--role", "witness", "init", "--home", "home", "--open-logs", "8", NULL};
    clo_wire_node *info = NULL;
    const char *url = NULL, *spki = NULL, *vkey = NULL;
    CLO_TRY(demo_program(d, "witness", witness));
    CLO_CHECKF(d->last.code == 0, CLO_E_CONFLICT, "cloisterd --role witness init: %s", d->last.err);
    CLO_TRY(demo_json(d, &info));
    CLO_TRY(demo_member(info, "url", &url));
    CLO_TRY(demo_member(info, "spki", &spki));
    CLO_TRY(demo_member(info, "vkey", &vkey));
    (void)snprintf(d->witness, sizeof d->witness, "%s,%s,%s", url, spki, vkey);
    const char *operator[] = {"cloisterd", "init", "--home", "home", "--witness", d->witness, NULL};
    CLO_TRY(demo_program(d, "operator", operator));
    CLO_CHECKF(d->last.code == 0, CLO_E_CONFLICT, "cloisterd init: %s", d->last.err);
    CLO_TRY(demo_write(d, "shared/operator.json", clo_span_str(d->last.out)));
    CLO_TRY(demo_json(d, &info));
    CLO_TRY(demo_member(clo_wire_get(info, "log"), "vkey", &vkey));
    CLO_TRY(clo_str_set(d->log_vkey, sizeof d->log_vkey, clo_span_str(vkey)));
    CLO_TRY(demo_daemon_start(d, DEMO_WITNESS));
    return demo_daemon_start(d, DEMO_OPERATOR);
}

static clo_err make_party(demo *d, const char *name)
{
    char file[80];
    (void)snprintf(file, sizeof file, "../shared/%s.party", name);
    CLO_TRY(demo_cli(d, name, "party", "new", name, NULL));
    return demo_cli(d, name, "party", "export", "--out", file, NULL);
}

static clo_err make_hospital(demo *d, size_t i)
{
    const char *name = demo_hospitals[i];
    char party[80], kms[80], path[80];
    CLO_TRY(make_party(d, name));
    (void)snprintf(party, sizeof party, "../shared/%s.party", name);
    const char *argv[] = {"cloister-kms", "init", "--home", "kms", "--owner", party, "--witness", d->witness, NULL};
    CLO_TRY(demo_program(d, name, argv));
    CLO_CHECKF(d->last.code == 0, CLO_E_CONFLICT, "cloister-kms init: %s", d->last.err);
    (void)snprintf(path, sizeof path, "shared/%s.kms.json", name);
    CLO_TRY(demo_write(d, path, clo_span_str(d->last.out)));
    CLO_TRY(demo_daemon_start(d, (demo_daemon_name)(DEMO_KMS_A + i)));
    (void)snprintf(kms, sizeof kms, "../shared/%s.kms.json", name);
    return demo_cli(d, name, "init", "--operator", "../shared/operator.json", "--kms", kms, NULL);
}

/* The analyst pins every party's key, for the receipts. */
static clo_err import_parties(demo *d)
{
    static const char *const files[] = {"../shared/hospital-a.party", "../shared/hospital-b.party", "../shared/hospital-c.party",
                                        "../shared/analyst.party"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        CLO_TRY(demo_cli(d, "analyst", "party", "import", files[i], NULL));
    return CLO_OK;
}

clo_err demo_parties(demo *d)
{
    demo_chapter(d, "Parties, and an agreement that all of them sign");
    demo_say(
        d, "Everything below is a real process on loopback, each party in a directory of its own, as on machines of their own.");
    CLO_TRY(init_witness_and_operator(d));
    for (size_t i = 0; i < DEMO_HOSPITALS; i++) CLO_TRY(make_hospital(d, i));
    CLO_TRY(make_party(d, "analyst"));
    CLO_TRY(demo_cli(d, "analyst", "init", "--operator", "../shared/operator.json", NULL));
    CLO_TRY(import_parties(d));
    demo_held(d, "cloisterd (operator), a witness of its log and of the hospitals' ledgers, and three cloister-kms (one per hospital) are running;");
    demo_say(d,
             "     hospital-a, hospital-b, hospital-c and analyst have made their own keys. Only public halves were exchanged.");
    demo_say(d, "     The TEE here is software (sim): it gives NO protection from the operator; code and protocol are those of "
                "real ones.");
    return CLO_OK;
}

/* ---- the agreement ---- */

static clo_err agreement_files(demo *d)
{
    char from[2 * DEMO_PATH], to[DEMO_PATH];
    CLO_TRY(demo_write(d, "shared/agreement.yaml", clo_demo_template));
    CLO_TRY(demo_write(d, "shared/wdbc.schema.json", clo_demo_schema));
    CLO_TRY(demo_write(d, csv_name, clo_demo_csv));
    /* What must run is this very file; every party could build and measure it. */
    CLO_TRY(clo_os_path_join(from, sizeof from, d->programs, "cloister-enclave"));
    CLO_TRY(demo_path(d, to, "shared/cloister-enclave"));
    return clo_os_file_copy(from, to, 0755);
}

static clo_err take_state(demo *d, const char *file)
{
    clo_wire_node *answer = NULL;
    const char *state = NULL, *id = NULL;
    const clo_wire_node *index = NULL;
    CLO_TRY(demo_cli(d, "analyst", "agreement", "status", file, "--json", NULL));
    CLO_TRY(demo_json(d, &answer));
    CLO_TRY(demo_member(answer, "state", &state));
    CLO_TRY(demo_member(answer, "id", &id));
    CLO_CHECKF(strcmp(state, "active") == 0, CLO_E_CONFLICT, "the agreement is %s, not active", state);
    index = clo_wire_get(answer, "log_index");
    CLO_CHECKF(index != NULL && index->type == CLO_WIRE_INT, CLO_E_CONFLICT, "the agreement is not in the log");
    CLO_TRY(clo_str_set(d->agreement_id, sizeof d->agreement_id, clo_span_str(id)));
    demo_held(d, "signed by all four, state active, entry %lld of the transparency log, cosigned by the witness",
              (long long)index->integer);
    return CLO_OK;
}

clo_err demo_agreement(demo *d)
{
    static const char file[] = "../shared/study.agreement";
    static const char *const signers[] = {"hospital-a", "hospital-b", "hospital-c", "analyst"};
    CLO_TRY(agreement_files(d));
    demo_gap(d);
    demo_say(d, "analyst$ cloister agreement new agreement.yaml        (YAML in; deterministic CBOR, COSE_Sign out)");
    CLO_TRY(demo_cli(d, "analyst", "agreement", "new", "../shared/agreement.yaml", "--out", file, NULL));
    demo_say(d, "hospital-a$ cloister agreement show study.agreement  (what it says, in sentences)");
    CLO_TRY(demo_cli(d, "hospital-a", "agreement", "show", file, NULL));
    demo_quote(d, d->last.out, 0);
    CLO_TRY(demo_cli(d, "hospital-a", "agreement", "check", file, NULL));
    demo_say(d, "each$ cloister agreement sign study.agreement; cloister agreement submit study.agreement");
    for (size_t i = 0; i < 4; i++) CLO_TRY(demo_cli(d, signers[i], "agreement", "sign", file, NULL));
    for (size_t i = 0; i < 4; i++) CLO_TRY(demo_cli(d, signers[i], "agreement", "submit", file, NULL));
    return take_state(d, file);
}

/* ---- rows ---- */

/* Line i of the table (without its head) goes to hospital i mod 3. */
static clo_err split_rows(demo *d)
{
    clo_buf parts[DEMO_HOSPITALS];
    clo_err e = CLO_OK;
    for (size_t i = 0; i < DEMO_HOSPITALS; i++) clo_buf_init(&parts[i], 1 << 20);
    clo_span rest = clo_demo_csv;
    for (size_t line = 0; rest.n > 0 && !clo_failed(e); line++) {
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        size_t n = end == NULL ? rest.n : (size_t)(end - rest.p) + 1;
        for (size_t i = 0; i < DEMO_HOSPITALS && !clo_failed(e); i++)
            if (line == 0 || (line - 1) % DEMO_HOSPITALS == i) e = clo_buf_put(&parts[i], rest.p, n);
        rest = clo_span_of(rest.p + n, rest.n - n);
    }
    for (size_t i = 0; i < DEMO_HOSPITALS; i++) {
        char name[80];
        (void)snprintf(name, sizeof name, "%s/rows.csv", demo_hospitals[i]);
        if (!clo_failed(e)) e = demo_write(d, name, clo_buf_span(&parts[i]));
        clo_buf_free(&parts[i]);
    }
    return e;
}

static clo_err seal_and_push(demo *d, size_t i)
{
    static const char *const names[] = {"rows-a", "rows-b", "rows-c"};
    const char *who = demo_hospitals[i];
    clo_wire_node *manifest = NULL;
    CLO_TRY(demo_cli(d, who, "dataset", "seal", "rows.csv", "--schema", "../shared/wdbc.schema.json", "--name", names[i],
                     "--chunk-size", "4096", "--json", NULL));
    CLO_TRY(demo_json(d, &manifest));
    const clo_wire_node *rows = clo_wire_get(manifest, "row_count"), *chunks = clo_wire_get(manifest, "chunk_count");
    CLO_CHECKF(rows != NULL && chunks != NULL && rows->type == CLO_WIRE_INT && chunks->type == CLO_WIRE_INT, CLO_E_MALFORMED,
               "the manifest has no counts");
    CLO_TRY(demo_cli(d, who, "dataset", "push", names[i], NULL));
    demo_held(d, "%s: %lld rows sealed at home in %lld chunks; its key is at its own key service, ciphertext at the operator",
              who, (long long)rows->integer, (long long)chunks->integer);
    return CLO_OK;
}

/* The searcher must be able to find what it looks for. */
static clo_err search_control(demo *d, demo_search *s)
{
    char path[DEMO_PATH];
    CLO_AUTO(clo_buf_free) clo_buf table;
    clo_buf_init(&table, 16 << 20);
    for (size_t i = 0; i < DEMO_HOSPITALS; i++) {
        CLO_TRY(demo_path(d, path, "%s", demo_hospitals[i]));
        CLO_TRY(demo_search_tree(s, path));
    }
    CLO_TRY(demo_search_table(d->a, clo_demo_csv, &table));
    demo_search_bytes(s, clo_buf_span(&table), "the table");
    CLO_CHECKF(s->found_mask == (uint32_t)((1ull << s->count) - 1), CLO_E_CONFLICT,
               "the searcher does not find rows even at the hospitals");
    demo_say(
        d,
        "Searching for %zu whole rows, as text and as the numbers of a table. At the hospitals: all found, so the searcher sees.",
        s->count / 2);
    return CLO_OK;
}

static clo_err search_nothing(demo *d, bool control)
{
    demo_search s;
    char path[DEMO_PATH];
    CLO_TRY(demo_search_rows(d->a, clo_demo_csv, &s));
    if (control) CLO_TRY(search_control(d, &s));
    s.found_mask = 0;
    s.searched = 0;
    CLO_TRY(demo_path(d, path, "operator"));
    CLO_TRY(demo_search_tree(&s, path));
    CLO_TRY(demo_path(d, path, "witness"));
    CLO_TRY(demo_search_tree(&s, path));
    uint64_t files = s.searched;
    CLO_TRY(demo_search_memory(&s, demo_daemon_pid(d, DEMO_OPERATOR)));
    CLO_TRY(demo_search_memory(&s, demo_daemon_pid(d, DEMO_WITNESS)));
    CLO_CHECKF(s.found_mask == 0, CLO_E_CONFLICT, "a row was found in the clear in %s", s.where);
    demo_held(d, "operator and witness: %.1f MB of files and %.0f MB of process memory searched, no row found",
              (double)files / 1e6, (double)(s.searched - files) / 1e6);
    return CLO_OK;
}

clo_err demo_datasets(demo *d)
{
    demo_chapter(d, "Each hospital seals its rows at home and pushes ciphertext");
    demo_say(d, "The Wisconsin diagnostic breast-cancer table: 569 patients, 30 measurements, a diagnosis; every third row to "
                "each hospital.");
    demo_say(d,
             "hospital-a$ cloister dataset seal rows.csv --schema wdbc.schema.json --name rows-a; cloister dataset push rows-a");
    CLO_TRY(split_rows(d));
    for (size_t i = 0; i < DEMO_HOSPITALS; i++) CLO_TRY(seal_and_push(d, i));
    return search_nothing(d, true);
}

/* ---- runs ---- */

static clo_err run_one(demo *d, const char *name, const char *request_file, char id[DEMO_ID])
{
    clo_wire_node *run = NULL;
    const char *state = NULL, *found = NULL;
    CLO_TRY(demo_cli(d, "analyst", "run", "start", "../shared/study.agreement", name, "--request-out", request_file, "--watch",
                     "--json", NULL));
    CLO_TRY(demo_json(d, &run));
    CLO_TRY(demo_member(run, "state", &state));
    CLO_TRY(demo_member(run, "id", &found));
    CLO_CHECKF(strcmp(state, "done") == 0, CLO_E_CONFLICT, "run %s is %s, not done", found, state);
    const clo_wire_node *index = clo_wire_get(run, "log_index");
    CLO_TRY(clo_str_set(id, DEMO_ID, clo_span_str(found)));
    demo_held(d, "run %s done: three nonces, evidence appraised by three key services, three keys released,", id);
    demo_say(d, "     computed, three budget entries committed, three shares of the output's key handed out; log entry %lld",
             index != NULL && index->type == CLO_WIRE_INT ? (long long)index->integer : -1LL);
    return CLO_OK;
}

clo_err demo_runs(demo *d)
{
    demo_chapter(d, "Two runs over the union of all rows, inside the enclave");
    demo_say(d, "analyst$ cloister run start study.agreement statistics --watch   (SQL: count and means by diagnosis, exact "
                "discrete noise)");
    CLO_TRY(run_one(d, "statistics", "statistics.request", d->statistics));
    demo_say(d, "analyst$ cloister run start study.agreement model --watch        (logistic regression, differentially private)");
    CLO_TRY(run_one(d, "model", "model.request", d->model));
    demo_say(d, "The same search again, now that rows were opened and computed on:");
    return search_nothing(d, false);
}

/* ---- outputs ---- */

static clo_err number_in(const clo_wire_node *map, const char *key, double *out)
{
    const clo_wire_node *n = clo_wire_get(map, key);
    CLO_CHECKF(n != NULL && (n->type == CLO_WIRE_FLOAT || n->type == CLO_WIRE_INT), CLO_E_MALFORMED,
               "the answer has no number \"%s\"", key);
    *out = n->type == CLO_WIRE_INT ? (double)n->integer : n->number;
    return CLO_OK;
}

/* Both trained and judged on the same public rows, so that the difference is what privacy costs. */
static clo_err compare_models(demo *d)
{
    clo_wire_node *tree = NULL;
    double with_privacy = 0, without = 0;
    CLO_TRY(demo_cli(d, "analyst", "model", "evaluate", "--model", "diagnosis.model", "--data", "../shared/wdbc.csv", "--schema",
                     "../shared/wdbc.schema.json", "--json", NULL));
    CLO_TRY(demo_json(d, &tree));
    CLO_TRY(number_in(tree, "accuracy", &with_privacy));
    CLO_TRY(demo_cli(d, "analyst", "model", "train", "--data", "../shared/wdbc.csv", "--schema", "../shared/wdbc.schema.json",
                     "--json", NULL));
    CLO_TRY(demo_json(d, &tree));
    CLO_TRY(number_in(clo_wire_get(tree, "training"), "accuracy", &without));
    demo_held(d,
              "accuracy on the (here public) table: %.1f %% with differential privacy, %.1f %% without; saying \"benign\" to "
              "all: 62.7 %%",
              100 * with_privacy, 100 * without);
    CLO_CHECKF(with_privacy > 0.75, CLO_E_CONFLICT, "the private model is no better than guessing");
    return CLO_OK;
}

static clo_err show_budgets(demo *d)
{
    clo_wire_node *tree = NULL;
    size_t count = 0;
    CLO_TRY(demo_cli(d, "analyst", "budget", "list", "--agreement", "../shared/study.agreement", "--json", NULL));
    CLO_TRY(demo_json(d, &tree));
    const clo_wire_node *list = clo_wire_get(tree, "budgets");
    demo_say(d, "analyst$ cloister budget list --agreement study.agreement");
    for (const clo_wire_node *n = list == NULL ? NULL : list->first; n != NULL; n = n->next, count++) {
        double left = 0, limit = 0, delta = 0;
        const char *name = NULL, *owner = NULL, *rho = NULL, *of = NULL;
        CLO_TRY(number_in(n, "epsilon_left", &left));
        CLO_TRY(number_in(n, "epsilon_limit", &limit));
        CLO_TRY(number_in(n, "delta", &delta));
        CLO_TRY(demo_member(n, "name", &name));
        CLO_TRY(demo_member(n, "owner", &owner));
        CLO_TRY(demo_member(n, "left", &rho));
        CLO_TRY(demo_member(n, "limit", &of));
        CLO_CHECKF(left < limit, CLO_E_CONFLICT, "dataset %s was not charged", name);
        demo_held(d, "%s of %s: epsilon %.3g left of %.3g (delta %.0e)", name, owner, left, limit, delta);
    }
    CLO_CHECKF(count == DEMO_HOSPITALS, CLO_E_CONFLICT, "%zu budgets instead of three", count);
    return CLO_OK;
}

static void who_saw_what(const demo *d)
{
    demo_gap(d);
    demo_say(d, "Who saw what:");
    demo_say(d, "   a hospital   its own rows; the agreement; what each run cost it");
    demo_say(d, "   the analyst  the two noisy results, which the agreement makes it the recipient of; no row");
    demo_say(d, "   the operator ciphertext, sizes, counts, times, states; no row, no key, no result");
    demo_say(d, "   the witness  checkpoints of the log");
    demo_say(d, "   the enclave  all rows, for the length of a run (here in a software TEE, which an operator could open: not "
                "for real data)");
}

clo_err demo_outputs(demo *d)
{
    demo_chapter(d, "The analyst opens both outputs; nobody else can");
    demo_say(d, "analyst$ cloister output open %s", d->statistics);
    CLO_TRY(demo_cli(d, "analyst", "output", "open", d->statistics, "--out", "statistics.json", NULL));
    demo_quote(d, d->last.out, 0);
    demo_say(d, "analyst$ cloister output open %s", d->model);
    CLO_TRY(demo_cli(d, "analyst", "output", "open", d->model, "--out", "diagnosis.model", NULL));
    demo_quote(d, d->last.out, 0);
    CLO_TRY(compare_models(d));
    CLO_TRY(demo_cli_refused(d, "hospital-a", "output", "open", d->statistics, NULL));
    demo_held(d, "hospital-a, no recipient, asks for it and is refused");
    CLO_TRY(show_budgets(d));
    CLO_TRY(demo_cli(d, "analyst", "receipt", "fetch", d->statistics, "--out", "statistics.receipt", NULL));
    CLO_TRY(demo_cli(d, "analyst", "receipt", "fetch", d->model, "--out", "model.receipt", NULL));
    who_saw_what(d);
    return CLO_OK;
}

/* ---- receipts ---- */

clo_err demo_receipts(demo *d)
{
    static const char *const files[] = {"statistics.receipt", "model.receipt"};
    demo_chapter(d, "Every daemon is stopped; the receipts still hold");
    for (size_t i = DEMO_DAEMONS; i-- > 0;) CLO_TRY(demo_daemon_stop(d, (demo_daemon_name)i));
    CLO_TRY(demo_cli_any(d, "analyst", "run", "list", NULL));
    CLO_CHECKF(d->last.code == 3, CLO_E_CONFLICT, "the operator still answers");
    demo_held(d, "no server answers any more");
    for (size_t i = 0; i < 2; i++) {
        demo_say(d, "analyst$ cloister receipt verify %s", files[i]);
        CLO_TRY(demo_cli(d, "analyst", "receipt", "verify", files[i], NULL));
        demo_quote(d, d->last.out, 0);
        demo_held(d, "verified offline: one file and the pinned roots");
    }
    return CLO_OK;
}
