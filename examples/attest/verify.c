/* Verify a piece of evidence: ./verify TYPE EVIDENCE [ROLE=COLLATERAL]…
 * Build: cc verify.c $(pkg-config --cflags --libs cloister) */
#include <cloister/attest.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int add_file(cloister_attest_parts *to, const char *role, const char *path)
{
    static char bytes[1 << 20];
    FILE *f = fopen(path, "rb");
    if (f == NULL) return -1;
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    return cloister_attest_parts_add(to, role, bytes, n);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    cloister_attest_parts *evidence = cloister_attest_parts_new(), *collateral = cloister_attest_parts_new();
    cloister_attest_policy *policy = NULL;
    cloister_attest_result *result = NULL;
    int bad = add_file(evidence, "report", argv[2]);
    for (int i = 3; i < argc && bad == 0; i++) {
        char *path = strchr(argv[i], '=');
        if (path == NULL) return 2;
        *path++ = 0;
        bad = add_file(collateral, argv[i], path);
    }
    if (bad == 0) bad = cloister_attest_policy_read(NULL, 0, true, &policy); /* open: only for looking; strict policies release */
    if (bad == 0) bad = cloister_attest_verify(argv[1], evidence, collateral, policy, time(NULL), NULL, &result);
    if (bad != 0) {
        fprintf(stderr, "%s\n", cloister_error_text());
        return 2;
    }
    bool valid = cloister_attest_result_valid(result);
    printf("%s %s\n", valid ? "valid" : cloister_attest_result_detail(result), cloister_attest_result_claims(result));
    cloister_attest_result_free(result);
    cloister_attest_policy_free(policy);
    cloister_attest_parts_free(collateral);
    cloister_attest_parts_free(evidence);
    return valid ? 0 : 1;
}
