"""Four numbers side by side, and sixteen of them turned: how scans of four lines become vector operations.

Where the CPU has vectors of four doubles (v3 and above) these are gcc's and clang's vector types; elsewhere plain loops,
which do the same.
"""
cdef extern from *:
    """
    #include <stddef.h>
    #include <string.h>
    #if defined(__AVX__) && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12))
    typedef double allcores_four __attribute__((vector_size(32)));
    typedef long long allcores_mask __attribute__((vector_size(32)));
    #define ALLCORES_CHOOSE(test, a, b) \\
        ((allcores_four)(((allcores_mask)(a) & (test)) | ((allcores_mask)(b) & ~(test))))
    static inline allcores_four allcores_plus(allcores_four a, allcores_four b) { return a + b; }
    static inline allcores_four allcores_times(allcores_four a, allcores_four b) { return a * b; }
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
    #define ALLCORES_AT(v, i) (v)[i]
    #else
    typedef struct { double v[4]; } allcores_four;
    #define ALLCORES_AT(x, i) (x).v[i]
    static inline allcores_four allcores_plus(allcores_four a, allcores_four b) {
        for (int i = 0; i < 4; i++) a.v[i] = a.v[i] + b.v[i];
        return a;
    }
    static inline allcores_four allcores_times(allcores_four a, allcores_four b) {
        for (int i = 0; i < 4; i++) a.v[i] = a.v[i] * b.v[i];
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
    static inline allcores_four allcores_pick(const double *p, ptrdiff_t step) {
        allcores_four r;
        for (int i = 0; i < 4; i++) ALLCORES_AT(r, i) = p[i * step];
        return r;
    }
    static inline void allcores_drop(double *p, ptrdiff_t step, allcores_four v) {
        for (int i = 0; i < 4; i++) p[i * step] = ALLCORES_AT(v, i);
    }
    static inline allcores_four allcores_zeros(void) {
        double zeros[4] = {0, 0, 0, 0};
        return allcores_four_load(zeros);
    }
    static inline int allcores_any(allcores_four found) {
        double v[4], none[4] = {0, 0, 0, 0};
        allcores_four_store(v, found);
        return memcmp(v, none, 32) != 0;
    }
    """
    ctypedef struct four "allcores_four":
        pass
    four plus "allcores_plus"(four a, four b) noexcept nogil
    four times "allcores_times"(four a, four b) noexcept nogil
    four lesser "allcores_lesser"(four a, four b) noexcept nogil        # b where it is less than a
    four greater "allcores_greater"(four a, four b) noexcept nogil
    four load "allcores_four_load"(const double *p) noexcept nogil
    void store "allcores_four_store"(double *p, four v) noexcept nogil
    four pick "allcores_pick"(const double *p, Py_ssize_t step) noexcept nogil      # numbers that are `step` apart
    void drop "allcores_drop"(double *p, Py_ssize_t step, four v) noexcept nogil
    four zeros "allcores_zeros"() noexcept nogil
    four missing "allcores_missing"(four found, four a) noexcept nogil      # what was found, or where a is NaN
    bint anything "allcores_any"(four found) noexcept nogil
    void turn "allcores_turn"(four *a, four *b, four *c, four *d) noexcept nogil    # rows to columns
