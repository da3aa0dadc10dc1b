"""The process of one stage: `python -m benchmarks.gpu_check.child MODULE ARGUMENT FILE SECONDS`.

Each record is a line of the file, on disk before the next one is begun.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.gpu_check.record import failure


def main(module: str, argument: str, file: str, seconds: str) -> int:
    """Write every record; exit status 1 if the stage itself raised."""
    with Path(file).open("w", encoding="utf-8") as lines:

        def write(record: object) -> None:
            lines.write(json.dumps(record) + "\n")
            lines.flush()
            os.fsync(lines.fileno())

        try:
            for record in import_module(module).records(float(seconds), argument):
                write(record)
        except Exception as error:
            write(failure(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
