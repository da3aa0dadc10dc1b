"""Elements that were not solved: one warning or error that says how many, which and why."""

import math
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Any

from kktdiff import backends
from kktdiff._arrays import namespace, norm_inf, take, take_shared
from kktdiff._display import listed
from kktdiff._errors import SolveError, SolveWarning
from kktdiff._given import Given
from kktdiff._layout import CORE
from kktdiff._records import MOST_DENSE
from kktdiff._results import Derivatives
from kktdiff._settings import INFINITE
from kktdiff._solution import Solution
from kktdiff._status import Status
from kktdiff._typing import Array

_SHOWN = 5  # elements, or rows, named in a message
_COUNTS = 1e-9  # of the largest part in a contradiction: less is rounding
_PAGE = 'docs/statuses.md, "Statuses and what to do"'


def report_failures(
    given: Given,
    fields: dict[str, Array],  # (B, ...)
    engine: Derivatives,
    solution: Solution,
    on_failure: str,
) -> None:
    """Report the unsolved elements in one warning or error, or not at all."""
    if on_failure == "ignore":
        return
    xp, status = namespace(fields["x"]), fields["status"]
    failed = xp.nonzero(status > int(Status.ALMOST_SOLVED))[0]
    if not failed.shape[0]:
        return
    nothing = xp.any(xp.isnan(take(fields["x"], failed)), axis=1)
    found: dict[int, dict[int, bool]] = {}  # by status: places, and True where x is NaN
    for place, kind, is_nan in zip(
        *map(listed, (failed, take(status, failed), nothing)), strict=True
    ):
        found.setdefault(kind, {})[place] = is_nan
    parts = [_describe(s, places, given, engine) for s, places in sorted(found.items())]
    total = math.prod(given.batch)
    message = (
        f"{failed.shape[0]} of {total} problems not solved; their gradients are zero. "
        f"{' '.join(parts)} See {_PAGE}."
    )
    if on_failure == "raise":
        raise SolveError(message, solution)
    warnings.warn(message, SolveWarning, stacklevel=_callers_level())


def _describe(status: int, places: dict[int, bool], given: Given, engine: Derivatives) -> str:
    """Return a sentence on the elements of one status: which, their x, the cause and the cure."""
    batch, first = given.batch, next(iter(places))
    at = f" at {_listed([str(_unravel(place, batch)) for place in places])}" if batch else ""
    kinds = {True: "NaN", False: "the best iterate"}
    x = " or ".join(kinds[kind] for kind in sorted(set(places.values())))
    cause, _, cure = str(Status(status).__doc__).partition(": ")
    detail = ""
    if status == Status.PRIMAL_INFEASIBLE:
        detail = _contradiction(contradicting_rows(given, engine, first))
    elif status == Status.INVALID_DATA:
        detail = invalid_entry(given, first)
    if detail:
        where = f"at {_unravel(first, batch)} " if len(places) > 1 else ""
        cause += f"; {where}{detail}"
    return f"{len(places)} {Status(status).name}{at} (x is {x}): {cause}; {cure}"


def _contradiction(rows: list[str]) -> str:
    if len(rows) < 2:
        return f"row {rows[0]} alone can't be met" if rows else ""
    return f"rows {_listed(rows)} contradict each other"


def invalid_entry(given: Given, place: int) -> str:
    """Return the first entry of an element's data that may not be, such as "p[2] is nan"."""
    for name in given.inputs:
        own = _own(given, name, place)
        xp = namespace(own)
        bad = xp.isnan(own)  # the others may be infinite
        if name in ("Q", "p", "G", "A"):
            bad = ~xp.isfinite(own)
        elif name == "b":
            bad = ~(xp.abs(own) < INFINITE)
        index = tuple(int(i[0]) for i in xp.nonzero(bad) if i.shape[0])
        value = own[index] if index else 0.0
        if index and given.is_sparse(name):
            index = given.place(name, index[0])
        if index:
            return f"{name}[{', '.join(map(str, index))}] is {float(value):g}"
    return ""


def _own(given: Given, name: str, place: int) -> Array:
    """Return one element's part of an argument, where array code is done."""
    array: Array = given.flat(name)
    index = namespace(array).asarray([place], device=array.device)
    return given.backend.to_host(take_shared(array, index)[0, ...])


