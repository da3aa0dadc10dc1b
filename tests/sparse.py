"""Random sparse problems that batches share the pattern of, as sparse and as dense matrices."""

from typing import NamedTuple

import numpy as np

import kktdiff
from tests.tolerances import TIGHT_ANSWER


class SparseProblem(NamedTuple):
    """Matrices as `kktdiff.Sparse`, or None, and the rest as keywords of `solve_qp`."""

    matrices: dict
    vectors: dict

    def dense(self):
        """All arguments, with dense matrices."""
        return {k: v.to_dense() for k, v in self.matrices.items()} | self.vectors

    def sparse(self):
        """All arguments, with sparse matrices."""
        return self.matrices | self.vectors


def banded(n, width=1):
    """The pattern of a band of the upper triangle: only (Q + Q')/2 counts."""
    pairs = [(i, j) for i in range(n) for j in range(i, min(n, i + width + 1))]
    return kktdiff.Pattern((n, n), *np.array(pairs).T)


def rows_of(rng, rows, n, each=4):
    """A pattern with some entries in each row."""
    cols = [rng.permutation(n)[: min(each, n)] for _ in range(rows)]
    cols = np.concatenate(cols) if rows else np.zeros(0, dtype=int)
    return kktdiff.Pattern((rows, n), np.repeat(np.arange(rows), min(each, n)), cols)


def sparse_problem(rng, n, m, k, batch=(), *, bounds=True):
    """Convex and feasible, with rows and bounds that hold, strictly complementary."""
    Q = banded(n)
    values = rng.normal(size=(*batch, Q.nnz)) / 4
    values[..., Q.rows == Q.cols] = 1 + rng.random((*batch, n))
    matrices = {"Q": kktdiff.Sparse(Q, values)}
    x, vectors = rng.normal(size=(*batch, n)), {"p": rng.normal(size=(*batch, n))}
    for name, side, rows in (("G", "h", m), ("A", "b", k)):
        if rows:
            pattern = rows_of(rng, rows, n)
            own = kktdiff.Sparse(pattern, rng.normal(size=(*batch, pattern.nnz)))
            at = (own.to_dense() @ x[..., None])[..., 0]
            matrices[name] = own
            vectors[side] = at + 0.1 * rng.random(at.shape) if name == "G" else at
    if bounds:
        vectors |= {"lb": x - rng.random(x.shape), "ub": x + rng.random(x.shape)}
    return SparseProblem(matrices, vectors)


def at_entries(of, values):
    """What a dense gradient has in the places of a sparse matrix."""
    return values[..., of.pattern.rows, of.pattern.cols]


def on_sparse(solution):
    return solution._engine.problem.data.structure is not None


def solve(problem, way, **options):
    """The solutions of a problem as sparse and as dense."""
    sparse = kktdiff.solve_qp(**problem.sparse(), **options)
    assert on_sparse(sparse) == (way != "dense copies")
    return sparse, kktdiff.solve_qp(**problem.dense(), **options)


def assert_close(found, expected, tolerance=TIGHT_ANSWER):
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    assert np.abs(found - expected).max(initial=0.0) <= tolerance * scale
