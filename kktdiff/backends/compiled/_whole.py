"""One element after the other from its data to its solution, for those that give no trouble."""

from typing import Any

from kktdiff._settings import GIVEN_UP, NEAR
from kktdiff.backends.compiled import _dual as dual
from kktdiff.backends.compiled import _lapack as lapack
from kktdiff.backends.compiled._data import (
    CONVEX,
    DUAL,
    FORMED,
    PRESENT,
    SERVES,
    Batch,
    Data,
    Options,
    Point,
    Work,
    copy,
    element,
    has_own_matrices,
    is_diagonal,
    point_of,
)
from kktdiff.backends.compiled._jit import exact
from kktdiff.backends.compiled._kept import Kept, kept_of
from kktdiff.backends.compiled._loop import solve
from kktdiff.backends.compiled._polish import copy_point, polish
from kktdiff.backends.compiled._products import is_positive, top
from kktdiff.backends.compiled._triangular import is_sound


def run(
    batch: Batch, o: Options, f: Work, at: Point, kept: Kept, iterations: Any, first: int, end: int
) -> None:
    """Solve the elements from `first` to `end`.

    `iterations` is GIVEN_UP where that failed, and NEAR less their number where polishing did: then
    the point is the loop's. Where few entries are not zero the primal form is cheaper, and the dual
    one is tried second; else it is the other way round.
    """
    for i in range(first, end):
        e, iterations[i] = element(batch, i, first, f), GIVEN_UP
        if has_own_matrices(batch, i, first):
            prepare(e, o, f)
        if not f.flags[CONVEX]:
            continue
        serves = f.flags[SERVES] and is_positive(e.c[PRESENT])
        cheap = dual.is_cheap(e, f)
        for form in range(2 if serves else 1):
            f.flags[DUAL] = serves and cheap == (form == 0)
            if f.flags[DUAL]:
                dual.prepare(e, f)
            else:
                f.flags[FORMED] = False  # the rows in memory are this form's now
            count = solve(e, o, f, point_of(at, 0))
            if count == GIVEN_UP:
                continue
            count = NEAR - count if count <= NEAR else count
            if polish(e, o, f, point_of(at, 0), kept_of(kept, i)):
                iterations[i] = count
                break
            copy_point(point_of(at, 0), point_of(kept.point, i))
            iterations[i] = NEAR - count


@exact
def prepare(e: Data, o: Options, f: Work) -> None:
    """What elements with the same matrices have in common; whether Q is convex, but for rounding.

    Where Q's own factor shows that it is, the factor may serve the dual form.
    """
    n, size, convex = len(e.Q), 0.0, True
    f.flags[FORMED] = f.flags[SERVES] = False
    for i in range(n):
        size = max(size, top(e.Q[i]))
    serves = len(f.M) > 0 and not e.diagonal
    if is_diagonal(e.Q):
        for i in range(n):
            convex = convex and e.Q[i, i] >= -o.curvature * size
        if not (convex and serves):
            f.flags[CONVEX] = convex
            return
    for i in range(n):
        copy(e.Q[i], f.R[i])
    if lapack.factor(f.R, f.la) and is_sound(f.R):
        f.flags[CONVEX], f.flags[SERVES] = True, serves
        return
    for i in range(n):
        copy(e.Q[i], f.R[i])
        f.R[i, i] += o.curvature * size if size > 0 else 1.0
    f.flags[CONVEX] = lapack.factor(f.R, f.la)
