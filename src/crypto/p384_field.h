/* Arithmetic modulo p = 2^384 - 2^128 - 2^96 + 2^32 - 1 in Montgomery form (R = 2^384), for public data only: nothing here hides its inputs.
 *
 * Six 64-bit limbs, least significant first; every input and output is below p. Written in assembly for CPUs with BMI2 and ADX, because two
 * independent carry chains are what makes it fast and what no compiler makes of C; where a CPU lacks them nobody calls this. Since
 * 2^384 - p = 2^128 + 2^96 - 2^32 + 1 has the limbs 0xffffffff00000001, 0xffffffff, 1, a step of the reduction costs two
 * multiplications: with q = t0 * (2^32 + 1) mod 2^64, t + q * p = t + q * 2^384 - q * (2^384 - p), and the lowest limbs cancel. */
#ifndef CLO_CRYPTO_P384_FIELD_H
#define CLO_CRYPTO_P384_FIELD_H
#include <stdint.h>

#if defined(__x86_64__)

/* The product is one statement: its registers live from the first row to the last. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"

typedef struct {
    uint64_t v[6];
} p384_fe;

/* For variables that are written before they are read: the build's zeroing of each would cost a tenth, and nothing here is secret. */
#define P384_SCRATCH __attribute__((uninitialized))

/* One reduction step. d0 is divided away and becomes the carry register; the quotient is added to d6 and d7. Uses rax, rbx, rdx. */
#define P384_REDUCE(d0, d1, d2, d3, d4, d5, d6, d7) \
    P384_QUOTIENT(d0)                               \
    P384_SUBTRACT(d0, d1, d2, d3, d4, d5)           \
    "addq %%rdx, " d6 "\n\t"                        \
    "adcq $0, " d7 "\n\t"

/* rdx = q; d0, rbx, rax = the limbs 3, 2, 1 of q * (2^384 - p). */
#define P384_QUOTIENT(d0)                  \
    "movq " d0 ", %%rdx\n\t"               \
    "shlq $32, %%rdx\n\t"                  \
    "addq " d0 ", %%rdx\n\t"               \
    "movabsq $0xffffffff00000001, %%rax\n\t" \
    "mulxq %%rax, %%rbx, %%rax\n\t"        \
    "movl $0xffffffff, %%ebx\n\t"          \
    "mulxq %%rbx, " d0 ", %%rbx\n\t"       \
    "addq " d0 ", %%rax\n\t"               \
    "movq $0, " d0 "\n\t"                  \
    "adcq %%rdx, %%rbx\n\t"                \
    "adcq " d0 ", " d0 "\n\t"

#define P384_SUBTRACT(d0, d1, d2, d3, d4, d5) \
    "subq %%rax, " d1 "\n\t"                  \
    "sbbq %%rbx, " d2 "\n\t"                  \
    "sbbq " d0 ", " d3 "\n\t"                 \
    "sbbq $0, " d4 "\n\t"                     \
    "sbbq $0, " d5 "\n\t"                     \
    "sbbq $0, %%rdx\n\t"

/* Add x[at] * rdx to two limbs, in two carry chains. */
#define P384_MULADD(at, low, high)       \
    "mulxq " at "(%%rsi), %%rax, %%rbx\n\t" \
    "adcxq %%rax, " low "\n\t"           \
    "adoxq %%rbx, " high "\n\t"

/* Add x * y[at] to the limbs r0..r6; top becomes the carry. */
#define P384_ROW(at, r0, r1, r2, r3, r4, r5, r6, top) \
    "movq " at "(%%rcx), %%rdx\n\t"                   \
    "xorq " top ", " top "\n\t"                       \
    P384_MULADD("0", r0, r1)                          \
    P384_MULADD("8", r1, r2)                          \
    P384_MULADD("16", r2, r3)                         \
    P384_MULADD("24", r3, r4)                         \
    P384_MULADD("32", r4, r5)                         \
    "mulxq 40(%%rsi), %%rax, %%rbx\n\t"               \
    "adcxq %%rax, " r5 "\n\t"                         \
    "adoxq %%rbx, " r6 "\n\t"                         \
    "movl $0, %%eax\n\t"                              \
    "adcxq %%rax, " r6 "\n\t"                         \
    "adoxq %%rax, " top "\n\t"                        \
    "adcxq %%rax, " top "\n\t"

