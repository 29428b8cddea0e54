"""The jobs of `kalman.py` as other packages do them; a package that is not installed leaves its cells empty.

None of them has an exact diffuse start, so they get the variance 1e6 instead, as statsmodels has by default.
"""

import importlib.util

import numpy as np

KAPPA = 1e6


def installed(module):
    return importlib.util.find_spec(module) is not None


def matrices(ssm):
    """Plain arrays F, Q, H, R, m, P of a model, the diffuse start replaced by a large variance."""
    P = ssm.initial_cov if ssm.initial_diffuse_cov is None else ssm.initial_cov + KAPPA * ssm.initial_diffuse_cov
    return ssm.transition, ssm.process_cov, ssm.observation, ssm.obs_cov, ssm.initial_mean, P


def simdkalman(ssm, y):
    """Log-likelihood and smoother of one series."""
    import simdkalman as package

    F, Q, H, R, m, P = matrices(ssm)
    model = package.KalmanFilter(
        state_transition=F, process_noise=Q, observation_model=H, observation_noise=float(R[0, 0])
    )
    start = {"initial_value": m, "initial_covariance": P}
    quiet = {"smoothed": False, "observations": False, "states": False}

    def loglik():
        return model.compute(y[None], 0, filtered=True, log_likelihood=True, **quiet, **start).log_likelihood

    return {"loglik": loglik, "smooth": lambda: model.smooth(y[None], observations=False, **start)}


def pykalman(ssm, y):
    import pykalman as package

    F, Q, H, R, m, P = matrices(ssm)
    model = package.KalmanFilter(F, H, Q, R, initial_state_mean=m, initial_state_covariance=P)
    masked = np.ma.masked_invalid(y[:, None])
    return {"loglik": lambda: model.loglikelihood(masked), "smooth": lambda: model.smooth(masked)}


def filterpy(ssm, y):
    from filterpy.kalman import KalmanFilter

    F, Q, H, R, m, P = matrices(ssm)

    def loglik():
        model = KalmanFilter(dim_x=len(m), dim_z=1)
        model.x, model.P, model.F, model.H, model.Q, model.R = m[:, None].copy(), P.copy(), F, H, Q, R
        total = 0.0
        for value in y:
            model.update(None if np.isnan(value) else value)
            total += 0.0 if np.isnan(value) else model.log_likelihood
            model.predict()
        return total

    return {"loglik": loglik}


def dynamax(ssm, y):
    """Complete series only: it takes no missing values."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from dynamax.linear_gaussian_ssm.inference import lgssm_filter, lgssm_smoother, make_lgssm_params

    F, Q, H, R, m, P = matrices(ssm)
    params = make_lgssm_params(m, P, F, Q, H, R)
    rows = jax.numpy.asarray(y[:, None])
    run = jax.jit(lambda p, e: lgssm_filter(p, e).marginal_loglik)
    smooth = jax.jit(lambda p, e: lgssm_smoother(p, e).smoothed_means)
    return {
        "loglik": lambda: run(params, rows).block_until_ready(),
        "smooth": lambda: smooth(params, rows).block_until_ready(),
    }


def torch_kf(ssm, n_streams, y, shared):
    """One step of many streams, with a covariance each or one for all."""
    import torch
    from torch_kf import GaussianState, KalmanFilter

    torch.set_num_threads(1)
    F, Q, H, R, m, P = (torch.as_tensor(x, dtype=torch.float64) for x in matrices(ssm))
    model = KalmanFilter(F, H, Q, R)
    cov = P if shared else P.expand(n_streams, -1, -1).clone()
    state = GaussianState(m[:, None].expand(n_streams, -1, -1).clone(), cov)
    rows = torch.as_tensor(y, dtype=torch.float64)[:, None, None]
    return lambda: model.predict(model.update(state, rows))
