"""The loop around kernels that search whole lines: claim a chunk, and give its lines to the kernel, a strip at a time.

    x: a view (outer..., n, inner), any strides. A chunk is  lines x n x tile of inner,  as _engine/grid.py cuts it.

    inner > 1: adjoining columns          inner == 1: lines, side by side if they are short
"""
from buffers cimport Py_buffer, dtype_code
from cursor cimport PATIENCE, Cursor, allcores_ahead_rows, allcores_clock, allcores_fetch_add, claim
from keys cimport load_function, loader, store_function, storer
from narrow cimport Arena
from sorting_network cimport WIDTH
from reals cimport int64_t

cdef enum:
    SHORT = 80              # elements of a line that is sorted side by side with others
    STRIP = 65536           # keys in a strip of columns, about
    COLUMNS = 64            # columns in a strip, at most
    ROWS = 16               # rows of columns that are transposed at a time
    AHEAD = 32              # rows between those that are read and those that are prefetched


# A strip function takes lines side by side, line[0] .. line[lines - 1]; of columns only line[0] is set. `first` is the
# number of the first line. It returns -1 where there is no memory.
ctypedef int (*strip_function)(Lines *job, char **line, Py_ssize_t lines, Py_ssize_t first) noexcept nogil


cdef struct Lines:
    char *data
    int outer_ndim
    Py_ssize_t *outer_shape
    Py_ssize_t *outer_strides
    Py_ssize_t outer, n, inner
    Py_ssize_t n_stride, inner_stride
    load_function load
    store_function store
    Py_ssize_t itemsize
    bint may_miss           # elements are floats, among which there may be NaN
    strip_function strip
    void *own               # what the kernel needs besides
    Arena arena


cdef inline Py_ssize_t line_offset(
        int ndim, const Py_ssize_t *shape, const Py_ssize_t *strides, Py_ssize_t position) noexcept nogil:
    """Bytes from the first outer position to this one."""
    cdef int d = ndim - 1
    cdef Py_ssize_t offset = 0
    while d >= 0:
        offset += position % shape[d] * strides[d]
        position //= shape[d]
        d -= 1
    return offset


cdef inline char *line_at(Lines *job, Py_ssize_t position, Py_ssize_t column) noexcept nogil:
    return job.data + line_offset(job.outer_ndim, job.outer_shape, job.outer_strides, position) + column * job.inner_stride


cdef inline int describe(Lines *job, const Py_buffer *x) except -1:
    """Fill the job from a view (outer..., n, inner)."""
    cdef int d = x.ndim - 2, i
    cdef char code = dtype_code(x)
    job.load = loader(code)
    if job.load == NULL:
        raise TypeError("no kernel for arrays of this dtype")
    job.store = storer(code)
    job.may_miss = code == b"d" or code == b"f"
    job.data = <char *> x.buf
    job.itemsize = x.itemsize
    job.outer_ndim = d
    job.outer_shape = x.shape
    job.outer_strides = x.strides
    job.n = x.shape[d]
    job.inner = x.shape[d + 1]
    job.n_stride = x.strides[d]
    job.inner_stride = x.strides[d + 1]
    job.outer = 1
    for i in range(d):
        job.outer *= x.shape[i]
    return 0


cdef inline int chunk(
        Lines *job, Py_ssize_t first, Py_ssize_t last, Py_ssize_t left, Py_ssize_t right) noexcept nogil:
    cdef char *line[COLUMNS]
    cdef Py_ssize_t position, at, l, lines, most = WIDTH
    if job.inner > 1:
        if job.n > SHORT:
            most = STRIP // job.n // 8 * 8
            most = 8 if most < 8 else COLUMNS if most > COLUMNS else most
        for position in range(first, last):
            at = left
            while at < right:
                lines = most if at + most < right else right - at
                line[0] = line_at(job, position, at)
                if job.strip(job, line, lines, position * job.inner + at) < 0:
                    return -1
                at += lines
        return 0
    position = first
    while position < last:
        lines = most if position + most < last else last - position
        for l in range(lines):
            line[l] = line_at(job, position + l, 0)
        if job.strip(job, line, lines, position) < 0:
            return -1
        position += lines
    return 0


cdef inline int walk(Lines *job, Cursor *cursor) noexcept nogil:
    cdef Py_ssize_t lines = cursor.lines, tile = cursor.tile
    cdef Py_ssize_t tiles = (job.inner + tile - 1) // tile, number, first, left
    cdef int64_t deadline = allcores_clock() + PATIENCE
    while True:
        number = claim(cursor, deadline)
        if number < 0:
            return 0
        first = number // tiles * lines
        left = number % tiles * tile
        if chunk(job, first, first + lines if first + lines < job.outer else job.outer,
                 left, left + tile if left + tile < job.inner else job.inner) < 0:
            return -1
        allcores_fetch_add(&cursor.done, 1)


cdef inline void bring_up_columns(Lines *job, const char *line, Py_ssize_t lines, char *to, Py_ssize_t pitch) noexcept nogil:
    """Load columns that adjoin as keys, so that the keys of a column adjoin. Columns of keys begin `pitch` bytes apart.

    It goes by blocks of rows, so that a column gets a cache line at a time: half the time of row by row.
    """
    cdef Py_ssize_t i = 0, l, rows
    cdef Py_ssize_t size = pitch // (job.n + 8)
    while i < job.n:
        rows = ROWS if i + ROWS < job.n else job.n - i
        allcores_ahead_rows(line + i * job.n_stride, job.n_stride, <int> rows, lines * job.inner_stride, AHEAD * job.n_stride)
        for l in range(lines):
            job.load(line + i * job.n_stride + l * job.inner_stride, job.n_stride, rows, to + l * pitch + i * size, 1)
        i += ROWS
