"""An operand as a kernel walks it, a view (outer..., n, inner), and the chunks of a grid that a kernel claims."""
from libc.stdint cimport int64_t

from buffers cimport dtype_code
from cursor cimport Cursor, claim

cdef struct View:           # (outer..., n, inner), strides in bytes
    char *data
    char code
    int outer_ndim
    Py_ssize_t *outer_shape
    Py_ssize_t *outer_strides
    Py_ssize_t outer, n, inner, n_stride, inner_stride


cdef struct Chunk:
    Py_ssize_t part, first, last, begin, end, left, right


cdef inline int view_of(View *to, Py_buffer *view) except -1:
    cdef int d = view.ndim - 2, f
    to.data = <char *> view.buf
    to.code = dtype_code(view)
    if to.code == 0:
        raise TypeError("no kernel for arrays of this dtype")
    to.outer_ndim = d
    to.outer_shape = view.shape
    to.outer_strides = view.strides
    to.outer = 1
    for f in range(d):
        to.outer *= view.shape[f]
    to.n = view.shape[d]
    to.inner = view.shape[d + 1]
    to.n_stride = view.strides[d]
    to.inner_stride = view.strides[d + 1]
    return 0


cdef inline char *line_of(View *view, Py_ssize_t position) noexcept nogil:
    cdef int d = view.outer_ndim - 1
    cdef char *data = view.data
    while d >= 0:
        data += position % view.outer_shape[d] * view.outer_strides[d]
        position //= view.outer_shape[d]
        d -= 1
    return data


cdef inline bint next_chunk(
        Cursor *cursor, int64_t deadline, Py_ssize_t outer, Py_ssize_t n, Py_ssize_t inner, Chunk *to) noexcept nogil:
    cdef Py_ssize_t run = cursor.leaves
    cdef Py_ssize_t parts = (n + run - 1) // run
    cdef Py_ssize_t tiles = (inner + cursor.tile - 1) // cursor.tile
    cdef int64_t chunk = claim(cursor, deadline)
    if chunk < 0:
        return False
    to.left = chunk % tiles * cursor.tile
    to.right = to.left + cursor.tile if to.left + cursor.tile < inner else inner
    to.part = chunk // tiles % parts
    to.begin = to.part * run
    to.end = to.begin + run if to.begin + run < n else n
    to.first = chunk // tiles // parts * cursor.lines
    to.last = to.first + cursor.lines if to.first + cursor.lines < outer else outer
    return True
