"""Processes of their own for measurements, with an end to patience."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

Record = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]


def run(job: Record, *, patience: float | None) -> Record:
    """What `benchmarks.pair` makes of a job, or ``{"failed": the sentence why not}``.

    Parameters
    ----------
    job
        Which library, workload, batch; variables of the environment under ``environment``.
    patience
        Seconds; None: for ever.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "job.json"), Path(folder, "result.json")
        before.write_text(json.dumps(job))
        command = [sys.executable, "-m", "benchmarks.pair", str(before), str(after)]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=os.environ | job.get("environment", {}),
                capture_output=True,
                text=True,
                check=False,
                timeout=patience,
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"takes longer than {patience:g} s"}
        if done.returncode == 0 and after.is_file():
            return json.loads(after.read_text())
    last = (done.stderr.strip() or "no message").splitlines()[-1]
    return {"failed": f"the process ends with status {done.returncode}: {last}"}
