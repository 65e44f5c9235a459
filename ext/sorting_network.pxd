"""A sorting network for short lines side by side. Row i holds element i of WIDTH lines; a comparator is a loop over two rows."""
from keys cimport key
from reals cimport int32_t, int64_t

cdef enum:
    WIDTH = 32


cdef inline void exchange(key *a, key *b) noexcept nogil:
    cdef key low[WIDTH]
    cdef int l
    for l in range(WIDTH):
        low[l] = a[l] if a[l] < b[l] else b[l]
        b[l] = b[l] if a[l] < b[l] else a[l]
    for l in range(WIDTH):
        a[l] = low[l]


cdef inline void sort_rows(key *v, Py_ssize_t n) noexcept nogil:
    """Batcher's merge exchange, for any n (Knuth, The Art of Computer Programming, vol. 3, algorithm 5.2.2M)."""
    cdef Py_ssize_t p = 1, q, r, d, i, top
    while p < n:
        p *= 2
    p //= 2
    top = p
    while p > 0:
        q = top
        r = 0
        d = p
        while True:
            for i in range(n - d):
                if (i & p) == r:
                    exchange(v + i * WIDTH, v + (i + d) * WIDTH)
            if q == p:
                break
            d = q - p
            q //= 2
            r = p
        p //= 2
