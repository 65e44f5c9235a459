"""``python -m allcores describe`` of CSV and Parquet: NumPy is the oracle."""

from __future__ import annotations

import io
import math
import subprocess
import sys

import numpy as np
import pytest
from describe_helpers import FLIGHTS, check, described, packed, write

from allcores.describe import cli, tables
from allcores.describe.statistics import Problem

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")

RNG = np.random.default_rng(0)


# ---- CSV


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


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Betrag, EUR;Datum, lokal\n1;2\n3;4\n", ["Betrag, EUR", "Datum, lokal"]),
        ('"Doe, Jane, Dr";Age\n1;41\n3;43\n', ["Doe, Jane, Dr", "Age"]),
        ('"a;b;c",n\n1,41\n3,43\n', ["a;b;c", "n"]),
        ("n (a, b);m (c, d, e);p, x\n1;2;3\n", ["n (a, b)", "m (c, d, e)", "p, x"]),
        ("a;b\n1,5;2\n3,5;4\n", ["a", "b"]),
        ("a|b\n1|2\n", ["a", "b"]),
        ("a\tb, c\n1\t2\n", ["a", "b, c"]),
        ("\n\na,b\n\n1,2\n", ["a", "b"]),
        ("a;b,c;d\n1;2,3;4\n", ["a", "b,c", "d"]),
        ("one\n1\n2\n", ["one"]),
    ],
)
def test_delimiters(tmp_path, text, names):
    """The one by which the rows have as many fields as the header, whatever else is in the names."""
    path = write(tmp_path / "x.csv", text + text[text.index("\n1") + 1 :] * 5)
    assert [column.name for column in cli.describe_file(str(path)).columns] == names
