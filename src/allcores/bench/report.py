"""Rows as text, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from textwrap import wrap
from typing import Any

from .limits import Limits
from .measure import ALL, FALLBACK, NUMPY, ONE, Row
from .timing import geometric_mean, spread

MILLISECONDS_FROM = 1_000_000  # elements; below, microseconds are the readable unit


@dataclass
class Results:
    machine: dict[str, Any]
    limits: Limits
    rows: list[Row]
    interrupted: bool = False

    @property
    def wrong(self) -> list[Row]:
        """The rows in which an answer of allcores was not the one that everybody has to give."""
        return [row for row in self.rows if any(name in row.refused for name in (ONE, ALL, FALLBACK))]


def number(value: float) -> str:
    """About three digits, aligned by eye."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


# ---- one table: a case


def unit(row: Row) -> tuple[str, float]:
    elements = 1
    for length in row.case.shape:
        elements *= length
    return ("ms", 1e3) if elements >= MILLISECONDS_FROM else ("µs", 1e6)


# Of a table's columns, 78 in all.
WIDTHS = (17, 9, 10, 9, 9, 12, 12)


def titles(machine: dict[str, Any]) -> list[str]:
    return ["function", "1 worker", f"{machine['workers']} workers", "fallback", "numpy", "best other", "times ours"]


def cells(row: Row) -> list[str]:
    """Times, and how many times ours the best other one's is."""
    scale = unit(row)[1]

    def time(name: str) -> str:
        seconds = row.seconds(name)
        if seconds is None:
            return "differs" if name in row.refused else "-"
        return number(scale * seconds)

    best = row.over(row.best)
    times = map(time, (ONE, ALL, FALLBACK, NUMPY))
    return [row.function, *times, row.best or "-", "-" if best is None else number(best)]


def line(texts: Sequence[str]) -> str:
    """The function to the left, everything else to the right."""
    first, *others = texts
    return first.ljust(WIDTHS[0]) + "".join(text.rjust(width) for text, width in zip(others, WIDTHS[1:], strict=True))


def notes(row: Row) -> Iterator[str]:
    """Why somebody has no time."""
    for name, why in row.refused.items():
        yield f"{row.function}, {name}: {why}"


# ---- what comes before and after the tables


def header(results: Results) -> Iterator[str]:
    machine, limits = results.machine, results.limits
    peers = ", ".join(f"{name} {version}" for name, version in machine["peers"].items()) or "no peers installed"
    yield (
        f"allcores {machine['allcores']} ({machine['backend']}, {machine['workers']} workers), "
        f"Python {machine['python']}, NumPy {machine['numpy']}; {peers}"
    )
    load = "" if machine["load"] is None else f", load {machine['load']:.1f}"
    yield f"{machine['cpu']}, {machine['cores']} cores, largest cache {machine['largest_cache'] >> 20} MiB{load}"
    speeds = [
        f"{loop} on {workers}: {speed:.1f} GB/s"
        for loop, by_workers in limits.bandwidth.items()
        for workers, speed in by_workers.items()
    ]
    yield f"memory, sums checked by np.sum: {', '.join(speeds)}"
    yield f"  the limit: {limits.reader.loop} on {limits.reader.workers}; share: of what it reads in the same rounds"
    yield f"cores: in cache, {machine['workers']} are {limits.speed_up:.2f} times as fast as 1"
    if limits.speed_up < 0.8 * machine["workers"]:
        yield "  the cores are busy or shared: nothing below can gain more from all workers than that"


def groups(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.family, row.case.group), []).append(row)
    return found


