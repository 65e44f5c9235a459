"""``python -m allcores describe``: NumPy is the oracle; a file that can't be described gets one line, and status 2."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import time
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

from allcores import __main__ as command
from allcores import __version__
from allcores.describe import arrays, blocks, cli, progress, report, tables
from allcores.describe.statistics import Column, Description, Problem

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


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few elements, so that there are many to merge."""
    monkeypatch.setattr(blocks, "BLOCK", 1024)
    monkeypatch.setattr(blocks, "PIECE", 100)
    monkeypatch.setattr(tables, "TEXT", 64)
    monkeypatch.setattr(tables, "ROWS", (64, 200))


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


# ---- .npy


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [*"?bhilqBHILQefdg", ">f8", ">f4", ">i4", ">u2", ">f2"])
@pytest.mark.usefixtures("small_blocks")
def test_dtypes(tmp_path, dtype, order):
    values = (RNG.standard_normal((37, 41)) * 50).astype(np.int8).astype(dtype)
    if values.dtype.kind == "f":
        values[::5, ::3] = np.nan
    column = described(save(tmp_path / "a.npy", np.asarray(values, order=order)))
    assert column.dtype == str(values.dtype)
    check(column, values)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 3), (4099,), (3, 0x401)])
@pytest.mark.usefixtures("small_blocks")
def test_shapes(tmp_path, shape):
    values = RNG.standard_normal(shape)
    check(described(save(tmp_path / "a.npy", values)), np.asarray(values))


