"""Read arrays from untrusted .npz files.

Everything that a file says of itself is held against its size and the memory at hand before
anything is read. Nothing is unpickled. What NumPy's and zipfile's readers raise for a wrong file is
of many kinds, from struct.error to RecursionError, so that all of it counts as one: the file is
wrong.
"""

import contextlib
import io
import math
import os
import pickletools
import stat
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from kktdiff._files._errors import UsageError, cannot, shown, size
from kktdiff._files._memory import at_hand

Array = Any

_METHODS = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}  # the most that each can expand
_HEADER = 10_000  # bytes: NumPy writes 128 and reads no more than this
_LARGEST_DIRECTORY = 2**20  # bytes
_MUCH, _OFTEN = 2**30, 100  # more bytes than this, expanded more often, are no data but a trap
_NUMBERS = "biufc"  # the kinds of dtypes that are numbers


class Entry(NamedTuple):
    """An array of an archive, as far as it is known before it is read."""

    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file; anything else, such as a pipe, is refused and not waited for."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if path.is_dir():
            raise UsageError(f"can't read {shown(path)}: it is a folder")
        with os.fdopen(os.open(path, flags), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise UsageError(f"can't read {shown(path)}: it is a pipe or a device, not a file")
            yield stream
    except OSError as error:
        raise cannot("read", path, error) from error


def read(path: Path, choose: Callable[[list[str]], Collection[str]]) -> dict[str, Array]:
    """Read the arrays of an .npz file; one that was written as None is left out.

    Parameters
    ----------
    path
        The file.
    choose
        Gets the names of all arrays, and returns those to read; the others are not looked at.

    Raises
    ------
    UsageError
        The file can't be read, or is not an .npz file of plain arrays, or is too large.
    """
    with opened(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a header's literals may be odd
        try:
            return _read(path, stream, choose)
        except (UsageError, KeyboardInterrupt):
            raise
        except MemoryError as error:
            raise UsageError(f"{shown(path)} needs more memory than there is") from error
        except Exception as error:
            raise UsageError(f"{shown(path)} is not an .npz file of plain arrays") from error


def _read(
    path: Path, stream: IO[bytes], choose: Callable[[list[str]], Collection[str]]
) -> dict[str, Array]:
    if stream.read(6) == npy.MAGIC_PREFIX:
        raise UsageError(f"{shown(path)} holds one array without a name: expected an .npz file")
    end = _checked_end(path, stream)
    with zipfile.ZipFile(stream) as archive:
        infos = archive.infolist()
        names = [info.filename.removesuffix(".npy") for info in infos]
        (often, count), *_ = Counter(names).most_common(1) or [("", 0)]
        if count > 1:
            raise UsageError(f"{shown(path)} holds {shown(often)} more than once")
        wanted = choose(names)
        found = {
            name: _entry(path, name, archive, info)
            for name, info in zip(names, infos, strict=True)
            if name in wanted
        }
        _check_size(path, end, [entry.info for entry in found.values() if entry is not None])
        return {name: _array(archive, entry) for name, entry in found.items() if entry}


def _checked_end(path: Path, stream: IO[bytes]) -> int:
    """Return the size of the file; refuse a great many entries, each 1 kB of memory to zipfile."""
    stream.seek(0, os.SEEK_END)
    end = stream.tell()
    stream.seek(max(end - 22, 0))
    last = stream.read(22)  # the record at the end, where no comment follows it
    directory = int.from_bytes(last[12:16], "little")
    if not last.startswith(b"PK\x05\x06") or directory > _LARGEST_DIRECTORY:
        raise UsageError(f"{shown(path)} is not an .npz file of plain arrays")
    return end


def _entry(path: Path, name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry | None:
    """Check what an entry says of itself; return None for an array that was written as None."""
    what = f"{shown(path)}: {shown(name)}"
    if info.flag_bits & 1:
        raise UsageError(f"{what} is encrypted: save it without a password")
    if info.compress_type not in _METHODS:
        raise UsageError(f"{what} is compressed in a way that NumPy does not write")
    if info.file_size > _METHODS[info.compress_type] * info.compress_size + 64:
        raise UsageError(f"{what} can't be as large as it says: the file is damaged")
    with archive.open(info) as stream:
        head = io.BytesIO(stream.read(_HEADER))  # no more, however long it says its header is
    if not head.getvalue().startswith(npy.MAGIC_PREFIX):
        raise UsageError(f"{what} is not an array: expected an .npz file of plain arrays")
    versions = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    shape, _, dtype = versions[npy.read_magic(head)](head)
    if shape == () and dtype == np.dtype(object) and _is_none(head):
        return None
    _check_header(what, shape, dtype, info.file_size - head.tell())
    return Entry(info, shape, dtype)


def _check_header(what: str, shape: Any, dtype: np.dtype[Any], held: int) -> None:
    """Check the shape and the dtype of an array against the bytes that are there."""
    if dtype.hasobject:
        raise UsageError(
            f"{what} holds Python objects, as sparse matrices are saved: expected a dense array"
        )
    if dtype.kind not in _NUMBERS:
        raise UsageError(f"{what} has dtype {shown(dtype)}: expected numbers")
    if not all(type(length) is int and 0 <= length < 2**63 for length in shape):
        raise UsageError(f"{what} has shape {shown(shape)}: expected lengths that can be")
    stated = math.prod(shape) * dtype.itemsize
    if stated != held:
        raise UsageError(
            f"{what} has shape {shown(shape)}, {size(stated)}, but the file holds {size(held)} of "
            "it: the file is damaged"
        )


def _is_none(head: IO[bytes]) -> bool:
    """Return True if the pickled array that follows is None alone, which shows without unpickling.

    So `qpsolvers.Problem.save` writes an absent array, and NumPy whatever is None.
    """
    names = [operation.name for operation, _, _ in pickletools.genops(head.read())]
    kept = [name for name in names if name not in ("MEMOIZE", "BINPUT", "PUT")]
    return kept[-6:] == ["EMPTY_LIST", "NONE", "APPEND", "TUPLE", "BUILD", "STOP"]


def _check_size(path: Path, end: int, infos: list[zipfile.ZipInfo]) -> None:
    total, stored = (sum(getattr(i, key) for i in infos) for key in ("file_size", "compress_size"))
    if stored > end:
        raise UsageError(f"{shown(path)} is shorter than it says: the file is damaged")
    if total > _MUCH and total > _OFTEN * stored:
        raise UsageError(
            f"{shown(path)} would expand to {size(total)}, {total // max(stored, 1)} times what is "
            "stored: if you trust it, save it without compression"
        )
    if total > at_hand():
        raise UsageError(
            f"{shown(path)} holds {size(total)}, and there are {size(at_hand())} of memory at hand"
        )


def _array(archive: zipfile.ZipFile, entry: Entry) -> Array:
    with archive.open(entry.info) as stream:
        array = npy.read_array(stream, allow_pickle=False)  # to the end, where the check sum is
    return array.astype(entry.dtype.newbyteorder("="), copy=False)
