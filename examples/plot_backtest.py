"""
Choose a model by backtest, inside a pipeline
=============================================

Monthly temperatures of the sea at El Niño. A forecaster is a regressor whose rows have times, so pipelines and searches of
scikit-learn take it as it is; the last years are kept for one look at the end.
"""

# %%
# The series, and what is known of its rows
# -----------------------------------------
# The month is known in advance. `CalendarFeatures` reads it from the index, so that a frame without columns is all of `X`.
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import ssmts
from ssmts import SeasonalNaive, StructuralForecaster, backtest
from ssmts.datasets import load_classic
from ssmts.evaluation import TimeSplit
from ssmts.preprocessing import CalendarFeatures

y, card = load_classic("elnino")
X = y.to_frame()[[]]
past, last = slice(None, -60), slice(-60, None)
print(y[past].tail(3))

# %%
# Search
# ------
# How many waves the year needs, and how the level moves, is settled on ten windows of a year within the past.
pipeline = make_pipeline(CalendarFeatures("month"), StructuralForecaster())
grid = {
    "calendarfeatures__harmonics": [1, 2, 3],
    "structuralforecaster__trend": ["fixed", "local_level"],
    "structuralforecaster__autoregressive": [0, 1],
}
search = GridSearchCV(pipeline, grid, cv=TimeSplit(horizon=12, n_windows=10))
search.fit(X[past], y[past])
table = pd.DataFrame(search.cv_results_)[[f"param_{name}" for name in grid] + ["mean_test_score"]]
table.columns = ["harmonics", "trend", "autoregressive", "score"]
print(table.sort_values("score", ascending=False).round(3).to_string(index=False))

# %%
# One look at the last five years
# -------------------------------
# From every month a year ahead. Without refitting the state alone moves on, in a pipeline as in a forecaster. The search
# weighed all leads alike and chose a model without memory; the same with an autoregression shows what that gives up.
best = search.best_estimator_
candidates = {
    "chosen": best,
    "with memory": clone(best).set_params(structuralforecaster__autoregressive=1),
    "seasonal naive": SeasonalNaive(season_length=12),
}
windows = {"horizon": 12, "n_windows": 49, "step": 1, "refit": False}
results = {name: backtest(model, X, y, **windows) for name, model in candidates.items()}
scores = pd.concat({name: result.scores(season_length=12).iloc[0] for name, result in results.items()}, axis=1)
print(scores.round(3).to_string())

# %%
# Mean absolute error by the months ahead
# ---------------------------------------
by_lead = pd.concat({name: result.scores("lead")["mae"] for name, result in results.items()}, axis=1)
ax = by_lead.plot(xlabel="months ahead", ylabel="mean absolute error, °C", ylim=(0, None))

# %%
# In these five years the last months told much of the next one, and misled beyond the third: warm and cold episodes turn.

# %%
# The windows of the model with memory
# ------------------------------------
results["with memory"].plot()

# %%
# Forecast
# --------
# The verbs go through the pipeline: a number of steps suffices, since only the index is read.
ssmts.update(search, X[last], y[last])
print(ssmts.forecast(search, 3, level=80).to_frame().round(2))
