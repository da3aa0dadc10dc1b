"""The structure of sparse matrices in the memory of a device: copied there once for a pattern."""

import functools
from typing import Any, cast

from kktdiff._records import Data
from kktdiff._sparse.levels import by_levels
from kktdiff._sparse.structure import Structure, _Key
from kktdiff.backends import Backend

_KEPT = 8  # copies of structures that were used last


def with_structure(data: Data, backend: Backend) -> Data:
    """Return data with the structure, if there is one, as the kernels of a device take it.

    The device of the data is current.
    """
    own = data.structure
    if own is None:
        return data
    key, place = _Key(own.Q, own.G, own.A), str(data.p.device)
    return data._replace(structure=_copied(key, cast(Any, backend), place))


@functools.lru_cache(_KEPT)
def _copied(key: _Key, backend: Any, _: str) -> Structure:
    """Copy a structure; the host waits until it is there, so that any stream may read it."""
    own = by_levels(*key.patterns)
    assert own.array is not None
    array = backend.receive(own.array[None, :], None, None)
    backend.to_host(array[:, :1])
    return own._replace(array=array)
