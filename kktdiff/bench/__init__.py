"""Time and accuracy of kktdiff on problems of several kinds: ``python -m kktdiff bench``.

The problems are drawn here, each from a seed; `benchmarks.run` of the repository measures other
libraries on the same ones.

>>> from kktdiff import bench
>>> problem = bench.make("W2", batch=3)
>>> problem.data["G"].shape, problem.data["A"].shape
((3, 20, 10), (3, 5, 10))
"""

from kktdiff.bench._command import add_options, command, some_of
from kktdiff.bench._machine import machine
from kktdiff.bench._ours import WAYS, build
from kktdiff.bench._problem import FULL_RANK, Arrays, Problem
from kktdiff.bench._reference import Reference, errors, reference
from kktdiff.bench._report import accuracy_of, ms, number, table, tables
from kktdiff.bench._run import RIGHT, SECONDS, USUAL, WRONG, about, accuracy, outcome, run, run_one
from kktdiff.bench._timing import Contestant, Timing, measure, timed
from kktdiff.bench._workloads import GROWTH, WORKLOADS, Workload, make, signals

__all__ = [
    "FULL_RANK",
    "GROWTH",
    "RIGHT",
    "SECONDS",
    "USUAL",
    "WAYS",
    "WORKLOADS",
    "WRONG",
    "Arrays",
    "Contestant",
    "Problem",
    "Reference",
    "Timing",
    "Workload",
    "about",
    "accuracy",
    "accuracy_of",
    "add_options",
    "build",
    "command",
    "errors",
    "machine",
    "make",
    "measure",
    "ms",
    "number",
    "outcome",
    "reference",
    "run",
    "run_one",
    "signals",
    "some_of",
    "table",
    "tables",
    "timed",
]
