#include "client/collateral_fetch.h"

#include "base/clo_own.h"
#include "base/clo_text.h"
#include "client/http_client.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define INTEL "https://api.trustedservices.intel.com"
#define INTEL_CERTIFICATES "https://certificates.trustedservices.intel.com"
#define AMD "https://kdsintf.amd.com"
#define SECOND UINT64_C(1000000000)

enum { DOCUMENT_MAX = 256 * 1024, LIST_MAX = 1 << 20, CHAIN_MAX = 32 * 1024, ONE_REQUEST_MS = 20000 };

typedef struct {
    const clo_client_collateral_source *from;
    clo_arena *arena;
    clo_client_http *http;
    const char *base;
    uint64_t deadline; /* monotonic, of everything */
} fetching;

static void fetching_end(fetching *f) { clo_client_http_free(&f->http); }

static clo_err turn_to(fetching *f, const char *vendor)
{
    f->base = f->from->server != NULL ? f->from->server : vendor;
    clo_client_http_free(&f->http);
    return f->from->spki != NULL ? clo_client_http_new(&f->http, f->base, f->from->spki) : clo_client_http_new_public(&f->http, f->base);
}

/* How long to wait before try number `next`; an error where that is too long or often. */
static clo_err wait_of(const fetching *f, unsigned status, unsigned next, uint64_t *seconds)
{
    uint64_t now = clo_os_now_ns(), asked = clo_client_http_retry_after(f->http);
    *seconds = asked != 0 ? asked : next;
    CLO_CHECKF(next < CLO_CLIENT_COLLATERAL_TRIES, CLO_E_AGAIN, "%s was asked %d times and is busy still (status %u); try again in %llu s or later", f->base,
               CLO_CLIENT_COLLATERAL_TRIES, status, (unsigned long long)*seconds);
    CLO_CHECKF(now < f->deadline && *seconds < (f->deadline - now) / SECOND, CLO_E_AGAIN, "%s is busy (status %u) and asks to be left alone for %llu s; try again then",
               f->base, status, (unsigned long long)*seconds);
    return CLO_OK;
}

static clo_err explain(const fetching *f, clo_err e, unsigned status, const char *path)
{
    if (e.code == CLO_E_TOO_LARGE) return CLO_FAILF(e.code, "%s answered to %.200s with more bytes than this can be; see that it is the right server", f->base, path);
    if (status >= 300 && status < 400)
        return CLO_FAILF(CLO_E_DENIED, "%s sends elsewhere (status %u), where nobody follows it; name the right server with --from", f->base, status);
    if (status == 404) return CLO_FAILF(CLO_E_NOT_FOUND, "%s does not know this platform: nothing is at %.300s", f->base, path);
    if (status >= 400) return CLO_FAILF(status >= 500 ? CLO_E_UNREACHABLE : CLO_E_MALFORMED, "%s answered with status %u to %.300s", f->base, status, path);
    return e;
}

/* One document. */
static clo_err get(fetching *f, const char *path, size_t max, clo_span *out)
{
    CLO_AUTO(clo_buf_free) clo_buf answer;
    clo_buf_init(&answer, max);
    for (unsigned try = 0;; try++) {
        unsigned status = 0;
        uint64_t now = clo_os_now_ns(), wait = 0, left = now < f->deadline ? (f->deadline - now) / 1000000 : 0;
        CLO_CHECKF(left > 0, CLO_E_TIMEOUT, "%s did not give everything within %d s; try again", f->base, CLO_CLIENT_COLLATERAL_SECONDS);
        clo_client_http_request r = CLO_CLIENT_HTTP_REQUEST("GET", path);
        r.accept = "*/*";
        r.timeout_ms = left < ONE_REQUEST_MS ? (unsigned)left : ONE_REQUEST_MS;
        clo_err e = clo_client_http_do(f->http, &r, &answer, &status);
        if (!clo_failed(e)) {
            CLO_CHECKF(answer.len > 0, CLO_E_MALFORMED, "%s answered to %.300s with nothing", f->base, path);
            return clo_arena_copy(f->arena, clo_buf_span(&answer), out);
        }
        if (status != 429 && status != 503) return explain(f, e, status, path);
        CLO_TRY(wait_of(f, status, try + 1, &wait));
        char text[200];
        (void)snprintf(text, sizeof text, "%.100s is busy (status %u); asked again in %llu s", f->base, status, (unsigned long long)wait);
        if (f->from->note != NULL) f->from->note(f->from->context, text);
        clo_os_sleep_ms((unsigned)(wait * 1000));
    }
}

static void put(clo_client_collateral *out, const char *role, const char *file, clo_span bytes)
{
    out->files[out->count++] = (clo_client_collateral_file){.role = role, .file = file, .bytes = bytes};
}

