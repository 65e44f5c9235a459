"""How work inside of a chunk learns that it should stop: where windows are long, a chunk takes seconds.

Between chunks `claim` sees a stop, and a kernel returns to Python in time for signals to be handled. Within a chunk the
kernel calls `halted` with the number of elements that it has done since its last call. Every OFTEN elements that looks
whether a stop is asked for, and after PATIENCE it has Python handle signals, which happens on the main thread alone. Once
`halt` is set everything returns, the output is unspecified, and scratch is freed as always.
"""
from libc.stdint cimport int64_t

from cursor cimport PATIENCE, Cursor, allcores_clock, allcores_load

cdef extern from "Python.h":
    # Declared without `except`: what a signal's handler raised stays set until the kernel is back where it may raise.
    int PyErr_CheckSignals() noexcept

cdef enum:
    OFTEN = 32_768          # elements between two looks, about
    ITERATIONS = 4096            # iterations of a loop between two calls of `halted`; a power of two

cdef enum Halt:
    RUNNING
    STOPPED                 # the call was told to stop, as its other workers were
    INTERRUPTED             # a signal handler has raised an exception, which is set

cdef struct Watch:
    Cursor *cursor          # NULL where the work is too short to look
    int64_t deadline        # when signals are to be handled
    Py_ssize_t left         # elements until the next look
    Halt halt


cdef inline void open_watch(Watch *it, Cursor *cursor) noexcept nogil:
    it.cursor = cursor
    it.deadline = allcores_clock() + PATIENCE if cursor != NULL else 0
    it.left = OFTEN
    it.halt = RUNNING


cdef inline void look(Watch *it) noexcept nogil:
    cdef int raised = 0
    it.left = OFTEN
    if it.cursor == NULL or it.halt != RUNNING:
        return
    if allcores_load(&it.cursor.stop):
        it.halt = STOPPED
    elif allcores_clock() > it.deadline:
        with gil:
            raised = PyErr_CheckSignals()
        it.halt = INTERRUPTED if raised < 0 else RUNNING
        it.deadline = allcores_clock() + PATIENCE


cdef inline bint halted(Watch *it, Py_ssize_t elements) noexcept nogil:
    """Whether to stop, asked after so many elements."""
    it.left -= elements
    if it.left < 0:
        look(it)
    return it.halt != RUNNING


cdef inline Py_ssize_t next_look(Watch *it, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """Where a loop that is at `at` asks again, if it takes some ns an iteration; `at` itself where it is to stop."""
    if halted(it, 2 * ITERATIONS):
        return at
    return at + ITERATIONS if at + ITERATIONS < end else end


cdef inline int pending() except -1:
    """Raise the exception that is set."""
    return -1
