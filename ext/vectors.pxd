"""A few unsigned numbers sorted with AVX-512, where that is compiled in: see vectors.h."""
from reals cimport uint32_t, uint64_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    #if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__POPCNT__) && defined(__GNUC__)
    #include <immintrin.h>
    #define ALLCORES_VECTORS 1
    #define VECTOR_BITS 32
    #include "vectors.h"
    #undef VECTOR_BITS
    #define VECTOR_BITS 64
    #include "vectors.h"
    #undef VECTOR_BITS
    #else
    #define ALLCORES_VECTORS 0
    static inline int allcores_sort_32(uint32_t *a, uint32_t *b, ptrdiff_t n, int depth) { return 0; }
    static inline int allcores_sort_64(uint64_t *a, uint64_t *b, ptrdiff_t n, int depth) { return 0; }
    #endif
    """
    const bint ALLCORES_VECTORS
    bint allcores_sort_32(uint32_t *a, uint32_t *b, Py_ssize_t n, int depth) noexcept nogil
    bint allcores_sort_64(uint64_t *a, uint64_t *b, Py_ssize_t n, int depth) noexcept nogil
