#include "service/service.h"

int main(int argc, char **argv) { return clo_service_main(argc, argv); }
