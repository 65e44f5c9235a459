"""The README's table and its picture, docs/speed.svg: NumPy and the fastest other package beside allcores.

    python benchmarks/readme.py --write

Interleaved, medians over the rounds; who gives another result ends the run. Packages that are not installed don't take
part: for all of them, pip install "allcores[bench]" scipy numexpr.
"""

from __future__ import annotations

import argparse
import gc
import platform
import sys
import warnings
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

import allcores as ac
from allcores.bench import machine, measure, plot
from allcores.bench.cases import gaps, values
from allcores.bench.measure import ALL, NUMPY, Row
from allcores.bench.timing import Contender, interleave

HOME = Path(__file__).parent.parent
BEGIN, END = "<!-- benchmarks/readme.py -->\n", "<!-- end -->\n"

# By the names in statements. numba's threads are numbagg's.
PACKAGES = {"bn": "bottleneck", "numbagg": "numbagg", "pl": "polars", "ndimage": "scipy.ndimage", "ne": "numexpr"}


class Line(NamedTuple):
    """A line of the table: statements over the arrays of `arrays`, and a unit of time in seconds."""

    title: str
    ours: str
    numpy: str | None
    peers: tuple[str, ...] = ()
    unit: float = 1e-3


LINES = (
    Line("`nansum`", "ac.nansum(g)", "np.nansum(g)", ("bn.nansum(g)", "numbagg.nansum(g)")),
    Line("`nanmean`", "ac.nanmean(g)", "np.nanmean(g)", ("bn.nanmean(g)", "numbagg.nanmean(g)")),
    Line("`nanvar`", "ac.nanvar(g)", "np.nanvar(g)", ("bn.nanvar(g)", "numbagg.nanvar(g, ddof=0)")),
    Line("`var`", "ac.var(x)", "np.var(x)", ("s.var(ddof=0)",)),
    Line("`sum`", "ac.sum(x)", "np.sum(x)", ("s.sum()",)),
    Line("`argmin`", "ac.argmin(x)", "np.argmin(x)", ("s.arg_min()",)),
    Line(
        "`nanvar(axis=0)` of (2600, 2800)",
        "ac.nanvar(t, axis=0)",
        "np.nanvar(t, axis=0)",
        ("bn.nanvar(t, axis=0)", "numbagg.nanvar(t, axis=0, ddof=0)"),
    ),
    Line("`nanvar` of 100,000", "ac.nanvar(h)", "np.nanvar(h)", ("bn.nanvar(h)",), 1e-6),
    Line("`nansum` of 1,000", "ac.nansum(k)", "np.nansum(k)", ("bn.nansum(k)",), 1e-6),
    Line("`median`", "ac.median(x)", "np.median(x)", ("s.median()", "bn.median(x)")),
    Line(
        "`nanmedian(axis=0)` of (2600, 2800)",
        "ac.nanmedian(t, axis=0)",
        None,
        ("numbagg.nanmedian(t, axis=0)", "bn.nanmedian(t, axis=0)"),
    ),
    Line(
        "`nanquantile(q=0.3, axis=1)` of (2600, 2800)",
        "ac.nanquantile(t, 0.3, axis=1)",
        None,
        ("numbagg.nanquantile(t, 0.3, axis=1)",),
    ),
    Line("`topk` of 100", "ac.topk(x, 100)[0]", "np.sort(x[np.argpartition(x, -100)[-100:]])[::-1]"),
    Line("`sort`", "ac.sort(x)", "np.sort(x)", ("s.sort()",)),
    Line("`argsort`", "ac.argsort(x)", "np.argsort(x)", ("s.arg_sort()",)),
    Line("`rankdata` of 1 million", "ac.rankdata(m)", None, ("bn.rankdata(m)",)),
    Line(
        "`move_median` of 1 million, window 1001",
        "ac.move_median(m, 1001)[1000:]",
        None,
        ("ndimage.median_filter(m, 1001)[500:-500]", "bn.move_median(m, 1001)[1000:]"),
    ),
    Line("`move_max`, window 1000", "ac.move_max(x, 1000)", None, ("bn.move_max(x, 1000)",)),
    Line("`move_mean`, window 1000", "ac.move_mean(x, 1000)", None, ("bn.move_mean(x, 1000)",)),
    Line("`move_var`, window 50", "ac.move_var(x, 50)", None, ("bn.move_var(x, 50)",)),
    Line(
        "`map_blocks` of `sqrt(a*a + b*b) * exp(-a)`",
        "ac.map_blocks(lambda a, b: np.sqrt(a * a + b * b) * np.exp(-a), x, y)",
        "np.sqrt(x * x + y * y) * np.exp(-x)",
        ("ne.evaluate('sqrt(x * x + y * y) * exp(-x)')",),
    ),
)


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    found: dict[str, Any] = {
        "x": values(rng, (7_300_000,), np.dtype(float)),
        "y": values(rng, (7_300_000,), np.dtype(float)),
        "g": gaps(rng, (7_300_000,), np.dtype(float)),
        "t": gaps(rng, (2600, 2800), np.dtype(float)),
        "m": values(rng, (1_000_000,), np.dtype(float)),
        "h": gaps(rng, (100_000,), np.dtype(float)),
        "k": gaps(rng, (1000,), np.dtype(float)),
    }
    return found


