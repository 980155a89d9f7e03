/* Proves that the mask operations and the 256-bit secret's copy, exclusive-or and wipe do not branch or index by secret data. */
#include "ct_test.h"
#if !defined(PLANT_LEAK)
#define PLANT_LEAK 0
#endif

int main(void)
{
    clo_key32 a, b, c;
    for (unsigned i = 0; i < 32; i++) {
        a.b[i] = (uint8_t)(i * 7);
        b.b[i] = (uint8_t)(i * 11);
    }
    CLO_CT_SECRET(&a, sizeof a);
    CLO_CT_SECRET(&b, sizeof b);
    clo_key32_copy(&c, &a);
    clo_key32_xor(&c, &b);
    clo_key32_xor(&c, &b);
    clo_mask differ = clo_ct_differ(&a, &c, sizeof a);
    uint32_t picked = clo_ct_pick(differ, a.b[0], b.b[0]);
    if (PLANT_LEAK && a.b[5] == b.b[5]) ct_observe("planted");
    int verdict = clo_ct_declassify(differ);
    CLO_CT_PUBLIC(&picked, sizeof picked);
    clo_key32_wipe(&a);
    clo_key32_wipe(&b);
    clo_key32_wipe(&c);
    CLO_CT_PUBLIC(&a, sizeof a);
    return verdict == 0 && picked == 0 && a.b[3] == 0 ? 0 : 3;
}
