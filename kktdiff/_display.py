"""Show solutions and results in a few lines, or as a card in a notebook.

All of it works on arrays of any library, torch and JAX too: the adapters' results show themselves
by it.
"""

import html
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from kktdiff import backends
from kktdiff._arrays import namespace
from kktdiff._status import Status
from kktdiff._typing import Array

Known = TypeVar("Known")

_CHEAP = 3e7  # up to which the cube of all unknowns, times the batch, is no wait: about 0.1 s
_SHOWN = 10  # entries of the x of one problem
_RESIDUALS = {"primal": "primal_residual", "dual": "dual_residual", "gap": "duality_gap"}


def listed(array: Array) -> Any:
    """Return an array's values as Python's own, in nested lists."""
    if not hasattr(array, "tolist"):
        array = backends.NUMPY.receive(array, None)
    return array.tolist()


def _if_known(read: Callable[[], Known]) -> Known | None:
    """Return what `read` does, or None if arrays have no values: within a transformation.

    JAX raises a TypeError then, torch a RuntimeError.
    """
    try:
        return read()
    except (TypeError, RuntimeError):
        return None


def _values(record: Any, *names: str) -> list[list[Any]]:
    return [_flat(listed(getattr(record, name))) for name in names]


def status_names(status: Array) -> Any:
    """Return the name of each status, in nested lists of the batch's shape."""
    return _named(listed(status))


def _named(status: Any) -> Any:
    return [_named(v) for v in status] if isinstance(status, list) else Status(status).name


def facts(solution: Any) -> dict[str, str]:
    """Return what is shown of a solution, by headings; sizes alone if its values are not known.

    They are not within a transformation of torch or JAX. Of one solved problem x is shown, too.
    """
    n, m, k = (v.shape[-1] for v in (solution.x, solution.lam, solution.nu))
    batch = tuple(solution.x.shape[:-1])
    count = f"{math.prod(batch)} QPs" if batch else "one QP"
    shape = f" in a batch {batch}" if len(batch) > 1 else ""
    found = {"problems": f"{count}{shape}, n={n}, m={m}, k={k}"}
    names = ("status", "iterations", "solved", *_RESIDUALS.values())
    values = _if_known(lambda: _values(solution, *names))
    if values is None:
        return found | {"status": "not known within a transformation"}
    status, iterations, solved, *residuals = values
    counts = sorted(Counter(status).items())
    shown = [f"{many} {Status(v).name}" if batch else Status(v).name for v, many in counts]
    found["status"] = ", ".join(shown) or "none"
    low, high = min(iterations, default=0), max(iterations, default=0)
    found["iterations"] = f"{low}" if low == high else f"{low} to {high}"
    worst = [
        max((v for v, ok in zip(r, solved, strict=True) if ok), default=None) for r in residuals
    ]
    if all(v is not None for v in worst):
        parts = zip(_RESIDUALS, worst, strict=True)
        found["worst residuals"] = ", ".join(f"{name} {v:.1e}" for name, v in parts)
        if not batch:
            (objective,), x = _values(solution, "objective"), listed(solution.x[: min(n, _SHOWN)])
            more = f"  ...  ({n} entries)" if n > _SHOWN else ""
            found["objective"] = f"{objective[0]:.6g}"
            found["x"] = "  ".join(f"{v:.6g}" for v in x) + more
    return found


def _flat(values: Any) -> list[Any]:
    return [v for part in values for v in _flat(part)] if isinstance(values, list) else [values]


def in_lines(solution: Any) -> str:
    """Return the `repr` of a solution: two lines, or three with the objective and x of one."""
    shown = facts(solution)
    lines = [f"Solution of {shown.pop('problems')}: {shown.pop('status')}"]
    last = [f"{name} {shown.pop(name)}" for name in ("objective", "x") if name in shown]
    for parts in ([f"{name} {value}" for name, value in shown.items()], last):
        lines += ["; ".join(parts)] if parts else []
    return "\n".join(lines)


def as_card(solution: Any) -> str:
    """Return a solution as a table in HTML, with the share of trustworthy gradients if cheap."""
    shown = facts(solution)
    trusted = _trusted(solution) if "iterations" in shown else None
    if trusted is not None:
        shown["trustworthy gradients"] = trusted
    rows = "".join(
        f"<tr><th style='text-align:left'>{name}</th><td style='text-align:left'>"
        f"{html.escape(value)}</td></tr>"
        for name, value in shown.items()
    )
    return f"<table><caption>kktdiff solution</caption>{rows}</table>"


def _trusted(solution: Any) -> str | None:
    """Return the share of gradients that `diagnostics` trusts; None if it has nothing to go by."""
    n, m, k = (v.shape[-1] for v in (solution.x, solution.lam, solution.nu))
    count = math.prod(solution.x.shape[:-1])
    if count * (3 * n + m + k) ** 3 > _CHEAP:
        return "see diagnostics()"
    try:
        trusted = _flat(listed(solution.diagnostics().trustworthy))
    except ValueError:  # arrays alone, without the problem
        return None
    return f"{sum(trusted)} of {len(trusted)}"


def shapes(record: Any) -> str:
    """Return the `repr` of a record of arrays: the shape of each, and its largest entry."""
    parts = [f"{name} {_shape(v)}" for name, v in vars(record).items() if v is not None]
    return f"{type(record).__name__}: {', '.join(parts)}"


def _shape(array: Array) -> str:
    shape = tuple(array.shape)
    if hasattr(array, "pattern"):  # a Sparse
        array = array.values
    elif hasattr(array, "tocoo"):  # of scipy.sparse
        array = array.tocoo().data
    xp = namespace(array)
    some = math.prod(array.shape) > 0
    return f"{shape} up to {float(xp.max(xp.abs(array))):.3g}" if some else f"{shape}"


def trust(diagnostics: Any) -> str:
    """Return the `repr` of diagnostics."""
    values = _if_known(lambda: _values(diagnostics, "trustworthy", "weakly_active", "condition"))
    if values is None:
        return "Diagnostics: not known within a transformation"
    trusted, weak, condition = values
    kinks = sum(v > 0 for v in weak)
    known = [v for v in condition if not math.isnan(v)]  # it is where there is no solution
    return (
        f"Diagnostics: {sum(trusted)} of {len(trusted)} gradients trustworthy, {kinks} at a kink, "
        f"largest condition {max(known, default=math.nan):.1e}"
    )


def proven(certificate: Any) -> str:
    """Return the `repr` of certificates."""
    x = certificate.x
    found = _flat(listed(namespace(x).all(x == x, axis=-1)))  # NaN where there is no proof
    return f"Certificate: {sum(found)} of {len(found)} proven to have no solution"
