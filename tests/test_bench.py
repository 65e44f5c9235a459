"""The benchmarks: what they say is what was measured. No test asserts a speed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_helpers import EFFORT, READER, TINY, parse

from allcores.bench import cli, functions, limits, machine, measure, peers, plot, report, tables
from allcores.bench.cases import Case, Function

pytestmark = pytest.mark.usefixtures("no_peers")


# ---- reports


def made_up_row(function: str, all_workers: float, numpy: float, read: float | None = None) -> measure.Row:
    case = Case("memory", "float64", (2000, 1000), 0, (function,), plotted=True)
    row = measure.Row("reductions", case, function, 16_000_000)
    row.samples = {"numpy": [numpy] * 3, "1 worker": [2 * all_workers] * 3, "all workers": [all_workers] * 3}
    if read is not None:
        row.samples["read"] = [read] * 3
    return row


MACHINE: dict[str, Any] = {"workers": 4, "peers": {"bottleneck": "1"}, "allcores": "0", "cpu": "some CPU"}


def test_numbers_of_a_row() -> None:
    row = made_up_row("nansum", 1e-3, 4e-3, 0.5e-3)
    row.samples["bottleneck"] = [3e-3] * 3
    assert row.best == "bottleneck"
    assert row.over("bottleneck") == pytest.approx(3)
    assert row.bandwidth == pytest.approx(16)
    assert row.share == pytest.approx(0.5)
    texts = report.cells(row)
    assert texts == ["nansum", "2.00", "1.00", "-", "4.00", "bottleneck", "3.00"]
    assert len(texts) == len(report.titles(MACHINE)) == len(report.WIDTHS)
    assert sum(report.WIDTHS) <= 79


def test_tables_are_aligned() -> None:
    rows = [made_up_row("sum", 1e-3, 4e-3), made_up_row("count_nonzero", 100e-3, 0.4e-3, 1e-3)]
    rows[0].refused["bottleneck"] = "relative error 1e-02"
    rows[1].refused["fallback"] = "another result"
    lines = list(report.tables(rows, MACHINE))
    assert lines[1] == "reductions, float64 (2000, 1000), axis 0: ms"
    assert {len(line) for line in lines[2:5]} == {sum(report.WIDTHS)}
    assert "differs" in lines[4]
    assert lines[5].strip() == "sum, bottleneck: relative error 1e-02"
    document = list(report.markdown(rows, MACHINE))
    tables = [line for line in document if line.startswith("|")]
    assert len({line.count("|") for line in tables}) == 1
    assert len(tables) == 4


def test_the_summary_names_whom_others_outrun() -> None:
    rows = [made_up_row("sum", 1e-3, 4e-3), made_up_row("max", 2e-3, 1e-3)]
    found = limits.Limits(1 << 20, {READER.loop: {1: 10.0, 4: 12.0}}, READER, 4.0)
    about = machine.describe({}) | MACHINE
    lines = list(report.text(report.Results(about, found, rows)))
    ahead = lines.index("others are ahead in 1 of 2 rows:")
    assert lines[ahead - 2].split() == ["reductions,", "memory", "2", "1.41", "1.41", "2.00", "-"]
    assert lines[ahead + 1].startswith("  0.50  max, float64 (2000, 1000), axis 0: 2.00 ms, numpy 1.00")
    assert lines.index("reductions, float64 (2000, 1000), axis 0: ms") > ahead  # the summary comes first
    assert max(map(len, lines)) < 80


@pytest.mark.parametrize(("speed_up", "busy"), [(3.9, False), (1.1, True)])
def test_the_header_says_when_cores_are_busy(speed_up: float, busy: bool) -> None:
    about = machine.describe({}) | {"workers": 4, "load": None}
    found = limits.Limits(1 << 20, {READER.loop: {1: 10.0, 4: 12.0}}, READER, speed_up)
    lines = list(report.header(report.Results(about, found, [])))
    assert any("busy" in line for line in lines) == busy
    assert f"{READER.loop} on 4: 12.0 GB/s" in lines[2]


def test_what_was_measured_before_ctrl_c_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = iter([made_up_row("sum", 1e-3, 2e-3)])

    def measured(*_: Any) -> measure.Row:
        for row in rows:
            return row
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "row", measured)
    assert cli.run(parse("--functions", "sum,max"), TINY) == 130
    assert "interrupted" in (output := capsys.readouterr().out)
    assert "sum " in output
    with pytest.raises(KeyboardInterrupt):
        cli.run(parse("--functions", "sum,max"), TINY)


def test_machine(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Some CPU @ 3 GHz\n")
    assert machine.cpu_model(str(tmp_path / "cpuinfo")) == "Some CPU @ 3 GHz"
    assert machine.cpu_model(str(tmp_path / "missing"))
    for index, size in enumerate(("32K", "16M", "nonsense")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
    assert machine.largest_cache(str(tmp_path)) == 16 << 20
    assert machine.largest_cache(str(tmp_path / "missing")) == machine.LARGEST_CACHE
    json.dumps(machine.describe({}))


# ---- the command


def test_a_quick_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.json"
    assert cli.run(parse("reductions", "--quick", "--repeat", "2", "--json", str(path)), TINY) == 0
    output = capsys.readouterr().out
    results = json.loads(path.read_text())
    assert set(results) == {"machine", "bandwidth", "summary", "rows"}
    assert results["machine"]["numpy"] == np.__version__
    assert results["bandwidth"]["limit"]["GB/s"] > 0
    assert {row["function"] for row in results["rows"]} == set(tables.QUICK)
    for row in results["rows"]:
        assert {"numpy", "1 worker", "all workers", "fallback"} <= set(row["seconds"])
        assert not row["refused"]
        for found in row["seconds"].values():
            assert 0 < found["low"] <= found["median"] <= found["high"]
        assert row["over_allcores"]["numpy"] > 0
        assert row["function"] in output
    assert {found["group"] for found in results["summary"]} == {row["group"] for row in results["rows"]}
    for expected in ("memory, sums checked by np.sum", "the limit:", "cores: in cache", "geometric means"):
        assert expected in output


@pytest.mark.extended
def test_every_case_runs_and_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(parse("--repeat", "1"), TINY) == 0
    assert "differs" not in capsys.readouterr().out


def test_chosen_functions() -> None:
    chosen = list(cli.selected(parse("--functions", "ss,var"), TINY))
    assert {function.name for _, _, function in chosen} == {"ss", "var"}
    everything = list(cli.selected(parse("--functions", "ss"), TINY))
    quick = list(cli.selected(parse("--functions", "ss", "--quick"), TINY))
    assert 0 < len(quick) < len(everything)  # also where --quick alone leaves it out
    assert {name for name, _, _ in cli.selected(parse(), TINY)} == set(cli.FAMILIES)


def test_list_shows_every_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(parse("--list", "--functions", "nanvar")) == 0
    output = capsys.readouterr().out
    assert "ac.nanvar(x, axis=0)" in output
    assert "numbagg.nanvar(x, ddof=0)" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["windowz"], "invalid choice: 'windowz' (choose from reductions"),
        (["--functions", "nansum,nansumm"], "invalid choice: 'nansumm' (choose from sum, prod,"),
        (["--repeat", "0"], "'0' is not a positive integer"),
        (["--repeat", "x"], "'x' is not a positive integer"),
        (["--json", "/nowhere/at/all/f.json"], "there is no directory '/nowhere/at/all'"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        parse(*arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_a_disagreement_of_ours_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = Function("sum", "values", "ac.sum(x{axis})", "1 + np.sum(x{axis})")
    monkeypatch.setitem(functions.FUNCTIONS, "sum", wrong)
    assert cli.run(parse("--functions", "sum", "--quick", "--repeat", "1"), TINY) == 1
    assert "differs" in capsys.readouterr().out


def test_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.run(parse("--plot", "plot.png"), TINY) == 2
    captured = capsys.readouterr()
    assert captured.err == "--plot needs matplotlib: pip install allcores[bench]\n"
    assert captured.out == ""


@pytest.mark.parametrize("plotted", [True, False])
def test_plot(tmp_path: Path, plotted: bool) -> None:
    pytest.importorskip("matplotlib")
    rows = [made_up_row("sum", 1e-3, 4e-3), made_up_row("max", 2e-3, 1e-3), made_up_row("all", 1e-3, 300e-3)]
    rows[0].samples["bottleneck"] = [3e-3] * 3
    for row in rows if not plotted else []:
        row.case = Case("memory", "float64", (10,), None, ("sum",))
    plot.draw(rows, MACHINE, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_peers_that_are_missing_or_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    (tmp_path / "brokenpeer.py").write_text("import warnings\nwarnings.warn('noise')\nraise ImportError('no')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(peers, "PEERS", {"brokenpeer": "b", "numpy": "n"})
    assert peers.installed() == {"numpy": np.__version__}


@pytest.mark.extended
@pytest.mark.parametrize(
    "case",
    [
        case
        for family in tables.FAMILIES
        for case in tables.cases(family, TINY)
        if case.group != "small" and case.dtype != "float32"
    ],
    ids=lambda case: case.label,
)
def test_installed_peers_mean_the_same(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled for a dtype, the same degrees of freedom, the same ties: or a comparison would mean nothing."""
    monkeypatch.undo()
    if not peers.installed():
        pytest.skip("no peer is installed")
    for name in case.functions:
        assert not measure.row("any", case, functions.FUNCTIONS[name], READER, EFFORT).refused, name


def test_import_allcores_does_not_import_the_benchmarks() -> None:
    code = "import sys, allcores; sys.exit(any(name.startswith('allcores.bench') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True)
