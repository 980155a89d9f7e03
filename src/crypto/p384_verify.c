#include "crypto/p384_verify.h"
#include "crypto/p384_field.h"
#include "crypto/p384_scalar.h"
#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* Jacobian coordinates: x = X/Z², y = Y/Z³; Z = 0 is the point at infinity. */
typedef struct {
    p384_fe x, y, z;
} p384_point;
/* A point of a table, with what an addition needs of its Z. */
typedef struct {
    p384_fe x, y, z, zz, zzz;
} p384_entry;
typedef struct {
    p384_fe x, y;
} p384_affine;

enum { KEY_WINDOW = 5, KEY_ENTRIES = 1 << (KEY_WINDOW - 2), BASE_WINDOW = 8, BASE_ENTRIES = 1 << (BASE_WINDOW - 2) };

/* SEC 2, §2.5.1, least significant limb first. */
static const p384_fe prime = {{0x00000000ffffffff, 0xffffffff00000000, 0xfffffffffffffffe, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
static const p384_fe curve_b = {{0x2a85c8edd3ec2aef, 0xc656398d8a2ed19d, 0x0314088f5013875a, 0x181d9c6efe814112, 0x988e056be3f82d19, 0xb3312fa7e23ee7e4}};
static const p384_fe base_x = {{0x3a545e3872760ab7, 0x5502f25dbf55296c, 0x59f741e082542a38, 0x6e1d3b628ba79b98, 0x8eb1c71ef320ad74, 0xaa87ca22be8b0537}};
static const p384_fe base_y = {{0x7a431d7c90ea0e5f, 0x0a60b1ce1d7e819d, 0xe9da3113b5f0b8c0, 0xf8f41dbd289a147c, 0x5d9e98bf9292dc29, 0x3617de4a96262c6f}};
/* R mod p and R² mod p: R = 2^384 is 2^128 + 2^96 - 2^32 + 1 modulo p. */
static const p384_fe one = {{0xffffffff00000001, 0x00000000ffffffff, 1, 0, 0, 0}};
static const p384_fe r_squared = {{0xfffffffe00000001, 0x0000000200000000, 0xfffffffe00000000, 0x0000000200000000, 1, 0}};

/* Odd multiples G, 3G, 5G, … of the base point, made on first use, where the CPU can. */
static struct {
    bool usable;
    p384_affine odd[BASE_ENTRIES];
    p384_fe b;
} table;

static bool is_zero(const p384_fe *a) { return (a->v[0] | a->v[1] | a->v[2] | a->v[3] | a->v[4] | a->v[5]) == 0; }
static bool equal(const p384_fe *a, const p384_fe *b) { return memcmp(a, b, sizeof *a) == 0; }

static bool below(const uint64_t a[6], const uint64_t b[6])
{
    for (int i = 5; i >= 0; i--) {
        if (a[i] != b[i]) return a[i] < b[i];
    }
    return false;
}

static void negate(p384_fe *z, const p384_fe *x)
{
    static const p384_fe zero = {{0}};
    p384_sub(z, &zero, x);
}

/* 4 multiplications and 4 squarings (a = -3): with T = (2Y)², S = T X and M = 3 (X - Z²)(X + Z²), X' = M² - 2S, Y' = M (S - X') - T²/2,
 * Z' = 2YZ. Half of T² is 8 Y⁴ = 2 (2Y²)², so no halving is needed: U = 2 Y², T = 2 U, T²/2 = 2 U². */
static void point_double(p384_point *r, const p384_point *a)
{
    P384_SCRATCH p384_fe zz, m, u, s, t;
    p384_sqr(&zz, &a->z);
    p384_sqr(&u, &a->y);
    p384_add(&u, &u, &u);
    p384_mul(&s, &a->x, &u);
    p384_add(&s, &s, &s);
    p384_sub(&t, &a->x, &zz);
    p384_add(&m, &a->x, &zz);
    p384_mul(&m, &m, &t);
    p384_add(&t, &m, &m);
    p384_add(&m, &m, &t);
    p384_mul(&t, &a->y, &a->z);
    p384_add(&r->z, &t, &t);
    p384_sqr(&r->x, &m);
    p384_add(&t, &s, &s);
    p384_sub(&r->x, &r->x, &t);
    p384_sub(&s, &s, &r->x);
    p384_mul(&m, &m, &s);
    p384_sqr(&u, &u);
    p384_add(&u, &u, &u);
    p384_sub(&r->y, &m, &u);
}

/* The rest of an addition: u1, s1 and u2, s2 are both points' coordinates over one denominator, zs the product of their Z. */
static void add_same_z(p384_point *r, const p384_point *a, const p384_fe *u1, const p384_fe *s1, const p384_fe *u2, const p384_fe *s2, const p384_fe *zs)
{
    P384_SCRATCH p384_fe h, d, hh, hhh, v, x, t;
    p384_sub(&h, u2, u1);
    p384_sub(&d, s2, s1);
    if (is_zero(&h)) {
        if (is_zero(&d)) {
            point_double(r, a); /* the same point */
        } else {
            memset(r, 0, sizeof *r); /* opposite points */
        }
        return;
    }
    p384_sqr(&hh, &h);
    p384_mul(&hhh, &h, &hh);
    p384_mul(&v, u1, &hh);
    p384_sqr(&x, &d);
    p384_sub(&x, &x, &hhh);
    p384_add(&t, &v, &v);
    p384_sub(&x, &x, &t);
    p384_sub(&v, &v, &x);
    p384_mul(&v, &v, &d);
    p384_mul(&t, s1, &hhh);
    p384_mul(&r->z, &h, zs);
    p384_sub(&r->y, &v, &t);
    r->x = x;
}

/* r = a + b or a - b, b of the key's table. */
static void point_add(p384_point *r, const p384_point *a, const p384_entry *b, bool minus)
{
    P384_SCRATCH p384_fe zz, u1, u2, s1, s2, zs;
    p384_fe y = b->y;
    if (minus) negate(&y, &y);
    if (is_zero(&a->z)) {
        *r = (p384_point){b->x, y, b->z};
        return;
    }
    p384_sqr(&zz, &a->z);
    p384_mul(&u1, &a->x, &b->zz);
    p384_mul(&u2, &b->x, &zz);
    p384_mul(&s1, &a->y, &b->zzz);
    p384_mul(&s2, &a->z, &zz);
    p384_mul(&s2, &s2, &y);
    p384_mul(&zs, &a->z, &b->z);
    add_same_z(r, a, &u1, &s1, &u2, &s2, &zs);
}

/* r = a + b or a - b, b affine. */
static void point_add_affine(p384_point *r, const p384_point *a, const p384_affine *b, bool minus)
{
    P384_SCRATCH p384_fe zz, u2, s2;
    p384_fe y = b->y;
    if (minus) negate(&y, &y);
    if (is_zero(&a->z)) {
        *r = (p384_point){b->x, y, one};
        return;
    }
    p384_sqr(&zz, &a->z);
    p384_mul(&u2, &b->x, &zz);
    p384_mul(&s2, &a->z, &zz);
    p384_mul(&s2, &s2, &y);
    p384_fe u1 = a->x, s1 = a->y, z = a->z;
    add_same_z(r, a, &u1, &s1, &u2, &s2, &z);
}

static void entry_of(p384_entry *e, const p384_point *p)
{
    e->x = p->x;
    e->y = p->y;
    e->z = p->z;
    p384_sqr(&e->zz, &p->z);
    p384_mul(&e->zzz, &e->zz, &p->z);
}

/* The odd multiples Q, 3Q, 5Q, … */
static void odd_multiples(p384_entry *to, size_t count, const p384_affine *q)
{
    p384_point twice, sum = {q->x, q->y, one};
    p384_entry step;
    entry_of(&to[0], &sum);
    point_double(&twice, &sum);
    entry_of(&step, &twice);
    for (size_t i = 1; i < count; i++) {
        point_add(&sum, &sum, &step, false);
        entry_of(&to[i], &sum);
    }
}

/* 1/a by Fermat: a^(p - 2). */
static void invert(p384_fe *z, const p384_fe *a)
{
    p384_fe e = prime, r = one;
    e.v[0] -= 2;
    for (int i = 383; i >= 0; i--) {
        p384_sqr(&r, &r);
        if (((e.v[i / 64] >> (i % 64)) & 1) != 0) p384_mul(&r, &r, a);
    }
    *z = r;
}

static bool cpu_can(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_BMI2) != 0 && (b & bit_ADX) != 0;
}

static void table_make(void)
{
    static p384_entry odd[BASE_ENTRIES];
    p384_affine g;
    p384_fe inverse, square;
    if (!cpu_can()) return;
    p384_mul(&g.x, &base_x, &r_squared);
    p384_mul(&g.y, &base_y, &r_squared);
    p384_mul(&table.b, &curve_b, &r_squared);
    odd_multiples(odd, BASE_ENTRIES, &g);
    for (size_t i = 0; i < BASE_ENTRIES; i++) {
        invert(&inverse, &odd[i].z);
        p384_sqr(&square, &inverse);
        p384_mul(&table.odd[i].x, &odd[i].x, &square);
        p384_mul(&square, &square, &inverse);
        p384_mul(&table.odd[i].y, &odd[i].y, &square);
    }
    table.usable = true;
}

bool clo_crypto_p384_available(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    return pthread_once(&once, table_make) == 0 && table.usable;
}

/* y² = x³ - 3x + b */
static bool on_curve(const p384_affine *q)
{
    p384_fe left, right, t;
    p384_sqr(&left, &q->y);
    p384_sqr(&right, &q->x);
    p384_mul(&right, &right, &q->x);
    p384_add(&t, &q->x, &q->x);
    p384_add(&t, &t, &q->x);
    p384_sub(&right, &right, &t);
    p384_add(&right, &right, &table.b);
    return equal(&left, &right);
}

static bool take_point(p384_affine *q, const uint8_t point[97])
{
    p384_fe x, y;
    clo_crypto_p384_limbs(x.v, point + 1);
    clo_crypto_p384_limbs(y.v, point + 49);
    if (point[0] != 4 || !below(x.v, prime.v) || !below(y.v, prime.v)) return false;
    p384_mul(&q->x, &x, &r_squared);
    p384_mul(&q->y, &y, &r_squared);
    return on_curve(q);
}

/* Does the affine x of the point, modulo n, equal r? Compared as X = r Z² and, where it is below p, X = (r + n) Z², without an inversion. */
static bool x_is(const p384_point *p, const uint64_t r[6])
{
    p384_fe candidate, zz, x;
    p384_sqr(&zz, &p->z);
    memcpy(candidate.v, r, sizeof candidate.v);
    for (int i = 0; i < 2; i++) {
        p384_mul(&x, &candidate, &r_squared);
        p384_mul(&x, &x, &zz);
        if (equal(&x, &p->x)) return true;
        if (!clo_crypto_p384_add_order(candidate.v, r) || !below(candidate.v, prime.v)) return false;
    }
    return false;
}

/* u1 G + u2 Q with one chain of doublings; false at infinity. */
static bool multiply(p384_point *sum, const uint64_t u1[6], const uint64_t u2[6], const p384_affine *q)
{
    P384_SCRATCH p384_entry odd[KEY_ENTRIES];
    P384_SCRATCH int8_t of_base[CLO_P384_DIGITS], of_key[CLO_P384_DIGITS];
    odd_multiples(odd, KEY_ENTRIES, q);
    clo_crypto_p384_digits(of_base, u1, BASE_WINDOW);
    clo_crypto_p384_digits(of_key, u2, KEY_WINDOW);
    memset(sum, 0, sizeof *sum);
    for (int i = CLO_P384_DIGITS - 1; i >= 0; i--) {
        if (!is_zero(&sum->z)) point_double(sum, sum);
        int k = of_key[i], b = of_base[i];
        if (k != 0) point_add(sum, sum, &odd[(k < 0 ? -k : k) / 2], k < 0);
        if (b != 0) point_add_affine(sum, sum, &table.odd[(b < 0 ? -b : b) / 2], b < 0);
    }
    return !is_zero(&sum->z);
}

bool clo_crypto_p384_verify(const uint8_t point[97], const uint8_t digest[48], const uint8_t rs[96])
{
    uint64_t r[6], s[6], e[6], w[6], u1[6], u2[6];
    p384_affine q;
    p384_point sum;
    if (!clo_crypto_p384_available()) return false;
    clo_crypto_p384_limbs(r, rs);
    clo_crypto_p384_limbs(s, rs + 48);
    clo_crypto_p384_limbs(e, digest);
    if (!clo_crypto_p384_scalar_usable(r) || !clo_crypto_p384_scalar_usable(s) || !take_point(&q, point)) return false;
    clo_crypto_p384_invert(w, s);
    clo_crypto_p384_scalar_mul(u1, e, w);
    clo_crypto_p384_scalar_mul(u2, r, w);
    return multiply(&sum, u1, u2, &q) && x_is(&sum, r);
}

#else

bool clo_crypto_p384_available(void) { return false; }

bool clo_crypto_p384_verify(const uint8_t point[97], const uint8_t digest[48], const uint8_t rs[96])
{
    (void)point;
    (void)digest;
    (void)rs;
    return false;
}

#endif
