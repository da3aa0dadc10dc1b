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
    yield {"tool": "none"} | _told(alone, seconds / 5)
    for i, tool in enumerate(TOOLS):
        limit = (end - time.monotonic()) / (len(TOOLS) - i) - processes.GRACE / 2
        if limit < processes.GRACE:
            yield {"tool": tool, "failed": f"{tool}: no time was left"}
            continue
        command = [sanitizer, "--tool", tool, f"--error-exitcode={FOUND}", "--print-limit=5"]
        ended = processes.run([*command, "--target-processes=all", *work], limit)
        yield {"tool": tool} | verdict(tool, ended, limit)


def verdict(tool: str, ended: processes.Ended, limit: float) -> Record:
    """What a tool found."""
    if "not supported" in ended.text or "LibraryNotLoaded" in ended.text:
        return {"skipped": f"{tool}: not on this machine", "lines": tail(ended.text)}
    told = _told(ended, limit)
    if tool in TOLD and ended.status == FOUND:
        told["note"] = told.pop("failed")
    elif "failed" in told:
        told["failed"] = f"{tool} {told['failed']}"
    return told


def _told(ended: processes.Ended, limit: float) -> Record:
    summary = [line for line in ended.text.splitlines() if "SUMMARY" in line]
    record: Record = {"summary": plain("; ".join(summary))}
    if ended.status == 0:
        return record
    why = "finds something" if ended.status == FOUND else ended.why(limit)
    return record | {"failed": why, "lines": tail(ended.text, 40)}


def find(places: str | None = None) -> str | None:
    """Its path: by PATH, or in the folders of CUDA, the newest first."""
    named = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
    folders = [str(Path(place, "bin")) for place in named]
    folders += [folder for pattern in PLACES for folder in sorted(glob(pattern), reverse=True)]
    path = os.pathsep.join([os.environ.get("PATH", ""), *folders]) if places is None else places
    return shutil.which("compute-sanitizer", path=path)
