/* Numbers in classes: class c has those that come after pivot c - 1, but not after pivot c. NaN comes after all pivots.
   by_numpy.pyx includes this once for each type of NUMBER, of so many BITS, with AFTER to compare a register of them. */

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b) JOIN_NAMES(a, b)
#define NAME(name) JOIN(name, NUMBER)
#define INLINE static inline __attribute__((always_inline))

#if CLASSES_IN_VECTORS
#if BITS == 64
#define LANES 8
#define MASK __mmask8
#define VECTOR(name) _mm512_##name##_epi64
#define WORD long long
#else
#define LANES 16
#define MASK __mmask16
#define VECTOR(name) _mm512_##name##_epi32
#define WORD int
#endif

INLINE __m512i NAME(everywhere_)(NUMBER pivot) {
    WORD bits;
    memcpy(&bits, &pivot, sizeof bits);
    return VECTOR(set1)(bits);
}

/* after[c] += how many come after pivot c. What is left over of whole registers: returned. */
INLINE ptrdiff_t NAME(count_registers_)(const NUMBER *x, ptrdiff_t n, const NUMBER *pivots, int64_t *after, const int classes) {
    __m512i p[classes];
    int64_t sums[classes];
    for (int c = 0; c + 1 < classes; c++) {
        p[c] = NAME(everywhere_)(pivots[c]);
        sums[c] = 0;
    }
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const __m512i v = _mm512_loadu_si512(x + i);
        for (int c = 0; c + 1 < classes; c++)
            sums[c] += __builtin_popcount(AFTER(v, p[c]));
    }
    for (int c = 0; c + 1 < classes; c++)
        after[c] += sums[c];
    return i;
}

/* Each number to the next place of its class. */
INLINE ptrdiff_t NAME(place_registers_)(const NUMBER *x, ptrdiff_t n, const NUMBER *pivots, int64_t *next, NUMBER *out, const int classes) {
    __m512i p[classes];
    int64_t to[classes];
    for (int c = 0; c < classes; c++) {
        to[c] = next[c];
        if (c + 1 < classes)
            p[c] = NAME(everywhere_)(pivots[c]);
    }
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const __m512i v = _mm512_loadu_si512(x + i);
        MASK before = (MASK)-1;
        for (int c = 0; c < classes; c++) {
            const MASK after = c + 1 < classes ? AFTER(v, p[c]) : 0, here = before & (MASK)~after;
            const int count = __builtin_popcount(here);
            /* Beyond them others write. */
            VECTOR(mask_storeu)(
                out + to[c], (MASK)((1u << count) - 1), VECTOR(maskz_compress)(here, v));
            to[c] += count;
            before = after;
        }
    }
    for (int c = 0; c < classes; c++)
        next[c] = to[c];
    return i;
}
#endif

static void NAME(count_)(const void *numbers, ptrdiff_t n, const void *borders, int classes, int64_t *after) {
    const NUMBER *x = (const NUMBER *)numbers, *pivots = (const NUMBER *)borders;
    ptrdiff_t i = 0;
#if CLASSES_IN_VECTORS
    if (classes == 2) i = NAME(count_registers_)(x, n, pivots, after, 2);
    else if (classes == 4) i = NAME(count_registers_)(x, n, pivots, after, 4);
    else if (classes == 8) i = NAME(count_registers_)(x, n, pivots, after, 8);
    else if (classes == 16) i = NAME(count_registers_)(x, n, pivots, after, 16);
#endif
    for (; i < n; i++)
        for (int c = 0; c + 1 < classes; c++)
            after[c] += !(x[i] <= pivots[c]);
}

/* `out` has `room`: numbers that others change meanwhile may be of another class than they were counted in. */
static void NAME(place_)(
    const void *numbers, ptrdiff_t n, const void *borders, int classes, int64_t *next, void *output, ptrdiff_t room) {
    const NUMBER *x = (const NUMBER *)numbers, *pivots = (const NUMBER *)borders;
    NUMBER *out = (NUMBER *)output;
    ptrdiff_t i = 0;
#if CLASSES_IN_VECTORS
    int fits = 1;
    for (int c = 0; c < classes; c++)
        fits &= next[c] + n <= room;
    if (!fits) i = 0;
    else if (classes == 2) i = NAME(place_registers_)(x, n, pivots, next, out, 2);
    else if (classes == 4) i = NAME(place_registers_)(x, n, pivots, next, out, 4);
    else if (classes == 8) i = NAME(place_registers_)(x, n, pivots, next, out, 8);
    else if (classes == 16) i = NAME(place_registers_)(x, n, pivots, next, out, 16);
#endif
    for (; i < n; i++) {
        int c = 0;
        while (c + 1 < classes && !(x[i] <= pivots[c]))
            c++;
        if (next[c] < room)
            out[next[c]++] = x[i];
    }
}

#undef LANES
#undef MASK
#undef VECTOR
#undef WORD
#undef JOIN_NAMES
#undef JOIN
#undef NAME
#undef INLINE
