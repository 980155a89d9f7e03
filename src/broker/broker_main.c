/* The program cloister-kms. */
#include "broker/broker_int.h"
#include "gateway/config.h"
#include "gateway/listen_address.h"
#include "os/ending.h"
#include "os/file.h"
#include "os/log.h"
#include <malloc.h>
#include <stdio.h>
#include <sys/stat.h>

static const char usage[] = "cloister-kms: the key service of one data owner\n"
                            "\n"
                            "  cloister-kms init --home DIR --owner FILE.party [--listen ADDRESS:PORT] [--url URL] [--witness W]...\n"
                            "      make the service; prints {url, spki, hpke, owner} for the agreement, and its ledger's key for\n"
                            "      witnesses\n"
                            "  cloister-kms [--config FILE] [--home DIR] [--listen ADDRESS:PORT] [--url URL] [--witness W]...\n"
                            "      serve until SIGTERM\n"
                            "  cloister-kms check --home DIR\n"
                            "      check the budget ledger independently of the service\n"
                            "  --witness URL,SPKIHEX,VKEY\n"
                            "      a witness of the ledger, as \"cloisterd --role witness init\" printed it; kept in the home. It must\n"
                            "      cosign each entry before a share of an output leaves, so that a disk that was set back to an older\n"
                            "      copy is found out and refused. Without one that is not noticed\n"
                            "  --log FILE   write the log there instead of standard error\n"
                            "  --version, --help\n";

typedef struct {
    const char *verb, *home, *owner, *listen, *url, *config, *log;
    const char *witnesses[CLO_KMS_WITNESSES_MAX];
    size_t witness_count;
} arguments;

static clo_err parse(int argc, char **argv, arguments *out)
{
    const struct {
        const char *name;
        const char **to;
    } options[] = {{"--home", &out->home}, {"--owner", &out->owner},   {"--listen", &out->listen},
                   {"--url", &out->url},   {"--config", &out->config}, {"--log", &out->log}};
    int i = 1;
    if (argc > 1 && argv[1][0] != '-') out->verb = argv[i++];
    while (i < argc) {
        if (strcmp(argv[i], "--witness") == 0) {
            CLO_CHECKF(i + 1 < argc, CLO_E_USAGE, "--witness needs a value");
            CLO_CHECKF(out->witness_count < CLO_KMS_WITNESSES_MAX, CLO_E_TOO_MANY, "a key service has at most %d witnesses",
                       CLO_KMS_WITNESSES_MAX);
            out->witnesses[out->witness_count++] = argv[i + 1];
            i += 2;
            continue;
        }
        size_t k = 0;
        while (k < sizeof options / sizeof options[0] && strcmp(options[k].name, argv[i]) != 0) k++;
        CLO_CHECKF(k < sizeof options / sizeof options[0], CLO_E_USAGE, "\"%.60s\" is not understood; see cloister-kms --help",
                   argv[i]);
        CLO_CHECKF(i + 1 < argc, CLO_E_USAGE, "%s needs a value", argv[i]);
        *options[k].to = argv[i + 1];
        i += 2;
    }
    return CLO_OK;
}

static clo_err run_init(const arguments *a)
{
    CLO_CHECKF(a->home != NULL && a->owner != NULL, CLO_E_USAGE, "init needs --home DIR and --owner FILE.party");
    CLO_AUTO(clo_buf_free) clo_buf party;
    clo_buf_init(&party, 64 << 10);
    CLO_TRY(clo_os_file_read(a->owner, 64 << 10, &party));
    for (size_t i = 0; i < a->witness_count; i++) { /* nothing is made with a bad one */
        clo_client_witness w;
        CLO_TRY(clo_client_witness_parse(a->witnesses[i], &w));
    }
    clo_broker_identity identity;
    clo_err e = clo_broker_init(a->home, clo_buf_span(&party), a->listen, a->url, a->witnesses, a->witness_count, &identity);
    if (clo_failed(e)) return e;
    clo_collab_party owner;
    CLO_TRY(clo_collab_party_decode(clo_buf_span(&party), &owner));
    CLO_AUTO(clo_buf_free) clo_buf json;
    clo_buf_init(&json, 4096);
    CLO_TRY(clo_broker_identity_json(&identity, owner.name, &json));
    const char *text = NULL;
    CLO_TRY(clo_buf_cstr(&json, &text));
    CLO_CHECK(printf("%s\n", text) > 0 && fflush(stdout) == 0, CLO_E_IO);
    return CLO_OK;
}

static clo_err run_check(const arguments *a)
{
    CLO_CHECKF(a->home != NULL, CLO_E_USAGE, "check needs --home DIR");
    char path[640];
    CLO_TRY(clo_os_path_join(path, sizeof path, a->home, "kms.db"));
    clo_kms_ledger_report report;
    CLO_TRY(clo_kms_ledger_check(path, &report));
    if (!report.valid)
        return CLO_DENY(CLO_E_DENIED, "ledger", "a chain that adds up", report.detail, path, "restore the home from a backup");
    char head[65];
    clo_hex_encode(head, clo_span_of(report.head, sizeof report.head));
    CLO_CHECK(printf("ledger holds: %llu entries, %llu open reservations, head %s\n", (unsigned long long)report.entry_count,
                     (unsigned long long)report.reserved_count, head) > 0,
              CLO_E_IO);
    return CLO_OK;
}

