/* Proves that an error keeps its sentence and denial per thread, that text is bounded and cleaned, and that every code has a name. */
#include "cmocka_all.h"

#include "base/clo_err.h"

#include <pthread.h>
#include <string.h>

static void sentence_is_kept(void **state)
{
    (void)state;
    clo_err e = CLO_FAILF(CLO_E_RANGE, "row %d is out of range", 7);
    assert_true(clo_failed(e));
    assert_int_equal(clo_err_class(e), CLO_CLASS_INPUT);
    assert_string_equal(clo_err_text(), "row 7 is out of range");
    assert_null(clo_err_denial());
    (void)clo_err_prefix(e, "file.csv");
    assert_string_equal(clo_err_text(), "file.csv: row 7 is out of range");
    e = CLO_FAIL(CLO_E_TRUNCATED);
    assert_string_equal(clo_err_name(e), "truncated");
    assert_true(strlen(clo_err_text()) > 0);
}

static void denial_is_kept_and_cleaned(void **state)
{
    (void)state;
    char longer[600];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    clo_err e = CLO_DENY(CLO_E_DENIED, "run.id", "unused", "used\nbefore", longer, NULL);
    assert_int_equal(clo_err_class(e), CLO_CLASS_DENIED);
    const clo_denial *d = clo_err_denial();
    assert_non_null(d);
    assert_string_equal(d->claim, "run.id");
    assert_string_equal(d->actual, "used before");
    assert_int_equal(strlen(d->source), sizeof d->source - 1);
    assert_string_equal(d->remedy, "");
    clo_denial kept = *d;
    (void)CLO_FAIL(CLO_E_IO);
    assert_null(clo_err_denial());
    (void)clo_deny_again(CLO_E_DENIED, &kept);
    assert_string_equal(clo_err_denial()->claim, "run.id");
}

static void *fail_elsewhere(void *arg)
{
    (void)arg;
    (void)CLO_FAILF(CLO_E_IO, "other thread");
    return NULL;
}

static void threads_do_not_mix(void **state)
{
    (void)state;
    (void)CLO_FAILF(CLO_E_IO, "this thread");
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, fail_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_string_equal(clo_err_text(), "this thread");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sentence_is_kept), cmocka_unit_test(denial_is_kept_and_cleaned),
                                       cmocka_unit_test(threads_do_not_mix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
