"""One library on one workload, with kktdiff beside it in the same process.

`benchmarks.run` starts this once for each: `python -m benchmarks.pair JOB.json RESULT.json`.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks import peers
from kktdiff import bench

Record = dict[str, Any]


def main(job_file: str, result_file: str) -> None:
    """Do the job of one file, write what came out into another."""
    warnings.simplefilter("ignore")  # of the peers; what they answer is checked
    job = json.loads(Path(job_file).read_text())
    Path(result_file).write_text(json.dumps(alone(job) if job["peer"] is None else pair(job)))


def alone(job: Record) -> Record:
    """kktdiff by itself, one way to call it."""
    problem = bench.make(job["workload"], job["batch"])
    found = bench.run_one(problem, job["way"], repeats=job["repeats"], seconds=job["seconds"])
    packages = dict.fromkeys(p for name in peers.KNOWN for p in peers.load(name).PACKAGES)
    return found | {"machine": bench.machine(tuple(packages))}


def pair(job: Record) -> Record:
    """A peer and kktdiff in turns. What the peer raises becomes a sentence."""
    problem = bench.make(job["workload"], job["batch"])
    record = bench.about(problem)
    try:
        begun = time.perf_counter()
        peer = peers.prepare(job["peer"], job["configuration"], problem)
        peer.once()
        first = time.perf_counter() - begun
    except Exception as error:
        first_line = (str(error).strip() or "no message").splitlines()[0]
        return record | {"failed": f"{type(error).__name__}: {first_line}"}
    ours = bench.build(problem)
    ours.once()
    theirs, beside = bench.measure([peer, ours], job["repeats"], job["seconds"])
    record |= bench.outcome(problem, peer, theirs, first)
    return record | {
        "beside": {
            "forward_seconds": beside.forward,
            "backward_seconds": beside.backward,
            "batch": problem.batch,
        }
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
