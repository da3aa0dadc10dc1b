"""The kernels as a custom call of XLA: small problems without Python in between.

`handler` is what XLA calls. `solve` and `vjp` give its attributes, among them the arrays' codes,
which `xla.cpp` explains.
"""

import functools
import importlib
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from kktdiff import kernels
from kktdiff._settings import CONVERGED, DEFAULT_TOL, REFINED
from kktdiff.kernels import amounts, method

TARGET = "kktdiff_kernels"  # the handler's name in XLA
_DATA = {"Q": 2, "p": 1, "G": 2, "h": 1, "A": 2, "b": 1, "lb": 1, "ub": 1}  # name -> dimensions
_NUMBERS = ("objective", "primal_residual", "dual_residual", "duality_gap")
_POINT = ("x", "s", "lam", "nu", "lam_lb", "lam_ub")
_LONGEST = 1e-3  # seconds of a solve whose other derivatives than `vjp` solve again
_NONE, _VJP = -1, 100
_NUMBER, _LEFT, _STATE = 301, 302, 303
_OTHERS = {name: 200 + i for i, name in enumerate(_NUMBERS)}
_OTHERS |= {"solved": 300, "state": _STATE, "nothing": _NONE}

Shape = tuple[int, ...]
Attributes = dict[str, tuple[int, ...] | tuple[float, ...]]


class Problem(NamedTuple):
    """The form of a batch of problems that the custom call is for."""

    sizes: tuple[int, ...]  # of the kernel `solve`
    tol: float
    names: tuple[str, ...]  # of the arrays
    shared: frozenset[str]  # those that serve a batch of several elements
    seconds: float  # about what a solve takes in one thread

    @property
    def words(self) -> int:
        """How many int32 are kept of an element for its derivatives."""
        _, n, m, k, lower, upper, *_ = self.sizes
        rows = m + lower + upper
        return 2 + 2 * amounts.kept_size(n, m, k, rows) + 2 * ((rows + 7) // 8)

    def can_keep(self, moved: tuple[str, ...]) -> bool:
        """Return True if a solve with derivatives in the arrays called `moved` is for it.

        Not where elements share one of them: sums are made in Python.
        """
        return self.seconds <= _LONGEST and not self.shared.intersection(moved)


def handler() -> Any:
    """Return the handler of the custom call as a capsule; None without kernels."""
    if kernels.available() is not None:
        return None
    return importlib.import_module("kktdiff.kernels._native").custom_call()


def problem(
    shapes: Mapping[str, Shape],  # of the arrays, in their order
    dtype: str,
    *,
    tol: float | None = None,
    max_iter: int = 100,
    infeasible: str = "report",
    backend: str | None = None,
    verbose: Any = False,
    on_failure: str = "warn",  # the callback's, which solves what the kernels leave
    **others: Any,
) -> Problem | None:
    """Return the form of a call of `kktdiff.solve_qp`; None for what is left to Python.

    That is what needs array code, and large problems, beside which Python takes no time.
    """
    plain = infeasible == "report" and backend in (None, "numpy") and verbose is False
    if others or not plain or not shapes.keys() <= _DATA.keys():
        return None
    leads = {name: shape[: len(shape) - _DATA[name]] for name, shape in shapes.items()}
    whole = [lead for lead in leads.values() if math.prod(lead) != 1]
    length = math.prod(whole[0]) if whole else 1
    n, m, k = (shapes[name][-1] if name in shapes else 0 for name in ("p", "h", "b"))
    # one that only some of the batch dimensions share is copied along the others
    if len(set(whole)) > 1 or not (n and length) or not amounts.in_lanes(n, m, k):
        return None
    shared = frozenset(name for name, lead in leads.items() if length > 1 and lead not in whole)
    bounds = tuple(n if name in shapes else 0 for name in ("lb", "ub"))
    if not m + sum(bounds) and {"Q", "A"} & shapes.keys() <= shared:
        return None  # the array code factors once what all elements share
    how = (0, 0, *(0,) * 7, method.STAGES, min(max_iter, method.MOST_ITERATIONS), 0)
    tol = DEFAULT_TOL[dtype] if tol is None else float(tol)
    seconds = amounts.seconds(length, n, m, k)
    return Problem((length, n, m, k, *bounds, *how), tol, tuple(shapes), shared, seconds)


def solve(form: Problem, fields: tuple[str, ...]) -> Attributes:
    """Return the attributes of a solve.

    Its arguments are the problem's arrays; its results the fields of a solution, among which
    "state" is what is kept of each element, and "nothing" an empty array; a number as an int32, and
    last an int32 that is not 0 where the results are to be had from Python.
    """
    codes = _codes("solve")
    named = {name: codes[f"solution.{name}"] for name in _POINT} | _OTHERS
    results = (*(named[name] if name in named else codes[name] for name in fields), _NUMBER, _LEFT)
    return _attributes(form, _data(form), results, form.seconds)


def vjp(form: Problem, cotangents: tuple[str, ...], wanted: tuple[str, ...]) -> Attributes:
    """Return the attributes of a pullback.

    Its arguments are a number, which is not used, what is kept, the problem's arrays, and the
    cotangents; its results the gradients called `wanted`, and the last int32 of `solve`.
    """
    codes = _codes("vjp")
    of_outputs = (_VJP + codes[f"cotangent.{name}"] for name in cotangents)
    arguments = (_NONE, _STATE, *_data(form), *of_outputs)
    results = (*(_VJP + codes[f"gradient.{name}"] for name in wanted), _LEFT)
    return _attributes(form, arguments, results, form.seconds / amounts.ITERATIONS)


@functools.cache
def _codes(kernel: str) -> dict[str, int]:
    """Return the places of a kernel's arrays by their names."""
    names = importlib.import_module("kktdiff.kernels._native").arrays(kernel)
    return {name: place for place, name in enumerate(names)}


def _data(form: Problem) -> tuple[int, ...]:
    return tuple(_codes("solve")[name] for name in form.names)


def _attributes(form: Problem, arguments: Shape, results: Shape, seconds: float) -> Attributes:
    return {
        "sizes": form.sizes,
        "options": (form.tol, 0.0, REFINED * form.sizes[1] ** 0.5, CONVERGED),
        "how": (kernels.variants().index(kernels.variant() or ""), kernels.threads(seconds)),
        "arguments": arguments,
        "results": results,
    }
