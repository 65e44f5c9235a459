"""The short way for small arrays: a contiguous 1-D or 2-D array, straight into the loops of drive.pxd.

The same chunks as the engine's, computed inline, hence the same bits; but no views, grid, cursor or task, which cost
more than the work: 0.3 instead of 20 us. What a door does not take, it leaves to the engine by returning None.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from buffers cimport PyBUF_FULL_RO, PyBuffer_Release, dtype_code
from drive cimport FIELDS, Job, lines, rows
from entry cimport allcores_fp_clear, allcores_fp_status

cdef extern from "Python.h":
    # Without `except`: an array that has no buffer is the engine's business.
    int get_buffer "PyObject_GetBuffer"(object a, Py_buffer *view, int flags)
    void PyErr_Clear()
    long PyLong_AsLongAndOverflow(object, int *overflow)


cdef enum:
    LIMIT = 524_288         # elements: some 100 us, below which no team pays
    QUIET = 4096            # elements from which the GIL is released
    TILE = 1024
    FIXED = 64              # bytes of slots that need no malloc


cdef struct Small:
    Py_buffer view
    Py_ssize_t shape, stride        # of the one outer axis
    Py_ssize_t outputs
    bint scalar
    char *slots
    char fixed[FIXED]


cdef inline char open_small(Small *small, Job *job, object a, object axis) noexcept:
    """Describe the array in the job and return its dtype code; 0 where it is not for this door (then nothing is open)."""
    cdef Py_buffer *view = &small.view
    cdef char code
    cdef Py_ssize_t along
    cdef int ndim, overflow
    if get_buffer(a, view, PyBUF_FULL_RO) < 0:
        PyErr_Clear()
        return 0
    ndim = view.ndim
    code = dtype_code(view)
    job.itemsize = view.itemsize
    if (code == 0 or ndim < 1 or ndim > 2 or view.len == 0 or view.len > LIMIT * view.itemsize
            or <size_t> view.buf % <size_t> view.itemsize != 0
            or (view.strides[ndim - 1] != view.itemsize and view.shape[ndim - 1] != 1)
            or (ndim == 2 and view.strides[0] != view.shape[1] * view.itemsize and view.shape[0] != 1)):
        PyBuffer_Release(view)
        return 0
    small.scalar = axis is None or ndim == 1
    job.outer = 1
    job.inner = 1
    job.n = view.len // view.itemsize
    if axis is not None:
        along = -3
        if type(axis) is int:
            along = PyLong_AsLongAndOverflow(axis, &overflow)
            if overflow:
                along = -3
        if along < 0:
            along += ndim
        if along < 0 or along >= ndim:
            PyBuffer_Release(view)
            return 0
        if ndim == 2 and along == 0:
            job.n = view.shape[0]
            job.inner = view.shape[1]
        elif ndim == 2:
            job.outer = view.shape[0]
            job.n = view.shape[1]
    small.outputs = job.outer * job.inner
    small.shape = job.outer
    small.stride = job.n * view.itemsize
    job.data = <char *> view.buf
    job.mask = NULL
    job.width = job.itemsize
    job.aligned = True
    job.outer_ndim = 1
    job.outer_shape = &small.shape
    job.outer_strides = &small.stride
    job.inner_stride = job.itemsize
    job.n_stride = job.inner * job.itemsize
    job.load = NULL
    job.fold = NULL
    job.decisive = -1
    return code


cdef inline bint slots_small(Small *small, Job *job, int fields) noexcept nogil:
    """Memory for the slots: 8 bytes a field and output."""
    cdef int f
    small.slots = small.fixed
    if fields * small.outputs * 8 > FIXED:
        small.slots = <char *> malloc(fields * small.outputs * 8)
        if small.slots == NULL:
            return False
    job.fields = fields
    for f in range(fields):
        job.sink[f] = small.slots + f * small.outputs * 8
        job.size[f] = 8
    return True


cdef inline int compute_small(Job *job) noexcept nogil:
    cdef Py_ssize_t left = 0, right
    if job.inner == 1:
        lines(job, 0, 0, job.outer, 0, job.n)
        return 0
    while left < job.inner:
        right = left + TILE if left + TILE < job.inner else job.inner
        if rows(job, 0, 0, 1, 0, job.n, left, right) < 0:
            return -1
        left = right
    return 0


cdef inline int run_small(Small *small, Job *job) except -1:
    cdef int failed
    if job.n * small.outputs < QUIET:
        failed = compute_small(job)
    else:
        with nogil:
            failed = compute_small(job)
    if failed:
        raise MemoryError("no memory for the accumulators of a chunk")
    return 0


cdef inline bint quiet_small(Job *job) noexcept:
    """Whether computing it once more raises no floating-point flag: then there is nothing to warn of."""
    allcores_fp_clear()
    compute_small(job)
    return allcores_fp_status() == 0


cdef inline void close_small(Small *small) noexcept:
    if small.slots != small.fixed:
        free(small.slots)
    PyBuffer_Release(&small.view)
