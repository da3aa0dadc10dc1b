"""The work of the primitives, on arrays of NumPy or of CuPy.

Between the solve and its derivatives travels a number, under which the solution and its factors
are kept. It is no more than a hint: a derivative compares its inputs with those that were solved
for, and solves again where they differ or where the solution has gone. So each call depends on
its arguments alone, as XLA demands of a callback.
"""

import dataclasses
import itertools
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import kktdiff
from kktdiff import backends
from kktdiff._typing import Array
from kktdiff.adapters._fields import arguments, in_array
from kktdiff.adapters.jax._sparse import Patterns

DIAGNOSTICS = tuple(field.name for field in dataclasses.fields(kktdiff.Diagnostics))
REPORTS = ("status", "solved", "iterations", "primal_residual", "dual_residual", "duality_gap")

KEPT = 64  # solutions that wait for their derivatives, at the most
KEPT_BYTES = 2**30  # and what they take, estimated; the newest is kept whatever it takes
_SMALL_BYTES = 2**14  # up to which a copy costs less than the calls that do without
USED_BYTES = 2**27  # of those that had a derivative: most need no other, and new memory is slow

_FILL = 10  # entries of a sparse factor for each of its matrix

Names = tuple[str, ...]
Arrays = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """Static arguments of a call; equal calls share their compiled code."""

    options: tuple[tuple[str, Any], ...]  # of kktdiff.solve_qp
    gradient: str = "exact"
    smoothing: float | None = None
    patterns: Patterns = ()  # of inputs that are values alone


@dataclass(frozen=True, eq=False)
class Weights:
    """`shift_weights` as an option: arrays have no hash, so this has one of its own."""

    arrays: dict[str, Array]


@dataclass(eq=False)
class _Kept:
    call: Call
    inputs: Arrays
    solution: kktdiff.Solution
    used: bool = False  # by a derivative
    size: int = field(init=False)  # estimated, in bytes

    def __post_init__(self) -> None:
        x, lam, nu = self.solution.x, self.solution.lam, self.solution.nu
        size = x.shape[-1] + lam.shape[-1] + nu.shape[-1]
        entries = size**2
        if self.call.patterns:
            nnz = sum(pattern.nnz for _, pattern in self.call.patterns)
            entries = min(entries, _FILL * (nnz + size))
        factors = 8 * self.solution.status.size * entries
        self.size = int(factors + sum([v.nbytes for v in self.inputs.values()]))


_solutions: "OrderedDict[int, _Kept]" = OrderedDict()  # the least recently used first
_numbers, _lock = itertools.count(), threading.Lock()


def solve(call: Call, inputs: Arrays, *, keep: bool) -> tuple[kktdiff.Solution, int]:
    """The solution, and the number under which it is kept, or -1."""
    if not keep:
        return _solved(call, inputs), -1
    # XLA may use the memory of a callback's arguments again once the callback returns
    inputs = {name: array.copy() for name, array in inputs.items()}
    number = next(_numbers) % 2**31  # as an int32
    solution = _solved(call, inputs)
    _keep(number, _Kept(call, inputs, solution))
    return solution, number


def derivative(
    call: Call,
    number: int,
    inputs: Arrays,
    given: list[tuple[str, Arrays]],  # ("out", cotangents) or ("in", tangents), by name
    wanted: Names,
    rows: tuple[int, ...],  # leading dimensions of what is given: several, at one solution
) -> list[Array]:
    """Return the derivatives named in `wanted`, for the given cotangents and tangents."""
    solution = _find(call, number, inputs)
    if not rows:
        found = _derivative(call, solution, given, wanted)
        return [in_array(getattr(found, name)) for name in wanted]
    columns = []
    for row in np.ndindex(*rows):
        one = [(kind, {name: v[row] for name, v in part.items()}) for kind, part in given]
        found = _derivative(call, solution, one, wanted)
        columns.append([in_array(getattr(found, name)) for name in wanted])
    xp = backends.for_array(inputs["Q"]).xp
    stacks = [xp.stack([xp.asarray(v) for v in c]) for c in zip(*columns, strict=True)]
    return [xp.reshape(v, (*rows, *v.shape[1:])) for v in stacks]


