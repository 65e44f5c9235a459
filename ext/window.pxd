"""The loop around every moving-window kernel: claim a chunk, cut it into strips of lanes, let the kernel fill each strip.

    x, [y], out: views (outer..., n, inner) of one shape, any strides; out is written in place

    A chunk is  lines x run along n x tile of inner,  as _engine/grid.py cuts it. A strip is up to LANES lanes of it:

    inner > 1: adjoining columns          inner == 1: lines, side by side if they are short
        n |  0 1 2 3 .. 63                     lane 0  ----- n ---->
          v  a row of a strip adjoins          lane 1  ----- n ---->

A kernel supplies one function, which computes the outputs begin..end of every lane of a strip. It loads the elements that
it needs with `take`, also those before and after begin..end, and writes results with `give`. In between elements are
float64, whatever the dtypes of x and out are; these may also be float16 or in the other byte order.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from buffers cimport PyBUF_FULL, PyBUF_FULL_RO, PyBuffer_Release, PyObject_GetBuffer, any_code, hold, is_native, release, swap
from cursor cimport Cursor, allcores_fetch_add, claim
from reals cimport (
    floating, int8_t, int16_t, int32_t, real, truth, uint8_t, uint16_t, uint32_t, uint64_t)
from watch cimport INTERRUPTED, Watch, open_watch, pending

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline double allcores_from_half(uint16_t half) {
        uint64_t sign = (uint64_t)(half >> 15) << 63, exponent = half >> 10 & 31, digits = half & 1023;
        uint64_t bits = sign | digits << 42;
        double v;
        if (exponent == 31) bits |= UINT64_C(0x7ff) << 52;
        else if (exponent) bits |= (exponent + 1008) << 52;
        else {
            v = (double)digits * 0x1p-24;
            return sign ? -v : v;
        }
        memcpy(&v, &bits, 8);
        return v;
    }
    /* A double as float16, rounded once, to the nearest, ties to even. */
    static inline uint16_t allcores_to_half(double v) {
        uint64_t bits, digits, lost, whole;
        int exponent, drop;
        uint16_t sign;
        memcpy(&bits, &v, 8);
        sign = (uint16_t)(bits >> 63 << 15);
        exponent = (int)(bits >> 52 & 0x7ff) - 1023;
        digits = bits & UINT64_C(0xfffffffffffff);
        if (exponent == 1024) return sign | (digits ? 0x7e00 : 0x7c00);
        if (exponent > 15) return sign | 0x7c00;
        drop = exponent < -14 ? 28 - exponent : 42;
        if (drop > 54) return sign;
        digits |= UINT64_C(1) << 52;
        whole = digits >> drop;
        lost = digits & ((UINT64_C(1) << drop) - 1);
        whole += lost > UINT64_C(1) << (drop - 1) || (lost == UINT64_C(1) << (drop - 1) && (whole & 1));
        /* The leading digit counts as 1 in the exponent, and so does what rounding carries into it. */
        if (exponent >= -14) whole += (uint64_t)(exponent + 14) << 10;
        return sign | (uint16_t)whole;
    }
    """
    double from_half "allcores_from_half"(uint16_t half) noexcept nogil
    uint16_t to_half "allcores_to_half"(double v) noexcept nogil

cdef extern from "Python.h":
    # Declared without `except`: an array that has no buffer is left to the engine.
    int get_buffer "PyObject_GetBuffer"(object a, Py_buffer *view, int flags)
    void PyErr_Clear()
    long PyLong_AsLongAndOverflow(object, int *overflow)

cdef enum:
    LANES = 64              # lanes in a strip, at most
    OPERANDS = 3            # inputs of a kernel, and out after them
    SHORT = 2048            # lines of fewer elements are taken several at a time
    SMALL = 16_384          # arrays of up to so many elements take the fast path
    HALF_MOST = 2048        # float16 has all integers up to this one

