/* cloister attest fetch: evidence of the operator's runtime; with --type, a vendor's collateral for evidence that is here. */
#include "cli/cli_attest.h"

#include "attest/policy_claims.h"
#include "client/collateral_fetch.h"
#include "crypto/hash.h"
#include "os/file.h"

enum { INDEX_MAX = 64 * 1024 };

/* Classes that say something about the platform by the vendor's word: collateral of which one holds this is good collateral. */
static bool about_platform(const char *reason)
{
    static const char *const all[] = {"revoked", "tcb_status", "tcb_not_supported", "tcb_date", "advisory", "debug", "vmpl", "migration", "platform_policy", "provisional_firmware"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i], reason) == 0) return true;
    return false;
}

/* Only what the collateral is to answer for; what a policy would ask of the evidence is asked when it is verified. */
static void take_policy(clo_attest_policy *p)
{
    clo_attest_policy_init_open(p);
    p->allow_debug = true;
    p->allow_trailing_bytes = true;
    p->accept_tcb_status = CLO_ATTEST_TCB_ANY;
    p->any_advisory = true;
    p->any_td_attributes = true;
}

static clo_err appraise(clo_cli *c, const cli_case *k, clo_attest_result **out)
{
    void *memory = NULL;
    CLO_TRY(clo_arena_alloc(&c->arena, sizeof(clo_attest_policy), &memory));
    take_policy(memory);
    return clo_cli_case_verify(c, k, memory, out);
}

/* The first failed check that is neither about the platform nor of this other class. */
static const clo_attest_check *fault_of(const clo_attest_result *r, const char *other)
{
    for (size_t i = 0; i < r->check_count; i++) {
        const clo_attest_check *k = &r->checks[i];
        if (!k->ok && !about_platform(k->reason) && strcmp(k->reason, other) != 0) return k;
    }
    return NULL;
}

static clo_err deny(const clo_attest_check *k, const char *what, const char *source)
{
    char claim[64];
    (void)snprintf(claim, sizeof claim, "%s.%s", what, k->name);
    return CLO_DENY(CLO_E_DENIED, claim, k->expected, k->actual, source, clo_attest_advice_of(k->reason)->remedy);
}

/* A claim of exactly n bytes. */
static clo_err claim_bytes(const clo_attest_result *r, const char *path, size_t n, clo_span *out)
{
    const clo_wire_node *claim = r->claims == NULL ? NULL : clo_attest_claim_find(r->claims, path);
    CLO_CHECKF(claim != NULL && claim->type == CLO_WIRE_BYTES && claim->text.n == n, CLO_E_MALFORMED,
               "the evidence does not say which platform made it (%s); see: cloister attest inspect", path);
    *out = claim->text;
    return CLO_OK;
}

static bool claim_number(const clo_attest_result *r, const char *path, unsigned *out)
{
    const clo_wire_node *claim = clo_attest_claim_find(r->claims, path);
    if (claim == NULL || claim->type != CLO_WIRE_INT || claim->integer < 0 || claim->integer > 255) return false;
    *out = (unsigned)claim->integer;
    return true;
}

static void note_wait(void *context, const char *text) { clo_cli_note(context, "%s\n", text); }

static clo_err fetch_intel(clo_cli *c, const cli_case *k, const clo_attest_result *r, const clo_client_collateral_source *from, clo_client_collateral *out)
{
    clo_span fmspc;
    const char *ca = NULL;
    const clo_attest_check *fault = fault_of(r, "collateral_missing");
    CLO_TRY(claim_bytes(r, "pck.fmspc", 6, &fmspc));
    if (fault != NULL) return deny(fault, "evidence", "the evidence itself");
    for (size_t i = 0; i < r->check_count; i++) {
        if (strcmp(r->checks[i].name, "pck.issuer") == 0 && r->checks[i].ok) ca = strstr(r->checks[i].actual, "Platform") != NULL ? "platform" : "processor";
    }
    CLO_CHECKF(ca != NULL, CLO_E_UNSUPPORTED, "the quote brings no chain of its PCK certificate, so that nobody can say whose list is wanted");
    return clo_client_collateral_intel(&c->arena, from, strcmp(k->type, "tdx") == 0, fmspc.p, ca, out);
}