def test_blocks_of_the_real_size(tmp_path):
    values = RNG.standard_normal(blocks.BLOCK // 8 * 2 + 1000)
    values[::1000] = np.nan
    check(described(save(tmp_path / "a.npy", values)), values)


@pytest.mark.usefixtures("small_blocks")
def test_integers_are_exact(tmp_path):
    values = np.array([0, 2**63 + 1, 2**64 - 1] * 300, np.uint64)
    column = described(save(tmp_path / "a.npy", values))
    assert (column.min, column.max) == (0, 2**64 - 1)
    assert isinstance(column.max, int)


@pytest.mark.usefixtures("small_blocks")
def test_a_large_mean_costs_no_digits_of_std(tmp_path):
    values = 1e8 + RNG.standard_normal(20_000)
    column = described(save(tmp_path / "a.npy", values))
    deviations = values - 1e8  # exact
    assert column.std == pytest.approx(deviations.std(), rel=1e-9)


@pytest.mark.usefixtures("small_blocks")
def test_bool(tmp_path):
    column = described(save(tmp_path / "a.npy", np.array([True, False, True, True])))
    assert (column.mean, column.min, column.max) == (0.75, False, True)


@pytest.mark.parametrize("dtype", ["c8", "c16", ">c16"])
@pytest.mark.usefixtures("small_blocks")
def test_complex(tmp_path, dtype):
    values = (RNG.standard_normal(500) + 1j * RNG.standard_normal(500)).astype(dtype)
    values[7] = complex(math.nan, 1)
    column = described(save(tmp_path / "a.npy", values))
    valid = np.delete(values, 7).astype(np.complex128)
    assert (column.count, column.nans, column.min, column.max) == (499, 1, None, None)
    np.testing.assert_allclose([column.mean, column.std], [valid.mean(), valid.std()], rtol=1e-13)


@pytest.mark.usefixtures("small_blocks")
def test_infinities(tmp_path):
    values = np.ones(1000)
    values[500] = np.inf
    column = described(save(tmp_path / "a.npy", values))
    assert (column.count, column.nans, column.mean, column.min, column.max) == (1000, 0, np.inf, 1, np.inf)
    assert math.isnan(column.std)
    values[100] = -np.inf
    column = described(save(tmp_path / "a.npy", values))
    assert math.isnan(column.mean)
    assert (column.min, column.max) == (-np.inf, np.inf)


@pytest.mark.usefixtures("small_blocks")
def test_nothing_but_nan(tmp_path):
    column = described(save(tmp_path / "a.npy", np.full(1000, np.nan)))
    assert (column.count, column.nans) == (0, 1000)
    assert (column.mean, column.std, column.min, column.max) == (None, None, None, None)


@pytest.mark.usefixtures("small_blocks")
def test_nan_in_some_blocks_only(tmp_path):
    values = RNG.standard_normal(1000).astype(np.float32)
    values[:300] = np.nan
    check(described(save(tmp_path / "a.npy", values)), values)


@pytest.mark.parametrize("dtype", ["M8[s]", "M8[ns]", "M8[D]", ">M8[ms]", "m8[us]"])
@pytest.mark.usefixtures("small_blocks")
def test_times(tmp_path, dtype):
    values = RNG.integers(-(10**6), 10**6, 1000).astype(dtype)
    values[::7] = "NaT"
    column = described(save(tmp_path / "a.npy", values))
    missing = np.isnat(values)
    assert (column.count, column.nans) == ((~missing).sum(), missing.sum())
    assert (column.min, column.max) == (values[~missing].min(), values[~missing].max())
    assert (column.mean, column.std) == (None, None)


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.usefixtures("small_blocks")
def test_fields_are_columns(tmp_path, align):
    inner = np.dtype([("x", ">f4"), ("y", "?")], align=align)
    dtype = np.dtype([("a", "i1"), ("b", "f8"), ("s", "U3"), ("m", "f8", (2, 3)), ("n", inner, (2,))], align=align)
    values = np.zeros((29, 7), dtype)
    values["a"] = RNG.integers(-128, 128, values.shape)
    values["b"] = RNG.standard_normal(values.shape)
    values["m"] = RNG.standard_normal((*values.shape, 2, 3))
    values["n"]["x"] = RNG.standard_normal((*values.shape, 2))
    path = save(tmp_path / "a.npy", values)
    assert [column.name for column in cli.describe_file(str(path)).columns] == ["a", "b", "s", "m", "n.x", "n.y"]
    for name in "a", "b", "m":
        check(described(path, name), values[name])
    check(described(path, "n.x"), values["n"]["x"])
    check(described(path, "n.y"), values["n"]["y"])
    text = described(path, "s")
    assert (text.dtype, text.shape, text.count, text.mean, text.numeric) == ("<U3", (29, 7), 203, None, False)


@pytest.mark.parametrize(
    ("names", "version"),
    [(["a"], (1, 0)), ([f"field{i:05}" * 30 for i in range(300)], (2, 0)), (["µ", "日本"], (3, 0))],
)
@pytest.mark.filterwarnings("ignore:Stored array in format:UserWarning")
def test_versions_of_the_format(tmp_path, monkeypatch, names, version):
    monkeypatch.setattr(arrays, "LONGEST_HEADER", 1 << 20)
    values = np.zeros(3, [(name, "f8") for name in names])
    values[names[-1]] = [1, 2, 6]
    path = save(tmp_path / "a.npy", values)
    assert path.read_bytes()[6:8] == bytes(version)
    check(described(path, names[-1]), values[names[-1]])


@pytest.mark.usefixtures("small_blocks")
def test_a_file_that_shrinks():
    """Or an archive that lies about the size of a member."""
    with pytest.raises(Problem, match="truncated"):
        arrays.describe_array("", io.BytesIO(NPY[:-1]), len(NPY), print)


def test_read_once(tmp_path, monkeypatch, small_blocks):
    """Four statistics, one reading."""
    read = []
    fill = blocks.fill
    monkeypatch.setattr(blocks, "fill", lambda stream, part: (read.append(len(part)), fill(stream, part)))
    save(tmp_path / "a.npy", np.arange(10_000))
    described(tmp_path / "a.npy")
    assert sum(read) == 80_000
    assert len(read) > 50


# ---- .npz


@pytest.mark.parametrize("savez", [np.savez, np.savez_compressed])
@pytest.mark.usefixtures("small_blocks")
def test_members(tmp_path, savez):
    x, y = RNG.standard_normal((30, 20)), np.arange(5000, dtype=">i2")
    record = np.array([(1, 2.5), (3, math.nan)], [("i", "i4"), ("f", "f4")])
    text, thing, empty = np.array(["a", "b"]), np.array([{}, None]), np.empty((0, 3))
    savez(tmp_path / "a.npz", x=x, y=y, record=record, text=text, thing=thing, empty=empty)
    description = cli.describe_file(str(tmp_path / "a.npz"))
    columns = {column.name: column for column in description.columns}
    assert list(columns) == ["x", "y", "record.i", "record.f", "text", "thing", "empty"]
    check(columns["x"], x)
    check(columns["y"], y)
    check(columns["record.f"], record["f"])
    assert [columns[name].numeric for name in ("text", "thing", "empty")] == [False, False, True]
    assert (columns["thing"].dtype, columns["thing"].count) == ("object", 2)
    assert (columns["empty"].shape, columns["empty"].count, columns["empty"].min) == ((0, 3), 0, None)


class Bomb:
    """Unpickling it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickles_are_never_loaded(tmp_path, capsys):
    things = np.array([Bomb(tmp_path / "loaded")], object)
    save(tmp_path / "a.npy", things)
    np.savez(tmp_path / "b.npz", things=things, numbers=np.arange(3))
    save(tmp_path / "c.npy", np.array([(1, things[0])], [("i", "i4"), ("o", "O")]))
    (tmp_path / "d.npy").write_bytes(pickle.dumps(things))
    assert command.main(["describe", *map(str, sorted(tmp_path.iterdir()))]) == 2
    captured = capsys.readouterr()
    assert [line.split(": ")[1][-5:] for line in captured.err.splitlines()] == ["a.npy", "c.npy", "d.npy"]
    assert not (tmp_path / "loaded").exists()
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert (tmp_path / "loaded").exists()  # it would have been noticed


# ---- CSV


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


@pytest.mark.parametrize("size", [20, 64, 1 << 20])
def test_flights(tmp_path, monkeypatch, size):
    monkeypatch.setattr(tables, "TEXT", size)
    for path in packed(tmp_path, FLIGHTS):
        description = cli.describe_file(str(path))
        assert (description.rows, len(description.columns)) == (4, 8)
        columns = {column.name: column for column in description.columns}
        check(columns["month"], np.array([1, 1, 2, 12]))
        check(columns["dep_delay"], np.array([2.5, np.nan, -4, np.nan]))
        check(columns["distance"], np.array([1400, 1089, 1576, 762]))
        dep_time = columns["dep_time"]
        assert (dep_time.dtype, dep_time.count, dep_time.nans, dep_time.mean) == ("int64", 2, 2, 529.5)
        assert (dep_time.std, dep_time.min, dep_time.max) == (12.5, 517, 542)
        assert isinstance(dep_time.min, int)
        tail = columns["tailnum"]
        assert (tail.dtype, tail.shape, tail.count, tail.nans, tail.numeric) == ("string", (4,), 3, 1, False)
        hour = columns["time_hour"]
        assert (hour.dtype, hour.utc, hour.count, hour.nans) == ("datetime64[s]", True, 3, 1)
        assert (str(hour.min), str(hour.max)) == ("2013-01-01T10:00:00", "2014-01-01T04:00:00")


def test_many_rows(tmp_path):
    """More than one block of the real size, in several of pyarrow's."""
    a, b = RNG.integers(-1000, 1000, 600_000), RNG.standard_normal(600_000)
    lines = "\n".join(map("{},{!r},{}".format, a.tolist(), b.tolist(), ["text"] * a.size))
    path = write(tmp_path / "a.csv", "a,b,c\n" + lines)
    assert path.stat().st_size > tables.TEXT
    check(described(path, "a"), a)
    check(described(path, "b"), b)
    assert described(path, "c").count == a.size


@pytest.mark.parametrize(
    ("early", "late", "dtype", "numbers"),
    [
        ("1", "2.5", "float64", [1, 2.5]),
        ("2.5", "1", "float64", [2.5, 1]),
        ("NA", "7", "int64", [math.nan, 7]),
        ("7", "", "int64", [7, math.nan]),
        ("1", "x", "string", None),
        ("x", "1", "string", None),
        ("1", "true", "string", None),
        ("true", "false", "bool", [1, 0]),
        ("1", "12345678901234567890", "float64", [1, 12345678901234567890]),
        ("2013-01-01", "5", "string", None),
        ("2013-01-01T00:00:00Z", "2013-01-01T00:00:00", "string", None),
        ("2013-01-01", "2013-01-02T10:30:00", "datetime64[s]", None),
        ("2013-01-01 10:00:00", "2013-01-02T10:30:00.5", "datetime64[ns]", None),
    ],
)
@pytest.mark.usefixtures("small_blocks")
def test_a_column_changes_its_mind(tmp_path, early, late, dtype, numbers):
    """pyarrow's streaming reader fails on all of these."""
    path = write(tmp_path / "a.csv", "k,v\n" + f"1,{early}\n" * 100 + f"1,{late}\n" * 100)
    column = described(path, "v")
    assert column.dtype == dtype
    missing = 100 * ([early, late].count("NA") + [early, late].count(""))
    assert (column.count, column.nans) == (200 - missing, missing)
    if numbers:
        values = np.repeat(numbers, 100)
        valid = values[~np.isnan(values)]
        assert column.mean == pytest.approx(valid.mean(), rel=1e-12)
        assert column.std == pytest.approx(valid.std(), rel=1e-9)
        assert (column.min, column.max) == (valid.min(), valid.max())
        kind = {"float64": float, "int64": int, "bool": bool}[dtype]
        assert (type(column.min), type(column.max)) == (kind, kind)
    elif dtype.startswith("datetime64"):
        assert (column.min, column.max) == (np.datetime64(early), np.datetime64(late))
        assert column.min.dtype == column.max.dtype == dtype
    else:
        assert not column.numeric
        assert column.min is None


@pytest.mark.parametrize("size", [16, 50, 64, 1 << 20])
@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        pytest.param('a,b\n1,"x\ny\n\nz"\n' * 1 + '2,"p""\n"\n' * 50 + "3,q", "ab", 52, id="newlines in quotes"),
        pytest.param("a,b\n" + '1,"x\n1,y"\n' * 99, "ab", 99, id="rows in quotes"),
        pytest.param("a,b\n" + '1,5" pipe\n' * 51 + "3,q", "ab", 52, id="lone quotes"),
        pytest.param("a,b\r\n" + "1,x\r\n" * 30, "ab", 30, id="CRLF"),
        pytest.param("a,b\r" + "1,x\r" * 30, "ab", 30, id="CR"),
        pytest.param("\ufeffa,b\n" + "1,x\n" * 30, "ab", 30, id="byte order mark"),
        pytest.param("\n\n" + "a,b\n" + "1,x\n\n" * 30 + "\n" * 200, "ab", 30, id="empty lines"),
        pytest.param("a;b\n" + '1;"x,y,z"\n' * 30, "ab", 30, id="semicolons"),
        pytest.param("a\tb\n" + "1\tx,y\n" * 30, "ab", 30, id="tabs"),
        pytest.param("a,a,\n" + "1,x,\n" * 30, ["a", "a", ""], 30, id="names twice and none"),
        pytest.param("a,größe\n".encode("latin-1") + "1,ü\n".encode("latin-1") * 30, ["a", "größe"], 30, id="Latin-1"),
        pytest.param("a,b\n" + f"1,{'x' * 300}\n" * 30, "ab", 30, id="rows longer than blocks"),
    ],
)
def test_csv_layouts(tmp_path, monkeypatch, text, names, rows, size):
    monkeypatch.setattr(tables, "TEXT", size)
    monkeypatch.setattr(tables, "PIECE", 200)
    description = cli.describe_file(str(write(tmp_path / "a.csv", text)))
    assert [column.name for column in description.columns] == list(names)
    assert description.rows == rows
    assert [column.dtype for column in description.columns[:2]] == ["int64", "string"]
    assert description.columns[0].count == description.columns[1].count == rows


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_blocks_are_whole_rows(newline, small_blocks):
    text = newline.join(b"%d,x" % i for i in range(1000))
    found = list(tables.blocks_of_lines(io.BytesIO(text)))
    assert b"".join(found) == text + b"\n"
    assert len(found) > 50
    assert all(block.endswith(newline) for block in found[:-1])


