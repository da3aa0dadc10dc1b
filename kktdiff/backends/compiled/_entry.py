"""The functions that Python calls, compiled once and kept on disk.

numba keeps code by the module that it compiled a function of and by what the function encloses:
here a number that stands for the text of all modules beside it, and of the constants.
"""

import zlib
from pathlib import Path
from typing import Any

from kktdiff import _settings
from kktdiff.backends.compiled import _kkt, _loop, _products, _refined, _ruiz, _whole
from kktdiff.backends.compiled._jit import kept


def sources(folder: Path) -> int:
    """A number that changes with the text of any of the folder's modules, or of the constants."""
    files = [*sorted(folder.glob("*.py")), Path(_settings.__file__)]
    return zlib.crc32(b"".join(file.read_bytes() for file in files))


def _kept_on_disk(version: int) -> tuple[Any, ...]:
    @kept
    def solve(batch, options, work, at, kept, iterations, first, end):  # type: ignore[no-untyped-def]
        if version >= 0:  # always
            _whole.run(batch, options, work, at, kept, iterations, first, end)

    @kept
    def loop(batch, options, work, at, iterations, first, end):  # type: ignore[no-untyped-def]
        if version >= 0:
            _loop.run(batch, options, work, at, iterations, first, end)

    @kept
    def kkt_factor(blocks, size, la, factors, ok, first, end):  # type: ignore[no-untyped-def]
        if version >= 0:
            _kkt.factor(blocks, size, la, factors, ok, first, end)

    @kept
    def kkt_solve(factors, places, rhs, room, la, first, end):  # type: ignore[no-untyped-def]
        if version >= 0:
            _kkt.solve(factors, places, rhs, room, la, first, end)

    @kept
    def kkt_solve_refined(  # type: ignore[no-untyped-def]
        systems, lower, factors, places, vectors, columns, error, first, end
    ):
        if version >= 0:
            _refined.run(systems, lower, factors, places, vectors, columns, error, first, end)

    @kept
    def outer(a, b, c, d, out, first, end):  # type: ignore[no-untyped-def]
        if version >= 0:
            _products.outer(a, b, c, d, out, first, end)

    @kept
    def equilibrate(Q, G, A, weights, norms, passes, low, high, first, end):  # type: ignore[no-untyped-def]
        if version >= 0:
            _ruiz.equilibrate(Q, G, A, weights, norms, passes, low, high, first, end)

    return solve, loop, kkt_factor, kkt_solve, kkt_solve_refined, outer, equilibrate


_VERSION = sources(Path(__file__).parent)
(
    solve,
    loop,
    kkt_factor,
    kkt_solve,
    kkt_solve_refined,
    outer,
    equilibrate,
) = _kept_on_disk(_VERSION)
