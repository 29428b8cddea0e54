"""The scan against the sequential filter, likelihoods of one series: ``python benchmarks/scan.py [largest n]``.

Both sides give the same log-likelihood in float64, which is checked. On the CPU the scan runs in blocks, on one thread like the
sequential pass. Where torch finds a CUDA device, the scan on it is timed as well, its result waited for.
"""

import sys

import harness  # isort: skip  # first: it sets the number of threads
import numpy as np
import torch

from ssmts.core import gaussian
from ssmts.core.gaussian import torch as face
from ssmts.core.types import LinearGaussianSSM

SIZES = (10**3, 10**4, 10**5, 10**6)


def model(dx, seed=0):
    """A stable dense transition, one observation, a proper start."""
    rng = np.random.default_rng(seed)
    transition = 0.95 * np.linalg.qr(rng.normal(size=(dx, dx)))[0]
    return LinearGaussianSSM(
        transition, 0.1 * np.eye(dx), rng.normal(size=(1, dx)), np.eye(1), np.zeros(dx), np.eye(dx)
    )


def on(device, ssm, y):
    """A call of the scan on a device."""
    fields = [None if x is None else torch.as_tensor(x, device=device) for x in ssm]
    moved, values = LinearGaussianSSM(*fields), torch.as_tensor(y, device=device)
    return lambda: face.loglik(moved, values).item()


def main(largest):
    torch.set_num_threads(1)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows = []
    for dx in (4, 16):
        ssm = model(dx)
        packed = gaussian.pack(ssm)
        for n in (n for n in SIZES if n <= largest):
            y = gaussian.simulate(packed, n, random_state=1)[1][0]
            calls = {"sequential": lambda p=packed, y=y: gaussian.loglik(p, y, method="sequential")}
            calls |= {device: on(device, ssm, y) for device in devices}
            values = [call() for call in calls.values()]
            assert np.ptp(values) < 1e-8 * abs(values[0])
            times = harness.interleaved(calls, repeats=3)
            cells = [harness.duration(times[name][0]) for name in calls]
            ratios = [f"{times['sequential'][0] / times[name][0]:.2g}" for name in devices]
            rows.append([dx, n, *cells, *ratios])
    columns = [
        "states",
        "rows",
        "sequential",
        *(f"scan, {d}" for d in devices),
        *(f"sequential / scan, {d}" for d in devices),
    ]
    notes = [] if len(devices) > 1 else ["No GPU was at hand: the scan on one is not measured."]
    if largest < SIZES[-1]:
        notes.append(f"Run up to {largest} rows.")
    harness.report(
        "scan", "Log-likelihood by associative scan", columns, rows, ("ssmts", "numpy", "numba", "torch"), notes
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1])
