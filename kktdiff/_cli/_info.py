"""``kktdiff info``: versions, kernels and backends, and why something is missing."""

import argparse
import contextlib
import os
import platform
import time
from importlib import metadata
from typing import Any

import kktdiff
from kktdiff import backends, kernels
from kktdiff._cli._terminal import say
from kktdiff._files import shown

_REQUIRED = ("numpy", "scipy", "array-api-compat")
_OPTIONAL = {  # name to import: what for, and the extra that brings it
    "torch": ("kktdiff.adapters.torch and qpth", "torch"),
    "jax": ("kktdiff.adapters.jax", "jax"),
    "cupy": ("arrays on the GPU", "cuda13"),
    "cvxpy": ("kktdiff.adapters.cvxpy", "cvxpy"),
    "qpsolvers": ("kktdiff.adapters.qpsolvers", "qpsolvers"),
    "highspy": ("kktdiff solve FILE.qps", "qps"),
    "tqdm": ("progress of sudoku and bench", "demo"),
    "matplotlib": ("the figure of sudoku", "demo"),
}


def add_options(commands: Any) -> Any:
    """Add the subcommand's parser."""
    about = "show versions, kernels and backends, and why something can't be used"
    parser = commands.add_parser("info", help=about, description=f"{about[0].upper()}{about[1:]}.")
    warm = "compile the kernels for the GPU, which the first solves would wait for"
    parser.add_argument("--warm", action="store_true", help=warm)
    return parser


def command(options: argparse.Namespace) -> bool:
    """Show all of it; return False if kernels were to be compiled for a GPU, and could not be."""
    say("\n".join([*_versions(), "", *_optional(), "", *_kernels(), "", *_backends()]))
    if not options.warm:
        return True
    reason = backends.available()["cupy"]
    if reason is not None:
        say(f"\nno kernels were compiled for a GPU: {reason}")
        return False
    from kktdiff.backends.cupy import backend

    begun = time.perf_counter()
    count = backend().warm()
    say(f"\n{count} kernels were compiled for the GPU, in {time.perf_counter() - begun:.1f} s")
    return True


def _versions() -> list[str]:
    return [
        f"{'kktdiff':17s} {kktdiff.__version__}",
        f"{'':17s} {shown(os.path.dirname(kktdiff.__file__))}",
        f"{'python':17s} {platform.python_version()} on {platform.platform()}",
        *(f"{name:17s} {_version(name)}" for name in _REQUIRED),
    ]


def _version(distribution: str) -> str:
    with contextlib.suppress(metadata.PackageNotFoundError, KeyError):
        return metadata.version(distribution) or "of unknown version"
    return "of unknown version"  # some packagers leave the metadata out


def _optional() -> list[str]:
    lines = ["optional packages"]
    distributions = metadata.packages_distributions()  # cupy, say, comes as cupy-cuda12x
    for name, (use, extra) in _OPTIONAL.items():
        found = ", ".join(
            f"{_version(d)}{'' if d == name else f' ({d})'}"
            for d in sorted(set(distributions.get(name, [])))
        )
        missing = f"not installed; for {use}: pip install 'kktdiff[{extra}]'"
        lines.append(f"  {name:15s} {found or missing}")
    return lines


def _kernels() -> list[str]:
    title = f"{'kernels':17s}"
    try:
        reason, most = kernels.available(), kernels.limit()
    except ValueError as error:  # the environment's setting
        return [f"{title} not usable: {error}"]
    if reason:
        return [f"{title} {reason}"]
    chosen = os.environ.get("KKTDIFF_KERNELS", "").strip()
    why = "as KKTDIFF_KERNELS says" if chosen else "the best that this processor runs"
    capped = most < kernels.processors()
    limit = "as KKTDIFF_THREADS says" if capped else "one for each processor at hand"
    return [
        f"{title} {kernels.variant()}, at most {most} thread{'s' * (most > 1)}",
        f"{'':17s} {why}; threads: {limit}",
    ]


def _backends() -> list[str]:
    about = {name: reason or "available" for name, reason in backends.available().items()}
    return ["backends", *(f"  {name:15s} {text}" for name, text in about.items())]
