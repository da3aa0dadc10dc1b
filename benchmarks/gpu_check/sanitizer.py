"""Stage: NVIDIA's compute-sanitizer on a few small solves."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from glob import glob
from pathlib import Path

from benchmarks.gpu_check import processes
from benchmarks.gpu_check.record import Record, plain, tail

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
TOLD = ("initcheck",)  # not judged: libraries read memory that they do not use
SHARES = (0.4, 0.5, 0.5, 1.0)  # of the time that is left when a tool begins
HARMLESS = ("COMPUTE-SANITIZER", "SUMMARY", "terminate", "target application")
FOUND = 86  # the exit status that we ask for where it finds something
WORK = (sys.executable, "-m", f"{__package__}.small")
PLACES = ("/usr/local/cuda*/bin", "/usr/local/cuda*/compute-sanitizer")


def records(
    seconds: float, argument: str = "", work: tuple[str, ...] = WORK, places: str | None = None
) -> Iterator[Record]:
    """One for the work alone, and one for each tool."""
    end = time.monotonic() + seconds
    sanitizer = find(places)
    if sanitizer is None:
        yield {"skipped": "compute-sanitizer is not there"}
        return
    alone = processes.run(work, seconds / 5)
    yield {"tool": "none"} | verdict("none", alone, seconds / 5)
    finished = 0
    for tool, left in zip(TOOLS, SHARES, strict=True):
        limit = (end - time.monotonic()) * left - processes.GRACE
        command = [sanitizer, "--tool", tool, f"--error-exitcode={FOUND}", "--print-limit=5"]
        ended = processes.run([*command, "--target-processes=all", *work], max(limit, 1.0))
        finished += ended.status is not None
        yield {"tool": tool} | verdict(tool, ended, limit)
    if not finished:
        yield {"failed": "no tool came to its end"}


def verdict(tool: str, ended: processes.Ended, limit: float) -> Record:
    """What a tool found; one that did not come to its end found nothing if it said nothing."""
    if "not supported" in ended.text or "LibraryNotLoaded" in ended.text:
        return {"skipped": f"{tool}: not on this machine", "lines": tail(ended.text)}
    said = [line for line in ended.text.splitlines() if line.startswith("=========")]
    record: Record = {"summary": plain("; ".join(line for line in said if "SUMMARY" in line))}
    if ended.status == 0:
        return record
    why = "finds something" if ended.status == FOUND else ended.why(limit)
    record["lines"] = tail(ended.text, 40)
    told = [line for line in said if line.strip("= ") and not any(w in line for w in HARMLESS)]
    unfinished = ended.status is None and tool != "none" and not told
    if unfinished or (tool in TOLD and ended.status == FOUND):
        return record | {"note": why}
    return record | {"failed": f"{tool} {why}"}


def find(places: str | None = None) -> str | None:
    """Its path: by PATH, or in the folders of CUDA, the newest first."""
    named = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
    folders = [str(Path(place, "bin")) for place in named]
    folders += [folder for pattern in PLACES for folder in sorted(glob(pattern), reverse=True)]
    path = os.pathsep.join([os.environ.get("PATH", ""), *folders]) if places is None else places
    return shutil.which("compute-sanitizer", path=path)
