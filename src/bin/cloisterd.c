#include "service/service.h"

#include "os/ending.h"

int main(int argc, char **argv)
{
    clo_os_ending_leaves_nothing();
    return clo_service_main(argc, argv);
}
