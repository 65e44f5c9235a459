"""How an array enters a kernel: through the buffer protocol, so that no NumPy headers are needed (60-90 ns an array)."""
from cpython.buffer cimport PyBUF_FULL, PyBUF_FULL_RO, PyBuffer_Release, PyObject_GetBuffer

cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define ALLCORES_ORDER '>'
    #else
    #define ALLCORES_ORDER '<'
    #endif

    #include <stdint.h>
    #include <string.h>
    static inline void allcores_swap(void *p, size_t size) {
        if (size == 8) {
            uint64_t v;
            memcpy(&v, p, 8);
            v = (v & UINT64_C(0x00ff00ff00ff00ff)) << 8 | (v >> 8 & UINT64_C(0x00ff00ff00ff00ff));
            v = (v & UINT64_C(0x0000ffff0000ffff)) << 16 | (v >> 16 & UINT64_C(0x0000ffff0000ffff));
            v = v << 32 | v >> 32;
            memcpy(p, &v, 8);
        } else if (size == 4) {
            uint32_t v;
            memcpy(&v, p, 4);
            v = (v & 0x00ff00ffu) << 8 | (v >> 8 & 0x00ff00ffu);
            v = v << 16 | v >> 16;
            memcpy(p, &v, 4);
        } else {
            uint16_t v;
            memcpy(&v, p, 2);
            v = (uint16_t)(v << 8 | v >> 8);
            memcpy(p, &v, 2);
        }
    }
    """
    const char ALLCORES_ORDER
    void swap "allcores_swap"(void *p, size_t size) noexcept nogil


cdef inline bint marks_native(char mark) noexcept nogil:
    """Whether a format's first letter says that what follows is in this machine's byte order."""
    return mark == b"=" or mark == b"@" or mark == b"^" or mark == ALLCORES_ORDER


cdef inline char letter(const char *text, Py_ssize_t itemsize) noexcept nogil:
    if text[0] == 0 or text[1] != 0:        # structured, complex, or in the other byte order
        return 0
    if text[0] == b"l":
        return b"q" if itemsize == 8 else b"i"
    if text[0] == b"L":
        return b"Q" if itemsize == 8 else b"I"
    if text[0] in (b"?", b"b", b"B", b"h", b"H", b"i", b"I", b"q", b"Q", b"e", b"f", b"d"):
        return text[0]
    return 0


cdef inline char any_code(const Py_buffer *view) noexcept nogil:
    """One letter a dtype, the same on every platform: ? b B h H i I q Q e f d in any byte order, or 0."""
    cdef const char *text = view.format
    if text == NULL:
        return b"B"
    return letter(text + 1 if text[0] in (b"=", b"@", b"^", b"<", b">") else text, view.itemsize)


cdef inline char dtype_code(const Py_buffer *view) noexcept nogil:
    """The same for what every kernel takes: 0 for float16, and for the other byte order."""
    cdef const char *text = view.format
    cdef char code
    if text == NULL:
        return b"B"
    code = letter(text + 1 if marks_native(text[0]) else text, view.itemsize)
    return 0 if code == b"e" else code


cdef inline char element_code(const Py_buffer *view) noexcept nogil:
    """The same for what takes the other byte order, too: 0 for float16."""
    cdef char code = any_code(view)
    return 0 if code == b"e" else code


cdef inline bint is_native(const Py_buffer *view) noexcept nogil:
    return view.format == NULL or marks_native(view.format[0]) or (view.format[0] != b"<" and view.format[0] != b">")


cdef inline int hold(Py_buffer *view, tuple arrays, int inputs) except -1:
    """Take the buffers of so many arrays, all but the first `inputs` to write; None has no memory."""
    cdef int i
    for i in range(len(arrays)):
        view[i].ndim = -1           # not held
        view[i].buf = NULL
    try:
        for i in range(len(arrays)):
            if arrays[i] is not None:
                PyObject_GetBuffer(arrays[i], &view[i], PyBUF_FULL_RO if i < inputs else PyBUF_FULL)
    except BaseException:
        release(view, <int> len(arrays))
        raise
    return 0


cdef inline void release(Py_buffer *view, int n) noexcept:
    cdef int i
    for i in range(n):
        if view[i].ndim >= 0:
            PyBuffer_Release(&view[i])
