"""Stage: the same problems with NumPy on this machine's processor."""

from collections.abc import Iterator
from functools import partial

from benchmarks.gpu_check.record import Record, guarded
from kktdiff import bench, kernels

CASES = (("W1", 128), ("W2", 1000), ("W3", 150), ("W1", 1024))
REPEATS = 5


def records(
    seconds: float, argument: str = "", cases: tuple[tuple[str, int], ...] = CASES
) -> Iterator[Record]:
    """One for each case."""
    for workload, batch in cases:
        about = {"workload": workload, "batch": batch, "dtype": "float64"}
        yield guarded(about, partial(measure, workload, batch, seconds / len(cases)))


def measure(workload: str, batch: int, seconds: float) -> Record:
    """Seconds of forward and backward."""
    contestant = bench.build(bench.make(workload, batch))
    first, _ = bench.timed(contestant.once)
    (timing,) = bench.measure([contestant], REPEATS, seconds / 2)
    return {
        "cores": kernels.processors(),
        "first_call_seconds": first / 1e3,
        "forward_seconds": timing.forward,
        "backward_seconds": timing.backward,
    }
