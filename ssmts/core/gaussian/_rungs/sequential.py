"""The sequential rung, which claims everything: rows are absorbed one scalar at a time, whatever the model and the holes."""

from ssmts.core.gaussian._filter import filter_one, loglik_one
from ssmts.core.gaussian._ladder import Rung
from ssmts.core.gaussian._sample import sample_one
from ssmts.core.gaussian._score import score_one
from ssmts.core.gaussian._smooth import smooth_one

RUNG = Rung(
    name="sequential",
    cost="n_obs n_states^2 / 2 a row, and what the non-zero entries of the transition that mix states ask for",
    claims="every model: time-varying, missing, singular, exact diffuse start, however ill conditioned (scores then to "
    "1e-3); smoothed covariances lose digits with the square of how much wider a proper prior is than the noise that it is seen "
    "through: 1e-9 at 300 times, all of them at 1e7 times; where exact sensors hardly differ, or tell states over several rows, to "
    "1e-6, or an error that says that digits are lost",
    refuses=lambda job: "",
    loglik=loglik_one,
    filter=filter_one,
    smooth=smooth_one,
    score=score_one,
    sample=sample_one,
)
