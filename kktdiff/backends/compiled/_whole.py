"""One element after the other from its data to its solution, for those that give no trouble."""

from typing import Any

from kktdiff.backends.compiled import _dual as dual
from kktdiff.backends.compiled import _lapack as lapack
from kktdiff.backends.compiled._data import (
    Batch,
    Data,
    Options,
    Point,
    Work,
    copy,
    element,
    point_of,
)
from kktdiff.backends.compiled._jit import inlined
from kktdiff.backends.compiled._kept import Kept, kept_of
from kktdiff.backends.compiled._loop import GIVEN_UP, solve
from kktdiff.backends.compiled._polish import polish
from kktdiff.backends.compiled._products import top
from kktdiff.backends.compiled._triangular import is_sound


def run(
    batch: Batch, o: Options, f: Work, at: Point, kept: Kept, iterations: Any, first: int, end: int
) -> None:
    """Solve the elements from `first` to `end`; `iterations` is GIVEN_UP where that failed."""
    for i in range(first, end):
        e, iterations[i] = element(batch, i, f), GIVEN_UP
        if prepare(e, o, f):
            count = solve(e, o, f, point_of(at, 0))
            if count != GIVEN_UP and polish(e, o, f, point_of(at, 0), kept_of(kept, i)):
                iterations[i] = count


@inlined
def prepare(e: Data, o: Options, f: Work) -> bool:
    """Choose the form of the Newton system; False if Q is not convex, but for rounding.

    Where Q's own factor shows that it is, the factor may serve the dual form.
    """
    n, size, convex = len(e.Q), 0.0, True
    f.dual[0] = False
    for i in range(n):
        size = max(size, top(e.Q[i]))
    if e.diagonal:
        for i in range(n):
            convex = convex and e.Q[i, i] >= -o.curvature * size
        return convex
    for i in range(n):
        copy(e.Q[i], f.R[i])
    if lapack.factor(f.R, f.la) and is_sound(f.R):
        f.dual[0] = dual.prepare(e, f)
        return True
    for i in range(n):
        copy(e.Q[i], f.R[i])
        f.R[i, i] += o.curvature * size if size > 0 else 1.0
    return lapack.factor(f.R, f.la)
