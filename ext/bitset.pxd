"""The bits of a word of 64."""
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    static inline int allcores_bits(uint64_t v) {
        v -= (v >> 1) & 0x5555555555555555u;
        v = (v & 0x3333333333333333u) + ((v >> 2) & 0x3333333333333333u);
        return (int)((((v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u) >> 56);
    }
    static inline int allcores_lowest(uint64_t v) { unsigned long i; _BitScanForward64(&i, v); return (int)i; }
    static inline int allcores_highest(uint64_t v) { unsigned long i; _BitScanReverse64(&i, v); return (int)i; }
    #else
    static inline int allcores_bits(uint64_t v) { return __builtin_popcountll(v); }
    static inline int allcores_lowest(uint64_t v) { return __builtin_ctzll(v); }
    static inline int allcores_highest(uint64_t v) { return 63 - __builtin_clzll(v); }
    #endif
    """
    int allcores_bits(uint64_t v) noexcept nogil        # how many are set
    int allcores_lowest(uint64_t v) noexcept nogil      # the position of the lowest one; there must be one
    int allcores_highest(uint64_t v) noexcept nogil
