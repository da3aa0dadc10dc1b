"""Families of problems that try the interior-point loop."""

import numpy as np

from tests.problems import FULL, Data, Sizes, known


def with_fixed_and_absent_bounds(rng, batch):
    data = known(rng, FULL, batch=(batch,)).data
    lb, ub, value = data.lb.copy(), data.ub.copy(), data.lb[:, 0] + 3
    lb[:, 0] = ub[:, 0] = value
    lb[:, 1], ub[:, 2] = -np.inf, np.inf
    h = data.h + np.abs(data.G[..., 0]) * 5
    b = data.b + data.A[..., 0] * 3
    return data._replace(lb=lb, ub=ub, h=h, b=b)


def with_dependent_rows(rng, batch):
    data = known(rng, Sizes(n=8, m=10, k=3), batch=(batch,)).data
    A, b = (np.concatenate([v, v[:, :1]], axis=1) for v in (data.A, data.b))
    return data._replace(A=A, b=b)


def badly_scaled(rng, batch):
    data = known(rng, Sizes(n=8, m=12, k=2, rank=2), batch=(batch,)).data
    size = 10 ** rng.uniform(-3, 3, size=(batch, 12))
    return data._replace(G=data.G * size[..., None], h=data.h * size, p=1e2 * data.p)


def linear_programs(rng, batch):
    """Half of them infeasible, since their p is no combination of the rows."""
    G = rng.normal(size=(batch, 12, 5))
    h = np.einsum("bij,bj->bi", G, rng.normal(size=(batch, 5))) + rng.random((batch, 12))
    p = -np.einsum("bij,bi->bj", G, rng.random((batch, 12)))
    p[::2] = rng.normal(size=p[::2].shape)
    return Data(np.zeros((5, 5)), p, G, h)


def least_squares(rng, batch, size=1.0, n=10):
    """Of F x - b, as modelling languages write it: the objective is y'y/2, and y = F x - b a row.

    Alone x has no curvature: rounding leaves more than elsewhere.
    """
    F, b = size * rng.normal(size=(batch, n, n)), size * rng.normal(size=(batch, n))
    G, p = rng.normal(size=(batch, n, n)), rng.normal(size=(batch, n))
    h = np.einsum("bij,bj->bi", G, rng.normal(size=(batch, n))) + rng.random((batch, n))
    none, eye = np.zeros((n, n)), np.eye(n)
    A = np.concatenate([F, np.broadcast_to(-eye, F.shape)], axis=2)
    G, p = np.concatenate([G, 0 * G], axis=2), np.concatenate([p, 0 * p], axis=1)
    return Data(np.block([[none, none], [none, eye]]), p, G, h, A, b)


HARD = [with_fixed_and_absent_bounds, with_dependent_rows, badly_scaled, linear_programs]
