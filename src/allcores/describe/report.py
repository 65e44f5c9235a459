"""Descriptions as text for a terminal, or as JSON."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np

from .statistics import Column, Description

GAP = "  "
HEADINGS = ("column", "dtype", "shape", "count", "NaN", "mean", "std", "min", "max")
LEFT = 3  # These are aligned to the left, the others to the right.
MOMENTS = slice(5, None)  # mean, std, min, max
SHORTEST_NAME = 8
LONGEST_DTYPE = 24


# ---- Text


def as_text(description: Description, width: int | None = None) -> str:
    """A heading and a table, made to fit `width` columns of a terminal as far as it can be."""
    table = lay_out(description)
    if width and longest(table) > width:
        table = lay_out(description, days=True)
        excess = longest(table) - width
        if excess > 0:
            names = longest(printable(column.name) for column in description.columns)
            table = lay_out(description, days=True, room=max(names - excess, SHORTEST_NAME))
    return "\n".join((heading(description), "", *table))


def heading(description: Description) -> str:
    file = printable(description.file)
    if description.rows is None:
        return file
    return f"{file}: {plural(description.rows, 'row')}, {plural(len(description.columns), 'column')}"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def lay_out(description: Description, days: bool = False, room: int | None = None) -> list[str]:
    """The lines of the table: datetimes to the day if `days`, names in at most `room` characters."""
    columns = description.columns
    rows = [HEADINGS, *(cells(column, room) for column in columns)]
    # Minimum and maximum of datetimes are long, and take the room of mean and std too, which they have none of.
    times = ["", *(span(column, days) for column in columns)]
    widths = [longest(texts) for texts in zip(*rows, strict=True)]
    gaps = len(GAP) * (len(widths[MOMENTS]) - 1)
    lacking = max(0, longest(times) - sum(widths[MOMENTS]) - gaps)
    widths[MOMENTS] = [width + (lacking + i) // 4 for i, width in enumerate(widths[MOMENTS])]
    shown = set(range(len(HEADINGS)))
    if not any(column.name for column in columns):
        shown.remove(HEADINGS.index("column"))
    if description.rows is not None:
        shown.remove(HEADINGS.index("shape"))  # (rows,) of every column: the heading has it
    lines = []
    for row, time in zip(rows, times, strict=True):
        texts = [pad(text, widths[i], i < LEFT) for i, text in enumerate(row) if i in shown]
        if time:
            texts[-len(widths[MOMENTS]) :] = [time.rjust(sum(widths[MOMENTS]) + gaps)]
        lines.append(GAP.join(texts).rstrip())
    return lines


def cells(column: Column, room: int | None) -> tuple[str, ...]:
    times = isinstance(column.min, np.generic)
    return (
        clip(printable(column.name), room),
        clip(printable(column.dtype), LONGEST_DTYPE),
        str(column.shape),
        f"{column.count:,}",
        "" if column.nans is None else f"{column.nans:,}",
        number(column.mean),
        number(column.std),
        "" if times else number(column.min),
        "" if times else number(column.max),
    )


def number(value: Any) -> str:
    """Six significant digits; integers in full up to ten."""
    if value is None:
        return ""
    if isinstance(value, int) and abs(value) < 10**10:
        return str(value)
    return f"{value:.6g}"


def span(column: Column, days: bool) -> str:
    """Minimum and maximum of datetimes and timedeltas; of anything else nothing."""
    if not isinstance(column.min, np.generic):
        return ""
    return GAP.join(time(value, column.utc, days) for value in (column.min, column.max))


def time(value: np.generic, utc: bool, days: bool = False) -> str:
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[D]")) if days else str(value) + "Z" * utc
    return str(value)


def printable(text: str) -> str:
    """Without line ends and what else would take the terminal over."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def clip(text: str, room: int | None) -> str:
    if room is None or display_width(text) <= room:
        return text
    while display_width(text) > room - 2:
        text = text[:-1]
    return text + ".."


def pad(text: str, width: int, left: bool) -> str:
    space = " " * (width - display_width(text))
    return text + space if left else space + text


def display_width(text: str) -> int:
    """Columns of a terminal: Chinese, Japanese and Korean characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )


def longest(texts: Iterable[str]) -> int:
    return max(map(display_width, texts), default=0)


# ---- JSON


def as_json(descriptions: list[Description]) -> str:
    """A list with an object for each file. Strict: NaN is null, and infinities, which have no JSON, are strings."""
    return json.dumps([plain(description) for description in descriptions], indent=2, allow_nan=False)


def plain(description: Description) -> dict[str, Any]:
    return {
        "file": description.file,
        "format": description.format,
        **({} if description.rows is None else {"rows": description.rows}),
        "ddof": 0,
        "columns": [
            {
                "name": column.name or None,
                "dtype": column.dtype,
                "shape": list(column.shape),
                "count": column.count,
                "nans": column.nans,
                "mean": value(column.mean),
                "std": value(column.std),
                "min": value(column.min, column.utc),
                "max": value(column.max, column.utc),
            }
            for column in description.columns
        ],
    }


def value(number: Any, utc: bool = False) -> Any:
    if isinstance(number, np.generic):
        return time(number, utc)
    if isinstance(number, complex):
        return {"real": value(number.real), "imag": value(number.imag)}
    if isinstance(number, float) and not math.isfinite(number):
        return None if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")
    return number