static clo_err read_witnesses(clo_arena *arena, const arguments *a, const clo_wire_node *list, clo_broker_options *options)
{
    void *p = NULL;
    CLO_TRY(clo_arena_array(arena, 2 * CLO_KMS_WITNESSES_MAX, sizeof(const char *), &p));
    const char **texts = p;
    for (const clo_wire_node *n = list != NULL ? list->first : NULL; n != NULL; n = n->next)
        CLO_TRY(clo_wire_node_text(arena, n, "witnesses", &texts[options->witness_count++], 1000));
    for (size_t i = 0; i < a->witness_count; i++) texts[options->witness_count++] = a->witnesses[i];
    options->witnesses = texts;
    return CLO_OK;
}

/* YAML: home, url, log, witnesses [URL,SPKIHEX,VKEY], listen {…}. The command line counts more; witnesses of both count. */
static clo_err read_config(clo_arena *arena, const arguments *a, clo_broker_options *options, const char **log)
{
    clo_wire_fields f;
    CLO_TRY(clo_gateway_config_open(arena, a->config, &f));
    const char *home = NULL, *url = NULL;
    if (clo_wire_has(&f, "home")) clo_wire_take_text(&f, "home", &home, 500);
    if (clo_wire_has(&f, "url")) clo_wire_take_text(&f, "url", &url, 250);
    if (clo_wire_has(&f, "log")) clo_wire_take_text(&f, "log", log, 500);
    const clo_wire_node *list = NULL;
    if (clo_wire_has(&f, "witnesses")) clo_wire_take_array(&f, "witnesses", &list, CLO_KMS_WITNESSES_MAX);
    clo_gateway_config_listen(&f, &options->listen);
    CLO_TRY(clo_gateway_config_end(&f, a->config));
    CLO_TRY(read_witnesses(arena, a, list, options));
    options->home = a->home != NULL ? a->home : home;
    options->url = a->url != NULL ? a->url : url;
    if (a->log != NULL) *log = a->log;
    CLO_CHECKF(options->home != NULL, CLO_E_USAGE, "cloister-kms needs --home DIR (or \"home\" in its configuration)");
    return CLO_OK;
}

static clo_err run_serve(const arguments *a)
{
    CLO_AUTO(clo_arena_free) clo_arena arena;
    clo_arena_init(&arena, 4 << 20);
    clo_broker_options options = {.home = NULL};
    const char *log = NULL;
    char address[64];
    CLO_TRY(read_config(&arena, a, &options, &log));
    if (a->listen != NULL) {
        CLO_TRY(clo_gateway_listen_parse(a->listen, address, &options.listen.port));
        options.listen.address = address;
    }
    CLO_TRY(clo_os_log_open("cloister-kms", log, CLO_OS_LOG_INFO));
    clo_os_ending_block();
    clo_broker *b = NULL;
    CLO_TRY(clo_broker_start(&b, &options));
    char line[400];
    (void)snprintf(line, sizeof line, "cloister-kms: serving %s at %s", clo_kms_owner(clo_broker_kms(b))->name, clo_broker_identity_of(b)->url);
    clo_err e = clo_os_ending_wait(line);
    clo_os_log(CLO_OS_LOG_INFO, "stopping", NULL, "asked to end");
    clo_broker_stop(&b, 5000);
    return e;
}

/* glibc gives each thread a heap of its own (up to eight per core). Work goes to any of the workers, so that each heap grows to the largest
 * message in time, and none serves the others: with two the service needs half the memory, and threads wait for signatures and the disk, not for
 * a heap. */
static void share_heaps(void)
{
#ifdef M_ARENA_MAX
    enum { HEAPS = 2 };
    (void)mallopt(M_ARENA_MAX, HEAPS);
#endif
}

int clo_broker_main(int argc, char **argv)
{
    (void)umask(077); /* also for the files that SQLite makes */
    share_heaps();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) return fputs(usage, stdout) < 0 ? 3 : 0;
        if (strcmp(argv[i], "--version") == 0) return printf("cloister-kms %s\n", CLO_VERSION) < 0 ? 3 : 0;
    }
    arguments a = {.verb = NULL};
    clo_err e = parse(argc, argv, &a);
    if (!clo_failed(e)) {
        if (a.verb == NULL || strcmp(a.verb, "serve") == 0)
            e = run_serve(&a);
        else if (strcmp(a.verb, "init") == 0)
            e = run_init(&a);
        else if (strcmp(a.verb, "check") == 0)
            e = run_check(&a);
        else
            e = CLO_FAILF(CLO_E_USAGE, "\"%.60s\" is not understood; see cloister-kms --help", a.verb);
    }
    if (clo_failed(e)) (void)fprintf(stderr, "cloister-kms: %s\n", clo_err_text());
    return clo_os_exit_code(e);
}
