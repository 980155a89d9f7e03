/* The witnesses of this service's ledger: which they are (file "witnesses" of the home, one "URL,SPKIHEX,VKEY" a line), and asking them. */
#include "broker/broker_int.h"
#include "os/file.h"
#include "os/log.h"
#include <stdio.h>

enum { WITNESSES_FILE_MAX = 8192, ASK_MS = 3000, PATIENCE_MS = 1000 };

static clo_err witnesses_path(const char *home, char path[640]) { return clo_os_path_join(path, 640, home, "witnesses"); }

/* Adds one unless its key is there already; then the given place counts. */
static clo_err add(clo_broker_witnesses *w, const char *text)
{
    clo_client_witness one;
    CLO_TRY(clo_client_witness_parse(text, &one));
    size_t i = 0;
    while (i < w->count && strcmp(w->items[i].vkey, one.vkey) != 0) i++;
    CLO_CHECKF(i < CLO_KMS_WITNESSES_MAX, CLO_E_TOO_MANY, "a key service has at most %d witnesses", CLO_KMS_WITNESSES_MAX);
    w->items[i] = one;
    if (i == w->count) w->count++;
    return CLO_OK;
}

static clo_err read_file(const char *path, clo_broker_witnesses *w)
{
    if (!clo_os_file_exists(path)) return CLO_OK;
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, WITNESSES_FILE_MAX);
    CLO_TRY(clo_os_file_read(path, WITNESSES_FILE_MAX, &b));
    clo_span rest = clo_buf_span(&b);
    while (rest.n > 0) {
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        char line[1024];
        CLO_CHECKF(end != NULL, CLO_E_MALFORMED, "%s is broken; write one witness a line, URL,SPKIHEX,VKEY", path);
        CLO_TRY(clo_str_set(line, sizeof line, clo_span_of(rest.p, (size_t)(end - rest.p))));
        CLO_TRY(add(w, line));
        rest = clo_span_of(end + 1, rest.n - (size_t)(end + 1 - rest.p));
    }
    return CLO_OK;
}

clo_err broker_witnesses_load(const char *home, const char *const *more, size_t more_count, clo_broker_witnesses *out)
{
    char path[640];
    CLO_TRY(witnesses_path(home, path));
    CLO_TRY(read_file(path, out));
    for (size_t i = 0; i < more_count; i++) CLO_TRY(add(out, more[i]));
    if (more_count == 0) return CLO_OK;
    CLO_AUTO(clo_buf_free) clo_buf b;
    clo_buf_init(&b, WITNESSES_FILE_MAX);
    for (size_t i = 0; i < out->count; i++) {
        char spki[65];
        clo_hex_encode(spki, clo_span_of(out->items[i].spki, 32));
        CLO_TRY(clo_buf_printf(&b, "%s,%s,%s\n", out->items[i].url, spki, out->items[i].vkey));
    }
    return clo_os_file_write_atomic(path, clo_buf_span(&b), 0600);
}

static clo_err consistency(void *kms, uint64_t old_size, uint64_t size, clo_wire_hash *path, size_t *count)
{
    return clo_kms_ledger_consistency(kms, old_size, size, path, count);
}

/* A witness that does not know this log yet may be open to it. */
static clo_err ask(const clo_broker *b, clo_client_witness *w, const clo_client_witness_offer *offer, clo_buf *lines)
{
    clo_err e = clo_client_witness_ask(w, offer, lines);
    if (e.code != CLO_E_NOT_FOUND) return e;
    CLO_TRY(clo_client_witness_introduce(w, b->identity.ledger, ASK_MS));
    clo_os_log(CLO_OS_LOG_INFO, "ledger-introduced", NULL, "the witness %s knows %s from now on", w->url, b->identity.ledger);
    return clo_client_witness_ask(w, offer, lines);
}

static clo_err cosign(void *context, clo_kms *kms, clo_span note, uint64_t size, clo_buf *lines)
{
    clo_broker *b = context;
    const clo_client_witness_offer offer = {note, size, consistency, kms, ASK_MS};
    for (size_t i = 0; i < b->witnesses.count; i++) CLO_TRY(ask(b, &b->witnesses.items[i], &offer, lines));
    return CLO_OK;
}

clo_err broker_ledger_key(const clo_kms *kms, char to[256])
{
    clo_wire_note_key key;
    CLO_AUTO(clo_buf_free) clo_buf text;
    clo_buf_init(&text, 256);
    CLO_TRY(clo_kms_ledger_key(kms, &key));
    CLO_TRY(clo_wire_note_key_text(&key, &text));
    return clo_str_set(to, 256, clo_buf_span(&text));
}

clo_err broker_witnesses_use(clo_broker *b, unsigned waiters_max)
{
    clo_kms_witnesses w = {.count = b->witnesses.count, .patience_ms = PATIENCE_MS, .waiters_max = waiters_max, .cosign = cosign, .context = b};
    for (size_t i = 0; i < w.count; i++) CLO_TRY(clo_wire_note_key_parse(b->witnesses.items[i].vkey, &w.keys[i]));
    clo_kms_witnesses_set(b->kms, &w);
    if (w.count == 0)
        clo_os_log(CLO_OS_LOG_WARNING, "ledger-unwitnessed", NULL,
                   "no witness is configured: if this machine's disk is set back to an older copy, spent budget comes back unnoticed; "
                   "give one with --witness URL,SPKIHEX,VKEY");
    (void)clo_kms_ledger_witness(b->kms).code; /* logged by the key service; until it holds nothing is released */
    return CLO_OK;
}

void broker_witnesses_close(clo_broker *b)
{
    for (size_t i = 0; i < b->witnesses.count; i++) clo_client_witness_close(&b->witnesses.items[i]);
}
