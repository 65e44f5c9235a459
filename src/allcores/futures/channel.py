"""Between one worker and its pool: messages that arrive whole or not at all, and descriptors.

Each worker has a channel of its own, so that its death is the end of the channel, whatever it was writing. On Linux
that is a SOCK_SEQPACKET socket, over which descriptors travel; elsewhere a pipe (portable.py).

A message is a head, pickled, and a body of any length. It goes in packets: first the lengths and what fits, then the
rest. Descriptors come with the packets after the first, so that the receiver can make room for them.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import pickle
import socket
import struct
import time
from collections.abc import Sequence
from multiprocessing import context, reduction
from typing import Any, NamedTuple

PACKET = 1 << 16  # a part of the some 200 KiB that a socket's buffer holds by default
LENGTHS = struct.Struct("=QQQ")
LENGTH = struct.Struct("=Q")
# A flag: descriptors that arrive are closed in programs that are started, as are all that Python makes.
NOT_FOR_PROGRAMS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
RIGHTS = 253  # descriptors that Linux takes with one packet


def _fill(end: socket.socket, data: bytearray, filled: int) -> bytearray:
    """Receive the rest of some data."""
    view = memoryview(data)
    while filled < len(data):
        count = end.recv_into(view[filled:])
        if not count:
            raise EOFError
        filled += count
    return data


class Message(NamedTuple):
    head: Any
    body: bytes | memoryview
    fds: list[int]


class Sender:
    """The worker's end."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def send(self, head: object, body: bytes = b"", fds: Sequence[int] = ()) -> None:
        start = pickle.dumps(head, 5)
        rest = memoryview(start + body if len(body) < PACKET else start)
        lengths = LENGTHS.pack(len(start), len(body), len(fds))
        first = PACKET - LENGTHS.size
        self.end.send(lengths + rest[:first])
        for begin in range(0, len(fds), RIGHTS):
            self._send_fds(fds[begin : begin + RIGHTS])
        self._send(rest[first:])
        if len(body) >= PACKET:
            self._send(memoryview(body))

    def _send_fds(self, fds: Sequence[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        while True:
            try:
                self.end.sendmsg([b"\0"], rights)
                return
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:
                    raise
                time.sleep(0.001)  # this user may have no more descriptors under way, but they are being received

    def _send(self, data: memoryview) -> None:
        for begin in range(0, len(data), PACKET):
            self.end.send(data[begin : begin + PACKET])

    def receive_bytes(self) -> bytearray:
        """Receive what the pool sends when it is asked to."""
        (size,) = LENGTH.unpack(self.end.recv(LENGTH.size))
        return _fill(self.end, bytearray(size), 0)

    def close(self) -> None:
        self.end.close()

    def __reduce__(self) -> Any:
        context.assert_spawning(self)
        return _sender, (reduction.DupFd(self.end.fileno()),)


def _sender(duplicate: Any) -> Sender:
    return Sender(socket.socket(fileno=duplicate.detach()))


class Receiver:
    """The pool's end."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end

    def receive(self, reserve: Reserve) -> Message | None:
        """The next message; None where the worker is gone, be it in the middle of one."""
        try:
            packet = self.end.recv(PACKET)
            if len(packet) < LENGTHS.size:
                return None
            start, body, count = LENGTHS.unpack_from(packet)
            fds = self._receive_fds(count, reserve)
            if LENGTHS.size + start + body <= len(packet):
                begin = LENGTHS.size
                return Message(pickle.loads(packet[begin : begin + start]), packet[begin + start :], fds)
            data = bytearray(start + body)
            filled = len(packet) - LENGTHS.size
            data[:filled] = packet[LENGTHS.size :]
            view = memoryview(_fill(self.end, data, filled))
            return Message(pickle.loads(view[:start]), view[start:], fds)
        except (EOFError, ConnectionError):
            return None

    def send_bytes(self, data: bytes) -> None:
        """Answer a worker that has asked. ConnectionError where it is gone."""
        self.end.send(LENGTH.pack(len(data)))
        for begin in range(0, len(data), PACKET):
            self.end.send(memoryview(data)[begin : begin + PACKET])

    def _receive_fds(self, count: int, reserve: Reserve) -> list[int]:
        """The descriptors of a message; -1 for those that this process has no number left for."""
        fds: list[int] = []
        while len(fds) < count:
            most = min(count - len(fds), RIGHTS)
            received = array.array("i")
            with reserve:
                _, ancillary, _, _ = self.end.recvmsg(1, socket.CMSG_SPACE(4 * most), NOT_FOR_PROGRAMS)
            for _, kind, data in ancillary:
                if kind == socket.SCM_RIGHTS:
                    received.frombytes(data[: len(data) - len(data) % 4])
            fds += [*received, *([-1] * (most - len(received)))]
        return fds

    def close(self) -> None:
        self.end.close()


class Reserve:
    """A descriptor that is kept for the moment in which there are no others, so that no result is lost then."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self.refill()

    def refill(self) -> bool:
        """Make sure that there is a descriptor in reserve; return whether there is."""
        if self._fd is None:
            with contextlib.suppress(OSError):
                self._fd = os.open(os.devnull, os.O_RDONLY)
        return self._fd is not None

    def __enter__(self) -> None:
        self.close()

    def __exit__(self, *_: object) -> None:
        self.refill()

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    __del__ = close


def pair() -> tuple[Receiver, Sender]:
    """The two ends of a new channel."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Receiver(ours), Sender(theirs)
