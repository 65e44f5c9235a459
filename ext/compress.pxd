"""Compressed stores: of the keys in a range the keys themselves, their positions, or their elements, one after the other.
There are no branches, and AVX-512 takes eight or sixteen keys at a time. After the last one room for SLACK more is needed."""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    #if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__POPCNT__) && defined(__GNUC__)
    #include <immintrin.h>
    #define ALLCORES_AVX512
    #endif

    /* out: those v[i] for which v[i] - begin < width, as unsigned numbers. Returns how many. */
    static inline ptrdiff_t allcores_keep8(
            const int64_t *v, ptrdiff_t n, uint64_t begin, uint64_t width, int64_t *out) {
        ptrdiff_t i = 0, j = 0;
    #if defined(ALLCORES_AVX512)
        const __m512i from = _mm512_set1_epi64((long long)begin), most = _mm512_set1_epi64((long long)width);
        for (; i + 8 <= n; i += 8) {
            const __m512i k = _mm512_loadu_si512(v + i);
            const __mmask8 in = _mm512_cmplt_epu64_mask(_mm512_sub_epi64(k, from), most);
            _mm512_storeu_si512(out + j, _mm512_maskz_compress_epi64(in, k));
            j += __builtin_popcount(in);
        }
    #endif
        for (; i < n; i++) {
            const int64_t k = v[i];
            out[j] = k;
            j += (uint64_t)k - begin < width;
        }
        return j;
    }
    static inline ptrdiff_t allcores_keep4(
            const int32_t *v, ptrdiff_t n, uint32_t begin, uint32_t width, int32_t *out) {
        ptrdiff_t i = 0, j = 0;
    #if defined(ALLCORES_AVX512)
        const __m512i from = _mm512_set1_epi32((int)begin), most = _mm512_set1_epi32((int)width);
        for (; i + 16 <= n; i += 16) {
            const __m512i k = _mm512_loadu_si512(v + i);
            const __mmask16 in = _mm512_cmplt_epu32_mask(_mm512_sub_epi32(k, from), most);
            _mm512_storeu_si512(out + j, _mm512_maskz_compress_epi32(in, k));
            j += __builtin_popcount(in);
        }
    #endif
        for (; i < n; i++) {
            const int32_t k = v[i];
            out[j] = k;
            j += (uint32_t)k - begin < width;
        }
        return j;
    }

    /* out: those i for which v[i] - begin <= range. */
    static inline ptrdiff_t allcores_where8(
            const int64_t *v, ptrdiff_t n, uint64_t begin, uint64_t range, int32_t *out) {
        ptrdiff_t i = 0, j = 0;
    #if defined(ALLCORES_AVX512)
        const __m512i from = _mm512_set1_epi64((long long)begin), most = _mm512_set1_epi64((long long)range);
        __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        for (; i + 8 <= n; i += 8) {
            const __m512i k = _mm512_loadu_si512(v + i);
            const __mmask8 in = _mm512_cmple_epu64_mask(_mm512_sub_epi64(k, from), most);
            _mm256_storeu_si256((__m256i *)(out + j), _mm256_maskz_compress_epi32(in, at));
            at = _mm256_add_epi32(at, _mm256_set1_epi32(8));
            j += __builtin_popcount(in);
        }
    #endif
        for (; i < n; i++) {
            out[j] = (int32_t)i;
            j += (uint64_t)v[i] - begin <= range;
        }
        return j;
    }
    static inline ptrdiff_t allcores_where4(
            const int32_t *v, ptrdiff_t n, uint32_t begin, uint32_t range, int32_t *out) {
        ptrdiff_t i = 0, j = 0;
    #if defined(ALLCORES_AVX512)
        const __m512i from = _mm512_set1_epi32((int)begin), most = _mm512_set1_epi32((int)range);
        __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        for (; i + 16 <= n; i += 16) {
            const __m512i k = _mm512_loadu_si512(v + i);
            const __mmask16 in = _mm512_cmple_epu32_mask(_mm512_sub_epi32(k, from), most);
            _mm512_storeu_si512(out + j, _mm512_maskz_compress_epi32(in, at));
            at = _mm512_add_epi32(at, _mm512_set1_epi32(16));
            j += __builtin_popcount(in);
        }
    #endif
        for (; i < n; i++) {
            out[j] = (int32_t)i;
            j += (uint32_t)v[i] - begin <= range;
        }
        return j;
    }

    /* out: the elements x[i], as bits, for which v[i] - begin <= range. */
    static inline ptrdiff_t allcores_pick8(
            const int64_t *v, const char *x, ptrdiff_t n, uint64_t begin, uint64_t range, int64_t *out) {
        ptrdiff_t i = 0, j = 0;
    #if defined(ALLCORES_AVX512)
        const __m512i from = _mm512_set1_epi64((long long)begin), most = _mm512_set1_epi64((long long)range);
        for (; i + 8 <= n; i += 8) {
            const __m512i k = _mm512_loadu_si512(v + i);
            const __mmask8 in = _mm512_cmple_epu64_mask(_mm512_sub_epi64(k, from), most);
            _mm512_storeu_si512(out + j, _mm512_maskz_compress_epi64(in, _mm512_loadu_si512(x + 8 * i)));
            j += __builtin_popcount(in);
        }
    #endif
        for (; i < n; i++) {
            memcpy(out + j, x + 8 * i, 8);
            j += (uint64_t)v[i] - begin <= range;
        }
        return j;
    }
    static inline ptrdiff_t allcores_pick4(
            const int32_t *v, const char *x, ptrdiff_t n, uint32_t begin, uint32_t range, int32_t *out) {
        ptrdiff_t i = 0, j = 0;
    #if defined(ALLCORES_AVX512)
        const __m512i from = _mm512_set1_epi32((int)begin), most = _mm512_set1_epi32((int)range);
        for (; i + 16 <= n; i += 16) {
            const __m512i k = _mm512_loadu_si512(v + i);
            const __mmask16 in = _mm512_cmple_epu32_mask(_mm512_sub_epi32(k, from), most);
            _mm512_storeu_si512(out + j, _mm512_maskz_compress_epi32(in, _mm512_loadu_si512(x + 4 * i)));
            j += __builtin_popcount(in);
        }
    #endif
        for (; i < n; i++) {
            memcpy(out + j, x + 4 * i, 4);
            j += (uint32_t)v[i] - begin <= range;
        }
        return j;
    }
    """
    Py_ssize_t allcores_keep8(
        const int64_t *v, Py_ssize_t n, uint64_t begin, uint64_t width, int64_t *out) noexcept nogil
    Py_ssize_t allcores_keep4(
        const int32_t *v, Py_ssize_t n, uint32_t begin, uint32_t width, int32_t *out) noexcept nogil
    Py_ssize_t allcores_where8(
        const int64_t *v, Py_ssize_t n, uint64_t begin, uint64_t range, int32_t *out) noexcept nogil
    Py_ssize_t allcores_where4(
        const int32_t *v, Py_ssize_t n, uint32_t begin, uint32_t range, int32_t *out) noexcept nogil
    Py_ssize_t allcores_pick8(
        const int64_t *v, const char *x, Py_ssize_t n, uint64_t begin, uint64_t range, int64_t *out) noexcept nogil
    Py_ssize_t allcores_pick4(
        const int32_t *v, const char *x, Py_ssize_t n, uint32_t begin, uint32_t range, int32_t *out) noexcept nogil

cdef enum:
    SLACK = 16
