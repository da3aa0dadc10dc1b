"""The symmetric KKT system by two Cholesky factorizations, an LU by blocks.

    [ Q   C'   A'] [dx  ]   [r_x ]
    [ C  -1/w  0 ] [dlam] = [r_c ]          C = (G, -I, I): all inequalities
    [ A   0    0 ] [dnu ]   [r_nu]

Each row has a weight w = lam/s: zero for a row that takes no part, infinite for one that holds as
an equality, as all rows of A do. Rows of moderate weight are condensed into H; the others, of
weight above STIFF, and A, are the border B:

    H = Q + rho + C'wC + theta B'B,      S = B H^-1 B' + 1/(w - theta) + delta.             (1)

The term theta B'B is the border's rows added to the first row of the system (an augmented
Lagrangian); with it H is well conditioned wherever the KKT matrix is regular, and no entry of
either matrix is large. With H = LL' the product in S is V'V for V = L^-1 B', a half solve. The
unknowns of the border are (1 - theta/w) dlam. An active bound's variable is held: it leaves the
system, and its multiplier follows from its row of stationarity.

The proximal terms rho and delta keep both factorizations from breaking down where Q is singular
or rows are dependent; refinement against the system above, which has none, takes them out again.
"""

from kktdiff._arrays import common, concat, is_sparse, namespace
from kktdiff._kkt.factors import Border, Factors, Weights, bound_weights
from kktdiff._kkt.solve import AnyFactors, half_solve
from kktdiff._kkt.sparse import factor_sparse
from kktdiff._records import QP
from kktdiff._typing import Array
from kktdiff.backends import LinearAlgebra

STIFF = 1e6  # weight, in units of theta, above which a row belongs to the border


def is_separable(qp: QP) -> Array:  # (B or 1,) bool
    """Return True where H is diagonal: Q is, clearly positive definite, and there is no G."""
    xp, diagonal = namespace(qp.Q), namespace(qp.Q).linalg.diagonal(qp.Q)
    low, high = xp.min(diagonal, axis=-1), xp.max(diagonal, axis=-1)
    return has_diagonal_form(qp) & (low > 1e-3 * high)


def has_diagonal_form(qp: QP) -> Array:  # (B or 1,) bool
    """Return True where Q is diagonal, in any scaling; `qp` has no G."""
    xp = namespace(qp.Q)
    off = ~xp.eye(qp.Q.shape[-1], dtype=xp.bool, device=qp.Q.device)
    return ~xp.any(off & (qp.Q != 0), axis=(1, 2))


def factor(
    qp: QP,
    weights: Weights,
    backend: LinearAlgebra,
    *,
    separable: bool = False,
    border: int = 0,  # places for rows of G in the border
) -> AnyFactors:
    """Assemble (1) for a scaled `qp`, and factor it; of sparse matrices the whole system.

    Shared factors stay shared: without inequalities, elements with the same matrices have the
    same factors.
    """
    if is_sparse(qp.Q):
        return factor_sparse(qp, weights)
    w, held, unit, _, delta, _ = weights
    xp, k, theta = namespace(w), qp.A.shape[-2], unit[:, None]
    w_G = qp.split(w)[0]
    stiff = w_G > STIFF * theta if border else xp.zeros_like(w_G, dtype=xp.bool)
    hard = 0 * theta + (xp.inf if qp.compliance_nu is None else 1 / qp.compliance_nu)
    w_A = hard + xp.zeros((1, k), dtype=w.dtype, device=w.device)
    augmented = 0 * theta if separable else theta
    if qp.compliance_nu is not None and k:
        augmented = xp.minimum(augmented, xp.min(w_A, axis=1, keepdims=True) / 2)
    condensed = xp.where(stiff, theta, w_G)
    Q, G, A, D = _free(qp, weights, augmented, separable=separable)
    h = xp.linalg.diagonal(Q) + D
    h = h if held is None else xp.where(held, 1.0, h)
    H = None if separable else backend.condensed_cholesky(Q, D, G, condensed)
    ok = xp.all(h > 0, axis=1) if H is None else H.ok
    f = Factors(weights, H, h, None, condensed, augmented, *bound_weights(qp, weights), ok)
    if not (k or border):
        return f
    gives = delta[:, None] / theta
    found = _border(f, G, A, stiff, w_G, w_A, border, gives, backend)
    return f._replace(border=found, ok=ok & found.S.ok)


def _free(
    qp: QP, weights: Weights, augmented: Array, *, separable: bool
) -> tuple[Array, Array, Array, Array]:
    """Return Q with A'A, G, A and the diagonal to add, without the variables that are held."""
    w, held, theta, rho, _, _ = weights
    xp, (Q, G, A) = namespace(w), (qp.Q, qp.G, qp.A)
    batch = common([v.shape[0] for v in (Q, G, A, w, theta)])
    D = (rho * theta)[:, None] + xp.zeros((batch, Q.shape[1]), dtype=w.dtype, device=w.device)
    for side in qp.split(w)[1:]:
        D = D + side if side.shape[1] else D
    if A.shape[1] and not separable:
        Q = Q + augmented[..., None] * (A.mT @ A if qp.AA is None else qp.AA)
    if held is None:
        return Q, G, A, D
    free = xp.astype(~held, D.dtype)
    Q = Q if separable else Q * free[:, :, None] * free[:, None, :]
    return Q, G * free[:, None, :], A * free[:, None, :], xp.where(held, 1.0, D)


def _border(
    f: Factors,
    G: Array,
    A: Array,
    stiff: Array,  # (B, m) bool: the rows of G that go to the border
    w_G: Array,
    w_A: Array,
    places: int,
    gives: Array,  # (B, 1): the proximal term
    backend: LinearAlgebra,
) -> Border:
    """Assemble the border and factor S."""
    xp = namespace(w_A)
    rows: dict[str, Array | None] = dict.fromkeys(("order", "used", "place", "stiff"))
    B, stretch = A, 1 / (1 - f.augmented / w_A)
    diagonal = gives + 1 / (w_A - f.augmented)
    if places:
        order = xp.argsort(xp.astype(~stiff, xp.int8), axis=1, stable=True)
        place = xp.where(stiff, xp.argsort(order, axis=1), 0)
        order = order[:, :places]
        used = xp.take_along_axis(stiff, order, axis=1)
        rows = {"order": order, "used": used, "place": place, "stiff": stiff}
        w = xp.where(used, xp.take_along_axis(w_G, order, axis=1), xp.inf)
        theta = xp.take_along_axis(f.condensed, order, axis=1)
        own = xp.take_along_axis(_full(G, w), order[..., None], axis=1)
        B = concat([A, xp.where(used[..., None], own, 0.0)], axis=1)
        stretch = concat([stretch, 1 / (1 - xp.where(used, theta, 0.0) / w)], axis=1)
        row = xp.where(used, gives + 1 / (w - theta), 1.0)
        diagonal = concat([diagonal, row], axis=1)
    V = half_solve(f, B.mT, backend)
    diagonal = diagonal + xp.zeros_like(V[:, 0, :])
    none = xp.zeros((1, B.shape[1], B.shape[1]), dtype=B.dtype, device=B.device)
    S = backend.condensed_cholesky(none, diagonal, V, None)
    return Border(S, V, stretch, **rows)


def _full(matrix: Array, like: Array) -> Array:
    return namespace(matrix).broadcast_to(matrix, (like.shape[0], *matrix.shape[1:]))
