"""Records: facts as plain data, failures among them."""

import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
LINES = 15  # of a log or a traceback that are kept


def guarded(about: Record, work: Callable[[], Record]) -> Record:
    """What `work` finds, or why it does not: no case takes the next one with it."""
    try:
        return about | work()
    except Exception as error:
        return about | failure(error)


def failure(error: BaseException) -> Record:
    """What went wrong, in a sentence and in the last lines of its traceback."""
    first = (str(error).strip() or "no message").splitlines()[0]
    text = "".join(traceback.format_exception(error))
    return {"failed": plain(f"{type(error).__name__}: {first}"), "lines": tail(text)}


def tail(text: str, count: int = LINES) -> list[str]:
    """The last lines; of a crash those with which it begins, what was called last being first."""
    lines = plain(text.strip()).splitlines()
    crash = next((i for i, line in enumerate(lines) if "Fatal Python error" in line), None)
    return lines[-count:] if crash is None else lines[crash : crash + count]


def plain(text: str) -> str:
    """Without the places of this machine: reports are published."""
    for place in sorted({str(ROOT), sys.prefix, sys.base_prefix}, key=len, reverse=True):
        text = text.replace(f"{place}/", "")
    return text


def every(found: Record, stage: str) -> Iterator[Record]:
    """The records of a stage of a report; none where it did not run."""
    yield from found["stages"].get(stage, {}).get("records", ())


def fact(found: Record, key: str) -> Any:
    """The first record's value under a key, over all stages; None where there is none."""
    for stage in found["stages"]:
        for record in every(found, stage):
            if record.get(key) is not None:
                return record[key]
    return None
