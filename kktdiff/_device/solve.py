"""The solve of a batch on a device: one launch, and the host for the elements that are left."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from kktdiff._arrays import namespace
from kktdiff._device.engine import DeviceEngine
from kktdiff._device.part import Part, given_on_host, some_on_host
from kktdiff._device.structure import with_structure
from kktdiff._given import Given
from kktdiff._interior_point.device import OnDevice, solve_on_device
from kktdiff._layout import CORE, PRICES
from kktdiff._prices import check_prices
from kktdiff._problem import NAMES, Problem, build
from kktdiff._records import Data
from kktdiff._results import Derivatives
from kktdiff._sensitivity.derivatives import Engine
from kktdiff._settings import CURVATURE, Settings
from kktdiff._soft.solve import flat_point
from kktdiff._solution import Solution
from kktdiff._status import Status
from kktdiff._typing import Array
from kktdiff._warm_start import start
from kktdiff.kernels import method

Values = dict[str, Array]
Found = tuple[Values, Derivatives, bool]  # fields, derivatives, and True if all are solved
Solve = Callable[[Given, Solution | None, Values | None, Settings], Found]


class Batch(NamedTuple):
    """The problems, and what is asked for."""

    problem: Problem
    data: Data  # with prices
    near: Solution | None  # of a nearby problem
    weights: Values | None  # of the shifts for ``infeasible="closest"``, by right-hand side
    settings: Settings
    on_host: Solve  # solves problems in the host's memory


def solve(
    given: Given, near: Solution | None, weights: Values | None, settings: Settings, on_host: Solve
) -> Found:
    """Return the fields of the solution, its derivatives, and True if all elements are solved."""
    problem = build(given)
    data = problem.data._replace(**check_prices(given))
    batch = Batch(problem, data, near, weights, settings, on_host)
    if not method.fits(data):
        return _all_on_host(batch)
    data = with_structure(data, given.backend)
    warm = None if near is None else start(problem, flat_point(given, near))
    found = solve_on_device(data, warm, settings, given.backend)
    fields = found.fields | _no_shifts(batch)
    left = None if found.codes is None else _left(found, batch)
    some = left is not None and left.shape[0] > 0
    parts = (_with_left(batch, left, fields),) if some else ()
    fields["solved"] = fields["status"] <= int(Status.ALMOST_SOLVED)
    proofs = () if _is_soft(batch) else found.proofs  # of the problem with slacks
    base = Engine(problem, fields["status"], (), proofs)
    engine = DeviceEngine(base, found.kept, parts, found.unread)
    return fields, engine, found.codes is None


def _is_soft(batch: Batch) -> bool:
    return any(getattr(batch.data, name) is not None for name in PRICES)


def _no_shifts(batch: Batch) -> Values:
    """Return the shifts of elements that the kernels solve."""
    given, p = batch.problem.given, batch.data.p
    shapes = {name: (given.length, given.sizes[CORE[name]]) for name in batch.weights or ()}
    zeros = namespace(p).zeros
    return {f"shift_{v}": zeros(shape, device=p.device) for v, shape in shapes.items()}


def _left(found: OnDevice, batch: Batch) -> Array:
    """Return the places of the elements for the host, in its memory."""
    codes, settled = found.codes, [Status.SOLVED]
    if not _is_soft(batch):
        settled.append(Status.DUAL_INFEASIBLE)
        settled += [] if batch.weights is not None else [Status.PRIMAL_INFEASIBLE]
        exact = batch.settings.curvature == CURVATURE["float64"]  # else noise is to be taken out
        settled += [Status.NONCONVEX] if exact else []
    xp = namespace(codes)
    return xp.nonzero(~xp.isin(codes, xp.asarray([int(v) for v in settled])))[0]


def _with_left(batch: Batch, left: Array, fields: Values) -> Part:
    """Let the host solve the elements `left`; enter what it finds into `fields`."""
    backend, like = batch.problem.given.backend, batch.data.p
    index = backend.receive(left, None, like)
    part, found, _ = _on_host(batch, index)
    for name, values in found.items():
        if name in fields:
            fields[name][index] = backend.receive(values, None, like)
    return part


def _all_on_host(batch: Batch) -> Found:
    """Let the host solve all elements."""
    given, like = batch.problem.given, batch.data.p
    index = namespace(like).arange(given.length, device=like.device)
    part, found, every = _on_host(batch, index)
    fields = {name: given.backend.receive(v, None, like) for name, v in found.items()}
    engine = DeviceEngine(Engine(batch.problem, fields["status"], (), ()), None, (part,), None)
    return fields, engine, every


def _on_host(batch: Batch, index: Array) -> tuple[Part, Values, bool]:
    """Solve some elements on the host; return them, their fields, and True if all are solved."""
    given, near = batch.problem.given, batch.near
    backend = given.backend
    structure, names = batch.data.structure, batch.data._fields[:-1]
    arrays = zip(names, batch.data.arrays, strict=True)
    some = some_on_host({name: v for name, v in arrays if v is not None}, index, backend)
    data = Data(**dict.fromkeys(NAMES) | some, structure=structure)
    own = given_on_host(data, by_arrays=batch.weights is not None)
    if near is not None:
        near = replace(near, **some_on_host(flat_point(given, near), index, backend))
    weights = batch.weights
    if weights is not None:
        weights = some_on_host(weights, index, backend)
    found, engine, every = batch.on_host(own, near, weights, batch.settings)
    return Part(index, own, engine, bool(found["solved"].any())), found, every
