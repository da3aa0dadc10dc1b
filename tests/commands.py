"""Python from the command line, in the repository's root."""

import json
import os
import subprocess
import sys
from importlib import import_module


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
    """What a small run of an example found, as numbers, and what it printed of its progress.

    It is drawn again from these numbers, which gives the same files.
    """
    done = command(repository, "-m", f"examples.{name}", "--quick", "--output", folder)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{ending}" for ending in ("md", "json", "svg")
    }
    table = (folder / f"{name}.md").read_text()
    assert table in done.stdout
    assert "nan" not in table
    again = folder.with_name("again")
    source = ("--from", folder / f"{name}.json", "--output", again)
    import_module(f"examples.{name}").main([str(argument) for argument in source])
    for path in folder.iterdir():
        assert path.read_text() == (again / path.name).read_text()
    assert (folder / f"{name}.svg").read_text().count("<text") > 10  # labels are text
    return json.loads((folder / f"{name}.json").read_text()), done.stderr
