"""The solver against exact answers, on tiny QPs with integer data.

    python -m tests.robustness.exact --count 100000 --seed 1 [--family any | rank_one]

counts the faults and prints the first problems as literals; it exits with 1 if there are any.
Entries from -3 to 3 make ties and degenerate solutions common.
"""

import argparse
import sys
from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np

import kktdiff
from kktdiff import Status
from tests.checks import assert_farkas, assert_ray, element
from tests.problems import Data, Sizes
from tests.robustness.verdicts import decide, problem
from tests.tolerances import ANSWER, CERTIFICATE, DENSE_REFERENCE
from tests.unsolvable import proof_of

FAULTS = (
    "false SOLVED",
    "false ALMOST_SOLVED",
    "false PRIMAL_INFEASIBLE",
    "false DUAL_INFEASIBLE",
    "unsolved",
    "wrong objective",
    "wrong x",
    "wrong certificate",
    "wrong trust",
    "wrong gradient",
)
CHUNK = 20000  # problems drawn at a time: many of each shape, and little memory
SHOWN = 5  # problems of each fault that the command prints


def any_problem(rng, sizes=None):
    """Draw Q = LL' of any rank, rows and bounds; sizes too, if none are given.

    Two of three have a feasible point x, on which some of the limits are tight.
    """
    n, m, k, lower, upper, _ = sizes or Sizes(*rng.integers([1, 0, 0, 0, 0], [5, 7, 3, 2, 2]))
    size = int(rng.integers(1, 4))
    x = _entries(rng, 1, n) if rng.random() < 0.67 else None
    L, G, A = (_entries(rng, size, (rows, n)) for rows in (rng.integers(0, n + 1), m, k))
    h = _entries(rng, size, m) if x is None else G @ x + rng.integers(0, size + 1, m)
    b = _entries(rng, size, k) if x is None else A @ x
    p = _entries(rng, 1, len(L)) @ L if rng.random() < 0.4 else _entries(rng, size, n)
    lb, ub = _bounds(rng, size, np.zeros(n) if x is None else x)
    rows = (G, h) if m else (None, None)
    equalities = (A, b) if k else (None, None)
    return problem(L.T @ L, p, *rows, *equalities, lb if lower else None, ub if upper else None)


def rank_one(rng):
    """Draw Q = vv', two rows, and lower bounds or none: solutions that run away."""
    n = rng.integers(2, 4)
    v = _entries(rng, 1, n)
    G, lb = _entries(rng, 2, (2, n)), _entries(rng, 2, n) if rng.random() < 0.3 else None
    return problem(np.outer(v, v), _entries(rng, 2, n), G, _entries(rng, 3, 2), lb=lb)


FAMILIES = {"any": any_problem, "rank_one": rank_one}


def _entries(rng, size, shape):
    return rng.integers(-size, size + 1, shape)


def _bounds(rng, size, x):
    """Return bounds on x, some tight, absent or equal; now and then a pair crosses."""
    lb, ub = x - rng.integers(0, size + 1, x.size), x + rng.integers(0, size + 1, x.size)
    ub = np.where(rng.random(x.size) < 0.02, lb - 1, ub).astype(float)
    lb, ub = (np.where(rng.random(x.size) < 0.2, s * np.inf, v) for s, v in ((-1, lb), (1, ub)))
    return lb, ub


def compare(problems, rng, solve=kktdiff.solve_qp):
    """Return the faults of `solve`, {name: problems as literals}, and a count of what was seen."""
    faults, seen, shapes = {name: [] for name in FAULTS}, Counter(), defaultdict(list)
    for data in problems:
        shapes[tuple(None if v is None else v.shape for v in data)].append(data)
    for members in shapes.values():
        columns = zip(*members, strict=True)
        data = Data(*(None if v[0] is None else np.array(v, float) for v in columns))
        weights = rng.integers(-3, 4, data.p.shape)
        solution = solve(*data, on_failure="ignore")
        found, proofs = _found(solution, weights), solution.certificate()
        for i, member in enumerate(members):
            verdict, one = decide(member, weights[i]), element(found, i)
            names = " or ".join(sorted(status.name for status in verdict.statuses))
            seen[names] += 1
            seen["differentiable"] += verdict.gradient is not None
            seen["trusted"] += bool(one.trust)
            literal = f"{literal_of(member)}  # {names}, got {Status(int(one.status)).name}"
            for fault in _faults_of(element(data, i), verdict, one, proof_of(proofs, i)):
                faults[fault].append(literal)
    return faults, seen


