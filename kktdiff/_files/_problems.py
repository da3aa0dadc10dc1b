"""Quadratic programs from files: .npz with our names or those of qpsolvers, and QPS."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kktdiff._files import _npz, _qps
from kktdiff._files._errors import UsageError, listed, shown, size
from kktdiff._files._memory import at_hand, of_solve

PRICES = ("soft_h", "soft_b", "soft_lb", "soft_ub")  # of violating a right-hand side
DATA = ("Q", "p", "G", "h", "A", "b", "lb", "ub", *PRICES)
_QPSOLVERS = {"P": "Q", "q": "p"}  # the names of qpsolvers' files that differ


class ProblemFile(NamedTuple):
    """The problems of a file."""

    arrays: dict[str, Any]  # the arguments of `kktdiff.solve_qp`
    sign: float = 1.0  # the file's objective is sign times that of the arrays, plus the offset
    offset: float = 0.0
    notes: tuple[str, ...] = ()  # on what the reader left out


def read_problem(path: Path) -> ProblemFile:
    """Read the quadratic programs of a file.

    Integers become floats, and an array without dimensions a number.

    Raises
    ------
    UsageError
        As `read` and `kktdiff._files._qps.read`; or the file holds other arrays, or too few; or a
        solve would take more memory than there is.
    """
    if path.suffix.lower() in _qps.SUFFIXES:
        found = ProblemFile(*_qps.read(path))
        needed = of_solve(found.arrays)
    else:
        arrays = _from_npz(path)
        found, needed = ProblemFile(_arguments(arrays)), of_solve(arrays)
    if needed > at_hand():
        raise UsageError(
            f"{shown(path)}: a solve takes at least {size(needed)}, and there are "
            f"{size(at_hand())} of memory at hand"
        )
    return found


def example() -> dict[str, Any]:
    """Return a small problem: three shares that add up to 1, of which two are at most 0.7."""
    return {
        "Q": np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 1.5]]),
        "p": np.array([-1.0, -0.8, -0.5]),
        "G": np.array([[1.0, 1.0, 0.0]]),
        "h": np.array([0.7]),
        "A": np.ones((1, 3)),
        "b": np.ones(1),
        "lb": np.array(0.0),
    }


def _from_npz(path: Path) -> dict[str, Any]:
    def choose(names: list[str]) -> list[str]:
        theirs = _QPSOLVERS.keys() & set(names) and not {"Q", "p"} & set(names)
        known = (*(_QPSOLVERS if theirs else DATA[:2]), *DATA[2:])
        unknown = sorted(set(names) - set(known))
        if unknown:
            facts = f"unknown array {listed(unknown)}; known are {', '.join(known)}"
            raise UsageError(f"{shown(path)}: {facts}")
        return names

    given = _npz.read(path, choose)
    arrays = {_QPSOLVERS.get(name, name): array for name, array in given.items()}
    if not {"Q", "p"} & arrays.keys():
        raise UsageError(f"{shown(path)}: there is no array Q or p: expected an objective")
    return _in_floats(arrays)


def _in_floats(arrays: dict[str, Any]) -> dict[str, Any]:
    floats = [array.dtype for array in arrays.values() if array.ndim and array.dtype.kind == "f"]
    dtype = np.result_type(*floats) if floats else np.dtype(np.float64)
    return {k: v.astype(dtype) if v.dtype.kind in "iu" else v for k, v in arrays.items()}


def _arguments(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `kktdiff.solve_qp`; numbers take the dtype of the arrays."""
    given = {name: array if array.ndim else array.item() for name, array in arrays.items()}
    soft = {name.removeprefix("soft_"): given.pop(name) for name in PRICES if name in given}
    return given | {"soft": soft} if soft else given
