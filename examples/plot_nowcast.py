"""
A yearly figure from quarterly ones, and what each quarter's news does to it
============================================================================

Suppose that gross domestic product were told once a year, and consumption, investment and unemployment every quarter. A dynamic
factor model reads them together: a factor moves them all from quarter to quarter, and the growth from year to year is a weighted
sum of the quarterly one. The quarterly product, which the model never sees, says how well that goes.
"""

# %%
# The data
# --------
# The United States from 1959 to 2009. Changes of logarithms in per cent; of unemployment, in points.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import statsmodels.datasets

from ssmts import DynamicFactorForecaster, KalmanImputer

table = statsmodels.datasets.macrodata.load_pandas().data
table.index = pd.period_range("1959Q1", periods=len(table), freq="Q")
logs = 100 * np.log(table[["realgdp", "realcons", "realinv"]])
y = logs.diff()[["realcons", "realinv"]].assign(unemployment=table["unemp"].diff())
yearly = 100 * np.log(table["realgdp"].rolling(4).mean()).diff(
    4
)  # growth of four quarters over the four before, every quarter
y["gdp"] = yearly.where(y.index.quarter == 4)  # but only the calendar years are told
y = y.iloc[1:]

# %%
# Quarter by quarter
# ------------------
# ``aggregation`` says that the column is the growth of a sum; that it covers four rows is seen from its rows. What the model
# thinks the growth was in the quarters between is compared with what it was.
model = DynamicFactorForecaster(aggregation={"gdp": "growth"})
filled = KalmanImputer(model).set_output(transform="pandas").fit_transform(y)
between = y["gdp"].isna() & yearly[1:].notna()
error = (filled["gdp"] - yearly[1:])[between]
print(f"root mean square error {np.sqrt(np.mean(error**2)):.2f} points; of growth itself {yearly.std():.2f}")

fig, axes = plt.subplots(2, sharex=True, figsize=(9, 6))
axes[0].plot(yearly.index.to_timestamp(), yearly, label="growth, never seen")
axes[0].plot(filled.index.to_timestamp(), filled["gdp"], "--", label="by the model")
axes[0].plot(y.index.to_timestamp(), y["gdp"], "k.", label="told")
axes[0].set_ylabel("growth, %")
axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
model.fit(y)
axes[1].plot(y.index.to_timestamp(), model.factors_.mean["factor_1"])
axes[1].set_title("the factor")

# %%
# The news of 2008
# ----------------
# What is expected of the year 2008 as its quarters come in, and why it changes: each new figure, what it was expected to be, what
# it weighs, and what it does. Impacts add up exactly to the change.
end = pd.Period("2008Q4")
known = y[:"2007Q4"]
model.fit(known)
for quarter in pd.period_range("2008Q1", "2008Q4", freq="Q"):
    later = y[:quarter].drop(columns="gdp").assign(gdp=y["gdp"].where(y.index < end))
    news = model.news(later, pd.PeriodIndex([end]))
    print(f"\n{quarter}: {news.previous['gdp'].item():.2f} -> {news.current['gdp'].item():.2f}")
    print(news.to_frame("gdp").loc["news"].tail(3).round(2).to_string())
print(f"\ntold in the end: {y['gdp'][end]:.2f}")
