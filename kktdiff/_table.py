"""The iteration table of ``verbose=True``."""

import sys
from typing import Any

_COLUMNS = ("iteration", "running", "primal", "dual", "gap", "mu", "step")


class Table:
    """Writes one line per iteration to standard output; the worst element of each column."""

    def __init__(self) -> None:
        self._last = -1

    def __call__(self, record: dict[str, Any]) -> None:
        """Write one row, after the heading if a new loop begins."""
        if record["iteration"] <= self._last or self._last < 0:
            sys.stdout.write("".join(f"{name:>11s}" for name in _COLUMNS) + "\n")
        self._last = record["iteration"]
        cells = [
            f"{record[name]:11d}" if isinstance(record[name], int) else f"{record[name]:11.2e}"
            for name in _COLUMNS
        ]
        sys.stdout.write("".join(cells) + "\n")