/* By family and model, which reports of version 2 do not have: those need --product. */
static clo_err product_of(clo_cli *c, const clo_attest_result *r, const char **out)
{
    static const char *const products[] = {"Milan", "Genoa", "Turin"};
    const char *said = clo_cli_value(c, "--product");
    unsigned family = 0, model = 0;
    *out = NULL;
    if (claim_number(r, "cpuid_fam", &family) && claim_number(r, "cpuid_mod", &model)) {
        if (family == 0x19 && model <= 0x0f) *out = products[0];
        if (family == 0x19 && ((model >= 0x10 && model <= 0x1f) || (model >= 0xa0 && model <= 0xaf))) *out = products[1];
        if (family == 0x1a && model <= 0x11) *out = products[2];
        CLO_CHECKF(*out != NULL, CLO_E_UNSUPPORTED, "the report is of a processor (family %u, model %u) that is not known here", family, model);
        CLO_CHECKF(said == NULL || strcmp(said, *out) == 0, CLO_E_USAGE, "the report is of a %s; leave --product out", *out);
        return CLO_OK;
    }
    for (size_t i = 0; said != NULL && i < sizeof products / sizeof products[0]; i++)
        if (strcmp(products[i], said) == 0) *out = products[i];
    CLO_CHECKF(*out != NULL, CLO_E_USAGE, "this report does not say which processor made it: give --product Milan, Genoa or Turin");
    return CLO_OK;
}

static clo_err fetch_amd(clo_cli *c, const clo_attest_result *r, const clo_client_collateral_source *from, clo_client_collateral *out)
{
    static const uint8_t hidden[64] = {0};
    clo_client_collateral_chip chip = {0};
    CLO_TRY(claim_bytes(r, "chip_id", 64, &chip.hardware_id));
    const char *key = clo_client_text(r->claims, "signing_key");
    CLO_CHECKF(key != NULL && strcmp(key, "vcek") == 0, CLO_E_UNSUPPORTED, "the report is not signed by a chip's own key (VCEK): who runs the machine has the certificate");
    CLO_CHECKF(memcmp(chip.hardware_id.p, hidden, 64) != 0, CLO_E_UNSUPPORTED, "the report hides which chip made it: who runs the machine has the certificate");
    CLO_TRY(product_of(c, r, &chip.product));
    chip.have_fmc = strcmp(chip.product, "Turin") == 0;
    if (chip.have_fmc) chip.hardware_id.n = 8;
    bool whole = claim_number(r, "reported_tcb_parts.bl", &chip.bl) && claim_number(r, "reported_tcb_parts.tee", &chip.tee) &&
                 claim_number(r, "reported_tcb_parts.snp", &chip.snp) && claim_number(r, "reported_tcb_parts.ucode", &chip.ucode) &&
                 (!chip.have_fmc || claim_number(r, "reported_tcb_parts.fmc", &chip.fmc));
    CLO_CHECKF(whole, CLO_E_MALFORMED, "the report does not say its TCB as a %s does", chip.product);
    CLO_TRY(clo_client_collateral_amd(&c->arena, from, &chip, out));
    if (out->count < 3) clo_cli_note(c, "no revocation list came from there; policies that ask for one (the strict ones) will refuse this evidence\n");
    return CLO_OK;
}

