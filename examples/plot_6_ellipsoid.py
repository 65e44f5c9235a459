"""
Plain Python on processes
=========================

Formulas in plain Python hold the GIL, so threads would take turns. `allcores.futures.ProcessPoolExecutor` computes
them on all cores, with arrays in shared memory: how wrong are distances from New York that take the Earth for a sphere?
"""

import matplotlib.pyplot as plt
import numpy as np
from distances import airports, by_vincenty, data, great_circle

import allcores as ac
from allcores.futures import ProcessPoolExecutor

# %%
# From John F. Kennedy Airport to every second degree. ``by_vincenty``, from ``examples/distances.py``, iterates over an
# ellipsoid, row by row in plain Python; ``great_circle`` is a NumPy expression for a sphere.

places = airports(data())
home = places["JFK"]
lat, lon = np.meshgrid(np.arange(-88.0, 90, 2), np.arange(-179.0, 180, 2), indexing="ij")


def draw(off):
    """A map of the differences, and the airports."""
    fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    image = ax.pcolormesh(lon, lat, off, cmap="RdBu_r", vmin=-0.6, vmax=0.6)
    there = np.array(list(places.values()))
    ax.plot(there[:, 1], there[:, 0], "k.", markersize=0.5)
    ax.plot(home[1], home[0], "k*", markersize=10)
    ax.set(xlim=(-180, 180), ylim=(-90, 90), xlabel="longitude", ylabel="latitude")
    fig.colorbar(image, label="the sphere is longer by, %")


# %%
# Workers import the script, so what is not for them is under ``if __name__ == "__main__":``. Processes compute the
# ellipsoid, threads the sphere. Near the other side of the Earth Vincenty's iteration does not converge.

if __name__ == "__main__":
    ends = np.broadcast_arrays(*home, lat, lon)
    rows = np.stack([end.ravel() for end in ends], axis=1)
    with ProcessPoolExecutor(2) as pool:
        ellipsoid = ac.map_blocks(by_vincenty, rows, executor=pool).reshape(lat.shape)
    sphere = ac.map_blocks(great_circle, *np.radians(ends))
    off = np.where(ellipsoid < 12200, 100 * (sphere / ellipsoid - 1), np.nan)
    draw(off)
    plt.show()
    print(f"{rows.shape[0]:,} distances; off by at most {ac.nanmax(abs(off)):.2f}%")
