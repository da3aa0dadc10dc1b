"""Records of arrays that the core passes around: data, weights, points, right-hand sides.

Every array has a leading batch dimension, of length one where all elements share it. Records are
never changed; `take` gives the same record of some elements.
"""

from typing import NamedTuple

from kktdiff._arrays import common, concat, is_sparse, taken
from kktdiff._sparse.matrix import SparseMatrix
from kktdiff._sparse.structure import Structure
from kktdiff._typing import Array

MOST_DENSE = 2000  # n + m + k of sparse problems up to which rare questions go to dense matrices
MOST_OPERATIONS = 1e8  # of a factorization, in problems that get a second look by array code


class Data(NamedTuple):
    """A flat batch of problems as given; what was not given is None.

    Each array's leading dimension is the batch's length or one.
    """

    Q: Array  # (B, n, n)
    p: Array  # (B, n)
    G: Array | None  # (B, m, n)
    h: Array | None  # (B, m)
    A: Array | None  # (B, k, n)
    b: Array | None  # (B, k)
    lb: Array | None  # (B, n)
    ub: Array | None  # (B, n)
    soft_h: Array | None = None  # (B, m): prices, which the kernels alone know
    soft_lb: Array | None = None  # (B, n)
    soft_ub: Array | None = None  # (B, n)
    soft_b: Array | None = None  # (B, k)
    structure: Structure | None = None  # of sparse matrices: Q, G and A are (B, entries)

    @property
    def arrays(self) -> tuple[Array | None, ...]:
        """All but the structure."""
        return self[:-1]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of variables, inequalities and equalities: n, m, k."""
        m = 0 if self.h is None else self.h.shape[-1]
        return self.p.shape[-1], m, 0 if self.b is None else self.b.shape[-1]

    @property
    def bounds(self) -> tuple[int, int]:
        """Rows of the lower and of the upper bounds: 0 or n each."""
        n = self.p.shape[-1]
        return 0 if self.lb is None else n, 0 if self.ub is None else n

    @property
    def length(self) -> int:
        """Number of elements."""
        return common([v.shape[0] for v in self.arrays if v is not None])

    @property
    def is_large(self) -> bool:
        """True if matrices are sparse, and too large for dense linear algebra."""
        return self.structure is not None and sum(self.sizes) > MOST_DENSE

    @property
    def is_hard(self) -> bool:
        """True if the array code would take minutes for a problem that the kernels leave."""
        own = self.structure
        return self.is_large and own is not None and own.operations > MOST_OPERATIONS

    def with_matrices(self) -> "Data":
        """Return data with sparse matrices in the place of their entries; G and A may be empty."""
        structure, none = self.structure, self.p[:1, :0]
        if structure is None:
            return self
        Q = SparseMatrix(structure.Q, self.Q)
        G = SparseMatrix(structure.G, none if self.G is None else self.G)
        return self._replace(
            Q=Q, G=G, A=SparseMatrix(structure.A, none if self.A is None else self.A)
        )

    def on_dense(self) -> "Data":
        """Return data with dense copies of sparse matrices, for array code.

        Raises
        ------
        ValueError
            If they are too large for the dense linear algebra that takes them.
        """
        if self.structure is None:
            return self
        if self.is_large:
            raise ValueError(
                f"n + m + k = {sum(self.sizes)}: this needs dense linear algebra, which is for "
                f"sparse problems up to {MOST_DENSE}; see docs/sparse.md"
            )
        own = self.with_matrices()
        G = None if self.G is None else own.G.to_dense()  # type: ignore[union-attr]
        A = None if self.A is None else own.A.to_dense()  # type: ignore[union-attr]
        return self._replace(Q=own.Q.to_dense(), G=G, A=A, structure=None)

    def for_arrays(self) -> "Data":
        """Return data as array code takes them: with dense copies of sparse matrices, if small."""
        if self.is_large or (self.structure is not None and self.structure.array is None):
            return self
        return self.on_dense()

    def take(self, index: Array) -> "Data":
        """Return the elements `index` of the batch."""
        return Data._make([*taken(self.arrays, index, shared=True), self.structure])

    def split(self, rows: Array) -> tuple[Array, Array, Array]:  # (B, M, ...)
        """Split an inequality vector into its parts for G, lb and ub."""
        return _split(rows, self.sizes[1], self.bounds[0])


def _split(rows: Array, m: int, lower: int) -> tuple[Array, Array, Array]:
    return rows[:, :m, ...], rows[:, m : m + lower, ...], rows[:, m + lower :, ...]


class QP(NamedTuple):
    """A flat batch of QPs; each array's leading dimension is the batch's length or one.

    The inequalities are one block ``C x <= d``: the m rows of G, then, where bounds were
    given, the rows of ``-I`` (lb) and of ``I`` (ub), which are never formed.
    """

    Q: Array  # (B, n, n), symmetric
    p: Array  # (B, n)
    G: Array  # (B, m, n)
    A: Array  # (B, k, n)
    b: Array  # (B, k)
    d: Array  # (B, M): h, -lb, ub; 0 where absent
    present: Array  # (B, M) bool: the row has a finite right-hand side and is no fixed bound
    fixed: Array | None  # (B, n) bool: lb and ub meet; None: nowhere
    value: Array | None  # (B, n): the value of each fixed variable, 0 elsewhere
    compliance: (
        Array | None
    )  # (B, M): how far a unit of multiplier shifts each row; None: not at all
    compliance_nu: Array | None  # (B, k): the same for A
    AA: Array | None  # (B, n, n): A'A, where it is at hand
    bounds: tuple[int, int]  # rows of the lower and of the upper bounds: 0 or n each

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of variables, inequalities and equalities: n, m, k."""
        return self.p.shape[-1], self.G.shape[-2], self.A.shape[-2]

    @property
    def length(self) -> int:
        """Number of elements."""
        return common([v.shape[0] for v in self[:-1] if v is not None])

    @property
    def is_large(self) -> bool:
        """True if matrices are sparse, and too large for dense linear algebra."""
        return is_sparse(self.Q) and sum(self.sizes) > MOST_DENSE

    def on_dense(self) -> "QP":
        """Return the QPs with dense copies of sparse matrices."""
        if not is_sparse(self.Q):
            return self
        return self._replace(Q=self.Q.to_dense(), G=self.G.to_dense(), A=self.A.to_dense())

    def take(self, index: Array) -> "QP":
        """Return the elements `index` of the batch."""
        return QP._make([*taken(self[:-1], index, shared=True), self.bounds])

    def limits(self, lam: Array, nu: Array) -> tuple[Array, Array]:  # (B, M), (B, k)
        """Return d and b with the shifts that the multipliers of compliant rows cause."""
        d = self.d if self.compliance is None else self.d + self.compliance * lam
        return d, self.b if self.compliance_nu is None else self.b + self.compliance_nu * nu

    def split(self, rows: Array) -> tuple[Array, Array, Array]:  # (B, M, ...)
        """Split an inequality vector into its parts for G, lb and ub."""
        return _split(rows, self.G.shape[-2], self.bounds[0])

    def C(self, x: Array) -> Array:  # (B, n, r) -> (B, M, r)
        """Return ``C x`` for several vectors x."""
        parts = [self.G @ x] if self.G.shape[-2] else []
        parts += [-x] if self.bounds[0] else []
        parts += [x] if self.bounds[1] else []
        return concat(parts, axis=1) if parts else x[:, :0, :]

    def Ct(self, z: Array) -> Array:  # (B, M, r) -> (B, n, r)
        """Return ``C' z`` for several vectors z."""
        z_G, z_lb, z_ub = self.split(z)
        out = self.G.mT @ z_G
        if self.bounds[0]:
            out = out - z_lb
        return out + z_ub if self.bounds[1] else out


class Scaling(NamedTuple):
    """Positive weights per element, or shared where all matrices are.

    The scaled data are ``c D Q D``, ``E G D`` and ``F A D``.
    """

    cols: Array  # (B, n): D
    rows: Array  # (B, M): E for G, 1/D for the bounds, so that their scaled rows are unit
    eqs: Array  # (B, k): F
    cost: Array  # (B,): c

    def take(self, index: Array) -> "Scaling":
        """Return the elements `index` of the batch."""
        return Scaling(*taken(self, index, shared=True))


class Point(NamedTuple):
    """A primal-dual point; ``s`` and ``lam`` belong to all inequalities ``C x <= d``."""

    x: Array  # (B, n)
    s: Array  # (B, M), 1 for absent rows
    lam: Array  # (B, M), 0 for absent rows
    nu: Array  # (B, k)

    def take(self, index: Array) -> "Point":
        """Return the elements `index` of the batch."""
        return Point(*taken(self, index))


class Rhs(NamedTuple):
    """A right-hand side or a solution of the KKT system, several columns each."""

    x: Array  # (B, n, r)
    c: Array  # (B, M, r)
    nu: Array  # (B, k, r)
