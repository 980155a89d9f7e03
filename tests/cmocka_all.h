/* cmocka wants these before it, in this order. */
#ifndef CLO_CMOCKA_ALL_H
#define CLO_CMOCKA_ALL_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
/* Skip the running case and say why: the suite prints the reason. */
#define skip_because(reason)                              \
    do {                                                  \
        (void)printf("# skip %s: %s\n", __func__, reason); \
        (void)fflush(stdout);                             \
        skip();                                           \
    } while (0)
/* assert_int_equal on codes loses the sentence; this prints it. */
#define assert_ok(expr)                                                                                \
    do {                                                                                               \
        clo_err e_ = (expr);                                                                           \
        if (clo_failed(e_)) fail_msg("%s: %s (%s)", #expr, clo_err_text(), clo_err_name(e_));          \
    } while (0)
#define assert_code(expr, wanted)                                                                      \
    do {                                                                                               \
        clo_err e_ = (expr);                                                                           \
        if (e_.code != (uint32_t)(wanted))                                                             \
            fail_msg("%s: got %s (%s), wanted %s", #expr, clo_err_name(e_), clo_err_text(),            \
                     clo_err_name((clo_err){(uint32_t)(wanted)}));                                     \
    } while (0)
#endif
