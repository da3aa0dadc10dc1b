"""From cotangents to gradients of one group of elements: by the kernels, or in array code."""

from collections.abc import Collection

from kktdiff._arrays import namespace, placed_all
from kktdiff._interior_point.compiled_kept import CompiledKept, KeptGroup
from kktdiff._interior_point.residuals import multipliers
from kktdiff._records import Rhs
from kktdiff._sensitivity.first_order import Adjoint, Cotangents, adjoint, gradients
from kktdiff._settings import CONVERGED, REFINED
from kktdiff._sparse.structure import Structure
from kktdiff._typing import Array
from kktdiff.backends import Backend

_MATRICES = ("Q", "G", "A")


def vjp(
    names: Collection[str],
    kept: KeptGroup,
    g: Cotangents,  # one for each element
    backend: Backend,
    shared: Collection[str],
    structure: Structure | None,
    *,
    least_squares: bool,
) -> dict[str, Array]:
    """Return gradients by name, each (B, ...) or, of what the batch shares, (1, ...).

    Those of matrices are in the entries of `structure`, if there is one.
    """
    if isinstance(kept, CompiledKept) and kept.backend.compiled and not least_squares:
        return _by_kernels(names, kept, g, backend, shared)
    u = adjoint(kept, g, least_squares=least_squares)
    lam = multipliers(kept.qp, kept.point)
    return gradients(names, kept.qp, lam, kept.point, u, backend, shared, structure)


def _by_kernels(
    names: Collection[str],
    kept: CompiledKept,
    g: Cotangents,
    backend: Backend,
    shared: Collection[str],
) -> dict[str, Array]:
    """Let the kernels pull back; solve again for the elements where they are not accurate."""
    values, u, bad = pull(names, kept, g, backend, shared)
    if bad is None or u is None:
        return values
    again = adjoint(kept.take(bad), g.take(bad), least_squares=False)
    u = Adjoint(*placed_all(bad, Rhs(*again[:3]), Rhs(*u[:3])), g.objective)
    lam, structure = kept.multipliers, kept.data.structure
    return gradients(names, kept.data, lam, kept.point, u, backend, shared, structure)


def pull(
    names: Collection[str],
    kept: CompiledKept,
    g: Cotangents,
    backend: Backend,
    shared: Collection[str],
) -> tuple[dict[str, Array], Adjoint | None, Array | None]:
    """Let the kernels pull back; sum what is shared, matrices without forming each element's.

    Returns
    -------
    dict, Adjoint or None, array or None
        The gradients; or the adjoint, and the places in `kept` where it is not accurate.
    """
    count, (n, m, _) = kept.index.shape[0], kept.data.sizes
    summed = [name for name in names if name in shared] if count > 1 else []
    by_element = kept.data.structure is not None and backend.host is not backend
    formed = () if by_element else _MATRICES  # sparse ones are small, and array code is the host's
    own = [name for name in names if name not in summed or name not in formed]
    found, bad = kept.pull(g, own, (REFINED * n**0.5, CONVERGED))
    if bad is None and not summed:
        return found.gradients, None, None
    xp = namespace(kept.kept)
    x, c = found.x[:, :n], found.c[:, : m + sum(kept.data.bounds)]
    u = Adjoint(x[..., None], c[..., None], found.nu[..., None], g.objective)
    if bad is not None:
        return {}, u, xp.nonzero(bad)[0]
    rest, out = [name for name in summed if name in formed], found.gradients
    if rest:
        out |= gradients(
            rest, kept.data, kept.point.lam, kept.point, u, backend, shared, kept.data.structure
        )
    vectors = [name for name in summed if name not in rest]
    return out | {v: xp.sum(out[v], axis=0, keepdims=True) for v in vectors}, None, None
