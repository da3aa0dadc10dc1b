"""The functions that Python calls, compiled once and kept on disk.

numba keeps code in files named by the function, and looks only at the module that it is in. Here
the name has a number that stands for the text of all modules beside it, and of the constants: what
another version left is neither used nor read.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kktdiff import _settings
from kktdiff.backends.compiled import _kkt, _loop, _products, _refined, _ruiz, _whole
from kktdiff.backends.compiled._jit import kept


def sources(folder: Path) -> int:
    """A number that changes with the text of any of the folder's modules, or of the constants."""
    files = [*sorted(folder.glob("*.py")), Path(_settings.__file__)]
    return zlib.crc32(b"".join(file.read_bytes() for file in files))


_VERSION = sources(Path(__file__).parent)


def _on_disk(function: Callable[..., None]) -> Any:
    function.__qualname__ = f"{function.__name__}_{_VERSION:08x}"
    return kept(function)


@_on_disk
def solve(
    batch: Any, options: Any, work: Any, at: Any, kept: Any, iterations: Any, first: int, end: int
) -> None:
    """`_whole.run`."""
    _whole.run(batch, options, work, at, kept, iterations, first, end)


@_on_disk
def loop(
    batch: Any, options: Any, work: Any, at: Any, iterations: Any, first: int, end: int
) -> None:
    """`_loop.run`."""
    _loop.run(batch, options, work, at, iterations, first, end)


@_on_disk
def kkt_factor(
    blocks: Any, size: Any, la: Any, factors: Any, ok: Any, first: int, end: int
) -> None:
    """`_kkt.factor`."""
    _kkt.factor(blocks, size, la, factors, ok, first, end)


@_on_disk
def kkt_solve(
    factors: Any, places: Any, rhs: Any, room: Any, la: Any, first: int, end: int
) -> None:
    """`_kkt.solve`."""
    _kkt.solve(factors, places, rhs, room, la, first, end)


@_on_disk
def kkt_solve_refined(
    systems: Any, lower: int, factors: Any, places: Any, vectors: Any, columns: Any, error: Any,
    first: int, end: int,
) -> None:  # fmt: skip
    """`_refined.run`."""
    _refined.run(systems, lower, factors, places, vectors, columns, error, first, end)


@_on_disk
def outer(a: Any, b: Any, c: Any, d: Any, out: Any, first: int, end: int) -> None:
    """`_products.outer`."""
    _products.outer(a, b, c, d, out, first, end)


@_on_disk
def equilibrate(
    Q: Any, G: Any, A: Any, weights: Any, norms: Any, passes: int, low: float, high: float,
    first: int, end: int,
) -> None:  # fmt: skip
    """`_ruiz.equilibrate`."""
    _ruiz.equilibrate(Q, G, A, weights, norms, passes, low, high, first, end)
