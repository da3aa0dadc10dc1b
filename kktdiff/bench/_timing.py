"""Timing: several libraries in turns, forward and backward, with everything else at rest."""

import gc
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from kktdiff.bench._problem import Arrays

SETTLE = 0.05  # seconds: idle BLAS threads spin for some 20 ms; let those of others rest first
LEAST = 0.01  # seconds: shorter calls are repeated, so that one sample lasts so long


class Contestant(NamedTuple):
    """A library, ready for one problem."""

    forward: Callable[[], Any]
    backward: Callable[[Any], Any] | None  # takes what `forward` returned
    read: Callable[[Any, Any], Arrays]  # both results -> x, and each gradient by name

    def once(self) -> Arrays:
        """Forward and backward: x and the gradients."""
        state = self.forward()
        return self.read(state, self.backward(state) if self.backward else None)


class Timing(NamedTuple):
    """Seconds per call of every repeat."""

    forward: list[float]
    backward: list[float]  # empty where there is none


def timed(call: Callable[..., Any], *args: Any) -> tuple[float, Any]:
    """Milliseconds and result of one call, begun when everything else is at rest."""
    _settle()
    start = time.perf_counter()
    result = call(*args)
    return 1e3 * (time.perf_counter() - start), result


def measure(contestants: list[Contestant], repeats: int, seconds: float) -> list[Timing]:
    """Time each of them, in turns; who goes first alternates.

    Parameters
    ----------
    contestants
        Called before, so that nothing is compiled here.
    repeats
        Samples of each.
    seconds
        No further repeat is begun after so long.
    """
    calls = [_calls_per_sample(one) for one in contestants]  # also warms up
    times = [Timing([], []) for _ in contestants]
    begun = time.perf_counter()
    for repeat in range(repeats):
        for i in list(range(len(contestants)))[:: 1 if repeat % 2 == 0 else -1]:
            _settle()
            forward, backward = _sample(contestants[i], calls[i])
            times[i].forward.append(forward)
            if contestants[i].backward:
                times[i].backward.append(backward)
        if time.perf_counter() - begun > seconds:
            break
    return times


def _settle() -> None:
    gc.collect()
    time.sleep(SETTLE)


def _calls_per_sample(contestant: Contestant) -> int:
    return max(1, math.ceil(LEAST / sum(_sample(contestant, 1))))


def _sample(contestant: Contestant, calls: int) -> tuple[float, float]:
    """Seconds of forward and of backward, means over some calls."""
    forward = backward = 0.0
    for _ in range(calls):
        start = time.perf_counter()
        state = contestant.forward()
        middle = time.perf_counter()
        if contestant.backward:
            contestant.backward(state)
        forward += middle - start
        backward += time.perf_counter() - middle
    return forward / calls, backward / calls
