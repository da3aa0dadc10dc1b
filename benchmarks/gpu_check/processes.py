"""Processes with an end to patience, whose output is kept even if they have to be killed."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.gpu_check.record import ROOT

GRACE = 5.0  # seconds between asking a process to end and ending it


class Ended(NamedTuple):
    """How a process ended."""

    status: int | None  # None: it took too long; negative: the signal that ended it
    text: str  # all that it printed

    def why(self, seconds: float) -> str:
        """Of one that did not end well, in words."""
        if self.status is None:
            return f"takes longer than {seconds:.0f} s"
        if self.status < 0:
            return f"ended by {signal.Signals(-self.status).name}"
        return f"ends with status {self.status}"


def run(
    command: Sequence[str],
    seconds: float,
    environment: Mapping[str, str] | None = None,
    *,
    own_group: bool = False,
) -> Ended:
    """Run a command in the repository's root.

    Parameters
    ----------
    command, seconds, environment
        What, for how long at most, with which variables on top of those of this process.
    own_group
        In the end also end whatever the command itself has started and left behind.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:  # no pipe:
        # what outlives the command would hold it open, and us up
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0 if own_group else None,
        )
        try:
            status = _wait(process, seconds)
        finally:
            if own_group:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
        output.seek(0)
        return Ended(status, output.read())


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    """Its status; None if it had to be ended, by ctrl-C first, so that it writes what it has."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(seconds)
    for ask in (lambda: process.send_signal(signal.SIGINT), process.kill):
        ask()
        with contextlib.suppress(subprocess.TimeoutExpired):  # not even then, if the driver hangs
            process.wait(GRACE)
            break
    return None
