"""Python from the command line, in the repository's root."""

import json
import os
import subprocess
import sys


def command(repository, *arguments):
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def quick_example(repository, folder, name):
    """What a small run of an example found, as numbers, and what it printed of its progress."""
    done = command(repository, "-m", f"examples.{name}", "--quick", "--output", folder)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{ending}" for ending in ("md", "json", "png")
    }
    table = (folder / f"{name}.md").read_text()
    assert table in done.stdout
    assert "nan" not in table
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    return json.loads((folder / f"{name}.json").read_text()), done.stderr
