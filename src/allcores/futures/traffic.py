"""What crosses between a pool and its workers. Knows pickles and segments; not futures, not processes."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections import deque
from typing import Any

from . import pickling, segments, shared, store
from .channel import Reserve
from .globals import Marks
from .shared import Array
from .worker import ADOPTED, NOT_ADOPTED, Answer, Call, Spans

# A segment, and the handle by which others find it; or neither.
Place = tuple[segments.AnySegment, segments.AnyHandle] | tuple[None, None]


class Flight:
    """What a task holds while it is under way."""

    __slots__ = ("call", "kept", "room", "segment")

    def __init__(
        self,
        call: Call,
        segment: segments.AnySegment | None,
        room: segments.AnySegment | None,
        kept: list[shared.Found],
    ) -> None:
        self.call, self.segment, self.room, self.kept = call, segment, room, kept


class Received:
    """An answer with its body, as the standard library's manager thread takes it."""

    __slots__ = ("answer", "body", "exit_pid", "fds", "receiver")

    def __init__(self, answer: Answer, body: Any, fds: list[int], receiver: Any) -> None:
        self.answer, self.body, self.fds, self.receiver = answer, body, fds, receiver
        self.exit_pid = answer.exit_pid


class Traffic:
    """Packs tasks and unpacks answers."""

    def __init__(self, most: int, threshold: float, main: bool) -> None:
        self.most, self.threshold, self.main = most, threshold, main
        self.marks = Marks()
        self.share = True
        self.store = store.Store(most)
        self.flights: dict[int, Flight] = {}
        self.again: deque[Call] = deque()  # refused calls, to be sent once more
        self.reserve = Reserve()
        self.counts = dict.fromkeys(("tasks", "bytes_pickled", "bytes_shared", "fallbacks", "segments_abandoned"), 0)
        self._result_size, self._without_buffers = 0, 4  # the last result with buffers; results since then
        self._warned = False
        self._live = 0

    @property
    def full(self) -> bool:
        """Whether no further task may have its arguments in shared memory now."""
        return self._live >= self.most

    def pack(self, number: int, function: Any, args: Any, kwargs: Any) -> Call:
        """Pack a task: its arguments are pickled, and their buffers laid out."""
        pickled = pickling.dumps((function, args, kwargs), self.threshold, self.main, marks=self.marks)
        (segment, handle), spans, inline = self._place(pickled)
        room, room_handle = self._spare()
        call = Call(number, pickled.data, handle, spans, inline, room_handle)
        self.flights[number] = Flight(call, segment, room, pickled.kept)
        self._live += segment is not None
        self.counts["tasks"] += 1
        self.counts["bytes_pickled"] += len(call.data) + sum(map(len, inline))
        return call

    def _place(self, pickled: pickling.Pickled) -> tuple[Place, Spans, list[bytes | bytearray]]:
        """Put buffers into a segment; where there is none, make objects of them that are pickled."""
        if not pickled.sources:
            return (None, None), [], []
        if self.share:
            spans, size = store.lay_out(pickled.sources)
            try:
                segment = self.store.take(size)
                handle = segment.handle  # the first of a process takes a descriptor for a moment
                store.fill(segment, pickled.sources, spans)
            except OSError as error:
                self.warn(f"there is no shared memory for {size} bytes ({error.strerror or error})")
            else:
                self.counts["bytes_shared"] += sum(pickled.sizes)
                return (segment, handle), spans, []
        self.counts["fallbacks"] += 1
        return (None, None), [], pickled.inline()

    def _spare(self) -> Place:
        """A free segment of the last result's size, for the next one, if there is one."""
        # Only while results have buffers: making a handle takes 10 us of the 130 that an empty task takes.
        room = self.store.spare(self._result_size) if self.share and self._without_buffers < 4 else None
        if room is not None:
            with contextlib.suppress(OSError):
                return room, room.handle
        return None, None

    def unpack(self, received: Received) -> Any:
        """The object that an answer carries."""
        answer, flight = received.answer, self.flights.pop(received.answer.number)
        self._land(flight, answer)
        result, owners = self._arrived(received)
        buffers: list[Any] = list(answer.inline)
        if inline := sum(map(len, answer.inline)):
            self.counts["fallbacks"] += 1
        self.counts["bytes_pickled"] += len(received.body) + inline
        segment: segments.AnySegment | None = None
        if answer.in_room:
            segment, flight.room = flight.room, None
            self.store.reused += 1
        elif result is not None:
            segment = result
            segment.used = 1
            self.store.made += 1
        if flight.room is not None:
            self.store.give_back(flight.room)
        self._without_buffers += 1
        if segment is not None:
            self._result_size, self._without_buffers = segment.size, 0
            memory = memoryview(self.store.lease(segment, self.reserve.refill()))  # type: ignore[arg-type]
            buffers = [memory[begin:end] for begin, end in answer.spans]
            self.counts["bytes_shared"] += sum(end - begin for begin, end in answer.spans)
            del memory
        value = pickling.loads(received.body, buffers)
        del owners  # which the shared arrays in the answer have found
        return value

    def _arrived(self, received: Received) -> tuple[segments.Segment | None, list[Array]]:
        """Open what has come with an answer: the segment of its buffers, and the owners of shared arrays."""
        answer, handles = received.answer, received.answer.shared
        expected = [(answer.size, answer.token)] * (answer.size > 0) + [(each.size, each.token) for each in handles]
        # Whatever happens here, who has a segment closes it.
        files = [
            None if fd < 0 else segments.Segment(fd, size, token)
            for fd, (size, token) in zip(received.fds, expected, strict=bool(received.fds))
        ]
        result = files.pop(0) if answer.size else None
        if answer.size and result is None:
            raise OSError("no file descriptor was left to receive the result with")
        if not handles or files:
            return result, [shared.attach(handle, file) for handle, file in zip(handles, files, strict=True)]
        reply = NOT_ADOPTED
        try:
            owners = [shared.attach(handle) for handle in handles]
            for owner in owners:
                if found := shared.find(owner):
                    found.known.segment.adopt()  # type: ignore[union-attr]
            reply = ADOPTED
        finally:
            with contextlib.suppress(OSError):  # the worker's death is noticed by itself
                received.receiver.send_bytes(reply)
        return None, owners

    def _land(self, flight: Flight, answer: Answer) -> None:
        """Let go of the arguments of a task that has ended."""
        segment = flight.segment
        if segment is None:
            return
        self._live -= 1
        if answer.released:
            self.store.give_back(segment)
        else:
            segment.close()
            self.counts["segments_abandoned"] += 1

    def refused(self, number: int, why: str) -> None:
        """Send a call once more, with its buffers pickled; and all calls from now on."""
        self.share = False
        self.warn(f"a worker may not open shared memory ({why})")
        flight = self.flights[number]
        call, segment = flight.call, flight.segment
        assert segment is not None
        self._live -= 1
        memory = segment.read()
        inline: list[bytes | bytearray] = [memory[begin:end] for begin, end in call.spans]
        segment.close()
        flight.segment = None
        flight.call = call._replace(handle=None, spans=[], inline=inline, room=None)
        size = sum(map(len, inline))
        self.counts["fallbacks"] += 1
        self.counts["bytes_pickled"] += size
        self.counts["bytes_shared"] -= size
        self.again.append(flight.call)

    def room(self, number: int, size: int) -> bytes:
        """A segment for a result, pickled as a handle; None where there is none to be had."""
        flight = self.flights[number]
        if flight.room is not None:
            self.store.give_back(flight.room)
        try:
            flight.room = self.store.take(size)
        except OSError as error:
            flight.room = None
            self.warn(f"there is no shared memory for {size} bytes ({error.strerror or error})")
        return pickle.dumps(None if flight.room is None else flight.room.handle)

    def warn(self, why: str) -> None:
        """Warn once a pool. Where warnings are errors, nobody could catch them here, so they are dropped."""
        if not self._warned:
            self._warned = True
            with contextlib.suppress(RuntimeWarning):
                warnings.warn(f"allcores: arrays are pickled, {why}", RuntimeWarning, stacklevel=2)

    def statistics(self) -> dict[str, int]:
        return {**self.counts, "segments_made": self.store.made, "segments_reused": self.store.reused}

    def close(self) -> None:
        for flight in self.flights.values():
            for segment in (flight.segment, flight.room):
                if segment is not None:
                    segment.close()
        self.flights.clear()
        self.again.clear()
        self.store.close()
        self.reserve.close()
