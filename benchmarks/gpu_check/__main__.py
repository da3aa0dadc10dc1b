"""The command line."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_check import report, runner
from kktdiff import backends


def options() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_check",
        description=sys.modules[__package__].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=6.0, help="for all of it (default: 6)")
    add("--out", type=Path, default=report.REPORTS, help="folder of the reports")
    add("--commit", help="what is measured, where the checkout has no .git")
    add("--stages", help="only these, by commas")
    add("--host", action="store_true", help="a rehearsal without a GPU")
    add("--from", dest="source", type=Path, help="print again from the numbers of this report")
    add("--docs", type=Path, help="write gpu.md here, from --from or the newest report")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Check, or draw again what was found; return the exit status."""
    parser = options()
    args = parser.parse_args(argv)
    if args.source and not args.source.is_file():
        parser.error(f"--from {args.source}: there is no such file")
    if args.docs or args.source:
        found = report.read(args.source) if args.source else report.newest(args.out)
        print(f"written: {report.document(found, args.docs)}" if args.docs else report.page(found))
        return 0
    reason = None if args.host else backends.available()["cupy"]
    if reason is not None:
        print(reason)
        return 2
    names = args.stages.split(",") if args.stages else [stage.name for stage in runner.STAGES]
    chosen = [stage for stage in runner.STAGES if stage.name in names]
    where = "host" if args.host else "gpu"
    path = args.out

    def keep(found: runner.Record) -> None:
        nonlocal path
        path = report.write(found, args.out)

    found = runner.run(chosen, 60 * args.minutes, keep, args.commit, where)
    print(f"\n{report.page(found)}\nwritten: {path}, and .md beside it")
    return 0 if runner.passed(found) else 1


if __name__ == "__main__":
    sys.exit(main())
