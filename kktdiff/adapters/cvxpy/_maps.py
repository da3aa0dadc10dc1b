"""The blocks of `kktdiff.solve_qp` as affine maps of the parameters, dense and by parameter."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from cvxpy.reductions.cvx_attr2constr import recover_value_for_leaf

from kktdiff.adapters.cvxpy._program import Entries, Program


class Block(NamedTuple):
    """One argument of `kktdiff.solve_qp`."""

    constant: Any  # of the block's shape
    maps: dict[int, Any]  # by a parameter's place: sparse, from its entries to the block's


class Read(NamedTuple):
    """Where a result is found in (0, and the named fields of the solution), end to end."""

    fields: tuple[str, ...]
    index: Any  # of the result's shape
    scale: Any  # the same


class Moved(NamedTuple):
    """Inequalities that are bounds: rows `a x_j + c >= 0` with a constant a."""

    row: Any  # which, counted from the first inequality
    column: Any
    slope: Any


def blocks(program: Program, sizes: list[int]) -> tuple[dict[str, Block], Moved]:
    """By the names of `kktdiff.solve_qp`'s arguments; `sizes` are those of the parameters."""
    n, m, k = program.sizes
    ends = np.cumsum([0, *sizes])
    moved = _bounds_among(program)
    kept = np.delete(np.arange(m), moved.row)
    at = np.full(k + m, -1)  # a row's place among the equalities, or the inequalities that stay
    at[:k], at[k + kept] = np.arange(k), np.arange(kept.size)
    row, column, matrix = program.rows
    equal, stays = row < k, (row >= k) & (at[row] >= 0)

    def part(mask: Any, sign: float, *shape: int) -> Block:
        place = at[row[mask]] * (n if len(shape) == 2 else 1)
        place = place + (column[mask] if len(shape) == 2 else 0)
        return _block(place, sign * matrix[mask], shape, ends)

    out = {
        "Q": _block(program.P.row * n + program.P.column, program.P.map, (n, n), ends),
        "p": _block(program.q.row, program.q.map, (n,), ends),
    }
    if kept.size:  # rows x + offset >= 0 are -rows x <= offset
        out["G"] = part(stays & (column < n), -1.0, kept.size, n)
        out["h"] = part(stays & (column == n), 1.0, kept.size)
    if k:
        out["A"] = part(equal & (column < n), 1.0, k, n)
        out["b"] = part(equal & (column == n), -1.0, k)
    for name, own, sign in (("lb", program.lower, 1.0), ("ub", program.upper, -1.0)):
        bound = _bound(program, own, moved, sign, ends)
        if bound is not None:
            out[name] = bound
    return out, moved


def _bounds_among(program: Program) -> Moved:
    """Inequalities in one variable, its coefficient constant, where it has no bound of its own.

    A bound costs less than a row. Of several rows for one bound the first becomes it.
    """
    n, m, k = program.sizes
    row, column, matrix = program.rows
    entry = np.flatnonzero((row >= k) & (column < n))
    varies = np.diff(matrix[:, :-1].indptr) > 0
    slope = np.asarray(matrix[:, [-1]].todense()).ravel()
    alone = np.bincount(row[entry] - k, minlength=m) == 1
    entry = entry[alone[row[entry] - k] & ~varies[entry]]
    entry = entry[np.argsort(row[entry], kind="stable")]
    free = {1.0: _infinite(program.lower, n), -1.0: _infinite(program.upper, n)}
    taken = []
    for e in entry:
        side = free[np.sign(slope[e])]
        if side[column[e]]:
            side[column[e]] = False
            taken.append(e)
    chosen = np.array(taken, dtype=int)
    return Moved(row[chosen] - k, column[chosen], slope[chosen])


def _infinite(bound: Entries | None, n: int) -> Any:
    if bound is None:
        return np.ones(n, dtype=bool)
    fixed = np.diff(bound.map[:, :-1].indptr) == 0
    return fixed & np.isinf(np.asarray(bound.map[:, [-1]].todense()).ravel())


def _bound(program: Program, own: Entries | None, moved: Moved, sign: float, ends: Any) -> Any:
    """Bounds of the variables' own, and those from rows: x >= -c/a for a > 0, x <= -c/a else."""
    n, m, k = program.sizes
    mine = np.sign(moved.slope) == sign
    if own is None and not mine.any():
        return None
    block = Block(np.full(n, -sign * np.inf), {})
    if own is not None:
        block = _block(own.row, own.map, (n,), ends)
    if not mine.any():
        return block
    target, scale = np.full(m, -1), np.zeros(m)
    target[moved.row[mine]], scale[moved.row[mine]] = moved.column[mine], -1 / moved.slope[mine]
    row, column, matrix = program.rows
    offset = np.flatnonzero((row >= k) & (column == n))
    offset = offset[target[row[offset] - k] >= 0]
    place = row[offset] - k
    rows = sp.diags_array(scale[place]) @ matrix[offset]
    add = _block(target[place], sp.csr_array(rows), (n,), ends)
    block.constant[moved.column[mine]] = 0.0
    maps = dict(block.maps)
    for which, matrix in add.maps.items():
        maps[which] = maps[which] + matrix if which in maps else matrix
    return Block(block.constant + add.constant, maps)


def _block(place: Any, matrix: Any, shape: tuple[int, ...], ends: Any) -> Block:
    """Entries at flat places of a dense block, split by parameter."""
    entries = matrix.tocoo()
    row, column = place[entries.coords[0]], entries.coords[1]
    constant, size = np.zeros(shape), int(np.prod(shape))
    last = column == ends[-1]
    np.add.at(constant.reshape(-1), row[last], entries.data[last])
    maps = {}
    owner = np.searchsorted(ends, column, side="right") - 1
    for which in np.unique(owner[~last]):
        mine = owner == which
        pair = (row[mine], column[mine] - ends[which])
        width = ends[which + 1] - ends[which]
        maps[int(which)] = sp.coo_array((entries.data[mine], pair), shape=(size, width)).tocsr()
    return Block(constant, maps)


def read_variable(program: Program, variable: Any) -> Read:
    """Where a variable's entries are in x; entries that its attributes fix at 0 are that 0."""
    first, own = program.columns[variable.id]
    index = np.arange(first + 1.0, first + 1 + own.size).reshape(own.shape, order="F")
    if variable.attributes["diag"] or own.shape != variable.shape:
        index = recover_value_for_leaf(variable, index, project=False)
        index = index.toarray() if sp.issparse(index) else index
    index = np.asarray(index).astype(int).reshape(variable.shape)
    return Read(("x",), index, np.ones(variable.shape))


def read_multiplier(program: Program, moved: Moved, constraint: Any) -> Read:
    """Where the multipliers of a constraint are, in cvxpy's sign and shape."""
    n, m, k = program.sizes
    first = program.starts[constraint.id]
    index, scale = np.arange(m + k) + 1, np.ones(m + k)
    fields = ("nu",) if first < k else ("lam", "lam_lb", "lam_ub")
    if first >= k:
        kept = np.delete(np.arange(m), moved.row)
        index[k + kept] = np.arange(kept.size) + 1
        index[k + moved.row] = 1 + kept.size + moved.column + n * (moved.slope < 0)
        scale[k + moved.row] = 1 / np.abs(moved.slope)
    rows = slice(first, first + constraint.size)
    shape = constraint.shape
    return Read(
        fields, index[rows].reshape(shape, order="F"), scale[rows].reshape(shape, order="F")
    )