def packages() -> dict[str, Any]:
    """Those that are installed, by the name in statements."""
    found = {}
    for short, name in PACKAGES.items():
        try:
            found[short] = import_module(name)
        except ImportError:
            print(f"{name} is not installed", file=sys.stderr)
    if "ne" in found:
        found["ne"].set_num_threads(ac.get_workers())
    return found


def contenders(line: Line, names: dict[str, Any], modules: dict[str, Any]) -> list[Contender]:
    """Those that are there, and give our result."""
    used = {**modules, **names, "ac": ac, "np": np}
    ours = Contender(ALL, line.ours, used)
    found = [ours]
    if line.numpy:
        found.append(Contender(NUMPY, line.numpy, used))
    for statement in line.peers:
        short = "pl" if statement.startswith("s.") else statement.split(".")[0]
        if short in modules:
            found.append(Contender(PACKAGES[short], statement, used))
    wanted = np.asarray(ours.result())
    for other in found[1:]:
        error = measure.error(other.result(), wanted)
        if error > 1e-6:
            raise AssertionError(f"{other.statement}: relative error {error:.0e}")
    return found


def number(seconds: float | None, unit: float) -> str:
    if seconds is None:
        return "-"
    value = seconds / unit
    return f"{value:.2g}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def table(lines: list[tuple[Line, Row]]) -> str:
    rows = ["| | allcores | NumPy | best other |", "|---|--:|--:|--:|"]
    for line, row in lines:
        others = [name for name in row.samples if name not in (ALL, NUMPY)]
        best = min(others, key=lambda name: median(row.samples[name]), default=None)
        other = "-" if best is None else f"{best} {number(row.seconds(best), line.unit)}"
        title = line.title + (", in microseconds" if line.unit == 1e-6 else "")
        ours, numpys = number(row.seconds(ALL), line.unit), number(row.seconds(NUMPY), line.unit)
        rows.append(f"| {title} | {ours} | {numpys} | {other} |")
    return "\n".join(rows)


def caption(about: dict[str, Any]) -> str:
    versions = [f"Python {about['python']}", f"NumPy {about['numpy']}"]
    versions += [f"{name.split('.')[0]} {version(name.split('.')[0])}" for name in PACKAGES.values()]
    return (
        f"7.3 million float64, 2% of them NaN for the nan-functions, milliseconds; medians of interleaved runs with "
        f"{about['workers']} workers on\n{about['cores']} cores ({about['cpu']}, {platform.system()}), "
        f"{', '.join(versions)}:"
    )


def picture(lines: list[tuple[Line, Row]], about: dict[str, Any], path: Path) -> None:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "allcores"})
    titles = [line.title.replace("`", "") for line, _ in lines]
    rows = [row for _, row in lines]
    figure = Figure(figsize=(8.5, 1.4 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    plot.scale(axes, plot.bars(axes, rows, titles))
    axes.axvline(1, color="#333333", linewidth=0.8)
    axes.set_yticks(range(len(titles)), titles)
    axes.set_ylim(len(titles) - 0.4, -0.6)
    axes.tick_params(labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title(
        f"How many times as fast as others allcores {about['allcores']} is: {about['workers']} workers, {about['cpu']}",
        fontsize=9,
        loc="right",
    )
    handles = [Patch(color=plot.BY_NUMPY, label="NumPy"), Patch(color=plot.BY_BEST, label="the fastest other package")]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="into README.md and docs/speed.svg, not to stdout")
    parser.add_argument("--only", default="", help="lines with this text in their title")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    names, modules = arrays(), packages()
    if "pl" in modules:
        names["s"] = modules["pl"].Series(names["x"])
    lines = []
    for line in LINES:
        if args.only in line.title:
            row = Row("readme", None, line.title.replace("`", ""), 0)  # type: ignore[arg-type]
            row.samples = interleave(contenders(line, names, modules), args.rounds)
            lines.append((line, row))
            print(line.title, {name: f"{median(times):.2e}" for name, times in row.samples.items()}, file=sys.stderr)
            gc.collect()
    about = machine.describe({})
    text = f"{caption(about)}\n\n{table(lines)}\n"
    if not args.write:
        print(text)
        return 0
    readme = HOME / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    readme.write_text(before + BEGIN + text + END + rest.split(END)[1], encoding="utf-8")
    picture(lines, about, HOME / "docs" / "speed.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
