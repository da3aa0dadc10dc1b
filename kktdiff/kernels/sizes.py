"""The sizes of a call of the kernels, with the slacks that they make for soft rows."""

from typing import NamedTuple

from kktdiff._records import Data

_DENSE = (0,) * 7  # entries of sparse matrices


def slacks(data: Data) -> tuple[int, int, int, int]:
    """Return the numbers of slacks of "h", "lb", "ub" and "b", in the order of the kernels.

    They follow the variables x, those of "b" twice, and their bounds follow the rows.
    """
    h, lb, ub, b = data.soft_h, data.soft_lb, data.soft_ub, data.soft_b
    if h is lb is ub is b is None:
        return 0, 0, 0, 0
    n, m, k = data.sizes
    return (
        0 if h is None else m,
        0 if lb is None else n,
        0 if ub is None else n,
        0 if b is None else k,
    )


class Sizes(NamedTuple):
    """Sizes of the problems of a call."""

    n: int  # variables, slacks among them
    rows: int  # of C, the bounds of slacks among them
    soft: tuple[int, int, int, int]  # as `slacks`
    of_kernels: tuple[int, ...]  # what each kernel takes after the length of the batch


def sizes_of(data: Data, *, separable: bool = False) -> Sizes:
    """Return the sizes of `data`; separable: H is diagonal for all elements."""
    (n, m, k), (lower, upper), soft = data.sizes, data.bounds, slacks(data)
    more = sides = 0
    if any(soft):
        more = sum(soft) + soft[-1]
        sides = sum(1 << side for side, count in enumerate(soft) if count)
    form, entries = (
        (int(separable), _DENSE) if data.structure is None else (2, data.structure.entries)
    )
    of_kernels = (n, m, k, lower, upper, form, sides, *entries)
    return Sizes(n + more, m + lower + upper + more, soft, of_kernels)
