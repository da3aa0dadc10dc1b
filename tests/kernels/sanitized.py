"""Run the kernels of a library over problems of all sizes and kinds: python -m ... LIBRARY.

Compiled with sanitizers it ends with their report at the first access beyond an array or the
scratch memory, both allocated exactly, or at undefined behaviour; else with a count.
"""

import sys

import numpy as np

from kktdiff._records import Point, Rhs
from kktdiff._status import Status
from kktdiff.kernels import method
from tests import fuzz
from tests.kernels.calls import Library, qp_of, replaced
from tests.problems import Sizes, known
from tests.unsolvable import conflicting, contradictory, stacked, unbounded

SOLVED, INFEASIBLE = (Status.SOLVED,), (Status.PRIMAL_INFEASIBLE, Status.DUAL_INFEASIBLE)


def sized():
    """Yield batches of every size of the register tiles, with shared matrices, and a larger one."""
    for n in range(1, 13):
        for m in (0, 1, 2, 3, 4, 5, 20):
            rng = np.random.default_rng([n, m])
            sizes = Sizes(n, m, min(n - 1, m % 5), bool(n % 2) or not m, bool(m % 2))
            yield known(rng, sizes, (5,), shared=("Q", "G", "A")[: n % 4]).data
    yield known(np.random.default_rng(0), Sizes(43, 31, 7, True, True), (2,)).data


def problems():
    """Yield batches of all sizes, of all kinds that the kernels take, and without solutions."""
    yield from map(qp_of, sized())
    for kind in fuzz.KINDS:
        qp = qp_of(fuzz.draw(kind, 300)[0])
        if method.supports(qp):
            yield qp
    for draw in (contradictory, unbounded, conflicting):
        for sizes in (Sizes(5, 6, 1, True, True), Sizes(3, 4, 0), Sizes(7, 0, 2, True, True)):
            yield qp_of(stacked(draw, np.random.default_rng(2), sizes, (11,)))


def run(qp):
    """Solve, with records, from the solution again, and with few iterations; then derive.

    Return all statuses, the points of what has a solution, the proofs of what has none, and what
    `derive` returns for the former.
    """
    out = method.solve(qp, None, 100, traced=True)
    method.solve(qp, Point(out.x, out.s, out.lam, out.nu), 100)
    method.solve(qp, None, 3, traced=True)
    rng = np.random.default_rng(1)
    rhs = Rhs(*(rng.normal(size=(*v.shape, 2)) for v in (out.x, out.s, out.nu)))
    at, without = (np.flatnonzero(np.isin(out.status, some)) for some in (SOLVED, INFEASIBLE))
    done, rhs = out.take(at), Rhs(*(v[at] for v in rhs))
    derived = method.derive(qp.take(at), done.scaling, done.active, rhs, 1e-16)
    return out.status, done, [v[without] for v in (out.x, out.lam, out.nu)], derived


def main(path):
    """Use both number types."""
    count = 0
    for packed in (True, False):
        with replaced(Library(path, packed=packed, fill=0x21)), np.errstate(all="ignore"):
            count += sum(len(run(qp)[0]) for qp in problems())
    return count


if __name__ == "__main__":
    sys.stdout.write(f"{main(sys.argv[1])} problems\n")
