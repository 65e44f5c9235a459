"""How a worker claims its next chunk, and how it learns that it should stop.

A cursor is one int64 array that all workers of a call share. It is overlaid here by a plain struct: a `cdef class`
would need a type import across extension modules. Claims are relaxed atomics: chunks are disjoint, and what the
workers wrote is published to the caller by the lock of the future on which it waits.
"""
from libc.stdint cimport int64_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    static inline int64_t allcores_fetch_add(int64_t *p, int64_t v) {
        return _InterlockedExchangeAdd64((volatile __int64 *)p, v);
    }
    static inline int64_t allcores_load(int64_t *p) { return *(volatile int64_t *)p; }
    #else
    static inline int64_t allcores_fetch_add(int64_t *p, int64_t v) {
        return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
    }
    static inline int64_t allcores_load(int64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
    #endif

    /* The next rows of a line, 16 KiB ahead: one more stream than the hardware prefetchers keep. A sum of 58 MB
       by one core went from 28 to 50 GB/s. Past the end of an array it does nothing. */
    static inline void allcores_ahead(const void *p, int bytes) {
    #if defined(__GNUC__) || defined(__clang__)
        for (int i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)p + 16384 + i);
    #else
        (void)p; (void)bytes;
    #endif
    }
    /* The same for `rows` rows, `stride` bytes apart, of `bytes` bytes: what lies `ahead` bytes further on. */
    static inline void allcores_ahead_rows(const void *p, ptrdiff_t stride, int rows, ptrdiff_t bytes, ptrdiff_t ahead) {
    #if defined(__GNUC__) || defined(__clang__)
        const char *row = (const char *)p + ahead;
        for (int i = 0; i < rows; i++, row += stride)
            for (ptrdiff_t j = 0; j < bytes; j += 64) __builtin_prefetch(row + j);
    #else
        (void)p; (void)stride; (void)rows; (void)bytes; (void)ahead;
    #endif
    }

    #if defined(_WIN32)
    #define WIN32_LEAN_AND_MEAN
    #include <windows.h>
    static inline int64_t allcores_clock(void) {
        LARGE_INTEGER ticks, frequency;
        QueryPerformanceCounter(&ticks);
        QueryPerformanceFrequency(&frequency);
        return (int64_t)((double)ticks.QuadPart * 1e9 / (double)frequency.QuadPart);
    }
    #else
    #include <time.h>
    static inline int64_t allcores_clock(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    }
    #endif
    """
    int64_t allcores_fetch_add(int64_t *p, int64_t v) noexcept nogil
    int64_t allcores_load(int64_t *p) noexcept nogil
    int64_t allcores_clock() noexcept nogil
    void allcores_ahead(const void *p, int bytes) noexcept nogil
    void allcores_ahead_rows(const void *p, Py_ssize_t stride, int rows, Py_ssize_t bytes, Py_ssize_t ahead) noexcept nogil


cdef enum:
    # A kernel returns to Python after this many ns, so that the caller handles signals between two calls.
    PATIENCE = 20_000_000


cdef struct Cursor:
    int64_t next        # the next chunk that nobody has claimed
    int64_t end         # one past the last chunk
    int64_t stop        # not zero: claim nothing more
    int64_t done        # chunks that are finished
    int64_t lines       # outer positions in a chunk
    int64_t leaves      # leaves in a chunk, a power of two
    int64_t tile        # inner positions in a chunk


cdef inline int64_t claim(Cursor *cursor, int64_t deadline) noexcept nogil:
    """The next chunk, or -1 where there is none, a stop is asked for or the deadline has passed."""
    cdef int64_t chunk
    if allcores_load(&cursor.stop) or allcores_clock() > deadline:
        return -1
    chunk = allcores_fetch_add(&cursor.next, 1)
    return chunk if chunk < cursor.end else -1
