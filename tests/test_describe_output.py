"""What ``python -m allcores describe`` prints, its progress, and its memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import numpy as np
import pytest
from describe_helpers import FLIGHTS, header, packed, save, shell, write

from allcores import __main__ as command
from allcores import __version__
from allcores.describe import arrays, cli, progress, report
from allcores.describe.statistics import Column, Description

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")

RNG = np.random.default_rng(0)


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
        command = [sys.executable, "-m", "allcores", *arguments]
        # Without a buffer: that of Python 3.14 has room for what does not fit into the pipe.
        process = subprocess.Popen(command, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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
@pytest.mark.extended
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
