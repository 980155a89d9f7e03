/* Shared inside the SNP guest. */
#ifndef CLO_TEE_SNP_GUEST_INT_H
#define CLO_TEE_SNP_GUEST_INT_H
#include "tee/snp_guest.h"
#include "tee/tee_int.h"

enum { SNP_TRIES = 5, SNP_TABLE_MAX = CLO_TEE_TSM_AUXILIARY_MAX };
/* Raw report and certificate table, before they become a bundle. */
typedef struct {
    uint8_t report[TEE_REPORT_SIZE];
    clo_buf table;
} clo_tee_snp_raw;
/* UNREACHABLE where the device is not there. */
CLO_R clo_tee_snp_by_device(const clo_tee_guest_host *host, const uint8_t report_data[64], clo_tee_snp_raw *out);
#endif
