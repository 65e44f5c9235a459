"""
Neighbours of handwritten digits
================================

1,797 digits of scikit-learn, each recognised by its five nearest neighbours: `allcores.map_blocks` computes distances
block by block, so that the matrix of all of them is never in memory, and `allcores.topk` keeps the nearest.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import allcores as ac

pixels, digit = load_digits(return_X_y=True)
pixels.shape

# %%
# ``others`` is a keyword argument: every block gets it whole. Calls of allcores in a block run in the block's own
# thread.


def nearest(block, others, k):
    """Positions of the `k` nearest others, without the one that is the same."""
    squares = (block**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * block @ others.T
    return ac.topk(squares, k + 1, axis=1, largest=False)[1][:, 1:]


neighbours = ac.map_blocks(nearest, pixels, others=pixels, k=5)
neighbours.shape

# %%
# The most frequent digit among the five wins; of equals the smaller.

votes = (digit[neighbours][:, :, None] == np.arange(10)).sum(axis=1)
guess = ac.argmax(votes, axis=1)
wrong = np.flatnonzero(guess != digit)
f"{1 - wrong.size / digit.size:.1%} right"

# %%
# Those that it takes for something else:

fig, axes = plt.subplots(2, 8, figsize=(8, 2.8), layout="constrained")
for ax, i in zip(axes.flat, wrong, strict=False):
    ax.imshow(pixels[i].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{digit[i]}, taken for {guess[i]}", fontsize=7)
for ax in axes.flat:
    ax.set_axis_off()
plt.show()
