# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Sorted runs of numbers of four bytes: sorted by NumPy's vectors, and merged two and two.

What is merged is cut where the result is: the first so many elements of a result are so many of the one run and so many of
the other, which a search finds. Four places of a chunk are merged side by side, since each step waits for the one before.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t

from buffers cimport PyBUF_FULL, PyBUF_FULL_RO, Py_buffer, PyBuffer_Release, PyObject_GetBuffer, dtype_code
from cursor cimport PATIENCE, Cursor, allcores_clock, allcores_fetch_add, claim

ctypedef fused number:
    float
    int32_t
    uint32_t


def sort_runs(a, cursor, out):
    """The runs of a line, each in order but for zeros of both signs, by NumPy: it sorts them without the GIL."""
    cdef Py_buffer view
    cdef Cursor *shared
    cdef int64_t run, begin, deadline = allcores_clock() + PATIENCE
    PyObject_GetBuffer(cursor, &view, PyBUF_FULL)
    try:
        shared = <Cursor *> view.buf
        while True:
            run = claim(shared, deadline)
            if run < 0:
                return 0
            begin = run * shared.leaves
            here = out[begin:begin + shared.leaves]
            here[...] = a[begin:begin + shared.leaves]
            here.sort()
            allcores_fetch_add(&shared.done, 1)
    finally:
        PyBuffer_Release(&view)


cdef struct Pair:           # two runs, and where what they become begins
    int64_t a, a_end, b, b_end, out


cdef inline Py_ssize_t split(const number *a, Py_ssize_t n, const number *b, Py_ssize_t m, Py_ssize_t first) noexcept nogil:
    """How many of the `first` elements of the result come from a: of equal ones, all of a come before those of b."""
    cdef Py_ssize_t low = first - m if first > m else 0, high = n if n < first else first, middle
    while low < high:
        middle = (low + high) >> 1
        if a[middle] <= b[first - 1 - middle]:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline number step(const number **a, const number **b) noexcept nogil:
    cdef number v = a[0][0], w = b[0][0]
    cdef bint second = w < v
    b[0] += second
    a[0] += not second
    return w if second else v


cdef inline void merge_four(
        const number **a, const number **b, number *out, Py_ssize_t n) noexcept nogil:
    """n elements at each of four places, n apart: neither run ends before."""
    cdef const number *a0 = a[0]
    cdef const number *a1 = a[1]
    cdef const number *a2 = a[2]
    cdef const number *a3 = a[3]
    cdef const number *b0 = b[0]
    cdef const number *b1 = b[1]
    cdef const number *b2 = b[2]
    cdef const number *b3 = b[3]
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = step(&a0, &b0)
        out[n + i] = step(&a1, &b1)
        out[2 * n + i] = step(&a2, &b2)
        out[3 * n + i] = step(&a3, &b3)


cdef inline void merge_rest(
        const number *a, const number *a_end, const number *b, const number *b_end, number *out, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if a < a_end and (b == b_end or a[0] <= b[0]):
            out[i] = a[0]
            a += 1
        else:
            out[i] = b[0]
            b += 1


cdef inline void merge_range(
        const number *x, const Pair *pair, int64_t begin, int64_t end, number *out) noexcept nogil:
    """Elements begin .. end of what a pair becomes."""
    cdef const number *a = x + pair.a
    cdef const number *b = x + pair.b
    cdef const number *at[4]
    cdef const number *bt[4]
    cdef Py_ssize_t n = pair.a_end - pair.a, m = pair.b_end - pair.b, quarter = (end - begin) >> 2, l, i
    out += pair.out
    if quarter:
        i = split(a, n, b, m, begin + 4 * quarter)
        if i < n and begin + 4 * quarter - i < m:
            for l in range(4):
                i = split(a, n, b, m, begin + l * quarter)
                at[l] = a + i
                bt[l] = b + (begin + l * quarter - i)
            merge_four(at, bt, out + begin, quarter)
            begin += 4 * quarter
    i = split(a, n, b, m, begin)
    merge_rest(a + i, a + n, b + (begin - i), b + m, out + begin, end - begin)


cdef inline void merge_chunk(
        const number *x, const Pair *pair, Py_ssize_t pairs, int64_t begin, int64_t end, number *out) noexcept nogil:
    cdef Py_ssize_t p
    cdef int64_t first, last, total
    for p in range(pairs):
        total = pair[p].a_end - pair[p].a + pair[p].b_end - pair[p].b
        first = begin - pair[p].out if begin > pair[p].out else 0
        last = end - pair[p].out if end - pair[p].out < total else total
        if first < last:
            merge_range(x, &pair[p], first, last, out)


def merge_runs(source, pairs, cursor, out):
    """pairs (n, 5): where two sorted runs of `source` begin and end, and where they begin in `out`, merged. No NaN."""
    cdef Py_buffer view[4]
    cdef Cursor *shared
    cdef const Pair *pair
    cdef int64_t chunk, begin, end, total, deadline = allcores_clock() + PATIENCE
    cdef int held = 0
    cdef char code
    try:
        for array in (source, pairs, out, cursor):
            PyObject_GetBuffer(array, &view[held], PyBUF_FULL_RO if held < 2 else PyBUF_FULL)
            held += 1
        code = dtype_code(&view[0])
        if code not in b"fiI" or dtype_code(&view[2]) != code:
            raise TypeError("no kernel for arrays of this dtype")
        pair = <const Pair *> view[1].buf
        total = view[2].shape[0]
        shared = <Cursor *> view[3].buf
        with nogil:
            while True:
                chunk = claim(shared, deadline)
                if chunk < 0:
                    break
                begin = chunk * shared.leaves
                end = begin + shared.leaves if begin + shared.leaves < total else total
                if code == b"f":
                    merge_chunk(<const float *> view[0].buf, pair, view[1].shape[0], begin, end, <float *> view[2].buf)
                elif code == b"i":
                    merge_chunk(<const int32_t *> view[0].buf, pair, view[1].shape[0], begin, end, <int32_t *> view[2].buf)
                else:
                    merge_chunk(<const uint32_t *> view[0].buf, pair, view[1].shape[0], begin, end, <uint32_t *> view[2].buf)
                allcores_fetch_add(&shared.done, 1)
        return 0
    finally:
        while held:
            held -= 1
            PyBuffer_Release(&view[held])
