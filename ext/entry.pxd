"""From Python arrays to a Job: what every compiled kernel does before and after its loop."""
from libc.stdint cimport int64_t

from buffers cimport (
    PyBUF_FULL, PyBUF_FULL_RO, PyBuffer_Release, PyObject_GetBuffer, dtype_code, element_code, hold, is_native, release)
from cursor cimport Cursor
from drive cimport FIELDS, Job, drive

cdef extern from *:
    """
    #include <fenv.h>
    /* What NumPy would warn of: 1 divide, 2 overflow, 4 underflow, 8 invalid, as in numpy/ufuncobject.h. The flags
       belong to the thread, so a kernel reads its own and returns them. */
    static inline int allcores_fp_status(void) {
        int raised = fetestexcept(FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW | FE_INVALID);
        return (raised & FE_DIVBYZERO ? 1 : 0) | (raised & FE_OVERFLOW ? 2 : 0)
             | (raised & FE_UNDERFLOW ? 4 : 0) | (raised & FE_INVALID ? 8 : 0);
    }
    static inline void allcores_fp_clear(void) { feclearexcept(FE_ALL_EXCEPT); }
    """
    int allcores_fp_status() noexcept nogil
    void allcores_fp_clear() noexcept nogil


cdef struct Views:
    Py_buffer x
    Py_buffer mask
    Py_buffer cursor
    Py_buffer output[FIELDS]
    int held                # buffers to release: x, mask, cursor, then the outputs
    bint masked


cdef inline void close_views(Views *views) noexcept:
    cdef int f
    for f in range(views.held - 2):
        PyBuffer_Release(&views.output[f])
    if views.held > 1:
        PyBuffer_Release(&views.cursor)
    if views.masked:
        PyBuffer_Release(&views.mask)
    if views.held > 0:
        PyBuffer_Release(&views.x)


cdef inline char open_views(Views *views, Job *job, object x, object where, object cursor, tuple outputs) except 0:
    """Fill the job from x, a view (outer..., n, inner), and return x's dtype code. The caller closes the views."""
    cdef int d, f
    cdef char code
    views.held = 0
    views.masked = False
    PyObject_GetBuffer(x, &views.x, PyBUF_FULL_RO)
    views.held = 1
    if where is not None:
        PyObject_GetBuffer(where, &views.mask, PyBUF_FULL_RO)
        views.masked = True
    PyObject_GetBuffer(cursor, &views.cursor, PyBUF_FULL)
    views.held = 2
    for f in range(len(outputs)):
        PyObject_GetBuffer(outputs[f], &views.output[f], PyBUF_FULL)
        views.held += 1
        job.output[f] = <char *> views.output[f].buf
        job.size[f] = views.output[f].itemsize
    job.fields = <int> len(outputs)
    code = element_code(&views.x)
    if code == 0:
        raise TypeError("no kernel for arrays of this dtype")
    d = views.x.ndim - 2
    job.data = <char *> views.x.buf
    job.limit = job.data + views.x.itemsize
    job.itemsize = views.x.itemsize
    job.width = job.itemsize
    job.outer_ndim = d
    job.outer_shape = views.x.shape
    job.outer_strides = views.x.strides
    job.n = views.x.shape[d]
    job.inner = views.x.shape[d + 1]
    job.n_stride = views.x.strides[d]
    job.inner_stride = views.x.strides[d + 1]
    job.mask = NULL
    if views.masked:
        job.mask = <char *> views.mask.buf
        job.mask_outer_strides = views.mask.strides
        job.mask_n_stride = views.mask.strides[d]
        job.mask_inner_stride = views.mask.strides[d + 1]
    job.outer = 1
    job.swapped = not is_native(&views.x)
    job.aligned = not job.swapped and <size_t> job.data % <size_t> job.itemsize == 0
    for f in range(views.x.ndim):
        if f < d:
            job.outer *= views.x.shape[f]
        if views.x.strides[f] > 0:
            job.limit += (views.x.shape[f] - 1) * views.x.strides[f]
        if views.x.strides[f] % job.itemsize != 0:
            job.aligned = False
    job.load = NULL
    job.fold = NULL
    job.merge = NULL
    job.decisive = -1
    return code


cdef inline int run_job(Job *job, Views *views) except -1:
    """Compute without the GIL, for at most PATIENCE; return the floating-point flags that were raised."""
    cdef int failed, status
    cdef Cursor *cursor = <Cursor *> views.cursor.buf
    with nogil:
        allcores_fp_clear()
        failed = drive(job, cursor)
        status = allcores_fp_status()
    if failed:
        raise MemoryError("no memory for the accumulators of a chunk")
    return status


cdef inline char output_code(object output) except 0:
    """The dtype code of an output."""
    cdef Py_buffer view
    cdef char code
    PyObject_GetBuffer(output, &view, PyBUF_FULL)
    code = dtype_code(&view)
    PyBuffer_Release(&view)
    if code == 0:
        raise TypeError("no kernel for arrays of this dtype")
    return code


cdef inline int merge_parts(Job *job, tuple outputs) except -1:
    """Fold the outputs (parts, outer, inner) of a job along their first axis, neighbours in pairs, into their first part."""
    cdef Py_buffer view[FIELDS]
    cdef void *a[FIELDS]
    cdef void *b[FIELDS]
    cdef Py_ssize_t parts = 0, width = 0, i, step = 1
    cdef int f, fields = <int> len(outputs), status
    hold(view, outputs, 0)
    try:
        for f in range(fields):
            parts = view[f].shape[0]
            width = view[f].shape[1] * view[f].shape[2]
        with nogil:
            allcores_fp_clear()
            while step < parts:
                i = 0
                while i + step < parts:
                    for f in range(fields):
                        a[f] = <char *> view[f].buf + i * width * view[f].itemsize
                        b[f] = <char *> view[f].buf + (i + step) * width * view[f].itemsize
                    job.merge(a, b, width)
                    i += 2 * step
                step *= 2
            status = allcores_fp_status()
        return status
    finally:
        release(view, fields)