/* A chain as PEM, percent-encoded, in a header of the last answer. */
static clo_err chain_of(fetching *f, const char *name, clo_span *out)
{
    const char *value = clo_client_http_header(f->http, name);
    void *memory = NULL;
    size_t n = value == NULL ? 0 : strlen(value), used = 0;
    CLO_CHECKF(n > 0, CLO_E_MALFORMED, "%s answered without the header %s, which has the chain of who signed; see that it speaks version 4 of Intel's interface", f->base, name);
    CLO_CHECKF(n <= CHAIN_MAX, CLO_E_TOO_LARGE, "%s: the header %s is too long", f->base, name);
    CLO_TRY(clo_arena_alloc(f->arena, n, &memory));
    uint8_t *to = memory;
    for (size_t i = 0; i < n; i++) {
        if (value[i] == '%') {
            clo_err e = n - i > 2 ? clo_hex_decode(&to[used++], 1, clo_span_of(value + i + 1, 2)) : CLO_FAIL(CLO_E_MALFORMED);
            if (clo_failed(e)) return CLO_FAILF(CLO_E_MALFORMED, "%s: the header %s is not percent-encoded text", f->base, name);
            i += 2;
        } else
            to[used++] = (uint8_t)value[i];
    }
    *out = clo_span_of(to, used);
    return CLO_OK;
}

static fetching begin(clo_arena *a, const clo_client_collateral_source *from)
{
    return (fetching){.from = from, .arena = a, .deadline = clo_os_now_ns() + CLO_CLIENT_COLLATERAL_SECONDS * SECOND};
}

CLO_R clo_client_collateral_intel(clo_arena *a, const clo_client_collateral_source *from, bool tdx, const uint8_t fmspc[6], const char *ca,
                                  clo_client_collateral *out)
{
    __attribute__((cleanup(fetching_end))) fetching f = begin(a, from);
    char path[128], hex[13];
    clo_span tcb_info = {NULL, 0}, identity = {NULL, 0}, chain = {NULL, 0}, pck_list = {NULL, 0}, root_list = {NULL, 0};
    const char *tee = tdx ? "tdx" : "sgx";
    clo_hex_encode(hex, clo_span_of(fmspc, 6));
    out->count = 0;
    CLO_TRY(turn_to(&f, INTEL));
    (void)snprintf(path, sizeof path, "/%s/certification/v4/tcb?fmspc=%s", tee, hex);
    CLO_TRY(get(&f, path, DOCUMENT_MAX, &tcb_info));
    CLO_TRY(chain_of(&f, "TCB-Info-Issuer-Chain", &chain));
    (void)snprintf(path, sizeof path, "/%s/certification/v4/qe/identity", tee);
    CLO_TRY(get(&f, path, DOCUMENT_MAX, &identity));
    (void)snprintf(path, sizeof path, "/sgx/certification/v4/pckcrl?ca=%s&encoding=der", ca);
    CLO_TRY(get(&f, path, LIST_MAX, &pck_list));
    /* Intel publishes the root's list elsewhere; caches and mirrors have it beside the rest. */
    if (from->server == NULL) CLO_TRY(turn_to(&f, INTEL_CERTIFICATES));
    CLO_TRY(get(&f, from->server == NULL ? "/IntelSGXRootCA.der" : "/sgx/certification/v4/rootcacrl", LIST_MAX, &root_list));
    put(out, "tcb_info", "tcb_info.json", tcb_info);
    put(out, "qe_identity", "qe_identity.json", identity);
    put(out, "tcb_signing_chain", "tcb_signing_chain.pem", chain);
    put(out, "root_ca_crl", "root_ca_crl.der", root_list);
    put(out, "pck_ca_crl", "pck_ca_crl.der", pck_list);
    return CLO_OK;
}

CLO_R clo_client_collateral_amd(clo_arena *a, const clo_client_collateral_source *from, const clo_client_collateral_chip *chip, clo_client_collateral *out)
{
    __attribute__((cleanup(fetching_end))) fetching f = begin(a, from);
    char path[320], hex[129], fmc[24] = "";
    clo_span vcek = {NULL, 0}, chain = {NULL, 0}, list = {NULL, 0};
    CLO_CHECK(chip->hardware_id.n <= 64, CLO_E_RANGE);
    clo_hex_encode(hex, chip->hardware_id);
    out->count = 0;
    CLO_TRY(turn_to(&f, AMD));
    if (chip->have_fmc) (void)snprintf(fmc, sizeof fmc, "fmcSPL=%02u&", chip->fmc);
    (void)snprintf(path, sizeof path, "/vcek/v1/%s/%s?%sblSPL=%02u&teeSPL=%02u&snpSPL=%02u&ucodeSPL=%02u", chip->product, hex, fmc, chip->bl, chip->tee, chip->snp,
                   chip->ucode);
    CLO_TRY(get(&f, path, DOCUMENT_MAX, &vcek));
    (void)snprintf(path, sizeof path, "/vcek/v1/%s/cert_chain", chip->product);
    CLO_TRY(get(&f, path, DOCUMENT_MAX, &chain));
    (void)snprintf(path, sizeof path, "/vcek/v1/%s/crl", chip->product);
    clo_err e = get(&f, path, LIST_MAX, &list);
    if (clo_failed(e) && e.code != CLO_E_NOT_FOUND) return e;
    put(out, "vcek_or_vlek", "vcek.der", vcek);
    put(out, "ask_ark_chain", "ask_ark_chain.pem", chain);
    if (!clo_failed(e)) put(out, "crl", "crl.der", list);
    return CLO_OK;
}
