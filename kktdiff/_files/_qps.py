"""Quadratic programs from QPS and MPS files, read by HiGHS."""

import shutil
import subprocess
import sys
import tempfile
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from kktdiff._files import _highs, _npz
from kktdiff._files._errors import UsageError, shown, size
from kktdiff._files._memory import at_hand

SUFFIXES = (".qps", ".mps")

Array = Any

_NOTE = "WARNING: "


def read(path: Path) -> tuple[dict[str, Array], float, float, tuple[str, ...]]:
    """Read a QPS file; return the arrays, the sign and the constant of its objective, and notes.

    The objective of the file is the sign times that of the arrays, plus the constant. The notes are
    HiGHS's on what it left out.

    Raises
    ------
    UsageError
        highspy is not installed; the file can't be read, has variables that are not continuous, or
        is too large as dense arrays.
    """
    if util.find_spec("highspy") is None:
        raise UsageError("highspy, which reads QPS files, not found: pip install 'kktdiff[qps]'")
    found, notes = _in_another_process(path)
    (n, m, dim), (by_columns, triangular, continuous) = map(int, found["sizes"]), found["kinds"]
    if not continuous:
        raise UsageError(f"{shown(path)} has variables that are not continuous")
    needed = 8 * (n * n + 2 * m * n)
    if needed > at_hand():
        raise UsageError(
            f"{shown(path)} has {n} variables and {m} rows, {size(needed)} as dense arrays, and "
            f"there are {size(at_hand())} of memory at hand"
        )
    rows = _dense(found, "A", (m, n), by_columns)
    Q = _dense(found, "Q", (dim, dim), True) if dim else np.zeros((n, n))
    Q = Q + np.tril(Q, -1).T if triangular and dim else Q
    sign = float(found["sign"])
    arrays = {"Q": sign * Q, "p": sign * found["col_cost"]}
    arrays |= _rows(rows, found["row_lower"], found["row_upper"])
    arrays |= {"lb": found["col_lower"], "ub": found["col_upper"]}
    return arrays, sign, float(found["offset"]), notes


def _in_another_process(path: Path) -> tuple[dict[str, Array], tuple[str, ...]]:
    with tempfile.TemporaryDirectory(prefix="kktdiff-") as folder:
        model, output = Path(folder, "model.mps"), Path(folder, "model.npz")
        with _npz.opened(path) as stream, model.open("wb") as copy:
            shutil.copyfileobj(stream, copy)  # HiGHS wants this suffix
        command = [sys.executable, "-P", _highs.__file__, str(model), str(output)]
        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        done = subprocess.run(command, stdin=null, stdout=pipe, stderr=null, check=False)
        said = done.stdout.decode(errors="replace").splitlines()
        if done.returncode or not output.exists():
            why = next(
                (f": {shown(line[6:].strip())}" for line in said if line[:6] == "ERROR:"), ""
            )
            raise UsageError(f"{shown(path)} is not a QPS file that HiGHS can read{why}")
        notes = (line.removeprefix(_NOTE) for line in said if line.startswith(_NOTE))
        return _npz.read(output, lambda names: names), tuple(notes)


def _dense(found: dict[str, Array], name: str, shape: tuple[int, int], by_columns: bool) -> Array:
    parts = [found[f"{name}_{part}"] for part in ("value", "index", "start")]
    kind = sparse.csc_array if by_columns else sparse.csr_array
    return kind(tuple(parts), shape=shape).toarray()


def _rows(rows: Array, lower: Array, upper: Array) -> dict[str, Array]:
    """Return lower <= rows x <= upper as Gx <= h and Ax = b."""
    fixed = lower == upper
    above, below = np.isfinite(upper) & ~fixed, np.isfinite(lower) & ~fixed
    found = {
        "G": np.concatenate([rows[above], -rows[below]]),
        "h": np.concatenate([upper[above], -lower[below]]),
        "A": rows[fixed],
        "b": upper[fixed],
    }
    return {name: array for name, array in found.items() if len(array)}
