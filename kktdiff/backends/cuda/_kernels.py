"""The source of the kernels: the files of `kernels/` as one text, with the method's constants."""

from functools import cache
from importlib import resources

from kktdiff import _settings

# In this order: each uses what the ones before define.
FILES = (
    *("block", "batch", "residuals", "newton", "loop", "active", "polish", "kkt"),
    *("ruiz", "outer"),
)
CONSTANTS = (
    *("BIG", "CLEAN", "CLOSE", "FINE", "FIXED", "GIVEN_UP", "KEEP_OFF", "KEEP_WELL_OFF"),
    *("LU_REGULARISATION", "MANY_WRONG", "MUCH", "NEAR", "PLAIN", "POOR", "REFINED", "REFINEMENTS"),
    *("REGULARISATION", "ROUNDING", "SHORT", "STALL", "STEPS"),
)
SHARED = 1024  # bytes for a block: 12 numbers of each of 8 warps, and two behind all (FOUND)
MOST_THREADS = 256


@cache
def source() -> str:
    """One translation unit without any header."""
    folder = resources.files(__package__) / "kernels"
    values = [f"#define {name} {getattr(_settings, name)!r}" for name in CONSTANTS]
    values.append(f"#define MOST_THREADS {MOST_THREADS}")
    texts = [(folder / f"{name}.cu").read_text(encoding="utf-8") for name in FILES]
    return "\n".join(["\n".join(values), *texts])


def threads_for(*sizes: int) -> int:
    """Threads of a block that works on vectors of these sizes: a warp for tiny problems."""
    return min(MOST_THREADS, 32 * max(1, -(-max(sizes) // 32)))
