"""Run the kernels of a library over problems of all sizes and kinds: python -m ... LIBRARY.

With "shared" behind it, over those that threads share alone. Compiled with sanitizers it ends with
their report at the first access beyond an array or the scratch memory, both allocated exactly, at
undefined behaviour, or at a race; else with a count.
"""

import sys

import numpy as np

from kktdiff._records import Point, Rhs
from kktdiff._status import Status
from kktdiff.kernels import method
from tests.kernels.calls import Library, flat, point_of, replaced
from tests.problems import Sizes, known
from tests.robustness import fuzz
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
    yield from map(flat, sized())
    for kind in fuzz.KINDS:
        qp = flat(fuzz.draw(kind, 300)[0])
        if method.supports(qp):
            yield qp
    for n in range(1, 10):
        sizes = Sizes(n, n % 5, n % 3, bool(n % 2), n % 4 > 1)
        yield softened(
            np.random.default_rng(n), flat(known(np.random.default_rng(n), sizes, (5,)).data)
        )
    for draw in (contradictory, unbounded, conflicting):
        for sizes in (Sizes(5, 6, 1, True, True), Sizes(3, 4, 0), Sizes(7, 0, 2, True, True)):
            yield flat(stacked(draw, np.random.default_rng(2), sizes, (11,)))


def softened(rng, qp):
    """Return the same with prices of all that can have one, a third of them infinite."""
    sides = {f"soft_{v}": a for v in ("h", "lb", "ub", "b") if (a := getattr(qp, v)) is not None}
    prices = {v: np.exp(rng.normal(size=(qp.length, a.shape[1]))) for v, a in sides.items()}
    return qp._replace(**{v: np.where(w < 0.7, np.inf, w) for v, w in prices.items()})


def run(qp):
    """Solve, with records, from the solution again, with few iterations; derive and pull back.

    Return all statuses, the points of what has a solution, the proofs of what has none, and what
    `derive` and `vjp` return for the former.
    """
    out = method.solve(qp, None, 100, traced=True)
    point = point_of(qp, out)
    n, rows = qp.sizes[0], qp.sizes[1] + sum(qp.bounds)
    start = Point(point.x[:, :n], point.s[:, :rows], point.lam[:, :rows], point.nu)
    method.solve(qp, start, 100)
    method.solve(qp, None, 3, traced=True)
    rng = np.random.default_rng(1)
    rhs = Rhs(*(rng.normal(size=(*v.shape, 2)) for v in (point.x, point.s, point.nu)))
    at, without = (np.flatnonzero(np.isin(out.status, some)) for some in (SOLVED, INFEASIBLE))
    done, rhs = out.take(at), Rhs(*(v[at] for v in rhs))
    derived = method.derive(qp.take(at), done.kept, done.active, rhs, 1e-16)
    proofs = [v[without] for v in (point.x, point.lam, point.nu)]
    gradients = pulled(rng, qp.take(at), done)
    path = method.solve(qp, None, 100, barrier=1e-3)
    at = np.flatnonzero(path.status == Status.SOLVED)
    gradients += pulled(rng, qp.take(at), path.take(at))
    return out.status, done, proofs, derived, gradients


def pulled(rng, qp, done):
    """Pull cotangents of everything back to gradients of everything; return all arrays."""
    names = [name for name, v in zip(qp._fields, qp, strict=True) if v is not None]
    fields = (done.x, done.s, done.lam, done.nu, done.lam_lb, done.lam_ub, done.status)
    fields += tuple(getattr(done, v) for v in method.VIOLATIONS)
    cotangents = tuple(None if v is None else rng.normal(size=v.shape) for v in fields)
    system = done.kept, done.active, done.weights
    found = method.vjp(qp, system, cotangents, names, (1e-16, 1e-7), factors=done.factors)
    return [found.x, found.c, found.nu, *found.gradients.values()]


def shared():
    """Yield large problems, whose work threads share: of whole blocks and tiles, and not."""
    for n, m, k in ((300, 270, 40), (288, 256, 256)):
        yield flat(known(np.random.default_rng(n), Sizes(n, m, k, True), (2,)).data)


def share(path):
    """Use three threads for each large problem."""
    with replaced(Library(path, packed=False, fill=0x21, threads=3)):
        return sum(len(run(qp)[0]) for qp in shared())


def main(path):
    """Use both number types, and threads within problems."""
    count = share(path)
    for packed in (True, False):
        with replaced(Library(path, packed=packed, fill=0x21)), np.errstate(all="ignore"):
            count += sum(len(run(qp)[0]) for qp in problems())
    return count


if __name__ == "__main__":
    use = share if sys.argv[2:] else main
    sys.stdout.write(f"{use(sys.argv[1])} problems\n")
