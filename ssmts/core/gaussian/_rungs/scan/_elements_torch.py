"""Kalman filter and smoother as associative products, in covariance and in square-root form.

An element of the filter stands for a span of rows: given the state before it, the state after it is N(A x + b, C) and what
was observed has the density exp(eta'x - x'J x / 2 + ...) (Särkkä and García-Fernández 2021). The logarithm of what the
density is at x = 0 is carried along without any inverse of C: -2 times it is ``constant + quadratic``.

Vectors are matrices whose columns share the covariances: the series itself and one column for every diffuse direction, or
the draws of a simulation. ``quadratic`` is then the matrix of the bilinear form in the columns.

In square-root form C = U U' and J = Z Z' (Yaghoobi et al. 2025), and products are triangularised by QR.
"""

from typing import TypeAlias

import torch

Tensor: TypeAlias = torch.Tensor
Elements: TypeAlias = tuple[Tensor, ...]


def root(cov: Tensor) -> Tensor:
    """Lower-triangular factor of a covariance, with a zero column where a variance is known from those before."""
    columns: list[Tensor] = []
    left, size = cov, torch.diagonal(cov, dim1=-2, dim2=-1).detach()
    floor = 10 * cov.shape[-1] * torch.finfo(cov.dtype).eps
    for i in range(cov.shape[-1]):
        pivot = left[..., i, i]
        sound = pivot > floor * size[..., i]
        scale = torch.where(sound, pivot, 1.0).rsqrt() * sound
        below = torch.arange(cov.shape[-1], device=cov.device) >= i
        columns.append(left[..., :, i] * below * scale[..., None])
        left = left - columns[-1][..., :, None] * columns[-1][..., None, :]
    return torch.stack(columns, dim=-1)


def tria(*blocks: Tensor) -> Tensor:
    """Lower-triangular L with L L' = sum of B B' over the blocks, square whatever their width."""
    lead = torch.broadcast_shapes(*(b.shape[:-2] for b in blocks))
    rows = blocks[0].shape[-2]
    wide = [b.expand(*lead, *b.shape[-2:]) for b in blocks]
    missing = rows - sum(b.shape[-1] for b in wide)
    if missing > 0:
        wide.append(wide[0].new_zeros(*lead, rows, missing))
    lower: Tensor = torch.linalg.qr(torch.cat(wide, dim=-1).mT, mode="r")[1].mT
    return lower


def solve(factor: Tensor, b: Tensor) -> Tensor:
    """L^-1 b for lower-triangular L."""
    out: Tensor = torch.linalg.solve_triangular(factor, b, upper=False)
    return out


def normaliser(factor: Tensor, white: Tensor) -> Elements:
    """What rows with whitened innovations and covariance L L' add to constant and quadratic."""
    constant = 2 * torch.diagonal(factor, dim1=-2, dim2=-1).abs().log().sum(-1)
    return constant[..., None, None], white.mT @ white


def covariance_elements(F: Tensor, c: Tensor, V: Tensor, H: Tensor, R: Tensor, e: Tensor, full: bool) -> Elements:
    """One row each: x = F x_before + c + noise of covariance V, of which e = y - H c was seen; `full` adds the normaliser."""
    HV = H @ V
    factor = torch.linalg.cholesky(HV @ H.mT + R)
    white, seen, gain = solve(factor, e), solve(factor, H @ F), solve(factor, HV)
    A, C = F - gain.mT @ seen, V - gain.mT @ gain
    out = A, c + gain.mT @ white, symmetric(C), seen.mT @ white, seen.mT @ seen
    return (*out, *normaliser(factor, white)) if full else out


def square_root_elements(F: Tensor, c: Tensor, U: Tensor, H: Tensor, W: Tensor, e: Tensor, full: bool) -> Elements:
    """The same with V = U U' and R = W W'."""
    dy, dx = H.shape[-2:]
    lead = torch.broadcast_shapes(U.shape[:-2], H.shape[:-2], W.shape[:-2])
    nothing = U.new_zeros(*lead, dx, dy)
    top = torch.cat([(H @ U).expand(*lead, dy, dx), W.expand(*lead, dy, dy)], dim=-1)
    joint = tria(torch.cat([top, torch.cat([U.expand(*lead, dx, dx), nothing], dim=-1)], dim=-2))
    factor, cross, rest = joint[..., :dy, :dy], joint[..., dy:, :dy], joint[..., dy:, dy:]
    white, seen = solve(factor, e), solve(factor, H @ F)
    out = F - cross @ seen, c + cross @ white, rest, seen.mT @ white, tria(seen.mT)
    return (*out, *normaliser(factor, white)) if full else out


