"""A file that can't be described gets one line, and status 2."""

from __future__ import annotations

import gzip
import json
import os
import re
import sys

import numpy as np
import pytest
from describe_helpers import FLIGHTS, NPY, header, parquet, save, write, zipped

from allcores import __main__ as command
from allcores.describe import arrays, cli, tables
from allcores.describe.statistics import Problem

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")


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
    "header version": ("a.npy", NPY.replace(b"\x01\x00", b"\x09\x00", 1), "version 9.0 .* not known"),
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
