"""How an array enters a kernel: through the buffer protocol, so that no NumPy headers are needed (60-90 ns an array)."""
from cpython.buffer cimport PyBUF_FULL, PyBUF_FULL_RO, PyBuffer_Release, PyObject_GetBuffer


cdef inline char dtype_code(const Py_buffer *view) noexcept nogil:
    """One letter a dtype, the same on every platform: ? b B h H i I q Q f d, or 0 for what no kernel takes."""
    cdef const char *text = view.format
    if text == NULL:
        return b"B"
    if text[0] == b"=" or text[0] == b"@" or text[0] == b"^":
        text += 1
    if text[0] == 0 or text[1] != 0:        # structured, complex, or in the other byte order
        return 0
    if text[0] == b"l":
        return b"q" if view.itemsize == 8 else b"i"
    if text[0] == b"L":
        return b"Q" if view.itemsize == 8 else b"I"
    if text[0] in (b"?", b"b", b"B", b"h", b"H", b"i", b"I", b"q", b"Q", b"f", b"d"):
        return text[0]
    return 0
