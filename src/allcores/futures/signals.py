"""Signals that go to a whole process group: Ctrl-C in a terminal, a SIGTERM or SIGHUP from a supervisor.

The program that has the pool decides what they mean. Its workers do nothing about them, and neither does the fork
server, without which nobody would learn of their end. Children that either of them forks behave as they would without
this.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing import process, util
from typing import Any

# Besides Ctrl-C, which multiprocessing's fork server ignores by itself.
LEFT = [signal.SIGTERM, signal.SIGHUP] if sys.platform != "win32" else []

_masks = threading.local()
_children_wait = False


def leave_to_the_parent() -> None:
    """Do nothing about a SIGTERM or SIGHUP from here on; what is ignored already, as under nohup, stays so.

    They get a handler that does nothing. If they were ignored, programs that this process starts would ignore them,
    too.
    """
    for number in LEFT:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _nothing)
            signal.siginterrupt(number, False)


def hold_back() -> Any:
    """Block these signals and Ctrl-C, here and in programs that are started meanwhile. Returns which signals were
    blocked before."""
    return signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, *LEFT])


def let_through() -> None:
    """Unblock these signals and Ctrl-C."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, *LEFT])


def _nothing(number: int, frame: object) -> None:
    """A handler that does nothing."""


def have_children_wait(name: str) -> None:
    """In the fork server, block signals around forks until a child knows what it is. A worker, which has this name,
    lets them through when it is ready for them; other children do so at once."""
    global _children_wait
    _children_wait = True

    def known(_: object) -> None:
        if not process.current_process().name.startswith(name):
            _after_fork()

    util.register_after_fork(sys.modules[__name__], known)


def _before_fork() -> None:
    # A child may be sent a signal at once: it waits until the child has its handlers.
    if any(signal.getsignal(number) is _nothing for number in LEFT):
        _masks.before = hold_back() if _children_wait else signal.pthread_sigmask(signal.SIG_BLOCK, LEFT)


def _after_fork() -> None:
    if (mask := _masks.__dict__.pop("before", None)) is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _in_child() -> None:
    global _children_wait
    for number in LEFT:
        if signal.getsignal(number) is _nothing:
            signal.signal(number, signal.SIG_DFL)
    if not _children_wait:
        _after_fork()
    _children_wait = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
