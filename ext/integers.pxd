# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Moving windows over integers that float64 can't tell apart: computed as integers, one lane after the other.

Kernels of windows compute in float64, which holds all integers below 2**53. While these and their sums stay below, nothing
is rounded before the result, and nothing ever is in this module. So both ways give the same bits, and the elements may
decide anywhere which one is taken. An OR of all elements tells whether they are small enough, which costs next to nothing;
this module takes 3 to 25 ns an element.
"""
from libc.math cimport NAN, ldexp
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from merges cimport ARGMAX, ARGMIN, MAX, MEAN, MIN, SUM, Window
from quantile_methods cimport LERP, TAKE, QuantileRanks
from watch cimport Watch, next_look
from window cimport Job, Operand, Strip, scratch, swap

ctypedef fused whole:
    int32_t
    uint32_t
    int64_t
    uint64_t

cdef enum:
    DIGITS = 53         # binary digits of a float64


# ---- elements as 64 bits each; narrower ones are extended with their sign

cdef inline void fetch_typed(const char *x, Py_ssize_t stride, Py_ssize_t n, bint swapped, uint64_t *to, whole *_) noexcept nogil:
    cdef Py_ssize_t i
    cdef whole v
    for i in range(n):
        memcpy(&v, x + i * stride, sizeof(whole))
        if swapped:
            swap(&v, sizeof(whole))
        to[i] = <uint64_t> v


cdef inline void fetch(Operand *x, const char *lane, Py_ssize_t n, uint64_t *to) noexcept nogil:
    """Load n elements of a lane."""
    if x.code == b"q":
        fetch_typed(lane, x.n_stride, n, x.swapped, to, <int64_t *> NULL)
    elif x.code == b"Q":
        fetch_typed(lane, x.n_stride, n, x.swapped, to, <uint64_t *> NULL)
    elif x.code == b"i":
        fetch_typed(lane, x.n_stride, n, x.swapped, to, <int32_t *> NULL)
    else:
        fetch_typed(lane, x.n_stride, n, x.swapped, to, <uint32_t *> NULL)


cdef inline bint has_sign(Operand *x) noexcept nogil:
    return x.code == b"q" or x.code == b"i"


cdef inline uint64_t bits_typed(
        const char *x, Py_ssize_t stride, Py_ssize_t n, bint swapped, uint64_t more, whole *_) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint64_t found = 0
    cdef whole v
    if stride == sizeof(whole) and not swapped:
        for i in range(n):
            memcpy(&v, x + i * <Py_ssize_t> sizeof(whole), sizeof(whole))
            found |= <uint64_t> v + more
    else:
        for i in range(n):
            memcpy(&v, x + i * stride, sizeof(whole))
            if swapped:
                swap(&v, sizeof(whole))
            found |= <uint64_t> v + more
    return found


cdef inline uint64_t beyond(Operand *x, const char *at, Py_ssize_t stride, Py_ssize_t n, int digits) noexcept nogil:
    """Not 0 if an element has more digits than so many. The numbers -2**digits <= v < 2**digits are the 2**(digits + 1)
    numbers from 0 on, once 2**digits is added."""
    cdef uint64_t more = <uint64_t> 1 << digits
    if x.code == b"q":
        return bits_typed(at, stride, n, x.swapped, more, <int64_t *> NULL) >> 1 >> digits
    if x.code == b"Q":
        return bits_typed(at, stride, n, x.swapped, 0, <uint64_t *> NULL) >> digits
    if x.code == b"i":
        return bits_typed(at, stride, n, x.swapped, more, <int32_t *> NULL) >> 1 >> digits
    return bits_typed(at, stride, n, x.swapped, 0, <uint32_t *> NULL) >> digits


cdef inline int digits_of(char code) noexcept nogil:
    """Digits of a dtype's integers. Sums of those of one or two bytes fit into float64 anyway."""
    if code == b"q":
        return 63
    if code == b"Q":
        return 64
    if code == b"i":
        return 31
    return 32 if code == b"I" else 0


