"""The associative scan against the loop that it stands for, on products that do not commute."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmts.core.scan.associative import associative_reduce, associative_scan
from ssmts.exceptions import InputError


def product(left, right):
    """Affine maps, the left one first: x -> A x + b."""
    return right[0] @ left[0], right[0] @ left[1] + right[1]


def drawn(n, seed=0, lead=()):
    draw = torch.Generator().manual_seed(seed)
    kind = {"generator": draw, "dtype": torch.float64}
    return 0.5 * torch.randn(*lead, n, 3, 3, **kind), torch.randn(*lead, n, 3, 2, **kind)


def loop(elements, axis, reverse=False):
    n = elements[0].shape[axis]
    rows = [tuple(e.select(axis, t) for e in elements) for t in range(n)]
    out = [rows[-1] if reverse else rows[0]]
    for t in range(1, n):
        out.append(product(rows[n - 1 - t], out[-1]) if reverse else product(out[-1], rows[t]))
    return tuple(torch.stack(same, dim=axis) for same in zip(*(out[::-1] if reverse else out)))


@given(n=st.integers(1, 40), reverse=st.booleans(), block=st.sampled_from([None, 2, 3, 5, 16]), batch=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_scan_is_a_loop(n, reverse, block, batch):
    elements = drawn(n, n, (2,) if batch else ())
    got = associative_scan(product, elements, int(batch), reverse=reverse, block=block)
    for a, b in zip(got, loop(elements, int(batch), reverse)):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    total = associative_reduce(product, elements, int(batch))
    for a, b in zip(total, loop(elements, int(batch))):
        torch.testing.assert_close(a, b.narrow(int(batch), n - 1, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("block", [None, 3])
def test_gradients_go_through(block):
    def last(A, b):
        return associative_scan(product, (A, b), block=block)[1]

    elements = [e.requires_grad_() for e in drawn(8)]
    assert torch.autograd.gradcheck(last, elements)


@pytest.mark.parametrize("block", [None, 2])
def test_what_a_batch_shares_is_repeated_only_where_it_must(block):
    A, b = drawn(9, lead=(1,))[0], drawn(9, lead=(4,))[1]
    got = associative_scan(product, (A, b), 1, block=block)
    assert got[0].shape[0] == 1
    want = loop((A.expand(4, *A.shape[1:]), b), 1)
    torch.testing.assert_close(got[1], want[1], rtol=1e-12, atol=1e-12)


def test_another_step_may_serve_the_second_pass():
    seen = []

    def step(left, right):
        seen.append(1)
        return product(left, right)

    elements = drawn(11)
    got = associative_scan(product, elements, block=3, step=step)
    assert seen
    torch.testing.assert_close(got, loop(elements, 0), rtol=1e-12, atol=1e-12)


def test_nothing_and_unequal_lengths_are_refused():
    A, b = drawn(4)
    with pytest.raises(InputError, match="along axis 0: pass one length"):
        associative_scan(product, (A, b[:3]))
    with pytest.raises(InputError, match=r"lengths \[0\]"):
        associative_reduce(product, (A[:0], b[:0]))
