/* configfs-tsm: one directory per request, so that two requests never meet in one entry. */
#include "base/clo_own.h"
#include "base/clo_text.h"
#include "tee/guest_host.h"
#include "tee/tee_int.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { PATH_BYTES = 512, SMALL_FILE = 64, TSM_TRIES = 5, TSM_NAMES = 16 };

typedef struct {
    const clo_tee_guest_host *host;
    char path[PATH_BYTES];
} tsm_entry;

static void entry_remove(tsm_entry *e)
{
    if (e->path[0] != '\0') (void)e->host->remove_directory(e->path);
}

/* Named after the thread; another one's of the same name (of another process namespace) is stepped over. */
static clo_err entry_make(tsm_entry *e)
{
    char path[PATH_BYTES];
    for (unsigned i = 0; i < TSM_NAMES; i++) {
        int length = snprintf(path, sizeof path, "%s/cloister-%ld-%u", e->host->tsm_directory, (long)gettid(), i);
        CLO_CHECK(length > 0 && (size_t)length < sizeof path, CLO_E_TOO_LARGE);
        if (e->host->make_directory(path, 0700) == 0) {
            memcpy(e->path, path, sizeof path);
            return CLO_OK;
        }
        CLO_CHECKF(errno == EEXIST, CLO_E_UNREACHABLE, "%s cannot be used (is this a confidential guest with configfs-tsm?)", e->host->tsm_directory);
    }
    return CLO_FAILF(CLO_E_AGAIN, "%s is full of requests that nobody finished", e->host->tsm_directory);
}

static const char *file_of(const tsm_entry *e, const char *name, char path[PATH_BYTES + SMALL_FILE])
{
    (void)snprintf(path, PATH_BYTES + SMALL_FILE, "%s/%s", e->path, name);
    return path;
}

static clo_err entry_read(const tsm_entry *e, const char *name, clo_buf *out)
{
    char path[PATH_BYTES + SMALL_FILE];
    return clo_tee_file_read(e->host, file_of(e, name, path), out);
}

/* A short text without its line end. */
static clo_err entry_text(const tsm_entry *e, const char *name, clo_buf *text)
{
    clo_buf_init(text, SMALL_FILE);
    CLO_TRY(entry_read(e, name, text));
    while (text->len > 0 && text->p[text->len - 1] == '\n') text->len--;
    return CLO_OK;
}

static clo_err entry_number(const tsm_entry *e, const char *name, uint64_t *out)
{
    CLO_AUTO(clo_buf_free) clo_buf text = {.p = NULL};
    CLO_TRY(entry_text(e, name, &text));
    return clo_u64_parse(out, clo_buf_span(&text));
}

static clo_err entry_is_of(const tsm_entry *e, const char *provider)
{
    CLO_AUTO(clo_buf_free) clo_buf text = {.p = NULL};
    CLO_TRY(entry_text(e, "provider", &text));
    CLO_CHECKF(clo_span_equal(clo_buf_span(&text), clo_span_str(provider)), CLO_E_UNREACHABLE, "the machine's TEE is not %s", provider);
    return CLO_OK;
}

bool clo_tee_tsm_serves(const clo_tee_guest_host *host, const char *provider)
{
    CLO_AUTO(entry_remove) tsm_entry e = {.host = host, .path = ""};
    return !clo_failed(entry_make(&e)) && !clo_failed(entry_is_of(&e, provider));
}

/* One try. The generation counts writes to the entry: what it was before the report was read, it must still be at the end. */
static clo_err tsm_try(const clo_tee_guest_host *host, const char *provider, const uint8_t report_data[64], clo_buf *report, clo_buf *auxiliary)
{
    CLO_AUTO(entry_remove) tsm_entry e = {.host = host, .path = ""};
    char path[PATH_BYTES + SMALL_FILE];
    CLO_TRY(entry_make(&e));
    CLO_TRY(entry_is_of(&e, provider));
    CLO_TRY(clo_tee_file_write(host, file_of(&e, "inblob", path), clo_span_of(report_data, TEE_REPORT_DATA)));
    uint64_t before = 0, after = 0;
    CLO_TRY(entry_number(&e, "generation", &before));
    CLO_TRY(entry_read(&e, "outblob", report));
    if (auxiliary != NULL) {
        clo_err aux = entry_read(&e, "auxblob", auxiliary);
        /* Older hosts have nothing beside the report. */
        if (clo_failed(aux) && aux.code != CLO_E_IO) return aux;
        if (clo_failed(aux)) clo_buf_clear(auxiliary);
    }
    CLO_TRY(entry_number(&e, "generation", &after));
    CLO_CHECKF(before == after, CLO_E_AGAIN, "another writer changed the TEE's report request");
    return CLO_OK;
}

CLO_R clo_tee_tsm_report(const clo_tee_guest_host *host, const char *provider, const uint8_t report_data[64], clo_buf *report, clo_buf *auxiliary)
{
    clo_err e = CLO_OK;
    for (unsigned i = 0; i < TSM_TRIES; i++) {
        if (i > 0) host->pause_ms(10u << i);
        clo_buf_clear(report);
        if (auxiliary != NULL) clo_buf_clear(auxiliary);
        e = tsm_try(host, provider, report_data, report, auxiliary);
        if (e.code != CLO_E_AGAIN) break;
    }
    if (clo_failed(e)) clo_buf_clear(report);
    return e;
}
