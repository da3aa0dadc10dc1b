"""What the core asks of an array library beyond the array API standard.

Every call is batched over the leading dimension, never raises because one matrix of the
batch is bad (it says so in ``ok``), and never writes into its inputs.
"""

from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from kktdiff._typing import Array, Namespace


class Cholesky(NamedTuple):
    """A batch of Cholesky factors; what is in ``factor`` is the backend's own business."""

    factor: Any
    ok: Array  # (B,) bool: the matrix was numerically positive definite


class LU(NamedTuple):
    """A batch of LU factors with partial pivoting."""

    factor: Any
    ok: Array  # (B,) bool: finite and no pivot was exactly zero


class Solved(NamedTuple):
    """A batch that was solved in one call, but for the elements that were not easy."""

    point: Any  # (x, s, lam, nu)
    iterations: Array  # (B,): -1 where an element was not easy and must be solved step by step;
    # -3 less their number where they led near the solution, but not to it: `point` is that point
    numbers: Array  # (B, 4): objective, primal residual, dual residual, duality gap
    lu: LU  # of the KKT matrices; the rest is that of `kktdiff._kkt.Factors`
    order: Array
    place: Array
    activity: Array
    x: Array
    g: Array
    held: Array


class Backend(Protocol):
    """An array library as the core uses it: a namespace and a few factorizations."""

    @property
    def name(self) -> str:
        """The name that ``solve_qp(backend=...)`` takes."""

    @property
    def xp(self) -> Namespace:
        """The array API namespace, as array-api-compat wraps it."""

    @property
    def at_once(self) -> bool:
        """Whether `solve` takes a whole batch as it is: no memory but for results, Q unchecked."""

    @property
    def workspace(self) -> int:
        """Bytes of matrices that one chunk of a batch may take."""

    def owns(self, array: Any) -> bool:
        """Whether `array` is of this backend's own array type."""

    def receive(self, array: Any, dtype: Any, like: Any) -> Array:
        """`array` as a contiguous array of this backend, on the device of `like`."""

    def at(self, like: Array | None) -> AbstractContextManager[Any]:
        """The context of all work: on the device of `like`, an array of this backend.

        None: on the device that is current. Floating-point trouble of an element prints nothing.
        """

    def symmetric(self, Q: Array) -> Array:  # (B or 1, n, n)
        """``(Q + Q')/2``; may be Q itself where that is symmetric."""

    def equilibrate(
        self, Q: Array, G: Array, A: Array, passes: int, low: float, high: float
    ) -> tuple[Array, Array, Array, Array] | None:
        """The weights of `kktdiff._scaling` in one call: of x, of G's rows, of A's; the size of Q.

        None: this backend has no such thing.
        """

    def solve(
        self,
        qp: Any,  # kktdiff._problem.QP
        scaling: Any,  # kktdiff._scaling.Scaling
        settings: Any,  # kktdiff._settings.Settings
    ) -> Solved | None:
        """The whole method as one call, for the elements that are easy.

        None: this backend has no such thing.
        """

    def loop(self, qp: Any, scaling: Any, settings: Any) -> tuple[Any, Array] | None:
        """The condensed interior-point loop alone, for the elements that are easy.

        The points, as (x, s, lam, nu), and each element's number of iterations, -1 where it was
        not easy and must be solved step by step. None: this backend has no such thing.
        """

    def cholesky(self, a: Array) -> Cholesky:  # a: (B, n, n) symmetric
        """Factor each matrix; only one triangle need be right."""

    def condensed_cholesky(
        self,
        Q: Array,  # (B or 1, n, n)
        D: Array,  # (B, n)
        G: Array,  # (B or 1, m, n)
        w: Array,  # (B, m), not negative
    ) -> Cholesky:
        """Factor ``Q + diag(D) + G' diag(w) G``, the matrix of most of the work."""

    def cho_solve(self, chol: Cholesky, rhs: Array) -> Array:  # rhs: (B, n, r)
        """Solve with kept Cholesky factors."""

    def lu_factor(self, a: Array, size: Array) -> LU:  # a: (B, n, n) symmetric; size: (B,)
        """Factor each matrix. Rows and columns from ``size[i]`` on are those of minus or
        plus the identity and may be left out of the work."""

    def kkt_lu(
        self,
        *,
        Q: Array,  # (B or 1, n, n)
        G: Array,  # (B or 1, m, n)
        A: Array,  # (B or 1, k, n)
        x: Array,  # (B, n): weights of the variables
        g: Array,  # (B, m): weights of the rows of G
        nu: Array,  # (B, k): weights of the rows of A
        cost: Array,  # (B,): weight of Q
        order: Array,  # (B, r): the rows of G that play a part
        diagonal: Array,  # (B, n + k + r): added to the diagonal
        size: Array,  # (B,): as for `lu_factor`
    ) -> LU | None:
        """Assemble and factor the weighted KKT matrices of `kktdiff._kkt` in one call.

        None: this backend has no such thing.
        """

    def kkt_solve(
        self,
        qp: Any,  # kktdiff._problem.QP
        factors: Any,  # kktdiff._kkt.Factors
        rhs: Any,  # kktdiff._kkt.Rhs
    ) -> tuple[Array, Array, Array, Array] | None:
        """`kktdiff._kkt.solve` in one call: x, c, nu as in `rhs`, and the relative residuals.

        None: this backend has no such thing, or not for these factors.
        """

    def outer(self, a: Array, b: Array, c: Array, d: Array) -> Array:  # (B, r), (B, c) twice
        """Each element's ``a b' + c d'``; symmetric to the bit if c is b and d is a."""

    def lu_take(self, lu: LU, index: Array) -> LU:
        """The factors of the elements `index`."""

    def lu_solve(self, lu: LU, rhs: Array) -> Array:  # rhs: (B, n, r)
        """Solve with kept LU factors, one for each element or one for all."""
