"""A few small solves and gradients, for the sanitizer: `python -m benchmarks.gpu_check.small`.

Without the memory pool: each array is an allocation of its own, so that a step beyond its end is
seen. With the word "host" on the same with NumPy.
"""

import sys

from benchmarks.gpu_check import problems
from benchmarks.gpu_check.compared import solved
from benchmarks.gpu_check.device import Device, gpu, host
from kktdiff import bench

BATCHES = {"W1": 2, "W2": 5, "W3": 3, "small": 33}


def main(device: Device) -> int:
    """Solve; exit status 1 if an element is not solved that should be."""
    unsolved = 0
    for name, batch in BATCHES.items():
        for dtype in ("float64", "float32"):
            solution, _ = solved(bench.make(name, batch).cast(dtype), device)
            unsolved += batch - int(device.to_numpy(solution.solved).sum())
    bad = problems.spoiled()
    solution, _ = solved(bad, device)
    unsolved += bad.batch - 2 - int(device.to_numpy(solution.solved).sum())
    print(f"{unsolved} elements are not solved")
    return int(unsolved != 0)


def without_pool() -> Device:
    """The GPU, each array a cudaMalloc."""
    import cupy

    cupy.cuda.set_allocator(None)
    return gpu()


if __name__ == "__main__":
    sys.exit(main(host() if "host" in sys.argv else without_pool()))