/* The limbs r0..r5 and the carry `top`, below 2 p, made canonical and stored. Uses rax, rbx, rdx, rcx, rsi and `free`. */
#define P384_STORE(r0, r1, r2, r3, r4, r5, top, free) \
    "movabsq $0xffffffff00000001, %%rax\n\t"          \
    "movl $0xffffffff, %%ebx\n\t"                     \
    "movl $1, %%edx\n\t"                              \
    "xorl %%ecx, %%ecx\n\t"                           \
    "xorl %%esi, %%esi\n\t"                           \
    "xorq " free ", " free "\n\t"                     \
    "addq " r0 ", %%rax\n\t"                          \
    "adcq " r1 ", %%rbx\n\t"                          \
    "adcq " r2 ", %%rdx\n\t"                          \
    "adcq " r3 ", %%rcx\n\t"                          \
    "adcq " r4 ", %%rsi\n\t"                          \
    "adcq " r5 ", " free "\n\t"                       \
    "adcq $0, " top "\n\t"                            \
    "cmovnzq %%rax, " r0 "\n\t"                       \
    "cmovnzq %%rbx, " r1 "\n\t"                       \
    "cmovnzq %%rdx, " r2 "\n\t"                       \
    "cmovnzq %%rcx, " r3 "\n\t"                       \
    "cmovnzq %%rsi, " r4 "\n\t"                       \
    "cmovnzq " free ", " r5 "\n\t"                    \
    "movq " r0 ", 0(%%rdi)\n\t"                       \
    "movq " r1 ", 8(%%rdi)\n\t"                       \
    "movq " r2 ", 16(%%rdi)\n\t"                      \
    "movq " r3 ", 24(%%rdi)\n\t"                      \
    "movq " r4 ", 32(%%rdi)\n\t"                      \
    "movq " r5 ", 40(%%rdi)\n\t"

#define R8 "%%r8"
#define R9 "%%r9"
#define R10 "%%r10"
#define R11 "%%r11"
#define R12 "%%r12"
#define R13 "%%r13"
#define R14 "%%r14"
#define R15 "%%r15"

/* z = x * y / R. z may be x or y. */
static inline void p384_mul(p384_fe *z, const p384_fe *x, const p384_fe *y)
{
    p384_fe *to = z;
    const p384_fe *a = x, *b = y;
    __asm__ volatile("movq (%%rcx), %%rdx\n\t"
                     "mulxq (%%rsi), %%r8, %%r9\n\t"
                     "mulxq 8(%%rsi), %%rbx, %%r10\n\t"
                     "addq %%rbx, %%r9\n\t"
                     "mulxq 16(%%rsi), %%rbx, %%r11\n\t"
                     "adcq %%rbx, %%r10\n\t"
                     "mulxq 24(%%rsi), %%rbx, %%r12\n\t"
                     "adcq %%rbx, %%r11\n\t"
                     "mulxq 32(%%rsi), %%rbx, %%r13\n\t"
                     "adcq %%rbx, %%r12\n\t"
                     "mulxq 40(%%rsi), %%rbx, %%r14\n\t"
                     "adcq %%rbx, %%r13\n\t"
                     "adcq $0, %%r14\n\t"
                     "xorl %%r15d, %%r15d\n\t"
                     P384_REDUCE(R8, R9, R10, R11, R12, R13, R14, R15)
                     P384_ROW("8", R9, R10, R11, R12, R13, R14, R15, R8)
                     P384_REDUCE(R9, R10, R11, R12, R13, R14, R15, R8)
                     P384_ROW("16", R10, R11, R12, R13, R14, R15, R8, R9)
                     P384_REDUCE(R10, R11, R12, R13, R14, R15, R8, R9)
                     P384_ROW("24", R11, R12, R13, R14, R15, R8, R9, R10)
                     P384_REDUCE(R11, R12, R13, R14, R15, R8, R9, R10)
                     P384_ROW("32", R12, R13, R14, R15, R8, R9, R10, R11)
                     P384_REDUCE(R12, R13, R14, R15, R8, R9, R10, R11)
                     P384_ROW("40", R13, R14, R15, R8, R9, R10, R11, R12)
                     P384_REDUCE(R13, R14, R15, R8, R9, R10, R11, R12)
                     P384_STORE(R14, R15, R8, R9, R10, R11, R12, R13)
                     : "+D"(to), "+S"(a), "+c"(b)
                     :
                     : "rax", "rbx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory");
}

/* Double two limbs and add the square of x[at]. */
#define P384_SQUARE(at, r0, r1, store0, store1) \
    "movq " at "(%%rsi), %%rdx\n\t"             \
    "mulxq %%rdx, %%rax, %%rdx\n\t"             \
    "adcxq " r0 ", " r0 "\n\t"                  \
    "adoxq %%rax, " r0 "\n\t"                   \
    "movq " r0 ", " store0 "(%%rdi)\n\t"        \
    "adcxq " r1 ", " r1 "\n\t"                  \
    "adoxq %%rdx, " r1 "\n\t"                   \
    "movq " r1 ", " store1 "(%%rdi)\n\t"

