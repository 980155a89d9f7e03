/* cloister attest …: evidence judged and looked into. */
#include "cli/cli_attest.h"

#include "crypto/x509.h"
#include "os/file.h"

static clo_err take_policy(clo_cli *c, const cli_case *k, clo_attest_policy *p)
{
    const char *path = clo_cli_value(c, "--policy"), *nonce = clo_cli_value(c, "--nonce");
    clo_attest_policy_init_open(p);
    if (path != NULL) {
        clo_wire_node *tree = NULL;
        CLO_TRY(clo_client_json_file(&c->arena, path, &tree));
        clo_err e = clo_attest_policy_read_open(&c->arena, tree, p);
        if (clo_failed(e)) return clo_err_prefix(e, path);
    }
    if (nonce != NULL) {
        uint8_t bytes[64] = {0};
        size_t n = strlen(nonce) / 2;
        CLO_CHECKF(n >= 1 && n <= sizeof bytes, CLO_E_USAGE, "--nonce takes 1 to 64 bytes in hex");
        CLO_TRY(clo_hex_decode(bytes, n, clo_span_str(nonce)));
        bool in_report_data = strcmp(k->type, "sgx") == 0 || strcmp(k->type, "tdx") == 0;
        if (in_report_data) {
            memcpy(p->report_data, bytes, sizeof p->report_data);
            p->have_report_data = true;
        } else {
            CLO_TRY(clo_arena_copy(&c->arena, clo_span_of(bytes, n), &p->expected_nonce));
        }
    }
    if (strcmp(k->type, "sim") != 0) return CLO_OK;
    /* Asked for the software TEE by name, with its root: that is what is to be judged. */
    p->allow_simulated = true;
    for (size_t i = 0; i < k->collateral_count && p->root_count < CLO_ATTEST_ROOTS_MAX; i++) {
        CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
        if (strcmp(k->collateral[i].role, "root") != 0 || clo_failed(clo_crypto_cert_parse(&cert, k->collateral[i].bytes))) continue;
        clo_crypto_cert_sha256(cert, p->roots[p->root_count++]);
    }
    return CLO_OK;
}

/* "auto" by its bytes, before the policy is made: some members depend on the type. */
static clo_err type_settle(clo_cli *c, cli_case *k)
{
    if (strcmp(k->type, "auto") != 0) return CLO_OK;
    void *memory = NULL;
    clo_attest_result *r = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_attest_policy), &memory));
    clo_attest_policy_init_open(memory);
    CLO_TRY(clo_cli_case_verify(c, k, memory, &r));
    if (r->tee[0] != '\0') memcpy(k->type, r->tee, sizeof k->type);
    return CLO_OK;
}

clo_err clo_cli_attest_verify(clo_cli *c)
{
    void *memory = NULL;
    cli_case *k = NULL;
    clo_attest_result *r = NULL;
    clo_wire_node *tree = NULL;
    const char *text = NULL;
    CLO_TRY(clo_cli_require(c, "--evidence", &text));
    CLO_TRY(clo_cli_case_open(c, &k));
    for (size_t i = 0; (text = clo_cli_value_at(c, "--evidence", i)) != NULL; i++) CLO_TRY(clo_cli_case_evidence(c, k, text));
    CLO_TRY(type_settle(c, k));
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_attest_policy), &memory));
    clo_attest_policy *policy = memory;
    CLO_TRY(take_policy(c, k, policy));
    CLO_TRY(clo_cli_case_verify(c, k, policy, &r));
    clo_cli_say_checks(c, r);
    if (r->valid) {
        clo_cli_say(c, "valid: %s evidence%s%s%s\n", r->tee, strcmp(r->tee, "sim") == 0 ? " (simulated: no protection from the operator)" : "",
                    r->tcb_status[0] != '\0' ? ", TCB " : "", r->tcb_status);
    } else {
        clo_cli_say(c, "invalid: %s: %s\n", r->reason, r->detail);
    }
    for (size_t i = 0; i < r->advisory_count; i++) clo_cli_say(c, "%s%s", i == 0 ? "advisories: " : ", ", r->advisories[i]);
    if (r->advisory_count != 0) clo_cli_say(c, "\n");
    if (r->valid && r->valid_until != 0) {
        char until[40];
        clo_time_format(until, r->valid_until);
        clo_cli_say(c, "holds until %s\n", until);
    }
    c->negative = !r->valid;
    CLO_TRY(clo_attest_result_tree(&c->arena, r, &tree));
    return clo_cli_emit(c, tree);
}
