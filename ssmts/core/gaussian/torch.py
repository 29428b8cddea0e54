"""The Kalman filter, smoother, sampler and likelihood on tensors, by associative scans.

The functions take a `LinearGaussianSSM` whose fields are tensors of one dtype and device. A constant field has the axes that
`LinearGaussianSSM` names, or an axis of series before them; a `TimeVarying` has a time axis before them, or series and time.
Gradients of whatever comes out are autograd's. Results are tensors, always with a leading axis of series.

On a GPU the scans are trees of depth log n; on a CPU they run in blocks. ``form="square_root"`` carries triangular
factors, found by QR, and is the form to take in float32; autograd's derivative of QR asks for factors of full rank, so
gradients of models with singular covariances ask for ``form="covariance"``.

Single precision keeps four digits where covariances are well conditioned, that of the observations' noise is not small beside
what they see, no transition magnifies and rows see a diffuse start clearly. Elsewhere it may keep fewer, or raise an error that
names a row: take float64.

>>> import torch
>>> from ssmts.core.gaussian.torch import loglik
>>> from ssmts.core.types import LinearGaussianSSM
>>> one = torch.ones(1, 1, dtype=torch.float64)
>>> noise = torch.tensor([[2.0]], dtype=torch.float64, requires_grad=True)
>>> model = LinearGaussianSSM(one, one, one, noise, 0 * one[0], 0 * one, initial_diffuse_cov=one)
>>> value = loglik(model, torch.tensor([[1.0], [float("nan")], [4.0]], dtype=torch.float64))
>>> value.backward()
>>> round(value.item(), 6), round(noise.grad.item(), 6)
(-3.483757, 0.083333)
"""

from ssmts.core.gaussian._rungs.scan._face_torch import SpanLoglik, filter, loglik, sample, smooth, span_loglik

__all__ = ["SpanLoglik", "filter", "loglik", "sample", "smooth", "span_loglik"]
