"""The solve and its derivatives as two primitives of JAX.

`solve` gives the fields of a solution. The other one is all of its derivatives: the form

    g' (d/dt_1 ... d/dt_r) y(inputs + t_1 d_1 + ... + t_r d_r),     r = 1 or 2,

is linear in g, a cotangent of the outputs, and in each d, a tangent of the inputs. Leave one of
them out, and what remains is a vector in its space:

    r = 1    without g: jvp           without d: vjp
    r = 2    without g: second_jvp    without a d: hvp

So the transpose in one of the arguments gives the same form with that one left out instead, and
the derivative in the inputs is the form with one more tangent. Each is one call of a method of
`kktdiff.Solution`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from kktdiff import backends
from kktdiff.adapters._fields import CORE, core, floats
from kktdiff.adapters.jax import _direct as direct
from kktdiff.adapters.jax import _kept as kept
from kktdiff.adapters.jax._batching import form_rule, report_rule, solve_rule
from kktdiff.adapters.jax._calls import register
from kktdiff.adapters.jax._kept import DIAGNOSTICS, REPORTS, Call, Names

Space = tuple[str, Names]  # "in" or "out", and the names of those that are not zero

solve_p = Primitive("kktdiff_solve")
form_p = Primitive("kktdiff_derivative")
report_p = Primitive("kktdiff_diagnostics")  # has no derivatives
for _primitive in (solve_p, form_p, report_p):
    _primitive.multiple_results = True


def _solve(*arrays: Any, names: Names, call: Call, keep: Names) -> list[Any]:
    solution, number = kept.solve(call, dict(zip(names, arrays, strict=True)), keep=bool(keep))
    xp = backends.for_array(arrays[0]).xp
    size = direct.words(*arrays, names=names, call=call, keep=keep)
    none = xp.zeros((*solution.status.shape, size), dtype=xp.int32)
    return [*(getattr(solution, name) for name in fields_of(names, call)), none, np.int32(number)]


def _form(
    *arrays: Any,
    names: Names,
    call: Call,
    keep: Names,
    spaces: tuple[Space, ...],
    result: Space,
    rows: int,
) -> list[Any]:
    (number, _), inputs, groups = split(arrays, names, spaces)
    given = [
        (kind, dict(zip(own, v, strict=True)))
        for (kind, own), v in zip(spaces, groups, strict=True)
    ]
    by_name = dict(zip(names, inputs, strict=True))
    shape = groups[0][0].shape[:rows]
    return kept.derivative(call, int(number), by_name, given, result[1], shape)


def _report(*arrays: Any, names: Names, call: Call) -> list[Any]:
    found = kept.diagnostics(call, dict(zip(names, arrays, strict=True)))
    return [getattr(found, name) for name in DIAGNOSTICS]


def _report_shapes(*inputs: Any, names: Names, call: Call) -> list[Any]:
    kinds = (inputs[0].dtype, jax.dtypes.canonicalize_dtype(np.int64), inputs[0].dtype, bool)
    shape = output_shapes(inputs, names, call)["status"]
    return [_aval(shape, np.dtype(kind), like=inputs) for kind in kinds]


def _solve_shapes(*inputs: Any, names: Names, call: Call, keep: Names) -> list[Any]:
    shapes = output_shapes(inputs, names, call)
    dtype, integer = inputs[0].dtype, jax.dtypes.canonicalize_dtype(np.int64)
    kinds = {"status": integer, "solved": np.dtype(bool), "iterations": integer}
    make = partial(_aval, like=inputs)
    fields = fields_of(names, call)
    size = direct.words(*inputs, names=names, call=call, keep=keep)
    state = make((*shapes["status"], size), np.dtype(np.int32))
    number = make((), np.dtype(np.int32))
    return [*(make(shapes[v], kinds.get(v, dtype)) for v in fields), state, number]


def _form_shapes(
    *arrays: Any,
    names: Names,
    call: Call,
    spaces: tuple[Space, ...],
    result: Space,
    rows: int,
    **_: Any,
) -> list[Any]:
    _, inputs, groups = split(arrays, names, spaces)
    kind, wanted = result
    own = {name: v.shape for name, v in zip(names, inputs, strict=True)}
    shapes = own if kind == "in" else output_shapes(inputs, names, call)
    lead = groups[0][0].shape[:rows]
    return [_aval((*lead, *shapes[name]), inputs[0].dtype, like=arrays) for name in wanted]


def _aval(shape: tuple[int, ...], dtype: Any, like: Any) -> Any:
    for v in like:
        if getattr(v, "vma", None) or getattr(getattr(v, "mat", None), "varying", None):
            raise NotImplementedError(
                "solve_qp inside of jax.shard_map: pass check_vma=False to it"
            )
    return ShapedArray(shape, dtype)


def _solve_jvp(primals: Any, tangents: Any, *, names: Names, call: Call, keep: Names) -> Any:
    moved, d = _nonzero(names, tangents)
    # what a solve is kept for is what it has derivatives in: the rule of vmap needs to know
    keep = _union(keep, moved)
    out = solve_p.bind(*primals, names=names, call=call, keep=keep)
    by = {"names": names, "call": call, "keep": keep, "rows": 0}
    outputs = floats(names)
    how = {"spaces": (("in", moved),), "result": ("out", outputs)}
    dots = form_p.bind(out[-1], out[-2], *primals, *d, **by, **how)
    return out, [*dots, *map(_zero, out[len(outputs) :])]


def _report_jvp(primals: Any, _: Any, **how: Any) -> Any:
    out = report_p.bind(*primals, **how)
    return out, list(map(_zero, out))


def _form_jvp(primals: Any, tangents: Any, **how: Any) -> Any:
    names, spaces = how["names"], how["spaces"]
    solved, inputs, groups = split(primals, names, spaces)
    _, by_input, by_group = split(tangents, names, spaces)
    moved, e = _nonzero(names, by_input)
    how["keep"] = _union(how["keep"], moved)
    out = form_p.bind(*primals, **how)
    terms = []
    for i, ((kind, own), d) in enumerate(zip(spaces, by_group, strict=True)):
        there, values = _nonzero(own, d)
        if there:
            given = [v if i != j else values for j, v in enumerate(groups)]
            swapped = tuple((kind, there) if i == j else s for j, s in enumerate(spaces))
            terms.append(_bind(solved, inputs, given, **how | {"spaces": swapped}))
    if moved:
        if len(spaces) == 2:
            raise NotImplementedError("third derivatives of solve_qp: two is the most")
        if how["call"].gradient == "smoothed":
            raise NotImplementedError(
                'second derivatives with gradient="smoothed": use "exact" or "least_squares"'
            )
        if how["rows"]:  # the directions have several rows, the inputs' tangent has one
            lead = groups[0][0].shape[: how["rows"]]
            e = [jnp.broadcast_to(v, (*lead, *v.shape)) for v in e]
        more = (*spaces, ("in", moved))
        terms.append(_bind(solved, inputs, [*groups, e], **how | {"spaces": more}))
    dots = terms[0]
    for term in terms[1:]:
        dots = [ad.add_jaxvals(a, b) for a, b in zip(dots, term, strict=True)]
    return out, dots


def _form_transpose(cotangents: Any, *arguments: Any, **how: Any) -> Any:
    names, spaces = how["names"], how["spaces"]
    solved, inputs, groups = split(arguments, names, spaces)
    linear = [any(map(ad.is_undefined_primal, v)) for v in groups]
    at = linear.index(True)
    kind, own = spaces[at]
    wanted = tuple(n for n, v in zip(own, groups[at], strict=True) if ad.is_undefined_primal(v))
    there, values = _nonzero(how["result"][1], cotangents)
    back: dict[str, Any] = {}
    if there:
        given = [values if at == j else v for j, v in enumerate(groups)]
        swapped = tuple((how["result"][0], there) if at == j else s for j, s in enumerate(spaces))
        how |= {"spaces": swapped, "result": (kind, wanted)}
        back = dict(zip(wanted, _bind(solved, inputs, given, **how), strict=True))
    out: list[Any] = [None] * (2 + len(names))
    for j, (_, part) in enumerate(spaces):
        for name, v in zip(part, groups[j], strict=True):
            zero = ad.Zero(v.aval) if ad.is_undefined_primal(v) else None
            out.append(back.get(name, zero) if j == at else None)
    return out


def _bind(solved: Any, inputs: Any, groups: Any, **how: Any) -> list[Any]:
    return form_p.bind(*solved, *inputs, *(v for group in groups for v in group), **how)


def split(arrays: Any, names: Names, spaces: tuple[Space, ...]) -> tuple[Any, Any, list[Any]]:
    """The number and the state, the inputs, and what is given in each space."""
    groups, at = [], 2 + len(names)
    for _, own in spaces:
        groups.append(arrays[at : at + len(own)])
        at += len(own)
    return arrays[:2], arrays[2 : 2 + len(names)], groups


def fields_of(names: Names, call: Call) -> Names:
    """Return the names of the fields that the solve returns."""
    closest = dict(call.options).get("infeasible") == "closest"
    shifts = [f"shift_{v}" for v in ("h", "b", "lb", "ub") if closest and v in names]
    return (*floats(names), *REPORTS, *shifts)


def output_shapes(inputs: Any, names: Names, call: Call) -> dict[str, tuple[int, ...]]:
    """Return the shape of every field, by name."""
    shapes = {name: v.shape for name, v in zip(names, inputs, strict=True)}
    own = core(dict(call.patterns))
    batch = np.broadcast_shapes(*(s[: len(s) - own[name]] for name, s in shapes.items()))
    n, m, k = (shapes.get(name, (0,))[-1] for name in ("p", "h", "b"))
    tails: dict[str, tuple[int, ...]] = {"x": (n,), "s": (m,), "lam": (m,), "nu": (k,)}
    tails |= {"lam_lb": (n,), "lam_ub": (n,)} | dict.fromkeys(("objective", *REPORTS), ())
    for what in ("shift", "violation"):
        tails |= {f"{what}_h": (m,), f"{what}_b": (k,), f"{what}_lb": (n,), f"{what}_ub": (n,)}
    return {name: (*batch, *tail) for name, tail in tails.items()}


def _union(keep: Names, more: Names) -> Names:
    return tuple(name for name in CORE if name in keep or name in more)


def _nonzero(names: Names, values: Any) -> tuple[Names, list[Any]]:
    pairs = [(n, v) for n, v in zip(names, values, strict=True) if not isinstance(v, ad.Zero)]
    return tuple(n for n, _ in pairs), [v for _, v in pairs]


def _zero(primal: Any) -> Any:
    return ad.Zero(jax.typeof(primal).to_tangent_aval())


register(solve_p, _solve, _solve_shapes, direct.solve)
register(form_p, _form, _form_shapes, direct.pullback)
register(report_p, _report, _report_shapes)
ad.primitive_jvps[solve_p] = _solve_jvp
ad.primitive_jvps[form_p] = _form_jvp
ad.primitive_transposes[form_p] = _form_transpose
ad.primitive_jvps[report_p] = _report_jvp
batching.primitive_batchers[report_p] = partial(report_rule, report_p)
batching.primitive_batchers[solve_p] = partial(solve_rule, solve_p)
batching.primitive_batchers[form_p] = partial(form_rule, form_p)
