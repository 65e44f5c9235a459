"""``python -m allcores describe`` of .npy and .npz: NumPy is the oracle."""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from describe_helpers import NPY, check, described, save

from allcores import __main__ as command
from allcores.describe import arrays, blocks, cli
from allcores.describe.statistics import Problem
from allcores.sources import files

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")

RNG = np.random.default_rng(0)


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
    monkeypatch.setattr(files, "LONGEST_HEADER", 1 << 20)
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