cdef inline bint lane_within(Operand *x, const char *lane, Py_ssize_t low, Py_ssize_t high, int digits) noexcept nogil:
    """Whether no element low..high of a lane has more than so many digits."""
    return digits_of(x.code) <= digits or not beyond(x, lane + low * x.n_stride, x.n_stride, high - low, digits)


cdef inline bint within(Job *job, Strip *strip, Py_ssize_t low, Py_ssize_t high, int digits) noexcept nogil:
    """Whether no element low..high of any lane of a strip has more than so many digits."""
    cdef Operand *x = &job.operand[0]
    cdef uint64_t found = 0
    cdef Py_ssize_t i
    if digits_of(x.code) <= digits:
        return True
    if strip.adjoin:
        for i in range(low, high):
            found |= beyond(x, strip.lane[0][0] + i * x.n_stride, x.inner_stride, strip.lanes, digits)
    else:
        for i in range(strip.lanes):
            found |= beyond(x, strip.lane[0][i] + low * x.n_stride, x.n_stride, high - low, digits)
    return found == 0


cdef inline double rounded(uint64_t v, bint signed) noexcept nogil:
    return <double> <int64_t> v if signed else <double> v


# ---- sums of two words, which no number of elements overflows

cdef struct Wide:
    uint64_t low
    int64_t high


cdef inline int64_t sign_word(uint64_t v, bint signed) noexcept nogil:
    return <int64_t> v >> 63 if signed else 0


cdef inline void add(Wide *sum, uint64_t v, bint signed) noexcept nogil:
    sum.low += v
    sum.high += sign_word(v, signed) + (sum.low < v)


cdef inline void subtract(Wide *sum, uint64_t v, bint signed) noexcept nogil:
    sum.high -= sign_word(v, signed) + (sum.low < v)
    sum.low -= v


cdef inline double rounded_sum(const Wide *sum) noexcept nogil:
    """The sum as float64, rounded once, to the nearest."""
    cdef uint64_t low = sum.low, high = <uint64_t> sum.high
    cdef bint negative = sum.high < 0
    cdef int shift = 0
    cdef double v
    if sum.high == <int64_t> low >> 63:
        return <double> <int64_t> low
    if negative:
        low = ~low + 1
        high = ~high + (low == 0)
    while high:                 # the last digit stays set if any 1 is shifted out, so that rounding sees that there was something
        low = low >> 1 | low & 1 | high << 63
        high >>= 1
        shift += 1
    v = ldexp(<double> low, shift)
    return -v if negative else v


# ---- windows

cdef inline int exact_digits(Window *it) noexcept nogil:
    """Up to how many digits of its elements a window is exact in float64; 64 where rounded elements will do."""
    cdef int digits = DIGITS
    if it.kind == SUM or it.kind == MEAN:
        while digits and it.window > (<Py_ssize_t> 1 << (DIGITS - digits)):
            digits -= 1
        return digits
    return digits if it.kind in (MIN, MAX, ARGMIN, ARGMAX) else 64


