"""NVIDIA's compiler through ctypes: it needs neither a GPU nor a driver.

The library is in the wheel ``nvidia-cuda-nvrtc``, or where the system's loader finds it.
"""

import ctypes
import ctypes.util
import re
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

OPTIONS = ("--ptxas-options=-v",)
ABSENT = "NVIDIA's run-time compiler is not installed: pip install nvidia-cuda-nvrtc"


class CompileError(RuntimeError):
    """The compiler's messages."""


class Usage(NamedTuple):
    """What one kernel takes, in the compiler's words."""

    registers: int
    stack: int  # bytes
    spilled: int  # bytes stored and loaded
    shared: int  # bytes, without those that a launch asks for


class Compiled(NamedTuple):
    """A compiled source text."""

    cubin: bytes
    log: str
    kernels: dict[str, Usage]

    @property
    def warnings(self):
        """The lines of the log that say so."""
        return [line for line in self.log.splitlines() if re.search(r"\bwarning\b[^:]*:", line)]


@cache
def library():
    """The loaded library, or None."""
    places = [Path(folder) / "nvidia" for folder in sys.path]
    found = [file for place in places for file in place.glob("**/libnvrtc.so.*")]
    newest_first = sorted(found, key=lambda file: file.name, reverse=True)
    names = [str(file) for file in newest_first]
    names += [ctypes.util.find_library("nvrtc")]
    for name in filter(None, names):
        try:
            # its headers are in a library beside it, which it would look for on the system's path
            for beside in sorted(Path(name).parent.glob("libnvrtc-builtins.so.*")):
                ctypes.CDLL(str(beside), mode=ctypes.RTLD_GLOBAL)
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def version():
    """Of the library: (13, 0) for example."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def compile_source(source, architecture, *options):
    """Compile CUDA C++ for an architecture (``"sm_90"``) to machine code.

    Raises
    ------
    CompileError
        With the compiler's messages, whose lines are those of `source`.
    """
    nvrtc, program = library(), ctypes.c_void_p()
    _check(
        nvrtc.nvrtcCreateProgram(
            ctypes.byref(program), source.encode(), b"source.cu", 0, None, None
        )
    )
    try:
        given = [option.encode() for option in (*OPTIONS, f"-arch={architecture}", *options)]
        status = nvrtc.nvrtcCompileProgram(
            program, len(given), (ctypes.c_char_p * len(given))(*given)
        )
        log = _text("ProgramLog", program).rstrip(b"\0").decode()
        if status:
            raise CompileError(f"{_reason(status)}\n{log}")
        return Compiled(_text("CUBIN", program), log, _usage(log))
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _text(what, program):
    size = ctypes.c_size_t()
    _check(getattr(library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(library(), f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _reason(status):
    library().nvrtcGetErrorString.restype = ctypes.c_char_p
    return library().nvrtcGetErrorString(status).decode()


def _check(status):
    if status:
        raise CompileError(_reason(status))


def _usage(log):
    """The numbers that ``--ptxas-options=-v`` prints for each kernel."""
    kernels = {}
    for part in re.split(r"Compiling entry function ", log)[1:]:
        name = re.match(r"'(\w+)'", part)[1]
        stack, stores, loads = (
            [int(found) for found in re.findall(rf"(\d+) bytes {what}", part)]
            for what in ("stack frame", "spill stores", "spill loads")
        )  # of the kernel, and of the functions that were not inlined into it
        registers = int(re.search(r"Used (\d+) registers", part)[1])
        shared = re.search(r"(\d+) bytes smem", part)
        kernels[name] = Usage(
            registers, max(stack), sum(stores) + sum(loads), int(shared[1]) if shared else 0
        )
    return kernels
