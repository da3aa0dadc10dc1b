"""Run the stages, one after the other, and keep what they leave."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.gpu_check import processes
from benchmarks.gpu_check.record import Record, plain, tail
from benchmarks.gpu_check.stages import Stage

LEAST = 2.0  # seconds: with less left, a stage is not begun
MARGIN, MOST_MARGIN = 0.15, 5.0  # of its limit, in seconds at most: a stage's time to end by itself


class NoDeviceError(Exception):
    """There is no GPU; the message is the sentence that says why."""


def run(
    stages: Sequence[Stage], seconds: float, publish: Callable[[Record], object], commit: str | None
) -> Record:
    """Run every stage; `publish` gets the report after each one.

    Raises
    ------
    NoDeviceError
        A stage says so.
    """
    end = time.monotonic() + seconds
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    found: Record = {"begun": begun, "seconds": seconds, "commit": commit}
    found |= {"deciding": [stage.name for stage in stages if stage.decides], "stages": {}}
    for i, stage in enumerate(stages):
        share = stage.share / sum(later.share for later in stages[i:])
        result = one(stage, share * (end - time.monotonic()))
        for record in result["records"]:
            if "unavailable" in record:
                raise NoDeviceError(record["unavailable"])
        found["stages"][stage.name] = result
        publish(found)
        print(f"{stage.name}: {result['outcome']} {result.get('reason', '')}", flush=True)
    return found


def passed(found: Record) -> bool:
    """Whether all that decide passed, or were skipped because a tool is missing."""
    outcomes = [found["stages"].get(name, {}).get("outcome") for name in found["deciding"]]
    return all(outcome in ("passed", "skipped") for outcome in outcomes)


def one(stage: Stage, limit: float) -> Record:
    """One stage in its own process: outcome, seconds, records, and why if it did not pass."""
    if limit < LEAST:
        return {"outcome": "not run", "reason": "no time was left", "records": [], "seconds": 0.0}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "records")
        inside = limit - min(MOST_MARGIN, MARGIN * limit)
        command = [sys.executable, "-m", f"{__package__}.child", stage.module, stage.argument]
        ended = processes.run(
            [*command, str(file), f"{inside:.1f}"], limit, _environment(), own_group=True
        )
        records = _read(file)
    result = verdict(records, ended, limit)
    return result | {"seconds": round(time.monotonic() - begun, 1), "limit": round(limit, 1)}


def verdict(records: list[Record], ended: processes.Ended, limit: float) -> Record:
    """From what a stage left to "passed", "failed" or "skipped", and the reason."""
    result: Record = {"outcome": "passed", "records": records}
    failed = [record for record in records if "failed" in record]
    if ended.status == 0 and not failed:
        skipped = [record["skipped"] for record in records if "skipped" in record]
        if records and len(skipped) == len(records):
            return result | {"outcome": "skipped", "reason": skipped[0]}
        if records:
            return result
    said = ended.status == 0 or (ended.status == 1 and failed)
    reasons = [] if said else [plain(ended.why(limit))]
    reasons += [record["failed"] for record in failed]
    reason = "; ".join(dict.fromkeys(reasons)) or "it left no record"
    return result | {"outcome": "failed", "reason": reason, "log": tail(ended.text)}


def _read(file: Path) -> list[Record]:
    """All whole lines: the last one may have been cut short."""
    records = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def _environment() -> dict[str, str]:
    """Tracebacks of crashes; JAX and CuPy side by side on one device."""
    variables = {"PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1"}
    variables["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    return variables
