"""From a problem of cvxpy to its QP, whose data are affine in the parameters.

cvxpy does the reduction; we ask for it as a solver would. Parameters enter by one sparse matrix per
block: from all their entries, and a 1 for the constant part, to the entries of the block that can
be other than zero.
"""

import warnings
from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.reductions.cvx_attr2constr import lower_value
from cvxpy.reductions.solvers.qp_solvers.qp_solver import QpSolver

from kktdiff.adapters.cvxpy._refusals import check_dpp, check_kind, no_qp
from kktdiff.adapters.cvxpy._rewrite import rewritten

_SYMMETRIC = ("symmetric", "PSD", "NSD")


class _Asked(QpSolver):  # type: ignore[misc, unused-ignore]
    """Asks cvxpy for a QP with bounds. It needs no solver installed and no parameter's value."""

    BOUNDED_VARIABLES = True

    def name(self) -> str:
        return "KKTDIFF"

    def import_solver(self) -> None:
        """There is nothing to import."""

    def apply(self, problem: Any) -> Any:
        if not self.accepts(problem):
            raise cp.error.SolverError("not a QP")
        return {cp.settings.PARAM_PROB: problem}, {}

    def solve_via_data(self, *_: Any) -> Any:
        raise NotImplementedError

    def invert(self, *_: Any) -> Any:
        raise NotImplementedError

    def cite(self, _: Any) -> str:
        return ""


_ASKED = _Asked()  # one for all: cvxpy keeps what it has compiled by solver


class Entries(NamedTuple):
    """Entries of a block: where they are, and how they come from the parameters."""

    row: Any  # (e,)
    column: Any  # (e,)
    map: Any  # (e, size of all parameters + 1), sparse; the last column is the constant part


class Program(NamedTuple):
    """minimise 1/2 x'Px + q'x subject to [rows | offset], k of them = 0 and the others >= 0."""

    P: Entries
    q: Entries
    rows: Entries  # column n is the offset
    lower: Entries | None
    upper: Entries | None
    sizes: tuple[int, int, int]  # n, m, k
    columns: dict[int, tuple[int, Any]]  # of a variable, by id: its first column, itself
    starts: dict[int, int]  # of a constraint, by id: its first row
    groups: list[Any]  # of each variable, cvxpy's own before the problem's: its columns

    def rows_of(self, constraint: Any) -> Any:
        """Return the rows of a constraint."""
        first = self.starts[constraint.id]
        return np.arange(first, first + constraint.size)


def reduced(problem: Any, parameters: list[Any]) -> Program:
    """The program that cvxpy makes of a problem; the parameters are flattened in C order.

    Raises
    ------
    ValueError
        Not DCP, not DPP, not a QP, with integers or complex numbers.
    """
    check_kind(problem)
    problem, given = rewritten(problem), problem
    check_dpp(problem)
    try:
        with warnings.catch_warnings():  # cvxpy's, at its own reading of a sparse variable
            warnings.filterwarnings("ignore", "Reading from a sparse CVXPY", RuntimeWarning)
            data, chain, _ = problem.get_problem_data(_ASKED)
    except cp.error.SolverError as error:
        raise no_qp(problem) from error
    cone = data[cp.settings.PARAM_PROB]
    table = _table(cone, chain.compose_param_id_map(), parameters)
    n, k = cone.x.size, cone.cone_dims.zero
    columns = _columns(cone, chain.compose_var_id_map(), given.variables())
    return Program(
        _matrix(cone.reduced_P, table),
        _vector(cone.q[:n], table),
        _matrix(cone.reduced_A, table),
        _bounds(cone.lower_bounds, cone.lb_tensor, table),
        _bounds(cone.upper_bounds, cone.ub_tensor, table),
        (n, cone.constr_size - k, k),
        columns,
        _starts(cone, chain.compose_constr_id_map(), problem.constraints),
        _groups(cone, [first for first, _ in columns.values()]),
    )


def _columns(cone: Any, renamed: dict[int, list[int]], variables: list[Any]) -> dict[int, Any]:
    """Locate the problem's variables among the columns; unused variables are left out."""
    own = {v.id: (cone.var_id_to_col[v.id], v) for v in cone.variables}
    names = {v.id: renamed.get(v.id, [v.id])[0] for v in variables}
    return {given: own[name] for given, name in names.items() if name in own}