/* A reduction step of a value of six limbs: the quotient becomes the new highest limb, in d0. */
#define P384_ROLL(d0, d1, d2, d3, d4, d5) \
    P384_QUOTIENT(d0)                     \
    P384_SUBTRACT(d0, d1, d2, d3, d4, d5) \
    "movq %%rdx, " d0 "\n\t"

/* z = x * x / R. z may be x. */
static inline void p384_sqr(p384_fe *z, const p384_fe *x)
{
    P384_SCRATCH uint64_t wide[12];
    uint64_t *to = wide;
    const void *from = x;
    __asm__ volatile("movq (%%rsi), %%rdx\n\t" /* the products of different limbs: r8..r15, rcx, rbx are the limbs 1..10 */
                     "mulxq 8(%%rsi), %%r8, %%r9\n\t"
                     "mulxq 16(%%rsi), %%rax, %%r10\n\t"
                     "addq %%rax, %%r9\n\t"
                     "mulxq 24(%%rsi), %%rax, %%r11\n\t"
                     "adcq %%rax, %%r10\n\t"
                     "mulxq 32(%%rsi), %%rax, %%r12\n\t"
                     "adcq %%rax, %%r11\n\t"
                     "mulxq 40(%%rsi), %%rax, %%r13\n\t"
                     "adcq %%rax, %%r12\n\t"
                     "adcq $0, %%r13\n\t"
                     "movq 8(%%rsi), %%rdx\n\t"
                     "xorl %%r14d, %%r14d\n\t"
                     P384_MULADD("16", R10, R11)
                     P384_MULADD("24", R11, R12)
                     P384_MULADD("32", R12, R13)
                     P384_MULADD("40", R13, R14)
                     "movl $0, %%eax\n\t"
                     "adcxq %%rax, %%r14\n\t"
                     "movq 16(%%rsi), %%rdx\n\t"
                     "xorl %%r15d, %%r15d\n\t"
                     P384_MULADD("24", R12, R13)
                     P384_MULADD("32", R13, R14)
                     P384_MULADD("40", R14, R15)
                     "movl $0, %%eax\n\t"
                     "adcxq %%rax, %%r15\n\t"
                     "movq 24(%%rsi), %%rdx\n\t"
                     "xorl %%ecx, %%ecx\n\t"
                     P384_MULADD("32", R14, R15)
                     P384_MULADD("40", R15, "%%rcx")
                     "movl $0, %%eax\n\t"
                     "adcxq %%rax, %%rcx\n\t"
                     "movq 32(%%rsi), %%rdx\n\t"
                     "mulxq 40(%%rsi), %%rax, %%rbx\n\t"
                     "addq %%rax, %%rcx\n\t"
                     "adcq $0, %%rbx\n\t"
                     "movq (%%rsi), %%rdx\n\t"
                     "mulxq %%rdx, %%rax, %%rdx\n\t"
                     "movq %%rax, 0(%%rdi)\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "adcxq %%r8, %%r8\n\t"
                     "adoxq %%rdx, %%r8\n\t"
                     "movq %%r8, 8(%%rdi)\n\t"
                     P384_SQUARE("8", R9, R10, "16", "24")
                     P384_SQUARE("16", R11, R12, "32", "40")
                     P384_SQUARE("24", R13, R14, "48", "56")
                     P384_SQUARE("32", R15, "%%rcx", "64", "72")
                     "movq 40(%%rsi), %%rdx\n\t"
                     "mulxq %%rdx, %%rax, %%rdx\n\t"
                     "adcxq %%rbx, %%rbx\n\t"
                     "adoxq %%rax, %%rbx\n\t"
                     "movq %%rbx, 80(%%rdi)\n\t"
                     "movl $0, %%eax\n\t"
                     "adcxq %%rax, %%rdx\n\t"
                     "adoxq %%rax, %%rdx\n\t"
                     "movq %%rdx, 88(%%rdi)\n\t"
                     : "+D"(to), "+S"(from)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory");
    p384_fe *out = z;
    from = wide;
    __asm__ volatile("movq 0(%%rsi), %%r8\n\t"
                     "movq 8(%%rsi), %%r9\n\t"
                     "movq 16(%%rsi), %%r10\n\t"
                     "movq 24(%%rsi), %%r11\n\t"
                     "movq 32(%%rsi), %%r12\n\t"
                     "movq 40(%%rsi), %%r13\n\t"
                     P384_ROLL(R8, R9, R10, R11, R12, R13)
                     P384_ROLL(R9, R10, R11, R12, R13, R8)
                     P384_ROLL(R10, R11, R12, R13, R8, R9)
                     P384_ROLL(R11, R12, R13, R8, R9, R10)
                     P384_ROLL(R12, R13, R8, R9, R10, R11)
                     P384_ROLL(R13, R8, R9, R10, R11, R12)
                     "xorl %%r14d, %%r14d\n\t"
                     "addq 48(%%rsi), %%r8\n\t"
                     "adcq 56(%%rsi), %%r9\n\t"
                     "adcq 64(%%rsi), %%r10\n\t"
                     "adcq 72(%%rsi), %%r11\n\t"
                     "adcq 80(%%rsi), %%r12\n\t"
                     "adcq 88(%%rsi), %%r13\n\t"
                     "adcq $0, %%r14\n\t"
                     P384_STORE(R8, R9, R10, R11, R12, R13, R14, R15)
                     : "+D"(out), "+S"(from)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory");
}

/* z = x + y. z may be x or y. */
static inline void p384_add(p384_fe *z, const p384_fe *x, const p384_fe *y)
{
    p384_fe *to = z;
    const p384_fe *a = x, *b = y;
    __asm__ volatile("movq 0(%%rsi), %%r8\n\t"
                     "movq 8(%%rsi), %%r9\n\t"
                     "movq 16(%%rsi), %%r10\n\t"
                     "movq 24(%%rsi), %%r11\n\t"
                     "movq 32(%%rsi), %%r12\n\t"
                     "movq 40(%%rsi), %%r13\n\t"
                     "xorl %%r14d, %%r14d\n\t"
                     "addq 0(%%rcx), %%r8\n\t"
                     "adcq 8(%%rcx), %%r9\n\t"
                     "adcq 16(%%rcx), %%r10\n\t"
                     "adcq 24(%%rcx), %%r11\n\t"
                     "adcq 32(%%rcx), %%r12\n\t"
                     "adcq 40(%%rcx), %%r13\n\t"
                     "adcq $0, %%r14\n\t"
                     P384_STORE(R8, R9, R10, R11, R12, R13, R14, R15)
                     : "+D"(to), "+S"(a), "+c"(b)
                     :
                     : "rax", "rbx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory");
}

/* z = x - y. z may be x or y. Where it borrows, p comes back: 2^384 - p is taken off once more. */
static inline void p384_sub(p384_fe *z, const p384_fe *x, const p384_fe *y)
{
    p384_fe *to = z;
    const p384_fe *a = x, *b = y;
    __asm__ volatile("movq 0(%%rsi), %%r8\n\t"
                     "movq 8(%%rsi), %%r9\n\t"
                     "movq 16(%%rsi), %%r10\n\t"
                     "movq 24(%%rsi), %%r11\n\t"
                     "movq 32(%%rsi), %%r12\n\t"
                     "movq 40(%%rsi), %%r13\n\t"
                     "subq 0(%%rcx), %%r8\n\t"
                     "sbbq 8(%%rcx), %%r9\n\t"
                     "sbbq 16(%%rcx), %%r10\n\t"
                     "sbbq 24(%%rcx), %%r11\n\t"
                     "sbbq 32(%%rcx), %%r12\n\t"
                     "sbbq 40(%%rcx), %%r13\n\t"
                     "sbbq %%rdx, %%rdx\n\t"
                     "movabsq $0xffffffff00000001, %%rax\n\t"
                     "movl $0xffffffff, %%ebx\n\t"
                     "andq %%rdx, %%rax\n\t"
                     "andq %%rdx, %%rbx\n\t"
                     "andl $1, %%edx\n\t"
                     "subq %%rax, %%r8\n\t"
                     "sbbq %%rbx, %%r9\n\t"
                     "sbbq %%rdx, %%r10\n\t"
                     "sbbq $0, %%r11\n\t"
                     "sbbq $0, %%r12\n\t"
                     "sbbq $0, %%r13\n\t"
                     "movq %%r8, 0(%%rdi)\n\t"
                     "movq %%r9, 8(%%rdi)\n\t"
                     "movq %%r10, 16(%%rdi)\n\t"
                     "movq %%r11, 24(%%rdi)\n\t"
                     "movq %%r12, 32(%%rdi)\n\t"
                     "movq %%r13, 40(%%rdi)\n\t"
                     : "+D"(to), "+S"(a), "+c"(b)
                     :
                     : "rax", "rbx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "cc", "memory");
}

#undef R8
#undef R9
#undef R10
#undef R11
#undef R12
#undef R13
#undef R14
#undef R15
#pragma GCC diagnostic pop

#endif
#endif
