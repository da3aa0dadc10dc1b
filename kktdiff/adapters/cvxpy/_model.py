"""The model behind a layer of either framework, and the checks of its calls."""

from collections.abc import Mapping, Sequence
from typing import Any

import cvxpy as cp

from kktdiff.adapters.cvxpy._maps import blocks, laid_out, read_multiplier, read_variable
from kktdiff.adapters.cvxpy._presolve import presolved
from kktdiff.adapters.cvxpy._program import reduced

# Options of the solvers behind cvxpylayers, all of them about how: accepted, and without effect.
_WITHOUT_EFFECT = (
    "acceleration_lookback",
    "eps",
    "eps_abs",
    "eps_rel",
    "ipm_settings",
    "max_iters",
    "mode",
    "n_jobs_backward",
    "n_jobs_forward",
    "raise_on_error",
    "solve_method",
    "tol_feas",
    "tol_gap_abs",
    "tol_gap_rel",
    "use_indirect",
)


class Model:
    """The QP's blocks as affine maps of the parameters, and where each result is.

    Attributes
    ----------
    blocks : dict of str to Block
        By the names of `kktdiff.solve_qp`'s arguments.
    sizes : dict of str to int
        n, m and k of the QP, and the number of variables that were eliminated.
    reads : list of Read
        In the order of the variables.

    Raises
    ------
    ValueError, TypeError
        As `CvxpyLayer` says.
    """

    def __init__(
        self,
        problem: Any,
        parameters: Sequence[Any],
        variables: Sequence[Any],
        *,
        gp: bool,
        eliminate: bool,
        options: Mapping[str, Any],
    ) -> None:
        if gp:
            raise ValueError("gp=True: geometric programs are not QPs")
        parameters, variables = _checked(problem, list(parameters)), list(variables)
        for variable in variables:
            if not isinstance(variable, cp.Variable):
                raise TypeError(
                    f"variables: {variable!r} is a {type(variable).__name__}: expected a "
                    "cvxpy.Variable, or a constraint's dual_variables[0]"
                )
        program = reduced(problem, parameters)
        duals = {dual.id: c for c in problem.constraints for dual in c.dual_variables}
        asked = [duals[v.id] for v in variables if v.id in duals]
        wanted = [program.rows_of(c) for c in asked if c.id in program.starts]
        smaller = presolved(program, wanted, eliminate=eliminate)
        layout = laid_out(smaller)
        self.blocks = blocks(smaller, layout, [p.size for p in parameters])
        n, _, m, k = map(int, layout.sizes)
        self.sizes = {"n": n, "m": m, "k": k, "eliminated": program.sizes[0] - n}
        self.reads = []
        for variable in variables:
            if variable.id in program.columns:
                self.reads.append(read_variable(program, layout, variable))
            elif variable.id in duals and duals[variable.id].id in program.starts:
                self.reads.append(read_multiplier(program, layout, duals[variable.id]))
            else:
                raise ValueError(f"variables: {variable.name()} is not one of the problem's")
        self._shapes = [(p.name(), tuple(p.shape)) for p in parameters]
        self._sizes = [p.size for p in parameters]
        self._options = options

    def __repr__(self) -> str:
        return ", ".join(f"{name}={size}" for name, size in self.sizes.items())

    def options(self, solver_args: Mapping[str, Any] | None) -> dict[str, Any]:
        """Merge the layer's options and the call's, for `solve_qp`."""
        given = {**self._options, **(solver_args or {})}
        return {name: value for name, value in given.items() if name not in _WITHOUT_EFFECT}

    def flat(self, values: Sequence[Any], kind: Any, kind_name: str) -> list[Any]:
        """The parameters' values, each (..., entries in C order).

        Raises
        ------
        TypeError
            Not of the kind; mixed dtypes, or other than float32 and float64.
        ValueError
            A wrong number of them, or a wrong shape.
        """
        if len(values) != len(self._shapes):
            raise ValueError(f"{len(values)} parameters given: expected {len(self._shapes)}")
        flat = []
        for (name, shape), size, value in zip(self._shapes, self._sizes, values, strict=True):
            if not isinstance(value, kind):
                raise TypeError(f"{name} is a {type(value).__name__}: expected a {kind_name}")
            dtype = value.dtype
            if str(dtype).removeprefix("torch.") not in ("float32", "float64"):
                raise TypeError(f"{name} has dtype {dtype}: expected float32 or float64")
            if dtype != values[0].dtype:
                raise TypeError(f"{name} has dtype {dtype}: expected {values[0].dtype}")
            lead = value.ndim - len(shape)
            if lead < 0 or tuple(value.shape[lead:]) != shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}: expected (..., *{shape})")
            flat.append(value.reshape((*value.shape[:lead], size)))
        return flat


def _checked(problem: Any, parameters: list[Any]) -> list[Any]:
    """The parameters, if they are the problem's."""
    if not isinstance(problem, cp.Problem):
        raise TypeError(f"problem is a {type(problem).__name__}: expected a cvxpy.Problem")
    for parameter in parameters:
        if not isinstance(parameter, cp.Parameter):
            raise TypeError(
                f"parameters: {parameter!r} is a {type(parameter).__name__}: expected a "
                "cvxpy.Parameter"
            )
    given, own = [p.id for p in parameters], {p.id: p.name() for p in problem.parameters()}
    if sorted(given) != sorted(own):
        raise ValueError(
            f"parameters: {[p.name() for p in parameters]} given, and the problem has "
            f"{list(own.values())}: expected each of them once"
        )
    if not own:
        raise ValueError("the problem has no parameters: solve it with cvxpy")
    return parameters
