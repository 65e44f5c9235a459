"""Files to describe, and what is expected of them."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from allcores.describe import cli
from allcores.describe.statistics import Column

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")

RNG = np.random.default_rng(0)

FLIGHTS = """\
year,month,dep_time,dep_delay,carrier,tailnum,distance,time_hour
2013,1,517,2.5,UA,N14228,1400,2013-01-01T10:00:00Z
2013,1,NA,NA,AA,NA,1089,2013-01-01T11:00:00Z
2013,2,542,-4,B6,N804JB,1576,NA
2013,12,,,"B6","N804,JB",762,2014-01-01T04:00:00Z
"""


def described(path: Path, name: str = "") -> Column:
    """The column of a name; of an array, which has none, the only one."""
    columns = {column.name: column for column in cli.describe_file(str(path)).columns}
    return columns[name]


def save(path: Path, array: np.ndarray, **options) -> Path:
    np.save(path, array, **options)
    return path


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def shell(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "allcores", *map(str, arguments)], capture_output=True, text=True, timeout=60, **options
    )


def check(column: Column, values: np.ndarray, rtol: float = 1e-12) -> None:
    """Against NumPy, in float64."""
    assert column.shape == values.shape
    assert column.numeric
    missing = np.isnan(values) if values.dtype.kind in "fc" else np.zeros(values.shape, bool)
    assert (column.count, column.nans) == ((~missing).sum(), missing.sum())
    valid = values[~missing]
    wide = valid.astype(np.float64)
    np.testing.assert_allclose([column.mean, column.std], [wide.mean(), wide.std()], rtol=rtol, atol=1e-12)
    assert (column.min, column.max) == (valid.min(), valid.max())


def packed(path: Path, text: str | bytes) -> list[Path]:
    """The same text as .csv, .csv.gz and .csv.zip."""
    data = text.encode() if isinstance(text, str) else text
    write(path / "a.csv", data)
    write(path / "a.csv.gz", gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]))
    with zipfile.ZipFile(path / "a.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/a.csv", data)
        archive.writestr("__MACOSX/folder/._a.csv", b"\0")
        archive.writestr("readme.txt", b"text")
    return [path / "a.csv", path / "a.csv.gz", path / "a.csv.zip"]


def header(descr: object, shape: tuple[int, ...]) -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zipped(**members: bytes) -> bytes:
    """An archive of members whose names have _ for the dot."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", "."), data)
    return buffer.getvalue()


def parquet(**columns: object) -> bytes:
    pa.parquet.write_table(pa.table(columns), buffer := pa.BufferOutputStream())
    return buffer.getvalue().to_pybytes()


NPY = header("<f8", (4,)) + bytes(32)
