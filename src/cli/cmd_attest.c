/* cloister attest …: evidence judged and looked into. */
#include "cli/cli_int.h"

#include "attest/attest.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "os/file.h"

typedef struct {
    clo_attest_part parts[CLO_ATTEST_PARTS_MAX];
    size_t count;
} parts;

/* ROLE=FILE, where ROLE is a word of the verifiers; anything else is a file name. */
static const char *split_role(const char *text, char role[32])
{
    const char *equals = strchr(text, '=');
    role[0] = 0;
    if (equals == NULL || equals == text || (size_t)(equals - text) >= 32 ||
        strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789") != (size_t)(equals - text))
        return text;
    memcpy(role, text, (size_t)(equals - text));
    role[equals - text] = 0;
    return equals + 1;
}

static void free_certs(clo_crypto_cert **certs, size_t count)
{
    for (size_t i = 0; i < count; i++) clo_crypto_cert_free(&certs[i]);
}

/* What a collateral file is, from what is in it. */
static clo_err guess_collateral(clo_span bytes, const char *path, char role[32])
{
    clo_crypto_cert *certs[8] = {NULL};
    clo_crypto_crl *crl = NULL;
    size_t count = 0;
    if (!clo_failed(clo_crypto_crl_parse(&crl, bytes))) {
        clo_crypto_crl_free(&crl);
        (void)snprintf(role, 32, "crl");
        return CLO_OK;
    }
    if (clo_failed(clo_crypto_cert_parse_pem(certs, 8, &count, bytes)))
        return CLO_FAILF(CLO_E_MALFORMED,
                         "%s is neither a certificate nor a revocation list; say what it is: --collateral ROLE=%s", path, path);
    const char *word = "ask_ark_chain";
    if (count == 1 && !clo_crypto_cert_is_ca(certs[0]))
        word = "vcek_or_vlek";
    else if (count == 1 && !clo_failed(clo_crypto_cert_signed_by(certs[0], certs[0])))
        word = "root";
    (void)snprintf(role, 32, "%s", word);
    free_certs(certs, count);
    return CLO_OK;
}

static clo_err take_part(clo_cli *c, const char *text, bool evidence, parts *out)
{
    char role[32];
    const char *path = split_role(text, role);
    CLO_CHECKF(out->count < CLO_ATTEST_PARTS_MAX, CLO_E_TOO_MANY, "at most %d files may be given", CLO_ATTEST_PARTS_MAX);
    clo_attest_part *p = &out->parts[out->count];
    CLO_TRY(clo_cli_read(c, path, &p->bytes));
    if (role[0] == 0 && evidence) {
        clo_attest_bundle bundle;
        bool is_bundle = !clo_failed(clo_attest_bundle_decode(&c->arena, p->bytes, &bundle));
        (void)snprintf(role, sizeof role, "%s", is_bundle ? "bundle" : "report");
    } else if (role[0] == 0)
        CLO_TRY(guess_collateral(p->bytes, path, role));
    memcpy(p->role, role, sizeof p->role);
    out->count++;
    return CLO_OK;
}

static clo_err take_parts(clo_cli *c, const char *option, bool evidence, parts *out)
{
    const char *text = NULL;
    for (size_t i = 0; (text = clo_cli_value_at(c, option, i)) != NULL; i++) CLO_TRY(take_part(c, text, evidence, out));
    return CLO_OK;
}

static clo_err take_policy(clo_cli *c, const char *type, const parts *collateral, clo_attest_policy *p)
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
        size_t n = strlen(nonce) / 2;
        CLO_CHECKF(n >= 1 && n <= sizeof p->report_data, CLO_E_USAGE, "--nonce takes 1 to 64 bytes in hex");
        memset(p->report_data, 0, sizeof p->report_data);
        CLO_TRY(clo_hex_decode(p->report_data, n, clo_span_str(nonce)));
        p->have_report_data = true;
    }
    if (strcmp(type, "sim") != 0) return CLO_OK;
    /* Asked for the software TEE by name, with its root: that is what is to be judged. */
    p->allow_simulated = true;
    for (size_t i = 0; i < collateral->count && p->root_count < CLO_ATTEST_ROOTS_MAX; i++) {
        CLO_AUTO(clo_crypto_cert_free) clo_crypto_cert *cert = NULL;
        if (strcmp(collateral->parts[i].role, "root") != 0 ||
            clo_failed(clo_crypto_cert_parse(&cert, collateral->parts[i].bytes)))
            continue;
        clo_crypto_cert_sha256(cert, p->roots[p->root_count++]);
    }
    return CLO_OK;
}

static clo_err say_claims(clo_cli *c, const clo_wire_node *claims)
{
    char text[140];
    for (const clo_wire_node *n = claims == NULL ? NULL : claims->first; n != NULL; n = n->next) {
        if (n->key == NULL || n->key->type != CLO_WIRE_TEXT) continue;
        if (n->type == CLO_WIRE_MAP) {
            clo_cli_say(c, "  %-24s", (const char *)n->key->text.p);
            for (const clo_wire_node *m = n->first; m != NULL; m = m->next) {
                clo_cli_text_of(m, text, sizeof text);
                clo_cli_say(c, " %s=%s", (const char *)m->key->text.p, text);
            }
            clo_cli_say(c, "\n");
            continue;
        }
        clo_cli_text_of(n, text, sizeof text);
        clo_cli_say(c, "  %-24s %s\n", (const char *)n->key->text.p, text);
    }
    return CLO_OK;
}

