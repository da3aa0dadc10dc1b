"""The command line: see the package."""

import argparse
import json
from pathlib import Path
from typing import Any

import benchmarks.cvxpy_layers as package
from benchmarks.cvxpy_layers import report
from benchmarks.cvxpy_layers.layers import WAYS
from benchmarks.cvxpy_layers.measure import Effort, records_of
from benchmarks.cvxpy_layers.models import KINDS
from kktdiff import bench

NAME = "cvxpy_layers"
PACKAGES = ("cvxpy", "cvxpylayers", "diffcp", "scs", "clarabel", "moreau")
QUICK = 2  # problems in a batch
CHECKED = 4  # problems whose answers are held against the reference


def options() -> argparse.ArgumentParser:
    """The parser."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{NAME}",
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--models", type=bench.some_of(tuple(KINDS)), default=tuple(KINDS), help="by commas")
    add("--batches", type=_sizes, help="by commas (default: each model's own)")
    add("--repeats", type=_count, default=7, help="(default: %(default)s)")
    about = "no further repeat is begun after so long (default: %(default)s)"
    add("--seconds", type=float, default=8.0, help=about)
    add(
        "--quick",
        action="store_true",
        help="two problems, once, one of them checked, the defaults only",
    )
    add("--output", type=Path, help="folder for the tables and the numbers")
    about = "make the tables again from the numbers of these files, put together"
    add("--from", dest="sources", type=Path, nargs="+", help=about)
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(_count(part) for part in text.split(","))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of one or more")
    return int(text)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Every record, and where it was made."""
    ways = tuple(WAYS)[: 1 if args.quick else None]
    effort = Effort(args.repeats, args.seconds, ways, CHECKED)
    if args.quick:
        effort = effort._replace(repeats=1, checked=1)
    records = []
    for name in args.models:
        batches = (QUICK,) if args.quick else args.batches or KINDS[name].batches
        found = records_of(name, batches, effort)
        print(report.table([report.row(record) for record in found]), flush=True)
        records += found
    return {"machine": bench.machine(PACKAGES), "records": records}


def together(sources: list[Path]) -> dict[str, Any]:
    """The records of several files; the machine is that of the first."""
    parts = [json.loads(source.read_text(encoding="utf-8")) for source in sources]
    return parts[0] | {"records": [record for part in parts for record in part["records"]]}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measure, or read what was measured; print; write."""
    parser = options()
    args = parser.parse_args(argv)
    for source in args.sources or ():
        if not source.is_file():
            parser.error(f"--from {source}: there is no such file")
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)  # complain now, not after the measurements
    found = together(args.sources) if args.sources else measure(args)
    print(report.page(found))
    if args.output:
        numbers = json.dumps(found, indent=1) + "\n"
        (args.output / f"{NAME}.json").write_text(numbers, encoding="utf-8")
        (args.output / f"{NAME}.md").write_text(report.page(found), encoding="utf-8")
    return found


if __name__ == "__main__":
    main()
