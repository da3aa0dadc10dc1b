"""The solve as a custom operator, which is what `torch.compile` can see through.

Its outputs are tensors only, so the backward finds the solution again by a number. The last
solutions are kept; one that has gone is solved for again.
"""

import ast
import itertools
import threading
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

import kktdiff
from kktdiff.adapters._fields import CORE, INPUTS, arguments, floats
from kktdiff.adapters.torch._exchange import on_stream, to_array, to_tensor
from kktdiff.adapters.torch._functions import REPORTS

_KEPT = 16  # solutions that wait for their backward, at the most
_solutions: "OrderedDict[int, Any]" = OrderedDict()
_numbers, _lock = itertools.count(), threading.Lock()


def solve(inputs: list[Tensor | None], options: dict[str, Any]) -> list[Tensor]:
    """The floats and REPORTS, in code that is being compiled."""
    given = [(name, t) for name, t in zip(INPUTS, inputs, strict=True) if t is not None]
    text = ", ".join(f"{name!r}: {value!r}" for name, value in options.items())
    return _solve([t for _, t in given], " ".join(name for name, _ in given), text)[:-1]


@torch.library.custom_op("kktdiff::solve_qp", mutates_args=())
def _solve(inputs: list[Tensor], names: str, options: str) -> list[Tensor]:
    with on_stream(inputs):
        solution = _solved(inputs, names, options)
        number = next(_numbers)
        with _lock:
            _solutions[number] = solution
            while len(_solutions) > _KEPT:
                _solutions.popitem(last=False)
        there = (*floats(names.split()), *REPORTS)
        fields = [to_tensor(getattr(solution, name)).clone() for name in there]
    return [*fields, torch.tensor(number, device="cpu")]  # whatever the default device is


@_solve.register_fake
def _(inputs: list[Tensor], names: str, options: str) -> list[Tensor]:
    by_name = dict(zip(names.split(), inputs, strict=True))
    p = by_name["p"]
    batch = torch.broadcast_shapes(*(t.shape[: t.ndim - CORE[n]] for n, t in by_name.items()))
    n, m, k = (by_name[v].shape[-1] if v in by_name else 0 for v in ("p", "h", "b"))
    tails = {"x": (n,), "s": (m,), "lam": (m,), "nu": (k,), "lam_lb": (n,), "lam_ub": (n,)}
    tails |= {"violation_h": (m,), "violation_b": (k,), "violation_lb": (n,), "violation_ub": (n,)}
    kinds = {"status": torch.int64, "solved": torch.bool, "iterations": torch.int64}
    fields = [
        p.new_empty((*batch, *tails.get(v, ())), dtype=kinds.get(v, p.dtype))
        for v in (*floats(by_name), *REPORTS)
    ]
    return [*fields, torch.empty((), dtype=torch.int64, device="cpu")]


@torch.library.custom_op("kktdiff::vjp", mutates_args=())
def _vjp(
    number: Tensor,
    inputs: list[Tensor],
    cotangents: list[Tensor],
    names: str,
    outputs: str,
    wanted: str,
    options: str,
) -> list[Tensor]:
    with on_stream(inputs):
        with _lock:
            solution = _solutions.pop(int(number), None)
        if solution is None:
            solution = _solved(inputs, names, options)
        g = {name: to_array(t) for name, t in zip(outputs.split(), cotangents, strict=True)}
        how = _read(options)
        grads = solution.vjp(
            **g, gradient=how["gradient"], smoothing=how["smoothing"], wrt=tuple(wanted.split())
        )
        return [to_tensor(getattr(grads, name)) for name in wanted.split()]


@_vjp.register_fake
def _(
    number: Tensor,
    inputs: list[Tensor],
    cotangents: list[Tensor],
    names: str,
    outputs: str,
    wanted: str,
    options: str,
) -> list[Tensor]:
    by_name = dict(zip(names.split(), inputs, strict=True))
    return [torch.empty_like(by_name[name]) for name in wanted.split()]


def _solved(inputs: list[Tensor], names: str, options: str) -> kktdiff.Solution:
    how = {k: v for k, v in _read(options).items() if k not in ("gradient", "smoothing")}
    arrays: dict[str, Any] = dict(zip(names.split(), map(to_array, inputs), strict=True))
    return kktdiff.solve_qp(**arguments(arrays, {}), **how)


def _read(options: str) -> dict[str, Any]:
    return ast.literal_eval(f"{{{options}}}")


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    tensors, ctx.names, ctx.options = inputs
    ctx.save_for_backward(output[-1], *tensors)


def _backward(ctx: Any, grads: list[Tensor | None]) -> Any:
    number, *inputs = ctx.saved_tensors
    names = ctx.names.split()
    pairs = zip(floats(names), grads, strict=False)
    found = [(name, g) for name, g in pairs if g is not None]
    if not found:
        return [None] * len(inputs), None, None
    outputs = " ".join(name for name, _ in found)
    wanted = [name for name, t in zip(names, inputs, strict=True) if t.requires_grad] or names
    out = _vjp(
        number, inputs, [g for _, g in found], ctx.names, outputs, " ".join(wanted), ctx.options
    )
    by_name = dict(zip(wanted, out, strict=True))
    return [by_name.get(name) for name in names], None, None


_solve.register_autograd(_backward, setup_context=_keep)
