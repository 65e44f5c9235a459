# cython: language_level=3
"""How fast this machine reads memory: the limit that the benchmarks compare with. Compiled for the baseline.

The simplest loop that reaches it: whole words are added into independent sums without the GIL. Integers, so that the
order of additions, and with it who claims which chunk, changes no bit, and the total can be checked exactly by np.sum.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cursor cimport Cursor, allcores_ahead, claim

cdef enum:
    WORDS = 131072          # in a chunk: 1 MiB, as the kernels' chunks of float64


cdef inline uint64_t add(const uint64_t *p, int64_t n, bint ahead) noexcept nogil:
    cdef uint64_t lane[16]
    cdef uint64_t total = 0
    cdef int64_t i
    cdef int k
    for k in range(16):
        lane[k] = 0
    for i in range(0, n - 15, 16):
        if ahead:
            allcores_ahead(p + i, 128)
        for k in range(16):
            lane[k] += p[i + k]
    for i in range(n - n % 16, n):
        total += p[i]
    for k in range(16):
        total += lane[k]
    return total


def read(x, cursor, bint ahead):
    """The sum of the 64-bit words in the chunks of `x` that this call claims, modulo 2**64.

    `x` is contiguous; bytes past its last whole word are not read. `cursor` is the int64 array of cursor.pxd, shared by
    all threads that read: chunks next..end are claimed, and beyond the last chunk of `x` it is read once more from its
    beginning. `ahead` prefetches by software as the kernels do.
    """
    cdef Py_buffer view, shared
    cdef const uint64_t *words
    cdef uint64_t total = 0
    cdef int64_t n, chunks, chunk, begin
    PyObject_GetBuffer(x, &view, PyBUF_SIMPLE)
    try:
        PyObject_GetBuffer(cursor, &shared, PyBUF_WRITABLE)
        try:
            if shared.len < <Py_ssize_t> sizeof(Cursor):
                raise ValueError("the cursor is too short")
            words = <const uint64_t *> view.buf
            n = view.len // 8
            chunks = max((n + WORDS - 1) // WORDS, 1)
            with nogil:
                chunk = claim(<Cursor *> shared.buf, INT64_MAX)
                while chunk >= 0:
                    begin = chunk % chunks * WORDS
                    total += add(words + begin, min(n - begin, WORDS), ahead)
                    chunk = claim(<Cursor *> shared.buf, INT64_MAX)
        finally:
            PyBuffer_Release(&shared)
    finally:
        PyBuffer_Release(&view)
    return total
