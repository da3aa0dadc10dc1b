"""The operations that the core needs of an array library beyond the array API standard.

Factorizations are batched over the leading dimension, never raise because one matrix of the
batch is bad (they say so in ``ok``), and never write into their inputs.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from kktdiff._typing import Array, Namespace
from kktdiff.kernels.running import Call


class Cholesky(NamedTuple):
    """A batch of Cholesky factors; the form of ``factor`` is the backend's own."""

    factor: Array  # (B, ...)
    pivots: Array  # (B, n): squares of the diagonal of the triangular factor
    ok: Array  # (B,) bool: the matrix was numerically positive definite


class LU(NamedTuple):
    """A batch of LU factors with partial pivoting."""

    factor: Any
    ok: Array  # (B,) bool: finite and no pivot was exactly zero


class Backend(Protocol):
    """An array library as the core uses it: a namespace, and the kernels where it has them.

    One whose arrays are on a device has no factorizations: what needs them is done by `host`.
    """

    @property
    def name(self) -> str:
        """The name that ``solve_qp(backend=...)`` takes."""

    @property
    def xp(self) -> Namespace:
        """The array API namespace, as array-api-compat wraps it."""

    @property
    def compiled(self) -> bool:
        """True if the kernels of `kktdiff.kernels` work on this backend's arrays."""

    @property
    def call(self) -> Call:
        """Run a kernel on this backend's arrays, if it is `compiled`."""

    @property
    def host(self) -> "LinearAlgebra":
        """The backend of array code: this one, or NumPy's for arrays on a device."""

    def to_host(self, array: Array) -> Array:
        """Return `array` as one of `host`; a copy if it was on a device."""

    def may_wait(self) -> bool:
        """Return False while the work is recorded for later: nothing can be read then."""

    def owns(self, array: Any) -> bool:
        """Return True if `array` is of this backend's own array type."""

    def receive(self, array: Any, dtype: Any, like: Any) -> Array:
        """`array` as a contiguous array of this backend, on the device of `like`."""

    def at(self, like: Array | None) -> AbstractContextManager[Any]:
        """Return the context of all work: on the device of `like`, an array of this backend.

        None: on the device that is current. Floating-point trouble of an element prints nothing.
        """

    def outer(self, a: Array, b: Array, c: Array, d: Array) -> Array:  # (B, r), (B, c) twice
        """Each element's ``a b' + c d'``; symmetric to the bit if c is b and d is a."""

    def symmetric(self, Q: Array) -> Array:  # (B or 1, n, n)
        """``(Q + Q')/2``; may be Q itself where that is symmetric."""


class LinearAlgebra(Backend, Protocol):
    """A backend with the factorizations that array code needs."""

    @property
    def workspace(self) -> int:
        """Bytes of matrices that one chunk of a batch may take."""

    def bounded(self, arrays: Sequence[Array], d: Array, limit: float) -> bool:
        """Return True only if all entries of `arrays` are below `limit` in size, and those of d
        above ``-limit``; False too where that is not cheap to know."""

    def cholesky(self, a: Array) -> Cholesky:  # a: (B, n, n) symmetric
        """Factor each matrix; only one triangle need be right."""

    def condensed_cholesky(
        self,
        Q: Array,  # (B or 1, n, n)
        D: Array,  # (B, n)
        G: Array,  # (B or 1, m, n)
        w: Array | None,  # (B or 1, m), w >= 0; None: 1
    ) -> Cholesky:
        """Factor ``Q + diag(D) + G' diag(w) G``, most of the work."""

    def triangular_solve(
        self,
        chol: Cholesky,
        rhs: Array,  # (B, n, r)
        *,
        transposed: bool,
    ) -> Array:
        """Solve with the kept triangular factors L or, `transposed`, with L'."""

    def lu_factor(self, a: Array, size: Array) -> LU:  # a: (B, n, n) symmetric; size: (B,)
        """Factor each matrix. Rows and columns from ``size[i]`` on are those of minus or
        plus the identity and may be left out of the work."""

    def lu_solve(self, lu: LU, rhs: Array) -> Array:  # rhs: (B, n, r)
        """Solve with kept LU factors, one for each element or one for all."""
