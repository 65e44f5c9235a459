"""Rows as text, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from .limits import Limits
from .measure import ALL, FALLBACK, NUMPY, ONE, Row
from .timing import geometric_mean, spread

MILLISECONDS_FROM = 1_000_000  # elements; below, microseconds are the readable unit


@dataclass(frozen=True)
class Results:
    machine: dict[str, Any]
    limits: Limits
    rows: list[Row]

    @property
    def agree(self) -> bool:
        """Whether allcores' answers were NumPy's."""
        return not any(name in row.refused for row in self.rows for name in (ONE, ALL, FALLBACK))


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


def titles(machine: dict[str, Any]) -> list[str]:
    workers = machine["workers"]
    ours = ["function", "1 worker", f"{workers} workers", "fallback", "numpy", *machine["peers"]]
    return [*ours, "numpy/ac", "best other", "best/ac", "GB/s", "share"]


def cells(row: Row, machine: dict[str, Any]) -> list[str]:
    scale = unit(row)[1]

    def time(name: str) -> str:
        seconds = row.seconds(name)
        if seconds is None:
            return "differs" if name in row.refused else "-"
        return number(scale * seconds)

    def times(value: float | None) -> str:
        return "-" if value is None else number(value)

    contenders = [time(name) for name in (ONE, ALL, FALLBACK, NUMPY, *machine["peers"])]
    share = "-" if row.share is None else f"{100 * row.share:.0f}%"
    ratios = [times(row.over(NUMPY)), row.best, times(row.over(row.best)), times(row.bandwidth), share]
    return [row.function, *contenders, *ratios]


def line(texts: Sequence[str], columns: Sequence[str]) -> str:
    """The function to the left, everything else to the right."""
    widths = [max(len(title), 8) for title in columns]
    widths[0] = 13
    first, *others = texts
    return "  ".join(
        [first.ljust(widths[0]), *(text.rjust(width) for text, width in zip(others, widths[1:], strict=True))]
    )


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


def footer(rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    yield "geometric means: how many times as fast as others allcores on all workers is"
    for means in summary(rows):
        known = {name: "-" if means[name] is None else number(means[name]) for name in ("numpy", "best", "one_worker")}
        share = "" if means["share"] is None else f", {100 * means['share']:.0f}% of the bandwidth"
        yield (
            f"  {means['family']}, {means['group']:<9} {means['rows']:>4} rows: {known['numpy']} NumPy, "
            f"{known['best']} the best other, {known['one_worker']} one worker{share}"
        )
    slower = behind(rows)
    yield f"others are ahead in {len(slower)} of {len(rows)} rows" + (":" if slower else "")
    for value, row in slower:
        scale, times = unit(row)[0], unit(row)[1]
        ours, theirs = row.seconds(ALL) or 0.0, row.seconds(row.best) or 0.0
        yield (
            f"  {value:.2f}  {row.function}, {row.case.label}: "
            f"{number(times * ours)} {scale}, {row.best} {number(times * theirs)}"
        )


# ---- whole documents


def text(rows: Iterable[Row], machine: dict[str, Any]) -> Iterator[str]:
    """Line by line as rows come in: a run takes minutes."""
    columns = titles(machine)
    label, remarks = "", list[str]()
    for row in rows:
        if row.case.label != label:
            yield from remarks
            label, remarks = row.case.label, []
            yield ""
            yield f"{label}: {unit(row)[0]}"
            yield line(columns, columns)
        yield line(cells(row, machine), columns)
        remarks += [f"  {note}" for note in notes(row)]
    yield from remarks


def markdown(rows: Iterable[Row], machine: dict[str, Any]) -> Iterator[str]:
    columns = titles(machine)
    label = ""
    for row in rows:
        if row.case.label != label:
            label = row.case.label
            yield from ("", f"**{label}** ({unit(row)[0]})", "")
            yield f"| {' | '.join(columns)} |"
            yield "|---" + "|--:" * (len(columns) - 1) + "|"
        yield f"| {' | '.join(cells(row, machine))} |"


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
