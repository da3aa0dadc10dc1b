"""Families of problems that try the interior-point loop, and the comparison of two loops."""

import numpy as np

import kktdiff
from tests.checks import assert_near
from tests.problems import FULL, Data, Sizes, known
from tests.tolerances import STEPS


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


def assert_steps(qp, found, iterations, plain, *, exact):
    """`found` took the steps of `plain` and as many, but for rounding; it solved none beside.

    Where it is not `exact`, rounding may decide when an element stops.
    """
    easy, solved = iterations >= 0, plain.status == kktdiff.Status.SOLVED
    assert np.all(solved | ~easy)
    assert easy.sum() >= 0.75 * solved.sum() > 0
    alike = easy & (iterations == plain.iterations)
    if exact:
        np.testing.assert_array_equal(iterations[easy], plain.iterations[easy])
    else:
        assert alike.sum() >= 0.95 * easy.sum()
        assert np.all(np.abs(iterations - plain.iterations)[easy] <= 1)
    for name in ("x", "s", "lam"):
        assert_near(getattr(found, name)[alike], getattr(plain.last, name)[alike], STEPS, name)
    forces = [(qp.A.mT @ nu[..., None])[alike] for nu in (found.nu, plain.last.nu)]  # unique
    assert_near(*forces, STEPS, "A'nu")
