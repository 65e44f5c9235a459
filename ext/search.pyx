# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Searching in sorted arrays, and moving elements, by positions or in pieces.

A sorted array of up to 65,536 elements is searched as keys, by 16 searches side by side, without branches; a longer one is
searched in place.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from buffers cimport dtype_code, hold, release
from cursor cimport PATIENCE, Cursor, allcores_clock, allcores_fetch_add, claim
from radix cimport even, is_floating, is_wide, read_keys, word
from reals cimport uint32_t, uint64_t
from views cimport Chunk, next_chunk

cdef enum:
    BLOCK = 2048            # keys that are searched at a time
    AHEAD = 16              # searches side by side: one waits for memory while others go on
    TABLE = 65_536          # elements up to which keys of the sorted array are kept


# ---- moving elements

def pack(source, begins, ends, cursor, out):
    """Copy pieces of `source` to `out`, where each has its place."""
    cdef Py_buffer view[5]
    cdef Cursor *shared
    cdef const int64_t *begin
    cdef const int64_t *end
    cdef Py_ssize_t size, first
    cdef int64_t i, deadline
    hold(view, (source, begins, ends, out, cursor), 3)
    try:
        shared = <Cursor *> view[4].buf
        begin = <const int64_t *> view[1].buf
        end = <const int64_t *> view[2].buf
        size = view[0].itemsize
        with nogil:
            deadline = allcores_clock() + PATIENCE
            while True:
                i = claim(shared, deadline)
                if i < 0:
                    break
                first = end[i - 1] if i else 0
                memcpy(<char *> view[3].buf + first * size, <char *> view[0].buf + begin[i] * size, (end[i] - first) * size)
                allcores_fetch_add(&shared.done, 1)
        return 0
    finally:
        release(view, 5)


