"""Vectors of four float64: arithmetic, shifts by a place, and the transposition of four of them.

These are gcc's and clang's vector types, of four doubles where the CPU has them (v3 and above), else two of two; for
other compilers plain loops that do the same.
"""
cdef extern from *:
    """
    #include <math.h>
    #include <string.h>
    #if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
    #define ALLCORES_F64X4 1
    #else
    #define ALLCORES_F64X4 0
    #endif
    #if ALLCORES_F64X4 && defined(__AVX__)
    typedef double allcores_f64x4 __attribute__((vector_size(32)));
    typedef long long allcores_mask __attribute__((vector_size(32)));
    #define ALLCORES_CHOOSE(test, a, b) \\
        ((allcores_f64x4)(((allcores_mask)(a) & (test)) | ((allcores_mask)(b) & ~(test))))
    static inline allcores_f64x4 allcores_f64x4_add(allcores_f64x4 a, allcores_f64x4 b) { return a + b; }
    static inline allcores_f64x4 allcores_f64x4_sub(allcores_f64x4 a, allcores_f64x4 b) { return a - b; }
    static inline allcores_f64x4 allcores_f64x4_mul(allcores_f64x4 a, allcores_f64x4 b) { return a * b; }
    static inline allcores_f64x4 allcores_f64x4_div(allcores_f64x4 a, allcores_f64x4 b) { return a / b; }
    static inline allcores_f64x4 allcores_f64x4_lesser(allcores_f64x4 a, allcores_f64x4 b) {
        allcores_mask test = b < a;
        return ALLCORES_CHOOSE(test, b, a);
    }
    static inline allcores_f64x4 allcores_f64x4_greater(allcores_f64x4 a, allcores_f64x4 b) {
        allcores_mask test = b > a;
        return ALLCORES_CHOOSE(test, b, a);
    }
    static inline void allcores_f64x4_transpose(
            allcores_f64x4 *a, allcores_f64x4 *b, allcores_f64x4 *c, allcores_f64x4 *d) {
        allcores_f64x4 e = __builtin_shufflevector(*a, *b, 0, 4, 2, 6), f = __builtin_shufflevector(*a, *b, 1, 5, 3, 7);
        allcores_f64x4 g = __builtin_shufflevector(*c, *d, 0, 4, 2, 6), h = __builtin_shufflevector(*c, *d, 1, 5, 3, 7);
        *a = __builtin_shufflevector(e, g, 0, 1, 4, 5);
        *b = __builtin_shufflevector(f, h, 0, 1, 4, 5);
        *c = __builtin_shufflevector(e, g, 2, 3, 6, 7);
        *d = __builtin_shufflevector(f, h, 2, 3, 6, 7);
    }
    static inline allcores_f64x4 allcores_f64x4_missing(allcores_f64x4 found, allcores_f64x4 a) {
        return (allcores_f64x4)((allcores_mask)found | (a != a));
    }
    static inline allcores_f64x4 allcores_f64x4_where_equal(
            allcores_f64x4 a, allcores_f64x4 b, allcores_f64x4 c, allcores_f64x4 d) {
        allcores_mask test = a == b;
        return ALLCORES_CHOOSE(test, c, d);
    }
    static inline allcores_f64x4 allcores_f64x4_later(allcores_f64x4 a) {
        return __builtin_shufflevector(a, (allcores_f64x4){0}, 4, 0, 1, 2);
    }
    static inline allcores_f64x4 allcores_f64x4_later_two(allcores_f64x4 a) {
        return __builtin_shufflevector(a, (allcores_f64x4){0}, 4, 4, 0, 1);
    }
    static inline allcores_f64x4 allcores_f64x4_last(allcores_f64x4 a) { return __builtin_shufflevector(a, a, 3, 3, 3, 3); }
    #elif ALLCORES_F64X4
    typedef double allcores_two __attribute__((vector_size(16)));
    typedef long long allcores_mask __attribute__((vector_size(16)));
    typedef struct { allcores_two low, high; } allcores_f64x4;
    static inline allcores_two allcores_choose(allcores_mask test, allcores_two a, allcores_two b) {
        return (allcores_two)(((allcores_mask)a & test) | ((allcores_mask)b & ~test));
    }
    static inline allcores_f64x4 allcores_f64x4_add(allcores_f64x4 a, allcores_f64x4 b) {
        a.low += b.low;
        a.high += b.high;
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_sub(allcores_f64x4 a, allcores_f64x4 b) {
        a.low -= b.low;
        a.high -= b.high;
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_mul(allcores_f64x4 a, allcores_f64x4 b) {
        a.low *= b.low;
        a.high *= b.high;
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_div(allcores_f64x4 a, allcores_f64x4 b) {
        a.low /= b.low;
        a.high /= b.high;
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_lesser(allcores_f64x4 a, allcores_f64x4 b) {
        a.low = allcores_choose(b.low < a.low, b.low, a.low);
        a.high = allcores_choose(b.high < a.high, b.high, a.high);
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_greater(allcores_f64x4 a, allcores_f64x4 b) {
        a.low = allcores_choose(b.low > a.low, b.low, a.low);
        a.high = allcores_choose(b.high > a.high, b.high, a.high);
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_missing(allcores_f64x4 found, allcores_f64x4 a) {
        found.low = (allcores_two)((allcores_mask)found.low | (a.low != a.low));
        found.high = (allcores_two)((allcores_mask)found.high | (a.high != a.high));
        return found;
    }
    static inline allcores_f64x4 allcores_f64x4_where_equal(
            allcores_f64x4 a, allcores_f64x4 b, allcores_f64x4 c, allcores_f64x4 d) {
        c.low = allcores_choose(a.low == b.low, c.low, d.low);
        c.high = allcores_choose(a.high == b.high, c.high, d.high);
        return c;
    }
    static inline void allcores_f64x4_transpose(
            allcores_f64x4 *a, allcores_f64x4 *b, allcores_f64x4 *c, allcores_f64x4 *d) {
        allcores_f64x4 e = *a, f = *b, g = *c, h = *d;
        a->low = __builtin_shufflevector(e.low, f.low, 0, 2), a->high = __builtin_shufflevector(g.low, h.low, 0, 2);
        b->low = __builtin_shufflevector(e.low, f.low, 1, 3), b->high = __builtin_shufflevector(g.low, h.low, 1, 3);
        c->low = __builtin_shufflevector(e.high, f.high, 0, 2), c->high = __builtin_shufflevector(g.high, h.high, 0, 2);
        d->low = __builtin_shufflevector(e.high, f.high, 1, 3), d->high = __builtin_shufflevector(g.high, h.high, 1, 3);
    }
    static inline allcores_f64x4 allcores_f64x4_later(allcores_f64x4 a) {
        allcores_two zero = {0, 0};
        a.high = __builtin_shufflevector(a.low, a.high, 1, 2);
        a.low = __builtin_shufflevector(zero, a.low, 0, 2);
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_later_two(allcores_f64x4 a) {
        allcores_two zero = {0, 0};
        a.high = a.low;
        a.low = zero;
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_last(allcores_f64x4 a) {
        a.low = a.high = __builtin_shufflevector(a.high, a.high, 1, 1);
        return a;
    }
    #else
    typedef struct { double v[4]; } allcores_f64x4;
    static inline allcores_f64x4 allcores_f64x4_add(allcores_f64x4 a, allcores_f64x4 b) {
        for (int i = 0; i < 4; i++) a.v[i] = a.v[i] + b.v[i];
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_sub(allcores_f64x4 a, allcores_f64x4 b) {
        for (int i = 0; i < 4; i++) a.v[i] = a.v[i] - b.v[i];
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_mul(allcores_f64x4 a, allcores_f64x4 b) {
        for (int i = 0; i < 4; i++) a.v[i] = a.v[i] * b.v[i];
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_div(allcores_f64x4 a, allcores_f64x4 b) {
        for (int i = 0; i < 4; i++) a.v[i] = a.v[i] / b.v[i];
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_lesser(allcores_f64x4 a, allcores_f64x4 b) {
        for (int i = 0; i < 4; i++) a.v[i] = b.v[i] < a.v[i] ? b.v[i] : a.v[i];
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_greater(allcores_f64x4 a, allcores_f64x4 b) {
        for (int i = 0; i < 4; i++) a.v[i] = b.v[i] > a.v[i] ? b.v[i] : a.v[i];
        return a;
    }
    static inline allcores_f64x4 allcores_f64x4_missing(allcores_f64x4 found, allcores_f64x4 a) {
        for (int i = 0; i < 4; i++) found.v[i] = a.v[i] != a.v[i] ? a.v[i] : found.v[i];
        return found;
    }
    static inline allcores_f64x4 allcores_f64x4_where_equal(
            allcores_f64x4 a, allcores_f64x4 b, allcores_f64x4 c, allcores_f64x4 d) {
        for (int i = 0; i < 4; i++) c.v[i] = a.v[i] == b.v[i] ? c.v[i] : d.v[i];
        return c;
    }
    static inline allcores_f64x4 allcores_f64x4_later(allcores_f64x4 a) {
        allcores_f64x4 r = {{0, a.v[0], a.v[1], a.v[2]}};
        return r;
    }
    static inline allcores_f64x4 allcores_f64x4_later_two(allcores_f64x4 a) {
        allcores_f64x4 r = {{0, 0, a.v[0], a.v[1]}};
        return r;
    }
    static inline allcores_f64x4 allcores_f64x4_last(allcores_f64x4 a) {
        allcores_f64x4 r = {{a.v[3], a.v[3], a.v[3], a.v[3]}};
        return r;
    }
    static inline void allcores_f64x4_transpose(
            allcores_f64x4 *a, allcores_f64x4 *b, allcores_f64x4 *c, allcores_f64x4 *d) {
        allcores_f64x4 *row[4] = {a, b, c, d};
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < i; j++) {
                double v = row[i]->v[j];
                row[i]->v[j] = row[j]->v[i];
                row[j]->v[i] = v;
            }
    }
    #endif
    static inline allcores_f64x4 allcores_f64x4_load(const double *p) {
        allcores_f64x4 r;
        memcpy(&r, p, 32);
        return r;
    }
    static inline void allcores_f64x4_store(double *p, allcores_f64x4 v) { memcpy(p, &v, 32); }
    static inline double allcores_f64x4_first(allcores_f64x4 a) {
        double v[4];
        memcpy(v, &a, 32);
        return v[0];
    }
    static inline allcores_f64x4 allcores_f64x4_zeros(void) {
        double zeros[4] = {0, 0, 0, 0};
        return allcores_f64x4_load(zeros);
    }
    static inline allcores_f64x4 allcores_f64x4_broadcast(double a) {
        double v[4] = {a, a, a, a};
        return allcores_f64x4_load(v);
    }
    static inline allcores_f64x4 allcores_f64x4_root(allcores_f64x4 a) {
        double v[4];
        allcores_f64x4_store(v, a);
        for (int i = 0; i < 4; i++) v[i] = sqrt(v[i]);
        return allcores_f64x4_load(v);
    }
    static inline int allcores_f64x4_any(allcores_f64x4 found) {
        double v[4], none[4] = {0, 0, 0, 0};
        allcores_f64x4_store(v, found);
        return memcmp(v, none, 32) != 0;
    }
    """
    bint VECTORS "ALLCORES_F64X4"       # whether four numbers are faster than one by one
    ctypedef struct f64x4 "allcores_f64x4":
        pass
    f64x4 add "allcores_f64x4_add"(f64x4 a, f64x4 b) noexcept nogil
    f64x4 sub "allcores_f64x4_sub"(f64x4 a, f64x4 b) noexcept nogil
    f64x4 mul "allcores_f64x4_mul"(f64x4 a, f64x4 b) noexcept nogil
    f64x4 div "allcores_f64x4_div"(f64x4 a, f64x4 b) noexcept nogil
    f64x4 root "allcores_f64x4_root"(f64x4 a) noexcept nogil
    f64x4 broadcast "allcores_f64x4_broadcast"(double a) noexcept nogil
    f64x4 lesser "allcores_f64x4_lesser"(f64x4 a, f64x4 b) noexcept nogil        # b where it is less than a
    f64x4 greater "allcores_f64x4_greater"(f64x4 a, f64x4 b) noexcept nogil
    f64x4 load "allcores_f64x4_load"(const double *p) noexcept nogil
    void store "allcores_f64x4_store"(double *p, f64x4 v) noexcept nogil
    double first_of "allcores_f64x4_first"(f64x4 a) noexcept nogil
    f64x4 zeros "allcores_f64x4_zeros"() noexcept nogil
    f64x4 missing "allcores_f64x4_missing"(f64x4 found, f64x4 a) noexcept nogil      # what was found before, or a is NaN
    f64x4 where_equal "allcores_f64x4_where_equal"(f64x4 a, f64x4 b, f64x4 c, f64x4 d) noexcept nogil      # a == b ? c : d
    f64x4 later "allcores_f64x4_later"(f64x4 a) noexcept nogil              # each one place on; a 0 comes in
    f64x4 later_two "allcores_f64x4_later_two"(f64x4 a) noexcept nogil
    f64x4 last "allcores_f64x4_last"(f64x4 a) noexcept nogil                # the last one, in all four places
    bint anything "allcores_f64x4_any"(f64x4 found) noexcept nogil
    void transpose "allcores_f64x4_transpose"(f64x4 *a, f64x4 *b, f64x4 *c, f64x4 *d) noexcept nogil    # rows to columns
