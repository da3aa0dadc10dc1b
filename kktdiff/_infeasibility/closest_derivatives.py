"""Derivatives through both QPs of ``infeasible="closest"``.

The rows that are shifted stay the same in a neighbourhood, so the derivatives follow by the
chain rule through the two solutions; see `kktdiff._infeasibility.closest` for the two QPs.
"""

import math
from dataclasses import dataclass
from typing import Any

from kktdiff._arrays import namespace, placed, spread, take
from kktdiff._infeasibility.auxiliary import Data
from kktdiff._infeasibility.closest import Repaired, second_arguments
from kktdiff._layout import CORE
from kktdiff._problem import Problem, at_work
from kktdiff._sensitivity.arguments import OUTPUTS, flat_cotangents, flat_tangents
from kktdiff._sensitivity.derivatives import Engine
from kktdiff._typing import Array

Options = dict[str, Any]
SHAPES = ("G", "h", "A", "b", "lb", "ub")  # the inputs that shape the feasible set


@dataclass(frozen=True, eq=False)
class ClosestEngine:
    """`Engine` for a batch with repaired elements."""

    main: Engine  # of the others
    index: Array  # (b,): the repaired elements' places in the flat batch
    repaired: Repaired
    asked: bool = True  # by infeasible="closest"; else for what is infeasible by rounding

    @property
    def problem(self) -> Problem:
        """The given problem, before any shift."""
        return self.main.problem

    @at_work
    def vjp(
        self,
        cotangents: dict[str, Array | None],
        mode: str,
        smoothing: float | None,
        wrt: tuple[str, ...] | None = None,
    ) -> dict[str, Array | None]:
        """Return the gradients by input name, in the inputs' shapes; of `wrt` only if given."""
        total = self.main.vjp(cotangents, mode, smoothing, wrt)
        flat = {
            name: v[..., 0] for name, v in flat_cotangents(self.problem.given, cotangents).items()
        }
        g = {name: take(v, self.index) for name, v in flat.items()}
        g |= {"objective": g["objective"][:, 0]} if "objective" in g else {}
        if not g:
            return total
        options: Options = {"gradient": mode, "smoothing": smoothing}
        for name, value in pullback(self.repaired, g, options).items():
            if total[name] is None:
                continue
            xp = namespace(value)
            if name in self.problem.given.shared:
                whole = xp.sum(value, axis=0, keepdims=True)
            else:
                whole = self._spread(value)
            total[name] = total[name] + self.problem.given.fold(name, whole)
        return total

    @at_work
    def jvp(
        self, tangents: dict[str, Array | None], mode: str, smoothing: float | None
    ) -> dict[str, Array]:
        """Return the tangents by output name, in the outputs' shapes."""
        total = self.main.jvp(tangents, mode, smoothing)
        flat = flat_tangents(self.problem.given, tangents)
        xp = namespace(self.index)
        data = self.repaired.data
        d: Data = {name: None if v is None else xp.zeros_like(v) for name, v in data.items()}
        for name, v in flat.items():
            d[name] = d[name] + (v if v.shape[0] == 1 else take(v, self.index))
        options: Options = {"gradient": mode, "smoothing": smoothing}
        for name, value in push(self.repaired, d, options).items():
            total[name] = total[name] + self.problem.given.give(self._spread(value))
        return total

    @at_work
    def jacobian(self, of: str, wrt: str, mode: str, smoothing: float | None) -> Array:
        """Return the derivative of one output by one input, (..., *of, *wrt)."""
        total = self.main.jacobian(of, wrt, mode, smoothing)
        options: Options = {"gradient": mode, "smoothing": smoothing}
        shape = self.main.shape(OUTPUTS[of])
        like = self.problem.qp.p
        xp, count = namespace(like), self.index.shape[0]
        eye = xp.eye(math.prod(shape), dtype=like.dtype, device=like.device)
        rows = []
        for i in range(eye.shape[0]):
            g = xp.broadcast_to(xp.reshape(eye[i, :], shape), (count, *shape))
            rows.append(pullback(self.repaired, {of: g}, options)[wrt])
        if not rows:
            return total
        tail = (*shape, *self.main.shape(CORE[wrt]))
        value = self.main.per_number(wrt, xp.reshape(xp.stack(rows, axis=1), (count, *tail)))
        return total + self.problem.given.give(self._spread(value))

    def hvp(self, *arguments: Any) -> dict[str, Array | None]:
        """Return second derivatives; zero for elements that are infeasible by rounding."""
        if not self.asked:
            return self.main.hvp(*arguments)
        raise NotImplementedError(
            'there are no second derivatives where infeasible="closest" has repaired an element'
        )

    def second_jvp(self, *arguments: Any) -> dict[str, Array]:
        """Return second directional derivatives, under the same condition as `hvp`."""
        return self.main.second_jvp(*arguments) if not self.asked else self.hvp()

    @at_work
    def diagnostics(self) -> dict[str, Array]:
        """Return the diagnostics: those of the second QP for repaired elements.

        Elements that are infeasible by rounding (`asked` is False) are never trustworthy.
        """
        main, own = self.main.diagnostics(), self.repaired.solution.diagnostics()
        given, length = self.problem.given, self.problem.length
        out = {}
        for name, value in main.items():
            new = getattr(own, name)
            if name == "trustworthy" and not self.asked:
                new = new & False
            flat = given.backend.receive(value, new.dtype, None)
            flat = given.backend.xp.reshape(flat, (length,))
            out[name] = given.give(placed(self.index, new, flat))
        return out

    def certificate(self) -> dict[str, Array]:
        """Return the certificates of the given problem."""
        return self.main.certificate()

    def _spread(self, value: Array) -> Array:
        problem = self.problem
        return spread([(self.index, value)], value.shape[1:], problem.length, problem.qp.p)