def _groups(cone: Any, own: list[int]) -> list[Any]:
    places = [(cone.var_id_to_col[v.id], v.size) for v in cone.variables]
    places.sort(key=lambda place: (place[0] in own, place))
    return [np.arange(first, first + size) for first, size in places]


def _starts(cone: Any, renamed: dict[int, int], constraints: list[Any]) -> dict[int, int]:
    """Locate the first row of each constraint; split and removed constraints are left out."""
    ends = np.cumsum([0, *(c.size for c in cone.constraints)])
    own = {c.id: int(start) for c, start in zip(cone.constraints, ends, strict=False)}
    names = {c.id: renamed.get(c.id, c.id) for c in constraints}
    return {given: own[name] for given, name in names.items() if name in own}


def _table(cone: Any, renamed: dict[int, list[int]], parameters: list[Any]) -> Any:
    """(cvxpy's vector of parameters and a 1) from (the caller's, in C order, and a 1)."""
    total = sum(p.size for p in parameters)
    entries: list[Any] = [([cone.total_param_size], [total], [1.0])]
    start = 0
    for parameter in parameters:
        place = np.arange(start, start + parameter.size).reshape(parameter.shape)
        start += parameter.size
        own = renamed.get(parameter.id, [parameter.id])[0]
        symmetric = any(parameter.attributes[name] for name in _SYMMETRIC)
        # cvxpy reads one triangle; half of each gives every entry its share of the gradient.
        for read in (place, np.swapaxes(place, -1, -2)) if symmetric else (place,):
            taken = np.ravel(lower_value(parameter, read), order="F")
            first = cone.param_id_to_col[own]
            weight = np.full(taken.size, 0.5 if symmetric else 1.0)
            entries.append((np.arange(first, first + taken.size), taken, weight))
    row, column, weight = (np.concatenate(part) for part in zip(*entries, strict=True))
    shape = (cone.total_param_size + 1, total + 1)
    return sp.coo_array((weight, (row, column)), shape=shape).tocsr()


def _matrix(reduced_mat: Any, table: Any) -> Entries:
    reduced_mat.cache()
    if reduced_mat.problem_data_index is None:  # no rows at all
        empty = np.zeros(0, dtype=int)
        return Entries(empty, empty, sp.csr_array((0, table.shape[1])))
    row, ends, shape = reduced_mat.problem_data_index
    column = np.repeat(np.arange(shape[1]), np.diff(ends))
    return Entries(row, column, _applied(reduced_mat.reduced_mat, table))


def _vector(tensor: Any, table: Any) -> Entries:
    row = np.arange(tensor.shape[0])
    return Entries(row, 0 * row, _applied(tensor, table))


def _bounds(constant: Any, tensor: Any, table: Any) -> Entries | None:
    if tensor is None:
        if constant is None:
            return None
        tensor = sp.csr_array(np.asarray(constant, dtype=float)[:, None])
        last = sp.csr_array(([1.0], ([0], [table.shape[1] - 1])), shape=(1, table.shape[1]))
        return _vector(tensor, last)
    return _vector(tensor, table)


def _applied(tensor: Any, table: Any) -> Any:
    product = sp.csr_array(sp.csr_array(tensor) @ table)
    product.sum_duplicates()
    return product


def constants(matrix: Any) -> tuple[Any, Any]:
    """Return the constant part of each entry, and True where an entry depends on parameters."""
    return np.asarray(matrix[:, [-1]].todense()).ravel(), np.diff(matrix[:, :-1].indptr) > 0


def bounded(program: Program) -> Any:
    """Return True for each column with a bound."""
    n = program.sizes[0]
    return ~(infinite(program.lower, n) & infinite(program.upper, n))


def infinite(bound: Entries | None, n: int) -> Any:
    """Return True where an entry of a bound is infinite for all parameters."""
    if bound is None:
        return np.ones(n, dtype=bool)
    value, varies = constants(bound.map)
    return ~varies & np.isinf(value)


def pairs(left: Any, right: Any) -> tuple[Any, Any]:
    """Return the places of all equal pairs of integers from 0."""
    size = max(left.max(initial=-1), right.max(initial=-1)) + 1
    one, other = (
        sp.coo_array((np.ones(v.size), (np.arange(v.size), v)), shape=(v.size, size)).tocsr()
        for v in (left, right)
    )
    return (one @ other.T).nonzero()
