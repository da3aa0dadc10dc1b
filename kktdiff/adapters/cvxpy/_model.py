"""The model behind a layer of either framework, and the checks of its calls."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cvxpy as cp
import numpy as np

from kktdiff import Sparse
from kktdiff.adapters.cvxpy._maps import (
    Block,
    Read,
    blocks,
    laid_out,
    products,
    read_multiplier,
    read_variable,
)
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


class Layer:
    """The constructor that the layers of both frameworks share."""

    def __init__(
        self,
        problem: Any,
        parameters: Sequence[Any],
        variables: Sequence[Any],
        solver: Any = None,
        gp: bool = False,
        verbose: bool = False,
        canon_backend: str | None = None,
        solver_args: Mapping[str, Any] | None = None,
        *,
        eliminate: bool = True,
    ) -> None:
        super().__init__()
        if gp:
            raise ValueError("gp=True: geometric programs are not QPs")
        self._options = {"verbose": verbose, **(solver_args or {})}
        self._model = Model(problem, parameters, variables, eliminate)
        self._plan = self._model.plan(self._matrix)

    def __repr__(self) -> str:
        return f"CvxpyLayer({self._model!r})"

    def _solver_options(self, solver_args: Mapping[str, Any] | None) -> dict[str, Any]:
        """Merge the layer's options and the call's, for `solve_qp`."""
        given = {**self._options, **(solver_args or {})}
        return {name: value for name, value in given.items() if name not in _WITHOUT_EFFECT}

    @staticmethod
    def _matrix(matrix: Any) -> Any:
        """Return a sparse matrix as the framework multiplies by it."""
        raise NotImplementedError


class Model:
    """The QP's blocks as affine maps of the parameters, and the checks of a call.

    Attributes
    ----------
    products : list of tuple
        The inner parameters: two factors (Block), and a sparse matrix from their products.
    blocks : dict of str to Block
        By the names of `kktdiff.solve_qp`'s arguments, and of `_evaluate`.
    patterns : dict of str to kktdiff.Pattern
        Those of the blocks that are sparse.
    reads : list of Read
        In the order of the variables.

    Raises
    ------
    ValueError, TypeError
        As `CvxpyLayer` says.
    """

    def __init__(
        self, problem: Any, parameters: Sequence[Any], variables: Sequence[Any], eliminate: bool
    ) -> None:
        parameters = _checked(problem, _several("parameters", parameters))
        variables = _several("variables", variables)
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
        sizes = [p.size for p in parameters]
        self.products = products(smaller, sizes)
        self.blocks = blocks(smaller, layout, sizes)
        self.patterns = {
            name: block.pattern for name, block in self.blocks.items() if block.pattern is not None
        }
        self.reads = [_read(program, layout, variable, duals) for variable in variables]
        if not any("fixed" in read.fields for read in self.reads):
            del self.blocks["fixed"]
        self._shapes = [(p.name(), tuple(p.shape)) for p in parameters]
        self._sizes = (*layout.sizes, program.sizes[0])

    def __repr__(self) -> str:
        n, _, m, k, _, total = self._sizes
        shapes = ", ".join(f"{name} {shape}" for name, shape in self._shapes)
        return f"n={n}, m={m}, k={k}, eliminated={total - n}, parameters: {shapes}"

    def plan(self, matrix: Callable[[Any], Any]) -> tuple[Any, Any]:
        """Return the inner parameters and the blocks for `_evaluate`, with matrices of its kind."""

        def converted(block: Block) -> tuple[Any, Any]:
            return block.constant, {which: matrix(m) for which, m in block.maps.items()}

        inner = [(converted(a), converted(b), matrix(sums)) for a, b, sums in self.products]
        return inner, {name: converted(block) for name, block in self.blocks.items()}

    def with_patterns(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of `solve_qp`, sparse matrices on their patterns."""
        own = self.patterns
        return {name: Sparse(own[name], v) if name in own else v for name, v in data.items()}

    def flat(self, values: Sequence[Any], kind: Any, kind_name: str, maker: str) -> list[Any]:
        """Return the parameters' values, each (..., entries in C order); `maker` makes arrays.

        Raises
        ------
        TypeError
            Not of the kind; mixed dtypes, or other than float32 and float64.
        ValueError
            A wrong number of them, a wrong shape, or batches that don't broadcast.
        """
        if len(values) != len(self._shapes):
            expected = ", ".join(f"{name} {_batched(shape)}" for name, shape in self._shapes)
            raise ValueError(
                f"{len(values)} parameters given: expected {len(self._shapes)}: {expected}"
            )
        flat = []
        for (name, shape), value in zip(self._shapes, values, strict=True):
            if not isinstance(value, kind):
                raise _wrong_kind(name, value, kind, kind_name, maker)
            dtype = value.dtype
            if str(dtype).removeprefix("torch.") not in ("float32", "float64"):
                raise TypeError(f"{name} has dtype {dtype}: expected float32 or float64")
            if dtype != values[0].dtype:
                first = f"{self._shapes[0][0]} has {values[0].dtype}"
                raise TypeError(
                    f"{name} has dtype {dtype}, but {first}: convert all parameters to one dtype"
                )
            lead = value.ndim - len(shape)
            if lead < 0 or tuple(value.shape[lead:]) != shape:
                given = tuple(value.shape)
                raise ValueError(f"{name} has shape {given}: expected {_batched(shape)}")
            flat.append(value.reshape((*value.shape[:lead], math.prod(shape))))
        self._check_batches([tuple(value.shape[:-1]) for value in flat])
        return flat

    def _check_batches(self, batches: list[tuple[int, ...]]) -> None:
        try:
            np.broadcast_shapes(*batches)
        except ValueError:
            pairs = zip(self._shapes, batches, strict=True)
            told = ", ".join(f"{name} {batch}" for (name, _), batch in pairs if batch)
            raise ValueError(
                f"the batch dimensions of the parameters do not broadcast: {told}; expected the "
                "same for all, 1, or none for what is shared"
            ) from None


def _wrong_kind(name: str, value: Any, kind: Any, kind_name: str, maker: str) -> TypeError:
    cure = f"{maker}({name}) makes one"
    if isinstance(value, list | tuple) and any(isinstance(v, kind) for v in value):
        cure = "pass the values one by one, as in layer(*values)"
    return TypeError(f"{name} is a {type(value).__name__}: expected a {kind_name}; {cure}")


def _batched(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['...', *map(str, shape)])})"


def _read(program: Any, layout: Any, variable: Any, duals: dict[int, Any]) -> Read:
    """Locate a variable of the problem, or the multipliers of a constraint."""
    if variable.id in program.columns:
        return read_variable(program, layout, variable)
    if variable.id in duals and duals[variable.id].id in program.starts:
        return read_multiplier(program, layout, duals[variable.id])
    raise ValueError(f"variables: {variable.name()} is not one of the problem's")


def _several(what: str, given: Any) -> list[Any]:
    """Return parameters or variables as a list; cvxpy's expressions are sequences of entries."""
    if isinstance(given, cp.Expression):
        kind = type(given).__name__
        raise TypeError(f"{what} is a cvxpy.{kind}: expected a list, as in {what}=[...]")
    return list(given)


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
