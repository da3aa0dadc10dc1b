"""The solve and its derivatives as `torch.autograd.Function`s.

Each calls one method of `kktdiff.Solution`, and its own derivatives are the others:

    Solve    backward Vjp                                forward Jvp
    Vjp      backward Jvp (cotangents), Hvp (inputs)     forward Vjp + Hvp
    Jvp      backward Vjp (tangents), Hvp (inputs)       forward Jvp + Second

which makes two derivatives, in any mix of modes. Hvp and Second are the last.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

import kktdiff
from kktdiff.adapters._fields import INPUTS, Patterns, arguments, in_array
from kktdiff.adapters.torch._exchange import Tensors, on_stream, to_array, to_tensor
from kktdiff.adapters.torch._vmap import derivative_rule, solve_rule

REPORTS = ("status", "solved", "iterations", "primal_residual", "dual_residual", "duality_gap")
SHIFTS = ("shift_h", "shift_b", "shift_lb", "shift_ub")
N = len(INPUTS)

Names = tuple[str, ...]


@dataclass(eq=False)
class Call:
    """Arguments of a call that are not tensors. No tuple: torch.func would flatten it."""

    options: dict[str, Any]  # of kktdiff.solve_qp
    floats: Names  # the outputs with derivatives
    gradient: str = "exact"
    smoothing: float | None = None
    patterns: Patterns = field(default_factory=dict)  # of inputs that are values alone
    solution: Any = field(default=None, repr=False)  # the kktdiff.Solution, once it is there


def _signed(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Store the signature of `forward`, which torch asks for at every call, to be found at once."""
    forward.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    return forward


def is_plain() -> bool:
    """Return True if neither a transform of torch.func nor forward mode is at work."""
    return not torch._C._are_functorch_transforms_active() and forward_ad._current_level < 0


def apply(function: Any, *arguments: Any) -> Any:
    """Call ``function.apply``, without what torch does in Python for its transforms alone."""
    if is_plain():
        return super(torch.autograd.Function, function).apply(*arguments)
    return function.apply(*arguments)


