/* The key service's program. */
#include "broker/broker.h"

int main(int argc, char **argv) { return clo_broker_main(argc, argv); }
