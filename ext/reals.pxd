"""The types that kernels are compiled for."""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

ctypedef fused floating:
    float
    double

ctypedef fused integral:
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused real:
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    float
    double


cdef inline uint8_t truth(uint8_t byte) noexcept nogil:
    """A bool, of which any byte but 0 is true, as 0 or 1: a mask of a byte's width, or gcc compares as int or double."""
    return -<uint8_t> (byte != 0) & 1
