"""
Hourly weather, with gaps
=========================

What John F. Kennedy Airport measured each hour of 2013: moving windows over a series in which hours are missing.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from distances import data

import allcores as ac

# %%
# Hours that are not in the file become NaN: windows are then as long as they say.

weather = pd.read_csv(data() / "weather.csv")
jfk = weather[weather.origin == "JFK"]
hour = jfk.time_hour.str[:13].to_numpy().astype("datetime64[h]")  # UTC
hour = (hour - hour.min()).astype(int)
temperature = np.full(hour.max() + 1, np.nan)
temperature[hour] = (jfk.temp.to_numpy() - 32) / 1.8
pressure = np.full(hour.max() + 1, np.nan)
pressure[hour] = jfk.pressure.to_numpy()
[int(ac.nancount(x)) for x in (temperature, pressure)], temperature.size

# %%
# ``min_count`` says how many numbers a window must have. Each window is computed from its own elements: nothing is
# added and later subtracted again.

day, week = 24, 7 * 24
coldest = ac.move_min(temperature, day, min_count=12, center=True)
warmest = ac.move_max(temperature, day, min_count=12, center=True)
mean = ac.move_mean(temperature, week, min_count=week // 2, center=True)

# %%
# Pressure is missing more often. Gaps of up to three hours are filled with the number before them.

filled = ac.ffill(pressure, limit=3)
smooth = ac.move_exp_nanmean(pressure, alpha=0.1)

fig, (upper, lower) = plt.subplots(2, figsize=(8, 6), layout="constrained")
x = np.arange(temperature.size) / day
upper.fill_between(x, coldest, warmest, alpha=0.3, label="coldest and warmest of 24 hours")
upper.plot(x, mean, label="mean of a week")
upper.set(ylabel="°C", xlabel="day of 2013", xlim=(0, x[-1]))
upper.legend()
part = slice(150 * day, 171 * day)
lower.plot(x[part], filled[part], label="gaps of up to 3 hours filled")
lower.plot(x[part], pressure[part], ".", markersize=3, label="measured")
lower.plot(x[part], smooth[part], label="exponential mean, alpha 0.1")
lower.set(ylabel="hPa", xlabel="day of 2013")
lower.legend()
plt.show()

# %%
# How does the pressure of a week go with its temperature?

together = ac.move_corr(pressure, temperature, week, min_count=week // 2)
ac.nanquantile(together, [0.1, 0.5, 0.9]).round(2)
