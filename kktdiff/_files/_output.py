"""Files that the command line writes: whole or not at all, and in place of no other."""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kktdiff._files._errors import UsageError, cannot, shown


def check_output(path: Path, source: Path | None = None, *, force: bool = False) -> None:
    """Check that a file may be written, before the work is done.

    Raises
    ------
    UsageError
        It is the file `source` that is read, also by another name; or it is there and `force` is
        False; or it is no regular file; or there is no such folder.
    """
    try:
        parent = Path(os.path.realpath(path)).parent
        if not stat.S_ISDIR(parent.stat().st_mode):
            raise NotADirectoryError(0, f"{shown(parent)} is not a folder")
        if not os.path.lexists(path):
            return
        with contextlib.suppress(FileNotFoundError):  # a link to nothing
            found = path.stat()
            if source is not None and os.path.samestat(found, source.stat()):
                raise UsageError(f"{shown(path)} is the file that is read: give another --output")
        _check_regular(path)
    except OSError as error:
        raise cannot("write to", path, error) from error
    if not force:
        raise UsageError(f"{shown(path)} is there already: --force replaces it")


def _check_regular(path: Path) -> None:
    """Raise an OSError if there is something else than a file: it is not to be replaced."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a new file in the same folder, which takes the place of `path` once it is whole.

    If the work on it fails or is interrupted, nothing is left of it. A link at `path` stays, and
    what it leads to is replaced.

    Raises
    ------
    OSError
        At once, if the folder can't be written to, or `path` is something else than a file.
    """
    _check_regular(path)
    path = Path(os.path.realpath(path))
    new = path.with_name(f".kktdiff-{secrets.token_hex(6)}{path.suffix}")
    try:
        new.open("xb").close()
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(path, new)
        yield new
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def write(
    path: Path, arrays: dict[str, Any], source: Path | None = None, *, force: bool = True
) -> None:
    """Write arrays to an .npz file, under the conditions of `check_output`."""
    try:
        with replacing(path) as new:
            with new.open("wb") as file:  # np.savez would append .npz to a name without it
                np.savez(file, **arrays)
            check_output(path, source, force=force)  # again: the work may have taken hours
    except OSError as error:
        raise cannot("write to", path, error) from error
