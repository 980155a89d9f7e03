/* Denials are kept, so that "cloister explain" can tell them later: a bounded table in a file of its own, without an fsync each,
 * so that refusing stays cheap. */
#include "crypto/hash.h"
#include "kms/kms_int.h"
#include <stdio.h>

const char kms_denials_schema[] =
    "CREATE TABLE IF NOT EXISTS denials(seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL,"
    " what TEXT NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL, claim TEXT, expected TEXT, actual TEXT, source TEXT, remedy "
    "TEXT) STRICT;";

static clo_err denial_insert(clo_kms *kms, const clo_kms_denial *d)
{
    CLO_TRY(kms_db_run(&kms->denials,
                       "INSERT INTO denials(id, time, what, code, text, claim, expected, actual, source, remedy)"
                       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                       d->have_denial ? "titttttttt" : "titttnnnnn", d->id, d->time, d->what, d->code, d->text, d->denial.claim,
                       d->denial.expected, d->denial.actual, d->denial.source, d->denial.remedy));
    return kms_db_run(&kms->denials, "DELETE FROM denials WHERE seq <= (SELECT max(seq) FROM denials) - ?1", "i",
                      (int64_t)CLO_KMS_DENIALS_MAX);
}

void clo_kms_denial_note(clo_kms *kms, const char *what, clo_err e, char id[CLO_KMS_ID])
{
    clo_kms_denial d = {.time = 0};
    uint8_t random[16] = {0};
    char sentence[512];
    (void)snprintf(sentence, sizeof sentence, "%s", clo_err_text());
    const clo_denial *denial = clo_err_denial();
    d.have_denial = denial != NULL;
    if (denial != NULL) d.denial = *denial;
    (void)snprintf(d.what, sizeof d.what, "%s", what);
    (void)snprintf(d.code, sizeof d.code, "%s", clo_err_name(e));
    /* Anyone who has the id may ask: what failed inside is for the log alone. */
    bool internal = clo_err_class(e) == CLO_CLASS_ENV || clo_err_class(e) == CLO_CLASS_BUG;
    (void)snprintf(d.text, sizeof d.text, "%s",
                   internal ? "the key service failed; its log has the reason under this id" : sentence);
    clo_err failed = clo_crypto_random(random, sizeof random);
    clo_hex_encode(d.id, clo_span_of(random, sizeof random));
    (void)snprintf(id, CLO_KMS_ID, "%s", d.id);
    pthread_mutex_lock(&kms->time_lock);
    d.time = kms->time_now;
    pthread_mutex_unlock(&kms->time_lock);
    if (!clo_failed(failed)) {
        pthread_mutex_lock(&kms->denials_lock);
        failed = denial_insert(kms, &d);
        pthread_mutex_unlock(&kms->denials_lock);
    }
    /* The caller's failure stays the thread's last one. */
    if (clo_failed(failed)) (void)(d.have_denial ? clo_deny_again(e.code, &d.denial) : clo_err_again(e.code, sentence));
}

static clo_err denial_read(clo_kms *kms, const char *id, clo_kms_denial *out)
{
    CLO_AUTO(kms_db_end) sqlite3_stmt *s = NULL;
    CLO_TRY(kms_db_query(&kms->denials, &s,
                         "SELECT id, time, what, code, text, claim, expected, actual, source, remedy FROM denials WHERE id = ?1",
                         "t", id));
    bool row = false;
    CLO_TRY(kms_db_row(s, &row));
    CLO_CHECKF(row, CLO_E_NOT_FOUND, "nothing is known under %.40s here; ids are kept for the last %d refusals", id,
               CLO_KMS_DENIALS_MAX);
    kms_column_text(s, 0, out->id, sizeof out->id);
    out->time = kms_column_int(s, 1);
    kms_column_text(s, 2, out->what, sizeof out->what);
    kms_column_text(s, 3, out->code, sizeof out->code);
    kms_column_text(s, 4, out->text, sizeof out->text);
    out->have_denial = sqlite3_column_type(s, 5) == SQLITE_TEXT;
    kms_column_text(s, 5, out->denial.claim, sizeof out->denial.claim);
    kms_column_text(s, 6, out->denial.expected, sizeof out->denial.expected);
    kms_column_text(s, 7, out->denial.actual, sizeof out->denial.actual);
    kms_column_text(s, 8, out->denial.source, sizeof out->denial.source);
    kms_column_text(s, 9, out->denial.remedy, sizeof out->denial.remedy);
    return CLO_OK;
}

clo_err clo_kms_explain(clo_kms *kms, const char *id, clo_kms_denial *out)
{
    clo_kms_denial d = {.time = 0};
    pthread_mutex_lock(&kms->denials_lock);
    clo_err e = denial_read(kms, id, &d);
    pthread_mutex_unlock(&kms->denials_lock);
    if (!clo_failed(e)) *out = d;
    return e;
}
