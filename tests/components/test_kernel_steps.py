"""Steps of kernels against the discretised process, and their derivatives against differences."""

import numpy as np
import pytest

from ssmts.components.kernel_steps import steps_of
from ssmts.components.kernels import Constant, Matern, Periodic
from ssmts.core.linalg.discretize import discretize

DTS = np.array([0.0, 1e-3, 0.1, 1.0, 3.0, 200.0])
KERNELS = {
    "rough": Matern(0.5, 2.0, 1.3),
    "smooth": Matern(2.5, 0.7, 0.4),
    "season": Periodic(7.0, 0.8, 2.0, order=3),
    "constant": Constant(0.6),
    "changing season": Periodic(7.0, 0.8, 2.0, order=3) * Matern(0.5, 9.0, 0.7),
    "season on the right": Matern(1.5, 9.0, 0.7) * Periodic(7.0, 1.2, 2.0, order=2),
    "product of processes": Matern(1.5, 3.0, 0.7) * Matern(0.5, 9.0, 1.2),
    "sums and products": (Matern(2.5, 3.0) + Constant(0.5)) * Matern(1.5, 4.0, 1.1) + Periodic(2.0, order=1) + Matern(),
}


@pytest.fixture(params=KERNELS)
def kernel(request):
    return KERNELS[request.param]


def test_steps_are_those_of_the_process(kernel):
    steps, process = steps_of(kernel, DTS), kernel.process()
    F, Q = discretize(process.drift, process.diffusion_cov, DTS)
    np.testing.assert_allclose(steps.transition, F, atol=1e-12)
    np.testing.assert_allclose(steps.process_cov, Q, atol=1e-12, rtol=1e-9)
    np.testing.assert_allclose(steps.stationary_cov, process.stationary_cov, atol=1e-14)
    np.testing.assert_array_equal(steps.observation, process.observation)


def test_slopes_are_differences(kernel):
    slopes = steps_of(kernel, DTS).slopes
    assert len(slopes) == sum(len(vars(leaf).keys() - {"nu", "order"}) for leaf in kernel.leaves)
    for (at, field), (*found, first) in slopes.items():
        value = getattr(kernel.leaves[at], field)

        def moved(factor, at=at, field=field, value=value):
            leaves = list(kernel.leaves)
            leaves[at] = leaves[at].with_values(**{field: factor * value})
            return steps_of(kernel.with_leaves(tuple(leaves)), DTS[:-1])

        h = 1e-4
        models = [moved(1 + k * h) for k in (-2, -1, 1, 2)]
        for i, slope in enumerate(found):
            a, b, c, d = (model[i] for model in models)
            expected = (a - 8 * b + 8 * c - d) / (12 * h * value)
            here = np.zeros_like(expected)
            if slope is not None:
                block = slice(first, first + slope.shape[-1])
                here[..., block, block] = slope if i == 2 else slope[:-1]
            np.testing.assert_allclose(here, expected, atol=1e-9, rtol=1e-8, err_msg=f"{at} {field} {i}")
