/* Unsigned numbers of VECTOR_BITS bits, sorted with AVX-512: vectors.pxd includes this once for 32 and once for 64.

   Numbers are divided around a pivot by compressed stores until some registers hold them all, and these are sorted by a
   bitonic network: numbers of registers and lanes are constant, so that a compiler unrolls its loops. */

#define JOIN_NAMES(a, b) a##b
#define JOIN(a, b) JOIN_NAMES(a, b)
#define NAME(name) JOIN(allcores_##name, VECTOR_BITS)
#define VECTOR(name) JOIN(_mm512_##name, VECTOR_BITS)
#define COMPARED(name) JOIN(VECTOR(name), _mask)
#define NUMBER JOIN(JOIN(uint, VECTOR_BITS), _t)
#define LANES (512 / VECTOR_BITS)
#define MASK JOIN(__mmask, JOIN(VECTOR_LANES_, VECTOR_BITS))
#define VECTOR_LANES_32 16
#define VECTOR_LANES_64 8
#define UNROLL _Pragma("GCC unroll 32")
#define INLINE static inline __attribute__((always_inline))

/* Each lane and the one that is `other` there: the greater one stays in the lanes of `upper`. */
INLINE __m512i NAME(exchange_lanes_)(__m512i v, __m512i other, MASK upper) {
    return VECTOR(mask_max_epu)(VECTOR(min_epu)(v, other), upper, v, other);
}

#if VECTOR_BITS == 32
INLINE __m512i NAME(turned_)(__m512i v) {
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), v);
}
/* Lanes in order that ascend and then descend, or descend and then ascend. */
INLINE __m512i NAME(bitonic_)(__m512i v) {
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_i64x2(v, v, 0x4E), 0xFF00);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_i64x2(v, v, 0xB1), 0xF0F0);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0x4E), 0xCCCC);
    return NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0xB1), 0xAAAA);
}
INLINE __m512i NAME(sorted_)(__m512i v) {
    const __m512i halves = _mm512_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0xB1), 0xAAAA);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0x1B), 0xCCCC);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0xB1), 0xAAAA);
    v = NAME(exchange_lanes_)(v, _mm512_permutexvar_epi32(halves, v), 0xF0F0);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0x4E), 0xCCCC);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0xB1), 0xAAAA);
    v = NAME(exchange_lanes_)(v, NAME(turned_)(v), 0xFF00);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_i64x2(v, v, 0xB1), 0xF0F0);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0x4E), 0xCCCC);
    return NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0xB1), 0xAAAA);
}
#else
INLINE __m512i NAME(turned_)(__m512i v) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0), v);
}
INLINE __m512i NAME(bitonic_)(__m512i v) {
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_i64x2(v, v, 0x4E), 0xF0);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_i64x2(v, v, 0xB1), 0xCC);
    return NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0x4E), 0xAA);
}
INLINE __m512i NAME(sorted_)(__m512i v) {
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0x4E), 0xAA);
    v = NAME(exchange_lanes_)(v, _mm512_permutex_epi64(v, 0x1B), 0xCC);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0x4E), 0xAA);
    v = NAME(exchange_lanes_)(v, NAME(turned_)(v), 0xF0);
    v = NAME(exchange_lanes_)(v, _mm512_shuffle_i64x2(v, v, 0xB1), 0xCC);
    return NAME(exchange_lanes_)(v, _mm512_shuffle_epi32(v, 0x4E), 0xAA);
}
#endif

/* The lanes of register r that hold some of n numbers. */
INLINE MASK NAME(held_)(ptrdiff_t n, int r) {
    const ptrdiff_t left = n - r * LANES;
    return left >= LANES ? (MASK)-1 : left <= 0 ? 0 : (MASK)((1u << left) - 1);
}

/* As many as `registers` hold, of which `full` are full. The lanes beyond n hold the greatest number of all and so stay the last ones; what would be
   compared with registers beyond `registers` is left out for the same reason. */
