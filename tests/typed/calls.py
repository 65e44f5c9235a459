"""Types of your own functions in blocks, calls in the background, pools, sources and settings. See functions.py."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

import numpy as np
from numpy.typing import NDArray

import allcores as ac
import allcores.blocks
import allcores.futures
from allcores.background import BackgroundFuture
from allcores.futures import ProcessPoolExecutor, share, shared_empty

floats = np.arange(12, dtype=np.float32)


def root(a: NDArray[np.float32], shift: float = 0.0) -> NDArray[np.float32]:
    return np.sqrt(a) + np.float32(shift)


def length(a: NDArray[np.float32], *, least: int = 0) -> int:
    return max(len(a), least)


def tell(done: int, total: int) -> None:
    pass


def blocks() -> None:
    assert_type(ac.map_blocks(root, floats, shift=1.0, block_size=4, progress=tell), Any)
    with ThreadPoolExecutor(1) as pool:
        ac.map_blocks(root, floats, out=np.empty_like(floats), executor=pool)
    assert_type(ac.map_overlap(root, floats, depth=1, boundary="reflect", errors="collect"), Any)
    assert_type(ac.reduction(floats, np.sum, np.sum, axis=0), Any)
    assert_type(ac.apply_along_axis(np.sum, 0, floats), Any)
    if TYPE_CHECKING:
        ac.map_blocks(floats, root)  # type: ignore[arg-type]
        ac.map_blocks(root, floats, errors="ignore")  # type: ignore[arg-type]
        ac.map_blocks(root, floats, executor=ThreadPoolExecutor)  # type: ignore[arg-type]
        ac.map_overlap(root, floats)  # type: ignore[call-arg]


def background() -> None:
    """A call's arguments and result are those of the function."""
    future = ac.submit(length, floats, least=3)
    assert_type(future, BackgroundFuture[int])
    assert_type(future.result(), int)
    assert_type(future.progress(), tuple[int, int])
    assert_type(future.cancel(), bool)
    plain: Future[int] = future
    assert plain.done() or True
    assert_type(ac.submit(ac.sort, floats).result(), NDArray[np.float32])
    ac.submit(ac.nansum, floats, axis=0, workers=2).result()
    if TYPE_CHECKING:
        ac.submit(ac.nansum, floats, axes=0).result()  # type: ignore[call-arg]
        ac.submit(length, floats, least="3").result()  # type: ignore[arg-type]
        ac.submit(floats)  # type: ignore[arg-type]


def pools() -> None:
    def run() -> None:
        with ProcessPoolExecutor(2, threshold=0, initializer=tell, initargs=(1, 2)) as pool:
            assert_type(pool, ProcessPoolExecutor)
            assert_type(pool.submit(length, floats), Future[int])
            assert_type(pool.transfer_stats(), dict[str, int])
            executor: Executor = pool
            ac.map_blocks(root, floats, executor=executor)

    assert callable(run)  # not called: a pool's functions have to be importable
    assert_type(share(floats), NDArray[np.float32])
    assert_type(ac.share([1, 2]), NDArray[Any])
    assert_type(shared_empty((2, 3), np.int64, order="F"), NDArray[Any])
    if TYPE_CHECKING:
        ProcessPoolExecutor(max_workers="2")  # type: ignore[arg-type]
        shared_empty("2")  # type: ignore[arg-type]
        print(allcores.futures.nothing)  # type: ignore[attr-defined]
        print(allcores.blocks.nothing)  # type: ignore[attr-defined]


class Stored:
    """What a user registers."""

    elements = floats


class Opened(ac.Source):
    name, shape, dtype = "stored", floats.shape, floats.dtype

    def __init__(self, stored: Stored) -> None:
        self.stored = stored

    def read(self, region: tuple[slice, ...]) -> NDArray[Any]:
        return self.stored.elements[region]


def sources() -> None:
    ac.register_source(Stored, lambda stored: Opened(assert_type(stored, Stored)))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "floats.npy")
        np.save(path, floats)
        source = ac.open(path)
        assert_type(source, ac.Source)
        assert_type(source.shape, tuple[int, ...])
        ac.nanmean(source, axis=0)
        ac.map_blocks(root, source)
        ac.open(floats, chunks=(4,))
        del source
    if TYPE_CHECKING:
        ac.open(floats, chunks=4)  # type: ignore[arg-type]
        ac.register_source(Stored, floats)  # type: ignore[arg-type]


def settings() -> None:
    assert_type(ac.get_workers(), int)
    assert_type(ac.get_memory_budget(), int)
    with ac.set_workers(2), ac.set_memory_budget(None), ThreadPoolExecutor(1) as pool, ac.set_executor(pool):
        pass
    assert_type(ac.show_config("dicts"), dict[str, Any])
    assert_type(ac.__version__, str)
    if TYPE_CHECKING:
        ac.show_config("json")  # type: ignore[call-overload]
        ac.set_workers("2").__enter__()  # type: ignore[arg-type]
        ac.set_executor(4).__enter__()  # type: ignore[arg-type]
        print(ac.nothing)  # type: ignore[attr-defined]


FUNCTIONS: list[Callable[[], None]] = [blocks, background, pools, sources, settings]