class Solve(torch.autograd.Function):
    """(call, INPUTS) -> the call's floats, REPORTS, and SHIFTS if there are any."""

    @staticmethod
    @_signed
    def forward(call: Call, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        with on_stream(inputs):
            solution = kktdiff.solve_qp(**_inputs(call, inputs), **call.options)
            call.solution = solution
            fields = [getattr(solution, name) for name in (*call.floats, *REPORTS, *SHIFTS)]
            return tuple(to_tensor(v) for v in fields if v is not None)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.call, ctx.solution, ctx.outputs = inputs[0], inputs[0].solution, len(output)
        _keep(ctx, inputs[1:])
        ctx.mark_non_differentiable(*output[len(inputs[0].floats) :])

    @staticmethod
    def backward(ctx: Any, *g: Tensor | None) -> Any:
        wanted, g = _asked(INPUTS, ctx.needs_input_grad[1:]), g[: len(ctx.call.floats)]
        if not wanted or all(v is None for v in g):
            return (None,) * (1 + N)
        tensors = (*ctx.saved_tensors, *g)  # torch raises here if the graph was freed
        pull = Vjp.apply if torch.is_grad_enabled() or not is_plain() else Vjp.forward
        found = pull(ctx.call, ctx.solution, wanted, *tensors)
        return None, *_placed(INPUTS, wanted, found)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Any:
        found = Jvp.apply(ctx.call, ctx.solution, (), *ctx.saved_tensors, *tangents)
        return *found, *[None] * (ctx.outputs - len(found))

    @staticmethod
    def vmap(info: Any, in_dims: Any, call: Call, *inputs: Tensor | None) -> Any:
        return solve_rule(Solve.apply, info, in_dims, call, inputs)


class _Derivative(torch.autograd.Function):
    """(call, solution, names of the gradients wanted, tensors) -> gradients, or outputs."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.call, ctx.solution, ctx.wanted, *tensors = inputs
        _keep(ctx, tensors)


class Vjp(_Derivative):
    """Tensors: inputs, cotangents of the floats."""

    @staticmethod
    @_signed
    def forward(call: Call, solution: Any, wanted: Names, *t: Tensor | None) -> Any:
        with on_stream(t):
            grads = solution.vjp(
                **_named(call.floats, t[N:]),
                gradient=call.gradient,
                smoothing=call.smoothing,
                wrt=wanted,
            )
            return tuple(to_tensor(in_array(getattr(grads, name))) for name in wanted)

    @staticmethod
    def backward(ctx: Any, *c: Tensor | None) -> Any:
        inputs, g = ctx.saved_tensors[:N], ctx.saved_tensors[N:]
        need_inputs, need_g = ctx.needs_input_grad[3 : 3 + N], ctx.needs_input_grad[3 + N :]
        d = _placed(INPUTS, ctx.wanted, c)
        by_input: Any = (None,) * N
        by_g: Any = (None,) * len(g)
        if any(v is not None for v in d):
            by_input = _hvp(ctx, _asked(INPUTS, need_inputs), inputs, g, d)
            if any(need_g):
                moved = Jvp.apply(ctx.call, ctx.solution, (), *inputs, *d)
                by_g = [v if need else None for v, need in zip(moved, need_g, strict=True)]
        return None, None, None, *by_input, *by_g

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Any:
        inputs, g = ctx.saved_tensors[:N], ctx.saved_tensors[N:]
        d, dg = tangents[3 : 3 + N], tangents[3 + N :]
        parts = []
        if any(v is not None for v in dg):
            parts.append(Vjp.apply(ctx.call, ctx.solution, ctx.wanted, *inputs, *dg))
        if any(v is not None for v in d):
            parts.append(Hvp.apply(ctx.call, ctx.solution, ctx.wanted, *inputs, *g, *d))
        return tuple(sum(v) for v in zip(*parts, strict=True))

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:
        return derivative_rule(Vjp.apply, info, in_dims, arguments, ("outputs",))


class Jvp(_Derivative):
    """Tensors: inputs, tangents of INPUTS. Gives the tangents of the floats."""

    @staticmethod
    @_signed
    def forward(call: Call, solution: Any, _: Names, *t: Tensor | None) -> Any:
        with on_stream(t):
            d = _inputs(call, t[N:])
            moved = solution.jvp(**d, gradient=call.gradient, smoothing=call.smoothing)
            return tuple(to_tensor(getattr(moved, name)) for name in call.floats)

    @staticmethod
    def backward(ctx: Any, *g: Tensor | None) -> Any:
        inputs, d = ctx.saved_tensors[:N], ctx.saved_tensors[N:]
        need_inputs, need_d = ctx.needs_input_grad[3 : 3 + N], ctx.needs_input_grad[3 + N :]
        by_input: Any = (None,) * N
        by_d: Any = (None,) * N
        if any(v is not None for v in g):
            by_input = _hvp(ctx, _asked(INPUTS, need_inputs), inputs, g, d)
            wanted = _asked(INPUTS, need_d)
            if wanted:
                found = Vjp.apply(ctx.call, ctx.solution, wanted, *inputs, *g)
                by_d = _placed(INPUTS, wanted, found)
        return None, None, None, *by_input, *by_d

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Any:
        inputs, d = ctx.saved_tensors[:N], ctx.saved_tensors[N:]
        e, dd = tangents[3 : 3 + N], tangents[3 + N :]
        parts = []
        if any(v is not None for v in dd):
            parts.append(Jvp.apply(ctx.call, ctx.solution, (), *inputs, *dd))
        if any(v is not None for v in e):
            parts.append(Second.apply(ctx.call, ctx.solution, (), *inputs, *d, *e))
        return tuple(sum(v) for v in zip(*parts, strict=True))

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:
        return derivative_rule(Jvp.apply, info, in_dims, arguments, ("inputs",))


class _Last(_Derivative):
    """A second derivative: it has none itself."""

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError("third derivatives of solve_qp: two is the most")

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError("third derivatives of solve_qp: two is the most")


class Hvp(_Last):
    """Tensors: inputs, cotangents of the floats, tangents of INPUTS. Gives gradients."""

    @staticmethod
    @_signed
    def forward(call: Call, solution: Any, wanted: Names, *t: Tensor | None) -> Any:
        with on_stream(t):
            end = N + len(call.floats)
            g, d = _named(call.floats, t[N:end]), _inputs(call, t[end:])
            grads = solution.hvp(g, d, gradient=_second_mode(call), wrt=wanted)
            return tuple(to_tensor(in_array(getattr(grads, name))) for name in wanted)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:
        return derivative_rule(Hvp.apply, info, in_dims, arguments, ("outputs", "inputs"))


class Second(_Last):
    """Tensors: inputs, two directions of INPUTS. Gives the second tangents of the floats."""

    @staticmethod
    @_signed
    def forward(call: Call, solution: Any, _: Names, *t: Tensor | None) -> Any:
        with on_stream(t):
            d, e = _inputs(call, t[N : 2 * N]), _inputs(call, t[2 * N :])
            moved = solution.second_jvp(d, e, gradient=_second_mode(call))
            return tuple(to_tensor(getattr(moved, name)) for name in call.floats)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> Any:
        return derivative_rule(Second.apply, info, in_dims, arguments, ("inputs", "inputs"))


def _hvp(ctx: Any, wanted: Names, inputs: Tensors, g: Tensors, d: Tensors) -> list[Any]:
    if not wanted:
        return [None] * N
    found = Hvp.apply(ctx.call, ctx.solution, wanted, *inputs, *g, *d)
    return _placed(INPUTS, wanted, found)


def _keep(ctx: Any, tensors: Any) -> None:
    ctx.save_for_backward(*tensors)
    if not is_plain():
        ctx.save_for_forward(*tensors)
    ctx.set_materialize_grads(False)


def _named(names: Names, tensors: Tensors) -> dict[str, Any]:
    pairs = zip(names, tensors, strict=True)
    return {name: to_array(t) for name, t in pairs if t is not None}


def _inputs(call: Call, tensors: Tensors) -> dict[str, Any]:
    """Return inputs, or tangents of them, as the methods of the core take them."""
    return arguments(_named(INPUTS, tensors), call.patterns)


def _asked(names: Names, need: Any) -> Names:
    return tuple(name for name, asked in zip(names, need, strict=True) if asked)


def _placed(names: Names, wanted: Names, found: Any) -> list[Any]:
    by_name = dict(zip(wanted, found, strict=True))
    return [by_name.get(name) for name in names]


def _second_mode(call: Call) -> str:
    if call.gradient == "smoothed":
        raise NotImplementedError(
            'second derivatives with gradient="smoothed": use "exact" or "least_squares"'
        )
    return call.gradient