cdef inline int fill_integers(Job *job, Strip *strip, Window *it, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Compute outputs begin..end of every lane of the strip. Returns -1 where there is no memory."""
    cdef Operand *x = &job.operand[0]
    cdef Py_ssize_t low = begin + it.offset - (it.window - 1), high = end + it.offset, m, l
    low = low if low > 0 else 0
    high = high if high < job.n else job.n
    m = high - low
    cdef uint64_t *v = <uint64_t *> scratch(job, 2 * m + end - begin)
    cdef double *result = <double *> (v + 2 * m)
    if v == NULL:
        return -1
    for l in range(strip.lanes):
        fetch(x, strip.lane[0][l] + low * x.n_stride, m, v)
        if it.kind == SUM or it.kind == MEAN:
            slide_sums(&job.watch, it, v, low, high, begin, end, has_sign(x), result)
        else:
            slide_extrema(&job.watch, it, v, low, high, begin, end, has_sign(x), v + m, result)
        if job.watch.halt:
            return 0
        job.out.give(result, 1, end - begin, strip.out[l] + begin * job.out.n_stride, job.out.n_stride)
    return 0


cdef inline void slide_sums(
        Watch *watch, Window *it, const uint64_t *v, Py_ssize_t low, Py_ssize_t high, Py_ssize_t begin, Py_ssize_t end, bint signed,
        double *result) noexcept nogil:
    """Sums by adding what enters and subtracting what leaves, which is exact in integers."""
    cdef Wide sum
    cdef Py_ssize_t i, enters = low, leaves = low, at = begin, stop
    cdef double value
    sum.low = 0
    sum.high = 0
    while at < end:
        stop = next_look(watch, at, end)
        if stop == at:
            return
        for i in range(at, stop):
            while enters < high and enters <= i + it.offset:
                add(&sum, v[enters - low], signed)
                enters += 1
            while leaves < i + it.offset - (it.window - 1):
                subtract(&sum, v[leaves - low], signed)
                leaves += 1
            value = rounded_sum(&sum)
            if it.kind == MEAN:
                value = value / <double> (enters - leaves)
            result[i - begin] = value if enters - leaves >= it.min_count else NAN
        at = stop


cdef inline void slide_extrema(
        Watch *watch, Window *it, uint64_t *v, Py_ssize_t low, Py_ssize_t high, Py_ssize_t begin, Py_ssize_t end, bint signed,
        uint64_t *queue, double *result) noexcept nogil:
    """Extrema by a queue of positions. It holds the elements than which no later one is as good; the first one is the
    extremum, and of equal elements the last one."""
    cdef uint64_t flip = <uint64_t> signed << 63
    cdef Py_ssize_t i, enters = low, leaves, head = 0, tail = 0, at = begin, stop
    cdef double value
    if it.kind == MAX or it.kind == ARGMAX:
        flip = ~flip
    for i in range(high - low):
        v[i] ^= flip            # now the extremum is the least of unsigned integers
    while at < end:
        stop = next_look(watch, at, end)
        if stop == at:
            return
        for i in range(at, stop):
            while enters < high and enters <= i + it.offset:
                while tail > head and v[queue[tail - 1]] >= v[enters - low]:
                    tail -= 1
                queue[tail] = enters - low
                tail += 1
                enters += 1
            leaves = i + it.offset - (it.window - 1)
            leaves = leaves if leaves > low else low
            while <Py_ssize_t> queue[head] < leaves - low:
                head += 1
            if it.kind == MIN or it.kind == MAX:
                value = rounded(v[queue[head]] ^ flip, signed)
            else:
                value = <double> (i + it.offset - low - <Py_ssize_t> queue[head])
            result[i - begin] = value if enters - leaves >= it.min_count else NAN
        at = stop


# ---- keys: unsigned integers in the order of the elements

cdef inline uint64_t flip_of(Operand *x) noexcept nogil:
    return <uint64_t> has_sign(x) << 63


cdef inline void fetch_keys(Operand *x, const char *lane, Py_ssize_t n, uint64_t *to) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint64_t flip = flip_of(x)
    fetch(x, lane, n, to)
    for i in range(n):
        to[i] ^= flip


cdef inline double blend_keys(uint64_t a, uint64_t b, uint64_t flip, const QuantileRanks *want) noexcept nogil:
    """The quantile between two keys. In their middle it is rounded once; elsewhere it is computed from the rounded elements
    and their exact distance, as that of other numbers is."""
    cdef bint signed = flip != 0
    cdef double low = rounded(a ^ flip, signed), high = rounded(b ^ flip, signed), span
    cdef Wide sum
    if want.mode == TAKE:
        return low
    if want.mode == LERP and want.t != 0.5:
        span = <double> (b - a)
        return high - span * (1 - want.t) if want.t >= 0.5 else low + span * want.t
    sum.low = a ^ flip
    sum.high = sign_word(sum.low, signed)
    add(&sum, b ^ flip, signed)
    return rounded_sum(&sum) / 2
