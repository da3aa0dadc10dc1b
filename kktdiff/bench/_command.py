"""``python -m kktdiff bench``: its options, and what it does with them."""

import argparse
import json
from collections.abc import Callable
from contextlib import nullcontext
from importlib import util
from pathlib import Path
from typing import Any

from kktdiff._files import replacing, shown
from kktdiff._progress import aside, bar
from kktdiff.bench import _report as report
from kktdiff.bench._machine import machine
from kktdiff.bench._ours import WAYS, ways
from kktdiff.bench._run import USUAL, run
from kktdiff.bench._workloads import WORKLOADS


def add_options(commands: Any, at_least: Callable[[int], Callable[[str], int]]) -> Any:
    """The subcommand's parser."""
    about = "measure speed and accuracy on problems of several kinds"
    kinds = "\n".join(f"  {name:8s} {w.about}; batch {w.batch}" for name, w in WORKLOADS.items())
    parser = commands.add_parser(
        "bench",
        help=about,
        description=f"{about[0].upper()}{about[1:]}.\n\nworkloads:\n{kinds}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    names = f"separated by commas (default: {','.join(USUAL)})"
    add("--workloads", type=some_of(tuple(WORKLOADS)), default=USUAL, metavar="W1,W3", help=names)
    add("--batch", type=at_least(1), metavar="N", help="problems per call, for all workloads")
    add("--repeats", type=at_least(1), default=9, metavar="N", help="(default: 9)")
    add("--dtype", choices=("float64", "float32"), default="float64")
    text = f"ways to call, of {','.join(WAYS)} (default: all that can be used)"
    add("--call", type=some_of(WAYS), default=None, metavar="WAYS", help=text)
    add("--large", action="store_true", help="also one QP of 1000 variables")
    add("--quick", action="store_true", help="two problems, once, to see that it works")
    add("--json", type=Path, metavar="FILE", help="for every single time and error")
    return parser


def command(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Measure, say line by line what came out, write it.

    Raises
    ------
    ValueError
        torch is asked for and not installed.
    OSError
        The file can't be written.
    """
    if options.call and "torch" in options.call and util.find_spec("torch") is None:
        raise ValueError("torch not found: pip install 'kktdiff[torch]'")
    if options.json is None:
        _measure(options, say)
        return
    with replacing(options.json) as new:  # complain now, not after the measurements
        found = _measure(options, say)
        new.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    say(f"written to {shown(options.json)}")


def _measure(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure with a progress bar, where tqdm is installed, and a table that grows."""
    names = [*options.workloads, *(["W5L"] if options.large else [])]
    calls = options.call or ways()
    say(f"{report.intro(machine())}{report.heading(report.COLUMNS)}".rstrip())
    total = len(names) * len(calls)
    with bar(total=total, unit="workload") if util.find_spec("tqdm") else nullcontext() as progress:

        def begin(name: str, way: str) -> None:
            if progress is not None:
                progress.set_description(f"{name}, {way}")

        def end(record: dict[str, Any]) -> None:
            with aside(progress):
                say(report.line(report.row(record)).rstrip())
            if progress is not None:
                progress.update()

        return run(
            names,
            batch=options.batch,
            repeats=options.repeats,
            dtype=options.dtype,
            ways_to_call=calls,
            quick=options.quick,
            on_begin=begin,
            on_record=end,
        )


def some_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """The type of an option: some of the known names, by commas."""

    def names(text: str) -> tuple[str, ...]:
        given = tuple(dict.fromkeys(text.split(",")))
        unknown = [name for name in given if name not in known]
        if unknown:
            listed = f"{', '.join(unknown)}; known are {', '.join(known)}"
            raise argparse.ArgumentTypeError(f"unknown: {listed}")
        return given

    return names
