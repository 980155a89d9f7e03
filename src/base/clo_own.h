/* Ownership: CLO_AUTO cleans a variable up when it leaves scope; CLO_TAKE hands its value on. */
#ifndef CLO_OWN_H
#define CLO_OWN_H
#define CLO_AUTO(fn) __attribute__((cleanup(fn)))
#define CLO_TAKE(p) \
    __extension__({ __typeof__(p) *clo_p_ = &(p); __typeof__(p) clo_v_ = *clo_p_; *clo_p_ = 0; clo_v_; })
#endif
