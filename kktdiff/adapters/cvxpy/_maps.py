"""The blocks of `kktdiff.solve_qp` as affine maps of the parameters, by parameter.

Matrices are dense or, for large problems with few entries, values on a pattern.

Where equalities define y = t - M x, there are blocks `M` and `t`, and those of y in the objective:
`p_y`, and `Q_yy` or, if that is diagonal, its diagonal `d_y`.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from cvxpy.reductions.cvx_attr2constr import recover_value_for_leaf

from kktdiff import Pattern
from kktdiff.adapters.cvxpy._presolve import Smaller
from kktdiff.adapters.cvxpy._program import Entries, Program, constants, infinite


class Block(NamedTuple):
    """One argument of `kktdiff.solve_qp`."""

    constant: Any  # of the block's shape; of a sparse one (nnz,)
    maps: dict[int, Any]  # by a parameter's place: sparse, from its entries to the block's
    pattern: Pattern | None = None  # of a sparse one


class Read(NamedTuple):
    """Index of a result in the concatenation of 0 and the named fields of the solution."""

    fields: tuple[str, ...]
    index: Any  # of the result's shape
    scale: Any  # the same


class Moved(NamedTuple):
    """Inequalities that are bounds: rows `a x_j + c >= 0` with a constant a."""

    row: Any
    column: Any
    slope: Any


class Layout(NamedTuple):
    """Places in the QP of the program's columns and rows; -1 for those that are absent."""

    x: Any  # of each column
    y: Any  # of each column that an equality defines
    fixed: Any  # of each column that parameters fix
    row: Any  # of each row: among the equalities, or the inequalities
    moved: Moved
    sizes: tuple[int, int, int, int, int]  # of x, y, inequalities, equalities, fixed


def laid_out(smaller: Smaller) -> Layout:
    """Lay out the reduced program as a QP; the remaining columns and rows keep their order."""
    n, _, k = smaller.program.sizes
    moved, defined = _bounds_among(smaller.program), smaller.defined
    y = np.full(n, -1)
    y[defined.column] = np.arange(defined.column.size)
    constant = np.full(n, -1)
    constant[smaller.fixed.column] = np.arange(smaller.fixed.column.size)
    x = ~smaller.columns & (y < 0)
    stays = ~smaller.rows
    stays[moved.row] = stays[defined.row] = False
    row = np.concatenate([_numbered(stays[:k]), _numbered(stays[k:])])
    counts = (x.sum(), defined.column.size, stays[k:].sum(), stays[:k].sum())
    nx, ny, inequalities, equalities = map(int, counts)
    sizes = (nx, ny, inequalities, equalities, smaller.fixed.column.size)
    return Layout(_numbered(x), y, constant, row, moved, sizes)


def _numbered(mask: Any) -> Any:
    return np.where(mask, np.cumsum(mask) - 1, -1)


def blocks(smaller: Smaller, layout: Layout, sizes: list[int]) -> dict[str, Block]:
    """Build the blocks by name; `sizes`: those of the parameters."""
    program, ends = smaller.program, np.cumsum([0, *sizes])
    n, _, k = program.sizes
    nx, ny, m, equalities, fixed = layout.sizes
    row, column, matrix = program.rows
    x, offset = np.append(layout.x, -1)[column], np.where(column == n, 0, -1)
    equal, unequal = (np.where(side, layout.row[row], -1) for side in (row < k, row >= k))
    P, q = program.P, program.q
    make = _sparse_block if smaller.sparse else _block
    out = {
        "Q": make(_at(layout.x[P.row], layout.x[P.column], nx), P.map, (nx, nx), ends),
        "p": _block(layout.x[q.row], q.map, (nx,), ends),
    }
    if m:  # rows x + offset >= 0 are -rows x <= offset
        out["G"] = make(_at(unequal, x, nx), -matrix, (m, nx), ends)
        out["h"] = _block(_at(unequal, offset, 1), matrix, (m,), ends)
    if equalities:
        out["A"] = make(_at(equal, x, nx), matrix, (equalities, nx), ends)
        out["b"] = _block(_at(equal, offset, 1), -matrix, (equalities,), ends)
    for name, own, sign in (("lb", program.lower, 1.0), ("ub", program.upper, -1.0)):
        bound = _bound(program, own, layout, sign, ends)
        if bound is not None:
            out[name] = bound
    out["fixed"] = _block(np.arange(fixed), smaller.fixed.value, (fixed,), ends)
    return out | (_of_defined(smaller, layout, ends) if ny else {})


def products(smaller: Smaller, sizes: list[int]) -> list[tuple[Block, Block, Any]]:
    """Build the factors of the inner parameters, and add the sizes of these."""
    out = []
    for left, right, sums in smaller.fixed.products:
        count, ends = sums.shape[1], np.cumsum([0, *sizes])
        place, shape = np.arange(count), (count,)
        out.append((_block(place, left, shape, ends), _block(place, right, shape, ends), sums))
        sizes.append(sums.shape[0])
    return out


