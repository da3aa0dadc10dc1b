"""A model of the time that the kernels take on a GPU: an estimate, each term with its source.

    python -m benchmarks.gpu_model    # the table of docs/gpu.md

A team's time for a problem is the largest of three: arithmetic, bytes through the L2 cache, and
the chain of loops that wait for each other. Teams on a multiprocessor share the first two.
"""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

from kktdiff.backends.cuda._cuda import Device, Launch
from kktdiff.backends.cuda._launch import plan
from kktdiff.kernels import amounts, device


class Machine(NamedTuple):
    """An H200, and how well it is used."""

    multiprocessors: int = 132  # NVIDIA's data sheet
    clock: float = 1.83e9  # Hz, between its base and its boost
    flops: float = 2 * 64  # float64 of a multiprocessor and clock: 64 units that multiply and add
    used: float = 0.35  # of these, by tiles in registers: assumed
    l2: float = 5.5e12  # bytes per second: measured by others on an H100
    memory: float = 4.8e12  # the same: the data sheet
    loop: float = 150.0  # clocks of a loop over a vector in shared memory, with its barrier: 30 to
    # load, 16 for each product or sum, 40 to meet, as others measured on an H100; assumed
    short_loop: float = 90.0  # the same of a warp, which meets in a few clocks
    launch: float = 6e-6  # seconds, with a wait for its end: usual
    python: float = 200e-6  # of the calls around it: as on a processor, and 20 calls of CuPy


class Work(NamedTuple):
    """What a problem takes."""

    flops: float
    bytes_l2: float
    bytes_memory: float
    loops: float


MACHINE = Machine()
ITERATIONS = 10  # of a solve


def factorization(n: int, m: int, k: int) -> Work:
    """Return what it takes to form H and factor it, with the border of k equalities."""
    flops = n * n * (m + n / 3.0) + 2.0 * n * n * k + k * k * (n + k / 3.0)
    loops = 4 * ceil(n / 16) + m / 3 + (30 if k else 0)
    return Work(flops, 8.0 * m * n, 0.0, loops)


def forward(n: int, m: int, k: int) -> Work:
    """Return what a solve takes; the numbers were counted in the emulator, for W1, W2 and small."""
    one, entries = factorization(n, m, k), n * n + (m + k) * n
    times = ITERATIONS + 2  # factorizations
    passes = 32 + 2.8 * ITERATIONS  # of products with vectors over Q, G and A
    loops = 120 + 90 * ITERATIONS + times * one.loops + (7 + 6 * ITERATIONS) * ceil(n / 16)
    memory = 8.0 * (2 * entries + 12 * (n + m + k))
    flops = times * one.flops + 2.0 * passes * entries
    return Work(flops, times * one.bytes_l2 + 8.0 * passes * entries, memory, loops)


def backward(n: int, m: int, k: int) -> Work:
    """Return what a gradient takes, counted likewise; large problems have kept their factors."""
    entries = n * n + (m + k) * n
    own = Work(12.0 * entries, 48.0 * entries, 16.0 * entries, 100 + 4 * ceil(n / 16))
    if not amounts.in_lanes(n, m, k):
        return own
    one = factorization(n, m, k)
    return Work(*(a + b for a, b in zip(own, one, strict=True)))


class H200:
    """What `plan` asks of a device."""

    def device(self) -> Device:
        """Return its size, by NVIDIA's tables for compute capability 9.0."""
        return Device(0, MACHINE.multiprocessors, 232448, 233472)

    def blocks_at_once(self, launch: Launch) -> int:
        """Return how many blocks fit by shared memory and registers."""
        by_shared = 233472 // (launch.shared + device.STATIC[launch.team] + device.RESERVED)
        return max(min(by_shared, device.THREADS // launch.threads), 1)

    def room(self) -> int:
        """Return a quarter of its memory."""
        return 35 * 2**30


def terms(sizes: dict[str, int], batch: int, kernel: str) -> dict[str, float]:
    """Return the seconds of each term of a kernel's time, and their sum."""
    n, m, k = sizes["n"], sizes["m"], sizes["k"]
    work = (forward if kernel == "solve" else backward)(n, m, k)
    chosen = plan(H200(), kernel, (n, m, k, 0, 0, 0, 0))
    at_once = chosen.launch.blocks * chosen.teams
    waves = ceil(batch / at_once)
    together = min(at_once, ceil(batch / waves)) / MACHINE.multiprocessors  # on each of them
    together = max(together, 1.0)
    arithmetic = together * work.flops / (MACHINE.flops * MACHINE.used * MACHINE.clock)
    l2 = together * work.bytes_l2 * MACHINE.multiprocessors / MACHINE.l2
    team = chosen.launch.team
    chain = work.loops * (MACHINE.short_loop if team == 32 else MACHINE.loop) / MACHINE.clock
    chain += work.flops / (min(team, MACHINE.flops) * MACHINE.used * MACHINE.clock)
    found = {"arithmetic": arithmetic, "L2": l2, "loops": chain}
    busy = waves * max(found.values())
    memory = batch * work.bytes_memory / MACHINE.memory
    out = {name: waves * v for name, v in found.items()} | {"memory": memory, "waves": float(waves)}
    return out | {"all": MACHINE.launch + MACHINE.python + max(busy, memory)}


def estimate(sizes: dict[str, int], batch: int) -> float:
    """Return the seconds of a solve and its gradient."""
    return sum(terms(sizes, batch, kernel)["all"] for kernel in ("solve", "vjp"))


CASES = {
    "W1, batch 128": ({"n": 100, "m": 100, "k": 0}, 128),
    "W1, batch 8192": ({"n": 100, "m": 100, "k": 0}, 8192),
    "n=10, m=20, batch 100,000": ({"n": 10, "m": 20, "k": 0}, 100_000),
    "n=3, m=9, batch 100,000": ({"n": 3, "m": 9, "k": 0}, 100_000),
}


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    names = ("arithmetic", "L2", "loops", "memory")
    yield f"| ms | kernel | waves | {' | '.join(names)} | with launch and Python |"
    yield "| --- " * (len(names) + 4) + "|"
    for name, (sizes, batch) in CASES.items():
        for kernel in ("solve", "vjp"):
            found = terms(sizes, batch, kernel)
            cells = [f"{1e3 * found[v]:.2g}" for v in (*names, "all")]
            yield f"| {name} | `{kernel}` | {found['waves']:.0f} | {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(table()))
