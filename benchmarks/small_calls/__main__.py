"""The command line: measure, print two tables, write them."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.small_calls import batches, loop
from benchmarks.small_calls.libraries import LIBRARIES
from kktdiff import bench

NAME = "small-calls"
PACKAGES = ("jax", "qpax", "daqp", "piqp", "moreau")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write where `--out` says."""
    parser = argparse.ArgumentParser(description="Small problems, one call at a time.")
    add = parser.add_argument
    add("--seconds", type=int, default=3, help="of the loop, for each library (default: 3)")
    add("--libraries", help="of the loop, by semicolons (default: all that are installed)")
    add("--out", type=Path, help="folder for the numbers and the tables")
    args = parser.parse_args(argv)
    names = args.libraries.split(";") if args.libraries else list(LIBRARIES)
    unknown = [name for name in names if name not in LIBRARIES]
    if unknown:
        parser.error(f"--libraries {';'.join(unknown)}: known are {'; '.join(LIBRARIES)}")
    _prepare()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    found = {
        "machine": bench.machine(PACKAGES) | {"load": load},
        "batches": batches.measure(),
        "loop": loop.measure(args.seconds, names),
    }
    tables = {"batches": batches.table(found["batches"]), "loop": loop.table(found["loop"])}
    print("\n\n".join([*tables.values(), where(found["machine"])]))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found, indent=1) + "\n"
        (args.out / f"{NAME}.json").write_text(text, encoding="utf-8")
        for name, table in tables.items():
            page = f"{table}\n\n{where(found['machine'])}\n"
            (args.out / f"{NAME}-{name}.md").write_text(page, encoding="utf-8")
    return found


def where(machine: dict[str, Any]) -> str:
    """Return the sentence on the machine, and on what else it did."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    load = f", load before {machine['load']:.1f}" if machine["load"] is not None else ""
    return (
        f"{machine['date']}, {machine['processor']}, {machine['cores']} processors{load}; "
        f"kernels {machine['kernels']}; {versions}."
    )


def _prepare() -> None:
    """Set float64 for JAX, and one thread for torch."""
    try:
        import jax

        jax.config.update("jax_enable_x64", True)
        import torch

        torch.set_num_threads(1)
    except ImportError:
        pass


if __name__ == "__main__":
    main()
