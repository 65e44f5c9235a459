"""The short way for small arrays: 1-D, 2-D, or contiguous and reduced along one axis or whole, straight into drive.pxd.

The same order as the engine's, hence the same bits; but no views, grid, cursor or task, which cost more than the work:
0.3 instead of 20 us. What a door does not take, it leaves to the engine by returning None.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memmove

from buffers cimport PyBUF_FULL_RO, PyBuffer_Release, dtype_code, element_code, is_native, marks_native
from drive cimport FIELDS, Job, lines, rows
from entry cimport allcores_fp_clear, allcores_fp_status

cdef extern from "Python.h":
    # Without `except`: an array that has no buffer is the engine's business.
    int get_buffer "PyObject_GetBuffer"(object a, Py_buffer *view, int flags)
    void PyErr_Clear()
    long PyLong_AsLongAndOverflow(object, int *overflow)


cdef enum:
    LIMIT = 4_194_304       # bytes: 100 us of a sum, below which no team pays
    MASKED = 262_144        # bytes with `where`: what it selects is counted one by one
    QUIET = 4096            # elements from which the GIL is released
    TILE = 1024
    FIXED = 64              # bytes of partials that need no malloc


cdef struct Small:
    Py_buffer view
    Py_buffer mask
    bint masked
    Py_ssize_t shape, stride, mask_stride       # of the one outer axis
    Py_ssize_t outputs
    Py_ssize_t carried              # reduced positions that are folded into one output; 1: none
    int ndim
    int along                       # the reduced axis, or -1: all
    char *partials
    char fixed[FIXED]


cdef inline char open_small(
        Small *small, Job *job, object a, object axis, object where, bint ordered, Py_ssize_t limit) noexcept:
    """Describe the array in the job and return its dtype code; 0 where it is not for this door (then nothing is open).

    `where` is None or an array of bool of a's shape.
    """
    cdef Py_buffer *view = &small.view
    cdef char code
    small.masked = False
    if get_buffer(a, view, PyBUF_FULL_RO) < 0:
        PyErr_Clear()
        return 0
    code = element_code(view)
    job.swapped = not is_native(view)
    if sizeof(long) == 8 and code in (b"q", b"Q") and (
            view.format[0] in (b"q", b"Q") or (marks_native(view.format[0]) and view.format[1] in (b"q", b"Q"))):
        code = 0                    # long long beside a long of the same size: its scalars are of another type
    if job.swapped and code in (b"q", b"Q") and a.dtype.char in "qQ":
        code = 0                    # there the format does not tell them apart
    if (code == 0 or view.ndim < 1 or view.len == 0 or view.len > limit
            or not read_axis(small, view.ndim, axis) or not describe_small(small, job, ordered)):
        PyBuffer_Release(view)
        return 0
    job.mask = NULL
    if where is not None and not open_mask(small, job, where):
        PyBuffer_Release(view)
        return 0
    small.outputs = job.outer * job.inner
    small.carried = 1
    if small.along < 0:
        small.carried = small.outputs
        small.outputs = 1
    job.itemsize = view.itemsize
    job.width = view.itemsize
    job.limit = job.data + view.itemsize
    if job.n_stride > 0:
        job.limit += (job.n - 1) * job.n_stride
    if small.stride > 0:
        job.limit += (job.outer - 1) * small.stride
    job.aligned = not job.swapped and (
        (<size_t> job.data | <size_t> job.n_stride | <size_t> job.inner_stride | <size_t> small.stride)
        % <size_t> view.itemsize) == 0
    job.outer_ndim = 1
    job.outer_shape = &small.shape
    job.outer_strides = &small.stride
    job.mask_outer_strides = &small.mask_stride
    job.load = NULL
    job.fold = NULL
    job.merge = NULL
    job.decisive = -1
    return code


cdef inline bint read_axis(Small *small, int ndim, object axis) noexcept:
    """Whether the axis is None or a plain integer in bounds."""
    cdef int overflow = 0
    cdef long along
    small.ndim = ndim
    small.along = -1
    if axis is None:
        return True
    if type(axis) is not int:
        return False
    along = PyLong_AsLongAndOverflow(axis, &overflow)
    if overflow or along < -ndim or along >= ndim:
        return False
    small.along = <int> (along + ndim if along < 0 else along)
    return True


cdef inline bint contiguous(const Py_buffer *view, bint backwards) noexcept nogil:
    """Whether the array is C-contiguous, or F-contiguous."""
    cdef Py_ssize_t stride = view.itemsize
    cdef int i, d
    for i in range(view.ndim):
        d = i if backwards else view.ndim - 1 - i
        if view.shape[d] != 1 and view.strides[d] != stride:
            return False
        stride *= view.shape[d]
    return True


cdef inline bint describe_small(Small *small, Job *job, bint ordered) noexcept nogil:
    """Shape and strides of the job: what canonical() in view.py does, for the simple cases."""
    cdef Py_buffer *view = &small.view
    cdef Py_ssize_t n, kept, n_stride, kept_stride
    job.data = <char *> view.buf
    job.outer = 1
    job.inner = 1
    job.inner_stride = view.itemsize
    small.stride = 0
    if small.along < 0 and view.ndim > 1:
        if not contiguous(view, False) and (ordered or not contiguous(view, True)):
            return view.ndim == 2 and not ordered and describe_plane(small, job)
        job.n = view.len // view.itemsize
        job.n_stride = view.itemsize
        small.shape = 1
        return True
    if view.ndim > 2:
        return describe_axis(small, job)
    n = view.shape[small.along if view.ndim == 2 else 0]
    n_stride = view.strides[small.along if view.ndim == 2 else 0]
    if n_stride < 0 and not ordered:
        job.data += (n - 1) * n_stride
        n_stride = -n_stride
    job.n = n
    job.n_stride = n_stride
    if view.ndim == 2:
        kept = view.shape[1 - small.along]
        kept_stride = view.strides[1 - small.along]
        if kept > 1 and n > 1:
            if n_stride == 0 or kept_stride == 0 or n_stride == kept_stride or n_stride == -kept_stride:
                return False
        if kept > 1 and (n == 1 or (kept_stride if kept_stride > 0 else -kept_stride)
                         < (n_stride if n_stride > 0 else -n_stride)):
            job.inner = kept
            job.inner_stride = kept_stride
        else:
            job.outer = kept
            small.stride = kept_stride
    small.shape = job.outer
    return True


cdef inline bint describe_plane(Small *small, Job *job) noexcept nogil:
    """A scattered 2-D array, whole: along the longer axis; the other is carried, and folded afterwards."""
    cdef Py_buffer *view = &small.view
    cdef Py_ssize_t strides[2]
    cdef int d, slow, fast
    for d in range(2):
        strides[d] = view.strides[d]
        if view.shape[d] < 2 or strides[d] == 0:
            return False                # a line, whichever way it lies; or broadcast
        if strides[d] < 0:
            job.data += (view.shape[d] - 1) * strides[d]
            strides[d] = -strides[d]
    slow = strides[1] > strides[0]
    fast = 1 - slow
    if strides[slow] == strides[fast] * view.shape[fast]:
        job.n = view.shape[0] * view.shape[1]       # one line after all
        job.n_stride = strides[fast]
    elif view.shape[fast] > view.shape[slow]:
        job.n = view.shape[fast]
        job.n_stride = strides[fast]
        job.outer = view.shape[slow]
        small.stride = strides[slow]
    else:
        job.n = view.shape[slow]
        job.n_stride = strides[slow]
        job.inner = view.shape[fast]
        job.inner_stride = strides[fast]
    small.shape = job.outer
    return True


cdef inline bint describe_axis(Small *small, Job *job) noexcept nogil:
    """One axis of a C-contiguous array of any number of axes."""
    cdef Py_buffer *view = &small.view
    cdef int d
    if not contiguous(view, False):
        return False
    for d in range(view.ndim):
        if d < small.along:
            job.outer *= view.shape[d]
        elif d > small.along:
            job.inner *= view.shape[d]
    job.n = view.shape[small.along]
    job.n_stride = job.inner * view.itemsize
    small.stride = job.n * job.n_stride
    small.shape = job.outer
    return True


cdef inline bint open_mask(Small *small, Job *job, object where) noexcept:
    """Describe `where`: of a's shape, and contiguous where a's axes were joined."""
    cdef Py_buffer *view = &small.view
    cdef Py_buffer *mask = &small.mask
    cdef int d
    if view.len > MASKED or (small.along < 0 and job.outer * job.inner > 1):
        return False
    if get_buffer(where, mask, PyBUF_FULL_RO) < 0:
        PyErr_Clear()
        return False
    small.masked = True
    if dtype_code(mask) != b"?" or mask.ndim != view.ndim:
        return refuse_mask(small)
    for d in range(view.ndim):
        if mask.shape[d] != view.shape[d]:
            return refuse_mask(small)
    job.mask = <char *> mask.buf
    if view.ndim > 2 or (view.ndim > 1 and small.along < 0):
        if not contiguous(view, False) or not contiguous(mask, False):
            return refuse_mask(small)
        job.mask_n_stride = job.n_stride // view.itemsize
        job.mask_inner_stride = 1
        small.mask_stride = small.stride // view.itemsize
        return True
    d = small.along if view.ndim == 2 else 0
    job.mask_n_stride = mask.strides[d]
    if view.strides[d] < 0 and job.n_stride > 0:
        job.mask += (job.n - 1) * mask.strides[d]
        job.mask_n_stride = -mask.strides[d]
    small.mask_stride = mask.strides[1 - d] if view.ndim == 2 else 0
    job.mask_inner_stride = small.mask_stride
    return True


cdef inline bint refuse_mask(Small *small) noexcept:
    small.masked = False
    PyBuffer_Release(&small.mask)
    return False


cdef inline Py_ssize_t selected(Job *job, Py_ssize_t output) noexcept nogil:
    """How many elements of an output `where` selects."""
    cdef const char *mask = (job.mask + output // job.inner * job.mask_outer_strides[0]
                             + output % job.inner * job.mask_inner_stride)
    cdef Py_ssize_t i, count = 0
    for i in range(job.n):
        count += mask[i * job.mask_n_stride] != 0
    return count


cdef inline object shape_small(Small *small, bint keepdims):
    """The result's shape; None for a scalar."""
    cdef int d
    if small.along < 0 or small.ndim == 1:
        return (1,) * small.ndim if keepdims else None
    if small.ndim == 2:
        if not keepdims:
            return small.outputs
        if small.along == 0:
            return 1, small.outputs
        return small.outputs, 1
    shape = []
    for d in range(small.ndim):
        if d != small.along:
            shape.append(small.view.shape[d])
        elif keepdims:
            shape.append(1)
    return tuple(shape)