def contradicting_rows(given: Given, engine: Derivatives, place: int) -> list[str]:
    """Return the names of rows that contradict each other in one element, such as "h[2]".

    None of them can go, unless it takes long to find out which can.
    """
    if given.works_sparse and sum(given.sizes.values()) > MOST_DENSE:
        return _rows_of_proof(given, engine.certificate(), place)
    blocks = _blocks(given, engine.certificate(), place)
    xp = namespace(next(iter(blocks.values())))
    names = [f"{name}[{i}]" for name, rows in blocks.items() for i in range(rows.shape[0])]
    rows = xp.concat(list(blocks.values()))
    sizes = norm_inf(rows[:, :-1])
    sizes = xp.where(sizes > 0, sizes, -rows[:, -1])  # of 0'x <= -1
    parts = xp.nonzero(sizes > _COUNTS * xp.max(sizes))[0]
    if not parts.shape[0]:  # no multipliers: a limit is infinite the wrong way
        return _never_met(given, place)
    target = xp.zeros_like(rows[0, ...])
    target[-1] = -1.0
    found = backends.combination(take(rows, parts), target) or range(parts.shape[0])
    return [names[int(parts[i])] for i in found]


def _rows_of_proof(given: Given, proof: dict[str, Array], place: int) -> list[str]:
    """Return the names of the rows that a proof for one element takes, of sparse matrices."""
    names = []
    for name, multiplier in (("h", "lam"), ("b", "nu"), ("lb", "lam_lb"), ("ub", "lam_ub")):
        if name in given.inputs:
            size = given.sizes[CORE[name]]
            flat = given.receive(proof[multiplier], (given.length, size))
            own = abs(given.backend.to_host(flat[place, ...]))
            names += [(float(own[int(i)]), f"{name}[{int(i)}]") for i in listed(own.nonzero()[0])]
    most = max((size for size, _ in names), default=0.0)
    return [row for size, row in names if size > _COUNTS * most] or _never_met(given, place)


def _never_met(given: Given, place: int) -> list[str]:
    """Return the first limit of an element that is infinite the wrong way, such as ["lb[1]"]."""
    for name, sign in (("h", -1), ("lb", 1), ("ub", -1)):
        if name in given.inputs:
            own = sign * _own(given, name, place)
            found = namespace(own).nonzero(own >= INFINITE)[0]
            if found.shape[0]:
                return [f"{name}[{int(found[0])}]"]
    return []


def _blocks(given: Given, proof: dict[str, Array], place: int) -> dict[str, Array]:
    """Return the rows of one element, [row | limit], each times its multiplier in a proof."""
    names = ("G", "h", "A", "b", "lb", "ub")
    own: dict[str, Any] = {k: _own(given, k, place) if k in given.inputs else None for k in names}
    like = _own(given, "p", place)
    xp = namespace(like)
    own |= {k: given.dense(k, v) for k, v in own.items() if given.is_sparse(k) and v is not None}
    eye = xp.eye(given.sizes["n"], dtype=like.dtype, device=like.device)
    sides = {"h": (own["G"], "lam", 1), "b": (own["A"], "nu", 1)}
    sides |= {"lb": (-eye, "lam_lb", -1), "ub": (eye, "lam_ub", 1)}
    out = {}
    for name, (matrix, multiplier, sign) in sides.items():
        if own[name] is not None:
            flat = given.receive(proof[multiplier], (given.length, own[name].shape[0]))
            lam = given.backend.to_host(flat[place, :])[:, None]
            limit = xp.where(lam == 0, 0.0, sign * own[name][:, None])  # it may be infinite
            out[name] = xp.concat([matrix, limit], axis=1) * lam
    return out


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _unravel(place: int, batch: tuple[int, ...]) -> int | tuple[int, ...]:
    index: list[int] = []
    for size in reversed(batch):
        place, rest = divmod(place, size)
        index.append(rest)
    return index[0] if len(index) == 1 else tuple(reversed(index))


def _callers_level() -> int:
    """Return the stack level, from `report_failures`, of the caller outside the libraries."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and _root(frame) in ("kktdiff", "torch", "jax"):
        frame, level = frame.f_back, level + 1
    return level


def _root(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