def _of_defined(smaller: Smaller, layout: Layout, ends: Any) -> dict[str, Block]:
    """`a y = b - A x`, and what of the objective is y's."""
    program, defined = smaller.program, smaller.defined
    (n, m, k), (nx, ny, *_) = program.sizes, layout.sizes
    row, column, matrix = program.rows
    place, slope = np.full(k + m, -1), np.ones(k + m)
    place[defined.row], slope[defined.row] = np.arange(ny), defined.slope
    by_slope = sp.diags_array(1 / slope[row]) @ matrix
    x, offset = np.append(layout.x, -1)[column], np.where(column == n, 0, -1)
    P, q = program.P, program.q
    first, second = layout.y[P.row], layout.y[P.column]
    out = {
        "M": _block(_at(place[row], x, nx), by_slope, (ny, nx), ends),
        "t": _block(_at(place[row], offset, 1), -by_slope, (ny,), ends),
        "p_y": _block(layout.y[q.row], q.map, (ny,), ends),
    }
    both = (first >= 0) & (second >= 0)
    if np.all(first[both] == second[both]):
        out["d_y"] = _block(np.where(both, first, -1), P.map, (ny,), ends)
    else:
        out["Q_yy"] = _block(_at(first, second, ny), P.map, (ny, ny), ends)
    return out


def _at(row: Any, column: Any, width: int) -> Any:
    """Flat places, -1 where either is."""
    return np.where((row >= 0) & (column >= 0), row * width + column, -1)


def _bounds_among(program: Program) -> Moved:
    """Inequalities in one variable, its coefficient constant, where it has no bound of its own.

    A bound costs less than a row. Of several rows for one bound the first becomes it.
    """
    n, m, k = program.sizes
    row, column, matrix = program.rows
    entry = np.flatnonzero((row >= k) & (column < n))
    slope, varies = constants(matrix)
    alone = np.bincount(row[entry], minlength=k + m) == 1
    entry = entry[alone[row[entry]] & ~varies[entry] & (slope[entry] != 0)]
    entry = entry[np.argsort(row[entry], kind="stable")]
    lower = slope[entry] > 0
    free = np.where(
        lower, *(infinite(side, n)[column[entry]] for side in (program.lower, program.upper))
    )
    entry, side = entry[free], 2 * column[entry[free]] + lower[free]
    chosen = entry[np.sort(np.unique(side, return_index=True)[1])]
    return Moved(row[chosen], column[chosen], slope[chosen])


def _bound(program: Program, own: Entries | None, layout: Layout, sign: float, ends: Any) -> Any:
    """Bounds of the variables' own, and those from rows: x >= -c/a for a > 0, x <= -c/a else."""
    (n, m, k), nx, moved = program.sizes, layout.sizes[0], layout.moved
    mine = np.sign(moved.slope) == sign
    if own is None and not mine.any():
        return None
    block = Block(np.full(nx, -sign * np.inf), {})
    if own is not None:
        block = _block(layout.x[own.row], own.map, (nx,), ends)
    if not mine.any():
        return block
    target, scale = np.full(k + m, -1), np.zeros(k + m)
    target[moved.row[mine]] = layout.x[moved.column[mine]]
    scale[moved.row[mine]] = -1 / moved.slope[mine]
    row, column, matrix = program.rows
    place = np.where(column == n, target[row], -1)
    add = _block(place, sp.diags_array(scale[row]) @ matrix, (nx,), ends)
    block.constant[layout.x[moved.column[mine]]] = 0.0
    maps = dict(block.maps)
    for which, matrix in add.maps.items():
        maps[which] = maps[which] + matrix if which in maps else matrix
    return Block(block.constant + add.constant, maps)


def _block(place: Any, matrix: Any, shape: tuple[int, ...], ends: Any) -> Block:
    """Entries at flat places of a dense block, or at -1: nowhere, split by parameter."""
    place, matrix = place[place >= 0], sp.csr_array(matrix)[place >= 0]
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


def _sparse_block(place: Any, matrix: Any, shape: tuple[int, int], ends: Any) -> Block:
    """Entries at flat places of a sparse block, or at -1, as in `_block`."""
    inside = place >= 0
    flat, index = np.unique(place[inside], return_inverse=True)
    within = np.full(place.size, -1)
    within[inside] = index
    block = _block(within, matrix, (flat.size,), ends)
    return block._replace(pattern=Pattern(shape, *np.divmod(flat, shape[1])))


def read_variable(program: Program, layout: Layout, variable: Any) -> Read:
    """Locate a variable's entries; those that its attributes fix at 0 read that 0."""
    first, own = program.columns[variable.id]
    columns = slice(first, first + own.size)
    places = {name: getattr(layout, name)[columns] for name in ("x", "y", "fixed")}
    index, ahead, fields = np.zeros(own.size), 1, []
    for name, place in places.items():
        if np.any(place >= 0):
            index = np.where(place >= 0, ahead + place, index)
            ahead += int(np.count_nonzero(getattr(layout, name) >= 0))
            fields.append(name)
    index = index.reshape(own.shape, order="F")
    if variable.attributes["diag"] or own.shape != variable.shape:
        index = recover_value_for_leaf(variable, index, project=False)
        index = index.toarray() if sp.issparse(index) else index
    index = np.asarray(index).astype(int).reshape(variable.shape)
    return Read(tuple(fields), index, np.ones(variable.shape))


def read_multiplier(program: Program, layout: Layout, constraint: Any) -> Read:
    """Locate the multipliers of a constraint, in cvxpy's sign and shape."""
    k, (nx, _, m, *_), moved = program.sizes[2], layout.sizes, layout.moved
    first, shape = program.starts[constraint.id], constraint.shape
    index, scale = layout.row + 1, np.ones(layout.row.size)
    index[moved.row] = 1 + m + layout.x[moved.column] + nx * (moved.slope < 0)
    scale[moved.row] = 1 / np.abs(moved.slope)
    rows = slice(first, first + constraint.size)
    fields = ("nu",) if first < k else ("lam", "lam_lb", "lam_ub")
    return Read(
        fields, index[rows].reshape(shape, order="F"), scale[rows].reshape(shape, order="F")
    )
