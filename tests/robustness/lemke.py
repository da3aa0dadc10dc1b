"""Exact linear complementarity problems and linear systems, with integer data.

A tableau holds integers over one common denominator, its last pivot. Each entry is then a minor of
the first tableau, so that the division in a pivot leaves no remainder (Edmonds 1967, Bareiss 1968).
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

LARGEST = 2**30  # the products of entries up to this size fit into 64 bits, and so do their sums


class Lemke(NamedTuple):
    """A solution z of the problem, or a ray that proves that it has none."""

    solved: bool
    z: np.ndarray  # numerators, Python's integers
    denominator: int


def pivot(T, row, column, denominator):
    """Make `column` a multiple of the unit vector of `row`; the new denominator is its entry."""
    T = T.astype(object if np.max(np.abs(T)) > LARGEST else np.int64, copy=False)
    after = (T * T[row, column] - np.outer(T[:, column], T[row])) // denominator
    after[row] = T[row]
    return after


def solve_linear(K, rhs):
    """Solve K u = rhs in fractions; None if K is singular."""
    T, denominator, rows = np.column_stack([K, rhs]), 1, []
    for column in range(len(K)):
        row = next((i for i in np.flatnonzero(T[:, column]) if i not in rows), None)
        if row is None:
            return None
        T = pivot(T, row, column, denominator)
        denominator = int(T[row, column])
        rows.append(row)
    return np.array([Fraction(int(T[row, -1]), denominator) for row in rows], object)


def lemke(M, q):
    """Solve w = Mz + q, w >= 0, z >= 0, w'z = 0, for a positive semidefinite M.

    M need not be symmetric. The lexicographic ratio test excludes cycles. Without a solution return
    a ray z >= 0 with Mz >= 0, z'Mz = 0 and q'z < 0 (Cottle, Pang and Stone 1992, section 4.4).
    """
    size = len(q)
    if size == 0 or np.min(q) >= 0:
        return Lemke(True, np.zeros(size, object), 1)
    T = np.column_stack([np.eye(size, dtype=int), -M, np.full(size, -1), q])  # w, z, z0, q
    basis, column, denominator = list(range(size)), 2 * size, 1
    row = int(np.flatnonzero(q == np.min(q))[-1])
    T[row] = -T[row]
    while row is not None:
        T = pivot(T, row, column, denominator)
        denominator = int(T[row, column])
        basis[row], left = column, basis[row]
        if left == 2 * size:
            return Lemke(True, _values(T[:, -1], basis), denominator)
        column = (left + size) % (2 * size)
        row = _leaving_row(T, basis, column)
    z = _values(-T[:, column], basis)
    if column >= size:
        z[column - size] = denominator
    return Lemke(False, z, denominator)


def _leaving_row(T, basis, column):
    """Return the lexicographic minimum of the ratios, or z0's row as soon as it ties; or None."""
    size = len(basis)
    rows = [int(i) for i in np.flatnonzero(T[:, column] > 0)]
    for place in (-1, *range(size)):
        if len(rows) <= 1:
            break
        ratios = [Fraction(int(T[i, place]), int(T[i, column])) for i in rows]
        least = min(ratios)
        rows = [i for i, ratio in zip(rows, ratios, strict=True) if ratio == least]
        if place == -1:
            rows = [i for i in rows if basis[i] == 2 * size] or rows
    return rows[0] if rows else None


def _values(column, basis):
    """Return z, given the basic variables' numerators."""
    z = np.zeros(len(basis), object)
    for value, variable in zip(column, basis, strict=True):
        if len(basis) <= variable < 2 * len(basis):
            z[variable - len(basis)] = int(value)
    return z
