"""kktdiff beside every other library that is installed: speed and accuracy.

    python -m benchmarks.run [--workloads W1,W3] [--peers qpth,moreau] [--out DIR] [--growth]
    python -m benchmarks.run --again DIR/performance.json --out DIR [--growth]
    python -m benchmarks.run --from DIR/performance.json --out DIR
    python -m benchmarks.run --workloads W6 [--out DIR]

Each library and configuration gets a process of its own for each workload, with kktdiff in turns
with it; ratios are within that process. Times are medians of several repeats. A gradient counts as
right up to 1e-6 relative, as wrong above 1e-2; the reference is dense linear algebra
(kktdiff.bench). W6, large sparse problems, is that of `benchmarks.sparse`, with libraries and
tables of its own. The extra `peers` holds what pip can install beside NumPy 2; qpth and libdqp want
`--no-deps`.
"""

import argparse
import json
import os
from importlib import util
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import figures, peers, processes, sparse, verdicts
from examples.report import rounded
from kktdiff import bench, kernels

Record = dict[str, Any]
Environment = dict[str, str]
OURS = (  # the way to call it, the title, and the environment
    ("arrays", verdicts.OURS, {}),
    ("torch", "torch tensors", {}),
    ("arrays", verdicts.NO_KERNELS, {"KKTDIFF_KERNELS": "off"}),
)
MOST_FOR_PEERS = 2048  # of W1 in a batch: their graphs take gigabytes from there on
NAME, SPARSE = "performance", "W6"
LEFT_OUT = ("machine", "reference_violation")  # of a record: what no table shows
README, RESULTS = processes.ROOT / "README.md", processes.ROOT / "docs" / "results"
BEGIN, END = (
    "<!-- performance: docs/results/performance-summary.md -->",
    "<!-- /performance -->",
)


def measure(args: argparse.Namespace) -> Record:
    """Every record, and where it was made."""
    records, load = [], os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    for name in args.workloads:
        batch = args.batch
        if args.quick:
            batch = min(2, bench.WORKLOADS[name].batch)
        records += everyone(name, batch, args)
    machine = next((r["machine"] for r in records if "machine" in r), {})
    return {"machine": machine | {"load": load}, "repeats": args.repeats, "records": records}


def everyone(name: str, batch: int | None, args: argparse.Namespace) -> list[Record]:
    """All libraries and configurations on one workload, ours first."""
    found = [
        ours(name, batch, *configuration, args) for configuration in OURS if can(*configuration)
    ]
    for peer in args.peers:
        for configuration in configurations(peer, name, args):
            record = beside(peer, configuration, name, batch, args)
            found.append(record)
            if "ImportError" in record.get("failed", "") or "ModuleNot" in record.get("failed", ""):
                break  # nor are the others installed
    return found


def configurations(peer: str, workload: str, args: argparse.Namespace) -> list[str]:
    """Return those of a peer's that are to be measured on a workload."""
    try:
        known = list(peers.load(peer).CONFIGURATIONS)
    except ImportError as error:
        raise SystemExit(f"--peers: {error}") from error
    if args.again:
        before = json.loads(args.again.read_text(encoding="utf-8"))["records"]
        same = {
            r["configuration"] for r in before if (r["library"], r["workload"]) == (peer, workload)
        }
        known = [configuration for configuration in known if configuration in same]
    return known[: 1 if args.quick else None]


def can(way: str, _: str, environment: Environment) -> bool:
    """Return True if kktdiff can be called so here, and not the same as without `environment`."""
    if environment and kernels.available() is not None:
        return False
    return way != "torch" or util.find_spec("torch") is not None


def ours(
    name: str,
    batch: int | None,
    way: str,
    title: str,
    environment: Environment,
    args: argparse.Namespace,
    **more: Any,
) -> Record:
    """kktdiff alone."""
    job = {"peer": None, "way": way, "workload": name, "batch": batch}
    job |= {"repeats": args.repeats, "seconds": args.seconds, "environment": environment}
    record = processes.run(job, patience=None)
    record |= {"library": "kktdiff", "configuration": title, "workload": name}
    return _said(record | more)


def beside(
    peer: str,
    configuration: str,
    name: str,
    batch: int | None,
    args: argparse.Namespace,
    **more: Any,
) -> Record:
    """A peer, and kktdiff in turns with it."""
    job = {"peer": peer, "configuration": configuration, "workload": name}
    job |= {"batch": batch, "repeats": args.repeats, "seconds": args.seconds}
    record = processes.run(job, patience=args.patience)
    head = {"library": peer, "configuration": configuration, "workload": name}
    return _said({**head, "batch": batch or bench.WORKLOADS[name].batch, **record, **more})


def _said(record: Record) -> Record:
    print(verdicts.line(record), flush=True)
    return record