cdef inline bint partials_small(Small *small, Job *job, int fields) noexcept nogil:
    """Memory for the partials: 8 bytes a field and output."""
    cdef int f
    cdef Py_ssize_t partials = small.outputs * small.carried
    small.partials = small.fixed
    if fields * partials * 8 > FIXED:
        small.partials = <char *> malloc(fields * partials * 8)
        if small.partials == NULL:
            return False
    job.fields = fields
    for f in range(fields):
        job.output[f] = small.partials + f * partials * 8
        job.size[f] = 8
    return True


cdef inline int compute_small(Job *job) noexcept nogil:
    cdef Py_ssize_t left = 0, right
    if job.inner == 1:
        lines(job, 0, 0, job.outer, 0, job.n)
        return 0
    while left < job.inner:
        right = left + TILE if left + TILE < job.inner else job.inner
        if rows(job, 0, 0, job.outer, 0, job.n, left, right) < 0:
            return -1
        left = right
    return 0


cdef inline void fold_small(Job *job, Py_ssize_t count) noexcept nogil:
    """Fold partials of carried positions, neighbours in pairs, one left over moves up: `tree` of fallback/drive.py."""
    cdef void *a[FIELDS]
    cdef void *b[FIELDS]
    cdef Py_ssize_t i
    cdef int f
    while count > 1:
        for i in range(count // 2):
            for f in range(job.fields):
                a[f] = job.output[f] + 2 * i * job.size[f]
                b[f] = job.output[f] + (2 * i + 1) * job.size[f]
            job.merge(a, b, 1)
            for f in range(job.fields):
                memmove(job.output[f] + i * job.size[f], a[f], job.size[f])
        if count & 1:
            for f in range(job.fields):
                memmove(job.output[f] + (count // 2) * job.size[f], job.output[f] + (count - 1) * job.size[f], job.size[f])
        count = (count + 1) // 2


cdef inline int run_small(Small *small, Job *job) except -1:
    cdef int failed
    if job.n * small.outputs * small.carried < QUIET:
        failed = compute_small(job)
    else:
        with nogil:
            failed = compute_small(job)
    if failed:
        raise MemoryError("no memory for the accumulators of a chunk")
    if small.carried > 1:
        fold_small(job, small.carried)
    return 0


cdef inline bint quiet_small(Small *small, Job *job) noexcept:
    """Whether computing it once more raises no floating-point flag: then there is nothing to warn of."""
    allcores_fp_clear()
    compute_small(job)
    if small.carried > 1:
        fold_small(job, small.carried)
    return allcores_fp_status() == 0


cdef inline void close_small(Small *small) noexcept:
    if small.partials != small.fixed:
        free(small.partials)
    if small.masked:
        PyBuffer_Release(&small.mask)
    PyBuffer_Release(&small.view)
