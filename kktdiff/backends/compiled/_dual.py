"""The Newton system of one element in the space of its rows (OptNet's own, arXiv 1703.00443).

Where the objective alone is well conditioned, Q = R'R, and there are no bounds, dx is eliminated
first. With all rows, of G and of A, in one block C, and V' = R'^-1 C',

    (V V' + diag(s/lam, 0)) (dlam, dnu) = -C Q^-1 r_x - (target, -r_nu),

so that V V' is formed once, and an iteration factors it with another diagonal.
"""

from kktdiff._settings import REGULARISATION
from kktdiff.backends.compiled import _lapack as lapack
from kktdiff.backends.compiled import _triangular as triangular
from kktdiff.backends.compiled._data import (
    DLAM,
    DNU,
    DX,
    FORMED,
    HALF,
    NU_WEIGHT,
    R_NU,
    R_X,
    RECALLS,
    TARGET,
    VR,
    VR_NU,
    Data,
    W,
    Work,
    copy,
    fill,
)
from kktdiff.backends.compiled._jit import exact, fast, inlined
from kktdiff.backends.compiled._kkt import IN_BLOCKS, Blocks, Factors, parts
from kktdiff.backends.compiled._products import dot
from kktdiff.backends.compiled._triangular import is_sound


@exact
def is_cheap(e: Data, f: Work) -> bool:
    """Whether this form takes less than the primal one, given that it serves."""
    return not e.few_g or 2 * len(f.M) ** 3 < len(e.Q) ** 3


@inlined
def prepare(e: Data, f: Work) -> None:
    """Form V V', if it is not there yet."""
    if f.flags[FORMED]:
        return
    f.flags[FORMED] = True
    m = len(e.G)
    for i in range(m):
        copy(e.G[i], f.rows[i])
    for i in range(len(e.A)):
        copy(e.A[i], f.rows[m + i])
    for i in range(len(f.M)):
        fill(f.M[i], 0.0)
    lapack.solve_half(f.R, f.rows, f.la)
    lapack.add_products(f.rows, f.M, f.la)


@fast
def factor(e: Data, f: Work) -> bool:
    """Factor the matrix for the weights lam/s, and what of the right-hand side is alike."""
    m = len(e.G)
    for i in range(len(f.M)):
        copy(f.M[i, i:], f.F[i, i:])
        f.F[i, i] += 1 / f.c[W, i] if i < m else give(e, i - m)
    if not f.flags[RECALLS]:
        halve(e, f)
    return lapack.factor(f.F, f.la)


@exact
def give(e: Data, i: int) -> float:
    """The regularisation of an equality."""
    return REGULARISATION * e.cost / e.k[NU_WEIGHT, i] ** 2


@fast
def halve(e: Data, f: Work) -> None:
    """``R'^-1 r_x`` and V times that."""
    m = len(e.G)
    copy(f.x[R_X], f.x[HALF])
    triangular.forward(f.R, f.x[HALF])
    for i in range(m):
        f.c[VR, i] = dot(f.rows[i], f.x[HALF])
    for i in range(len(e.A)):
        f.k[VR_NU, i] = dot(f.rows[m + i], f.x[HALF])


@fast
def solve(e: Data, f: Work) -> None:
    """dlam for the right-hand side (-r_x, target, -r_nu)."""
    m, step = len(e.G), f.step
    for i in range(m):
        step[i] = -f.c[VR, i] - f.c[TARGET, i]
    for i in range(len(e.A)):
        step[m + i] = f.k[R_NU, i] - f.k[VR_NU, i]
    triangular.solve(f.F, step)
    for i in range(m):
        f.c[DLAM, i] = step[i]


@fast
def finish(e: Data, f: Work) -> None:
    """dx and dnu with what `solve` found."""
    dx, step = f.x[DX], f.step
    for i in range(len(e.A)):
        f.k[DNU, i] = step[len(e.G) + i]
    if f.flags[RECALLS]:
        return
    for j in range(len(dx)):
        dx[j] = -f.x[HALF, j]
    for i in range(len(step)):
        triangular.subtract(step[i], f.rows[i], dx)
    triangular.backward(f.R, dx)


@fast
def keep(e: Data, f: Work, b: Blocks, kept: Factors) -> bool:
    """As `kkt.in_blocks`: the blocks of the active set's matrix are these, but for weights."""
    R, V, S = parts(kept)
    n, root = len(R), e.cost**0.5
    kept.counts[2] = IN_BLOCKS
    for i in range(n):
        for j in range(i, n):
            R[i, j] = root * f.R[i, j] * b.x[j]
    for t in range(len(V)):
        i, weight = _row(e, b, kept, t)
        for j in range(n):
            V[t, j] = weight / root * f.rows[i, j]
        for u in range(t, len(V)):
            j, other = _row(e, b, kept, u)
            S[t, u] = weight * other / e.cost * f.M[min(i, j), max(i, j)]
        S[t, t] -= b.diagonal[kept.unknowns[n + t]]
    return is_sound(R) and lapack.factor(S, f.la) and is_sound(S)


@exact
def _row(e: Data, b: Blocks, kept: Factors, t: int) -> tuple[int, float]:
    """Which of the rows here the matrix has in place t, after the variables, and its weight."""
    i, k = kept.unknowns[len(e.Q) + t] - len(e.Q), len(e.A)
    if i < k:
        return len(e.G) + i, b.nu[i]
    return b.order[i - k], b.g[b.order[i - k]]
