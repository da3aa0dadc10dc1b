"""CUDA C++ compiled by the host's compiler, and its kernels launched over NumPy arrays.

`shim.h` says how the threads of a block are run. What it stands for is CUDA's rules, not its
speed: a result that depends on the order of threads, a barrier that some threads miss, memory read
before it was written all show here, and on a GPU only now and then.
"""

import atexit
import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

SHARED_DOUBLES = 128  # what a launch gives each block unless told
ORDERS = ("forward", "reverse", 2, 3, 4)  # of threads and blocks; a number is a shuffle's seed
SHIM = Path(__file__).with_name("shim.h")

_DTYPES = {
    "double": "float64",
    "int": "int32",
    "long long": "int64",
    "unsigned char": "uint8",
    "bool": "bool",
}
_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+'
    r"(?:__launch_bounds__\s*\((?P<bound>[^(),]*)[^()]*\)\s*)?"
    r"(?P<name>\w+)\s*\((?P<parameters>[^()]*)\)\s*\{"
)
_VISIBLE = '__attribute__((visibility("default")))'
_one_at_a_time = threading.Lock()  # the shim's state is the library's


class EmulatorError(RuntimeError):
    """A launch that CUDA would refuse, or that has no defined result."""


class Parameter(NamedTuple):
    """One parameter of a kernel."""

    name: str
    type: str  # of what it points to, without const; of itself where it is no pointer
    pointer: bool
    written: bool  # it points to what is not const


class Kernel(NamedTuple):
    """A kernel of a source text."""

    name: str
    bound: str  # of its threads; empty where it declares none
    parameters: tuple[Parameter, ...]


def compiler():
    """The command that compiles C++ on this machine, or None."""
    if sys.platform == "win32":  # fibers and shared libraries are made as on Unix
        return None
    for command in (os.environ.get("CXX", "").split(), ["g++"], ["clang++"]):
        if command and shutil.which(command[0]):
            return command
    return None


NO_COMPILER = "no C++ compiler for the emulator: looked for $CXX, g++ and clang++, not on Windows"


def sanitizer(name="address"):
    """The environment in which a Python process can load what is built with a sanitizer, or None.

    Every access beyond an array that NumPy made in such a process then ends it with a report, or
    each race of threads that are so compiled.
    """
    if compiler() is None:
        return None
    found = [
        subprocess.run(
            [*compiler(), f"-print-file-name={file}"], capture_output=True, text=True
        ).stdout.strip()
        for file in (f"lib{name[0]}san.so", "libstdc++.so")
    ]
    if not all(os.path.isabs(path) for path in found):
        return None
    # Python itself keeps memory to its end
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(found),
        "ASAN_OPTIONS": "detect_leaks=0",
        "TSAN_OPTIONS": "halt_on_error=1",
        "OPENBLAS_NUM_THREADS": "1",  # its threads are not so compiled, and seem to race
    }


NO_SANITIZER = "no such sanitizer of g++ on this machine"


def kernels(source):
    """The kernels of a source text."""
    text = _code(source)
    found = [
        Kernel(
            match["name"],
            (match["bound"] or "").strip(),
            tuple(_parameter(part) for part in match["parameters"].split(",") if part.strip()),
        )
        for match in _KERNEL.finditer(text)
    ]
    missed = len(re.findall(r"\b__global__\b", text)) - len(found)
    if missed:
        raise EmulatorError(
            f'{missed} kernels are not of the form extern "C" __global__ void f(..)'
        )
    return found


def _code(source):
    """The source with blanks in place of comments."""
    return re.sub(
        r"//[^\n]*|/\*.*?\*/",
        lambda match: re.sub(r"[^\n]", " ", match[0]),
        source,
        flags=re.DOTALL,
    )


def _parameter(text):
    declared, name = re.fullmatch(r"\s*(.*?)(\w+)\s*", text, re.DOTALL).groups()
    words = re.sub("__restrict__|__grid_constant__", " ", declared).replace("*", " * ").split()
    kind = " ".join(word for word in words if word not in ("const", "*"))
    kind = {"Int": "long long"}.get(kind, kind)
    pointer = "*" in words
    return Parameter(name, kind, pointer, pointer and "const" not in words[: words.index("*")])


def _wrapper(kernel):
    """C that takes a kernel's arguments as an array of addresses."""
    arguments = ", ".join(
        f"({part.type} *)arguments[{i}]" if part.pointer else f"*({part.type} *)arguments[{i}]"
        for i, part in enumerate(kernel.parameters)
    )
    sizes = "".join(
        f'extern "C" {_VISIBLE} int size_{kernel.name}_{part.name}() '
        f"{{ return sizeof({part.type}); }}\n"
        for part in kernel.parameters
        if not part.pointer
    )
    return f"""
{sizes}
extern "C" {_VISIBLE} int run_{kernel.name}(
    int blocks, int threads, int shared, int order, int without, void **arguments,
    char *message, size_t room) {{
  if (threads > ({kernel.bound or 1024})) {{
    std::snprintf(message, room, "more threads than __launch_bounds__");
    return 1;
  }}
  shim::body = [=] {{ {kernel.name}({arguments}); }};
  return shim::launch(blocks, threads, shared, order, without, message, room);
}}
"""


