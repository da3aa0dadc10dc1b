"""Files of the command line, and what it says when something is wrong with one."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np


class UsageError(Exception):
    """Error whose message is one sentence for the user."""


def read(path: Path) -> dict[str, Any]:
    """Read the arrays of an .npz file."""
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise UsageError(f"{path} holds one array without a name: expected an .npz file")
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise cannot("read", path, error) from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{path} is not an .npz file of plain arrays") from error


def write(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays to an .npz file."""
    try:
        with path.open("wb") as file:  # np.savez would append .npz to a name without it
            np.savez(file, **arrays)
    except OSError as error:
        raise cannot("write to", path, error) from error


def cannot(do: str, path: Path, error: OSError) -> UsageError:
    """Return a UsageError whose message gives the reason of an OSError."""
    return UsageError(f"can't {do} {path}: {error.strerror or error}")
