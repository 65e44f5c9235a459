# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A long line of numbers of four bytes, put into a few classes that follow each other, each of which NumPy then sorts.

    count_classes    how many of each class are in each chunk
    to_classes       each number to its class, where the chunk's begin in it
    sort_classes     each class, where it is
"""
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy

from buffers cimport PyBUF_FULL, PyBUF_FULL_RO, Py_buffer, PyBuffer_Release, PyObject_GetBuffer, dtype_code
from cursor cimport PATIENCE, Cursor, allcores_ahead, allcores_clock, allcores_fetch_add, claim

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    #if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__POPCNT__) && defined(__GNUC__)
    #include <immintrin.h>
    #define CLASSES_IN_VECTORS 1
    #else
    #define CLASSES_IN_VECTORS 0
    #endif
    typedef void (*allcores_count)(const void *, ptrdiff_t, const void *, int, int64_t *);
    typedef void (*allcores_place)(const void *, ptrdiff_t, const void *, int, int64_t *, void *, ptrdiff_t);
    #define NUMBER float
    #define AFTER(v, pivot) _mm512_cmp_ps_mask(_mm512_castsi512_ps(v), _mm512_castsi512_ps(pivot), _CMP_NLE_UQ)
    #include "classes.h"
    #undef NUMBER
    #undef AFTER
    #define NUMBER int32_t
    #define AFTER(v, pivot) _mm512_cmpgt_epi32_mask(v, pivot)
    #include "classes.h"
    #undef NUMBER
    #undef AFTER
    #define NUMBER uint32_t
    #define AFTER(v, pivot) _mm512_cmpgt_epu32_mask(v, pivot)
    #include "classes.h"
    """
    ctypedef void (*count_function "allcores_count")(
        const void *x, Py_ssize_t n, const void *pivots, int classes, int64_t *after) noexcept nogil
    ctypedef void (*place_function "allcores_place")(
        const void *x, Py_ssize_t n, const void *pivots, int classes, int64_t *next, void *out, Py_ssize_t room) noexcept nogil
    count_function count_float
    place_function place_float
    count_function count_int32_t
    place_function place_int32_t
    count_function count_uint32_t
    place_function place_uint32_t


cdef enum:
    PIECE = 4096            # numbers that are looked at together
    SIZE = 4                # bytes of a number


cdef struct Line:
    const char *x
    Py_ssize_t n, stride
    bint direct             # whether its memory is that of an array of numbers
    const void *pivots
    int classes
    count_function count
    place_function place


cdef inline bint choose(Line *line, char code) noexcept nogil:
    if code == b"f":
        line.count, line.place = count_float, place_float
    elif code == b"i":
        line.count, line.place = count_int32_t, place_int32_t
    elif code == b"I":
        line.count, line.place = count_uint32_t, place_uint32_t
    else:
        return False
    return True


cdef inline const void *piece_of(const Line *line, Py_ssize_t begin, Py_ssize_t n, char *room) noexcept nogil:
    cdef const char *from_ = line.x + begin * line.stride
    cdef Py_ssize_t i
    if line.direct:
        allcores_ahead(from_, <int> (n * SIZE))
        return from_
    for i in range(n):
        memcpy(room + i * SIZE, from_ + i * line.stride, SIZE)
    return room


cdef void count_chunk(const Line *line, Py_ssize_t begin, Py_ssize_t end, int64_t *counts) noexcept nogil:
    cdef uint32_t room[PIECE]
    cdef Py_ssize_t n, before = end - begin
    cdef int c
    for c in range(line.classes):
        counts[c] = 0
    while begin < end:
        n = PIECE if begin + PIECE < end else end - begin
        line.count(piece_of(line, begin, n, <char *> room), n, line.pivots, line.classes, counts)
        begin += n
    for c in range(line.classes):       # so far: how many come after pivot c
        counts[c], before = before - counts[c], counts[c]


cdef void place_chunk(const Line *line, Py_ssize_t begin, Py_ssize_t end, int64_t *next, void *out) noexcept nogil:
    cdef uint32_t room[PIECE]
    cdef Py_ssize_t n
    while begin < end:
        n = PIECE if begin + PIECE < end else end - begin
        line.place(piece_of(line, begin, n, <char *> room), n, line.pivots, line.classes, next, out, line.n)
        begin += n


cdef int each_chunk(a, pivots, table, cursor, out) except -1:
    """Count, or place where there is somewhere to: `out`."""
    cdef Py_buffer view[5]
    cdef Line line
    cdef Cursor *shared
    cdef int64_t chunk, begin, end, deadline = allcores_clock() + PATIENCE
    cdef int64_t *row
    cdef int held = 0
    cdef char code
    try:
        for array in (a, pivots, table, cursor) if out is None else (a, pivots, table, cursor, out):
            PyObject_GetBuffer(array, &view[held], PyBUF_FULL_RO if held < 2 else PyBUF_FULL)
            held += 1
        code = dtype_code(&view[0])
        if not choose(&line, code) or dtype_code(&view[1]) != code or held == 5 and dtype_code(&view[4]) != code:
            raise TypeError("no kernel for arrays of this dtype")
        line.x = <const char *> view[0].buf
        line.n, line.stride = view[0].shape[0], view[0].strides[0]
        line.direct = line.stride == SIZE and <size_t> line.x % SIZE == 0
        line.pivots = view[1].buf
        line.classes = <int> view[1].shape[0] + 1
        shared = <Cursor *> view[3].buf
        with nogil:
            while True:
                chunk = claim(shared, deadline)
                if chunk < 0:
                    break
                begin = chunk * shared.leaves
                end = begin + shared.leaves if begin + shared.leaves < line.n else line.n
                row = <int64_t *> view[2].buf + chunk * line.classes
                if held == 5:
                    place_chunk(&line, begin, end, row, view[4].buf)
                else:
                    count_chunk(&line, begin, end, row)
                allcores_fetch_add(&shared.done, 1)
        return 0
    finally:
        while held:
            held -= 1
            PyBuffer_Release(&view[held])


def count_classes(a, pivots, cursor, counts):
    """counts[chunk, class]. Class c: what comes after pivot c - 1, but not after pivot c; NaN comes after all."""
    return each_chunk(a, pivots, counts, cursor, None)


def to_classes(a, pivots, next, cursor, out):
    """next[chunk, class]: where the first of a class in a chunk goes. It is moved on."""
    return each_chunk(a, pivots, next, cursor, out)


def sort_classes(ends, cursor, out):
    """Each class in order but for zeros of both signs, by NumPy: it sorts without the GIL. Class c ends at ends[c + 1]."""
    cdef Py_buffer view
    cdef Cursor *shared
    cdef int64_t c, deadline = allcores_clock() + PATIENCE
    PyObject_GetBuffer(cursor, &view, PyBUF_FULL)
    try:
        shared = <Cursor *> view.buf
        while True:
            c = claim(shared, deadline)
            if c < 0:
                return 0
            out[ends[c]:ends[c + 1]].sort()
            allcores_fetch_add(&shared.done, 1)
    finally:
        PyBuffer_Release(&view)
