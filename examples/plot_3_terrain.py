"""
Light on a landscape
====================

Slopes need neighbours, so blocks have to overlap: `allcores.map_overlap` over heights in Tennessee (a file that comes
with Matplotlib).
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cbook import get_sample_data

import allcores as ac

# %%
# Heights in metres, and how far apart they are (degrees of latitude and longitude, near 36° north).

with get_sample_data("jacksboro_fault_dem.npz") as file:
    height = file["elevation"].astype(float)
    dx, dy = 111200 * file["dx"] * np.cos(np.radians(36)), 111200 * file["dy"]
height.shape


# %%
# The function gets a block with one row of its neighbours on either side, and does not know that it is a block.


def shade(z, azimuth=315.0, altitude=45.0):
    """How much light falls on each point from there."""
    down, right = np.gradient(z, dy, dx)
    slope, aspect = np.arctan(np.hypot(down, right)), np.arctan2(down, -right)
    sun, above = np.radians(90 - azimuth), np.radians(altitude)
    return np.sin(above) * np.cos(slope) + np.cos(above) * np.sin(slope) * np.cos(sun - aspect)


light = ac.map_overlap(shade, height, {0: 1}, block_size=50)

fig, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
axes[0].imshow(height, cmap="terrain")
axes[0].set_title("metres above the sea")
axes[1].imshow(light, cmap="gray")
axes[1].set_title("light from the north-west")
for ax in axes:
    ax.set_axis_off()
plt.show()

# %%
# The blocks make what the whole makes, to the bit: each point's neighbours were there. Beyond the ends of the array
# there is nothing (``boundary="none"``), as without blocks.

bool((light == shade(height)).all())