class _Found(NamedTuple):
    """What the solver says of a batch, or of one of its elements."""

    status: np.ndarray
    x: np.ndarray
    objective: np.ndarray
    trust: np.ndarray
    p: np.ndarray  # derivatives of weight'x by p, h and b
    h: np.ndarray | None
    b: np.ndarray | None


def _found(solution, weights):
    grads, trust = solution.vjp(weights.astype(float)), solution.diagnostics().trustworthy
    answer = solution.status, solution.x, solution.objective
    return _Found(*answer, trust, grads.p, grads.h, grads.b)


def _faults_of(data, verdict, found, proof):
    """Yield the names of the faults at one element."""
    status = Status(int(found.status))
    if status not in verdict.statuses:
        yield _misjudged(status, verdict)
    elif status != Status.SOLVED:
        if not _proves(data, status, proof):
            yield "wrong certificate"
    else:
        yield from _faults_of_solution(data, verdict, found)
    if found.trust and (verdict.gradient is None or status != Status.SOLVED):
        yield "wrong trust"


def _misjudged(status, verdict):
    claims = {Status.SOLVED, Status.PRIMAL_INFEASIBLE, Status.DUAL_INFEASIBLE}
    if Status.SOLVED not in verdict.statuses:
        claims.add(Status.ALMOST_SOLVED)
    return f"false {status.name}" if status in claims else "unsolved"


def _faults_of_solution(data, verdict, found):
    x = verdict.point.x.astype(float) / verdict.point.denominator
    size = abs(x) @ abs(data.Q) @ abs(x) / 2 + abs(data.p) @ abs(x)
    if not abs(found.objective - float(verdict.objective)) <= ANSWER * (1 + size):
        yield "wrong objective"
    errors = [violation(data, found.x)]
    if verdict.gradient is not None:  # x is the only solution
        errors.append(np.max(np.abs(found.x - x)))
    if not np.max(errors) <= ANSWER * (1 + np.max(np.abs(x))):
        yield "wrong x"
    if found.trust and verdict.gradient is not None:
        exact = np.concatenate([v for v in verdict.gradient if v is not None]).astype(float)
        grads = np.concatenate([v for v in (found.p, found.h, found.b) if v is not None])
        if not np.max(np.abs(grads - exact)) <= DENSE_REFERENCE * (1 + np.max(np.abs(exact))):
            yield "wrong gradient"


def violation(data, x):
    """Return the largest violation of a constraint; NaN if x is not a number."""
    terms = [0 * x]
    terms += [] if data.G is None else [data.G @ x - data.h]
    terms += [] if data.A is None else [abs(data.A @ x - data.b)]
    terms += [] if data.lb is None else [data.lb - x]
    terms += [] if data.ub is None else [x - data.ub]
    return np.max(np.concatenate(terms))


def _proves(data, status, proof):
    check = assert_farkas if status == Status.PRIMAL_INFEASIBLE else assert_ray
    try:
        check(data, proof, CERTIFICATE)
    except AssertionError:
        return False
    return True


def literal_of(data):
    """Return a call of `problem`, with `inf` from math."""
    given = {name: v.tolist() for name, v in data._asdict().items() if v is not None}
    return f"problem({', '.join(f'{name}={value}' for name, value in given.items())})"


def main(arguments=None):
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.exact")
    parser.add_argument("--count", type=int, default=10000, help="number of problems")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", choices=FAMILIES, default="any")
    options = parser.parse_args(arguments)
    rng, total, seen = np.random.default_rng(options.seed), defaultdict(list), Counter()
    for start in range(0, options.count, CHUNK):
        count = min(CHUNK, options.count - start)
        faults, kinds = compare([FAMILIES[options.family](rng) for _ in range(count)], rng)
        seen += kinds
        for name, literals in faults.items():
            total[name] += literals
    sys.stdout.write(report(total, seen))
    return int(any(total.values()))


def report(faults, seen):
    """Return the counts, then the first problems of each fault."""
    lines = [f"{kind}: {count}" for kind, count in sorted(seen.items())]
    lines += ["", *(f"{name}: {len(literals)}" for name, literals in faults.items())]
    for name, literals in faults.items():
        lines += ["", name, *literals[:SHOWN]] if literals else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
