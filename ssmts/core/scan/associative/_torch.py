"""Scan and reduction over tuples of tensors, out of whole-tensor operations, so that autograd goes through them."""

from collections.abc import Callable
from typing import TypeAlias

import torch

from ssmts.exceptions import InputError

Elements: TypeAlias = tuple[torch.Tensor, ...]
Combine: TypeAlias = Callable[[Elements, Elements], Elements]


def associative_scan(
    combine: Combine,
    elements: Elements,
    axis: int = 0,
    *,
    reverse: bool = False,
    block: int | None = None,
    step: Combine | None = None,
) -> Elements:
    """All prefixes of an associative product.

    Parameters
    ----------
    combine : callable
        ``combine(earlier, later)`` of two tuples of tensors, element by element over all axes up to `axis`; it must be
        associative, and need not commute.
    elements : tuple of tensors
        One or more tensors of the same length n >= 1 along `axis`.
    axis : int, default 0
        The axis to scan, counted from the front; batches lead it.
    reverse : bool, default False
        Whether to give the suffixes ``e[t] ... e[n-1]`` instead.
    block : int, optional
        Length of the blocks of the blocked form: each block is multiplied up one element after the other, all blocks side
        by side; the products of the blocks are scanned; a second pass goes through the blocks from what is before them.
        That is ``2 * block`` steps on tensors that stay in a processor's cache. None is the tree form, ``2 log2 n`` steps
        on long tensors with 2 n products in all (Blelloch 1990), which is what a GPU wants.
    step : callable, optional
        What the second pass of the blocked form uses in place of `combine`, where a prefix is cheaper to move on than two
        elements are to combine.

    Returns
    -------
    tuple of tensors
        Of the shapes of `elements`, with what `combine` broadcasts.

    Raises
    ------
    InputError
        If there is nothing to scan, or the lengths differ.

    Examples
    --------
    >>> import torch
    >>> def affine(first, then):                       # x -> a x + b, then x -> a' x + b'
    ...     return then[0] * first[0], then[0] * first[1] + then[1]
    >>> a, b = torch.full((4,), 0.5), torch.ones(4)
    >>> associative_scan(affine, (a, b))[1]
    tensor([1.0000, 1.5000, 1.7500, 1.8750])
    """
    n = _length(elements, axis)
    if reverse:
        flipped = tuple(e.flip(axis) for e in elements)
        turned = None if step is None else _turned(step)
        out = associative_scan(_turned(combine), flipped, axis, block=block, step=turned)
        return tuple(e.flip(axis) for e in out)
    if block is None or n < 2 * block:
        return _tree(combine, elements, axis)
    return _blocked(combine, step or combine, elements, axis, block)


def associative_reduce(combine: Combine, elements: Elements, axis: int = 0) -> Elements:
    """The product of all elements, by halving: n - 1 products in log2 n steps.

    Parameters
    ----------
    combine, elements, axis
        As in `associative_scan`.

    Returns
    -------
    tuple of tensors
        With length 1 along `axis`.

    Raises
    ------
    InputError
        As in `associative_scan`.

    Examples
    --------
    >>> import torch
    >>> associative_reduce(lambda left, right: (left[0] @ right[0],), (2 * torch.eye(2).expand(3, 2, 2),))[0]
    tensor([[[8., 0.],
             [0., 8.]]])
    """
    n = _length(elements, axis)
    while n > 1:
        pairs = n - n % 2
        halved = combine(_take(elements, axis, 0, pairs, 2), _take(elements, axis, 1, pairs, 2))
        if n % 2:
            halved = _join([halved, _take(elements, axis, n - 1, n)], axis)
        elements, n = halved, (n + 1) // 2
    return elements


def _length(elements: Elements, axis: int) -> int:
    lengths = {e.shape[axis] for e in elements}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(
            f"elements have the lengths {sorted(lengths)} along axis {axis}: pass one length of at least 1"
        )
    return int(lengths.pop())


def _turned(combine: Combine) -> Combine:
    return lambda left, right: combine(right, left)


def _take(elements: Elements, axis: int, first: int, stop: int, every: int = 1) -> Elements:
    where = (slice(None),) * axis + (slice(first, stop, every),)
    return tuple(e[where] for e in elements)


def _join(parts: list[Elements], axis: int) -> Elements:
    """Parts one after the other; a part that stands for all of a batch is repeated."""
    out = []
    for same in zip(*parts):
        lead = torch.broadcast_shapes(*(e.shape[:axis] for e in same))
        out.append(torch.cat([e.expand(*lead, *e.shape[axis:]) for e in same], dim=axis))
    return tuple(out)


def _tree(combine: Combine, elements: Elements, axis: int) -> Elements:
    """Prefixes of pairs are every other prefix; one product with the element after gives the rest."""
    n = elements[0].shape[axis]
    if n == 1:
        return elements
    pairs = n - n % 2
    odd = _tree(combine, combine(_take(elements, axis, 0, pairs, 2), _take(elements, axis, 1, pairs, 2)), axis)
    first = _take(elements, axis, 0, 1)
    if n == 2:
        return _join([first, odd], axis)
    even = combine(_take(odd, axis, 0, (n - 1) // 2), _take(elements, axis, 2, n, 2))
    even = _join([first, even], axis)
    both = []
    for e, o in zip(even, odd):
        woven = torch.stack([e[(slice(None),) * axis + (slice(0, pairs // 2),)], o], dim=axis + 1)
        both.append(woven.flatten(axis, axis + 1))
    return _join([tuple(both), _take(even, axis, pairs // 2, (n + 1) // 2)], axis) if n % 2 else tuple(both)


def _blocked(combine: Combine, step: Combine, elements: Elements, axis: int, block: int) -> Elements:
    n = elements[0].shape[axis]
    whole = n - n % block
    split = tuple(e.unflatten(axis, (whole // block, block)) for e in _take(elements, axis, 0, whole))
    rows = [tuple(e.select(axis + 1, i) for e in split) for i in range(block)]
    product = rows[0]
    first = [_take(product, axis, 0, 1)]
    for row in rows[1:]:
        product = combine(product, row)
        first.append(_take(product, axis, 0, 1))
    before = _tree(combine, _take(product, axis, 0, whole // block - 1), axis)
    later = []
    for row in rows:
        before = step(before, _take(row, axis, 1, whole // block))
        later.append(before)
    columns = [_join([a, b], axis) for a, b in zip(first, later)]
    done = tuple(torch.stack(same, dim=axis + 1).flatten(axis, axis + 1) for same in zip(*columns))
    if whole == n:
        return done
    end, parts = _take(done, axis, whole - 1, whole), [done]
    for t in range(whole, n):
        end = step(end, _take(elements, axis, t, t + 1))
        parts.append(end)
    return _join(parts, axis)
