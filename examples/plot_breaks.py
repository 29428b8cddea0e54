"""
Breaks: the dam at Aswan and the law on seat belts
==================================================

When did a level change, and by how much? `BreakDetector` smooths a structural model and asks every row what a dummy variable would say
there. What stands out most is added to the model, the model is estimated again, and so on while that pays.
"""

# %%
# The Nile
# --------
# A level that wanders follows the fall of 1899 and is hardly surprised by it. With the break in the model nothing is left for it
# to do: its variance is estimated as zero, and the break is nine standard errors wide.
import matplotlib.pyplot as plt
import numpy as np

from ssmts import BreakDetector, StructuralForecaster
from ssmts.datasets import load_classic
from ssmts.exceptions import DataUnavailableError


def draw(series, detector, title):
    """Readings and breaks, and the auxiliary residuals of the level before and after the model knows them."""
    stamps = series.index.to_timestamp()
    axes = plt.subplots(2, figsize=(8, 5), sharex=True, height_ratios=[3, 2], layout="constrained")[1]
    axes[0].plot(stamps, series, color="0.6", lw=1)
    for one in detector.breaks_.itertuples():
        axes[0].axvline(one.time.to_timestamp(), color="C3", lw=1)
        words = f"{one.kind} {one.size:+.3g}"
        axes[0].annotate(
            words, (one.time.to_timestamp(), series.max()), (4, 0), textcoords="offset points", color="C3", va="top"
        )
    axes[0].set_title(title)
    for known, colour, words in ((False, "C0", "before"), (True, "C1", "after")):
        t = detector.auxiliary_residuals(interventions=known)["level"]
        axes[1].plot(stamps, t, color=colour, lw=1, label=f"{words} the break is known")
    axes[1].axhline(0, color="0.8", lw=0.8, zorder=0)
    axes[1].set_ylabel("t of a level break")
    axes[1].legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 0.98), ncols=2, fontsize="small")


nile = load_classic("nile").data
detector = BreakDetector(StructuralForecaster("local_level")).fit(nile.to_frame())
print(detector.breaks_.round({"size": 1, "std_error": 1, "t": 1}).to_string())
draw(nile, detector, "Flow of the Nile")

# %%
# Seat belts
# ----------
# Drivers killed or seriously injured in Great Britain, month by month. In February 1983 seat belts became compulsory. The series comes
# with R and is downloaded on first use; without it there is nothing to see here.
try:
    drivers = np.log(load_classic("UKDriverDeaths").data)
except DataUnavailableError as error:
    print(error)
else:
    model = StructuralForecaster("local_level", season_length=12, seasonal="dummy")
    detector = BreakDetector(model).fit(drivers.to_frame())
    found = detector.breaks_.iloc[0]
    low, high = 100 * np.expm1(found["size"] + np.array([-1.96, 1.96]) * found["std_error"])
    print(f"{found['time']}: {100 * np.expm1(found['size']):.0f} % (95 %: {low:.0f} to {high:.0f} %)")
    draw(drivers, detector, "Log of drivers killed or seriously injured")

# %%
# Rows that come later
# --------------------
# They have no rows behind them and are scored by their innovations, from a state that the breaks did not disturb.
later = BreakDetector(StructuralForecaster("local_level"), false_alarm_rate=1e-3).fit(nile[:80].to_frame())
print(later.predict(nile[80:].to_frame()))
