"""The kernels for CUDA devices: their source, and the memory that they need."""

import re
from functools import cache
from importlib import resources
from typing import NamedTuple

OPTIONS = ("-std=c++17", "--device-as-default-execution-space")  # of NVIDIA's compiler
THREADS = 512  # that a multiprocessor has registers for
RESERVED = 1024  # bytes of shared memory that the system takes of each block
_INCLUDE = re.compile(r'^#include "(\w+\.hpp)"$', re.MULTILINE)


class Memory(NamedTuple):
    """Bytes that a team of threads needs for a problem."""

    matrix: int  # of the matrix that is factored, which does well in shared memory
    all: int


@cache
def source() -> str:
    """Return ``device.cu`` with the files that it includes put in: one text.

    Compiled files are kept on disk by their text, which an include would not be part of.
    """
    return _expanded("device.cu", set())


def _expanded(name: str, seen: set[str]) -> str:
    """Return a file with what it includes in place, each file once."""
    text = (resources.files(__package__) / name).read_text(encoding="utf-8")

    def included(match: re.Match[str]) -> str:
        if match[1] in seen:
            return ""
        seen.add(match[1])
        return _expanded(match[1], seen)

    return _INCLUDE.sub(included, text.replace("#pragma once\n", ""))


def memory(kernel: str, sizes: tuple[int, ...], team: int) -> Memory:
    n, m, k = sizes[:3]
    return Memory(8 * n * n, 8 * (8 * n * n + (m + k) * n * 2 + 200 * (n + m + k) + 10000))
