/* The program of parties: owners, analysts, auditors. */
#include "cli/cli.h"

#include "os/ending.h"

int main(int argc, char **argv)
{
    clo_os_ending_leaves_nothing();
    return clo_cli_main(argc, argv);
}