/* What came must be accepted with this evidence before any of it is written. */
static clo_err prove(clo_cli *c, cli_case *k, const clo_client_collateral *got, const char *server, clo_attest_result **out)
{
    k->collateral_count = 0;
    for (size_t i = 0; i < got->count; i++) {
        clo_attest_part *part = &k->collateral[k->collateral_count++];
        (void)snprintf(part->role, sizeof part->role, "%s", got->files[i].role);
        part->bytes = got->files[i].bytes;
    }
    CLO_TRY(appraise(c, k, out));
    const clo_attest_check *fault = fault_of(*out, "");
    if (fault != NULL) return deny(fault, "collateral", server);
    CLO_CHECKF((*out)->valid || about_platform((*out)->reason), CLO_E_DENIED, "%s: %s: %s", server, (*out)->reason, (*out)->detail);
    return CLO_OK;
}

/* Which evidence an item is for: Intel's documents of one family of platforms, AMD's certificates of one chip. */
static clo_err when_of(clo_cli *c, const char *role, const clo_attest_result *r, clo_wire_node *when)
{
    static const char *const intel[] = {"tcb_info", "pck_ca_crl"}, *const amd[] = {"vcek_or_vlek", "ask_ark_chain", "crl"};
    char hex[129];
    clo_span bytes;
    for (size_t i = 0; i < sizeof intel / sizeof intel[0]; i++) {
        if (strcmp(role, intel[i]) != 0) continue;
        CLO_TRY(claim_bytes(r, "pck.fmspc", 6, &bytes));
        clo_hex_encode(hex, bytes);
        CLO_TRY(clo_wire_set_text(&c->arena, when, "pck.fmspc", hex));
    }
    for (size_t i = 0; i < sizeof amd / sizeof amd[0]; i++) {
        if (strcmp(role, amd[i]) != 0) continue;
        CLO_TRY(claim_bytes(r, "chip_id", 64, &bytes));
        clo_hex_encode(hex, bytes);
        CLO_TRY(clo_wire_set_text(&c->arena, when, "chip_id", hex));
    }
    if (strcmp(role, amd[0]) != 0) return CLO_OK;
    CLO_TRY(claim_bytes(r, "reported_tcb", 8, &bytes));
    clo_hex_encode(hex, bytes);
    return clo_wire_set_text(&c->arena, when, "reported_tcb", hex);
}

/* The files, each whole or not there, and then the index that `attest bundle` takes. */
static clo_err keep(clo_cli *c, const cli_case *k, const clo_client_collateral *got, const clo_attest_result *r, const char *directory, clo_wire_node **index)
{
    char path[700];
    CLO_TRY(clo_wire_array(&c->arena, index));
    CLO_TRY(clo_os_dir_make(directory));
    for (size_t i = 0; i < got->count; i++) {
        const clo_client_collateral_file *one = &got->files[i];
        clo_wire_node *item = NULL, *when = NULL;
        CLO_TRY(clo_os_path_join(path, sizeof path, directory, one->file));
        CLO_TRY(clo_os_file_write_atomic(path, one->bytes, 0644));
        CLO_TRY(clo_wire_map(&c->arena, &item));
        CLO_TRY(clo_wire_map(&c->arena, &when));
        CLO_TRY(when_of(c, one->role, r, when));
        CLO_TRY(clo_wire_set_text(&c->arena, item, "type", k->type));
        CLO_TRY(clo_wire_set_text(&c->arena, item, "role", one->role));
        CLO_TRY(clo_wire_set_text(&c->arena, item, "file", one->file));
        CLO_TRY(clo_wire_set(&c->arena, item, "when", when));
        CLO_TRY(clo_wire_append(*index, item));
    }
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, INDEX_MAX);
    CLO_TRY(clo_wire_json_encode(*index, 2, &text));
    CLO_TRY(clo_buf_put_str(&text, "\n"));
    CLO_TRY(clo_os_path_join(path, sizeof path, directory, "index.json"));
    return clo_os_file_write_atomic(path, clo_buf_span(&text), 0644);
}

