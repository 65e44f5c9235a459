# cython: language_level=3
"""Which instruction-set level this CPU and operating system allow. Compiled for the baseline: it runs everywhere."""

cdef extern from *:
    """
    /* Exported: threadpoolctl knows this library by it. */
    #if defined(_WIN32)
    #define ALLCORES_EXPORT __declspec(dllexport)
    #else
    #define ALLCORES_EXPORT __attribute__((visibility("default")))
    #endif
    ALLCORES_EXPORT int allcores_level(void);

    #if defined(_MSC_VER) && !defined(__clang__) && defined(_M_X64)
    #include <intrin.h>
    #include <immintrin.h>
    int allcores_level(void) {
        int a[4], b[4], e[4];
        unsigned long long saved;
        __cpuid(a, 1);
        /* ssse3 9, cx16 13, sse4.1 19, sse4.2 20, popcnt 23 */
        if ((a[2] & 0x982200) != 0x982200) return 1;
        /* fma 12, movbe 22, osxsave 27, avx 28, f16c 29 */
        if ((a[2] & 0x38401000) != 0x38401000) return 2;
        saved = _xgetbv(0);
        __cpuidex(b, 7, 0);
        __cpuid(e, 0x80000001);
        /* avx2 5, bmi1 3, bmi2 8; lzcnt 5 */
        if ((saved & 6) != 6 || (b[1] & 0x128) != 0x128 || !(e[2] & 0x20)) return 2;
        /* avx512 f 16, dq 17, cd 28, bw 30, vl 31 */
        if ((saved & 0xe6) != 0xe6 || (b[1] & 0xd0030000) != 0xd0030000) return 3;
        return 4;
    }
    #elif defined(__x86_64__)
    /* Single features: the names of levels need newer compilers than these. */
    int allcores_level(void) {
        __builtin_cpu_init();
        if (!__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("sse4.1") || !__builtin_cpu_supports("sse4.2")
            || !__builtin_cpu_supports("popcnt")) return 1;
        if (!__builtin_cpu_supports("avx") || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")
            || !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2")) return 2;
        if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512cd")
            || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl")) return 3;
        return 4;
    }
    #else
    int allcores_level(void) { return 0; }
    #endif
    """
    int allcores_level() noexcept


def level():
    """0 where there are no levels, otherwise the n of x86-64-vn."""
    return allcores_level()
