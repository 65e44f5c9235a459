"""Who watches a call: a progress bar, or a function that is told how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .._engine.contexts import contextmanager
from .._engine.imports import importing

Tell = Callable[[int, int], None]


def tell_nobody(done: int, total: int) -> None:
    pass


@contextmanager
def watched(progress: Any, name: str, total: int) -> Iterator[Tell]:
    """A function to call with the number of blocks done and of all."""
    if progress is None or progress is False:
        yield tell_nobody
    elif callable(progress):
        last = -1

        def tell(done: int, total: int) -> None:
            nonlocal last
            if done > last:
                last = done
                progress(done, total)

        yield tell
    else:
        with bar(name, total) as shown:
            yield lambda done, total: shown.update(done - shown.n)


def bar(name: str, total: int) -> Any:
    try:
        with importing:
            from tqdm.auto import tqdm
    except ImportError:
        raise ImportError("progress=True shows tqdm's bar: pip install 'allcores[progress]'") from None
    return tqdm(total=total, desc=name, unit="block")