cdef inline void take_items(
        const char *x, Py_ssize_t stride, const int64_t *at, Py_ssize_t n, char *out, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        memcpy(out + i * size, x + at[i] * stride, size)


def take(source, index, cursor, out):
    """source[index], of lines that need not adjoin; `index` and `out` do."""
    cdef Py_buffer view[4]
    cdef Chunk chunk
    cdef Cursor *shared
    cdef const int64_t *at
    cdef char *to
    cdef char *x
    cdef Py_ssize_t size, stride, length
    cdef int64_t deadline
    hold(view, (source, index, out, cursor), 2)
    try:
        shared = <Cursor *> view[3].buf
        size = view[0].itemsize
        stride = view[0].strides[0]
        length = view[1].shape[0]
        x = <char *> view[0].buf
        with nogil:
            deadline = allcores_clock() + PATIENCE
            while next_chunk(shared, deadline, 1, length, 1, &chunk):
                at = <const int64_t *> view[1].buf + chunk.begin
                to = <char *> view[2].buf + chunk.begin * size
                if size == 8:
                    take_items(x, stride, at, chunk.end - chunk.begin, to, 8)
                elif size == 4:
                    take_items(x, stride, at, chunk.end - chunk.begin, to, 4)
                elif size == 2:
                    take_items(x, stride, at, chunk.end - chunk.begin, to, 2)
                else:
                    take_items(x, stride, at, chunk.end - chunk.begin, to, size)
                allcores_fetch_add(&shared.done, 1)
        return 0
    finally:
        release(view, 4)


# ---- searching

cdef inline word key_at(char code, const char *x, word *_) noexcept nogil:
    cdef word k
    read_keys(code, x, 8, 1, &k)
    if is_floating(code):
        even(&k, 1)
    return k


cdef inline void search_table(
        const word *table, Py_ssize_t n, const word *key, Py_ssize_t m, bint right, int64_t *out) noexcept nogil:
    """Halving without branches: `at` elements, or more, come before the key."""
    cdef Py_ssize_t at[AHEAD]
    cdef Py_ssize_t i = 0, l, left, half
    cdef word v
    while i + AHEAD <= m:
        for l in range(AHEAD):
            at[l] = 0
        left = n
        while left > 0:
            half = (left + 1) >> 1
            for l in range(AHEAD):
                v = table[at[l] + half - 1]
                at[l] += half & -<Py_ssize_t> (v <= key[i + l] if right else v < key[i + l])
            left -= half
        for l in range(AHEAD):
            out[i + l] = at[l]
        i += AHEAD
    while i < m:
        at[0] = 0
        left = n
        while left > 0:
            half = (left + 1) >> 1
            v = table[at[0] + half - 1]
            at[0] += half & -<Py_ssize_t> (v <= key[i] if right else v < key[i])
            left -= half
        out[i] = at[0]
        i += 1


cdef inline void search_array(
        char code, const char *x, Py_ssize_t stride, Py_ssize_t n, const char *sorter, Py_ssize_t step, const word *key,
        Py_ssize_t m, bint right, int64_t *out) noexcept nogil:
    """Search in the array itself, in the order of `sorter` unless that is NULL."""
    cdef Py_ssize_t i, first, last, middle
    cdef int64_t at
    cdef word v
    for i in range(m):
        first = 0
        last = n
        while first < last:
            middle = (first + last) >> 1
            at = middle
            if sorter != NULL:
                memcpy(&at, sorter + middle * step, 8)
            v = key_at(code, x + at * stride, <word *> NULL)
            if v < key[i] or (right and v == key[i]):
                first = middle + 1
            else:
                last = middle
        out[i] = first


cdef inline bint search_chunk(
        char code, Py_buffer *a, Py_buffer *sorter, const char *v, Py_ssize_t stride, Py_ssize_t m, bint right,
        int64_t *out, void *table, word *block) noexcept nogil:
    cdef Py_ssize_t at = 0, n
    while at < m:
        n = BLOCK if at + BLOCK < m else m - at
        read_keys(code, v + at * stride, stride, n, block)
        if is_floating(code):
            even(block, n)
        if table != NULL and right:
            search_table(<word *> table, a.shape[0], block, n, True, out + at)
        elif table != NULL:
            search_table(<word *> table, a.shape[0], block, n, False, out + at)
        else:
            search_array(code, <char *> a.buf, a.strides[0], a.shape[0], <char *> sorter.buf,
                         sorter.strides[0] if sorter.buf != NULL else 0, block, n, right, out + at)
        at += n
    return True


def searchsorted(a, right, sorter, v, cursor, out):
    """Where each element of `v` (n) would be put into the sorted `a` (n): before equals, or after them."""
    cdef Py_buffer view[5]
    cdef uint64_t block[BLOCK]
    cdef Chunk chunk
    cdef Cursor *shared
    cdef char code
    cdef bint after = right
    cdef Py_ssize_t n, m, stride
    cdef void *table = NULL
    cdef const char *x
    cdef int64_t deadline
    hold(view, (a, sorter, v, out, cursor), 3)
    try:
        code = dtype_code(&view[0])
        if code == 0 or code != dtype_code(&view[2]):
            raise TypeError("no kernel for arrays of these dtypes")
        n = view[0].shape[0]
        m = view[2].shape[0]
        stride = view[2].strides[0]
        shared = <Cursor *> view[4].buf
        with nogil:
            if view[1].buf == NULL and 0 < n <= TABLE and n <= m:
                table = malloc(n * 8)
                if table != NULL and is_wide(code):
                    read_keys(code, <char *> view[0].buf, view[0].strides[0], n, <uint64_t *> table)
                    if is_floating(code):
                        even(<uint64_t *> table, n)
                elif table != NULL:
                    read_keys(code, <char *> view[0].buf, view[0].strides[0], n, <uint32_t *> table)
                    if is_floating(code):
                        even(<uint32_t *> table, n)
            deadline = allcores_clock() + PATIENCE
            while next_chunk(shared, deadline, 1, m, 1, &chunk):
                x = <char *> view[2].buf + chunk.begin * stride
                if is_wide(code):
                    search_chunk(code, &view[0], &view[1], x, stride, chunk.end - chunk.begin, after,
                                 <int64_t *> view[3].buf + chunk.begin, table, block)
                else:
                    search_chunk(code, &view[0], &view[1], x, stride, chunk.end - chunk.begin, after,
                                 <int64_t *> view[3].buf + chunk.begin, table, <uint32_t *> block)
                allcores_fetch_add(&shared.done, 1)
            free(table)
        return 0
    finally:
        release(view, 5)
