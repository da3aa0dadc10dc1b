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


solve = _on_disk(_whole.run)
loop = _on_disk(_loop.run)
kkt_factor = _on_disk(_kkt.factor)
kkt_solve = _on_disk(_kkt.solve)
kkt_solve_refined = _on_disk(_refined.run)
outer = _on_disk(_products.outer)
equilibrate = _on_disk(_ruiz.equilibrate)