INLINE void NAME(network_)(NUMBER *a, ptrdiff_t n, const int full, const int registers) {
    const __m512i greatest = _mm512_set1_epi32(-1);
    __m512i v[registers];
    UNROLL for (int r = 0; r < registers; r++)
        v[r] = NAME(sorted_)(r < full ? _mm512_loadu_si512(a + r * LANES)
                             : VECTOR(mask_loadu_epi)(greatest, NAME(held_)(n, r), a + r * LANES));
    UNROLL for (int half = 1; half < registers; half *= 2) {
        UNROLL for (int s = 0; s < registers; s += 2 * half)
            UNROLL for (int i = s, j = s + 2 * half - 1; i < j; i++, j--)
                if (j < registers) {
                    const __m512i low = v[i], high = NAME(turned_)(v[j]);
                    v[i] = VECTOR(min_epu)(low, high);
                    v[j] = VECTOR(max_epu)(low, high);
                }
        UNROLL for (int d = half / 2; d > 0; d /= 2)
            UNROLL for (int i = 0; i + d < registers; i++)
                if (!(i & d)) {
                    const __m512i low = v[i], high = v[i + d];
                    v[i] = VECTOR(min_epu)(low, high);
                    v[i + d] = VECTOR(max_epu)(low, high);
                }
        UNROLL for (int r = 0; r < registers; r++)
            v[r] = NAME(bitonic_)(v[r]);
    }
    UNROLL for (int r = 0; r < registers; r++)
        if (r < full)
            _mm512_storeu_si512(a + r * LANES, v[r]);
        else
            VECTOR(mask_storeu_epi)(a + r * LANES, NAME(held_)(n, r), v[r]);
}

static void NAME(few_)(NUMBER *a, ptrdiff_t n) {
    const ptrdiff_t registers = (n + LANES - 1) / LANES;
    if (registers <= 1) NAME(network_)(a, n, 0, 1);
    else if (registers <= 2) NAME(network_)(a, n, 1, 2);
    else if (registers <= 4) NAME(network_)(a, n, 2, 4);
    else if (registers <= 6) NAME(network_)(a, n, 4, 6);
    else if (registers <= 8) NAME(network_)(a, n, 6, 8);
    else if (registers <= 12) NAME(network_)(a, n, 8, 12);
    else if (registers <= 16) NAME(network_)(a, n, 12, 16);
    else if (registers <= 24) NAME(network_)(a, n, 16, 24);
    else NAME(network_)(a, n, 24, 32);
}

/* The median of some of them. */
INLINE NUMBER NAME(pivot_)(const NUMBER *a, ptrdiff_t n) {
    NUMBER some[LANES];
    for (int i = 0; i < LANES; i++)
        some[i] = a[i * (n / LANES)];
    NAME(network_)(some, LANES, 1, 1);
    return some[LANES / 2];
}

/* Those up to the pivot first, or those below it; how many they are. b has room for n. */
INLINE ptrdiff_t NAME(divide_)(NUMBER *a, NUMBER *b, ptrdiff_t n, NUMBER pivot, const int below) {
    const __m512i p = VECTOR(set1_epi)(pivot);
    ptrdiff_t i = 0, low = 0;
    for (; i + LANES <= n; i += LANES) {
        /* What was read may be written over, so there is room for whole registers. */
        const __m512i v = _mm512_loadu_si512(a + i);
        const MASK first = below ? COMPARED(cmplt_epu)(v, p) : COMPARED(cmple_epu)(v, p);
        _mm512_storeu_si512(a + low, VECTOR(maskz_compress_epi)(first, v));
        _mm512_storeu_si512(b + (i - low), VECTOR(maskz_compress_epi)((MASK)~first, v));
        low += __builtin_popcount(first);
    }
    for (; i < n; i++) {
        const NUMBER v = a[i];
        a[low] = v;
        b[i - low] = v;
        low += below ? v < pivot : v <= pivot;
    }
    memcpy(a + low, b, (n - low) * sizeof(NUMBER));
    return low;
}

/* b has room for n. 0, with all numbers still there, where pivots divide so badly that more than `depth` are needed. */
static int NAME(sort_)(NUMBER *a, NUMBER *b, ptrdiff_t n, int depth) {
    while (n > 32 * LANES) {
        if (depth-- == 0)
            return 0;
        const NUMBER pivot = NAME(pivot_)(a, n);
        const ptrdiff_t low = NAME(divide_)(a, b, n, pivot, 0);
        if (low == n) {
            n = NAME(divide_)(a, b, n, pivot, 1);   /* the others are equal */
            continue;
        }
        if (!NAME(sort_)(a, b, low, depth))
            return 0;
        a += low;
        n -= low;
    }
    NAME(few_)(a, n);
    return 1;
}

#undef JOIN_NAMES
#undef JOIN
#undef NAME
#undef VECTOR
#undef COMPARED
#undef NUMBER
#undef LANES
#undef MASK
#undef VECTOR_LANES_32
#undef VECTOR_LANES_64
#undef UNROLL
#undef INLINE