def pullback(r: Repaired, g: dict[str, Array], options: Options) -> dict[str, Array]:
    """Propagate cotangents through both QPs to gradients (b, ...) of each given input."""
    second: Any = r.solution.vjp(**_second_cotangents(r, g), **options)
    grads = {"Q": second.Q, "p": second.p}
    shift: dict[str, Array] = {}
    _, k = r.sizes
    xp = namespace(second.p)
    if "b" in r.moved:
        grads |= {"A": second.A[:, :k, :], "b": second.b[:, :k]}
        shift["b"] = second.b[:, :k]
    if "h" in r.moved:
        held = r.moved["h"]
        shift["h"] = xp.where(held, second.b[:, k:], 0.0)
        grads["G"] = second.G + xp.where(held[..., None], second.A[:, k:, :], 0.0)
        grads["h"] = second.h + shift["h"]
    grads |= _bound_gradients(r, second.lb, second.ub, shift)
    return _through_shifts(r, grads, shift)


def _second_cotangents(r: Repaired, g: dict[str, Array]) -> dict[str, Array]:
    """Find the second QP's cotangents: a shifted row's multiplier is part of its nu."""
    out = dict(g)
    if "h" not in r.moved:
        return out
    xp = namespace(r.data["p"])
    held = r.moved["h"]
    m, k = r.sizes
    if "lam" in g or "nu" in g:
        zero = xp.zeros_like(r.data["p"][:, :1])
        nu = g.get("nu", xp.broadcast_to(zero, (held.shape[0], k)))
        lam = g.get("lam", xp.broadcast_to(zero, (held.shape[0], m)))
        out["nu"] = xp.concat([nu, xp.where(held, lam, 0.0)], axis=1)
        out["lam"] = xp.where(held, 0.0, lam)
    if "s" in g:
        out["s"] = xp.where(held, 0.0, g["s"])
    return out


def _bound_gradients(
    r: Repaired, lower: Array | None, upper: Array | None, shift: dict[str, Array]
) -> dict[str, Array]:
    """Split the second QP's bounds' gradients among the given bounds and their shifts."""
    if lower is None or upper is None:
        return {}
    xp = namespace(lower)
    none = xp.zeros_like(lower) > 0
    by_lb, by_ub = r.moved.get("lb", none), r.moved.get("ub", none)
    value = lower + upper  # a fixed variable's: which bound it was counted to says nothing
    out = {}
    if "lb" in r.moved:
        shift["lb"] = xp.where(by_lb, value, 0.0)
        out["lb"] = xp.where(by_lb | by_ub, 0.0, lower) + shift["lb"]
    if "ub" in r.moved:
        shift["ub"] = xp.where(by_ub & ~by_lb, value, 0.0)
        out["ub"] = xp.where(by_lb | by_ub, 0.0, upper) + shift["ub"]
    return out


def _through_shifts(
    r: Repaired, grads: dict[str, Array], shift: dict[str, Array]
) -> dict[str, Array]:
    """Add the gradients that flow through the shifts, back through the first QP."""
    first: Any = r.shifts.solution.vjp(**r.shifts.cotangents(shift))
    for name in SHAPES:
        if r.data[name] is not None:
            grads[name] = grads[name] + getattr(first, name)
    return grads


def push(r: Repaired, d: Data, options: Options) -> dict[str, Array]:
    """Propagate tangents through both QPs to each output, (b, ...)."""
    first = {name: d[name] for name in SHAPES}
    shift = r.shifts.of(r.shifts.solution.jvp(**first))
    second = second_arguments(d, shift, r.moved, 0.0)
    t = r.solution.jvp(**second, **options)
    return as_given(r, {name: getattr(t, name) for name in OUTPUTS})


def as_given(r: Repaired, found: dict[str, Array]) -> dict[str, Array]:
    """Map the second QP's outputs to the given QP: its last equalities are rows of G."""
    if "h" not in r.moved:
        return found
    xp = namespace(found["x"])
    _, k = r.sizes
    held = r.moved["h"]
    return found | {
        "nu": found["nu"][:, :k],
        "lam": xp.where(held, found["nu"][:, k:], found["lam"]),
        "s": xp.where(held, 0.0, found["s"]),
    }