/* The report alone: a bundle's or a record's own collateral is what is to be replaced. */
static clo_err take_evidence(clo_cli *c, cli_case *k)
{
    const char *path = NULL;
    CLO_TRY(clo_cli_require(c, "--evidence", &path));
    CLO_TRY(clo_cli_case_evidence(c, k, path));
    k->collateral_count = 0;
    for (size_t i = 0; i < k->evidence_count; i++) {
        clo_attest_bundle bundle;
        if (strcmp(k->evidence[i].role, "bundle") != 0) continue;
        CLO_TRY(clo_attest_bundle_decode(&c->arena, k->evidence[i].bytes, &bundle));
        (void)snprintf(k->evidence[i].role, sizeof k->evidence[i].role, "report");
        k->evidence[i].bytes = bundle.report;
    }
    return CLO_OK;
}

static clo_err fetch_collateral(clo_cli *c, const char *type)
{
    cli_case *k = NULL;
    clo_attest_result *r = NULL;
    clo_client_collateral got = {0};
    clo_client_collateral_source from = {.server = clo_cli_value(c, "--from"), .note = note_wait, .context = c};
    const char *pin = c->server_pin, *directory = NULL;
    uint8_t spki[32];
    bool amd = strcmp(type, "snp") == 0;
    CLO_CHECKF(amd || strcmp(type, "sgx") == 0 || strcmp(type, "tdx") == 0, CLO_E_USAGE, "--type is sgx, tdx or snp: of others no vendor gives collateral to everybody");
    CLO_CHECKF(clo_cli_value(c, "--nonce") == NULL && clo_cli_value(c, "--out") == NULL, CLO_E_USAGE, "--nonce and --out are for the operator's evidence; collateral goes to --out-dir");
    CLO_TRY(clo_cli_require(c, "--out-dir", &directory));
    if (pin != NULL) {
        CLO_CHECKF(!clo_failed(clo_hex_decode(spki, sizeof spki, clo_span_str(pin))), CLO_E_USAGE, "--pin takes 64 hex digits: SHA-256 of the server's SubjectPublicKeyInfo");
        CLO_CHECKF(from.server != NULL, CLO_E_USAGE, "--pin is of the server that --from names");
        from.spki = spki;
    }
    CLO_TRY(clo_cli_case_open(c, &k));
    CLO_TRY(take_evidence(c, k));
    CLO_TRY(appraise(c, k, &r));
    CLO_TRY(amd ? fetch_amd(c, r, &from, &got) : fetch_intel(c, k, r, &from, &got));
    CLO_TRY(prove(c, k, &got, from.server != NULL ? from.server : "the vendor's service", &r));
    clo_wire_node *index = NULL, *map = NULL;
    CLO_TRY(keep(c, k, &got, r, directory, &index));
    clo_cli_say(c, "%zu files and index.json are in %s\n", got.count, directory);
    if (!r->valid) clo_cli_say(c, "by them this evidence is not valid: %s: %s\n", r->reason, r->detail);
    if (r->tcb_status[0] != '\0') clo_cli_say(c, "TCB %s\n", r->tcb_status);
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "type", k->type));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "directory", directory));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "verdict", r->valid ? "valid" : "invalid"));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "reason", r->reason));
    CLO_TRY(clo_wire_set(&c->arena, map, "items", index));
    return clo_cli_emit(c, map);
}

static clo_err fetch_evidence(clo_cli *c)
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

clo_err clo_cli_attest_fetch(clo_cli *c)
{
    static const char *const of_collateral[] = {"--evidence", "--from", "--product", "--at", "--out-dir"};
    const char *type = clo_cli_value(c, "--type");
    if (type != NULL) return fetch_collateral(c, type);
    for (size_t i = 0; i < sizeof of_collateral / sizeof of_collateral[0]; i++)
        CLO_CHECKF(clo_cli_value(c, of_collateral[i]) == NULL, CLO_E_USAGE, "%s is for vendors' collateral: say --type sgx, tdx or snp too", of_collateral[i]);
    return fetch_evidence(c);
}
