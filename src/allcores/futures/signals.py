"""Signals that go to a whole process group: Ctrl-C in a terminal, a SIGTERM or SIGHUP from a supervisor.

What they mean is the decision of the program that has the pool. Its workers take no notice, nor does the fork server,
without which nobody would learn of their end. Children that either of them forks are as they would be without this.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

# Besides Ctrl-C, which multiprocessing's fork server ignores by itself.
LEFT = [signal.SIGTERM, signal.SIGHUP] if sys.platform != "win32" else []

_masks = threading.local()


def leave_to_the_parent() -> None:
    """Take no notice of a SIGTERM or SIGHUP from here on; what is ignored already, as under nohup, stays so.

    They are handled, by nothing, not ignored: programs that this process starts would ignore them, too.
    """
    for number in LEFT:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _nothing)
            signal.siginterrupt(number, False)


def _nothing(number: int, frame: object) -> None:
    """A handler."""


def _before_fork() -> None:
    # A child may be sent a signal at once: it waits until the child has its handlers.
    if any(signal.getsignal(number) is _nothing for number in LEFT):
        _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT)


def _after_fork() -> None:
    if (mask := _masks.__dict__.pop("before", None)) is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _in_child() -> None:
    for number in LEFT:
        if signal.getsignal(number) is _nothing:
            signal.signal(number, signal.SIG_DFL)
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
