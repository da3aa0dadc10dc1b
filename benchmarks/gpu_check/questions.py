"""Stage: what only a GPU can answer, and the rest of the code takes for granted."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import kktdiff
from benchmarks.gpu_check import problems
from benchmarks.gpu_check.device import Device
from benchmarks.gpu_check.runner import ROOT, Record, guarded
from benchmarks.sparse import control
from kktdiff import Status, backends, bench

COLD = """
import time
begin = time.perf_counter(), time.process_time()
from benchmarks.gpu_check import device, problems
here = device.DEVICE()
here.timed(lambda: problems.both(problems.placed("W1", 2, here)))
print(time.perf_counter() - begin[0], time.process_time() - begin[1])
"""


def records(seconds: float, argument: str, device: Device) -> Iterator[Record]:
    """Yield the answer to each question."""
    for name, (ask, needs_gpu) in QUESTIONS.items():
        if needs_gpu and device.name != "gpu":
            yield {"question": name, "answer": "needs a GPU"}
        else:
            yield guarded({"question": name}, partial(ask, device))
            device.free()


def empty_arrays(device: Device) -> Record:
    """Arrays without entries through DLPack, both ways."""
    import torch

    there = torch.zeros((0, 3), dtype=torch.float64, device="cuda")
    shape = device.xp.from_dlpack(there).shape
    solution = kktdiff.solve_qp(device.xp.eye(3), device.xp.zeros((0, 3)))
    back = torch.from_dlpack(solution.x)
    return _judged(f"{shape} there, {tuple(back.shape)} back", shape == back.shape == (0, 3))


def many(device: Device, batch: int = 70_000) -> Record:
    """More problems than some dimensions of a grid have room for."""
    problem = problems.placed("small", batch, device)
    seconds, (solution, _) = device.timed(partial(problems.both, problem))
    solved = int((device.to_numpy(solution.status) == Status.SOLVED).sum())
    return _judged(f"{solved} of {batch} solved in {1e3 * seconds:.1f} ms", solved == batch)


def shared_memory(device: Device) -> Record:
    """How the kernels of W1 are launched: beyond 48 KiB a kernel must ask for shared memory."""
    problems.both(problems.placed("W1", 2, device))
    backend: Any = backends.get("cupy")
    plans = {key[1]: plan.launch for key, plan in backend.plans.items()}
    told = [
        f"{name}: {v.threads} threads, {v.shared} bytes, {v.blocks} blocks"
        for name, v in plans.items()
    ]
    return _judged("; ".join(told), plans["solve"].shared > 48 * 1024)


def graph(device: Device) -> Record:
    """A solve and its gradient, captured in a CUDA graph and launched twice."""
    problem = problems.placed("W2", 64, device)
    wanted, _ = problems.both(problem)  # compiles, and fills the memory pool
    stream = device.xp.cuda.Stream(non_blocking=True)
    with stream:
        problems.both(problem)
        stream.synchronize()
        stream.begin_capture()
        solution, _ = problems.both(problem)
        recorded = stream.end_capture()
        for _ in range(2):
            recorded.launch(stream)
        stream.synchronize()
    apart = float(abs(solution.x - wanted.x).max())
    return _judged(f"captured, x differs by {apart:.0e}", apart <= 1e-12)


def cold(device: Device) -> Record:
    """The first call of a process without anything that was compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", COLD.replace("DEVICE", device.name)],
            cwd=ROOT,
            env=os.environ | {"CUPY_CACHE_DIR": folder},
            capture_output=True,
            text=True,
            check=True,
        )
    wall, processor = map(float, done.stdout.split())
    return _judged(f"{wall:.1f} s, {processor:.1f} s of the processor, imports included", wall < 60)


def one_infeasible(device: Device, batch: int = 8192) -> Record:
    """What one element without a solution costs a batch."""
    problem = problems.placed("W2", batch, device)
    problems.both(problem)
    good, _ = device.timed(partial(problems.both, problem))
    G, h = (problem.data[name].copy() for name in "Gh")
    G[3, 1], h[3, :2] = -G[3, 0], -1.0
    bad = bench.Problem("W2", problem.data | {"G": G, "h": h}, problem.cotangent)
    problems.both(bad)
    seconds, (solution, grads) = device.timed(partial(problems.both, bad))
    status = device.to_numpy(solution.status)
    right = status[3] == Status.PRIMAL_INFEASIBLE and int((status == 0).sum()) == batch - 1
    right = right and not np.any(device.to_numpy(grads.G[3]))
    return _judged(f"{1e3 * good:.1f} ms without, {1e3 * seconds:.1f} ms with it", bool(right))


def sparse_batch(device: Device, batch: int = 4096) -> Record:
    """A batch of sparse problems, n = 180, with one pattern: solve and gradient."""
    work = control(min(batch, problems.DIFFERENT), 20, 6, 3, 0.5)
    times, rng = -(-batch // len(work.p)), np.random.default_rng(7)
    own = {"p": 0.1 * rng.standard_normal((batch, work.p.shape[1]))}
    own |= {name: np.tile(v, (times, 1))[:batch] for name, v in (("A", work.values), ("b", work.b))}
    matrices = {"Q": (work.Q, work.Q.data), "G": (work.G, work.G.data), "A": (work.A, own.pop("A"))}
    data = device.arrays(own | {"h": work.h})
    for name, (matrix, values) in matrices.items():
        data[name] = kktdiff.Sparse(kktdiff.Pattern.of(matrix), device.xp.asarray(values))
    problem = bench.Problem("sparse", data, device.xp.asarray(own["p"]))
    problems.both(problem)
    seconds, found = device.timed(partial(problems.both, problem))
    solved = int((device.to_numpy(found[0].status) == Status.SOLVED).sum())
    return _judged(f"{solved} of {batch} solved in {1e3 * seconds:.1f} ms", solved == batch)


def free_memory(device: Device) -> Record:
    """How long it takes to ask how much memory is free."""
    cuda: Any = backends.get("cupy").cuda  # type: ignore[attr-defined]
    begin = time.perf_counter()
    for _ in range(100):
        room = cuda.room()
    microseconds = 1e4 * (time.perf_counter() - begin)
    return _judged(f"{microseconds:.0f} us; {room / 2**30:.0f} GiB for scratch memory", room > 0)


def _judged(answer: str, right: bool) -> Record:
    return {"answer": answer} | ({} if right else {"failed": answer})


QUESTIONS: dict[str, tuple[Callable[[Device], Record], bool]] = {  # and True if it needs a GPU
    "empty arrays through DLPack": (empty_arrays, True),
    "a batch of 70,000": (many, False),
    "more shared memory than 48 KiB": (shared_memory, True),
    "a CUDA graph": (graph, True),
    "the first call, nothing compiled": (cold, False),
    "one of 8192 infeasible": (one_infeasible, False),
    "4096 sparse problems of control": (sparse_batch, False),
    "asking for free memory": (free_memory, True),
}