@cache
def _folder():
    path = tempfile.mkdtemp(prefix="kktdiff-emulator-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def build(source, *, sanitize=False, options=()):
    """A shared library of `source`; its path.

    Raises
    ------
    EmulatorError
        With the compiler's messages, whose lines are those of `source`.
    """
    text = "".join(
        [f'#include "{SHIM}"\n#line 1 "source.cu"\n', source.replace("extern __shared__", "extern")]
        + ['\n#line 1 "wrappers"\n', f'extern "C" {_VISIBLE} int count_places() {{']
        + ["return int(shim::places.size()); }\n"]
        + [f'extern "C" {_VISIBLE} long long *count_waits() {{ return shim::waited; }}\n']
        + [_wrapper(kernel) for kernel in kernels(source)]
    )
    # No contraction: a*b + c is rounded twice unless the source asks for __fma_rn.
    flags = ["-std=c++17", "-O1", "-g", "-shared", "-fPIC", "-fvisibility=hidden"]
    flags += ["-ffp-contract=off", "-Wno-unknown-pragmas"]
    flags += ["-fsanitize=address"] if sanitize else []
    flags += options
    key = hashlib.sha256("\0".join([SHIM.read_text(), text, *flags]).encode()).hexdigest()[:20]
    library = _folder() / f"{key}.so"
    if not library.exists():
        written = library.with_suffix(".cpp")
        written.write_text(text)
        command = [*compiler(), *flags, "-o", str(library), str(written)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise EmulatorError(f"{Path(command[0]).name} failed:\n{done.stderr}")
    return library


class Emulator:
    """A compiled source text, whose kernels can be launched.

    Attributes
    ----------
    kernels : dict
        By their names.
    """

    def __init__(self, source, **options):
        self.kernels = {kernel.name: kernel for kernel in kernels(source)}
        self._library = ctypes.CDLL(str(build(source, **options)))

    def _size(self, name, parameter):
        """The bytes of a struct that a kernel takes by value, or None."""
        if parameter.pointer or parameter.type in ("int", "long long"):
            return None
        return getattr(self._library, f"size_{name}_{parameter.name}")()

    @property
    def barriers(self):
        """How many places with a barrier the launches that left one out have come to."""
        return self._library.count_places()

    @property
    def waits(self):
        """How often threads have waited at barriers of the block, and of a warp; all threads."""
        count = self._library.count_waits
        count.restype = ctypes.POINTER(ctypes.c_longlong)
        return tuple(count()[:2])

    def check(self, name, blocks, threads, arguments):
        """Raise where CUDA would refuse the launch, or take the arguments for something else."""
        if name not in self.kernels:
            raise EmulatorError(f"no kernel {name!r}; there are {', '.join(self.kernels)}")
        if not 1 <= blocks < 2**31:
            raise EmulatorError(f"{name}: {blocks} blocks")
        if threads % 32 or not 32 <= threads <= 1024:
            raise EmulatorError(f"{name}: {threads} threads; a multiple of 32 up to 1024 is needed")
        parameters = self.kernels[name].parameters
        if len(arguments) != len(parameters):
            raise EmulatorError(f"{name}: {len(arguments)} arguments for {len(parameters)}")
        for parameter, argument in zip(parameters, arguments, strict=True):
            wrong = _mismatch(parameter, argument, self._size(name, parameter))
            if wrong:
                raise EmulatorError(f"{name}: {parameter.name} {wrong}")

    def launch(
        self,
        name,
        blocks,
        threads,
        *arguments,
        shared=SHARED_DOUBLES,
        order="forward",
        without=None,
    ):
        """Run a kernel over NumPy arrays, records and ints, with `shared` doubles for each block.

        `without` leaves out one place with a barrier, by its number in the order in which they are
        reached; with a number that none has, they are only counted.

        Raises
        ------
        EmulatorError
            For a wrong call, a barrier that not all threads reach, shared memory written past
            its end.
        """
        self.check(name, blocks, threads, arguments)
        boxes = [
            ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else ctypes.c_longlong(a)
            for a in arguments
        ]
        # a pointer is passed itself, a number by its address
        table = (ctypes.c_void_p * max(1, len(boxes)))(
            *(b.value if isinstance(b, ctypes.c_void_p) else ctypes.addressof(b) for b in boxes)
        )
        message = ctypes.create_string_buffer(2000)
        kind = {"forward": 0, "reverse": 1}.get(order, order)
        run = getattr(self._library, f"run_{name}")
        with _one_at_a_time:
            failed = run(
                *(blocks, threads, shared, kind, -1 if without is None else without),
                *(table, message, ctypes.c_size_t(len(message))),
            )
        if failed:
            raise EmulatorError(f"{name}: {message.value.decode()}")


def _mismatch(parameter, argument, size):
    """What is wrong with an argument, or None; `size` is that of a struct by value, or None."""
    if size is not None:
        found = argument.nbytes if isinstance(argument, np.ndarray) else None
        return None if found == size else f"has {size} bytes, and the array is of {found}"
    if not parameter.pointer:
        if parameter.type != "long long":
            return f"is declared {parameter.type}; whole numbers are passed as long long"
        if type(argument) is not int:
            return f"must be an int, not {type(argument).__name__}"
        return None if -(2**63) <= argument < 2**63 else "does not fit long long"
    if not isinstance(argument, np.ndarray):
        return f"must be an array, not {type(argument).__name__}"
    if not argument.flags.c_contiguous:
        return "is not C-contiguous"
    expected = _DTYPES.get(parameter.type, np.int64)  # a struct, whose fields are of eight bytes
    if argument.dtype != expected:
        return f"points to {parameter.type}, and the array is of {argument.dtype}"
    if parameter.written and not argument.flags.writeable:
        return "is written by the kernel, and the array is read-only"
    return None
