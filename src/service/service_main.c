/* The program cloisterd. */
#include "service/service.h"

#include "os/ending.h"
#include "os/log.h"
#include "service/service_arguments.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[] =
    "cloisterd: the operator's daemon, or an independent witness of its log\n"
    "\n"
    "  cloisterd init --home DIR [--name NAME] [--listen ADDRESS:PORT] [--url URL] [--enclave PATH] [--witness URL,SPKIHEX,VKEY]...\n"
    "      make the operator's home; prints its public facts as JSON for the agreement\n"
    "  cloisterd [--config FILE] [--home DIR] [--listen ADDRESS:PORT] [--url URL] [--enclave PATH] [--witness URL,SPKIHEX,VKEY]...\n"
    "      serve until SIGTERM; a home that is missing is made with the embedded default\n"
    "  cloisterd --role witness init --home DIR [--name NAME] [--listen ADDRESS:PORT] [--url URL] [--log VKEY]... [--open-logs N]\n"
    "      make a witness's home; prints {name, url, spki, vkey}\n"
    "  cloisterd --role witness [--config FILE] [--home DIR] [--log VKEY]... [--open-logs N]\n"
    "      serve as a witness; a log given by --log is known from then on. Up to N (default 0) ledgers of key services\n"
    "      may make themselves known; others are added with --log\n"
    "  --version, --help\n"
    "\n"
    "Exit: 0 success; 1 refused; 2 bad usage or configuration; 3 a file or address could not be used; 4 a limit was hit.\n";

int clo_service_main(int argc, char **argv)
{
    (void)umask(077); /* also for the files that SQLite makes */
    clo_service_arguments a;
    clo_err e = clo_service_arguments_parse(argc, argv, &a);
    if (!clo_failed(e) && a.help) return fputs(usage, stdout) < 0 ? 3 : 0;
    if (!clo_failed(e) && a.version) return printf("cloisterd %s\n", CLO_VERSION) < 0 ? 3 : 0;
    if (!clo_failed(e)) e = clo_os_log_open(strcmp(a.role, "witness") == 0 ? "cloister-witness" : "cloisterd", NULL, CLO_OS_LOG_INFO);
    if (!clo_failed(e)) e = strcmp(a.role, "witness") == 0 ? clo_service_witness_main(&a) : clo_service_operator_main(&a);
    if (clo_failed(e)) (void)fprintf(stderr, "cloisterd: %s\n", clo_err_text());
    return clo_os_exit_code(e);
}
