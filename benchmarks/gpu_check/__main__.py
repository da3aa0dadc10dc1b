"""The command line."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_check import publish, report, runner
from benchmarks.gpu_check.stages import STAGES, Stage


def options() -> argparse.ArgumentParser:
    """What it takes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_check",
        description=sys.modules[__package__].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=8.0, help="for all of it (default: 8)")
    add("--out", type=Path, default=publish.REPORTS, help="folder of the reports")
    add("--commit", help="what is measured, where the checkout has no .git")
    add("--stages", help="only these, by commas")
    add("--from", dest="source", type=Path, help="print again from the numbers of this report")
    add("--docs", type=Path, help="write gpu.md here, from --from or the newest report")
    return parser


def main(argv: Sequence[str] | None = None, stages: Sequence[Stage] = STAGES) -> int:
    """Check, or draw again what was found; the exit status."""
    parser = options()
    args = parser.parse_args(argv)
    if args.source and not args.source.is_file():
        parser.error(f"--from {args.source}: there is no such file")
    if args.docs:
        found = publish.read(args.source) if args.source else publish.newest(args.out)
        print(f"written: {publish.document(found, args.docs)}")
        return 0
    if args.source:
        print(report.page(publish.read(args.source)))
        return 0
    wanted = args.stages.split(",") if args.stages else [stage.name for stage in stages]
    chosen = [stage for stage in stages if stage.name in ("environment", *wanted)]

    def keep(found: publish.Record) -> None:
        publish.write(found, args.out)

    try:
        found = runner.run(chosen, 60 * args.minutes, keep, args.commit)
    except runner.NoDeviceError as error:
        print(error)
        return 2
    print(f"\n{report.page(found)}\nwritten: {publish.write(found, args.out)}, and .md beside it")
    return 0 if runner.passed(found) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a stage does not outlive it
    sys.exit(main())
