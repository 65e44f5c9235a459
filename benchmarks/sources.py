"""Reductions of what is not in memory, and medians: .npy, zarr and HDF5, beside dask.array and a loop in NumPy.

    python benchmarks/sources.py [--gib 8] [--stored-gib 1] [--rounds 3] [--dir /tmp] [--cold]
        [--kinds npy,zarr,h5] [--functions nanmean,nanvar,nanmedian]

Every round runs each contender once, in turn; the table shows medians and the largest growth of anonymous memory
(Linux). `read` is two threads that read the file with preadv and do nothing else: the limit. Files are made once, and
stay in the page cache where that is large enough; with --cold the .npy file is dropped from it before each call.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import allcores as ac

ROWS, COLUMNS = 1 << 17, 1024  # of a GiB


def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon"))


class Peak:
    """How much more anonymous memory there is at most."""

    def __enter__(self):
        self.before, self.most, self.over = anonymous(), 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.over.wait(0.002):
            self.most = max(self.most, anonymous() - self.before)

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()


def example(seed):
    x = np.random.default_rng(seed).normal(size=(ROWS // 16, COLUMNS))
    x[::50] = np.nan
    return x


def made(directory, gib, stored_gib):
    """The files: a table of normal numbers, 2% of its rows NaN."""
    paths = {"npy": os.path.join(directory, f"sources-{gib}.npy")}
    pieces = [example(seed) for seed in range(2)]
    step = len(pieces[0])
    if not os.path.exists(paths["npy"]):
        array = np.lib.format.open_memmap(paths["npy"], "w+", "f8", (int(gib * ROWS), COLUMNS))
        for begin in range(0, len(array), step):
            array[begin : begin + step] = pieces[begin // step % 2][: len(array) - begin]
        array.flush()
        del array
    rounded = [np.round(piece, 3) for piece in pieces]
    shape = (int(stored_gib * ROWS), COLUMNS)
    try:
        import zarr

        paths["zarr"] = os.path.join(directory, f"sources-{stored_gib}.zarr")
        if not os.path.exists(paths["zarr"]):
            array = zarr.create_array(store=paths["zarr"], shape=shape, chunks=(4096, COLUMNS // 4), dtype="f8")
            for begin in range(0, shape[0], step):
                array[begin : begin + step] = rounded[begin // step % 2]
    except ImportError:
        pass
    try:
        import h5py

        paths["h5"] = os.path.join(directory, f"sources-{stored_gib}.h5")
        if not os.path.exists(paths["h5"]):
            with h5py.File(paths["h5"], "w") as file:
                data = file.create_dataset(
                    "x", shape, "f8", chunks=(1024, COLUMNS // 4), compression="gzip", compression_opts=1, shuffle=True
                )
                for begin in range(0, shape[0], step):
                    data[begin : begin + step] = rounded[begin // step % 2]
    except ImportError:
        pass
    return paths


def read(path):
    size, step = os.path.getsize(path), 4 << 20
    file = os.open(path, os.O_RDONLY)

    def half(first):
        buffer = np.empty(step, np.uint8)
        for offset in range(first * step, size, 2 * step):
            os.preadv(file, [buffer], offset)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(half, range(2)))
    os.close(file)


def chunk_loop(name, array, axis):
    """What one writes by hand: sums of chunks of 8 MiB."""
    count = total = squares = 0
    for begin in range(0, len(array), 1024):
        block = array[begin : begin + 1024]
        count = count + np.sum(~np.isnan(block), axis=axis)
        total = total + np.nansum(block, axis=axis)
        if name == "nanvar":
            squares = squares + np.nansum(block * block, axis=axis)
    mean = total / count
    return mean if name == "nanmean" else squares / count - mean * mean


def forget(path):
    """Have the system drop what it keeps of a file."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def contenders(kind, path, name, axis, size):
    found = {}
    if kind == "npy":
        source, mapped = ac.open(path), np.load(path, mmap_mode="r")
        found["read"] = lambda: read(path)
        if name in ("nanmean", "nanvar"):
            found["NumPy, a loop"] = lambda: chunk_loop(name, mapped, axis)
        elif size <= 1 << 30:
            found["NumPy, mapped"] = lambda: getattr(np, name)(mapped, axis=axis)
        found["allcores, mapped"] = lambda: getattr(ac, name)(mapped, axis=axis)
        stored = mapped
    elif kind == "zarr":
        import zarr

        source = stored = zarr.open_array(path, mode="r")
    else:
        import h5py

        source = stored = h5py.File(path, "r")["x"]
    found["allcores"] = lambda: getattr(ac, name)(source, axis=axis)
    found["allcores, 1 worker"] = lambda: getattr(ac, name)(source, axis=axis, workers=1)
    try:
        if name == "nanmedian" and (axis is None or size > 1 << 30):
            raise ImportError  # dask has none over all axes, and along one it has all in memory
        import dask.array

        chunks = (8192, COLUMNS) if kind == "npy" else "auto"
        lazy = dask.array.from_array(stored, chunks=chunks)
        found["dask.array, threads"] = lambda: getattr(dask.array, name)(lazy, axis=axis).compute(
            scheduler="threads", num_workers=2
        )
    except ImportError:
        pass
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gib", type=float, default=1)
    parser.add_argument("--stored-gib", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", default="/tmp")
    parser.add_argument("--kinds", default="npy,zarr,h5", help="which sources")
    parser.add_argument("--functions", default="nanmean,nanvar,nanmedian")
    parser.add_argument("--cold", action="store_true", help="each call finds the .npy file on the disk alone")
    options = parser.parse_args()
    paths = made(options.dir, options.gib, options.stored_gib)
    print("| source | function | | s | GB/s | MB | times allcores |")
    print("|---|---|---|--:|--:|--:|--:|")
    kinds = ["npy"] if options.cold else options.kinds.split(",")
    for kind, path in ((kind, path) for kind, path in paths.items() if kind in kinds):
        size = (options.gib if kind == "npy" else options.stored_gib) * (1 << 30)
        for name, axis in ((name, axis) for name in options.functions.split(",") for axis in (None, 0)):
            found = contenders(kind, path, name, axis, size)
            seconds, memory = {who: [] for who in found}, dict.fromkeys(found, 0)
            for _ in range(options.rounds):
                for who, call in found.items():
                    if options.cold:
                        forget(path)
                    with Peak() as peak, warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        begin = time.perf_counter()
                        call()
                        seconds[who].append(time.perf_counter() - begin)
                    memory[who] = max(memory[who], peak.most)
            for who, times in seconds.items():
                ratio = statistics.median(a / b for a, b in zip(times, seconds["allcores"], strict=True))
                median = statistics.median(times)
                print(
                    f"| {kind} | {name}, axis {axis} | {who} | {median:.2f} | {size / median / 1e9:.1f} "
                    f"| {memory[who] / 1e6:.0f} | {ratio:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
