"""Newton's system at an interior point, factored for several right-hand sides."""

from collections.abc import Callable

from kktdiff import _kkt as kkt
from kktdiff._arrays import namespace, spread, taken
from kktdiff._kkt import STIFF, AnyFactors, Weights
from kktdiff._records import QP, Point, Rhs
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra

_ACCURACY = 1e-10  # relative residual of a step: it is to reduce an error, which the next one sees

# (r_x, r_c, r_nu) -> (dx, dlam, dnu), each (B, ...)
Solve = Callable[[Array, Array, Array], tuple[Array, Array, Array]]


def weights_at(qp: QP, point: Point, theta: Array, reg: Array) -> Weights:
    """Weights ``lam/s`` of the scaled `qp` at an interior point; reg: both proximal weights."""
    xp = namespace(reg)
    s = point.s if qp.compliance is None else point.s + qp.compliance * point.lam
    w = xp.where(qp.present, point.lam / s, 0.0)
    held = None if qp.fixed is None else xp.broadcast_to(qp.fixed, point.x.shape)
    return Weights(w, held, theta, reg, reg)


def system(
    qp: QP, weights: Weights, backend: LinearAlgebra, *, separable: bool, careful: bool
) -> tuple[Solve, Array]:
    """Factor; return a solve function, and True where the factorization succeeded, (B,).

    Parameters
    ----------
    careful
        Keep rows of large weight out of H, and refine each solution until it is accurate.
    """
    found = border_groups(qp, weights) if careful else [(None, 0)]
    if len(found) == 1:
        form = separable and not careful
        f = kkt.factor(qp, weights, backend, separable=form, border=found[0][1])
        return _solver([(None, qp, f)], backend, refined=careful), f.ok
    groups = []
    for index, places in found:
        some = qp.take(index)
        own = Weights(*taken(weights, index))
        groups.append((index, some, kkt.factor(some, own, backend, border=places)))
    length = weights.w.shape[0]
    ok = spread([(i, f.ok) for i, _, f in groups], (), length, weights.rho > 0)
    return _solver(groups, backend, refined=True), ok


def border_groups(qp: QP, weights: Weights) -> list[tuple[Array, int]]:
    """Group elements by the number of border places that their stiff rows of G take.

    The numbers of places are few and depend on an element's own rows alone, and so do the bits
    of its solution.
    """
    w = weights.w
    xp, m = namespace(w), qp.G.shape[-2]
    stiff = qp.split(w)[0] > STIFF * weights.theta[:, None]
    count = xp.sum(xp.astype(stiff, xp.int64), axis=1)
    groups, least = [], -1
    for places in _sizes(m):
        index = xp.nonzero((count > least) & (count <= places))[0]
        if index.shape[0]:
            groups.append((index, places))
        least = places
    return groups


def _sizes(m: int) -> list[int]:
    sizes, size = [0], 4
    while size < m:
        sizes.append(size)
        size *= 2
    return [*sizes, m] if m else sizes


def _solver(
    groups: list[tuple[Array | None, QP, AnyFactors]], backend: LinearAlgebra, *, refined: bool
) -> Solve:
    def solve(r_x: Array, r_c: Array, r_nu: Array) -> tuple[Array, Array, Array]:
        rhs = Rhs(r_x[..., None], r_c[..., None], r_nu[..., None])
        parts = []
        for index, qp, f in groups:
            own = rhs if index is None else Rhs(*taken(rhs, index))
            found = (
                kkt.refine(qp, f, own, backend, _ACCURACY)[0]
                if refined
                else kkt.solve_once(qp, f, own, backend)
            )
            parts.append((index, found))
        if parts[0][0] is None:
            out = parts[0][1]
        else:
            length = r_x.shape[0]
            out = Rhs(
                *(
                    spread([(i, p[j]) for i, p in parts], v.shape[1:], length, v)
                    for j, v in enumerate(rhs)
                )
            )
        return out.x[..., 0], out.c[..., 0], out.nu[..., 0]

    return solve
