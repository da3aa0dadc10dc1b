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
from kktdiff._inputs import Given
from kktdiff._results import Derivatives
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
    rows = [] if status != Status.PRIMAL_INFEASIBLE else contradicting_rows(given, engine, first)
    if rows:
        where = f"at {_unravel(first, batch)} " if len(places) > 1 else ""
        one = f"row {rows[0]} alone can't be met"
        cause += (
            f"; {where}{one if len(rows) == 1 else f'rows {_listed(rows)} contradict each other'}"
        )
    return f"{len(places)} {Status(status).name}{at} (x is {x}): {cause}; {cure}"


def contradicting_rows(given: Given, engine: Derivatives, place: int) -> list[str]:
    """Return the names of rows that contradict each other in one element, such as "h[2]".

    None of them can go, unless it takes long to find out which can.
    """
    blocks = _blocks(given, engine.certificate(), place)
    xp = namespace(next(iter(blocks.values())))
    names = [f"{name}[{i}]" for name, rows in blocks.items() for i in range(rows.shape[0])]
    rows = xp.concat(list(blocks.values()))
    sizes = norm_inf(rows[:, :-1])
    sizes = xp.where(sizes > 0, sizes, -rows[:, -1])  # of 0'x <= -1
    parts = xp.nonzero(sizes > _COUNTS * xp.max(sizes))[0]
    if not parts.shape[0]:  # no multipliers: a limit is infinite the wrong way
        return []
    target = xp.zeros_like(rows[0, ...])
    target[-1] = -1.0
    found = backends.combination(take(rows, parts), target) or range(parts.shape[0])
    return [names[int(parts[i])] for i in found]


def _blocks(given: Given, proof: dict[str, Array], place: int) -> dict[str, Array]:
    """Return the rows of one element, [row | limit], each times its multiplier in a proof."""
    like: Array = given.flat("p")
    xp = namespace(like)
    index = xp.asarray([place], device=like.device)
    one = {name: given.flat(name) for name in ("G", "h", "A", "b", "lb", "ub")}
    own: dict[str, Any] = {
        k: None if v is None else take_shared(v, index)[0, ...] for k, v in one.items()
    }
    eye = xp.eye(given.sizes["n"], dtype=like.dtype, device=like.device)
    sides = {"h": (own["G"], "lam", 1), "b": (own["A"], "nu", 1)}
    sides |= {"lb": (-eye, "lam_lb", -1), "ub": (eye, "lam_ub", 1)}
    out = {}
    for name, (matrix, multiplier, sign) in sides.items():
        if own[name] is not None:
            flat = given.receive(proof[multiplier], (given.length, own[name].shape[0]))
            lam = take(flat, index)[0, :, None]
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
