"""Statistics of data that come in blocks: each block by allcores' reductions, blocks merged by Chan's formula."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import allcores as ac

NUMBERS = "biufc"
TIMES = "mM"


class Problem(Exception):
    """What is wrong with a file, in one line."""


@dataclass(slots=True)
class Column:
    """What is printed about one column, or one array."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    count: int
    nans: int | None = None
    mean: complex | None = None
    std: float | None = None
    min: Any = None
    max: Any = None
    numeric: bool = False
    utc: bool = False


@dataclass(slots=True)
class Description:
    """What is printed about one file."""

    file: str
    format: str
    columns: list[Column]
    rows: int | None = None


@dataclass(slots=True)
class Statistics:
    """Count, NaNs, mean, variance (times the count), minimum and maximum of all the blocks added so far."""

    count: int = 0
    nans: int = 0
    mean: complex = math.nan
    m2: float = math.nan
    min: Any = None
    max: Any = None

    def add(self, block: NDArray[Any]) -> None:
        """Take in a block of any shape, of numbers, datetimes or timedeltas."""
        block = block.astype(working_dtype(block.dtype), copy=False)
        # Infinities and overflow are results here, nothing to warn about.
        with np.errstate(all="ignore"):
            if block.dtype.kind in TIMES:
                self.add_times(block)
            else:
                self.add_numbers(block)

    def add_numbers(self, block: NDArray[Any]) -> None:
        count = int(ac.nancount(block))
        self.nans += block.size - count
        if count == 0:
            return
        # float32 and integers in float64; longdouble and complex keep their own.
        dtype = np.float64 if block.dtype.kind != "c" and block.dtype.itemsize <= 8 else None
        mean = ac.nanmean(block, dtype=dtype)
        m2 = float(ac.nanvar(block, dtype=dtype)) * count
        if block.dtype.kind == "c":
            self.merge(count, complex(mean), m2)
        else:
            self.merge(count, float(mean), m2)
            self.extend(scalar(ac.nanmin(block)), scalar(ac.nanmax(block)))

    def add_times(self, block: NDArray[Any]) -> None:
        valid = ~np.isnat(block)
        count = int(ac.count_nonzero(valid))
        self.nans += block.size - count
        if count == 0:
            return
        ticks = block.view(np.int64)
        if count < block.size:
            ticks = ticks[valid]
        self.count += count
        self.extend(ac.min(ticks).view(block.dtype), ac.max(ticks).view(block.dtype))

    def merge(self, count: int, mean: complex, m2: float) -> None:
        if self.count == 0:
            self.count, self.mean, self.m2 = count, mean, m2
            return
        total = self.count + count
        delta = mean - self.mean
        if cmath.isfinite(delta):
            self.mean += delta * (count / total)
            self.m2 += m2 + (delta * delta.conjugate()).real * (self.count * count / total)
        else:
            self.mean = self.mean * (self.count / total) + mean * (count / total)
            self.m2 = math.nan
        self.count = total

    def extend(self, low: Any, high: Any) -> None:
        self.min = low if self.min is None else min(self.min, low)
        self.max = high if self.max is None else max(self.max, high)

    @property
    def std(self) -> float:
        return math.sqrt(self.m2 / self.count)

    def report(self, dtype: np.dtype[Any], **column: Any) -> Column:
        """The column that these statistics are of; blocks of it may have been of narrower dtypes than `dtype`."""
        result = Column(dtype=str(dtype), count=self.count, nans=self.nans, numeric=True, **column)
        if self.count and dtype.kind in NUMBERS:
            result.mean, result.std = self.mean, self.std
        if self.min is not None:
            if dtype.kind in TIMES:
                result.min, result.max = self.min.astype(dtype), self.max.astype(dtype)
            elif dtype.kind == "f":
                result.min, result.max = float(self.min), float(self.max)
            else:
                result.min, result.max = self.min, self.max
        return result


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The native dtype a block is worked on in: no kernel takes float16, and NumPy sums complex64 in complex64."""
    if dtype.kind == "f" and dtype.itemsize == 2:
        return np.dtype(np.float32)
    if dtype.kind == "c" and dtype.itemsize == 8:
        return np.dtype(np.complex128)
    return dtype.newbyteorder("=")


def scalar(value: Any) -> Any:
    """Python's bool, int or float."""
    return float(value) if value.dtype.kind == "f" else value.item()