def growth(records: list[Record], args: argparse.Namespace) -> list[Record]:
    """Series by batch size and by n: ours, and each peer as it was right and fastest before."""
    found = []
    for series, (base, points) in {
        "batch": ("W1", bench.GROWTH["batch"]),
        "n": ("W5", bench.GROWTH["n"]),
    }.items():
        main = [r for r in records if r["workload"] == base and "series" not in r]
        chosen = [r for r in verdicts.fastest_right(main) if r["library"] in args.peers]
        for name, batch in points:
            if batch > args.largest_batch:
                continue
            for configuration in OURS:
                if configuration[0] == "arrays" and can(*configuration):
                    found.append(ours(name, batch, *configuration, args, series=series))
            for record in chosen if batch <= MOST_FOR_PEERS else ():
                pair = (record["library"], record["configuration"])
                found.append(beside(*pair, name, batch, args, series=series))
    return found


def publish(found: Record, folder: Path) -> None:
    """Numbers, tables and figures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.json").write_text(as_text(found), encoding="utf-8")
    (folder / f"{NAME}.md").write_text(verdicts.page(found), encoding="utf-8")
    (folder / f"{NAME}-summary.md").write_text(verdicts.summary(found), encoding="utf-8")
    (folder / f"{NAME}-memory.md").write_text(verdicts.memory(found), encoding="utf-8")
    figures.save(found, folder / f"{NAME}.svg")
    if folder.resolve() == RESULTS:
        quote(verdicts.summary(found))
    print(f"written to {folder}: {NAME}.json, .md, -summary.md, -memory.md, .svg")


def as_text(found: Record) -> str:
    """Return the numbers as JSON, a line for each record."""
    lines = ",\n".join(json.dumps(record) for record in found["records"])
    head = json.dumps({name: value for name, value in found.items() if name != "records"})
    return f'{head[:-1]}, "records": [\n{lines}\n]}}\n'


def slim(record: Record) -> Record:
    """Return a record with medians for samples, and without counts that are zero."""
    short = {k: v for k, v in record.items() if k not in LEFT_OUT}
    for name in ("forward_seconds", "backward_seconds"):
        if short.get(name):
            short[name] = [median(short[name])]
    if "beside" in record:
        short["beside"] = slim(record["beside"])
    errors = {name: error for name, error in record.get("errors", {}).items() if error}
    if errors:
        kept = ("worst", "of")
        short["errors"] = {
            name: {key: value for key, value in error.items() if value or key in kept}
            for name, error in errors.items()
        }
    return short


def together(sources: list[Path]) -> Record:
    """The records of several files; the machine, and of equal records the one, is of the first."""
    parts = [json.loads(source.read_text(encoding="utf-8")) for source in sources]
    names = ("library", "configuration", "workload", "batch", "series")
    latest = {
        tuple(record.get(name) for name in names): record
        for part in reversed(parts)
        for record in part["records"]
    }
    order = list(bench.WORKLOADS)
    records = sorted(latest.values(), key=lambda r: order.index(r["workload"]))
    return parts[0] | {"records": records}


def quote(summary: str) -> None:
    """Put the summary into the README."""
    head, mark, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    README.write_text(f"{head}{mark}\n\n{summary}\n{end}{tail}", encoding="utf-8")


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--workloads", type=_names, default=_names(",".join(bench.USUAL)), help="by commas")
    add("--peers", type=_names, default=list(peers.KNOWN), help="by commas; also modules of yours")
    add("--batch", type=int, help="problems per call, for all workloads")
    add("--repeats", type=int, default=7, help="(default: 7)")
    add("--patience", type=float, default=120, help="seconds for a peer's process (default: 120)")
    about = "no further repeat is begun after so long (default: %(default)s)"
    add("--seconds", type=float, default=bench.SECONDS, help=about)
    about = "also the series by batch size and by n; they can be added to what --from reads"
    add("--growth", action="store_true", help=about)
    add("--largest-batch", type=int, default=8192, help="of the series (default: 8192)")
    add("--quick", action="store_true", help="two problems, once, first configurations only")
    add("--out", type=Path, help="folder for numbers, tables and figures")
    about = "only the libraries and settings that this file has of each workload"
    add("--again", type=Path, help=about)
    about = "draw again from the numbers of these files, put together"
    add("--from", dest="sources", type=Path, nargs="+", help=about)
    return parser


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def main(argv: list[str] | None = None) -> Record:
    """Measure, or read what was measured; print; write."""
    parser = options()
    args = parser.parse_args(argv)
    files = [("--again", args.again)] if args.again else []
    for option, source in [*files, *(("--from", source) for source in args.sources or ())]:
        if not source.is_file():
            parser.error(f"{option} {source}: there is no such file")
    known = [*bench.WORKLOADS, SPARSE]
    unknown = [name for name in args.workloads if name not in known]
    if unknown:
        parser.error(f"--workloads {','.join(unknown)}: known are {','.join(known)}")
    if args.quick:
        args.repeats = 1
    if SPARSE in args.workloads:
        args.workloads.remove(SPARSE)
        out = ["--out", str(args.out)] if args.out else []
        large = sparse.main(["--repeats", str(args.repeats), *out])
        if not args.workloads:
            return {"workloads": large}
    found = together(args.sources) if args.sources else measure(args)
    if args.growth:
        found["records"] += growth(found["records"], args)
    found["records"] = [rounded(slim(record), digits=7) for record in found["records"]]
    print(verdicts.page(found))
    if args.out:
        publish(found, args.out)
    return found


if __name__ == "__main__":
    main()
