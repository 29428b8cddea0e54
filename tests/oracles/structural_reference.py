"""Published and reproduced results of structural models.

Data: R's datasets, but for the fatalities (Commandeur and Koopman 2007, chapters 2 to 4). Each case: name of the file and of its
column, whether logarithms are taken, the model, its diffuse log-likelihood with log 2 pi for every row, and estimates.

* Nile: Durbin and Koopman (2012), section 2.10; to more digits by an exact diffuse filter.
* UK drivers, Norway, Finland: Commandeur and Koopman (2007), whose likelihoods (per row, without the log 2 pi of diffuse
  rows) are .6451960, .9369063, .8468622 and .7864746; level and trigonometric season also Durbin and Koopman, section 8.2.
* Seat belt law: Durbin and Koopman, section 8.2, as an exact diffuse filter reproduces it.
* AirPassengers, UKgas: R's StructTS with exact diffuse start.
"""

CASES = {
    "Nile": (
        ("Nile", "value", False),
        {"trend": "local_level"},
        -633.4645636362,
        {"obs_var": 15098.5177, "level_var": 1469.1768},
    ),
    "UK drivers, level": (
        ("UKDriverDeaths", "value", True),
        {"trend": "local_level"},
        122.95869053,
        {"obs_var": 0.002221549, "level_var": 0.011865980},
    ),
    "UK drivers, trigonometric season": (
        ("UKDriverDeaths", "value", True),
        {"trend": "local_level", "season_length": 12},
        168.85875169,
        {"obs_var": 0.003415964, "level_var": 0.000935879, "season_var": 5.00977e-7},
    ),
    "UK drivers, dummy season": (
        ("UKDriverDeaths", "value", True),
        {"trend": "local_level", "season_length": 12, "seasonal": "dummy"},
        177.70807400,
        {"obs_var": 0.003513989, "level_var": 0.000945643, "season_var": 0.0},
    ),
    "Norway": (
        ("vehicle_fatalities", "nf", True),
        {"trend": "local_level"},
        27.87437713,
        {"obs_var": 0.00326821, "level_var": 0.00470300},
    ),
    "Finland": (
        ("vehicle_fatalities", "ff", True),
        {"trend": "smooth"},
        24.90225837,
        {"obs_var": 0.00320083, "slope_var": 0.00153314},
    ),
    "AirPassengers": (
        ("AirPassengers", "value", True),
        {"trend": "local_linear", "season_length": 12, "seasonal": "dummy"},
        217.42040191,
        {"obs_var": 0.00012951, "level_var": 0.00069945, "slope_var": 0.0, "season_var": 0.00006413},
    ),
    "UKgas": (
        ("UKgas", "value", True),
        {"trend": "local_linear", "season_length": 4, "seasonal": "dummy"},
        79.19265436,
        {"obs_var": 0.00182249, "level_var": 0.0, "slope_var": 7.901e-6, "season_var": 0.00330859},
    ),
}

# The same maxima as Commandeur and Koopman (2007) print them, per row and without the log 2 pi of diffuse rows; for Finland also in all,
# as the documentation of statsmodels has it.
PER_ROW = {
    "UK drivers, level": 0.6451960,
    "UK drivers, trigonometric season": 0.9369063,
    "Norway": 0.8468622,
    "Finland": 0.7864746,
}
FINLAND = 26.740
# Durbin and Koopman (2012), section 8.2, level and trigonometric season
DRIVERS_OF_THE_BOOK = {"obs_var": 0.00341598, "level_var": 0.000935852, "season_var": 5.01096e-7}

SEAT_BELT_LAW = {
    "loglik": 183.28274721,
    "params": {"obs_var": 0.00378384, "level_var": 0.00047358, "season_var": 0.0},
    "coef": -0.23980671,
    "stderr": 0.05307187,
}

NILE_MISSING_LOGLIK = -381.5060013085  # rows 21-40 and 61-80 missing, variances 15099 and 1469.1
NILE_MISSING_SMOOTHED = {
    29: (903.42110296, 9715.0059025),
    69: (837.17732371, 9715.0055490),
}  # row from 0: mean, variance
NILE_NEXT_STATE = (798.3702926083578, 5501.257941809)  # variances 15099 and 1469.1
NILE_SMOOTHED = {
    0: (1111.66831913, 4032.15794181),
    1: (1110.85766462, 3242.93007322),
    99: (798.37029261, 4032.15794181),
}
NILE_FORECAST_VARIANCE = {1: 20600.25794, 30: 63204.15794}
# Durbin and Koopman (2012), section 2.12.3, printed to two digits
NILE_DIAGNOSTICS = {
    "ljung_box": 8.84,
    "normality": 0.05,
    "skewness": -0.03,
    "kurtosis": 3.09,
    "heteroscedasticity": 0.61,
}

# Koopman (1997) as printed in Stata's manual of sspace, to more digits by an exact diffuse filter
DIFFUSE_TOYS = (
    ("local_level", (10.2394, *(1.0,) * 9), {"obs_var": 1.993, "level_var": 8.253}, -23.93526038414123),
    (
        "local_linear",
        (10.2394, 4.2039, 6.123123, *(1.0,) * 7),
        {"obs_var": 1.993, "level_var": 8.253, "slope_var": 2.334},
        -22.9743754536417,
    ),
    (
        "local_linear",
        (10.2394, float("nan"), 6.123123, *(1.0,) * 7),
        {"obs_var": 1.993, "level_var": 8.253, "slope_var": 2.334},
        -20.14148980996393,
    ),
)
