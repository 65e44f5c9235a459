"""Draws the tables of docs/benchmarks.md to docs/images/: nothing is measured here.

    python benchmarks/plot.py

A picture carries a digest of its numbers, so that a test sees when it is older than the table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
IMAGES = PAGE.parent / "images"
AHEAD, BEHIND, NUMPY = "#1f5a92", "#c2703d", "#9db8d2"

Bar = tuple[str, float, str, float | None]  # label, times as fast as the best other, which that is, as NumPy


@dataclass(frozen=True)
class Picture:
    name: str
    title: str
    panels: dict[str, list[Bar]]

    @property
    def digest(self) -> str:
        return sha256(repr(self.panels).encode()).hexdigest()[:16]


# ---- tables


def tables(text: str) -> dict[str, list[dict[str, str]]]:
    """The rows of each table, by the heading or bold line before it."""
    found: dict[str, list[dict[str, str]]] = {}
    title, columns = "", list[str]()
    for line in text.splitlines():
        if match := re.match(r"(?:#+ |\*\*)([^*]*)", line):
            title = match[1].strip()
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if not columns:
            columns = cells
        elif not set(line) <= set("|-: "):
            found.setdefault(title, []).append(dict(zip(columns, cells, strict=True)))
    return found


def number(text: str) -> float | None:
    return None if text == "-" else float(text)


def first(others: str) -> str:
    """Of "bottleneck 9.2, numbagg 25.7" the first, which is the fastest."""
    return others.split(",")[0].rsplit(" ", 1)[0]


def bars(rows: list[dict[str, str]], label: str, other: str) -> list[Bar]:
    found = []
    for row in rows:
        best = number(row["best/ac"])
        if best is not None:
            ratio = number(row["numpy/ac"]) if "numpy/ac" in row else None
            found.append((label.format(**row), best, row[other] if other == "best other" else first(row[other]), ratio))
    return found


def pictures(text: str) -> list[Picture]:
    found = tables(text)
    line, columns = found["float64 7,300,000 elements"], found["float64 (2600, 2800), axis 0"]
    windows = [row for row in found["Moving windows"] if "array" in row and not row["array"].endswith("axis 1")]
    series = [row for row in windows if row["window"] in ("0", "1,000", "1,001") and "axis" not in row["array"]]
    table = [row for row in windows if row["window"] in ("0", "20") and "axis 0" in row["array"]]
    order = [{**row, "what": row[""]} for row in found["Medians and quantiles"] if "data" in row]
    for row in order:
        if row["data"] not in row["what"]:
            row["what"] += f", {row['data']}"
    return [
        Picture(
            "reductions",
            "Reductions of 7.3 million float64",
            {
                "one series": bars(line, "{function}", "best other"),
                "(2600, 2800), axis 0": bars(columns, "{function}", "best other"),
            },
        ),
        Picture(
            "windows",
            "Moving and exponential windows",
            {
                "one series, window 1000": bars(series, "{function}", "others"),
                "(2600, 2800), axis 0, window 20": bars(table, "{function}", "others"),
            },
        ),
        Picture(
            "order",
            "Order statistics and sorting",
            {
                "medians and quantiles": bars(order, "{what}", "others"),
                "sorting": bars([row for row in found["Sorting"] if "case" in row], "{case}, {array}", "others"),
            },
        ),
    ]


# ---- pictures


def panel(axes: Any, title: str, drawn: list[Bar]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for place, (_, best, other, ratio) in enumerate(drawn):
        if ratio is not None and other != "numpy":
            axes.barh(place, ratio - 1, height=0.75, left=1, color=NUMPY, alpha=0.5)
        axes.barh(place, best - 1, height=0.5, left=1, color=AHEAD if best >= 1 else BEHIND)
        axes.text(max(best, ratio or 1, 1), place, f" {best:.2g} {other}", va="center", fontsize=7)
    axes.set_xscale("log")
    axes.set_xlim(0.5, 4 * max(max(best, ratio or 1) for _, best, _, ratio in drawn))
    axes.set_ylim(len(drawn) - 0.4, -0.6)
    axes.set_yticks(range(len(drawn)), [label for label, *_ in drawn], fontsize=8)
    axes.axvline(1, color="#333333", linewidth=0.8)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(title, fontsize=9)


def draw(picture: Picture) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    most = max(len(drawn) for drawn in picture.panels.values())
    with matplotlib.rc_context({"svg.hashsalt": picture.name, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 1 + 0.22 * most), layout="constrained")
        for axes, (title, drawn) in zip(figure.subplots(1, len(picture.panels)), picture.panels.items(), strict=True):
            panel(axes, title, drawn)
        figure.suptitle(f"{picture.title}: how many times as fast as the fastest other", fontsize=10)
        figure.savefig(IMAGES / f"{picture.name}.svg", metadata={"Date": None, "Description": picture.digest})


if __name__ == "__main__":
    for picture in pictures(PAGE.read_text(encoding="utf-8")):
        draw(picture)
        print(IMAGES / f"{picture.name}.svg")