static clo_err appraise(clo_cli *c, parts *evidence, clo_attest_result **out)
{
    const char *type = clo_cli_value(c, "--type"), *at = clo_cli_value(c, "--at");
    int64_t now = clo_cli_now();
    void *memory = NULL;
    if (type == NULL) type = "auto";
    if (at != NULL) {
        clo_err e = clo_time_parse(&now, clo_span_str(at));
        if (clo_failed(e)) return CLO_FAILF(CLO_E_USAGE, "--at takes a time like 2026-01-31T12:00:00Z");
    }
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(parts), &memory));
    parts *collateral = memory;
    CLO_TRY(take_parts(c, "--collateral", false, collateral));
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_attest_policy), &memory));
    clo_attest_policy *policy = memory;
    CLO_TRY(take_policy(c, type, collateral, policy));
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_attest_result), &memory));
    *out = memory;
    return clo_attest_verify(&c->arena, type, evidence->parts, evidence->count, collateral->parts, collateral->count, policy, now,
                             *out);
}

clo_err clo_cli_attest_verify(clo_cli *c)
{
    void *memory = NULL;
    clo_attest_result *r = NULL;
    clo_wire_node *tree = NULL;
    const char *given = NULL;
    CLO_TRY(clo_cli_require(c, "--evidence", &given));
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(parts), &memory));
    parts *evidence = memory;
    CLO_TRY(take_parts(c, "--evidence", true, evidence));
    CLO_TRY(appraise(c, evidence, &r));
    for (size_t i = 0; i < r->check_count; i++) {
        const clo_attest_check *k = &r->checks[i];
        if (k->ok) {
            if (!c->quiet) clo_cli_say(c, "  ok   %s\n", k->name);
        } else
            clo_cli_say(c, "  NO   %s: expected %s, got %s\n", k->name, k->expected, k->actual);
    }
    if (r->valid)
        clo_cli_say(c, "valid: %s evidence%s\n", r->tee,
                    strcmp(r->tee, "sim") == 0 ? " (simulated: no protection from the operator)" : "");
    else
        clo_cli_say(c, "invalid: %s: %s\n", r->reason, r->detail);
    c->negative = !r->valid;
    CLO_TRY(clo_attest_result_tree(&c->arena, r, &tree));
    return clo_cli_emit(c, tree);
}

clo_err clo_cli_attest_inspect(clo_cli *c)
{
    void *memory = NULL;
    clo_attest_result *r = NULL;
    clo_wire_node *map = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(parts), &memory));
    parts *evidence = memory;
    CLO_TRY(take_part(c, c->args[0], true, evidence));
    CLO_TRY(appraise(c, evidence, &r));
    CLO_CHECKF(r->claims != NULL, CLO_E_MALFORMED, "%s: %s", c->args[0],
               r->detail[0] != 0 ? r->detail : "this is no evidence of a known type; give --type");
    clo_cli_say(c, "%s evidence; claims as they stand there, not verified:\n", r->tee);
    CLO_TRY(say_claims(c, r->claims));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "tee", r->tee));
    CLO_TRY(clo_wire_hexify(&c->arena, r->claims));
    CLO_TRY(clo_wire_set(&c->arena, map, "claims", r->claims));
    return clo_cli_emit(c, map);
}

clo_err clo_cli_attest_fetch(clo_cli *c)
{
    clo_client_session *s = NULL;
    clo_wire_node *answer = NULL;
    char path[200], hex[129];
    uint8_t nonce[64];
    size_t n = 32;
    const char *given = clo_cli_value(c, "--nonce"), *out = clo_cli_value(c, "--out");
    if (given != NULL) {
        n = strlen(given) / 2;
        CLO_CHECKF(n >= 8 && n <= 64, CLO_E_USAGE, "--nonce takes 8 to 64 bytes in hex");
        CLO_TRY(clo_hex_decode(nonce, n, clo_span_str(given)));
    } else
        CLO_TRY(clo_crypto_random(nonce, n));
    clo_hex_encode(hex, clo_span_of(nonce, n));
    CLO_TRY(clo_cli_home(c));
    CLO_TRY(clo_client_session_open(&s, &c->home.server, NULL));
    (void)snprintf(path, sizeof path, "/api/v1/compute/attestation?nonce=%s", hex);
    clo_err e = clo_cli_get(c, s, path, &answer);
    clo_client_session_free(&s);
    CLO_TRY(e);
    const char *report = clo_client_text(answer, "attestation_report"), *tee = clo_client_text(answer, "tee_type");
    CLO_CHECKF(report != NULL, CLO_E_MALFORMED, "the operator's answer holds no attestation_report");
    clo_cli_say(c, "%s evidence for nonce %s\n", tee == NULL ? "?" : tee, hex);
    if (out != NULL) {
        CLO_AUTO(clo_buf_free) clo_buf bytes;
        clo_buf_init(&bytes, CLI_FILE_MAX);
        CLO_TRY(clo_base64_decode(&bytes, clo_span_str(report)));
        CLO_TRY(clo_os_file_write_atomic(out, clo_buf_span(&bytes), 0644));
        clo_cli_say(c, "written to %s; look into it with: cloister attest inspect %s\n", out, out);
    }
    CLO_TRY(clo_wire_set_text(&c->arena, answer, "nonce", hex));
    return clo_cli_emit(c, answer);
}
