"""Four numbers side by side, and sixteen of them turned: how scans of four lines become vector operations.

These are gcc's and clang's vector types, of four doubles where the CPU has them (v3 and above), else two of two; for
other compilers plain loops that do the same.
"""
cdef extern from *:
    """
    #include <math.h>
    #include <string.h>
    #if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
    #define ALLCORES_FOURS 1
    #else
    #define ALLCORES_FOURS 0
    #endif
    #if ALLCORES_FOURS && defined(__AVX__)
    typedef double allcores_four __attribute__((vector_size(32)));
    typedef long long allcores_mask __attribute__((vector_size(32)));
    #define ALLCORES_CHOOSE(test, a, b) \\
        ((allcores_four)(((allcores_mask)(a) & (test)) | ((allcores_mask)(b) & ~(test))))
    static inline allcores_four allcores_plus(allcores_four a, allcores_four b) { return a + b; }
    static inline allcores_four allcores_minus(allcores_four a, allcores_four b) { return a - b; }
    static inline allcores_four allcores_times(allcores_four a, allcores_four b) { return a * b; }
    static inline allcores_four allcores_over(allcores_four a, allcores_four b) { return a / b; }
    static inline allcores_four allcores_lesser(allcores_four a, allcores_four b) {
        allcores_mask test = b < a;
        return ALLCORES_CHOOSE(test, b, a);
    }
    static inline allcores_four allcores_greater(allcores_four a, allcores_four b) {
        allcores_mask test = b > a;
        return ALLCORES_CHOOSE(test, b, a);
    }
    static inline void allcores_turn(allcores_four *a, allcores_four *b, allcores_four *c, allcores_four *d) {
        allcores_four e = __builtin_shufflevector(*a, *b, 0, 4, 2, 6), f = __builtin_shufflevector(*a, *b, 1, 5, 3, 7);
        allcores_four g = __builtin_shufflevector(*c, *d, 0, 4, 2, 6), h = __builtin_shufflevector(*c, *d, 1, 5, 3, 7);
        *a = __builtin_shufflevector(e, g, 0, 1, 4, 5);
        *b = __builtin_shufflevector(f, h, 0, 1, 4, 5);
        *c = __builtin_shufflevector(e, g, 2, 3, 6, 7);
        *d = __builtin_shufflevector(f, h, 2, 3, 6, 7);
    }
    static inline allcores_four allcores_missing(allcores_four found, allcores_four a) {
        return (allcores_four)((allcores_mask)found | (a != a));
    }
    static inline allcores_four allcores_where_equal(allcores_four a, allcores_four b, allcores_four c, allcores_four d) {
        allcores_mask test = a == b;
        return ALLCORES_CHOOSE(test, c, d);
    }
    static inline allcores_four allcores_later(allcores_four a) {
        return __builtin_shufflevector(a, (allcores_four){0}, 4, 0, 1, 2);
    }
    static inline allcores_four allcores_later_two(allcores_four a) {
        return __builtin_shufflevector(a, (allcores_four){0}, 4, 4, 0, 1);
    }
    static inline allcores_four allcores_last(allcores_four a) { return __builtin_shufflevector(a, a, 3, 3, 3, 3); }
    #elif ALLCORES_FOURS
    typedef double allcores_two __attribute__((vector_size(16)));
    typedef long long allcores_mask __attribute__((vector_size(16)));
    typedef struct { allcores_two low, high; } allcores_four;
    static inline allcores_two allcores_choose(allcores_mask test, allcores_two a, allcores_two b) {
        return (allcores_two)(((allcores_mask)a & test) | ((allcores_mask)b & ~test));
    }
    static inline allcores_four allcores_plus(allcores_four a, allcores_four b) {
        a.low += b.low;
        a.high += b.high;
        return a;
    }
    static inline allcores_four allcores_minus(allcores_four a, allcores_four b) {
        a.low -= b.low;
        a.high -= b.high;
        return a;
    }
    static inline allcores_four allcores_times(allcores_four a, allcores_four b) {
        a.low *= b.low;
        a.high *= b.high;
        return a;
    }
    static inline allcores_four allcores_over(allcores_four a, allcores_four b) {
        a.low /= b.low;
        a.high /= b.high;
        return a;
    }
    static inline allcores_four allcores_lesser(allcores_four a, allcores_four b) {
        a.low = allcores_choose(b.low < a.low, b.low, a.low);
        a.high = allcores_choose(b.high < a.high, b.high, a.high);
        return a;
    }
    static inline allcores_four allcores_greater(allcores_four a, allcores_four b) {
        a.low = allcores_choose(b.low > a.low, b.low, a.low);
        a.high = allcores_choose(b.high > a.high, b.high, a.high);
        return a;
    }
    static inline allcores_four allcores_missing(allcores_four found, allcores_four a) {
        found.low = (allcores_two)((allcores_mask)found.low | (a.low != a.low));
        found.high = (allcores_two)((allcores_mask)found.high | (a.high != a.high));
        return found;
    }
    static inline allcores_four allcores_where_equal(allcores_four a, allcores_four b, allcores_four c, allcores_four d) {
        c.low = allcores_choose(a.low == b.low, c.low, d.low);
        c.high = allcores_choose(a.high == b.high, c.high, d.high);
        return c;
    }
    static inline void allcores_turn(allcores_four *a, allcores_four *b, allcores_four *c, allcores_four *d) {
        allcores_four e = *a, f = *b, g = *c, h = *d;
        a->low = __builtin_shufflevector(e.low, f.low, 0, 2), a->high = __builtin_shufflevector(g.low, h.low, 0, 2);
        b->low = __builtin_shufflevector(e.low, f.low, 1, 3), b->high = __builtin_shufflevector(g.low, h.low, 1, 3);
        c->low = __builtin_shufflevector(e.high, f.high, 0, 2), c->high = __builtin_shufflevector(g.high, h.high, 0, 2);
        d->low = __builtin_shufflevector(e.high, f.high, 1, 3), d->high = __builtin_shufflevector(g.high, h.high, 1, 3);
    }
    static inline allcores_four allcores_later(allcores_four a) {
        allcores_two zero = {0, 0};
        a.high = __builtin_shufflevector(a.low, a.high, 1, 2);
        a.low = __builtin_shufflevector(zero, a.low, 0, 2);
        return a;
    }
    static inline allcores_four allcores_later_two(allcores_four a) {
        allcores_two zero = {0, 0};
        a.high = a.low;
        a.low = zero;
        return a;
    }
    static inline allcores_four allcores_last(allcores_four a) {
        a.low = a.high = __builtin_shufflevector(a.high, a.high, 1, 1);
        return a;
    }
    #else
    typedef struct { double v[4]; } allcores_four;
    static inline allcores_four allcores_plus(allcores_four a, allcores_four b) {
        for (int i = 0; i < 4; i++) a.v[i] = a.v[i] + b.v[i];
        return a;
    }
    static inline allcores_four allcores_minus(allcores_four a, allcores_four b) {
        for (int i = 0; i < 4; i++) a.v[i] = a.v[i] - b.v[i];
        return a;
    }
    static inline allcores_four allcores_times(allcores_four a, allcores_four b) {
        for (int i = 0; i < 4; i++) a.v[i] = a.v[i] * b.v[i];
        return a;
    }
    static inline allcores_four allcores_over(allcores_four a, allcores_four b) {
        for (int i = 0; i < 4; i++) a.v[i] = a.v[i] / b.v[i];
        return a;
    }
    static inline allcores_four allcores_lesser(allcores_four a, allcores_four b) {
        for (int i = 0; i < 4; i++) a.v[i] = b.v[i] < a.v[i] ? b.v[i] : a.v[i];
        return a;
    }
    static inline allcores_four allcores_greater(allcores_four a, allcores_four b) {
        for (int i = 0; i < 4; i++) a.v[i] = b.v[i] > a.v[i] ? b.v[i] : a.v[i];
        return a;
    }
    static inline allcores_four allcores_missing(allcores_four found, allcores_four a) {
        for (int i = 0; i < 4; i++) found.v[i] = a.v[i] != a.v[i] ? a.v[i] : found.v[i];
        return found;
    }
    static inline allcores_four allcores_where_equal(allcores_four a, allcores_four b, allcores_four c, allcores_four d) {
        for (int i = 0; i < 4; i++) c.v[i] = a.v[i] == b.v[i] ? c.v[i] : d.v[i];
        return c;
    }
    static inline allcores_four allcores_later(allcores_four a) {
        allcores_four r = {{0, a.v[0], a.v[1], a.v[2]}};
        return r;
    }
    static inline allcores_four allcores_later_two(allcores_four a) {
        allcores_four r = {{0, 0, a.v[0], a.v[1]}};
        return r;
    }
    static inline allcores_four allcores_last(allcores_four a) {
        allcores_four r = {{a.v[3], a.v[3], a.v[3], a.v[3]}};
        return r;
    }
    static inline void allcores_turn(allcores_four *a, allcores_four *b, allcores_four *c, allcores_four *d) {
        allcores_four *row[4] = {a, b, c, d};
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < i; j++) {
                double v = row[i]->v[j];
                row[i]->v[j] = row[j]->v[i];
                row[j]->v[i] = v;
            }
    }
    #endif
    static inline allcores_four allcores_four_load(const double *p) {
        allcores_four r;
        memcpy(&r, p, 32);
        return r;
    }
    static inline void allcores_four_store(double *p, allcores_four v) { memcpy(p, &v, 32); }
    static inline double allcores_first(allcores_four a) {
        double v[4];
        memcpy(v, &a, 32);
        return v[0];
    }
    static inline allcores_four allcores_zeros(void) {
        double zeros[4] = {0, 0, 0, 0};
        return allcores_four_load(zeros);
    }
    static inline allcores_four allcores_spread(double a) {
        double v[4] = {a, a, a, a};
        return allcores_four_load(v);
    }
    static inline allcores_four allcores_root(allcores_four a) {
        double v[4];
        allcores_four_store(v, a);
        for (int i = 0; i < 4; i++) v[i] = sqrt(v[i]);
        return allcores_four_load(v);
    }
    static inline int allcores_any(allcores_four found) {
        double v[4], none[4] = {0, 0, 0, 0};
        allcores_four_store(v, found);
        return memcmp(v, none, 32) != 0;
    }
    """
    bint VECTORS "ALLCORES_FOURS"       # whether four numbers are faster than one by one
    ctypedef struct four "allcores_four":
        pass
    four plus "allcores_plus"(four a, four b) noexcept nogil
    four minus "allcores_minus"(four a, four b) noexcept nogil
    four times "allcores_times"(four a, four b) noexcept nogil
    four over "allcores_over"(four a, four b) noexcept nogil
    four root "allcores_root"(four a) noexcept nogil
    four spread "allcores_spread"(double a) noexcept nogil
    four lesser "allcores_lesser"(four a, four b) noexcept nogil        # b where it is less than a
    four greater "allcores_greater"(four a, four b) noexcept nogil
    four load "allcores_four_load"(const double *p) noexcept nogil
    void store "allcores_four_store"(double *p, four v) noexcept nogil
    double first_of "allcores_first"(four a) noexcept nogil
    four nought "allcores_zeros"() noexcept nogil
    four missing "allcores_missing"(four found, four a) noexcept nogil      # what was found, or where a is NaN
    four where_equal "allcores_where_equal"(four a, four b, four c, four d) noexcept nogil      # a == b ? c : d
    four later "allcores_later"(four a) noexcept nogil              # one place on, 0 comes in
    four later_two "allcores_later_two"(four a) noexcept nogil
    four last "allcores_last"(four a) noexcept nogil                # the last one, four times
    bint anything "allcores_any"(four found) noexcept nogil
    void turn "allcores_turn"(four *a, four *b, four *c, four *d) noexcept nogil    # rows to columns