def _derivative(
    call: Call, solution: kktdiff.Solution, given: list[tuple[str, Arrays]], wanted: Names
) -> Any:
    g: Any = next((part for kind, part in given if kind == "out"), None)
    d: Any = [arguments(part, dict(call.patterns)) for kind, part in given if kind == "in"]
    how: Any = {"gradient": call.gradient}
    if len(given) == 1:
        how["smoothing"] = call.smoothing
        if g is None:
            return solution.jvp(**d[0], **how)
        return solution.vjp(**g, **how, wrt=wanted)
    return solution.second_jvp(*d, **how) if g is None else solution.hvp(g, *d, **how, wrt=wanted)


def _find(call: Call, number: int, inputs: Arrays) -> kktdiff.Solution:
    with _lock:
        kept = _solutions.get(number)
        if kept is not None:
            _solutions.move_to_end(number)
            kept.used = True
    if kept is not None and _belongs(kept, call, inputs):
        return kept.solution
    inputs = {name: array.copy() for name, array in inputs.items()}
    solution = _again(call, inputs)
    if kept is None and number >= 0:
        _keep(number, _Kept(call, inputs, solution, used=True))
    return solution


def diagnostics(call: Call, inputs: Arrays) -> kktdiff.Diagnostics:
    """Return the diagnostics of the kept solution of the same problem, or else of a new one."""
    with _lock:
        alike = [kept for kept in _solutions.values() if kept.call.options == call.options]
    for kept in reversed(alike):
        if _belongs(kept, call, inputs):
            return kept.solution.diagnostics()
    return _again(call, inputs).diagnostics()


def certificate(call: Call, inputs: Arrays) -> kktdiff.Certificate:
    """Return the certificates of a problem, which is solved again for them."""
    return _again(call, inputs).certificate()


def _again(call: Call, inputs: Arrays) -> kktdiff.Solution:
    """Solve again without warnings, which the first solve has given."""
    quiet = dict(call.options) | {"on_failure": "ignore", "verbose": False}
    return _solved(dataclasses.replace(call, options=tuple(quiet.items())), inputs)


def _solved(call: Call, inputs: Arrays) -> kktdiff.Solution:
    options = dict(call.options)
    if isinstance(options.get("shift_weights"), Weights):
        weights, Q = options["shift_weights"].arrays, inputs["Q"]
        receive = backends.for_array(Q).receive  # to where the inputs are
        options["shift_weights"] = {k: receive(v, v.dtype, Q) for k, v in weights.items()}
    return kktdiff.solve_qp(**arguments(inputs, dict(call.patterns)), **options)


def _keep(number: int, new: _Kept) -> None:
    with _lock:
        _solutions[number] = new
        oldest = _solutions[next(iter(_solutions))]
        if (
            len(_solutions) == KEPT + 1 and new.size <= oldest.size <= _SMALL_BYTES
        ):  # one for another
            _solutions.popitem(last=False)
            return
        count = total = of_used = 0
        for other, kept in reversed(list(_solutions.items())):  # the newest first
            taken = kept.size if kept.used else 0
            fits = count < KEPT and total + kept.size <= KEPT_BYTES
            if count and not (fits and of_used + taken <= USED_BYTES):
                del _solutions[other]
                continue
            count, total, of_used = count + 1, total + kept.size, of_used + taken


def _belongs(kept: _Kept, call: Call, inputs: Arrays) -> bool:
    """Return True if a solution is that of the same arrays, in the same places of matrices."""
    alike = kept.call.patterns == call.patterns and kept.inputs.keys() == inputs.keys()
    return alike and all(_same(kept.inputs[name], v) for name, v in inputs.items())


def _same(left: Array, right: Array) -> bool:
    """Return True if the arrays are on one device and equal bit for bit, NaN included."""
    if type(left) is np.ndarray is type(right) and left.nbytes <= _SMALL_BYTES:
        same = left.dtype == right.dtype and left.shape == right.shape
        return same and left.tobytes() == right.tobytes()
    kinds = [(type(v), v.device, v.dtype, v.shape) for v in (left, right)]
    if kinds[0] != kinds[1]:
        return False
    bits, xp = np.dtype(f"u{left.dtype.itemsize}"), backends.for_array(left).xp
    return bool(xp.all(left.view(bits) == xp.asarray(right, order="C").view(bits)))
