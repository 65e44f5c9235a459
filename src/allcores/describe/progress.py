"""A progress bar on a terminal, for what takes longer than a second."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType

PATIENCE = 1.0
INTERVAL = 0.1


class Progress:
    """Shows on standard error which part of a file has been read; erased when the block is left."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.terminal = sys.stderr is not None and sys.stderr.isatty()
        self.due = time.monotonic() + PATIENCE
        self.shown = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.shown:
            print("\r" + " " * self.shown + "\r", end="", file=sys.stderr, flush=True)

    def update(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self.terminal or now < self.due or not total:
            return
        self.due = now + INTERVAL
        share = min(1.0, done / total)
        room = shutil.get_terminal_size().columns - 8
        label = self.label[: max(0, room - 12)]
        length = max(0, min(40, room - len(label)))
        bar = "#" * round(share * length)
        text = f"{label} [{bar:.<{length}}] {share:4.0%}"
        self.shown = len(text)
        print("\r" + text, end="", file=sys.stderr, flush=True)