def test_lines_without_end(monkeypatch, small_blocks):
    monkeypatch.setattr(tables, "LONGEST_LINE", 1000)
    with pytest.raises(Problem, match="not a CSV file: no end of a line"):
        list(tables.blocks_of_lines(io.BytesIO(b"x" * 5000)))


# ---- Parquet


@pytest.mark.parametrize("dtype", ["?", "i2", "f2", "f8", "M8[D]", "M8[ns]"])
def test_slices_of_arrow_arrays(dtype):
    values = np.arange(40).astype(dtype)
    whole = pa.array(values)
    pieces = pa.chunked_array([whole[:3], whole[3:3], whole[3:17], whole[17:]]).slice(5, 20)
    found = tables.numbers(pa, pieces, values.dtype)
    np.testing.assert_array_equal(found, values[5:25], strict=True)
    found = tables.numbers(pa, pa.chunked_array([whole]).slice(5, 20), values.dtype)
    np.testing.assert_array_equal(found, values[5:25], strict=True)
    assert tables.numbers(pa, pieces.slice(0, 0), values.dtype).shape == (0,)


@pytest.mark.parametrize("group", [100, 10_000])
def test_parquet(tmp_path, monkeypatch, group):
    monkeypatch.setattr(tables, "ROWS", (64, 200))
    monkeypatch.setattr(tables, "ROWS_OF_TEXT", 64)
    n = 1000
    numbers = RNG.standard_normal(n)
    integers = RNG.integers(-(2**62), 2**62, n)
    absent = RNG.random(n) < 0.3
    with_nan = np.where(RNG.random(n) < 0.1, np.nan, numbers)
    dates = RNG.integers(0, 20_000, n)
    table = {
        "f8": pa.array(numbers),
        "f4": pa.array(with_nan.astype(np.float32), mask=absent),
        "f2": pa.array(numbers.astype(np.float16)),
        "i8": pa.array(integers, mask=absent),
        "u1": pa.array((integers % 256).astype(np.uint8)),
        "bool": pa.array(integers % 2 == 0, mask=absent),
        "decimal": pa.array((dates * 0.25).tolist(), pa.float64()).cast(pa.decimal128(12, 2)),
        "category": pa.array(["a", "b"] * (n // 2)).dictionary_encode(),
        "codes": pa.array(dates % 7).dictionary_encode(),
        "date": pa.array(dates.astype("M8[D]"), mask=absent),
        "stamp": pa.array(dates.astype("M8[us]"), pa.timestamp("us", "Europe/Berlin")),
        "span": pa.array(dates.astype("m8[ms]")),
        "text": pa.array(["x" * (i % 9) for i in range(n)], mask=absent),
        "list": pa.array([[1, 2], None] * (n // 2)),
        "null": pa.nulls(n),
        "none": pa.nulls(n, pa.float64()),
    }
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table(table), path, row_group_size=group)
    description = cli.describe_file(str(path))
    columns = {column.name: column for column in description.columns}
    assert (description.rows, list(columns)) == (n, list(table))
    assert {column.shape for column in description.columns} == {(n,)}
    check(columns["f8"], numbers)
    check(columns["f2"], numbers.astype(np.float16))
    check(columns["u1"], (integers % 256).astype(np.uint8))
    check(columns["codes"], dates % 7)
    valid = with_nan[~absent].astype(np.float32)
    f4 = columns["f4"]
    assert (f4.dtype, f4.count, f4.nans) == ("float32", (~np.isnan(valid)).sum(), n - (~np.isnan(valid)).sum())
    assert (f4.min, f4.max) == (np.nanmin(valid), np.nanmax(valid))
    assert f4.mean == pytest.approx(np.nanmean(valid, dtype=np.float64), rel=1e-12)
    i8 = columns["i8"]
    assert (i8.dtype, i8.count, i8.min, i8.max) == (
        "int64",
        (~absent).sum(),
        integers[~absent].min(),
        integers[~absent].max(),
    )
    assert columns["bool"].mean == pytest.approx((integers % 2 == 0)[~absent].mean())
    assert (columns["bool"].min, columns["bool"].nans) == (False, absent.sum())
    assert columns["decimal"].dtype == "decimal128(12, 2)"
    assert columns["decimal"].mean == pytest.approx((dates * 0.25).mean())
    assert columns["date"].max == dates[~absent].max().astype("M8[D]")
    assert (columns["date"].dtype, columns["date"].utc, columns["date"].nans) == ("datetime64[D]", False, absent.sum())
    assert (columns["stamp"].max, columns["stamp"].utc) == (dates.max().astype("M8[us]"), True)
    assert columns["span"].min == dates.min().astype("m8[ms]")
    for name, dtype, nulls in [("text", "string", absent.sum()), ("category", "string", 0), ("null", "null", n)]:
        column = columns[name]
        assert (column.dtype, column.count, column.nans, column.numeric) == (dtype, n - nulls, nulls, False)
    assert (columns["list"].count, columns["list"].nans, columns["list"].numeric) == (n // 2, n // 2, False)
    assert (columns["none"].count, columns["none"].nans, columns["none"].numeric) == (0, n, True)


@pytest.mark.parametrize("statistics", [True, False])
def test_parquet_text_is_read_only_where_it_must_be(tmp_path, monkeypatch, statistics):
    read = []
    add = tables.Tally.add
    monkeypatch.setattr(
        tables.Tally, "add", lambda self, pa, values: (read.append(self.name), add(self, pa, values))[1]
    )
    table = pa.table({"v": [1, 2, 3], "t": ["x", None, "y"]})
    pa.parquet.write_table(table, tmp_path / "a.parquet", write_statistics=statistics)
    text = described(tmp_path / "a.parquet", "t")
    assert (text.count, text.nans) == (2, 1)
    assert read == (["v"] if statistics else ["v", "t"])


def test_parquet_with_names_twice(tmp_path):
    table = pa.Table.from_arrays([pa.array([1, 2]), pa.array(["x", None]), pa.array([5.0, 7.0])], ["a", "a", "a"])
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    columns = cli.describe_file(str(tmp_path / "a.parquet")).columns
    assert [(column.dtype, column.count, column.mean) for column in columns] == [
        ("int64", 2, 1.5),
        ("string", 1, None),
        ("float64", 2, 6.0),
    ]


def test_pandas_is_not_imported(tmp_path):
    """Where pyarrow imports it, the command takes twice as long."""
    write(tmp_path / "a.csv", FLIGHTS)
    code = "import sys; from allcores.__main__ import main; main(); assert 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, "describe", str(tmp_path / "a.csv")], check=True, capture_output=True)


# ---- what can't be described


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
PARQUET = parquet(a=[1, 2, 3])

BAD = {
    "missing": ("nothere.npy", None, "No such file"),
    "empty": ("a.npy", b"", "empty file"),
    "empty csv": ("a.csv", b"", "empty file"),
    "unknown": ("a.txt", b"1,2\n", "unknown format.*.npy .npz .csv .csv.gz .csv.zip .parquet"),
    "no extension": ("npy", NPY, "unknown format"),
    "plain zip": ("a.zip", zipped(a_csv=b"a\n1\n"), "unknown format"),
    "not npy": ("a.npy", b"hello, world", "not in the .npy format"),
    "short magic": ("a.npy", b"\x93NUM", "not in the .npy format"),
    "header": ("a.npy", NPY[:40], "damaged .npy header"),
    "header text": ("a.npy", NPY.replace(b"'descr'", b"[[[[[[["), "damaged .npy header"),
    "header version": ("a.npy", NPY.replace(b"\x01\x00", b"\x09\x00", 1), "(damaged|not in)"),
    "header dtype": ("a.npy", header("<q9", (4,)) + bytes(32), "damaged .npy header"),
    "header shape": ("a.npy", header("<f8", (-4,)) + bytes(32), "damaged .npy header: shape"),
    "truncated": ("a.npy", NPY[:-1], "truncated: the header announces 32 bytes of data, 31 are there"),
    "huge": ("a.npy", header("<f8", (10**12, 10**12)) + bytes(32), "truncated"),
    "no elements": ("a.npy", header("<f8", (0, 5)), r"no elements.*\(0, 5\)"),
    "text": ("a.npy", header("<U2", (1,)) + bytes(8), "no numeric column: <U2"),
    "fields of text": ("a.npy", header([("t", "S2")], (1,)) + bytes(2), "no numeric column: t is |S2"),
    "no fields": ("a.npy", header([], (2,)), "no numeric column"),
    "not npz": ("a.npz", b"hello", "not a readable .npz file: File is not a zip file"),
    "npz of nothing": ("a.npz", zipped(), "no arrays in it"),
    "npz of text": ("a.npz", zipped(readme_txt=b"x"), "no arrays in it"),
    "npz truncated": ("a.npz", zipped(x_npy=NPY)[:-30], "not a readable .npz file"),
    "npz flipped": ("a.npz", zipped(x_npy=NPY).replace(bytes(32), bytes(31) + b"1"), "Bad CRC-32 for file 'x.npy'"),
    "npz bad offset": (
        "a.npz",
        zipped(x_npy=NPY)[:-6] + (10**6).to_bytes(4, "little") + bytes(2),
        "not a readable .npz",
    ),
    "npz short member": ("a.npz", zipped(y_npy=NPY, x_npy=NPY[:-8]), "array 'x': truncated"),
    "npz bad member": ("a.npz", zipped(x_npy=b"hello"), "array 'x': not in the .npy format"),
    "npz of strings": ("a.npz", zipped(x_npy=header("<U1", (1,)) + bytes(4)), "no numeric column: x is <U1"),
    "npz of empties": ("a.npz", zipped(x_npy=header("<f8", (0,))), "no elements"),
    "blank csv": ("a.csv", b" \n\n", "empty"),
    "csv header": ("a.csv", b"a,b\n", "no rows below the header"),
    "csv header line": ("a.csv", b"a,b", "no rows below the header"),
    "csv of text": ("a.csv", b"a,b\nx,y\n", "no numeric column: a is string, b is string"),
    "csv of nulls": ("a.csv", b"a,b\nNA,\n", "no numeric column: a is null, b is null"),
    "csv ragged": ("a.csv", b"a,b\n1,2\n3,4,5\n", r"a\.csv: CSV parse error: Expected 2 columns, got 3: 3,4,5"),
    "csv of much text": ("a.csv", b"a," * 99 + b"a\n" + b"x," * 99 + b"x\n", r"no numeric column: .* string.*\.\.\.$"),
    "csv binary": ("a.csv", bytes(range(256)), "not CSV text|no numeric|parse error|no rows"),
    "csv utf-16": ("a.csv", "a,b\n1,2\n".encode("utf-16"), "zero bytes"),
    "gz not": ("a.csv.gz", b"a,b\n1,2\n", "can't be unpacked: Not a gzipped file"),
    "gz truncated": (
        "a.csv.gz",
        gzip.compress(FLIGHTS.encode() * 99)[:-60],
        "can't be unpacked: Compressed file ended",
    ),
    "gz flipped": ("a.csv.gz", gzip.compress(b"a\n1\n")[:-8] + bytes(8), "can't be unpacked: CRC check failed"),
    "gz of nothing": ("a.csv.gz", gzip.compress(b""), "empty"),
    "zip not": ("a.csv.zip", b"a,b\n1,2\n", "can't be unpacked: File is not a zip file"),
    "zip without": ("a.csv.zip", zipped(a_txt=b"a,b\n1,2\n"), "no .csv file in the archive"),
    "zip with two": ("a.csv.zip", zipped(a_csv=b"a\n1\n", b_csv=b"a\n1\n"), "2 .csv files.*a.csv, b.csv"),
    "zip flipped": ("a.csv.zip", zipped(a_csv=b"a\n1\n").replace(b"\n1\n", b"\n2\n"), "can't be unpacked: Bad CRC-32"),
    "not parquet": ("a.parquet", b"hello, world", "not a readable Parquet file"),
    "parquet truncated": ("a.parquet", PARQUET[:-10], "not a readable Parquet file"),
    "parquet flipped": ("a.parquet", PARQUET[:4] + b"\xff" * 40 + PARQUET[44:], "not a readable Parquet file"),
    "parquet of text": ("a.parquet", parquet(t=["x"]), "no numeric column: t is string"),
    "parquet of nothing": ("a.parquet", parquet(v=pa.array([], pa.int64())), "no elements"),
    "parquet no columns": ("a.parquet", parquet(), "no numeric column"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files(tmp_path, capsys, case):
    name, data, message = BAD[case]
    path = tmp_path / name
    if data is not None:
        write(path, data)
    assert command.main(["describe", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    line, end, more = captured.err.partition("\n")
    assert (end, more) == ("\n", "")
    assert line.startswith(f"allcores: {path}: ")
    assert re.search(message, line), line
    assert "Traceback" not in line
    assert len(line) < len(str(path)) + 330


def test_directories_and_devices(tmp_path, capsys):
    (tmp_path / "a.npy").mkdir()
    assert command.main(["describe", str(tmp_path / "a.npy"), os.devnull]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"allcores: {tmp_path / 'a.npy'}: is a directory",
        f"allcores: {os.devnull}: not a regular file",
    ]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read anything")
def test_permission(tmp_path, capsys):
    save(tmp_path / "a.npy", np.arange(3)).chmod(0)
    assert command.main(["describe", str(tmp_path / "a.npy")]) == 2
    assert capsys.readouterr().err == f"allcores: {tmp_path / 'a.npy'}: Permission denied\n"


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.csv", "a.csv.gz", "a.csv.zip", "a.parquet"])
@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_errors_of_the_system(tmp_path, capsys, monkeypatch, name, error):
    def fail(*arguments, **options):
        raise error

    for module in arrays, tables:
        monkeypatch.setattr(module, "open", fail, raising=False)
    path = write(tmp_path / name, b"x")
    assert command.main(["describe", str(path)]) == 2
    assert capsys.readouterr().err == f"allcores: {path}: {error.strerror}\n"


@pytest.mark.parametrize("error", [MemoryError(), KeyError("a\nb")])
def test_whatever_else(tmp_path, capsys, monkeypatch, error):
    """A damaged file may raise anything; the user gets a line all the same."""

    def fail(*arguments):
        raise error

    save(tmp_path / "a.npy", np.arange(3))
    monkeypatch.setattr(arrays, "describe_array", fail)
    assert command.main(["describe", str(tmp_path / "a.npy")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert ("not enough memory" in line) == isinstance(error, MemoryError)


def test_damaged_files(tmp_path, small_blocks):
    """Flipped bytes and cuts anywhere: an answer or a Problem in one line, nothing else."""
    rng = np.random.default_rng(1)
    np.savez_compressed(tmp_path / "c.npz", x=np.arange(100), y=np.zeros(9, [("a", "M8[s]"), ("b", "f4", (2,))]))
    sources = {
        ".npy": NPY,
        ".npz": (tmp_path / "c.npz").read_bytes(),
        ".csv": FLIGHTS.encode(),
        ".csv.gz": gzip.compress(FLIGHTS.encode()),
        ".csv.zip": zipped(a_csv=FLIGHTS.encode()),
        ".parquet": parquet(a=[1, None, 3], t=["x", "y", None]),
    }
    problems = []
    for extension, data in sources.items():
        path = tmp_path / f"damaged{extension}"
        for k in range(60):
            damaged = bytearray(data)
            for at in rng.integers(0, len(data), 1 + k % 5):
                damaged[at] = rng.integers(256)
            path.write_bytes(damaged[: rng.integers(1, len(data))] if k % 3 == 0 else damaged)
            try:
                cli.describe_file(str(path))
            except Problem as problem:
                problems.append(str(problem))
    assert len(problems) > 100
    assert not any("\n" in problem for problem in problems)


def test_without_pyarrow(tmp_path, capsys, monkeypatch):
    """Only what needs it fails."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name in "a.csv", "b.csv.gz", "c.parquet":
        assert command.main(["describe", str(write(tmp_path / name, "a\n1\n"))]) == 2
        line = capsys.readouterr().err
        assert line == f'allcores: {tmp_path / name}: reading it needs pyarrow: pip install "allcores[io]"\n'
    assert command.main(["describe", str(save(tmp_path / "d.npy", np.arange(3)))]) == 0


def test_the_others_are_described(tmp_path, capsys):
    good = [save(tmp_path / f"{name}.npy", np.arange(3)) for name in "ac"]
    bad = write(tmp_path / "b.npy", "")
    assert command.main(["describe", str(good[0]), str(bad), str(good[1])]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"allcores: {bad}: empty file (0 bytes)\n"
    tables_ = captured.out.split("\n\n")
    assert [tables_[0], tables_[2]] == [str(path) for path in good]
    assert command.main(["describe", "--json", str(good[0]), str(bad), str(good[1])]) == 2
    assert [file["file"] for file in json.loads(capsys.readouterr().out)] == [str(path) for path in good]


# ---- output


def test_text_of_an_array(tmp_path, capsys):
    values = np.array([[1, 2.5, np.nan], [1234567.25, -3, 0]])
    path = save(tmp_path / "a.npy", values)
    assert command.main(["describe", str(path)]) == 0
    assert (
        capsys.readouterr().out
        == f"""\
{path}

dtype    shape   count  NaN    mean     std  min          max
float64  (2, 3)      5    1  246914  493827   -3  1.23457e+06
"""
    )


def test_text_of_a_table(tmp_path, capsys):
    path = write(tmp_path / "a.csv", FLIGHTS)
    assert command.main(["describe", str(path)]) == 0
    assert (
        capsys.readouterr().out
        == f"""\
{path}: 4 rows, 8 columns

column     dtype          count  NaN        mean         std       min       max
year       int64              4    0        2013           0      2013      2013
month      int64              4    0           4     4.63681         1        12
dep_time   int64              2    2       529.5        12.5       517       542
dep_delay  float64            2    2       -0.75        3.25        -4       2.5
carrier    string             4    0
tailnum    string             3    1
distance   int64              4    0     1206.75     310.386       762      1576
time_hour  datetime64[s]      3    1  2013-01-01T10:00:00Z  2014-01-01T04:00:00Z
"""
    )


def test_text_fits_the_terminal():
    columns = [
        Column("a" * 40, "float64", (1000,), 1000, 0, 1.23456789, 0.5, -1234.5678, 1234.5678, True),
        Column("t", "datetime64[s]", (1000,), 1000, 0, None, None, *np.array([0, 9**9], "M8[s]"), True),
    ]
    description = Description("a.csv", "csv", columns, 1000)
    wide = report.as_text(description)
    assert max(map(len, wide.splitlines())) > 100
    assert "1982-04-12T00:48:09" in wide
    for width in 100, 90, 80, 75:
        narrow = report.as_text(description, width)
        assert max(map(len, narrow.splitlines())) <= width
        assert "1982-04-12" in narrow
    assert "aaa.." in narrow
    assert report.as_text(description, 20)  # as narrow as it gets


def test_terminals_are_safe_from_names(tmp_path):
    columns = [
        Column("日本\x1b[2J\n", "int64", (1,), 1, 0, 1, 0, 1, 1, True),
        Column("b", "int64", (1,), 1, 0, 1, 0, 1, 1),
    ]
    first, second = report.as_text(Description("a\n.csv", "csv", columns, 1)).splitlines()[3:]
    assert first.startswith(r"日本\x1b[2J\n  int64")
    assert second.startswith("b              int64")  # two columns of the terminal for each of 日本
    encoding = dict(os.environ, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    result = shell("describe", write(tmp_path / "a.csv", "日本\n1\n"), env=encoding)
    assert (result.returncode, result.stderr) == (0, "")
    assert r"\u65e5\u672c" in result.stdout


def strict(text: str) -> object:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_json(tmp_path, capsys):
    values = np.array(
        [(1, np.nan, np.inf, 1 + 2j, "NaT", True), (2**53 + 1, np.nan, 1, 1j, 0, True)], "q,f,d,D,M8[s],?"
    )
    record = save(tmp_path / "a.npy", values)
    table = write(tmp_path / "b.csv", FLIGHTS)
    array = save(tmp_path / "c.npy", np.arange(6).reshape(2, 3))
    assert command.main(["describe", "--json", str(record), str(table), str(array)]) == 0
    first, second, third = strict(capsys.readouterr().out)
    assert (first["file"], first["format"], first["ddof"]) == (str(record), "npy", 0)
    assert first["columns"][0]["max"] == 2**53 + 1
    nan, infinity, complex_, stamp, truth = first["columns"][1:]
    assert (nan["count"], nan["nans"], nan["mean"], nan["std"], nan["min"]) == (0, 2, None, None, None)
    assert (infinity["mean"], infinity["std"], infinity["min"], infinity["max"]) == ("Infinity", None, 1, "Infinity")
    assert (complex_["mean"], complex_["min"]) == ({"real": 0.5, "imag": 1.5}, None)
    assert (stamp["min"], stamp["mean"], stamp["nans"]) == ("1970-01-01T00:00:00", None, 1)
    assert (truth["mean"], truth["min"]) == (1.0, True)
    assert (second["format"], second["rows"], len(second["columns"])) == ("csv", 4, 8)
    assert second["columns"][7] == {
        "name": "time_hour",
        "dtype": "datetime64[s]",
        "shape": [4],
        "count": 3,
        "nans": 1,
        "mean": None,
        "std": None,
        "min": "2013-01-01T10:00:00Z",
        "max": "2014-01-01T04:00:00Z",
    }
    assert (second["columns"][4]["dtype"], second["columns"][4]["count"]) == ("string", 4)
    assert third["columns"] == [
        {
            "name": None,
            "dtype": "int64",
            "shape": [2, 3],
            "count": 6,
            "nans": 0,
            "mean": 2.5,
            "std": pytest.approx(np.arange(6).std()),
            "min": 0,
            "max": 5,
        }
    ]


# ---- progress


class Terminal:
    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal
        self.text = ""

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


@pytest.fixture
def many_blocks(tmp_path, small_blocks):
    """Files of every kind that are read in more than one block."""
    rows = "a,b\n" + "".join(f"{a},{b}\n" for a, b in RNG.integers(10**9, size=(200, 2)))
    save(tmp_path / "a.npy", np.arange(1000))
    np.savez(tmp_path / "a.npz", x=np.arange(1000), y=np.arange(1000))
    packed(tmp_path, rows)
    pa.parquet.write_table(pa.table({"a": range(9999)}), tmp_path / "a.parquet", row_group_size=1000)
    return [str(path) for path in sorted(tmp_path.iterdir())]


def test_progress(many_blocks, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0)
    monkeypatch.setattr(progress, "INTERVAL", 0)
    monkeypatch.setenv("COLUMNS", "60")
    assert len(many_blocks) == 6
    for path in many_blocks:
        monkeypatch.setattr(sys, "stderr", terminal := Terminal(True))
        cli.describe_file(path)
        shown = terminal.text.split("\r")
        bars = [text for text in shown if text.strip()]
        assert len(bars) > 1
        shares = [int(bar[-4:-1]) for bar in bars]
        assert shares == sorted(shares)
        assert shares[-1] > (75 if path.endswith(".zip") else 95)  # archives end with a directory
        assert all(bar.startswith(f"{os.path.basename(path)} [") and len(bar) < 60 for bar in bars)
        full, left = bars[-1].count("#"), bars[-1].count(".", len(os.path.basename(path)))
        assert full > 20
        assert left <= full // 3
        # Erased: blanks over the last one, and the cursor back at the left.
        assert shown[-1] == ""
        assert shown[-2] == " " * len(bars[-1])


def test_no_progress_where_nobody_looks(many_blocks, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0)
    for terminal, patience in [(Terminal(False), 0), (Terminal(True), 60)]:
        monkeypatch.setattr(progress, "PATIENCE", patience)
        monkeypatch.setattr(sys, "stderr", terminal)
        for path in many_blocks:
            cli.describe_file(path)
        assert terminal.text == ""


def test_patience():
    assert progress.PATIENCE == 1


def test_progress_is_erased_before_an_error(tmp_path, monkeypatch, small_blocks):
    monkeypatch.setattr(progress, "PATIENCE", 0)
    monkeypatch.setattr(progress, "INTERVAL", 0)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal(True))
    assert command.main(["describe", str(write(tmp_path / "a.csv", "a,b\n" + "1,2\n" * 100 + "1,2,3\n"))]) == 2
    before, line = terminal.text.rsplit("\r", 1)
    assert before.endswith(" ")
    assert line.startswith("allcores: ")


# ---- the command


def test_help_and_version(capsys):
    assert command.main([]) == 0
    usage = capsys.readouterr().out
    assert "describe" in usage
    assert "bench" in usage
    for arguments, text in [(["--version"], f"allcores {__version__}\n"), (["describe", "--help"], "ddof=0")]:
        with pytest.raises(SystemExit) as ended:
            command.main(arguments)
        assert ended.value.code == 0
        assert text in capsys.readouterr().out
    for arguments in ["describe"], ["nonsense"], ["describe", "--nonsense", "a.npy"]:
        with pytest.raises(SystemExit) as ended:
            command.main(arguments)
        assert ended.value.code == 2
        assert "usage: python -m allcores" in capsys.readouterr().err


def test_bench_gets_its_arguments(monkeypatch, capsys):
    """And is imported for nothing else."""
    bench = types.ModuleType("allcores.bench.cli")
    bench.add_arguments = lambda parser: parser.add_argument("--size", type=int, help="of the arrays")
    bench.run = lambda args: args.size
    package = types.ModuleType("allcores.bench")
    package.cli = bench
    monkeypatch.setitem(sys.modules, "allcores.bench", package)
    monkeypatch.setitem(sys.modules, "allcores.bench.cli", bench)
    assert command.main(["bench", "--size", "7"]) == 7
    with pytest.raises(SystemExit):
        command.main(["bench", "--help"])
    assert "of the arrays" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "allcores.bench", None)
    assert command.main([]) == 0
    assert command.main(["describe", "nothere.npy"]) == 2


def test_from_the_shell(tmp_path):
    good, bad = save(tmp_path / "a.npy", np.arange(3)), tmp_path / "b.npy"
    result = shell("describe", good, bad)
    assert result.returncode == 2
    assert result.stderr == f"allcores: {bad}: No such file or directory\n"
    assert "int64" in result.stdout
    assert (shell().returncode, shell("--version").stdout) == (0, f"allcores {__version__}\n")


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_who_has_enough(tmp_path):
    path = write(tmp_path / "a.csv", ",".join(f"c{i}" for i in range(2000)) + "\n" + ",".join(["1"] * 2000))
    for arguments in (["describe", str(path)], ["describe", "--json", str(path)]):
        process = subprocess.Popen(
            [sys.executable, "-m", "allcores", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait() == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk(tmp_path):
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "allcores", "describe", str(save(tmp_path / "a.npy", np.arange(3)))],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (result.returncode, result.stderr) == (2, "allcores: standard output: No space left on device\n")


def test_interrupt(tmp_path, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(arrays, "describe_array", interrupted)
    assert command.main(["describe", str(save(tmp_path / "a.npy", np.arange(3)))]) == 130
    assert capsys.readouterr() == ("", "")


SLOW = """
    import sys, time
    from allcores.__main__ import main
    from allcores.describe import progress, tables
    tables.TEXT = 1000
    shown = progress.Progress.update
    def update(self, done, total):
        if not self.shown:
            print("started", flush=True)
        self.shown = 1
        time.sleep(0.001)
    progress.Progress.update = update
    sys.exit(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGINT of POSIX")
def test_ctrl_c(tmp_path):
    path = write(tmp_path / "a.csv", "a,b,c\n" + "1,2.5,x\n" * 1_000_000)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SLOW), "describe", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - begin < 5
    assert process.returncode == 130
    assert b"Traceback" not in errors


# ---- memory

ANONYMOUS = """
    import sys, threading
    def anonymous():
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
    from allcores.describe import cli, tables
    tables.import_pyarrow()
    peak = before = anonymous()
    ended = threading.Event()
    def watch():
        global peak
        while not ended.wait(0.002):
            peak = max(peak, anonymous())
    watcher = threading.Thread(target=watch)
    watcher.start()
    column = cli.describe_file(sys.argv[1]).columns[0]
    ended.set()
    watcher.join()
    print(column.count, column.max, (peak - before) // 1024)
"""


def peak_mebibytes(path: Path, count: int, largest: float) -> int:
    """Anonymous memory beyond that of the interpreter with everything imported."""
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ANONYMOUS), str(path)], capture_output=True, text=True, check=True
    )
    found, maximum, peak = result.stdout.split()
    assert (int(found), float(maximum)) == (count, largest)
    return int(peak)


needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/status") or "RssAnon" not in Path("/proc/self/status").read_text(),
    reason="RssAnon is Linux's",
)


@needs_proc
@pytest.mark.slow
def test_memory_of_npy(tmp_path):
    """2 GiB, of which the last element is on the disk."""
    path = tmp_path / "a.npy"
    with open(path, "wb") as file:
        count = (2 << 30) // 8
        file.write(header("<f8", (count,)))
        file.truncate(file.tell() + 8 * (count - 1))
        file.seek(0, os.SEEK_END)
        file.write(np.float64(7).tobytes())
    assert peak_mebibytes(path, count, 7) < 150


@needs_proc
def test_memory_of_csv(tmp_path):
    rows, times = 400_000, 10
    text = "".join(f"{i},{i / 7},text {i}\n" for i in range(rows)).encode()
    with open(tmp_path / "a.csv", "wb") as file:
        file.write(b"a,b,c\n")
        for _ in range(times):
            file.write(text)
    assert len(text) * times > 120e6
    assert peak_mebibytes(tmp_path / "a.csv", rows * times, rows - 1) < 300


@needs_proc
def test_memory_of_parquet(tmp_path):
    """A single row group of 320 MB."""
    count = 40_000_000
    table = pa.table({"a": np.arange(count, dtype=np.float64)})
    pa.parquet.write_table(
        table, tmp_path / "a.parquet", row_group_size=count, compression="none", use_dictionary=False
    )
    del table
    assert (tmp_path / "a.parquet").stat().st_size > 320e6
    assert peak_mebibytes(tmp_path / "a.parquet", count, count - 1) < 250
