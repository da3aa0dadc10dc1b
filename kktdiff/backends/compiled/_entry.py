"""The functions that Python calls, compiled once and kept on disk.

numba keeps code by the module that it compiled a function of and by what the function encloses:
here a number that stands for the text of all modules beside it, and of the constants.
"""

import zlib
from pathlib import Path
from typing import Any

from kktdiff import _settings
from kktdiff.backends.compiled import _kkt, _loop, _ruiz
from kktdiff.backends.compiled._jit import kept


def sources(folder: Path) -> int:
    """A number that changes with the text of any of the folder's modules, or of the constants."""
    files = [*sorted(folder.glob("*.py")), Path(_settings.__file__)]
    return zlib.crc32(b"".join(file.read_bytes() for file in files))


def _kept_on_disk(version: int) -> tuple[Any, ...]:
    @kept
    def loop(*arguments: Any) -> None:
        if version >= 0:  # always
            _loop.run(*arguments)

    @kept
    def kkt_factor(*arguments: Any) -> None:
        if version >= 0:
            _kkt.factor(*arguments)

    @kept
    def kkt_solve(*arguments: Any) -> None:
        if version >= 0:
            _kkt.solve(*arguments)

    @kept
    def equilibrate(*arguments: Any) -> None:
        if version >= 0:
            _ruiz.equilibrate(*arguments)

    return loop, kkt_factor, kkt_solve, equilibrate


loop, kkt_factor, kkt_solve, equilibrate = _kept_on_disk(sources(Path(__file__).parent))
