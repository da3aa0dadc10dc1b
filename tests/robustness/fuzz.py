"""Solve random problems of every kind and check the answers.

python -m tests.robustness.fuzz --count 100000          # a new seed, printed
python -m tests.robustness.fuzz --kind circles --seed 7 # one batch again
"""

import argparse
import secrets
import sys
import zlib
from collections import Counter
from typing import NamedTuple

import numpy as np

import kktdiff
from tests.robustness import soft_kinds
from tests.robustness.kind_checks import check
from tests.robustness.kinds import KINDS as HARD

KINDS = HARD | {"soft_rows": soft_kinds.soft_rows}
BATCH = 20  # problems of one size; a failure's index counts within its batch
SHOWN = 3  # failures of a kind that are listed


class Tally(NamedTuple):
    """What came of the problems of one kind."""

    iterations: list  # of every element
    unsolved: list  # (seed, index, Status)
    wrong: list  # (seed, index, what is wrong)


def draw(kind, seed):
    """Draw the batch of a kind that belongs to a seed: the data and their reference."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    return KINDS[kind](rng, BATCH)


def solve(data):
    """Solve a batch; failures are data."""
    if isinstance(data, soft_kinds.Soft):
        return soft_kinds.solve(data)
    return kktdiff.solve_qp(*data, on_failure="ignore")


def judge(kind, seed, tally, solver=None):
    """Solve and check one batch; add what came of it to the tally."""
    data, reference = draw(kind, seed)
    try:
        solution = (solver or solve)(data)
    except Exception as error:
        tally.unsolved.extend((seed, i, type(error).__name__) for i in range(BATCH))
        return
    tally.iterations.extend(solution.iterations.tolist())
    faults = check(data, reference, solution)
    for i in np.flatnonzero(np.any(list(faults.values()), axis=0)):
        if faults["status"][i]:
            tally.unsolved.append((seed, i, kktdiff.Status(int(solution.status[i])).name))
        else:
            tally.wrong.append((seed, i, " ".join(name for name, at in faults.items() if at[i])))


def run(count, seed, kinds=tuple(KINDS), solver=None):
    """Judge batches of all kinds in turn until there are `count` problems; return the tallies."""
    tallies = {kind: Tally([], [], []) for kind in kinds}
    for i in range(-(-count // BATCH)):
        kind = kinds[i % len(kinds)]
        judge(kind, seed + i // len(kinds), tallies[kind], solver)
    return tallies


def failures(tallies):
    """Return the failures as (kind, seed, index, what)."""
    return [(kind, *each) for kind, t in tallies.items() for each in t.unsolved + t.wrong]


def table(tallies):
    """Return one line per kind, and a line for each of the first failures."""
    lines = [
        f"{'kind':22}{'count':>8}{'unsolved':>10}{'wrong':>8}{'mean':>8}{'max':>6}  iterations"
    ]
    for kind, (iterations, unsolved, wrong) in tallies.items():
        raised = sum(1 for _, _, what in unsolved if what not in kktdiff.Status.__members__)
        steps = iterations or [0]
        lines.append(
            f"{kind:22}{len(iterations) + raised:8}{len(unsolved):10}{len(wrong):8}"
            f"{np.mean(steps):8.1f}{np.max(steps):6}"
        )
    found, shown = failures(tallies), Counter()
    for kind, seed, index, what in found:
        shown[kind] += 1
        if shown[kind] <= SHOWN:
            lines.append(f"--kind {kind} --seed {seed}: index {index}, {what}")
    return "\n".join([*lines, f"{len(found)} failures"])


def main(arguments=None):
    """Run from the command line; return 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=None, help="problems; one batch of a --kind")
    parser.add_argument("--seed", type=int, default=None, help="a new one by default")
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="all by default")
    options = parser.parse_args(arguments)
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    count = options.count or (BATCH if options.kind else 100_000)
    print(f"seed {seed}")
    tallies = run(count, seed, tuple(options.kind or KINDS))
    print(table(tallies))
    return int(bool(failures(tallies)))


if __name__ == "__main__":
    sys.exit(main())
