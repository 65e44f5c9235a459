# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Sorting that is left to NumPy, where it has vector code for it, which runs without the GIL.

    sort_lines       lines are loaded some at a time, sorted in scratch, mended, and written back

    a long line is put into a few classes that follow each other:
    count_classes    how many of each class are in each chunk
    to_classes       moves each number of a chunk to the place of the chunk in its class
    sort_classes     sorts each class where it is

NumPy's sort is not stable, which only zeros of both signs show. It takes the lesser and the greater one of two, and where
they are equal both may be the second one. So zeros are taken from the line again, in order of position, and every NaN is
written as the same NaN.
"""
from libc.math cimport NAN
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from buffers cimport dtype_code, hold, release
from cursor cimport PATIENCE, Cursor, allcores_ahead, allcores_ahead_rows, allcores_clock, allcores_fetch_add, claim
from reals cimport floating, uint32_t, uint64_t
from views cimport Chunk, View, line_of, next_chunk, view_of

import numpy as np

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
    #define BITS 32
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
    #undef NUMBER
    #undef AFTER
    #undef BITS
    #define BITS 64
    #define NUMBER double
    #define AFTER(v, pivot) _mm512_cmp_pd_mask(_mm512_castsi512_pd(v), _mm512_castsi512_pd(pivot), _CMP_NLE_UQ)
    #include "classes.h"
    #undef NUMBER
    #undef AFTER
    #define NUMBER int64_t
    #define AFTER(v, pivot) _mm512_cmpgt_epi64_mask(v, pivot)
    #include "classes.h"
    #undef NUMBER
    #undef AFTER
    #define NUMBER uint64_t
    #define AFTER(v, pivot) _mm512_cmpgt_epu64_mask(v, pivot)
    #include "classes.h"
    #undef NUMBER
    #undef AFTER
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
    count_function count_double
    place_function place_double
    count_function count_int64_t
    place_function place_int64_t
    count_function count_uint64_t
    place_function place_uint64_t


cdef enum:
    ROOM = 262_144          # bytes of lines that are loaded together, about
    ROWS = 16               # rows of columns that are transposed at a time: whole cache lines of each
    COUNTED = 256           # up to so many numbers are counted, not searched
    PIECE = 4096            # numbers that are looked at together


# ---- lines

ctypedef fused word:
    uint32_t
    uint64_t


cdef inline void move(
        const char *from_, Py_ssize_t step, char *to, Py_ssize_t to_step, Py_ssize_t n, word *_) noexcept nogil:
    """Copy n elements, so many bytes apart."""
    cdef Py_ssize_t i
    if step == sizeof(word) and to_step == sizeof(word):
        memcpy(to, from_, n * sizeof(word))
        return
    for i in range(n):
        memcpy(to + i * to_step, from_ + i * step, sizeof(word))


cdef inline void move_columns(View *x, char *line, Py_ssize_t width, word *room, bint back) noexcept nogil:
    """Copy columns that adjoin to `room`, one after the other, or `back` from there; a block of rows at a time."""
    cdef Py_ssize_t i = 0, rows, l
    cdef char *at
    cdef char *column
    while i < x.n:
        rows = ROWS if i + ROWS < x.n else x.n - i
        at = line + i * x.n_stride
        allcores_ahead_rows(at, x.n_stride, <int> rows, width * x.inner_stride, 2 * ROWS * x.n_stride)
        for l in range(width):
            column = <char *> (room + l * x.n + i)
            if back:
                move(column, sizeof(word), at + l * x.inner_stride, x.n_stride, rows, room)
            else:
                move(at + l * x.inner_stride, x.n_stride, column, sizeof(word), rows, room)
        i += ROWS


cdef inline Py_ssize_t upto(const floating *v, Py_ssize_t n, bint equal) noexcept nogil:
    """How many of some numbers in order are below zero, or not above it."""
    cdef Py_ssize_t low = 0, high = n, middle
    if n <= COUNTED and not equal:
        for middle in range(n):         # in vectors: a search would mostly wait for its own branches
            low += v[middle] < 0
        return low
    while low < high:
        middle = (low + high) >> 1
        if v[middle] < 0 or (equal and v[middle] == 0):
            low = middle + 1
        else:
            high = middle
    return low


cdef inline void mend(floating *v, Py_ssize_t n, const char *line, Py_ssize_t stride) noexcept nogil:
    """Make v what a stable sort of `line` gives. It is in order already, but the signs of its zeros may be wrong."""
    cdef Py_ssize_t i, first, last
    cdef floating one
    i = n
    while i and v[i - 1] != v[i - 1]:
        i -= 1
        v[i] = NAN
    first = upto(v, i, False)
    if first == i or v[first] != 0:
        return
    last = upto(v, i, True)
    if last - first == 1:
        return
    for i in range(n):
        memcpy(&one, line + i * stride, sizeof(floating))
        if one == 0 and first < last:
            v[first] = one
            first += 1


cdef inline void mend_any(const View *x, void *v, const char *line) noexcept nogil:
    if x.code == b"f":
        mend(<float *> v, x.n, line, x.n_stride)
    elif x.code == b"d":
        mend(<double *> v, x.n, line, x.n_stride)


cdef struct Batch:          # some lines of a chunk: columns of one outer position, or some positions
    Py_ssize_t position, column, count


cdef inline bint next_batch(const View *x, const Chunk *chunk, Py_ssize_t most, Batch *batch) noexcept nogil:
    """Go on from one batch to the next. Returns False after the last one."""
    if x.inner == 1:
        batch.position += batch.count
        batch.count = chunk.last - batch.position
    else:
        batch.column += batch.count
        if batch.column == chunk.right:
            batch.column = chunk.left
            batch.position += 1
        batch.count = chunk.right - batch.column if batch.position < chunk.last else 0
    batch.count = most if batch.count > most else batch.count
    return batch.count > 0


cdef inline void bring(View *x, const Batch *batch, word *room) noexcept nogil:
    cdef Py_ssize_t i
    if x.inner > 1:
        move_columns(x, line_of(x, batch.position) + batch.column * x.inner_stride, batch.count, room, False)
        return
    for i in range(batch.count):
        move(line_of(x, batch.position + i), x.n_stride, <char *> (room + i * x.n), sizeof(word), x.n, room)


cdef inline void put(View *x, View *to, const Batch *batch, word *room) noexcept nogil:
    cdef Py_ssize_t i
    cdef const char *line
    if x.inner > 1:
        line = line_of(x, batch.position) + batch.column * x.inner_stride
        for i in range(batch.count):
            mend_any(x, room + i * x.n, line + i * x.inner_stride)
        move_columns(to, line_of(to, batch.position) + batch.column * to.inner_stride, batch.count, room, True)
        return
    for i in range(batch.count):
        mend_any(x, room + i * x.n, line_of(x, batch.position + i))
        move(<char *> (room + i * x.n), sizeof(word), line_of(to, batch.position + i), to.n_stride, x.n, room)


def sort_lines(a, cursor, out):
    """Sort each line of `a` to that of `out`, which may be the same memory. Elements have four or eight bytes."""
    cdef Py_buffer view[3]
    cdef Py_buffer own
    cdef View x, to
    cdef Chunk chunk
    cdef Batch batch
    cdef Cursor *shared
    cdef Py_ssize_t most
    cdef int64_t deadline = allcores_clock() + PATIENCE
    own.ndim = -1
    hold(view, (a, out, cursor), 1)
    try:
        view_of(&x, &view[0])
        view_of(&to, &view[1])
        if x.code not in b"fdiIqQ" or to.code != x.code:
            raise TypeError("no kernel for arrays of this dtype")
        shared = <Cursor *> view[2].buf
        most = ROOM // (x.n * view[0].itemsize)
        most = most if most < x.outer * x.inner else x.outer * x.inner
        if most < ROWS and x.inner > 1:
            most = ROWS if ROWS < x.inner else x.inner
        most = most if most > 1 else 1
        room = np.empty((most, x.n), out.dtype)
        hold(&own, (room,), 0)
        while next_chunk(shared, deadline, x.outer, x.n, x.inner, &chunk):
            batch.position, batch.column, batch.count = chunk.first, chunk.left, 0
            while next_batch(&x, &chunk, most, &batch):
                with nogil:
                    if view[0].itemsize == 8:
                        bring(&x, &batch, <uint64_t *> own.buf)
                    else:
                        bring(&x, &batch, <uint32_t *> own.buf)
                room[:batch.count].sort(1)
                with nogil:
                    if view[0].itemsize == 8:
                        put(&x, &to, &batch, <uint64_t *> own.buf)
                    else:
                        put(&x, &to, &batch, <uint32_t *> own.buf)
            allcores_fetch_add(&shared.done, 1)
        return 0
    finally:
        release(&own, 1)
        release(view, 3)


# ---- classes of a long line

cdef struct Line:
    const char *x
    Py_ssize_t n, stride, size
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
    elif code == b"d":
        line.count, line.place = count_double, place_double
    elif code == b"q":
        line.count, line.place = count_int64_t, place_int64_t
    elif code == b"Q":
        line.count, line.place = count_uint64_t, place_uint64_t
    else:
        return False
    return True


cdef inline const void *piece_of(const Line *line, Py_ssize_t begin, Py_ssize_t n, char *room) noexcept nogil:
    cdef const char *from_ = line.x + begin * line.stride
    cdef Py_ssize_t i
    if line.direct:
        allcores_ahead(from_, <int> (n * line.size))
        return from_
    for i in range(n):
        memcpy(room + i * line.size, from_ + i * line.stride, line.size)
    return room


cdef void count_chunk(const Line *line, Py_ssize_t begin, Py_ssize_t end, int64_t *counts) noexcept nogil:
    cdef uint64_t room[PIECE]
    cdef Py_ssize_t n, before = end - begin
    cdef int c
    for c in range(line.classes):
        counts[c] = 0
    while begin < end:
        n = PIECE if begin + PIECE < end else end - begin
        line.count(piece_of(line, begin, n, <char *> room), n, line.pivots, line.classes, counts)
        begin += n
    for c in range(line.classes):       # until here these count what comes after pivot c
        counts[c], before = before - counts[c], counts[c]


cdef void place_chunk(const Line *line, Py_ssize_t begin, Py_ssize_t end, int64_t *next, void *out) noexcept nogil:
    cdef uint64_t room[PIECE]
    cdef Py_ssize_t n
    while begin < end:
        n = PIECE if begin + PIECE < end else end - begin
        line.place(piece_of(line, begin, n, <char *> room), n, line.pivots, line.classes, next, out, line.n)
        begin += n


cdef int each_chunk(a, pivots, table, cursor, out) except -1:
    """Count the elements of classes, or move them to `out` if there is one."""
    cdef Py_buffer view[5]
    cdef Line line
    cdef Cursor *shared
    cdef int64_t chunk, begin, end, deadline = allcores_clock() + PATIENCE
    cdef int64_t *row
    cdef char code
    hold(view, (a, pivots, table, cursor, out), 2)
    try:
        code = dtype_code(&view[0])
        if not choose(&line, code) or dtype_code(&view[1]) != code or out is not None and dtype_code(&view[4]) != code:
            raise TypeError("no kernel for arrays of this dtype")
        line.x = <const char *> view[0].buf
        line.n, line.stride, line.size = view[0].shape[0], view[0].strides[0], view[0].itemsize
        line.direct = line.stride == line.size and <size_t> line.x % <size_t> line.size == 0
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
                if view[4].buf != NULL:
                    place_chunk(&line, begin, end, row, view[4].buf)
                else:
                    count_chunk(&line, begin, end, row)
                allcores_fetch_add(&shared.done, 1)
        return 0
    finally:
        release(view, 5)


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
    hold(&view, (cursor,), 0)
    try:
        shared = <Cursor *> view.buf
        while True:
            c = claim(shared, deadline)
            if c < 0:
                return 0
            out[ends[c]:ends[c + 1]].sort()
            allcores_fetch_add(&shared.done, 1)
    finally:
        release(&view, 1)
