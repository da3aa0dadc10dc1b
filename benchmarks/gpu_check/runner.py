"""Run the stages, each in a process of its own, and keep what they leave."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

Record = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
LINES = 15  # of a log or a traceback that are kept
LEAST = 2.0  # seconds: with less left, a stage is not begun
PEERS = ("qpth", "qpax", "moreau", "cupiqp")


class Stage(NamedTuple):
    """One process of the check."""

    name: str
    module: str
    share: float  # of the time, relative to those of the others
    decides: bool = False  # the exit status
    argument: str = ""


STAGES = (
    Stage("machine", f"{__package__}.machine", 15),
    Stage("tests", f"{__package__}.suite", 110, decides=True),
    Stage("questions", f"{__package__}.questions", 70, decides=True),
    Stage("times", f"{__package__}.times", 105, decides=True),
    *(Stage(f"peer {name}", f"{__package__}.peers", 15, argument=name) for name in PEERS),
)


def run(
    stages: Sequence[Stage],
    seconds: float,
    publish: Callable[[Record], object],
    commit: str | None,
    where: str,
) -> Record:
    """Run every stage; `publish` gets the report after each one."""
    end = time.monotonic() + seconds
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    found: Record = {"begun": begun, "where": where, "commit": commit}
    found |= {"deciding": [stage.name for stage in stages if stage.decides], "stages": {}}
    for i, stage in enumerate(stages):
        share = stage.share / sum(later.share for later in stages[i:])
        result = one(stage, share * (end - time.monotonic()), where)
        found["stages"][stage.name] = result
        publish(found)
        print(f"{stage.name}: {result['outcome']} {result.get('reason', '')}", flush=True)
    return found


def passed(found: Record) -> bool:
    """Return True if all that decide passed, or were skipped."""
    outcomes = [found["stages"].get(name, {}).get("outcome") for name in found["deciding"]]
    return all(outcome in ("passed", "skipped") for outcome in outcomes)


def one(stage: Stage, limit: float, where: str) -> Record:
    """Run a stage; return its outcome, seconds, records, and why if it did not pass."""
    if limit < LEAST:
        return {"outcome": "not run", "reason": "no time was left", "records": [], "seconds": 0.0}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file, log = Path(folder, "records"), Path(folder, "log")
        given = (stage.module, stage.argument, str(file), f"{0.9 * limit:.1f}", where)
        status = ended(
            [sys.executable, "-X", "faulthandler", "-m", f"{__package__}.runner", *given],
            limit,
            log,
        )
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        said = tail(log.read_text(encoding="utf-8", errors="replace"))
    result = verdict([json.loads(line) for line in lines if line.endswith("}")], status, said)
    return result | {"seconds": round(time.monotonic() - begun, 1), "limit": round(limit, 1)}


def ended(command: Sequence[str], limit: float, log: Path) -> str | None:
    """Run a command and all that it starts; return why it ended badly, or None."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            process_group=0,
        )  # fmt: skip
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"takes longer than {limit:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return f"ends with status {status}" if status else None


def verdict(records: list[Record], status: str | None, log: list[str]) -> Record:
    """Return "passed", "failed" or "skipped", the reason, and the records."""
    result: Record = {"outcome": "passed", "records": records}
    failed = [record["failed"] for record in records if "failed" in record]
    skipped = [record["skipped"] for record in records if "skipped" in record]
    if status is None and not failed and records:
        if len(skipped) < len(records):
            return result
        return result | {"outcome": "skipped", "reason": skipped[0]}
    reasons = [] if status is None or failed else [status]
    reason = "; ".join(dict.fromkeys([*reasons, *failed])) or "it left no record"
    return result | {"outcome": "failed", "reason": reason, "log": log}


def guarded(about: Record, work: Callable[[], Record]) -> Record:
    """Return what `work` finds, or why it does not: no case takes the next one with it."""
    try:
        return about | work()
    except Exception as error:
        return about | failure(error)


def failure(error: BaseException) -> Record:
    """Return what went wrong, in a sentence and in the last lines of its traceback."""
    first = (str(error).strip() or "no message").splitlines()[0]
    text = "".join(traceback.format_exception(error))
    return {"failed": plain(f"{type(error).__name__}: {first}"), "lines": tail(text)}


def tail(text: str) -> list[str]:
    """Return the last lines; of a crash those with which it begins."""
    lines = plain(text.strip()).splitlines()
    crash = next((i for i, line in enumerate(lines) if "Fatal Python error" in line), None)
    return lines[-LINES:] if crash is None else lines[crash : crash + LINES]


def plain(text: str) -> str:
    """Return a text without the places of this machine: reports are published."""
    for place in sorted({str(ROOT), sys.prefix, sys.base_prefix}, key=len, reverse=True):
        text = text.replace(f"{place}/", "")
    return text


def child(module: str, argument: str, file: str, seconds: str, where: str) -> int:
    """Write each record of a stage as a line of `file`, before the next one is begun."""
    from benchmarks.gpu_check import device

    with Path(file).open("w", encoding="utf-8") as lines:

        def write(record: object) -> None:
            lines.write(json.dumps(record) + "\n")
            lines.flush()

        try:
            here = getattr(device, where)()
            for record in import_module(module).records(float(seconds), argument, here):
                write(record)
        except Exception as error:
            write(failure(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(child(*sys.argv[1:]))
