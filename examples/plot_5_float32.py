"""
The brightness of a picture, in float32
=======================================

NumPy adds float32 in float32, and along an axis that is not the fastest in memory it adds one after the other. allcores
adds in float64, in blocks, and rounds once. How much does that matter on a photograph of 273,280 pixels?
"""

from math import fsum

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

import allcores as ac

photograph = load_sample_image("china.jpg")
pixels = (photograph.reshape(-1, 3) / 255).astype("f4")  # red, green and blue, one row a pixel
pixels.shape

# %%
# The exact sum by :func:`math.fsum`, for 100 samples of the pixels; errors in units of the last place of float32.

rng = np.random.default_rng(0)
errors = {"np.sum(axis=0)": [], "np.sum of a column": [], "ac.sum(axis=0)": []}
for _ in range(100):
    sample = pixels[rng.integers(0, len(pixels), len(pixels))]
    red = np.ascontiguousarray(sample[:, 0])
    exact = fsum(red.tolist())
    for name, got in (
        ("np.sum(axis=0)", np.sum(sample, axis=0)[0]),
        ("np.sum of a column", np.sum(red)),
        ("ac.sum(axis=0)", ac.sum(sample, axis=0)[0]),
    ):
        errors[name].append(abs(float(got) - exact) / float(np.spacing(np.float32(exact))))

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.imshow(photograph)
left.set_axis_off()
right.boxplot(list(errors.values()), orientation="horizontal", tick_labels=list(errors))
right.set(xscale="log", xlabel="error, in units of the last place")
plt.show()

# %%
# The largest errors of each:

{name: round(max(values), 2) for name, values in errors.items()}

# %%
# Half a unit is the rounding of the result itself: nobody does better in float32. And it is the same for any number of
# workers:

len({ac.sum(pixels, axis=0, workers=workers).tobytes() for workers in (1, 2, 3)})