def summary(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Geometric means of a group."""
    found: list[dict[str, Any]] = []
    for (family, group), members in groups(rows).items():
        means: dict[str, Any] = {"family": family, "group": group, "rows": len(members)}
        ratios = {
            "numpy": [row.over(NUMPY) for row in members],
            "best": [row.over(row.best) for row in members],
            "one_worker": [row.over(ONE) for row in members],
            "share": [row.share for row in members],
        }
        for name, values in ratios.items():
            known = [value for value in values if value is not None]
            means[name] = geometric_mean(known) if known else None
        found.append(means)
    return found


def behind(rows: Iterable[Row]) -> list[tuple[float, Row]]:
    """Where somebody else is faster, the worst first."""
    found = [(value, row) for row in rows if (value := row.over(row.best)) is not None and value < 1]
    return sorted(found, key=lambda pair: pair[0])


def whole(results: Results) -> Iterator[str]:
    """All of it in some lines: means, and where somebody else is ahead."""
    rows = results.rows
    yield ""
    yield "geometric means: how many times as fast as others allcores on all workers is"
    yield ""
    yield f"{'':<22}{'rows':>5}{'NumPy':>11}{'best other':>12}{'1 worker':>11}{'bandwidth':>11}"
    for means in summary(rows):
        found = ["-" if means[name] is None else number(means[name]) for name in ("numpy", "best", "one_worker")]
        share = "-" if means["share"] is None else f"{100 * means['share']:.0f}%"
        name = f"{means['family']}, {means['group']}"
        yield f"{name:<22}{means['rows']:>5}{found[0]:>11}{found[1]:>12}{found[2]:>11}{share:>11}"
    yield ""
    slower = behind(rows)
    yield f"others are ahead in {len(slower)} of {len(rows)} rows" + (":" if slower else "")
    for value, row in slower:
        scale, times = unit(row)
        ours, theirs = row.seconds(ALL) or 0.0, row.seconds(row.best) or 0.0
        yield (
            f"  {value:.2f}  {row.function}, {row.case.label}: "
            f"{number(times * ours)} {scale}, {row.best} {number(times * theirs)}"
        )
    if results.wrong:
        yield f"allcores gives another answer in {len(results.wrong)} rows"
    if results.interrupted:
        yield "interrupted: the rest was not measured"


# ---- whole documents


def title(row: Row) -> str:
    return f"{row.family}, {row.case.label}"


def tables(rows: Iterable[Row], machine: dict[str, Any]) -> Iterator[str]:
    """The rows of each case, and under them why somebody has no time."""
    for name, members in groupby(rows, key=title):
        found = list(members)
        yield from ("", f"{name}: {unit(found[0])[0]}")
        yield line(titles(machine))
        for row in found:
            yield line(cells(row))
        for row in found:
            yield from (f"  {note}" for note in notes(row))


def text(results: Results) -> Iterator[str]:
    """What the command prints in 80 columns, the summary first."""
    for paragraph in header(results):
        yield from wrap(paragraph, 79, subsequent_indent="    ")
    yield from whole(results)
    yield from tables(results.rows, results.machine)


def markdown(rows: Iterable[Row], machine: dict[str, Any]) -> Iterator[str]:
    for name, members in groupby(rows, key=title):
        found = list(members)
        columns = titles(machine)
        yield from ("", f"**{name}** ({unit(found[0])[0]})", "")
        yield f"| {' | '.join(columns)} |"
        yield "|---" + "|--:" * (len(columns) - 1) + "|"
        for row in found:
            yield f"| {' | '.join(cells(row))} |"


def row_as_json(row: Row) -> dict[str, Any]:
    case = row.case
    seconds = {}
    for name, samples in row.samples.items():
        low, high = spread(samples)
        seconds[name] = {"median": median(samples), "low": low, "high": high, "samples": len(samples)}
    return {
        "family": row.family,
        "group": case.group,
        "function": row.function,
        "dtype": case.dtype,
        "shape": list(case.shape),
        "axis": case.axis,
        "layout": case.layout,
        "bytes": row.nbytes,
        "seconds": seconds,
        "over_allcores": {name: row.over(name) for name in row.samples if name != ALL},
        "best_other": row.best,
        "GB/s": row.bandwidth,
        "share": row.share,
        "refused": row.refused,
    }


def as_json(results: Results) -> dict[str, Any]:
    return {
        "machine": results.machine,
        "bandwidth": results.limits.as_json(),
        "summary": summary(results.rows),
        "rows": [row_as_json(row) for row in results.rows],
    }
