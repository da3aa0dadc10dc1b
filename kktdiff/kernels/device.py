"""The kernels for CUDA devices: their source, and the memory that they need."""

import re
from collections import Counter
from functools import cache
from importlib import resources
from typing import NamedTuple

DIAGONAL, SPARSE = 1, 2  # forms
# Of NVIDIA's compiler, from version 13 on: functions are the device's; a product is fused with a
# sum only where the source says so; a tenth of the time that it would take else.
OPTIONS = ("-std=c++17", "--device-as-default-execution-space", "--fmad=false")
QUICKLY = ("--Ofast-compile=min",)
THREADS = 512  # that a multiprocessor has registers for
STATIC = {32: 4 << 10, 128: 7 << 10, 256: 11 << 10}  # by team: bytes of shared memory, at most,
# that the kernels declare themselves
RESERVED = 1024  # bytes of shared memory that the system takes of each block
_INCLUDE = re.compile(r'^#include "(\w+\.hpp)"$', re.MULTILINE)
RECORD = 1792  # bytes of what a kernel's record of a problem takes, at most
STRUCTURE = 384  # bytes of that of the patterns of sparse problems, at most
BEYOND = 64  # bytes that are read beyond the last matrix


class Memory(NamedTuple):
    """Bytes that a team of threads needs for a problem."""

    matrix: int  # of the matrix that is factored, which does well in shared memory
    fast: int  # with all vectors: more shared memory than that is of no use
    all: int


@cache
def source(*names: str) -> str:
    """Return files with those that they include put in, each once: one text; ``device.cu`` if none.

    Compiled files are kept on disk by their text, which an include would not be part of.
    """
    seen: set[str] = set()
    return "".join(_expanded(name, seen) for name in names or ("device.cu",))


def _expanded(name: str, seen: set[str]) -> str:
    """Return a file with what it includes in place, each file once."""
    text = (resources.files(__package__) / name).read_text(encoding="utf-8")

    def included(match: re.Match[str]) -> str:
        if match[1] in seen:
            return ""
        seen.add(match[1])
        return _expanded(match[1], seen)

    return _INCLUDE.sub(included, text.replace("#pragma once\n", ""))


# Arrays of the records that a kernel works with, by their lengths. A mask has a byte for an entry.
_POINT = Counter(n=1, M=2, k=1)
_RHS = Counter(n=1, M=1, k=1)
_RESIDUALS = Counter(n=5, M=2, k=1)
_PROBLEM = Counter(n=2, M=1, k=1, mask_M=1, mask_n=1)
_SCALING = Counter(n=1, m=1, k=1)
_FACTORS = Counter(n=3, M=2, m=1, k=3, r=2, given=1, limits=1, slacks=1, mask_m=1, int_m=1)


def _sum(*parts: tuple[int, Counter[str]]) -> Counter[str]:
    """Return so many of each part."""
    total: Counter[str] = Counter()
    for count, part in parts:
        for name, number in part.items():
            total[name] += count * number
    return total


_NEWTON = _sum((1, Counter(M=2, mask_n=1)), (1, _FACTORS), (5, _RHS), (3, _POINT))
_BASE = _sum((1, _PROBLEM), (1, _SCALING))
_FORM = _sum((1, _BASE), (1, Counter(n=2, m=2, k=2)))
_DERIVATION = _sum((1, _BASE), (1, _NEWTON), (1, Counter(mask_M=1, kept=1)))
_PROOF = Counter(n=5, M=3, k=3)
_SOLVER = _sum(
    (1, _FORM),
    (1, _NEWTON),
    (7, _POINT),
    (3, _RESIDUALS),
    (1, _PROOF),
    (1, Counter(mask_M=5, core=1, all=1)),
)
_WORK = {"solve": _SOLVER, "derive": _DERIVATION, "vjp": _DERIVATION}


def memory(kernel: str, sizes: tuple[int, ...]) -> Memory:
    """Return what a kernel needs for problems of the sizes of a call, without that of the batch."""
    core, m, k, lower, upper, form, soft = sizes[:7]
    slacks = sum(count for side, count in enumerate((m, lower, upper, 2 * k)) if soft >> side & 1)
    n, given, r = core + slacks, m + lower + upper, m + k
    M = given + slacks
    lengths = {"n": n, "M": M, "m": m, "k": k, "r": r, "given": given, "limits": given + k}
    lengths |= {"slacks": slacks, "core": core, "all": n + M + k, "kept": n + m + k + 2}
    bytes_of = {name: _round(8 * length) for name, length in lengths.items()}
    bytes_of |= {f"mask_{name}": _round(lengths[name]) for name in ("n", "M", "m")}
    bytes_of["int_m"] = _round(4 * m)
    vectors = sum(count * bytes_of[name] for name, count in _WORK[kernel].items())
    vectors += RECORD + BEYOND
    if form == SPARSE:
        _, G, A, Q, factor, system = sizes[7:13]
        squares, order = [Q, G, A, m, factor, system], core + r
        squares += [order, order, -(-order // 8)]
        vectors += STRUCTURE
    else:
        Q = core * core
        squares = [Q, m * core, k * core, m, Q if k else 0, Q, r * r, r * core]
        factor = core if form == DIAGONAL else Q
    if kernel == "solve":
        squares.append(Q)
    matrix = _round(8 * factor)
    everything = vectors + sum(_round(8 * entries) for entries in squares)
    return Memory(matrix, matrix + vectors, everything)


def _round(size: int) -> int:
    """Return bytes in whole cache lines."""
    return (size + 63) // 64 * 64
