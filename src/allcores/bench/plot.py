"""Speed-ups as a picture: one panel a case, one line a function."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from .measure import NUMPY, Row

BY_NUMPY, BY_BEST = "#9db8d2", "#1f5a92"


def available() -> bool:
    try:
        import_module("matplotlib")
    except ImportError:
        return False
    return True


def panels(rows: list[Row]) -> dict[str, list[Row]]:
    """The cases that are plotted; where only others were measured, the first of these."""
    chosen = [row for row in rows if row.case.plotted] or [row for row in rows if row.case == rows[0].case]
    found: dict[str, list[Row]] = {}
    for row in chosen:
        found.setdefault(row.case.label, []).append(row)
    return found


def bars(axes: Any, members: list[Row], functions: list[str]) -> list[float]:
    """Against NumPy, and, where a package other than NumPy is the fastest one, against that. Returns all ratios."""
    by_name = {row.function: row for row in members}
    drawn: list[float] = []
    for place, name in enumerate(functions):
        row = by_name.get(name)
        if row is None:
            continue
        others = [(NUMPY, BY_NUMPY)] if row.best == NUMPY else [(NUMPY, BY_NUMPY), (row.best, BY_BEST)]
        for i, (other, colour) in enumerate(others):
            value = row.over(other)
            if value is None:
                continue
            at = place + (0.0 if len(others) == 1 else 0.4 * i - 0.2)
            label = f" {value:.2g}" if value < 1 else f" {value:.1f}" if value < 10 else f" {value:.0f}"
            label += "" if other == NUMPY else f" {other}"
            axes.barh(at, value - 1, height=0.38, left=1, color=colour)
            axes.text(max(value, 1), at, label, va="center", ha="left", fontsize=6.5, color="#333333")
            drawn.append(value)
    return drawn


def scale(axes: Any, ratios: list[float]) -> None:
    """Twice as fast and half as fast are equally long; room for the labels at the right."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min([0.5, *ratios]), max([4.0, *ratios])
    axes.set_xscale("log")
    axes.set_xlim(0.85 * low, high * (high / low) ** 0.35)
    ticks = [step * 10.0**power for power in range(-3, 4) for step in (1, 2, 5)]
    if high / low > 50:
        ticks = [10.0**power for power in range(-3, 4)]
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if 0.85 * low <= tick <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def draw(rows: list[Row], machine: dict[str, Any], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    found = panels(rows)
    functions = list(dict.fromkeys(row.function for members in found.values() for row in members))
    figure = Figure(figsize=(1.5 + 3.4 * len(found), 1.9 + 0.36 * len(functions)), layout="constrained")
    FigureCanvasAgg(figure)
    every = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, (label, members) in zip(every, found.items(), strict=True):
        scale(axes, bars(axes, members, functions))
        axes.axvline(1, color="#333333", linewidth=0.8)
        axes.set_title(label, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
    every[0].set_yticks(range(len(functions)), functions)
    every[0].set_ylim(len(functions) - 0.4, -0.6)
    figure.suptitle(
        f"How many times as fast as others allcores {machine['allcores']} is: "
        f"{machine['workers']} workers, {machine['cpu']}",
        fontsize=10,
    )
    figure.legend(
        handles=[Patch(color=BY_NUMPY, label="NumPy"), Patch(color=BY_BEST, label="the fastest other package")],
        loc="outside lower center",
        ncols=2,
        fontsize=8,
        frameon=False,
    )
    figure.savefig(path, dpi=150)
