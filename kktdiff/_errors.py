"""Report failed solves to the caller."""

import math

from kktdiff._status import Status

__all__ = ["SolveError", "SolveWarning"]

_SHOWN = 5  # elements named in a message, per status


class SolveWarning(UserWarning):
    """Some elements of a batch were not solved; the message says how many and which."""


class SolveError(RuntimeError):
    """Raised instead of the warning when ``on_failure="raise"``; the same facts.

    Attributes
    ----------
    solution : kktdiff.Solution
        The whole batch's solution, so that nothing that was solved is lost.
    """

    def __init__(self, message: str, solution: object = None) -> None:
        super().__init__(message)
        self.solution = solution


def describe_failures(failed: list[tuple[int, int]], batch: tuple[int, ...]) -> str:
    """Return a message that counts and lists the failed elements by status.

    Parameters
    ----------
    failed
        Place in the flat batch and status of each.
    batch
        The batch's shape.
    """
    by_status: dict[int, list[int]] = {}
    for place, status in failed:
        by_status.setdefault(status, []).append(place)
    lines = []
    for status, places in sorted(by_status.items()):
        shown = ", ".join(str(_unravel(place, batch)) for place in places[:_SHOWN])
        more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
        at = f" at {shown}{more}" if batch else ""
        lines.append(f"{len(places)} {Status(status).name}{at}")
    total = math.prod(batch)
    return (
        f"{len(failed)} of {total} problems not solved: {'; '.join(lines)}. Their gradients are "
        "zero; see Solution.status, and kktdiff.Status for what to do."
    )


def _unravel(place: int, batch: tuple[int, ...]) -> int | tuple[int, ...]:
    index: list[int] = []
    for size in reversed(batch):
        place, rest = divmod(place, size)
        index.append(rest)
    return index[0] if len(index) == 1 else tuple(reversed(index))
