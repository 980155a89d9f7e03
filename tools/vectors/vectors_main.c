/* cloister-vectors AREA DIR: run every published case of an area through the product's own functions. */
#include "vectors.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;
    int (*run)(const char *dir, clo_vectors_report *r);
} area;

static const area areas[] = {
    {"hpke", clo_vectors_hpke},
    {"aead", clo_vectors_aead},
    {"kdf", clo_vectors_kdf},
    {"acvp", clo_vectors_acvp},
    {"wycheproof", clo_vectors_wycheproof},
    {"cose", clo_vectors_cose},
    {"merkle", clo_vectors_merkle},
    {"tlog", clo_vectors_tlog},
    {"attestation", clo_vectors_attestation},
    {"dp", clo_vectors_dp},
    {"jose", clo_vectors_jose},
    {"jwt", clo_vectors_jwt},
};

/* Areas whose formats are fixed but whose primitives the product does not have: their cases count as one skip with the reason. */
static const char *const without[] = {"fl", "he", "mpc", "onnx", "otp", "webauthn", "pkix", "aws-sigv4", "azure-storage",
                                      "gcs-v4-signing", "oci-signing", "cms-recipient", "rsa-aes-wrap", "mlkem-cctv", "ed25519-cctv",
                                      "age", "tink-streaming"};

static int usage(void)
{
    fputs("usage: cloister-vectors AREA DIR\nareas:", stderr);
    for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++) fprintf(stderr, " %s", areas[i].name);
    fputs("\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc != 3) return usage();
    clo_vectors_report r = {0};
    for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++) {
        if (strcmp(areas[i].name, argv[1]) != 0) continue;
        if (areas[i].run(argv[2], &r) != 0) {
            fprintf(stderr, "cloister-vectors: cannot read %s: %s\n", argv[2], clo_err_text());
            return 3;
        }
        printf("%u passed, %u failed, %u skipped\n", r.passed, r.failed, r.skipped);
        return r.failed == 0 ? 0 : 1;
    }
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        if (strcmp(without[i], argv[1]) != 0) continue;
        clo_vectors_skip(&r, argv[1], "all", "the product does not have this primitive");
        printf("%u passed, %u failed, %u skipped\n", r.passed, r.failed, r.skipped);
        return 0;
    }
    return usage();
}
