"""Ordered keys: elements as integers of the same order. NaN is the largest key, and both zeros have the same one.

Keys are int32 for elements of up to four bytes, else int64. Selection is compiled for these two types alone.
"""
from libc.string cimport memcpy

from reals cimport int8_t, int16_t, int32_t, int64_t, real, truth, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<stdint.h>" nogil:
    const int32_t INT32_MAX
    const int64_t INT64_MAX
    const int32_t INT32_MIN
    const int64_t INT64_MIN

ctypedef fused key:
    int32_t
    int64_t

# A load function writes the keys of n elements, `stride` bytes apart, to to[0], to[step], ...
ctypedef void (*load_function)(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil
# A store function writes the element of a key.
ctypedef void (*store_function)(const void *k, char *to) noexcept nogil


cdef inline int32_t key_of_float(float v) noexcept nogil:
    cdef int32_t bits
    v = v + <float> 0.0
    memcpy(&bits, &v, 4)
    bits = bits ^ ((bits >> 31) & INT32_MAX)
    return INT32_MAX if v != v else bits


cdef inline int64_t key_of_double(double v) noexcept nogil:
    cdef int64_t bits
    v = v + 0.0
    memcpy(&bits, &v, 8)
    bits = bits ^ ((bits >> 63) & INT64_MAX)
    return INT64_MAX if v != v else bits


cdef inline key key_of(real v, key *_) noexcept nogil:
    if real is float:
        return key_of_float(v)
    elif real is double:
        return key_of_double(v)
    elif real is uint32_t:
        return <int32_t> (v ^ <uint32_t> 0x80000000)
    elif real is uint64_t:
        return <int64_t> (v ^ (<uint64_t> 1 << 63))
    else:
        return v


cdef inline void load_typed(
        const char *x, Py_ssize_t stride, Py_ssize_t n, key *to, Py_ssize_t step, real *_) noexcept nogil:
    # A memcpy of constant size is one instruction, which may be unaligned; a typed load may not.
    cdef Py_ssize_t i
    cdef real v
    if stride == sizeof(real) and step == 1:
        for i in range(n):
            memcpy(&v, x + i * <Py_ssize_t> sizeof(real), sizeof(real))
            to[i] = key_of(v, <key *> NULL)
    elif stride == sizeof(real):
        for i in range(n):
            memcpy(&v, x + i * <Py_ssize_t> sizeof(real), sizeof(real))
            to[i * step] = key_of(v, <key *> NULL)
    else:
        for i in range(n):
            memcpy(&v, x + i * stride, sizeof(real))
            to[i * step] = key_of(v, <key *> NULL)


cdef inline void store_typed(key k, char *to, real *_) noexcept nogil:
    cdef real v
    cdef int32_t bits4
    cdef int64_t bits8
    if real is float:
        bits4 = <int32_t> k ^ ((<int32_t> k >> 31) & INT32_MAX)
        memcpy(to, &bits4, 4)
    elif real is double:
        bits8 = <int64_t> k ^ ((<int64_t> k >> 63) & INT64_MAX)
        memcpy(to, &bits8, 8)
    else:
        if real is uint32_t:
            v = <uint32_t> k ^ <uint32_t> 0x80000000
        elif real is uint64_t:
            v = <uint64_t> k ^ (<uint64_t> 1 << 63)
        else:
            v = <real> k
        memcpy(to, &v, sizeof(real))


cdef inline void load_d(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil:
    load_typed(x, stride, n, <int64_t *> to, step, <double *> NULL)


cdef inline void load_f(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil:
    load_typed(x, stride, n, <int32_t *> to, step, <float *> NULL)


cdef inline void load_b(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil:
    load_typed(x, stride, n, <int32_t *> to, step, <int8_t *> NULL)


cdef inline void load_h(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil:
    load_typed(x, stride, n, <int32_t *> to, step, <int16_t *> NULL)


cdef inline void load_i(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil:
    load_typed(x, stride, n, <int32_t *> to, step, <int32_t *> NULL)


cdef inline void load_q(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil:
    load_typed(x, stride, n, <int64_t *> to, step, <int64_t *> NULL)


cdef inline void load_ub(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil:
    load_typed(x, stride, n, <int32_t *> to, step, <uint8_t *> NULL)


cdef inline void load_uh(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil:
    load_typed(x, stride, n, <int32_t *> to, step, <uint16_t *> NULL)


cdef inline void load_ui(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil:
    load_typed(x, stride, n, <int32_t *> to, step, <uint32_t *> NULL)


cdef inline void load_uq(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil:
    load_typed(x, stride, n, <int64_t *> to, step, <uint64_t *> NULL)


cdef inline void load_bools(const char *x, Py_ssize_t stride, Py_ssize_t n, void *to, Py_ssize_t step) noexcept nogil:
    cdef Py_ssize_t i
    if stride == 1 and step == 1:
        for i in range(n):
            (<int32_t *> to)[i] = truth(<uint8_t> x[i])
    else:
        for i in range(n):
            (<int32_t *> to)[i * step] = truth(<uint8_t> x[i * stride])


cdef inline void store_d(const void *k, char *to) noexcept nogil:
    store_typed((<int64_t *> k)[0], to, <double *> NULL)


cdef inline void store_f(const void *k, char *to) noexcept nogil:
    store_typed((<int32_t *> k)[0], to, <float *> NULL)


cdef inline void store_1(const void *k, char *to) noexcept nogil:
    store_typed((<int32_t *> k)[0], to, <int8_t *> NULL)


cdef inline void store_2(const void *k, char *to) noexcept nogil:
    store_typed((<int32_t *> k)[0], to, <int16_t *> NULL)


cdef inline void store_4(const void *k, char *to) noexcept nogil:
    store_typed((<int32_t *> k)[0], to, <int32_t *> NULL)


cdef inline void store_8(const void *k, char *to) noexcept nogil:
    store_typed((<int64_t *> k)[0], to, <int64_t *> NULL)


cdef inline void store_ui(const void *k, char *to) noexcept nogil:
    store_typed((<int32_t *> k)[0], to, <uint32_t *> NULL)


cdef inline void store_uq(const void *k, char *to) noexcept nogil:
    store_typed((<int64_t *> k)[0], to, <uint64_t *> NULL)


cdef inline load_function loader(char code) noexcept nogil:
    """NULL for a dtype that has no keys."""
    if code == b"d":
        return load_d
    if code == b"f":
        return load_f
    if code == b"b":
        return load_b
    if code == b"h":
        return load_h
    if code == b"i":
        return load_i
    if code == b"q":
        return load_q
    if code == b"B":
        return load_ub
    if code == b"?":
        return load_bools
    if code == b"H":
        return load_uh
    if code == b"I":
        return load_ui
    if code == b"Q":
        return load_uq
    return NULL


cdef inline store_function storer(char code) noexcept nogil:
    if code == b"d":
        return store_d
    if code == b"f":
        return store_f
    if code == b"b" or code == b"B" or code == b"?":
        return store_1
    if code == b"h" or code == b"H":
        return store_2
    if code == b"i":
        return store_4
    if code == b"q":
        return store_8
    if code == b"I":
        return store_ui
    return store_uq


cdef inline bint wide(char code) noexcept nogil:
    """Whether keys are int64."""
    return code == b"d" or code == b"q" or code == b"Q"
