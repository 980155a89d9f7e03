/* The program of parties: owners, analysts, auditors. */
#include "cli/cli.h"

int main(int argc, char **argv) { return clo_cli_main(argc, argv); }
