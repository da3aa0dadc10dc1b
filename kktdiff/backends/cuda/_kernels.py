"""The source of the kernels: the files of `kernels/` as one text."""

from functools import cache
from importlib import resources

FILES = ("outer",)  # in this order: each may use what the ones before define


@cache
def source() -> str:
    """One translation unit without any header."""
    folder = resources.files(__package__) / "kernels"
    texts = [(folder / f"{name}.cu").read_text(encoding="utf-8") for name in FILES]
    return "\n".join(["typedef long long Int;  // what the host passes", *texts])
