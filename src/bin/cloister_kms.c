/* The key service's program. */
#include "broker/broker.h"

#include "os/ending.h"

int main(int argc, char **argv)
{
    clo_os_ending_leaves_nothing();
    return clo_broker_main(argc, argv);
}
