/* cloister attest collect: evidence of this machine, from whichever TEE it has. */
#include "cli/cli_int.h"

#include "crypto/hash.h"
#include "os/file.h"
#include "tee/tdx_guest.h"
#include "tee/tdx_quoting.h"
#include "tee/tee.h"
#include "tee/tpm_guest.h"

enum { BUNDLE_MAX_BYTES = 64 * 1024 };

static clo_err list_providers(clo_cli *c)
{
    static const char *const names[] = {"sgx", "nitro", "tdx", "snp", "azure-vtpm", "tpm", "trustzone"}; /* in the order in which they are preferred */
    clo_wire_node *list = NULL;
    CLO_TRY(clo_wire_array(&c->arena, &list));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const clo_tee_provider *p = clo_tee_named(names[i]);
        clo_wire_node *one = NULL;
        CLO_CHECK(p != NULL, CLO_E_BUG);
        bool here = p->probe(-1);
        clo_cli_say(c, "%-3s %-11s %s\n", here ? "yes" : "no", p->name, p->describe());
        CLO_TRY(clo_wire_map(&c->arena, &one));
        CLO_TRY(clo_wire_set_text(&c->arena, one, "tee", p->name));
        CLO_TRY(clo_wire_set_bool(&c->arena, one, "here", here));
        CLO_TRY(clo_wire_set_text(&c->arena, one, "describe", p->describe()));
        CLO_TRY(clo_wire_append(list, one));
    }
    return clo_cli_emit(c, list);
}

static clo_err take_nonce(const clo_cli *c, uint8_t data[64], size_t *n)
{
    const char *hex = clo_cli_value(c, "--nonce");
    memset(data, 0, 64);
    *n = 32;
    if (hex == NULL) return clo_crypto_random(data, *n);
    *n = strlen(hex) / 2;
    CLO_CHECKF(*n >= 1 && *n <= 64 && !clo_failed(clo_hex_decode(data, *n, clo_span_str(hex))), CLO_E_USAGE, "--nonce takes 1 to 64 bytes in hex");
    return CLO_OK;
}

/* A program outside the runtime may also speak to the host's quoting service, and to a TPM elsewhere. */
static clo_err evidence_of(const clo_cli *c, const clo_tee_provider *p, const uint8_t data[64], clo_buf *bundle)
{
    const char *tpm = clo_cli_value(c, "--tpm");
    if (p == &clo_tee_provider_tdx) {
        clo_tee_guest_host host = clo_tee_guest_system;
        host.td_quote = clo_tee_tdx_quote_by_vsock;
        return clo_tee_tdx_evidence(&host, data, bundle);
    }
    if (p == &clo_tee_provider_tpm && tpm != NULL) return clo_tee_tpm_evidence(tpm, CLO_TEE_TPM_EVENT_LOG, data, bundle);
    if (p == &clo_tee_provider_azure_vtpm && tpm != NULL) return clo_tee_azure_evidence(tpm, data, bundle);
    return p->evidence(-1, data, bundle);
}

clo_err clo_cli_attest_collect(clo_cli *c)
{
    const char *tee = clo_cli_value(c, "--tee"), *out = clo_cli_value(c, "--out"), *text = NULL;
    uint8_t data[64];
    size_t n = 0;
    char hex[129];
    clo_wire_node *map = NULL;
    CLO_AUTO(clo_buf_free) clo_buf bundle;
    CLO_AUTO(clo_buf_free) clo_buf base64;
    clo_buf_init(&bundle, BUNDLE_MAX_BYTES);
    clo_buf_init(&base64, 2 * BUNDLE_MAX_BYTES);
    if (clo_cli_flag(c, "--list")) return list_providers(c);
    CLO_CHECKF(out != NULL || c->json, CLO_E_USAGE, "say where the evidence goes: --out FILE, or --json");
    const clo_tee_provider *p = tee != NULL ? clo_tee_named(tee) : clo_tee_find_any(-1);
    CLO_CHECKF(p != NULL || tee == NULL, CLO_E_USAGE, "\"%.32s\" is no TEE that is known here; see attest collect --list", tee);
    CLO_CHECKF(p != NULL, CLO_E_UNREACHABLE, "this machine has no TEE and no TPM that is known here; see attest collect --list");
    CLO_TRY(take_nonce(c, data, &n));
    clo_hex_encode(hex, clo_span_of(data, n));
    CLO_TRY(evidence_of(c, p, data, &bundle));
    if (out != NULL) CLO_TRY(clo_os_file_write_atomic(out, clo_buf_span(&bundle), 0644));
    clo_cli_say(c, "%s evidence of %zu bytes for nonce %s\n%s\n", p->name, bundle.len, hex, p->describe());
    CLO_TRY(clo_base64_encode(&base64, clo_buf_span(&bundle)));
    CLO_TRY(clo_buf_cstr(&base64, &text));
    CLO_TRY(clo_wire_map(&c->arena, &map));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "tee", p->name));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "nonce", hex));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "describe", p->describe()));
    CLO_TRY(clo_wire_set_text(&c->arena, map, "evidence", text));
    return clo_cli_emit(c, map);
}