# A take function writes n elements, `stride` bytes apart, as float64 to to[0], to[step], ...
ctypedef void (*take_function)(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil
# A give function writes n numbers, `step` apart, to elements that are `stride` bytes apart.
ctypedef void (*give_function)(const double *v, Py_ssize_t step, Py_ssize_t n, char *out, Py_ssize_t stride) noexcept nogil


cdef struct Operand:
    char *data
    Py_ssize_t itemsize
    Py_ssize_t *outer_strides       # strides are in bytes
    bint flat                       # one outer axis for all of the job's: a result on its way to another process
    Py_ssize_t n_stride
    Py_ssize_t inner_stride
    bint may_miss                   # elements are floats, among which there may be NaN
    bint is_double
    char code                       # of the dtype, in any byte order: see any_code
    bint swapped                    # elements are in the other byte order
    take_function take
    give_function give


# A fill function computes outputs begin..end of every lane of the strip. It returns -1 where there is no memory.
ctypedef int (*fill_function)(Job *job, Strip *strip, Py_ssize_t begin, Py_ssize_t end) noexcept nogil


cdef struct Strip:
    Py_ssize_t lanes
    bint adjoin                     # lanes are columns, inner_stride apart
    char *lane[OPERANDS + 1][LANES]     # element 0 of each lane of each input, then of out
    char **out                      # the last of these


cdef struct Job:
    int inputs
    Operand operand[OPERANDS + 1]   # the inputs, then out
    Operand *out
    int outer_ndim
    Py_ssize_t *outer_shape
    Py_ssize_t outer, n, inner
    void *parameters                # what the kernel needs besides
    fill_function fill
    double *scratch                 # of this worker, for one strip at a time: see scratch()
    Py_ssize_t room
    Watch watch             # fill functions ask it whether to stop, where windows are long


cdef inline double *scratch(Job *job, Py_ssize_t numbers) noexcept nogil:
    """Memory for so many numbers, which is kept from strip to strip: malloc would ask for fresh pages each time."""
    if numbers > job.room:
        free(job.scratch)
        job.scratch = <double *> malloc(numbers * sizeof(double))
        job.room = numbers if job.scratch != NULL else 0
    return job.scratch


# ---- elements to float64 and back. A memcpy of constant size is one instruction, which may be unaligned; a typed load not.

cdef inline void take_typed(
        const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step, real *_) noexcept nogil:
    cdef Py_ssize_t i
    cdef real v
    if stride == sizeof(real) and step == 1:
        for i in range(n):
            memcpy(&v, x + i * <Py_ssize_t> sizeof(real), sizeof(real))
            to[i] = <double> v
    elif stride == sizeof(real):
        for i in range(n):
            memcpy(&v, x + i * <Py_ssize_t> sizeof(real), sizeof(real))
            to[i * step] = <double> v
    else:
        for i in range(n):
            memcpy(&v, x + i * stride, sizeof(real))
            to[i * step] = <double> v


cdef inline void give_typed(
        const double *v, Py_ssize_t step, Py_ssize_t n, char *out, Py_ssize_t stride, floating *_) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating r
    if stride == sizeof(floating) and step == 1:
        for i in range(n):
            r = <floating> v[i]
            memcpy(out + i * <Py_ssize_t> sizeof(floating), &r, sizeof(floating))
    elif stride == sizeof(floating):
        for i in range(n):
            r = <floating> v[i * step]
            memcpy(out + i * <Py_ssize_t> sizeof(floating), &r, sizeof(floating))
    else:
        for i in range(n):
            r = <floating> v[i * step]
            memcpy(out + i * stride, &r, sizeof(floating))


cdef inline void take_swapped(
        const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step, real *_) noexcept nogil:
    """`take_typed` for elements in the other byte order."""
    cdef Py_ssize_t i
    cdef real v
    for i in range(n):
        memcpy(&v, x + i * stride, sizeof(real))
        swap(&v, sizeof(real))
        to[i * step] = <double> v


cdef inline void take_halves(
        const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step, bint swapped) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint16_t v
    for i in range(n):
        memcpy(&v, x + i * stride, sizeof(v))
        if swapped:
            swap(&v, sizeof(v))
        to[i * step] = from_half(v)


cdef inline void give_swapped(
        const double *v, Py_ssize_t step, Py_ssize_t n, char *out, Py_ssize_t stride, floating *_) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating r
    for i in range(n):
        r = <floating> v[i * step]
        swap(&r, sizeof(floating))
        memcpy(out + i * stride, &r, sizeof(floating))


cdef inline void give_halves(
        const double *v, Py_ssize_t step, Py_ssize_t n, char *out, Py_ssize_t stride, bint swapped) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint16_t r
    for i in range(n):
        r = to_half(v[i * step])
        if swapped:
            swap(&r, sizeof(r))
        memcpy(out + i * stride, &r, sizeof(r))


cdef inline void take_d(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_typed(x, stride, n, to, step, <double *> NULL)


cdef inline void take_f(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_typed(x, stride, n, to, step, <float *> NULL)


cdef inline void take_b(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_typed(x, stride, n, to, step, <int8_t *> NULL)


cdef inline void take_h(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_typed(x, stride, n, to, step, <int16_t *> NULL)


cdef inline void take_i(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_typed(x, stride, n, to, step, <int32_t *> NULL)


cdef inline void take_q(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_typed(x, stride, n, to, step, <int64_t *> NULL)


cdef inline void take_ub(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_typed(x, stride, n, to, step, <uint8_t *> NULL)


cdef inline void take_uh(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_typed(x, stride, n, to, step, <uint16_t *> NULL)


cdef inline void take_ui(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_typed(x, stride, n, to, step, <uint32_t *> NULL)


cdef inline void take_uq(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_typed(x, stride, n, to, step, <uint64_t *> NULL)


cdef inline void take_bools(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    cdef Py_ssize_t i
    if stride == 1 and step == 1:
        for i in range(n):
            to[i] = <double> truth(<uint8_t> x[i])
    else:
        for i in range(n):
            to[i * step] = <double> truth(<uint8_t> x[i * stride])


cdef inline void swap_d(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_swapped(x, stride, n, to, step, <double *> NULL)


cdef inline void swap_f(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_swapped(x, stride, n, to, step, <float *> NULL)


cdef inline void swap_h(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_swapped(x, stride, n, to, step, <int16_t *> NULL)


cdef inline void swap_i(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_swapped(x, stride, n, to, step, <int32_t *> NULL)


cdef inline void swap_q(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_swapped(x, stride, n, to, step, <int64_t *> NULL)


cdef inline void swap_uh(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_swapped(x, stride, n, to, step, <uint16_t *> NULL)


cdef inline void swap_ui(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_swapped(x, stride, n, to, step, <uint32_t *> NULL)


cdef inline void swap_uq(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_swapped(x, stride, n, to, step, <uint64_t *> NULL)


cdef inline void take_e(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_halves(x, stride, n, to, step, False)


cdef inline void swap_e(const char *x, Py_ssize_t stride, Py_ssize_t n, double *to, Py_ssize_t step) noexcept nogil:
    take_halves(x, stride, n, to, step, True)


cdef inline void give_d(const double *v, Py_ssize_t step, Py_ssize_t n, char *out, Py_ssize_t stride) noexcept nogil:
    give_typed(v, step, n, out, stride, <double *> NULL)


cdef inline void give_f(const double *v, Py_ssize_t step, Py_ssize_t n, char *out, Py_ssize_t stride) noexcept nogil:
    give_typed(v, step, n, out, stride, <float *> NULL)


cdef inline void give_e(const double *v, Py_ssize_t step, Py_ssize_t n, char *out, Py_ssize_t stride) noexcept nogil:
    give_halves(v, step, n, out, stride, False)


cdef inline void back_d(const double *v, Py_ssize_t step, Py_ssize_t n, char *out, Py_ssize_t stride) noexcept nogil:
    give_swapped(v, step, n, out, stride, <double *> NULL)


cdef inline void back_f(const double *v, Py_ssize_t step, Py_ssize_t n, char *out, Py_ssize_t stride) noexcept nogil:
    give_swapped(v, step, n, out, stride, <float *> NULL)


cdef inline void back_e(const double *v, Py_ssize_t step, Py_ssize_t n, char *out, Py_ssize_t stride) noexcept nogil:
    give_halves(v, step, n, out, stride, True)


cdef inline take_function taker(char code, bint swapped) noexcept nogil:
    if code == b"d":
        return swap_d if swapped else take_d
    if code == b"f":
        return swap_f if swapped else take_f
    if code == b"e":
        return swap_e if swapped else take_e
    if code == b"b":
        return take_b
    if code == b"h":
        return swap_h if swapped else take_h
    if code == b"i":
        return swap_i if swapped else take_i
    if code == b"q":
        return swap_q if swapped else take_q
    if code == b"B":
        return take_ub
    if code == b"?":
        return take_bools
    if code == b"H":
        return swap_uh if swapped else take_uh
    if code == b"I":
        return swap_ui if swapped else take_ui
    if code == b"Q":
        return swap_uq if swapped else take_uq
    return NULL


cdef inline give_function giver(char code, bint swapped) noexcept nogil:
    if code == b"d":
        return back_d if swapped else give_d
    if code == b"f":
        return back_f if swapped else give_f
    if code == b"e":
        return back_e if swapped else give_e
    return NULL


# ---- strips of a chunk

cdef inline Py_ssize_t outer_offset(Job *job, Operand *operand, Py_ssize_t position) noexcept nogil:
    """Bytes from the first outer position to this one."""
    cdef int d = job.outer_ndim - 1
    cdef Py_ssize_t offset = 0
    if operand.flat:
        return position * operand.outer_strides[0]
    while d >= 0:
        offset += position % job.outer_shape[d] * operand.outer_strides[d]
        position //= job.outer_shape[d]
        d -= 1
    return offset


cdef inline int columns(
        Job *job, Strip *strip, Py_ssize_t first, Py_ssize_t last, Py_ssize_t begin, Py_ssize_t end,
        Py_ssize_t left, Py_ssize_t right) noexcept nogil:
    cdef Py_ssize_t position, at, l
    cdef char *data
    cdef int f
    cdef Operand *operand
    strip.adjoin = True
    for position in range(first, last):
        at = left
        while at < right:
            strip.lanes = LANES if at + LANES < right else right - at
            for f in range(job.inputs + 1):
                operand = &job.operand[f]
                data = operand.data + outer_offset(job, operand, position)
                for l in range(strip.lanes):
                    strip.lane[f][l] = data + (at + l) * operand.inner_stride
            if job.fill(job, strip, begin, end) < 0:
                return -1
            if job.watch.halt:
                return 0
            at += LANES
    return 0


cdef inline int lines(
        Job *job, Strip *strip, Py_ssize_t first, Py_ssize_t last, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t position = first, l
    cdef Py_ssize_t most = LANES if end - begin <= SHORT else 1
    cdef int f
    cdef Operand *operand
    strip.adjoin = False
    while position < last:
        strip.lanes = most if position + most < last else last - position
        for f in range(job.inputs + 1):
            operand = &job.operand[f]
            for l in range(strip.lanes):
                strip.lane[f][l] = operand.data + outer_offset(job, operand, position + l)
        if job.fill(job, strip, begin, end) < 0:
            return -1
        if job.watch.halt:
            return 0
        position += strip.lanes
    return 0


cdef inline int drive(Job *job, Cursor *cursor) noexcept nogil:
    """Claim chunks until there are none, or until it is time to look at signals. -1 where there is no memory."""
    cdef Strip strip
    cdef Py_ssize_t run = cursor.leaves             # in a run grid a leaf is one element
    cdef Py_ssize_t parts = (job.n + run - 1) // run
    cdef Py_ssize_t tiles = (job.inner + cursor.tile - 1) // cursor.tile
    cdef Py_ssize_t part, tile, first, last, end, right
    cdef int failed = 0
    cdef int64_t chunk
    open_watch(&job.watch, cursor)
    chunk = claim(cursor, job.watch.deadline)
    strip.out = strip.lane[job.inputs]
    while chunk >= 0:
        tile = chunk % tiles
        part = chunk // tiles % parts
        first = chunk // tiles // parts * cursor.lines
        last = first + cursor.lines if first + cursor.lines < job.outer else job.outer
        end = (part + 1) * run if (part + 1) * run < job.n else job.n
        right = (tile + 1) * cursor.tile if (tile + 1) * cursor.tile < job.inner else job.inner
        if job.inner == 1:
            failed = lines(job, &strip, first, last, part * run, end)
        else:
            failed = columns(job, &strip, first, last, part * run, end, tile * cursor.tile, right)
        if failed < 0 or job.watch.halt:
            break
        allcores_fetch_add(&cursor.done, 1)
        chunk = claim(cursor, job.watch.deadline)
    return failed


# ---- from Python arrays to a job, and back

cdef inline int describe(Operand *operand, Py_buffer *view, bint written) except -1:
    """Fill an operand from a view (outer..., n, inner)."""
    if not describe_axes(operand, view, written, view.ndim - 2, view.ndim - 1):
        raise TypeError("no kernel for arrays of this dtype")
    return 0


cdef inline bint describe_axes(Operand *operand, Py_buffer *view, bint written, int n, int inner) noexcept nogil:
    """Fill an operand from a view of which `n` and `inner` are axes (inner may be -1: none) and the others are outer. Returns
    whether its dtype has a kernel."""
    cdef char code = any_code(view)
    cdef bint swapped = not is_native(view)
    operand.data = <char *> view.buf
    operand.itemsize = view.itemsize
    operand.outer_strides = view.strides
    operand.flat = False
    operand.n_stride = view.strides[n]
    operand.inner_stride = view.strides[inner] if inner >= 0 else view.itemsize
    operand.may_miss = code in (b"e", b"f", b"d")
    operand.is_double = code == b"d" and not swapped
    operand.code = code
    operand.swapped = swapped
    operand.take = taker(code, swapped)
    operand.give = giver(code, swapped)
    return (operand.give if written else operand.take) != NULL


cdef inline int run_windows(fill_function fill, void *parameters, tuple inputs, object cursor, object out) except -1:
    """What every kernel does around its function `fill`: it opens the arrays, and computes without the GIL for some 20 ms."""
    cdef Job job
    cdef Py_buffer view[OPERANDS + 2]
    cdef int given = <int> len(inputs), f, failed, d
    job.inputs = given
    job.scratch = NULL
    job.room = 0
    job.parameters = parameters
    job.fill = fill
    job.out = &job.operand[given]
    hold(view, inputs + (out, cursor), given)
    try:
        for f in range(given):
            describe(&job.operand[f], &view[f], False)
        describe(job.out, &view[given], True)
        d = view[0].ndim - 2
        job.outer_ndim = d
        job.out.flat = view[given].ndim == 3 and d != 1
        job.outer_shape = view[0].shape
        job.n = view[0].shape[d]
        job.inner = view[0].shape[d + 1]
        job.outer = 1
        for f in range(d):
            job.outer *= view[0].shape[f]
        with nogil:
            failed = drive(&job, <Cursor *> view[given + 1].buf)
            free(job.scratch)
        if failed < 0:
            raise MemoryError("no memory for the windows of a chunk")
        return pending() if job.watch.halt == INTERRUPTED else 0
    finally:
        release(view, given + 2)


# ---- the fast path of small arrays: without views, a grid, a cursor and a team, which take 10 us

cdef inline bint open_small(Py_buffer *view, object a, object axis, int *along) noexcept:
    """Whether a small array of one or two dimensions could be opened, and the axis is an integer in bounds."""
    cdef int overflow = 0
    cdef long at
    if type(axis) is not int or get_buffer(a, view, PyBUF_FULL_RO) < 0:
        PyErr_Clear()
        return False
    at = PyLong_AsLongAndOverflow(axis, &overflow)
    if (overflow or not 1 <= view.ndim <= 2 or not -view.ndim <= at < view.ndim or view.len == 0
            or view.len > SMALL * view.itemsize):
        PyBuffer_Release(view)
        return False
    along[0] = <int> (at + view.ndim if at < 0 else at)
    return True


cdef inline bint columns_adjoin(const Py_buffer *view, int along) noexcept nogil:
    """Whether elements lie closer together along the other one of two axes than along this one."""
    cdef Py_ssize_t n_stride = view.strides[along], stride = view.strides[1 - along]
    return (stride if stride > 0 else -stride) < (n_stride if n_stride > 0 else -n_stride)


cdef inline int run_small(fill_function fill, void *parameters, Py_buffer *view, int along, object out) except -1:
    """Compute the whole array as one chunk. Returns 0 where there is no kernel for these dtypes."""
    cdef Job job
    cdef Strip strip
    cdef Py_buffer to
    cdef int inner = 1 if view.ndim == 2 and along == 0 else -1, failed
    job.inputs = 1
    job.scratch = NULL
    job.room = 0
    job.parameters = parameters
    job.fill = fill
    job.out = &job.operand[1]
    job.outer_ndim = view.ndim - 1 if inner < 0 else 0
    job.outer_shape = view.shape
    job.outer = view.shape[0] if job.outer_ndim else 1
    job.n = view.shape[along]
    job.inner = view.shape[1] if inner > 0 else 1
    strip.out = strip.lane[1]
    open_watch(&job.watch, NULL)
    PyObject_GetBuffer(out, &to, PyBUF_FULL)
    try:
        if not (describe_axes(&job.operand[0], view, False, along, inner)
                and describe_axes(job.out, &to, True, along, inner)):
            return 0
        with nogil:
            if job.inner == 1:
                failed = lines(&job, &strip, 0, job.outer, 0, job.n)
            else:
                failed = columns(&job, &strip, 0, 1, 0, job.n, 0, job.inner)
            free(job.scratch)
        if failed < 0:
            raise MemoryError("no memory for the windows of a small array")
        return 1
    finally:
        PyBuffer_Release(&to)