def combine_covariance(i: Elements, j: Elements) -> Elements:
    """The span i and then the span j; the last two fields may be left out of both."""
    A_i, b_i, C_i, eta_i, J_i = i[:5]
    A_j, b_j, C_j, eta_j, J_j = j[:5]
    lu = torch.linalg.lu_factor(torch.eye(C_i.shape[-1], dtype=C_i.dtype, device=C_i.device) + C_i @ J_j)
    AM = torch.linalg.lu_solve(*lu, A_j, left=False)
    MA = torch.linalg.lu_solve(*lu, A_i)
    moved = b_i + C_i @ eta_j
    left = eta_j - J_j @ b_i
    out = (
        AM @ A_i,
        AM @ moved + b_j,
        symmetric(AM @ C_i @ A_j.mT) + C_j,
        MA.mT @ left + eta_i,
        symmetric(A_i.mT @ J_j @ MA) + J_i,
    )
    if len(i) == 5:
        return out
    k = b_i.shape[-1]
    lead = torch.broadcast_shapes(lu[0].shape[:-2], b_i.shape[:-2], eta_j.shape[:-2])
    right = torch.cat([b_i.expand(*lead, -1, k), (C_i @ eta_j).expand(*lead, -1, k)], dim=-1)
    Mb, MC = torch.linalg.lu_solve(*expanded(lu, lead), right).split(k, dim=-1)
    cross = eta_j.mT @ Mb
    quadratic = i[6] + j[6] - cross - cross.mT - eta_j.mT @ MC + (J_j @ b_i).mT @ Mb
    determinant = torch.diagonal(lu[0], dim1=-2, dim2=-1).abs().log().sum(-1)[..., None, None]
    return *out, i[5] + j[5] + determinant, quadratic


def expanded(lu: tuple[Tensor, Tensor], lead: torch.Size) -> tuple[Tensor, Tensor]:
    """An LU factor for a batch that it is shared by."""
    return lu[0].expand(*lead, *lu[0].shape[-2:]), lu[1].expand(*lead, lu[1].shape[-1])


def combine_square_root(i: Elements, j: Elements) -> Elements:
    """The same of factors."""
    A_i, b_i, U_i, eta_i, Z_i = i[:5]
    A_j, b_j, U_j, eta_j, Z_j = j[:5]
    dx = U_i.shape[-1]
    UZ = U_i.mT @ Z_j
    lead = torch.broadcast_shapes(UZ.shape[:-2], Z_j.shape[:-2])
    one = torch.eye(dx, dtype=U_i.dtype, device=U_i.device).expand(*lead, dx, dx)
    top = torch.cat([UZ.expand(*lead, dx, dx), one], dim=-1)
    bottom = torch.cat([Z_j.expand(*lead, dx, dx), torch.zeros_like(one)], dim=-1)
    Xi = tria(torch.cat([top, bottom], dim=-2))
    X11, X21, X22 = Xi[..., :dx, :dx], Xi[..., dx:, :dx], Xi[..., dx:, dx:]
    G = solve(X11, U_i.mT).mT
    D = one - G @ X21.mT
    AD = A_j @ D
    out = (
        AD @ A_i,
        AD @ (b_i + U_i @ (U_i.mT @ eta_j)) + b_j,
        tria(A_j @ G, U_j),
        (D @ A_i).mT @ (eta_j - Z_j @ (Z_j.mT @ b_i)) + eta_i,
        tria(A_i.mT @ X22, Z_i),
    )
    if len(i) == 5:
        return out
    cross, seen, start = eta_j.mT @ (D @ b_i), G.mT @ eta_j, X22.mT @ b_i
    quadratic = i[6] + j[6] - cross - cross.mT - seen.mT @ seen + start.mT @ start
    determinant = 2 * torch.diagonal(X11, dim1=-2, dim2=-1).abs().log().sum(-1)[..., None, None]
    return *out, i[5] + j[5] + determinant, quadratic


def step_covariance(i: Elements, j: Elements) -> Elements:
    """`combine_covariance` where i starts at the prior, so that nothing before it matters."""
    b_i, C_i = i[1:3]
    A_j, b_j, C_j, eta_j, J_j = j[:5]
    one = torch.eye(C_i.shape[-1], dtype=C_i.dtype, device=C_i.device)
    AM = torch.linalg.solve(one + C_i @ J_j, A_j, left=False)
    return i[0], AM @ (b_i + C_i @ eta_j) + b_j, symmetric(AM @ C_i @ A_j.mT) + C_j, i[3], i[4]


def combine_back(i: Elements, j: Elements) -> Elements:
    """Two spans of the backward recursion r = g + L'r_after, N = W + L'N_after L (de Jong 1989)."""
    return j[0] @ i[0], i[0].mT @ j[1] + i[1], i[0].mT @ j[2] @ i[0] + i[2]


def combine_back_square_root(i: Elements, j: Elements) -> Elements:
    """The same with N = Y Y'."""
    return j[0] @ i[0], i[0].mT @ j[1] + i[1], tria(i[0].mT @ j[2], i[2])


def combine_affine(i: Elements, j: Elements) -> Elements:
    """Two spans of x -> F x + b."""
    return j[0] @ i[0], j[0] @ i[1] + j[1]


def symmetric(matrix: Tensor) -> Tensor:
    """The symmetric part."""
    return 0.5 * (matrix + matrix.mT)
